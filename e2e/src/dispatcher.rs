//! A server of plugins, as users write one: of the messages it knows only what it needs.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures_util::StreamExt;
use http::{Request, Response};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic_prost::ProstCodec;
use tower_service::Service;

#[derive(Clone, PartialEq, prost::Message)]
struct Object {
    #[prost(string, tag = "2")]
    hook_name: String,
    #[prost(message, optional, tag = "3")]
    request: Option<MiniRequest>,
    #[prost(message, optional, tag = "4")]
    session: Option<Session>,
    #[prost(map = "string, string", tag = "5")]
    metadata: HashMap<String, String>,
    #[prost(message, optional, tag = "7")]
    response: Option<Answer>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct MiniRequest {
    #[prost(map = "string, string", tag = "1")]
    headers: HashMap<String, String>,
    #[prost(map = "string, string", tag = "2")]
    set_headers: HashMap<String, String>,
    #[prost(string, repeated, tag = "3")]
    delete_headers: Vec<String>,
    #[prost(message, optional, tag = "10")]
    return_overrides: Option<Overrides>,
    #[prost(bytes = "vec", tag = "14")]
    raw_body: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Overrides {
    #[prost(int32, tag = "1")]
    response_code: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Session {
    #[prost(int64, tag = "6")]
    quota_max: i64,
    #[prost(string, tag = "25")]
    alias: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Answer {
    #[prost(int32, tag = "1")]
    status_code: i32,
    #[prost(bytes = "vec", tag = "2")]
    raw_body: Vec<u8>,
    #[prost(map = "string, string", tag = "4")]
    headers: HashMap<String, String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Event {
    #[prost(string, tag = "1")]
    payload: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct EventReply {}

/// The server. It keeps the events that it is told of. By the name of the hook:
///
/// - `auth`: who shows `Name: NAME` is let in as that; everybody else is not
/// - `request`: tells the upstream in `X-Alias` what the alias of the session is, and makes the body upper case
/// - `message`: as `request`, and takes the field `kind` away; refuses what is `refused`, and is never done with `slow`
/// - `records`: the record in the body is one of `/users/{id}`
/// - `response`: the status 202, the body upside down, and `X-After: 1`
/// - anything else: an error
#[derive(Debug)]
pub struct Dispatcher {
    port: u16,
    server: AbortHandle,
    told: Arc<Told>,
}

#[derive(Debug, Default)]
struct Told {
    events: Mutex<Vec<String>>,
    calls: AtomicUsize,
    connections: AtomicUsize,
    authorities: Mutex<Vec<String>>,
}

impl Dispatcher {
    /// Starts one; it ends when dropped.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let told: Arc<Told> = Arc::default();
        let counted = Arc::clone(&told);
        let incoming = TcpIncoming::from(listener).inspect(move |_| {
            counted.connections.fetch_add(1, Ordering::SeqCst);
        });
        let serving = tonic::transport::Server::builder()
            .add_service(Dispatch(Arc::clone(&told)))
            .serve_with_incoming(incoming);
        let server = tokio::spawn(serving).abort_handle();
        Self { port, server, told }
    }

    /// Its address.
    pub fn address(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.port)
    }

    /// The payloads of all events that it was told of.
    pub fn events(&self) -> Vec<String> {
        self.told.events.lock().clone()
    }

    /// How often one of its hooks was called.
    pub fn calls(&self) -> usize {
        self.told.calls.load(Ordering::SeqCst)
    }

    /// What it was called by, in each call.
    pub fn authorities(&self) -> Vec<String> {
        self.told.authorities.lock().clone()
    }

    /// How many connections were opened to it.
    pub fn connections(&self) -> usize {
        self.told.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[derive(Clone)]
struct Dispatch(Arc<Told>);

impl NamedService for Dispatch {
    const NAME: &'static str = "coprocess.Dispatcher";
}

impl Service<Request<Body>> for Dispatch {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let this = self.clone();
        let authority = request.uri().authority().map(ToString::to_string);
        this.0.authorities.lock().push(authority.unwrap_or_default());
        Box::pin(async move {
            if request.uri().path().ends_with("/DispatchEvent") {
                let codec: ProstCodec<EventReply, Event> = ProstCodec::default();
                return Ok(Grpc::new(codec).unary(this, request).await);
            }
            let codec: ProstCodec<Object, Object> = ProstCodec::default();
            Ok(Grpc::new(codec).unary(this, request).await)
        })
    }
}

impl UnaryService<Event> for Dispatch {
    type Response = EventReply;
    type Future = std::future::Ready<Result<tonic::Response<EventReply>, tonic::Status>>;

    fn call(&mut self, request: tonic::Request<Event>) -> Self::Future {
        self.0.events.lock().push(request.into_inner().payload);
        std::future::ready(Ok(tonic::Response::new(EventReply {})))
    }
}

impl UnaryService<Object> for Dispatch {
    type Response = Object;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<Object>, tonic::Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Object>) -> Self::Future {
        self.0.calls.fetch_add(1, Ordering::SeqCst);
        let mut object = request.into_inner();
        Box::pin(async move {
            let request = object.request.get_or_insert_default();
            match object.hook_name.as_str() {
                "auth" => {
                    if let Some(name) = request.headers.get("Name") {
                        object.metadata.insert("token".to_owned(), format!("key-of-{name}"));
                        object.session = Some(Session { quota_max: -1, alias: name.clone() });
                    }
                }
                "request" => {
                    let alias = object.session.as_ref().map(|session| session.alias.clone());
                    request.set_headers.insert("X-Alias".to_owned(), alias.unwrap_or_default());
                    request.raw_body.make_ascii_uppercase();
                }
                "message" => {
                    match &request.raw_body[..] {
                        b"refused" => request.return_overrides = Some(Overrides { response_code: 403 }),
                        b"slow" => std::future::pending().await,
                        _ => {}
                    }
                    let kind = request.headers.get("kind").cloned().unwrap_or_default();
                    request.raw_body.make_ascii_uppercase();
                    request.raw_body.extend(kind.bytes());
                    request.set_headers.insert("seen".to_owned(), "yes".to_owned());
                    request.delete_headers.push("kind".to_owned());
                }
                "records" => {
                    let mut record: serde_json::Value =
                        serde_json::from_slice(&request.raw_body).unwrap_or_default();
                    record["path"] = "/users/{id}".into();
                    request.raw_body = record.to_string().into_bytes();
                }
                "response" => {
                    let answer = object.response.get_or_insert_default();
                    answer.status_code = 202;
                    answer.raw_body.reverse();
                    answer.headers.insert("X-After".to_owned(), "1".to_owned());
                }
                other => return Err(tonic::Status::internal(format!("{other} is not for me"))),
            }
            Ok(tonic::Response::new(object))
        })
    }
}
