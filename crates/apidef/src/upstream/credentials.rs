//! Who the gate is towards an upstream: a name with a password, or a token of OAuth 2.0 (contract 2.1, 3.2).

use super::header;
use crate::fields::{Field, acts, section};
use crate::section::Section;
use crate::{Secret, Target};
use document::Fault;
use serde_json::{Value, json};

const HEADER: &[Field] = &[acts("enabled"), acts("name")];
const CLASSIC_CLIENT: &[Field] = &[
    acts("client_id"),
    acts("client_secret"),
    acts("method"),
    section("header", HEADER),
    acts("token_url"),
    acts("scopes"),
    acts("extra_metadata"),
];
const CLASSIC_USER: &[Field] = &[
    acts("client_id"),
    acts("client_secret"),
    acts("method"),
    section("header", HEADER),
    acts("username"),
    acts("password"),
    acts("token_url"),
    acts("scopes"),
    acts("extra_metadata"),
];

/// `upstream_auth`.
pub(crate) const CLASSIC: &[Field] = &[
    acts("enabled"),
    section("basic_auth", &[acts("enabled"), acts("username"), acts("password"), section("header", HEADER)]),
    section(
        "oauth",
        &[
            acts("enabled"),
            acts("allowed_authorize_types"),
            section("client_credentials", CLASSIC_CLIENT),
            section("password", CLASSIC_USER),
        ],
    ),
];

const OAS_CLIENT: &[Field] = &[
    acts("clientId"),
    acts("clientSecret"),
    acts("method"),
    section("header", HEADER),
    acts("tokenUrl"),
    acts("scopes"),
    acts("extraMetadata"),
];
const OAS_USER: &[Field] = &[
    acts("clientId"),
    acts("clientSecret"),
    acts("method"),
    section("header", HEADER),
    acts("username"),
    acts("password"),
    acts("tokenUrl"),
    acts("scopes"),
    acts("extraMetadata"),
];

/// `upstream.authentication`.
pub(crate) const OAS: &[Field] = &[
    acts("enabled"),
    section("basicAuth", &[acts("enabled"), acts("username"), acts("password"), section("header", HEADER)]),
    section(
        "oauth",
        &[
            acts("enabled"),
            acts("allowedAuthorizeTypes"),
            section("clientCredentials", OAS_CLIENT),
            section("password", OAS_USER),
        ],
    ),
    section("requestSigning", super::signing::OAS),
];

/// Who the gate is.
#[derive(Debug, Clone, PartialEq)]
pub enum UpstreamCredentials {
    /// A name with a password.
    Basic {
        /// The header that they are sent in, lower case.
        header: Box<str>,
        /// Name.
        user: Box<str>,
        /// Password.
        password: Secret,
    },
    /// A token that is fetched.
    OAuth(Box<UpstreamOAuth>),
}

/// How a token is fetched (RFC 6749).
#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamOAuth {
    /// The header that it is sent in, lower case.
    pub header: Box<str>,
    /// Where it is fetched.
    pub url: Target,
    /// The client that asks.
    pub client: Box<str>,
    /// Its secret.
    pub secret: Secret,
    /// The client's name and secret are in the form (`client_secret_post`), not in a header.
    pub in_form: bool,
    /// What the token is to be good for.
    pub scopes: Box<[Box<str>]>,
    /// On what ground it is given.
    pub grant: UpstreamGrant,
    /// Members of the answer that brings it which can be named afterwards (`$tyk_context.NAME`).
    pub noted: Box<[Box<str>]>,
}

/// On what ground a token is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamGrant {
    /// The client's own (RFC 6749 section 4.4).
    Client,
    /// A user's name and password (RFC 6749 section 4.3).
    Password {
        /// Name.
        user: Box<str>,
        /// Password.
        password: Secret,
    },
}

/// Names that differ between the formats.
struct Names {
    basic: &'static str,
    types: &'static str,
    client_credentials: &'static str,
    client: &'static str,
    secret: &'static str,
    url: &'static str,
    noted: &'static str,
}

const CLASSIC_NAMES: Names = Names {
    basic: "basic_auth",
    types: "allowed_authorize_types",
    client_credentials: "client_credentials",
    client: "client_id",
    secret: "client_secret",
    url: "token_url",
    noted: "extra_metadata",
};
const OAS_NAMES: Names = Names {
    basic: "basicAuth",
    types: "allowedAuthorizeTypes",
    client_credentials: "clientCredentials",
    client: "clientId",
    secret: "clientSecret",
    url: "tokenUrl",
    noted: "extraMetadata",
};

impl UpstreamCredentials {
    pub(super) fn classic(auth: &Section<'_>, faults: &mut Vec<Fault>) -> Option<Self> {
        read(auth, &CLASSIC_NAMES, faults)
    }

    pub(super) fn oas(auth: &Section<'_>, faults: &mut Vec<Fault>) -> Option<Self> {
        read(auth, &OAS_NAMES, faults)
    }

    /// The header that they are sent in, lower case.
    pub fn header(&self) -> &str {
        match self {
            Self::Basic { header, .. } => header,
            Self::OAuth(oauth) => &oauth.header,
        }
    }

    pub(super) fn write_classic(&self) -> Value {
        let header = json!({"enabled": true, "name": self.header()});
        match self {
            Self::Basic { user, password, .. } => json!({"enabled": true, "basic_auth": {
                "enabled": true, "username": user, "password": password.0, "header": header,
            }}),
            Self::OAuth(oauth) => {
                let mut client = json!({
                    "client_id": oauth.client,
                    "client_secret": oauth.secret.0,
                    "method": if oauth.in_form { "client_secret_post" } else { "client_secret_basic" },
                    "header": header,
                    "token_url": oauth.url.written(),
                    "scopes": oauth.scopes,
                    "extra_metadata": oauth.noted,
                });
                let (kind, holder) = match &oauth.grant {
                    UpstreamGrant::Client => ("clientCredentials", "client_credentials"),
                    UpstreamGrant::Password { user, password } => {
                        client["username"] = (&**user).into();
                        client["password"] = password.0.as_str().into();
                        ("password", "password")
                    }
                };
                json!({"enabled": true, "oauth": {
                    "enabled": true, "allowed_authorize_types": [kind], holder: client,
                }})
            }
        }
    }
}

/// That there is one of them, and of which kind, has been checked (`validate::upstream_auth`).
fn read(auth: &Section<'_>, names: &Names, faults: &mut Vec<Fault>) -> Option<UpstreamCredentials> {
    if !auth.flag("enabled", faults) {
        return None;
    }
    let basic = auth.section(names.basic, faults);
    if basic.flag("enabled", faults) {
        let user = basic.text("username", faults);
        if user.contains(':') {
            let fault = Fault::error(basic.at("username"), "a user's name holds no `:` (RFC 7617 section 2)");
            faults.push(fault);
        }
        return Some(UpstreamCredentials::Basic {
            header: named(&basic, faults),
            user: user.into(),
            password: Secret(basic.text("password", faults).to_owned()),
        });
    }
    let oauth = auth.section("oauth", faults);
    if !oauth.flag("enabled", faults) {
        return None;
    }
    let by_password = oauth.texts(names.types, faults).first().is_some_and(|kind| **kind == *"password");
    let client = oauth.section(if by_password { "password" } else { names.client_credentials }, faults);
    let mut needed = |key: &str| {
        let text = client.text(key, faults);
        if text.is_empty() {
            faults.push(Fault::error(client.at(key), format!("`{key}` is missing: no token can be fetched")));
        }
        text
    };
    let grant = if by_password {
        UpstreamGrant::Password {
            user: needed("username").into(),
            password: Secret(needed("password").to_owned()),
        }
    } else {
        UpstreamGrant::Client
    };
    let (id, url) = (needed(names.client), needed(names.url));
    let secret = client.text(names.secret, faults);
    let url = match Target::parse(url) {
        Ok(url) => Some(url),
        Err(_) if url.is_empty() => None,
        Err(why) => {
            faults.push(Fault::error(client.at(names.url), format!("the address {why}")));
            None
        }
    };
    Some(UpstreamCredentials::OAuth(Box::new(UpstreamOAuth {
        header: named(&client, faults),
        url: url?,
        client: id.into(),
        secret: Secret(secret.to_owned()),
        in_form: client.text("method", faults) == "client_secret_post",
        scopes: client.texts("scopes", faults),
        grant,
        noted: client.texts(names.noted, faults),
    })))
}

/// The header that a section names for what it sends.
fn named(holder: &Section<'_>, faults: &mut Vec<Fault>) -> Box<str> {
    let own = holder.section("header", faults);
    if own.flag("enabled", faults) { header(&own, "name", faults) } else { "authorization".into() }
}
