use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::figures::Samples;
use super::super::machine::now;
use crate::failure::{Exit, Failure};

/// Requests of one run.
const REQUESTS: usize = 20_000;

/// The longest request, in bytes.
const BYTES_MAX: usize = 4096;

/// Starts a task that sends back what it receives, as directly as tokio can; gives its address.
pub(super) async fn serve() -> Result<String, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let addr = listener.local_addr()?.to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut inbox = [0; BYTES_MAX];
                stream.set_nodelay(true)?;
                loop {
                    let received = stream.read(&mut inbox).await?;
                    if received == 0 {
                        return std::io::Result::Ok(());
                    }
                    stream.write_all(&inbox[..received]).await?;
                }
            });
        }
    });
    Ok(addr)
}

/// How long a request of `len` bytes waits for its answer on one connection, half of the times.
pub(super) fn p50_ms(addr: &str, len: usize) -> Result<f64, Failure> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    let (mut inbox, mut samples) = ([7; BYTES_MAX], Samples::default());
    for _ in 0..REQUESTS {
        let begun = now();
        stream.write_all(&inbox[..len])?;
        stream.read_exact(&mut inbox[..len])?;
        samples.add(begun.elapsed());
    }
    let none = || Failure::new(Exit::Failed, "nothing was measured");
    Ok(samples.quantiles().ok_or_else(none)?.p50_ms)
}
