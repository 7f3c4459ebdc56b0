use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::content::Content;
use super::survivors::Chooser;

/// One file, whatever its names are. It takes up space while it has a name or an open handle.
#[derive(Debug)]
pub(super) struct FileCell {
    /// Identity on this disk; kept over a restart.
    pub(super) number: u64,
    pub(super) locked: AtomicBool,
    state: Mutex<State>,
    used: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct State {
    content: Content,
    /// Names and open handles.
    holders: u32,
    /// How often the device failed to write what was in the cache.
    write_errors: u64,
}

impl State {
    fn charge(&self) -> u64 {
        if self.holders == 0 { 0 } else { self.content.charge() }
    }
}

impl FileCell {
    pub(super) fn new(number: u64, used: Arc<AtomicU64>) -> Arc<Self> {
        Arc::new(Self { number, locked: AtomicBool::new(false), state: Mutex::default(), used })
    }

    /// Works on the contents, keeping the disk's account of used space.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Content) -> T) -> T {
        self.account(|state| work(&mut state.content))
    }

    pub(super) fn hold(&self) {
        self.account(|state| state.holders += 1);
    }

    pub(super) fn release(&self) {
        self.account(|state| state.holders = state.holders.saturating_sub(1));
    }

    /// How often the device failed to write what was in the cache: each open handle is told once of the newest time.
    pub(super) fn write_errors(&self) -> u64 {
        self.account(|state| state.write_errors)
    }

    /// The device fails to write what is in the cache; false if it holds all of it already.
    pub(super) fn fail_write_back(&self) -> bool {
        self.account(|state| {
            let lost = state.content.lose_dirty();
            state.write_errors += u64::from(lost);
            lost
        })
    }

    fn account<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.charge();
        let result = work(&mut state);
        self.used.fetch_add(state.charge().wrapping_sub(before), Ordering::Relaxed);
        result
    }

    pub(super) fn survive(&self, chooser: &mut Chooser, used: Arc<AtomicU64>) -> Arc<Self> {
        chooser.group();
        let content = self.with(|content| content.survive(chooser));
        let state = Mutex::new(State { content, ..State::default() });
        Arc::new(Self { number: self.number, locked: AtomicBool::new(false), state, used })
    }
}
