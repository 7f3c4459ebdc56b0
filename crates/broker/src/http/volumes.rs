use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use forebay_base::DirectoryId;
use forebay_log::volume::VolumeState;

use super::views::{ReadmissionView, VolumeListView, VolumeView};
use super::{HttpError, HttpState};
use crate::facts::Facts;

/// A self-test that takes longer is not waited for: its asker would lose patience.
const TEST_WITHIN: Duration = Duration::from_secs(25);

pub(super) async fn list(State(state): State<HttpState>) -> Result<Json<VolumeListView>, HttpError> {
    let list = state.answer(|facts, _| {
        let failed = failed_partitions(facts);
        let view = |volume| VolumeView::of(volume, &failed);
        VolumeListView { volumes: facts.volumes.iter().map(view).collect() }
    });
    list.await.map(Json)
}

/// Tests a volume and lets it in again. What this needs is the node alone.
pub(super) async fn readmit(
    State(state): State<HttpState>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<ReadmissionView>, HttpError> {
    let Path(name) = name?;
    let (directory, path, failed) = state.answer(move |facts, _| find(facts, &name)).await??;
    let Ok(tested) = tokio::time::timeout(TEST_WITHIN, (state.readmit)(directory)).await else {
        return Err(HttpError::unable(format!(
            "the test of {path} has not ended within {} s and goes on; /v1/volumes shows what comes of it",
            TEST_WITHIN.as_secs()
        )));
    };
    let readmission = tested
        .map_err(|why| HttpError::unable(format!("{path} was not readmitted, and is as it was: {why}")))?;
    let view = state.answer(move |facts, _| {
        let volume = facts.volumes.iter().find(|volume| volume.directory == directory);
        volume.map(|volume| VolumeView::of(volume, &failed_partitions(facts)))
    });
    let volume = view.await?.ok_or_else(HttpError::broken)?;
    Ok(Json(ReadmissionView { volume, tested_bytes: readmission.tested_bytes, reopened_partitions: failed }))
}

/// The volume that is meant, its path, and how many partitions have failed on it; only one that needs it is readmitted.
fn find(facts: &Facts, name: &str) -> Result<(DirectoryId, String, u64), HttpError> {
    let is_meant = |volume: &&crate::facts::VolumeFacts| {
        volume.directory.to_string() == name || volume.report.path == std::path::Path::new(name)
    };
    let Some(volume) = facts.volumes.iter().find(is_meant) else {
        let sentence = format!("this server has no volume '{}'", name.escape_debug());
        return Err(HttpError::missing(sentence));
    };
    let path = volume.report.path.display().to_string();
    let failed = failed_partitions(facts).get(&volume.directory).copied().unwrap_or(0);
    if volume.report.state != VolumeState::Failed && failed == 0 {
        return Err(HttpError::needless(format!(
            "{path} is {}, and no partition on it has failed: there is nothing to readmit",
            volume.report.state
        )));
    }
    Ok((volume.directory, path, failed))
}

/// How many partitions that this node leads have failed, by the directory they lie in.
fn failed_partitions(facts: &Facts) -> BTreeMap<DirectoryId, u64> {
    let mut failed = BTreeMap::new();
    for row in facts.led() {
        if row.facts.as_ref().is_some_and(|facts| facts.failed.is_some())
            && let Some(directory) = row.assignment.directory_of(facts.node)
        {
            *failed.entry(directory).or_default() += 1;
        }
    }
    failed
}
