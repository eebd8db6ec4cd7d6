//! Tokens of the gate's own OAuth 2.0 server (contract 5.6, 4.2).

use std::sync::Arc;

use apidef::{Api, Session};
use http::StatusCode;
use http::header::HeaderValue;

use super::callers::Caller;
use super::jwt::is_of_a_token;
use super::places::{Place, Places};
use super::store_name;
use crate::exchange::Exchange;
use crate::gate::Gate;
use crate::oauth::client;
use crate::oauth::revoke;
use crate::respond::Refusal;

/// Finds the caller by a token that the gate has given.
#[derive(Debug)]
pub(crate) struct OAuth {
    places: Places,
    api: Box<str>,
    org: Box<str>,
    challenges: Challenges,
}

/// Whether a session is that of a token which the gate has given to a client: a key of another sort, or a user's name, is
/// none.
pub(crate) fn is_oauth_token(session: &Session) -> bool {
    !session.oauth_client_id.is_empty()
        && session.basic_auth_data.password.0.is_empty()
        && !is_of_a_token(session)
}

/// What who is not let in is told to bring (RFC 6750 section 3).
#[derive(Debug)]
struct Challenges {
    missing: HeaderValue,
    malformed: HeaderValue,
    invalid: HeaderValue,
}

impl OAuth {
    pub(crate) fn new(oauth: &apidef::OAuth, api: &Api) -> Result<Self, String> {
        Ok(Self {
            places: Places::new(&oauth.sources)?,
            api: api.id.clone(),
            org: api.org_id.clone(),
            challenges: Challenges {
                missing: HeaderValue::from_static("Bearer"),
                malformed: HeaderValue::from_static("Bearer error=\"invalid_request\""),
                invalid: HeaderValue::from_static("Bearer error=\"invalid_token\""),
            },
        })
    }

    pub(crate) async fn caller(&self, exchange: &Exchange) -> Result<Arc<Caller>, Refusal> {
        let Some((found, place)) = self.places.find_in(&exchange.head) else {
            return Err(Refusal::client(StatusCode::BAD_REQUEST, "AMF", "Authorization field missing")
                .called("oauth.auth_field_missing")
                .challenge(self.challenges.missing.clone()));
        };
        let token = match found.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            // Only a header has a scheme before its token.
            None if place != Place::Header => &*found,
            _ => "",
        };
        if token.is_empty() || token.contains(' ') {
            return Err(Refusal::client(StatusCode::BAD_REQUEST, "AMF", "Bearer token malformed")
                .called("oauth.auth_field_malformed")
                .challenge(self.challenges.malformed.clone()));
        }
        let gate = &exchange.gate;
        let known = gate.callers.known(&self.org, token);
        let caller = match known {
            Some(caller) => Some(caller),
            None => gate.callers.look_up(gate, &self.org, token).await?,
        };
        let Some(caller) = caller else { return Err(self.unknown(gate, token).await?) };
        let session = &caller.session;
        if !is_oauth_token(session) {
            return Err(self.not_authorised());
        }
        let client = &session.oauth_client_id;
        if !gate.oauth.knows(&self.api, client)
            && !client::exists(gate, &self.api, client).await.map_err(Refusal::store_away)?
        {
            return Err(self.revoked());
        }
        Ok(caller)
    }

    /// What is told of a token that has no session: whether it is one of a client that is not there any more.
    async fn unknown(&self, gate: &Gate, token: &str) -> Result<Refusal, Refusal> {
        let name = store_name(&gate.settings.keys, token);
        let owner = revoke::owner(gate, &self.api, &name, token).await.map_err(Refusal::store_away)?;
        let Some(owner) = owner else { return Ok(self.not_authorised()) };
        let there = client::exists(gate, &self.api, &owner).await.map_err(Refusal::store_away)?;
        Ok(if there { self.not_authorised() } else { self.revoked() })
    }

    fn not_authorised(&self) -> Refusal {
        Refusal::client(StatusCode::FORBIDDEN, "AKI", "Key not authorised")
            .called("oauth.key_not_found")
            .challenge(self.challenges.invalid.clone())
    }

    fn revoked(&self) -> Refusal {
        Refusal::client(StatusCode::FORBIDDEN, "AKI", "Key not authorised. OAuth client access was revoked")
            .called("oauth.client_deleted")
            .challenge(self.challenges.invalid.clone())
    }
}
