//! Cross-check against the crate `kafka-protocol`, and hostile bytes.

mod sample;

pub(crate) use sample::{Draw, Sample};
