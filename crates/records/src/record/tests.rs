use forebay_base::{LeaderEpoch, ProducerId};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::{BatchBuilder, Compression, stamp, stamp_log_append_time, verify_crc};

const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

type Parts = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<RecordHeader>);

fn parts() -> impl Strategy<Value = Parts> {
    let bytes = || vec(any::<u8>(), 0..40);
    let header = (bytes(), option::of(bytes()))
        .prop_map(|(name, value)| RecordHeader { name: name.into(), value: value.map(Bytes::from) });
    (-1i64..2_000_000_000_000, option::of(bytes()), option::of(bytes()), vec(header, 0..4))
}

fn build(codec: Compression, records: &[Parts]) -> Bytes {
    let mut builder = BatchBuilder::new().compression(codec).producer(ProducerId(7), 3, 11);
    for (timestamp, key, value, headers) in records {
        builder.push(*timestamp, key.as_deref(), value.as_deref(), headers);
    }
    builder.build().unwrap()
}

fn all(batch: &Bytes) -> Result<Vec<Record>, BatchError> {
    Records::of(batch)?.collect()
}

proptest! {
    #[test]
    fn records_come_back_as_they_were_pushed(records in vec(parts(), 1..20)) {
        for codec in CODECS {
            let batch = build(codec, &records);
            verify_crc(&batch).unwrap();
            let header = BatchHeader::parse(&batch).unwrap();
            prop_assert_eq!((header.len, header.record_count), (batch.len(), records.len() as i32));
            prop_assert_eq!((header.producer_id, header.base_sequence), (ProducerId(7), 11));
            let read = all(&batch).unwrap();
            prop_assert_eq!(read.len(), records.len());
            for (index, (record, (timestamp, key, value, headers))) in read.iter().zip(&records).enumerate() {
                prop_assert_eq!(record.offset, Offset(index as i64));
                prop_assert_eq!(record.timestamp, *timestamp);
                prop_assert_eq!(record.key.as_deref(), key.as_deref());
                prop_assert_eq!(record.value.as_deref(), value.as_deref());
                prop_assert_eq!(&record.headers, headers);
            }
        }
    }

    #[test]
    fn mutated_and_cut_batches_never_panic(
        records in vec(parts(), 1..6), at in any::<prop::sample::Index>(), with in any::<u8>(),
        keep in any::<prop::sample::Index>(),
    ) {
        for codec in CODECS {
            let batch = build(codec, &records);
            let mut damaged = batch.to_vec();
            let place = at.index(damaged.len());
            damaged[place] = with;
            let _ = all(&damaged.into());
            prop_assert!(all(&batch.slice(..keep.index(batch.len()))).is_err());
        }
    }

    #[test]
    fn noise_is_never_read_without_end(mut noise in vec(any::<u8>(), 61..400), count in any::<i32>()) {
        let length = (noise.len() - 12) as i32;
        noise[8..12].copy_from_slice(&length.to_be_bytes());
        noise[16] = 2;
        noise[21..23].copy_from_slice(&[0, 0]);
        noise[57..61].copy_from_slice(&count.to_be_bytes());
        if let Ok(records) = Records::of(&noise.into()) {
            prop_assert!(records.count() < 400);
        }
    }
}

fn two() -> Bytes {
    let header = RecordHeader::new("trace", "1");
    build(
        Compression::None,
        &[(5, None, Some(b"a".to_vec()), vec![header.clone(), header]), (9, None, None, vec![])],
    )
}

#[test]
fn a_count_that_is_not_that_of_the_records_is_an_error() {
    for count in [0i32, 1, 3, i32::MAX, -1] {
        let mut batch = two().to_vec();
        batch[57..61].copy_from_slice(&count.to_be_bytes());
        assert!(all(&batch.into()).is_err(), "count {count}");
    }
}

#[test]
fn offsets_must_rise_and_stay_in_the_batch() {
    let mut batch = two().to_vec();
    batch[23..27].copy_from_slice(&0i32.to_be_bytes());
    assert_eq!(all(&batch.into()), Err(BatchError::Inconsistent("a record's offset")));
}

#[test]
fn stamps_show_in_offsets_and_timestamps() {
    let batch = two();
    let mut header: [u8; HEADER_LEN] = batch[..HEADER_LEN].try_into().unwrap();
    stamp(&mut header, Offset(100), LeaderEpoch(4));
    let stamped = Bytes::from([&header[..], &batch[HEADER_LEN..]].concat());
    verify_crc(&stamped).unwrap();
    let read = all(&stamped).unwrap();
    assert_eq!((read[0].offset, read[1].offset), (Offset(100), Offset(101)));
    assert_eq!((read[0].timestamp, read[1].timestamp), (5, 9));
    assert_eq!(read[0].headers.len(), 2);

    stamp_log_append_time(&mut header, &batch[HEADER_LEN..], 77);
    let appended = Bytes::from([&header[..], &batch[HEADER_LEN..]].concat());
    verify_crc(&appended).unwrap();
    assert!(all(&appended).unwrap().iter().all(|record| record.timestamp == 77));
}

#[test]
fn a_bomb_in_a_batch_stops_at_the_cap() {
    let value = vec![0u8; 4 << 20];
    for codec in CODECS {
        let batch = build(codec, &[(0, None, Some(value.clone()), vec![])]);
        assert!(Records::capped(&batch, 1 << 20).is_err(), "{codec:?}");
        assert_eq!(all(&batch).unwrap().len(), 1);
    }
}

#[test]
fn batches_split_where_they_end() {
    let (one, other) = (two(), build(Compression::Gzip, &[(1, None, None, vec![])]));
    let both = Bytes::from([&one[..], &other[..]].concat());
    let split: Vec<_> = batches(both.clone()).map(|batch| batch.unwrap().1).collect();
    assert_eq!(split, [one.clone(), other]);
    let cut: Vec<_> = batches(both.slice(..both.len() - 1)).collect();
    assert_eq!(cut.len(), 2);
    assert_eq!(cut[1].as_ref().err(), Some(&BatchError::Short));
}
