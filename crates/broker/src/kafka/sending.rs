use std::collections::VecDeque;

use forebay_wire::kafka::ApiKey;
use tokio::time::Instant;

use crate::metrics::Stages;

/// Room for so many answers is kept while there are none.
const IDLE_ANSWERS: usize = 16;

/// An answer that was ready at some time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ready {
    pub(super) api: ApiKey,
    pub(super) stages: Stages,
    pub(super) at: Instant,
}

/// The answers of one connection of which the socket has not taken everything, in their order.
#[derive(Debug, Default)]
pub(super) struct Sending {
    /// Each with how many bytes lie before its end, since the connection was opened.
    answers: VecDeque<(u64, Ready)>,
    queued_bytes: u64,
    sent_bytes: u64,
}

impl Sending {
    /// An answer of `bytes` follows.
    pub(super) fn push(&mut self, ready: Ready, bytes: u64) {
        self.queued_bytes += bytes;
        self.answers.push_back((self.queued_bytes, ready));
    }

    /// The socket has taken `bytes` more; [`Sending::pop_sent`] tells of what.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent_bytes += bytes as u64;
    }

    /// An answer of which everything is sent.
    pub(super) fn pop_sent(&mut self) -> Option<Ready> {
        let (end, ready) = *self.answers.front()?;
        if end > self.sent_bytes {
            return None;
        }
        self.answers.pop_front();
        if self.answers.is_empty() && self.answers.capacity() > IDLE_ANSWERS {
            self.answers = VecDeque::new();
        }
        Some(ready)
    }

    /// Bytes that the socket has not taken.
    pub(super) fn unsent_bytes(&self) -> u64 {
        self.queued_bytes - self.sent_bytes.min(self.queued_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_sent_when_its_last_byte_is() {
        let mut sending = Sending::default();
        for api in [ApiKey::Produce, ApiKey::Fetch, ApiKey::Metadata] {
            sending.push(Ready { api, stages: Stages::default(), at: Instant::now() }, 10);
        }
        let mut sent = |bytes| {
            sending.sent(bytes);
            let apis: Vec<_> = std::iter::from_fn(|| sending.pop_sent()).map(|ready| ready.api).collect();
            (apis, sending.unsent_bytes())
        };
        assert_eq!(sent(9), (vec![], 21));
        assert_eq!(sent(1), (vec![ApiKey::Produce], 20));
        assert_eq!(sent(20), (vec![ApiKey::Fetch, ApiKey::Metadata], 0));
    }
}
