//! Scripts that are tried out, without a definition and without an exchange (contract 7.3, `POST /plugins/test`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use plugins::javascript::{Defined, Scripts, Source};
use plugins::{Answer, Call, Fault, Hook, Outcome, Outgoing, Outside, Request, Response, Spec};

use super::outside::World;
use crate::gate::Gate;

/// Lines of a log that are kept.
const MOST_LINES: usize = 1000;
/// Texts that a script may store, and the longest of them in bytes.
const MOST_TEXTS: (usize, usize) = (1000, 64 << 10);

/// What is tried.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) code: String,
    pub(crate) hook: Hook,
    /// What the hook is called in definitions.
    pub(crate) hook_name: &'static str,
    pub(crate) request: Request,
    pub(crate) response: Option<Response>,
    pub(crate) session: Option<apidef::Session>,
    pub(crate) spec: Spec,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Tried {
    pub(crate) outcome: Result<Outcome, Fault>,
    pub(crate) lines: Vec<String>,
    /// Loading the code is no part of it.
    pub(crate) took: Duration,
}

/// Loads a script and calls it once.
pub(crate) async fn try_out(gate: &Gate, trial: &Trial) -> Tried {
    let bench = Arc::new(Bench::new(World::of(gate, &trial.spec.api)));
    let source = Source { name: "plugin.js".into(), text: trial.code.as_str().into() };
    let (limits, outside) = (gate.settings.plugins.limits, Arc::clone(&bench) as Arc<dyn Outside>);
    let hook_name = trial.hook_name;
    let loaded = tokio::task::spawn_blocking(move || {
        let scripts = Scripts::load(vec![source], limits, outside)?;
        let name = called(scripts.defined()?, hook_name)?;
        Ok((Arc::new(scripts), name))
    });
    let loaded = loaded.await.unwrap_or_else(|why| Err(Fault::Thrown(format!("it was interrupted: {why}"))));
    let began = Instant::now();
    let outcome = match loaded {
        Ok((scripts, name)) => {
            let call = Call {
                hook: trial.hook,
                request: &trial.request,
                response: trial.response.as_ref(),
                session: trial.session.as_ref(),
                spec: &trial.spec,
                raw_body_only: false,
            };
            scripts.call(&name, &call).await
        }
        Err(fault) => Err(fault),
    };
    Tried { outcome, took: began.elapsed(), lines: std::mem::take(&mut *bench.lines.lock()) }
}

/// Which of what a script defines is called: nobody says so.
fn called(defined: Defined, hook_name: &str) -> Result<String, Fault> {
    let Defined { objects, functions } = defined;
    let one = |mut names: Vec<String>, what: &str| match names.len() {
        1 => Ok(names.remove(0)),
        _ => Err(Fault::Thrown(format!(
            "which of its {what} is to be called ({})? Leave one, or name a function `{hook_name}`",
            names.join(", ")
        ))),
    };
    if functions.iter().any(|name| name == hook_name) {
        return Ok(hook_name.to_owned());
    }
    match (objects.is_empty(), functions.is_empty()) {
        (false, _) => one(objects, "objects"),
        (true, false) => one(functions, "functions"),
        (true, true) => Err(Fault::Missing(hook_name.to_owned())),
    }
}

/// The world as a script that is tried out sees it: nothing that it does there stays.
#[derive(Debug)]
struct Bench {
    world: World,
    lines: Mutex<Vec<String>>,
    kept: Mutex<BTreeMap<String, String>>,
}

impl Bench {
    fn new(world: World) -> Self {
        Self { world, lines: Mutex::default(), kept: Mutex::default() }
    }
}

impl Outside for Bench {
    fn log(&self, line: &str) {
        let mut lines = self.lines.lock();
        if lines.len() < MOST_LINES {
            lines.push(line.to_owned());
        }
    }

    fn send(&self, request: &Outgoing, longest: Duration) -> Result<Answer, String> {
        self.world.send(request, longest)
    }

    fn session(&self, key: &str, api: &str) -> Option<String> {
        self.world.session(key, api)
    }

    fn put_session(&self, key: &str, _: &str, _: bool) -> Result<(), String> {
        self.log(&format!("the session of `{key}` is not stored: this is a test"));
        Ok(())
    }

    fn batch(&self, _: &str, _: Duration) -> Result<String, String> {
        Err("there is no API to send batches to: this is a test".to_owned())
    }

    fn stored(&self, name: &str) -> Result<Option<String>, String> {
        Ok(self.kept.lock().get(name).cloned())
    }

    fn store(&self, name: &str, text: &str, _: u64, new: bool) -> Result<bool, String> {
        let (most, longest) = MOST_TEXTS;
        let mut kept = self.kept.lock();
        let is_there = kept.contains_key(name);
        if text.len() > longest || name.len() > longest || (kept.len() >= most && !is_there) {
            return Err("this is more than a test stores".to_owned());
        }
        let stores = !(new && is_there);
        if stores {
            kept.insert(name.to_owned(), text.to_owned());
        }
        Ok(stores)
    }

    fn forget(&self, name: &str) -> Result<bool, String> {
        Ok(self.kept.lock().remove(name).is_some())
    }

    fn add(&self, name: &str, by: i64) -> Result<i64, String> {
        let before = self.stored(name)?;
        let before: i64 = before.map_or(Ok(0), |text| text.parse()).map_err(|_| "this is no number")?;
        let sum = before.checked_add(by).ok_or("the number is too large")?;
        self.store(name, &sum.to_string(), 0, false)?;
        Ok(sum)
    }

    fn seconds_left(&self, name: &str) -> Result<i64, String> {
        Ok(if self.kept.lock().contains_key(name) { -1 } else { -2 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_called_is_the_hook_or_the_only_one() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for (objects, functions, expected) in [
            (&["m"][..], &[][..], Some("m")),
            (&["m"], &["helper"], Some("m")),
            (&["m"], &["helper", "pre"], Some("pre")),
            (&["m", "n"], &[], None),
            (&[], &["any"], Some("any")),
            (&[], &["one", "other"], None),
            (&[], &[], None),
        ] {
            let defined = Defined { objects: names(objects), functions: names(functions) };
            let found = called(defined, "pre").ok();
            assert_eq!(found.as_deref(), expected, "{objects:?} {functions:?}");
        }
    }
}
