use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use forebay_base::NodeId;
use forebay_meta::topic_config::TimestampType;

/// How "no limit" is written.
const NO_LIMIT: &str = "-1";

/// A type that settings may have: its text form, both ways. `parse(print(x)) == x`.
pub(super) trait Value: Sized {
    /// Reads a value; the error is a sentence on what it must be.
    fn parse(text: &str) -> Result<Self, String>;
    /// Writes a value.
    fn print(&self) -> String;
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A listener's name and address, in Kafka's form `NAME://HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerConfig {
    /// The name, in capitals. Clients that come in by a listener are told the addresses of the same name.
    pub name: String,
    /// Host name or address, IPv6 without its brackets. `0.0.0.0` and `::` mean all interfaces.
    pub host: String,
    /// The port; 0 lets the system pick a free one.
    pub port: u16,
}

impl ListenerConfig {
    /// The name of a listener given as plain `HOST:PORT`.
    pub const DEFAULT_NAME: &'static str = "PLAINTEXT";

    /// A listener of the default name.
    pub fn plaintext(host: &str, port: u16) -> Self {
        Self { name: Self::DEFAULT_NAME.to_owned(), host: host.to_owned(), port }
    }

    /// True if the host stands for every interface, which no client can connect to.
    pub fn is_wildcard(&self) -> bool {
        matches!(self.host.as_str(), "0.0.0.0" | "::")
    }
}

impl fmt::Display for ListenerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "{}://[{}]:{}", self.name, self.host, self.port),
            false => write!(f, "{}://{}:{}", self.name, self.host, self.port),
        }
    }
}

impl Value for ListenerConfig {
    fn parse(text: &str) -> Result<Self, String> {
        let (name, address) = text.split_once("://").unwrap_or((Self::DEFAULT_NAME, text));
        let (host, port) = address
            .rsplit_once(':')
            .ok_or_else(|| format!("'{text}' is not NAME://HOST:PORT (or HOST:PORT)"))?;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(format!("the listener name '{name}' may hold letters, digits and _ only"));
        }
        let port = port.parse().map_err(|_| format!("the port '{port}' is not a number from 0 to 65535"))?;
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inner) if inner.parse::<Ipv6Addr>().is_ok() => inner,
            Some(inner) => return Err(format!("'{inner}' is not an IPv6 address")),
            None if host.contains(':') => {
                return Err(format!("write the IPv6 address in brackets: [{host}]:{port}"));
            }
            None if host.is_empty() => {
                return Err(format!("'{text}' names no host; 0.0.0.0 stands for all interfaces"));
            }
            None => host,
        };
        Ok(Self { name: name.to_ascii_uppercase(), host: host.to_owned(), port })
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

/// Items between commas; spaces around them and empty items are dropped.
impl<T: Value> Value for Vec<T> {
    fn parse(text: &str) -> Result<Self, String> {
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(T::parse).collect()
    }

    fn print(&self) -> String {
        self.iter().map(T::print).collect::<Vec<_>>().join(",")
    }
}

impl Value for PathBuf {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.into())
    }

    fn print(&self) -> String {
        self.display().to_string()
    }
}

impl Value for NodeId {
    fn parse(text: &str) -> Result<Self, String> {
        i32::parse(text).map(NodeId)
    }

    fn print(&self) -> String {
        self.0.to_string()
    }
}

/// -1 means no limit.
impl Value for Option<u64> {
    fn parse(text: &str) -> Result<Self, String> {
        if text == NO_LIMIT { Ok(None) } else { u64::parse(text).map(Some) }
    }

    fn print(&self) -> String {
        self.map_or_else(|| NO_LIMIT.to_owned(), |limit| limit.to_string())
    }
}

/// Empty means off.
impl Value for Option<SocketAddr> {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(None);
        }
        let example = "an IP address and a port, such as 127.0.0.1:9644 or [::1]:9644";
        text.parse().map(Some).map_err(|_| format!("the value must be {example}, or empty for none"))
    }

    fn print(&self) -> String {
        self.map_or_else(String::new, |address| address.to_string())
    }
}

/// Empty means none.
impl Value for Option<String> {
    fn parse(text: &str) -> Result<Self, String> {
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }

    fn print(&self) -> String {
        self.clone().unwrap_or_default()
    }
}

macro_rules! plain {
    ($($type:ty: $what:literal),+ $(,)?) => {$(
        impl Value for $type {
            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| concat!("the value must be ", $what).to_owned())
            }

            fn print(&self) -> String {
                self.to_string()
            }
        }
    )+};
}

plain!(
    bool: "true or false",
    i16: "a whole number",
    i32: "a whole number",
    i64: "a whole number",
    u32: "a whole number",
    u64: "a whole number",
    usize: "a whole number",
    String: "text",
);

impl Value for TimestampType {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "CreateTime" => Ok(Self::CreateTime),
            "LogAppendTime" => Ok(Self::LogAppendTime),
            _ => Err("the value must be CreateTime or LogAppendTime".to_owned()),
        }
    }

    fn print(&self) -> String {
        match self {
            Self::CreateTime => "CreateTime",
            Self::LogAppendTime => "LogAppendTime",
        }
        .to_owned()
    }
}

impl Value for LogFormat {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("the value must be text or json".to_owned()),
        }
    }

    fn print(&self) -> String {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
        .to_owned()
    }
}
