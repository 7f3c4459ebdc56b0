use std::io::{ErrorKind, IoSlice};
use std::path::Path;

use forebay_log::{Disk, Open};

use super::*;

fn path(text: &str) -> &Path {
    Path::new(text)
}

fn write(disk: &SimDisk, name: &str, at: u64, bytes: &[u8]) -> Arc<dyn File> {
    let file = disk.open(path(name), Open::CreateOrWrite).unwrap();
    assert_eq!(file.write_at(at, &[IoSlice::new(bytes)]).unwrap(), bytes.len());
    file
}

fn outcomes(disk: &SimDisk, name: &str) -> BTreeSet<Option<Vec<u8>>> {
    (0..400).map(|seed| disk.restart(seed).contents(path(name)).ok()).collect()
}

#[test]
fn only_what_was_synced_is_sure_to_survive() {
    let disk = SimDisk::default();
    let file = write(&disk, "/a", 0, b"old");
    assert_eq!(outcomes(&disk, "/a").len(), 4, "no name; no length; a length without bytes; all of it");
    file.sync().unwrap();
    assert_eq!(outcomes(&disk, "/a"), BTreeSet::from([None, Some(b"old".to_vec())]));
    disk.sync_dir(path("/")).unwrap();
    assert_eq!(outcomes(&disk, "/a"), BTreeSet::from([Some(b"old".to_vec())]));
    write(&disk, "/a", 0, b"new");
    assert_eq!(outcomes(&disk, "/a"), BTreeSet::from([Some(b"old".to_vec()), Some(b"new".to_vec())]));
    assert_eq!(disk.restart_with(Survivors::Nothing).contents(path("/a")).unwrap(), b"old");
    assert_eq!(disk.restart_with(Survivors::Everything).contents(path("/a")).unwrap(), b"new");
}

#[test]
fn writes_are_torn_at_sectors_and_lengths_survive_alone() {
    let disk = SimDisk::default();
    write(&disk, "/a", 0, &[1; 1000]).sync().unwrap();
    disk.sync_dir(path("/")).unwrap();
    write(&disk, "/a", 0, &[2; 2000]);
    let found = outcomes(&disk, "/a");
    let holds = |wanted: &dyn Fn(&Vec<u8>) -> bool| found.iter().flatten().any(wanted);
    assert!(holds(&|bytes| bytes.len() == 1000 && bytes[511] == 1 && bytes[512] == 2), "torn");
    assert!(holds(&|bytes| bytes.len() == 2000 && bytes[511] == 2 && bytes[512] == 1), "reordered");
    assert!(holds(&|bytes| bytes.len() == 2000 && bytes[1999] == 0), "a length without its sectors");
    assert!(
        found.iter().flatten().all(|bytes| bytes[..512].iter().all(|byte| *byte == bytes[0])),
        "whole sectors"
    );
}

#[test]
fn an_unsynced_cut_may_come_back_and_a_synced_one_may_not() {
    let disk = SimDisk::default();
    let file = write(&disk, "/a", 0, &[1; 1500]);
    file.sync().unwrap();
    disk.sync_dir(path("/")).unwrap();
    file.truncate(100).unwrap();
    write(&disk, "/a", 1200, &[3; 10]);
    let found = outcomes(&disk, "/a");
    assert!(found.iter().flatten().any(|bytes| bytes.len() == 1500 && bytes[1499] == 1));
    assert!(found.iter().flatten().any(|bytes| bytes.len() == 1210 && bytes[600] == 1), "a reused block");
    file.sync().unwrap();
    let mut expected = vec![1; 100];
    expected.resize(1200, 0);
    expected.resize(1210, 3);
    assert_eq!(outcomes(&disk, "/a"), BTreeSet::from([Some(expected)]));
}

#[test]
fn names_survive_each_on_their_own_and_a_rename_as_a_whole() {
    let disk = SimDisk::default();
    disk.create_dir(path("/d")).unwrap();
    write(&disk, "/d/a", 0, b"a").sync().unwrap();
    disk.sync_dir(path("/d")).unwrap();
    assert_eq!(outcomes(&disk, "/d/a").len(), 2, "the directory itself has no durable name");
    disk.sync_dir(path("/")).unwrap();
    write(&disk, "/d/b", 0, b"b").sync().unwrap();
    disk.rename(path("/d/a"), path("/d/c")).unwrap();
    disk.remove_file(path("/d/b")).unwrap();
    let trees: BTreeSet<Vec<String>> =
        (0..400).map(|seed| disk.restart(seed).files().into_iter().map(|(name, _)| name).collect()).collect();
    let expected = [vec!["/d/a"], vec!["/d/a", "/d/b"], vec!["/d/b", "/d/c"], vec!["/d/c"]];
    assert_eq!(
        trees,
        expected.iter().map(|names| names.iter().map(|name| (*name).to_owned()).collect()).collect()
    );
}

#[test]
fn a_cut_happens_within_its_call_and_ends_everything_after() {
    let disk = SimDisk::default();
    let file = write(&disk, "/a", 0, b"one");
    file.sync().unwrap();
    disk.sync_dir(path("/")).unwrap();
    disk.cut_at(disk.calls().len() as u64 + 1);
    assert_eq!(file.len().unwrap(), 3);
    assert!(file.write_at(0, &[IoSlice::new(b"two")]).is_err());
    assert!(disk.is_cut() && disk.list(path("/")).is_err() && file.sync().is_err());
    assert_eq!(outcomes(&disk, "/a"), BTreeSet::from([Some(b"one".to_vec()), Some(b"two".to_vec())]));
}

#[test]
fn a_failed_sync_leaves_new_bytes_in_the_cache_and_old_ones_on_the_device() {
    let disk = SimDisk::default();
    let file = write(&disk, "/a", 0, b"old");
    file.sync().unwrap();
    write(&disk, "/a", 0, b"new");
    disk.plan(Planned { call: Call::Sync, path: "/a".into(), skip: 0, times: 1, fault: Fault::DEVICE });
    assert_eq!(file.sync().unwrap_err().raw_os_error(), Some(5));
    file.sync().unwrap();
    assert_eq!(disk.contents(path("/a")).unwrap(), b"new");
    file.drop_cache().unwrap();
    assert_eq!(disk.contents(path("/a")).unwrap(), b"old");
}

#[test]
fn a_failed_write_back_is_told_once_to_each_handle_that_was_open() {
    let disk = SimDisk::default();
    let file = write(&disk, "/a", 0, b"old");
    let other = disk.open(path("/a"), Open::Read).unwrap();
    file.sync().unwrap();
    assert!(!disk.fail_write_back(path("/a")).unwrap(), "everything was on the device");
    drop(write(&disk, "/a", 0, b"new"));
    assert!(disk.fail_write_back(path("/a")).unwrap());
    disk.open(path("/a"), Open::Write).unwrap().sync().expect("it came too late to hear of it");
    for open in [&file, &other] {
        assert_eq!(open.sync().unwrap_err().raw_os_error(), Some(5));
        open.sync().unwrap();
    }
    disk.sync_dir(path("/")).unwrap();
    assert_eq!(disk.contents(path("/a")).unwrap(), b"new");
    assert_eq!(outcomes(&disk, "/a"), BTreeSet::from([Some(b"old".to_vec())]));
}

#[test]
fn space_is_bounded_and_comes_back() {
    let disk = SimDisk::default();
    disk.set_capacity(8192);
    let file = disk.open(path("/a"), Open::Create).unwrap();
    assert_eq!(file.write_at(0, &[IoSlice::new(&[1; 10_000])]).unwrap(), 8192, "a short write");
    let full = file.write_at(8192, &[IoSlice::new(b"x")]).unwrap_err();
    assert_eq!((full.raw_os_error(), full.kind()), (Some(28), ErrorKind::StorageFull));
    file.truncate(100).unwrap();
    assert_eq!(disk.space(path("/")).unwrap().free_bytes, 4096);
    assert!(file.allocate(0, 9000).is_err());
    disk.remove_file(path("/a")).unwrap();
    assert_eq!(disk.space(path("/")).unwrap().free_bytes, 4096, "an open file keeps its space");
    drop(file);
    assert_eq!(disk.space(path("/")).unwrap().free_bytes, 8192);
}

#[test]
fn locks_exclude_and_caches_start_cold() {
    let disk = SimDisk::default();
    write(&disk, "/a", 0, &[1; 1000]).sync().unwrap();
    disk.sync_dir(path("/")).unwrap();
    let held = disk.lock(path("/a")).unwrap();
    assert_eq!(disk.lock(path("/a")).unwrap_err().kind(), ErrorKind::WouldBlock);
    let after = disk.restart(1);
    let file = after.open(path("/a"), Open::Read).unwrap();
    assert!(after.lock(path("/a")).is_ok() && !file.is_cached(0, 1000));
    assert_eq!(file.read_at(0, &mut [0; 2000]).unwrap(), 1000);
    assert!(file.is_cached(0, 1000) && file.write_at(0, &[IoSlice::new(b"x")]).is_err());
    drop(held);
    assert!(disk.lock(path("/a")).is_ok());
}
