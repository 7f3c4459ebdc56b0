use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::failure::{Exit, Failure};

/// Chunks of lines read ahead.
const CHUNKS_AHEAD_MAX: usize = 8;

/// A chunk ends when this much is in it, or when nothing more is there to be read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Lines of a file or of standard input, read by a thread of their own since reading may block for ever.
#[derive(Debug)]
pub(super) struct Lines {
    chunks: mpsc::Receiver<io::Result<Vec<Vec<u8>>>>,
}

impl Lines {
    /// Opens `file`, or standard input without one. Tells the length in bytes of a file.
    pub(super) fn open(file: Option<&Path>) -> Result<(Self, Option<u64>), Failure> {
        let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD_MAX);
        let mut total = None;
        match file {
            None => drop(tokio::task::spawn_blocking(move || read(BufReader::new(io::stdin()), &sender))),
            Some(path) => {
                let unreadable =
                    |error| Failure::new(Exit::Usage, format!("cannot read {}: {error}", path.display()));
                let file = File::open(path).map_err(unreadable)?;
                total = file.metadata().ok().filter(|about| about.is_file()).map(|about| about.len());
                drop(tokio::task::spawn_blocking(move || {
                    read(BufReader::with_capacity(CHUNK_BYTES, file), &sender);
                }));
            }
        }
        Ok((Self { chunks }, total))
    }

    /// The next lines; none if there were no more within `patience`. `None` at the end.
    pub(super) async fn next(&mut self, patience: Option<Duration>) -> Result<Option<Vec<Vec<u8>>>, Failure> {
        let received = match patience {
            None => self.chunks.recv().await,
            Some(patience) => match timeout(patience, self.chunks.recv()).await {
                Ok(received) => received,
                Err(_) => return Ok(Some(Vec::new())),
            },
        };
        match received {
            None => Ok(None),
            Some(Ok(chunk)) => Ok(Some(chunk)),
            Some(Err(error)) => Err(Failure::new(Exit::Failed, format!("reading lines failed: {error}"))),
        }
    }
}

fn read<R: io::Read>(mut input: BufReader<R>, sender: &mpsc::Sender<io::Result<Vec<Vec<u8>>>>) {
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    loop {
        let mut line = Vec::new();
        let outcome = match input.read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) => {
                if line.last() == Some(&b'\n') {
                    line.pop();
                }
                bytes += line.len();
                chunk.push(line);
                if input.buffer().contains(&b'\n') && bytes < CHUNK_BYTES {
                    continue;
                }
                bytes = 0;
                Ok(std::mem::take(&mut chunk))
            }
            Err(error) => Err(error),
        };
        let failed = outcome.is_err();
        if sender.blocking_send(outcome).is_err() || failed {
            return;
        }
    }
}

/// A line taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
}

impl<'a> Line<'a> {
    /// Splits at the first `separator`; parts equal to `null` are null.
    pub(super) fn split(line: &'a [u8], separator: Option<&str>, null: Option<&str>) -> Self {
        let separator = separator.map(str::as_bytes).filter(|separator| !separator.is_empty());
        let at = separator
            .and_then(|separator| line.windows(separator.len()).position(|window| window == separator));
        let (key, value) = match (at, separator) {
            (Some(at), Some(separator)) => (Some(&line[..at]), &line[at + separator.len()..]),
            _ => (None, line),
        };
        let is_null = |part: &&[u8]| null.is_some_and(|null| *part == null.as_bytes());
        Self { key: key.filter(|key| !is_null(key)), value: Some(value).filter(|value| !is_null(value)) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn lines_are_taken_apart() {
        let split = |line: &'static str, null| {
            let line = Line::split(line.as_bytes(), Some("::"), null);
            (line.key.map(String::from_utf8_lossy), line.value.map(String::from_utf8_lossy))
        };
        assert_eq!(split("k::v::w", None), (Some("k".into()), Some("v::w".into())));
        assert_eq!(split("plain", None), (None, Some("plain".into())));
        assert_eq!(split("::", None), (Some("".into()), Some("".into())));
        assert_eq!(split("NULL::NULL", Some("NULL")), (None, None));
        assert_eq!(split("a::", Some("")), (Some("a".into()), None));
    }

    #[tokio::test]
    async fn all_lines_of_a_file_are_read() {
        let path = std::env::temp_dir().join(format!("forebay-lines-{}", std::process::id()));
        let mut file = File::create(&path).unwrap();
        for number in 0..50_000 {
            writeln!(file, "line {number}").unwrap();
        }
        write!(file, "last, without an end").unwrap();
        drop(file);
        let (mut lines, total) = Lines::open(Some(&path)).unwrap();
        assert_eq!(total, Some(std::fs::metadata(&path).unwrap().len()));
        let mut read = Vec::new();
        while let Some(chunk) = lines.next(None).await.unwrap() {
            read.extend(chunk);
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read.len(), 50_001);
        assert_eq!(read[49_999], b"line 49999");
        assert_eq!(read[50_000], b"last, without an end");
    }
}
