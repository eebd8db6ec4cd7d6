//! What becomes of bodies on their way (contract 2.5, 3.2, 8.3): templates and jq programs of single paths.

use crate::AtPath;
use crate::at_path::{classic, oas, write_classic};
use crate::fields::{Field, acts, section};
use crate::section::Section;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use document::Fault;
use serde_json::{Value, json};

/// `transform` and `transform_response` of `extended_paths`.
pub(crate) const CLASSIC_TEMPLATE: &[Field] = &[
    acts("path"),
    acts("method"),
    acts("disabled"),
    section(
        "template_data",
        &[acts("input_type"), acts("template_mode"), acts("enable_session"), acts("template_source")],
    ),
];
/// `transform_jq` and `transform_jq_response` of `extended_paths`.
pub(crate) const CLASSIC_JQ: &[Field] = &[acts("path"), acts("method"), acts("disabled"), acts("filter")];
/// `transformRequestBody` and `transformResponseBody` of an operation.
pub(crate) const OAS_TEMPLATE: &[Field] = &[acts("enabled"), acts("format"), acts("path"), acts("body")];

/// What becomes of the bodies of single paths.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bodies {
    /// Templates that requests are made from.
    pub requests: Box<[AtPath<BodyTemplate>]>,
    /// Templates that answers are made from.
    pub answers: Box<[AtPath<BodyTemplate>]>,
    /// jq programs that requests go through.
    pub request_programs: Box<[AtPath<Box<str>>]>,
    /// jq programs that answers go through.
    pub answer_programs: Box<[AtPath<Box<str>>]>,
}

/// A template that a body is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct BodyTemplate {
    /// The body that comes is XML; else it is JSON.
    pub xml: bool,
    /// Where the template is.
    pub source: TemplateSource,
    /// It sees the metadata of the caller's session.
    pub session: bool,
}

/// Where a template is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateSource {
    /// Here.
    Text(Box<str>),
    /// In a file, by its path.
    File(Box<str>),
}

impl Bodies {
    pub(crate) fn classic(extended: &Section<'_>, ignore_case: bool, faults: &mut Vec<Fault>) -> Self {
        let mut templates = |key| {
            classic(extended, key, ignore_case, faults, |entry, faults| {
                let data = entry.section("template_data", faults);
                let source = data.text("template_source", faults);
                let source = match data.text("template_mode", faults) {
                    "file" => TemplateSource::File(source.into()),
                    "blob" | "" => {
                        TemplateSource::Text(decoded(source, || data.at("template_source"), faults)?)
                    }
                    other => {
                        let message = format!("`{other}` is no kind of source");
                        faults.push(
                            Fault::error(data.at("template_mode"), message).hint("use `blob` or `file`"),
                        );
                        return None;
                    }
                };
                let xml = is_xml(&data, "input_type", faults)?;
                Some(BodyTemplate { xml, source, session: data.flag("enable_session", faults) })
            })
        };
        let (requests, answers) = (templates("transform"), templates("transform_response"));
        let mut programs = |key| {
            classic(extended, key, ignore_case, faults, |entry, faults| {
                Some(entry.text("filter", faults)).filter(|filter| !filter.is_empty()).map(Into::into)
            })
        };
        let request_programs = programs("transform_jq");
        Self { requests, answers, request_programs, answer_programs: programs("transform_jq_response") }
    }

    pub(crate) fn oas(root: &Section<'_>, middleware: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let mut templates = |key| {
            oas(root, middleware, key, faults, |entry, faults| {
                let path = entry.text("path", faults);
                let source = if path.is_empty() {
                    TemplateSource::Text(decoded(entry.text("body", faults), || entry.at("body"), faults)?)
                } else {
                    TemplateSource::File(path.into())
                };
                // Templates of this format always see it.
                Some(BodyTemplate { xml: is_xml(entry, "format", faults)?, source, session: true })
            })
        };
        Self {
            requests: templates("transformRequestBody"),
            answers: templates("transformResponseBody"),
            ..Self::default()
        }
    }

    pub(crate) fn write_classic(&self, version: &mut Value) {
        for (list, key) in [(&self.requests, "transform"), (&self.answers, "transform_response")] {
            write_classic(list, key, version, |template, entry| {
                let (mode, source) = match &template.source {
                    TemplateSource::Text(text) => ("blob", BASE64_STANDARD.encode(text.as_bytes())),
                    TemplateSource::File(path) => ("file", path.to_string()),
                };
                entry["template_data"] = json!({
                    "input_type": if template.xml { "xml" } else { "json" },
                    "template_mode": mode,
                    "template_source": source,
                    "enable_session": template.session,
                });
            });
        }
        for (list, key) in
            [(&self.request_programs, "transform_jq"), (&self.answer_programs, "transform_jq_response")]
        {
            write_classic(list, key, version, |filter, entry| entry["filter"] = json!(filter));
        }
    }
}

fn is_xml(holder: &Section<'_>, key: &str, faults: &mut Vec<Fault>) -> Option<bool> {
    match holder.text(key, faults) {
        "xml" => Some(true),
        "json" | "" => Some(false),
        other => {
            let message = format!("bodies in the format `{other}` are not read");
            faults.push(Fault::error(holder.at(key), message).hint("use `json` or `xml`"));
            None
        }
    }
}

/// A template as it stands in a definition.
fn decoded(text: &str, at: impl FnOnce() -> String, faults: &mut Vec<Fault>) -> Option<Box<str>> {
    let bytes = BASE64_STANDARD.decode(text.trim()).ok();
    let read = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    if read.is_none() {
        faults.push(
            Fault::error(at(), "a template must be written in base64")
                .hint("encode it: `base64 -w0 template.tmpl`"),
        );
    }
    read.map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c3_2_row_37_both_formats_say_the_same() {
        let blob = BASE64_STANDARD.encode("{{.a}}");
        let written = json!({
            "transform": [
                {"path": "/a", "method": "post", "template_data": {"input_type": "xml", "template_mode": "blob",
                    "enable_session": true, "template_source": blob}},
                {"path": "/b", "method": "POST", "template_data": {"template_mode": "file", "template_source": "t.tmpl"}},
                {"path": "/off", "method": "POST", "disabled": true, "template_data": {"template_source": "?"}},
                {"path": "/c", "method": "POST", "template_data": {"template_source": "?"}},
                {"path": "/d", "method": "POST", "template_data": {"input_type": "yaml", "template_source": blob}},
                {"path": "/e", "method": "POST", "template_data": {"template_mode": "x", "template_source": blob}},
            ],
            "transform_jq_response": [{"path": "/j", "method": "GET", "filter": "."}],
        });
        let mut faults = Vec::new();
        let bodies = Bodies::classic(&Section::root(&written, &mut faults), false, &mut faults);
        let places: Vec<&str> = faults.iter().map(|fault| &*fault.pointer).collect();
        assert_eq!(
            places,
            [
                "/transform/3/template_data/template_source",
                "/transform/4/template_data/input_type",
                "/transform/5/template_data/template_mode"
            ]
        );
        assert_eq!(bodies.requests.len(), 2);
        let template =
            BodyTemplate { xml: true, source: TemplateSource::Text("{{.a}}".into()), session: true };
        assert_eq!((&*bodies.requests[0].method, &bodies.requests[0].value), ("POST", &template));
        assert_eq!(bodies.requests[1].value.source, TemplateSource::File("t.tmpl".into()));
        assert_eq!(&*bodies.answer_programs[0].value, ".");
        let mut version = json!({"extended_paths": {}});
        bodies.write_classic(&mut version);
        let again =
            Bodies::classic(&Section::root(&version["extended_paths"], &mut faults), false, &mut faults);
        assert_eq!(again, bodies);

        let document = json!({
            "paths": {"/a": {"post": {"operationId": "a"}}},
            "middleware": {"operations": {"a": {"transformRequestBody": {"enabled": true, "format": "xml", "body": blob}}}},
        });
        let mut faults = Vec::new();
        let root = Section::root(&document, &mut faults);
        let middleware = root.section("middleware", &mut faults);
        let described = Bodies::oas(&root, &middleware, &mut faults);
        assert_eq!((described.requests[0].value.clone(), faults.len()), (template, 0));
    }
}
