/// Figures and their bounds: printed as they come, judged together at the end.
pub(crate) struct Findings {
    scenario: String,
    missed: Vec<String>,
}

impl Findings {
    pub(crate) fn new(scenario: String) -> Self {
        println!("frozen: {scenario}");
        Self { scenario, missed: Vec::new() }
    }

    pub(crate) fn at_least(&mut self, what: &str, is: f64, bound: f64) {
        self.add(is >= bound, format!("{what}: {is:.2} (at least {bound:.2})"));
    }

    pub(crate) fn at_most(&mut self, what: &str, is: f64, bound: f64) {
        self.add(is <= bound, format!("{what}: {is:.2} (at most {bound:.2})"));
    }

    /// A figure without a bound.
    pub(crate) fn note(&self, what: String) {
        println!("       {what}");
    }

    fn add(&mut self, held: bool, line: String) {
        println!("  {} {line}", if held { "ok  " } else { "MISS" });
        if !held {
            self.missed.push(line);
        }
    }

    /// # Panics
    /// If a bound was missed.
    pub(crate) fn judge(self) {
        assert!(self.missed.is_empty(), "{}: {:#?}", self.scenario, self.missed);
    }
}
