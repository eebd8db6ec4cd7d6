//! The backend of APIs that are connections, not requests: what comes in on a port of its own goes to the upstream as it
//! is, after its address and the numbers under way have been looked at. No guard that reads requests stands in between.

mod connection;
mod ports;
pub(crate) mod proxy_protocol;
mod relay;
mod traffic;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use apidef::{HeaderVersion, OwnPort, OwnProtocol, Scheme, Source};
use document::Fault;

pub use self::ports::run;
pub(crate) use self::ports::{Ports, settle, tenants};
use self::proxy_protocol::Version;
use self::traffic::Traffic;
pub(crate) use self::traffic::{Busy, tell};
use crate::auth::{Addresses, ClientCertificates};
use crate::backend::upstream::{Connector, DialError, Origin, Purpose, Security, UpstreamStream};
use crate::gate::Gate;
use crate::limits::{ConnectionRates, Context};

/// On which ports APIs may listen.
#[derive(Debug, Clone)]
pub struct PortSettings {
    /// The address that all ports are bound on.
    pub address: IpAddr,
    /// Ports of the gate itself, which no API may have.
    pub own: Vec<u16>,
    /// The one of them on which APIs are served.
    pub main: u16,
    /// TLS is spoken there.
    pub main_tls: bool,
    /// There are certificates to speak TLS with.
    pub certificates: bool,
    /// Any port may be asked for (`disable_ports_whitelist`).
    pub any: bool,
    /// Those that may (`ports_whitelist`), by protocol.
    pub allowed: Vec<(Box<str>, RangeInclusive<u16>)>,
}

impl Default for PortSettings {
    fn default() -> Self {
        Self {
            address: Ipv4Addr::UNSPECIFIED.into(),
            own: Vec::new(),
            main: 0,
            main_tls: false,
            certificates: false,
            any: false,
            allowed: Vec::new(),
        }
    }
}

impl PortSettings {
    /// The port of an API over HTTP, and whether TLS is spoken there; `None` where it is the gate's own.
    ///
    /// # Errors
    /// Ports that it may not have, and protocols that cannot be spoken there.
    pub(crate) fn of(&self, api: &apidef::Api, source: Source) -> Result<Option<(u16, bool)>, Fault> {
        let Some(OwnPort { port, protocol }) = api.own_port else { return Ok(None) };
        let (protocol_at, port_at) = match source {
            Source::Classic => ("/protocol", "/listen_port"),
            Source::Oas => ("/x-tyk-api-gateway/server/protocol", "/x-tyk-api-gateway/server/port"),
        };
        let tls = match protocol {
            OwnProtocol::AsGate => self.main_tls,
            OwnProtocol::Http | OwnProtocol::H2c => false,
            OwnProtocol::Https => true,
        };
        if port == 0 || port == self.main {
            if tls == self.main_tls {
                return Ok(None);
            }
            let (other, word) = if tls { ("in clear", "https") } else { ("over TLS", protocol.word()) };
            let text = format!("the gate's own port is served {other}, and `{word}` is not");
            return Err(Fault::error(protocol_at, text)
                .hint("give the API a port of its own, or see `http_server_options.use_ssl`"));
        }
        let word = match protocol {
            OwnProtocol::AsGate if tls => "https",
            OwnProtocol::AsGate => "http",
            _ => protocol.word(),
        };
        self.check(port, word).map_err(|text| Fault::error(port_at, text))?;
        if tls && !self.certificates {
            let text = "there is no certificate to speak `https` with";
            return Err(
                Fault::error(protocol_at, text).hint("name some in `http_server_options.ssl_certificates`")
            );
        }
        Ok(Some((port, tls)))
    }

    fn check(&self, port: u16, protocol: &str) -> Result<(), String> {
        if self.own.contains(&port) {
            return Err(format!("port {port} is one of the gate's own; choose another"));
        }
        let allowed =
            |(of, ports): &(Box<str>, RangeInclusive<u16>)| **of == *protocol && ports.contains(&port);
        if self.any || self.allowed.iter().any(allowed) {
            return Ok(());
        }
        Err(format!(
            "port {port} is not open to definitions; add it to `ports_whitelist.{protocol}`, or set `disable_ports_whitelist`"
        ))
    }
}

/// A compiled API of this kind.
pub struct PassThrough {
    pub(crate) port: u16,
    pub(crate) tls: bool,
    accepts_header: bool,
    sends_header: Option<Version>,
    idle: Duration,
    admitted: Option<Addresses>,
    targets: Box<[Connector]>,
    turn: AtomicUsize,
    /// Who may show himself, where clients have to.
    certificates: Option<ClientCertificates>,
    rates: Option<ConnectionRates>,
    traffic: Arc<Traffic>,
    /// The upstream, for records.
    host: Box<str>,
}

impl std::fmt::Debug for PassThrough {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PassThrough").field("port", &self.port).finish_non_exhaustive()
    }
}

impl PassThrough {
    /// Compiles it. Nothing listens before the API runs.
    pub(crate) fn new(api: &apidef::Api, upstream: &apidef::Upstream, gate: &Gate) -> Result<Self, Fault> {
        let fault = |why: String| Fault::error("", why);
        let Some(model) = api.pass_through.as_deref() else {
            return Err(fault("the API is none whose connections are passed through".to_owned()));
        };
        let protocol = if model.tls { "tls" } else { "tcp" };
        gate.settings.ports.check(model.port, protocol).map_err(fault)?;
        let some = std::slice::from_ref(&upstream.target);
        let targets = if upstream.targets.is_empty() { some } else { &upstream.targets };
        let settings = &gate.upstream;
        let timeout = upstream.timeout.unwrap_or(settings.timeout);
        let targets = targets.iter().map(|target| {
            let security = Security::of(&upstream.manner.tls, target, &settings.common);
            let origin = Origin::new(target, security.clone());
            let client = match target.scheme {
                Scheme::Https => Some(security.client(settings, &gate.certificates)?),
                Scheme::Http | Scheme::H2c => None,
            };
            Connector::new(origin, client, timeout, &settings.names)
        });
        Ok(Self {
            port: model.port,
            tls: model.tls,
            accepts_header: model.accepts_header,
            sends_header: model.sends_header.map(|version| match version {
                HeaderVersion::One => Version::One,
                HeaderVersion::Two => Version::Two,
            }),
            idle: model.idle,
            admitted: Addresses::new(&api.addresses),
            targets: targets.collect::<Result<_, _>>().map_err(fault)?,
            turn: AtomicUsize::new(0),
            certificates: api.client_certificates.as_ref().map(|own| {
                let allowed = own.iter().chain(&gate.settings.certificates.of_all_apis).cloned();
                ClientCertificates::new(allowed)
            }),
            rates: ConnectionRates::new(api, model.rate_per_ip.as_ref(), &Context::of(gate)),
            traffic: Arc::default(),
            host: upstream.target.authority.clone(),
        })
    }

    fn admits(&self, address: IpAddr) -> bool {
        self.admitted.as_ref().is_none_or(|admitted| admitted.admits(Some(address), address))
    }

    /// A connection to one of the targets, by turns; to the next one where one cannot be reached.
    async fn dial(&self) -> Result<UpstreamStream, DialError> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut last = None;
        for number in 0..self.targets.len() {
            let target = &self.targets[(first.wrapping_add(number)) % self.targets.len()];
            match target.dial(Purpose::Bytes).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(DialError::nowhere))
    }
}

/// The header that is sent ahead of a connection, where the API says so.
fn header(api: &PassThrough, from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    api.sends_header.map(|version| proxy_protocol::write(version, from, to)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_have_to_be_open_to_definitions() {
        let settings = PortSettings {
            own: vec![8080],
            allowed: vec![("tcp".into(), 9000..=9010), ("tls".into(), 443..=443)],
            ..PortSettings::default()
        };
        for (port, protocol, allowed) in [
            (9000, "tcp", true),
            (9010, "tcp", true),
            (9011, "tcp", false),
            (443, "tls", true),
            (443, "tcp", false),
            (8080, "tcp", false),
        ] {
            assert_eq!(settings.check(port, protocol).is_ok(), allowed, "{port} {protocol}");
        }
        let any = PortSettings { any: true, ..settings };
        assert!(any.check(1, "tcp").is_ok() && any.check(8080, "tcp").is_err());
    }
}
