//! What the connection fields say.

use std::time::Duration;

use document::Fault;
use streams::{BuildContext, Node};

use crate::addresses::shown;
use crate::fields::{comma_list, filled, tls};
use crate::net::dial::Dialer;
use crate::net::tls::TlsClient;

/// How a broker is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    Tls,
    Ws,
    Wss,
}

/// One broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) transport: Transport,
    pub(super) host: String,
    pub(super) port: u16,
    /// As written, for WebSockets and for people; without credentials.
    pub(super) url: String,
}

impl Address {
    /// The same with TLS.
    fn encrypted(mut self) -> Address {
        self.transport = match self.transport {
            Transport::Tcp | Transport::Tls => Transport::Tls,
            Transport::Ws | Transport::Wss => Transport::Wss,
        };
        // The client library goes by the scheme of a WebSocket's address.
        if let Some((scheme, rest)) = self.url.split_once("://")
            && scheme.eq_ignore_ascii_case("ws")
        {
            self.url = format!("wss://{rest}");
        }
        self
    }
}

/// A last will.
pub(super) struct Will {
    pub(super) topic: String,
    pub(super) payload: String,
    pub(super) qos: u8,
    pub(super) retained: bool,
}

/// Everything about a connection.
pub(super) struct Settings {
    pub(super) addresses: Vec<Address>,
    pub(super) client_id: String,
    pub(super) connect_timeout: Duration,
    /// Asks the egress policy.
    pub(super) dialer: Dialer,
    pub(super) will: Option<Will>,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) keepalive: u16,
    pub(super) five: bool,
    pub(super) tls: TlsClient,
    /// Inputs: whether the broker forgets this client when it leaves.
    pub(super) clean: bool,
    /// Outputs: most messages of one connection that are not confirmed yet.
    pub(super) in_flight: u16,
}

impl Settings {
    /// Reads the fields that inputs and outputs share.
    pub(super) fn read(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Settings, Fault> {
        let own_tls = tls(node)?;
        let mut addresses = Vec::new();
        for url in comma_list(node, "urls")? {
            let mut address = address(&url).map_err(|text| node.field_fault("urls", text))?;
            // `tls.enabled` makes TLS of any scheme, as a scheme alone does.
            if own_tls.is_some() {
                address = address.encrypted();
            }
            addresses.push(address);
        }
        let mut client_id = node.text("client_id")?.into_owned();
        if filled(node, "dynamic_client_id_suffix")?.is_some() {
            client_id.push_str(&suffix());
        }
        if !client_id.is_empty() {
            // A broker throws out the client that has this name already.
            context.claim(format!("mqtt client {client_id}"));
        }
        let will = node.get("will");
        let will = match will.boolean("enabled")? {
            false => None,
            true => Some(Will {
                topic: filled(&will, "topic")?
                    .ok_or_else(|| will.field_fault("topic", "a last will needs a `topic`"))?,
                payload: will.text("payload")?.into_owned(),
                qos: qos(&will)?,
                retained: will.boolean("retained")?,
            }),
        };
        let keepalive = u16::try_from(node.integer("keepalive")?)
            .map_err(|_| node.field_fault("keepalive", "`keepalive` must be between 0 and 65535 seconds"))?;
        let connect_timeout = node.duration("connect_timeout")?.unwrap_or(Duration::from_secs(30));
        let egress = context.settings.egress.clone();
        Ok(Settings {
            addresses,
            client_id,
            connect_timeout,
            dialer: Dialer { egress, timeout: connect_timeout, keep_alive: Duration::ZERO },
            will,
            user: node.text("user")?.into_owned(),
            password: node.text("password")?.into_owned(),
            keepalive,
            five: node.text("protocol_version")? == "5",
            tls: TlsClient::new(own_tls.unwrap_or_default(), &[]),
            clean: true,
            in_flight: 100,
        })
    }
}

/// The field `qos`.
pub(super) fn qos(node: &Node<'_>) -> Result<u8, Fault> {
    match node.integer("qos")? {
        0 => Ok(0),
        1 => Ok(1),
        2 => Ok(2),
        _ => Err(node.field_fault("qos", "`qos` is 0, 1 or 2")),
    }
}

fn suffix() -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let letter = || char::from(LETTERS[usize::from(rand::random::<u8>()) % LETTERS.len()]);
    (0..21).map(|_| letter()).collect()
}

/// Reads `scheme://host:port/path`; what is missing is the protocol's default.
fn address(url: &str) -> Result<Address, String> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("tcp", url));
    let (transport, default_port) = match scheme.to_ascii_lowercase().as_str() {
        "tcp" | "mqtt" => (Transport::Tcp, 1883),
        "ssl" | "tls" | "tcps" | "mqtts" => (Transport::Tls, 8883),
        "ws" => (Transport::Ws, 80),
        "wss" => (Transport::Wss, 443),
        other => {
            return Err(format!("`{other}` is no way to an MQTT broker; write tcp, ssl, ws or wss"));
        }
    };
    let (authority, path) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
    if authority.contains('@') {
        return Err("credentials do not belong into `urls`; write `user` and `password`".to_owned());
    }
    let (host, port) = match authority.rsplit_once(':') {
        // The colons of a bare IPv6 address are no port's.
        Some((host, port)) if !port.ends_with(']') => {
            let number = port.parse().map_err(|_| format!("`{port}` is no port, in `{}`", shown(url)))?;
            (host, number)
        }
        _ => (authority, default_port),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        return Err(format!("there is no host in `{}`", shown(url)));
    }
    let scheme = if matches!(transport, Transport::Wss) { "wss" } else { scheme };
    Ok(Address { transport, host: host.to_owned(), port, url: format!("{scheme}://{authority}{path}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let cases = [
            ("tcp://a:1", Some((Transport::Tcp, "a", 1))),
            ("a.b", Some((Transport::Tcp, "a.b", 1883))),
            ("SSL://a", Some((Transport::Tls, "a", 8883))),
            ("mqtts://a:7", Some((Transport::Tls, "a", 7))),
            ("ws://a/mqtt", Some((Transport::Ws, "a", 80))),
            ("wss://[::1]:9001/x?y=1", Some((Transport::Wss, "::1", 9001))),
            ("tcp://[::1]", Some((Transport::Tcp, "::1", 1883))),
            ("tcp://:1883", None),
            ("tcp://a:70000", None),
            ("http://a", None),
            ("tcp://me:secret@a", None),
        ];
        for (url, expected) in cases {
            let read = address(url);
            let found = read.as_ref().ok().map(|a| (a.transport, a.host.as_str(), a.port));
            assert_eq!(found, expected, "{url}: {read:?}");
        }
        assert_eq!(address("ws://a/mqtt").map(|a| a.url).as_deref(), Ok("ws://a/mqtt"));
        let secured = address("WS://a/mqtt").map(Address::encrypted);
        let secured = secured.map(|a| (a.transport, a.url));
        assert_eq!(secured, Ok((Transport::Wss, "wss://a/mqtt".to_owned())));
    }

    #[test]
    fn suffixes_are_random_letters() {
        let (one, two) = (suffix(), suffix());
        assert_eq!((one.len(), two.len()), (21, 21));
        assert_ne!(one, two);
    }
}
