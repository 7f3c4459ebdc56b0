//! Our bytes mean to `kafka-protocol` what they mean to us, and the other way round.

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::{Decodable, Encodable};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::{Draw, Sample, encoded, for_each_api, joined};
use crate::kafka::ApiKey;
use crate::{Decoder, Encoder, Message};

fn agree<Ours: Message + Sample, Theirs: Decodable + Encodable + Debug>() {
    let (first, last) = (*Ours::VERSIONS.start(), *Ours::VERSIONS.end());
    let config = ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() };
    for version in first..=last {
        let outcome = TestRunner::new(config.clone()).run(&any::<u64>(), |seed| {
            agree_on::<Ours, Theirs>(seed, version);
            Ok(())
        });
        if let Err(difference) = outcome {
            panic!("{} {version}: {difference}", std::any::type_name::<Ours>());
        }
    }
}

/// ours -> bytes -> theirs -> the same bytes -> ours again, the same value, the same bytes.
fn agree_on<Ours: Message + Sample, Theirs: Decodable + Encodable + Debug>(seed: u64, version: i16) {
    let form = Ours::form(version).unwrap();
    let message = Ours::sample(&mut Draw::new(seed), form);
    let bytes = encoded(&message, version);

    let mut unread = bytes.clone();
    let theirs = Theirs::decode(&mut unread, version).unwrap();
    assert!(unread.is_empty(), "{} bytes they do not read of {message:?}", unread.len());
    let mut buffer = BytesMut::new();
    theirs.encode(&mut buffer, version).unwrap();
    let their_bytes: Bytes = buffer.freeze();
    assert_eq!(their_bytes, bytes, "they read {theirs:?}");

    let again = Ours::decode(&mut Decoder::new(their_bytes), version).unwrap();
    assert_eq!(again, message);
    assert_eq!(encoded(&again, version), bytes);
}

/// A request read in one version and written in every other: where both can, the same bytes, so the defaults of
/// fields that one version lacks are the same; what they refuse to lose, we refuse to lose.
fn moves_as_theirs<Ours: Message + Sample, Theirs: Decodable + Encodable + Debug>() {
    for from in Ours::VERSIONS {
        for seed in 0..32 {
            let message = Ours::sample(&mut Draw::new(seed), Ours::form(from).unwrap());
            let theirs = Theirs::decode(&mut encoded(&message, from), from).unwrap();
            for to in Ours::VERSIONS {
                let (mut encoder, mut buffer) = (Encoder::new(), BytesMut::new());
                match (message.encode(to, &mut encoder), theirs.encode(&mut buffer, to)) {
                    (Ok(()), Ok(())) => assert_eq!(joined(&encoder.into_pieces()), buffer, "{message:?}"),
                    (Ok(()), Err(error)) => panic!("{from} to {to}: they refuse {message:?}: {error}"),
                    (Err(_), _) => {}
                }
            }
        }
    }
}

fn same_default<Ours: Message, Theirs: Decodable + Default + PartialEq + Debug>() {
    // Their transactional id is "" by default, which no broker accepts; ours is null.
    if Ours::API == ApiKey::InitProducerId {
        return;
    }
    for version in Ours::VERSIONS {
        assert_eq!(
            Theirs::decode(&mut encoded(&Ours::default(), version), version).unwrap(),
            Theirs::default()
        );
    }
}

macro_rules! tests {
    ($($module:ident $request:ident $response:ident;)+) => {
        $(
            mod $module {
                use crate::kafka::$module as ours;
                use kafka_protocol::messages as theirs;

                #[test]
                fn request() {
                    super::agree::<ours::$request, theirs::$request>();
                    super::same_default::<ours::$request, theirs::$request>();
                    super::moves_as_theirs::<ours::$request, theirs::$request>();
                }

                #[test]
                fn response() {
                    super::agree::<ours::$response, theirs::$response>();
                    super::same_default::<ours::$response, theirs::$response>();
                }
            }
        )+

        #[test]
        fn every_api_served_is_checked_and_flexible_where_theirs_is() {
            use kafka_protocol::protocol::HeaderVersion;

            let mut checked = Vec::new();
            $(
                let key = <crate::kafka::$module::$request as Message>::API;
                assert_eq!(key, <crate::kafka::$module::$response as Message>::API);
                checked.push(key);
                for version in key.served() {
                    let header = crate::kafka::RequestHeader {
                        request_api_key: key.code(),
                        request_api_version: version,
                        ..Default::default()
                    };
                    let theirs = kafka_protocol::messages::$request::header_version(version);
                    assert_eq!(theirs == 2, header.is_flexible(), "{key} {version}");
                    let theirs = kafka_protocol::messages::$response::header_version(version);
                    let ours = crate::kafka::header::ResponseHeader::is_flexible(key, version);
                    assert_eq!(theirs == 1, ours, "{key} {version}");
                }
            )+
            checked.sort();
            assert_eq!(checked, crate::kafka::api::SERVED.iter().map(|api| api.key).collect::<Vec<ApiKey>>());
        }
    };
}

for_each_api!(tests);
