//! One engine: compiles a script once, and runs it on one message after the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rquickjs::context::EvalOptions;
use rquickjs::function::This;
use rquickjs::{CatchResultExt, CaughtError, Context, Ctx, Function, Runtime, Value};
use streams::Message;

use super::functions::{self, Outside};

/// Memory of an engine, in bytes.
const MEMORY: usize = 64 << 20;
/// Stack of a script, in bytes; the threads that run it have four times as much.
const STACK: usize = 512 << 10;
/// A run takes no longer, requests aside.
const LONGEST: Duration = Duration::from_secs(2);
/// A run takes no longer, requests included.
const LONGEST_OF_ALL: Duration = Duration::from_secs(30);
/// Most requests of one run.
const MOST_REQUESTS: usize = 100;
/// Promises that are settled after the script has ended, in a row.
const MOST_JOBS: usize = 10_000;
/// The script in the engine. It is no name that a script can write by accident.
const SCRIPT: &str = "\u{2063}script";

/// What the functions of a script work on.
pub(super) struct Current {
    pub(super) message: Option<Message>,
    /// When the script is ended, if its requests do not put that off.
    pub(super) until: Instant,
    /// When it is ended whatever it waits for.
    pub(super) last: Instant,
    /// Requests that it may still send.
    pub(super) requests: usize,
}

impl Current {
    pub(super) fn new(message: Option<Message>) -> Current {
        let now = Instant::now();
        Current { message, until: now + LONGEST, last: now + LONGEST_OF_ALL, requests: MOST_REQUESTS }
    }

    pub(super) fn is_late(&self) -> bool {
        Instant::now() >= self.until.min(self.last)
    }

    /// Takes one of the requests of this run; gives how long its answer may take at most.
    ///
    /// # Errors
    /// Why none may be sent.
    pub(super) fn request(&mut self) -> Result<Duration, String> {
        if self.message.is_none() {
            return Err("there is no message now".to_owned());
        }
        let left = self.requests.checked_sub(1);
        self.requests =
            left.ok_or_else(|| format!("a script sends no more than {MOST_REQUESTS} requests"))?;
        Ok(self.last.saturating_duration_since(Instant::now()))
    }
}

pub(super) type Shared = Arc<Mutex<Current>>;

pub(super) struct Engine {
    runtime: Runtime,
    context: Context,
    current: Shared,
    /// The script that is compiled.
    compiled: Option<Arc<str>>,
    /// It ran out of time or memory: what it holds may be anything.
    broken: bool,
}

impl Engine {
    pub(super) fn new(outside: &Arc<Outside>) -> Result<Engine, String> {
        let make = || -> rquickjs::Result<(Runtime, Context)> {
            let runtime = Runtime::new()?;
            runtime.set_memory_limit(MEMORY);
            runtime.set_max_stack_size(STACK);
            let context = Context::full(&runtime)?;
            Ok((runtime, context))
        };
        let (runtime, context) = make().map_err(|fault| format!("no engine for scripts: {fault}"))?;
        let current: Shared = Arc::new(Mutex::new(Current::new(None)));
        let watched = current.clone();
        runtime.set_interrupt_handler(Some(Box::new(move || watched.lock().is_late())));
        context
            .with(|context| functions::install(&context, &current, outside))
            .map_err(|fault| format!("no engine for scripts: {fault}"))?;
        Ok(Engine { runtime, context, current, compiled: None, broken: false })
    }

    /// Whether it can run another script.
    pub(super) fn is_sound(&self) -> bool {
        !self.broken
    }

    /// Compiles a script without running it.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub(super) fn check(&self, script: &Arc<str>) -> Result<(), String> {
        *self.current.lock() = Current::new(None);
        self.context.with(|context| {
            // Ends before anything of the script could run, also of one that closes the function around it.
            let source = format!("throw null; {}", wrapped(script));
            match context.eval_with_options::<Value<'_>, _>(source, options()).catch(&context) {
                Err(CaughtError::Value(value)) if value.is_null() => Ok(()),
                Err(fault) => Err(told(&fault, script)),
                Ok(_) => Err("the script cannot be compiled".to_owned()),
            }
        })
    }

    /// Runs a script on a message; gives what it made of it.
    ///
    /// # Errors
    /// What the script threw, or why it was ended.
    pub(super) fn run(&mut self, script: &Arc<str>, message: Message) -> Result<Message, String> {
        *self.current.lock() = Current::new(Some(message));
        let known = self
            .compiled
            .as_ref()
            .is_some_and(|compiled| Arc::ptr_eq(compiled, script) || compiled == script);
        let ran = self.context.with(|context| {
            let function = match known {
                true => {
                    context.globals().get::<_, Function<'_>>(SCRIPT).map_err(|fault| fault.to_string())?
                }
                false => {
                    let function = compile(&context, script)?;
                    context.globals().set(SCRIPT, function.clone()).map_err(|fault| fault.to_string())?;
                    function
                }
            };
            let called = function.call::<_, Value<'_>>((This(context.globals()),));
            called.map(|_| ()).catch(&context).map_err(|fault| told(&fault, script))
        });
        let ran = ran.and_then(|()| self.settle());
        self.compiled = Some(script.clone());
        let mut current = self.current.lock();
        let late = current.is_late();
        let longest = if Instant::now() >= current.last { LONGEST_OF_ALL } else { LONGEST };
        let message = current.message.take();
        drop(current);
        match ran {
            Err(_) if late => {
                self.broken = true;
                Err(format!("the script was ended: it takes longer than {longest:?}"))
            }
            Err(fault) => {
                // Nobody knows what an engine without memory keeps.
                self.broken = fault.contains("out of memory");
                Err(fault)
            }
            Ok(()) => message.ok_or_else(|| "the script lost its message".to_owned()),
        }
    }

    /// Runs what the script left behind promises.
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

/// The script as a function: its variables are its own, and it is parsed once.
fn compile<'js>(context: &Ctx<'js>, script: &str) -> Result<Function<'js>, String> {
    context
        .eval_with_options::<Function<'_>, _>(wrapped(script), options())
        .catch(context)
        .map_err(|fault| told(&fault, script))
}

fn wrapped(script: &str) -> String {
    // A line end after the script ends a comment in its last line.
    format!("(function () {{{script}\n}})")
}

fn options() -> EvalOptions {
    let mut options = EvalOptions::default();
    options.strict = false;
    options.filename = Some("script".to_owned());
    options
}

/// What a script threw, and where.
fn told(fault: &CaughtError<'_>, script: &str) -> String {
    match fault {
        CaughtError::Exception(exception) => {
            let name = exception.as_object().get::<_, String>("name").unwrap_or_default();
            let message = exception.message().unwrap_or_default();
            let line = exception.stack().and_then(|stack| line_of(&stack));
            let text =
                if name.is_empty() || name == "Error" { message } else { format!("{name}: {message}") };
            match line {
                // Behind the end: the closing brace of the function around it.
                Some(line) => format!("{text} (line {})", line.min(script.lines().count().max(1))),
                None => text,
            }
        }
        CaughtError::Value(value) => match value.as_string().and_then(|text| text.to_string().ok()) {
            Some(text) => text,
            None => "the script threw a value that is no error".to_owned(),
        },
        CaughtError::Error(fault) => fault.to_string(),
    }
}

/// The first line of the script in a stack: `at f (script:2:5)`.
fn line_of(stack: &str) -> Option<usize> {
    let (_, rest) = stack.split_once("script:")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
