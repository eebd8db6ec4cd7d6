//! Tokens about which their issuer is asked (RFC 7662; contract 5.7).
//!
//! Issuers are asked as seldom as can be: about each token once at a time; about one that they do not know, not again for some
//! seconds; and not at all for a while after they have failed. Shortly before an answer has been kept for its time, and
//! shortly after, requests have it still while it is asked for anew, so that a slow issuer keeps none of them waiting.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use apidef::Introspection;
use aws_lc_rs::digest::{SHA256, digest};
use http::StatusCode;
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use serde_json::{Map, Value, json};

use super::external_oauth::{failed, invalid, plain};
use super::failures::Failures;
use super::flights::Flights;
use super::jwt::source::Proof;
use super::jwt::token::LONGEST;
use super::jwt::verified::{Checked, Name};
use super::jwt::{Claims, json as strict};
use super::shared;
use crate::clock::unix_now;
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

/// How long a token that is not good is refused without asking again, and how many of them are remembered.
const REFUSED_FOR: Duration = Duration::from_secs(3);
const REFUSED: usize = 4096;

/// Failures in a row that an issuer may have before it is left alone: one odd token must not shut out all others.
const BORNE: u32 = 3;

/// An answer is asked for anew within this part of its time before its end and after it, which is not longer than that.
const WINDOW: u32 = 4;
const LONGEST_WINDOW: Duration = Duration::from_secs(5);
/// When that fails, how long until it is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Where nodes share what issuers say: the token behind this (contract 5.1).
const PREFIX: &str = "introspection-";

/// What says in a shared answer who gave it and until when it is believed. Without it everybody's issuer could vouch for
/// tokens at the APIs of others.
const MARK: &str = "x-sluicegate";

/// Asks about tokens.
#[derive(Debug)]
pub(super) struct Introspect {
    asker: Arc<Asker>,
    flights: Flights<Result<Said, Refusal>>,
}

#[derive(Debug)]
struct Asker {
    asked: Introspection,
    /// SHA-256 of where is asked, and as whom.
    issuer: [u8; 32],
    /// Digests of tokens that are not good, and when that was said.
    refused: Cache<[u8; 32], Instant>,
}

/// What an issuer says of a token, and until when that is believed at most, in Unix seconds.
#[derive(Debug, Clone)]
struct Said {
    claims: Arc<Claims>,
    kept: i64,
}

/// Issuers that have failed lately, whatever APIs ask them.
#[derive(Debug, Default)]
pub(crate) struct Issuers(Mutex<HashMap<[u8; 32], Failing>>);

#[derive(Debug, Default)]
struct Failing {
    failures: Failures,
    /// Somebody asks whether it is well again, and may take until then.
    tried_until: Option<Instant>,
}

impl Issuers {
    /// Whether an issuer may be asked now. One that fails and fails is asked about one token at a time.
    fn may_ask(&self, issuer: &[u8; 32], now: Instant) -> bool {
        let mut all = self.0.lock();
        let Some(failing) = all.get_mut(issuer) else { return true };
        if failing.failures.pause(BORNE, now) || failing.tried_until.is_some_and(|until| now < until) {
            return false;
        }
        if failing.failures.exceed(BORNE) {
            // Should nobody hear of the outcome, somebody else tries then.
            failing.tried_until = Some(now + 2 * PATIENCE);
        }
        true
    }

    fn well(&self, issuer: &[u8; 32]) {
        self.0.lock().remove(issuer);
    }

    fn failed(&self, issuer: &[u8; 32], now: Instant) {
        let mut all = self.0.lock();
        let failing = all.entry(*issuer).or_default();
        failing.failures.add(now);
        failing.tried_until = None;
    }
}

impl Introspect {
    pub(super) fn new(asked: &Introspection) -> Self {
        let mut issuer = [0; 32];
        issuer.copy_from_slice(digest(&SHA256, text(asked).as_bytes()).as_ref());
        let asker = Asker { asked: asked.clone(), issuer, refused: Cache::new(REFUSED) };
        Self { asker: Arc::new(asker), flights: Flights::new(AT_ONCE) }
    }

    /// Checks a token, and says whether that may be remembered.
    pub(super) async fn check(
        &self,
        gate: &Arc<Gate>,
        token: &str,
        name: &Name,
    ) -> Result<(Checked, bool), Refusal> {
        if token.is_empty() || token.len() > LONGEST {
            return Err(invalid("it is empty, or longer than 64 KiB"));
        }
        let (asker, digest) = (&self.asker, name.digest());
        if asker.refused.get(&digest).is_some_and(|since| since.elapsed() < REFUSED_FOR) {
            return Err(invalid("it was not good a moment ago"));
        }
        let question = || Arc::clone(asker).ask(Arc::clone(gate), token.to_owned(), None);
        let busy = || failed("too many tokens are being asked about");
        let said = self.flights.join(digest, question).await.unwrap_or_else(|| Err(busy()));
        let checked = said.and_then(|said| asker.checked(&said, token.len(), unix_now()));
        asker.remember(digest, &checked);
        let checked = checked?;
        // What would be kept for ever could never be taken back.
        let kept = asker.asked.kept && checked.until < i64::MAX;
        Ok((checked, kept))
    }

    /// Asks anew about a token that is known, if it is time to. Nobody waits for the answer.
    pub(super) fn renew(&self, gate: &Arc<Gate>, token: &str, name: &Name, known: &Arc<Checked>) {
        if known.renew_at.is_none_or(|at| Instant::now() < at) {
            return;
        }
        self.flights.begin(name.digest(), || {
            let (asker, gate, token) = (Arc::clone(&self.asker), Arc::clone(gate), token.to_owned());
            let (name, known) = (name.clone(), Arc::clone(known));
            async move {
                let length = token.len();
                let said = Arc::clone(&asker).ask(Arc::clone(&gate), token, Some(known.kept)).await;
                let checked = said.clone().and_then(|said| asker.checked(&said, length, unix_now()));
                asker.remember(name.digest(), &checked);
                match checked {
                    Ok(checked) => gate.checked.keep(name, Arc::new(checked)),
                    Err(refusal) if refusal.blame == Blame::Client => {
                        gate.checked.forget(&name);
                        gate.watched.token_is_withdrawn(&name.digest());
                    }
                    // It is good for as long as it would have been without having been asked about.
                    Err(_) => {
                        let later =
                            Checked { renew_at: Some(Instant::now() + RETRY), ..Checked::clone(&known) };
                        gate.checked.keep(name, Arc::new(later));
                    }
                }
                said
            }
        });
    }
}

impl Asker {
    /// What is believed of a token of which its issuer has said this.
    fn checked(&self, said: &Said, length: usize, now: i64) -> Result<Checked, Refusal> {
        let Said { claims, kept } = said;
        let ends = claims.expires().map_err(plain)?.unwrap_or(i64::MAX);
        if now >= ends {
            return Err(invalid("it has ended"));
        }
        let identity = claims.identity(self.asked.identity.as_slice());
        let identity = identity.ok_or_else(|| invalid("the answer does not say who it is"))?.into();
        // A token that ends sooner is not asked about again.
        let keep = self.asked.keep.filter(|_| *kept < ends);
        let window = keep.map_or(Duration::ZERO, |keep| (keep / WINDOW).min(LONGEST_WINDOW));
        let left = Duration::from_secs(u64::try_from(kept.saturating_sub(now)).unwrap_or(0));
        let longer = i64::try_from(window.as_millis().div_ceil(1000)).unwrap_or(0);
        Ok(Checked {
            claims: Arc::clone(claims),
            until: ends.min(kept.saturating_add(longer)),
            ends,
            kept: *kept,
            renew_at: keep.map(|_| Instant::now() + left.saturating_sub(window)),
            proof: Proof::Fixed,
            identity,
            length,
        })
    }

    /// Remembers a token that is not good.
    fn remember(&self, digest: [u8; 32], checked: &Result<Checked, Refusal>) {
        if checked.as_ref().is_err_and(|refusal| refusal.blame == Blame::Client) {
            self.refused.insert(digest, Instant::now());
        }
    }

    /// What the issuer says of a token, or has said to another node. `newer`: only what is believed for longer than this
    /// counts of that, in Unix seconds.
    async fn ask(
        self: Arc<Self>,
        gate: Arc<Gate>,
        token: String,
        newer: Option<i64>,
    ) -> Result<Said, Refusal> {
        let asked = &self.asked;
        let key = format!("{PREFIX}{token}");
        if asked.kept
            && let Some(text) = shared::find(&gate, &key).await
            && let Some(said) = of_others(&text, &issuer(&gate, asked), unix_now())
            && newer.is_none_or(|kept| said.kept > kept)
        {
            return Ok(said);
        }
        if !gate.issuers.may_ask(&self.issuer, Instant::now()) {
            return Err(failed("its issuer has failed several times, and is left alone for a while"));
        }
        let outcome = ask_issuer(&gate, asked, &token).await;
        match &outcome {
            Ok(_) => gate.issuers.well(&self.issuer),
            Err(Trouble { odd_question: false, .. }) => gate.issuers.failed(&self.issuer, Instant::now()),
            Err(_) => {}
        }
        let payload = outcome.map_err(|trouble| trouble.refusal)?;
        let now = unix_now();
        if payload.get("active") != Some(&Value::Bool(true)) {
            if let Some(left) = newer.and_then(|kept| u64::try_from(kept.saturating_sub(now)).ok()) {
                // The others are not to believe what was said before.
                let told = json!({"active": false}).to_string();
                shared::tell(&gate, &key, told.as_bytes(), Duration::from_secs(left));
            }
            return Err(invalid("its issuer says so"));
        }
        let claims = Arc::new(Claims { payload, ..Claims::default() });
        let kept = match asked.keep {
            Some(keep) => now.saturating_add(i64::try_from(keep.as_secs()).unwrap_or(i64::MAX)),
            None => i64::MAX,
        };
        let until = claims.expires().ok().flatten().unwrap_or(i64::MAX).min(kept);
        // What would be kept for ever could never be taken back.
        if asked.kept && until < i64::MAX {
            let mut told = claims.payload.clone();
            told.insert(MARK.to_owned(), json!({"by": issuer(&gate, asked), "until": kept}));
            let left = Duration::from_secs(u64::try_from(until.saturating_sub(now)).unwrap_or(0));
            shared::tell(&gate, &key, Value::Object(told).to_string().as_bytes(), left);
        }
        Ok(Said { claims, kept })
    }
}

/// Why an issuer has said nothing of a token.
struct Trouble {
    refusal: Refusal,
    /// It may be well, and cannot make anything of this token.
    odd_question: bool,
}

async fn ask_issuer(gate: &Gate, asked: &Introspection, token: &str) -> Result<Map<String, Value>, Trouble> {
    let trouble = |refusal| Trouble { refusal, odd_question: false };
    let fields = [("token", token), ("client_id", &asked.client), ("client_secret", &asked.secret.0)];
    let form = Ask::form(asked.url.clone(), query::form(&fields)).within(PATIENCE, LARGEST);
    let insecure = gate.settings.key_sets.insecure;
    let answer = fetch::send(&gate.upstream, insecure, form).await.map_err(|error| trouble(failed(error)))?;
    if answer.status != StatusCode::OK {
        let refusal = failed(format_args!("the answer is {}, not 200", answer.status.as_u16()));
        let odd = matches!(answer.status, StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY);
        return Err(Trouble { refusal, odd_question: odd });
    }
    let unreadable = || trouble(failed("the answer is no JSON object with each name once"));
    strict::object(&answer.body).ok_or_else(unreadable)
}

/// Where is asked, and as whom.
fn text(asked: &Introspection) -> String {
    format!("{}\0{}\0{}", asked.url, asked.client, asked.secret.0)
}

/// What tells issuers apart in what nodes share.
fn issuer(gate: &Gate, asked: &Introspection) -> String {
    let secret = gate.settings.certificates.passphrase.expose();
    hex(&shared::keyed(secret, "issuer of a token", text(asked).as_bytes()))
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

#[cfg(test)]
mod tests {
    use apidef::{Secret, Target};

    use super::*;

    fn asker(keep: Option<u64>) -> Asker {
        let asked = Introspection {
            url: Target::parse("https://issuer.example/introspect").unwrap(),
            client: "gate".into(),
            secret: Secret("s".into()),
            identity: None,
            kept: true,
            keep: keep.map(Duration::from_secs),
        };
        Asker { asked, issuer: [0; 32], refused: Cache::new(REFUSED) }
    }

    #[test]
    fn an_answer_is_used_a_little_longer_than_its_time_and_never_longer_than_its_token() {
        let said = |ends: Option<i64>, kept: i64| {
            let mut payload = Map::new();
            payload.insert("sub".to_owned(), json!("me"));
            if let Some(ends) = ends {
                payload.insert("exp".to_owned(), json!(ends));
            }
            Said { claims: Arc::new(Claims { payload, ..Claims::default() }), kept }
        };
        // Time kept, end of the token, until when, and after how many seconds it is asked about again.
        for (keep, ends, until, renewed) in [
            (Some(60), None, 1065, Some(55)),
            (Some(60), Some(1063), 1063, Some(55)),
            (Some(60), Some(1060), 1060, None),
            (Some(60), Some(1010), 1010, None),
            (Some(8), None, 1010, Some(6)),
            (Some(1), None, 1002, Some(0)),
            (None, Some(1500), 1500, None),
            (None, None, i64::MAX, None),
        ] {
            let kept = keep.map_or(i64::MAX, |keep: u64| 1000 + i64::try_from(keep).unwrap());
            let began = Instant::now();
            let checked = asker(keep).checked(&said(ends, kept), 9, 1000).unwrap();
            assert_eq!(checked.until, until, "{keep:?} {ends:?}");
            let after = checked.renew_at.map(|at| at.saturating_duration_since(began).as_secs());
            assert_eq!(after, renewed, "{keep:?} {ends:?}");
        }
        let over = asker(None).checked(&said(Some(1000), i64::MAX), 9, 1000).unwrap_err();
        assert_eq!(over.status, StatusCode::UNAUTHORIZED);
    }

    #[test]
    fn an_issuer_that_fails_is_asked_seldom_and_then_about_one_token() {
        let (issuers, start) = (Issuers::default(), Instant::now());
        let (one, other) = ([1; 32], [2; 32]);
        let after = |millis: u64| start + Duration::from_millis(millis);
        for _ in 0..BORNE {
            assert!(issuers.may_ask(&one, start));
            issuers.failed(&one, start);
        }
        assert!(issuers.may_ask(&one, start), "some failures are borne");
        issuers.failed(&one, start);
        assert!(!issuers.may_ask(&one, after(999)) && issuers.may_ask(&other, start));
        // After the pause one question is tried; the next when that has failed and another pause is over.
        assert!(issuers.may_ask(&one, after(1000)));
        assert!(!issuers.may_ask(&one, after(1001)));
        issuers.failed(&one, after(1100));
        assert!(!issuers.may_ask(&one, after(3000)) && issuers.may_ask(&one, after(3100)));
        // Or when nobody hears of it.
        assert!(!issuers.may_ask(&one, after(13_000)) && issuers.may_ask(&one, after(13_200)));
        issuers.well(&one);
        assert!(issuers.may_ask(&one, after(13_200)) && issuers.may_ask(&one, after(13_200)));
        assert!(issuers.0.lock().is_empty());
    }
}
