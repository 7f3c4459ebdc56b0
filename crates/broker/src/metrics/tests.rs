use std::collections::BTreeSet;
use std::time::Duration;

use forebay_wire::kafka::api::ApiKey;
use forebay_wire::kafka::error_code::ErrorCode;

use super::clients::CLIENT_SOFTWARE_MAX;
use super::*;
use crate::facts::testing::{facts, heard, with_failed};

/// The series of a page, as (name with labels, value).
fn series(page: &str) -> BTreeMap<&str, &str> {
    page.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ').unwrap()).collect()
}

fn busy() -> Metrics {
    let metrics = Metrics::of_no_log();
    metrics.connection_refused();
    metrics.accept_failed();
    let (queue, write) = (Duration::from_millis(1), Some(Duration::from_millis(2)));
    metrics.answered(ApiKey::Produce, &Stages { queue, write, ..Stages::default() }, 100, 20);
    let (sync, wait) = (Some(Duration::from_secs(3000)), Duration::from_secs(600));
    metrics.answered(ApiKey::Produce, &Stages { sync, wait, ..Stages::default() }, 100, 20);
    metrics.sent(ApiKey::Produce, Duration::from_secs(5));
    metrics.slow_request();
    metrics.failed(ApiKey::Produce, ErrorCode::KafkaStorageError);
    metrics.client_seen("librdkafka", "2.15\"\n");
    metrics.produced(metrics.topic("orders").as_deref(), 500, 7);
    metrics.fetched("orders", 250);
    metrics.produce_failed("orders");
    metrics
}

#[test]
fn a_page_holds_what_was_counted() {
    let page = busy().render(&facts());
    let series = series(&page);
    for (name, value) in [
        ("forebay_connections_cut_total{reason=\"limit\"}", "1"),
        ("forebay_accept_failures_total", "1"),
        ("forebay_request_duration_seconds_bucket{api=\"Produce\",le=\"0.002048\"}", "0"),
        ("forebay_request_duration_seconds_bucket{api=\"Produce\",le=\"0.004096\"}", "1"),
        ("forebay_request_duration_seconds_bucket{api=\"Produce\",le=\"67.108864\"}", "1"),
        ("forebay_request_duration_seconds_bucket{api=\"Produce\",le=\"+Inf\"}", "2"),
        ("forebay_request_duration_seconds_count{api=\"Produce\"}", "2"),
        ("forebay_request_duration_seconds_sum{api=\"Produce\"}", "3600.003"),
        ("forebay_request_stage_seconds_count{api=\"Produce\",stage=\"queue\"}", "2"),
        ("forebay_request_stage_seconds_sum{api=\"Produce\",stage=\"queue\"}", "0.001"),
        ("forebay_request_stage_seconds_count{api=\"Produce\",stage=\"write\"}", "1"),
        ("forebay_request_stage_seconds_sum{api=\"Produce\",stage=\"write\"}", "0.002"),
        ("forebay_request_stage_seconds_sum{api=\"Produce\",stage=\"sync\"}", "3000"),
        ("forebay_request_stage_seconds_sum{api=\"Produce\",stage=\"wait\"}", "600"),
        ("forebay_request_stage_seconds_sum{api=\"Produce\",stage=\"send\"}", "5"),
        ("forebay_slow_requests_total", "1"),
        ("forebay_request_bytes_total{api=\"Produce\"}", "200"),
        ("kafka_network_requestmetrics_totaltimems_sum{request=\"Produce\"}", "3600003"),
        ("forebay_errors_total{api=\"Produce\",error=\"KAFKA_STORAGE_ERROR\"}", "1"),
        ("forebay_clients_total{software=\"librdkafka\",version=\"2.15\\\"\\n\"}", "1"),
        ("kafka_server_brokertopicmetrics_messagesin_total", "7"),
        ("kafka_server_brokertopicmetrics_messagesin_total{topic=\"orders\"}", "7"),
        ("kafka_server_brokertopicmetrics_bytesin_total{topic=\"orders\"}", "500"),
        ("kafka_server_brokertopicmetrics_bytesout_total{topic=\"orders\"}", "250"),
        ("kafka_server_brokertopicmetrics_failedproducerequests_total{topic=\"orders\"}", "1"),
    ] {
        assert_eq!(series.get(name), Some(&value), "{name}\n{page}");
    }
}

#[test]
fn a_page_holds_the_facts_of_the_moment() {
    let page = Metrics::of_no_log().render(&facts());
    let series = series(&page);
    for (name, value) in [
        ("forebay_ready", "1"),
        ("kafka_brokers", "1"),
        ("kafka_topic_partitions{topic=\"orders\"}", "2"),
        ("kafka_topic_partition_current_offset{topic=\"orders\",partition=\"0\"}", "90"),
        ("kafka_topic_partition_oldest_offset{topic=\"orders\",partition=\"0\"}", "10"),
        ("kafka_topic_partition_leader{topic=\"orders\",partition=\"1\"}", "1"),
        ("kafka_topic_partition_leader_is_preferred{topic=\"orders\",partition=\"1\"}", "1"),
        ("kafka_topic_partition_replicas{topic=\"orders\",partition=\"1\"}", "1"),
        ("kafka_topic_partition_under_replicated_partition{topic=\"orders\",partition=\"1\"}", "0"),
        ("kafka_log_log_logendoffset{topic=\"orders\",partition=\"0\"}", "100"),
        ("kafka_log_log_size{topic=\"orders\",partition=\"0\"}", "4096"),
        ("kafka_server_replicamanager_leadercount", "2"),
        ("kafka_controller_kafkacontroller_activecontrollercount", "1"),
        ("forebay_partitions{status=\"Online\"}", "2"),
        ("forebay_metadata_log_used_bytes", "1000"),
        ("forebay_request_memory_bytes", "64"),
        ("kafka_server_fetchsessioncache_numincrementalfetchsessions", "2"),
        ("kafka_server_fetchsessioncache_numincrementalfetchpartitionscached", "50"),
        ("kafka_server_fetchsessioncache_incrementalfetchsessionevictions_total", "3"),
    ] {
        assert_eq!(series.get(name), Some(&value), "{name}\n{page}");
    }
    assert!(series.keys().any(|name| name.starts_with("forebay_volume_free_bytes{directory=")));
}

#[test]
fn every_family_has_one_head_and_all_series_belong_to_one() {
    let names: BTreeSet<&str> = families::ALL.iter().map(|family| family.name).collect();
    assert_eq!(names.len(), families::ALL.len(), "a family is declared twice");
    let page = busy().render(&facts());
    let heads: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert_eq!(heads.iter().copied().collect::<BTreeSet<_>>(), names, "declared and written families differ");
    assert_eq!(heads.len(), names.len(), "a family is written twice");
    for name in series(&page).keys() {
        let name = name.split('{').next().unwrap();
        let owner =
            ["_bucket", "_sum", "_count", ""].iter().find_map(|suffix| names.get(name.strip_suffix(suffix)?));
        assert!(owner.is_some(), "{name} belongs to no family");
    }
    for family in families::ALL {
        assert!(family.help.ends_with('.'), "{}", family.name);
        assert_eq!(family.kind == page::Type::Counter, family.name.ends_with("_total"), "{}", family.name);
    }
}

#[test]
fn topics_that_are_gone_are_forgotten() {
    let metrics = busy();
    metrics.produced(metrics.topic("deleted").as_deref(), 1, 1);
    let page = metrics.render(&facts());
    assert!(!page.contains("deleted"));
    assert!(page.contains("\nkafka_server_brokertopicmetrics_messagesin_total 8\n"));
}

#[test]
fn client_names_are_bounded() {
    let metrics = Metrics::of_no_log();
    for client in 0..1000 {
        metrics.client_seen(&format!("client-{client}"), &"9".repeat(10_000));
    }
    metrics.client_seen(&"é".repeat(100), "1");
    let page = metrics.render(&facts());
    let lines: Vec<_> = page.lines().filter(|line| line.starts_with("forebay_clients_total{")).collect();
    assert_eq!(lines.len(), CLIENT_SOFTWARE_MAX + 1);
    assert!(lines.contains(&"forebay_clients_total{software=\"other\",version=\"other\"} 937"));
    assert!(lines.iter().all(|line| line.len() < 200));
}

#[test]
fn clients_are_counted_while_their_connections_are_open() {
    let metrics = Metrics::of_no_log();
    let known: Vec<_> = (0..2).map(|_| metrics.client_seen("librdkafka", "2.15")).collect();
    assert!(Arc::ptr_eq(&known[0], &known[1]), "the texts are shared");
    let many: Vec<_> = (0..100).map(|client| metrics.client_seen(&format!("client-{client}"), "1")).collect();
    let open = |software: &str, version: &str| {
        let name = format!("forebay_client_connections{{software=\"{software}\",version=\"{version}\"}}");
        series(&metrics.render(&facts())).get(name.as_str()).map(|value| value.parse::<u64>().unwrap())
    };
    assert_eq!((open("librdkafka", "2.15"), open("other", "other")), (Some(2), Some(37)));
    metrics.client_gone(&known[0]);
    metrics.client_gone(&many[99]);
    assert_eq!((open("librdkafka", "2.15"), open("other", "other")), (Some(1), Some(36)));
}

#[test]
fn connections_are_counted_while_they_are_open() {
    let metrics = Metrics::of_no_log();
    let open = metrics.connection_opened();
    assert_eq!(metrics.connections(), 1);
    drop(open);
    assert_eq!(metrics.connections(), 0);
}

#[test]
fn a_failed_partition_is_shown_as_failed() {
    let mut facts = facts();
    facts.liveness = heard(with_failed(1, "the disk said no"));
    let page = Metrics::of_no_log().render(&facts);
    assert!(page.contains("\nforebay_partitions{status=\"Failed\"} 1\n"), "{page}");
    assert_eq!(facts.complaints().len(), 1);
}
