use std::io::IoSlice;

use bytes::{Bytes, BytesMut};
use forebay_client::{BatchHeader, ClientError};

use super::frames::{FetchFrame, Fetched};
use super::socket::Socket;
use crate::failure::Failure;

/// Received in one system call, in bytes: small enough to stay in a core's own cache.
const INBOX_BYTES: usize = 256 * 1024;

/// Length of the fixed part of a record batch.
const BATCH_HEADER_LEN: usize = 61;

/// A connection that reads, one request at a time.
#[derive(Debug)]
pub(super) struct Fetcher {
    socket: Socket,
    topic: String,
    frame: FetchFrame,
    correlation: i32,
    inbox: Vec<u8>,
    /// What was received and not looked at yet.
    start: usize,
    filled: usize,
    /// A whole answer, where it is wanted in one piece.
    whole: BytesMut,
}

impl Fetcher {
    /// Connects. Answers have up to `max_bytes`, or one batch; one without any waits up to `wait_ms`.
    pub(super) fn connect(addr: &str, topic: &str, wait_ms: i32, max_bytes: i32) -> Result<Self, Failure> {
        Ok(Self {
            socket: Socket::connect(addr)?,
            topic: topic.to_owned(),
            frame: FetchFrame::new(topic, wait_ms, max_bytes),
            correlation: 0,
            inbox: vec![0; INBOX_BYTES],
            start: 0,
            filled: 0,
            whole: BytesMut::new(),
        })
    }

    /// Asks, and reads the head of the answer. Its batches must be read before the next request.
    pub(super) fn ask(&mut self, partition: i32, offset: i64) -> Result<Fetched, Failure> {
        self.correlation = self.correlation.wrapping_add(1);
        self.frame.patch(self.correlation, partition, offset);
        self.socket.send(&mut [IoSlice::new(self.frame.bytes())])?;
        let head = Fetched::head_len(self.topic.len());
        self.fill(head)?;
        let fetched = Fetched::parse(&self.inbox[self.start..self.start + head]);
        self.start += head;
        fetched.filter(|answer| answer.correlation == self.correlation).ok_or_else(|| self.socket.confused())
    }

    /// The same, where an error is a failure.
    pub(super) fn ask_ok(&mut self, partition: i32, offset: i64) -> Result<Fetched, Failure> {
        let fetched = self.ask(partition, offset)?;
        let what = || format!("read {}-{partition} from offset {offset}", self.topic);
        ClientError::check_code(fetched.error, what)?;
        Ok(fetched)
    }

    /// Passes over the `len` bytes of an answer's batches, showing `visit` the header of each whole one. Nothing else
    /// is looked at, and no more than [`INBOX_BYTES`] are held.
    pub(super) fn skim(
        &mut self,
        mut len: usize,
        mut visit: impl FnMut(&BatchHeader),
    ) -> Result<(), Failure> {
        while len >= BATCH_HEADER_LEN {
            self.fill(BATCH_HEADER_LEN)?;
            let header = BatchHeader::parse(&self.inbox[self.start..self.filled]);
            let Some(header) = header.ok().filter(|header| header.len <= len) else { break };
            visit(&header);
            self.skip(header.len)?;
            len -= header.len;
        }
        // A batch that was cut at the size limit, or is none.
        self.skip(len)
    }

    /// The `len` bytes of an answer's batches.
    pub(super) fn take(&mut self, len: usize) -> Result<Bytes, Failure> {
        self.whole.resize(len, 0);
        let here = len.min(self.filled - self.start);
        self.whole[..here].copy_from_slice(&self.inbox[self.start..self.start + here]);
        self.start += here;
        let mut at = here;
        while at < len {
            at += self.socket.receive(&mut self.whole[at..])?;
        }
        Ok(self.whole.split().freeze())
    }

    /// Receives until `len` bytes can be looked at, which are fewer than the inbox holds.
    fn fill(&mut self, len: usize) -> Result<(), Failure> {
        if self.filled - self.start >= len {
            return Ok(());
        }
        self.inbox.copy_within(self.start..self.filled, 0);
        self.filled -= self.start;
        self.start = 0;
        while self.filled < len {
            self.filled += self.socket.receive(&mut self.inbox[self.filled..])?;
        }
        Ok(())
    }

    fn skip(&mut self, mut len: usize) -> Result<(), Failure> {
        loop {
            let here = len.min(self.filled - self.start);
            self.start += here;
            len -= here;
            if len == 0 {
                return Ok(());
            }
            self.start = 0;
            self.filled = self.socket.receive(&mut self.inbox)?;
        }
    }
}
