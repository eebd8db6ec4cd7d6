//! Texts to fields by patterns with names (streams contract 3.7).

mod expand;
mod patterns;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use bloblang::{Object, Value};
use document::Fault;
use regex::Regex;
use streams::{BuildContext, Default, Field, Kind, Message, Node, Processor, ProcessorSpec};

use crate::each::{Change, Each};
use crate::files;
use expand::{Capture, Type};

pub(crate) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "grok",
    summary: "Makes an object of each message by the first expression that gives a value. An expression is a regular expression (RE2) in which `%{NAME}` stands for a pattern, and `%{NAME:field}`, `%{NAME:field:int}` or `%{NAME:field:float}` put what it matches into a field; dots in its name make objects. A text that is no such number stays text.",
    config: Kind::Object(&[
        Field::required("expressions", Kind::List(&Kind::Text), "The expressions, tried in this order."),
        Field::optional(
            "pattern_definitions",
            Kind::Map(&Kind::Text),
            "Patterns by their names, before all others of the same name.",
        ),
        Field::optional(
            "pattern_paths",
            Kind::List(&Kind::Text),
            "Files with patterns, a name and a pattern in each line; only where streams may read files.",
        ),
        Field::new(
            "named_captures_only",
            Kind::Bool,
            Default::Bool(true),
            "Whether only patterns with a field give values. When false, the others give theirs by the pattern's name.",
        ).advanced(),
        Field::new(
            "use_default_patterns",
            Kind::Bool,
            Default::Bool(true),
            "Whether the patterns of docs/codecs.md are known.",
        ).advanced(),
        Field::new(
            "remove_empty_values",
            Kind::Bool,
            Default::Bool(true),
            "Whether fields without a text are left out.",
        ).advanced(),
    ]),
    build,
};

/// Largest compiled expression, in bytes.
const LARGEST: usize = 16 << 20;

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    if node.boolean("use_default_patterns")? {
        known.extend(patterns::DEFAULT.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())));
    }
    for path in node.items("pattern_paths") {
        let text = read(&path, context)?;
        known.extend(patterns::lines(&text).map_err(|fault| path.fault(fault))?);
    }
    known.extend(node.pairs("pattern_definitions")?);
    let all = !node.boolean("named_captures_only")?;
    let mut expressions = Vec::new();
    for item in node.items("expressions") {
        let expression = Expression::compile(&item.as_text()?, &known, all);
        expressions.push(expression.map_err(|fault| item.fault(fault))?);
    }
    if expressions.is_empty() {
        return Err(node.field_fault("expressions", "`expressions` must name at least one"));
    }
    Ok(Box::new(Each(Grok { expressions, keep_empty: !node.boolean("remove_empty_values")? })))
}

/// A file with patterns.
fn read(path: &Node<'_>, context: &BuildContext<'_>) -> Result<String, Fault> {
    let name = path.as_text()?;
    if name.contains('*') {
        return Err(path.fault("patterns of files are not offered").hint("name each file"));
    }
    files::read(&name, context).map_err(|why| {
        path.fault(why)
            .hint("write the patterns into `pattern_definitions`, or let streams read files: `streaming.mappings.files`")
    })
}

struct Grok {
    expressions: Vec<Expression>,
    keep_empty: bool,
}

struct Expression {
    regex: Regex,
    captures: Vec<(usize, Capture)>,
}

impl Expression {
    fn compile(text: &str, known: &BTreeMap<String, String>, all: bool) -> Result<Expression, String> {
        let (pattern, captures) = expand::expand(text, known, all)?;
        let regex = regex::RegexBuilder::new(&pattern).size_limit(LARGEST).build().map_err(told)?;
        let mut found = Vec::new();
        for (index, name) in regex.capture_names().enumerate() {
            let Some(name) = name else { continue };
            let capture = match name.strip_prefix(expand::PREFIX).and_then(|number| number.parse().ok()) {
                Some(number) => captures.get::<usize>(number).cloned(),
                // A group of the expression itself.
                None => Some(Capture { field: name.to_owned(), as_type: Type::Text }),
            };
            found.extend(capture.map(|capture| (index, capture)));
        }
        Ok(Expression { regex, captures: found })
    }

    /// The fields of the text; none when it does not match, or gives no value.
    fn fields(&self, text: &str, keep_empty: bool) -> Result<Option<Value>, String> {
        let Some(groups) = self.regex.captures(text) else { return Ok(None) };
        let mut found: BTreeMap<&str, Value> = BTreeMap::new();
        for (index, capture) in &self.captures {
            let text = groups.get(*index).map_or("", |group| group.as_str());
            let known = found.get(&*capture.field);
            // Where a field stands in several alternatives, the one that matched gives its value.
            let free = known.is_none_or(|known| known.as_str() == Some(""));
            if free && (keep_empty || !text.is_empty()) {
                found.insert(&capture.field, capture.as_type.value(text));
            }
        }
        if found.is_empty() {
            return Ok(None);
        }
        let mut object = Value::Object(Arc::new(Object::new()));
        for (field, value) in found {
            object.set_at(field, value)?;
        }
        Ok(Some(object))
    }
}

/// A fault of the expression engine in one line.
fn told(fault: regex::Error) -> String {
    match fault {
        regex::Error::CompiledTooBig(_) => "the expression is too large".to_owned(),
        other => {
            let text = other.to_string();
            let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or(&text).trim();
            let last = last.strip_prefix("error: ").unwrap_or(last);
            match last.contains("look-around") {
                true => format!("the expression cannot be used: {last}; write it without"),
                false => format!("the expression cannot be used: {last}"),
            }
        }
    }
}

impl Change for Grok {
    fn change(&self, message: &mut Message) -> Result<(), String> {
        let bytes = message.bytes().clone();
        let text = String::from_utf8_lossy(&bytes);
        for expression in &self.expressions {
            if let Some(fields) = expression.fields(&text, self.keep_empty)? {
                message.set_value(fields);
                return Ok(());
            }
        }
        Err("grok: no expression gives a value".to_owned())
    }
}
