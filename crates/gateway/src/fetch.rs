//! What the gate itself asks other servers: keys of tokens, what issuers say of themselves, whether a token is good.
//! Few requests, each on a connection of its own, bounded in time and size. All of them are under the egress policy of the
//! gate (`egress`): it is asked with the very address that is connected to, again for each server that another points to.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use apidef::{Scheme, Target};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use http::{Method, Request, Response, StatusCode};
use http_body::{Body as HttpBody, Frame};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;

use crate::backend::upstream::{
    Client, Connector, DialError, Origin, Purpose, Security, UpstreamSettings, UpstreamStream,
};
use crate::body::{Body, BodyError};

/// How often a GET follows a server that points elsewhere.
const REDIRECTS: usize = 3;
const AGENT: HeaderValue = HeaderValue::from_static(concat!("Sluicegate/", env!("CARGO_PKG_VERSION")));

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    method: Method,
    target: Target,
    headers: HeaderMap,
    body: Bytes,
    time: Duration,
    largest: usize,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("{0}")]
    Address(String),
    #[error(transparent)]
    Dial(DialError),
    /// Trying again changes nothing.
    #[error("`{url}` is not asked: {why}")]
    Denied { url: Box<str>, why: String },
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
    #[error("the answer cannot be read, or is longer than {0} bytes")]
    Body(usize),
    #[error("it redirects {0}")]
    Redirect(&'static str),
}

impl Ask {
    pub(crate) fn get(target: Target) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*;q=0.5"));
        Self {
            method: Method::GET,
            target,
            headers,
            body: Bytes::new(),
            time: Duration::from_secs(5),
            largest: 1 << 20,
        }
    }

    /// Whatever is wanted.
    pub(crate) fn of(method: Method, target: Target, headers: HeaderMap, body: impl Into<Bytes>) -> Self {
        Self { method, headers, body: body.into(), ..Self::get(target) }
    }

    /// How long it may take in all, and how large the answer may be.
    pub(crate) fn within(mut self, time: Duration, largest: usize) -> Self {
        (self.time, self.largest) = (time, largest);
        self
    }

    /// A JSON document, sent by POST.
    pub(crate) fn json(target: Target, body: impl Into<Bytes>) -> Self {
        let mut ask = Self::get(target);
        ask.headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        (ask.method, ask.body) = (Method::POST, body.into());
        ask
    }

    /// One more header field.
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Another method, and a body.
    pub(crate) fn sending(mut self, method: Method, body: impl Into<Bytes>) -> Self {
        (self.method, self.body) = (method, body.into());
        self
    }

    /// A form, sent by POST.
    pub(crate) fn form(target: Target, body: impl Into<Bytes>) -> Self {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        let mut ask = Self::get(target);
        ask.headers.insert(http::header::CONTENT_TYPE, form);
        (ask.method, ask.body) = (Method::POST, body.into());
        ask
    }
}

/// Sends a request and reads the answer, whatever its status. `insecure`: any certificate is accepted.
pub(crate) async fn send(
    settings: &UpstreamSettings,
    insecure: bool,
    ask: Ask,
) -> Result<Fetched, FetchError> {
    let time = ask.time;
    tokio::time::timeout(time, follow(settings, insecure, ask))
        .await
        .unwrap_or(Err(FetchError::TimedOut(time)))
}

/// Sends a request and reads the answer, even one that points elsewhere.
pub(crate) async fn once_only(
    settings: &UpstreamSettings,
    insecure: bool,
    ask: Ask,
) -> Result<Fetched, FetchError> {
    let time = ask.time;
    let (status, headers, body) = tokio::time::timeout(time, once(settings, insecure, &ask))
        .await
        .unwrap_or(Err(FetchError::TimedOut(time)))?;
    Ok(Fetched { status, headers, body })
}

async fn follow(settings: &UpstreamSettings, insecure: bool, mut ask: Ask) -> Result<Fetched, FetchError> {
    for _ in 0..=REDIRECTS {
        let (status, headers, body) = once(settings, insecure, &ask).await?;
        let moved = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) && ask.method == Method::GET;
        let Some(location) = headers.get(LOCATION).filter(|_| moved) else {
            return Ok(Fetched { status, headers, body });
        };
        let next = location
            .to_str()
            .ok()
            .and_then(|location| elsewhere(&ask.target, location))
            .ok_or(FetchError::Redirect("to where it must not"))?;
        if next.authority != ask.target.authority {
            ask.headers = for_anybody(&ask.headers);
        }
        ask.target = next;
    }
    Err(FetchError::Redirect("too often"))
}

/// The fields that another server may see, too: tokens were meant for the first one alone.
fn for_anybody(headers: &HeaderMap) -> HeaderMap {
    let known = [ACCEPT, USER_AGENT].into_iter();
    known.filter_map(|name| Some((name.clone(), headers.get(&name)?.clone()))).collect()
}

/// Where a redirect leads; never from TLS to clear text.
fn elsewhere(from: &Target, location: &str) -> Option<Target> {
    let target = if location.starts_with('/') && !location.starts_with("//") {
        format!("{}://{}{location}", from.scheme.as_str(), from.authority)
    } else {
        location.to_owned()
    };
    let mut target = Target::parse(&target).ok()?;
    if location.starts_with('/') {
        target.credentials.clone_from(&from.credentials);
    }
    match (from.scheme, target.scheme) {
        (_, Scheme::Https) | (Scheme::Http, Scheme::Http) => Some(target),
        _ => None,
    }
}

/// A connection on which HTTP/1.1 is spoken.
pub(crate) async fn dial(
    settings: &UpstreamSettings,
    insecure: bool,
    target: &Target,
    time: Duration,
) -> Result<UpstreamStream, FetchError> {
    let tls = match target.scheme {
        Scheme::Https if insecure => Some(Client::Usual(settings.insecure_tls.clone())),
        Scheme::Https => Some(Client::Usual(settings.tls.clone())),
        Scheme::Http | Scheme::H2c => None,
    };
    let origin = Origin::new(target, Security::usual(&settings.common, insecure));
    let connector = Connector::new(origin, tls, time, &settings.names).map_err(FetchError::Address)?;
    let mut connector = connector.under(&settings.egress);
    if let Some(name) = &settings.name {
        connector = connector.named(name).map_err(FetchError::Address)?;
    }
    connector.dial(Purpose::Upgrade).await.map_err(|error| match error {
        DialError::Denied(why) => {
            // A query may hold what is secret.
            let url = Target { query: None, ..target.clone() }.to_string().into();
            FetchError::Denied { url, why }
        }
        error => FetchError::Dial(error),
    })
}

/// Sends a request; the answer's body comes as it is sent, for as long as that takes. Dropping it ends the connection.
pub(crate) async fn begin(
    settings: &UpstreamSettings,
    insecure: bool,
    ask: &Ask,
) -> Result<Response<Body>, FetchError> {
    let stream = dial(settings, insecure, &ask.target, ask.time).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driven = Driven(tokio::spawn(connection).abort_handle());
    let answer = sender.send_request(request(ask)?).await?;
    Ok(answer.map(|body| Body::boxed(Box::pin(Coming { body, _driven: driven }))))
}

/// A connection that ends with this.
struct Driven(AbortHandle);

impl Drop for Driven {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A body that comes.
struct Coming {
    body: Incoming,
    _driven: Driven,
}

impl HttpBody for Coming {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

async fn once(
    settings: &UpstreamSettings,
    insecure: bool,
    ask: &Ask,
) -> Result<(StatusCode, HeaderMap, Bytes), FetchError> {
    let stream = dial(settings, insecure, &ask.target, ask.time).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // The connection is driven here and ends with the answer: nothing of it is left behind, whatever happens.
    let answer = async {
        let answer = sender.send_request(request(ask)?).await?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ask.largest)
            .collect()
            .await
            .map_err(|_| FetchError::Body(ask.largest))?
            .to_bytes();
        Ok((head.status, head.headers, body))
    };
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = connection => {
            // What came before the end may still be read.
            match ended {
                Ok(()) => answer.await,
                Err(error) => Err(error.into()),
            }
        }
    }
}

fn request(ask: &Ask) -> Result<Request<Full<Bytes>>, FetchError> {
    let target = &ask.target;
    let path = if target.path.is_empty() { "/" } else { &*target.path };
    let uri = match &target.query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut request = Request::new(Full::new(ask.body.clone()));
    *request.method_mut() = ask.method.clone();
    *request.uri_mut() = uri.parse().map_err(|error| FetchError::Address(format!("`{uri}`: {error}")))?;
    *request.headers_mut() = ask.headers.clone();
    let host = HeaderValue::try_from(&*target.authority)
        .map_err(|_| FetchError::Address(format!("`{}` is no host", target.authority)))?;
    request.headers_mut().insert(HOST, host);
    request.headers_mut().entry(USER_AGENT).or_insert(AGENT);
    if let Some(basic) = target.basic()
        && let Ok(mut value) = HeaderValue::try_from(basic.0)
        && !request.headers().contains_key(AUTHORIZATION)
    {
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_do_not_follow_to_other_servers() {
        let mut headers = HeaderMap::new();
        for name in ["accept", "user-agent", "authorization", "x-vault-token", "cookie"] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("x"));
        }
        let kept = for_anybody(&headers);
        assert_eq!(kept.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept", "user-agent"]);
    }

    #[test]
    fn redirects_never_leave_tls() {
        for (from, location, to) in [
            ("https://a/x", "/y?z", Some("https://a/y?z")),
            ("https://a/x", "https://b/", Some("https://b/")),
            ("https://a/x", "http://a/x", None),
            ("http://a/x", "https://a/x", Some("https://a/x")),
            ("http://a/x", "http://b/x", Some("http://b/x")),
            ("http://u:p@a/x", "http://b/x", Some("http://b/x")),
            ("http://a/x", "//b/x", None),
            ("http://a/x", "file:///etc/passwd", None),
            ("http://a/x", "", None),
        ] {
            let from = Target::parse(from).unwrap();
            assert_eq!(elsewhere(&from, location).map(|to| to.to_string()).as_deref(), to, "{location}");
        }
        let from = Target::parse("http://u:p@a/x").unwrap();
        assert!(elsewhere(&from, "/y").unwrap().credentials.is_some());
        assert!(elsewhere(&from, "http://b/y").unwrap().credentials.is_none());
    }
}
