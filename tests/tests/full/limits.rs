//! What ends the space is not the disk: a quota, or a bound of the process on its files.

use forebay_tests::FsKind;

use crate::client::{Client, LARGE, Produced, SMALL};
use crate::site::Site;
use crate::volume::Volume;
use crate::{BACK_MOSTLY, MIB};

/// The file system says that there is room, and gives none (EDQUOT).
#[test]
#[ignore = "needs root and mounts: cargo xtask faults full"]
fn a_quota_is_a_full_volume() {
    if !FsKind::Btrfs.is_known() {
        println!("skip: the kernel has no btrfs, which has the only quota that needs no preparation");
        return;
    }
    let volume = Volume::with_quota(96);
    volume.fill_but(volume.free_bytes() - 24 * MIB);
    let site = Site::start(&volume);
    let mut client = Client::new(&site.server, "bounded", 2, &[]);
    client.fill_to(MIB);
    let sentence = client.fill();
    assert!(sentence.contains("is full"), "{sentence}");
    let shown = site.shown_full("bounded");
    let free = site.volume()["free_bytes"].as_u64().unwrap();
    assert!(free > 16 * MIB, "the quota shows in the free space: {free}");
    for _ in 0..30 {
        client.refused();
        assert_eq!(site.status("bounded"), "OutOfSpace", "{}", site.volume());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    client.check();
    client.repeat();
    volume.free_but(0);
    let took = client.back();
    println!(
        "a quota: shown after {shown:?}, {free} bytes seem free, writes back {took:?} after some were freed"
    );
    assert!(took < BACK_MOSTLY, "{took:?}: {}", site.volume());
    client.check();
    site.no_panic();
}

/// A file that may not grow is told of as what it is. It says nothing about the disk, and kills nobody.
#[test]
#[ignore = "needs root and mounts: cargo xtask faults full"]
fn a_bound_on_files_refuses_what_is_beyond_it() {
    let volume = Volume::sized(FsKind::Tmpfs, 256);
    let mut site = Site::start(&volume);
    let mut bounded = Client::new(&site.server, "bounded", 1, &[("segment.bytes", "1073741824")]);
    let mut small = Client::new(&site.server, "small", 1, &[("segment.bytes", "1048576")]);
    bounded.fill_to(MIB);
    site.server.bound_files(Some(6_400_000));
    let sentence = loop {
        if let Produced::Refused(sentence) = bounded.produce(0, LARGE) {
            break sentence;
        }
    };
    assert!(sentence.contains("File too large"), "{sentence}");
    small.fill_to(3 * MIB);
    bounded.check();
    bounded.repeat();
    assert!(site.server.is_alive());
    assert_ne!(site.status("small"), "OutOfSpace", "{}", site.volume());
    site.server.bound_files(None);
    assert_eq!(bounded.produce(0, SMALL), Produced::Stored, "by itself");
    bounded.check();
    small.check();
    site.no_panic();
}
