//! Publishes messages to JetStream streams kept in files and waits for the answer to each, with a fixed number of
//! connections and of messages in flight on each; prints one JSON object. The streams are made before the clock runs
//! and deleted after it has stopped.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::ConnectOptions;
use async_nats::jetstream::{self, stream};
use bytes::Bytes;
use clap::Parser;
use tokio::task::JoinSet;
use tokio::time::Instant;

type Failure = Box<dyn Error + Send + Sync>;

/// Measures how fast a NATS server takes messages into JetStream.
#[derive(Debug, Parser)]
struct Args {
    /// Address of the server
    #[arg(long, default_value = "127.0.0.1:4222")]
    server: String,

    /// TCP connections
    #[arg(long, default_value_t = 16)]
    connections: u64,

    /// Messages under way on each connection
    #[arg(long, default_value_t = 5)]
    in_flight: u64,

    /// Bytes of a message
    #[arg(long, default_value_t = 1024)]
    message_bytes: usize,

    /// Bytes to send in all
    #[arg(long, default_value_t = 1 << 28)]
    total_bytes: u64,

    /// Streams; messages go to them in turn
    #[arg(long, default_value_t = 4)]
    streams: u64,
}

/// What every publisher needs.
#[derive(Debug)]
struct Load {
    subjects: Vec<String>,
    message: Bytes,
    /// The number of the next message, as long as it is below `messages`.
    next: AtomicU64,
    messages: u64,
}

impl Load {
    /// Publishes one message after the other until all are sent; the waiting time of each in microseconds.
    async fn publish(self: Arc<Self>, context: jetstream::Context) -> Result<Vec<u32>, Failure> {
        let mut waited = Vec::new();
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.messages {
                return Ok(waited);
            }
            let subject = self.subjects[number as usize % self.subjects.len()].clone();
            let begun = Instant::now();
            context.publish(subject, self.message.clone()).await?.await?;
            waited.push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX));
        }
    }
}

fn stream_name(number: u64) -> String {
    format!("bench-{number}")
}

async fn make_streams(context: &jetstream::Context, streams: u64) -> Result<Vec<String>, Failure> {
    let mut subjects = Vec::new();
    for number in 0..streams {
        let name = stream_name(number);
        let subject = format!("load.{number}");
        let storage = stream::StorageType::File;
        let subjects_of = vec![subject.clone()];
        let config = stream::Config { name, subjects: subjects_of, storage, ..stream::Config::default() };
        context.create_stream(config).await?;
        subjects.push(subject);
    }
    Ok(subjects)
}

/// Runs the load and returns how long it took and each message's waiting time, in order of length.
async fn measure(args: &Args, load: Arc<Load>) -> Result<(Duration, Vec<u32>), Failure> {
    let mut contexts = Vec::new();
    for _ in 0..args.connections {
        // Without a name and an echo the client sends nothing but messages and asks for nothing but answers.
        contexts.push(jetstream::new(ConnectOptions::new().no_echo().connect(&args.server).await?));
    }
    let mut publishers = JoinSet::new();
    let begun = Instant::now();
    for context in &contexts {
        for _ in 0..args.in_flight {
            publishers.spawn(Arc::clone(&load).publish(context.clone()));
        }
    }
    let mut waited = Vec::new();
    while let Some(publisher) = publishers.join_next().await {
        waited.extend(publisher??);
    }
    let took = begun.elapsed();
    waited.sort_unstable();
    Ok((took, waited))
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args = Args::parse();
    if args.connections == 0 || args.in_flight == 0 || args.streams == 0 || args.message_bytes == 0 {
        return Err("every number must be at least 1".into());
    }
    let control = jetstream::new(async_nats::connect(&args.server).await?);
    let messages = args.total_bytes.div_ceil(args.message_bytes as u64).max(1);
    let load = Arc::new(Load {
        subjects: make_streams(&control, args.streams).await?,
        message: vec![b'x'; args.message_bytes].into(),
        next: AtomicU64::new(0),
        messages,
    });
    let measured = measure(&args, load).await;
    for number in 0..args.streams {
        control.delete_stream(stream_name(number)).await?;
    }
    let (took, waited) = measured?;
    let bytes = messages * args.message_bytes as u64;
    let at = |per_mille: usize| f64::from(waited[((waited.len() - 1) * per_mille).div_ceil(1000)]) / 1000.0;
    let seen = serde_json::json!({
        "messages": messages,
        "bytes": bytes,
        "seconds": took.as_secs_f64(),
        "p50_ms": at(500),
        "p99_ms": at(990),
        "p999_ms": at(999),
    });
    println!("{seen}");
    Ok(())
}
