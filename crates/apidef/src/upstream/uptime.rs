//! Probes of an upstream's hosts (`uptime_tests`, `upstream.uptimeTests`; contract 2.1, 3.2, 4.6).

use crate::Target;
use crate::fields::{Field, acts, each, section};
use crate::section::Section;
use crate::upstream::discovery::{self, Discovery};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use document::{Fault, pointer_join};
use serde_json::{Value, json};
use std::time::Duration;

/// `uptime_tests`.
pub(crate) const CLASSIC: &[Field] = &[
    acts("disabled"),
    each(
        "check_list",
        &[
            acts("url"),
            acts("protocol"),
            acts("timeout"),
            acts("enable_proxy_protocol"),
            each("commands", COMMAND),
            acts("method"),
            acts("headers"),
            acts("body"),
        ],
    ),
    section(
        "config",
        &[acts("expire_utime_after"), section("service_discovery", discovery::CLASSIC), acts("recheck_wait")],
    ),
];
/// `upstream.uptimeTests`.
pub(crate) const OAS: &[Field] = &[
    acts("enabled"),
    section("serviceDiscovery", discovery::OAS),
    each(
        "tests",
        &[
            acts("url"),
            acts("timeout"),
            acts("method"),
            acts("headers"),
            acts("body"),
            each("commands", COMMAND),
            acts("enableProxyProtocol"),
        ],
    ),
    acts("hostDownRetestPeriod"),
    acts("logRetentionPeriod"),
];
const COMMAND: &[Field] = &[acts("name"), acts("message")];

/// How long a probe may take where nothing is said.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most probes of one API, and most commands of one of them.
const MOST: usize = 1000;
const MOST_COMMANDS: usize = 100;

/// Probes of an upstream's hosts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Uptime {
    /// What is probed.
    pub probes: Box<[Probe]>,
    /// Hosts that are told by another server are probed with `GET /`, too.
    pub discovery: Option<Box<Discovery>>,
    /// After what time a host that is down is probed again; `None`: as others.
    pub retest: Option<Duration>,
    /// How long records of what is found are kept; `None`: as long as their reader does.
    pub keep: Option<Duration>,
}

/// One probe.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// The host; of TCP, scheme and path say nothing.
    pub target: Target,
    /// What is done.
    pub kind: ProbeKind,
    /// How long it may take.
    pub timeout: Duration,
}

/// What a probe does.
#[derive(Debug, Clone, PartialEq)]
pub enum ProbeKind {
    /// Sends a request that has to be answered with 200.
    Http {
        /// Method, upper case.
        method: Box<str>,
        /// Header fields.
        headers: Box<[(Box<str>, Box<str>)]>,
        /// Body.
        body: Box<[u8]>,
    },
    /// Connects, and says and hears what is written.
    Tcp {
        /// TLS over it.
        tls: bool,
        /// The PROXY protocol, version 1, before all else.
        proxy_protocol: bool,
        /// What is said and heard, in order.
        commands: Box<[Command]>,
    },
}

/// What a probe over TCP says or hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// It says this.
    Send(Box<str>),
    /// This has to come.
    Expect(Box<str>),
}

impl Uptime {
    /// `uptime_tests` of a classic definition.
    pub(crate) fn classic(at: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        if at.flag("disabled", faults) {
            return Self::default();
        }
        let config = at.section("config", faults);
        let probes = probes(at, "check_list", faults, |entry, faults| {
            let timeout = entry.number("timeout", faults);
            let timeout = (timeout > 0.0).then(|| Duration::from_nanos(timeout as u64));
            probe(entry, timeout, "enable_proxy_protocol", faults)
        });
        Self {
            probes,
            discovery: Discovery::classic(&config.section("service_discovery", faults), faults).map(Box::new),
            retest: config.seconds("recheck_wait", faults),
            keep: config.seconds("expire_utime_after", faults),
        }
    }

    /// `uptimeTests` of an OpenAPI definition.
    pub(crate) fn oas(at: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        if !at.flag("enabled", faults) {
            return Self::default();
        }
        let probes = probes(at, "tests", faults, |entry, faults| {
            let timeout = entry.duration("timeout", faults);
            probe(entry, timeout, "enableProxyProtocol", faults)
        });
        Self {
            probes,
            discovery: Discovery::oas(&at.section("serviceDiscovery", faults), faults).map(Box::new),
            retest: at.duration("hostDownRetestPeriod", faults),
            keep: at.duration("logRetentionPeriod", faults),
        }
    }

    pub(crate) fn write_classic(&self) -> Value {
        let probe = |probe: &Probe| {
            let mut entry = json!({"timeout": u64::try_from(probe.timeout.as_nanos()).unwrap_or(u64::MAX)});
            match &probe.kind {
                ProbeKind::Http { method, headers, body } => {
                    entry["url"] = probe.target.written().into();
                    entry["protocol"] = probe.target.scheme.as_str().into();
                    entry["method"] = (**method).into();
                    entry["body"] = BASE64_STANDARD.encode(body).into();
                    entry["headers"] =
                        headers.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
                }
                ProbeKind::Tcp { tls, proxy_protocol, commands } => {
                    let scheme = if *tls { "tls" } else { "tcp" };
                    entry["url"] = format!("{scheme}://{}", probe.target.authority).into();
                    entry["protocol"] = scheme.into();
                    entry["enable_proxy_protocol"] = (*proxy_protocol).into();
                    let command = |command: &Command| match command {
                        Command::Send(text) => json!({"name": "send", "message": text}),
                        Command::Expect(text) => json!({"name": "expect", "message": text}),
                    };
                    entry["commands"] = commands.iter().map(command).collect();
                }
            }
            entry
        };
        let mut written =
            json!({"disabled": false, "check_list": self.probes.iter().map(probe).collect::<Vec<_>>()});
        if let Some(retest) = self.retest {
            written["config"]["recheck_wait"] = retest.as_secs().max(1).into();
        }
        if let Some(keep) = self.keep {
            written["config"]["expire_utime_after"] = keep.as_secs().max(1).into();
        }
        if let Some(discovery) = &self.discovery {
            written["config"]["service_discovery"] = discovery.write_classic();
        }
        written
    }

    /// Whether nothing is probed.
    pub fn is_empty(&self) -> bool {
        self.probes.is_empty() && self.discovery.is_none()
    }
}

fn probes(
    at: &Section<'_>,
    key: &str,
    faults: &mut Vec<Fault>,
    read: impl Fn(&Section<'_>, &mut Vec<Fault>) -> Option<Probe>,
) -> Box<[Probe]> {
    let mut probes = Vec::new();
    for (index, entry) in at.get(key).and_then(Value::as_array).into_iter().flatten().enumerate() {
        let pointer = pointer_join(&at.at(key), &index.to_string());
        probes.extend(read(&Section { object: entry.as_object(), pointer }, faults));
    }
    if probes.len() > MOST {
        faults.push(Fault::error(at.at(key), format!("there are more than {MOST} probes")));
    }
    probes.into()
}

fn probe(
    entry: &Section<'_>,
    timeout: Option<Duration>,
    proxy_protocol: &str,
    faults: &mut Vec<Fault>,
) -> Option<Probe> {
    let (url, protocol) = (entry.text("url", faults), entry.text("protocol", faults));
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None if protocol.is_empty() => ("http".to_owned(), url),
        None => (protocol.to_ascii_lowercase(), url),
    };
    let over_tcp = matches!(scheme.as_str(), "tcp" | "tls");
    let read = if over_tcp { format!("http://{rest}") } else { format!("{scheme}://{rest}") };
    let target = match Target::parse(&read) {
        Ok(target) => target,
        Err(why) => {
            faults.push(Fault::error(entry.at("url"), format!("the address `{url}` {why}")));
            return None;
        }
    };
    let kind = if over_tcp {
        ProbeKind::Tcp {
            tls: scheme == "tls",
            proxy_protocol: entry.flag(proxy_protocol, faults),
            commands: commands(entry, faults),
        }
    } else {
        let method = entry.text("method", faults);
        let method = if method.is_empty() { "GET".into() } else { method.to_uppercase().into() };
        let body = BASE64_STANDARD.decode(entry.text("body", faults)).unwrap_or_else(|_| {
            faults.push(Fault::error(entry.at("body"), "`body` must be base64"));
            Vec::new()
        });
        let fields = entry.section("headers", faults);
        let mut headers = Vec::new();
        for name in fields.object.into_iter().flat_map(serde_json::Map::keys) {
            headers.push((name.as_str().into(), fields.text(name, faults).into()));
        }
        ProbeKind::Http { method, headers: headers.into(), body: body.into() }
    };
    Some(Probe { target, kind, timeout: timeout.unwrap_or(PATIENCE) })
}

fn commands(entry: &Section<'_>, faults: &mut Vec<Fault>) -> Box<[Command]> {
    let at = entry.at("commands");
    let mut commands = Vec::new();
    for (index, command) in entry.get("commands").and_then(Value::as_array).into_iter().flatten().enumerate()
    {
        let command = Section { object: command.as_object(), pointer: pointer_join(&at, &index.to_string()) };
        let message = command.text("message", faults).into();
        match command.text("name", faults) {
            "send" => commands.push(Command::Send(message)),
            "expect" => commands.push(Command::Expect(message)),
            other => {
                let fault = Fault::error(command.at("name"), format!("`{other}` is no command of a probe"));
                faults.push(fault.hint("write `send` or `expect`"));
            }
        }
    }
    if commands.len() > MOST_COMMANDS {
        faults.push(Fault::error(at, format!("there are more than {MOST_COMMANDS} commands")));
    }
    commands.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classic(value: &Value) -> (Uptime, Vec<Fault>) {
        let mut faults = Vec::new();
        let read = Uptime::classic(&Section::root(value, &mut faults), &mut faults);
        (read, faults)
    }

    #[test]
    fn c3_2_row_7_both_formats_say_the_same() {
        let old = json!({
            "check_list": [
                {"url": "http://a:8080/health", "method": "post", "timeout": 500_000_000, "body": "aGk=", "headers": {"X": "y"}},
                {"url": "b:6379", "protocol": "tcp", "enable_proxy_protocol": true,
                    "commands": [{"name": "send", "message": "PING"}, {"name": "expect", "message": "+PONG"}]},
                {"url": "tls://c:443"},
                {"url": "d"},
            ],
            "config": {"recheck_wait": 7, "expire_utime_after": 60},
        });
        let new = json!({
            "enabled": true,
            "tests": [
                {"url": "http://a:8080/health", "method": "POST", "timeout": "500ms", "body": "aGk=", "headers": {"X": "y"}},
                {"url": "tcp://b:6379", "enableProxyProtocol": true,
                    "commands": [{"name": "send", "message": "PING"}, {"name": "expect", "message": "+PONG"}]},
                {"url": "tls://c:443"},
                {"url": "http://d"},
            ],
            "hostDownRetestPeriod": "7s",
            "logRetentionPeriod": "1m",
        });
        let (read, mut faults) = classic(&old);
        assert_eq!(read, Uptime::oas(&Section::root(&new, &mut faults), &mut faults));
        assert_eq!(classic(&read.write_classic()), (read.clone(), Vec::new()));
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(read.probes.len(), 4);
        assert_eq!((read.retest, read.keep), (Some(Duration::from_secs(7)), Some(Duration::from_secs(60))));
        assert!(classic(&json!({"disabled": true, "check_list": [{"url": "a"}]})).0.is_empty());
    }

    #[test]
    fn what_cannot_be_probed_is_a_fault_at_its_place() {
        for (entry, pointer) in [
            (json!({"url": ""}), "/check_list/0/url"),
            (json!({"url": "ftp://a"}), "/check_list/0/url"),
            (json!({"url": "a", "body": "%"}), "/check_list/0/body"),
            (json!({"url": "tcp://a:1", "commands": [{"name": "wait"}]}), "/check_list/0/commands/0/name"),
        ] {
            let (_, faults) = classic(&json!({"check_list": [entry.clone()]}));
            assert_eq!(faults.len(), 1, "{entry}: {faults:?}");
            assert_eq!(faults[0].pointer, pointer);
        }
    }
}
