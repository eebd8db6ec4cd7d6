//! Callers that a plugin identifies (contract 5.8). What runs plugins registers itself for its driver; none is known here.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use apidef::{Auth, Custom, Definition, SecurityScheme, Session, Source};
use bytes::Bytes;
use document::Fault;
use http::{StatusCode, request};

use super::callers::Caller;
use super::names::{store_name, store_names};
use crate::exchange::Exchange;
use crate::gate::Gate;
use crate::plugins::{Identity, Plugins};
use crate::respond::Refusal;

/// Largest body that a plugin is shown; it has to be held in memory.
const BODY_LIMIT: usize = 1 << 20;

/// Says who is calling. A host of plugins is one, for each driver that it has.
pub trait Authenticator: fmt::Debug + Send + Sync {
    /// Whether it has to see the body; a body of more than 1 MiB is refused then.
    fn wants_body(&self, plugin: &Custom) -> bool;

    /// Looks at a request. It has to bound its own time.
    fn identify<'a>(
        &'a self,
        asked: Asked<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Identified, Denied>> + Send + 'a>>;
}

/// What a plugin is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The id of the API.
    pub api: &'a str,
    /// The function that the definition names.
    pub plugin: &'a Custom,
    /// Method, target and headers.
    pub head: &'a request::Parts,
    /// The body, if it was wanted.
    pub body: &'a Bytes,
}

/// Who it is.
#[derive(Debug, Clone)]
pub struct Identified {
    /// The key that the caller has shown, or whatever tells it from others: what its limits are counted by.
    pub key: String,
    /// What it may do. Its policies are applied; it is stored nowhere.
    pub session: Session,
}

/// Why a plugin lets nobody in.
#[derive(Debug, Clone)]
pub enum Denied {
    /// It says so, with a status and a text for the client.
    Refused(StatusCode, String),
    /// It did not work; the text is for operators.
    Failed(String),
}

/// What runs plugins, by driver.
#[derive(Debug, Clone, Default)]
pub struct Authenticators(HashMap<Box<str>, Arc<dyn Authenticator>>);

impl Authenticators {
    /// With one more.
    #[must_use]
    pub fn with(mut self, driver: &str, authenticator: Arc<dyn Authenticator>) -> Self {
        self.0.insert(driver.into(), authenticator);
        self
    }

    /// Refuses a definition whose plugin nothing runs, with its place.
    pub(crate) fn check(&self, definition: &Definition) -> Result<(), Vec<Fault>> {
        let Auth::Guarded(guarded) = &definition.api.auth else { return Ok(()) };
        let unknown = guarded.schemes().find_map(|scheme| match scheme {
            SecurityScheme::Custom(custom) if !self.0.contains_key(&custom.driver) => Some(custom),
            _ => None,
        });
        let Some(custom) = unknown else { return Ok(()) };
        let at = match definition.source {
            Source::Classic => "/custom_plugin_auth_enabled",
            Source::Oas => "/x-tyk-api-gateway/server/authentication/custom",
        };
        let message = format!(
            "nothing here runs plugins of the driver `{}`; the API is refused so that it is not left open",
            custom.driver
        );
        Err(vec![Fault::error(at, message).on_key()])
    }
}

/// Finds the caller by asking a plugin.
#[derive(Debug)]
pub(crate) struct ByPlugin {
    plugin: Custom,
    org: Box<str>,
    /// What its sessions are known by; no token can be the same.
    sessions: Box<str>,
}

impl ByPlugin {
    pub(crate) fn new(plugin: &Custom, api: &apidef::Api) -> Self {
        let sessions = format!("\0plugin\0{}", api.id).into();
        Self { plugin: plugin.clone(), org: api.org_id.clone(), sessions }
    }

    pub(crate) async fn caller(&self, exchange: &mut Exchange) -> Result<Arc<Caller>, Refusal> {
        let gate = Arc::clone(&exchange.gate);
        // Of the API itself, or of who embeds the gate.
        let plugins = exchange.api.plugins.clone().filter(|plugins| plugins.identifies());
        if let Some(plugins) = plugins {
            return self.by_plugins(&gate, &plugins, exchange).await;
        }
        let Some(authenticator) = gate.authenticators.0.get(&self.plugin.driver) else {
            return Err(failed("nothing runs its driver"));
        };
        let body = if authenticator.wants_body(&self.plugin) {
            exchange.buffer_body(BODY_LIMIT).await?
        } else {
            Bytes::new()
        };
        let asked =
            Asked { api: &exchange.api.model.id, plugin: &self.plugin, head: &exchange.head, body: &body };
        match authenticator.identify(asked).await {
            Ok(identified) if identified.key.is_empty() => Err(failed("it says nothing of who it is")),
            Ok(Identified { key, session }) => self.known(&gate, &key, &self.owned(session)),
            Err(Denied::Refused(status, message)) if status.is_client_error() || status.is_server_error() => {
                Err(Refusal::client(status, "AKI", message))
            }
            Err(Denied::Refused(status, _)) => Err(failed(&format!("it refuses with {status}"))),
            Err(Denied::Failed(why)) => Err(failed(&why)),
        }
    }

    /// Asks a plugin of the API, unless it has let in whoever has this id before, and said that it need not be asked yet.
    async fn by_plugins(
        &self,
        gate: &Gate,
        plugins: &Plugins,
        exchange: &mut Exchange,
    ) -> Result<Arc<Caller>, Refusal> {
        let id = Box::pin(plugins.session_id(exchange)).await?;
        let Some((extractor, id)) = id else {
            let Identified { key, session } = Box::pin(plugins.identify(exchange)).await?;
            return self.known(gate, &key, &self.owned(session));
        };
        if let Some(session) = gate.callers.identity((extractor, &id)) {
            return self.known(gate, &id, &session);
        }
        let mark = gate.callers.mark();
        let Identified { key, session } = Box::pin(plugins.identify(exchange)).await?;
        let session = Arc::new(self.owned(session));
        // The caller is known by its id from the first request on: what it has used up goes on with the second.
        let caller = self.known(gate, &id, &session)?;
        let mut names = vec![id.clone(), key.clone()];
        for of in [&id, &key] {
            names.extend(store_names(&gate.settings.keys, &self.org, of));
        }
        gate.callers.keep_identity((extractor, &id), Identity { session, names }, mark);
        Ok(caller)
    }

    /// A session that says nothing of its organisation is of that of the API.
    fn owned(&self, mut session: Session) -> Session {
        if session.org_id.is_empty() {
            session.org_id = self.org.to_string();
        }
        session
    }

    /// The caller that was identified, with its policies applied.
    fn known(&self, gate: &Gate, key: &str, session: &Session) -> Result<Arc<Caller>, Refusal> {
        if let Some(known) = gate.callers.known(&self.sessions, key).filter(|known| known.is_of(session)) {
            return Ok(known);
        }
        let name = store_name(&gate.settings.keys, key);
        gate.callers
            .unstored(gate, (&self.sessions, key, &name), session.clone())
            .map_err(|why| failed(&why.to_string()))
    }
}

/// Nobody can tell who it is, which is not the client's doing.
fn failed(why: &str) -> Refusal {
    const TEXT: &str = "There was a problem with the authentication of this request";
    Refusal::gate(StatusCode::INTERNAL_SERVER_ERROR, "UCF", TEXT).detail(why)
}
