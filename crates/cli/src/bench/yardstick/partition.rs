use std::fs::File;
use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

/// One file of batches, and where they lie in it.
#[derive(Debug)]
pub(super) struct Partition {
    path: PathBuf,
    file_bytes: u64,
    tail: Mutex<Tail>,
}

/// What an append moves.
#[derive(Debug)]
struct Tail {
    file: Arc<File>,
    /// Base offset and position of each batch in the file, both ascending.
    index: Vec<(i64, u64)>,
    /// Where the next batch goes.
    end: u64,
    /// Its base offset.
    next: i64,
}

/// Batches of one file.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) file: Arc<File>,
    pub(super) at: u64,
    pub(super) len: u64,
    /// The partition's first offset.
    pub(super) start: i64,
    /// The partition's end offset.
    pub(super) end: i64,
    /// False if the offset was never there, or is not there any more.
    pub(super) in_range: bool,
}

impl Partition {
    /// An empty one; `file_bytes` bounds its file.
    pub(super) fn create(path: PathBuf, file_bytes: Option<u64>) -> io::Result<Self> {
        let tail = Tail { file: create(&path)?, index: Vec::new(), end: 0, next: 0 };
        Ok(Self { path, file_bytes: file_bytes.unwrap_or(u64::MAX), tail: Mutex::new(tail) })
    }

    /// Appends `batches`, each with its count of records, in one call. `stamp` is shown the base offset of each before
    /// it is written.
    pub(super) fn append(
        &self,
        batches: &mut [(&mut [u8], i64)],
        mut stamp: impl FnMut(usize, i64),
    ) -> io::Result<()> {
        let mut tail = self.lock();
        if tail.end >= self.file_bytes {
            std::fs::remove_file(&self.path)?;
            *tail = Tail { file: create(&self.path)?, index: Vec::new(), end: 0, next: tail.next };
        }
        let (mut next, mut end) = (tail.next, tail.end);
        for (number, (batch, records)) in batches.iter_mut().enumerate() {
            batch[..8].copy_from_slice(&next.to_be_bytes());
            stamp(number, next);
            tail.index.push((next, end));
            next += *records;
            end += batch.len() as u64;
        }
        let mut slices: Vec<IoSlice<'_>> = batches.iter().map(|(batch, _)| IoSlice::new(batch)).collect();
        let (mut slices, mut at) = (&mut slices[..], tail.end);
        while !slices.is_empty() {
            let written = rustix::io::pwritev(&tail.file, slices, at)?;
            IoSlice::advance_slices(&mut slices, written);
            at += written as u64;
        }
        (tail.next, tail.end) = (next, end);
        Ok(())
    }

    /// Whole batches from the one that begins at `offset`: up to `max_bytes`, or one.
    pub(super) fn find(&self, offset: i64, max_bytes: u64) -> Found {
        let tail = self.lock();
        let (file, end) = (tail.file.clone(), tail.next);
        let start = tail.index.first().map_or(end, |(base, _)| *base);
        let nothing = |in_range| Found { file: file.clone(), at: 0, len: 0, start, end, in_range };
        if offset == tail.next {
            return nothing(true);
        }
        let Ok(first) = tail.index.binary_search_by_key(&offset, |(base, _)| *base) else {
            return nothing(false);
        };
        let at = tail.index[first].1;
        // Each batch ends where the next one begins, the last one at the end.
        let ends = |number: usize| tail.index.get(number + 1).map_or(tail.end, |(_, next)| *next);
        let fitting = tail.index[first..].partition_point(|(_, position)| *position <= at + max_bytes);
        let last = first + fitting - 1;
        let upto = if ends(last) <= at + max_bytes { ends(last) } else { tail.index[last].1 };
        Found { file, at, len: upto.max(ends(first)) - at, start, end, in_range: true }
    }

    fn lock(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn create(path: &PathBuf) -> io::Result<Arc<File>> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(true);
    Ok(Arc::new(options.open(path)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(partition: &Partition, lens: &[usize]) -> Vec<i64> {
        let mut batches: Vec<Vec<u8>> = lens.iter().map(|len| vec![7; *len]).collect();
        let mut borrowed: Vec<(&mut [u8], i64)> = batches.iter_mut().map(|b| (&mut b[..], 2)).collect();
        let mut bases = Vec::new();
        partition.append(&mut borrowed, |_, base| bases.push(base)).unwrap();
        bases
    }

    #[test]
    fn batches_lie_where_they_are_found() {
        let path = std::env::temp_dir().join(format!("yardstick-{}", std::process::id()));
        let partition = Partition::create(path.clone(), Some(300)).unwrap();
        assert_eq!(append(&partition, &[100, 50]), [0, 2]);
        assert_eq!(append(&partition, &[30]), [4]);
        let found = |offset, max| {
            let found = partition.find(offset, max);
            (found.at, found.len, found.end, found.in_range)
        };
        assert_eq!(found(0, 1000), (0, 180, 6, true));
        assert_eq!(found(0, 180), (0, 180, 6, true));
        assert_eq!(found(0, 179), (0, 150, 6, true));
        assert_eq!(found(0, 149), (0, 100, 6, true));
        // The first one, whatever its size.
        assert_eq!(found(0, 1), (0, 100, 6, true));
        assert_eq!(found(4, 1), (150, 30, 6, true));
        assert_eq!(found(6, 1000), (0, 0, 6, true));
        assert_eq!((found(1, 9).3, found(7, 9).3), (false, false));
        // The file is full with these, and begins anew after them; offsets go on.
        assert_eq!(append(&partition, &[200]), [6]);
        assert_eq!(append(&partition, &[40]), [8]);
        assert_eq!(found(8, 1000), (0, 40, 10, true));
        assert!(!found(0, 9).3);
        std::fs::remove_file(path).unwrap();
    }
}
