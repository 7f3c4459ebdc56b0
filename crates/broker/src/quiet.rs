use std::sync::Arc;
use std::time::Duration;

use forebay_base::{DueLine, QuietLog};

/// What the lines come from that say how often others came again, or were left out. They are admitted already.
pub const QUIET_TARGET: &str = "forebay::quiet";

/// How often it is looked for lines that are due.
const TICK: Duration = Duration::from_secs(1);

/// Writes the lines that are due, for ever.
pub(crate) async fn tell(log: Arc<QuietLog>) {
    loop {
        tokio::time::sleep(log.due_in().unwrap_or(TICK).clamp(Duration::from_millis(10), TICK)).await;
        while let Some(due) = log.due() {
            write(&due);
        }
    }
}

fn write(due: &DueLine) {
    match due {
        DueLine::Again { line, times, over } => {
            let (again, over_s) = (&*line.text, over.as_secs());
            if line.is_error {
                tracing::error!(target: QUIET_TARGET, times, over_s, "again: {again}");
            } else {
                tracing::warn!(target: QUIET_TARGET, times, over_s, "again: {again}");
            }
        }
        DueLine::LeftOut { lines } => tracing::warn!(
            target: QUIET_TARGET,
            "suppressed {lines} lines: the log takes few a minute; /metrics has the counts"
        ),
    }
}
