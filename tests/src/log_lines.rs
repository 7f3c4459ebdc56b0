use std::collections::BTreeMap;
use std::fmt;

/// The lines that a server has written to its log.
#[derive(Debug, Clone)]
pub struct LogLines(pub(crate) String);

impl LogLines {
    /// What came after `before`, which is an earlier look at the same log.
    pub fn since(&self, before: &Self) -> Self {
        Self(self.0.get(before.0.len()..).unwrap_or_default().to_owned())
    }

    /// Whole lines of warnings and errors.
    pub fn warnings(&self) -> impl Iterator<Item = &str> {
        let whole = self.0.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().filter(|line| line.contains(" WARN ") || line.contains(" ERROR "))
    }

    /// The most warnings and errors in any minute of the log's own time, those that tell of a change of state left out.
    pub fn most_in_a_minute(&self) -> usize {
        let mut times: Vec<f64> = Vec::new();
        let limited = self.warnings().filter(|line| !line.contains("transition="));
        times.extend(limited.filter_map(second_of_day));
        let within = |from: f64| times.iter().filter(|at| (from..from + 60.0).contains(*at)).count();
        times.iter().map(|from| within(*from)).max().unwrap_or(0)
    }

    /// Warnings and errors by what they say, without their time.
    pub fn by_text(&self) -> BTreeMap<&str, usize> {
        let mut texts = BTreeMap::new();
        for line in self.warnings() {
            let text = line.split_once(' ').map_or(line, |(_, text)| text).trim_start();
            *texts.entry(text).or_default() += 1;
        }
        texts
    }
}

/// `2026-01-31T12:34:56.789Z ...`; a test does not run across midnight.
fn second_of_day(line: &str) -> Option<f64> {
    let (_, time) = line.split_once('T')?;
    let mut parts = time.split_once('Z')?.0.split(':');
    let mut next = || parts.next()?.parse::<f64>().ok();
    Some(next()? * 3600.0 + next()? * 60.0 + next()?)
}

impl fmt::Display for LogLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
