//! Who signs tokens: a server that publishes its keys, says what it is, and tells whether a token is good.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// How an issuer answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// As it should.
    Well,
    /// With this status.
    Failing(u16),
    /// After this time.
    Slow(Duration),
    /// With far more than anybody wants.
    Huge,
    /// With something else than JSON.
    Rubbish,
}

/// A running issuer:
///
/// - `/keys`: its key set
/// - `/.well-known/openid-configuration`: what it says of itself
/// - `/introspect`: what it was told of a token by [`Issuer::knows`], for the client `gate` with the secret `s3cret`
/// - `/exchange`: what [`Issuer::exchanges`] says; a token endpoint
/// - `/moved`: a redirect to `/keys`
///
/// Tokens are signed with ES256.
#[derive(Debug)]
pub struct Issuer {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    server: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    key: EcdsaKeyPair,
    id: String,
    mood: Mood,
    asked: Vec<(String, String)>,
    known: Vec<(String, Value)>,
    exchanges: (u16, Value),
}

fn key() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()
}

impl Issuer {
    /// Starts one whose key has the id `first`; it ends when dropped.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Mutex::new(Shared {
            key: key(),
            id: "first".to_owned(),
            mood: Mood::Well,
            asked: Vec::new(),
            known: Vec::new(),
            exchanges: (400, json!({"error": "invalid_request"})),
        }));
        let served = Arc::clone(&shared);
        let server = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let shared = Arc::clone(&served);
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(Arc::clone(&shared), address, request));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service)
                        .await;
                });
            }
        });
        Self { address, shared, server: server.abort_handle() }
    }

    /// A URL at this issuer.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Takes a new key of this id; the old one is published no more.
    pub fn rotate(&self, id: &str) {
        let mut shared = self.shared.lock();
        (shared.key, shared.id) = (key(), id.to_owned());
    }

    /// Answers in this way from now on.
    pub fn mood(&self, mood: Mood) {
        self.shared.lock().mood = mood;
    }

    /// How often a path was asked for.
    pub fn hits(&self, path: &str) -> usize {
        self.shared.lock().asked.iter().filter(|(known, _)| known == path).count()
    }

    /// The body of the last request for a path.
    pub fn last(&self, path: &str) -> String {
        let shared = self.shared.lock();
        shared
            .asked
            .iter()
            .rfind(|(known, _)| known == path)
            .map(|(_, body)| body.clone())
            .unwrap_or_default()
    }

    /// What `/introspect` says of a token.
    pub fn knows(&self, token: &str, answer: Value) {
        let mut shared = self.shared.lock();
        shared.known.retain(|(known, _)| known != token);
        shared.known.push((token.to_owned(), answer));
    }

    /// What `/exchange` answers.
    pub fn exchanges(&self, status: u16, answer: Value) {
        self.shared.lock().exchanges = (status, answer);
    }

    /// A token with these claims, signed by the present key.
    pub fn token(&self, claims: &Value) -> String {
        let id = self.shared.lock().id.clone();
        self.token_of(&id, claims)
    }

    /// The same, naming a key of this id.
    pub fn token_of(&self, id: &str, claims: &Value) -> String {
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": id});
        compact(&header, claims, |message| {
            let shared = self.shared.lock();
            shared.key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
        })
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A token signed with a shared secret, by HS256; `header` is added to `alg`.
pub fn shared(secret: &[u8], header: &Value, claims: &Value) -> String {
    let mut whole = json!({"alg": "HS256"});
    whole.as_object_mut().unwrap().extend(header.as_object().unwrap().clone());
    compact(&whole, claims, |message| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().to_vec()
    })
}

fn compact(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let signed = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
    let signature = sign(signed.as_bytes());
    format!("{signed}.{}", BASE64.encode(signature))
}

async fn answer(
    shared: Arc<Mutex<Shared>>,
    address: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let body = String::from_utf8_lossy(&body).into_owned();
    let mood = {
        let mut shared = shared.lock();
        shared.asked.push((path.clone(), body.clone()));
        shared.mood
    };
    if let Mood::Slow(time) = mood {
        tokio::time::sleep(time).await;
    }
    let shared = shared.lock();
    let (mut status, mut text) = (200, String::new());
    let mut location = None;
    match (mood, path.as_str()) {
        (Mood::Failing(failing), _) => status = failing,
        (Mood::Huge, _) => text = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(3 << 20)),
        (Mood::Rubbish, _) => text = "<html>".to_owned(),
        (_, "/keys") => {
            let point = &shared.key.public_key().as_ref()[1..];
            let (x, y) = point.split_at(32);
            text = json!({"keys": [{
                "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": shared.id,
                "x": BASE64.encode(x), "y": BASE64.encode(y),
            }]})
            .to_string();
        }
        (_, "/moved") => (status, location) = (302, Some("/keys")),
        (_, "/.well-known/openid-configuration") => {
            text =
                json!({"issuer": format!("http://{address}"), "jwks_uri": format!("http://{address}/keys")})
                    .to_string();
        }
        (_, "/introspect") => {
            let allowed = body.contains("client_id=gate") && body.contains("client_secret=s3cret");
            let known = shared
                .known
                .iter()
                .find(|(token, _)| body.split('&').any(|pair| pair == format!("token={token}")));
            match known {
                _ if !allowed => status = 401,
                Some((_, answer)) => text = answer.to_string(),
                None => text = json!({"active": false}).to_string(),
            }
        }
        (_, "/exchange") => (status, text) = (shared.exchanges.0, shared.exchanges.1.to_string()),
        _ => status = 404,
    }
    let mut response = Response::builder()
        .status(StatusCode::from_u16(status).unwrap())
        .header("content-type", "application/json");
    if let Some(location) = location {
        response = response.header("location", location);
    }
    Ok(response.body(Full::new(text.into())).unwrap())
}
