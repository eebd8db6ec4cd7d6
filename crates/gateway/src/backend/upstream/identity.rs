//! Who the gate is towards an upstream: credentials and signatures that requests carry (contract 4.4 rows 29 and 41).

use std::sync::Arc;

use apidef::{Manner, UpstreamCredentials};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::StatusCode;
use http::header::{HeaderName, HeaderValue};

use super::Outbound;
use super::signer::Signer;
use super::tokens::{Question, Token};
use crate::gate::Gate;
use crate::respond::Refusal;

/// What requests carry that says who the gate is.
pub(super) struct Identity {
    credentials: Option<Credentials>,
    signer: Option<Signer>,
}

enum Credentials {
    Fixed(HeaderName, HeaderValue),
    Token(HeaderName, Arc<Question>),
}

impl Identity {
    /// `None` where the upstream does not ask.
    pub(super) fn new(manner: &Manner) -> Result<Option<Self>, String> {
        let credentials = match &manner.credentials {
            None => None,
            Some(UpstreamCredentials::Basic { header, user, password }) => {
                let text = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{}", password.0)));
                Some(Credentials::Fixed(name(header)?, secret(&text)?))
            }
            Some(UpstreamCredentials::OAuth(oauth)) => {
                Some(Credentials::Token(name(&oauth.header)?, Arc::new(Question::new(oauth))))
            }
        };
        let signer = manner.signing.as_ref().map(Signer::new).transpose()?;
        Ok((credentials.is_some() || signer.is_some()).then_some(Self { credentials, signer }))
    }

    /// Adds all of it to a request, and gives the token that was used, if one was.
    pub(super) async fn add(
        &self,
        gate: &Arc<Gate>,
        request: &mut Outbound,
    ) -> Result<Option<Used>, Refusal> {
        let used = match &self.credentials {
            None => None,
            Some(Credentials::Fixed(name, value)) => {
                request.headers.insert(name, value.clone());
                None
            }
            Some(Credentials::Token(name, question)) => {
                let (token, fresh) = gate.upstream_tokens.get(gate, question).await.map_err(no_token)?;
                request.headers.insert(name, token.value.clone());
                Some(Used { question: Arc::clone(question), token, fresh })
            }
        };
        if let Some(signer) = &self.signer {
            signer.sign(&gate.certificates, request).await?;
        }
        Ok(used)
    }
}

/// What a refusal says where the gate got no token: nothing else begins like this.
const NO_TOKEN: &str = "no token for the upstream: ";

/// Why the gate got no token for an upstream, if that is why a request was refused.
pub(super) fn missing_token(refusal: &Refusal) -> Option<&str> {
    refusal.detail.as_deref()?.strip_prefix(NO_TOKEN)
}

/// A token that a request has carried.
pub(super) struct Used {
    question: Arc<Question>,
    token: Arc<Token>,
    /// It was fetched for this very request.
    pub(super) fresh: bool,
}

impl Used {
    /// The upstream does not take it: the next request fetches another, unless that has been too often.
    pub(super) fn forget(&self, gate: &Gate) -> bool {
        gate.upstream_tokens.forget(&self.question, &self.token)
    }
}

pub(super) fn no_token(why: impl std::fmt::Display) -> Refusal {
    const PROBLEM: &str = "There was a problem proxying the request";
    Refusal::backend(StatusCode::INTERNAL_SERVER_ERROR, "UCF", PROBLEM)
        .detail(format_args!("{NO_TOKEN}{why}"))
}

pub(super) fn name(text: &str) -> Result<HeaderName, String> {
    HeaderName::try_from(text).map_err(|_| format!("`{text}` is no valid header name for credentials"))
}

/// A value that is shown nowhere.
pub(super) fn secret(text: &str) -> Result<HeaderValue, String> {
    let mut value =
        HeaderValue::try_from(text).map_err(|_| "credentials hold what no header can hold".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}
