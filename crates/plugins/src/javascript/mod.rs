//! Plugins in JavaScript (gateway contract 9.2).
//!
//! The scripts of an API run in engines that know nothing of the machine: no files, no network, no timers but what
//! [`Outside`] lets them ask for. Loading them takes much longer than a call, so engines are kept; each serves one call at
//! a time. What a script keeps in its globals may be seen by the next call in the same engine, and is by none in another.

mod arguments;
mod engine;
mod native;
#[cfg(test)]
mod prompt_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use apidef::Session;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::call::nullable;
pub use crate::code::{Limits, Source};
use crate::pool::{self, Host, Pool};
use crate::{Call, Fault, Hook, Outcome, Outside, Request, Response, Spec};
use arguments::{Argument, Arguments};
use engine::{Engine, Given};

/// Largest script, in bytes.
const LARGEST: usize = 1 << 20;
/// Engines that are kept while they have nothing to do.
const SPARE: usize = 32;
/// Calls of one API that run at once; more wait.
const AT_ONCE: usize = 64;

/// The scripts of one API.
pub struct Scripts {
    sources: Box<[Source]>,
    limits: Limits,
    outside: Arc<dyn Outside>,
    pool: Pool<Engine>,
}

impl std::fmt::Debug for Scripts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scripts").field("sources", &self.sources.len()).finish_non_exhaustive()
    }
}

/// The answer of a virtual endpoint.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Answered {
    /// What the client is answered.
    #[serde(rename = "Response", deserialize_with = "nullable")]
    pub response: Reply,
    /// Metadata that the session gets.
    #[serde(rename = "SessionMeta", deserialize_with = "nullable")]
    pub session_meta: Map<String, Value>,
}

/// What scripts define, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Defined {
    /// Objects made by `NewMiddleware` and their like.
    pub objects: Vec<String>,
    /// Functions.
    pub functions: Vec<String>,
}

/// What a virtual endpoint answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Reply {
    /// The body.
    #[serde(deserialize_with = "nullable")]
    pub body: String,
    /// Header fields.
    #[serde(deserialize_with = "crate::call::texts")]
    pub headers: std::collections::BTreeMap<String, String>,
    /// The status.
    #[serde(deserialize_with = "nullable")]
    pub code: u16,
}

/// What a script makes of a request or an answer, in its own spelling.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Made {
    #[serde(deserialize_with = "nullable")]
    request: Request,
    response: Option<Response>,
    session: Option<Box<Session>>,
    #[serde(deserialize_with = "nullable")]
    session_meta: Map<String, Value>,
}

impl Scripts {
    /// Loads scripts, in their order.
    ///
    /// # Errors
    /// What is wrong with one of them, and where.
    pub fn load(sources: Vec<Source>, limits: Limits, outside: Arc<dyn Outside>) -> Result<Self, Fault> {
        if let Some(source) = sources.iter().find(|source| source.text.len() > LARGEST) {
            return Err(Fault::Unusable(format!("`{}` is longer than {LARGEST} bytes", source.name)));
        }
        let pool = Pool::new(SPARE, AT_ONCE, limits.time);
        let scripts = Self { sources: sources.into(), limits, outside, pool };
        pool::give_back(&scripts, scripts.make()?);
        Ok(scripts)
    }

    /// # Errors
    /// Nothing of this name can be called.
    pub fn check(&self, name: &str) -> Result<(), Fault> {
        let engine = pool::take(self)?;
        let has = engine.has(name);
        pool::give_back(self, engine);
        if has { Ok(()) } else { Err(Fault::Missing(name.to_owned())) }
    }

    /// What scripts define at their top that can be called, functions and objects made for that; not what is `const` or `let`.
    ///
    /// # Errors
    /// There is no engine to look into.
    pub fn defined(&self) -> Result<Defined, Fault> {
        let mut engine = pool::take(self)?;
        let told = engine.call("defined", &Arguments::default());
        pool::give_back(self, engine);
        read(&told?.text()?)
    }

    /// Calls a plugin from its hook.
    ///
    /// # Errors
    /// Why it gives no outcome.
    pub async fn call(self: &Arc<Self>, name: &str, call: &Call<'_>) -> Result<Outcome, Fault> {
        let entry = if call.response.is_some() { "response" } else { "request" };
        let given = self.run(entry, Arguments::of(name, call)?).await?;
        let made: Made = given.json.as_deref().map_or_else(|| Ok(Made::default()), read)?;
        let mut outcome = Outcome {
            request: made.request,
            response: made.response,
            session: made.session,
            metadata: made.session_meta,
        };
        outcome.request.set_headers.extend(given.set_headers);
        let body = given.body.map(bytes::Bytes::from);
        match &mut outcome.response {
            Some(response) => response.body = body,
            None => outcome.request.body = body,
        }
        Ok(outcome)
    }

    /// Has a virtual endpoint answer a request.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn answer(
        self: &Arc<Self>,
        name: &str,
        request: &Request,
        session: Option<&Session>,
        spec: &Spec,
    ) -> Result<Answered, Fault> {
        let call = Call { hook: Hook::Post, request, response: None, session, spec, raw_body_only: false };
        read(&self.run("answer", Arguments::of(name, &call)?).await?.text()?)
    }

    /// Has a plugin edit a record, which is JSON before and after.
    ///
    /// # Errors
    /// Why it gives none.
    pub async fn record(self: &Arc<Self>, name: &str, record: &str, spec: &Spec) -> Result<String, Fault> {
        let arguments = Arguments(vec![name.into(), record.into(), json(spec)?.into()]);
        self.run("record", arguments).await?.text()
    }

    /// Tells a handler of an event, both as JSON.
    ///
    /// # Errors
    /// Why it was not handled.
    pub async fn event(self: &Arc<Self>, name: &str, event: &str, context: &str) -> Result<(), Fault> {
        self.run("event", Arguments(vec![name.into(), event.into(), context.into()])).await.map(drop)
    }

    /// Runs an entry of the prelude.
    async fn run(self: &Arc<Self>, entry: &'static str, arguments: Arguments<'_>) -> Result<Given, Fault> {
        if let Some(ran) = pool::at_once(&**self, |engine| engine.call(entry, &arguments)) {
            return ran;
        }
        let arguments = Arguments(arguments.0.into_iter().map(Argument::into_owned).collect());
        pool::run(self, move |engine| engine.call(entry, &arguments)).await
    }
}

impl Host for Scripts {
    type Engine = Engine;

    fn pool(&self) -> &Pool<Engine> {
        &self.pool
    }

    fn make(&self) -> Result<Engine, Fault> {
        Engine::new(&self.sources, self.limits, &self.outside)
    }

    fn is_sound(engine: &Engine) -> bool {
        engine.is_sound()
    }

    fn hurry(engine: &mut Engine, hurry: bool) -> bool {
        engine.hurry(hurry);
        true
    }

    fn was_put_off(engine: &Engine) -> bool {
        engine.was_put_off()
    }
}

fn session_of(session: Option<&Session>) -> Result<String, Fault> {
    session.map_or_else(|| Ok("{}".to_owned()), json)
}

fn json(value: &impl serde::Serialize) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|fault| Fault::Unusable(fault.to_string()))
}

fn read<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|fault| Fault::Shape(fault.to_string()))
}
