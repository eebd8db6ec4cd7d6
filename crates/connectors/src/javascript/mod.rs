//! Scripts (streams contract 3.7).
//!
//! A script runs in an engine of its own that knows nothing of the machine: no files, no modules, no timers. What it may
//! do outside is in [`functions`]: read and change its message, write to the log, send requests where the egress policy
//! allows it.

mod engine;
mod fetch;
mod functions;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bloblang::{Environment, Template};
use document::Fault;
use parking_lot::Mutex;
use streams::{Batch, BuildContext, Default, Field, Kind, Message, Node, Processor, ProcessorSpec, View};

use engine::Engine;
use fetch::Fetch;
use functions::Outside;

/// Processor `javascript`.
pub static PROCESSOR: ProcessorSpec = ProcessorSpec {
    name: "javascript",
    summary: "Runs a script on each message. It reads and changes the message with the functions of the object `bento` (or `benthos`). A script that throws leaves the message as it was, flagged; one is ended after two seconds, requests aside, or after thirty in all, sends a hundred requests at most, and has 64 MiB of memory.",
    config: Kind::Object(&[
        Field::optional(
            "code",
            Kind::Template,
            "The script. It is the body of a function: `return` ends it.",
        ),
        Field::optional(
            "file",
            Kind::Template,
            "A file with the script, instead of `code`; only where streams may read files.",
        ),
        Field::new(
            "global_folders",
            Kind::Refused("scripts load no modules; put what a script needs into it"),
            Default::Texts(&[]),
            "Folders with modules.",
        ),
    ]),
    build,
};

/// Largest script, in bytes.
const LARGEST: usize = 1 << 20;
/// Engines that are kept while they have nothing to do.
const SPARE: usize = 64;

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    let environment = context.settings.environment.clone();
    let (field, source) =
        match (node.optional_template("code", context)?, node.optional_template("file", context)?) {
            (Some(code), None) => ("code", Source::Code(code)),
            (None, Some(file)) => ("file", Source::File(file)),
            (Some(_), Some(_)) => return Err(node.field_fault("file", "write either `code` or `file`")),
            (None, None) => return Err(node.fault("one of `code` and `file` is required")),
        };
    if let Source::File(_) = source
        && !environment.allows(bloblang::Capability::File)
    {
        return Err(node
            .field_fault("file", "reading files is not allowed here")
            .hint("write the script into `code`, or let streams read files: `streaming.mappings.files`"));
    }
    let fixed = match source.fixed(&environment) {
        Some(script) => Some(script.map_err(|fault| node.field_fault(field, fault))?),
        None => None,
    };
    let outside = Outside {
        stream: context.stream.clone(),
        path: context.probe.path.as_str().into(),
        fetch: Fetch::new(context),
    };
    let scripts = Scripts { source, fixed, environment, outside: Arc::new(outside), spare: Mutex::default() };
    if let Some(script) = &scripts.fixed {
        let engine = scripts.engine().map_err(|fault| node.fault(fault))?;
        engine.check(script).map_err(|fault| node.field_fault(field, fault))?;
        scripts.give_back(engine);
    }
    Ok(Box::new(JavaScript(Arc::new(scripts))))
}

/// Where the script comes from.
enum Source {
    Code(Template),
    File(Template),
}

impl Source {
    /// The script, when it is the same for every message.
    fn fixed(&self, environment: &Environment) -> Option<Result<Arc<str>, String>> {
        match self {
            Source::Code(code) => code.as_static().map(bounded),
            Source::File(file) => file.as_static().map(|file| read(environment, file)),
        }
    }

    /// The script for one message.
    fn of(&self, environment: &Environment, batch: &[Message], index: usize) -> Result<Arc<str>, String> {
        let render = |template: &Template, what: &str| {
            template.render(&View(batch), index).map_err(|fault| format!("{what} failed: {fault}"))
        };
        match self {
            Source::Code(code) => bounded(&render(code, "the code")?),
            Source::File(file) => read(environment, &render(file, "the name of the file")?),
        }
    }
}

fn bounded(script: &str) -> Result<Arc<str>, String> {
    match script.len() > LARGEST {
        true => Err(format!("the script is longer than {LARGEST} bytes")),
        false => Ok(script.into()),
    }
}

fn read(environment: &Environment, name: &str) -> Result<Arc<str>, String> {
    let file = environment.read_file(name).map_err(|why| format!("`{name}` cannot be read: {why}"))?;
    let text = std::str::from_utf8(&file.content).map_err(|_| format!("`{name}` is not UTF-8 text"))?;
    bounded(text)
}

struct Scripts {
    source: Source,
    fixed: Option<Arc<str>>,
    environment: Environment,
    outside: Arc<Outside>,
    /// Engines without work: making one takes much longer than a script.
    spare: Mutex<Vec<Engine>>,
}

impl Scripts {
    fn engine(&self) -> Result<Engine, String> {
        let spare = self.spare.lock().pop();
        spare.map_or_else(|| Engine::new(&self.outside), Ok)
    }

    fn give_back(&self, engine: Engine) {
        let mut spare = self.spare.lock();
        if spare.len() < SPARE && engine.is_sound() {
            spare.push(engine);
        }
    }

    /// Runs the script on every message, until nobody waits any more. Takes as long as they do.
    fn run(&self, mut batch: Batch, cut: &AtomicBool) -> Batch {
        let mut engine = None;
        for index in 0..batch.len() {
            if cut.load(Ordering::Relaxed) {
                break;
            }
            let done = self.run_one(&batch, index, &mut engine);
            match done {
                Ok(message) => batch[index] = message,
                Err(fault) => batch[index].set_error(format!("javascript: {fault}")),
            }
        }
        engine.into_iter().for_each(|engine| self.give_back(engine));
        batch
    }

    fn run_one(
        &self,
        batch: &[Message],
        index: usize,
        engine: &mut Option<Engine>,
    ) -> Result<Message, String> {
        let script = match &self.fixed {
            Some(script) => script.clone(),
            None => self.source.of(&self.environment, batch, index)?,
        };
        let mut ready = match engine.take().filter(Engine::is_sound) {
            Some(ready) => ready,
            None => self.engine()?,
        };
        let done = ready.run(&script, batch[index].clone());
        *engine = Some(ready);
        done
    }
}

struct JavaScript(Arc<Scripts>);

/// Tells the thread that runs scripts, when it is dropped, that nobody waits for them.
struct Waits(Arc<AtomicBool>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl Processor for JavaScript {
    async fn process(&self, batch: Batch) -> Vec<Batch> {
        let (scripts, working) = (self.0.clone(), batch.clone());
        let cut = Arc::new(AtomicBool::new(false));
        let _waits = Waits(cut.clone());
        // A script may compute for long, and waits for the answers to its requests.
        match tokio::task::spawn_blocking(move || scripts.run(working, &cut)).await {
            Ok(done) => vec![done],
            Err(fault) => {
                let mut batch = batch;
                let text: Arc<str> = format!("javascript: the script was interrupted: {fault}").into();
                batch.iter_mut().for_each(|message| message.set_error(text.clone()));
                vec![batch]
            }
        }
    }
}
