//! Bodies that go through jq programs (contract 8.3, 4.4 row 34). A program gets `{"body": …, "_tyk_context": …}` and gives
//! `{"body": …, "rewrite_headers": {…}, "tyk_context": {…}}`.

use std::sync::Arc;

use apidef::{AtPath, WrittenAt};
use bytes::Bytes;
use codecs::jq::Program;
use document::Fault;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::bodies::told;
use super::coded::Coded;
use crate::body::Body;
use crate::chain::{replace, too_large};
use crate::context;
use crate::exchange::Exchange;
use crate::respond::Refusal;
use crate::route::{Collector, PerPath};

/// Bodies of more bytes are worked on aside of what other requests wait for.
const LARGE: usize = 64 << 10;

/// The programs of requests, or of answers.
#[derive(Debug)]
pub(crate) struct Programs(PerPath<Arc<Program>>);

/// What a program gave.
#[derive(Debug, Default, PartialEq)]
struct Given {
    body: Vec<u8>,
    headers: Vec<(HeaderName, HeaderValue)>,
    context: Vec<(String, String)>,
}

impl Programs {
    pub(super) fn new(model: &[AtPath<Box<str>>], patterns: &Collector) -> Result<Option<Self>, Fault> {
        if model.is_empty() {
            return Ok(None);
        }
        let places = PerPath::try_of(patterns, model, |AtPath { value, at: WrittenAt(at), .. }| {
            Program::compile(value).map(Arc::new).map_err(|text| Fault::error(format!("{at}/filter"), text))
        });
        places.map(|places| Some(Self(places)))
    }

    /// A guard; whatever goes wrong is the client's to know.
    pub(crate) async fn request(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        let Some(program) = self.0.find(exchange).map(Arc::clone) else { return Ok(()) };
        if exchange.streams() {
            return Ok(());
        }
        let body = exchange.whole_body().await?;
        let context = known(exchange);
        let given = run_aside(body.len(), move || run(&program, &body, context)).await;
        let given = given.map_err(|text| Refusal::client(StatusCode::UNSUPPORTED_MEDIA_TYPE, "BIV", text))?;
        exchange.replace_body(given.body.into());
        set(given.headers, &mut exchange.head.headers);
        exchange.noted.put(given.context);
        Ok(())
    }

    /// A stage; an answer that a program fails on goes on as it is.
    pub(crate) async fn answer(
        &self,
        exchange: &mut Exchange,
        response: &mut Response<Body>,
    ) -> Result<(), Refusal> {
        let Some(program) = self.0.find(exchange).map(Arc::clone) else { return Ok(()) };
        let Some(coded) = Coded::of(exchange, response).await? else { return Ok(()) };
        let context = known(exchange);
        let given = run_aside(coded.bytes.len(), move || {
            let body = coded.decoded()?;
            let mut given = run(&program, &body, context).map_err(Some)?;
            let body = std::mem::take(&mut given.body);
            let body = coded.coding.encode(body.into()).map_err(|error| Some(error.to_string()))?;
            Ok::<_, Option<String>>((body, given))
        });
        match given.await {
            Ok((body, given)) => {
                replace(response, body);
                set(given.headers, response.headers_mut());
                exchange.noted.put(given.context);
            }
            Err(None) => return Err(too_large()),
            Err(Some(error)) => told(exchange, "response", &error),
        }
        Ok(())
    }
}

/// What is known of the request, where the API asks for it.
fn known(exchange: &Exchange) -> Option<Value> {
    exchange.api.model.transforms.context.then(|| Value::Object(context::all(exchange)))
}

/// Works on a body; on a large one aside, so that nobody else waits.
pub(super) async fn run_aside<T: Send + 'static>(
    size: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    if size <= LARGE {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The process ends, and with it this request.
            Err(_) => std::future::pending().await,
        },
    }
}

fn run(program: &Program, body: &[u8], context: Option<Value>) -> Result<Given, String> {
    let body: Value = match body.trim_ascii() {
        [] => json!({}),
        body => serde_json::from_slice(body).map_err(|error| error.to_string())?,
    };
    let mut input = Map::new();
    input.insert("body".to_owned(), body);
    input.insert("_tyk_context".to_owned(), context.unwrap_or(Value::Null));
    let input = Bytes::from(Value::Object(input).to_string());
    let output = program.apply(&input)?.ok_or("the program gives nothing")?;
    let output: Value = serde_json::from_slice(&output).map_err(|error| error.to_string())?;
    let Value::Object(mut output) = output else {
        return Err("the program must give an object with `body`".to_owned());
    };
    let body = output.remove("body").ok_or("the program gives no `body`")?;
    let mut given = Given { body: body.to_string().into_bytes(), ..Given::default() };
    for (name, value) in members(output.remove("rewrite_headers")) {
        let read = (HeaderName::try_from(&*name), HeaderValue::try_from(plain(&value)));
        let (Ok(name), Ok(value)) = read else { return Err(format!("`{name}` cannot be a header field")) };
        if !is_ours(&name) {
            given.headers.push((name, value));
        }
    }
    for (name, value) in members(output.remove("tyk_context")) {
        given.context.push((format!("jq_output_var_{name}"), plain(&value)));
    }
    Ok(given)
}

/// Whether a field tells of the body or the connection, which is the gate's matter.
fn is_ours(name: &HeaderName) -> bool {
    use http::header::{CONNECTION, CONTENT_LENGTH, TRAILER, TRANSFER_ENCODING, UPGRADE};
    [CONNECTION, CONTENT_LENGTH, TRAILER, TRANSFER_ENCODING, UPGRADE].contains(name)
}

fn members(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn set(given: Vec<(HeaderName, HeaderValue)>, headers: &mut HeaderMap) {
    for (name, value) in given {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c8_3_row_9_a_program_gives_body_fields_and_context() {
        for (program, body, expected) in [
            ("{body: .body.a}", r#"{"a":[1]}"#, Ok("[1]")),
            ("{body: ._tyk_context.path}", "", Ok(r#""/x""#)),
            (
                r#"{body: {}, rewrite_headers: {"x-a": "1", "content-length": "9"}, tyk_context: {v: 2}}"#,
                "{}",
                Ok("{}"),
            ),
            (".body", "{}", Err("no `body`")),
            ("1", "{}", Err("must give an object")),
            ("empty", "{}", Err("gives nothing")),
            (".a.b.c | error", "{}", Err("")),
            ("{body: 1}", "{", Err("EOF")),
            (r#"{body: 1, rewrite_headers: {"a b": "1"}}"#, "{}", Err("cannot be a header field")),
        ] {
            let given =
                run(&Program::compile(program).unwrap(), body.as_bytes(), Some(json!({"path": "/x"})));
            match expected {
                Ok(body) => {
                    let given = given.unwrap();
                    assert_eq!(given.body, body.as_bytes(), "{program}");
                    if program.contains("x-a") {
                        assert_eq!(given.headers.len(), 1, "the body's length is not theirs to say");
                        assert_eq!(given.context, [("jq_output_var_v".to_owned(), "2".to_owned())]);
                    }
                }
                Err(text) => {
                    assert!(given.as_ref().is_err_and(|told| told.contains(text)), "{program}: {given:?}")
                }
            }
        }
    }
}
