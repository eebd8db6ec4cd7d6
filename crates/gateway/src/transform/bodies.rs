//! Bodies made from templates (contract 8.3, 4.4 row 33, 4.5). Where a body is none of what the template expects, or the
//! template fails on it, it goes on as it is, and a line is logged.

use std::io::Read as _;
use std::sync::Arc;

use apidef::{AtPath, BodyTemplate, TemplateSource, WrittenAt};
use bytes::Bytes;
use document::Fault;
use http::Response;
use templates::{Template, Value};
use uuid::Uuid;

use super::coded::Coded;
use super::programs::{Programs, run_aside};
use super::text::{Piece, Secrets, Variable, pieces};
use super::variables;
use crate::body::Body;
use crate::chain::{replace, too_large};
use crate::context;
use crate::exchange::Exchange;
use crate::query;
use crate::respond::Refusal;
use crate::route::{Collector, PerPath};

/// Longest file of a template, in bytes.
const LONGEST: u64 = 1 << 20;

/// What becomes of the bodies of one API.
#[derive(Debug, Default)]
pub(crate) struct Bodies {
    pub(crate) requests: Option<Made>,
    pub(crate) answers: Option<Made>,
    pub(crate) request_programs: Option<Programs>,
    pub(crate) answer_programs: Option<Programs>,
}

impl Bodies {
    /// Reads and compiles all templates and programs; the first that cannot work is a fault where it stands. `see` gets
    /// what they name of requests.
    pub(super) fn compile(
        model: &apidef::Bodies,
        patterns: &Collector,
        secrets: &Secrets,
        see: &mut dyn FnMut(&Variable),
    ) -> Result<Self, Fault> {
        let bodies = Self {
            requests: Made::new(&model.requests, patterns, secrets, see)?,
            answers: Made::new(&model.answers, patterns, secrets, see)?,
            request_programs: Programs::new(&model.request_programs, patterns)?,
            answer_programs: Programs::new(&model.answer_programs, patterns)?,
        };
        if bodies.request_programs.is_some() || bodies.answer_programs.is_some() {
            see_all(see);
        }
        Ok(bodies)
    }
}

/// Everything that is known of a request may be asked for.
fn see_all(see: &mut dyn FnMut(&Variable)) {
    for name in ["headers", "request_data", "cookies_"] {
        see(&Variable::of_context(name));
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
    /// It asks for all that is known of a request.
    context: bool,
    named: Named,
}

/// What a template names of requests outside of its actions. In its place stands a mark that nobody else knows, so that
/// nothing that a body brings is taken for a name.
#[derive(Debug, Default)]
struct Named {
    mark: String,
    variables: Vec<Variable>,
}

impl Named {
    /// The text with marks for its names, and its secrets.
    fn mark(text: &str, secrets: &Secrets) -> Result<(String, Self), String> {
        let mut named = Self { mark: format!("\u{1}{}:", Uuid::new_v4().simple()), variables: Vec::new() };
        let mut marked = String::with_capacity(text.len());
        for piece in pieces(text, secrets)? {
            match piece {
                Piece::Text(text) => marked.push_str(&text),
                // A brace of a secret begins no action.
                Piece::Secret(text) if text.contains("{{") => {
                    return Err("a secret holds `{{`, which would begin an action".to_owned());
                }
                Piece::Secret(text) => marked.push_str(&text),
                Piece::Value(variable) => {
                    marked.push_str(&format!("{}{}\u{1}", named.mark, named.variables.len()));
                    named.variables.push(variable);
                }
            }
        }
        Ok((marked, named))
    }

    /// The text with values where the marks stand.
    fn fill(&self, text: Bytes, value_of: impl Fn(&Variable) -> String) -> Bytes {
        if self.variables.is_empty() {
            return text;
        }
        let text = String::from_utf8_lossy(&text);
        let mut parts = text.split(&self.mark);
        let mut filled = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (number, rest) = part.split_once('\u{1}').unwrap_or(("", part));
            if let Some(variable) = number.parse().ok().and_then(|number: usize| self.variables.get(number)) {
                filled.push_str(&value_of(variable));
            }
            filled.push_str(rest);
        }
        filled.into()
    }
}

impl Made {
    fn new(
        model: &[AtPath<BodyTemplate>],
        patterns: &Collector,
        secrets: &Secrets,
        see: &mut dyn FnMut(&Variable),
    ) -> Result<Option<Self>, Fault> {
        if model.is_empty() {
            return Ok(None);
        }
        let places = PerPath::try_of(patterns, model, |AtPath { value, at: WrittenAt(at), .. }| {
            let way = Way::new(value, secrets)
                .map_err(|text| Fault::error(&**at, format!("this template cannot be used: {text}")))?;
            way.named.variables.iter().for_each(&mut *see);
            if way.context {
                see_all(see);
            }
            Ok(Arc::new(way))
        });
        places.map(|places| Some(Self(places)))
    }

    /// A guard: makes the body that the backend gets.
    pub(crate) async fn request(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        let Some(way) = self.0.find(exchange).map(Arc::clone) else { return Ok(()) };
        if exchange.streams() {
            return Ok(());
        }
        let body = exchange.whole_body().await?;
        let beside = beside(&way, exchange);
        let size = way.size(body.len());
        match run_aside(size, move || way.make(&body, beside).map(|made| (made, way))).await {
            Ok((made, way)) => {
                // As in forms: a space is a plus.
                let escaped = |variable: &Variable| {
                    query::escaped(&variable.or_default(variables::value(variable, exchange)))
                        .replace("%20", "+")
                };
                let made = way.named.fill(made, escaped);
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
        let Some(coded) = Coded::of(exchange, response).await? else { return Ok(()) };
        let beside = beside(&way, exchange);
        let coding = coded.coding;
        let made = run_aside(way.size(coded.bytes.len()), move || {
            let body = coded.decoded()?;
            let made = way.make(&body, beside).map_err(Some)?;
            Ok::<_, Option<String>>((made, way))
        });
        match made.await {
            Ok((made, way)) => {
                let made = way.named.fill(made, |variable| {
                    variable.or_default(variables::value(variable, exchange)).into_owned()
                });
                match run_aside(made.len(), move || coding.encode(made)).await {
                    Ok(made) => replace(response, made),
                    Err(error) => told(exchange, "response", &error.to_string()),
                }
            }
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
        let meta = caller.session.meta_data.iter();
        let meta = meta.map(|(name, value)| (name.as_str(), templates::from_json(value)));
        beside.push(("_tyk_meta", templates::map(meta)));
    }
    if way.context && exchange.api.model.transforms.context {
        let context = context::all(exchange);
        let context = context.iter().map(|(name, value)| (name.as_str(), templates::from_json(value)));
        beside.push(("_tyk_context", templates::map(context)));
    }
    beside
}

impl Way {
    fn new(model: &BodyTemplate, secrets: &Secrets) -> Result<Self, String> {
        let (name, text) = match &model.source {
            TemplateSource::Text(text) => ("body", text.to_string()),
            TemplateSource::File(path) => (&**path, read(path)?),
        };
        let (marked, named) = Named::mark(&text, secrets)?;
        Ok(Self {
            template: Template::parse(name, &marked)?,
            xml: model.xml,
            session: model.session,
            context: text.contains("_tyk_context"),
            named,
        })
    }

    /// How much work a body of this size is: any number for a template that takes its time on purpose.
    fn size(&self, body: usize) -> usize {
        if self.template.is_slow() { usize::MAX } else { body }
    }

    fn make(&self, body: &[u8], beside: Vec<(&'static str, Value)>) -> Result<Bytes, String> {
        let document = if self.xml { xml(body)? } else { json(body)? };
        let data = match document {
            Value::Map(mut fields) => {
                let inner = Arc::make_mut(&mut fields);
                inner.extend(beside.into_iter().map(|(name, value)| (name.into(), value)));
                Value::Map(fields)
            }
            Value::List(items) => templates::map(beside.into_iter().chain([("array", Value::List(items))])),
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

fn read(path: &str) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("`{path}` cannot be read: {error}");
    // Definitions are compiled when they change, and requests wait for none of it.
    let file = std::fs::File::open(path).map_err(cannot)?;
    let mut text = String::new();
    let read = file.take(LONGEST + 1).read_to_string(&mut text).map_err(cannot)?;
    if read as u64 > LONGEST {
        return Err(format!("`{path}` is longer than {LONGEST} bytes"));
    }
    Ok(text)
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
    fn c8_3_row_2_documents_are_what_templates_see() {
        let way = |text: &str, xml: bool| Way {
            template: Template::parse("t", text).unwrap(),
            xml,
            session: false,
            context: false,
            named: Named::default(),
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

    #[test]
    fn names_outside_of_actions_stand_for_values() {
        let secrets = Secrets::from([("conf.pw".to_owned(), "p".to_owned())]);
        let text = "{{.a}}|$tyk_context.path|$secret_conf.pw|${tyk_meta.t:none}";
        let (marked, named) = Named::mark(text, &secrets).unwrap();
        let template = Template::parse("t", &marked).unwrap();
        // What the body brings is no name, whatever it looks like.
        let data = templates::map([("a", Value::String("$tyk_context.path".into()))]);
        let made = template.render(&data).unwrap();
        let filled = named.fill(made.into(), |variable| format!("<{}>", variable.name));
        assert_eq!(filled, "$tyk_context.path|<path>|p|<t>");
        let held = Secrets::from([("conf.pw".to_owned(), "{{.a}}".to_owned())]);
        assert!(Named::mark("$secret_conf.pw", &held).is_err());
        // Nothing stands for one that there is not.
        assert!(Named::mark("$secret_conf.gone", &secrets).is_ok());
    }
}
