//! Plugins in WebAssembly: filters of proxy-wasm (ABI 0.2.1), in an interpreter.
//!
//! A filter sees a request or an answer in one hook, whole: its header fields, and its body at once; or a record, by its
//! properties. It computes with a budget of fuel, in memory of its own, and reaches nothing but what the interface offers.
//! Contexts live for one hook.

mod exchange;
mod filter;
mod imports;
pub mod pairs;
#[cfg(test)]
mod tests;
mod told;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use wasmi::{Config, Engine, Module};

use crate::code::Limits;
use crate::pool::{self, Host, Pool};
use crate::{Call, Fault, Outcome, Outside, Spec};
use exchange::Exchange;
use filter::{Instance, Shared};

/// Largest module, in bytes.
const LARGEST: usize = 16 << 20;
/// Instances that are kept while they have nothing to do.
const SPARE: usize = 32;
/// Calls of one filter that run at once; more wait.
const AT_ONCE: usize = 64;

/// A filter and its module.
#[derive(Debug, Clone)]
pub struct Code {
    /// Its name in the definition.
    pub name: Box<str>,
    /// The module: its binary form.
    pub module: Arc<[u8]>,
    /// What it is called with.
    pub sees: Sees,
}

/// What a filter is called with in a hook.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Sees {
    /// Requests.
    #[default]
    Requests,
    /// Answers.
    Answers,
    /// Records, before they are stored.
    Records,
}

impl Sees {
    /// The function that a filter has to offer for this.
    const fn function(self) -> &'static str {
        match self {
            Self::Requests => "proxy_on_request_headers",
            Self::Answers => "proxy_on_response_headers",
            Self::Records => "proxy_on_log",
        }
    }
}

/// The filters of one API.
#[derive(Debug)]
pub struct Wasm {
    filters: BTreeMap<Box<str>, Arc<Filter>>,
}

struct Filter {
    engine: Engine,
    module: Module,
    configuration: Vec<u8>,
    limits: Limits,
    outside: Arc<dyn Outside>,
    shared: Arc<Mutex<Shared>>,
    pool: Pool<Instance>,
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Filter").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Wasm {
    /// Compiles filters and configures an instance of each.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub fn load(
        code: Vec<Code>,
        configuration: &Value,
        limits: Limits,
        outside: &Arc<dyn Outside>,
    ) -> Result<Self, Fault> {
        let mut config = Config::default();
        config.consume_fuel(true);
        // The limit of memory counts for each memory.
        config.wasm_multi_memory(false);
        let engine = Engine::new(&config);
        let configuration = match configuration {
            Value::Null => Vec::new(),
            value => value.to_string().into_bytes(),
        };
        let mut filters: BTreeMap<Box<str>, Arc<Filter>> = BTreeMap::new();
        for code in code {
            let named = |fault: Fault| Fault::Unusable(format!("`{}`: {fault}", code.name));
            if code.module.len() > LARGEST {
                return Err(named(Fault::Unusable(format!("it is longer than {LARGEST} bytes"))));
            }
            let filter = match filters.get(&code.name) {
                Some(filter) => Arc::clone(filter),
                None => {
                    let module = Module::new(&engine, &code.module)
                        .map_err(|why| named(Fault::Unusable(format!("this is no module: {why}"))))?;
                    let filter = Arc::new(Filter {
                        engine: engine.clone(),
                        module,
                        configuration: configuration.clone(),
                        limits,
                        outside: Arc::clone(outside),
                        shared: Arc::default(),
                        pool: Pool::new(SPARE, AT_ONCE, limits.time),
                    });
                    filters.insert(code.name.clone(), Arc::clone(&filter));
                    filter
                }
            };
            let instance = pool::take(&*filter).map_err(named)?;
            if !instance.sees(code.sees) {
                let wanted = code.sees.function();
                let text = format!("it does nothing in this hook: it exports no `{wanted}`");
                return Err(named(Fault::Unusable(text)));
            }
            pool::give_back(&*filter, instance);
        }
        Ok(Self { filters })
    }

    /// Calls a filter from its hook.
    ///
    /// # Errors
    /// Why it gives no outcome.
    pub async fn call(&self, name: &str, call: &Call<'_>) -> Result<Outcome, Fault> {
        let filter = self.filters.get(name).ok_or_else(|| Fault::Missing(name.to_owned()))?;
        let exchange = Exchange::of(name, call);
        let made = pool::run(filter, move |instance| instance.call(exchange)).await?;
        made.outcome(call)
    }

    /// Has a filter edit a record, which is JSON before and after.
    ///
    /// # Errors
    /// Why it gives none.
    pub async fn record(&self, name: &str, record: &str, spec: &Spec) -> Result<String, Fault> {
        let filter = self.filters.get(name).ok_or_else(|| Fault::Missing(name.to_owned()))?;
        let exchange = Exchange::of_record(name, record, spec)?;
        let made = pool::run(filter, move |instance| instance.call(exchange)).await?;
        made.record(record)
    }
}

impl Host for Filter {
    type Engine = Instance;

    fn pool(&self) -> &Pool<Instance> {
        &self.pool
    }

    fn make(&self) -> Result<Instance, Fault> {
        Instance::new(
            &self.module,
            &self.configuration,
            self.limits,
            &self.outside,
            &self.shared,
            &self.engine,
        )
    }

    fn is_sound(engine: &Instance) -> bool {
        engine.is_sound()
    }
}
