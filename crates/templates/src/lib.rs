//! Templates in the manner of Go's `text/template` with the functions that gateways offer in them (contract 8.3), and
//! documents as the values that they read.
//!
//! The language itself is `gotmpl`'s. What stands here: numbers and other values as Go prints them, the functions, and
//! limits on what one run may cost.

mod cost;
mod document;
mod functions;
mod go;
mod instrument;
mod json;

use std::fmt;

pub use document::{from_json, from_xml, map};
pub use gotmpl::Value;

/// Longest template, in bytes.
const LONGEST: usize = 1 << 20;
/// Largest text that a template may make, in bytes.
const LARGEST: usize = 64 << 20;
/// Turns of all `range` actions of one run.
const TURNS: u64 = 1_000_000;
/// Stack that a run must find, and what it gets where it does not.
const STACK_NEEDED: usize = 1 << 20;
const STACK: usize = 16 << 20;

/// A template, parsed and checked.
pub struct Template {
    program: gotmpl::Template,
    /// See [`Template::is_slow`].
    slow: bool,
    /// Whether it is entered by its name; one that is empty but for its definitions has no body of that name.
    named: bool,
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template").field("name", &self.program.name()).finish_non_exhaustive()
    }
}

impl Template {
    /// Parses a template, and looks whether all functions and templates are there that it calls.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("the template is longer than {LONGEST} bytes"));
        }
        stacker::maybe_grow(STACK_NEEDED, STACK, || {
            let program = gotmpl::Template::new(name)
                .funcs(functions::all().clone())
                .max_range_iters(TURNS)
                .parse(text)
                .map_err(|fault| fault.to_string())?;
            instrument::balanced(text)?;
            let program = instrument::instrument(program)?;
            let named = program.lookup(name).is_some();
            Ok(Self { program, slow: functions::may_call(text), named })
        })
    }

    /// The same, for a template that is run where others wait.
    ///
    /// # Errors
    /// As of [`Template::parse`]; or that it may be slow.
    pub fn parse_quick(name: &str, text: &str) -> Result<Self, String> {
        let template = Self::parse(name, text)?;
        if template.is_slow() {
            return Err("keys, certificates and hashes of passwords are made in bodies alone".to_owned());
        }
        Ok(template)
    }

    /// Whether it may make keys, certificates or hashes of passwords: a run may take up to some seconds then, and must not
    /// hold up what else its thread has to do.
    pub fn is_slow(&self) -> bool {
        self.slow
    }

    /// The text that the template makes of `data`.
    ///
    /// # Errors
    /// What went wrong, as a call of a function with a value that it does not take; or that the run costs too much.
    pub fn render(&self, data: &Value) -> Result<String, String> {
        let mut out = Limited(String::new());
        stacker::maybe_grow(STACK_NEEDED, STACK, || {
            cost::metered(|| match self.named {
                true => self.program.execute_template_fmt(&mut out, self.program.name(), data),
                false => self.program.execute_fmt(&mut out, data),
            })
        })
        .map_err(|fault| match out.0.len() >= LARGEST {
            true => format!("the text is larger than {LARGEST} bytes"),
            false => fault.to_string(),
        })?;
        Ok(out.0)
    }
}

/// Renders what stands before the first zero byte over the document behind it, for those who try out anything.
#[doc(hidden)]
pub fn try_out(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let (text, document) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Ok(text) = std::str::from_utf8(text) else { return };
    if functions::may_call(text) {
        return; // their time is taken on purpose
    }
    let value = match serde_json::from_slice(document) {
        Ok(json) => from_json(&json),
        Err(_) => from_xml(document).unwrap_or(Value::Nil),
    };
    if let Ok(template) = Template::parse("t", text) {
        let _ = template.render(&value);
    }
}

/// A text of bounded length.
struct Limited(String);

impl fmt::Write for Limited {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = LARGEST - self.0.len();
        if text.len() > room {
            // Full: tells the caller why it ended.
            self.0.extend(std::iter::repeat_n(' ', room));
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
