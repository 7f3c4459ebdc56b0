use std::io::{self, Read, Write};

use bytes::Bytes;

use crate::{BatchError, Compression, snappy};

/// zstd frames may ask for a window of at most 2^27 bytes: what zstd's own decoder accepts by default.
const ZSTD_WINDOW_BYTES_MAX: usize = 1 << 27;

/// zstd's own default level, also that of Kafka's `compression.zstd.level`.
const ZSTD_LEVEL: i32 = 3;

/// Compresses the records of a batch. Fails only if a codec refuses its input.
///
/// Snappy is written in xerial framing and LZ4 in independent blocks without a content size: the forms that every
/// client reads.
pub fn compress(codec: Compression, plain: &[u8]) -> io::Result<Bytes> {
    match codec {
        Compression::None => Ok(Bytes::copy_from_slice(plain)),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(plain)?;
            encoder.finish().map(Bytes::from)
        }
        Compression::Snappy => snappy::compress(plain).map(Bytes::from),
        Compression::Lz4 => {
            let frame = lz4_flex::frame::FrameInfo::new()
                .block_mode(lz4_flex::frame::BlockMode::Independent)
                .block_size(lz4_flex::frame::BlockSize::Max64KB);
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(frame, Vec::new());
            encoder.write_all(plain)?;
            encoder.finish().map(Bytes::from).map_err(io::Error::other)
        }
        Compression::Zstd => zstd::bulk::compress(plain, ZSTD_LEVEL).map(Bytes::from),
    }
}

/// Decompresses the records of a batch. Stops with an error as soon as the output passes `bytes_max`, so a bomb costs
/// no more memory than that.
pub fn decompress(codec: Compression, packed: &Bytes, bytes_max: usize) -> Result<Bytes, BatchError> {
    match codec {
        Compression::None if packed.len() > bytes_max => Err(TOO_LARGE),
        Compression::None => Ok(packed.clone()),
        Compression::Snappy => snappy::decompress(packed, bytes_max).map(Bytes::from),
        Compression::Gzip | Compression::Lz4 | Compression::Zstd => {
            let mut plain = Vec::new();
            // One byte past the cap tells "just fits" from "too large".
            let read = inflating(codec, packed, ZSTD_WINDOW_BYTES_MAX)?
                .take(bytes_max as u64 + 1)
                .read_to_end(&mut plain)
                .map_err(|_| BatchError::Inflate("they are not a sound compressed stream"))?;
            if read > bytes_max { Err(TOO_LARGE) } else { Ok(plain.into()) }
        }
    }
}

/// The records of a batch, decompressed as they are read. A zstd window or a snappy block of more than
/// `window_bytes_max` is an error of the stream; gzip and LZ4 need less than 16 MiB whatever comes.
pub(crate) fn inflating<'a>(
    codec: Compression,
    packed: &'a [u8],
    window_bytes_max: usize,
) -> Result<Box<dyn Read + 'a>, BatchError> {
    Ok(match codec {
        Compression::None => Box::new(packed),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(packed)),
        Compression::Snappy => Box::new(snappy::Blocks::new(packed, window_bytes_max)),
        Compression::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(packed)),
        Compression::Zstd => {
            let no_memory = |_| BatchError::Inflate("zstd has no memory for a decoder");
            let mut decoder = zstd::stream::read::Decoder::with_buffer(packed).map_err(no_memory)?;
            decoder.window_log_max(window_bytes_max.ilog2()).map_err(no_memory)?;
            Box::new(decoder)
        }
    })
}

/// The records inflate past the cap.
pub(crate) const TOO_LARGE: BatchError =
    BatchError::Inflate("they inflate to more bytes than the server allows");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CODECS: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    #[test]
    fn a_bomb_stops_at_the_cap() {
        let bomb = vec![0u8; 8 << 20];
        for codec in CODECS {
            let packed = compress(codec, &bomb).unwrap();
            assert_eq!(decompress(codec, &packed, bomb.len()).unwrap().len(), bomb.len(), "{codec:?}");
            assert_eq!(decompress(codec, &packed, bomb.len() - 1), Err(TOO_LARGE), "{codec:?}");
            assert_eq!(decompress(codec, &packed, 10), Err(TOO_LARGE), "{codec:?}");
        }
    }

    #[test]
    fn lz4_and_zstd_carry_the_magic_numbers_of_their_frames() {
        assert_eq!(compress(Compression::Lz4, b"x").unwrap()[..4], 0x184D_2204u32.to_le_bytes());
        assert_eq!(compress(Compression::Zstd, b"x").unwrap()[..4], 0xFD2F_B528u32.to_le_bytes());
        assert_eq!(compress(Compression::Gzip, b"x").unwrap()[..2], [0x1F, 0x8B]);
    }

    proptest! {
        #[test]
        fn every_codec_returns_what_it_was_given(plain in proptest::collection::vec(any::<u8>(), 0..100_000)) {
            for codec in CODECS {
                let packed = compress(codec, &plain).unwrap();
                prop_assert_eq!(&decompress(codec, &packed, 100_000).unwrap()[..], &plain[..]);
            }
        }

        #[test]
        fn damaged_input_is_refused_or_read_but_never_panics(
            plain in proptest::collection::vec(0u8..4, 1..5_000),
            at in any::<prop::sample::Index>(), with in any::<u8>(), keep in any::<prop::sample::Index>(),
        ) {
            for codec in CODECS {
                let packed = compress(codec, &plain).unwrap();
                let mut damaged = packed.to_vec();
                let place = at.index(damaged.len());
                damaged[place] = with;
                damaged.truncate(keep.index(damaged.len()) + 1);
                let _ = decompress(codec, &damaged.into(), 10_000);
                let _ = decompress(codec, &packed.slice(..keep.index(packed.len())), 10_000);
            }
        }
    }
}
