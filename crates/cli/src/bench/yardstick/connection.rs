use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::ops::Range;

use forebay_base::limits::REQUEST_BYTES_MAX;
use forebay_client::{BatchHeader, ErrorCode, verify_crc};
use rustix::net::{SendFlags, send};

use super::partition::Partition;
use crate::bench::frames::{Asked, Fetched, Produced, claimed_end, frame_end};

/// Received in one system call, in bytes; grows to the largest request.
const INBOX_BYTES: usize = 256 * 1024;

/// One connection, served by the thread that owns it.
#[derive(Debug)]
pub(super) struct Connection<'a> {
    stream: TcpStream,
    partitions: &'a [Partition],
    inbox: Vec<u8>,
    filled: usize,
    /// Batches that were received together and wait to be written.
    burst: Vec<Pending>,
    /// Answers, to be sent together.
    out: Vec<u8>,
}

/// A batch that waits to be written; ranges lie in the inbox.
#[derive(Debug)]
struct Pending {
    batch: Range<usize>,
    topic: Range<usize>,
    partition: i32,
    acks: i16,
    records: i64,
    answer: Produced,
}

impl<'a> Connection<'a> {
    pub(super) fn new(stream: TcpStream, partitions: &'a [Partition]) -> Self {
        let inbox = vec![0; INBOX_BYTES];
        Self { stream, partitions, inbox, filled: 0, burst: Vec::new(), out: Vec::new() }
    }

    /// Serves until the client goes. A request that makes no sense is an error.
    pub(super) fn serve(mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        while self.receive()? {
            let mut at = 0;
            while let Some(len) = frame_end(&self.inbox[at..self.filled]) {
                self.take(at, at + len)?;
                at += len;
            }
            self.append()?;
            self.answer()?;
            self.inbox.copy_within(at..self.filled, 0);
            self.filled -= at;
        }
        Ok(())
    }

    /// Receives what is there; false at the end. Of a request larger than the inbox no byte more than its own, so that
    /// nothing has to be moved afterwards.
    fn receive(&mut self) -> io::Result<bool> {
        let end = match claimed_end(&self.inbox[..self.filled]) {
            Some(end) if end > REQUEST_BYTES_MAX => return Err(ErrorKind::InvalidData.into()),
            Some(end) if end > INBOX_BYTES => {
                self.inbox.resize(self.inbox.len().max(end), 0);
                end
            }
            Some(_) | None => INBOX_BYTES,
        };
        match self.stream.read(&mut self.inbox[self.filled..end]) {
            Ok(received) => {
                self.filled += received;
                Ok(received > 0)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes one request, from `start` to `end` of the inbox.
    fn take(&mut self, start: usize, end: usize) -> io::Result<()> {
        let frame = &self.inbox[start..end];
        let shift = |range: Range<usize>| range.start + start..range.end + start;
        match Asked::parse(frame) {
            Some(Asked::Produce { correlation, acks, topic, partition, batch }) => {
                let checked = check(&frame[batch.clone()]);
                let known = self.partition(partition).is_some();
                let (error, records) = match checked {
                    _ if !known => (ErrorCode::UnknownTopicOrPartition, 0),
                    Some(records) => (ErrorCode::None, records),
                    None => (ErrorCode::CorruptMessage, 0),
                };
                let answer = Produced { correlation, error: error.code(), base: -1 };
                let (batch, topic) = (shift(batch), shift(topic));
                self.burst.push(Pending { batch, topic, partition, acks, records, answer });
                Ok(())
            }
            Some(Asked::Fetch { correlation, topic, partition, offset, max_bytes }) => {
                let topic = shift(topic);
                self.append()?;
                self.fetch(correlation, topic, partition, offset, max_bytes)
            }
            None => Err(ErrorKind::InvalidData.into()),
        }
    }

    fn partition(&self, number: i32) -> Option<&'a Partition> {
        self.partitions.get(usize::try_from(number).ok()?)
    }

    /// Writes the burst, with one call for each of its partitions, and writes down the answers in the order of the
    /// requests.
    fn append(&mut self) -> io::Result<()> {
        let mut todo: Vec<(&mut Pending, &mut [u8])> = Vec::with_capacity(self.burst.len());
        let mut rest = &mut self.inbox[..];
        let mut gone = 0;
        for pending in &mut self.burst {
            let (_, tail) = rest.split_at_mut(pending.batch.start - gone);
            let (batch, tail) = tail.split_at_mut(pending.batch.len());
            (rest, gone) = (tail, pending.batch.end);
            if pending.answer.error == 0 {
                todo.push((pending, batch));
            }
        }
        todo.sort_by_key(|(pending, _)| pending.partition);
        for same in todo.chunk_by_mut(|a, b| a.0.partition == b.0.partition) {
            let (mut answers, mut batches) = (Vec::with_capacity(same.len()), Vec::with_capacity(same.len()));
            let mut number = 0;
            for (pending, batch) in same {
                number = pending.partition;
                answers.push(&mut pending.answer);
                batches.push((&mut **batch, pending.records));
            }
            if let Some(partition) = usize::try_from(number).ok().and_then(|n| self.partitions.get(n)) {
                partition.append(&mut batches, |index, base| answers[index].base = base)?;
            }
        }
        for pending in self.burst.drain(..).filter(|pending| pending.acks != 0) {
            pending.answer.write(&self.inbox[pending.topic], pending.partition, &mut self.out);
        }
        Ok(())
    }

    /// Sends the answers that were written down.
    fn answer(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    /// Sends batches from the file.
    fn fetch(
        &mut self,
        correlation: i32,
        topic: Range<usize>,
        number: i32,
        offset: i64,
        max_bytes: i32,
    ) -> io::Result<()> {
        let Some(partition) = self.partition(number) else {
            let error = ErrorCode::UnknownTopicOrPartition.code();
            let nothing = Fetched { correlation, error, high_watermark: -1, log_start: -1, len: 0 };
            nothing.write(&self.inbox[topic], number, &mut self.out);
            return Ok(());
        };
        let found = partition.find(offset, u64::try_from(max_bytes).unwrap_or(0));
        let error = if found.in_range { ErrorCode::None } else { ErrorCode::OffsetOutOfRange };
        let len = usize::try_from(found.len).map_err(io::Error::other)?;
        let (high_watermark, log_start) = (found.end, found.start);
        let head = Fetched { correlation, error: error.code(), high_watermark, log_start, len };
        head.write(&self.inbox[topic], number, &mut self.out);
        if len == 0 {
            return Ok(());
        }
        let mut sent = 0;
        while sent < self.out.len() {
            // The file's bytes follow at once.
            sent += send(&self.stream, &self.out[sent..], SendFlags::MORE | SendFlags::NOSIGNAL)?;
        }
        self.out.clear();
        let (mut at, end) = (found.at, found.at + found.len);
        while at < end {
            let count = usize::try_from(end - at).unwrap_or(usize::MAX);
            if rustix::fs::sendfile(&self.stream, &found.file, Some(&mut at), count)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }
}

/// How many records a sound batch holds.
fn check(batch: &[u8]) -> Option<i64> {
    let header = BatchHeader::parse(batch).ok().filter(|header| header.len == batch.len())?;
    verify_crc(batch).ok()?;
    Some(i64::from(header.record_count))
}
