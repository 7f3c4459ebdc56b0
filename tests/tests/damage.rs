//! Damage below the recovery point: found by `forebay log verify` and by cold reads, told for that batch alone, and
//! never cut away.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests stand outside the product: they panic")]

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use bytes::Bytes;
use forebay_base::Id128;
use forebay_client::BatchBuilder;
use forebay_records::{batches, verify_crc};
use forebay_tests::requests::{fetch, list_offsets, metadata, produce};
use forebay_tests::{Server, forebay, numbered_value, run_to_end};
use forebay_wire::kafka::ErrorCode;
use rustix::fs::{Advice, fadvise};

const BATCHES: u64 = 30;
const DAMAGED: u64 = 12;

/// The only segment of the only partition.
fn segment(server: &Server) -> PathBuf {
    let partition = fs::read_dir(server.data().join("partitions")).unwrap().next().unwrap().unwrap().path();
    partition.join("00000000000000000000.log")
}

/// As much as can be of the file leaves the page cache, so that the next read asks the disk.
fn make_cold(file: &File) {
    file.sync_all().unwrap();
    fadvise(file, 0, None, Advice::DontNeed).unwrap();
}

/// Appends batches, each of one record at the offset of its number, and gives the length of one.
fn fill(server: &Server) -> u64 {
    let mut conn = server.conn();
    conn.call(9, &metadata("t"));
    let mut len = 0;
    for number in 0..BATCHES {
        let batch =
            BatchBuilder::new().record(1_000, None, Some(&numbered_value(number, 5_000))).build().unwrap();
        len = batch.len() as u64;
        assert_eq!(conn.call(9, &produce("t", 0, batch)).responses[0].partition_responses[0].error_code, 0);
    }
    len
}

fn read(server: &Server, offset: u64) -> (i16, Bytes) {
    let mut answer = server.conn().call(11, &fetch("t", Id128::ZERO, 0, offset as i64));
    let part = answer.responses.remove(0).partitions.remove(0);
    (part.error_code, part.records.map(|records| records.read().unwrap()).unwrap_or_default())
}

/// Offsets of the sound batches in an answer; there are no others in it.
fn offsets(stored: Bytes) -> Vec<i64> {
    let whole = batches(stored).map(|batch| batch.expect("whole batches only"));
    whole
        .inspect(|(_, bytes)| verify_crc(bytes).expect("sound batches only"))
        .map(|(header, _)| header.base_offset.0)
        .collect()
}

fn verify(server: &Server) -> (Option<i32>, String) {
    let (status, said) = run_to_end(forebay().args(["log", "verify", "--data-dir"]).arg(server.data()));
    (status.code(), said)
}

#[test]
fn a_damaged_batch_is_told_and_kept() {
    let mut server = Server::start();
    let len = fill(&server);
    assert_eq!(verify(&server).0, Some(0), "a sound directory, while a server has it open");
    assert_eq!(server.stop().code(), Some(0));

    let file = OpenOptions::new().read(true).write(true).open(segment(&server)).unwrap();
    let (at, mut byte) = (DAMAGED * len + 1_000, [0]);
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
    make_cold(&file);

    server.spawn();
    server.wait_ready();
    let (code, said) = verify(&server);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains(&DAMAGED.to_string()), "it names the offset: {said}");

    // All of it is in the page cache now, brought there by somebody else: that proves nothing.
    let (code, stored) = read(&server, DAMAGED - 3);
    assert_eq!(
        (code, offsets(stored)),
        (0, (DAMAGED as i64 - 3..DAMAGED as i64).collect()),
        "up to the damage"
    );
    let (code, stored) = read(&server, DAMAGED);
    assert_eq!((code, stored.len()), (ErrorCode::CorruptMessage.code(), 0), "the damaged one");
    let (code, stored) = read(&server, DAMAGED);
    assert_eq!((code, stored.len()), (ErrorCode::CorruptMessage.code(), 0), "and again");
    let (code, stored) = read(&server, DAMAGED + 1);
    assert_eq!((code, offsets(stored)), (0, (DAMAGED as i64 + 1..BATCHES as i64).collect()), "and after it");
    let end = server.conn().call(4, &list_offsets("t", 0, -1)).topics.remove(0).partitions.remove(0);
    assert_eq!(end.offset, BATCHES as i64, "nothing was cut away");
    assert_eq!(file.metadata().unwrap().len(), BATCHES * len);
}

/// What a torn write leaves above the recovery point is cut, whatever it looks like.
#[test]
fn a_torn_tail_is_cut() {
    let mut server = Server::start();
    let len = fill(&server);
    for torn in [&[0u8; 700][..], &numbered_value(1, 300), &[0, 0, 0, 0, 0, 0, 0, BATCHES as u8, 0, 0, 4, 0]]
    {
        server.kill();
        let file = OpenOptions::new().append(true).open(segment(&server)).unwrap();
        std::io::Write::write_all(&mut &file, torn).unwrap();
        server.spawn();
        server.wait_ready();
        let (code, stored) = read(&server, 0);
        assert_eq!((code, offsets(stored).len() as u64), (0, BATCHES));
        assert_eq!(file.metadata().unwrap().len(), BATCHES * len);
    }
}
