//! Bytes to messages and back: the Kafka protocol.
//!
//! ```text
//!            frame (Bytes, shared)                        pieces (Vec<Piece>, uncopied)
//!                    │                                              ▲
//!   header::peek ◄───┤ any key, any version                         │ frame::{request, response}
//!                    ▼                                              │
//!                 Decoder ──── Message::decode ──► struct ──── Message::encode ──── Encoder
//!               checks every                         ▲              small bytes merged,
//!             count and length            declared ONCE with        large ones passed on
//!            before it allocates           `messages!` (declare)
//! ```
//!
//! - [`kafka`]: one module per API with its messages, the table of APIs and versions ([`kafka::api`]), headers
//!   and error codes.
//! - `declare`: the macro that turns one declaration of a message into its struct, `Default`, encoder and
//!   decoder for every version.
//! - `codec`: how each type of field lies on the wire.
//! - [`frame`]: the length prefix, and whole requests and responses ready to be sent.
//!
//! Pure: no sockets, clocks, threads or randomness. It never looks inside record batches: the records of a
//! Produce request are one shared slice of its frame, those of a Fetch response are [`Piece`]s that are handed
//! on as they are.
//!
//! [`Piece`]: forebay_base::Piece

#[macro_use]
mod declare;

mod codec;
pub mod frame;
pub mod kafka;
mod message;

#[cfg(test)]
mod tests;

pub use codec::{DecodeError, Decoder, EncodeError, Encoder, Field, Form, Payload, Text};
pub use message::{Message, Request};
