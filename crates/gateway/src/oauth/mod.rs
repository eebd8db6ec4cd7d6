//! The OAuth 2.0 server of an API: gives tokens to clients and takes them back, under the API's own listen path
//! (contract 5.6). Whether a request with such a token may pass is `auth/oauth.rs`; who manages clients is `admin/oauth`.

mod authorize;
pub(crate) mod client;
mod failure;
mod form;
mod guesses;
mod issue;
pub(crate) mod lapsed;
mod names;
mod notice;
mod pkce;
mod records;
pub(crate) mod redirect;
pub(crate) mod revoke;
mod token;

use std::sync::Arc;
use std::time::{Duration, Instant};

use apidef::{Api, Auth, OAuth, SecurityScheme};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Response, StatusCode};
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;

use self::failure::{Code, Halt, Wrong, halt};
pub(crate) use self::form::Form;
use self::guesses::{Asker, Guesses, asker};
use crate::body::Body;
use crate::exchange::Exchange;
use crate::gate::Gate;
use crate::respond::Refusal;

/// Largest body of a request for a token, and of one that brings the rules for it.
const BODY_LIMIT: usize = 64 << 10;
const RULES_LIMIT: usize = 1 << 20;
/// Clients that are known to be there.
const CLIENTS: usize = 10_000;

/// What the servers of all APIs share.
#[derive(Debug)]
pub(crate) struct Shared {
    clients: Cache<client::Key, Instant>,
    /// How long a client is believed to be there.
    believed: Duration,
    notices: Arc<Semaphore>,
    guesses: Guesses,
}

impl Shared {
    pub(crate) fn new(believed: Duration) -> Self {
        let notices = Arc::new(Semaphore::new(notice::AT_ONCE));
        Self { clients: Cache::new(CLIENTS), believed, notices, guesses: Guesses::default() }
    }
}

/// The server of one API.
#[derive(Debug)]
pub(crate) struct Server {
    model: OAuth,
    api: Box<str>,
    org: Box<str>,
    /// The name of the API as it may stand between quotes.
    realm: Box<str>,
}

/// What it answers at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Authorize,
    AuthorizeClient,
    Token,
    Revoke,
    RevokeAll,
}

/// The endpoint at a path below the listen path.
pub(crate) fn endpoint(path: &str) -> Option<Endpoint> {
    Some(match path.strip_suffix('/').unwrap_or(path) {
        "/oauth/authorize" => Endpoint::Authorize,
        "/tyk/oauth/authorize-client" => Endpoint::AuthorizeClient,
        "/oauth/token" => Endpoint::Token,
        "/oauth/revoke" => Endpoint::Revoke,
        "/oauth/revoke_all" => Endpoint::RevokeAll,
        _ => return None,
    })
}

impl Server {
    /// The server that a definition asks for.
    pub(crate) fn of(api: &Api) -> Option<Self> {
        let Auth::Guarded(guarded) = &api.auth else { return None };
        let model = guarded.schemes().find_map(|scheme| match scheme {
            SecurityScheme::OAuth(oauth) => Some((**oauth).clone()),
            _ => None,
        })?;
        let quotable = |character: &char| character.is_ascii_graphic() && !matches!(character, '"' | '\\');
        Some(Self {
            model,
            api: api.id.clone(),
            org: api.org_id.clone(),
            realm: api.name.chars().filter(|c| quotable(c) || *c == ' ').collect::<String>().into(),
        })
    }

    /// Answers what is asked at an endpoint.
    pub(crate) async fn answer(
        &self,
        endpoint: Endpoint,
        exchange: &mut Exchange,
    ) -> Result<Response<Body>, Refusal> {
        let by_get = matches!(endpoint, Endpoint::Authorize | Endpoint::Token);
        let method = &exchange.head.method;
        if *method != Method::POST && !(by_get && *method == Method::GET) {
            return Ok(failure::error(StatusCode::METHOD_NOT_ALLOWED, "Method not supported"));
        }
        let (gate, asker) = (Arc::clone(&exchange.gate), asker(exchange));
        let guesses = &gate.oauth.guesses;
        guesses.may(asker, gate.settings.oauth.guesses.by_address, Instant::now())?;
        let answer = match endpoint {
            Endpoint::Token => token::answer(self, exchange).await,
            Endpoint::Authorize => authorize::user(self, exchange).await,
            Endpoint::AuthorizeClient => authorize::client_at_listen_path(self, exchange).await,
            Endpoint::Revoke => token::revoke(self, exchange).await,
            Endpoint::RevokeAll => token::revoke_all(self, exchange).await,
        }?;
        if answer.extensions().get::<Wrong>().is_some() {
            guesses.wrong(asker, Instant::now());
        }
        Ok(answer)
    }

    /// Gives a code or a token for a user who has logged in: whoever asks has shown the admin secret.
    pub(crate) async fn authorize_client(
        &self,
        gate: &Arc<Gate>,
        form: &Form,
    ) -> Result<Response<Body>, Refusal> {
        authorize::client(self, gate, form).await
    }

    /// Refuses whoever asks for a client that has been guessed for too often.
    fn may_ask_for(&self, gate: &Gate, client: &str, asker: Asker) -> Result<(), Refusal> {
        let most = gate.settings.oauth.guesses.by_client;
        gate.oauth.guesses.may_ask_for((&self.api, client), asker, most, Instant::now())
    }

    /// Somebody has guessed wrongly what opens a client, or a user by way of it.
    fn wrong_for(&self, gate: &Gate, client: &str) {
        gate.oauth.guesses.wrong_for((&self.api, client), Instant::now());
    }

    /// What may be logged of a failure.
    fn log(&self, failure: &failure::Failure) {
        tracing::debug!(
            api_id = &*self.api,
            error = failure.code.name(),
            why = &*failure.why,
            "no token is given"
        );
    }
}

/// The parameters of a request.
async fn parameters(exchange: &mut Exchange, limit: usize) -> Result<Form, Halt> {
    let body = match exchange.head.method {
        Method::POST => exchange.buffer_body(limit).await?,
        _ => Bytes::new(),
    };
    let media = exchange.head.headers.get(CONTENT_TYPE).and_then(|media| media.to_str().ok());
    let query = exchange.head.uri.query().unwrap_or_default();
    Form::read(query, media, &body).map_err(|reason| halt(Code::InvalidRequest, reason.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_at_their_paths_alone() {
        for (path, expected) in [
            ("/oauth/token", Some(Endpoint::Token)),
            ("/oauth/token/", Some(Endpoint::Token)),
            ("/oauth/authorize/", Some(Endpoint::Authorize)),
            ("/oauth/revoke", Some(Endpoint::Revoke)),
            ("/oauth/revoke_all", Some(Endpoint::RevokeAll)),
            ("/tyk/oauth/authorize-client/", Some(Endpoint::AuthorizeClient)),
            ("/oauth/token//", None),
            ("/oauth/tokens", None),
            ("/oauth", None),
            ("/OAuth/token", None),
            ("/x/oauth/token", None),
            ("/oauth/%74oken", None),
        ] {
            assert_eq!(endpoint(path), expected, "{path}");
        }
    }
}
