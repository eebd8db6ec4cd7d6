//! The token of a caller is exchanged for another before the request goes on (contract 4.4 row 24, 5.12): the caller's own
//! never reaches the upstream. It has been verified before, by the scheme that let the caller in.

use std::sync::Arc;
use std::time::Duration;

use apidef::{Api, ExchangeProvider, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderValue};
use regex::Regex;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::exchanged::{Failure, Question};
use super::jwt::token::Token;
use super::places::Places;
use super::token::without_bearer;
use crate::clock::unix_now;
use crate::exchange::Exchange;
use crate::fetch::Ask;
use crate::query;
use crate::respond::Refusal;

/// Longest text of an issuer that is compared.
const LONGEST: usize = 2048;

/// What an API exchanges the tokens of its callers for.
#[derive(Debug)]
pub(crate) struct TokenExchange {
    places: Places,
    providers: Box<[Arc<Provider>]>,
    api: Box<str>,
}

/// Who exchanges the tokens of some issuers.
#[derive(Debug)]
pub(super) struct Provider {
    pub(super) model: ExchangeProvider,
    patterns: Box<[Regex]>,
    /// Scopes as they are asked for, each separated by a space.
    scope: Box<str>,
    /// Of all that is asked, but for the token.
    digest: Sha256,
}

impl TokenExchange {
    pub(crate) fn new(exchange: &apidef::TokenExchange, api: &Api) -> Result<Self, String> {
        let providers = exchange.providers.iter().map(|model| Provider::new(model).map(Arc::new));
        Ok(Self {
            places: Places::new(&exchange.sources)?,
            providers: providers.collect::<Result<_, _>>()?,
            api: api.id.clone(),
        })
    }

    /// Takes note of the token, before it is taken off the request.
    pub(crate) fn note(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        let Some(found) = self.places.find(&exchange.head) else {
            let missing = Refusal::client(StatusCode::UNAUTHORIZED, "AMF", "Authorization field missing");
            return Err(missing.challenge(HeaderValue::from_static("Bearer")));
        };
        let text = without_bearer(&found).to_owned();
        let read = Token::read(&text).map_err(|malformed| {
            let why = format!("parsing inbound token claims: {malformed:?}");
            Refusal::client(StatusCode::UNAUTHORIZED, "TKI", "parsing inbound token claims: malformed token")
                .challenge(HeaderValue::from_static("Bearer error=\"invalid_token\""))
                .detail(why)
        })?;
        // Another credential may have let the caller in: its words are not those of this token.
        let verified = exchange.claims.as_ref().is_some_and(|claims| claims.payload == read.claims);
        if !verified {
            return Err(Refusal::client(StatusCode::UNAUTHORIZED, "TKI", "Key not authorized")
                .challenge(HeaderValue::from_static("Bearer error=\"invalid_token\""))
                .detail("the token to exchange is not the one that was verified"));
        }
        exchange.subject = Some(Secret(text));
        Ok(())
    }

    /// Puts the new token in place of the caller's.
    pub(crate) async fn pass(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        let (Some(subject), Some(claims)) = (exchange.subject.take(), exchange.claims.clone()) else {
            return Err(refused(StatusCode::UNAUTHORIZED, "invalid_token", "there is no token to exchange"));
        };
        let issuer = claims.payload.get("iss").and_then(Value::as_str).unwrap_or_default();
        let Some(provider) = self.provider(issuer) else {
            return Err(refused(
                StatusCode::FORBIDDEN,
                "no_matching_provider",
                "no provider exchanges tokens of this issuer",
            ));
        };
        let left = claims.expires().ok().flatten().map(|ends| {
            Duration::from_secs(u64::try_from(ends.saturating_sub(unix_now())).unwrap_or_default())
        });
        let question = Question::new(Arc::clone(provider), subject, left);
        let gate = &exchange.gate;
        let value = gate.exchanged.get(gate, question).await.map_err(|failure| {
            tracing::debug!(
                api_id = &*self.api,
                provider = &*provider.model.name,
                outcome = failure.name(),
                "a token is not exchanged"
            );
            told(&failure)
        })?;
        exchange.head.headers.insert(AUTHORIZATION, value);
        Ok(())
    }

    /// Exact names first, over all providers; then patterns in their order.
    fn provider(&self, issuer: &str) -> Option<&Arc<Provider>> {
        if issuer.is_empty() || issuer.len() > LONGEST {
            return None;
        }
        let exact = |provider: &&Arc<Provider>| provider.model.issuers.iter().any(|known| **known == *issuer);
        let fits = |provider: &&Arc<Provider>| provider.patterns.iter().any(|known| known.is_match(issuer));
        self.providers.iter().find(exact).or_else(|| self.providers.iter().find(fits))
    }
}

impl Provider {
    fn new(model: &ExchangeProvider) -> Result<Self, String> {
        let patterns = model.patterns.iter().map(|pattern| Regex::new(pattern));
        let scope = if model.bearer { with_audience(model) } else { model.scopes.join(" ") };
        let mut digest = Sha256::new();
        let url = model.endpoint.to_string();
        let manner =
            [if model.bearer { "bearer" } else { "exchange" }, if model.in_form { "form" } else { "header" }];
        let parts =
            [&*url, &*model.client, &*model.secret.0, manner[0], manner[1], &*model.audience, &*scope];
        let more = model.more.iter().flat_map(|(name, value)| [&**name, &**value]);
        for part in parts.into_iter().chain(more) {
            // With its length before it, no part can be taken for another.
            digest.update(part.len().to_be_bytes());
            digest.update(part.as_bytes());
        }
        Ok(Self {
            patterns: patterns.collect::<Result<_, _>>().map_err(|error| error.to_string())?,
            scope: scope.into(),
            digest,
            model: model.clone(),
        })
    }

    /// The digest of asking for a token.
    pub(super) fn digest(&self, subject: &str) -> [u8; 32] {
        self.digest.clone().chain_update(subject).finalize().into()
    }

    /// The request for an exchange.
    pub(super) fn ask(&self, subject: &str, largest: usize) -> Result<Ask, String> {
        let model = &self.model;
        let mut fields: Vec<(&str, &str)> = if model.bearer {
            vec![("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", subject)]
        } else {
            vec![
                ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
                ("subject_token", subject),
                ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ]
        };
        if !model.bearer && !model.audience.is_empty() {
            fields.push(("audience", &model.audience));
        }
        if !self.scope.is_empty() {
            fields.push(("scope", &self.scope));
        }
        for (name, value) in &model.more {
            if !fields.iter().any(|(known, _)| **known == **name) {
                fields.push((name, value));
            }
        }
        let (client, client_secret) = (&*model.client, &*model.secret.0);
        if model.in_form {
            fields.extend([("client_id", client), ("client_secret", client_secret)]);
        }
        let ask = Ask::form(model.endpoint.clone(), query::form(&fields)).within(model.timeout, largest);
        if model.in_form {
            return Ok(ask);
        }
        // RFC 6749 section 2.3.1: both are encoded as in a form.
        let pair = format!("{}:{}", query::escaped(client), query::escaped(client_secret));
        let mut basic = HeaderValue::try_from(format!("Basic {}", BASE64.encode(pair)))
            .map_err(|_| "the client's credentials are no value of a header".to_owned())?;
        basic.set_sensitive(true);
        Ok(ask.with(AUTHORIZATION, basic))
    }
}

/// Scopes where whom they are for is part of them.
fn with_audience(model: &ExchangeProvider) -> String {
    let whole = |scope: &str| match &*model.audience {
        "" => scope.to_owned(),
        _ if scope.contains('/') => scope.to_owned(),
        audience => format!("{audience}/{scope}"),
    };
    model.scopes.iter().map(|scope| whole(scope)).collect::<Vec<_>>().join(" ")
}

fn refused(status: StatusCode, error: &str, message: &'static str) -> Refusal {
    let refusal = Refusal::client(status, "TKI", message);
    match HeaderValue::try_from(format!("Bearer error=\"{error}\"")) {
        Ok(challenge) => refusal.challenge(challenge),
        Err(_) => refusal,
    }
}

/// What the caller is told.
fn told(failure: &Failure) -> Refusal {
    match failure {
        Failure::Refused(why) => {
            refused(StatusCode::FORBIDDEN, "exchange_failed", "the token could not be exchanged").detail(why)
        }
        Failure::StepUp { claims, uri } => {
            let mut challenge = "Bearer error=\"insufficient_claims\"".to_owned();
            if let Some(claims) = claims {
                challenge.push_str(&format!(", claims=\"{}\"", BASE64.encode(&**claims)));
            }
            if let Some(uri) = uri {
                challenge.push_str(&format!(", authorization_uri=\"{uri}\""));
            }
            let refusal = Refusal::client(StatusCode::UNAUTHORIZED, "TKI", "interaction_required");
            match HeaderValue::try_from(challenge) {
                Ok(challenge) => refusal.challenge(challenge),
                Err(_) => refusal,
            }
        }
        Failure::Misconfigured(why) => {
            Refusal::gate(StatusCode::INTERNAL_SERVER_ERROR, "UCF", "token exchange is misconfigured")
                .detail(why)
        }
        Failure::Away(why) => {
            // Nobody knows whether the token is good: it is not the caller's fault.
            Refusal::backend(StatusCode::SERVICE_UNAVAILABLE, "UCF", "Service temporarily unavailable.")
                .retry_after(1)
                .detail(why)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apidef::Target;

    pub(crate) fn model(change: impl FnOnce(&mut ExchangeProvider)) -> ExchangeProvider {
        let mut model = ExchangeProvider {
            name: "idp".into(),
            issuers: Box::new(["https://idp.example".into()]),
            patterns: Box::default(),
            endpoint: Target::parse("https://idp.example/token").unwrap(),
            bearer: false,
            client: "gate".into(),
            secret: Secret("hush".to_owned()),
            in_form: false,
            audience: "orders".into(),
            scopes: Box::new(["read".into(), "https://a/all".into()]),
            timeout: Duration::from_secs(1),
            more: Box::default(),
            keep: None,
        };
        change(&mut model);
        model
    }

    #[test]
    fn scopes_name_whom_they_are_for() {
        let scope = |change: fn(&mut ExchangeProvider)| Provider::new(&model(change)).unwrap().scope;
        assert_eq!(&*scope(|_| {}), "read https://a/all");
        assert_eq!(&*scope(|model| model.bearer = true), "orders/read https://a/all");
        assert_eq!(
            &*scope(|model| (model.bearer, model.audience) = (true, Box::default())),
            "read https://a/all"
        );
        assert_eq!(&*scope(|model| (model.bearer, model.scopes) = (true, Box::default())), "");
    }

    #[test]
    fn what_is_asked_differently_is_kept_apart() {
        let digest = |change: fn(&mut ExchangeProvider), subject: &str| {
            Provider::new(&model(change)).unwrap().digest(subject)
        };
        let digests = [
            digest(|_| {}, "t"),
            digest(|_| {}, "u"),
            digest(|model| model.audience = "others".into(), "t"),
            digest(|model| model.scopes = Box::default(), "t"),
            digest(|model| model.client = "other".into(), "t"),
            digest(|model| model.bearer = true, "t"),
            digest(|model| model.more = Box::new([("a".into(), "b".into())]), "t"),
            digest(|model| model.endpoint = Target::parse("https://other.example/").unwrap(), "t"),
        ];
        let apart: std::collections::HashSet<_> = digests.iter().collect();
        assert_eq!(apart.len(), digests.len());
        assert_eq!(digest(|model| model.name = "x".into(), "t"), digests[0]);
    }

    #[test]
    fn issuers_are_matched_by_name_before_pattern() {
        let pattern = model(|model| {
            (model.name, model.issuers) = ("pattern".into(), Box::default());
            model.patterns = Box::new(["^https://[a-z]+\\.example$".into()]);
        });
        let providers = [pattern, model(|_| {})].map(|model| Arc::new(Provider::new(&model).unwrap()));
        let exchange = TokenExchange {
            places: Places::new(&apidef::Sources::default()).unwrap(),
            providers: Box::new(providers),
            api: "a".into(),
        };
        for (issuer, expected) in [
            ("https://idp.example", Some("idp")),
            ("https://other.example", Some("pattern")),
            ("https://idp.example/", None),
            ("https://idp.example.evil", None),
            ("", None),
        ] {
            let found = exchange.provider(issuer).map(|provider| &*provider.model.name);
            assert_eq!(found, expected, "{issuer}");
        }
    }
}
