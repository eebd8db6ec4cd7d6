//! Connections to a broker.

use std::sync::Arc;
use std::time::Duration;

use document::Fault;
use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{AsyncTcpStream, Connection, ConnectionProperties};
use streams::{BuildContext, Egress, Node};

use crate::fields::{Tls, comma_list, tls};
use crate::net::tls::plain_identity;
use crate::permits::addresses;

/// How long one broker may take until a connection stands, and again until what is asked for on it is ready. The client
/// library waits for ever.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(10);

/// Where and how to connect.
pub(super) struct Settings {
    brokers: Vec<AMQPUri>,
    tls: Tls,
    name: String,
    egress: Arc<Egress>,
}

impl Settings {
    /// Reads `urls` and `tls`.
    pub(super) fn read(node: &Node<'_>, context: &BuildContext<'_>) -> Result<Settings, Fault> {
        let stream = &context.stream;
        let own_tls = tls(node)?;
        let mut brokers = Vec::new();
        for url in comma_list(node, "urls")? {
            // The text stays out of the fault: it may hold a password.
            let mut uri: AMQPUri = url.parse().map_err(|fault| {
                node.field_fault("urls", format!("not an address such as `amqp://host:5672/vhost`: {fault}"))
            })?;
            // `…:5672/` means the usual virtual host, as without the slash.
            if uri.vhost.is_empty() {
                uri.vhost = "/".to_owned();
            }
            if own_tls.is_some() {
                if uri.scheme == AMQPScheme::AMQP && uri.authority.port == 5672 && !url.contains(":5672") {
                    uri.authority.port = 5671;
                }
                uri.scheme = AMQPScheme::AMQPS;
            }
            brokers.push(uri);
        }
        let tls = own_tls.unwrap_or_default();
        if tls.skip_verify {
            return Err(node.get("tls").field_fault(
                "skip_cert_verify",
                "the client for AMQP 0.9.1 always checks certificates; name the authority in `root_cas`",
            ));
        }
        let name = format!("sluicegate {stream}");
        Ok(Settings { brokers, tls, name, egress: context.settings.egress.clone() })
    }

    /// Connects to the first broker that answers.
    pub(super) async fn connect(&self) -> Result<Connection, String> {
        let mut faults = Vec::new();
        for uri in &self.brokers {
            let fault = match tokio::time::timeout(HANDSHAKE, self.open(uri)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(fault)) => fault,
                Err(_) => format!("no answer within {HANDSHAKE:?}"),
            };
            faults.push(format!("{}:{}: {fault}", uri.authority.host, uri.authority.port));
        }
        Err(format!("no amqp broker could be reached: {}", faults.join("; ")))
    }

    async fn open(&self, uri: &AMQPUri) -> Result<Connection, String> {
        let properties = ConnectionProperties::default().with_connection_name(self.name.clone().into());
        let config = self.tls_config()?;
        let runtime = lapin::runtime::default_runtime().map_err(|fault| fault.to_string())?;
        if self.egress.allows_all() {
            let opened = Connection::connect_uri_with_config(uri.clone(), properties, config, runtime).await;
            return opened.map_err(|fault| fault.to_string());
        }
        // The library would look the name up and take whichever address it likes: it is given those that are allowed.
        let allowed = addresses(&self.egress, &uri.authority.host, uri.authority.port).await?;
        let opened = Connection::connector(
            uri.clone(),
            runtime,
            async move |uri, runtime| {
                let stream = AsyncTcpStream::connect(&runtime, allowed.clone()).await?;
                Ok::<_, lapin::Error>(match uri.scheme {
                    AMQPScheme::AMQP => stream,
                    AMQPScheme::AMQPS => stream.into_tls(&uri.authority.host, config.as_ref()).await?,
                })
            },
            properties,
        );
        opened.await.map_err(|fault| fault.to_string())
    }

    /// Waits for what is set up on a connection, no longer than [`HANDSHAKE`].
    pub(super) async fn set_up<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
        let late = |_| Err(format!("the amqp broker does not answer within {HANDSHAKE:?}"));
        tokio::time::timeout(HANDSHAKE, work).await.unwrap_or_else(late)
    }

    fn tls_config(&self) -> Result<OwnedTLSConfig, String> {
        // Files are small, and read anew only when a connection is made: certificates are renewed.
        let read = || -> Result<OwnedTLSConfig, String> {
            let roots = self.tls.roots.as_ref().map(|pem| pem.read("root_cas")).transpose()?;
            let roots = roots.map(|text| String::from_utf8_lossy(&text).into_owned());
            let identity = match &self.tls.client {
                None => None,
                Some(client) => {
                    let (pem, key) = plain_identity(client)?;
                    Some(OwnedIdentity::PKCS8 { pem, key })
                }
            };
            Ok(OwnedTLSConfig { identity, cert_chain: roots })
        };
        // Decrypting a key takes its time, too.
        let slow = self.tls.has_files() || self.tls.client.is_some();
        if slow { tokio::task::block_in_place(read) } else { read() }
    }
}
