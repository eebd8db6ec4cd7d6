//! APIs that are connections, not requests (contract 4.6, "TCP/TLS APIs"): what comes in on a port of its own goes to
//! the upstream as it is.

use std::time::Duration;

use document::{Fault, pointer_join};
use serde_json::{Value, json};

use crate::classic::rate;
use crate::fields::{Field, LEFT_OPEN, acts, in_use, section};
use crate::limits::OWN;
use crate::own_port::OwnProtocol;
use crate::section::Section;
use crate::{Api, Auth, Plugins, Rate, Target};

/// `x-sluicegate.pass_through`.
pub(crate) const OWN_FIELDS: &[Field] = &[
    acts("accept_proxy_protocol"),
    acts("send_proxy_protocol"),
    acts("idle_timeout"),
    section("rate_per_ip", &[acts("rate"), acts("per")]),
];

/// How long nothing may come from either side where nothing is said.
const IDLE: Duration = Duration::from_secs(3600);

/// A port whose connections go on as they are.
#[derive(Debug, Clone, PartialEq)]
pub struct PassThrough {
    /// Where it listens.
    pub port: u16,
    /// Clients speak TLS, which ends here.
    pub tls: bool,
    /// Connections begin with a header of the PROXY protocol.
    pub accepts_header: bool,
    /// Connections to the upstream do.
    pub sends_header: Option<HeaderVersion>,
    /// How long nothing may come from either side.
    pub idle: Duration,
    /// Connections that one address may begin.
    pub rate_per_ip: Option<Rate>,
}

/// A version of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderVersion {
    /// A line of text.
    One,
    /// Binary.
    Two,
}

/// Where a format says it.
pub(crate) struct Keys {
    pub(crate) protocol: &'static str,
    pub(crate) port: &'static str,
}

impl PassThrough {
    /// Reads it from `holder`, where the keys are, and from the extension of our own at the `root`; `None` for APIs whose
    /// requests come over HTTP.
    pub(crate) fn read(
        root: &Section<'_>,
        holder: &Section<'_>,
        keys: &Keys,
        faults: &mut Vec<Fault>,
    ) -> Option<PassThrough> {
        let protocol = holder.text(keys.protocol, faults);
        let port = holder.number(keys.port, faults);
        if OwnProtocol::of(protocol).is_some() {
            return None;
        }
        let tls = match protocol.to_ascii_lowercase().as_str() {
            "tcp" => false,
            "tls" => true,
            _ => {
                let told = format!("the listener protocol `{protocol}` is unknown");
                let hint = "leave it empty to speak what the gateway's own port does, or write `http`, `https`, `h2c`, `tcp` or `tls`";
                faults.push(Fault::error(holder.at(keys.protocol), told).hint(hint));
                return None;
            }
        };
        if !(1.0..=65535.0).contains(&port) || port.fract() != 0.0 {
            let told =
                format!("an API of the protocol `{protocol}` needs a port of its own, from 1 to 65535");
            faults.push(Fault::error(holder.at(keys.port), told));
        }
        let own = root.section(OWN, faults).section("pass_through", faults);
        let sends_header = match own.text("send_proxy_protocol", faults) {
            "" => None,
            "v1" => Some(HeaderVersion::One),
            "v2" => Some(HeaderVersion::Two),
            other => {
                let told = format!("`{other}` is no version of the PROXY protocol; write `v1` or `v2`");
                faults.push(Fault::error(own.at("send_proxy_protocol"), told));
                None
            }
        };
        let per_ip = own.section("rate_per_ip", faults);
        let (connections, per) = (per_ip.number("rate", faults), per_ip.seconds("per", faults));
        Some(PassThrough {
            port: port as u16,
            tls,
            accepts_header: holder.flag("enable_proxy_protocol", faults)
                || own.flag("accept_proxy_protocol", faults),
            sends_header,
            idle: own.seconds("idle_timeout", faults).unwrap_or(IDLE),
            rate_per_ip: rate(true, connections, per, &per_ip, faults),
        })
    }

    /// What a projection says of it, and of targets in the words of such APIs.
    pub(crate) fn write_classic(&self, definition: &mut Value) {
        definition["protocol"] = if self.tls { "tls" } else { "tcp" }.into();
        definition["listen_port"] = self.port.into();
        definition["enable_proxy_protocol"] = self.accepts_header.into();
        let version = self.sends_header.map(|version| match version {
            HeaderVersion::One => "v1",
            HeaderVersion::Two => "v2",
        });
        definition[OWN]["pass_through"] = json!({
            "send_proxy_protocol": version.unwrap_or_default(),
            "idle_timeout": self.idle.as_secs_f64(),
        });
        if let Some(rate) = &self.rate_per_ip {
            let written = json!({"rate": rate.requests, "per": rate.per.as_secs_f64()});
            definition[OWN]["pass_through"]["rate_per_ip"] = written;
        }
        let speak = |url: &mut Value| {
            let Some(text) = url.as_str() else { return };
            let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
            *url = format!("{}://{rest}", if scheme == "https" { "tls" } else { "tcp" }).into();
        };
        speak(&mut definition["proxy"]["target_url"]);
        if let Some(list) = definition["proxy"]["target_list"].as_array_mut() {
            list.iter_mut().for_each(speak);
        }
    }
}

/// `tcp://host:port`, `tls://host:port`, or `host:port`.
pub(crate) fn target(url: &str) -> Result<Target, &'static str> {
    let http = match url.split_once("://") {
        None => format!("http://{url}"),
        Some((scheme, rest)) => match scheme.to_ascii_lowercase().as_str() {
            "tcp" => format!("http://{rest}"),
            "tls" => format!("https://{rest}"),
            _ => return Err("must be `tcp://host:port` or `tls://host:port`"),
        },
    };
    let target = Target::parse(&http)?;
    if target.credentials.is_some() {
        return Err("has credentials, which no connection tells");
    }
    let host = target.authority.rsplit_once(']').map_or(&*target.authority, |(_, rest)| rest);
    if !host.contains(':') {
        return Err("has no port");
    }
    if !matches!(&*target.path, "" | "/") || target.query.is_some() {
        return Err("has a path, which no connection knows");
    }
    Ok(target)
}

/// The target of an API, in its words.
pub(crate) fn read_target(holder: &Section<'_>, key: &str, faults: &mut Vec<Fault>) -> Option<Target> {
    match holder.text(key, faults) {
        "" => {
            faults
                .push(Fault::error(holder.at(key), format!("`{key}` is missing: where do connections go?")));
            None
        }
        url => target(url)
            .map_err(|why| faults.push(Fault::error(holder.at(key), format!("the target {why}"))))
            .ok(),
    }
}

/// Targets among which connections are shared out, by turns: texts, or objects with `url`, where that is switched on.
pub(crate) fn targets(
    holder: &Section<'_>,
    (switch, list): (&str, &str),
    faults: &mut Vec<Fault>,
) -> Box<[Target]> {
    if !holder.get(switch).is_some_and(in_use) {
        return Box::default();
    }
    let entries = holder.get(list).and_then(Value::as_array).into_iter().flatten();
    let mut all = Vec::new();
    for (index, entry) in entries.enumerate() {
        let Some(url) = entry.as_str().or_else(|| entry.get("url")?.as_str()) else { continue };
        let times = entry.get("weight").and_then(Value::as_u64).unwrap_or(1).min(100);
        match target(url) {
            Ok(target) => all.extend(std::iter::repeat_n(target, usize::try_from(times).unwrap_or(1))),
            Err(why) => {
                let at = pointer_join(&holder.at(list), &index.to_string());
                faults.push(Fault::error(at, format!("the target {why}")));
            }
        }
    }
    all.into()
}

/// What would guard requests guards no connection: an API that asks for it is refused, and not left open. `keys` is where
/// it is said whether keys are asked for, `certificates` where certificates of clients are.
pub(crate) fn unguarded(api: &Api, keys: String, certificates: String, faults: &mut Vec<Fault>) {
    if api.pass_through.is_none() {
        return;
    }
    if api.auth != Auth::Keyless {
        let told = "nobody can be asked for a key on a connection that is passed through; the API is refused so that it is not left open";
        faults.push(Fault::error(keys, told));
    }
    if api.plugins.as_deref().is_some_and(Plugins::runs_any) {
        let told = format!("plugins of connections that are passed through are {LEFT_OPEN}");
        faults.push(Fault::error("", told));
    }
    if api.client_certificates.is_some() && api.pass_through.as_deref().is_some_and(|own| !own.tls) {
        let told = "clients show certificates over TLS alone, and this API is `tcp`; it is refused so that it is not left open";
        faults.push(Fault::error(certificates, told).hint("make it `tls`"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_hosts_with_ports() {
        for (url, expected) in [
            ("tcp://Db.internal:5432", Some("http://db.internal:5432")),
            ("tls://db:5432/", Some("https://db:5432/")),
            ("db:5432", Some("http://db:5432")),
            ("tcp://[::1]:1", Some("http://[::1]:1")),
            ("tcp://db", None),
            ("tcp://[::1]", None),
            ("tcp://db:1/path", None),
            ("tcp://u:p@db:1", None),
            ("tcp://db:1?x", None),
            ("http://db:1", None),
            ("", None),
        ] {
            assert_eq!(target(url).ok().map(|target| target.to_string()).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn protocols_and_ports() {
        let keys = Keys { protocol: "protocol", port: "listen_port" };
        for (written, expected, faults) in [
            (json!({}), None, 0),
            (json!({"protocol": "http"}), None, 0),
            (json!({"listen_port": 9000}), None, 0),
            (json!({"protocol": "tcp", "listen_port": 9000}), Some((9000, false, None)), 0),
            (
                json!({"protocol": "tls", "listen_port": 9000,
                    "x-sluicegate": {"pass_through": {"send_proxy_protocol": "v2", "idle_timeout": 5}}}),
                Some((9000, true, Some(HeaderVersion::Two))),
                0,
            ),
            (json!({"protocol": "tcp"}), Some((0, false, None)), 1),
            (json!({"protocol": "tcp", "listen_port": 70000}), Some((65535, false, None)), 1),
            (json!({"protocol": "udp", "listen_port": 1}), None, 1),
            (
                json!({"protocol": "tcp", "listen_port": 1,
                    "x-sluicegate": {"pass_through": {"send_proxy_protocol": "v3"}}}),
                Some((1, false, None)),
                1,
            ),
            (
                json!({"protocol": "tcp", "listen_port": 1,
                    "x-sluicegate": {"pass_through": {"rate_per_ip": {"rate": 5}}}}),
                Some((1, false, None)),
                1,
            ),
        ] {
            let mut found = Vec::new();
            let root = Section::root(&written, &mut found);
            let read = PassThrough::read(&root, &root, &keys, &mut found);
            let read = read.map(|read| (read.port, read.tls, read.sends_header));
            assert_eq!((read, found.len()), (expected, faults), "{written}: {found:?}");
        }
    }
}
