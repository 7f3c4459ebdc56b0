use std::time::Duration;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use forebay_base::DirectoryId;
use forebay_meta::VolumeState;

use super::views::{ReadmissionView, VolumeListView};
use super::{HttpError, HttpState};
use crate::facts::{Facts, VolumeFacts};

/// A self-test that takes longer is not waited for: its asker would lose patience.
const TEST_WITHIN: Duration = Duration::from_secs(25);

pub(super) async fn list(State(state): State<HttpState>) -> Result<Json<VolumeListView>, HttpError> {
    state.answer(|facts, _| VolumeListView::of(facts)).await.map(Json)
}

/// Tests a volume of this node and lets it in again. What this needs is the node alone.
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
    let (readmission, now) = tested
        .map_err(|why| HttpError::unable(format!("{path} was not readmitted, and is as it was: {why}")))?;
    Ok(Json(ReadmissionView {
        path,
        state: now.to_string(),
        tested_bytes: readmission.tested_bytes,
        reopened_partitions: failed,
    }))
}

/// The volume that is meant, its path, and how many partitions have failed on it; only one that needs it is readmitted.
fn find(facts: &Facts, name: &str) -> Result<(DirectoryId, String, u64), HttpError> {
    let view = facts.view(facts.node);
    let is_meant =
        |volume: &VolumeFacts<'_>| volume.directory.to_string() == name || volume.report.path == name;
    let Some(volume) = VolumeFacts::of(facts.node, &view).find(is_meant) else {
        let sentence = format!("this server has no volume '{}'", name.escape_debug());
        return Err(HttpError::missing(sentence));
    };
    let path = volume.report.path.clone();
    let failed = facts.failed_partitions(facts.node, &view).get(&volume.directory).copied().unwrap_or(0);
    if volume.report.state != VolumeState::Failed && failed == 0 {
        return Err(HttpError::needless(format!(
            "{path} is {}, and no partition on it has failed: there is nothing to readmit",
            volume.report.state
        )));
    }
    Ok((volume.directory, path, failed))
}
