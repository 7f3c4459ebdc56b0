use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Items in the first chunk; each further chunk holds twice as many as the one before.
const FIRST_CHUNK_LEN: usize = 4;
const CHUNKS: usize = 26;

/// A list that its one owner grows while any number of readers search it, without a lock: neither ever waits for the
/// other. Items never move and never change.
#[derive(Debug)]
pub(crate) struct Growing<T> {
    chunks: [OnceLock<Box<[OnceLock<T>]>>; CHUNKS],
    len: AtomicUsize,
}

impl<T> Default for Growing<T> {
    fn default() -> Self {
        Self { chunks: [const { OnceLock::new() }; CHUNKS], len: AtomicUsize::new(0) }
    }
}

/// Chunk of item `at`, and the place in it.
fn place(at: usize) -> (usize, usize) {
    let chunk = (at / FIRST_CHUNK_LEN + 1).ilog2() as usize;
    (chunk, at - FIRST_CHUNK_LEN * ((1 << chunk) - 1))
}

impl<T> Growing<T> {
    /// Adds an item. For the owner only; beyond the last chunk (260 million items) items are dropped.
    pub(crate) fn push(&self, item: T) {
        let at = self.len.load(Ordering::Relaxed);
        let (chunk, slot) = place(at);
        let Some(chunk_cell) = self.chunks.get(chunk) else { return };
        let items =
            chunk_cell.get_or_init(|| (0..FIRST_CHUNK_LEN << chunk).map(|_| OnceLock::new()).collect());
        if items[slot].set(item).is_ok() {
            self.len.store(at + 1, Ordering::Release);
        }
    }

    /// How many items there are.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// The item at `at`.
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        if at >= self.len() {
            return None;
        }
        let (chunk, slot) = place(at);
        self.chunks.get(chunk)?.get()?.get(slot)?.get()
    }

    /// The last item for which `holds`, which must hold for a prefix of the list.
    pub(crate) fn last_where(&self, holds: impl Fn(&T) -> bool) -> Option<&T> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle).is_some_and(&holds) { low = middle + 1 } else { high = middle }
        }
        low.checked_sub(1).and_then(|last| self.get(last))
    }

    /// All items there are now.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.len()).map_while(|at| self.get(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_stay_in_place_while_it_grows() {
        let list = Growing::default();
        for n in 0..1_000i64 {
            assert_eq!(list.len() as i64, n);
            list.push(n * 2);
        }
        assert!(list.iter().copied().eq((0..1_000).map(|n| n * 2)));
        assert_eq!(list.get(1_000), None);
        assert_eq!(list.last_where(|n| *n <= 501), Some(&500));
        assert_eq!(list.last_where(|n| *n < 0), None);
    }
}
