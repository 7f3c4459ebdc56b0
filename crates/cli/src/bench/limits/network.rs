use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use super::super::machine::now;
use super::disk::Scratch;
use crate::failure::{Exit, Failure};

/// Bytes of one `write`, and of one `read`.
const PIECE_BYTES: usize = 128 << 10;

/// Bytes of one `sendfile`.
const SENDFILE_BYTES: u64 = 1 << 20;

/// One stream over loopback from memory, in MB/s.
pub(super) fn loopback(total: u64) -> Result<f64, Failure> {
    let piece = vec![7; PIECE_BYTES];
    stream(total, |mut socket| {
        let mut left = total;
        while left > 0 {
            let len = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
            socket.write_all(&piece[..len])?;
            left -= len as u64;
        }
        Ok(())
    })
}

/// The same from a file in the page cache, sent again and again.
pub(super) fn sendfile(source: &Scratch, total: u64) -> Result<f64, Failure> {
    stream(total, |socket| {
        let (mut at, mut left) = (0, total);
        while left > 0 {
            if at >= source.len {
                at = 0;
            }
            let count = left.min(source.len - at).min(SENDFILE_BYTES);
            let count = usize::try_from(count).map_err(io::Error::other)?;
            match rustix::fs::sendfile(&socket, &source.file, Some(&mut at), count)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                sent => left -= sent as u64,
            }
        }
        Ok(())
    })
}

/// Has `send` send `total` bytes to a thread that throws them away, in MB/s.
fn stream(total: u64, send: impl FnOnce(TcpStream) -> io::Result<()> + Send) -> Result<f64, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let addr = listener.local_addr()?;
    thread::scope(|scope| {
        let sender = scope.spawn(move || send(TcpStream::connect(addr)?));
        let (mut socket, _) = listener.accept()?;
        let (mut inbox, mut left, begun) = (vec![0; PIECE_BYTES], total, now());
        while left > 0 {
            match socket.read(&mut inbox)? {
                0 => break,
                received => left = left.saturating_sub(received as u64),
            }
        }
        let seconds = begun.elapsed().as_secs_f64().max(f64::EPSILON);
        let lost = || Failure::new(Exit::Failed, "the sending thread ended early");
        sender.join().map_err(|_| lost())??;
        Ok(total as f64 / 1e6 / seconds)
    })
}
