//! Keeps values as Consul and Vault do, on one port: `/v1/kv/…?raw` with the token `consul-token`, and, in an engine of
//! the second version, `/v1/secret/data/…` with the token `vault-token`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// A running store.
#[derive(Debug)]
pub struct Values {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    server: AbortHandle,
}

#[derive(Debug, Default)]
struct Shared {
    kept: BTreeMap<String, Value>,
    away: bool,
    asked: Vec<String>,
}

impl Values {
    /// Starts one; it ends when dropped.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Mutex::new(Shared::default()));
        let served = Arc::clone(&shared);
        let server = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let shared = Arc::clone(&served);
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(Arc::clone(&shared), request));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service)
                        .await;
                });
            }
        });
        Self { address, shared, server: server.abort_handle() }
    }

    /// `host:port`.
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// Keeps a text for Consul, or an object of fields for Vault.
    pub fn put(&self, path: &str, value: Value) {
        self.shared.lock().kept.insert(path.to_owned(), value);
    }

    /// Answers with 500 from now on, or no more.
    pub fn away(&self, away: bool) {
        self.shared.lock().away = away;
    }

    /// How often it was asked for a path.
    pub fn hits(&self, path: &str) -> usize {
        self.shared.lock().asked.iter().filter(|asked| *asked == path).count()
    }
}

impl Drop for Values {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(
    shared: Arc<Mutex<Shared>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let token = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let path = request.uri().path();
    let reply = |status: u16, body: String| {
        Ok(Response::builder().status(status).body(Full::new(Bytes::from(body))).unwrap())
    };
    let mut shared = shared.lock();
    if shared.away {
        return reply(500, "down".to_owned());
    }
    let (path, allowed, of_vault) = match path.strip_prefix("/v1/kv/") {
        Some(path) => (path.to_owned(), token("x-consul-token") == Some("consul-token"), false),
        None => match path.strip_prefix("/v1/secret/data/") {
            Some(path) => (format!("secret/{path}"), token("x-vault-token") == Some("vault-token"), true),
            None => return reply(404, String::new()),
        },
    };
    shared.asked.push(path.clone());
    match shared.kept.get(&path) {
        _ if !allowed => reply(403, "permission denied".to_owned()),
        None => reply(404, String::new()),
        Some(value) if of_vault => reply(200, json!({"data": {"data": value, "metadata": {}}}).to_string()),
        Some(value) => reply(200, value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
    }
}
