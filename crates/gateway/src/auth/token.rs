//! Auth token: a key in a header, query parameter or cookie (contract 5.2).

use std::borrow::Cow;
use std::sync::Arc;

use http::{StatusCode, request};

use super::bound;
use super::callers::Caller;
use super::jwt::is_of_a_token;
use super::known::Place;
use super::places::Places;
use super::signed_key::SignedKey;
use crate::exchange::Exchange;
use crate::gate::Gate;
use crate::respond::Refusal;

/// Finds the caller by the key that the request carries.
#[derive(Debug)]
pub(crate) struct Token {
    places: Places,
    org_id: Box<str>,
    certificate: bool,
    signed: Option<Box<SignedKey>>,
}

impl Token {
    pub(crate) fn new(token: &apidef::Token, org_id: &str) -> Result<Self, String> {
        Ok(Self {
            places: Places::new(&token.sources)?,
            org_id: org_id.into(),
            certificate: token.certificate,
            signed: token.signature.as_ref().map(SignedKey::new).transpose()?.map(Box::new),
        })
    }

    /// Asks the memory for the caller, ahead of the guards before this one; where he is, if the request says who it is.
    pub(crate) fn foresee(&self, gate: &Gate, head: &request::Parts) -> Option<Place> {
        let found = self.places.find(head)?;
        Some(gate.callers.foresee(&self.org_id, without_bearer(&found)))
    }

    pub(crate) async fn caller(&self, exchange: &Exchange) -> Result<Arc<Caller>, Refusal> {
        let gate = &exchange.gate;
        let found = self.places.find(&exchange.head);
        let token = match &found {
            Some(token) => Cow::Borrowed(without_bearer(token)),
            None if self.certificate => bound::key_of_certificate(exchange, &self.org_id)?.into(),
            None => {
                return Err(Refusal::client(StatusCode::UNAUTHORIZED, "AMF", "Authorization field missing")
                    .called("auth.auth_field_missing"));
            }
        };
        // The usual case first: a caller we know, without an await.
        let known = gate.callers.known(&self.org_id, &token);
        let caller = match known {
            Some(caller) => Some(caller),
            None => gate.callers.look_up(gate, &self.org_id, &token).await?,
        };
        let caller = caller.ok_or_else(disallowed)?;
        if !self.is_a_secret(&caller) {
            return Err(disallowed().called("auth.key_is_invalid"));
        }
        if self.certificate {
            bound::check_certificate(exchange, caller.common(), &self.org_id).await?;
        }
        if let Some(signed) = &self.signed {
            Box::pin(signed.check(exchange, &token, &caller.session)).await?;
        }
        Ok(caller)
    }

    /// Whether a key opens something by itself. The name of a user is no secret, nor is that of a token's session: without
    /// the password or the token they open nothing. Nor is a certificate, or what is made of it, without the client's own key.
    fn is_a_secret(&self, caller: &Caller) -> bool {
        caller.common().basic_auth_data.password.0.is_empty()
            && !is_of_a_token(caller.common())
            && (self.certificate || !caller.of_certificate)
    }
}

/// The refusal of keys that are not known or not good for this API.
pub(crate) fn disallowed() -> Refusal {
    Refusal::client(StatusCode::FORBIDDEN, "AKI", "Access to this API has been disallowed")
        .called("auth.key_not_found")
}

/// A credential without the scheme that may stand before it.
pub(super) fn without_bearer(value: &str) -> &str {
    match value.get(..7) {
        Some(scheme) if scheme.eq_ignore_ascii_case("bearer ") => value[7..].trim(),
        _ => value.trim(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c5_2_row_1_bearer_is_taken_off_in_any_case() {
        for (value, token) in
            [("abc", "abc"), ("Bearer abc", "abc"), ("bEARER  abc", "abc"), ("Bearer", "Bearer")]
        {
            assert_eq!(without_bearer(value), token);
        }
    }
}
