use bytes::Bytes;
use forebay_base::Id128;

use crate::{DecodeError, Decoder, EncodeError, Encoder, Payload, Text};

/// In which form a message is written: its version, and whether that version is flexible (KIP-482: compact
/// lengths, tagged fields).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// Version of the API.
    pub version: i16,
    /// True from the first flexible version of the API on.
    pub flexible: bool,
}

impl Form {
    /// Bytes that the length before a value takes at least; `old` is its length in the old form.
    fn prefix_len(self, old: usize) -> usize {
        if self.flexible { 1 } else { old }
    }
}

/// A type that a field of a message may have.
///
/// Depth is bounded by construction: an array holds a declared struct, and no struct holds itself.
pub trait Field: Sized {
    /// Writes the value.
    fn write(&self, encoder: &mut Encoder, form: Form) -> Result<(), EncodeError>;

    /// Reads a value.
    fn read(decoder: &mut Decoder, form: Form) -> Result<Self, DecodeError>;

    /// The fewest bytes a value takes in this form. What an array's count claims is held against it.
    fn len_min(form: Form) -> usize;
}

macro_rules! numbers {
    ($($type:ident $len:literal),*) => {$(
        impl Field for $type {
            fn write(&self, encoder: &mut Encoder, _: Form) -> Result<(), EncodeError> {
                encoder.$type(*self);
                Ok(())
            }

            fn read(decoder: &mut Decoder, _: Form) -> Result<Self, DecodeError> {
                decoder.$type()
            }

            fn len_min(_: Form) -> usize {
                $len
            }
        }
    )*};
}

numbers!(i8 1, i16 2, i32 4, i64 8, f64 8);

impl Field for bool {
    fn write(&self, encoder: &mut Encoder, _: Form) -> Result<(), EncodeError> {
        encoder.i8((*self).into());
        Ok(())
    }

    /// Any byte but 0 is true, as in Kafka.
    fn read(decoder: &mut Decoder, _: Form) -> Result<Self, DecodeError> {
        Ok(decoder.i8()? != 0)
    }

    fn len_min(_: Form) -> usize {
        1
    }
}

impl Field for Id128 {
    fn write(&self, encoder: &mut Encoder, _: Form) -> Result<(), EncodeError> {
        encoder.raw(&self.0);
        Ok(())
    }

    fn read(decoder: &mut Decoder, _: Form) -> Result<Self, DecodeError> {
        decoder.id128()
    }

    fn len_min(_: Form) -> usize {
        16
    }
}

/// Writes the length or count before a value; `None` is null. Flexible: the number plus one, null is 0.
fn write_len(
    encoder: &mut Encoder,
    form: Form,
    len: Option<u64>,
    old: impl FnOnce(&mut Encoder, Option<u64>) -> Option<()>,
) -> Result<(), EncodeError> {
    let too_long = EncodeError::TooLong(len.unwrap_or_default());
    if form.flexible {
        // Kafka reads the number back into 31 bits.
        let len =
            len.map_or(Ok(0), |len| i32::try_from(len).map(|len| len as u32 + 1)).map_err(|_| too_long)?;
        encoder.uvarint(len);
        Ok(())
    } else {
        old(encoder, len).ok_or(too_long)
    }
}

fn write_len16(encoder: &mut Encoder, form: Form, len: Option<u64>) -> Result<(), EncodeError> {
    write_len(encoder, form, len, |encoder, len| {
        encoder.i16(len.map_or(Ok(-1), i16::try_from).ok()?);
        Some(())
    })
}

fn write_len32(encoder: &mut Encoder, form: Form, len: Option<u64>) -> Result<(), EncodeError> {
    write_len(encoder, form, len, |encoder, len| {
        encoder.i32(len.map_or(Ok(-1), i32::try_from).ok()?);
        Some(())
    })
}

/// Reads what [`write_len`] wrote. Nothing is allocated on its word: what follows is checked first.
fn read_len(
    decoder: &mut Decoder,
    form: Form,
    old: impl FnOnce(&mut Decoder) -> Result<i64, DecodeError>,
) -> Result<Option<usize>, DecodeError> {
    if form.flexible {
        return Ok(decoder.uvarint()?.checked_sub(1).map(|len| len as usize));
    }
    match old(decoder)? {
        -1 => Ok(None),
        len => usize::try_from(len).map(Some).map_err(|_| DecodeError::Negative(len)),
    }
}

fn read_len16(decoder: &mut Decoder, form: Form) -> Result<Option<usize>, DecodeError> {
    read_len(decoder, form, |decoder| decoder.i16().map(i64::from))
}

fn read_len32(decoder: &mut Decoder, form: Form) -> Result<Option<usize>, DecodeError> {
    read_len(decoder, form, |decoder| decoder.i32().map(i64::from))
}

impl Field for Option<Text> {
    fn write(&self, encoder: &mut Encoder, form: Form) -> Result<(), EncodeError> {
        write_len16(encoder, form, self.as_ref().map(|text| text.as_bytes().len() as u64))?;
        if let Some(text) = self {
            encoder.raw(text.as_bytes());
        }
        Ok(())
    }

    fn read(decoder: &mut Decoder, form: Form) -> Result<Self, DecodeError> {
        match read_len16(decoder, form)? {
            Some(len) => Text::from_utf8(decoder.take(len)?).map(Some),
            None => Ok(None),
        }
    }

    fn len_min(form: Form) -> usize {
        form.prefix_len(2)
    }
}

impl Field for Option<Bytes> {
    fn write(&self, encoder: &mut Encoder, form: Form) -> Result<(), EncodeError> {
        write_len32(encoder, form, self.as_ref().map(|bytes| bytes.len() as u64))?;
        if let Some(bytes) = self {
            encoder.shared(bytes);
        }
        Ok(())
    }

    fn read(decoder: &mut Decoder, form: Form) -> Result<Self, DecodeError> {
        read_len32(decoder, form)?.map(|len| decoder.take(len)).transpose()
    }

    fn len_min(form: Form) -> usize {
        form.prefix_len(4)
    }
}

impl Field for Option<Payload> {
    fn write(&self, encoder: &mut Encoder, form: Form) -> Result<(), EncodeError> {
        write_len32(encoder, form, self.as_ref().map(Payload::len))?;
        for piece in self.iter().flat_map(Payload::pieces) {
            encoder.piece(piece);
        }
        Ok(())
    }

    fn read(decoder: &mut Decoder, form: Form) -> Result<Self, DecodeError> {
        Ok(Option::<Bytes>::read(decoder, form)?.map(Payload::from))
    }

    fn len_min(form: Form) -> usize {
        form.prefix_len(4)
    }
}

fn write_elements<T: Field>(
    elements: Option<&[T]>,
    encoder: &mut Encoder,
    form: Form,
) -> Result<(), EncodeError> {
    write_len32(encoder, form, elements.map(|elements| elements.len() as u64))?;
    elements.unwrap_or_default().iter().try_for_each(|element| element.write(encoder, form))
}

impl<T: Field> Field for Option<Vec<T>> {
    fn write(&self, encoder: &mut Encoder, form: Form) -> Result<(), EncodeError> {
        write_elements(self.as_deref(), encoder, form)
    }

    fn read(decoder: &mut Decoder, form: Form) -> Result<Self, DecodeError> {
        let Some(count) = read_len32(decoder, form)? else { return Ok(None) };
        let mut elements = decoder.elements(count, T::len_min(form))?;
        for _ in 0..count {
            elements.push(T::read(decoder, form)?);
        }
        Ok(Some(elements))
    }

    fn len_min(form: Form) -> usize {
        form.prefix_len(4)
    }
}

impl<T: Field> Field for Vec<T> {
    fn write(&self, encoder: &mut Encoder, form: Form) -> Result<(), EncodeError> {
        write_elements(Some(self), encoder, form)
    }

    fn read(decoder: &mut Decoder, form: Form) -> Result<Self, DecodeError> {
        Option::<Vec<T>>::read(decoder, form)?.ok_or(DecodeError::Null)
    }

    fn len_min(form: Form) -> usize {
        form.prefix_len(4)
    }
}

impl Field for Text {
    fn write(&self, encoder: &mut Encoder, form: Form) -> Result<(), EncodeError> {
        write_len16(encoder, form, Some(self.as_bytes().len() as u64))?;
        encoder.raw(self.as_bytes());
        Ok(())
    }

    fn read(decoder: &mut Decoder, form: Form) -> Result<Self, DecodeError> {
        Option::<Text>::read(decoder, form)?.ok_or(DecodeError::Null)
    }

    fn len_min(form: Form) -> usize {
        form.prefix_len(2)
    }
}
