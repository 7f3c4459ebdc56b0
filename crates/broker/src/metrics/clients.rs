use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::lock;

/// Different pairs of client name and version that are counted; all further ones are counted as "other".
pub(super) const CLIENT_SOFTWARE_MAX: usize = 64;

/// Longest text from a client that is kept, in bytes.
pub(crate) const CLIENT_TEXT_BYTES_MAX: usize = 64;

/// What software a client says it is (KIP-511), each text cut to [`CLIENT_TEXT_BYTES_MAX`].
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Software {
    pub(crate) name: Box<str>,
    pub(crate) version: Box<str>,
}

impl Software {
    fn other() -> Self {
        Self { name: "other".into(), version: "other".into() }
    }
}

/// Connections of one software.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct ClientCounts {
    /// Those that told it, ever.
    pub(super) told: u64,
    /// Those of them that are open.
    pub(super) open: u64,
}

/// Connections by the software of their clients. A pair that is counted stays, so that one that was not is always
/// among the others.
#[derive(Debug, Default)]
pub(super) struct Clients(Mutex<BTreeMap<Arc<Software>, ClientCounts>>);

impl Clients {
    /// A connection has told its client's software: counts it, and gives the texts, shared where they can be.
    pub(super) fn seen(&self, name: &str, version: &str) -> Arc<Software> {
        let mut told = Arc::new(Software { name: cut(name), version: cut(version) });
        let mut clients = lock(&self.0);
        if let Some((known, _)) = clients.get_key_value(&told) {
            told = known.clone();
        }
        let room = clients.len() < CLIENT_SOFTWARE_MAX || clients.contains_key(&told);
        let key = if room { told.clone() } else { Arc::new(Software::other()) };
        let counts = clients.entry(key).or_default();
        (counts.told, counts.open) = (counts.told + 1, counts.open + 1);
        told
    }

    /// A connection that has told is closed.
    pub(super) fn gone(&self, told: &Software) {
        let mut clients = lock(&self.0);
        let counts = match clients.get_mut(told) {
            Some(counts) => Some(counts),
            None => clients.get_mut(&Software::other()),
        };
        if let Some(counts) = counts {
            counts.open = counts.open.saturating_sub(1);
        }
    }

    /// All that is counted.
    pub(super) fn counts(&self) -> Vec<(Arc<Software>, ClientCounts)> {
        lock(&self.0).iter().map(|(software, counts)| (software.clone(), *counts)).collect()
    }
}

/// The first bytes of a text from a client, never cut inside a character.
pub(crate) fn cut(text: &str) -> Box<str> {
    text[..text.floor_char_boundary(CLIENT_TEXT_BYTES_MAX)].into()
}
