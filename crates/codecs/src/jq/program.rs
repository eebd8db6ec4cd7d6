//! A compiled program.

use bytes::Bytes;
use jaq_core::load::parse::Def;
use jaq_core::load::{Arena, Error, File, Loader, parse};
use jaq_core::{Compiler, Ctx, Filter, Vars};
use jaq_json::{Val, read};
use streams::Message;

use super::guard::{TooDeep, definition};
use super::meter::{Data, Guarded, Meter, REPLACED, functions};
use super::write::json;

/// Longest program, in bytes.
const LONGEST: usize = 64 << 10;
/// How deep brackets may stand in each other.
const BRACKETS: usize = 200;
/// The stack that parsing, running and dropping what was made find.
const STACK: usize = 64 << 20;
/// Results of one run.
const MOST_RESULTS: usize = 1_000_000;
/// The definition that the program becomes.
const MAIN: &str = "__program";

/// A jq program, compiled and guarded.
pub struct Program {
    filter: Filter<Guarded>,
    /// Whether the metadata is asked for.
    metadata: bool,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").finish_non_exhaustive()
    }
}

impl Program {
    /// Compiles a program; what is wrong with it, and where.
    ///
    /// # Errors
    /// A text that is none, or that asks for what is not offered: modules, inputs, the environment.
    pub fn compile(query: &str) -> Result<Program, String> {
        if query.len() > LONGEST {
            return Err(format!("the program is longer than {LONGEST} bytes"));
        }
        if depth(query) > BRACKETS {
            return Err(format!("the program has brackets within each other deeper than {BRACKETS}"));
        }
        stacker::grow(STACK, || compile(query))
    }

    /// The payload that the results make; `None`: there is no result.
    pub(super) fn run(
        &self,
        message: &Message,
        raw: bool,
        output_raw: bool,
    ) -> Result<Option<Vec<u8>>, String> {
        let metadata = if self.metadata { metadata(message) } else { String::from("{}") };
        self.run_on(message.bytes(), &metadata, raw, output_raw)
    }

    /// What the program makes of a JSON document, as JSON; of several results an array. `None`: there is none.
    ///
    /// # Errors
    /// The document is none, the program fails, or it costs too much.
    pub fn apply(&self, document: &Bytes) -> Result<Option<Vec<u8>>, String> {
        // Looks at the document as a whole, its depth included.
        bloblang::Value::parse_json(document)?;
        self.run_on(document, "{}", false, false)
    }

    fn run_on(
        &self,
        payload: &Bytes,
        metadata: &str,
        raw: bool,
        output_raw: bool,
    ) -> Result<Option<Vec<u8>>, String> {
        // Values are made and dropped on this stack, too.
        stacker::grow(STACK, || {
            let parse = |text: &[u8]| read::parse_single(text).map_err(|fault| fault.to_string());
            let input = match raw {
                true => Val::utf8_str(payload.clone()),
                false => parse(payload)?,
            };
            let meter = Meter::new();
            let data = Data { lut: &self.filter.lut, meter: &meter };
            let none = Val::obj(jaq_json::Map::default());
            let context = Ctx::<Guarded>::new(data, Vars::new([parse(metadata.as_bytes())?, none]));
            let mut results = Results::default();
            for result in self.filter.id.run((context, input)) {
                let value = result.map_err(|exception| match exception.get_err() {
                    Ok(fault) => said(&fault.to_string()),
                    Err(halted) => match halted.get_halt().ok().and_then(|code| meter.why(code)) {
                        Some(why) => format!("the program was ended: {why}"),
                        None => "the program halted".to_owned(),
                    },
                })?;
                results.add(&value, output_raw)?;
            }
            Ok(results.finish(output_raw))
        })
    }
}

/// The text of a fault, without the quotes of one that is a text.
fn said(fault: &str) -> String {
    serde_json::from_str(fault).unwrap_or_else(|_| fault.to_owned())
}

/// Results as they are written.
#[derive(Default)]
struct Results {
    written: Vec<u8>,
    count: usize,
}

impl Results {
    fn add(&mut self, value: &Val, raw: bool) -> Result<(), String> {
        self.count += 1;
        if self.count > MOST_RESULTS {
            return Err(format!("the program gives more than {MOST_RESULTS} results"));
        }
        match value {
            Val::TStr(text) if raw => self.written.extend_from_slice(text),
            value => {
                if self.count > 1 && !raw {
                    self.written.push(b',');
                }
                json(value, &mut self.written).map_err(str::to_owned)?;
            }
        }
        Ok(())
    }

    fn finish(mut self, raw: bool) -> Option<Vec<u8>> {
        if self.count > 1 && !raw {
            self.written.insert(0, b'[');
            self.written.push(b']');
        }
        (self.count > 0).then_some(self.written)
    }
}

/// The metadata of a message as a JSON object.
fn metadata(message: &Message) -> String {
    let fields: bloblang::Object =
        message.meta_iter().map(|(key, value)| (key.to_owned(), value.clone())).collect();
    crate::values::object(fields).to_json()
}

/// How deep brackets stand in each other, those in texts and comments counted, too.
fn depth(text: &str) -> usize {
    let (mut now, mut deepest) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => now += 1,
            b')' | b']' | b'}' => now = now.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(now);
    }
    deepest
}

fn compile(query: &str) -> Result<Program, String> {
    let arena = Arena::default();
    // Tells of faults with their places. It takes modules, too; the program itself is taken apart below, and must have
    // none.
    if let Err(faults) = Loader::new([]).load(&arena, File { code: query, path: () }) {
        let fault = faults.into_iter().next().map(|(_, fault)| fault);
        return Err(
            fault.map_or_else(|| "jq: the program cannot be read".to_owned(), |fault| unread(query, fault))
        );
    }
    let Some(term) = parse(query, |parser| parser.term()) else {
        return Err("jq: modules are not offered; write definitions into the program".to_owned());
    };
    let library = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs()).map(shorter);
    let main = Def { name: MAIN, args: Vec::new(), body: term };
    let defs = library.chain([main]).map(definition).collect::<Result<Vec<_>, TooDeep>>();
    let defs = defs.map_err(|TooDeep| "jq: the program is nested too deeply".to_owned())?;
    let library = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let funs = library
        .filter(|(name, ..)| !REPLACED.contains(name))
        .chain(functions())
        .map(|(name, args, run)| -> (&str, _, _) { (name, args, run) });
    let modules = Loader::new(defs).load(&arena, File { code: MAIN, path: () });
    let Ok(modules) = modules else { return Err("jq: the program cannot be loaded".to_owned()) };
    let compiler = Compiler::default().with_funs(funs).with_global_vars(["$metadata", "$ENV"]);
    let filter = compiler.compile(modules).map_err(|faults| {
        let fault = faults.iter().flat_map(|(_, faults)| faults).next();
        fault.map_or_else(
            || "jq: the program cannot be compiled".to_owned(),
            |(name, kind)| format!("{}there is no {} `{name}`", place(query, name), kind.as_str()),
        )
    })?;
    Ok(Program { filter, metadata: query.contains("$metadata") })
}

/// The same definition, for a program of a shorter life.
fn shorter<'s>(def: Def<&'static str>) -> Def<&'s str> {
    def
}

/// `jq, line 1 column 5: `, where `part` stands in the program.
fn place(query: &str, part: &str) -> String {
    let (begin, at) = (query.as_ptr() as usize, part.as_ptr() as usize);
    let Some(before) = at.checked_sub(begin).and_then(|at| query.get(..at)) else { return "jq: ".to_owned() };
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or(before).chars().count() + 1;
    format!("jq, line {line} column {column}: ")
}

fn unread(query: &str, fault: Error<&str>) -> String {
    let (part, expected) = match fault {
        Error::Io(faults) => {
            return faults.first().map_or_else(String::new, |(part, _)| {
                format!("{}modules are not offered; write definitions into the program", place(query, part))
            });
        }
        Error::Lex(faults) => faults.first().map(|(expected, part)| (*part, expected.as_str().to_owned())),
        Error::Parse(faults) => faults.first().map(|(expected, part)| (*part, expected.as_str().to_owned())),
    }
    .unwrap_or((query, "a program".to_owned()));
    let found: String = part.chars().take(20).collect();
    let found = if found.is_empty() { "the end".to_owned() } else { format!("`{found}`") };
    format!("{}{expected} is expected, not {found}", place(query, part))
}
