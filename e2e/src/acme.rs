//! A directory that gives certificates (RFC 8555): it believes nothing that it has not seen by connecting itself. Names
//! do not resolve here, so it connects to ports of this machine that it is told.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rcgen::CertificateSigningRequestParams;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use crate::acme_proof::{by_http, by_tls};
use crate::{Authority, front};

/// A running directory. It ends when dropped.
#[derive(Debug)]
pub struct Directory {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    server: AbortHandle,
}

/// What a directory did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Accounts that were made.
    pub accounts: usize,
    /// Orders that were begun.
    pub orders: usize,
    /// Certificates that were signed.
    pub certificates: usize,
    /// Requests of any kind.
    pub requests: usize,
}

#[derive(Debug)]
struct Shared {
    /// What all addresses begin with.
    base: String,
    authority: Authority,
    /// How long certificates live.
    life: Duration,
    ports: Vec<u16>,
    failing: bool,
    external: Option<(String, Vec<u8>)>,
    counts: Counts,
    nonces: Vec<String>,
    /// Their keys (x and y), by number.
    accounts: Vec<(String, String)>,
    orders: Vec<Order>,
    contacts: Vec<String>,
}

#[derive(Debug, Clone)]
struct Order {
    account: usize,
    names: Vec<String>,
    status: &'static str,
    /// Why a proof was not taken.
    error: Option<String>,
    certificate: Option<String>,
}

/// A request that is signed as it should be.
struct Signed {
    account: Option<usize>,
    key: Option<(String, String)>,
    payload: Value,
}

type Answer = Result<(u16, Value, Vec<(&'static str, String)>), (u16, &'static str, String)>;

impl Directory {
    /// Starts one that looks for `tls-alpn-01` and `http-01` at these ports, one after the other, as a real one does
    /// behind a load balancer.
    pub async fn start(ports: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Mutex::new(Shared {
            base: format!("http://{address}"),
            authority: Authority::new(),
            life: Duration::from_secs(90 * 86_400),
            ports: ports.to_vec(),
            failing: false,
            external: None,
            counts: Counts::default(),
            nonces: Vec::new(),
            accounts: Vec::new(),
            orders: Vec::new(),
            contacts: Vec::new(),
        }));
        let served = Arc::clone(&shared);
        let server = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let shared = Arc::clone(&served);
                tokio::spawn(async move {
                    let service = service_fn(move |request| serve(Arc::clone(&shared), request));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service)
                        .await;
                });
            }
        });
        Self { address, shared, server: server.abort_handle() }
    }

    /// Its address, for clients.
    pub fn url(&self) -> String {
        format!("{}/directory", self.shared.lock().base)
    }

    /// Is spoken to over TLS from now on; gives the PEM text of whom clients have to trust.
    pub async fn over_tls(&self) -> String {
        let authority = Authority::new();
        let port = front(&self.address.to_string(), &authority.sign(&["localhost"]), None).await;
        self.shared.lock().base = format!("https://localhost:{port}");
        authority.pem()
    }

    /// The certificate that its certificates are checked with, as PEM.
    pub fn root(&self) -> String {
        self.shared.lock().authority.pem()
    }

    /// Certificates live so long from now on.
    pub fn life(&self, life: Duration) {
        self.shared.lock().life = life;
    }

    /// Answers everything with an error, or no more.
    pub fn failing(&self, failing: bool) {
        self.shared.lock().failing = failing;
    }

    /// Makes accounts only for those who belong to this account elsewhere.
    pub fn external(&self, id: &str, key: &[u8]) {
        self.shared.lock().external = Some((id.to_owned(), key.to_vec()));
    }

    /// What it did so far.
    pub fn counts(&self) -> Counts {
        self.shared.lock().counts
    }

    /// Whom it would write to.
    pub fn contacts(&self) -> Vec<String> {
        self.shared.lock().contacts.clone()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(
    shared: Arc<Mutex<Shared>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let path = head.uri.path().to_owned();
    let answer = {
        let mut shared = shared.lock();
        shared.counts.requests += 1;
        match (shared.failing, &head.method) {
            (true, _) => Err((503, "serverInternal", "out of order".to_owned())),
            (false, &Method::POST) => shared.post(&path, &body),
            (false, _) => shared.get(&path),
        }
    };
    if let Ok((_, body, _)) = &answer
        && path.starts_with("/challenge/")
        && body["status"] == "processing"
    {
        tokio::spawn(look(Arc::clone(&shared), path, body["token"].as_str().unwrap().to_owned()));
    }
    let nonce = BASE64.encode(random());
    shared.lock().nonces.push(nonce.clone());
    let response = Response::builder().header("replay-nonce", nonce);
    let response = match answer {
        Ok((status, body, fields)) => {
            let response = fields
                .iter()
                .fold(response.status(status), |response, (name, value)| response.header(*name, value));
            let text = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
            response.body(Full::new(text.into()))
        }
        Err((status, kind, detail)) => {
            let problem = json!({"type": format!("urn:ietf:params:acme:error:{kind}"), "detail": detail, "status": status});
            response
                .status(status)
                .header("content-type", "application/problem+json")
                .body(Full::new(problem.to_string().into()))
        }
    };
    Ok(response.unwrap())
}

fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).unwrap();
    bytes
}

/// Looks whether the proof is there, at every port.
async fn look(shared: Arc<Mutex<Shared>>, path: String, token: String) {
    let mut parts = path.split('/').skip(2);
    let mut number = || parts.next().unwrap().parse::<usize>().unwrap();
    let (order, name) = (number(), number());
    let kind = path.rsplit('/').next().unwrap().to_owned();
    let (host, authorization, ports) = {
        let shared = shared.lock();
        let asked = &shared.orders[order];
        let authorization = format!("{token}.{}", thumbprint(&shared.accounts[asked.account]));
        (asked.names[name].clone(), authorization, shared.ports.clone())
    };
    let mut outcome = Ok(());
    for port in ports {
        if outcome.is_ok() {
            outcome = match &*kind {
                "http" => by_http(port, &host, &token, &authorization).await,
                _ => by_tls(port, &host, &authorization).await,
            };
        }
    }
    let order = &mut shared.lock().orders[order];
    match outcome {
        Ok(()) => order.status = "ready",
        Err(error) => (order.status, order.error) = ("invalid", Some(error)),
    }
}

/// RFC 7638.
fn thumbprint((x, y): &(String, String)) -> String {
    let text = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    BASE64.encode(digest(&SHA256, text.as_bytes()))
}

fn token(order: usize, name: usize) -> String {
    format!("token-{order}-{name}-0123456789abcdef")
}

impl Shared {
    fn get(&self, path: &str) -> Answer {
        let at = |path: &str| format!("{}{path}", self.base);
        match path {
            "/directory" => Ok((
                200,
                json!({
                    "newNonce": at("/nonce"), "newAccount": at("/account"), "newOrder": at("/order"),
                    "revokeCert": at("/revoke"), "keyChange": at("/key"),
                    "meta": {"externalAccountRequired": self.external.is_some()},
                }),
                vec![],
            )),
            "/nonce" => Ok((200, json!(""), vec![])),
            _ => Err((404, "malformed", "there is nothing here".to_owned())),
        }
    }

    fn post(&mut self, path: &str, body: &[u8]) -> Answer {
        let signed = self.check(path, body)?;
        if path == "/account" {
            return self.account(&signed);
        }
        let account = signed.account.ok_or((401, "unauthorized", "sign with the account".to_owned()))?;
        if path == "/order" {
            let names = signed.payload["identifiers"].as_array().unwrap();
            let names = names.iter().map(|name| name["value"].as_str().unwrap().to_owned()).collect();
            self.counts.orders += 1;
            self.orders.push(Order { account, names, status: "pending", error: None, certificate: None });
            let order = self.orders.len() - 1;
            let location = format!("{}/order/{order}", self.base);
            return Ok((201, self.order(order), vec![("location", location)]));
        }
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let order: usize = parts[1].parse().unwrap();
        if self.orders[order].account != account {
            return Err((403, "unauthorized", "another's order".to_owned()));
        }
        match parts[0] {
            "order" => Ok((200, self.order(order), vec![])),
            "authorization" => Ok((200, self.authorization(order, parts[2].parse().unwrap()), vec![])),
            "challenge" => Ok((
                200,
                json!({
                    "type": if parts[3] == "http" { "http-01" } else { "tls-alpn-01" },
                    "url": format!("{}{path}", self.base),
                    "token": token(order, parts[2].parse().unwrap()),
                    "status": "processing",
                }),
                vec![],
            )),
            "finalize" => self.finalize(order, &signed.payload),
            "certificate" => {
                let chain = self.orders[order].certificate.clone().unwrap();
                Ok((
                    200,
                    json!(chain),
                    vec![("content-type", "application/pem-certificate-chain".to_owned())],
                ))
            }
            _ => Err((404, "malformed", "there is nothing here".to_owned())),
        }
    }

    /// RFC 8555 section 6.2: the signature, the address that it is for, and the nonce, which is good once.
    fn check(&mut self, path: &str, body: &[u8]) -> Result<Signed, (u16, &'static str, String)> {
        let malformed = |what: &str| (400, "malformed", what.to_owned());
        let message: Value = serde_json::from_slice(body).map_err(|_| malformed("no JSON"))?;
        let part = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
        let bytes = |text: &str| BASE64.decode(text).unwrap_or_default();
        let header: Value =
            serde_json::from_slice(&bytes(&part("protected"))).map_err(|_| malformed("no header"))?;
        if header["url"] != json!(format!("{}{path}", self.base)) || header["alg"] != "ES256" {
            return Err(malformed("signed for something else"));
        }
        let nonce = header["nonce"].as_str().unwrap_or_default();
        let Some(known) = self.nonces.iter().position(|known| known == nonce) else {
            return Err((400, "badNonce", "unknown nonce".to_owned()));
        };
        self.nonces.swap_remove(known);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let given = header["jwk"].as_object().map(|jwk| (text(&jwk["x"]), text(&jwk["y"])));
        let account = header["kid"].as_str().map(|kid| {
            let number = kid.strip_prefix(&format!("{}/account/", self.base));
            number.and_then(|number| number.parse::<usize>().ok())
        });
        let account = match account {
            Some(number) if number.is_none_or(|number| number >= self.accounts.len()) => {
                return Err((400, "accountDoesNotExist", "no such account".to_owned()));
            }
            account => account.flatten(),
        };
        let key = match (&given, account) {
            (Some(key), None) if path == "/account" => key.clone(),
            (None, Some(account)) => self.accounts[account].clone(),
            _ => return Err(malformed("a key where there should be an account, or the other way round")),
        };
        let point = [vec![4], bytes(&key.0), bytes(&key.1)].concat();
        let signed = format!("{}.{}", part("protected"), part("payload"));
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(signed.as_bytes(), &bytes(&part("signature")))
            .map_err(|_| (401, "unauthorized", "wrong signature".to_owned()))?;
        let payload = bytes(&part("payload"));
        let payload =
            if payload.is_empty() { Value::Null } else { serde_json::from_slice(&payload).unwrap() };
        Ok(Signed { account, key: given, payload })
    }

    fn account(&mut self, signed: &Signed) -> Answer {
        let key = signed.key.clone().unwrap();
        if let Some((id, secret)) = &self.external {
            let bound = &signed.payload["externalAccountBinding"];
            let part = |name: &str| bound[name].as_str().unwrap_or_default().to_owned();
            let bytes = |name: &str| BASE64.decode(part(name)).unwrap();
            let mac = hmac::Key::new(hmac::HMAC_SHA256, secret);
            let message = format!("{}.{}", part("protected"), part("payload"));
            let header: Value = serde_json::from_slice(&bytes("protected")).unwrap_or_default();
            let genuine = hmac::verify(&mac, message.as_bytes(), &bytes("signature")).is_ok();
            if !genuine || header["kid"] != json!(id) {
                return Err((401, "externalAccountRequired", "whose are you?".to_owned()));
            }
        }
        assert_eq!(signed.payload["termsOfServiceAgreed"], true);
        let contacts = signed.payload["contact"].as_array().into_iter().flatten();
        self.contacts.extend(contacts.map(|contact| contact.as_str().unwrap().to_owned()));
        self.counts.accounts += 1;
        self.accounts.push(key);
        let location = format!("{}/account/{}", self.base, self.accounts.len() - 1);
        Ok((201, json!({"status": "valid"}), vec![("location", location)]))
    }

    fn order(&self, number: usize) -> Value {
        let order = &self.orders[number];
        let at = |path: &str| format!("{}/{path}/{number}", self.base);
        let mut told = json!({
            "status": order.status,
            "identifiers": order.names.iter().map(|name| json!({"type": "dns", "value": name})).collect::<Vec<_>>(),
            "authorizations": (0..order.names.len()).map(|name| format!("{}/{name}", at("authorization"))).collect::<Vec<_>>(),
            "finalize": at("finalize"),
        });
        if order.certificate.is_some() {
            told["certificate"] = json!(at("certificate"));
        }
        told
    }

    fn authorization(&self, number: usize, name: usize) -> Value {
        let order = &self.orders[number];
        let status = match order.status {
            "pending" | "invalid" => order.status,
            _ => "valid",
        };
        let challenge = |kind: &str, path: &str| {
            let mut told = json!({
                "type": kind, "status": status, "token": token(number, name),
                "url": format!("{}/challenge/{number}/{name}/{path}", self.base),
            });
            if let Some(error) = &order.error {
                told["error"] = json!({"type": "urn:ietf:params:acme:error:unauthorized", "detail": error});
            }
            told
        };
        json!({
            "identifier": {"type": "dns", "value": order.names[name]},
            "status": status,
            "challenges": [challenge("http-01", "http"), challenge("tls-alpn-01", "tls")],
        })
    }

    fn finalize(&mut self, number: usize, payload: &Value) -> Answer {
        if self.orders[number].status != "ready" {
            return Err((403, "orderNotReady", "not yet".to_owned()));
        }
        let wrong = |error: &dyn std::fmt::Display| (400, "badCSR", error.to_string());
        let csr =
            BASE64.decode(payload["csr"].as_str().unwrap_or_default()).map_err(|error| wrong(&error))?;
        let mut csr =
            CertificateSigningRequestParams::from_der(&csr.into()).map_err(|error| wrong(&error))?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        csr.params.not_before = rcgen::date_time_ymd(1970, 1, 1) + (now - Duration::from_secs(60));
        csr.params.not_after = rcgen::date_time_ymd(1970, 1, 1) + (now + self.life);
        let chain = self.authority.sign_request(&csr).map_err(|error| wrong(&error))?;
        self.counts.certificates += 1;
        let order = &mut self.orders[number];
        (order.status, order.certificate) = ("valid", Some(chain));
        Ok((200, self.order(number), vec![]))
    }
}
