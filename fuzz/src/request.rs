//! Requests as they come in: length, header, body.

use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use forebay_base::Piece;
use forebay_link::{Conn, FRAME_BUFFER_BYTES, FrameReader, LENGTH_BYTES};
use forebay_wire::kafka::{ApiKey, RequestHeader};
use forebay_wire::{DecodeError, Decoder, Encoder, Message, Request, frame};

use crate::memory::peak_of;

/// Longest frame that the reader here accepts; inputs are short.
const FRAME_BYTES_MAX: usize = 16 * 1024;

/// What a decoded message may hold beyond the bytes it came in: that many bytes for each of them, and that many
/// more. These are the decoder's own bounds, and some room for its error.
const MEMORY_PER_BYTE: usize = 8;
const MEMORY_FREE: usize = 1024 * 1024 + 4096;

/// Reads `stream` as frames, then everything behind its first length as one request, whatever that length says:
/// else a mutation of the body would hardly ever be decoded.
pub fn check(stream: &[u8]) {
    read_frames(stream);
    if let Some(body) = stream.get(LENGTH_BYTES..) {
        read_request(&Bytes::copy_from_slice(body));
    }
}

/// A peer that sends its bytes in steps of at most `step`, then closes.
#[derive(Debug)]
struct Peer {
    left: Bytes,
    step: usize,
}

impl Conn for Peer {
    fn poll_recv(
        &mut self,
        _: &mut Context<'_>,
        buffer: &mut BytesMut,
        bytes_max: usize,
    ) -> Poll<io::Result<usize>> {
        assert!(bytes_max > 0, "an empty receive reads like a closed connection");
        let now = self.left.split_to(bytes_max.min(self.step).min(self.left.len()));
        buffer.reserve(bytes_max);
        buffer.extend_from_slice(&now);
        Poll::Ready(Ok(now.len()))
    }

    fn poll_send(&mut self, _: &mut Context<'_>, _: &mut VecDeque<Piece>) -> Poll<io::Result<usize>> {
        Poll::Pending
    }
}

/// The frames that lie whole in `stream`, by the definition of a frame, up to the first that is not acceptable.
fn frames_of(mut stream: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while let Some((length, rest)) = stream.split_first_chunk::<LENGTH_BYTES>() {
        let length = i32::from_be_bytes(*length);
        let Some(length) = usize::try_from(length).ok().filter(|length| *length <= FRAME_BYTES_MAX) else {
            break;
        };
        let Some((frame, after)) = rest.split_at_checked(length) else { break };
        frames.push(frame);
        stream = after;
    }
    frames
}

/// The reader finds the same frames whatever steps they arrive in, and holds no more than what has arrived warrants.
fn read_frames(stream: &[u8]) {
    let expected = frames_of(stream);
    let whole: usize = expected.iter().map(|frame| LENGTH_BYTES + frame.len()).sum();
    let step = stream.last().map_or(1, |last| 1 + usize::from(*last) * 17);
    let mut peer = Peer { left: Bytes::copy_from_slice(stream), step };
    let (mut reader, mut found) = (FrameReader::new(FRAME_BYTES_MAX), 0);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match reader.poll_frame(&mut context, &mut peer) {
            Poll::Ready(Ok(Some(frame))) => {
                assert_eq!(Some(&frame[..]), expected.get(found).copied(), "frame {found}");
                found += 1;
            }
            Poll::Ready(Ok(None)) => {
                assert_eq!(whole, stream.len(), "a stream that ends within a frame has no good end");
                break;
            }
            Poll::Ready(Err(error)) => {
                assert!(!error.to_string().is_empty());
                break;
            }
            Poll::Pending => panic!("the peer is never waited for"),
        }
        assert!(
            reader.held_bytes() <= 2 * (FRAME_BUFFER_BYTES + stream.len()),
            "{} held",
            reader.held_bytes()
        );
    }
    assert_eq!(found, expected.len());
}

/// Calls `$check!` with the request of every API. A new API is one new line here; without it the target fails.
macro_rules! with_requests {
    ($check:ident) => {
        $check! {
            Produce produce::ProduceRequest;
            Fetch fetch::FetchRequest;
            ListOffsets list_offsets::ListOffsetsRequest;
            Metadata metadata::MetadataRequest;
            ApiVersions api_versions::ApiVersionsRequest;
            CreateTopics create_topics::CreateTopicsRequest;
            DeleteTopics delete_topics::DeleteTopicsRequest;
            DeleteRecords delete_records::DeleteRecordsRequest;
            InitProducerId init_producer_id::InitProducerIdRequest;
            OffsetForLeaderEpoch offset_for_leader_epoch::OffsetForLeaderEpochRequest;
            DescribeConfigs describe_configs::DescribeConfigsRequest;
            CreatePartitions create_partitions::CreatePartitionsRequest;
            IncrementalAlterConfigs incremental_alter_configs::IncrementalAlterConfigsRequest;
            DescribeLogDirs describe_log_dirs::DescribeLogDirsRequest;
            DescribeCluster describe_cluster::DescribeClusterRequest;
        }
    };
}

/// As the broker reads it: the header that every request has, what its version adds, then the body.
fn read_request(bytes: &Bytes) {
    let mut decoder = Decoder::new(bytes.clone());
    let Ok(header) = RequestHeader::begin(&mut decoder) else { return };
    let Some(api) = header.api().filter(|api| api.served().contains(&header.request_api_version)) else {
        return;
    };
    if header.finish(&mut decoder).is_err() {
        return;
    }
    let body = bytes.slice(bytes.len() - decoder.remaining()..);
    macro_rules! by_api {
        ($($api:ident $module:ident::$request:ident;)+) => {
            match api {
                $(ApiKey::$api => read_body::<forebay_wire::kafka::$module::$request>(&header, &body),)+
                other => panic!("{other} is served and not fuzzed"),
            }
        };
    }
    with_requests!(by_api);
}

/// A body as a request, and, as a client reads it, as the answer to one.
fn read_body<R: Request>(header: &RequestHeader, body: &Bytes) {
    let version = header.request_api_version;
    if let Some(request) = read_message::<R>(body, version) {
        let client = header.client_id.as_deref();
        let pieces = frame::request(header.correlation_id, client, version, &request);
        let framed = joined(&pieces.expect("what was decoded can be sent"));
        let mut decoder = Decoder::new(framed.slice(LENGTH_BYTES..));
        assert_eq!(RequestHeader::decode(&mut decoder).as_ref(), Ok(header));
        assert_eq!(frames_of(&framed).len(), usize::from(framed.len() - LENGTH_BYTES <= FRAME_BYTES_MAX));
    }
    read_message::<R::Response>(body, version);
}

/// Decodes within bounds; what it decodes to can be written, and read back as it was.
fn read_message<M: Message>(body: &Bytes, version: i16) -> Option<M> {
    let (decoded, held) = peak_of(|| M::decode(&mut Decoder::new(body.clone()), version));
    let held_max = body.len() * MEMORY_PER_BYTE + MEMORY_FREE;
    assert!(held <= held_max, "{} {version} held {held} bytes to decode {}", M::API, body.len());
    let message = match decoded {
        Ok(message) => message,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return None;
        }
    };
    let mut encoder = Encoder::new();
    let written = message.encode(version, &mut encoder);
    assert_eq!(written, Ok(()), "what was decoded can be written: {message:?}");
    let again = joined(&encoder.into_pieces());
    match M::decode(&mut Decoder::new(again.clone()), version) {
        Ok(second) => assert_eq!(second, message),
        // Unknown tagged fields are gone, and with them the memory that their bytes allowed.
        Err(DecodeError::Memory(_)) if again.len() < body.len() => {}
        Err(error) => panic!("{error}, reading back {message:?}"),
    }
    Some(message)
}

fn joined(pieces: &[Piece]) -> Bytes {
    let read = |piece: &Piece| piece.read().expect("messages here are made of memory");
    pieces.iter().map(read).collect::<Vec<Bytes>>().concat().into()
}
