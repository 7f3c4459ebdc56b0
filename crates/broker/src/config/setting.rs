use std::fmt;

/// One row of the table: everything known of a setting but its current value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The name; Kafka's own where Kafka has the setting.
    pub name: &'static str,
    /// What a value may be.
    pub kind: Kind,
    /// The default, as text; empty means "nothing" (an optional value or an empty list).
    pub default: String,
    /// What it does: full sentences on one line.
    pub doc: &'static str,
}

impl Setting {
    /// The environment variable that sets it: `FOREBAY_NUM_PARTITIONS` for `num.partitions`.
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.replace('.', "_").to_uppercase())
    }

    pub(super) fn default_text(&self) -> &str {
        if self.default.is_empty() { "empty" } else { &self.default }
    }
}

/// Every variable that is a setting starts so.
pub(super) const VARIABLE_PREFIX: &str = "FOREBAY_";

/// What the values of a setting may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A whole number within bounds, both included.
    Integer {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// A whole number within bounds, or -1 for "no limit".
    Limit {
        /// Smallest that is a limit.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// One of a closed set of words.
    Choice(&'static [&'static str]),
    /// Text of one line.
    Text,
    /// Items separated by commas.
    List,
}

impl Kind {
    /// Checks the form and the bounds of `text`; the error is a sentence on what a value must be.
    pub fn check(&self, text: &str) -> Result<(), String> {
        let sound = match self {
            Self::Boolean => matches!(text, "true" | "false"),
            Self::Integer { min, max } => {
                text.parse().is_ok_and(|number: i64| (*min..=*max).contains(&number))
            }
            Self::Limit { min, max } => {
                text.parse().is_ok_and(|number: i64| number == -1 || (*min..=*max).contains(&number))
            }
            Self::Choice(words) => words.contains(&text),
            Self::Text | Self::List => !text.chars().any(char::is_control),
        };
        if sound { Ok(()) } else { Err(format!("the value must be {self}")) }
    }

    /// True if several values may be given.
    pub fn is_list(&self) -> bool {
        matches!(self, Self::List)
    }

    /// Kafka's number for the type, as DescribeConfigs answers it: 1 boolean, 2 string, 3 int, 5 long, 7
    /// list.
    pub fn kafka_type(&self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::Integer { max, .. } | Self::Limit { max, .. } if *max <= i64::from(i32::MAX) => 3,
            Self::Integer { .. } | Self::Limit { .. } => 5,
            Self::Choice(_) | Self::Text => 2,
            Self::List => 7,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean => f.write_str("true or false"),
            Self::Integer { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::Limit { min, max } => write!(f, "a whole number from {min} to {max}, or -1 for no limit"),
            Self::Choice(words) => write!(f, "one of {}", words.join(", ")),
            Self::Text => f.write_str("one line of text"),
            Self::List => f.write_str("items separated by commas"),
        }
    }
}
