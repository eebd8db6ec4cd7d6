//! JSON Web Tokens (contract 5.5): a token is found, read, and its signature checked with a key that the API knows; its
//! claims are checked, and its session is looked up, made or changed.
//!
//! The algorithm is chosen by the definition and by the kind of the key, never by the token.

mod algorithm;
pub(crate) mod claims;
pub(crate) mod json;
pub(crate) mod jwk;
mod key;
pub(crate) mod recall;
pub(crate) mod session;
pub(crate) mod source;
pub(crate) mod token;
pub(crate) mod verified;

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use apidef::{Api, SigningMethod};
use arc_swap::ArcSwap;
use http::StatusCode;

use self::claims::{check, check_times, refused};
use self::key::Key;
use self::recall::recall_or;
use self::session::{Owner, Sessions};
use self::source::{Proof, Source};
use self::token::{Malformed, Token};
use self::verified::Name;
use super::callers::Caller;
use super::jwks::KeySets;
use super::places::Places;
use super::token::without_bearer;
use crate::exchange::Exchange;
use crate::gate::Gate;
use crate::respond::Refusal;

pub(crate) use self::claims::Claims;
pub(crate) use self::session::{is_of_a_token, keep_mark};
pub(crate) use self::verified::{Checked, Tokens, Verified};

/// Finds the caller by a signed token.
#[derive(Debug)]
pub(crate) struct Jwt {
    model: apidef::Jwt,
    places: Places,
    source: Source,
    sessions: Sessions,
    org: Box<str>,
    /// What the tokens that it has checked are kept under.
    scheme: u64,
}

impl Jwt {
    pub(crate) fn new(jwt: &apidef::Jwt, api: &Api, sets: &KeySets) -> Result<Self, String> {
        Ok(Self {
            places: Places::new(&jwt.sources)?,
            source: Source::new(&jwt.keys, sets)?,
            sessions: Sessions::new(api, &jwt.policies, "key not authorized"),
            org: api.org_id.clone(),
            scheme: Name::scheme(),
            model: jwt.clone(),
        })
    }

    /// Where its keys are published.
    pub(crate) fn published(&self) -> &[super::jwks::Published] {
        match &self.source {
            Source::Published(sets) => sets,
            Source::Fixed(_) | Source::OfSession => &[],
        }
    }

    pub(crate) async fn caller(&self, exchange: &mut Exchange) -> Result<Arc<Caller>, Refusal> {
        let Some(found) = self.places.find(&exchange.head) else {
            return Err(Refusal::client(StatusCode::BAD_REQUEST, "AMF", "Authorization field missing"));
        };
        let text = without_bearer(&found);
        let gate = &exchange.gate;
        let known = Name::of(self.scheme, text);
        let digest = known.digest();
        let still = |proof| self.source.still(gate, proof);
        let verify = |now| self.verify(gate, text, now);
        let verified = recall_or(gate, (&self.org, &self.sessions), known, still, verify).await?;
        let caller = verified.caller.load_full();
        exchange.identified_by(&verified.claims, digest, verified.until);
        Ok(caller)
    }

    /// Everything that there is to check of a token.
    async fn verify(&self, gate: &Arc<Gate>, text: &str, now: i64) -> Result<Verified, Refusal> {
        let token = read(text, self.model.method)?;
        if matches!(self.source, Source::OfSession) {
            return self.verify_by_session(gate, token, text, now).await;
        }
        let proof = self.source.check(gate, &token).await?;
        let claims = Claims { header: token.header, payload: token.claims };
        let until = self.check_claims(&claims, now)?;
        let identity = self.identity(&claims)?;
        let session = self.sessions.key(gate, identity, "");
        let owner = Owner { identity, key: &session, base: None };
        let caller = self.sessions.caller(gate, &claims, owner, until).await?;
        Ok(Verified {
            identity: identity.into(),
            base: None,
            claims: Arc::new(claims),
            until,
            proof,
            session: session.into(),
            caller: ArcSwap::new(caller),
            length: text.len(),
        })
    }

    /// The token names a key of the gate, which holds the secret and is the caller.
    async fn verify_by_session(
        &self,
        gate: &Arc<Gate>,
        token: Token<'_>,
        text: &str,
        now: i64,
    ) -> Result<Verified, Refusal> {
        let of_header = token.key_id().filter(|_| !self.model.skip_kid).map(str::to_owned);
        let claims = Claims { header: token.header.clone(), payload: token.claims.clone() };
        let session = match of_header {
            Some(id) => id,
            // Nobody can be looked for: the original calls that not found.
            None => self
                .identity(&claims)
                .map_err(|refusal| Refusal { status: StatusCode::NOT_FOUND, ..refusal })?
                .to_owned(),
        };
        let caller = match gate.callers.known(&self.org, &session) {
            Some(caller) => Some(caller),
            None => gate.callers.look_up(gate, &self.org, &session).await?,
        };
        let caller = caller.ok_or_else(|| refused().detail("no key has the id that it names"))?;
        let secret = caller.session.jwt_data.secret.0.as_bytes();
        let key = Key::written(secret).map_err(|why| refused().detail(why))?;
        source::check(&key, &token)?;
        let until = self.check_claims(&claims, now)?;
        Ok(Verified {
            identity: Box::default(),
            base: None,
            claims: Arc::new(claims),
            until,
            proof: Proof::OfSession,
            session: session.into(),
            caller: ArcSwap::new(caller),
            length: text.len(),
        })
    }

    fn check_claims(&self, claims: &Claims, now: i64) -> Result<i64, Refusal> {
        let until = check_times(claims, &self.model.skews, now)?;
        check(claims, &self.model.checks)?;
        Ok(until)
    }

    fn identity<'c>(&self, claims: &'c Claims) -> Result<&'c str, Refusal> {
        claims.identity(&self.model.identity).ok_or_else(|| refused().detail("no claim says who it is"))
    }
}

/// Reads a token that is signed as the definition chooses.
fn read(text: &str, method: SigningMethod) -> Result<Token<'_>, Refusal> {
    let token = Token::read(text).map_err(|malformed| match malformed {
        Malformed::Form(why) => refused().detail(why),
        Malformed::Algorithm => unexpected(),
    })?;
    if token.algorithm.method() == method { Ok(token) } else { Err(unexpected()) }
}

/// The token is signed in a way that the definition does not choose, or not at all.
fn unexpected() -> Refusal {
    Refusal { message: "Key not authorized: Unexpected signing method".into(), ..refused() }
}
