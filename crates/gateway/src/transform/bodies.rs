//! Bodies made from templates (contract 8.3, 4.4 row 33, 4.5). Where a body is none of what the template expects, or the
//! template fails on it, it goes on as it is, and a line is logged.

use std::io::Read as _;
use std::sync::Arc;

use apidef::{AtPath, BodyTemplate, TemplateSource, WrittenAt};
use bytes::Bytes;
use document::Fault;
use http::Response;
use templates::{Template, Value};

use super::coding::{Coding, Undecoded};
use super::known;
use super::programs::{Programs, run_aside};
use crate::body::Body;
use crate::chain::{has_an_end, replace, too_large, whole};
use crate::exchange::Exchange;
use crate::respond::Refusal;
use crate::route::{Collector, PerPath};

/// Longest file of a template, in bytes.
const LONGEST: u64 = 1 << 20;

/// What becomes of the bodies of one API.
#[derive(Debug)]
pub(crate) struct Bodies {
    pub(crate) requests: Option<Made>,
    pub(crate) answers: Option<Made>,
    pub(crate) request_programs: Option<Programs>,
    pub(crate) answer_programs: Option<Programs>,
}

impl Bodies {
    /// Reads and compiles all templates and programs; the first that cannot work is a fault where it stands.
    pub(crate) fn compile(model: &apidef::Bodies, patterns: &Collector) -> Result<Self, Fault> {
        Ok(Self {
            requests: Made::new(&model.requests, patterns)?,
            answers: Made::new(&model.answers, patterns)?,
            request_programs: Programs::new(&model.request_programs, patterns)?,
            answer_programs: Programs::new(&model.answer_programs, patterns)?,
        })
    }
}

/// Bodies of requests, or of answers, that are made from templates.
#[derive(Debug)]
pub(crate) struct Made(PerPath<Arc<Way>>);

#[derive(Debug)]
struct Way {
    template: Template,
    xml: bool,
    session: bool,
}

impl Made {
    fn new(model: &[AtPath<BodyTemplate>], patterns: &Collector) -> Result<Option<Self>, Fault> {
        if model.is_empty() {
            return Ok(None);
        }
        let mut ways = Vec::with_capacity(model.len());
        for AtPath { value, at: WrittenAt(at), .. } in model {
            let template = parse(&value.source)
                .map_err(|text| Fault::error(&**at, format!("this template cannot be used: {text}")))?;
            ways.push(Arc::new(Way { template, xml: value.xml, session: value.session }));
        }
        Ok(Some(Self(PerPath::each(patterns, model, ways))))
    }

    /// A guard: makes the body that the backend gets.
    pub(crate) async fn request(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        let Some(way) = self.0.find(exchange).map(Arc::clone) else { return Ok(()) };
        if exchange.streams() {
            return Ok(());
        }
        let body = exchange.whole_body().await?;
        let beside = beside(&way, exchange);
        match run_aside(body.len(), move || way.make(&body, beside)).await {
            Ok(made) => {
                // Texts of the definition may name what the request brings, in bodies as elsewhere.
                exchange.replace_body(made);
            }
            Err(error) => told(exchange, "request", &error),
        }
        Ok(())
    }

    /// A stage: makes the body that the client gets.
    pub(crate) async fn answer(
        &self,
        exchange: &mut Exchange,
        response: &mut Response<Body>,
    ) -> Result<(), Refusal> {
        let Some(way) = self.0.find(exchange).map(Arc::clone) else { return Ok(()) };
        if !has_an_end(&exchange.head.method, response) {
            return Ok(());
        }
        let coding = match Coding::of(response.headers()) {
            Ok(coding) => coding,
            Err(error) => {
                told(exchange, "response", &error.to_string());
                return Ok(());
            }
        };
        let body = whole(exchange, response).await?;
        let beside = beside(&way, exchange);
        let limit = exchange.gate.settings.most_kept_of_answers();
        let made = run_aside(body.len(), move || {
            let body = coding.decode(&body, limit).map_err(|error| match error {
                Undecoded::TooLarge => None,
                other => Some(other.to_string()),
            })?;
            let made = way.make(&body, beside).map_err(Some)?;
            coding.encode(made).map_err(|error| Some(error.to_string()))
        });
        match made.await {
            Ok(made) => replace(response, made),
            Err(None) => return Err(too_large()),
            Err(Some(error)) => told(exchange, "response", &error),
        }
        Ok(())
    }
}

/// What a template sees beside the body.
fn beside(way: &Way, exchange: &Exchange) -> Vec<(&'static str, Value)> {
    let mut beside = Vec::new();
    if way.session
        && let Some(caller) = &exchange.caller
    {
        beside.push(("_tyk_meta", known::metadata(caller)));
    }
    if let Some(context) = known::context(exchange) {
        beside.push(("_tyk_context", context));
    }
    beside
}

impl Way {
    fn make(&self, body: &[u8], beside: Vec<(&'static str, Value)>) -> Result<Bytes, String> {
        let document = if self.xml { xml(body)? } else { json(body)? };
        let data = match document {
            Value::Map(mut fields) => {
                let inner = Arc::make_mut(&mut fields);
                inner.extend(beside.into_iter().map(|(name, value)| (name.into(), value)));
                Value::Map(fields)
            }
            Value::List(items) => {
                templates::map(beside.into_iter().chain([("array", Value::List(items))]))
            }
            // Neither has a name that a template could call it by.
            _ => templates::map(beside),
        };
        self.template.render(&data).map(Into::into)
    }
}

fn json(body: &[u8]) -> Result<Value, String> {
    if body.trim_ascii().is_empty() {
        return Ok(templates::map::<&str>([]));
    }
    let value: serde_json::Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    Ok(templates::from_json(&value))
}

fn xml(body: &[u8]) -> Result<Value, String> {
    templates::from_xml(if body.trim_ascii().is_empty() { b"<_/>" } else { body })
}

fn parse(source: &TemplateSource) -> Result<Template, String> {
    match source {
        TemplateSource::Text(text) => Template::parse("body", text),
        TemplateSource::File(path) => {
            let cannot = |error: std::io::Error| format!("`{path}` cannot be read: {error}");
            // Definitions are compiled when they change, away from what requests wait for.
            let file = std::fs::File::open(&**path).map_err(cannot)?;
            let mut text = String::new();
            let read = file.take(LONGEST + 1).read_to_string(&mut text).map_err(cannot)?;
            if read as u64 > LONGEST {
                return Err(format!("`{path}` is longer than {LONGEST} bytes"));
            }
            Template::parse(path, &text)
        }
    }
}

pub(super) fn told(exchange: &Exchange, what: &str, error: &str) {
    if exchange.gate.metrics.may_warn() {
        tracing::warn!(
            api_id = &*exchange.api.model.id,
            path = exchange.head.uri.path(),
            error,
            "the body of a {what} goes on as it is"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_what_templates_see() {
        let way = |text: &str, xml: bool| Way {
            template: Template::parse("t", text).unwrap(),
            xml,
            session: false,
        };
        for (text, xml, body, made) in [
            ("{{.a}}", false, r#"{"a":1}"#, Ok("1")),
            ("{{range .array}}{{.}},{{end}}", false, "[1,2]", Ok("1,2,")),
            ("{{.a}}", false, "", Ok("<no value>")),
            ("{{len .}}", false, "7", Ok("1")),
            ("{{.a.b}}{{._tyk_meta.m}}", true, "<a><b>x</b></a>", Ok("xv")),
            ("{{._}}", true, "", Ok("")),
            ("{{.a}}", false, "{", Err(())),
            ("{{.a}}", true, "<a>", Err(())),
            ("{{index .a 9}}", false, r#"{"a":[]}"#, Err(())),
        ] {
            let meta = vec![("_tyk_meta", templates::map([("m", Value::String("v".into()))]))];
            let result = way(text, xml).make(body.as_bytes(), meta);
            match made {
                Ok(made) => assert_eq!(result.as_deref(), Ok(made.as_bytes()), "{text} {body}"),
                Err(()) => assert!(result.is_err(), "{text} {body}"),
            }
        }
    }
}
