//! Single rules of the codec, each on the smallest message that shows it.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use forebay_base::{Id128, Piece, Region, total_len};
use kafka_protocol::protocol::Encodable;

use super::{encoded, joined};
use crate::kafka::ApiKey;
use crate::kafka::api_versions::ApiVersionsResponse;
use crate::kafka::delete_topics::DeleteTopicsRequest;
use crate::kafka::fetch::{FetchResponse, FetchableTopicResponse, PartitionData};
use crate::kafka::header::ResponseHeader;
use crate::kafka::list_offsets::ListOffsetsTopicResponse;
use crate::kafka::list_offsets::{ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse};
use crate::kafka::metadata::{MetadataRequest, MetadataRequestTopic};
use crate::kafka::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use crate::{DecodeError, Decoder, EncodeError, Encoder, Message, Payload, frame};

fn decoded<M: Message>(bytes: &[u8], version: i16) -> Result<M, DecodeError> {
    M::decode(&mut Decoder::new(Bytes::copy_from_slice(bytes)), version)
}

fn refusal<M: Message>(message: &M, version: i16) -> EncodeError {
    message.encode(version, &mut Encoder::new()).unwrap_err()
}

#[test]
fn a_count_is_held_against_the_bytes_that_remain() {
    let huge = i32::MAX.to_be_bytes();
    let count = |count, remaining| DecodeError::Count { count, remaining };
    assert_eq!(decoded::<MetadataRequest>(&huge, 1).unwrap_err(), count(i32::MAX as u64, 0));
    assert_eq!(
        decoded::<MetadataRequest>(&[0xFF, 0xFF, 0xFF, 0xFF, 0x0F], 9).unwrap_err(),
        count(u64::from(u32::MAX) - 1, 0)
    );
    assert_eq!(
        decoded::<MetadataRequest>(&[0xFF, 0xFF, 0xFF, 0xFF, 0x1F], 9).unwrap_err(),
        count(0x1_FFFF_FFFF, 0)
    );
    // Null transactional id, acks, timeout, count: 2 topics of at least 6 bytes each do not fit in 11.
    let mut produce = vec![0xFF, 0xFF, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2];
    produce.extend([0; 11]);
    assert_eq!(decoded::<ProduceRequest>(&produce, 3).unwrap_err(), count(2, 11));
    produce.push(0);
    assert_eq!(
        decoded::<ProduceRequest>(&produce, 3).unwrap().topic_data,
        vec![TopicProduceData::default(); 2]
    );
}

#[test]
fn a_length_below_null_is_refused() {
    assert_eq!(decoded::<MetadataRequest>(&[0xFF, 0xFF, 0xFF, 0xFE], 1), Err(DecodeError::Negative(-2)));
    assert_eq!(decoded::<MetadataRequest>(&[0, 0, 0, 1, 0xFF, 0xFE], 1), Err(DecodeError::Negative(-2)));
    assert_eq!(decoded::<MetadataRequest>(&[0, 0, 0, 1, 0x7F, 0xFF], 1), Err(DecodeError::Short));
}

#[test]
fn elements_take_no_memory_out_of_proportion() {
    // 32 bytes of memory for each topic name of no bytes and 1 on the wire.
    let mut names = BytesMut::new();
    names.extend_from_slice(&[0x81, 0x80, 0x40]);
    names.put_bytes(1, 1 << 20);
    names.extend_from_slice(&[0, 0, 0, 0, 0]);
    assert!(matches!(decoded::<DeleteTopicsRequest>(&names, 4), Err(DecodeError::Memory(_))));
    // The same number of names as they really are.
    let request = DeleteTopicsRequest { topic_names: vec!["a-topic".into(); 1 << 20], ..Default::default() };
    assert_eq!(decoded::<DeleteTopicsRequest>(&encoded(&request, 4), 4), Ok(request));
}

#[test]
fn null_is_legal_from_its_version_on() {
    assert_eq!(decoded::<MetadataRequest>(&[0xFF; 4], 0), Err(DecodeError::Null));
    assert_eq!(decoded::<MetadataRequest>(&[0xFF; 4], 1).unwrap().topics, None);
    assert_eq!(decoded::<MetadataRequest>(&[0; 4], 0).unwrap().topics, Some(vec![]));
    let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
    assert_eq!(refusal(&request, 0), EncodeError::Null("topics"));
    let by_id = MetadataRequestTopic { topic_id: Id128([1; 16]), name: None };
    let request = MetadataRequest { topics: Some(vec![by_id]), ..MetadataRequest::default() };
    assert_eq!(refusal(&request, 9), EncodeError::Null("name"));
    assert!(request.encode(10, &mut Encoder::new()).is_ok());
    assert_eq!(decoded::<ListOffsetsResponse>(&[0xFF; 4], 1), Err(DecodeError::Null));
}

#[test]
fn what_a_version_cannot_say_is_refused_in_a_request_and_left_out_of_a_response() {
    let request = ListOffsetsRequest { isolation_level: 1, ..ListOffsetsRequest::default() };
    assert_eq!(refusal(&request, 1), EncodeError::NotInVersion { field: "isolation_level", version: 1 });
    let request = MetadataRequest { allow_auto_topic_creation: false, ..MetadataRequest::default() };
    let error = EncodeError::NotInVersion { field: "allow_auto_topic_creation", version: 3 };
    assert_eq!(refusal(&request, 3), error);
    let partition = ListOffsetsPartitionResponse { leader_epoch: 5, ..Default::default() };
    let topic = ListOffsetsTopicResponse { name: "t".into(), partitions: vec![partition] };
    let response = ListOffsetsResponse { throttle_time_ms: 9, topics: vec![topic] };
    let read = decoded::<ListOffsetsResponse>(&encoded(&response, 1), 1).unwrap();
    assert_eq!((read.throttle_time_ms, read.topics[0].partitions[0].leader_epoch), (0, -1));
}

#[test]
fn versions_not_served_are_refused() {
    let error = DecodeError::Version { api: ApiKey::Produce, version: 2 };
    assert_eq!(error.to_string(), "Produce version 2 is not served");
    assert_eq!(decoded::<ProduceRequest>(&[0; 40], 2), Err(error));
    let error = EncodeError::Version { api: ApiKey::Produce, version: 12 };
    assert_eq!(refusal(&ProduceRequest::default(), 12), error);
}

#[test]
fn unknown_tagged_fields_are_skipped_at_every_level() {
    use kafka_protocol::messages::api_versions_response::{ApiVersion, SupportedFeatureKey};
    let unknown = Bytes::from_static(b"from the future");
    let version = ApiVersion::default().with_api_key(3).with_unknown_tagged_field(7, unknown.clone());
    let feature = SupportedFeatureKey::default().with_unknown_tagged_field(0, unknown.clone());
    let theirs = kafka_protocol::messages::ApiVersionsResponse::default()
        .with_api_keys(vec![version])
        .with_supported_features(vec![feature])
        .with_finalized_features_epoch(12)
        .with_unknown_tagged_field(99, unknown);
    let mut buffer = BytesMut::new();
    theirs.encode(&mut buffer, 3).unwrap();
    let ours = decoded::<ApiVersionsResponse>(&buffer, 3).unwrap();
    assert_eq!((ours.api_keys[0].api_key, ours.finalized_features_epoch), (3, 12));
    assert_eq!(ours.supported_features.len(), 1);
}

#[test]
fn a_tagged_value_fills_its_bytes() {
    // error 0, no APIs, throttle 0, one tagged field: the epoch of features, of 8 bytes, in 9.
    let mut bytes = vec![0, 0, 1, 0, 0, 0, 0, 1, 1, 9];
    bytes.extend([0; 9]);
    assert_eq!(decoded::<ApiVersionsResponse>(&bytes, 3), Err(DecodeError::Trailing(1)));
    bytes[9] = 8;
    bytes.pop();
    assert_eq!(decoded::<ApiVersionsResponse>(&bytes, 3).unwrap().finalized_features_epoch, 0);
}

#[test]
fn records_of_a_produce_request_are_a_slice_of_its_frame() {
    let partition = PartitionProduceData { index: 3, records: Some(Bytes::from_static(b"a batch")) };
    let topic = TopicProduceData { name: "t".into(), partition_data: vec![partition] };
    let request = ProduceRequest { acks: -1, topic_data: vec![topic], ..ProduceRequest::default() };
    let bytes = encoded(&request, 9);
    let read = ProduceRequest::decode(&mut Decoder::new(bytes.clone()), 9).unwrap();
    let records = read.topic_data[0].partition_data[0].records.clone().unwrap();
    assert!(bytes.as_ptr_range().contains(&records.as_ptr()));
    assert!(bytes.as_ptr_range().contains(&read.topic_data[0].name.as_bytes().as_ptr()));
}

/// A file of sevens.
#[derive(Debug)]
struct Sevens;

impl Region for Sevens {
    fn read_at(&self, _: u64, buf: &mut [u8]) -> io::Result<usize> {
        buf.fill(7);
        Ok(buf.len())
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

#[test]
fn pieces_of_files_pass_through_a_fetch_response() {
    let file = |len| Piece::File { file: Arc::new(Sevens), at: 512, len };
    let records: Payload = vec![file(100), Piece::Bytes(Bytes::from_static(b"tail")), file(0)].into();
    let partition = PartitionData { records: Some(records.clone()), ..PartitionData::default() };
    let empty = PartitionData { partition_index: 1, ..PartitionData::default() };
    let topic = FetchableTopicResponse { partitions: vec![partition, empty], ..Default::default() };
    let response = FetchResponse { responses: vec![topic], ..FetchResponse::default() };
    for version in FetchResponse::VERSIONS {
        let pieces = frame::response(42, version, &response).unwrap();
        assert_eq!(pieces.len(), 3);
        assert!(matches!(pieces[1], Piece::File { at: 512, len: 100, .. }));
        let mut sent = joined(&pieces);
        assert_eq!(sent.len() as u64, total_len(&pieces));
        let prefix = sent.split_to(frame::PREFIX_LEN)[..].try_into().unwrap();
        assert_eq!(frame::len(prefix, sent.len()), Ok(sent.len()));
        let too_long = DecodeError::Frame { len: sent.len() as i32, max: sent.len() - 1 };
        assert_eq!(frame::len(prefix, sent.len() - 1), Err(too_long));
        assert_eq!(ResponseHeader::peek(&sent).unwrap().correlation_id, 42);
        let (correlation_id, read) = frame::open_response::<FetchResponse>(sent, version).unwrap();
        assert_eq!(correlation_id, 42);
        let partitions = &read.responses[0].partitions;
        assert_eq!(partitions[0].records.as_ref().unwrap().read().unwrap(), records.read().unwrap());
        assert_eq!(partitions[1].records, Some(Payload::default()));
    }
}

#[test]
fn a_request_frame_is_read_back() {
    use crate::kafka::RequestHeader;
    let request = MetadataRequest::default();
    for version in MetadataRequest::VERSIONS {
        let mut sent = joined(&frame::request(-3, Some("gauge"), version, &request).unwrap());
        drop(sent.split_to(frame::PREFIX_LEN));
        let mut decoder = Decoder::new(sent);
        let header = RequestHeader::decode(&mut decoder).unwrap();
        assert_eq!((header.api(), header.request_api_version), (Some(ApiKey::Metadata), version));
        assert_eq!((header.correlation_id, header.client_id.as_deref()), (-3, Some("gauge")));
        assert_eq!(MetadataRequest::decode(&mut decoder, version).as_ref(), Ok(&request));
    }
    assert!(frame::len((-1i32).to_be_bytes(), 10).is_err());
}
