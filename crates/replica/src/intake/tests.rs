use forebay_base::ProducerId;
use forebay_records::{BatchBuilder, Compression};

use super::*;

const NOW: WallTime = WallTime(1_700_000_000_000);

fn rules() -> IntakeRules {
    IntakeRules {
        max_message_bytes: 10_000,
        timestamp_type: TimestampType::CreateTime,
        before_max_ms: i64::MAX,
        after_max_ms: 3_600_000,
        compacted: false,
    }
}

fn batch() -> BatchBuilder {
    BatchBuilder::new().record(NOW.0, Some(b"key"), Some(b"value")).record(NOW.0 + 1, None, Some(b"value"))
}

fn patched(at: usize, with: &[u8]) -> Bytes {
    let mut bytes = batch().build().unwrap().to_vec();
    bytes[at..at + with.len()].copy_from_slice(with);
    let crc = forebay_base::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

fn refused(bytes: Bytes) -> Refused {
    check(bytes, &rules(), NOW).unwrap_err()
}

fn is_invalid(refused: &Refused) -> bool {
    matches!(refused, Refused::InvalidRecord { .. })
}

#[test]
fn a_sound_batch_passes_untouched() {
    let bytes = batch().flags(0x4000).compression(Compression::Zstd).build().unwrap();
    let checked = check(bytes.clone(), &rules(), NOW).unwrap();
    assert_eq!(checked.bytes, bytes);
    assert_eq!(checked.header.record_count, 2);
    assert_eq!(checked.header.attributes & 0x4000, 0x4000);
}

#[test]
fn damage_is_corrupt_and_contradiction_is_invalid() {
    let bytes = batch().build().unwrap();
    let mut flipped = bytes.to_vec();
    flipped[70] ^= 1;
    assert!(matches!(refused(flipped.into()), Refused::Corrupt(_)));
    assert!(matches!(refused(bytes.slice(..bytes.len() - 1)), Refused::Corrupt(_)));
    assert!(is_invalid(&refused(Bytes::new())), "no batch");
    assert!(is_invalid(&refused([&bytes[..], &bytes[..]].concat().into())));
    assert!(is_invalid(&refused(patched(16, &[1]))), "magic 1");
    assert!(is_invalid(&refused(patched(57, &0i32.to_be_bytes()))), "no records");
    assert!(is_invalid(&refused(patched(57, &3i32.to_be_bytes()))), "count and offsets differ");
    assert_eq!(refused(patched(21, &[0, 5])), Refused::UnsupportedCompression(5));
    let many = [&999_999i32.to_be_bytes()[..], &[0; 30], &1_000_000i32.to_be_bytes()].concat();
    let mut huge = patched(23, &many[..4]).to_vec();
    huge[57..61].copy_from_slice(&many[34..]);
    assert!(is_invalid(&refused(huge.into())), "more records than bytes");
}

#[test]
fn size_is_that_of_the_batch_as_sent() {
    let mut large = BatchBuilder::new().compression(Compression::Gzip);
    large.push(NOW.0, None, Some(&[0; 100_000]), &[]);
    assert!(check(large.build().unwrap(), &rules(), NOW).is_ok());
    let mut large = BatchBuilder::new();
    large.push(NOW.0, None, Some(&[0; 10_000]), &[]);
    assert!(matches!(refused(large.build().unwrap()), Refused::TooLarge { bytes_max: 10_000, .. }));
}

#[test]
fn clients_may_not_write_control_or_transactional_batches() {
    assert!(is_invalid(&refused(batch().flags(0x20).build().unwrap())));
    assert_eq!(refused(batch().flags(0x10).build().unwrap()), Refused::InvalidTransaction);
    assert!(is_invalid(&refused(batch().producer(ProducerId(4), 0, -1).build().unwrap())));
    assert!(is_invalid(&refused(batch().producer(ProducerId(-2), 0, 0).build().unwrap())));
}

#[test]
fn timestamps_out_of_bounds_are_named_by_record() {
    let late = batch().record(NOW.0 + 4_000_000, None, None).compression(Compression::Lz4).build().unwrap();
    let Refused::InvalidTimestamp { errors, .. } = refused(late.clone()) else { panic!("taken") };
    assert_eq!(errors.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [2]);
    let appended = IntakeRules { timestamp_type: TimestampType::LogAppendTime, ..rules() };
    assert!(check(late, &appended, NOW).is_ok(), "the leader sets it anyway");
    let strict = IntakeRules { before_max_ms: 1_000, ..rules() };
    let early = BatchBuilder::new().record(NOW.0 - 2_000, None, None).build().unwrap();
    assert!(matches!(check(early, &strict, NOW), Err(Refused::InvalidTimestamp { .. })));
    let unset = BatchBuilder::new().record(-1, None, None).build().unwrap();
    assert!(check(unset, &strict, NOW).is_ok(), "-1 means none");
    assert!(matches!(refused(batch().flags(8).build().unwrap()), Refused::InvalidTimestamp { .. }));
}

#[test]
fn compacted_topics_need_keys_in_every_codec() {
    let compacted = IntakeRules { compacted: true, ..rules() };
    for codec in
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd]
    {
        let bytes = batch().compression(codec).build().unwrap();
        let Err(Refused::InvalidRecord { errors, .. }) = check(bytes, &compacted, NOW) else {
            panic!("taken")
        };
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].0, 1);
    }
    let keyed = BatchBuilder::new().record(NOW.0, Some(b""), None).build().unwrap();
    assert!(check(keyed, &compacted, NOW).is_ok());
}
