//! The connection to the collector: one, which is kept, and opened anew when it has ended.

use apidef::{Scheme, Target};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue, TE, USER_AGENT};
use http::{Method, Request, Uri, Version};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::AbortHandle;

use super::otlp::{self, Refused};
use super::settings::TraceSettings;
use crate::backend::upstream::{Client, Connector, Origin, Purpose, Security, UpstreamSettings};
use crate::stores::TrustSettings;

/// Longest answer of a collector that is read.
const MOST_ANSWER: usize = 64 << 10;
/// The call of gRPC that takes spans.
const GRPC: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// Where they are posted otherwise, unless the endpoint says so.
const HTTP: &str = "/v1/traces";
const AGENT: HeaderValue = HeaderValue::from_static(concat!("Sluicegate/", env!("CARGO_PKG_VERSION")));

/// The way to the collector.
pub(super) struct Transport {
    connector: Connector,
    grpc: bool,
    uri: Uri,
    headers: HeaderMap,
    open: Option<Line>,
}

/// A connection.
struct Line {
    sender: Sender,
    driver: AbortHandle,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Drop for Line {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport").field("uri", &self.uri).finish_non_exhaustive()
    }
}

impl Transport {
    /// Blocking: reads files.
    pub(super) fn new(settings: &TraceSettings) -> Result<Self, String> {
        let target = target(settings)?;
        let tls = settings.tls.clone().unwrap_or_default();
        let trust = TrustSettings {
            ca_file: tls.ca_file,
            cert_file: tls.cert_file,
            key_file: tls.key_file,
            insecure: tls.insecure,
            ..TrustSettings::default()
        };
        let versions = (tls.min_version, tls.max_version);
        let towards =
            UpstreamSettings::of_collector(settings.connect_within, &trust, versions, settings.grpc)
                .map_err(|error| format!("`tls`: {error}"))?;
        let usual = if tls.insecure { &towards.insecure_tls } else { &towards.tls };
        let client = (target.scheme == Scheme::Https).then(|| Client::Usual(usual.clone()));
        let origin = Origin::new(&target, Security::usual(&towards.common, tls.insecure));
        let connector = Connector::new(origin, client, settings.connect_within, &towards.names)
            .map_err(|error| format!("`endpoint`: {error}"))?;
        let mut headers = settings.headers.clone();
        headers.entry(USER_AGENT).or_insert(AGENT);
        let kind = if settings.grpc { "application/grpc" } else { "application/x-protobuf" };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        let path = match (settings.grpc, &*target.path) {
            (true, _) => GRPC,
            (false, "" | "/") => HTTP,
            (false, path) => path,
        };
        let uri = match settings.grpc {
            // HTTP/2 names the host in the target.
            true => {
                headers.insert(TE, HeaderValue::from_static("trailers"));
                let scheme = if target.scheme == Scheme::Https { "https" } else { "http" };
                format!("{scheme}://{}{path}", target.authority)
            }
            false => {
                let host = HeaderValue::try_from(&*target.authority);
                headers.insert(HOST, host.map_err(|_| "`endpoint`: that is no host".to_owned())?);
                path.to_owned()
            }
        };
        let uri = uri.parse().map_err(|error| format!("`endpoint`: {error}"))?;
        Ok(Self { connector, grpc: settings.grpc, uri, headers, open: None })
    }

    /// Sends a message once. Gives what the collector says that is more than yes.
    pub(super) async fn send(&mut self, message: &Bytes) -> Result<Option<(u64, String)>, Refused> {
        let sent = self.exchange(message.clone()).await;
        if sent.as_ref().is_err_and(|refused| refused.later) {
            // Whatever it was, the next attempt begins anew.
            self.open = None;
        }
        sent
    }

    async fn exchange(&mut self, message: Bytes) -> Result<Option<(u64, String)>, Refused> {
        let mut request = Request::new(Full::new(message));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        *request.version_mut() = if self.grpc { Version::HTTP_2 } else { Version::HTTP_11 };
        let answer = match &mut self.line().await?.sender {
            Sender::Http1(sender) => sender.send_request(request).await,
            Sender::Http2(sender) => sender.send_request(request).await,
        };
        let (head, body) = answer.map_err(Refused::later)?.into_parts();
        let whole = Limited::new(body, MOST_ANSWER).collect().await.map_err(Refused::later)?;
        let trailers = whole.trailers().cloned();
        let said = whole.to_bytes();
        otlp::http_status(head.status, &said)?;
        if self.grpc {
            otlp::grpc_status(&head.headers, trailers.as_ref())?;
        }
        Ok(otlp::unwanted(&said, self.grpc))
    }

    /// A connection that takes requests: the one that is there, or a new one.
    async fn line(&mut self) -> Result<&mut Line, Refused> {
        let alive = match &mut self.open {
            None => false,
            Some(Line { sender: Sender::Http1(sender), .. }) => sender.ready().await.is_ok(),
            Some(Line { sender: Sender::Http2(sender), .. }) => sender.ready().await.is_ok(),
        };
        if !alive {
            self.open = Some(self.dial().await?);
        }
        self.open.as_mut().ok_or_else(|| Refused::later("there is no connection"))
    }

    async fn dial(&self) -> Result<Line, Refused> {
        let stream = self.connector.dial(Purpose::Requests).await.map_err(Refused::later)?;
        let io = TokioIo::new(stream);
        Ok(if self.grpc {
            let (sender, connection) =
                http2::handshake(TokioExecutor::new(), io).await.map_err(Refused::later)?;
            let driver = tokio::spawn(async { drop(connection.await) }).abort_handle();
            Line { sender: Sender::Http2(sender), driver }
        } else {
            let (sender, connection) = http1::handshake(io).await.map_err(Refused::later)?;
            let driver = tokio::spawn(async { drop(connection.await) }).abort_handle();
            Line { sender: Sender::Http1(sender), driver }
        })
    }
}

/// Where the collector is.
fn target(settings: &TraceSettings) -> Result<Target, String> {
    let endpoint = settings.endpoint.trim();
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    let whole = match endpoint.split_once("://") {
        None => format!("{scheme}://{endpoint}"),
        // TLS that is asked for is never left out.
        Some((_, rest)) if settings.tls.is_some() => format!("https://{rest}"),
        Some(("http" | "https", _)) => endpoint.to_owned(),
        Some((other, _)) => {
            return Err(format!("`endpoint`: `{other}` is not spoken here; write `host:port`"));
        }
    };
    Target::parse(&whole).map_err(|error| format!("`endpoint` {error}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{CollectorTls, Propagation, Sampling};
    use super::*;

    #[tokio::test]
    async fn c1_3_endpoints_lead_to_where_spans_are_taken() {
        for (grpc, tls, endpoint, expected) in [
            (true, false, "localhost:4317", Ok(format!("http://localhost:4317{GRPC}"))),
            (true, true, "collector:4317", Ok(format!("https://collector:4317{GRPC}"))),
            (true, true, "http://collector:4317", Ok(format!("https://collector:4317{GRPC}"))),
            (true, false, "https://collector", Ok(format!("https://collector{GRPC}"))),
            (false, false, "localhost:4318", Ok(HTTP.to_owned())),
            (false, false, "http://collector:4318/own/traces", Ok("/own/traces".to_owned())),
            (false, false, "ftp://collector", Err(())),
            (false, false, "", Err(())),
        ] {
            let settings = TraceSettings {
                grpc,
                endpoint: endpoint.to_owned(),
                headers: HeaderMap::new(),
                connect_within: Duration::from_secs(1),
                name: "gate".to_owned(),
                tls: tls.then(CollectorTls::default),
                tags: None,
                most_waiting: 1,
                most_at_once: 1,
                gather: Duration::ZERO,
                propagation: Propagation::read("tracecontext", "").unwrap(),
                sampling: Sampling::read("AlwaysOn", 0.0, false).unwrap(),
            };
            let found = Transport::new(&settings).map(|transport| transport.uri.to_string()).map_err(|_| ());
            assert_eq!(found, expected, "{endpoint}");
        }
    }
}
