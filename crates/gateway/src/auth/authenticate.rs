//! Who is calling: the security schemes of the API, alone or several together (contract 4.4 row 16, 5.10).

use std::sync::Arc;

use apidef::{Api, Guarded, SchemeKind, SecurityScheme};
use http::request;

use super::basic::Basic;
use super::bound;
use super::callers::Caller;
use super::custom::ByPlugin;
use super::external_oauth::ExternalOAuth;
use super::jwks::{KeySets, Published};
use super::jwt::Jwt;
use super::known::Place;
use super::oauth::OAuth;
use super::open_id::OpenId;
use super::resource_metadata;
use super::signature::Signature;
use super::token::{Token, disallowed};
use crate::exchange::Exchange;
use crate::gate::Gate;
use crate::respond::{Blame, Refusal};

/// Finds the caller by the credentials that the request carries.
#[derive(Debug)]
pub(crate) struct Authenticate {
    /// One of them is enough.
    groups: Box<[Group]>,
    base_identity: Option<SchemeKind>,
}

/// Schemes that all have to be satisfied.
#[derive(Debug)]
struct Group(Box<[Method]>);

/// A security scheme, ready to look at requests.
#[derive(Debug)]
enum Method {
    Basic(Box<Basic>),
    Custom(Box<ByPlugin>),
    ExternalOAuth(Box<ExternalOAuth>),
    Jwt(Box<Jwt>),
    OAuth(Box<OAuth>),
    OpenId(Box<OpenId>),
    Signature(Box<Signature>),
    Token(Token),
}

impl Authenticate {
    pub(crate) fn new(guarded: &Guarded, api: &Api, sets: &KeySets) -> Result<Self, String> {
        let group = |schemes: &Vec<SecurityScheme>| -> Result<Group, String> {
            Ok(Group(schemes.iter().map(|scheme| Method::new(scheme, api, sets)).collect::<Result<_, _>>()?))
        };
        let groups = guarded.groups.iter().map(group).collect::<Result<_, _>>()?;
        Ok(Self { groups, base_identity: guarded.base_identity })
    }

    /// What it is called in traces: as the scheme's own guard in the original, or as the one there that tries several.
    pub(crate) fn name(&self) -> &'static str {
        match &*self.groups {
            [Group(methods)] => methods.first().map_or("AuthKey", Method::name),
            _ => "AuthORWrapper",
        }
    }

    /// Where keys of tokens are published that it uses.
    pub(crate) fn published(&self) -> impl Iterator<Item = &Published> {
        self.groups.iter().flat_map(|group| &group.0).flat_map(Method::published)
    }

    /// See [`Token::foresee`].
    pub(crate) fn foresee(&self, gate: &Gate, head: &request::Parts) -> Option<Place> {
        match self.groups.first()?.0.first()? {
            Method::Token(token) => token.foresee(gate, head),
            _ => None,
        }
    }

    pub(crate) async fn pass(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        let mut refusal = None;
        let ends = exchange.token_ends;
        for group in &self.groups {
            match group.caller(exchange, self.base_identity).await {
                Ok(caller) => {
                    exchange.caller = Some(caller);
                    return Ok(());
                }
                Err(refused) => {
                    // What a token said of somebody who is not let in by it says nothing of who is by another.
                    (exchange.claims, exchange.verified, exchange.token_ends) = (None, None, ends);
                    refusal = Some(worse(refusal, refused));
                }
            }
        }
        Err(resource_metadata::told(exchange, refusal.unwrap_or_else(disallowed)))
    }
}

/// The last refusal is told, unless one before it was not the client's doing: then it is not known who is calling.
fn worse(before: Option<Refusal>, refused: Refusal) -> Refusal {
    before.filter(|before| before.blame != Blame::Client).unwrap_or(refused)
}

impl Group {
    /// The caller whose session counts, once every scheme is satisfied.
    async fn caller(
        &self,
        exchange: &mut Exchange,
        base_identity: Option<SchemeKind>,
    ) -> Result<Arc<Caller>, Refusal> {
        let (mut counts, mut beside) = (None, Vec::new());
        for method in &self.0 {
            let caller = method.caller(exchange).await?;
            bound::check_bindings(exchange, caller.common())?;
            if counts.is_none() || base_identity.is_none_or(|base| base == method.kind()) {
                beside.extend(counts.replace(caller));
            } else {
                beside.push(caller);
            }
        }
        exchange.beside = beside;
        counts.ok_or_else(disallowed)
    }
}

impl Method {
    fn new(scheme: &SecurityScheme, api: &Api, sets: &KeySets) -> Result<Self, String> {
        Ok(match scheme {
            SecurityScheme::Basic(basic) => Self::Basic(Box::new(Basic::new(basic, api)?)),
            SecurityScheme::Custom(plugin) => Self::Custom(Box::new(ByPlugin::new(plugin, api))),
            SecurityScheme::ExternalOAuth(oauth) => {
                Self::ExternalOAuth(Box::new(ExternalOAuth::new(oauth, api, sets)?))
            }
            SecurityScheme::OpenId(open_id) => Self::OpenId(Box::new(OpenId::new(open_id, api, sets)?)),
            SecurityScheme::Jwt(jwt) => Self::Jwt(Box::new(Jwt::new(jwt, api, sets)?)),
            SecurityScheme::Signature(signature) => {
                Self::Signature(Box::new(Signature::new(signature, api)?))
            }
            SecurityScheme::OAuth(oauth) => Self::OAuth(Box::new(OAuth::new(oauth, api)?)),
            SecurityScheme::Token(token) => Self::Token(Token::new(token, &api.org_id)?),
        })
    }

    fn kind(&self) -> SchemeKind {
        match self {
            Self::Basic(_) => SchemeKind::Basic,
            Self::Custom(_) => SchemeKind::Custom,
            Self::ExternalOAuth(_) => SchemeKind::ExternalOAuth,
            Self::Jwt(_) => SchemeKind::Jwt,
            Self::OAuth(_) => SchemeKind::OAuth,
            Self::OpenId(_) => SchemeKind::OpenId,
            Self::Signature(_) => SchemeKind::Signature,
            Self::Token(_) => SchemeKind::Token,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Basic(_) => "BasicAuthKeyIsValid",
            Self::Custom(_) => "CoProcessMiddleware",
            Self::ExternalOAuth(_) => "ExternalOAuth",
            Self::Jwt(_) => "JWTMiddleware",
            Self::OAuth(_) => "Oauth2KeyExists",
            Self::OpenId(_) => "OpenIDMW",
            Self::Signature(_) => "HTTPSignatureValidationMiddleware",
            Self::Token(_) => "AuthKey",
        }
    }

    fn published(&self) -> &[Published] {
        match self {
            Self::ExternalOAuth(oauth) => oauth.published(),
            Self::Jwt(jwt) => jwt.published(),
            Self::OpenId(open_id) => open_id.published(),
            Self::Basic(_) | Self::Custom(_) | Self::OAuth(_) | Self::Signature(_) | Self::Token(_) => &[],
        }
    }

    async fn caller(&self, exchange: &mut Exchange) -> Result<Arc<Caller>, Refusal> {
        match self {
            Self::Basic(basic) => Box::pin(basic.caller(exchange)).await,
            Self::Custom(plugin) => Box::pin(plugin.caller(exchange)).await,
            Self::ExternalOAuth(oauth) => Box::pin(oauth.caller(exchange)).await,
            Self::Jwt(jwt) => jwt.caller(exchange).await,
            Self::OAuth(oauth) => oauth.caller(exchange).await,
            Self::OpenId(open_id) => Box::pin(open_id.caller(exchange)).await,
            Self::Signature(signature) => Box::pin(signature.caller(exchange)).await,
            Self::Token(token) => token.caller(exchange).await,
        }
    }
}
