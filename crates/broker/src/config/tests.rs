use std::collections::BTreeSet;
use std::io::Write;

use super::*;

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn from_file(text: &str) -> Result<Config, ConfigError> {
    let file = file(text);
    Config::load(ConfigSources { file: Some(file.path().to_owned()), ..ConfigSources::default() })
}

fn from_flags(list: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::load(ConfigSources { overrides: pairs(list), ..ConfigSources::default() })
}

fn from_env(list: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::load(ConfigSources { env: pairs(list), ..ConfigSources::default() })
}

#[test]
fn later_sources_win() {
    let file = file("# a comment\nnum.partitions = 2\nnode.id=7\n\nmessage.max.bytes=2000\n");
    let config = Config::load(ConfigSources {
        file: Some(file.path().to_owned()),
        env: pairs(&[("FOREBAY_NUM_PARTITIONS", "3"), ("FOREBAY_NODE_ID", "8"), ("HOME", "/root")]),
        overrides: pairs(&[("num.partitions", "4")]),
    })
    .unwrap();
    assert_eq!((config.num_partitions, config.source("num.partitions")), (4, Source::Flag));
    assert_eq!((config.node_id.0, config.source("node.id")), (8, Source::Environment));
    assert_eq!((config.message_max_bytes, config.source("message.max.bytes")), (2000, Source::File));
    assert_eq!(config.source("listeners"), Source::Default);
}

#[test]
fn every_default_is_in_its_own_bounds() {
    for row in Config::describe() {
        assert_eq!(row.kind.check(&row.default), Ok(()), "{}", row.name);
        assert!(row.doc.ends_with('.') && !row.doc.contains('\n') && !row.doc.contains("  "), "{}", row.doc);
    }
    Config::default().check().unwrap();
}

#[test]
fn names_fields_and_variables_agree() {
    let rows = Config::describe();
    let variables: BTreeSet<String> = rows.iter().map(Setting::variable).collect();
    assert_eq!(variables.len(), rows.len(), "two settings share a variable");
    let fields = format!("{:?}", Config::default());
    for row in rows {
        assert!(fields.contains(&format!("{}: ", row.name.replace('.', "_"))), "{} has no field", row.name);
    }
    assert_eq!(
        rows.iter().find(|row| row.name == "num.partitions").unwrap().variable(),
        "FOREBAY_NUM_PARTITIONS"
    );
}

#[test]
fn what_is_printed_loads_to_the_same_values() {
    for config in [
        Config::default(),
        from_flags(&[
            ("log.retention.ms", "-1"),
            ("http.listen", ""),
            ("listeners", "in://0.0.0.0:9092,OUT://[::]:9093"),
            ("advertised.listeners", "IN://broker.example:19092"),
            ("log.dirs", "/a b/c"),
            ("log.dirs", "/d=e"),
            ("log.format", "json"),
            ("broker.rack", "r1"),
        ])
        .unwrap(),
    ] {
        let again = from_file(&config.print()).unwrap();
        assert_eq!(Config { sources: config.sources.clone(), ..again }, config);
    }
}

#[test]
fn print_says_the_manual_the_default_and_the_source() {
    let page = from_flags(&[("num.partitions", "6")]).unwrap().print();
    let wanted = "# Partitions of a topic that is made without saying how many.\n\
                  # Type: a whole number from 1 to 10000. Default: 1. This value: flag.\nnum.partitions=6\n";
    assert!(page.contains(wanted), "{page}");
    assert!(page.lines().all(|line| line.len() <= 110));
}

#[test]
fn an_unknown_name_is_refused_with_the_nearest_known_one() {
    let text = |result: Result<Config, ConfigError>| result.unwrap_err().to_string();
    assert_eq!(
        text(from_flags(&[("num.partition", "3")])),
        "unknown setting 'num.partition' (flag); did you mean 'num.partitions'?"
    );
    assert_eq!(text(from_file("zookeeper.connect=x\n")), "unknown setting 'zookeeper.connect' (file)");
    assert_eq!(
        text(from_env(&[("FOREBAY_LISTENER", "x")])),
        "unknown setting 'FOREBAY_LISTENER' (environment); did you mean 'listeners'?"
    );
}

#[test]
fn variables_that_are_not_settings_are_passed_over() {
    let config = from_env(&[
        ("FOREBAY_CONFIG", "/etc/forebay"),
        ("FOREBAY_SERVICE_HOST", "10.0.0.1"),
        ("FOREBAY_PORT_9092_TCP", "tcp://10.0.0.1:9092"),
        ("PATH", "/bin"),
    ]);
    assert_eq!(config.unwrap(), Config::default());
}

#[test]
fn values_out_of_bounds_are_refused_with_a_sentence() {
    for (name, value, reason) in [
        ("num.partitions", "0", "the value must be a whole number from 1 to 10000"),
        ("num.partitions", "many", "the value must be a whole number from 1 to 10000"),
        ("num.partitions", "", "the value must be a whole number from 1 to 10000"),
        ("log.retention.bytes", "-2", "or -1 for no limit"),
        ("auto.create.topics.enable", "yes", "the value must be true or false"),
        ("log.format", "xml", "the value must be one of text, json"),
        ("http.listen", "localhost:9644", "an IP address and a port"),
        ("listeners", "127.0.0.1", "is not NAME://HOST:PORT"),
        ("listeners", "::1:9092", "write the IPv6 address in brackets"),
        ("listeners", "A B://h:1", "may hold letters, digits and _ only"),
        ("listeners", "A://h:70000", "is not a number from 0 to 65535"),
        ("listeners", "A://:9092", "names no host"),
        ("log.level", "a\nb", "one line of text"),
    ] {
        let error = from_flags(&[(name, value)]).unwrap_err();
        assert!(matches!(&error, ConfigError::Value { .. }), "{name}: {error:?}");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    for list in [
        &[("log.dirs", "")][..],
        &[("log.dirs", "/a,/a")],
        &[("listeners", " , ")],
        &[("advertised.listeners", "OTHER://h:9092")],
        &[("advertised.listeners", "0.0.0.0:9092")],
        &[("queued.max.request.bytes", "2048")],
        &[("message.max.bytes", "5000"), ("socket.request.max.bytes", "4000")],
    ] {
        assert!(matches!(from_flags(list), Err(ConfigError::Conflict(_))), "{list:?}");
    }
}

#[test]
fn files_are_refused_at_the_line_that_is_wrong() {
    let refused_at =
        |text, wrong| matches!(from_file(text), Err(ConfigError::Line { line, .. }) if line == wrong);
    assert!(refused_at("node.id=1\nwhat is this\n", 2));
    assert!(refused_at("node.id=1\n\n! note\nnode.id=2\n", 4));
    let missing = ConfigSources { file: Some("/nowhere/at/all".into()), ..ConfigSources::default() };
    assert!(matches!(Config::load(missing), Err(ConfigError::Read { .. })));
}

#[test]
fn listeners_keep_their_text_form() {
    let config = from_flags(&[("listeners", "plain://[::1]:0, host.example:9092")]).unwrap();
    let texts: Vec<String> = config.listeners.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["PLAIN://[::1]:0", "PLAINTEXT://host.example:9092"]);
    assert_eq!((config.listeners[0].host.as_str(), config.advertised("PLAIN")), ("::1", None));
}

/// A server setting that topics inherit must never be refused, or passed over, as a topic's setting.
#[test]
fn bounds_agree_with_those_of_topics() {
    let mut shared = 0;
    for topic in forebay_meta::topic_config::TOPIC_CONFIGS {
        let Some(row) = Config::describe().iter().find(|row| row.name == topic.server_name) else { continue };
        let ends = match row.kind {
            Kind::Integer { min, max } | Kind::Limit { min, max } => vec![min.to_string(), max.to_string()],
            Kind::Boolean | Kind::Choice(_) | Kind::Text | Kind::List => vec![],
        };
        for value in ends.iter().chain([&row.default]) {
            assert_eq!(forebay_meta::topic_config::validate(topic.name, value), Ok(()), "{}", row.name);
        }
        assert_eq!(row.default, topic.default, "{}", row.name);
        shared += 1;
    }
    assert!(shared >= 9, "{shared}");
}

#[test]
fn kinds_have_kafkas_type_numbers() {
    let kafka_type =
        |name: &str| Config::describe().iter().find(|row| row.name == name).unwrap().kind.kafka_type();
    let names = ["auto.create.topics.enable", "node.id", "log.retention.ms", "listeners", "log.format"];
    assert_eq!(names.map(kafka_type), [1, 3, 5, 7, 2]);
}
