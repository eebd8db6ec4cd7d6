//! An HTTP server that answers as a test wants.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, Uri, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::ends::sample;

pub(crate) type Answer = Response<BoxBody<Bytes, Infallible>>;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("(none)", |value| value.to_str().expect("text"))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

/// An answer with this body.
pub(crate) fn answer(status: u16, body: impl Into<Bytes>) -> Answer {
    let body = Full::new(body.into()).boxed();
    Response::builder().status(status).body(body).expect("an answer")
}

/// An answer with one more header.
pub(crate) fn with(mut answer: Answer, name: &'static str, value: &str) -> Answer {
    answer.headers_mut().append(name, value.parse().expect("a header"));
    answer
}

type Handler = Arc<dyn Fn(&Seen) -> Answer + Send + Sync>;

/// TLS with the certificate of the tests; `clients`: they must show one, too.
pub(crate) fn acceptor(clients: bool) -> TlsAcceptor {
    let certificates = |name: &str| -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_file_iter(sample(name)).expect("file").map(|one| one.expect("PEM")).collect()
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("versions");
    let builder = if clients {
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(certificates("ca.crt"));
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        builder.with_client_cert_verifier(verifier.expect("verifier"))
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::from_pem_file(sample("server.key")).expect("key");
    let mut config = builder.with_single_cert(certificates("server.crt"), key).expect("certificate");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// A running server; it ends with this value.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Plain, HTTP/1.1 and HTTP/2.
    pub(crate) async fn start(handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Server {
        Server::listen("127.0.0.1:0", None, handler).await
    }

    /// With TLS; `clients`: they must show a certificate.
    pub(crate) async fn tls(
        clients: bool,
        handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Server {
        Server::listen("127.0.0.1:0", Some(acceptor(clients)), handler).await
    }

    pub(crate) async fn listen(
        address: &str,
        tls: Option<TlsAcceptor>,
        handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind(address).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (handler, all): (Handler, _) = (Arc::new(handler), seen.clone());
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(connection(stream, tls.clone(), handler.clone(), all.clone()));
            }
        });
        Server { address, seen, task }
    }

    /// `http://` and the address, with this path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    /// The only request.
    pub(crate) fn one(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen[0].clone()
    }

    /// Ends it and every connection.
    pub(crate) async fn stop(mut self) -> SocketAddr {
        self.task.abort();
        let _ = (&mut self.task).await;
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    handler: Handler,
    all: Arc<Mutex<Vec<Seen>>>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (handler, all) = (handler.clone(), all.clone());
        async move {
            let (head, body) = request.into_parts();
            let Ok(body) = body.collect().await else { return Ok(answer(400, "")) };
            let seen = Seen {
                method: head.method,
                uri: head.uri,
                version: head.version,
                headers: head.headers,
                body: body.to_bytes(),
            };
            all.lock().push(seen.clone());
            Ok::<_, Infallible>(handler(&seen))
        }
    });
    let engine = auto::Builder::new(TokioExecutor::new());
    match tls {
        None => drop(engine.serve_connection(TokioIo::new(stream), service).await),
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                drop(engine.serve_connection(TokioIo::new(stream), service).await);
            }
        }
    }
}
