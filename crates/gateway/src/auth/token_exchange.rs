//! The token of a caller is exchanged for another before the request goes on (contract 4.4 row 24, 5.12): the caller's own
//! never reaches the upstream. It has been verified before, by the scheme that let the caller in.

use std::sync::Arc;
use std::time::Duration;

use apidef::{Api, ExchangeProvider, ExchangeTarget, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderValue};
use regex::Regex;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::client_assertion;
use super::exchanged::{Failure, Question};
use super::jwt::token::Token;
use super::jwt::verified::of_token;
use super::places::Places;
use super::token::without_bearer;
use crate::clock::unix_now;
use crate::events;
use crate::exchange::Exchange;
use crate::fetch::Ask;
use crate::query;
use crate::respond::Refusal;
use crate::route::{Collector, Operations, PerPath};

/// Longest text of an issuer that is compared.
const LONGEST: usize = 2048;

/// What an API exchanges the tokens of its callers for.
#[derive(Debug)]
pub(crate) struct TokenExchange {
    places: Places,
    providers: Box<[Arc<Provider>]>,
    /// Which of the targets of a provider an operation wants.
    targets: Operations<usize>,
    /// Which a call of MCP wants.
    calls: PerPath<usize>,
    api: Box<str>,
}

/// Who exchanges the tokens of some issuers.
#[derive(Debug)]
pub(super) struct Provider {
    pub(super) model: ExchangeProvider,
    patterns: Box<[Regex]>,
    /// The usual one, then those of operations.
    targets: Box<[Target]>,
}

/// What a new token is to be good for.
#[derive(Debug)]
struct Target {
    audience: Box<str>,
    /// Scopes as they are asked for, each separated by a space.
    scope: Box<str>,
    /// Of all that is asked, but for the token.
    digest: Sha256,
}

impl TokenExchange {
    pub(crate) fn new(
        exchange: &apidef::TokenExchange,
        api: &Api,
        ignore_case: bool,
        patterns: &Collector,
    ) -> Result<Self, String> {
        let of_operations = exchange.operations.iter().filter_map(|operation| operation.value.as_ref());
        let wanted: Vec<&ExchangeTarget> =
            of_operations.chain(exchange.calls.iter().map(|call| &call.value)).collect();
        let providers = exchange.providers.iter().map(|model| Provider::new(model, &wanted).map(Arc::new));
        let mut next = 1;
        let targets = exchange.operations.iter().map(|operation| {
            // 0 is the provider's own.
            let index = if operation.value.is_some() { next } else { 0 };
            next += usize::from(operation.value.is_some());
            (&*operation.method, &*operation.path, index)
        });
        let targets = Operations::new(targets, ignore_case || exchange.ignore_case)?;
        let calls = PerPath::of(patterns, &exchange.calls, |_| {
            next += 1;
            next - 1
        });
        Ok(Self {
            places: Places::new(&exchange.sources)?,
            providers: providers.collect::<Result<_, _>>()?,
            targets,
            calls,
            api: api.id.clone(),
        })
    }

    /// Takes note of the token, before it is taken off the request.
    pub(crate) fn note(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        let Some(found) = self.places.find(&exchange.head) else {
            let missing = Refusal::client(StatusCode::UNAUTHORIZED, "AMF", "Authorization field missing");
            return Err(missing.challenge(HeaderValue::from_static("Bearer")));
        };
        let text = without_bearer(&found);
        // Another credential may have let the caller in, or another token that says the same.
        if exchange.verified != Some(of_token(text)) {
            let message = match Token::read(text) {
                Ok(_) => "Key not authorized",
                Err(_) => "parsing inbound token claims: malformed token",
            };
            return Err(Refusal::client(StatusCode::UNAUTHORIZED, "TKI", message)
                .challenge(HeaderValue::from_static("Bearer error=\"invalid_token\""))
                .detail("the token to exchange is not the one that was verified"));
        }
        exchange.subject = Some(Secret(text.to_owned()));
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
        let target = self.calls.find(exchange).or_else(|| self.targets.find(exchange));
        let target = target.copied().unwrap_or_default();
        let question = Question::new((Arc::clone(provider), target), subject, left);
        let gate = &exchange.gate;
        let (value, fresh) = gate.exchanged.get(gate, question).await.map_err(|failure| {
            tracing::debug!(
                api_id = &*self.api,
                provider = &*provider.model.name,
                outcome = failure.name(),
                "a token is not exchanged"
            );
            told(&failure)
        })?;
        if fresh {
            events::exchanged(exchange, &provider.model.name);
        }
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
    fn new(model: &ExchangeProvider, wanted: &[&ExchangeTarget]) -> Result<Self, String> {
        let patterns = model.patterns.iter().map(|pattern| Regex::new(pattern));
        let usual = Target::new(model, &model.audience, &model.scopes);
        let of_operations = wanted.iter().map(|wanted| {
            let audience = if wanted.audience.is_empty() { &model.audience } else { &wanted.audience };
            Target::new(model, audience, &wanted.scopes)
        });
        Ok(Self {
            patterns: patterns.collect::<Result<_, _>>().map_err(|error| error.to_string())?,
            targets: std::iter::once(usual).chain(of_operations).collect(),
            model: model.clone(),
        })
    }

    /// The digest of asking for a token.
    pub(super) fn digest(&self, target: usize, subject: &str) -> [u8; 32] {
        let digest = self.targets.get(target).map(|target| target.digest.clone()).unwrap_or_default();
        digest.chain_update(subject).finalize().into()
    }

    /// The request for an exchange. `assertion`: what the gate has signed, where it has no secret.
    pub(super) fn ask(
        &self,
        target: usize,
        subject: &str,
        assertion: Option<&str>,
        largest: usize,
    ) -> Result<Ask, String> {
        let model = &self.model;
        let target = self.targets.get(target).ok_or("there is no such target")?;
        let mut fields: Vec<(&str, &str)> = if model.bearer {
            vec![("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", subject)]
        } else {
            vec![
                ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
                ("subject_token", subject),
                ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ]
        };
        if !model.bearer && !target.audience.is_empty() {
            fields.push(("audience", &target.audience));
        }
        if !target.scope.is_empty() {
            fields.push(("scope", &target.scope));
        }
        for (name, value) in &model.more {
            if !fields.iter().any(|(known, _)| **known == **name) {
                fields.push((name, value));
            }
        }
        let (client, client_secret) = (&*model.client, &*model.secret.0);
        match assertion {
            Some(signed) => fields.extend([
                ("client_id", client),
                ("client_assertion_type", client_assertion::KIND),
                ("client_assertion", signed),
            ]),
            None if model.in_form => {
                fields.extend([("client_id", client), ("client_secret", client_secret)]);
            }
            None => {}
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

impl Target {
    fn new(model: &ExchangeProvider, audience: &str, scopes: &[Box<str>]) -> Self {
        let scope = if model.bearer { with_audience(audience, scopes) } else { scopes.join(" ") };
        let mut digest = Sha256::new();
        let url = model.endpoint.to_string();
        let manner =
            [if model.bearer { "bearer" } else { "exchange" }, if model.in_form { "form" } else { "header" }];
        let certificate = model.certificate.as_deref().unwrap_or_default();
        let client = [&*model.client, &*model.secret.0, certificate];
        let parts = [&*url, client[0], client[1], client[2], manner[0], manner[1], audience, &*scope];
        let more = model.more.iter().flat_map(|(name, value)| [&**name, &**value]);
        for part in parts.into_iter().chain(more) {
            // With its length before it, no part can be taken for another.
            digest.update(part.len().to_be_bytes());
            digest.update(part.as_bytes());
        }
        Self { audience: audience.into(), scope: scope.into(), digest }
    }
}

/// Scopes where whom they are for is part of them.
fn with_audience(audience: &str, scopes: &[Box<str>]) -> String {
    let whole = |scope: &str| match audience {
        "" => scope.to_owned(),
        _ if scope.contains('/') => scope.to_owned(),
        audience => format!("{audience}/{scope}"),
    };
    scopes.iter().map(|scope| whole(scope)).collect::<Vec<_>>().join(" ")
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
            certificate: None,
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
        let scope = |change: fn(&mut ExchangeProvider)| {
            Provider::new(&model(change), &[]).unwrap().targets[0].scope.clone()
        };
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
            Provider::new(&model(change), &[]).unwrap().digest(0, subject)
        };
        let digests = [
            digest(|_| {}, "t"),
            digest(|_| {}, "u"),
            digest(|model| model.audience = "others".into(), "t"),
            digest(|model| model.scopes = Box::default(), "t"),
            digest(|model| model.client = "other".into(), "t"),
            digest(|model| model.bearer = true, "t"),
            digest(|model| model.certificate = Some("cert".into()), "t"),
            digest(|model| model.more = Box::new([("a".into(), "b".into())]), "t"),
            digest(|model| model.endpoint = Target::parse("https://other.example/").unwrap(), "t"),
        ];
        let apart: std::collections::HashSet<_> = digests.iter().collect();
        assert_eq!(apart.len(), digests.len());
        assert_eq!(digest(|model| model.name = "x".into(), "t"), digests[0]);
    }

    #[test]
    fn operations_want_something_else() {
        let target = |audience: &str, scopes: &[&str]| ExchangeTarget {
            audience: audience.into(),
            scopes: scopes.iter().map(|scope| Box::from(*scope)).collect(),
        };
        let (other, same) = (target("reports", &["all"]), target("", &["all"]));
        for bearer in [false, true] {
            let provider = Provider::new(&model(|model| model.bearer = bearer), &[&other, &same]).unwrap();
            let told = |index: usize| (&*provider.targets[index].audience, &*provider.targets[index].scope);
            let whole = |audience: &'static str, plain: &'static str| if bearer { audience } else { plain };
            assert_eq!(told(0).0, "orders");
            assert_eq!(told(1), ("reports", whole("reports/all", "all")));
            assert_eq!(told(2), ("orders", whole("orders/all", "all")));
            let digests: std::collections::HashSet<_> =
                (0..3).map(|index| provider.digest(index, "t")).collect();
            assert_eq!(digests.len(), 3);
        }
    }

    #[test]
    fn issuers_are_matched_by_name_before_pattern() {
        let pattern = model(|model| {
            (model.name, model.issuers) = ("pattern".into(), Box::default());
            model.patterns = Box::new(["^https://[a-z]+\\.example$".into()]);
        });
        let providers = [pattern, model(|_| {})].map(|model| Arc::new(Provider::new(&model, &[]).unwrap()));
        let exchange = TokenExchange {
            places: Places::new(&apidef::Sources::default()).unwrap(),
            providers: Box::new(providers),
            targets: Operations::new(std::iter::empty(), false).unwrap(),
            calls: PerPath::new(&Collector::new(apidef::PathMatching::default()), std::iter::empty()),
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
