//! Plugins in Lua 5.4 (gateway contract 9.4), inside of the gate.
//!
//! Hooks are functions of a file, by their names; they see the objects of the coprocess protocol as tables, change them in
//! place or return them. Engines know nothing of the machine: neither files nor programs, no code but that of the plugin.

mod engine;
#[cfg(test)]
mod tests;
mod values;

use std::sync::Arc;

use crate::code::{Limits, Source};
use crate::grpc::{self, messages::Object, session::SessionState};
use crate::pool::{self, Host, Pool};
use crate::{Call, Fault, Hook, Outcome, Outside, Spec};
use engine::Engine;

/// Largest file, in bytes.
const LARGEST: usize = 1 << 20;
/// Engines that are kept while they have nothing to do.
const SPARE: usize = 32;
/// Calls of one API that run at once; more wait.
const AT_ONCE: usize = 64;

/// The plugins of one API.
pub struct Lua {
    code: Code,
    limits: Limits,
    outside: Arc<dyn Outside>,
    pool: Pool<Engine>,
}

/// The files of plugins.
#[derive(Debug, Clone, Default)]
pub struct Code {
    /// Those that are run first, in their order: hooks are in them.
    pub main: Vec<Source>,
    /// Those that can be asked for with `require`, by their names without `.lua`, with dots for slashes.
    pub modules: Vec<Source>,
}

impl std::fmt::Debug for Lua {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lua").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Lua {
    /// Runs the files, which have to define functions of these names.
    ///
    /// # Errors
    /// What is wrong with them, and where.
    pub fn load(
        code: Code,
        names: &[&str],
        limits: Limits,
        outside: Arc<dyn Outside>,
    ) -> Result<Self, Fault> {
        let long = code.main.iter().chain(&code.modules).find(|source| source.text.len() > LARGEST);
        if let Some(source) = long {
            return Err(Fault::Unusable(format!("`{}` is longer than {LARGEST} bytes", source.name)));
        }
        let pool = Pool::new(SPARE, AT_ONCE, limits.time);
        let lua = Self { code, limits, outside, pool };
        let engine = lua.make()?;
        if let Some(missing) = names.iter().find(|name| !engine.has(name)) {
            return Err(Fault::Missing((*missing).to_owned()));
        }
        pool::give_back(&lua, engine);
        Ok(lua)
    }

    /// Calls a plugin from its hook.
    ///
    /// # Errors
    /// Why it gives no outcome.
    pub async fn call(self: &Arc<Self>, name: &str, call: &Call<'_>) -> Result<Outcome, Fault> {
        let mut object = grpc::question(name, call);
        // Hooks set fields of a session that is not there yet.
        object.session.get_or_insert_with(SessionState::default);
        let (name, hook, raw_only) = (name.to_owned(), call.hook, call.raw_body_only);
        let given = pool::run(self, move |engine| engine.call(&name, hook, object, raw_only)).await?;
        Ok(grpc::outcome(given, call))
    }

    /// Has a plugin edit a record, which is JSON before and after.
    ///
    /// # Errors
    /// Why it gives none.
    pub async fn record(self: &Arc<Self>, name: &str, record: &str, spec: &Spec) -> Result<String, Fault> {
        let (name, record, spec) = (name.to_owned(), record.to_owned(), grpc::spec(spec));
        pool::run(self, move |engine| engine.record(&name, &record, &spec)).await
    }
}

impl Host for Lua {
    type Engine = Engine;

    fn pool(&self) -> &Pool<Engine> {
        &self.pool
    }

    fn make(&self) -> Result<Engine, Fault> {
        Engine::new(&self.code, self.limits, &self.outside)
    }

    fn is_sound(engine: &Engine) -> bool {
        engine.is_sound()
    }
}

/// What a hook is called with, in its order.
const fn arguments(hook: Hook) -> &'static [&'static str] {
    match hook {
        Hook::Auth => &["request", "session", "metadata", "spec"],
        Hook::Response => &["request", "response", "session", "metadata", "spec"],
        Hook::Pre | Hook::PostKeyAuth | Hook::Post => &["request", "session", "spec"],
    }
}

/// What it may return, in its order.
const fn results(hook: Hook) -> &'static [&'static str] {
    match hook {
        Hook::Response => &["response"],
        _ => &["request", "session", "metadata"],
    }
}

/// An object without its bodies, and these.
fn apart(mut object: Object) -> (Object, [Vec<u8>; 2]) {
    let mut bodies = [Vec::new(), Vec::new()];
    if let Some(request) = &mut object.request {
        request.body.clear();
        bodies[0] = std::mem::take(&mut request.raw_body);
    }
    if let Some(response) = &mut object.response {
        response.body.clear();
        bodies[1] = std::mem::take(&mut response.raw_body);
    }
    (object, bodies)
}
