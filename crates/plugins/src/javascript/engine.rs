//! One engine: the scripts of an API, loaded once and called as often as it holds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rquickjs::context::EvalOptions;
use rquickjs::function::Args;
use rquickjs::loader::{BuiltinLoader, BuiltinResolver};
use rquickjs::{CatchResultExt, CaughtError, Context, Ctx, Function, Module, Object, Runtime, Value};

use super::arguments::{Argument, Arguments};
use super::{Limits, Source, native};
use crate::call::Texts;
use crate::pool::PROMPT;
use crate::{Fault, Outside};

/// Stack of a script, in bytes; the threads that run it have four times as much.
const STACK: usize = 512 << 10;
/// Requests and batches that one call may send.
const MOST_REQUESTS: usize = 100;
/// Promises that are settled after a call has ended, in a row.
const MOST_JOBS: usize = 10_000;

/// What is left to a call.
pub(super) struct Left {
    until: Instant,
    requests: usize,
    /// It is tried at once, see [`crate::pool`].
    hurries: bool,
    /// It was tried at once, and has to be done again elsewhere.
    put_off: bool,
    /// What a call that is tried at once has to say, once it is known to count.
    lines: Vec<String>,
}

impl Left {
    fn new(time: Duration, hurries: bool) -> Self {
        let until = Instant::now() + if hurries { PROMPT.min(time) } else { time };
        Self { until, requests: MOST_REQUESTS, hurries, put_off: false, lines: Vec::new() }
    }

    /// Whether the call has to end here.
    fn is_over(&mut self) -> bool {
        let late = Instant::now() >= self.until;
        self.put_off |= late && self.hurries;
        late || self.put_off
    }

    /// Whether the call may ask for something outside; else it is put off.
    pub(super) fn may_ask(&mut self) -> bool {
        self.put_off |= self.hurries;
        !self.hurries
    }

    /// Keeps a line for later, or gives it back to be logged now.
    pub(super) fn keep_line(&mut self, line: String) -> Option<String> {
        if !self.hurries {
            return Some(line);
        }
        self.lines.push(line);
        None
    }

    /// Takes one of the requests of a call; tells how long its answer may take.
    ///
    /// # Errors
    /// There is none left.
    pub(super) fn request(&mut self) -> Result<Duration, String> {
        let left = self.requests.checked_sub(1);
        self.requests = left.ok_or_else(|| format!("a call sends no more than {MOST_REQUESTS} requests"))?;
        Ok(self.until.saturating_duration_since(Instant::now()))
    }
}

/// What an entry of the prelude returns.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// JSON; `None` where it would change nothing.
    pub(super) json: Option<String>,
    /// The body that takes the place of another one.
    pub(super) body: Option<String>,
    /// Header fields that are to be set.
    pub(super) set_headers: Texts,
}

impl Given {
    /// Reads an array: JSON, body; then the name and the text of each field.
    fn read(array: &rquickjs::Array<'_>) -> rquickjs::Result<Self> {
        let mut given = Self { json: array.get(0)?, body: array.get(1)?, set_headers: Texts::new() };
        for at in (2..array.len()).step_by(2) {
            given.set_headers.insert(array.get(at)?, array.get(at + 1)?);
        }
        Ok(given)
    }

    /// The JSON of an entry that always has something to say.
    ///
    /// # Errors
    /// What the script gave cannot be written as JSON: it gave nothing, or a function.
    pub(super) fn text(self) -> Result<String, Fault> {
        self.json.ok_or_else(|| Fault::Shape("it gives nothing".to_owned()))
    }
}

pub(crate) struct Engine {
    runtime: Runtime,
    context: Context,
    left: Arc<Mutex<Left>>,
    outside: Arc<dyn Outside>,
    limits: Limits,
    /// Calls are tried at once.
    hurries: bool,
    /// It ran out of time or memory: what it holds may be anything.
    broken: bool,
}

impl Engine {
    /// Makes an engine and runs the scripts in it, in their order.
    ///
    /// # Errors
    /// What is wrong with a script, and where.
    pub(super) fn new(sources: &[Source], limits: Limits, outside: &Arc<dyn Outside>) -> Result<Self, Fault> {
        let left = Arc::new(Mutex::new(Left::new(limits.time, false)));
        let make = || -> rquickjs::Result<(Runtime, Context)> {
            let runtime = Runtime::new()?;
            runtime.set_memory_limit(limits.memory);
            runtime.set_max_stack_size(STACK);
            let watched = Arc::clone(&left);
            let is_late = move || watched.lock().is_over();
            runtime.set_interrupt_handler(Some(Box::new(is_late)));
            let (mut resolver, mut loader) = (BuiltinResolver::default(), BuiltinLoader::default());
            for module in sources.iter().filter(|source| source.is_module()) {
                resolver = resolver.with_module(&*module.name);
                loader = loader.with_module(&*module.name, module.text.as_bytes().to_vec());
            }
            runtime.set_loader(resolver, loader);
            let context = Context::full(&runtime)?;
            Ok((runtime, context))
        };
        let (runtime, context) =
            make().map_err(|fault| Fault::Unusable(format!("no engine for scripts: {fault}")))?;
        context
            .with(|context| -> rquickjs::Result<()> {
                let native = native::functions(&context, &left, outside)?;
                let prelude: Function<'_> = context.eval(include_str!("prelude.js"))?;
                // No script comes near them there.
                context.store_userdata(prelude.call::<_, Object<'_>>((native,))?).map(drop)?;
                Ok(())
            })
            .map_err(|fault| Fault::Unusable(format!("no engine for scripts: {fault}")))?;
        let outside = Arc::clone(outside);
        let mut engine = Self { runtime, context, left, outside, limits, hurries: false, broken: false };
        for source in sources {
            engine.load(source)?;
        }
        Ok(engine)
    }

    fn load(&mut self, source: &Source) -> Result<(), Fault> {
        self.begin();
        let ran = self.context.with(|context| match source.is_module() {
            true => exported(&context, source).catch(&context).map_err(|fault| told(&fault)),
            false => {
                let mut options = EvalOptions::default();
                options.strict = false;
                options.filename = Some(source.name.to_string());
                let ran = context.eval_with_options::<Value<'_>, _>(&*source.text, options);
                ran.map(drop).catch(&context).map_err(|fault| told(&fault))
            }
        });
        self.end(ran).map_err(|fault| match fault {
            Fault::Thrown(text) => Fault::Unusable(format!("`{}` cannot be used: {text}", source.name)),
            other => other,
        })
    }

    /// Whether it can be called again.
    pub(super) fn is_sound(&self) -> bool {
        !self.broken
    }

    /// Calls are tried at once from now on, or may take their time.
    pub(super) fn hurry(&mut self, hurry: bool) {
        self.hurries = hurry;
    }

    /// Whether the last call was put off.
    pub(super) fn was_put_off(&self) -> bool {
        self.left.lock().put_off
    }

    /// Whether the scripts define something of this name that can be called.
    pub(super) fn has(&self, name: &str) -> bool {
        let found = self.context.with(|context| entry_of(&context, "has")?.call::<_, bool>((name,)));
        matches!(found, Ok(true))
    }

    /// Calls an entry of the prelude.
    ///
    /// # Errors
    /// What the script threw, or why it was ended.
    pub(super) fn call(&mut self, entry: &str, arguments: &Arguments<'_>) -> Result<Given, Fault> {
        self.begin();
        let ran = self.context.with(|context| {
            let call = || {
                let function = entry_of(&context, entry)?;
                let mut given = Args::new(context.clone(), arguments.0.len());
                for argument in &arguments.0 {
                    match argument {
                        Argument::Text(text) => given.push_arg(&**text)?,
                        Argument::Number(number) => given.push_arg(*number)?,
                        Argument::Nothing => given.push_arg(rquickjs::Undefined)?,
                    }
                }
                Given::read(&function.call_arg(given)?)
            };
            call().catch(&context).map_err(|fault| told(&fault))
        });
        self.end(ran)
    }

    fn begin(&self) {
        *self.left.lock() = Left::new(self.limits.time, self.hurries);
    }

    fn end<T>(&mut self, ran: Result<T, String>) -> Result<T, Fault> {
        let ran = ran.and_then(|given| {
            // A script that is not finished goes on in no other call.
            self.settle().map(|()| given).inspect_err(|_| self.broken = true)
        });
        let (late, put_off, lines) = {
            let mut left = self.left.lock();
            // What came to its end in spite of its time counts.
            let late = ran.is_err() && left.is_over();
            (late, left.put_off, std::mem::take(&mut left.lines))
        };
        // What was put off says it all again.
        self.broken |= put_off;
        if !put_off {
            lines.iter().for_each(|line| self.outside.log(line));
        }
        ran.map_err(|text| {
            // Nobody knows what an engine keeps that was stopped anywhere.
            if late {
                self.broken = true;
                return Fault::Late(self.limits.time);
            }
            if text.contains("out of memory") {
                self.broken = true;
                return Fault::Memory(self.limits.memory);
            }
            Fault::Thrown(text)
        })
    }

    /// Runs what a script left behind promises.
    fn settle(&self) -> Result<(), String> {
        for _ in 0..MOST_JOBS {
            match self.runtime.execute_pending_job() {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(_) => return Err("a promise of the script failed".to_owned()),
            }
        }
        Err(format!("the script leaves more than {MOST_JOBS} promises in a row"))
    }
}

/// A function of the prelude.
fn entry_of<'js>(context: &Ctx<'js>, name: &str) -> rquickjs::Result<Function<'js>> {
    let entries = context.userdata::<Object<'js>>().ok_or(rquickjs::Error::Unknown)?;
    entries.get(name)
}

/// Runs a module and puts what it exports where scripts have their names; `default` gets the name of the file.
fn exported<'js>(context: &Ctx<'js>, source: &Source) -> rquickjs::Result<()> {
    let module = Module::declare(context.clone(), &*source.name, source.text.as_bytes())?;
    let (module, ran) = module.eval()?;
    ran.finish::<()>()?;
    for pair in module.namespace()?.props::<String, Value<'js>>() {
        let (name, value) = pair?;
        match name.as_str() {
            "default" => context.globals().set(source.stem(), value)?,
            name => context.globals().set(name, value)?,
        }
    }
    Ok(())
}

/// What a script threw, and where.
fn told(fault: &CaughtError<'_>) -> String {
    match fault {
        CaughtError::Exception(exception) => {
            let name = exception.as_object().get::<_, String>("name").unwrap_or_default();
            let message = exception.message().unwrap_or_default();
            let text =
                if name.is_empty() || name == "Error" { message } else { format!("{name}: {message}") };
            match exception.stack().as_deref().and_then(place) {
                Some(place) => format!("{text} ({place})"),
                None => text,
            }
        }
        CaughtError::Value(value) => match value.as_string().and_then(|text| text.to_string().ok()) {
            Some(text) => text,
            // What the engine throws when there is no room even for an error.
            None if value.is_null() => "out of memory".to_owned(),
            None => "it threw a value that is no error".to_owned(),
        },
        CaughtError::Error(fault) => fault.to_string(),
    }
}

/// The first place in a stack, without that of the prelude: `file:line`, of `at f (file:2:5)`.
fn place(stack: &str) -> Option<String> {
    stack.lines().find_map(|line| {
        let line = line.trim().strip_prefix("at ")?;
        let inside = line.rsplit_once('(').map_or(line, |(_, inside)| inside.trim_end_matches(')'));
        let mut parts = inside.rsplitn(3, ':');
        let (_column, row) = (parts.next()?, parts.next()?);
        let file = parts.next()?;
        (row.parse::<u32>().is_ok() && !file.starts_with("eval_script")).then(|| format!("{file}:{row}"))
    })
}
