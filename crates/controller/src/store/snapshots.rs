use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use forebay_base::{Crc32c, Reader, Short, Writer, crc32c};
use forebay_log::{Disk, File, Open};

use super::EntryId;
use super::error::{StoreError, corrupt, io_error};
use super::state::{read_full, write_full};

/// What a snapshot stands for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SnapshotMeta {
    /// The last entry it contains.
    pub last: Option<EntryId>,
    /// The members of the quorum at that entry, as their owner writes them.
    pub membership: Bytes,
}

/// The files, by slot.
const NAMES: [&str; 2] = ["snapshot.0", "snapshot.1"];
const MAGIC: &[u8; 4] = b"FBRN";
const VERSION: u16 = 1;
const HEADER_LEN: usize = 512;
const BODY_AT: u64 = 4096;

/// Two reserved files that hold the newest snapshot and the one before.
#[derive(Debug)]
pub struct SnapshotStore {
    slots: [Slot; 2],
    /// The slot with the newest sound snapshot.
    newest: Option<usize>,
    failed: Option<String>,
}

#[derive(Debug)]
struct Slot {
    file: Arc<dyn File>,
    path: PathBuf,
    reserved: u64,
    header: Option<Header>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    sequence: u64,
    last: Option<EntryId>,
    membership_len: u32,
    data_len: u64,
    body_sum: u32,
}

impl SnapshotStore {
    /// Opens the two files in `dir`, which exists, making and reserving `bytes` each for what is missing.
    pub fn open(disk: &dyn Disk, dir: &Path, bytes: u64) -> Result<Self, StoreError> {
        let [first, second] = NAMES;
        let slots = [open_slot(disk, dir, first, bytes)?, open_slot(disk, dir, second, bytes)?];
        disk.sync_dir(dir).map_err(io_error("syncing", dir))?;
        Ok(Self::found(slots))
    }

    /// The newest snapshot in `dir`, if there is one, with nothing written.
    pub(super) fn look(disk: &dyn Disk, dir: &Path) -> Result<Option<(SnapshotMeta, Bytes)>, StoreError> {
        let [first, second] = NAMES;
        Self::found([look_at_slot(disk, dir, first)?, look_at_slot(disk, dir, second)?]).read()
    }

    fn found(slots: [Slot; 2]) -> Self {
        let sequence = |slot: usize| slots[slot].header.map_or(0, |header| header.sequence);
        let newest = match (sequence(0), sequence(1)) {
            (0, 0) => None,
            (first, second) => Some(usize::from(second > first)),
        };
        Self { slots, newest, failed: None }
    }

    /// What the newest snapshot stands for, and its data; `None` if there is none.
    pub fn read(&self) -> Result<Option<(SnapshotMeta, Bytes)>, StoreError> {
        self.must_be_sound()?;
        let Some(slot) = self.newest.map(|newest| &self.slots[newest]) else { return Ok(None) };
        let Some(header) = slot.header else { return Ok(None) };
        let mut body =
            slot.read_body(&header)?.ok_or_else(|| corrupt(&slot.path, "its checksum does not match"))?;
        let membership = body.split_to(header.membership_len as usize);
        Ok(Some((SnapshotMeta { last: header.last, membership }, body)))
    }

    /// The last entry in the newest snapshot.
    pub fn last(&self) -> Option<EntryId> {
        self.newest.and_then(|newest| self.slots[newest].header)?.last
    }

    /// Writes a snapshot; durable and the newest when this returns `Ok`. After an error the one before is still the
    /// newest.
    ///
    /// One that stands for less than the newest is not written: a slow builder must not take away what an installed
    /// snapshot brought, whose entries are purged already.
    pub fn save(&mut self, meta: &SnapshotMeta, data: &[u8]) -> Result<(), StoreError> {
        self.must_be_sound()?;
        if meta.last < self.last() {
            return Ok(());
        }
        let sequence =
            self.newest.and_then(|newest| self.slots[newest].header).map_or(1, |header| header.sequence + 1);
        let target = self.newest.map_or(0, |newest| 1 - newest);
        let slot = &mut self.slots[target];
        let mut sum = Crc32c::default();
        sum.update(&meta.membership);
        sum.update(data);
        let header = Header {
            sequence,
            last: meta.last,
            membership_len: meta.membership.len() as u32,
            data_len: data.len() as u64,
            body_sum: sum.finish(),
        };
        slot.header = None;
        slot.write(&header, &meta.membership, data)?;
        slot.header = Some(header);
        self.newest = Some(target);
        Ok(())
    }

    /// Ends this store: every later call fails with `reason`. For when another one takes over the files.
    pub fn fence(&mut self, reason: &str) {
        self.failed.get_or_insert_with(|| reason.to_owned());
    }

    fn must_be_sound(&self) -> Result<(), StoreError> {
        match &self.failed {
            None => Ok(()),
            Some(reason) => Err(StoreError::Failed(reason.clone())),
        }
    }
}

impl Slot {
    fn write(&mut self, header: &Header, membership: &[u8], data: &[u8]) -> Result<(), StoreError> {
        let wanted = BODY_AT + membership.len() as u64 + data.len() as u64;
        if wanted > self.reserved {
            let more = wanted - self.reserved;
            self.file
                .allocate(self.reserved, more)
                .map_err(io_error("reserving more space for", &self.path))?;
            self.reserved = wanted;
        }
        let write =
            |at, bytes| write_full(self.file.as_ref(), at, bytes).map_err(io_error("writing", &self.path));
        write(BODY_AT, membership)?;
        write(BODY_AT + membership.len() as u64, data)?;
        // One sync for both: a header without its body counts as a snapshot that was never finished.
        write(0, &header.encode())?;
        self.file.sync().map_err(io_error("syncing", &self.path))
    }

    /// The sound body that `header` describes; `None` if the file holds another.
    fn read_body(&self, header: &Header) -> Result<Option<Bytes>, StoreError> {
        let len = u64::from(header.membership_len).saturating_add(header.data_len);
        let file_len = self.file.len().map_err(io_error("measuring", &self.path))?;
        if len > file_len.saturating_sub(BODY_AT) {
            return Ok(None);
        }
        let mut body = vec![0; len as usize];
        read_full(self.file.as_ref(), BODY_AT, &mut body).map_err(io_error("reading", &self.path))?;
        Ok((crc32c(&body) == header.body_sum).then(|| body.into()))
    }
}

fn open_slot(disk: &dyn Disk, dir: &Path, name: &str, bytes: u64) -> Result<Slot, StoreError> {
    let path = dir.join(name);
    let file = disk.open(&path, Open::CreateOrWrite).map_err(io_error("opening", &path))?;
    let wanted = BODY_AT + bytes;
    let len = file.len().map_err(io_error("measuring", &path))?;
    if len < wanted {
        file.allocate(0, wanted).map_err(io_error("reserving space for", &path))?;
    }
    // A header left in the cache by a killed process is believed below, so it must be durable; one left there by a
    // failed sync is not on the disk and must not be seen.
    file.drop_cache().map_err(io_error("dropping the cache of", &path))?;
    file.sync().map_err(io_error("syncing", &path))?;
    read_slot(file, path, len.max(wanted))
}

fn look_at_slot(disk: &dyn Disk, dir: &Path, name: &str) -> Result<Slot, StoreError> {
    let path = dir.join(name);
    let file = disk.open(&path, Open::Read).map_err(io_error("opening", &path))?;
    file.drop_cache().map_err(io_error("dropping the cache of", &path))?;
    let len = file.len().map_err(io_error("measuring", &path))?;
    read_slot(file, path, len)
}

fn read_slot(file: Arc<dyn File>, path: PathBuf, reserved: u64) -> Result<Slot, StoreError> {
    let mut raw = [0; HEADER_LEN];
    read_full(file.as_ref(), 0, &mut raw).map_err(io_error("reading", &path))?;
    let mut slot = Slot { file, path, reserved, header: None };
    match Header::decode(&raw) {
        Err(Short) => {}
        Ok(Err(version)) => return Err(StoreError::Newer { path: slot.path, version }),
        // A body that does not match is one that was being replaced: the other slot is the newest.
        Ok(Ok(header)) => slot.header = slot.read_body(&header)?.map(|_| header),
    }
    Ok(slot)
}

impl Header {
    fn encode(&self) -> Vec<u8> {
        let last = self.last.unwrap_or_default();
        let mut out = Writer::new();
        out.raw(MAGIC);
        out.u16(VERSION);
        out.u8(u8::from(self.last.is_some()));
        out.u8(0);
        out.u64(self.sequence);
        out.u64(last.term);
        out.u64(last.node);
        out.u64(last.index);
        out.u32(self.membership_len);
        out.u64(self.data_len);
        out.u32(self.body_sum);
        out.raw(&vec![0; HEADER_LEN - 4 - out.len()]);
        let sum = crc32c(out.as_slice());
        out.u32(sum);
        out.as_slice().to_vec()
    }

    /// `Err`: not a sound header. `Ok(Err(version))`: sound, but newer.
    fn decode(raw: &[u8; HEADER_LEN]) -> Result<Result<Self, u16>, Short> {
        let (body, sum) = raw.split_at(HEADER_LEN - 4);
        if crc32c(body).to_be_bytes() != sum {
            return Err(Short);
        }
        let mut reader = Reader::new(Bytes::copy_from_slice(body));
        if reader.bytes(4)? != MAGIC.as_slice() {
            return Err(Short);
        }
        let version = reader.u16()?;
        if version != VERSION {
            return Ok(Err(version));
        }
        let (has_last, _) = (reader.u8()?, reader.u8()?);
        let sequence = reader.u64()?;
        let last = EntryId { term: reader.u64()?, node: reader.u64()?, index: reader.u64()? };
        Ok(Ok(Self {
            sequence,
            last: (has_last == 1).then_some(last),
            membership_len: reader.u32()?,
            data_len: reader.u64()?,
            body_sum: reader.u32()?,
        }))
    }
}
