//! Connections to NATS servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{AuthError, Client, ConnectOptions, Event, ServerAddr};
use document::Fault;
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;
use streams::{BuildContext, Egress, Node};
use tokio::sync::{OnceCell, watch};

use super::auth::{Identity, UrlIdentity};
use super::confirm::Denials;
use crate::fields::{Tls, comma_list, tls};
use crate::net::tls::TlsClient;
use crate::permits::{addresses, bare, permitted};

/// How long taking leave may take: the last acknowledgements go out before it.
pub(super) const FAREWELL: Duration = Duration::from_secs(5);
/// How long a server may take to greet and to accept.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How often a silent server is probed; after two probes without answer it is lost.
const PROBES: Duration = Duration::from_secs(10);

/// Where and how to connect.
pub(super) struct Settings {
    servers: Vec<Server>,
    name: String,
    tls: TlsClient,
    tls_required: bool,
    tls_first: bool,
    identity: Identity,
    stream: Arc<str>,
    egress: Arc<Egress>,
    /// Most messages of one subscription that wait here.
    pub(super) capacity: usize,
    pub(super) inbox_prefix: Option<String>,
}

struct Server {
    address: ServerAddr,
    identity: UrlIdentity,
}

impl Settings {
    /// Reads what all components of NATS share.
    pub(super) fn read(node: &Node<'_>, context: &BuildContext<'_>) -> Result<Settings, Fault> {
        let stream = &context.stream;
        let own_tls = tls(node)?;
        let mut servers = Vec::new();
        for url in comma_list(node, "urls")? {
            let server = server(&url, own_tls.is_some());
            servers.push(server.map_err(|fault| node.field_fault("urls", fault))?);
        }
        let name = node.text("name")?;
        Ok(Settings {
            servers,
            name: if name.is_empty() { format!("sluicegate {stream}") } else { name.into_owned() },
            tls_required: own_tls.is_some(),
            tls_first: node.boolean("tls_handshake_first")?,
            tls: TlsClient::new(own_tls.unwrap_or_else(Tls::default), &[]),
            identity: Identity::read(node)?,
            stream: stream.clone(),
            egress: context.settings.egress.clone(),
            capacity: 64 * 1024,
            inbox_prefix: None,
        })
    }

    /// Connects to the first server that answers.
    pub(super) async fn connect(&self) -> Result<Link, String> {
        let mut faults = Vec::new();
        for server in &self.servers {
            match self.connect_to(server).await {
                Ok(link) => return Ok(link),
                Err(fault) => {
                    faults.push(format!("{}:{}: {fault}", server.address.host(), server.address.port()));
                }
            }
        }
        Err(format!("no nats server could be reached: {}", faults.join("; ")))
    }

    async fn connect_to(&self, server: &Server) -> Result<Link, String> {
        let address = &server.address;
        let (host, port) = (address.host(), address.port());
        if address.is_websocket() || self.egress.allows_all() {
            // The library looks up the name of a WebSocket by itself, so that all its addresses must be allowed.
            permitted(&self.egress, host, port).await?;
            let config = self.tls.config().await?;
            return self.open(server, address, (*config).clone()).await;
        }
        // It is given addresses that are allowed, and the name for the certificate alone.
        let config = self.tls.config_for(bare(host)).await?;
        let mut fault = format!("{host}:{port} has no address");
        for allowed in addresses(&self.egress, host, port).await? {
            let mut url = address.clone().into_inner();
            let place = url.set_ip_host(allowed.ip()).ok().and_then(|()| ServerAddr::from_url(url).ok());
            let Some(place) = place else { continue };
            match self.open(server, &place, config.clone()).await {
                Ok(link) => return Ok(link),
                Err(text) => fault = text,
            }
        }
        Err(fault)
    }

    async fn open(
        &self,
        server: &Server,
        place: &ServerAddr,
        config: rustls::ClientConfig,
    ) -> Result<Link, String> {
        let credentials = self.identity.credentials(&server.identity).await?;
        // The library would connect again by itself and send what it still holds. It gives up when it is refused its
        // credentials.
        let made = Arc::new(AtomicBool::new(false));
        let was_made = made.clone();
        let (lost, is_lost) = watch::channel(false);
        let denials = Arc::new(Denials::default());
        let (stream, denied) = (self.stream.clone(), denials.clone());
        let mut options = ConnectOptions::with_auth_callback(move |nonce| {
            let again = was_made.load(Ordering::Relaxed);
            let again = if again { Err(AuthError::new("the stream connects anew")) } else { Ok(()) };
            std::future::ready(again.and_then(|()| credentials.answer(&nonce)))
        })
        .event_callback(move |event| {
            note(event, &stream, &lost, &denied);
            std::future::ready(())
        })
        .max_reconnects(1)
        .ignore_discovered_servers()
        .connection_timeout(HANDSHAKE)
        .ping_interval(PROBES)
        .subscription_capacity(self.capacity)
        .require_tls(self.tls_required)
        .tls_client_config(config)
        .name(&self.name);
        if self.tls_first {
            options = options.tls_first();
        }
        if let Some(prefix) = &self.inbox_prefix {
            options = options.custom_inbox_prefix(prefix);
        }
        let client = options.connect(place.clone()).await.map_err(|fault| chain(&fault))?;
        made.store(true, Ordering::Relaxed);
        Ok(Link { client, lost: is_lost, denials })
    }
}

/// A fault with its causes, without saying anything twice.
pub(super) fn chain(fault: &dyn std::error::Error) -> String {
    let mut text = fault.to_string();
    let mut cause = fault.source();
    while let Some(fault) = cause {
        let more = fault.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = fault.source();
    }
    text
}

/// What the library tells of a connection.
fn note(event: Event, stream: &str, lost: &watch::Sender<bool>, denials: &Denials) {
    match event {
        Event::Disconnected | Event::Closed => {
            lost.send_replace(true);
        }
        Event::SlowConsumer(_) => {
            let before = denials.overrun();
            // The first, and then now and then: a flood must not fill the log, too.
            if before.is_power_of_two() || before == 0 {
                tracing::warn!(%stream, lost = before + 1, "the stream is slower than its nats subject; messages that found no room are lost");
            }
        }
        Event::ServerError(fault) => {
            tracing::warn!(%stream, %fault, "the nats server refuses something");
            denials.add(fault.to_string());
        }
        Event::LameDuckMode => tracing::info!(%stream, "the nats server will go away"),
        _ => {}
    }
}

/// Reads one address; with `secure` it is spoken to through TLS only.
fn server(url: &str, secure: bool) -> Result<Server, String> {
    // The text stays out of the fault: it may hold a password.
    let address: ServerAddr =
        url.parse().map_err(|_| "not an address such as `nats://host:4222`".to_owned())?;
    if address.host().is_empty() {
        return Err("a server's address has no host; write `nats://host:4222`".to_owned());
    }
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let identity = match (address.username(), address.password()) {
        (None, _) => UrlIdentity::None,
        (Some(token), None) => UrlIdentity::Token(decoded(token)),
        (Some(user), Some(password)) => UrlIdentity::User(decoded(user), decoded(password)),
    };
    Ok(Server {
        address: if address.is_websocket() { websocket(address, secure)? } else { address },
        identity,
    })
}

/// The address of a WebSocket as the library is to ask for it: it knows TLS by the scheme alone, and would send name and
/// password along with the request.
fn websocket(address: ServerAddr, secure: bool) -> Result<ServerAddr, String> {
    let wrong = || "not an address such as `wss://host:443`".to_owned();
    let mut url = address.into_inner();
    url.set_username("").and_then(|()| url.set_password(None)).map_err(|()| wrong())?;
    if secure {
        url.set_scheme("wss").map_err(|()| wrong())?;
    }
    ServerAddr::from_url(url).map_err(|_| wrong())
}

/// One connection.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) client: Client,
    lost: watch::Receiver<bool>,
    pub(super) denials: Arc<Denials>,
}

impl Link {
    pub(super) fn is_lost(&self) -> bool {
        *self.lost.borrow()
    }

    /// Waits until the connection is lost.
    pub(super) async fn lost(&self) {
        let mut lost = self.lost.clone();
        // An error means that nobody watches the connection any more.
        let _ = lost.wait_for(|lost| *lost).await;
    }

    /// Waits until the server has read all that was sent, and leaves it.
    pub(super) async fn leave(self) {
        let leave = async {
            let _ = self.denials.settle(&self.client).await;
            let _ = self.client.drain().await;
        };
        tokio::select! {
            _ = tokio::time::timeout(FAREWELL, leave) => {}
            () = self.lost() => {}
        }
    }
}

/// A connection for components that nobody connects, with what they open on it: made when first needed, and anew when it
/// was lost.
pub(super) struct Lazy<T> {
    settings: Settings,
    current: Mutex<Arc<OnceCell<(Link, T)>>>,
}

impl<T: Clone + Send + Sync> Lazy<T> {
    pub(super) fn new(settings: Settings) -> Lazy<T> {
        Lazy { settings, current: Mutex::new(Arc::new(OnceCell::new())) }
    }

    /// The connection; whoever asks while it is made waits for the same one.
    pub(super) async fn get<Opening>(
        &self,
        open: impl FnOnce(Link) -> Opening + Send,
    ) -> Result<(Link, T), String>
    where
        Opening: Future<Output = Result<T, String>> + Send,
    {
        let cell = {
            let mut current = self.current.lock();
            if current.get().is_some_and(|(link, _)| link.is_lost()) {
                *current = Arc::new(OnceCell::new());
            }
            current.clone()
        };
        let make = || async {
            let link = self.settings.connect().await?;
            let opened = open(link.clone()).await?;
            Ok((link, opened))
        };
        cell.get_or_try_init(make).await.cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_with_who_the_client_is() {
        for (url, host, port, user, password) in [
            ("nats://a:1", "a", 1, "", ""),
            ("a", "a", 4222, "", ""),
            ("tls://[::1]:2", "::1", 2, "", ""),
            ("nats://u:p%40s@a", "a", 4222, "u", "p@s"),
            ("nats://t%2Fk@a", "a", 4222, "", "t/k"),
        ] {
            let server = server(url, false).unwrap_or_else(|fault| panic!("{url}: {fault}"));
            assert_eq!((server.address.host(), server.address.port()), (host, port), "{url}");
            let read = match &server.identity {
                UrlIdentity::None => ("", ""),
                UrlIdentity::User(user, password) => (user.as_str(), password.as_str()),
                UrlIdentity::Token(token) => ("", token.as_str()),
            };
            assert_eq!(read, (user, password), "{url}");
        }
        // A WebSocket's address, with `tls.enabled` or without; what is asked for.
        for (url, secure, asked) in [
            ("ws://u:p%40s@a:8080/nats", false, "ws://a:8080/nats"),
            ("ws://a:8080", true, "wss://a:8080/"),
            ("ws://a", true, "wss://a/"),
            ("wss://t@a", false, "wss://a/"),
        ] {
            let server = server(url, secure).unwrap_or_else(|fault| panic!("{url}: {fault}"));
            assert_eq!(server.address.as_url_str(), asked, "{url}");
            assert_eq!(matches!(server.identity, UrlIdentity::None), !url.contains('@'), "{url}");
        }
        for wrong in ["http://a", "nats://", ":::"] {
            let fault = server(wrong, false).err().unwrap_or_else(|| panic!("{wrong} was taken"));
            assert!(fault.contains("nats://"), "{fault}");
        }
    }
}
