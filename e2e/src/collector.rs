//! A collector of traces: takes OTLP over gRPC and over HTTP, each on a port of its own, and keeps what it is sent.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use parking_lot::Mutex;
use prost::Message as _;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic_prost::ProstCodec;
use tower_service::Service;

use crate::until;

/// A span as it came.
#[derive(Debug, Clone)]
pub struct Traced {
    /// Hexadecimal digits.
    pub trace_id: String,
    /// The same.
    pub span_id: String,
    /// The same; empty: it has none.
    pub parent_id: String,
    /// `tracestate`.
    pub state: String,
    /// Its name.
    pub name: String,
    /// As OTLP counts: 1 internal, 2 server, 3 client.
    pub kind: i32,
    /// Nanoseconds since the Unix epoch.
    pub from: u64,
    /// The same.
    pub until: u64,
    /// What is said of it.
    pub attributes: BTreeMap<String, Value>,
    /// What is said of who sent it.
    pub resource: BTreeMap<String, Value>,
    /// What went wrong, if something did.
    pub error: Option<String>,
}

#[derive(Debug, Default)]
struct Kept {
    spans: Vec<Traced>,
    headers: Vec<HeaderMap>,
}

/// A running collector; it ends when dropped.
#[derive(Debug)]
pub struct Collector {
    grpc: u16,
    http: u16,
    kept: Arc<Mutex<Kept>>,
    servers: [AbortHandle; 2],
}

impl Collector {
    /// Starts one.
    pub async fn start() -> Self {
        let kept: Arc<Mutex<Kept>> = Arc::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let grpc = listener.local_addr().unwrap().port();
        let serving = tonic::transport::Server::builder()
            .add_service(Traces(Arc::clone(&kept)))
            .serve_with_incoming(TcpIncoming::from(listener));
        let by_grpc = tokio::spawn(serving).abort_handle();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = listener.local_addr().unwrap().port();
        let taken = Arc::clone(&kept);
        let by_http = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let kept = Arc::clone(&taken);
                tokio::spawn(async move {
                    let service = service_fn(move |request| post(Arc::clone(&kept), request));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service)
                        .await;
                });
            }
        });
        Self { grpc, http, kept, servers: [by_grpc, by_http.abort_handle()] }
    }

    /// Where it takes gRPC.
    pub fn grpc(&self) -> String {
        format!("127.0.0.1:{}", self.grpc)
    }

    /// Where it takes HTTP.
    pub fn http(&self) -> String {
        format!("127.0.0.1:{}", self.http)
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<Traced> {
        self.kept.lock().spans.clone()
    }

    /// The fields of all requests so far.
    pub fn headers(&self) -> Vec<HeaderMap> {
        self.kept.lock().headers.clone()
    }

    /// The spans of a trace, once one of them is the gate's own: it comes with all others.
    pub async fn trace(&self, id: &str) -> Vec<Traced> {
        let mut found = Vec::new();
        until(&format!("spans of the trace {id}"), async || {
            found = self.spans().into_iter().filter(|span| span.trace_id == id).collect();
            found.iter().any(|span| span.kind == 2)
        })
        .await;
        found
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.servers.iter().for_each(AbortHandle::abort);
    }
}

impl Kept {
    fn take(&mut self, headers: HeaderMap, request: ExportTraceServiceRequest) {
        self.headers.push(headers);
        for of_resource in request.resource_spans {
            let resource = attributes(&of_resource.resource.unwrap_or_default().attributes);
            for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                let status = span.status.filter(|status| status.code == 2);
                self.spans.push(Traced {
                    trace_id: hex(&span.trace_id),
                    span_id: hex(&span.span_id),
                    parent_id: hex(&span.parent_span_id),
                    state: span.trace_state,
                    name: span.name,
                    kind: span.kind,
                    from: span.start_time_unix_nano,
                    until: span.end_time_unix_nano,
                    attributes: attributes(&span.attributes),
                    resource: resource.clone(),
                    error: status.map(|status| status.message),
                });
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attributes(all: &[KeyValue]) -> BTreeMap<String, Value> {
    all.iter().map(|one| (one.key.clone(), value(one.value.as_ref()))).collect()
}

fn value(value: Option<&AnyValue>) -> Value {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(text)) => text.as_str().into(),
        Some(Any::BoolValue(truth)) => (*truth).into(),
        Some(Any::IntValue(number)) => (*number).into(),
        Some(Any::ArrayValue(array)) => array.values.iter().map(|item| self::value(Some(item))).collect(),
        _ => Value::Null,
    }
}

async fn post(
    kept: Arc<Mutex<Kept>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let mut response = Response::new(Full::default());
    let taken =
        body.collect().await.ok().and_then(|body| ExportTraceServiceRequest::decode(body.to_bytes()).ok());
    match taken {
        Some(request) if head.uri.path() == "/v1/traces" => kept.lock().take(head.headers, request),
        _ => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    Ok(response)
}

#[derive(Clone)]
struct Traces(Arc<Mutex<Kept>>);

impl NamedService for Traces {
    const NAME: &'static str = "opentelemetry.proto.collector.trace.v1.TraceService";
}

impl Service<Request<Body>> for Traces {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let codec: ProstCodec<ExportTraceServiceResponse, ExportTraceServiceRequest> =
                ProstCodec::default();
            Ok(Grpc::new(codec).unary(this, request).await)
        })
    }
}

impl UnaryService<ExportTraceServiceRequest> for Traces {
    type Response = ExportTraceServiceResponse;
    type Future = Ready<Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status>>;

    fn call(&mut self, request: tonic::Request<ExportTraceServiceRequest>) -> Self::Future {
        let (metadata, _, request) = request.into_parts();
        self.0.lock().take(metadata.into_headers(), request);
        std::future::ready(Ok(tonic::Response::new(ExportTraceServiceResponse::default())))
    }
}
