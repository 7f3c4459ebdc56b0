//! The status of partitions, which the Kafka protocol has no place for: asked at the HTTP door.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::http::HttpArgs;
use crate::output::note;
use crate::values::utc;

/// Where servers open their HTTP door if nothing else is said.
const HTTP_PORT: u16 = 9644;

/// The status of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartitionStatus {
    status: String,
    /// With status Unknown: what it was when the leader was last heard of.
    last_status: Option<String>,
    since_ms: Option<i64>,
    sentence: String,
}

impl PartitionStatus {
    /// The status, and what it was when that is all there is.
    pub(crate) fn shown(&self) -> String {
        match &self.last_status {
            Some(last) => format!("{} (last {last})", self.status),
            None => self.status.clone(),
        }
    }

    /// What is wrong and since when; `None` if nothing is.
    pub(crate) fn finding(&self) -> Option<String> {
        let since = self.since_ms.map(|since| format!(" since {}", utc(since))).unwrap_or_default();
        (self.status != "Online").then(|| format!("{}{since}: {}", self.shown(), self.sentence))
    }
}

/// The HTTP door on the machine of a Kafka listener.
pub(crate) fn beside(listener: &str) -> String {
    let host = listener.rsplit_once(':').map_or(listener, |(host, _)| host);
    format!("{host}:{HTTP_PORT}")
}

/// Asks for topics, one after the other, until the door is found not to know.
#[derive(Debug)]
pub(crate) struct Statuses {
    door: Option<HttpArgs>,
}

#[derive(Debug, Deserialize)]
struct Topic {
    id: String,
}

#[derive(Debug, Deserialize)]
struct Partitions {
    partitions: Vec<Partition>,
}

#[derive(Debug, Deserialize)]
struct Partition {
    index: i32,
    #[serde(flatten)]
    status: PartitionStatus,
}

impl Statuses {
    /// Of the cluster that the door at `address` belongs to.
    pub(crate) fn at(address: String) -> Self {
        Self { door: Some(HttpArgs::at(address)) }
    }

    /// Of each partition of one topic; empty, with a note for people, if that cannot be had.
    pub(crate) fn of(&mut self, name: &str, id: &str) -> BTreeMap<i32, PartitionStatus> {
        let Some(door) = &self.door else { return BTreeMap::new() };
        match ask(door, name, id) {
            Ok(told) => told,
            Err(failure) => {
                note(&format!(
                    "the status is not shown: {}; name a server's HTTP door with --http",
                    failure.sentence()
                ));
                self.door = None;
                BTreeMap::new()
            }
        }
    }
}

fn ask(door: &HttpArgs, name: &str, id: &str) -> Result<BTreeMap<i32, PartitionStatus>, Failure> {
    let topic: Topic = door.get(&format!("/v1/topics/{name}"))?;
    if topic.id != id {
        // Another cluster has a topic of that name.
        return Err(Failure::usage("the HTTP door belongs to another cluster"));
    }
    let told: Partitions = door.get(&format!("/v1/topics/{name}/partitions"))?;
    Ok(told.partitions.into_iter().map(|at| (at.index, at.status)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_told_with_since_when_and_why() {
        let mut status = PartitionStatus {
            status: "OutOfSpace".to_owned(),
            last_status: None,
            since_ms: Some(1_709_210_096_789),
            sentence: "the disk is full".to_owned(),
        };
        assert_eq!(status.finding().unwrap(), "OutOfSpace since 2024-02-29T12:34:56Z: the disk is full");
        (status.status, status.last_status) = ("Unknown".to_owned(), Some("OutOfSpace".to_owned()));
        assert_eq!(status.shown(), "Unknown (last OutOfSpace)");
        "Online".clone_into(&mut status.status);
        assert_eq!(status.finding(), None);
    }

    #[test]
    fn the_door_is_on_the_same_machine() {
        assert_eq!(beside("127.0.0.1:9092"), "127.0.0.1:9644");
        assert_eq!(beside("[::1]:9092"), "[::1]:9644");
        assert_eq!(beside("example.org"), "example.org:9644");
    }
}
