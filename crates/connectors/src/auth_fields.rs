//! Fields of authentication that HTTP and WebSocket clients share (streams contract, section 0: OAUTH, BASIC_AUTH, JWT).

use streams::{Default, Field, Kind};

const fn text(name: &'static str, doc: &'static str) -> Field {
    Field::new(name, Kind::Text, Default::Text(""), doc)
}

const fn enabled(doc: &'static str) -> Field {
    Field::new("enabled", Kind::Bool, Default::Bool(false), doc)
}

const OAUTH_FIELDS: &[Field] = &[
    enabled("Whether requests are signed."),
    text("consumer_key", "The client's name."),
    text("consumer_secret", "The client's secret.").secret(),
    text("access_token", "The token."),
    text("access_token_secret", "The token's secret.").secret(),
];

/// OAuth 1.0a.
pub(crate) const OAUTH: Field =
    Field::object("oauth", OAUTH_FIELDS, "OAuth 1.0a, signed with HMAC-SHA1 (RFC 5849).").advanced();

const BASIC_FIELDS: &[Field] = &[
    enabled("Whether name and password are sent."),
    text("username", "The user's name."),
    text("password", "The user's password.").secret(),
];

/// Basic authentication.
pub(crate) const BASIC_AUTH: Field =
    Field::object("basic_auth", BASIC_FIELDS, "Basic authentication (RFC 7617).").advanced();

const JWT_FIELDS: &[Field] = &[
    enabled("Whether a signed token is sent as bearer."),
    text("private_key_file", "A file with the private key, PEM."),
    Field::new(
        "signing_method",
        Kind::Choice(&["", "RS256", "RS384", "RS512", "EdDSA"]),
        Default::Text(""),
        "How the token is signed.",
    ),
    Field::optional("claims", Kind::Map(&Kind::Any), "The token's claims."),
    Field::optional("headers", Kind::Map(&Kind::Any), "Further headers of the token, such as `kid`."),
];

/// Signed tokens.
pub(crate) const JWT: Field =
    Field::object("jwt", JWT_FIELDS, "A token that the client signs itself (RFC 7519).").advanced();
