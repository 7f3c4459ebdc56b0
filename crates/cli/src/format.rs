use forebay_client::Record;

/// A format string, kcat's language:
///
/// ```text
/// %v value   %k key   %o offset   %p partition   %t topic   %T timestamp in ms   %h headers as name=value,...
/// %S value length (-1: null)   %K key length (-1: null)   %% a percent sign
/// \n newline   \r return   \t tab   \\ backslash   \xHH any byte
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Format(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(Vec<u8>),
    Value,
    Key,
    Offset,
    Partition,
    Topic,
    Timestamp,
    Headers,
    ValueLen,
    KeyLen,
}

impl Format {
    /// Reads a format string; the error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            let part = match character {
                '%' => token(characters.next())?,
                '\\' => Part::Literal(vec![escape(&mut characters)?]),
                plain => Part::Literal(plain.to_string().into_bytes()),
            };
            match (parts.last_mut(), part) {
                (Some(Part::Literal(before)), Part::Literal(more)) => before.extend(more),
                (_, part) => parts.push(part),
            }
        }
        Ok(Self(parts))
    }

    /// Appends `record` to `out`. A null key or value is written as `null`.
    pub(crate) fn write(&self, topic: &str, partition: i32, record: &Record, null: &[u8], out: &mut Vec<u8>) {
        let number = |out: &mut Vec<u8>, number: i64| out.extend_from_slice(number.to_string().as_bytes());
        let len = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(-1, |bytes| bytes.len() as i64);
        for part in &self.0 {
            match part {
                Part::Literal(bytes) => out.extend_from_slice(bytes),
                Part::Value => out.extend_from_slice(record.value.as_deref().unwrap_or(null)),
                Part::Key => out.extend_from_slice(record.key.as_deref().unwrap_or(null)),
                Part::Offset => number(out, record.offset.0),
                Part::Partition => number(out, i64::from(partition)),
                Part::Topic => out.extend_from_slice(topic.as_bytes()),
                Part::Timestamp => number(out, record.timestamp),
                Part::Headers => headers(record, null, out),
                Part::ValueLen => number(out, len(&record.value)),
                Part::KeyLen => number(out, len(&record.key)),
            }
        }
    }
}

fn headers(record: &Record, null: &[u8], out: &mut Vec<u8>) {
    for (position, header) in record.headers.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&header.name);
        out.push(b'=');
        out.extend_from_slice(header.value.as_deref().unwrap_or(null));
    }
}

fn token(character: Option<char>) -> Result<Part, String> {
    match character {
        Some('v' | 's') => Ok(Part::Value),
        Some('k') => Ok(Part::Key),
        Some('o') => Ok(Part::Offset),
        Some('p') => Ok(Part::Partition),
        Some('t') => Ok(Part::Topic),
        Some('T') => Ok(Part::Timestamp),
        Some('h') => Ok(Part::Headers),
        Some('S') => Ok(Part::ValueLen),
        Some('K') => Ok(Part::KeyLen),
        Some('%') => Ok(Part::Literal(b"%".to_vec())),
        Some(other) => Err(format!("%{other} means nothing; known are %v %k %o %p %t %T %h %S %K %%")),
        None => Err("a % at the end means nothing; write %% for a percent sign".to_owned()),
    }
}

fn escape(characters: &mut std::str::Chars<'_>) -> Result<u8, String> {
    match characters.next() {
        Some('n') => Ok(b'\n'),
        Some('r') => Ok(b'\r'),
        Some('t') => Ok(b'\t'),
        Some('0') => Ok(0),
        Some('\\') => Ok(b'\\'),
        Some('x') => {
            let digits: String = characters.by_ref().take(2).collect();
            let byte = if digits.len() == 2 { u8::from_str_radix(&digits, 16).ok() } else { None };
            byte.ok_or_else(|| format!("\\x{digits} is not a byte; write two hexadecimal digits"))
        }
        Some(other) => Err(format!("\\{other} means nothing; known are \\n \\r \\t \\0 \\\\ \\xHH")),
        None => Err("a \\ at the end means nothing; write \\\\ for a backslash".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use forebay_base::Offset;
    use forebay_client::RecordHeader;

    use super::*;

    fn written(format: &str, record: &Record) -> String {
        let mut out = Vec::new();
        Format::parse(format).unwrap().write("rain", 3, record, b"NULL", &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_token_is_written() {
        let mut record = Record {
            offset: Offset(42),
            timestamp: 1_700_000_000_000,
            key: Some("station".into()),
            value: Some("7 mm".into()),
            headers: vec![RecordHeader::new("a", "1"), RecordHeader { name: "a".into(), value: None }],
        };
        assert_eq!(
            written("%t/%p@%o %T %k=%v [%h] %K %S 100%%\\n", &record),
            "rain/3@42 1700000000000 station=7 mm [a=1,a=NULL] 7 4 100%\n"
        );
        (record.key, record.value) = (None, None);
        assert_eq!(written("%k\\t%s\\x2c%S%K\\\\é", &record), "NULL\tNULL,-1-1\\é");
        assert_eq!(written("", &record), "");
    }

    #[test]
    fn mistakes_are_explained() {
        for wrong in ["%", "%q", "\\", "\\q", "\\x1", "\\xzz"] {
            assert!(Format::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Format::parse("%q").unwrap_err().contains("%q means nothing"));
    }
}
