use std::collections::VecDeque;
use std::path::Path;

use bytes::Bytes;
use forebay_log::File;

use super::error::{StoreError, corrupt, io_error};
use super::frame::{self, ALIGN, EntryId, Found, Frame, HEADER_LEN, MAGIC, Stamp};
use super::log::{Located, Segment};
use super::state::{State, read_full};

/// What a log holds.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) entries: VecDeque<Located>,
    pub(super) segments: VecDeque<Segment>,
    pub(super) next_sequence: u64,
    /// Slots in no use that still start with a frame: to be wiped.
    pub(super) stale_slots: Vec<u32>,
}

/// The frames that stand at the start of one slot and belong together.
struct Scanned {
    slot: u32,
    sequence: u64,
    entries: Vec<Located>,
}

/// Reads the log as `state` explains it. Nothing is written.
pub(super) fn recover(file: &dyn File, path: &Path, state: &State) -> Result<Recovered, StoreError> {
    // After a failed sync the cache shows bytes that the disk never got.
    file.drop_cache().map_err(io_error("dropping the cache of", path))?;
    let (mut scanned, mut stale_slots, mut next_sequence) = (Vec::new(), Vec::new(), 1);
    for slot in 0..state.segments {
        let bytes = read_slot(file, path, state, slot)?;
        if let Found::Frame(first) = look(&bytes, 0, path)? {
            next_sequence = next_sequence.max(first.stamp.sequence + 1);
            stale_slots.push(slot);
            scanned.push(scan(&bytes, slot, first.stamp, path, state)?);
        }
    }
    scanned.sort_by_key(|segment| segment.sequence);
    let (entries, segments) = chain(scanned, path, state)?;
    stale_slots.retain(|slot| segments.iter().all(|segment| segment.slot != *slot));
    let next_index =
        entries.back().map(|entry| entry.id).or(state.purged).map_or(state.first, |id| id.index + 1);
    refuse_losses(file, path, state, segments.back(), next_index)?;
    Ok(Recovered { entries, segments, next_sequence, stale_slots })
}

/// True if a segment starts with a frame: the log is in use.
pub(super) fn holds_frames(file: &dyn File, path: &Path, state: &State) -> Result<bool, StoreError> {
    for slot in 0..state.segments {
        if !matches!(look(&read_slot(file, path, state, slot)?, 0, path)?, Found::Nothing) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn read_slot(file: &dyn File, path: &Path, state: &State, slot: u32) -> Result<Bytes, StoreError> {
    let at = u64::from(slot) * state.segment_bytes;
    let mut bytes = vec![0; 512];
    read_full(file, at, &mut bytes).map_err(io_error("reading", path))?;
    // A slot never used, or wiped, starts with zeros, and no sound frame can follow them but stale ones.
    if bytes.iter().any(|byte| *byte != 0) {
        bytes.resize(state.segment_bytes as usize, 0);
        read_full(file, at, &mut bytes).map_err(io_error("reading", path))?;
    }
    Ok(bytes.into())
}

fn look(bytes: &Bytes, at: u64, path: &Path) -> Result<Found, StoreError> {
    let at = (at as usize).min(bytes.len());
    match frame::parse(&bytes.slice(at..)) {
        Found::Newer(version) => Err(StoreError::Newer { path: path.to_path_buf(), version }),
        found @ (Found::Frame(_) | Found::Nothing) => Ok(found),
    }
}

/// Frames from the start of a slot for as long as they belong: one use of the segment, indexes without gaps,
/// generations that never fall, and none that was truncated.
fn scan(bytes: &Bytes, slot: u32, first: Stamp, path: &Path, state: &State) -> Result<Scanned, StoreError> {
    let base = u64::from(slot) * state.segment_bytes;
    let (mut entries, mut at, mut generation) = (Vec::<Located>::new(), 0, first.generation);
    while let Found::Frame(Frame { stamp, entry, len }) = look(bytes, at, path)? {
        let follows = entries.last().is_none_or(|last| last.id.index + 1 == entry.id.index);
        let belongs = stamp.sequence == first.sequence && stamp.generation >= generation && follows;
        if !belongs || is_dead(stamp, entry.id, state) {
            break;
        }
        entries.push(Located { id: entry.id, at: base + at, len });
        generation = stamp.generation;
        at += len;
    }
    Ok(Scanned { slot, sequence: first.sequence, entries })
}

fn is_dead(stamp: Stamp, id: EntryId, state: &State) -> bool {
    stamp.generation < state.generation && id.index >= state.dead_from
}

/// Joins the segments, in the order they were begun, to one run of entries after the purge mark.
fn chain(
    scanned: Vec<Scanned>,
    path: &Path,
    state: &State,
) -> Result<(VecDeque<Located>, VecDeque<Segment>), StoreError> {
    let first_wanted = state.purged.map_or(state.first, |purged| purged.index + 1);
    let (mut entries, mut segments) = (VecDeque::<Located>::new(), VecDeque::<Segment>::new());
    for segment in scanned {
        let (Some(first), Some(last)) = (segment.entries.first(), segment.entries.last()) else { continue };
        if last.id.index < first_wanted {
            continue;
        }
        let expected = entries.back().map_or(first_wanted, |entry| entry.id.index + 1);
        if first.id.index > expected {
            let detail = format!("entries {expected} to {} are missing", first.id.index - 1);
            return Err(corrupt(path, detail));
        }
        // A segment begun later holds what replaced the end of the one before.
        while entries.back().is_some_and(|entry| entry.id.index >= first.id.index) {
            entries.pop_back();
        }
        let base = u64::from(segment.slot) * state.segment_bytes;
        segments.push_back(Segment {
            slot: segment.slot,
            sequence: segment.sequence,
            end: last.at + last.len - base,
        });
        entries.extend(segment.entries.into_iter().filter(|entry| entry.id.index >= first_wanted));
    }
    Ok((entries, segments))
}

/// Tells a torn tail from lost entries: a torn tail is what was never synced, so no frame after it can say that the
/// first entry cut off was durable.
fn refuse_losses(
    file: &dyn File,
    path: &Path,
    state: &State,
    last: Option<&Segment>,
    next_index: u64,
) -> Result<(), StoreError> {
    if let Some(committed) = state.committed.filter(|committed| committed.index >= next_index) {
        return Err(corrupt(
            path,
            format!("entries {next_index} to {}, once committed, are missing", committed.index),
        ));
    }
    for slot in 0..state.segments {
        let bytes = read_slot(file, path, state, slot)?;
        let from = match last.filter(|segment| segment.slot == slot) {
            Some(segment) => segment.end,
            None if matches!(look(&bytes, 0, path)?, Found::Nothing) => 0,
            None => continue,
        };
        let mut at = from;
        while at + HEADER_LEN <= bytes.len() as u64 {
            if bytes.get(at as usize..).is_some_and(|rest| rest.starts_with(MAGIC))
                && let Found::Frame(Frame { stamp, entry, .. }) = look(&bytes, at, path)?
                && entry.id.index >= next_index
                && stamp.durable > next_index
                && !is_dead(stamp, entry.id, state)
            {
                let detail = format!("entry {next_index}, once durable, cannot be read");
                return Err(corrupt(path, detail));
            }
            at += ALIGN;
        }
    }
    Ok(())
}
