//! Volumes and partitions that have failed, and the way back.

use forebay_base::{DirectoryId, Id128, WallTime};
use forebay_log::RealDisk;
use forebay_log::volume::{Cause, Entry, Ledger, Neighbour, Neighbours, VolumeState};

use super::*;

impl House {
    fn state(&self) -> VolumeState {
        self.volume().condition().report().state
    }

    fn readmit(&self) -> Result<crate::Readmission, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.volume().condition().readmit())
    }

    fn reopen(&self, partition: &Partition) -> Result<Arc<Partition>, OpenError> {
        self.volume().reopen(partition, config(), LeaderEpoch(1)).blocking_recv().unwrap()
    }

    fn segment(&self, index: i32) -> PathBuf {
        self.dir.path().join("partitions").join(id(index).to_string()).join("00000000000000000000.log")
    }

    /// The device has lost what lay in a partition's segment from a byte on.
    fn cut(&self, index: i32, len: u64) {
        std::fs::File::options().write(true).open(self.segment(index)).unwrap().set_len(len).unwrap();
    }

    /// Fails a partition, whose first record is kept.
    fn broken(&self, index: i32) -> Arc<Partition> {
        let partition = self.open(index);
        appended(&partition, idempotent(0, "kept"));
        Faults::set(&self.faults.sync, true);
        append(&partition, idempotent(1, "not sure")).unwrap_err();
        Faults::set(&self.faults.sync, false);
        partition
    }
}

#[test]
fn a_partition_that_failed_is_opened_anew_on_a_volume_that_passed() {
    let mut house = House::new();
    let (partition, other) = (house.broken(0), house.open(1));
    appended(&other, batch("x"));
    assert_eq!(house.state(), VolumeState::Normal, "one fault is borne");
    let news = house.volume().condition().readmissions();
    let tested = house.readmit().unwrap().tested_bytes;
    assert!(tested >= 1 << 20, "{tested}");
    assert!(news.has_changed().unwrap());
    assert!(append(&partition, batch("early")).is_err(), "it has to be opened first");
    let partition = house.reopen(&partition).unwrap();
    assert!(partition.view().failed.is_none());
    // What was written and not acknowledged may be there: its producer finds it, and it is not there twice.
    assert_eq!(appended(&partition, idempotent(1, "not sure")), 1);
    assert_eq!(appended(&partition, idempotent(2, "new")), 2);
    assert_eq!(values(&partition.view(), Offset(0)), ["kept", "not sure", "new"]);
    assert!(matches!(house.reopen(&other), Err(OpenError::AlreadyOpen)), "it has not failed");
    assert_eq!(appended(&other, batch("y")), 1);
    assert!(house.stop(true), "everything is sound again");
}

#[test]
fn a_volume_that_failed_is_let_in_only_if_its_device_keeps_what_it_is_given() {
    let mut house = House::new();
    let partitions = [house.broken(0), house.broken(1)];
    eventually("two faults", || house.state() == VolumeState::Failed);
    let sentence = house.volume().condition().report().sentence().unwrap();
    assert!(sentence.contains("forebay cluster readmit"), "{sentence}");
    let (idle, left) = (house.open(2), house.dir.path().join("partitions").join(id(0).to_string()));
    for refused in [idle.delete(), house.volume().delete_stray(id(3))] {
        let refused = refused.blocking_recv().unwrap().unwrap_err().to_string();
        assert!(refused.contains("has failed") && left.exists(), "{refused}");
    }
    Faults::set(&house.faults.device, true);
    let refused = house.readmit().unwrap_err();
    assert!(refused.contains("cannot take and sync some more blocks"), "{refused}");
    assert_eq!(
        (house.state(), *house.volume().condition().readmissions().borrow()),
        (VolumeState::Failed, 0)
    );
    Faults::set(&house.faults.device, false);
    Faults::set(&house.faults.read_only, true);
    assert!(house.readmit().is_err());
    Faults::set(&house.faults.read_only, false);
    let clean = house.dir.path().join("clean");
    std::fs::write(&clean, b"of an earlier stop").unwrap();
    house.readmit().unwrap();
    assert!(!clean.exists(), "from here on logs change");
    let report = house.volume().condition().report();
    assert_eq!((report.state, report.cause), (VolumeState::Normal, Cause::Readmitted));
    for partition in partitions {
        assert_eq!(appended(&house.reopen(&partition).unwrap(), idempotent(1, "not sure")), 1);
    }
    assert!(house.stop(true));
    house.start();
    assert_eq!(house.state(), VolumeState::Normal, "and it is remembered");
}

#[test]
fn what_was_acknowledged_and_is_gone_is_told_and_what_is_left_is_not_touched() {
    let house = House::new();
    let partition = house.broken(0);
    let segment = house.segment(0);
    let kept = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, &kept[..kept.len() / 4]).unwrap();
    house.readmit().unwrap();
    let refused = house.reopen(&partition).unwrap_err().to_string();
    assert!(refused.contains("is damaged at offset 0") && refused.contains("acknowledged"), "{refused}");
    assert!(partition.view().failed.as_ref().unwrap().contains("acknowledged"));
    assert!(matches!(append(&partition, batch("x")), Err(Refused::Storage(_))));
    assert_eq!(std::fs::metadata(&segment).unwrap().len(), kept.len() as u64 / 4, "nothing was cut off");
    // With its bytes back it comes back.
    std::fs::write(&segment, &kept).unwrap();
    let partition = house.reopen(&partition).unwrap();
    assert_eq!(values(&partition.view(), Offset(0))[0], "kept");
    assert!(append(&partition, batch("new")).is_ok());
}

#[test]
fn a_volume_that_fails_again_before_a_partition_is_opened_anew_shows_nothing_less() {
    let house = House::new();
    let partition = house.broken(0);
    let segment = house.segment(0);
    let kept = std::fs::read(&segment).unwrap();
    house.readmit().unwrap();
    (0..2).for_each(|_| house.volume().condition().note_fault());
    eventually("two faults", || house.state() == VolumeState::Failed);
    std::fs::write(&segment, b"").unwrap();
    assert!(house.reopen(&partition).is_err());
    assert_eq!(partition.view().high_watermark, Offset(1), "what was acknowledged is still promised");
    std::fs::write(&segment, &kept).unwrap();
    house.readmit().unwrap();
    let partition = house.reopen(&partition).unwrap();
    assert_eq!(values(&partition.view(), Offset(0))[0], "kept");
}

#[test]
fn what_was_only_found_on_a_failed_disk_is_not_promised() {
    for is_all_lost in [false, true] {
        let mut house = House::new();
        let partition = house.open(0);
        appended(&partition, batch("kept"));
        assert!(house.stop(true), "which is on record as durable");
        let kept = std::fs::metadata(house.segment(0)).unwrap().len();
        house.start();
        let partition = house.open_with(0, config(), true);
        Faults::set(&house.faults.sync, true);
        append(&partition, batch("tail")).unwrap_err();
        assert!(!house.stop(false));
        Faults::set(&house.faults.sync, false);
        Faults::set(&house.faults.read_only, true);
        house.start_as(Found::Refused);
        eventually("the volume was looked at", || house.state() == VolumeState::Failed);
        let partition = house.open(0);
        assert_eq!(values(&partition.view(), Offset(0)), ["kept", "tail"]);
        // The device never had it.
        house.cut(0, if is_all_lost { 0 } else { kept });
        Faults::set(&house.faults.read_only, false);
        house.readmit().unwrap();
        let reopened = house.reopen(&partition);
        if is_all_lost {
            assert!(reopened.unwrap_err().to_string().contains("were durable cannot be read"));
            continue;
        }
        let partition = reopened.unwrap();
        assert_eq!(appended(&partition, batch("new")), 1);
        assert_eq!(values(&partition.view(), Offset(0)), ["kept", "new"]);
    }
}

#[test]
fn what_was_promised_goes_by_the_flush_mode_of_then() {
    let configured = |flush| PartitionConfig { flush, ..config() };
    for (then, now, is_missed) in [(Flush::Sync, Flush::Async, true), (Flush::Async, Flush::Sync, false)] {
        let house = House::new();
        let partition = house.open_with(0, configured(then), false);
        Faults::set(&house.faults.sync, then == Flush::Async);
        appended(&partition, batch("acknowledged"));
        Faults::set(&house.faults.sync, true);
        assert!(append(&partition, batch("later")).is_err() || then == Flush::Async);
        eventually("a sync failed", || partition.view().failed.is_some());
        Faults::set(&house.faults.sync, false);
        house.cut(0, 0);
        house.readmit().unwrap();
        let reopened = house.volume().reopen(&partition, configured(now), LeaderEpoch(1));
        let reopened = reopened.blocking_recv().unwrap();
        assert_eq!(reopened.is_err(), is_missed, "{then:?}: {:?}", reopened.err());
    }
}

#[test]
fn a_restart_alone_does_not_change_since_when() {
    let since = WallTime(5_000);
    for (before, full, settled, is_kept) in [
        (VolumeState::Normal, false, VolumeState::Normal, true),
        (VolumeState::Full, true, VolumeState::Full, true),
        (VolumeState::Low, false, VolumeState::Normal, false),
    ] {
        let mut house = House::new();
        assert!(house.stop(true));
        let (mut ledger, _) = Ledger::open(&RealDisk, house.dir.path()).unwrap();
        ledger.write(&Entry { state: before, since, cause: "a test".to_owned() }).unwrap();
        drop(ledger);
        Faults::set(&house.faults.full, full);
        house.start_as(Found::Nothing);
        eventually(&format!("{before} {full}: {settled}"), || house.state() == settled);
        let report = house.volume().condition().report();
        assert_eq!(report.since == since, is_kept, "{before} {settled}: {:?}", report.since);
    }
}

#[test]
fn a_volume_that_takes_no_writes_at_its_start_is_read() {
    let mut house = House::new();
    let partition = house.open_with(0, small_segments(), false);
    let written: Vec<String> = (0..20).map(|n| format!("record {n}")).collect();
    for value in &written {
        appended(&partition, batch(value));
    }
    assert!(!house.stop(false));
    let partition_dir = house.dir.path().join("partitions").join(id(0).to_string());
    let names = || {
        let entries = std::fs::read_dir(&partition_dir).unwrap().map(|entry| entry.unwrap());
        let mut names: Vec<_> =
            entries.map(|entry| (entry.file_name(), entry.metadata().unwrap().len())).collect();
        names.sort();
        names
    };
    let before = names();
    Faults::set(&house.faults.read_only, true);
    house.start_as(Found::Refused);
    eventually("the volume was looked at", || house.state() == VolumeState::Failed);
    let (partition, none) = (house.open(0), house.open(1));
    assert_eq!(values(&partition.view(), Offset(0)), written);
    assert_eq!(none.view().end, Offset(0));
    for partition in [&partition, &none] {
        let refused = append(partition, batch("x")).unwrap_err().to_string();
        assert!(refused.contains("has failed (it refused what every start"), "{refused}");
    }
    assert_eq!(names(), before, "nothing was changed");
    assert!(house.readmit().is_err());
    Faults::set(&house.faults.read_only, false);
    house.readmit().unwrap();
    let partition = house.reopen(&partition).unwrap();
    assert_eq!(appended(&partition, batch("new")), 20);
    assert_eq!(appended(&house.reopen(&none).unwrap(), batch("first")), 0);
}

#[test]
fn what_neighbours_remember_outlives_a_start_and_ends_with_the_readmission() {
    let neighbour = |number: u8| Neighbour {
        directory: DirectoryId(Id128([number; 16])),
        since: WallTime(5_000),
        writes: 7,
    };
    let mut house = House::new();
    let path = house.dir.path().to_path_buf();
    let kept = || Neighbours::peek(&RealDisk, &path).unwrap();
    assert!(!path.join("volume.neighbours").exists(), "a directory without neighbours has no such file");
    house.volume().condition().remember(vec![neighbour(1)]);
    eventually("it is remembered", || kept() == [neighbour(1)]);

    // While it has failed itself it is let alone, and what it was told is not forgotten.
    Faults::set(&house.faults.read_only, true);
    append(&house.open(0), batch("x")).unwrap_err();
    eventually("it has failed", || house.state() == VolumeState::Failed);
    Faults::set(&house.faults.read_only, false);
    house.volume().condition().remember(vec![neighbour(1), neighbour(2)]);
    let told_at = house.volume().condition().report().sampled_at;
    eventually("it was looked at again", || house.volume().condition().report().sampled_at > told_at);
    assert_eq!(kept(), [neighbour(1)]);
    let writes = house.volume().condition().report().writes;
    house.readmit().unwrap();
    eventually("it remembers again", || kept() == [neighbour(1), neighbour(2)]);
    eventually("its own memory says so", || house.volume().condition().report().writes > writes + 1);
    house.stop(true);

    // As a neighbour remembers it.
    house.start_as(Found::Failed { since: WallTime(5_000) });
    eventually("it was looked at", || house.state() == VolumeState::Failed);
    let report = house.volume().condition().report();
    assert_eq!((report.cause, report.since), (Cause::HadFailed, WallTime(5_000)));
    house.readmit().unwrap();
    eventually("it is well", || house.state() == VolumeState::Normal);
}
