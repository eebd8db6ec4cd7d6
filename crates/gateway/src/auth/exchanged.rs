//! Tokens that were exchanged for those of callers: asked for once, however many requests wait, and kept for a while.

use std::sync::Arc;
use std::time::{Duration, Instant};

use apidef::{KeepExchanged, Secret};
use http::StatusCode;
use http::header::HeaderValue;
use quick_cache::sync::Cache;
use serde_json::Value;

use super::client_assertion::{Unsigned, assertion};
use super::flights::Flights;
use super::shared;
use super::token_exchange::Provider;
use crate::fetch;
use crate::gate::Gate;

/// How many are kept.
const KEPT: usize = 10_000;
/// How many may be asked for at once.
const AT_ONCE: usize = 256;
/// How large an answer, and how long a token, may be.
const LARGEST: usize = 64 << 10;
const LONGEST: usize = 16 << 10;
/// Under which names nodes share them.
const PREFIX: &str = "tokenExchange-";
/// How much of what an issuer says is logged or passed on.
const SHOWN: usize = 2048;

/// A token to be exchanged.
#[derive(Debug)]
pub(super) struct Question {
    provider: Arc<Provider>,
    /// Which of its targets.
    target: usize,
    subject: Secret,
    /// How long it lives; `None`: it does not say.
    left: Option<Duration>,
    digest: [u8; 32],
}

/// Why there is no token.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// The issuer says no.
    Refused(Arc<str>),
    /// The user has to do something first.
    StepUp {
        claims: Option<Arc<str>>,
        uri: Option<Arc<str>>,
    },
    Misconfigured(Arc<str>),
    /// Nobody can tell.
    Away(Arc<str>),
}

#[derive(Debug)]
struct Exchanged {
    value: HeaderValue,
    until: Instant,
    /// Another node has it exchanged.
    shared: bool,
}

type Answer = Result<Arc<Exchanged>, Failure>;

/// The tokens of this node.
#[derive(Debug)]
pub(crate) struct Exchanges {
    known: Arc<Cache<[u8; 32], Arc<Exchanged>>>,
    flights: Flights<Answer>,
}

impl Default for Exchanges {
    fn default() -> Self {
        Self { known: Arc::new(Cache::new(KEPT)), flights: Flights::new(AT_ONCE) }
    }
}

impl Question {
    pub(super) fn new(
        (provider, target): (Arc<Provider>, usize),
        subject: Secret,
        left: Option<Duration>,
    ) -> Self {
        let digest = provider.digest(target, &subject.0);
        Self { provider, target, subject, left, digest }
    }
}

impl Failure {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Refused(_) | Self::Away(_) => "idp_error",
            Self::StepUp { .. } => "step_up_required",
            Self::Misconfigured(_) => "misconfig",
        }
    }
}

impl Exchanges {
    /// The value of the `Authorization` field with the new token, and whether the token was exchanged just now.
    pub(super) async fn get(
        &self,
        gate: &Arc<Gate>,
        question: Question,
    ) -> Result<(HeaderValue, bool), Failure> {
        let digest = question.digest;
        if let Some(known) = self.known.get(&digest)
            && Instant::now() < known.until
        {
            return Ok((known.value.clone(), false));
        }
        let exchange = || {
            let (gate, known) = (Arc::clone(gate), Arc::clone(&self.known));
            async move {
                let exchanged = Arc::new(ask(&gate, &question).await?);
                if Instant::now() < exchanged.until {
                    known.insert(question.digest, Arc::clone(&exchanged));
                }
                Ok(exchanged)
            }
        };
        let busy = || Failure::Away("too many tokens are being exchanged".into());
        let exchanged = self.flights.join(digest, exchange).await.unwrap_or_else(|| Err(busy()))?;
        Ok((exchanged.value.clone(), !exchanged.shared))
    }
}

async fn ask(gate: &Gate, question: &Question) -> Result<Exchanged, Failure> {
    let provider = &question.provider;
    let model = &provider.model;
    if model.keep.is_some()
        && let Some((given, left)) = shared::find_given(gate, PREFIX, &question.digest).await
        && let Ok(mut value) = HeaderValue::try_from(given.value)
    {
        value.set_sensitive(true);
        return Ok(Exchanged { value, until: Instant::now() + left, shared: true });
    }
    let signed = match &model.certificate {
        Some(certificate) => {
            let endpoint = model.endpoint.to_string();
            let signed = assertion(&gate.certificates, certificate, &model.client, &endpoint).await;
            Some(signed.map_err(|why| match why {
                Unsigned::Away(why) => Failure::Away(why.into()),
                Unsigned::Misconfigured(why) => Failure::Misconfigured(why.into()),
            })?)
        }
        None => None,
    };
    let ask = provider.ask(question.target, &question.subject.0, signed.as_deref(), LARGEST);
    let ask = ask.map_err(|why| Failure::Misconfigured(why.into()))?;
    let insecure = gate.upstream.common.insecure_skip_verify;
    let answer = fetch::send(&gate.upstream, insecure, ask).await;
    let answer = answer.map_err(|error| Failure::Away(error.to_string().into()))?;
    let (value, lives) = read(answer.status, &answer.body, provider.model.bearer)?;
    let kept = keep(provider.model.keep, lives, question.left);
    if !kept.is_zero()
        && let Ok(text) = value.to_str()
    {
        let given = shared::Given::new(text.to_owned(), Vec::new(), kept);
        shared::tell_given(gate, PREFIX, &question.digest, &given);
    }
    Ok(Exchanged { value, until: Instant::now() + kept, shared: false })
}

/// How long a token is kept.
fn keep(keep: Option<KeepExchanged>, lives: Option<Duration>, left: Option<Duration>) -> Duration {
    let Some(keep) = keep else { return Duration::ZERO };
    let left = left.filter(|_| keep.with_subject);
    // Without any bound nothing is kept: it could never be taken back.
    let bound = [lives, left, keep.most].into_iter().flatten().min().unwrap_or_default();
    bound.saturating_sub(keep.margin)
}

/// What a token endpoint answers (RFC 8693 section 2.2, RFC 6749 section 5).
fn read(status: StatusCode, body: &[u8], bearer: bool) -> Result<(HeaderValue, Option<Duration>), Failure> {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| answer.get(name).and_then(Value::as_str);
    let cut = |text: &str| -> Arc<str> {
        text.chars().filter(|c| !c.is_control()).take(SHOWN).collect::<String>().into()
    };
    if status != StatusCode::OK {
        let error = text("error").unwrap_or_default();
        if bearer && error == "interaction_required" {
            let uri = |uri: &str| uri.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte));
            return Err(Failure::StepUp {
                claims: text("claims").filter(|claims| claims.len() <= SHOWN).map(Into::into),
                uri: text("authorization_uri")
                    .filter(|found| found.len() <= SHOWN && uri(found))
                    .map(Into::into),
            });
        }
        let why = format!("the answer is {} {}", status.as_u16(), cut(error));
        return Err(match error {
            // The gate's own credentials are wrong, which the caller cannot mend.
            "invalid_client" => Failure::Misconfigured(why.into()),
            _ if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
                Failure::Refused(why.into())
            }
            _ => Failure::Away(why.into()),
        });
    }
    let token = text("access_token").filter(|token| !token.is_empty() && token.len() <= LONGEST);
    let token =
        token.ok_or_else(|| Failure::Away("the answer has no access_token of a usable length".into()))?;
    let usable = token.bytes().all(|byte| byte.is_ascii_graphic());
    let value = HeaderValue::try_from(format!("Bearer {token}")).ok().filter(|_| usable);
    let mut value = value.ok_or_else(|| Failure::Away("the token holds what no header can hold".into()))?;
    value.set_sensitive(true);
    let seconds = match answer.get("expires_in") {
        Some(Value::String(text)) => text.parse().ok(),
        Some(value) => value.as_f64(),
        None => None,
    };
    let lives = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    Ok((value, lives))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_kept_for_less_than_they_live() {
        let seconds = Duration::from_secs;
        let how = |with_subject, most: u64| {
            Some(KeepExchanged {
                with_subject,
                most: (most > 0).then_some(seconds(most)),
                margin: seconds(30),
            })
        };
        for (keeping, lives, left, expected) in [
            (None, Some(300), Some(300), 0),
            (how(true, 0), Some(300), Some(600), 270),
            (how(true, 0), Some(300), Some(100), 70),
            (how(true, 60), Some(300), Some(100), 30),
            (how(true, 0), Some(20), Some(100), 0),
            (how(true, 0), None, Some(100), 70),
            (how(true, 0), None, None, 0),
            (how(false, 120), Some(300), Some(10), 90),
            (how(false, 120), Some(60), None, 30),
        ] {
            let kept = keep(keeping, lives.map(seconds), left.map(seconds));
            assert_eq!(kept, seconds(expected), "{keeping:?} {lives:?} {left:?}");
        }
    }

    #[test]
    fn answers_are_read() {
        for (status, body, bearer, expected) in [
            (200, r#"{"access_token":"t","expires_in":60}"#, false, "ok"),
            (200, r#"{"access_token":"t"}"#, false, "ok"),
            (200, r#"{"access_token":""}"#, false, "away"),
            (200, r#"{"access_token":"a b"}"#, false, "away"),
            (200, r#"{"access_token":"a\r\nX: y"}"#, false, "away"),
            (200, "", false, "away"),
            (400, r#"{"error":"invalid_grant"}"#, false, "refused"),
            (403, "", false, "refused"),
            (401, r#"{"error":"invalid_client"}"#, false, "misconfigured"),
            (400, r#"{"error":"interaction_required"}"#, false, "refused"),
            (400, r#"{"error":"interaction_required","claims":"{}"}"#, true, "step up"),
            (429, r#"{"error":"slow_down"}"#, false, "away"),
            (500, r#"{"access_token":"t"}"#, false, "away"),
            (302, "", false, "away"),
        ] {
            let read = read(StatusCode::from_u16(status).unwrap(), body.as_bytes(), bearer);
            let found = match &read {
                Ok((value, _)) => {
                    assert_eq!(value.to_str().unwrap(), "Bearer t");
                    assert!(!format!("{value:?}").contains("Bearer"));
                    "ok"
                }
                Err(Failure::Refused(_)) => "refused",
                Err(Failure::StepUp { .. }) => "step up",
                Err(Failure::Misconfigured(_)) => "misconfigured",
                Err(Failure::Away(_)) => "away",
            };
            assert_eq!(found, expected, "{status} {body}: {read:?}");
        }
    }
}
