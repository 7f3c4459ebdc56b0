//! A small broker in memory, behind a real loopback socket, that fails on demand.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use forebay_base::{LeaderEpoch, Offset, Piece};
use forebay_link::{Conn, FrameReader, Net, TcpNet, accept, send_all};
use forebay_records::{BatchHeader, HEADER_LEN, stamp, verify_crc};
use forebay_wire::kafka::api::SERVED;
use forebay_wire::kafka::{
    ApiKey, ErrorCode, RequestHeader, api_versions, create_topics, fetch, init_producer_id, list_offsets,
    metadata, produce,
};
use forebay_wire::{Decoder, Request, Text, frame};

/// What befalls the next Produce request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fault {
    Refuse(ErrorCode),
    /// Append nothing and close.
    CloseBefore,
    /// Append and close without an answer.
    CloseAfter,
    /// Append and never answer anything on this connection again.
    Silence,
}

enum Reply {
    Pieces(Vec<Piece>),
    Nothing,
    Close,
    Hang,
}

/// The next sequence number, and base offsets by sequence number.
type Sequences = (i32, BTreeMap<i32, i64>);

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) port: u16,
    pub(super) topics: BTreeMap<String, i32>,
    /// Batches by topic and partition.
    pub(super) logs: BTreeMap<(String, i32), Vec<Bytes>>,
    pub(super) produce_faults: VecDeque<Fault>,
    /// By producer, topic and partition.
    sequences: BTreeMap<(i64, String, i32), Sequences>,
    pub(super) old_api_versions: bool,
    /// Flip a bit in fetched batches.
    pub(super) damage: bool,
    pub(super) connections: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Fake(pub(super) Arc<Mutex<State>>);

impl Fake {
    pub(super) async fn start(topics: &[(&str, i32)]) -> (Self, String) {
        let mut listener = TcpNet.listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = listener.local_addr().unwrap();
        let topics = topics.iter().map(|(name, partitions)| ((*name).to_owned(), *partitions)).collect();
        let fake = Self(Arc::new(Mutex::new(State { port: addr.port(), topics, ..State::default() })));
        let server = fake.clone();
        tokio::spawn(async move {
            loop {
                let (conn, _) = accept(listener.as_mut()).await.unwrap();
                server.0.lock().unwrap().connections += 1;
                tokio::spawn(server.clone().serve(conn));
            }
        });
        (fake, addr.to_string())
    }

    async fn serve(self, mut conn: Box<dyn Conn>) {
        let mut frames = FrameReader::new(1 << 24);
        while let Ok(Some(body)) = frames.frame(conn.as_mut()).await {
            let answer = self.0.lock().unwrap().answer(body);
            match answer {
                Reply::Pieces(pieces) => send_all(conn.as_mut(), &mut pieces.into()).await.unwrap(),
                Reply::Nothing => {}
                Reply::Close => return,
                Reply::Hang => std::future::pending().await,
            }
        }
    }
}

fn read<R: Request>(decoder: &mut Decoder, version: i16) -> R {
    R::decode(decoder, version).unwrap()
}

impl State {
    #[allow(clippy::wildcard_enum_match_arm, reason = "what the tests do not ask for is not there")]
    fn answer(&mut self, body: Bytes) -> Reply {
        let mut decoder = Decoder::new(body);
        let header = RequestHeader::decode(&mut decoder).unwrap();
        let (id, version) = (header.correlation_id, header.request_api_version);
        macro_rules! reply {
            ($response:expr) => {
                Reply::Pieces(frame::response(id, version, &$response).unwrap())
            };
        }
        match header.api().unwrap() {
            ApiKey::ApiVersions if self.old_api_versions && version > 0 => {
                let refused = api_versions::ApiVersionsResponse {
                    error_code: ErrorCode::UnsupportedVersion.code(),
                    ..Default::default()
                };
                Reply::Pieces(frame::response(id, 0, &refused).unwrap())
            }
            ApiKey::ApiVersions => reply!(versions()),
            ApiKey::Metadata => reply!(self.metadata(&read(&mut decoder, version))),
            ApiKey::InitProducerId => reply!(init_producer_id::InitProducerIdResponse {
                producer_id: 7000,
                producer_epoch: 0,
                ..Default::default()
            }),
            ApiKey::Produce => {
                let request: produce::ProduceRequest = read(&mut decoder, version);
                let fault = self.produce_faults.pop_front();
                let response = match fault {
                    Some(Fault::CloseBefore) => return Reply::Close,
                    Some(Fault::Refuse(code)) => produced(&request, |_| (code.code(), -1)),
                    Some(Fault::CloseAfter | Fault::Silence) | None => self.produce(&request),
                };
                match fault {
                    Some(Fault::CloseAfter) => Reply::Close,
                    Some(Fault::Silence) => Reply::Hang,
                    _ if request.acks == 0 => Reply::Nothing,
                    _ => reply!(response),
                }
            }
            ApiKey::Fetch => reply!(self.fetch(&read(&mut decoder, version))),
            ApiKey::ListOffsets => reply!(self.list_offsets(&read(&mut decoder, version))),
            ApiKey::CreateTopics => reply!(self.create_topics(&read(&mut decoder, version))),
            other => panic!("the fake has no {other}"),
        }
    }

    fn metadata(&self, request: &metadata::MetadataRequest) -> metadata::MetadataResponse {
        let names: Vec<String> = match &request.topics {
            None => self.topics.keys().cloned().collect(),
            Some(topics) => topics.iter().map(|topic| topic.name.as_deref().unwrap().to_owned()).collect(),
        };
        let topics = names.iter().map(|name| {
            let count = self.topics.get(name).copied().unwrap_or(0);
            let code = if count == 0 { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::None };
            let partition = |index| metadata::MetadataResponsePartition {
                partition_index: index,
                leader_id: 1,
                replica_nodes: vec![1],
                isr_nodes: vec![1],
                ..Default::default()
            };
            metadata::MetadataResponseTopic {
                error_code: code.code(),
                name: Some(Text::from(name)),
                partitions: (0..count).map(partition).collect(),
                ..Default::default()
            }
        });
        metadata::MetadataResponse {
            brokers: vec![metadata::MetadataResponseBroker {
                node_id: 1,
                host: Text::from("127.0.0.1"),
                port: i32::from(self.port),
                ..Default::default()
            }],
            cluster_id: Some(Text::from("fake")),
            controller_id: 1,
            topics: topics.collect(),
            ..Default::default()
        }
    }

    pub(super) fn end(&self, topic: &str, partition: i32) -> i64 {
        let log = self.logs.get(&(topic.to_owned(), partition));
        log.and_then(|log| log.last()).map_or(0, |last| BatchHeader::parse(last).unwrap().next_offset().0)
    }

    fn produce(&mut self, request: &produce::ProduceRequest) -> produce::ProduceResponse {
        produced(request, |(topic, data)| self.append(topic, data.index, data.records.clone().unwrap()))
    }

    fn append(&mut self, topic: &str, partition: i32, records: Bytes) -> (i16, i64) {
        verify_crc(&records).unwrap();
        let header = BatchHeader::parse(&records).unwrap();
        let base = self.end(topic, partition);
        if header.is_idempotent() {
            let key = (header.producer_id.0, topic.to_owned(), partition);
            let (next, known) = self.sequences.entry(key).or_default();
            if let Some(offset) = known.get(&header.base_sequence) {
                return (0, *offset);
            }
            if header.base_sequence != *next {
                return (ErrorCode::OutOfOrderSequenceNumber.code(), -1);
            }
            *next += header.record_count;
            known.insert(header.base_sequence, base);
        }
        let mut stamped: [u8; HEADER_LEN] = records[..HEADER_LEN].try_into().unwrap();
        stamp(&mut stamped, Offset(base), LeaderEpoch(3));
        let mut batch = BytesMut::from(&stamped[..]);
        batch.extend_from_slice(&records[HEADER_LEN..]);
        self.logs.entry((topic.to_owned(), partition)).or_default().push(batch.freeze());
        (0, base)
    }

    fn fetch(&self, request: &fetch::FetchRequest) -> fetch::FetchResponse {
        let responses = request.topics.iter().map(|topic| fetch::FetchableTopicResponse {
            topic: topic.topic.clone(),
            partitions: topic
                .partitions
                .iter()
                .map(|partition| self.fetch_one(&topic.topic, partition))
                .collect(),
            ..Default::default()
        });
        fetch::FetchResponse { responses: responses.collect(), ..Default::default() }
    }

    fn fetch_one(&self, topic: &str, asked: &fetch::FetchPartition) -> fetch::PartitionData {
        let end = self.end(topic, asked.partition);
        let code = if asked.fetch_offset > end { ErrorCode::OffsetOutOfRange } else { ErrorCode::None };
        let mut bytes = BytesMut::new();
        for batch in self.logs.get(&(topic.to_owned(), asked.partition)).into_iter().flatten() {
            if BatchHeader::parse(batch).unwrap().next_offset().0 > asked.fetch_offset {
                bytes.extend_from_slice(batch);
            }
        }
        if self.damage
            && let Some(last) = bytes.last_mut()
        {
            *last ^= 1;
        }
        fetch::PartitionData {
            partition_index: asked.partition,
            error_code: code.code(),
            high_watermark: end,
            log_start_offset: 0,
            records: Some(bytes.freeze().into()),
            ..Default::default()
        }
    }

    fn list_offsets(&self, request: &list_offsets::ListOffsetsRequest) -> list_offsets::ListOffsetsResponse {
        let answer = |topic: &Text, asked: &list_offsets::ListOffsetsPartition| {
            list_offsets::ListOffsetsPartitionResponse {
                partition_index: asked.partition_index,
                offset: if asked.timestamp == -2 { 0 } else { self.end(topic, asked.partition_index) },
                ..Default::default()
            }
        };
        let topics = request.topics.iter().map(|topic| list_offsets::ListOffsetsTopicResponse {
            name: topic.name.clone(),
            partitions: topic.partitions.iter().map(|asked| answer(&topic.name, asked)).collect(),
        });
        list_offsets::ListOffsetsResponse { topics: topics.collect(), ..Default::default() }
    }

    fn create_topics(
        &mut self,
        request: &create_topics::CreateTopicsRequest,
    ) -> create_topics::CreateTopicsResponse {
        let mut response = create_topics::CreateTopicsResponse::default();
        for topic in &request.topics {
            let partitions = topic.num_partitions.max(1);
            let exists = self.topics.contains_key(&*topic.name);
            self.topics.entry(topic.name.to_string()).or_insert(partitions);
            response.topics.push(create_topics::CreatableTopicResult {
                name: topic.name.clone(),
                error_code: if exists { ErrorCode::TopicAlreadyExists.code() } else { 0 },
                error_message: exists.then(|| Text::from("it is there already")),
                num_partitions: partitions,
                replication_factor: 1,
                ..Default::default()
            });
        }
        response
    }
}

fn produced(
    request: &produce::ProduceRequest,
    mut outcome: impl FnMut((&str, &produce::PartitionProduceData)) -> (i16, i64),
) -> produce::ProduceResponse {
    let mut response = produce::ProduceResponse::default();
    for topic in &request.topic_data {
        let partition_responses = topic.partition_data.iter().map(|data| {
            let (error_code, base_offset) = outcome((&topic.name, data));
            produce::PartitionProduceResponse {
                index: data.index,
                error_code,
                base_offset,
                ..Default::default()
            }
        });
        response.responses.push(produce::TopicProduceResponse {
            name: topic.name.clone(),
            partition_responses: partition_responses.collect(),
        });
    }
    response
}

fn versions() -> api_versions::ApiVersionsResponse {
    let api_keys = SERVED.iter().map(|api| api_versions::ApiVersion {
        api_key: api.key.code(),
        min_version: *api.advertised.start(),
        max_version: *api.advertised.end(),
    });
    api_versions::ApiVersionsResponse { api_keys: api_keys.collect(), ..Default::default() }
}
