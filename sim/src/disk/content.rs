use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::survivors::Chooser;

/// What a device writes as a whole or not at all, in bytes.
pub(super) const SECTOR: u64 = 512;

/// Space is given out in blocks of this many bytes.
const BLOCK: u64 = 4096;

type Sector = Arc<[u8; SECTOR as usize]>;

/// Contents of one file: what programs see (`cache`), what the device holds, and the states in between that a
/// power cut may leave behind. Sectors that are nowhere read as zeros.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    cache: BTreeMap<u64, Sector>,
    len: u64,
    device: BTreeMap<u64, Sector>,
    device_len: u64,
    /// States each sector went through since it was last known to be on the device, oldest first.
    dirty: BTreeMap<u64, Vec<Sector>>,
    /// Lengths since the last durable one, oldest first.
    lens: Vec<u64>,
    /// End of the space reserved by [`Content::allocate`].
    reserved: u64,
}

fn zeros() -> Sector {
    Arc::new([0; SECTOR as usize])
}

fn sectors(at: u64, len: u64) -> std::ops::Range<u64> {
    if len == 0 { 0..0 } else { at / SECTOR..(at + len).div_ceil(SECTOR) }
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Bytes of space that the file takes up.
    pub(super) fn charge(&self) -> u64 {
        self.len.max(self.reserved).next_multiple_of(BLOCK)
    }

    /// Bytes of space that it would take up if it were `end` bytes long.
    pub(super) fn charge_to(&self, end: u64) -> u64 {
        self.charge().max(end.next_multiple_of(BLOCK))
    }

    pub(super) fn read(&mut self, at: u64, buf: &mut [u8]) -> usize {
        let wanted = (buf.len() as u64).min(self.len.saturating_sub(at));
        for number in sectors(at, wanted) {
            let sector = self.load(number);
            let (from, upto) = ((number * SECTOR).max(at), ((number + 1) * SECTOR).min(at + wanted));
            let source = (from % SECTOR) as usize..(from % SECTOR) as usize + (upto - from) as usize;
            buf[(from - at) as usize..(upto - at) as usize].copy_from_slice(&sector[source]);
        }
        wanted as usize
    }

    /// The sector as programs see it; afterwards it is cached.
    fn load(&mut self, number: u64) -> Sector {
        let device = &self.device;
        self.cache.entry(number).or_insert_with(|| device.get(&number).cloned().unwrap_or_else(zeros)).clone()
    }

    pub(super) fn write(&mut self, at: u64, bytes: &[u8]) {
        let len = bytes.len() as u64;
        for number in sectors(at, len) {
            let mut sector = *self.load(number);
            let (from, upto) = ((number * SECTOR).max(at), ((number + 1) * SECTOR).min(at + len));
            let target = (from % SECTOR) as usize..(from % SECTOR) as usize + (upto - from) as usize;
            sector[target].copy_from_slice(&bytes[(from - at) as usize..(upto - at) as usize]);
            self.put(number, Arc::new(sector));
        }
        if at + len > self.len && len > 0 {
            self.set_len(at + len);
        }
    }

    fn put(&mut self, number: u64, sector: Sector) {
        self.cache.insert(number, sector.clone());
        self.dirty.entry(number).or_default().push(sector);
    }

    fn set_len(&mut self, len: u64) {
        self.len = len;
        self.lens.push(len);
    }

    pub(super) fn truncate(&mut self, len: u64) {
        if len < self.len {
            self.reserved = self.reserved.min(len);
            // What is cut off reads as zeros if the file grows again, so it becomes zeros here. Until a sync the
            // old bytes are among the states that may come back.
            let first_whole = len.div_ceil(SECTOR);
            let gone: Vec<u64> = [&self.device, &self.cache]
                .into_iter()
                .flat_map(|map| map.range(first_whole..).map(|(number, _)| *number))
                .chain(self.dirty.range(first_whole..).map(|(number, _)| *number))
                .collect::<BTreeSet<u64>>()
                .into_iter()
                .collect();
            for number in gone {
                self.put(number, zeros());
            }
            if !len.is_multiple_of(SECTOR) {
                let mut sector = *self.load(len / SECTOR);
                sector[(len % SECTOR) as usize..].fill(0);
                self.put(len / SECTOR, Arc::new(sector));
            }
        }
        if len != self.len {
            self.set_len(len);
        }
    }

    pub(super) fn allocate(&mut self, at: u64, len: u64) {
        self.reserved = self.reserved.max(at + len);
        if at + len > self.len {
            self.set_len(at + len);
        }
    }

    /// Everything reaches the device.
    pub(super) fn sync(&mut self) {
        for (number, states) in std::mem::take(&mut self.dirty) {
            if let Some(newest) = states.last() {
                self.device.insert(number, newest.clone());
            }
        }
        self.lens.clear();
        self.device_len = self.len;
        drop(self.device.split_off(&self.len.div_ceil(SECTOR)));
    }

    /// A failed write-back as Linux has it: the pages are marked clean and go on showing the new bytes, the device
    /// keeps the old ones, and the next sync finds nothing to do. False if no page was dirty.
    pub(super) fn lose_dirty(&mut self) -> bool {
        !std::mem::take(&mut self.dirty).is_empty()
    }

    pub(super) fn is_cached(&self, at: u64, len: u64) -> bool {
        sectors(at, len.min(self.len.saturating_sub(at))).all(|number| self.cache.contains_key(&number))
    }

    /// Forgets the clean sectors, so that they are read from the device again.
    pub(super) fn drop_cache(&mut self) {
        let dirty = &self.dirty;
        self.cache.retain(|number, _| dirty.contains_key(number));
    }

    /// Turns one bit around, on the device and in every later state.
    pub(super) fn flip_bit(&mut self, at: u64) {
        let number = at / SECTOR;
        let states = self.dirty.get_mut(&number).into_iter().flatten();
        for sector in
            self.device.get_mut(&number).into_iter().chain(self.cache.get_mut(&number)).chain(states)
        {
            Arc::make_mut(sector)[(at % SECTOR) as usize] ^= 1;
        }
    }

    /// What the device holds after a power cut; nothing of it is cached.
    pub(super) fn survive(&self, chooser: &mut Chooser) -> Content {
        let mut after =
            Content { device: self.device.clone(), reserved: self.reserved, ..Content::default() };
        after.device_len = match self.lens.len() {
            0 => self.device_len,
            changes => match chooser.pick(changes + 1) {
                0 => self.device_len,
                state => self.lens[state - 1],
            },
        };
        for (number, states) in &self.dirty {
            match chooser.pick(states.len() + 1) {
                0 => {}
                state => drop(after.device.insert(*number, states[state - 1].clone())),
            }
        }
        after.len = after.device_len;
        drop(after.device.split_off(&after.len.div_ceil(SECTOR)));
        if let Some(last) = after.device.get_mut(&(after.len / SECTOR)) {
            Arc::make_mut(last)[(after.len % SECTOR) as usize..].fill(0);
        }
        after
    }
}
