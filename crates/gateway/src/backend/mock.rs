//! Answers in the place of the backend's (contract 3.6, 4.4 row 38).

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde_json::Value;

use crate::body::Body;
use crate::exchange::Exchange;
use crate::respond::Refusal;
use crate::route::{Collector, PerPath, Reply};

const WANTED_NAME: HeaderName = HeaderName::from_static("x-tyk-accept-example-name");
const WANTED_STATUS: HeaderName = HeaderName::from_static("x-tyk-accept-example-code");

/// The answers of one API.
#[derive(Debug)]
pub(crate) struct Mocks(PerPath<Mock>);

#[derive(Debug)]
enum Mock {
    Fixed(Reply),
    Examples(Box<Examples>),
}

/// What the document says of the answers of an operation, as it is sent.
#[derive(Debug)]
struct Examples {
    status: u16,
    content_type: Box<str>,
    name: Box<str>,
    answers: BTreeMap<Box<str>, Answer>,
}

#[derive(Debug)]
struct Answer {
    headers: HeaderMap,
    media: BTreeMap<Box<str>, Media>,
}

#[derive(Debug)]
struct Media {
    content_type: HeaderValue,
    /// What is sent to who names no example; `None` where there is nothing.
    first: Option<Bytes>,
    named: BTreeMap<Box<str>, Bytes>,
}

impl Mocks {
    /// `None` where the backend answers everything itself.
    pub(crate) fn new(
        model: &[apidef::AtPath<apidef::Mock>],
        patterns: &Collector,
    ) -> Result<Option<Self>, String> {
        let mut faults = Vec::new();
        let mocks = PerPath::of(patterns, model, |one| match &one.value {
            apidef::Mock::Fixed(reply) => Mock::Fixed(Reply::new(reply, &mut faults)),
            apidef::Mock::Examples(examples) => Mock::Examples(Box::new(Examples::new(examples))),
        });
        match faults.pop() {
            Some(fault) => Err(fault),
            None => Ok((!mocks.is_empty()).then_some(Self(mocks))),
        }
    }

    /// The answer of a path that has one.
    pub(crate) fn answer(&self, exchange: &mut Exchange) -> Result<Option<Response<Body>>, Refusal> {
        let Some(mock) = self.0.find(exchange) else { return Ok(None) };
        exchange.mocked = true;
        match mock {
            Mock::Fixed(reply) => Ok(Some(reply.response())),
            Mock::Examples(examples) => examples.choose(&exchange.head.headers).map(Some).map_err(|why| {
                let text = format!("failed to mock response: mock: {why}");
                Refusal::gate(StatusCode::INTERNAL_SERVER_ERROR, "URR", text)
            }),
        }
    }
}

impl Examples {
    fn new(model: &apidef::Examples) -> Self {
        let answer = |answer: &apidef::ExampleAnswer| {
            let mut headers = HeaderMap::new();
            for (name, value) in &answer.headers {
                if let (Ok(name), Ok(value)) =
                    (HeaderName::try_from(&**name), HeaderValue::try_from(&**value))
                {
                    headers.insert(name, value);
                }
            }
            let media = answer
                .media
                .iter()
                .filter_map(|(kind, media)| Some((kind.clone(), Media::new(kind, media)?)));
            Answer { headers, media: media.collect() }
        };
        Self {
            status: model.status,
            content_type: model.content_type.clone(),
            name: model.name.clone(),
            answers: model.answers.iter().map(|(status, model)| (status.clone(), answer(model))).collect(),
        }
    }

    /// The answer that a client asks for.
    fn choose(&self, wanted: &HeaderMap) -> Result<Response<Body>, String> {
        let text = |name: &HeaderName| {
            wanted.get(name).and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty())
        };
        let status = match text(&WANTED_STATUS) {
            None => self.status,
            Some(status) => status
                .parse()
                .ok()
                .filter(|status| (200..600).contains(status))
                .ok_or_else(|| format!("given code {status} is not a valid integer value"))?,
        };
        let named = status.to_string();
        let range = format!("{}XX", status / 100);
        let answer = self.answers.get(&*named).or_else(|| self.answers.get(&*range));
        let answer = answer.ok_or_else(|| format!("there is no example response for the code: {status}"))?;
        let kind = text(&ACCEPT).filter(|kind| *kind != "*/*").unwrap_or(&self.content_type);
        let none_of_kind = || format!("there is no example response for the content type: {kind}");
        let media = answer.media.get(kind).ok_or_else(none_of_kind)?;
        let body = match text(&WANTED_NAME).unwrap_or(&self.name) {
            "" => media.first.clone().ok_or_else(none_of_kind)?,
            name => media
                .named
                .get(name)
                .cloned()
                .ok_or_else(|| format!("there is no example response for the example name: {name}"))?,
        };
        let mut response = Response::new(Body::full(body));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
        *response.headers_mut() = answer.headers.clone();
        response.headers_mut().insert(CONTENT_TYPE, media.content_type.clone());
        Ok(response)
    }
}

impl Media {
    fn new(kind: &str, model: &apidef::ExampleMedia) -> Option<Self> {
        let sent = |value: &Value| match value {
            // What is no JSON is sent as the text that it is.
            Value::String(text) if !is_json(kind) => Bytes::copy_from_slice(text.as_bytes()),
            value => Bytes::from(value.to_string()),
        };
        let named: BTreeMap<Box<str>, Bytes> =
            model.named.iter().map(|(name, value)| (name.clone(), sent(value))).collect();
        let unnamed = model.example.as_ref().map(sent);
        let first =
            unnamed.or_else(|| named.values().next().cloned()).or_else(|| model.made.as_ref().map(sent));
        Some(Self { content_type: HeaderValue::try_from(kind).ok()?, first, named })
    }
}

fn is_json(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || kind == "text/json" || kind.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn c3_6_row_2_clients_choose_among_examples() {
        let media =
            |example: Option<Value>, named: &[(&str, Value)], made: Option<Value>| apidef::ExampleMedia {
                example,
                named: named.iter().map(|(name, value)| ((*name).into(), value.clone())).collect(),
                made,
            };
        let answer = |media: &[(&str, apidef::ExampleMedia)]| apidef::ExampleAnswer {
            headers: [("x-a".into(), "1".into())].into(),
            media: media.iter().map(|(kind, media)| ((*kind).into(), media.clone())).collect(),
        };
        let ok = answer(&[
            (
                "application/json",
                media(None, &[("b", json!({"b": 1})), ("a", json!("text"))], Some(json!(7))),
            ),
            ("text/plain", media(Some(json!("plain")), &[], None)),
            ("application/xml", media(None, &[], Some(json!("<a/>")))),
            ("application/none", media(None, &[], None)),
        ]);
        let model = apidef::Examples {
            status: 200,
            content_type: "application/json".into(),
            name: "".into(),
            answers: [
                ("200".into(), ok),
                ("4XX".into(), answer(&[("application/json", media(Some(json!([])), &[], None))])),
            ]
            .into(),
        };
        let examples = Examples::new(&model);
        let none = |what: &str| Err(format!("there is no example response for the {what}"));
        for (status, accept, name, expected) in [
            ("", "", "", Ok((200, "\"text\""))),
            ("", "*/*", "b", Ok((200, "{\"b\":1}"))),
            ("", "text/plain", "", Ok((200, "plain"))),
            ("", "application/xml", "", Ok((200, "<a/>"))),
            ("404", "", "", Ok((404, "[]"))),
            ("", "", "z", none("example name: z")),
            ("", "application/none", "", none("content type: application/none")),
            ("", "text/html", "", none("content type: text/html")),
            ("500", "", "", none("code: 500")),
            ("ten", "", "", Err("given code ten is not a valid integer value".to_owned())),
            ("99", "", "", Err("given code 99 is not a valid integer value".to_owned())),
        ] {
            let mut wanted = HeaderMap::new();
            for (field, text) in [(WANTED_STATUS, status), (ACCEPT, accept), (WANTED_NAME, name)] {
                wanted.insert(field, HeaderValue::from_static(text));
            }
            let chosen = examples.choose(&wanted);
            let row = format!("{status} {accept} {name}");
            match (chosen, expected) {
                (Ok(response), Ok((status, _))) => {
                    assert_eq!(response.status().as_u16(), status, "{row}");
                    assert_eq!(response.headers()["x-a"], "1", "{row}");
                }
                (chosen, expected) => assert_eq!(chosen.err(), expected.err(), "{row}"),
            }
        }
        let sent: Vec<_> = examples.answers["200"].media.values().map(|media| media.first.clone()).collect();
        assert_eq!(sent, [Some("\"text\"".into()), None, Some("<a/>".into()), Some("plain".into())]);
    }
}
