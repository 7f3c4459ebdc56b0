use super::*;

#[test]
fn quantiles_are_values_that_occurred() {
    let mut samples = Samples::default();
    assert_eq!(Samples::default().quantiles(), None);
    for millisecond in (1..=1000).rev() {
        samples.add(Duration::from_millis(millisecond));
    }
    let quantiles = samples.quantiles().unwrap();
    assert_eq!(quantiles, Quantiles { p50_ms: 501.0, p99_ms: 991.0, p999_ms: 1000.0, max_ms: 1000.0 });
}

#[test]
fn medians_and_ranges() {
    assert_eq!((median(vec![]), range(vec![])), (None, None));
    assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    assert_eq!(range(vec![3.0, 1.0, 2.0]), Some([1.0, 3.0]));
}

#[test]
fn each_figure_has_its_own_median() {
    let run = |bytes: u64, p50_ms: f64| Run {
        bytes,
        answered: Some(Quantiles { p50_ms, p99_ms: 9.0, p999_ms: 9.0, max_ms: 9.0 }),
        ..Run::default()
    };
    let runs: Vec<Run> = [run(1_000_000, 5.0), run(3_000_000, 1.0), run(2_000_000, 3.0)]
        .map(|run| run.per_second(Duration::from_secs(1)))
        .into();
    let median = Run::median(&runs);
    assert_eq!((median.megabytes_per_second, median.answered.unwrap().p50_ms), (2.0, 3.0));
}

#[test]
fn seconds_and_the_servers_time() {
    let run = Run { bytes: 2_000_000_000, ..Run::default() };
    let at = |cpu_seconds| Usage { cpu_seconds, peak_rss_bytes: 7 };
    let run = run.seconds(&[5_000_000, 1_000_000, 3_000_000], false).used(Some((at(1.0), at(2.0))));
    assert_eq!((run.slowest_second, run.median_second), (Some(1.0), Some(3.0)));
    assert!(run.by_second.is_empty());
    assert_eq!((run.server_cpu_seconds_per_gb, run.server_peak_rss_bytes), (Some(0.5), Some(7)));
    assert_eq!(Run::default().seconds(&[1, 2], true).slowest_second, None);
}
