//! The server's log on standard error. Every warning and error passes one gate, whichever room or library tells it:
//! [`QuietLayer`] asks the process's [`QuietLog`] before anything of the line is formatted.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::{self, Debug, Write};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::IsTerminal;
use std::sync::Arc;

use forebay_base::{LineKey, LineText, QuietLog, limits};
use forebay_broker::{Config, LogFormat, QUIET_TARGET};
use tracing::field::{Field, Visit, display};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::failure::{Exit, Failure};

/// Fields that tell lines of one place in the code apart. Their values are few: none is chosen by a client.
const SUBJECTS: [&str; 6] = ["partition", "listener", "api", "dir", "volume", "location"];

/// A line with this field tells of a state that has changed. It is always written: there is a way back for each.
const TRANSITION: &str = "transition";

/// Starts logging as configured; `quiet` decides which warnings and errors have a line.
pub(crate) fn start(config: &Config, quiet: Arc<QuietLog>) -> Result<(), Failure> {
    // The consensus engine tells every step of an election at info; its warnings are enough.
    let levels = if config.log_level.contains("openraft") {
        config.log_level.clone()
    } else {
        format!("{},openraft=warn", config.log_level)
    };
    let filter = EnvFilter::try_new(&levels)
        .map_err(|error| Failure::usage(format!("log.level={}: {error}", config.log_level)))?;
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(QuietLayer { quiet });
    let started = match config.log_format {
        LogFormat::Text => registry.with(lines).with(filter).try_init(),
        LogFormat::Json => registry.with(lines.json()).with(filter).try_init(),
    };
    started.map_err(|error| Failure::new(Exit::NotStarted, format!("logging cannot start: {error}")))?;
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| display(&backtrace));
        let reason = panic.payload_as_str().unwrap_or_default();
        tracing::error!(location, reason, backtrace, "a thread panicked; this is a bug");
    }));
    Ok(())
}

/// Leaves out the lines that the process's [`QuietLog`] does not admit.
struct QuietLayer {
    quiet: Arc<QuietLog>,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for QuietLayer {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        let is_error = *metadata.level() == Level::ERROR;
        if !(is_error || *metadata.level() == Level::WARN) || metadata.target() == QUIET_TARGET {
            return true;
        }
        if metadata.fields().field(TRANSITION).is_some() {
            self.quiet.transition();
            return true;
        }
        self.quiet.admit(key(metadata, event), || LineText { is_error, text: text(event) })
    }
}

/// What tells this line from others, as hashes: nothing of it is formatted but its subject.
fn key(metadata: &Metadata<'_>, event: &Event<'_>) -> LineKey {
    let mut kind = DefaultHasher::new();
    // Lines that come by the crate `log` have one place for all; their module tells them apart.
    (metadata.callsite(), metadata.target()).hash(&mut kind);
    let mut subject = Subject { hash: DefaultHasher::new(), is_named: false };
    event.record(&mut subject);
    LineKey { kind: kind.finish(), subject: subject.is_named.then(|| subject.hash.finish()) }
}

/// Hashes the fields that are subjects.
struct Subject {
    hash: DefaultHasher,
    is_named: bool,
}

impl Visit for Subject {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if SUBJECTS.contains(&field.name()) {
            self.is_named = true;
            // Hashing cannot fail.
            let _ = write!(self, "{value:?}");
        }
    }
}

impl Write for Subject {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.hash.write(part.as_bytes());
        Ok(())
    }
}

/// How the line reads: its sentence and its subjects, cut to their bound.
fn text(event: &Event<'_>) -> Arc<str> {
    let (mut sentence, mut subjects) = (Cut::default(), Cut::default());
    event.record(&mut |field: &Field, value: &dyn Debug| {
        if field.name() == "message" {
            let _ = write!(sentence, "{value:?}");
        } else if SUBJECTS.contains(&field.name()) {
            let _ = write!(subjects, " {}={value:?}", field.name());
        }
    });
    let mut text = Cut::default();
    let _ = write!(text, "{}{}", sentence.0, subjects.0);
    text.0.into()
}

/// A text that takes no more than its bound.
#[derive(Default)]
struct Cut(String);

impl Write for Cut {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for character in part.chars() {
            if self.0.len() + character.len_utf8() > limits::LOG_LINE_TEXT_MAX {
                return Err(fmt::Error);
            }
            self.0.push(character);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
