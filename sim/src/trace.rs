use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Everything the simulated world did, in order: a running hash, and the text if it was asked for.
///
/// Two runs of one seed must end with equal hashes; where they differ, the text shows the first difference.
#[derive(Debug, Default)]
pub struct Trace {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    hash: u64,
    events: u64,
    text: Option<String>,
}

impl Default for State {
    fn default() -> Self {
        Self { hash: 0xCBF2_9CE4_8422_2325, events: 0, text: None }
    }
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
        // FNV-1a: stable over builds and machines, unlike the standard library's hasher.
        state.hash = line
            .bytes()
            .chain([b'\n'])
            .fold(state.hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3));
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
