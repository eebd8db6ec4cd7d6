//! Tokens of OAuth 2.0 that the gate fetches for upstreams (RFC 6749 sections 4.3 and 4.4): one for each identity, however
//! many APIs have it and however many requests wait, and a new one shortly before it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use apidef::{UpstreamGrant, UpstreamOAuth};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderValue};
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::identity::secret;
use crate::auth::{Flights, shared};
use crate::context::plain;
use crate::fetch::{self, Ask};
use crate::gate::Gate;
use crate::query;

/// How many tokens are kept.
const KEPT: usize = 10_000;
/// How many may be fetched at once.
const AT_ONCE: usize = 64;
/// How long fetching one may take, and how large the answer may be.
const PATIENCE: Duration = Duration::from_secs(10);
const LARGEST: usize = 64 << 10;
/// A token is not used in its last seconds, in which it might end on its way.
const MARGIN: Duration = Duration::from_secs(10);
/// How long one is used whose answer does not say when it ends.
const UNSAID: Duration = Duration::from_secs(300);
/// How long a failure is believed, so that a broken server is not asked for every request.
const FAILED: Duration = Duration::from_secs(1);
/// How often a token may be thrown away because an upstream did not take it: so many at once, and one each so often. An
/// upstream that takes none must not have its token endpoint asked for every request.
const RENEWALS: f64 = 5.0;
const RENEWAL: Duration = Duration::from_secs(10);
/// No token is used for longer.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// What a token endpoint is asked.
#[derive(Debug)]
pub(super) struct Question {
    model: UpstreamOAuth,
    key: [u8; 32],
    /// Renewals that are left, and when that was counted.
    renewals: Mutex<(f64, Instant)>,
    /// The last token that the upstream did not take: other nodes may share it still.
    refused: Mutex<Option<HeaderValue>>,
}

/// A token, ready to be sent.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) value: HeaderValue,
    /// What of the answer can be named.
    pub(super) noted: Vec<(String, String)>,
    until: Instant,
    /// Another node has fetched it.
    shared: bool,
}

type Answer = Result<Arc<Token>, Failure>;

/// Why there is none, and until when that is believed.
#[derive(Debug, Clone)]
struct Failure {
    why: Arc<str>,
    until: Instant,
}

/// The tokens of this node.
#[derive(Debug)]
pub(crate) struct UpstreamTokens {
    known: Arc<Cache<[u8; 32], Answer>>,
    flights: Flights<Answer>,
}

impl Default for UpstreamTokens {
    fn default() -> Self {
        Self { known: Arc::new(Cache::new(KEPT)), flights: Flights::new(AT_ONCE) }
    }
}

impl Question {
    pub(super) fn new(model: &UpstreamOAuth) -> Self {
        let url = model.url.to_string();
        let mut digest = Sha256::new();
        let (user, password) = match &model.grant {
            UpstreamGrant::Client => ("", ""),
            UpstreamGrant::Password { user, password } => (&**user, password.0.as_str()),
        };
        let form = if model.in_form { "form" } else { "header" };
        let grant = if model.grant == UpstreamGrant::Client { "client" } else { "password" };
        let parts = [&*url, &*model.client, &*model.secret.0, form, grant, user, password];
        // What is noted of an answer is kept with its token.
        let noted = model.noted.iter().flat_map(|name| ["noted", &**name]);
        let scopes = model.scopes.iter().map(|scope| &**scope);
        for part in parts.into_iter().chain(scopes).chain(noted) {
            // With its length before it, no part can be taken for another.
            digest.update(part.len().to_be_bytes());
            digest.update(part.as_bytes());
        }
        let renewals = Mutex::new((RENEWALS, Instant::now()));
        Self { model: model.clone(), key: digest.finalize().into(), renewals, refused: Mutex::default() }
    }

    /// Whether another token may be thrown away.
    fn may_renew(&self, now: Instant) -> bool {
        let mut renewals = self.renewals.lock();
        let (left, counted) = *renewals;
        let earned = now.saturating_duration_since(counted).as_secs_f64() / RENEWAL.as_secs_f64();
        let left = (left + earned).min(RENEWALS);
        let may = left >= 1.0;
        *renewals = (if may { left - 1.0 } else { left }, now);
        may
    }

    /// Under which names nodes share its tokens (contract 5.1).
    fn prefix(&self) -> &'static str {
        match self.model.grant {
            UpstreamGrant::Client => "upstreamOAuthCC-",
            UpstreamGrant::Password { .. } => "upstreamOAuthPW-",
        }
    }

    fn ask(&self) -> Result<Ask, String> {
        let scope = self.model.scopes.join(" ");
        let mut fields = match &self.model.grant {
            UpstreamGrant::Client => vec![("grant_type", "client_credentials")],
            UpstreamGrant::Password { user, password } => {
                vec![("grant_type", "password"), ("username", user), ("password", &password.0)]
            }
        };
        if !scope.is_empty() {
            fields.push(("scope", &scope));
        }
        let (client, client_secret) = (&*self.model.client, &*self.model.secret.0);
        if self.model.in_form {
            fields.extend([("client_id", client), ("client_secret", client_secret)]);
        }
        let ask = Ask::form(self.model.url.clone(), query::form(&fields)).within(PATIENCE, LARGEST);
        if self.model.in_form {
            return Ok(ask);
        }
        // RFC 6749 section 2.3.1: both are encoded as in a form.
        let pair = format!("{}:{}", query::escaped(client), query::escaped(client_secret));
        let basic = secret(&format!("Basic {}", BASE64_STANDARD.encode(pair)))?;
        Ok(ask.with(AUTHORIZATION, basic))
    }
}

impl UpstreamTokens {
    /// A token that is good for some time, and whether it was fetched just now; why there is none.
    pub(super) async fn get(
        &self,
        gate: &Arc<Gate>,
        question: &Arc<Question>,
    ) -> Result<(Arc<Token>, bool), Arc<str>> {
        let now = Instant::now();
        match self.known.get(&question.key) {
            Some(Ok(token)) if now < token.until => return Ok((token, false)),
            Some(Err(failure)) if now < failure.until => return Err(failure.why),
            _ => {}
        }
        let fetch = || {
            let (gate, question, known) = (Arc::clone(gate), Arc::clone(question), Arc::clone(&self.known));
            async move {
                let answer = fetch(&gate, &question)
                    .await
                    .map_err(|why| Failure { why: why.into(), until: Instant::now() + FAILED });
                known.insert(question.key, answer.clone());
                answer
            }
        };
        match self.flights.join(question.key, fetch).await {
            Some(Ok(token)) => {
                let fresh = !token.shared;
                Ok((token, fresh))
            }
            Some(Err(failure)) => Err(failure.why),
            None => Err("too many tokens are being fetched".into()),
        }
    }

    /// Forgets a token that was not taken, unless another is known by now. `false`: it has to do, since too many have been
    /// forgotten.
    pub(super) fn forget(&self, question: &Question, token: &Arc<Token>) -> bool {
        if matches!(self.known.get(&question.key), Some(Ok(known)) if Arc::ptr_eq(&known, token)) {
            if !question.may_renew(Instant::now()) {
                return false;
            }
            self.known.remove(&question.key);
            *question.refused.lock() = Some(token.value.clone());
        }
        true
    }
}

async fn fetch(gate: &Gate, question: &Question) -> Result<Arc<Token>, String> {
    if let Some(token) = of_others(gate, question).await {
        return Ok(Arc::new(token));
    }
    let insecure = gate.upstream.common.insecure_skip_verify;
    let answer =
        fetch::send(&gate.upstream, insecure, question.ask()?).await.map_err(|error| error.to_string())?;
    let now = Instant::now();
    let token = read(answer.status, &answer.body, &question.model.noted, now)?;
    if let Ok(value) = token.value.to_str() {
        let given = shared::Given::new(value.to_owned(), token.noted.clone(), token.until - now);
        shared::tell_given(gate, question.prefix(), &question.key, &given);
    }
    Ok(Arc::new(token))
}

/// The token that another node has fetched, unless it is the one that the upstream did not take.
async fn of_others(gate: &Gate, question: &Question) -> Option<Token> {
    let (given, left) = shared::find_given(gate, question.prefix(), &question.key).await?;
    let value = secret(&given.value).ok()?;
    if question.refused.lock().as_ref().is_some_and(|refused| *refused == value) {
        return None;
    }
    Some(Token { value, noted: given.noted, until: Instant::now() + left.min(LONGEST), shared: true })
}

/// What a token endpoint answers (RFC 6749 sections 5.1 and 5.2); `noted` names what else counts of it.
fn read(status: StatusCode, body: &[u8], noted: &[Box<str>], now: Instant) -> Result<Token, String> {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    if status != StatusCode::OK {
        let error: String =
            answer.get("error").and_then(Value::as_str).unwrap_or_default().chars().take(80).collect();
        return Err(format!("the answer is {} {error:?}, not 200", status.as_u16()));
    }
    let token = answer.get("access_token").and_then(Value::as_str).filter(|token| !token.is_empty());
    let token = token.ok_or("the answer is no JSON object with an `access_token`")?;
    let seconds = match answer.get("expires_in") {
        Some(Value::String(text)) => text.parse().ok(),
        Some(value) => value.as_f64(),
        None => None,
    };
    let keep = match seconds {
        Some(seconds) if seconds > 0.0 => {
            Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST).min(LONGEST)
        }
        _ => UNSAID,
    };
    // One that is short-lived is used for half of its time.
    let keep = keep.saturating_sub(MARGIN).max(keep / 2);
    let value = secret(&format!("Bearer {token}")).map_err(|_| "the token holds what no header can hold")?;
    let noted = noted.iter().filter_map(|name| {
        let value = answer.get(&**name).and_then(plain)?;
        Some((name.to_string(), value.into_owned()))
    });
    Ok(Token { value, noted: noted.collect(), until: now + keep, shared: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use apidef::{Secret, Target};

    #[test]
    fn answers_are_read() {
        let now = Instant::now();
        for (status, body, expected) in [
            (200, r#"{"access_token": "t", "expires_in": 3600, "token_type": "bearer"}"#, Ok(3590)),
            (200, r#"{"access_token": "t", "expires_in": "3600"}"#, Ok(3590)),
            (200, r#"{"access_token": "t", "expires_in": 4}"#, Ok(2)),
            (200, r#"{"access_token": "t"}"#, Ok(290)),
            (200, r#"{"access_token": "t", "expires_in": 0}"#, Ok(290)),
            (200, r#"{"access_token": "t", "expires_in": -1}"#, Ok(290)),
            (200, r#"{"access_token": "t", "expires_in": 1e300}"#, Ok(30 * 86_400 - 10)),
            (200, r#"{"access_token": ""}"#, Err("no JSON object with an `access_token`")),
            (200, r#"{"access_token": 7}"#, Err("no JSON object with an `access_token`")),
            (200, r#"{"access_token": "a\nb"}"#, Err("what no header can hold")),
            (200, "access_token=t", Err("no JSON object with an `access_token`")),
            (200, "", Err("no JSON object with an `access_token`")),
            (
                401,
                r#"{"error": "invalid_client", "access_token": "t"}"#,
                Err("401 \"invalid_client\", not 200"),
            ),
            (500, "oops", Err("500 \"\", not 200")),
            (302, "", Err("302")),
        ] {
            let read = read(StatusCode::from_u16(status).unwrap(), body.as_bytes(), &[], now);
            match (read, expected) {
                (Ok(token), Ok(seconds)) => {
                    assert_eq!(
                        (token.value.to_str().unwrap(), token.until),
                        ("Bearer t", now + Duration::from_secs(seconds)),
                        "{body}"
                    );
                    assert!(!format!("{token:?}").contains("Bearer"), "a token is shown");
                }
                (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
                (read, expected) => panic!("{body}: {read:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn what_is_asked_for_of_an_answer_is_noted() {
        let body = r#"{"access_token": "t", "instance_url": "https://a", "n": 7, "none": null, "more": "x"}"#;
        let names = ["instance_url", "n", "none", "missing"].map(Into::into);
        let token = read(StatusCode::OK, body.as_bytes(), &names, Instant::now()).unwrap();
        let expected = [("instance_url", "https://a"), ("n", "7")];
        assert_eq!(token.noted, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    fn model() -> UpstreamOAuth {
        UpstreamOAuth {
            header: "authorization".into(),
            url: Target::parse("https://i/token").unwrap(),
            client: "a".into(),
            secret: Secret("b".to_owned()),
            in_form: false,
            scopes: Box::default(),
            grant: UpstreamGrant::Client,
            noted: Box::default(),
        }
    }

    #[test]
    fn tokens_are_thrown_away_within_a_budget() {
        let question = Question::new(&model());
        let start = Instant::now();
        let taken = (0..20).filter(|_| question.may_renew(start)).count();
        assert_eq!(taken, 5);
        assert!(!question.may_renew(start + Duration::from_secs(9)));
        assert!(question.may_renew(start + Duration::from_secs(11)));
        assert!(!question.may_renew(start + Duration::from_secs(12)));
        let later = start + Duration::from_secs(3600);
        assert_eq!((0..20).filter(|_| question.may_renew(later)).count(), 5);
    }

    #[test]
    fn identities_are_told_apart() {
        let model = model();
        let user = |user: &str, password: &str| UpstreamGrant::Password {
            user: user.into(),
            password: Secret(password.to_owned()),
        };
        let models = [
            model.clone(),
            UpstreamOAuth { client: "ab".into(), secret: Secret(String::new()), ..model.clone() },
            UpstreamOAuth { secret: Secret("c".to_owned()), ..model.clone() },
            UpstreamOAuth { in_form: true, ..model.clone() },
            UpstreamOAuth { url: Target::parse("https://j/token").unwrap(), ..model.clone() },
            UpstreamOAuth { scopes: Box::new(["x".into()]), ..model.clone() },
            UpstreamOAuth { scopes: Box::new(["x".into(), "y".into()]), ..model.clone() },
            UpstreamOAuth { grant: user("", ""), ..model.clone() },
            UpstreamOAuth { grant: user("u", "p"), ..model.clone() },
            UpstreamOAuth { grant: user("up", ""), ..model.clone() },
            UpstreamOAuth { noted: Box::new(["x".into()]), ..model.clone() },
        ];
        let keys: std::collections::HashSet<_> =
            models.iter().map(|model| Question::new(model).key).collect();
        assert_eq!(keys.len(), models.len());
        let other_header = UpstreamOAuth { header: "x".into(), ..model.clone() };
        assert_eq!(Question::new(&other_header).key, Question::new(&model).key);
    }
}
