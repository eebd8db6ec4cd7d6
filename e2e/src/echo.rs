//! A gRPC server with methods of all four kinds, and how they are called.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::{Request, Response};
use http_body::Frame;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tonic::body::Body;
use tonic::server::{ClientStreamingService, Grpc, ServerStreamingService, StreamingService, UnaryService};
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;
use tower_service::Service;

/// What is said to it, and what it says.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Note {
    /// Anything.
    #[prost(string, tag = "1")]
    pub text: String,
    /// What the server knows of the call: `te` and `grpc-timeout`, as they came.
    #[prost(string, repeated, tag = "2")]
    pub fields: Vec<String>,
}

impl Note {
    /// One that says this.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), fields: Vec::new() }
    }
}

/// The codec of both sides.
pub type Codec = ProstCodec<Note, Note>;

/// The server. Its methods, below `/echo.Echo/`:
///
/// - `Say`: the same note, with `fields`; `refuse` is refused with the code 5, a message, and metadata; `stall` is never
///   answered, and [`Echo::given_up`] hears of its end
/// - `Join`: the texts of all notes, joined; [`Echo::given_up`] hears of the end of one that is cut off
/// - `Split`: a note for each word
/// - `Chat`: each note at once, in upper case
/// - `Wait`: the same note, and then nothing; when the call is given up, [`Echo::given_up`] hears of it
#[derive(Debug)]
pub struct Echo {
    port: u16,
    server: AbortHandle,
    given_up: mpsc::UnboundedReceiver<()>,
}

impl Echo {
    /// Starts one; it ends when dropped.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, given_up) = mpsc::unbounded_channel();
        let methods = Methods(Arc::new(sender));
        // Not the server of tonic, which ends late calls by itself: that the gate does is what is to be seen.
        let serving = async move {
            while let Ok((socket, _)) = listener.accept().await {
                let methods = methods.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    methods.clone().call(request.map(|body| Body::new(Whole(body))))
                });
                let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(builder.serve_connection(TokioIo::new(socket), service));
            }
        };
        let server = tokio::spawn(serving).abort_handle();
        Self { port, server, given_up }
    }

    /// Its address, without a scheme.
    pub fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Waits until a call of `Wait` has ended.
    pub async fn given_up(&mut self) {
        tokio::time::timeout(crate::PATIENCE, self.given_up.recv()).await.expect("a call was given up");
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// What a client sends. tonic takes a call that is cancelled for one whose client has said all; here it breaks.
struct Whole(Incoming);

impl http_body::Body for Whole {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match std::task::ready!(Pin::new(&mut self.0).poll_frame(cx)) {
            None if !self.0.is_end_stream() => Poll::Ready(Some(Err("it does not end".into()))),
            frame => Poll::Ready(frame.map(|frame| frame.map_err(|error| error.to_string().into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }
}

type Answer<T> = Pin<Box<dyn Future<Output = Result<tonic::Response<T>, Status>> + Send>>;
type Notes = Pin<Box<dyn Stream<Item = Result<Note, Status>> + Send>>;

#[derive(Clone)]
struct Methods(Arc<mpsc::UnboundedSender<()>>);

impl Service<Request<Body>> for Methods {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let methods = self.clone();
        Box::pin(async move {
            let mut grpc =
                Grpc::new(Codec::default()).apply_max_message_size_config(Some(64 << 20), Some(64 << 20));
            Ok(match request.uri().path() {
                "/echo.Echo/Say" => grpc.unary(Say(methods.0), request).await,
                "/echo.Echo/Join" => grpc.client_streaming(Join(methods.0), request).await,
                "/echo.Echo/Split" => grpc.server_streaming(Split, request).await,
                "/echo.Echo/Chat" => grpc.streaming(Chat, request).await,
                "/echo.Echo/Wait" => grpc.server_streaming(Wait(methods.0), request).await,
                _ => Status::unimplemented("there is no such method").into_http(),
            })
        })
    }
}

struct Say(Arc<mpsc::UnboundedSender<()>>);

impl UnaryService<Note> for Say {
    type Response = Note;
    type Future = Answer<Note>;

    fn call(&mut self, request: tonic::Request<Note>) -> Self::Future {
        let watch = Watch::new(&self.0);
        Box::pin(async move {
            if request.get_ref().text == "stall" {
                std::future::pending::<()>().await;
            }
            watch.forget();
            let metadata = request.metadata().clone();
            let fields = ["te", "grpc-timeout", "x-asked"].map(|name| {
                let value = metadata.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
                format!("{name}: {value}")
            });
            let text = request.into_inner().text;
            if text == "refuse" {
                let mut status = Status::not_found("nothing of that name, \u{e9}");
                status.metadata_mut().insert("x-told", "in the trailers".parse().unwrap());
                return Err(status);
            }
            let mut answer = tonic::Response::new(Note { text, fields: fields.into() });
            answer.metadata_mut().insert("x-told", "in the head".parse().unwrap());
            Ok(answer)
        })
    }
}

struct Join(Arc<mpsc::UnboundedSender<()>>);

impl ClientStreamingService<Note> for Join {
    type Response = Note;
    type Future = Answer<Note>;

    fn call(&mut self, request: tonic::Request<Streaming<Note>>) -> Self::Future {
        let watch = Watch::new(&self.0);
        Box::pin(async move {
            let mut notes = request.into_inner();
            let mut text = String::new();
            while let Some(note) = notes.message().await? {
                text.push_str(&note.text);
            }
            watch.forget();
            Ok(tonic::Response::new(Note::new(text)))
        })
    }
}

struct Split;

impl ServerStreamingService<Note> for Split {
    type Response = Note;
    type ResponseStream = Notes;
    type Future = Answer<Notes>;

    fn call(&mut self, request: tonic::Request<Note>) -> Self::Future {
        Box::pin(async move {
            let words: Vec<_> =
                request.into_inner().text.split(' ').map(|word| Ok(Note::new(word))).collect();
            Ok(tonic::Response::new(Box::pin(stream::iter(words)) as Notes))
        })
    }
}

struct Chat;

impl StreamingService<Note> for Chat {
    type Response = Note;
    type ResponseStream = Notes;
    type Future = Answer<Notes>;

    fn call(&mut self, request: tonic::Request<Streaming<Note>>) -> Self::Future {
        Box::pin(async move {
            let notes = request.into_inner();
            let answers = notes.map(|note| note.map(|note| Note::new(note.text.to_uppercase())));
            Ok(tonic::Response::new(Box::pin(answers) as Notes))
        })
    }
}

struct Wait(Arc<mpsc::UnboundedSender<()>>);

/// Tells when it is dropped.
struct Watch(Arc<mpsc::UnboundedSender<()>>, bool);

impl Watch {
    fn new(sender: &Arc<mpsc::UnboundedSender<()>>) -> Self {
        Self(Arc::clone(sender), true)
    }

    /// It came to a good end.
    fn forget(mut self) {
        self.1 = false;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.1 {
            self.0.send(()).ok();
        }
    }
}

impl ServerStreamingService<Note> for Wait {
    type Response = Note;
    type ResponseStream = Notes;
    type Future = Answer<Notes>;

    fn call(&mut self, request: tonic::Request<Note>) -> Self::Future {
        let watch = Watch::new(&self.0);
        Box::pin(async move {
            let first = stream::iter([Ok(request.into_inner())]);
            let notes = first.chain(stream::pending()).map(move |note| {
                let _kept = &watch;
                note
            });
            Ok(tonic::Response::new(Box::pin(notes) as Notes))
        })
    }
}
