//! One request and its answer: the pool of connections, credentials, redirects.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use document::Fault;
use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, LOCATION, PROXY_AUTHORIZATION, REFERER,
    WWW_AUTHENTICATE,
};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use streams::{BuildContext, Node};
use tower_service::Service;
use url::Url;

use crate::addresses::shown;
use crate::fields::{Tls, tls};
use crate::net::connect::{Connector, Stream};
use crate::net::dial::Dialer;
use crate::net::proxy::{Proxy, ProxyKind};
use crate::net::tls::TlsClient;

/// Redirects that are followed at most.
const MOST_REDIRECTS: usize = 10;
/// Longest head of an answer.
const MOST_HEAD: usize = 64 << 10;

/// A request, ready to be sent any number of times.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The connections of one component to whatever servers its addresses name.
pub(crate) struct Exchange {
    pool: Client<Pooled, Full<Bytes>>,
    follow_redirects: bool,
    proxy_authorization: Option<HeaderValue>,
}

impl Exchange {
    /// Reads `tls`, `proxy_url`, `transport` and `follow_redirects`.
    ///
    /// # Errors
    /// What of it cannot be used.
    pub(crate) fn read(node: &Node<'_>, context: &BuildContext<'_>) -> Result<Exchange, Fault> {
        Exchange::with_tls(node, context, tls(node)?.unwrap_or_default())
    }

    /// The same, with TLS as it was read already.
    ///
    /// # Errors
    /// As [`Exchange::read`].
    pub(crate) fn with_tls(node: &Node<'_>, context: &BuildContext<'_>, tls: Tls) -> Result<Exchange, Fault> {
        let transport = node.get("transport");
        let dial = transport.get("dial_context");
        let time = |node: &Node<'_>, name: &str| node.duration(name).map(Option::unwrap_or_default);
        let own_host = node.pairs("headers")?.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
        // HTTP/2 takes the name from the address, so a name of one's own needs HTTP/1.1.
        let protocols: &[&[u8]] = match transport.boolean("force_http2")? && !own_host {
            true => &[b"h2", b"http/1.1"],
            false => &[b"http/1.1"],
        };
        let proxy = match node.optional_text("proxy_url")?.filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => Some(Proxy::read(&text).map_err(|fault| node.field_fault("proxy_url", fault))?),
        };
        let some_time = |node: &Node<'_>, name: &str, most: u64| {
            let given = time(node, name)?;
            Ok::<_, Fault>(if given.is_zero() { Duration::from_secs(most) } else { given })
        };
        let forwarding = proxy.as_ref().filter(|proxy| proxy.kind == ProxyKind::Http);
        let proxy_authorization = forwarding.and_then(Proxy::authorization);
        let connector = Connector {
            dialer: Dialer {
                egress: context.settings.egress.clone(),
                timeout: some_time(&dial, "timeout", 300)?,
                keep_alive: time(&dial, "keep_alive")?,
            },
            tls: Arc::new(TlsClient::new(tls, protocols)),
            proxy,
            handshake: some_time(&transport, "tls_handshake_timeout", 300)?,
        };
        let idle = time(&transport, "idle_connection_timeout")?;
        let most = transport.count("max_idle_connections")?;
        let pool = pooling()
            .pool_idle_timeout((!idle.is_zero()).then_some(idle))
            .pool_max_idle_per_host(if most == 0 { usize::MAX } else { most })
            .build(Pooled(Arc::new(connector)));
        Ok(Exchange { pool, follow_redirects: node.boolean("follow_redirects")?, proxy_authorization })
    }

    /// The same, following redirects.
    pub(crate) fn following(mut self) -> Exchange {
        self.follow_redirects = true;
        self
    }

    /// For requests that no component with all those fields sends. `only_http2`: whatever the server says, as gRPC
    /// wants it.
    pub(crate) fn plain(context: &BuildContext<'_>, only_http2: bool) -> Exchange {
        Exchange::to(context.settings.egress.clone(), only_http2)
    }

    /// As [`Exchange::plain`], to where this policy allows it.
    pub(crate) fn to(egress: Arc<streams::Egress>, only_http2: bool) -> Exchange {
        Exchange::over(egress, only_http2, Tls::default())
    }

    /// For calls of gRPC.
    #[cfg(feature = "grpc")]
    pub(crate) fn http2(context: &BuildContext<'_>, tls: Tls) -> Exchange {
        Exchange::over(context.settings.egress.clone(), true, tls)
    }

    fn over(egress: Arc<streams::Egress>, only_http2: bool, tls: Tls) -> Exchange {
        let protocols: &[&[u8]] = if only_http2 { &[b"h2"] } else { &[b"h2", b"http/1.1"] };
        let time = Duration::from_secs(10);
        let connector = Connector {
            dialer: Dialer { egress, timeout: time, keep_alive: Duration::from_secs(30) },
            tls: Arc::new(TlsClient::new(tls, protocols)),
            proxy: None,
            handshake: time,
        };
        let pool = pooling()
            .pool_idle_timeout(Duration::from_secs(90))
            .pool_max_idle_per_host(2)
            .http2_only(only_http2)
            .build(Pooled(Arc::new(connector)));
        Exchange { pool, follow_redirects: false, proxy_authorization: None }
    }

    /// Sends it and follows redirects.
    ///
    /// # Errors
    /// What kept an answer from coming.
    pub(crate) async fn send(&self, request: &Request) -> Result<(Parts, Incoming), String> {
        let mut answer = self.once(request).await?;
        if !self.follow_redirects {
            return Ok(answer);
        }
        let mut current = None;
        for _ in 0..MOST_REDIRECTS {
            let Some(next) = redirected(current.as_ref().unwrap_or(request), &answer.0)? else {
                return Ok(answer);
            };
            answer = self.once(&next).await?;
            current = Some(next);
        }
        match redirected(current.as_ref().unwrap_or(request), &answer.0)? {
            None => Ok(answer),
            Some(_) => Err(format!("stopped after {MOST_REDIRECTS} redirects")),
        }
    }

    /// Sends it, and takes the first answer whatever it is.
    ///
    /// # Errors
    /// What kept an answer from coming.
    pub(crate) async fn once(&self, request: &Request) -> Result<(Parts, Incoming), String> {
        let Request { method, url, headers, body } = request;
        let target = &url[..url::Position::AfterQuery];
        let uri: Uri = target.parse().map_err(|fault| format!("the address cannot be asked for: {fault}"))?;
        let mut sent = http::Request::new(Full::new(body.clone()));
        *sent.method_mut() = method.clone();
        *sent.headers_mut() = headers.clone();
        if url.scheme() == "http"
            && let Some(value) = &self.proxy_authorization
        {
            sent.headers_mut().insert(PROXY_AUTHORIZATION, value.clone());
        }
        *sent.uri_mut() = uri;
        match self.pool.request(sent).await {
            Ok(answer) => Ok(answer.into_parts()),
            Err(fault) => Err(causes(&fault)),
        }
    }
}

/// What holds of every pool.
fn pooling() -> hyper_util::client::legacy::Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .http1_title_case_headers(true)
        .http1_max_buf_size(MOST_HEAD.max(8192));
    builder
}

/// A fault with its causes, without saying the same twice.
pub(super) fn causes(fault: &dyn Error) -> String {
    let mut last: &dyn Error = fault;
    while let Some(cause) = last.source() {
        last = cause;
    }
    // The outer ones say "client error (Connect)", the innermost what really happened.
    last.to_string()
}

/// A whole body, up to a limit.
///
/// # Errors
/// When it is longer, or ends too soon.
pub(crate) async fn whole(mut body: Incoming, most: usize) -> Result<Bytes, String> {
    let mut gathered = BytesMut::new();
    let mut first = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|fault| format!("the answer broke off: {}", causes(&fault)))?;
        let Ok(data) = frame.into_data() else { continue };
        let so_far = first.as_ref().map_or(gathered.len(), Bytes::len);
        if data.len() > most.saturating_sub(so_far) {
            return Err(format!("the answer is longer than {most} bytes (`max_response_bytes`)"));
        }
        // Most answers come in one piece, which is then not copied.
        if gathered.is_empty() && first.is_none() {
            first = Some(data);
            continue;
        }
        if let Some(first) = first.take() {
            gathered.extend_from_slice(&first);
        }
        gathered.extend_from_slice(&data);
    }
    Ok(first.unwrap_or_else(|| gathered.freeze()))
}

/// The request that a redirect asks for (RFC 9110, 15.4); `None` when the answer is none.
fn redirected(request: &Request, answer: &Parts) -> Result<Option<Request>, String> {
    let keeps = match answer.status {
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => false,
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
        _ => return Ok(None),
    };
    let Some(place) = answer.headers.get(LOCATION) else { return Ok(None) };
    let place = std::str::from_utf8(place.as_bytes()).map_err(|_| "a redirect to no readable place")?;
    let mut url = request
        .url
        .join(place)
        .map_err(|fault| format!("a redirect to `{}`, which is no address: {fault}", shown(place)))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("a redirect to `{}`, which is not HTTP", shown(place)));
    }
    if url.fragment().is_none() {
        url.set_fragment(request.url.fragment());
    }
    let mut next = Request { url, ..request.clone() };
    if !keeps {
        if !matches!(next.method, Method::GET | Method::HEAD) {
            next.method = Method::GET;
        }
        next.body = Bytes::new();
        next.headers.remove(CONTENT_TYPE);
        next.headers.remove(CONTENT_LENGTH);
    }
    // What is meant for one server is not told to another.
    if !trusted(&request.url, &next.url) {
        for name in [AUTHORIZATION, COOKIE, WWW_AUTHENTICATE] {
            next.headers.remove(name);
        }
    }
    if request.url.host_str() != next.url.host_str() {
        next.headers.remove(HOST);
    }
    next.headers.remove(REFERER);
    if let Some(referer) = referer(&request.url, &next.url) {
        next.headers.insert(REFERER, referer);
    }
    Ok(Some(next))
}

/// Whether credentials may go along: to the same host or below it, and not from TLS to plain text.
fn trusted(from: &Url, to: &Url) -> bool {
    let (Some(old), Some(new)) = (from.host_str(), to.host_str()) else { return false };
    let below = || matches!(from.host(), Some(url::Host::Domain(_))) && new.ends_with(&format!(".{old}"));
    (old == new || below()) && (from.scheme() == to.scheme() || to.scheme() == "https")
}

/// Where the redirect came from, without credentials; not from TLS to plain text.
fn referer(from: &Url, to: &Url) -> Option<HeaderValue> {
    if from.scheme() == "https" && to.scheme() == "http" {
        return None;
    }
    let mut from = from.clone();
    from.set_fragment(None);
    let _ = from.set_username("");
    let _ = from.set_password(None);
    HeaderValue::from_str(from.as_str()).ok()
}

/// New connections for the pool.
#[derive(Clone)]
struct Pooled(Arc<Connector>);

/// A connection of the pool.
struct Pipe {
    stream: TokioIo<Stream>,
    http2: bool,
    forwarded: bool,
}

impl Service<Uri> for Pooled {
    type Response = Pipe;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Pipe, std::io::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.0.clone();
        Box::pin(async move {
            let secure = uri.scheme_str() == Some("https");
            let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
            let connected = connector.connect(uri.host().unwrap_or_default(), port, secure, false).await;
            let connected = connected.map_err(std::io::Error::other)?;
            Ok(Pipe {
                stream: TokioIo::new(connected.stream),
                http2: connected.http2,
                forwarded: connected.forwarded,
            })
        })
    }
}

impl Connection for Pipe {
    fn connected(&self) -> Connected {
        let connected = Connected::new().proxy(self.forwarded);
        if self.http2 { connected.negotiated_h2() } else { connected }
    }
}

impl Read for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Write for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, location: Option<&str>) -> Parts {
        let mut answer = http::Response::builder().status(status);
        if let Some(location) = location {
            answer = answer.header(LOCATION, location);
        }
        answer.body(()).unwrap().into_parts().0
    }

    #[test]
    fn redirects_change_the_request_as_the_standard_says() {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("secret"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        let request = |method: Method| Request {
            method,
            url: Url::parse("https://u:p@a.example/x/y?q=1").unwrap(),
            headers: headers.clone(),
            body: Bytes::from_static(b"body"),
        };
        // status, location, method; then url, method, with body, with credentials
        for (status, location, method, url, next, body, credentials) in [
            (301, "/z", Method::POST, "https://a.example/z", Method::GET, false, true),
            (302, "z", Method::PUT, "https://a.example/x/z", Method::GET, false, true),
            (303, "z", Method::HEAD, "https://a.example/x/z", Method::HEAD, false, true),
            (307, "/z", Method::POST, "https://a.example/z", Method::POST, true, true),
            (308, "https://b.a.example/", Method::POST, "https://b.a.example/", Method::POST, true, true),
            (308, "https://xa.example/", Method::POST, "https://xa.example/", Method::POST, true, false),
            (308, "//b.example/", Method::POST, "https://b.example/", Method::POST, true, false),
            (308, "http://a.example/", Method::POST, "http://a.example/", Method::POST, true, false),
        ] {
            let told = redirected(&request(method), &answer(status, Some(location))).unwrap().unwrap();
            let place = format!("{status} {location}");
            let mut told_url = told.url.clone();
            // A relative place keeps the user of the address.
            told_url.set_username("").unwrap();
            told_url.set_password(None).unwrap();
            assert_eq!(told_url.as_str(), url, "{place}");
            assert_eq!((told.method, !told.body.is_empty()), (next, body), "{place}");
            assert_eq!(told.headers.contains_key(CONTENT_TYPE), body, "{place}");
            assert_eq!(told.headers.contains_key(AUTHORIZATION), credentials, "{place}");
            if let Some(referer) = told.headers.get(REFERER) {
                assert_eq!(referer, "https://a.example/x/y?q=1");
            }
        }
        for (status, location) in [(200, Some("/z")), (304, Some("/z")), (302, None), (300, Some("/z"))] {
            assert!(redirected(&request(Method::GET), &answer(status, location)).unwrap().is_none());
        }
        for location in ["ftp://a.example/", "http://", "https://:1/"] {
            assert!(redirected(&request(Method::GET), &answer(302, Some(location))).is_err(), "{location}");
        }
    }
}
