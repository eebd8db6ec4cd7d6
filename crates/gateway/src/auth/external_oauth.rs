//! OAuth 2.0 tokens of others (contract 5.7): checked by their signature, or by asking who issued them (RFC 7662). Their
//! sessions may use this API and nothing else, and are stored nowhere.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use apidef::{AccessDefinition, Api, Introspection, Session, TokenCheck, keys};
use http::StatusCode;
use md5::{Digest as _, Md5};
use serde_json::{Value, json};

use super::callers::Caller;
use super::flights::Flights;
use super::jwks::{KeySets, Published};
use super::jwt::claims::check_times;
use super::jwt::source::Source;
use super::jwt::token::{LONGEST, Token};
use super::jwt::verified::{Checked, Name};
use super::jwt::{Claims, json as strict};
use super::names::store_name;
use super::places::Places;
use super::shared;
use super::token::without_bearer;
use crate::clock::unix_now;
use crate::exchange::Exchange;
use crate::fetch::{self, Ask};
use crate::gate::Gate;
use crate::hex::hex;
use crate::query;
use crate::respond::{Blame, Refusal};

/// How many tokens may be asked about at once.
const AT_ONCE: usize = 64;
/// How long asking may take, and how large the answer may be.
const PATIENCE: Duration = Duration::from_secs(5);
const LARGEST: usize = 256 << 10;

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
    Introspection {
        asked: Arc<Introspection>,
        flights: Flights<Result<Said, Refusal>>,
    },
}

/// What an issuer says of a token, and until when that is believed at most, in Unix seconds.
#[derive(Debug, Clone)]
struct Said {
    claims: Arc<Claims>,
    kept: i64,
}

impl ExternalOAuth {
    pub(crate) fn new(oauth: &apidef::ExternalOAuth, api: &Api, sets: &KeySets) -> Result<Self, String> {
        let check = match &oauth.provider {
            None => Check::Nobody,
            Some(TokenCheck::Unspecified) => Check::Unspecified,
            Some(TokenCheck::Signature(model)) => {
                Check::Signature { source: Source::new(&model.keys, sets)?, model: model.clone() }
            }
            Some(TokenCheck::Introspection(asked)) => {
                Check::Introspection { asked: Arc::new(asked.clone()), flights: Flights::new(AT_ONCE) }
            }
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
            Some(checked) => checked,
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
                let ends = until;
                Ok((Checked { claims, until, ends, proof, identity, length: text.len() }, true))
            }
            Check::Introspection { asked, flights } => {
                if text.is_empty() || text.len() > LONGEST {
                    return Err(invalid("it is empty, or longer than 64 KiB"));
                }
                let question = || ask(Arc::clone(gate), Arc::clone(asked), text.to_owned());
                let busy = || failed("too many tokens are being asked about");
                let Said { claims, kept } =
                    flights.join(name.digest(), question).await.unwrap_or_else(|| Err(busy()))?;
                let ends = claims.expires().map_err(plain)?.unwrap_or(i64::MAX);
                if now >= ends {
                    return Err(invalid("it has ended"));
                }
                let identity = claims.identity(asked.identity.as_slice());
                let identity = identity.ok_or_else(|| invalid("the answer does not say who it is"))?.into();
                let until = ends.min(kept);
                let checked = Checked {
                    claims,
                    until,
                    ends,
                    proof: super::jwt::source::Proof::Fixed,
                    identity,
                    length: text.len(),
                };
                // What would be kept for ever could never be taken back.
                Ok((checked, asked.kept && until < i64::MAX))
            }
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

/// Where nodes share what issuers say: the token behind this (contract 5.1).
const PREFIX: &str = "introspection-";

/// What says in a shared answer who gave it and until when it is believed. Without it everybody's issuer could vouch for
/// tokens at the APIs of others.
const MARK: &str = "x-sluicegate";

/// What the issuer says of a token, or has said to another node.
async fn ask(gate: Arc<Gate>, asked: Arc<Introspection>, token: String) -> Result<Said, Refusal> {
    let key = format!("{PREFIX}{token}");
    if asked.kept
        && let Some(text) = shared::find(&gate, &key).await
        && let Some(said) = of_others(&text, &issuer(&gate, &asked), unix_now())
    {
        return Ok(said);
    }
    let fields =
        [("token", token.as_str()), ("client_id", &asked.client), ("client_secret", &asked.secret.0)];
    let form = Ask::form(asked.url.clone(), query::form(&fields)).within(PATIENCE, LARGEST);
    let insecure = gate.settings.key_sets.insecure;
    let answer = fetch::send(&gate.upstream, insecure, form).await.map_err(failed)?;
    if answer.status != StatusCode::OK {
        return Err(failed(format_args!("the answer is {}, not 200", answer.status.as_u16())));
    }
    let payload = strict::object(&answer.body)
        .ok_or_else(|| failed("the answer is no JSON object with each name once"))?;
    if payload.get("active") != Some(&Value::Bool(true)) {
        return Err(invalid("its issuer says so"));
    }
    let claims = Arc::new(Claims { payload, ..Claims::default() });
    let now = unix_now();
    let kept = match asked.keep {
        Some(keep) => now.saturating_add(i64::try_from(keep.as_secs()).unwrap_or(i64::MAX)),
        None => i64::MAX,
    };
    let until = claims.expires().ok().flatten().unwrap_or(i64::MAX).min(kept);
    // What would be kept for ever could never be taken back.
    if asked.kept && until < i64::MAX {
        let mut told = claims.payload.clone();
        told.insert(MARK.to_owned(), json!({"by": issuer(&gate, &asked), "until": kept}));
        let left = Duration::from_secs(u64::try_from(until.saturating_sub(now)).unwrap_or(0));
        shared::tell(&gate, &key, Value::Object(told).to_string().as_bytes(), left);
    }
    Ok(Said { claims, kept })
}

/// What tells issuers apart: where they are asked, and as whom.
fn issuer(gate: &Gate, asked: &Introspection) -> String {
    let secret = gate.settings.certificates.passphrase.expose();
    let text = format!("{}\0{}\0{}", asked.url, asked.client, asked.secret.0);
    hex(&shared::keyed(secret, "issuer of a token", text.as_bytes()))
}

/// Reads a shared answer; `None` where another issuer gave it, or nobody knows who, or it is believed no more.
fn of_others(text: &[u8], issuer: &str, now: i64) -> Option<Said> {
    let mut payload = strict::object(text)?;
    let mark = payload.remove(MARK)?;
    let kept = mark.get("until")?.as_i64()?;
    let good = mark.get("by")?.as_str()? == issuer
        && now < kept
        && payload.get("active") == Some(&Value::Bool(true));
    good.then(|| Said { claims: Arc::new(Claims { payload, ..Claims::default() }), kept })
}

fn invalid(why: &str) -> Refusal {
    Refusal::client(StatusCode::UNAUTHORIZED, "TKI", "access token is not valid").detail(why)
}

/// Nobody can tell whether the token is good.
fn failed(why: impl std::fmt::Display) -> Refusal {
    const TEXT: &str = "error happened during the access token validation";
    Refusal::gate(StatusCode::INTERNAL_SERVER_ERROR, "UCF", TEXT).detail(why)
}

fn plain(refusal: Refusal) -> Refusal {
    let why = refusal.detail.as_deref().unwrap_or(&refusal.message);
    match refusal.blame {
        Blame::Client => invalid(why),
        _ => failed(why),
    }
}
