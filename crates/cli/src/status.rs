//! `forebay cluster status`: what the HTTP door tells of the cluster, judged.

use std::collections::BTreeMap;

use clap::Args;
use indicatif::BinaryBytes;
use serde::{Deserialize, Serialize};

use crate::failure::{Exit, Failure};
use crate::http::HttpArgs;
use crate::output::{Output, table};
use crate::values::utc;

type Rest = BTreeMap<String, serde_json::Value>;

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    server: HttpArgs,
    /// How to print the result
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

/// All of it; what is not shown in tables is kept for programs.
#[derive(Debug, Serialize)]
struct Status {
    /// Nothing was found.
    well: bool,
    /// What is not as it should be, a sentence each.
    findings: Vec<String>,
    cluster: Cluster,
    volumes: Vec<Volume>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Cluster {
    cluster_id: String,
    partitions_by_status: BTreeMap<String, u64>,
    metadata: Metadata,
    brokers: Vec<Node>,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Debug, Serialize, Deserialize)]
struct Metadata {
    leader: Option<i32>,
    term: u64,
    running: bool,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Debug, Serialize, Deserialize)]
struct Node {
    id: i32,
    contact: String,
    sentence: String,
    heard_ms_ago: Option<u64>,
    partitions_led: u64,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Debug, Deserialize)]
struct Volumes {
    volumes: Vec<Volume>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Volume {
    node: i32,
    path: String,
    state: String,
    last_state: Option<String>,
    cause: String,
    since_ms: i64,
    sentence: Option<String>,
    free_bytes: Option<u64>,
    total_bytes: Option<u64>,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Debug, Deserialize)]
struct Readiness {
    reason: Option<String>,
    complaints: Vec<String>,
}

impl StatusArgs {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let cluster: Cluster = self.server.get("/v1/cluster")?;
        let Volumes { volumes } = self.server.get("/v1/volumes")?;
        let readiness = self.server.get_or_unavailable("/readyz")?;
        let findings = findings(&cluster, &volumes, readiness);
        let status = Status { well: findings.is_empty(), findings, cluster, volumes };
        self.output.print(&status, text)?;
        match status.findings.len() {
            0 => Ok(()),
            1 => Err(Failure::new(Exit::Unwell, "1 thing is not as it should be")),
            count => Err(Failure::new(Exit::Unwell, format!("{count} things are not as they should be"))),
        }
    }
}

/// What is wrong, worst first; nothing is said twice.
fn findings(cluster: &Cluster, volumes: &[Volume], readiness: Readiness) -> Vec<String> {
    // A server whose quorum does not work is not ready, and has mostly said so.
    let is_told = readiness.reason.as_ref().is_some_and(|reason| is_about_quorum(reason));
    let mut found: Vec<String> = readiness.reason.into_iter().collect();
    if !is_told && (!cluster.metadata.running || cluster.metadata.leader.is_none()) {
        found.push("the metadata quorum does not work: topics and settings cannot be changed".to_owned());
    }
    let unheard = cluster.brokers.iter().filter(|node| node.contact != "Reachable");
    found.extend(unheard.map(|node| {
        format!("node {}: the controller does not hear of this node: {}", node.id, node.sentence)
    }));
    for volume in volumes.iter().filter(|volume| volume.state != "Normal") {
        let (node, path, cause) = (volume.node, &volume.path, &volume.cause);
        let sentence = volume.sentence.clone();
        let sentence = sentence.unwrap_or_else(|| format!("{path} is {} ({cause})", shown(volume)));
        found.push(format!("node {node}: {sentence}"));
    }
    let bad = cluster.partitions_by_status.iter().filter(|(status, _)| *status != "Online");
    found.extend(bad.map(|(status, count)| {
        format!("{count} partitions are {status}: `forebay topic describe` shows which and why")
    }));
    for complaint in readiness.complaints {
        // It is a finding already, with its node, if its words are those of one.
        let words = without_numbers(&complaint);
        if !found.iter().any(|finding| without_numbers(finding).ends_with(&words)) {
            found.push(complaint);
        }
    }
    found
}

/// True if a server gives this as the reason why it is not ready when its part in the quorum does not work.
fn is_about_quorum(reason: &str) -> bool {
    ["the metadata quorum ", "the metadata log "].iter().any(|subject| reason.starts_with(subject))
}

/// The words of a sentence. Its numbers (seconds, bytes) may have moved from one answer of the server to the next; those of
/// a path tell which one is meant.
fn without_numbers(sentence: &str) -> String {
    let mut words = String::with_capacity(sentence.len());
    for word in sentence.split_inclusive(' ') {
        let is_path = word.contains('/');
        words.extend(word.chars().filter(|letter| is_path || !letter.is_ascii_digit()));
    }
    words
}

/// A state, and what it was when that is all there is.
fn shown(volume: &Volume) -> String {
    match &volume.last_state {
        Some(last) => format!("{} (last {last})", volume.state),
        None => volume.state.clone(),
    }
}

fn text(status: &Status) -> String {
    let Cluster { cluster_id, partitions_by_status, metadata, brokers, .. } = &status.cluster;
    let leader = metadata.leader.map_or_else(|| "nobody".to_owned(), |leader| format!("node {leader}"));
    let running = if metadata.running { "" } else { ", not running here" };
    let mut nodes = table(["node", "contact", "heard", "partitions led"]);
    for node in brokers {
        let heard = node.heard_ms_ago.map_or_else(|| "never".to_owned(), |ms| format!("{ms} ms ago"));
        let led = node.partitions_led.to_string();
        nodes.add_row([node.id.to_string(), node.contact.clone(), heard, led]);
    }
    let mut volumes = table(["node", "volume", "state", "since", "free", "of", "cause"]);
    for volume in &status.volumes {
        let bytes =
            |bytes: Option<u64>| bytes.map_or_else(|| "?".to_owned(), |at| BinaryBytes(at).to_string());
        volumes.add_row([
            volume.node.to_string(),
            volume.path.clone(),
            shown(volume),
            utc(volume.since_ms),
            bytes(volume.free_bytes),
            bytes(volume.total_bytes),
            volume.cause.clone(),
        ]);
    }
    let counts: Vec<String> =
        partitions_by_status.iter().map(|(status, count)| format!("{count} {status}")).collect();
    let counts = if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
    let mut findings: String = status.findings.iter().map(|finding| format!("- {finding}\n")).collect();
    if findings.is_empty() {
        findings.push_str("All is well.\n");
    }
    format!(
        "cluster {cluster_id}; its metadata is led by {leader} in term {}{running}\n\n{nodes}\n\n{volumes}\n\n\
         partitions: {counts}\n\n{findings}",
        metadata.term
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cluster(contact: &str, statuses: serde_json::Value) -> Cluster {
        let node = json!({
            "id": 1, "contact": contact, "sentence": "it has been silent for 3 s", "heard_ms_ago": 12, "partitions_led": 3,
        });
        let metadata = json!({ "leader": 1, "term": 2, "running": true });
        serde_json::from_value(json!({
            "cluster_id": "c", "partitions_by_status": statuses, "metadata": metadata, "brokers": [node],
        }))
        .unwrap()
    }

    fn volume(state: &str, last: Option<&str>, sentence: Option<&str>) -> Volume {
        serde_json::from_value(json!({
            "node": 1, "path": "/data", "state": state, "last_state": last, "cause": "a write found no room",
            "since_ms": 1_709_210_096_789_i64, "sentence": sentence, "free_bytes": 4096, "total_bytes": null,
        }))
        .unwrap()
    }

    fn ready(complaints: &[&str]) -> Readiness {
        let complaints = complaints.iter().map(ToString::to_string).collect();
        Readiness { reason: None, complaints }
    }

    #[test]
    fn a_quorum_that_does_not_work_is_found_once() {
        let mut cluster = cluster("Reachable", json!({}));
        cluster.metadata.leader = None;
        let told = "the metadata quorum has no leader";
        let readiness = Readiness { reason: Some(told.to_owned()), ..ready(&[]) };
        assert_eq!(findings(&cluster, &[], readiness), [told]);
        let told = "the metadata log cannot be written: reads go on";
        let readiness = Readiness { reason: Some(told.to_owned()), ..ready(&[]) };
        assert_eq!(findings(&cluster, &[], readiness), [told]);
        // It may have found one since.
        let found = findings(&cluster, &[], ready(&[]));
        assert!(found.len() == 1 && found[0].contains("does not work"), "{found:?}");
    }

    #[test]
    fn a_quorum_that_does_not_work_is_found_beside_another_reason() {
        let mut cluster = cluster("Reachable", json!({}));
        cluster.metadata.running = false;
        let told = "the metadata of the cluster has not been read yet";
        let found = findings(&cluster, &[], Readiness { reason: Some(told.to_owned()), ..ready(&[]) });
        assert!(found.len() == 2 && found[0] == told && found[1].contains("does not work"), "{found:?}");
    }

    #[test]
    fn volumes_that_differ_by_a_number_are_told_apart() {
        let of = |number: u8, free: u8| format!("the disk of /data{number} is full: {free} bytes are free");
        let volumes = [volume("Full", None, Some(&of(1, 7)))];
        let found = findings(&cluster("Reachable", json!({})), &volumes, ready(&[&of(1, 12), &of(2, 7)]));
        assert_eq!(found, [format!("node 1: {}", of(1, 7)), of(2, 7)]);
    }

    #[test]
    fn nothing_is_found_where_all_is_well() {
        let (cluster, volumes) =
            (cluster("Reachable", json!({ "Online": 3 })), vec![volume("Normal", None, None)]);
        assert_eq!(findings(&cluster, &volumes, ready(&[])), Vec::<String>::new());
        let shown = text(&Status { well: true, findings: Vec::new(), cluster, volumes });
        for part in
            ["led by node 1 in term 2\n", "2024-02-29T12:34:56Z", "4.00 KiB", "3 Online", "All is well"]
        {
            assert!(shown.contains(part), "{shown}");
        }
    }

    #[test]
    fn each_thing_that_is_wrong_is_found_once() {
        let found = findings(
            &cluster("Silent", json!({ "Failed": 2, "Online": 1 })),
            &[
                volume("Full", None, Some("the disk of /data is full: 7 bytes are free")),
                volume("Unknown", Some("Normal"), None),
            ],
            // As it was told a moment later.
            ready(&[
                "the controller does not hear of this node: it has been silent for 4 s",
                "the disk of /data is full: 12 bytes are free",
                "3 partitions are Failed: `forebay topic describe` shows which and why",
                "something else",
            ]),
        );
        assert_eq!(
            found,
            [
                "node 1: the controller does not hear of this node: it has been silent for 3 s",
                "node 1: the disk of /data is full: 7 bytes are free",
                "node 1: /data is Unknown (last Normal) (a write found no room)",
                "2 partitions are Failed: `forebay topic describe` shows which and why",
                "something else",
            ]
        );
    }
}
