//! How the gate proves that a name is its own: what the directory asks for is put into the state, so that whichever node
//! it connects to can answer.

use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::ClientHello;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, pki_types};
use sha2::{Digest, Sha256};
use state::{State, Unavailable};

use super::Challenge;
use super::kept::{self, ATTEMPT};
use crate::body::Body;
use crate::gate::Gate;
use crate::listen::tls::provider;

/// Where a directory asks by HTTP (RFC 8555 section 8.3).
const PATH: &str = "/.well-known/acme-challenge/";
/// What a directory speaks that asks by TLS (RFC 8737).
const PROTOCOL: &[u8] = b"acme-tls/1";
/// Tokens have at least 128 bits; nobody makes them longer than this.
const LONGEST_TOKEN: usize = 128;

/// Makes it known to every node what to answer for `domain`.
pub(super) async fn put(
    state: &State,
    kind: Challenge,
    (domain, token): (&str, &str),
    authorization: &str,
) -> Result<(), Unavailable> {
    let key = match kind {
        Challenge::Http => kept::http_key(token),
        Challenge::TlsAlpn => kept::tls_key(domain),
    };
    state.put_record(&key, authorization.as_bytes(), Some(ATTEMPT)).await
}

/// The answer, if a request is a directory's question that somebody waits for. Others go on: a server behind may have
/// certificates of its own.
pub(crate) async fn answer<B>(gate: &Gate, request: &Request<B>) -> Option<Response<Body>> {
    let token = token(request)?;
    let authorization = gate.state.record(&kept::http_key(token)).await.ok()??;
    let mut response = Response::new(Body::full(authorization.to_vec()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    Some(response)
}

/// Whether a request can be a directory's question: all others go on without a look into the state.
pub(crate) fn is_question<B>(request: &Request<B>) -> bool {
    token(request).is_some()
}

fn token<B>(request: &Request<B>) -> Option<&str> {
    let token = request.uri().path().strip_prefix(PATH)?;
    let is_one = *request.method() == Method::GET
        && (1..=LONGEST_TOKEN).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    is_one.then_some(token)
}

/// Whether a client that connects is a directory that asks by TLS: it offers this protocol and no other.
pub(crate) fn asks(hello: &ClientHello<'_>) -> bool {
    let Some(mut offered) = hello.alpn() else { return false };
    offered.next() == Some(PROTOCOL) && offered.next().is_none()
}

/// The handshake that such a client is to see; `None` where nobody waits for it.
pub(crate) async fn proof(gate: &Gate, name: Option<&str>) -> Option<Arc<ServerConfig>> {
    let name = name?.to_ascii_lowercase();
    // Strangers make no work for the state.
    gate.acme.as_ref()?.settings.domains.iter().find(|domain| ***domain == *name)?;
    let authorization = gate.state.record(&kept::tls_key(&name)).await.ok()??;
    match config(&name, &authorization) {
        Ok(config) => Some(Arc::new(config)),
        Err(error) => {
            tracing::error!(domain = name, %error, "cannot prove to the acme directory that the name is ours");
            None
        }
    }
}

/// A certificate that nobody signed, for this name and with the digest in it (RFC 8737 section 3).
fn config(name: &str, authorization: &[u8]) -> Result<ServerConfig, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let mut params = CertificateParams::new(vec![name.to_owned()]).map_err(|error| text(&error))?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(&Sha256::digest(authorization))];
    let key = KeyPair::generate().map_err(|error| text(&error))?;
    let certificate = params.self_signed(&key).map_err(|error| text(&error))?;
    let key = PrivateKeyDer::Pkcs8(pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = provider();
    // Not looked at more closely: the extension with the digest is critical, and nobody but directories knows it.
    let key = provider.key_provider.load_private_key(key).map_err(|error| text(&error))?;
    let certified = CertifiedKey::new(vec![certificate.der().clone()], key);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| text(&error))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_a_token_is_looked_up() {
        let long = "a".repeat(LONGEST_TOKEN + 1);
        for (method, path, expected) in [
            ("GET", "/.well-known/acme-challenge/aZ0-_", Some("aZ0-_")),
            ("POST", "/.well-known/acme-challenge/aZ0-_", None),
            ("GET", "/.well-known/acme-challenge/", None),
            ("GET", "/.well-known/acme-challenge/a/b", None),
            ("GET", "/.well-known/acme-challenge/a.b", None),
            ("GET", "/.well-known/acme-challenge/%61", None),
            ("GET", "/.well-known/acme-challenge", None),
            ("GET", "/x/.well-known/acme-challenge/a", None),
            ("GET", &format!("/.well-known/acme-challenge/{}", &long[1..]), Some(&long[1..])),
            ("GET", &format!("/.well-known/acme-challenge/{long}"), None),
        ] {
            let request = Request::builder().method(method).uri(path).body(()).unwrap();
            assert_eq!(token(&request), expected, "{method} {path}");
        }
    }
}
