//! OpenID Connect (contract 5.7): tokens of known issuers, with the policy of the client that they were issued to.

use std::sync::Arc;

use apidef::{Api, OpenIdProvider, SigningMethod, Skews, TokenPolicies};
use arc_swap::ArcSwap;
use http::StatusCode;

use super::callers::Caller;
use super::jwks::{KeySets, Published};
use super::jwt::Claims;
use super::jwt::claims::{audiences, check_times};
use super::jwt::recall::recall_or;
use super::jwt::session::{Owner, Sessions};
use super::jwt::source;
use super::jwt::token::Token;
use super::jwt::verified::{Name, Verified};
use super::places::Places;
use super::token::without_bearer;
use crate::exchange::Exchange;
use crate::gate::Gate;
use crate::respond::{Blame, Refusal};

/// Finds the caller by an identity token.
#[derive(Debug)]
pub(crate) struct OpenId {
    places: Places,
    providers: Box<[OpenIdProvider]>,
    /// Their keys, in the same order.
    published: Box<[Published]>,
    sessions: Sessions,
    per_client: bool,
    org: Box<str>,
    /// What the tokens that it has checked are kept under.
    scheme: u64,
}

impl OpenId {
    pub(crate) fn new(open_id: &apidef::OpenId, api: &Api, sets: &KeySets) -> Result<Self, String> {
        let policies = TokenPolicies { scopes: open_id.scopes.clone(), ..TokenPolicies::default() };
        Ok(Self {
            places: Places::new(&open_id.sources)?,
            published: open_id.providers.iter().map(|provider| sets.of_issuer(provider)).collect(),
            providers: open_id.providers.clone(),
            sessions: Sessions::new(api, &policies, "Key not authorized"),
            per_client: open_id.per_client,
            org: api.org_id.clone(),
            scheme: Name::scheme(),
        })
    }

    /// Where the keys of issuers are published.
    pub(crate) fn published(&self) -> &[Published] {
        &self.published
    }

    pub(crate) async fn caller(&self, exchange: &mut Exchange) -> Result<Arc<Caller>, Refusal> {
        let Some(found) = self.places.find(&exchange.head) else {
            return Err(Refusal { flag: "AMF", ..refused("there is none") });
        };
        let text = without_bearer(&found);
        let gate = &exchange.gate;
        let known = Name::of(self.scheme, text);
        let digest = known.digest();
        let still = |proof| source::still(gate, &self.published, proof);
        let verify = |now| self.verify(gate, text, now);
        let verified = recall_or(gate, (&self.org, &self.sessions), known, still, verify).await?;
        exchange.identified_by(&verified.claims, digest, verified.until);
        Ok(verified.caller.load_full())
    }

    async fn verify(&self, gate: &Arc<Gate>, text: &str, now: i64) -> Result<Verified, Refusal> {
        let token = Token::read(text).map_err(|malformed| refused(&format!("{malformed:?}")))?;
        if token.algorithm.method() == SigningMethod::Hmac {
            // Issuers publish no secrets.
            return Err(refused("it is signed with a shared secret"));
        }
        let issuer = token.claims.get("iss").and_then(serde_json::Value::as_str).unwrap_or_default();
        let index = self.providers.iter().position(|provider| *provider.issuer == *issuer);
        let index = index.ok_or_else(|| refused("its issuer is not known"))?;
        let (Some(provider), Some(published)) = (self.providers.get(index), self.published.get(index)) else {
            return Err(refused("its issuer is not known"));
        };
        let id = token.key_id().ok_or_else(|| refused("it names no key"))?;
        let proof = source::published(gate, std::slice::from_ref(published), id, &token).await;
        let proof = proof.map_err(plain)?.of(index);
        let claims = Claims { header: token.header, payload: token.claims };
        let until = check_times(&claims, &Skews::default(), now).map_err(plain)?;
        if until == i64::MAX {
            return Err(refused("it does not end"));
        }
        let identity = claims.identity(&[]).ok_or_else(|| refused("no claim says who it is"))?;
        let client = audiences(&claims)
            .into_iter()
            .find_map(|audience| provider.clients.iter().find(|(client, _)| **client == *audience));
        let (client, policy) =
            client.ok_or_else(|| refused("it was issued to a client that is not known"))?;
        let session = self.sessions.key(gate, identity, if self.per_client { client } else { "" });
        let owner = Owner { identity, key: &session, base: Some(policy) };
        let caller = self.sessions.caller(gate, &claims, owner, until).await?;
        Ok(Verified {
            identity: identity.into(),
            base: Some(policy.clone()),
            claims: Arc::new(claims),
            until,
            proof,
            session: session.into(),
            caller: ArcSwap::new(caller),
            length: text.len(),
        })
    }
}

/// Clients are told nothing else of what is wrong with a token.
fn refused(why: &str) -> Refusal {
    Refusal::client(StatusCode::UNAUTHORIZED, "TKI", "Key not authorised").detail(why)
}

/// The same for a refusal that says more, unless it is not the client's doing.
fn plain(refusal: Refusal) -> Refusal {
    match refusal.blame {
        Blame::Client => refused(refusal.detail.as_deref().unwrap_or(&refusal.message)),
        _ => refusal,
    }
}
