use forebay_client::Record;
use serde::Serialize;

/// A record as data. Text is text; bytes that are not UTF-8 come as `{"base64": "..."}`.
#[derive(Debug, Serialize)]
pub(crate) struct RecordView<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    /// Milliseconds since the Unix epoch.
    timestamp: i64,
    key: Option<Blob<'a>>,
    value: Option<Blob<'a>>,
    headers: Vec<HeaderView<'a>>,
}

#[derive(Debug, Serialize)]
struct HeaderView<'a> {
    name: Blob<'a>,
    value: Option<Blob<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Blob<'a> {
    Text(&'a str),
    Binary { base64: String },
}

impl<'a> RecordView<'a> {
    /// A record of a partition.
    pub(crate) fn new(topic: &'a str, partition: i32, record: &'a Record) -> Self {
        let headers = record.headers.iter();
        Self {
            topic,
            partition,
            offset: record.offset.0,
            timestamp: record.timestamp,
            key: record.key.as_deref().map(Blob::new),
            value: record.value.as_deref().map(Blob::new),
            headers: headers
                .map(|header| HeaderView {
                    name: Blob::new(&header.name),
                    value: header.value.as_deref().map(Blob::new),
                })
                .collect(),
        }
    }
}

impl<'a> Blob<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text),
            Err(_) => Self::Binary { base64: base64(bytes) },
        }
    }
}

/// Standard base64 with padding (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0u32, |word, byte| (word << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for position in 0..4 {
            let sextet = (word >> (18 - 6 * position)) & 63;
            text.push(if position <= chunk.len() { char::from(ALPHABET[sextet as usize]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_rfc_4648s() {
        for (plain, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(plain.as_bytes()), text);
        }
    }

    #[test]
    fn bytes_that_are_not_text_are_marked() {
        assert_eq!(serde_json::to_string(&Blob::new(b"a")).unwrap(), "\"a\"");
        assert_eq!(serde_json::to_string(&Blob::new(&[0xFF])).unwrap(), "{\"base64\":\"/w==\"}");
    }
}
