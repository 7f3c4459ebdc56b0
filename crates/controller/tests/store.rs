//! The metadata store on a real disk: what it takes it gives back after it is opened again, and what a crash leaves
//! half done is cut off or refused, never mixed up.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

use forebay_controller::store::{
    Entry, EntryId, LogConfig, LogStore, Payload, SnapshotMeta, SnapshotStore, StoreError, Vote,
};
use forebay_log::RealDisk;

const SMALL: LogConfig = LogConfig { log_bytes: 8 * 4096 };
const SEGMENT: u64 = 4096;

fn open(dir: &Path) -> LogStore {
    LogStore::open(&RealDisk, dir, SMALL).unwrap()
}

fn id(term: u64, index: u64) -> EntryId {
    EntryId { term, node: 1, index }
}

fn entry(term: u64, index: u64, len: usize) -> Entry {
    Entry { id: id(term, index), payload: Payload::Batch(vec![index as u8 ^ term as u8; len].into()) }
}

fn entries(term: u64, from: u64, to: u64, len: usize) -> Vec<Entry> {
    (from..to).map(|index| entry(term, index, len)).collect()
}

fn all(store: &LogStore) -> Vec<Entry> {
    store.read(0, u64::MAX).unwrap()
}

fn garble(dir: &Path, at: u64, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).open(dir.join("raft.log")).unwrap();
    file.write_all_at(bytes, at).unwrap();
}

#[test]
fn everything_survives_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metadata");
    let vote = Vote { term: 3, node: 1, committed: true };
    {
        let mut store = open(&path);
        assert_eq!((store.last(), store.vote(), store.next_index()), (None, None, 0));
        store.save_vote(vote).unwrap();
        store.append(&entries(1, 0, 5, 100)).unwrap();
        store.append(&[Entry { id: id(2, 5), payload: Payload::Blank }]).unwrap();
        store.append(&[Entry { id: id(2, 6), payload: Payload::Membership("{}".into()) }]).unwrap();
        store.set_committed(Some(id(2, 4)));
        store.purge(id(1, 1)).unwrap();
    }
    for _ in 0..3 {
        let store = open(&path);
        assert_eq!(
            (store.vote(), store.purged(), store.committed()),
            (Some(vote), Some(id(1, 1)), Some(id(2, 4)))
        );
        let kept = all(&store);
        assert_eq!(kept.len(), 5);
        assert_eq!(kept[0], entry(1, 2, 100));
        assert_eq!(kept[3], Entry { id: id(2, 5), payload: Payload::Blank });
        assert_eq!(kept[4].payload, Payload::Membership("{}".into()));
        assert_eq!(store.read(3, 5).unwrap(), entries(1, 3, 5, 100));
    }
}

#[test]
fn a_log_keeps_the_size_it_was_made_with() {
    let dir = tempfile::tempdir().unwrap();
    let total = open(dir.path()).space().total;
    let later = LogStore::open(&RealDisk, dir.path(), LogConfig { log_bytes: 1 << 20 }).unwrap();
    assert_eq!((later.space().total, total), (8 * SEGMENT, 8 * SEGMENT));
}

#[test]
fn the_ring_wraps_and_refuses_when_full_without_writing() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let mut next = 0;
    for lap in 0..40 {
        loop {
            match store.append(&entries(lap, next, next + 3, 500)) {
                Ok(()) => next += 3,
                Err(StoreError::Full { used, total }) => {
                    assert!(used > total * 3 / 4);
                    break;
                }
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(store.last().unwrap().index, next - 1);
        if lap % 5 == 0 {
            let kept = all(&store);
            drop(store);
            store = open(dir.path());
            assert_eq!(all(&store), kept, "lap {lap}");
        }
        let keep = [1, 10, 20][lap as usize % 3];
        let upto = store.read(next - 1 - keep, next).unwrap()[0].id;
        store.purge(upto).unwrap();
        assert_eq!(all(&store).len() as u64, keep);
    }
    assert!(next > 1_000);
    assert!(matches!(store.append(&[entry(1, next + 1, 1)]), Err(StoreError::Gap { .. })));
    assert!(matches!(store.append(&[entry(1, next, 5_000)]), Err(StoreError::TooLarge { .. })));
    store.append(&[entry(99, next, store.payload_bytes_max() as usize)]).unwrap();
}

#[test]
fn truncated_entries_never_come_back() {
    // Every mix of where is cut, how much is written anew and how large the new entries are.
    for cut in [0, 3, 7, 12, 19] {
        for (count, len) in [(0, 0), (1, 300), (1, 1_500), (6, 20), (9, 300)] {
            let dir = tempfile::tempdir().unwrap();
            let mut store = open(dir.path());
            store.append(&entries(1, 0, 20, 300)).unwrap();
            store.truncate(cut).unwrap();
            assert_eq!(store.next_index(), cut);
            store.append(&entries(2, cut, cut + count, len)).unwrap();
            let kept = all(&store);
            for _ in 0..2 {
                drop(store);
                store = open(dir.path());
                assert_eq!(all(&store), kept, "cut {cut}, {count} of {len}");
            }
            // Grown past where the old ones ended, and opened again.
            let next = store.next_index();
            store.append(&entries(3, next, next + 15, 40)).unwrap();
            let kept = all(&store);
            assert_eq!(all(&open(dir.path())), kept, "cut {cut}, {count} of {len}, grown");
        }
    }
}

#[test]
fn a_torn_tail_is_cut_and_stays_cut() {
    let dir = tempfile::tempdir().unwrap();
    let frame = 64 + 104;
    {
        let mut store = open(dir.path());
        store.append(&entries(1, 0, 3, 100)).unwrap();
        store.append(&entries(1, 3, 6, 100)).unwrap();
    }
    // The second append was torn: its first entry did not reach the disk, its others did.
    garble(dir.path(), 3 * frame + 70, b"torn");
    let mut store = open(dir.path());
    assert_eq!(all(&store), entries(1, 0, 3, 100));
    // An entry of the same size in its place must not bring the others back.
    store.append(&[entry(2, 3, 100)]).unwrap();
    drop(store);
    assert_eq!(open(dir.path()).last(), Some(id(2, 3)));
}

#[test]
fn a_lost_durable_entry_is_refused_and_not_cut() {
    let dir = tempfile::tempdir().unwrap();
    let frame = 64 + 104;
    {
        let mut store = open(dir.path());
        store.append(&entries(1, 0, 3, 100)).unwrap();
        store.append(&entries(1, 3, 6, 100)).unwrap();
    }
    // Entry 1 was durable before the second append was written, and that append says so.
    garble(dir.path(), frame + 70, b"rot");
    let refused = LogStore::open(&RealDisk, dir.path(), SMALL).unwrap_err();
    assert!(matches!(refused, StoreError::Corrupt { .. }), "{refused}");
    assert!(refused.to_string().contains("entry 1, once durable"), "{refused}");
}

#[test]
fn a_damaged_segment_between_others_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).append(&entries(1, 0, 25, 500)).unwrap();
    garble(dir.path(), SEGMENT, &[0; 64]);
    assert!(matches!(LogStore::open(&RealDisk, dir.path(), SMALL), Err(StoreError::Corrupt { .. })));
}

#[test]
fn a_lost_state_is_refused_beside_a_log_with_entries() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).append(&entries(1, 0, 2, 10)).unwrap();
    let state = dir.path().join("raft.state");
    let good = std::fs::read(&state).unwrap();
    std::fs::write(&state, vec![0; 8192]).unwrap();
    assert!(matches!(LogStore::open(&RealDisk, dir.path(), SMALL), Err(StoreError::Corrupt { .. })));
    // One bad slot is what a torn write leaves: the other one counts.
    for slot in [0, 4096] {
        let mut torn = good.clone();
        torn[slot + 100] ^= 1;
        std::fs::write(&state, torn).unwrap();
        let opened = LogStore::open(&RealDisk, dir.path(), SMALL);
        assert_eq!(opened.unwrap().last(), Some(id(1, 1)));
    }
}

#[test]
fn a_newer_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let state = dir.path().join("raft.state");
    let mut bytes = std::fs::read(&state).unwrap();
    for slot in [0, 4096] {
        bytes[slot + 5] = 9;
        let sum = forebay_base::crc32c(&bytes[slot..slot + 508]);
        bytes[slot + 508..slot + 512].copy_from_slice(&sum.to_be_bytes());
    }
    std::fs::write(&state, bytes).unwrap();
    assert!(matches!(
        LogStore::open(&RealDisk, dir.path(), SMALL),
        Err(StoreError::Newer { version: 9, .. })
    ));
}

#[test]
fn purging_past_the_end_leaves_an_empty_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    store.append(&entries(1, 0, 10, 300)).unwrap();
    store.purge(id(4, 50)).unwrap();
    assert_eq!((store.last(), store.next_index(), store.space().used), (Some(id(4, 50)), 51, 0));
    store.append(&entries(5, 51, 55, 300)).unwrap();
    drop(store);
    assert_eq!(all(&open(dir.path())), entries(5, 51, 55, 300));
}

#[test]
fn a_fenced_store_answers_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    store.fence("another one has taken over");
    let refused = store.append(&[entry(1, 0, 1)]).unwrap_err();
    assert!(refused.to_string().contains("another one has taken over"));
    assert!(matches!(
        store.save_vote(Vote { term: 1, node: 1, committed: false }),
        Err(StoreError::Failed(_))
    ));
}

#[test]
fn of_two_snapshots_the_newest_sound_one_counts() {
    let dir = tempfile::tempdir().unwrap();
    let meta = |index| SnapshotMeta { last: Some(id(1, index)), membership: "members".into() };
    let mut store = SnapshotStore::open(&RealDisk, dir.path(), 64).unwrap();
    assert!(store.read().unwrap().is_none());
    store.save(&meta(5), b"five").unwrap();
    // Larger than what was reserved.
    store.save(&meta(9), &[9; 10_000]).unwrap();
    drop(store);
    let store = SnapshotStore::open(&RealDisk, dir.path(), 64).unwrap();
    let (newest, data) = store.read().unwrap().unwrap();
    assert_eq!((newest, data.len()), (meta(9), 10_000));
    // The second file was being replaced when the power went.
    let torn = OpenOptions::new().write(true).open(dir.path().join("snapshot.1")).unwrap();
    torn.write_all_at(b"half of the next one", 4096).unwrap();
    let mut store = SnapshotStore::open(&RealDisk, dir.path(), 64).unwrap();
    assert_eq!(store.read().unwrap().unwrap(), (meta(5), "five".into()));
    store.save(&meta(12), b"twelve").unwrap();
    assert_eq!(store.last(), Some(id(1, 12)));
    assert_eq!(SnapshotStore::open(&RealDisk, dir.path(), 64).unwrap().read().unwrap().unwrap().1, "twelve");
}

#[test]
fn a_slow_snapshot_does_not_replace_a_newer_one() {
    let dir = tempfile::tempdir().unwrap();
    let meta = |index| SnapshotMeta { last: Some(id(1, index)), membership: "members".into() };
    let mut store = SnapshotStore::open(&RealDisk, dir.path(), 64).unwrap();
    store.save(&meta(200), b"installed").unwrap();
    store.save(&meta(100), b"built from what was there before").unwrap();
    let (newest, data) = SnapshotStore::open(&RealDisk, dir.path(), 64).unwrap().read().unwrap().unwrap();
    assert_eq!((newest, data), (meta(200), "installed".into()));
}
