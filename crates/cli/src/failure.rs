use std::io::{self, Write};
use std::process::ExitCode;

use forebay_client::{ClientError, ErrorCode};

/// What the process's exit code says about why it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Anything that has no code of its own.
    Failed = 1,
    /// The command line, its input or the configuration must be corrected.
    Usage = 2,
    /// No server there, or none that answers.
    Unreachable = 3,
    /// The server said no.
    Refused = 4,
    /// Bytes are bad.
    Damaged = 5,
    /// `serve` could not start.
    NotStarted = 6,
    /// `serve` did not stop cleanly.
    NotStopped = 7,
    /// Something in the cluster is not as it should be.
    Unwell = 8,
}

/// Why a command failed, for a person: what happened, and what to do about it where we know.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    sentence: String,
    advice: Option<String>,
}

impl Failure {
    /// A failure without advice.
    pub(crate) fn new(exit: Exit, sentence: impl Into<String>) -> Self {
        Self { exit, sentence: sentence.into(), advice: None }
    }

    /// The user's input must be corrected.
    pub(crate) fn usage(sentence: impl Into<String>) -> Self {
        Self::new(Exit::Usage, sentence)
    }

    /// Adds what to do about it.
    pub(crate) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Puts what was under way before the sentence.
    pub(crate) fn after(mut self, what: &str) -> Self {
        self.sentence = format!("{what}: {}", self.sentence);
        self
    }

    /// What happened.
    pub(crate) fn sentence(&self) -> &str {
        &self.sentence
    }

    /// Tells the user, and gives the process's exit code.
    pub(crate) fn report(&self) -> ExitCode {
        let advice = self.advice.as_ref().map(|advice| format!("\n{advice}")).unwrap_or_default();
        // Nothing is left to do if standard error is gone too.
        let _ = writeln!(io::stderr().lock(), "error: {}{advice}", self.sentence);
        ExitCode::from(self.exit as u8)
    }

    #[cfg(test)]
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let failure = |exit| Self::new(exit, error.to_string());
        match &error {
            ClientError::Unreachable { .. } => failure(Exit::Unreachable)
                .advise("Is `forebay serve` running there? Name another server with --bootstrap-server HOST:PORT."),
            ClientError::Timeout { .. } => {
                failure(Exit::Unreachable).advise("The server is there but busy or stuck; its log says more.")
            }
            ClientError::Refused { code, .. } => {
                let refused = failure(Exit::Refused);
                match advice(*code) {
                    Some(advice) => refused.advise(advice),
                    None => refused,
                }
            }
            ClientError::Protocol { .. } => {
                failure(Exit::Failed).advise("Is this the address of a Kafka listener, and the server recent?")
            }
            ClientError::Damaged { .. } => failure(Exit::Damaged)
                .advise("`forebay log verify --data-dir DIR` on the server's machine finds everything that is damaged."),
            ClientError::Invalid(_) => failure(Exit::Usage),
        }
    }
}

/// What to do about a refusal. Other numbers speak for themselves.
fn advice(code: ErrorCode) -> Option<&'static str> {
    const ADVICE: [(ErrorCode, &str); 5] = [
        (ErrorCode::UnknownTopicOrPartition, "`forebay topic list` shows what is there."),
        (
            ErrorCode::TopicAlreadyExists,
            "`forebay topic alter` changes it; --if-not-exists accepts it as it is.",
        ),
        (
            ErrorCode::OffsetOutOfRange,
            "`forebay topic describe` shows each partition's first and last offset.",
        ),
        (
            ErrorCode::MessageTooLarge,
            "Raise the topic's max.message.bytes, or send smaller batches (--batch-bytes).",
        ),
        (
            ErrorCode::KafkaStorageError,
            "`forebay cluster status` says which disk has a problem, and what to do.",
        ),
    ];
    ADVICE.iter().find(|(known, _)| *known == code).map(|(_, advice)| *advice)
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(Exit::Failed, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_say_what_kind_of_failure_it_was() {
        let unreachable =
            ClientError::Unreachable { addr: "h:1".to_owned(), reason: "connection refused".to_owned() };
        let failure = Failure::from(unreachable).after("list topics");
        assert_eq!(failure.exit(), Exit::Unreachable);
        assert_eq!(failure.sentence, "list topics: cannot reach h:1: connection refused");
        let refused =
            ClientError::Refused { what: "x".to_owned(), code: ErrorCode::TopicAlreadyExists, message: None };
        assert_eq!(Failure::from(refused).exit(), Exit::Refused);
        assert_eq!(Failure::from(ClientError::Invalid(String::new())).exit(), Exit::Usage);
    }
}
