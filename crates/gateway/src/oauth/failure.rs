//! What goes wrong at the OAuth 2.0 server, and how it is told (RFC 6749 section 5.2, contract 5.6).

use std::borrow::Cow;

use http::header::{HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use serde::Serialize;
use state::Unavailable;

use crate::body::Body;
use crate::respond::{self, Refusal};

/// The codes of RFC 6749, sections 4.1.2.1 and 5.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    InvalidRequest,
    InvalidClient,
    InvalidGrant,
    InvalidScope,
    UnauthorizedClient,
    UnsupportedGrantType,
    UnsupportedResponseType,
    ServerError,
}

/// Something that a client is told, and why, which it is not.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) why: Cow<'static, str>,
}

/// Why there is no token.
#[derive(Debug)]
pub(crate) enum Halt {
    Failure(Failure),
    /// It is not the client's fault.
    Refusal(Refusal),
}

impl Code {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidScope => "invalid_scope",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::ServerError => "server_error",
        }
    }

    /// As the RFC words it.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::InvalidRequest => {
                "The request is missing a required parameter, includes an invalid parameter value, includes a parameter more than once, or is otherwise malformed."
            }
            Self::InvalidClient => {
                "Client authentication failed (e.g., unknown client, no client authentication included, or unsupported authentication method)."
            }
            Self::InvalidGrant => {
                "The provided authorization grant (e.g., authorization code, resource owner credentials) or refresh token is invalid, expired, revoked, does not match the redirection URI used in the authorization request, or was issued to another client."
            }
            Self::InvalidScope => "The requested scope is invalid, unknown, or malformed.",
            Self::UnauthorizedClient => "The client is not authorized to request a token using this method.",
            Self::UnsupportedGrantType => {
                "The authorization grant type is not supported by the authorization server."
            }
            Self::UnsupportedResponseType => {
                "The authorization server does not support obtaining a token using this method."
            }
            Self::ServerError => {
                "The authorization server encountered an unexpected condition that prevented it from fulfilling the request."
            }
        }
    }
}

impl Failure {
    /// `why` goes to the log; it holds nothing secret.
    pub(crate) fn new(code: Code, why: impl Into<Cow<'static, str>>) -> Self {
        Self { code, why: why.into() }
    }
}

/// A halt of this code.
pub(crate) fn halt(code: Code, why: impl Into<Cow<'static, str>>) -> Halt {
    Halt::Failure(Failure::new(code, why))
}

impl Halt {
    pub(super) fn is_of(&self, code: Code) -> bool {
        matches!(self, Self::Failure(failure) if failure.code == code)
    }
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

impl From<Unavailable> for Halt {
    fn from(away: Unavailable) -> Self {
        Self::Refusal(Refusal::store_away(away))
    }
}

/// Marks an answer to a wrong guess.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wrong;

#[derive(Serialize)]
struct Told<'a> {
    error: &'a str,
    error_description: &'a str,
}

#[derive(Serialize)]
struct Plain<'a> {
    status: &'a str,
    message: &'a str,
}

/// What the token endpoint answers.
pub(super) fn token_error(failure: &Failure, status: StatusCode, realm: &str) -> Response<Body> {
    let code = failure.code;
    let mut response = respond::json(status, &Told { error: code.name(), error_description: code.text() });
    if code == Code::InvalidClient
        && status == StatusCode::UNAUTHORIZED
        && let Ok(challenge) = HeaderValue::try_from(format!("Basic realm=\"{realm}\""))
    {
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    if matches!(code, Code::InvalidClient | Code::InvalidGrant) {
        response.extensions_mut().insert(Wrong);
    }
    unkept(&mut response);
    response
}

/// An answer as of the admin API.
pub(super) fn error(status: StatusCode, message: &str) -> Response<Body> {
    let mut response = respond::json(status, &Plain { status: "error", message });
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) {
        response.extensions_mut().insert(Wrong);
    }
    unkept(&mut response);
    response
}

/// The same for what was done.
pub(super) fn ok(message: &str) -> Response<Body> {
    let mut response = respond::json(StatusCode::OK, &Plain { status: "ok", message });
    unkept(&mut response);
    response
}

/// Answers that hold tokens are neither kept nor shown elsewhere (RFC 6749 section 5.1, contract 5.6).
pub(super) fn unkept(response: &mut Response<Body>) {
    const FIELDS: [(&str, &str); 7] = [
        ("cache-control", "no-cache, no-store, max-age=0, must-revalidate"),
        ("pragma", "no-cache"),
        ("expires", "Fri, 01 Jan 1990 00:00:00 GMT"),
        ("x-content-type-options", "nosniff"),
        ("x-xss-protection", "1; mode=block"),
        ("x-frame-options", "DENY"),
        ("strict-transport-security", "max-age=63072000; includeSubDomains; preload"),
    ];
    for (name, value) in FIELDS {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
}
