use std::collections::BTreeMap;
use std::sync::Arc;

use forebay_base::DirectoryId;
use forebay_log::volume::{Neighbour, VolumeState};
use forebay_replica::{Condition, Report};
use futures_util::future::select_all;
use tokio::sync::watch;

use crate::directories::{self, Directory};

/// Has every data directory remember which others of the node have failed, until the node stops: a volume that takes no
/// writes cannot do so itself, and is to be readmitted also after a restart. `failed` is what they remember so far; of one
/// that is not here, it stays so.
pub(crate) async fn remember(
    volumes: BTreeMap<DirectoryId, Arc<Condition>>,
    failed: Vec<Neighbour>,
    mut stopping: watch::Receiver<bool>,
) {
    if volumes.len() < 2 {
        return;
    }
    let mut reports: Vec<_> = volumes.iter().map(|(id, condition)| (*id, condition.watch())).collect();
    let mut failed = newest(failed);
    let mut told = None;
    loop {
        for (id, report) in &mut reports {
            note(&mut failed, *id, &report.borrow_and_update());
        }
        if told.as_ref() != Some(&failed) {
            for (id, condition) in &volumes {
                condition.remember(failed.values().filter(|one| one.directory != *id).copied().collect());
            }
            told = Some(failed.clone());
        }
        let changes = reports.iter_mut().map(|(_, report)| Box::pin(report.changed()));
        tokio::select! {
            biased;
            () = async { drop(stopping.wait_for(|stopping| *stopping).await) } => return,
            (news, _, _) = select_all(changes) => if news.is_err() {
                return;
            },
        }
    }
}

/// Of several notes of one directory the last counts.
fn newest(notes: Vec<Neighbour>) -> BTreeMap<DirectoryId, Neighbour> {
    let mut newest = BTreeMap::new();
    for note in notes {
        let known = newest.entry(note.directory).or_insert(note);
        if known.writes < note.writes {
            *known = note;
        }
    }
    newest
}

/// The same when the node has stopped and nobody else writes: also closing the logs may have found a volume failed.
pub(crate) fn leave(volumes: &BTreeMap<DirectoryId, Arc<Condition>>, directories: &[Arc<Directory>]) {
    if volumes.len() < 2 {
        return;
    }
    // One that has failed is let alone, and may not answer.
    let is_sound = |id: &DirectoryId| {
        volumes.get(id).is_none_or(|condition| condition.report().state != VolumeState::Failed)
    };
    let sound = directories.iter().map(Arc::as_ref).filter(|directory| is_sound(&directory.id));
    let mut failed = newest(directories::remembered(sound));
    for (id, condition) in volumes {
        note(&mut failed, *id, &condition.report());
    }
    for directory in directories.iter().filter(|directory| !failed.contains_key(&directory.id)) {
        let others: Vec<_> = failed.values().copied().collect();
        if let Err(error) = directory.data.leave_neighbours(&others) {
            let dir = directory.data.path().display();
            tracing::warn!(%dir, %error, "it does not remember which other data directories have failed");
        }
    }
}

fn note(failed: &mut BTreeMap<DirectoryId, Neighbour>, directory: DirectoryId, report: &Report) {
    match report.state {
        VolumeState::Failed => {
            let writes = match (report.writes, failed.get(&directory)) {
                (u64::MAX, Some(known)) => known.writes,
                // Of a write that was refused it is not known whether it came about.
                (writes, _) => writes.saturating_add(1),
            };
            failed.insert(directory, Neighbour { directory, since: report.since, writes });
        }
        VolumeState::Normal | VolumeState::Low | VolumeState::Full | VolumeState::HardFull => {
            failed.remove(&directory);
        }
        // Not looked at yet: what was remembered stands.
        VolumeState::Probing => {}
    }
}

#[cfg(test)]
mod tests {
    use forebay_base::{Id128, Instant, WallTime};
    use forebay_log::volume::{Cause, Marks};

    use super::*;

    fn report(state: VolumeState, writes: u64) -> Report {
        Report {
            path: "/data".into(),
            state,
            cause: Cause::Faults,
            since: WallTime(5),
            space: None,
            sampled_at: Instant(0),
            marks: Marks::of(0),
            reserve_left_bytes: 0,
            full_in: None,
            writes,
        }
    }

    #[test]
    fn what_was_remembered_stands_until_more_is_known() {
        let (mut failed, directory) = (BTreeMap::new(), DirectoryId(Id128([1; 16])));
        let mut after = |state, writes| {
            note(&mut failed, directory, &report(state, writes));
            failed.get(&directory).map(|one| one.writes)
        };
        assert_eq!(after(VolumeState::Normal, 6), None);
        assert_eq!(after(VolumeState::Failed, 6), Some(7));
        assert_eq!(after(VolumeState::Probing, 0), Some(7), "a start has not looked yet");
        assert_eq!(after(VolumeState::Failed, u64::MAX), Some(7), "nor can its memory be read");
        assert_eq!(after(VolumeState::Failed, 8), Some(9));
        assert_eq!(after(VolumeState::Full, 9), None, "it was let in again");
        assert_eq!(after(VolumeState::Failed, u64::MAX), Some(u64::MAX), "whatever it says was before");
    }

    #[test]
    fn the_newest_note_counts() {
        let note = |number: u8, writes| Neighbour {
            directory: DirectoryId(Id128([number; 16])),
            since: WallTime(5),
            writes,
        };
        let newest: Vec<_> =
            newest(vec![note(1, 5), note(2, 3), note(1, 9), note(2, 2)]).into_values().collect();
        assert_eq!(newest, [note(1, 9), note(2, 3)]);
    }
}
