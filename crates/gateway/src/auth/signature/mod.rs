//! HTTP signatures (draft-cavage-http-signatures, contract 5.4): the caller signs parts of the request's head, with a secret
//! that its session holds or with the RSA key whose certificate its session names.
//!
//! The algorithm is bound to the kind of key, never chosen by the signature alone. Where the API sets a clock skew, the
//! date has to be signed: an unsigned one could be renewed by whoever repeats a request.

mod date;
mod digest;
pub(crate) mod params;
pub(crate) mod sign;
pub(crate) mod text;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use apidef::{Api, SignatureAlgorithm};
use aws_lc_rs::signature::ParsedPublicKey;
use http::{StatusCode, request};

use self::params::Params;
use self::text::{Head, OTHER_DATE, paths};
use super::callers::Caller;
use super::places::Places;
use crate::clock::unix_now;
use crate::exchange::{AsSent, Exchange};
use crate::respond::Refusal;

/// Largest body whose digest is checked; it has to be held in memory.
const BODY_LIMIT: usize = 8 << 20;

/// Finds the caller by the signature of its request.
#[derive(Debug)]
pub(crate) struct Signature {
    places: Places,
    check: Check,
    org: Box<str>,
}

/// What an API asks of a signature before anybody's key is looked at.
#[derive(Debug)]
struct Check {
    /// Empty: any.
    algorithms: Box<[SignatureAlgorithm]>,
    skew: Option<Duration>,
}

/// A signature that may be good: what it is a signature of, by which key it has to be.
#[derive(Debug)]
struct Claimed {
    params: Params,
    algorithm: SignatureAlgorithm,
    /// The texts that the client may have signed; one of them is.
    texts: Vec<Vec<u8>>,
}

impl Signature {
    pub(crate) fn new(model: &apidef::HttpSignature, api: &Api) -> Result<Self, String> {
        Ok(Self {
            places: Places::new(&model.sources)?,
            check: Check { algorithms: model.algorithms.clone(), skew: model.skew },
            org: api.org_id.clone(),
        })
    }

    pub(crate) async fn caller(&self, exchange: &mut Exchange) -> Result<Arc<Caller>, Refusal> {
        let field = self.places.find(&exchange.head).ok_or_else(|| refused("there is no signature"))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let claimed = self.check.read(&field, &exchange.head, now).map_err(refused)?;

        let gate = &exchange.gate;
        let key = &claimed.params.key;
        let caller = match gate.callers.known(&self.org, key) {
            Some(caller) => Some(caller),
            None => gate.callers.look_up(gate, &self.org, key).await?,
        };
        let caller = caller.ok_or_else(|| refused("there is no key with this id"))?;
        let session = &caller.session;
        if !session.hmac_enabled && !session.enable_http_signature_validation {
            return Err(refused("the key does not sign requests"));
        }
        let good = if claimed.algorithm == SignatureAlgorithm::RsaSha256 {
            let reference = &session.rsa_certificate_id;
            if reference.is_empty() {
                return Err(refused("the key names no certificate"));
            }
            let certificate = gate.certificates.get(reference).await.map_err(Refusal::store_away)?;
            let certificate = certificate.ok_or_else(|| misconfigured("Certificate not found"))?;
            if certificate.has_expired(unix_now()) {
                return Err(refused("the certificate of the key has expired"));
            }
            let key = certificate
                .rsa()
                .ok_or_else(|| misconfigured("Certificate doesn't contain RSA Public key"))?;
            claimed.is_by_key(key)
        } else {
            claimed.is_by_secret(session.hmac_string.0.as_bytes())
        };
        if !good {
            return Err(refused("the signature is not by the key"));
        }
        // Only now: nobody whom we do not know makes us hold a body.
        check_digests(&claimed.params, exchange).await?;
        Ok(caller)
    }
}

impl Check {
    /// Reads a signature and says what it would have to be a signature of; why it cannot be a good one, for the log.
    fn read(&self, field: &str, head: &request::Parts, now: Duration) -> Result<Claimed, &'static str> {
        let params = params::read(field)?;
        let algorithm = SignatureAlgorithm::named(&params.algorithm)
            .filter(|algorithm| self.algorithms.is_empty() || self.algorithms.contains(algorithm))
            .ok_or("the algorithm is not known, or not allowed")?;
        let uri = head.extensions.get::<AsSent>().map_or(&head.uri, |sent| &sent.0);
        let head = Head {
            method: head.method.as_str(),
            headers: &head.headers,
            authority: uri.authority().map(http::uri::Authority::as_str),
            other_date: true,
        };
        if let Some(skew) = self.skew {
            if !params.signed.iter().any(|name| name == "date" || name == OTHER_DATE) {
                return Err("the date is not signed, so the request could be repeated");
            }
            let date = head
                .date()
                .as_deref()
                .and_then(date::read)
                .ok_or("there is no date, or none that can be read")?;
            let now = i128::try_from(now.as_millis()).map_err(|_| "the clock is wrong")?;
            let apart = (i128::from(date) * 1000 - now).unsigned_abs();
            if apart > skew.as_millis() {
                return Err("the date is too far from now");
            }
        }
        let texts = if params.signed.iter().any(|name| name == params::TARGET) {
            paths(uri).iter().map(|path| head.text(&params.signed, path)).collect::<Result<_, _>>()?
        } else {
            vec![head.text(&params.signed, "")?]
        };
        Ok(Claimed { params, algorithm, texts })
    }
}

impl Claimed {
    fn is_by_secret(&self, secret: &[u8]) -> bool {
        let signature = &self.params.signature;
        self.texts.iter().any(|text| sign::is_by_secret(self.algorithm, secret, text, signature))
    }

    fn is_by_key(&self, key: &ParsedPublicKey) -> bool {
        self.texts.iter().any(|text| key.verify_sig(text, &self.params.signature).is_ok())
    }
}

async fn check_digests(params: &Params, exchange: &mut Exchange) -> Result<(), Refusal> {
    for field in digest::FIELDS.iter().filter(|field| params.signed.iter().any(|name| name == *field)) {
        let body = exchange.buffer_body(BODY_LIMIT).await?;
        let head = Head { method: "", headers: &exchange.head.headers, authority: None, other_date: false };
        let value = head.value(field).and_then(|value| String::from_utf8(value).ok()).unwrap_or_default();
        if !digest::fits(&value, &body) {
            return Err(refused("the body does not fit its digest"));
        }
    }
    Ok(())
}

/// Whatever is wrong with a signature, the client reads the same.
fn refused(why: &'static str) -> Refusal {
    const TEXT: &str = "Authorization field missing, malformed or invalid";
    Refusal::client(StatusCode::BAD_REQUEST, "AMF", TEXT).detail(why)
}

fn misconfigured(message: &'static str) -> Refusal {
    Refusal::gate(StatusCode::INTERNAL_SERVER_ERROR, "AMF", message)
}
