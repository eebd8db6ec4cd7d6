//! Requests that the gate signs for an upstream (contract 4.4 row 41, 5.4).

use std::sync::Arc;
use std::time::SystemTime;

use apidef::{RequestSigning, Secret, SignatureAlgorithm, SigningKey};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::StatusCode;
use http::header::{DATE, HeaderName, HeaderValue};
use parking_lot::Mutex;

use super::Outbound;
use super::identity::{name, secret};
use crate::auth::signature::params::TARGET;
use crate::auth::signature::sign::{self, Signs};
use crate::auth::signature::text::Head;
use crate::certificates::CertificateStore;
use crate::respond::Refusal;

/// What is signed where the definition does not say.
const USUAL: [&str; 3] = [TARGET, "host", "date"];

/// Signs requests.
pub(super) struct Signer {
    header: HeaderName,
    key_id: Box<str>,
    algorithm: SignatureAlgorithm,
    by: By,
    signed: Vec<String>,
}

enum By {
    Secret(Secret),
    Certificate {
        reference: Box<str>,
        /// The key as it was last read, by the fingerprint of its certificate.
        read: Mutex<Option<(Box<str>, Arc<Signs>)>>,
    },
}

impl Signer {
    pub(super) fn new(model: &RequestSigning) -> Result<Self, String> {
        let mut signed: Vec<String> = model.signed.iter().map(|name| (**name).to_owned()).collect();
        if signed.is_empty() {
            signed = USUAL.map(str::to_owned).into();
        } else if !signed.iter().any(|name| name == "date") {
            // A signature without its date would be good for ever.
            signed.push("date".to_owned());
        }
        Ok(Self {
            header: name(&model.header)?,
            key_id: model.key_id.clone(),
            algorithm: model.algorithm,
            by: match &model.key {
                SigningKey::Secret(secret) => By::Secret(secret.clone()),
                SigningKey::Certificate(reference) => {
                    By::Certificate { reference: reference.clone(), read: Mutex::default() }
                }
            },
            signed,
        })
    }

    /// Signs the request as it is now.
    pub(super) async fn sign(&self, store: &CertificateStore, request: &mut Outbound) -> Result<(), Refusal> {
        if !request.headers.contains_key(DATE) {
            let date = httpdate::fmt_http_date(SystemTime::now());
            request
                .headers
                .insert(DATE, HeaderValue::try_from(date).map_err(|error| failed(error.to_string()))?);
        }
        // What a client may leave out cannot be signed where it is not there.
        let signed: Vec<String> = self
            .signed
            .iter()
            .filter(|name| *name == TARGET || request.headers.contains_key(name.as_str()))
            .cloned()
            .collect();
        let head = Head {
            method: request.method.as_str(),
            headers: &request.headers,
            authority: None,
            other_date: false,
        };
        let text = head.text(&signed, request.path.path()).map_err(failed)?;
        let signature = match &self.by {
            By::Secret(secret) => {
                let signature = sign::by_secret(self.algorithm, secret.0.as_bytes(), &text);
                let text = BASE64_STANDARD
                    .encode(signature.ok_or_else(|| failed("the algorithm needs a certificate"))?);
                // Contract 5.4: HMAC is escaped as in a query, RSA is not.
                text.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
            }
            By::Certificate { reference, read } => {
                let key = key(store, reference, read).await?;
                BASE64_STANDARD.encode(key.sign(&text).ok_or_else(|| failed("the key cannot sign"))?)
            }
        };
        let value = format!(
            "Signature keyId=\"{}\",algorithm=\"{}\",headers=\"{}\",signature=\"{signature}\"",
            self.key_id,
            self.algorithm.name(),
            signed.join(" "),
        );
        request.headers.insert(&self.header, secret(&value).map_err(failed)?);
        Ok(())
    }
}

/// The private key of a certificate as it is stored now.
async fn key(
    store: &CertificateStore,
    reference: &str,
    read: &Mutex<Option<(Box<str>, Arc<Signs>)>>,
) -> Result<Arc<Signs>, Refusal> {
    let certificate = match store.get(reference).await {
        Ok(certificate) => certificate.ok_or_else(|| misconfigured("Certificate not found"))?,
        Err(away) => {
            let known = read.lock().as_ref().map(|(_, key)| Arc::clone(key));
            return known.ok_or_else(|| Refusal::store_away(away));
        }
    };
    let mut read = read.lock();
    if let Some((_, key)) = read.as_ref().filter(|(fingerprint, _)| *fingerprint == certificate.fingerprint) {
        return Ok(Arc::clone(key));
    }
    let key = certificate.key.as_ref().and_then(|key| Signs::new(key.secret_der()));
    let key = Arc::new(key.ok_or_else(|| misconfigured("Certificate does not contain RSA private key"))?);
    *read = Some((certificate.fingerprint.clone(), Arc::clone(&key)));
    Ok(key)
}

fn misconfigured(message: &'static str) -> Refusal {
    Refusal::gate(StatusCode::INTERNAL_SERVER_ERROR, "UCF", message)
}

fn failed(why: impl std::fmt::Display) -> Refusal {
    misconfigured("There was a problem proxying the request")
        .detail(format_args!("the request cannot be signed: {why}"))
}
