use std::cell::Cell;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use forebay_base::{Clock, Instant, WallTime};
use tracing_subscriber::fmt::MakeWriter;

use super::*;

/// A log in memory, and the time.
#[derive(Debug, Clone, Default)]
struct Page(Arc<Mutex<(Vec<u8>, Instant)>>);

impl Page {
    fn lines(&self) -> Vec<String> {
        let page = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8(page.0.clone()).unwrap().lines().map(str::to_owned).collect()
    }

    fn advance(&self, by: Duration) {
        let mut page = self.0.lock().unwrap();
        page.1 = page.1 + by;
    }
}

impl Clock for Page {
    fn now(&self) -> Instant {
        self.0.lock().unwrap().1
    }
    fn wall(&self) -> WallTime {
        WallTime::default()
    }
}

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().0.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Page {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Runs `work` with a log of its own; `level` is its least level.
fn logged(level: &str, work: impl FnOnce(&Page, &QuietLog)) -> Vec<String> {
    let page = Page::default();
    let quiet = Arc::new(QuietLog::new(Arc::new(page.clone())));
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(page.clone());
    let subscriber = tracing_subscriber::registry()
        .with(QuietLayer { quiet: quiet.clone() })
        .with(lines)
        .with(EnvFilter::new(level));
    tracing::subscriber::with_default(subscriber, || work(&page, &quiet));
    page.lines()
}

/// Counts how often it is formatted.
struct Costly<'a>(&'a Cell<u32>);

impl Debug for Costly<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.set(self.0.get() + 1);
        f.write_str("costly")
    }
}

fn refuse(partition: u64, cost: &Cell<u32>) {
    tracing::warn!(partition, error = ?Costly(cost), "refused");
}

#[test]
fn a_line_that_is_not_written_is_not_formatted() {
    let cost = Cell::new(0);
    let lines = logged("info", |_, quiet| {
        (0..1_000).for_each(|_| refuse(1, &cost));
        (0..1_000).for_each(|_| refuse(2, &cost));
        assert_eq!((quiet.counts().repeated, quiet.counts().left_out), (1_998, 0));
    });
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("refused partition=1 error=costly"), "{}", lines[0]);
    assert_eq!(cost.get(), 2);
}

#[test]
fn what_comes_again_is_told_with_its_sentence_and_its_subject() {
    logged("info", |page, quiet| {
        let cost = Cell::new(0);
        (0..5).for_each(|_| refuse(3, &cost));
        page.advance(Duration::from_secs(60));
        let Some(forebay_base::DueLine::Again { line, times, .. }) = quiet.due() else {
            panic!("nothing due")
        };
        assert_eq!((&*line.text, line.is_error, times), ("refused partition=3", false, 4));
        tracing::warn!(target: QUIET_TARGET, "again");
        tracing::warn!(target: QUIET_TARGET, "again");
        assert_eq!(page.lines().len(), 3, "what is due was admitted already");
    });
}

#[test]
fn changes_of_state_and_lines_below_a_warning_have_no_limit() {
    let lines = logged("debug", |_, quiet| {
        for _ in 0..200 {
            tracing::warn!(transition = "Normal -> Full", "the volume is full");
            tracing::info!("started");
            tracing::debug!("a detail");
        }
        assert_eq!(quiet.counts().transitions, 200);
    });
    assert_eq!(lines.len(), 600);
}

#[test]
fn what_the_operator_does_not_want_is_not_counted() {
    let lines = logged("error", |_, quiet| {
        let cost = Cell::new(0);
        (0..9).for_each(|_| refuse(3, &cost));
        tracing::error!("broken");
        assert_eq!(quiet.counts(), forebay_base::LineCounts::default());
    });
    assert_eq!(lines.len(), 1);
}

#[test]
fn a_long_text_is_cut_for_the_lines_that_repeat_it() {
    logged("info", |page, quiet| {
        (0..2).for_each(|_| tracing::error!(dir = "é".repeat(1_000), "{}", "x".repeat(150)));
        page.advance(Duration::from_secs(60));
        let Some(forebay_base::DueLine::Again { line, .. }) = quiet.due() else { panic!("nothing due") };
        assert!(line.is_error && line.text.len() <= limits::LOG_LINE_TEXT_MAX, "{}", line.text);
        assert!(line.text.len() > 190 && line.text.contains(" dir="), "{}", line.text);
    });
}
