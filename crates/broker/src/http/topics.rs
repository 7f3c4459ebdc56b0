use std::ops::Bound;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use forebay_meta::Topic;

use super::part::{self, Part};
use super::views::{PartitionListView, PartitionView, TopicListView, TopicView};
use super::{HttpError, HttpState};
use crate::facts::Facts;

pub(super) async fn list(
    State(state): State<HttpState>,
    part: Result<Query<Part<String>>, QueryRejection>,
) -> Result<Json<TopicListView>, HttpError> {
    let (after, limit) = part::asked(part)?;
    state.answer(move |facts, _| page(facts, after.as_deref(), limit)).await.map(Json)
}

fn page(facts: &Facts, after: Option<&str>, limit: usize) -> TopicListView {
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    let mut names = facts.image.names.range::<_, str>((from, Bound::Unbounded)).peekable();
    let mut topics = Vec::new();
    let mut last = None;
    while topics.len() < limit
        && let Some((name, id)) = names.next()
    {
        topics.extend(facts.image.topic(*id).map(|topic| TopicView::of(facts, topic)));
        last = Some(name.to_string());
    }
    TopicListView { topics, next: last.filter(|_| names.peek().is_some()) }
}

pub(super) async fn one(
    State(state): State<HttpState>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<TopicView>, HttpError> {
    let Path(name) = name?;
    state.answer(move |facts, _| Ok(Json(TopicView::of(facts, &*find(facts, &name)?)))).await?
}

pub(super) async fn partitions(
    State(state): State<HttpState>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<PartitionListView>, HttpError> {
    let Path(topic) = name?;
    let list = state.answer(move |facts, _| {
        let found = find(facts, &topic)?;
        let partitions = facts.rows(&found).map(|row| PartitionView::of(facts, &row)).collect();
        Ok(Json(PartitionListView { topic, partitions }))
    });
    list.await?
}

fn find(facts: &Facts, name: &str) -> Result<Arc<Topic>, HttpError> {
    let found = facts.image.topic_named(name).cloned();
    found.ok_or_else(|| HttpError::missing(format!("there is no topic '{}'", name.escape_debug())))
}
