//! Upstreams: one that tells what reached it, and one that says exactly the bytes it is told to.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, stream};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

type Body = BoxBody<Bytes, io::Error>;

/// A real HTTP server (HTTP/1.1, and h2c with prior knowledge) on a port of its own. By the request's path:
///
/// - `.../status/404`: that status without a body, `204` and `304` included
/// - `.../bytes/1000`: that many bytes, sized; `.../chunked`: `one`, `two`, `three` in three chunks, no length
/// - `.../sse`: one event at once, then one for each [`Upstream::release`]
/// - `.../slow/500`: the echo after that many milliseconds
/// - `.../pieces`: `one` at once and `two` after one [`Upstream::release`], no length
/// - `.../cut`: announces 100 bytes, sends 4, and ends the connection
/// - `.../trailers`: a body and then the trailer `grpc-status: 0`
/// - `.../hop`: hop-by-hop headers in the answer
/// - a WebSocket handshake anywhere: an echo of messages
/// - anything else: the echo, JSON with `method`, `path` (as sent, with query), `version`, `headers` (name to list),
///   `body`, `trailers`; with `?field-x-a=1` the header `x-a: 1`, with `?status=404` that status (`%22` stands for a quote)
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    hits: AtomicUsize,
    connections: AtomicUsize,
    events: Semaphore,
}

impl Upstream {
    /// Starts one; it ends when dropped.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            hits: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            events: Semaphore::new(1),
        });
        let served = Arc::clone(&shared);
        let server = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let shared = Arc::clone(&served);
                shared.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(Arc::clone(&shared), request));
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection_with_upgrades(TokioIo::new(socket), service)
                        .await;
                });
            }
        });
        Self { address, shared, server: server.abort_handle() }
    }

    /// A URL at this upstream.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// `host:port`.
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// How many requests reached it.
    pub fn hits(&self) -> usize {
        self.shared.hits.load(Ordering::SeqCst)
    }

    /// How many connections were opened to it.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Lets one more event out on `.../sse`.
    pub fn release(&self) {
        self.shared.events.add_permits(1);
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(shared: Arc<Shared>, mut request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    shared.hits.fetch_add(1, Ordering::SeqCst);
    if let Some(key) = request.headers().get("sec-websocket-key") {
        let accept = derive_accept_key(key.as_bytes());
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let Ok(upgraded) = upgrade.await else { return };
            let mut socket =
                WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
            while let Some(Ok(message)) = socket.next().await {
                if message.is_close() || socket.send(message).await.is_err() {
                    break;
                }
            }
        });
        let response = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-accept", accept);
        return Ok(response.body(Empty::new().map_err(|never| match never {}).boxed()).unwrap());
    }
    let path = request.uri().path().to_owned();
    let mut ends = path.rsplit('/');
    let (last, before) = (ends.next().unwrap_or_default(), ends.next().unwrap_or_default());
    let number: u64 = last.parse().unwrap_or(0);
    let response = match (before, last) {
        ("status", _) => {
            let status = StatusCode::from_u16(u16::try_from(number).unwrap()).unwrap();
            Response::builder().status(status).body(full(Vec::new())).unwrap()
        }
        ("bytes", _) => Response::new(full(vec![b'x'; usize::try_from(number).unwrap()])),
        ("slow", _) => {
            tokio::time::sleep(Duration::from_millis(number)).await;
            echo(request).await
        }
        (_, "chunked") => Response::new(frames(["one", "two", "three"].map(data))),
        (_, "cut") => {
            let cut = [data("four"), Err(io::Error::other("cut short"))];
            Response::builder().header("content-length", "100").body(frames(cut)).unwrap()
        }
        (_, "trailers") => {
            // As a gRPC server does: an answer before the end of the request would make HTTP/2 reset the stream.
            let _ = request.into_body().collect().await;
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            let body = frames([data("message"), Ok(Frame::trailers(trailers))]);
            Response::builder()
                .header("content-type", "application/grpc")
                .header("trailer", "grpc-status")
                .body(body)
                .unwrap()
        }
        (_, "hop") => Response::builder()
            .header("connection", "x-private, keep-alive")
            .header("x-private", "1")
            .header("keep-alive", "timeout=5")
            .header("proxy-authenticate", "Basic")
            .header("x-public", "1")
            .body(full("hop".into()))
            .unwrap(),
        (_, "pieces") => {
            let pieces = stream::unfold(0, move |number| {
                let shared = Arc::clone(&shared);
                async move {
                    if number == 1 {
                        shared.events.acquire().await.ok()?.forget();
                    }
                    Some((data(["one", "two"].get(number)?), number + 1))
                }
            });
            Response::new(BodyExt::boxed(StreamBody::new(pieces)))
        }
        (_, "sse") => {
            let events = stream::unfold(0, move |number| {
                let shared = Arc::clone(&shared);
                async move {
                    shared.events.acquire().await.ok()?.forget();
                    Some((data(&format!("data: event {number}\n\n")), number + 1))
                }
            });
            let body = BodyExt::boxed(StreamBody::new(events));
            Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
        }
        _ => echo(request).await,
    };
    Ok(response)
}

async fn echo(request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let (body, trailers, error) = match body.collect().await {
        Ok(body) => {
            let trailers = body.trailers().map(fields);
            (body.to_bytes(), trailers, None)
        }
        Err(error) => (Bytes::new(), None, Some(error.to_string())),
    };
    let told = json!({
        "method": head.method.as_str(),
        "path": head.uri.path_and_query().map_or("", |path| path.as_str()),
        "version": format!("{:?}", head.version),
        "headers": fields(&head.headers),
        "body": String::from_utf8_lossy(&body),
        "trailers": trailers,
        "error": error,
    });
    let mut response =
        Response::builder().header("content-type", "application/json").header("x-upstream", "yes");
    for (name, value) in
        head.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='))
    {
        let value = value.replace("%22", "\"");
        if let Some(name) = name.strip_prefix("field-") {
            response = response.header(name, value);
        } else if name == "status" {
            response = response.status(value.parse::<u16>().unwrap());
        }
    }
    response.body(full(told.to_string().into_bytes())).unwrap()
}

fn fields(headers: &HeaderMap) -> Value {
    let mut all: HashMap<&str, Vec<String>> = HashMap::new();
    for (name, value) in headers {
        all.entry(name.as_str()).or_default().push(String::from_utf8_lossy(value.as_bytes()).into_owned());
    }
    json!(all)
}

fn full(bytes: Vec<u8>) -> Body {
    Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed()
}

fn data(text: &str) -> io::Result<Frame<Bytes>> {
    Ok(Frame::data(Bytes::copy_from_slice(text.as_bytes())))
}

/// Frames that go out one by one.
fn frames<const N: usize>(frames: [io::Result<Frame<Bytes>>; N]) -> Body {
    let paced = stream::iter(frames).then(|frame| async {
        tokio::task::yield_now().await;
        frame
    });
    BodyExt::boxed(StreamBody::new(
        Box::pin(paced) as std::pin::Pin<Box<dyn stream::Stream<Item = _> + Send + Sync>>
    ))
}

/// An upstream that reads one request head per connection, says the given bytes, and closes. It keeps what it read.
#[derive(Debug)]
pub struct Scripted {
    address: SocketAddr,
    server: AbortHandle,
}

impl Scripted {
    /// Starts one; it ends when dropped.
    pub async fn start(says: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    read_head(&mut socket).await;
                    let _ = socket.write_all(says).await;
                    let _ = socket.shutdown().await;
                });
            }
        });
        Self { address, server: server.abort_handle() }
    }

    /// A URL at this upstream.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn read_head(socket: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if socket.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
}
