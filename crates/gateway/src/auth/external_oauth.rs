//! OAuth 2.0 tokens of others (contract 5.7): checked by their signature, or by asking who issued them
//! (`introspection.rs`). Their sessions may use this API and nothing else, and are stored nowhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use apidef::{AccessDefinition, Api, Session, TokenCheck, keys};
use http::StatusCode;
use md5::{Digest as _, Md5};

use super::callers::Caller;
use super::introspection::Introspect;
use super::jwks::{KeySets, Published};
use super::jwt::Claims;
use super::jwt::claims::check_times;
use super::jwt::source::Source;
use super::jwt::token::Token;
use super::jwt::verified::{Checked, Name};
use super::names::store_name;
use super::places::Places;
use super::token::without_bearer;
use crate::clock::unix_now;
use crate::exchange::Exchange;
use crate::gate::Gate;
use crate::hex::hex;
use crate::respond::{Blame, Refusal};

/// Finds the caller by the token of somebody else.
#[derive(Debug)]
pub(crate) struct ExternalOAuth {
    places: Places,
    check: Check,
    api: Box<str>,
    name: Box<str>,
    org: Box<str>,
    /// What its sessions are known by; no token can be the same.
    sessions: Box<str>,
    /// What the tokens that it has checked are kept under.
    scheme: u64,
}

#[derive(Debug)]
enum Check {
    /// There is no provider.
    Nobody,
    Unspecified,
    Signature {
        source: Source,
        model: Box<apidef::Jwt>,
    },
    Introspection(Box<Introspect>),
}

impl ExternalOAuth {
    pub(crate) fn new(oauth: &apidef::ExternalOAuth, api: &Api, sets: &KeySets) -> Result<Self, String> {
        let check = match &oauth.provider {
            None => Check::Nobody,
            Some(TokenCheck::Unspecified) => Check::Unspecified,
            Some(TokenCheck::Signature(model)) => {
                Check::Signature { source: Source::new(&model.keys, sets)?, model: model.clone() }
            }
            Some(TokenCheck::Introspection(asked)) => Check::Introspection(Box::new(Introspect::new(asked))),
        };
        Ok(Self {
            places: Places::new(&oauth.sources)?,
            check,
            api: api.id.clone(),
            name: api.name.clone(),
            org: api.org_id.clone(),
            sessions: format!("\0{}", api.id).into(),
            scheme: Name::scheme(),
        })
    }

    /// Where keys of tokens are published.
    pub(crate) fn published(&self) -> &[Published] {
        match &self.check {
            Check::Signature { source: Source::Published(sets), .. } => sets,
            _ => &[],
        }
    }

    pub(crate) async fn caller(&self, exchange: &mut Exchange) -> Result<Arc<Caller>, Refusal> {
        let Some(found) = self.places.find(&exchange.head) else {
            return Err(Refusal::client(StatusCode::BAD_REQUEST, "AMF", "authorization field missing"));
        };
        let text = without_bearer(&found);
        let gate = &exchange.gate;
        let (name, now) = (Name::of(self.scheme, text), unix_now());
        let digest = name.digest();
        let checked = match gate.checked.get(&name).filter(|known| self.holds(gate, known, now)) {
            Some(checked) => {
                if let Check::Introspection(introspect) = &self.check {
                    introspect.renew(gate, text, &name, &checked);
                }
                checked
            }
            None => {
                let (checked, kept) = self.check(gate, text, &name, now).await?;
                let checked = Arc::new(checked);
                if kept {
                    gate.checked.keep(name, Arc::clone(&checked));
                }
                checked
            }
        };
        let caller = self.session(gate, &checked)?;
        exchange.identified_by(&checked.claims, digest, checked.ends);
        Ok(caller)
    }

    fn holds(&self, gate: &Arc<Gate>, known: &Checked, now: i64) -> bool {
        let key_holds = match &self.check {
            Check::Signature { source, .. } => source.still(gate, known.proof),
            _ => true,
        };
        now < known.until && key_holds
    }

    /// Checks a token, and says whether that may be remembered.
    async fn check(
        &self,
        gate: &Arc<Gate>,
        text: &str,
        name: &Name,
        now: i64,
    ) -> Result<(Checked, bool), Refusal> {
        match &self.check {
            Check::Nobody => Err(Refusal::gate(
                StatusCode::NOT_FOUND,
                "TKI",
                "there should be at least one provider configured",
            )),
            Check::Unspecified => Err(Refusal::gate(
                StatusCode::INTERNAL_SERVER_ERROR,
                "TKI",
                "access token validation method is not specified",
            )),
            Check::Signature { source, model } => {
                let token = Token::read(text).map_err(|malformed| invalid(&format!("{malformed:?}")))?;
                if token.algorithm.method() != model.method {
                    return Err(invalid("it is signed in another way"));
                }
                let proof = source.check(gate, &token).await.map_err(plain)?;
                let claims = Claims { header: token.header, payload: token.claims };
                let until = check_times(&claims, &model.skews, now).map_err(plain)?;
                let identity = claims.identity(&model.identity);
                let identity = identity.ok_or_else(|| invalid("no claim says who it is"))?.into();
                let claims = Arc::new(claims);
                let (ends, kept, length) = (until, until, text.len());
                Ok((Checked { claims, until, ends, kept, renew_at: None, proof, identity, length }, true))
            }
            Check::Introspection(introspect) => introspect.check(gate, text, name).await,
        }
    }

    /// A session that may use this API and nothing else.
    fn session(&self, gate: &Gate, checked: &Checked) -> Result<Arc<Caller>, Refusal> {
        let expires = if checked.ends == i64::MAX { 0 } else { checked.ends };
        if let Some(caller) = gate.callers.known(&self.sessions, &checked.identity)
            && (caller.session.expires == 0 || (expires != 0 && caller.session.expires >= expires))
        {
            return Ok(caller);
        }
        let access = AccessDefinition {
            api_id: self.api.to_string(),
            api_name: self.name.to_string(),
            versions: vec!["Default".to_owned()],
            ..AccessDefinition::default()
        };
        let session = Session {
            org_id: self.org.to_string(),
            alias: checked.identity.to_string(),
            expires,
            access_rights: BTreeMap::from([(self.api.to_string(), access)]),
            ..Session::default()
        };
        // Of this API alone: what others call by the same identity is somebody else. No identity holds a NUL.
        let id = hex(&Md5::digest(format!("{}\0{}", self.api, checked.identity)));
        let key = keys::generate(&self.org, Some(&id), gate.settings.keys.algorithm);
        let name = store_name(&gate.settings.keys, &key);
        let caller = gate.callers.unstored(gate, (&self.sessions, &checked.identity, &name), session);
        caller.map_err(failed)
    }
}

/// The token is not good.
pub(super) fn invalid(why: &str) -> Refusal {
    Refusal::client(StatusCode::UNAUTHORIZED, "TKI", "access token is not valid").detail(why)
}

/// Nobody can tell whether the token is good.
pub(super) fn failed(why: impl std::fmt::Display) -> Refusal {
    const TEXT: &str = "error happened during the access token validation";
    Refusal::gate(StatusCode::INTERNAL_SERVER_ERROR, "UCF", TEXT).detail(why)
}

/// A refusal as these tokens are refused, by whose doing it is.
pub(super) fn plain(refusal: Refusal) -> Refusal {
    let why = refusal.detail.as_deref().unwrap_or(&refusal.message);
    match refusal.blame {
        Blame::Client => invalid(why),
        _ => failed(why),
    }
}
