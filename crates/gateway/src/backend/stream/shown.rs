//! What a subscriber has shown when it came that can end or be taken back before its key does: a token with an end of its
//! own, the certificate of the client, the OAuth client that the gate gave its token to.

use std::sync::Arc;

use apidef::{Api, Auth, SecurityScheme};

use crate::auth::{Caller, ClientCertificates, bound, is_oauth_token};
use crate::clock::unix_now;
use crate::exchange::{Exchange, Skips};
use crate::gate::Gate;
use crate::listen::{Agreed, ClientCertificate};
use crate::oauth::client;
use crate::respond::{Blame, Refusal};

/// What one subscriber has shown.
#[derive(Debug)]
pub(super) struct Shown {
    api: Arc<Api>,
    /// Unix seconds at which it ends; `i64::MAX` does not.
    pub(super) until: i64,
    /// SHA-256 of the token that said who it is.
    token: Option<[u8; 32]>,
    /// `None`: nobody has asked for one.
    certificate: Option<Arc<ClientCertificate>>,
    /// Its key was good together with the certificate only.
    is_bound: bool,
    /// The API takes tokens that the gate gave to clients.
    of_clients: bool,
}

/// Whether what was shown still counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Still {
    Good,
    Over,
    /// The store does not say.
    Unknown,
}

impl Shown {
    /// `caller`: whose key it was shown beside.
    pub(super) fn of(exchange: &Exchange, caller: Option<&Caller>) -> Self {
        let api = &exchange.api.model;
        let asks = |asked: fn(&SecurityScheme) -> bool| match &api.auth {
            Auth::Guarded(guarded) => guarded.schemes().any(asked),
            Auth::Keyless => false,
        };
        let by_key = asks(|scheme| matches!(scheme, SecurityScheme::Token(token) if token.certificate));
        let is_asked_for = by_key || api.client_certificates.is_some();
        let certificate = exchange.peer.tls.as_ref().and_then(Agreed::certificate);
        // On a path that is open to everybody nobody has looked at it.
        let certificate = certificate.filter(|_| is_asked_for && !exchange.skips.any(Skips::OPEN)).cloned();
        let is_to = |(shown, caller): (&Arc<ClientCertificate>, &Caller)| {
            bound::is_to(caller.common(), shown, &api.org_id)
        };
        let is_bound = by_key && certificate.as_ref().zip(caller).is_some_and(is_to);
        let counts = is_bound || api.client_certificates.is_some();
        // In force up to and with its last second.
        let ends = certificate.as_ref().filter(|_| counts).map(|shown| shown.not_after.saturating_add(1));
        Self {
            until: ends.unwrap_or(i64::MAX).min(exchange.token_ends),
            token: exchange.verified,
            certificate,
            is_bound,
            of_clients: asks(|scheme| matches!(scheme, SecurityScheme::OAuth(_))),
            api: Arc::clone(api),
        }
    }

    /// Whether there is anything in it, so that who has no key has to be watched as well.
    pub(super) fn is_something(&self) -> bool {
        self.until < i64::MAX || self.certificate.is_some()
    }

    pub(super) fn api(&self) -> &Api {
        &self.api
    }

    /// Whether it is told by what lies in the catalog or the store beside keys: certificates, and OAuth clients.
    pub(super) fn depends_on_papers(&self) -> bool {
        self.certificate.is_some() || self.of_clients
    }

    /// Whether the certificate of this id has a say in it.
    pub(super) fn depends_on_certificate(&self, id: &str) -> bool {
        // Where there is a list, it may be that of an authority which has signed the client's own.
        let listed = self.api.client_certificates.is_some();
        self.certificate.as_ref().is_some_and(|shown| listed || id.ends_with(&*shown.fingerprint))
    }

    pub(super) fn is_token(&self, digest: &[u8; 32]) -> bool {
        self.token.as_ref() == Some(digest)
    }

    /// Whether it counts now, for a caller as it is now.
    pub(super) async fn still(&self, gate: &Gate, caller: Option<&Caller>) -> Still {
        if self.until <= unix_now() {
            return Still::Over;
        }
        if let Some(shown) = &self.certificate {
            let certificate = self.certificate_still(gate, shown, caller).await;
            if certificate != Still::Good {
                return certificate;
            }
        }
        match caller.filter(|caller| self.of_clients && is_oauth_token(caller.common())) {
            Some(caller) => self.client_still(gate, &caller.common().oauth_client_id).await,
            None => Still::Good,
        }
    }

    async fn certificate_still(
        &self,
        gate: &Gate,
        shown: &ClientCertificate,
        caller: Option<&Caller>,
    ) -> Still {
        if let Some(listed) = &self.api.client_certificates {
            let admits = ClientCertificates::of_api(listed, &gate.settings);
            let admitted = admits.admit_shown(&gate.certificates, shown).await;
            if let Err(refusal) = admitted {
                return after(&refusal);
            }
        }
        let Some(session) = caller.map(Caller::common) else { return Still::Good };
        if bound::check_shown(&self.api, session, Some(shown)).is_err() {
            return Still::Over;
        }
        if !self.is_bound {
            return Still::Good;
        }
        match bound::check_bound(gate, session, shown, &self.api.org_id).await {
            Ok(()) => Still::Good,
            Err(refusal) => after(&refusal),
        }
    }

    async fn client_still(&self, gate: &Gate, id: &str) -> Still {
        if gate.oauth.knows(&self.api.id, id) {
            return Still::Good;
        }
        match client::exists(gate, &self.api.id, id).await {
            Ok(true) => Still::Good,
            Ok(false) => Still::Over,
            Err(_) => Still::Unknown,
        }
    }
}

/// What a refusal of today says of who was let in yesterday.
fn after(refusal: &Refusal) -> Still {
    if refusal.blame == Blame::Client { Still::Over } else { Still::Unknown }
}
