//! Writes what the corpora began with: well-formed requests and batches, to `DIR/request` and `DIR/batch`. The
//! corpus of `recovery` was found by the fuzzer alone.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use forebay_base::{Id128, Piece, ProducerId};
use forebay_records::{BatchBuilder, Compression, HEADER_LEN, RecordHeader};
use forebay_wire::frame;
use forebay_wire::kafka::fetch::{FetchRequest, ReplicaState};

const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

fn main() -> io::Result<()> {
    let Some(dir) = env::args_os().nth(1).map(PathBuf::from) else {
        return Err(io::Error::other("usage: seeds DIR"));
    };
    for (number, sample) in forebay_tests::samples("t", Id128([7; 16])).into_iter().enumerate() {
        write(&dir.join("request"), &format!("{number}-{}", sample.name.replace(' ', "-")), &sample.frame)?;
    }
    // Two tagged fields at once, which no client sends yet.
    let replica_state = ReplicaState { replica_id: 3, replica_epoch: 9 };
    let fetch = FetchRequest { cluster_id: Some("c".into()), replica_state, ..Default::default() };
    let pieces = frame::request(1, Some("tags"), 16, &fetch).map_err(io::Error::other)?;
    write(&dir.join("request"), "tagged", &pieces.first().map(Piece::read).transpose()?.unwrap_or_default())?;
    for codec in CODECS {
        let mut batch = BatchBuilder::new().compression(codec).producer(ProducerId(7), 0, 3);
        for number in 0..4u8 {
            let headers =
                [RecordHeader::new("name", "value"), RecordHeader { name: "n".into(), value: None }];
            batch.push(1_699_999_999_000 + i64::from(number), Some(&[number]), Some(&[b'v'; 40]), &headers);
        }
        let batch = batch.build().map_err(io::Error::other)?;
        let name = format!("{codec:?}").to_lowercase();
        write(&dir.join("batch"), &format!("{name}-as-it-is"), &[&[0], &batch[..]].concat())?;
        write(&dir.join("batch"), &format!("{name}-sealed"), &[&[1], &batch[..]].concat())?;
    }
    let plain = BatchBuilder::new().record(1_699_999_999_000, Some(b"k"), Some(b"a value, a value"));
    let plain = plain.record(1_699_999_999_001, Some(b"l"), None).build().map_err(io::Error::other)?;
    assert!(plain.len() > HEADER_LEN);
    for number in 0..5u8 {
        write(&dir.join("batch"), &format!("packed-{number}"), &[&[2 | number << 2], &plain[..]].concat())?;
    }
    Ok(())
}

fn write(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    fs::write(dir.join(name), bytes)
}
