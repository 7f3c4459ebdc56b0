//! Settings of topics: every one that Kafka has, under Kafka's names, with type, default, bounds and a sentence.
//!
//! A setting that means nothing here yet is accepted, kept and reported all the same ([`TopicConfig::inert`]):
//! Kafka's tools set and read them and refuse to work with a cluster that does not.

mod settings;
mod table;

use std::collections::BTreeMap;

pub use settings::{TimestampType, TopicSettings};
pub use table::TOPIC_CONFIGS;

/// Longest value of a setting, in bytes.
pub const VALUE_BYTES_MAX: usize = 32 * 1024;

/// Said of a topic with `flush.mode=async` wherever it is described.
pub const FLUSH_ASYNC_WARNING: &str = "UNSAFE: flush.mode=async commits records before they are on stable storage; a \
                                       power cut takes acknowledged records of about the last second";

/// The declaration of one setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TopicConfig {
    /// Kafka's name of the topic setting.
    pub name: &'static str,
    /// Kafka's name of the broker setting that is its default.
    pub server_name: &'static str,
    /// Its type and bounds.
    pub kind: Kind,
    /// Its value where nobody set one.
    pub default: &'static str,
    /// What it does, for people.
    pub doc: &'static str,
    /// True if it is kept and reported but changes nothing.
    pub inert: bool,
}

/// Type and bounds of a setting; the types are those of Kafka's DescribeConfigs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A 32-bit number within bounds.
    Int {
        /// Least value.
        min: i32,
        /// Greatest value.
        max: i32,
    },
    /// A 64-bit number, at least `min`.
    Long {
        /// Least value.
        min: i64,
    },
    /// A fraction from 0 to 1.
    Fraction,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Words separated by commas: at least one, all of these.
    SomeOf(&'static [&'static str]),
    /// Any words separated by commas.
    List,
}

impl Kind {
    /// True for lists: only they can be appended to and subtracted from.
    pub fn is_list(self) -> bool {
        matches!(self, Self::SomeOf(_) | Self::List)
    }
}

/// Where a setting's value comes from, nearest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Set on the topic.
    Topic,
    /// Set in the server's configuration.
    Server,
    /// Nobody set it.
    Default,
}

/// One setting of one topic as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Described<'a> {
    /// Its declaration.
    pub config: &'static TopicConfig,
    /// Its value.
    pub value: &'a str,
    /// Where the value comes from.
    pub source: Source,
}

/// The declaration of a setting.
pub fn find(name: &str) -> Option<&'static TopicConfig> {
    TOPIC_CONFIGS.iter().find(|config| config.name == name)
}

/// Checks one value. The error is the sentence for the user.
pub fn validate(name: &str, value: &str) -> Result<(), String> {
    let Some(config) = find(name) else {
        return Err(format!("there is no topic setting '{}'", name.escape_debug()));
    };
    if value.len() > VALUE_BYTES_MAX {
        return Err(format!("the value of {name} is longer than {VALUE_BYTES_MAX} bytes"));
    }
    if name == "compression.type" && value != "producer" {
        return Err(format!(
            "compression.type must be 'producer', not '{}': batches are stored as they were sent; set compression.type \
             on the producer instead",
            value.escape_debug()
        ));
    }
    if name == "remote.storage.enable" && value == "true" {
        return Err("remote.storage.enable cannot be true: this cluster has no remote storage".to_owned());
    }
    check(config.kind, value)
        .map_err(|wanted| format!("{name} must be {wanted}, not '{}'", value.escape_debug()))
}

/// Checks what holds between the settings of one topic; each value by itself is valid already.
pub fn validate_together(configs: &BTreeMap<String, String>) -> Result<(), String> {
    let number = |name: &str| value_of(name, configs).parse::<i64>().unwrap_or(0);
    let (least, most) = (number("min.compaction.lag.ms"), number("max.compaction.lag.ms"));
    if least > most {
        return Err(format!(
            "min.compaction.lag.ms ({least}) must not be greater than max.compaction.lag.ms ({most})"
        ));
    }
    Ok(())
}

/// All settings of a topic: `configs` are its own, `defaults` the server's, both by the topic setting's name.
pub fn describe<'a>(
    configs: &'a BTreeMap<String, String>,
    defaults: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = Described<'a>> {
    TOPIC_CONFIGS.iter().map(|config| {
        let (value, source) = match (configs.get(config.name), defaults.get(config.name)) {
            (Some(value), _) => (value.as_str(), Source::Topic),
            (None, Some(value)) => (value.as_str(), Source::Server),
            (None, None) => (config.default, Source::Default),
        };
        Described { config, value, source }
    })
}

/// The elements of a list setting.
pub fn elements(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|element| !element.is_empty())
}

fn value_of<'a>(name: &str, configs: &'a BTreeMap<String, String>) -> &'a str {
    match configs.get(name) {
        Some(value) => value,
        None => find(name).map_or("", |config| config.default),
    }
}

/// `Err` says what the value must be.
fn check(kind: Kind, value: &str) -> Result<(), String> {
    let text = value.trim();
    let (sound, wanted) = match kind {
        Kind::Boolean => (text == "true" || text == "false", "true or false".to_owned()),
        Kind::Int { min, max } => (
            text.parse::<i32>().is_ok_and(|number| (min..=max).contains(&number)),
            format!("a number from {min} to {max}"),
        ),
        Kind::Long { min } => {
            (text.parse::<i64>().is_ok_and(|number| number >= min), format!("a number of at least {min}"))
        }
        Kind::Fraction => (
            text.parse::<f64>().is_ok_and(|number| (0.0..=1.0).contains(&number)),
            "a number from 0 to 1".to_owned(),
        ),
        Kind::OneOf(words) => (words.contains(&text), format!("one of {}", words.join(", "))),
        Kind::SomeOf(words) => {
            let sound =
                elements(text).next().is_some() && elements(text).all(|element| words.contains(&element));
            (sound, format!("a list of {}", words.join(", ")))
        }
        Kind::List => (true, String::new()),
    };
    if sound { Ok(()) } else { Err(wanted) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sound() {
        for pair in TOPIC_CONFIGS.windows(2) {
            assert!(pair[0].name < pair[1].name, "{} is out of order", pair[1].name);
        }
        for config in TOPIC_CONFIGS {
            assert_eq!(validate(config.name, config.default), Ok(()), "default of {}", config.name);
            assert!(config.doc.ends_with('.'), "{}", config.name);
        }
        assert_eq!(validate_together(&BTreeMap::new()), Ok(()));
    }

    #[test]
    fn kafkas_usual_values_pass_and_others_get_a_sentence() {
        for (name, value) in [
            ("retention.ms", "-1"),
            ("cleanup.policy", "compact,delete"),
            ("cleanup.policy", "compact"),
            ("segment.bytes", "1048576"),
            ("message.timestamp.type", "LogAppendTime"),
            ("compression.type", "producer"),
            ("leader.replication.throttled.replicas", "*"),
        ] {
            assert_eq!(validate(name, value), Ok(()), "{name}={value}");
        }
        for (name, value, part) in [
            ("no.such", "1", "no topic setting"),
            ("compression.type", "zstd", "stored as they were sent"),
            ("cleanup.policy", "", "a list of"),
            ("cleanup.policy", "shred", "a list of compact, delete"),
            ("retention.ms", "-2", "at least -1"),
            ("retention.ms", "week", "at least -1"),
            ("min.insync.replicas", "0", "from 1 to"),
            ("min.cleanable.dirty.ratio", "NaN", "from 0 to 1"),
            ("remote.storage.enable", "true", "no remote storage"),
        ] {
            let sentence = validate(name, value).unwrap_err();
            assert!(sentence.contains(part), "{sentence}");
        }
        assert!(validate("leader.replication.throttled.replicas", &"x".repeat(VALUE_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn the_nearest_value_wins() {
        let own = BTreeMap::from([("retention.ms".to_owned(), "5".to_owned())]);
        let server = BTreeMap::from([
            ("retention.ms".to_owned(), "6".to_owned()),
            ("segment.bytes".to_owned(), "2048".to_owned()),
        ]);
        let described: BTreeMap<_, _> =
            describe(&own, &server).map(|one| (one.config.name, (one.value, one.source))).collect();
        assert_eq!(described["retention.ms"], ("5", Source::Topic));
        assert_eq!(described["segment.bytes"], ("2048", Source::Server));
        assert_eq!(described["cleanup.policy"], ("delete", Source::Default));
        assert_eq!(described.len(), TOPIC_CONFIGS.len());
    }
}
