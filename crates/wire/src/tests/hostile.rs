//! Bytes that are not what they should be: an error or another message, never a panic, never an allocation that
//! the length of the message does not warrant.

use bytes::Bytes;

use super::{Draw, Sample, encoded, for_each_api};
use crate::kafka::fetch::FetchResponse;
use crate::kafka::header::{RequestHeader, ResponseHeader};
use crate::{DecodeError, Decoder, Message, frame};

/// Mutations of every message in every version.
const ROUNDS: usize = 400;

/// Counts and lengths that nobody means, in the old and in the flexible form.
const HUGE: &[&[u8]] = &[
    &[0x7F, 0xFF, 0xFF, 0xFF],
    &[0x80, 0x00, 0x00, 0x00],
    &[0xFF, 0xFF, 0xFF, 0xFE],
    &[0x7F, 0xFF],
    &[0x80, 0x00],
    &[0xFF, 0xFF, 0xFF, 0xFF, 0x0F],
    &[0xFF, 0xFF, 0xFF, 0xFF, 0x07],
    &[0xFF; 12],
];

fn mutated(draw: &mut Draw, bytes: &[u8]) -> Bytes {
    let mut bytes = bytes.to_vec();
    for _ in 0..=draw.below(3) {
        let at = draw.below(bytes.len() + 1);
        match draw.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, draw.bits() as u8),
            2 if at < bytes.len() => bytes[at] ^= 1 << draw.below(8),
            3 if at < bytes.len() => bytes[at] = draw.bits() as u8,
            4 => drop(bytes.splice(at..at, (0..draw.below(9)).map(|_| draw.bits() as u8))),
            _ => {
                let huge = HUGE[draw.below(HUGE.len())];
                let end = bytes.len().min(at + huge.len());
                drop(bytes.splice(at..end, huge.iter().copied()));
            }
        }
    }
    bytes.into()
}

/// Whatever is decoded from mutated bytes is a message: it can be written, and read back as it was.
fn survives<M: Message + Sample>() {
    for version in M::VERSIONS {
        let form = M::form(version).unwrap();
        let mut draw = Draw::new(version as u64);
        for _ in 0..ROUNDS {
            let sound = encoded(&M::sample(&mut draw, form), version);
            let bytes = mutated(&mut draw, &sound);
            if let Ok(message) = M::decode(&mut Decoder::new(bytes), version) {
                let again = M::decode(&mut Decoder::new(encoded(&message, version)), version);
                assert_eq!(again.as_ref(), Ok(&message));
            }
        }
    }
}

/// Every prefix of a message is an error, and so is every message with a byte too many.
fn ends_where_it_should<M: Message + Sample>() {
    for version in M::VERSIONS {
        let form = M::form(version).unwrap();
        let sound = encoded(&M::sample(&mut Draw::new(7), form), version);
        for end in 0..sound.len() {
            assert!(
                M::decode(&mut Decoder::new(sound.slice(..end)), version).is_err(),
                "{version} cut at {end}"
            );
        }
        let longer: Bytes = sound.iter().copied().chain([0]).collect();
        assert_eq!(M::decode(&mut Decoder::new(longer), version), Err(DecodeError::Trailing(1)));
    }
}

/// Overwrites each position of a message with each huge count: were one believed, the process would be aborted.
fn believes_no_count<M: Message + Sample>() {
    for version in M::VERSIONS {
        let form = M::form(version).unwrap();
        let sound = encoded(&M::sample(&mut Draw::new(11), form), version);
        for at in 0..sound.len().min(400) {
            for huge in HUGE {
                let mut bytes = sound.to_vec();
                let end = bytes.len().min(at + huge.len());
                drop(bytes.splice(at..end, huge.iter().copied()));
                drop(M::decode(&mut Decoder::new(bytes.into()), version));
            }
        }
    }
}

#[test]
fn headers_of_any_bytes() {
    let mut draw = Draw::new(1);
    for _ in 0..10_000 {
        let mut frame =
            [0, draw.below(70) as u8, 0, draw.below(14) as u8, 1, 2, 3, 4, 0, 1, b'c', 0].to_vec();
        if draw.below(2) == 0 {
            frame[8] = 0xFF;
        }
        let frame = mutated(&mut draw, &frame);
        let begun = RequestHeader::begin(&mut Decoder::new(frame.clone()));
        let decoded = RequestHeader::decode(&mut Decoder::new(frame.clone()));
        assert!(decoded.is_err() || decoded == begun);
        drop(ResponseHeader::peek(&frame));
        drop(frame::open_response::<FetchResponse>(frame, 12));
    }
}

macro_rules! tests {
    ($($module:ident $request:ident $response:ident;)+) => {$(
        mod $module {
            use crate::kafka::$module::{$request, $response};

            #[test]
            fn mutations() {
                super::survives::<$request>();
                super::survives::<$response>();
            }

            #[test]
            fn ends() {
                super::ends_where_it_should::<$request>();
                super::ends_where_it_should::<$response>();
            }

            #[test]
            fn counts() {
                super::believes_no_count::<$request>();
                super::believes_no_count::<$response>();
            }
        }
    )+};
}

for_each_api!(tests);
