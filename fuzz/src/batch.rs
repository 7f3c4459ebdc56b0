//! One record batch as a producer sends it.

use bytes::Bytes;
use forebay_base::{LeaderEpoch, Offset, ProducerId, WallTime};
use forebay_records::{
    BatchBuilder, BatchError, BatchHeader, Compression, HEADER_LEN, LENGTH_PREFIX_LEN, Record, Records,
    TimestampType, batches, compress, decompress, stamp, stamp_log_append_time, verify_crc,
};
use forebay_replica::producers::Producers;
use forebay_replica::{IntakeRules, intake};

use crate::memory::peak_of;

/// The cap on inflating here; small, so that bombs are cheap to find and to try.
const INFLATED_BYTES_MAX: usize = 64 * 1024;

/// What a decompressor may hold beyond its input and output: an LZ4 frame may have blocks of 8 MiB, of which two
/// or three are in memory at a time.
const CODEC_BYTES: usize = 32 * 1024 * 1024;

/// A record's header takes two bytes in the batch, and this many in memory.
const MEMORY_PER_BYTE: usize = 40;

const NOW: WallTime = WallTime(1_700_000_000_000);

/// The first byte says how the rest becomes a batch; see [`made_of`].
pub fn check(input: &[u8]) {
    let Some((how, rest)) = input.split_first() else { return };
    let batch = made_of(*how, rest);
    let header = read_header(&batch);
    read_many(&batch);
    if let Ok(header) = header {
        inflate(&header, &batch);
        let records = read_records(&batch);
        if let Ok(records) = records {
            build_again(&header, &records);
        }
    }
    for compacted in [false, true] {
        for timestamp_type in [TimestampType::CreateTime, TimestampType::LogAppendTime] {
            take_in(&batch, compacted, timestamp_type);
        }
    }
    drop(Producers::decode(batch));
}

/// A batch of `rest`:
/// - bits 0 and 1: 0 as it is, 1 with length, magic and checksum made to fit, 2 and 3 the same with everything behind
///   the header compressed first, so that mutations reach the records;
/// - bits 2 to 4: the codec for that.
fn made_of(how: u8, rest: &[u8]) -> Bytes {
    if how & 3 == 0 || rest.len() < HEADER_LEN {
        return Bytes::copy_from_slice(rest);
    }
    let (header, body) = rest.split_at(HEADER_LEN);
    let mut batch = header.to_vec();
    if how & 2 == 0 {
        batch.extend_from_slice(body);
    } else {
        let number = (how >> 2) % 5;
        let codec = match number {
            1 => Compression::Gzip,
            2 => Compression::Snappy,
            3 => Compression::Lz4,
            4 => Compression::Zstd,
            _ => Compression::None,
        };
        batch.extend_from_slice(&compress(codec, body).expect("every codec takes any bytes"));
        batch[22] = (batch[22] & !7) | number;
    }
    let length = (batch.len() - LENGTH_PREFIX_LEN) as i32;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[16] = 2;
    let crc = forebay_base::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch.into()
}

/// Everything a header answers, for any header.
fn read_header(batch: &Bytes) -> Result<BatchHeader, BatchError> {
    let header = BatchHeader::parse(batch)?;
    assert!(header.len >= HEADER_LEN);
    assert!(header.next_offset() >= header.last_offset());
    assert!(header.last_sequence() >= 0);
    assert_eq!(header.is_transactional(), header.attributes & 0x10 != 0);
    assert_eq!(header.is_control(), header.attributes & 0x20 != 0);
    assert_eq!(header.compression().is_ok(), header.attributes & 7 < 5);
    Ok(header)
}

/// As a consumer splits what it fetched: whole batches that lie one after the other, and nothing is skipped.
fn read_many(bytes: &Bytes) {
    let mut at = 0;
    for item in batches(bytes.clone()) {
        let Ok((header, batch)) = item else { return };
        assert_eq!((header.len, &batch), (batch.len(), &bytes.slice(at..at + header.len)));
        at += batch.len();
    }
    assert_eq!(at, bytes.len());
}

/// The cap holds for every codec, whatever the header says of it, and so does the memory it takes.
fn inflate(header: &BatchHeader, batch: &Bytes) {
    let Ok(codec) = header.compression() else { return };
    let packed = batch.slice(HEADER_LEN.min(batch.len())..);
    for cap in [0, 100, INFLATED_BYTES_MAX] {
        let (outcome, held) = peak_of(|| decompress(codec, &packed, cap));
        assert!(held <= 4 * cap + CODEC_BYTES, "{codec:?} held {held} bytes to inflate to at most {cap}");
        if let Ok(plain) = outcome {
            assert!(
                plain.len() <= cap,
                "{codec:?} inflated to {} bytes, at most {cap} were allowed",
                plain.len()
            );
        }
    }
}

/// The records, as far as they are sound: never more than announced, never more bytes than were inflated.
fn read_records(batch: &Bytes) -> Result<Vec<Record>, BatchError> {
    let records = Records::capped(batch, INFLATED_BYTES_MAX)?;
    let header = *records.header();
    let (read, held) = peak_of(|| {
        let mut bytes = 0;
        let mut read = Vec::new();
        let mut records = records;
        for record in records.by_ref() {
            let record = record?;
            let parts =
                record.headers.iter().map(|part| part.name.len() + part.value.as_ref().map_or(0, Bytes::len));
            bytes += parts.sum::<usize>();
            bytes += record.key.as_ref().map_or(0, Bytes::len) + record.value.as_ref().map_or(0, Bytes::len);
            read.push(record);
        }
        assert!(records.next().is_none(), "records after the last one");
        assert!(bytes <= INFLATED_BYTES_MAX.max(batch.len()));
        Ok(read)
    });
    assert!(held <= MEMORY_PER_BYTE * 4 * INFLATED_BYTES_MAX, "{held} bytes held for records");
    let read: Vec<Record> = read?;
    assert_eq!(read.len(), header.record_count as usize);
    let offsets: Vec<Offset> = read.iter().map(|record| record.offset).collect();
    // Offsets at the end of the number range saturate.
    let saturated = header.last_offset() == Offset(i64::MAX);
    assert!(saturated || offsets.is_sorted_by(|left, right| left < right), "offsets that do not rise");
    Ok(read)
}

/// What was read can be written, in every codec, and is read back as it was.
fn build_again(header: &BatchHeader, records: &[Record]) {
    let dense = (0..).zip(records).all(|(place, record)| record.offset == header.base_offset.plus(place));
    if records.is_empty() || !dense {
        return;
    }
    for codec in [Compression::None, Compression::Zstd] {
        let mut builder =
            BatchBuilder::new().compression(codec).stamped(header.base_offset, header.leader_epoch);
        for record in records {
            builder.push(record.timestamp, record.key.as_deref(), record.value.as_deref(), &record.headers);
        }
        let batch = builder.build().expect("records that were read are short enough");
        assert_eq!(verify_crc(&batch), Ok(()));
        let again = Records::of(&batch).expect("a batch that was built can be read");
        for (record, again) in records.iter().zip(again) {
            let again = again.expect("a record that was written can be read");
            let same =
                (&again.key, &again.value, &again.headers) == (&record.key, &record.value, &record.headers);
            assert!(same && again.offset == record.offset, "{record:?} became {again:?}");
        }
    }
}

/// What a topic accepts is one sound batch, stays sound when the leader stamps it, and, if keys are looked for,
/// iterates with a key in every record.
fn take_in(batch: &Bytes, compacted: bool, timestamp_type: TimestampType) {
    let rules = IntakeRules {
        max_message_bytes: 32 * 1024,
        timestamp_type,
        before_max_ms: i64::MAX,
        after_max_ms: 3_600_000,
        compacted,
    };
    let inflates = intake::inflates(batch, &rules, NOW);
    let accepted = match intake::check(batch.clone(), &rules, NOW) {
        Ok(accepted) => accepted,
        Err(refused) => {
            assert!(!refused.to_string().is_empty());
            return;
        }
    };
    assert_eq!((&accepted.bytes, accepted.header.len), (batch, batch.len()));
    assert!(batch.len() <= rules.max_message_bytes);
    assert!(compacted || !inflates, "what is taken without a look into it is not inflated");
    assert_eq!(verify_crc(batch), Ok(()));
    assert_eq!(accepted.header.last_offset_delta + 1, accepted.record_count() as i32);
    if compacted {
        let records = Records::of(batch).expect("the records of an accepted batch can be inflated");
        let keys = records.map(|record| record.expect("an accepted record is sound").key);
        assert_eq!(keys.inspect(|key| assert!(key.is_some())).count(), accepted.record_count() as usize);
        let plain = IntakeRules { compacted: false, ..rules };
        assert!(intake::check(batch.clone(), &plain, NOW).is_ok(), "fewer rules refuse more");
    }
    stamp_as_leader(batch);
    judge(&accepted.header);
}

fn stamp_as_leader(batch: &Bytes) {
    let mut head: [u8; HEADER_LEN] = batch[..HEADER_LEN].try_into().expect("an accepted batch has a header");
    stamp(&mut head, Offset(77), LeaderEpoch(5));
    assert_eq!(verify_crc(&[&head, &batch[HEADER_LEN..]].concat()), Ok(()));
    stamp_log_append_time(&mut head, &batch[HEADER_LEN..], NOW.0);
    let stamped = [&head, &batch[HEADER_LEN..]].concat();
    assert_eq!(verify_crc(&stamped), Ok(()));
    let header = BatchHeader::parse(&stamped).expect("a stamped header is a header");
    assert_eq!(
        (header.base_offset, header.leader_epoch, header.max_timestamp),
        (Offset(77), LeaderEpoch(5), NOW.0)
    );
    assert_eq!(header.timestamp_type(), TimestampType::LogAppendTime);
}

/// The producers' state takes any accepted batch, and survives its own snapshot.
fn judge(header: &BatchHeader) {
    let mut producers = Producers::default();
    producers.judge(header);
    if header.is_idempotent() {
        producers.note(header, NOW);
        producers.settle();
    }
    let snapshot = producers.encode();
    let again = Producers::decode(snapshot.clone()).expect("its own snapshot can be read");
    assert_eq!((again.encode(), again.len()), (snapshot, producers.len()));
    assert!(header.producer_id != ProducerId(-1) || producers.is_empty());
}
