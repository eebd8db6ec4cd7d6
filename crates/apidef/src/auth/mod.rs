//! Who may call an API: the security schemes of a definition, one a file: its model, and how both formats write it.

mod basic;
mod classic;
mod custom;
mod external_oauth;
mod hmac;
mod jwt;
mod key_signature;
mod oas;
mod oauth;
mod open_id;
mod requirements;
mod resource_metadata;
mod scopes;
mod sources;
mod token;
mod token_exchange;

pub use basic::{Basic, BodyCredentials};
pub use custom::Custom;
pub use external_oauth::{ExternalOAuth, Introspection, TokenCheck};
pub use hmac::{HttpSignature, SignatureAlgorithm};
pub use jwt::{
    ClaimCheck, ClaimChecks, ClaimRule, Jwt, KeySetAddress, ScopePolicies, SecretBytes, SigningMethod, Skews,
    TokenKeys, TokenPolicies,
};
pub use key_signature::{KeySignature, KeySignatureAlgorithm};
pub use oauth::{Grants, NewTokenNotice, OAuth, Responses};
pub use open_id::{OpenId, OpenIdProvider};
pub use resource_metadata::ResourceMetadata;
pub use scopes::{ScopeCheck, Scopes};
pub use sources::Sources;
pub use token::Token;
pub use token_exchange::{ExchangeProvider, ExchangeTarget, KeepExchanged, TokenExchange};

pub(crate) use basic::{CLASSIC as CLASSIC_BASIC, OAS as OAS_BASIC};
pub(crate) use classic::{read as read_classic, write as write_classic};
use oas::SOURCE;

pub(crate) use custom::OAS as OAS_CUSTOM;
pub(crate) use external_oauth::{CLASSIC as CLASSIC_EXTERNAL_OAUTH, OAS as OAS_EXTERNAL_OAUTH};
pub(crate) use hmac::OAS as OAS_HMAC;
pub(crate) use jwt::OAS as OAS_JWT;
pub(crate) use key_signature::CLASSIC as CLASSIC_KEY_SIGNATURE;
pub(crate) use oas::{TOKEN as OAS_TOKEN, read as read_oas};
pub(crate) use oauth::{CLASSIC as CLASSIC_OAUTH, CLASSIC_NOTICES as CLASSIC_OAUTH_NOTICES};
pub(crate) use open_id::{CLASSIC as CLASSIC_OPEN_ID, OAS as OAS_OPEN_ID};
pub(crate) use resource_metadata::OAS as OAS_RESOURCE_METADATA;
pub(crate) use scopes::OAS_OPERATION as OAS_SCOPE_CHECK;
pub(crate) use token_exchange::{OAS as OAS_OAUTH2, OAS_OPERATION as OAS_EXCHANGE};

/// How callers identify themselves.
#[derive(Debug, Clone, PartialEq)]
pub enum Auth {
    /// Open.
    Keyless,
    /// Guarded.
    Guarded(Guarded),
}

/// Which schemes have to be satisfied.
#[derive(Debug, Clone, PartialEq)]
pub struct Guarded {
    /// One of these groups must be satisfied, and of it every scheme; each in the order of contract 4.4 row 16. Never
    /// empty, and none of the groups is.
    pub groups: Vec<Vec<SecurityScheme>>,
    /// Whose session counts where a group has several schemes; `None`: that of the last one (contract 5.10).
    pub base_identity: Option<SchemeKind>,
    /// Tokens of callers are exchanged before requests go on.
    pub exchange: Option<Box<TokenExchange>>,
    /// What the tokens of callers have to be good for.
    pub scopes: Option<Box<ScopeCheck>>,
}

/// One way to authenticate.
#[derive(Debug, Clone, PartialEq)]
pub enum SecurityScheme {
    /// A user's name and password.
    Basic(Basic),
    /// Whoever a plugin says.
    Custom(Custom),
    /// OAuth 2.0 tokens of others.
    ExternalOAuth(Box<ExternalOAuth>),
    /// Signed requests.
    Signature(HttpSignature),
    /// Signed claims.
    Jwt(Box<Jwt>),
    /// OAuth 2.0 tokens of the gate itself.
    OAuth(Box<OAuth>),
    /// OpenID Connect.
    OpenId(Box<OpenId>),
    /// A key.
    Token(Token),
}

/// The sorts of schemes, in the order in which they are tried (contract 4.4 row 16).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SchemeKind {
    /// The OAuth 2.0 server of the gate.
    OAuth,
    /// OAuth 2.0 tokens of others.
    ExternalOAuth,
    /// User name and password.
    Basic,
    /// HTTP signatures.
    Signature,
    /// JSON Web Tokens.
    Jwt,
    /// OpenID Connect.
    OpenId,
    /// Plugins.
    Custom,
    /// Keys.
    Token,
}

/// What `base_identity_provided_by` calls the sorts of schemes (contract 2.2).
const BASE_IDENTITIES: &[(&str, SchemeKind)] = &[
    ("auth_token", SchemeKind::Token),
    ("basic_auth_user", SchemeKind::Basic),
    ("oauth_key", SchemeKind::OAuth),
    ("hmac_key", SchemeKind::Signature),
    ("jwt_claim", SchemeKind::Jwt),
    ("oidc_user", SchemeKind::OpenId),
    ("custom_auth", SchemeKind::Custom),
];

impl Auth {
    /// Whether a certificate of a TLS client may say who is calling.
    pub fn may_use_certificates(&self) -> bool {
        match self {
            Self::Keyless => false,
            Self::Guarded(guarded) => guarded
                .schemes()
                .any(|scheme| matches!(scheme, SecurityScheme::Token(token) if token.certificate)),
        }
    }

    /// A key, and nothing else.
    pub fn token(sources: Sources) -> Self {
        let token = Token { sources, ..Token::default() };
        Self::Guarded(Guarded::all_of(vec![SecurityScheme::Token(token)], None))
    }
}

impl Guarded {
    /// All of these schemes, whatever order they are in.
    pub(crate) fn all_of(schemes: Vec<SecurityScheme>, base_identity: Option<SchemeKind>) -> Self {
        Self::any_of(vec![schemes], base_identity)
    }

    /// All schemes of one of these groups, whatever order the schemes are in.
    pub(crate) fn any_of(mut groups: Vec<Vec<SecurityScheme>>, base_identity: Option<SchemeKind>) -> Self {
        for schemes in &mut groups {
            schemes.sort_by_key(SecurityScheme::kind);
        }
        let base_identity = base_identity.filter(|_| groups.iter().any(|schemes| schemes.len() > 1));
        Self { groups, base_identity, exchange: None, scopes: None }
    }

    /// Every scheme once for each group that asks for it.
    pub fn schemes(&self) -> impl Iterator<Item = &SecurityScheme> {
        self.groups.iter().flatten()
    }
}

impl SecurityScheme {
    /// Its sort.
    pub fn kind(&self) -> SchemeKind {
        match self {
            Self::Basic(_) => SchemeKind::Basic,
            Self::Custom(_) => SchemeKind::Custom,
            Self::Signature(_) => SchemeKind::Signature,
            Self::ExternalOAuth(_) => SchemeKind::ExternalOAuth,
            Self::Jwt(_) => SchemeKind::Jwt,
            Self::OAuth(_) => SchemeKind::OAuth,
            Self::OpenId(_) => SchemeKind::OpenId,
            Self::Token(_) => SchemeKind::Token,
        }
    }

    /// Where its credential is looked for, if it is one that can be taken off.
    pub fn sources(&self) -> Option<&Sources> {
        match self {
            Self::Basic(basic) => Some(&basic.sources),
            Self::Custom(_) => None,
            Self::Signature(signature) => Some(&signature.sources),
            Self::ExternalOAuth(oauth) => Some(&oauth.sources),
            Self::Jwt(jwt) => Some(&jwt.sources),
            Self::OAuth(oauth) => Some(&oauth.sources),
            Self::OpenId(open_id) => Some(&open_id.sources),
            Self::Token(token) => Some(&token.sources),
        }
    }
}
