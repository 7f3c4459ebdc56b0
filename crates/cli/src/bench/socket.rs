use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::failure::{Exit, Failure};

/// A server that says nothing for this long is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// A blocking connection to a server. One thread owns it: that costs the fewest wake-ups a request.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    addr: String,
}

impl Socket {
    /// Connects to `HOST:PORT`.
    pub(super) fn connect(addr: &str) -> Result<Self, Failure> {
        let connected = TcpStream::connect(addr).and_then(|stream| {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(stream)
        });
        match connected {
            Ok(stream) => Ok(Self { stream, addr: addr.to_owned() }),
            Err(error) => Err(Failure::new(Exit::Unreachable, format!("cannot reach {addr}: {error}"))
                .advise("Is a server running there?")),
        }
    }

    /// Sends everything, in one system call if the kernel takes it.
    pub(super) fn send(&mut self, mut slices: &mut [IoSlice<'_>]) -> Result<(), Failure> {
        while !slices.is_empty() {
            match self.stream.write_vectored(slices) {
                Ok(0) => return Err(self.failure(&ErrorKind::WriteZero.into())),
                Ok(sent) => IoSlice::advance_slices(&mut slices, sent),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failure(&error)),
            }
        }
        Ok(())
    }

    /// Receives what is there, at least one byte.
    pub(super) fn receive(&mut self, into: &mut [u8]) -> Result<usize, Failure> {
        loop {
            match self.stream.read(into) {
                Ok(0) => return Err(self.failure(&ErrorKind::UnexpectedEof.into())),
                Ok(received) => return Ok(received),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failure(&error)),
            }
        }
    }

    /// Waits until something can be received, but not longer than `upto`.
    pub(super) fn wait(&self, upto: Duration) -> Result<bool, Failure> {
        let upto = Timespec::try_from(upto).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        let mut events = [PollFd::new(&self.stream, PollFlags::IN)];
        match poll(&mut events, Some(&upto)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(self.failure(&error.into())),
        }
    }

    /// The server's answer makes no sense.
    pub(super) fn confused(&self) -> Failure {
        Failure::new(Exit::Failed, format!("{}: the answer is none to the request", self.addr))
    }

    fn failure(&self, error: &io::Error) -> Failure {
        let kind = error.kind();
        let sentence = if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&kind) {
            format!("no answer within {PATIENCE:?}")
        } else if kind == ErrorKind::UnexpectedEof {
            "the server closed the connection".to_owned()
        } else {
            error.to_string()
        };
        Failure::new(Exit::Unreachable, format!("{}: {sentence}", self.addr))
    }
}
