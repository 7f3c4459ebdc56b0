//! Volumes that fail and are let in again: reads go on, writes are refused with a sentence, a restart changes nothing of
//! it, and `forebay cluster readmit` brings writes back, with everything that was acknowledged, without a restart.
//!
//! Needs root, loop mounts and strace: `cargo xtask faults readmit` runs it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests stand outside the product: they panic, read clocks and print"
)]

mod lane;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use forebay_tests::requests::create;
use forebay_tests::{
    FailingSyncs, FsKind, LoopFs, Server, eventually, get, json, tool, volume, volume_state,
};

use lane::Lane;

const MIB: u64 = 1 << 20;

/// The status is right so soon after the fault.
const SHOWN_WITHIN: Duration = Duration::from_secs(3);
/// Writes and metadata are back so soon after the volume was readmitted.
const BACK_WITHIN: Duration = Duration::from_secs(10);

/// What could not be deleted is tried again after ten seconds.
const STRAY_WITHIN: Duration = Duration::from_secs(30);

fn is_ready(server: &Server) -> bool {
    get(server.http(), "/readyz").unwrap().0 == 200
}

fn make_topic(server: &Server, name: &str, partitions: i32) -> i16 {
    server.conn().call(5, &create(name, partitions, &[("retention.ms", "-1")])).topics[0].error_code
}

/// `forebay cluster readmit`: whether it succeeded, and what it said.
fn readmit(server: &Server) -> (bool, String) {
    let (code, said) = tool(server, &["cluster", "readmit"]);
    (code == Some(0), said)
}

/// Lanes to those of so many partitions that lie in a directory: there are some.
fn lanes_on(server: &Server, dir: &Path, partitions: i32) -> Vec<Lane> {
    let directory = volume(server, dir)["directory"].clone();
    let places = json(server, "/v1/topics/orders/partitions");
    let is_there = |partition: &i32| places["partitions"][*partition as usize]["directories"][0] == directory;
    let lanes: Vec<_> =
        (0..partitions).filter(is_there).map(|partition| Lane::new(server, "orders", partition)).collect();
    assert!(!lanes.is_empty(), "{places}");
    lanes
}

/// Where the records of the first segment of a partition lie.
fn segment(server: &Server, dir: &Path, topic: &str, partition: i32) -> PathBuf {
    let id = json(server, &format!("/v1/topics/{topic}"))["id"].as_str().unwrap().to_owned();
    dir.join("partitions").join(format!("{id}-{partition}")).join("00000000000000000000.log")
}

/// The volume is shown as failed, with the way out; what was acknowledged is read, and nothing is taken.
fn check_failed(server: &Server, dir: &Path, lanes: &mut [Lane]) {
    assert_eq!(volume_state(server, dir), "Failed");
    let sentence = volume(server, dir)["sentence"].as_str().unwrap().to_owned();
    assert!(sentence.contains("has failed") && sentence.contains("forebay cluster readmit"), "{sentence}");
    for lane in lanes {
        lane.check();
        // The first refusals say what was met, and soon all of them what to do.
        eventually("the way out is told", SHOWN_WITHIN, || {
            lane.refused().contains("forebay cluster readmit")
        });
    }
}

/// No metadata can be changed, and the node says so.
fn check_without_metadata(server: &Server) {
    eventually("the outage is shown", SHOWN_WITHIN, || !is_ready(server));
    let reason = json(server, "/readyz")["reason"].as_str().unwrap().to_owned();
    assert!(reason.starts_with("the metadata log cannot be written"), "{reason}");
    let began = Instant::now();
    assert_eq!(make_topic(server, "refused", 1), 56);
    assert!(began.elapsed() < Duration::from_secs(2), "a refusal is told at once");
}

/// Writes are back, and so is everything that was acknowledged.
fn check_back(server: &Server, dir: &Path, lanes: &mut [Lane]) -> Duration {
    let mut slowest = Duration::ZERO;
    for lane in &mut *lanes {
        slowest = slowest.max(eventually("writes come back", BACK_WITHIN, || lane.produce().is_ok()));
        lane.produce_many(20);
        lane.check();
    }
    eventually("Normal is shown", SHOWN_WITHIN, || volume_state(server, dir) == "Normal");
    eventually("none is shown as failed", SHOWN_WITHIN, || volume(server, dir)["failed_partitions"] == 0);
    slowest
}

/// A running server with a topic `orders` of so many partitions.
fn with_orders(dirs: &[&Path], partitions: i32) -> Server {
    let server = Server::over(dirs);
    assert_eq!(make_topic(&server, "orders", partitions), 0);
    server
}

/// Starts it again on a volume that is shown as failed, not ready for anything.
fn spawn_failed(server: &mut Server, dir: &Path, lanes: &mut [Lane]) {
    server.spawn();
    server.wait_answers();
    lanes.iter_mut().for_each(|lane| lane.reconnect(server));
    eventually("Failed is shown", SHOWN_WITHIN, || volume_state(server, dir) == "Failed");
}

/// Lanes to the first two partitions, with records in them.
fn two_lanes(server: &Server) -> [Lane; 2] {
    [0, 1].map(|partition| {
        let mut lane = Lane::new(server, "orders", partition);
        lane.produce_many(50);
        lane
    })
}

#[test]
#[ignore = "needs strace and leave to use it: cargo xtask faults readmit"]
fn a_partition_whose_sync_failed_comes_back() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let mut server = with_orders(&[&dir], 2);
    let mut lanes = two_lanes(&server);
    let (passed, said) = readmit(&server);
    assert!(!passed && said.contains("there is nothing to readmit"), "{said}");
    let segment = segment(&server, &dir, "orders", 0);
    let failing = FailingSyncs::begin(&server, &[segment]);
    assert!(lanes[0].refused().contains("failed to sync"));
    lanes[1].produce_many(10);
    assert_eq!(volume_state(&server, &dir), "Normal", "one fault is borne");
    eventually("it is shown as failed", SHOWN_WITHIN, || volume(&server, &dir)["failed_partitions"] == 1);
    let (code, said) = tool(&server, &["cluster", "status"]);
    let told = said.contains("1 partitions are Failed") && said.contains("1 thing is not as it should be");
    assert!(code == Some(8) && told, "{said}");
    drop(failing);
    assert!(lanes[0].refused().contains("failed to sync"), "a sync that failed is not tried again");
    lanes[0].check();
    let (passed, said) = readmit(&server);
    assert!(passed && said.contains("a partition that had failed is opened anew"), "{said}");
    check_back(&server, &dir, &mut lanes);
    assert!(server.stop().success(), "everything is sound");
}

#[test]
#[ignore = "needs strace and leave to use it: cargo xtask faults readmit"]
fn a_volume_that_failed_comes_back_without_a_restart_and_after_one() {
    let home = tempfile::tempdir().unwrap();
    let (dir, other) = (home.path().join("data"), home.path().join("other"));
    let mut server = with_orders(&[&dir, &other], 4);
    let mut lanes = lanes_on(&server, &dir, 4);
    for restarts in [false, true] {
        lanes.iter_mut().for_each(|lane| lane.produce_many(50));
        let failing = FailingSyncs::below(&server, &dir);
        lanes[0].refused();
        let shown = eventually("Failed is shown", SHOWN_WITHIN, || volume_state(&server, &dir) == "Failed");
        check_failed(&server, &dir, &mut lanes);
        check_without_metadata(&server);
        let (passed, said) = readmit(&server);
        assert!(!passed && said.contains("was not readmitted, and is as it was: cannot"), "{said}");
        check_failed(&server, &dir, &mut lanes);
        drop(failing);
        let stray = other.join("partitions/AAAAAAAAAAAAAAAAAAAAAA-0");
        if restarts {
            server.kill();
            // The Image does not know it; one that was read without a quorum is not believed so far.
            std::fs::create_dir(&stray).unwrap();
            spawn_failed(&mut server, &dir, &mut lanes);
        } else {
            std::thread::sleep(Duration::from_secs(2));
        }
        check_failed(&server, &dir, &mut lanes);
        check_without_metadata(&server);
        let pid = server.pid();
        assert_eq!(stray.exists(), restarts);
        let (passed, said) = readmit(&server);
        assert!(passed && said.contains("is Normal"), "{said}");
        let writes = check_back(&server, &dir, &mut lanes);
        let metadata = eventually("metadata is back", BACK_WITHIN, || is_ready(&server));
        assert_eq!(make_topic(&server, &format!("after-{restarts}"), 1), 0);
        assert_eq!(server.pid(), pid);
        eventually("what nobody knows is removed", STRAY_WITHIN, || !stray.exists());
        println!(
            "       restarted {restarts}: Failed shown after {shown:.1?}; writes back after {writes:.1?}, metadata {metadata:.1?}"
        );
    }
    assert!(server.stop().success(), "everything is sound");
}

#[test]
#[ignore = "needs root and loop mounts: cargo xtask faults readmit"]
fn a_node_on_a_read_only_disk_serves_reads_and_comes_back() {
    for clean in [false, true] {
        let mut fs = LoopFs::sized(FsKind::Ext4, 128 * MIB);
        let dir = fs.dir().join("data");
        let mut server = with_orders(&[&dir], 2);
        let mut lanes = two_lanes(&server);
        if clean {
            assert!(server.stop().success());
        } else {
            server.kill();
        }
        fs.unmount();
        fs.mount_read_only();
        for _ in 0..2 {
            spawn_failed(&mut server, &dir, &mut lanes);
            check_failed(&server, &dir, &mut lanes);
            check_without_metadata(&server);
            let (passed, said) = readmit(&server);
            assert!(!passed && said.contains("was not readmitted, and is as it was: cannot"), "{said}");
            server.kill();
        }
        spawn_failed(&mut server, &dir, &mut lanes);
        fs.remount_writable();
        check_failed(&server, &dir, &mut lanes);
        let (passed, said) = readmit(&server);
        assert!(passed, "{said}");
        check_back(&server, &dir, &mut lanes);
        eventually("metadata is back", BACK_WITHIN, || is_ready(&server));
        assert_eq!(make_topic(&server, "after", 1), 0);
        assert!(!dir.join("clean").exists(), "the mark of a clean stop is not left behind");
        server.restart();
        lanes.iter_mut().for_each(|lane| lane.reconnect(&server));
        check_back(&server, &dir, &mut lanes);
    }
}

#[test]
#[ignore = "needs root and loop mounts: cargo xtask faults readmit"]
fn another_data_directory_is_not_touched() {
    let mut fs = LoopFs::sized(FsKind::Ext4, 128 * MIB);
    let home = tempfile::tempdir().unwrap();
    let (well, ill) = (home.path().join("well"), fs.dir().join("ill"));
    let mut server = with_orders(&[&well, &ill], 4);
    let mut lanes = [&well, &ill].map(|dir| lanes_on(&server, dir, 4));
    let all =
        |lanes: &mut [Vec<Lane>; 2], work: &dyn Fn(&mut Lane)| lanes.iter_mut().flatten().for_each(work);
    all(&mut lanes, &|lane| lane.produce_many(50));
    fs.abort();
    lanes[1][0].refused();
    eventually("Failed is shown", SHOWN_WITHIN, || volume_state(&server, &ill) == "Failed");
    let check_apart = |server: &Server, lanes: &mut [Vec<Lane>; 2]| {
        check_failed(server, &ill, &mut lanes[1]);
        lanes[0].iter_mut().for_each(|lane| lane.produce_many(20));
        lanes[0].iter_mut().for_each(Lane::check);
        assert_eq!(volume_state(server, &well), "Normal");
        assert!(is_ready(server), "the metadata log lies in the other one");
    };
    check_apart(&server, &mut lanes);
    let (passed, said) = readmit(&server);
    assert!(!passed && said.contains("was not readmitted"), "{said}");
    check_apart(&server, &mut lanes);
    server.kill();
    fs.unmount();
    fs.mount();
    // What takes no writes cannot remember that it has failed: the other one does.
    for _ in 0..2 {
        server.spawn();
        server.wait_ready();
        all(&mut lanes, &|lane| lane.reconnect(&server));
        check_apart(&server, &mut lanes);
        server.kill();
    }
    server.spawn();
    server.wait_ready();
    all(&mut lanes, &|lane| lane.reconnect(&server));
    let (passed, said) = readmit(&server);
    assert!(passed && said.contains("is Normal"), "{said}");
    for killed in [true, false] {
        check_back(&server, &ill, &mut lanes[1]);
        check_back(&server, &well, &mut lanes[0]);
        if killed {
            server.kill();
            server.spawn();
            server.wait_ready();
        } else {
            server.restart();
        }
        all(&mut lanes, &|lane| lane.reconnect(&server));
    }
    check_back(&server, &ill, &mut lanes[1]);
}
