use forebay_base::{Rng, SeededRng};

/// Which of the changes that no sync has made durable outlive a power cut.
///
/// One *item* is one unsynced sector, one unsynced file length or one unsynced directory operation. A sector or
/// length that changed several times since its sync may come back in any of its states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survivors {
    /// Only what was synced.
    Nothing,
    /// All of it, as if the cut had come after a full write-back.
    Everything,
    /// All but the item of this number.
    AllBut(usize),
    /// None but the item of this number.
    Only(usize),
    /// Any subset, drawn from this seed.
    Random(u64),
}

/// Walks the items in a fixed order and says for each which of its states survived.
#[derive(Debug)]
pub(super) struct Chooser {
    survivors: Survivors,
    rng: SeededRng,
    /// Chance, in quarters, that an item of the current group survives in its newest state.
    quarters: u64,
    items: usize,
}

impl Chooser {
    pub(super) fn new(survivors: Survivors) -> Self {
        let seed = match survivors {
            Survivors::Random(seed) => seed,
            Survivors::Nothing | Survivors::Everything | Survivors::AllBut(_) | Survivors::Only(_) => 0,
        };
        Self { survivors, rng: SeededRng::new(seed), quarters: 2, items: 0 }
    }

    /// Starts a file or a directory. Real caches lose some files wholly and keep others wholly, so each group has
    /// a bias of its own; unbiased coins alone would almost never show those disks.
    pub(super) fn group(&mut self) {
        self.quarters = self.rng.next_u64() % 5;
    }

    /// Chooses among `states` states of the next item, the oldest (durable) first.
    pub(super) fn pick(&mut self, states: usize) -> usize {
        let (item, newest) = (self.items, states.saturating_sub(1));
        self.items += 1;
        match self.survivors {
            Survivors::Nothing => 0,
            Survivors::Everything => newest,
            Survivors::AllBut(lost) => {
                if item == lost {
                    0
                } else {
                    newest
                }
            }
            Survivors::Only(kept) => {
                if item == kept {
                    newest
                } else {
                    0
                }
            }
            Survivors::Random(_) => {
                if self.rng.next_u64() % 4 < self.quarters || newest == 0 {
                    newest
                } else {
                    (self.rng.next_u64() % newest as u64) as usize
                }
            }
        }
    }

    /// How many items were chosen so far.
    pub(super) fn items(&self) -> usize {
        self.items
    }
}
