//! Keys that are bound to a certificate of the client: dynamic mutual TLS, and bindings on APIs with a list of
//! certificates (contract 5.2).

use apidef::{Api, Session, keys};
use http::StatusCode;

use super::token::disallowed;
use crate::clock::unix_now;
use crate::exchange::Exchange;
use crate::gate::Gate;
use crate::listen::ClientCertificate;
use crate::respond::Refusal;

/// The certificate that the client has shown.
fn shown(exchange: &Exchange) -> Option<&ClientCertificate> {
    exchange.peer.tls.as_ref()?.certificate().map(AsRef::as_ref)
}

/// What the store calls the certificate, if it is there, and what keys that are bound to it do.
fn id(shown: &ClientCertificate, org: &str) -> String {
    format!("{org}{}", shown.fingerprint)
}

/// The key that a certificate stands for where no other is presented.
pub(super) fn key_of_certificate(exchange: &Exchange, org: &str) -> Result<String, Refusal> {
    let Some(shown) = shown(exchange) else {
        return Err(required());
    };
    in_force(shown)?;
    Ok(keys::generate(org, Some(&id(shown, org)), exchange.gate.settings.keys.algorithm))
}

/// Whether a key is bound to a certificate.
pub(crate) fn is_to(session: &Session, shown: &ClientCertificate, org: &str) -> bool {
    session.certificate == id(shown, org)
}

/// Whether the client has shown the certificate that its key is bound to, and the store still has it.
pub(super) async fn check_certificate(
    exchange: &Exchange,
    session: &Session,
    org: &str,
) -> Result<(), Refusal> {
    let Some(shown) = shown(exchange) else {
        if exchange.gate.settings.certificates.token_alone_is_enough {
            return Ok(());
        }
        return Err(required());
    };
    check_bound(&exchange.gate, session, shown, org).await
}

/// The same of a certificate that a client has shown.
pub(crate) async fn check_bound(
    gate: &Gate,
    session: &Session,
    shown: &ClientCertificate,
    org: &str,
) -> Result<(), Refusal> {
    in_force(shown)?;
    let id = id(shown, org);
    if session.certificate != id {
        return Err(mismatch());
    }
    match gate.certificates.stored(&id).await.map_err(Refusal::store_away)? {
        Some(_) => Ok(()),
        None => Err(disallowed()
            .called("auth.cert_not_found")
            .detail("the certificate of the key is not in the store any more")),
    }
}

/// Whether the client has shown one of the certificates that its key is bound to on APIs with a list of them.
pub(super) fn check_bindings(exchange: &Exchange, session: &Session) -> Result<(), Refusal> {
    check_shown(&exchange.api.model, session, shown(exchange))
}

/// The same of a certificate that a client has shown, or of none.
pub(crate) fn check_shown(
    api: &Api,
    session: &Session,
    shown: Option<&ClientCertificate>,
) -> Result<(), Refusal> {
    let bindings = &session.mtls_static_certificate_bindings;
    if bindings.is_empty() || api.client_certificates.is_none() {
        return Ok(());
    }
    let shown = shown.map(|shown| id(shown, &api.org_id));
    if shown.is_some_and(|shown| bindings.contains(&shown)) { Ok(()) } else { Err(mismatch()) }
}

fn in_force(shown: &ClientCertificate) -> Result<(), Refusal> {
    if shown.not_after < unix_now() {
        return Err(Refusal::client(StatusCode::FORBIDDEN, "CEX", "Certificate has expired")
            .called("auth.cert_expired"));
    }
    Ok(())
}

fn required() -> Refusal {
    Refusal::client(StatusCode::UNAUTHORIZED, "CRQ", "Client certificate required")
        .called("auth.cert_required")
}

fn mismatch() -> Refusal {
    Refusal::client(StatusCode::UNAUTHORIZED, "CMM", "Access to this API has been disallowed")
        .called("auth.cert_mismatch")
}
