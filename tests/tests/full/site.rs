use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use forebay_tests::{Server, eventually, get, json, volume};

use crate::SHOWN_WITHIN;
use crate::volume::Volume;

/// A start on a full volume answers within this time.
const STARTED_WITHIN: Duration = Duration::from_secs(15);

/// A server whose data lie on a volume.
pub(crate) struct Site {
    pub(crate) server: Server,
}

impl Site {
    /// Starts it.
    pub(crate) fn start(volume: &Volume) -> Self {
        Self::with(volume, &[])
    }

    /// The same with some settings of its own.
    pub(crate) fn with(volume: &Volume, settings: &[(&str, &str)]) -> Self {
        let mut server = Server::prepare(settings);
        server.keep_data_in(volume.data());
        server.spawn();
        server.wait_ready();
        Self { server }
    }

    /// Starts it again on a full volume, where it need not be ready for writes.
    pub(crate) fn spawn(&mut self) {
        self.server.spawn();
        eventually("it answers", STARTED_WITHIN, || get(self.server.http(), "/readyz").is_ok());
    }

    /// What `/v1/volumes` says of its volume.
    pub(crate) fn volume(&self) -> serde_json::Value {
        volume(&self.server, self.server.data())
    }

    /// What users are shown of a topic.
    pub(crate) fn status(&self, topic: &str) -> String {
        json(&self.server, &format!("/v1/topics/{topic}"))["status"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the topic is shown out of space; how long that took.
    pub(crate) fn shown_full(&self, topic: &str) -> Duration {
        eventually("it is shown full", SHOWN_WITHIN, || self.status(topic) == "OutOfSpace")
    }

    /// How often the volume went from one state to the other, by the server's own lines.
    pub(crate) fn moves(&self, from: &str, to: &str) -> usize {
        let hop = format!("from={from} to={to} ");
        self.server.lines().warnings().filter(|line| line.contains(&hop)).count()
    }

    /// The sum of all series of a metric.
    pub(crate) fn count(&self, family: &str) -> f64 {
        let (_, page) = get(self.server.http(), "/metrics").unwrap();
        let values = page.lines().filter_map(|line| line.strip_prefix(family)?.split_once("} "));
        values.map(|(_, value)| value.parse::<f64>().unwrap()).sum()
    }

    /// Bytes that the segments of all partitions take on the volume.
    pub(crate) fn segment_bytes(&self) -> u64 {
        let partitions = std::fs::read_dir(self.server.data().join("partitions")).unwrap().flatten();
        let files =
            partitions.flat_map(|partition| std::fs::read_dir(partition.path()).into_iter().flatten());
        let segments = files.flatten().filter(|file| file.path().extension().is_some_and(|it| it == "log"));
        segments.filter_map(|file| file.metadata().ok()).map(|file| file.blocks() * 512).sum()
    }

    /// Nothing broke an invariant.
    pub(crate) fn no_panic(&self) {
        let log = self.server.log();
        assert!(!log.contains("panicked") && !log.contains("internal fault"), "{log}");
    }
}
