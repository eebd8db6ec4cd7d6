//! Connections to a server.

use std::sync::Arc;
use std::time::Duration;

use document::Fault;
use fe2o3_amqp::connection::ConnectionHandle;
use fe2o3_amqp::sasl_profile::SaslProfile;
use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp::{Connection, Session};
use percent_encoding::percent_decode_str;
use rustls::pki_types::ServerName;
use streams::{BuildContext, Egress, Node};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::fields::{comma_list, filled, tls};
use crate::net::tls::TlsClient;
use crate::permits::addresses;

/// How long taking leave may take: the last acknowledgements go out before it.
pub(super) const FAREWELL: Duration = Duration::from_secs(5);
/// How long connecting to one server may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A server that is silent for so long, in milliseconds, is lost. It is told, and sends empty frames in time.
const IDLE: u32 = 60_000;

/// Where and how to connect.
pub(super) struct Settings {
    servers: Vec<Server>,
    tls: TlsClient,
    name: String,
    egress: Arc<Egress>,
}

struct Server {
    host: String,
    port: u16,
    secure: bool,
    sasl: Option<SaslProfile>,
}

/// A connection with one session.
pub(super) struct Opened {
    pub(super) connection: ConnectionHandle<()>,
    pub(super) session: SessionHandle<()>,
}

impl Settings {
    /// Reads `urls`, `tls` and `sasl`.
    pub(super) fn read(node: &Node<'_>, context: &BuildContext<'_>) -> Result<Settings, Fault> {
        let stream = &context.stream;
        let own_tls = tls(node)?;
        let sasl = node.get("sasl");
        let (user, password) = (filled(&sasl, "user")?, sasl.text("password")?.into_owned());
        let own = match &*sasl.text("mechanism")? {
            "plain" => {
                let username = user.ok_or_else(|| sasl.field_fault("user", "PLAIN needs a `user`"))?;
                Some(SaslProfile::Plain { username, password })
            }
            "anonymous" => Some(SaslProfile::Anonymous),
            _ => None,
        };
        let mut servers = Vec::new();
        for url in comma_list(node, "urls")? {
            let read = server(&url, own_tls.is_some(), own.as_ref());
            servers.push(read.map_err(|fault| node.field_fault("urls", fault))?);
        }
        Ok(Settings {
            servers,
            tls: TlsClient::new(own_tls.unwrap_or_default(), &[]),
            name: format!("sluicegate-{stream}-{:x}", rand::random::<u64>()),
            egress: context.settings.egress.clone(),
        })
    }

    /// Connects to the first server that answers.
    pub(super) async fn connect(&self) -> Result<Opened, String> {
        let mut faults = Vec::new();
        for server in &self.servers {
            let opened = tokio::time::timeout(HANDSHAKE, self.open(server)).await;
            match opened.unwrap_or_else(|_| Err(format!("no answer within {HANDSHAKE:?}"))) {
                Ok(opened) => return Ok(opened),
                Err(fault) => faults.push(format!("{}:{}: {fault}", server.host, server.port)),
            }
        }
        Err(format!("no amqp server could be reached: {}", faults.join("; ")))
    }

    async fn open(&self, server: &Server) -> Result<Opened, String> {
        let host = server.host.as_str();
        let addresses = addresses(&self.egress, host, server.port).await?;
        let stream = TcpStream::connect(&*addresses).await;
        let stream = stream.map_err(|fault| fault.to_string())?;
        stream.set_nodelay(true).map_err(|fault| fault.to_string())?;
        let mut builder = Connection::builder()
            .container_id(&self.name)
            .hostname(host)
            .sasl_hostname(host)
            .scheme("amqp")
            .idle_time_out(IDLE);
        if let Some(sasl) = &server.sasl {
            builder = builder.sasl_profile(sasl.clone());
        }
        let connection = if server.secure {
            let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
                .map_err(|_| format!("`{host}` is not a name that a certificate could hold"))?;
            let connector = TlsConnector::from(self.tls.config().await?);
            let stream = connector.connect(name, stream).await.map_err(|fault| format!("no tls: {fault}"))?;
            builder.open_with_stream(stream).await
        } else {
            builder.open_with_stream(stream).await
        };
        let mut connection = connection.map_err(|fault| fault.to_string())?;
        let session = Session::begin(&mut connection).await;
        let session = session.map_err(|fault| format!("no session: {fault}"))?;
        Ok(Opened { connection, session })
    }
}

impl Opened {
    /// Ends session and connection.
    pub(super) async fn leave(mut self) {
        let leave = async {
            let _ = self.session.end().await;
            let _ = self.connection.close().await;
        };
        let _ = tokio::time::timeout(FAREWELL, leave).await;
    }
}

/// The text stays out of the fault: it may hold a password.
fn server(url: &str, tls: bool, own: Option<&SaslProfile>) -> Result<Server, String> {
    let wrong = |what: &str| format!("{what}; write `amqp://host:5672` or `amqps://host:5671`");
    let url = Url::parse(url).map_err(|fault| wrong(&format!("not an address: {fault}")))?;
    let secure = match url.scheme() {
        "amqp" => tls,
        "amqps" => true,
        other => return Err(wrong(&format!("`{other}` is not spoken here"))),
    };
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("there is no host"))?;
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let sasl = match (url.username(), own) {
        ("", own) => own.cloned(),
        (user, _) => Some(SaslProfile::Plain {
            username: decoded(user),
            password: decoded(url.password().unwrap_or_default()),
        }),
    };
    let port = url.port().unwrap_or(if secure { 5671 } else { 5672 });
    Ok(Server { host: host.to_owned(), port, secure, sasl })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_with_who_the_client_is() {
        for (url, tls, host, port, secure, user) in [
            ("amqp://a", false, "a", 5672, false, ""),
            ("amqp://a", true, "a", 5671, true, ""),
            ("amqps://a", false, "a", 5671, true, ""),
            ("amqp://u:p%40s@[::1]:1/", false, "[::1]", 1, false, "u p@s"),
        ] {
            let server = server(url, tls, None).unwrap_or_else(|fault| panic!("{url}: {fault}"));
            assert_eq!((server.host.as_str(), server.port, server.secure), (host, port, secure), "{url}");
            let read = match &server.sasl {
                Some(SaslProfile::Plain { username, password }) => format!("{username} {password}"),
                _ => String::new(),
            };
            assert_eq!(read, user, "{url}");
        }
        for wrong in ["http://a", "a", "amqp://", ""] {
            assert!(server(wrong, false, None).is_err_and(|fault| fault.contains("amqp://")), "{wrong}");
        }
        let own = SaslProfile::Anonymous;
        assert!(matches!(server("amqp://a", false, Some(&own)).unwrap().sasl, Some(SaslProfile::Anonymous)));
    }
}
