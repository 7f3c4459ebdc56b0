use std::collections::BTreeMap;
use std::sync::Arc;

use forebay_base::DirectoryId;
use forebay_log::volume::{Neighbour, VolumeState};
use forebay_replica::{Condition, Report};
use futures_util::future::select_all;
use tokio::sync::watch;

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
    let mut failed: BTreeMap<_, _> = failed.into_iter().map(|one| (one.directory, one)).collect();
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

fn note(failed: &mut BTreeMap<DirectoryId, Neighbour>, directory: DirectoryId, report: &Report) {
    match report.state {
        VolumeState::Failed => {
            // Of a write that was refused it is not known whether it came about.
            let writes = report.writes + 1;
            failed.insert(directory, Neighbour { directory, since: report.since, writes });
        }
        VolumeState::Normal | VolumeState::Low | VolumeState::Full | VolumeState::HardFull => {
            failed.remove(&directory);
        }
        // Not looked at yet: what was remembered stands.
        VolumeState::Probing => {}
    }
}
