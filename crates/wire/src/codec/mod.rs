//! How each type of field lies on the wire, in the old and in the flexible form (KIP-482).

mod decoder;
mod encoder;
mod error;
mod field;
mod payload;
mod text;

pub use decoder::Decoder;
pub use encoder::Encoder;
pub(crate) use encoder::Tags;
pub use error::{DecodeError, EncodeError};
pub use field::{Field, Form};
pub use payload::Payload;
pub use text::Text;
