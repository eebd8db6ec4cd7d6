//! One connection: opened, kept alive, closed.

use std::sync::Arc;
use std::time::Duration;

use bloblang::Template;
use bytes::Bytes;
use document::Fault;
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderName, HeaderValue, Method};
use percent_encoding::percent_decode_str;
use streams::{BuildContext, Node, View};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message as Frame, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use url::Url;

use crate::addresses::shown;
use crate::auth::{Auth, basic};
use crate::fields::tls;
use crate::net::connect::{Connector, Stream};
use crate::net::dial::Dialer;
use crate::net::proxy::Proxy;
use crate::net::tls::TlsClient;

/// For connecting, and for probing a silent peer by the operating system.
const DIAL: Duration = Duration::from_secs(30);
/// For the handshakes of TLS and of the WebSocket.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A server that was silent for so long is asked whether it lives, and has as long again to say so.
const QUIET: Duration = Duration::from_secs(30);
/// How long a frame may take to be written.
const WRITE: Duration = Duration::from_secs(30);
/// How long closing waits for the server to close, too.
pub(super) const FAREWELL: Duration = Duration::from_secs(2);
/// Largest message that is read.
const LARGEST: usize = 64 << 20;

/// How connections are made.
pub(super) struct Plan {
    url: Url,
    headers: Vec<(HeaderName, Template)>,
    auth: Auth,
    connector: Connector,
}

impl Plan {
    /// Reads the fields that input and output share.
    pub(super) fn read(node: &Node<'_>, context: &BuildContext<'_>) -> Result<Plan, Fault> {
        let text = node.text("url")?;
        let url = Url::parse(&text).map_err(|fault| {
            node.field_fault("url", format!("`{}` is not an address: {fault}", shown(&text)))
        })?;
        if !matches!(url.scheme(), "ws" | "wss") || !url.has_host() {
            let told = format!(
                "`{}` is not an address of WebSockets; write `ws://...` or `wss://...`",
                shown(&text)
            );
            return Err(node.field_fault("url", told));
        }
        let mut headers = Vec::new();
        for (name, template) in node.templates("headers", context)? {
            let header = HeaderName::try_from(name.as_str())
                .map_err(|_| node.get("headers").field_fault(&name, "this is not a header's name"))?;
            headers.push((header, template));
        }
        let proxy = match node.optional_text("proxy_url")?.filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => Some(Proxy::read(&text).map_err(|fault| node.field_fault("proxy_url", fault))?),
        };
        let connector = Connector {
            dialer: Dialer { egress: context.settings.egress.clone(), timeout: DIAL, keep_alive: DIAL },
            tls: Arc::new(TlsClient::new(tls(node)?.unwrap_or_default(), &[b"http/1.1"])),
            proxy,
            handshake: HANDSHAKE,
        };
        Ok(Plan { url, headers, auth: Auth::read(node, &[])?, connector })
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// What kept it from opening, after the address.
    pub(super) async fn connect(&self) -> Result<Link, String> {
        let socket = self.open().await;
        let socket = socket.map_err(|fault| format!("{}: {fault}", shown(self.url.as_str())))?;
        Ok(Link { socket, heard: Instant::now(), asked: None, farewell: None })
    }

    async fn open(&self) -> Result<WebSocketStream<Stream>, String> {
        let request = self.request().await?;
        let secure = self.url.scheme() == "wss";
        let port = self.url.port().unwrap_or(if secure { 443 } else { 80 });
        let host = self.url.host_str().unwrap_or_default();
        let stream = self.connector.connect(host, port, secure, true).await?.stream;
        let config = WebSocketConfig::default().max_message_size(Some(LARGEST)).max_frame_size(Some(LARGEST));
        let opened = timeout(HANDSHAKE, client_async_with_config(request, stream, Some(config))).await;
        match opened.map_err(|_| format!("no websocket within {HANDSHAKE:?}"))? {
            Ok((socket, _)) => Ok(socket),
            Err(tungstenite::Error::Http(answer)) => {
                Err(format!("the server opens no websocket: it answered {}", answer.status()))
            }
            Err(fault) => Err(format!("the server opens no websocket: {fault}")),
        }
    }

    async fn request(&self) -> Result<http::Request<()>, String> {
        let mut url = self.url.clone();
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let own = (!url.username().is_empty() || url.password().is_some())
            .then(|| basic(&decoded(url.username()), &decoded(url.password().unwrap_or_default())));
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_fragment(None);
        let request = url.as_str().into_client_request();
        let mut request = request.map_err(|fault| format!("the address cannot be asked for: {fault}"))?;
        for (name, template) in &self.headers {
            let text =
                template.render(&View(&[]), 0).map_err(|fault| format!("the header `{name}`: {fault}"))?;
            let value = HeaderValue::from_str(&text)
                .map_err(|_| format!("the header `{name}` cannot hold its value"))?;
            if *name != HOST || !text.is_empty() {
                request.headers_mut().insert(name.clone(), value);
            }
        }
        if let Some(value) = self.auth.header(&Method::GET, &url).await?.or(own) {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        Ok(request)
    }
}

/// How a payload travels.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    Binary,
    Text,
}

impl Form {
    /// Reads a field of `binary` or `text`.
    pub(super) fn read(node: &Node<'_>, name: &str) -> Result<Form, Fault> {
        Ok(if node.text(name)? == "text" { Form::Text } else { Form::Binary })
    }

    /// The frame for a payload.
    ///
    /// # Errors
    /// When it cannot travel so.
    pub(super) fn frame(self, payload: Bytes) -> Result<Frame, String> {
        match self {
            Form::Binary => Ok(Frame::Binary(payload)),
            Form::Text => match Utf8Bytes::try_from(payload) {
                Ok(text) => Ok(Frame::Text(text)),
                Err(_) => Err("the message is not UTF-8; send it with `message_type: binary`".to_owned()),
            },
        }
    }
}

/// An open connection.
pub(super) struct Link {
    socket: WebSocketStream<Stream>,
    /// When the server was last heard of.
    heard: Instant,
    /// When it was asked whether it lives, and has not answered.
    asked: Option<Instant>,
    /// How the server said good-bye.
    farewell: Option<String>,
}

impl Link {
    /// The next payload. Pings are answered, and a silent server is asked whether it lives. Cancel safe: what was read
    /// of a frame stays in the socket.
    ///
    /// # Errors
    /// Why the connection is over.
    pub(super) async fn next(&mut self) -> Result<Bytes, String> {
        loop {
            let deadline = self.asked.unwrap_or(self.heard) + QUIET;
            let frame = match timeout_at(deadline, self.socket.next()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(fault))) => return Err(self.farewell.take().unwrap_or(fault.to_string())),
                Ok(None) => {
                    let unsaid = || "the server closed the connection".to_owned();
                    return Err(self.farewell.take().unwrap_or_else(unsaid));
                }
                Err(_) if self.asked.is_some() => {
                    return Err(format!("the server answers no ping within {QUIET:?}"));
                }
                Err(_) => {
                    self.asked = Some(Instant::now());
                    self.send(Frame::Ping(Bytes::new())).await?;
                    continue;
                }
            };
            (self.heard, self.asked) = (Instant::now(), None);
            match frame {
                Frame::Text(text) => return Ok(text.into()),
                Frame::Binary(bytes) => return Ok(bytes),
                // The answer goes out while the end is waited for.
                Frame::Close(farewell) => {
                    let said = farewell
                        .map_or_else(String::new, |frame| format!(": {} {}", frame.code, frame.reason));
                    self.farewell = Some(format!("the server closed the connection{said}"));
                }
                _ => {}
            }
        }
    }

    /// Writes one frame; done when the operating system has taken it.
    ///
    /// # Errors
    /// Why the connection is over.
    pub(super) async fn send(&mut self, frame: Frame) -> Result<(), String> {
        match timeout(WRITE, self.socket.send(frame)).await {
            Ok(sent) => sent.map_err(|fault| fault.to_string()),
            Err(_) => Err(format!("a frame could not be written within {WRITE:?}")),
        }
    }

    /// Says good-bye. What the server sends before it says so, too, can still be read.
    ///
    /// # Errors
    /// Why the connection is over.
    pub(super) async fn say_farewell(&mut self) -> Result<(), String> {
        let farewell = CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::from_static("") };
        match timeout(FAREWELL, self.socket.close(Some(farewell))).await {
            Ok(said) => said.map_err(|fault| fault.to_string()),
            Err(_) => Err(format!("a good-bye could not be written within {FAREWELL:?}")),
        }
    }

    /// Says good-bye, and waits a little for the server to do so.
    pub(super) async fn leave(mut self) {
        let closed = async {
            if self.say_farewell().await.is_ok() {
                while let Some(Ok(_)) = self.socket.next().await {}
            }
        };
        let _ = timeout(FAREWELL, closed).await;
    }
}
