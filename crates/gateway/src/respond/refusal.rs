//! A refusal is a value: whose fault, which status, what the client reads, whether a retry may help.

use std::borrow::Cow;

use http::StatusCode;
use http::header::HeaderValue;

/// Whose doing a refusal is; decides the log level and the metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The client asked for what it may not have, or asked wrongly.
    Client,
    /// The backend did not answer, or not in time.
    Backend,
    /// The gate itself, or a store it depends on.
    Gate,
}

/// Why an exchange ends before, or instead of, its backend's answer.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    /// Status sent to the client.
    pub status: StatusCode,
    /// Text sent to the client, put into the error template (contract 4.1).
    pub message: Cow<'static, str>,
    /// Whose fault it is.
    pub blame: Blame,
    /// Short flag for logs and metrics (contract 4.2, `response_flag`).
    pub flag: &'static str,
    /// What the configuration calls it where it may say something else (contract 4.2, `override_messages`).
    pub id: Option<&'static str>,
    /// Seconds after which a retry may succeed, sent as `Retry-After`.
    pub retry_after: Option<u32>,
    /// How the client may identify itself, sent as `WWW-Authenticate`.
    pub challenge: Option<Box<HeaderValue>>,
    /// The message is JSON, which the client reads as it is, whatever it sent.
    pub is_json: bool,
    /// What clients of gRPC are told in the place of the code that its status stands for.
    pub grpc: Option<u16>,
    /// What an operator should know and the client should not.
    pub detail: Option<Box<str>>,
}

impl Refusal {
    /// A refusal that the client caused.
    pub(crate) fn client(
        status: StatusCode,
        flag: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(Blame::Client, status, flag, message)
    }

    /// A refusal because the backend failed.
    pub(crate) fn backend(
        status: StatusCode,
        flag: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(Blame::Backend, status, flag, message)
    }

    /// A refusal because the gate, or a store it needs, failed.
    pub(crate) fn gate(
        status: StatusCode,
        flag: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(Blame::Gate, status, flag, message)
    }

    fn new(
        blame: Blame,
        status: StatusCode,
        flag: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            message: message.into(),
            blame,
            flag,
            id: None,
            retry_after: None,
            challenge: None,
            is_json: false,
            grpc: None,
            detail: None,
        }
    }

    /// Gives it the name under which the configuration may have other words for it.
    pub(crate) fn called(mut self, id: &'static str) -> Self {
        self.id = Some(id);
        self
    }

    /// Tells the client when to come back.
    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Tells the client how it may identify itself (RFC 9110 section 11.6.1).
    pub(crate) fn challenge(mut self, challenge: HeaderValue) -> Self {
        self.challenge = Some(Box::new(challenge));
        self
    }

    /// Tells the client more than a message, as JSON.
    pub(crate) fn json(mut self, body: &serde_json::Value) -> Self {
        (self.message, self.is_json) = (body.to_string().into(), true);
        self
    }

    /// Tells clients of gRPC this code.
    pub(crate) fn grpc(mut self, code: u16) -> Self {
        self.grpc = Some(code);
        self
    }

    /// Adds what goes to the log only.
    pub(crate) fn detail(mut self, detail: impl std::fmt::Display) -> Self {
        self.detail = Some(detail.to_string().into_boxed_str());
        self
    }

    /// The keys of tokens cannot be had, so that nobody can tell whether a token is good.
    pub(crate) fn keys_away(detail: impl std::fmt::Display) -> Self {
        Self::gate(StatusCode::SERVICE_UNAVAILABLE, "UCF", "Service temporarily unavailable.")
            .retry_after(1)
            .detail(detail)
    }

    /// The gate has more to do than it can: not the client's fault, and worth a retry.
    pub(crate) fn busy(detail: impl std::fmt::Display) -> Self {
        Self::gate(StatusCode::SERVICE_UNAVAILABLE, "OVR", "Service temporarily unavailable.")
            .retry_after(1)
            .detail(detail)
    }

    /// The state store is away (design section 6): not the client's fault, and worth a retry.
    pub(crate) fn store_away(detail: impl std::fmt::Display) -> Self {
        Self::gate(StatusCode::SERVICE_UNAVAILABLE, "STA", "Service temporarily unavailable.")
            .retry_after(1)
            .detail(detail)
    }
}
