//! A configuration with the components that somebody names, every field with its default: a page to begin with.

use std::fmt::Write;

use document::nearest;
use serde_json::Value as Json;

use crate::registry::{Default, Field, Kind, Registry};
use crate::sort::Sort;
use crate::templates::{Template, Templates};

/// How much of a component is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleSize {
    /// Every field.
    Full,
    /// Without the fields that are seldom needed.
    Small,
}

/// The configuration that an expression such as `kafka/mapping,dedupe/http_client` asks for, as YAML. Each of the three
/// parts may be empty or left out; several inputs or outputs are put into a `broker`.
///
/// # Errors
/// When the expression names what there is not.
pub fn sample(
    registry: &Registry,
    templates: &Templates,
    expression: &str,
    size: SampleSize,
) -> Result<String, String> {
    let parts: Vec<Vec<&str>> = (expression.split('/'))
        .map(|part| part.split(',').map(str::trim).filter(|name| !name.is_empty()).collect())
        .collect();
    if parts.len() > 3 {
        return Err(format!("`{expression}` has more than three parts: write INPUTS/PROCESSORS/OUTPUTS"));
    }
    let part = |index: usize| parts.get(index).map_or(&[][..], Vec::as_slice);
    let mut page = Page { registry, templates, size, text: String::new() };
    page.end("input", Sort::Input, part(0), "inputs", "stdin", "generate")?;
    if !part(1).is_empty() {
        page.line(0, "\npipeline:");
        page.line(1, "threads: -1");
        page.line(1, "processors:");
        page.list(1, Sort::Processor, part(1))?;
    }
    page.text.push('\n');
    page.end("output", Sort::Output, part(2), "outputs", "stdout", "drop")?;
    Ok(page.text)
}

struct Page<'r> {
    registry: &'r Registry,
    templates: &'r Templates,
    size: SampleSize,
    text: String,
}

impl Page<'_> {
    fn line(&mut self, depth: usize, text: &str) {
        let _ = writeln!(self.text, "{:1$}{text}", "", depth * 2);
    }

    /// The input or output: the one named, several in a broker, or the first of two that there is.
    fn end(
        &mut self,
        field: &str,
        sort: Sort,
        names: &[&str],
        list: &str,
        usual: &str,
        else_: &str,
    ) -> Result<(), String> {
        self.line(0, &format!("{field}:"));
        match names {
            [] => {
                let name = if self.registry.config(sort, usual).is_some() { usual } else { else_ };
                self.component(1, "", sort, name)
            }
            [name] => self.component(1, "", sort, name),
            several => {
                self.line(1, "broker:");
                self.line(2, &format!("{list}:"));
                self.list(2, sort, several)
            }
        }
    }

    fn list(&mut self, depth: usize, sort: Sort, names: &[&str]) -> Result<(), String> {
        names.iter().try_for_each(|name| self.component(depth + 2, "- ", sort, name))
    }

    /// A component at this depth; `lead` stands before its type key, in place of the last indentation.
    fn component(&mut self, depth: usize, lead: &str, sort: Sort, name: &str) -> Result<(), String> {
        let Some(config) = self.registry.config(sort, name) else {
            if let Some(template) = self.templates.get(sort, name) {
                self.template(depth, lead, name, template);
                return Ok(());
            }
            let templates = self.templates.list(sort).into_iter().map(|(name, _)| name);
            let near = nearest(name, self.registry.names(sort).into_iter().chain(templates));
            let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            return Err(format!("there is no {} `{name}`{near}", sort.as_str()));
        };
        let key = format!("{lead}{name}:");
        let at = if lead.is_empty() { depth } else { depth - 1 };
        match config {
            Kind::Object(fields) => {
                let empty = self.fields(depth + 1, fields);
                match empty {
                    None => self.line(at, &format!("{key} {{}}")),
                    Some(lines) => {
                        self.line(at, &key);
                        self.text.push_str(&lines);
                    }
                }
            }
            kind => self.line(at, &format!("{key} {}", blank(kind))),
        }
        Ok(())
    }

    fn template(&mut self, depth: usize, lead: &str, name: &str, template: &Template) {
        let at = if lead.is_empty() { depth } else { depth - 1 };
        let fields = template.sample(self.size == SampleSize::Small);
        if fields.is_empty() {
            return self.line(at, &format!("{lead}{name}: {{}}"));
        }
        self.line(at, &format!("{lead}{name}:"));
        for (field, value) in fields {
            self.line(depth + 1, &format!("{field}: {value}"));
        }
    }

    /// The lines of an object's fields; none when there is nothing to write.
    fn fields(&self, depth: usize, fields: &[Field]) -> Option<String> {
        let mut page =
            Page { registry: self.registry, templates: self.templates, size: self.size, text: String::new() };
        let mut written = false;
        for field in fields {
            written |= page.field(depth, field);
        }
        written.then_some(page.text)
    }

    /// One field; false when it is only a comment, or nothing.
    fn field(&mut self, depth: usize, field: &Field) -> bool {
        // What must be written is, however seldom it is needed.
        let left_out = self.size == SampleSize::Small && field.advanced && field.default != Default::Required;
        if left_out || field.deprecated.is_some() {
            return false;
        }
        let name = field.name;
        match (field.kind, field.default) {
            (Kind::Ignored(_) | Kind::Refused(_), _) => false,
            (Kind::Object(fields), Default::Absent) => {
                // Where a part of it must be written, it is a choice to write it at all.
                let optional = !needs(fields);
                match self.fields(depth + 1, fields).filter(|_| optional) {
                    Some(lines) => {
                        self.line(depth, &format!("{name}:"));
                        self.text.push_str(&lines);
                        true
                    }
                    None => {
                        self.line(depth, &format!("# {name}: {{}}"));
                        false
                    }
                }
            }
            (kind, Default::Required) => {
                self.line(depth, &format!("{name}: {} # required", blank(kind)));
                true
            }
            (_, Default::Absent) => {
                self.line(depth, &format!("# {name}:"));
                false
            }
            (_, default) => {
                let value = default.as_json().map_or_else(String::new, |value| value.to_string());
                self.line(depth, &format!("{name}: {value}"));
                true
            }
        }
    }
}

/// Whether one of the fields, at any depth, must be written.
fn needs(fields: &[Field]) -> bool {
    fields.iter().any(|field| {
        field.default == Default::Required
            || matches!(field.kind, Kind::Object(inner) if field.default == Default::Absent && needs(inner))
    })
}

/// What stands where a value must be written.
fn blank(kind: Kind) -> &'static str {
    match kind {
        Kind::Choice(words) => words.first().copied().unwrap_or("\"\""),
        Kind::Bool => "false",
        Kind::Int | Kind::Float => "0",
        Kind::List(_) | Kind::Resources(_) => "[]",
        Kind::Input => "{ stdin: {} }",
        Kind::Output => "{ stdout: {} }",
        Kind::Processor => "{ noop: {} }",
        Kind::Map(_) | Kind::Object(_) | Kind::Buffer | Kind::Scanner | Kind::Metrics | Kind::Tracer => "{}",
        _ => "\"\"",
    }
}

impl Default {
    /// The value as JSON, where there is one.
    pub fn as_json(self) -> Option<Json> {
        Some(match self {
            Default::Required | Default::Absent => return None,
            Default::Bool(value) => value.into(),
            Default::Int(value) => value.into(),
            Default::Float(value) => value.into(),
            Default::Text(text) => text.into(),
            Default::Texts(texts) => texts.iter().map(|text| Json::from(*text)).collect(),
            Default::Pairs(pairs) => {
                Json::Object(pairs.iter().map(|(key, text)| ((*key).to_owned(), Json::from(*text))).collect())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use document::{Document, Fault, Format};

    use super::*;
    use crate::lint::lint_document;
    use crate::settings::Settings;

    #[test]
    fn every_component_has_a_sample_that_lacks_only_what_must_be_written() {
        let registry = Registry::standard();
        let mut settings = Settings::new(registry.clone());
        settings.alone = true;
        let mut expressions: Vec<String> = Vec::new();
        expressions.extend(registry.inputs.keys().map(|name| format!("{name}//drop")));
        expressions.extend(registry.processors.keys().map(|name| format!("generate/{name}/drop")));
        expressions.extend(registry.outputs.keys().map(|name| format!("generate//{name}")));
        expressions.extend(["generate,inproc/noop,log/drop,inproc".into(), String::new(), "//".into()]);
        for expression in expressions {
            for size in [SampleSize::Full, SampleSize::Small] {
                let text = sample(&registry, &Templates::default(), &expression, size).unwrap();
                let document = Document::parse(text.as_str(), Format::Yaml)
                    .unwrap_or_else(|fault| panic!("{expression}: {fault:?}\n{text}"));
                let unfit = |fault: &Fault| {
                    let shape = ["unknown", "must be", "needs the field", "no option", "not supported"];
                    shape.iter().any(|word| fault.message.contains(word))
                };
                let faults = lint_document(&document, "", &settings);
                assert!(!faults.iter().any(unfit), "{expression}\n{text}\n{faults:#?}");
            }
        }
    }

    #[test]
    fn small_samples_leave_out_what_is_seldom_needed_and_all_samples_what_is_deprecated() {
        let registry = Registry::standard();
        for (expression, usual, seldom) in [
            ("http_server//drop", "path: \"/post\"", "ws_welcome_message:"),
            ("generate//http_server", "stream_path:", "pong_wait:"),
            ("generate/cache/drop", "operator:", "# ttl:"),
        ] {
            let full = sample(&registry, &Templates::default(), expression, SampleSize::Full).unwrap();
            let small = sample(&registry, &Templates::default(), expression, SampleSize::Small).unwrap();
            assert!(full.contains(usual) && full.contains(seldom), "{full}");
            assert!(small.contains(usual) && !small.contains(seldom), "{small}");
        }
    }

    #[test]
    fn templates_have_samples_like_other_components() {
        let (registry, mut templates) = (Registry::standard(), Templates::default());
        let settings = Settings::new(registry.clone());
        for text in [
            "{name: shout, type: processor, mapping: 'root.noop = {}', fields: [\
                {name: mark, type: string, default: '!'}, {name: times, type: int}, {name: all, type: string, kind: list},\
                {name: more, type: bool, default: false, advanced: true}]}",
            "{name: plain, type: output, mapping: 'root.drop = {}'}",
        ] {
            templates.add(crate::templates::Template::parse(text, &settings).unwrap()).unwrap();
        }
        let of = |size| sample(&registry, &templates, "generate/shout/plain", size).unwrap();
        let lines =
            "    - shout:\n        mark: \"!\"\n        times: 0 # required\n        all: [] # required\n";
        let (small, full) = (of(SampleSize::Small), of(SampleSize::Full));
        assert!(small.contains(&format!("{lines}\n")) && small.contains("  plain: {}\n"), "{small}");
        assert!(full.contains(&format!("{lines}        more: false\n")), "{full}");
        let fault = sample(&registry, &templates, "/shuot/", SampleSize::Small).unwrap_err();
        assert_eq!(fault, "there is no processor `shuot`; did you mean `shout`?");
    }

    #[test]
    fn what_there_is_not_is_named() {
        let registry = Registry::standard();
        for (expression, fault) in [
            ("generat//", "there is no input `generat`; did you mean `generate`?"),
            ("a/b/c/d", "more than three parts"),
            ("/maping/", "there is no processor `maping`; did you mean `mapping`?"),
        ] {
            assert!(
                sample(&registry, &Templates::default(), expression, SampleSize::Small)
                    .unwrap_err()
                    .contains(fault),
                "{expression}"
            );
        }
    }
}
