//! Keys that are bound to a certificate of the client: dynamic mutual TLS, and bindings on APIs with a list of
//! certificates (contract 5.2).

use apidef::{Session, keys};
use http::StatusCode;

use crate::clock::unix_now;
use crate::exchange::Exchange;
use crate::listen::ClientCertificate;
use crate::respond::Refusal;

/// The certificate that the client has shown.
fn shown(exchange: &Exchange) -> Option<&ClientCertificate> {
    exchange.peer.tls.as_ref()?.certificate().map(AsRef::as_ref)
}

/// The key that a certificate stands for where no other is presented.
pub(super) fn key_of_certificate(exchange: &Exchange, org: &str) -> Result<String, Refusal> {
    let Some(shown) = shown(exchange) else {
        return Err(Refusal::client(StatusCode::UNAUTHORIZED, "CRQ", "Client certificate required"));
    };
    in_force(shown)?;
    let id = format!("{org}{}", shown.fingerprint);
    Ok(keys::generate(org, Some(&id), exchange.gate.settings.keys.algorithm))
}

/// Whether the client has shown the certificate that its key is bound to.
pub(super) fn check_certificate(exchange: &Exchange, session: &Session, org: &str) -> Result<(), Refusal> {
    let Some(shown) = shown(exchange) else {
        if exchange.gate.settings.certificates.token_alone_is_enough {
            return Ok(());
        }
        return Err(Refusal::client(StatusCode::UNAUTHORIZED, "CRQ", "Client certificate required"));
    };
    in_force(shown)?;
    if session.certificate == format!("{org}{}", shown.fingerprint) { Ok(()) } else { Err(mismatch()) }
}

/// Whether the client has shown one of the certificates that its key is bound to on APIs with a list of them.
pub(super) fn check_bindings(exchange: &Exchange, session: &Session) -> Result<(), Refusal> {
    let bindings = &session.mtls_static_certificate_bindings;
    if bindings.is_empty() || exchange.api.model.client_certificates.is_none() {
        return Ok(());
    }
    let bound = shown(exchange)
        .is_some_and(|shown| bindings.iter().any(|binding| binding.ends_with(&*shown.fingerprint)));
    if bound { Ok(()) } else { Err(mismatch()) }
}

fn in_force(shown: &ClientCertificate) -> Result<(), Refusal> {
    if shown.not_after < unix_now() {
        return Err(Refusal::client(StatusCode::FORBIDDEN, "CEX", "Certificate has expired"));
    }
    Ok(())
}

fn mismatch() -> Refusal {
    Refusal::client(StatusCode::UNAUTHORIZED, "CMM", "Access to this API has been disallowed")
}
