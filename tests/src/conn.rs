use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use forebay_wire::{Message, Request, frame};

/// How long an answer may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection to the Kafka door, for requests that a client would not send and answers it would not look at.
#[derive(Debug)]
pub struct Conn {
    stream: TcpStream,
    next_id: i32,
}

impl Conn {
    /// Connects.
    pub fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the server accepts connections");
        stream.set_nodelay(true).expect("a socket option");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket option");
        Self { stream, next_id: 1 }
    }

    /// Waits at most this long for answers from now on.
    pub fn patience(&mut self, patience: Duration) {
        self.stream.set_read_timeout(Some(patience)).expect("a socket option");
    }

    /// Sends bytes as they are. An error is the server's to make: it may have closed already.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Says that nothing more will be sent.
    pub fn end_sending(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Sends a request, and gives its correlation id.
    pub fn send<R: Request>(&mut self, version: i16, request: &R) -> i32 {
        let id = self.next_id;
        self.next_id += 1;
        self.send_raw(&encode(id, version, request)).expect("the server reads requests");
        id
    }

    /// The next frame without its length, `None` if the server closed. Waiting too long is an error.
    pub fn receive(&mut self) -> io::Result<Option<Bytes>> {
        let mut prefix = [0; 4];
        match self.stream.read_exact(&mut prefix) {
            Err(error) if is_closed(&error) => return Ok(None),
            other => other?,
        }
        let mut body = vec![0; u32::from_be_bytes(prefix) as usize];
        match self.stream.read_exact(&mut body) {
            Err(error) if is_closed(&error) => Ok(None),
            other => other.map(|()| Some(body.into())),
        }
    }

    /// Receives up to `buffer.len()` bytes as they are.
    pub fn receive_raw(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }

    /// The next answer, which must be of this request and version: its correlation id and itself.
    pub fn answer<M: Message>(&mut self, version: i16) -> (i32, M) {
        let frame = self.receive().expect("an answer in time").expect("an answer, not a closed connection");
        frame::open_response(frame, version).expect("an answer of that version")
    }

    /// Asks and waits.
    pub fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        let sent = self.send(version, request);
        let (id, response) = self.answer(version);
        assert_eq!(id, sent, "answers leave in the order of their requests");
        response
    }
}

/// A whole request frame, its length included.
pub(crate) fn encode<R: Request>(id: i32, version: i16, request: &R) -> Vec<u8> {
    let pieces =
        frame::request(id, Some("black-box"), version, request).expect("a request that can be encoded");
    pieces.iter().flat_map(|piece| piece.read().expect("requests are made of memory")).collect()
}

fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}
