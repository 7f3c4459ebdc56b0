use std::fmt;
use std::sync::{Mutex, PoisonError};

use forebay_base::crc32c;

/// An odd number with its bits well spread.
const MIX: u64 = 0x9E37_79B9_7F4A_7C15;

/// Everything the simulated world did, in order: a running hash, and the text if it was asked for.
///
/// Two runs of one seed must end with equal hashes; where they differ, the text shows the first difference.
#[derive(Debug, Default)]
pub struct Trace {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    hash: u64,
    events: u64,
    text: Option<String>,
}

impl Trace {
    /// A trace that keeps its text too.
    pub fn with_text() -> Self {
        Self { state: Mutex::new(State { text: Some(String::new()), ..State::default() }) }
    }

    /// Appends one event.
    pub fn event(&self, event: fmt::Arguments<'_>) {
        let line = event.to_string();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.events += 1;
        // Our own mixing of a fixed checksum: stable over builds and machines, unlike the standard library's hasher.
        state.hash = (state.hash.rotate_left(23) ^ u64::from(crc32c(line.as_bytes()))).wrapping_mul(MIX);
        if let Some(text) = &mut state.text {
            text.push_str(&line);
            text.push('\n');
        }
    }

    /// Hash of all events so far.
    pub fn hash(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).hash
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).events
    }

    /// The events, one a line; empty unless made by [`Trace::with_text`].
    pub fn text(&self) -> String {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).text.clone().unwrap_or_default()
    }
}
