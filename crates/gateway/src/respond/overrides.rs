//! Other answers in the place of errors (contract 4.2), compiled: those of an API come before those of the gate.

use std::path::{Component, Path};

use apidef::{ErrorMatch, ErrorRule, ErrorStatus, ErrorText};
use bytes::Bytes;
use document::Fault;
use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue,
};
use http::{Response, StatusCode};
use regex::Regex;
use serde_json::Value;
use templates::Template;

use super::pages::{self, Format};
use super::{ErrorPages, Refusal};
use crate::body::Body;
use crate::chain::has_an_end;
use crate::exchange::Exchange;

/// How much of an upstream's error is looked at.
const LOOKED_AT: usize = 4096;
/// The flag of an upstream that answers with an error of its own.
const OF_UPSTREAM: &str = "URS";

/// The rules of an API, or of the gate.
#[derive(Debug, Default)]
pub struct Overrides(Box<[(ErrorStatus, Box<[Rule]>)]>);

/// What is answered instead of an error.
#[derive(Debug)]
pub(super) struct Rule {
    when: Option<When>,
    status: Option<StatusCode>,
    headers: Box<[(HeaderName, HeaderValue)]>,
    text: Text,
}

#[derive(Debug)]
struct When {
    flag: Box<str>,
    message: Option<Regex>,
    body: Option<(Box<str>, Box<str>)>,
}

#[derive(Debug)]
enum Text {
    Same,
    Message(Box<str>),
    Made(Template),
    Fixed(Bytes),
}

impl Overrides {
    /// Compiles rules; templates that they name are in this folder. A rule that cannot work is a fault where it stands.
    ///
    /// # Errors
    /// That fault.
    pub fn new(model: &apidef::ErrorOverrides, folder: &Path) -> Result<Self, Fault> {
        let mut all = Vec::with_capacity(model.0.len());
        for (status, rules) in &model.0 {
            let compiled = rules
                .iter()
                .map(|rule| Rule::new(rule, folder).map_err(|text| Fault::error(&*rule.at.0, text)));
            all.push((*status, compiled.collect::<Result<_, _>>()?));
        }
        Ok(Self(all.into()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rules of a status: first those of it alone.
    fn of(&self, status: StatusCode) -> impl Iterator<Item = &Rule> {
        let status = status.as_u16();
        let counts = move |of: &ErrorStatus| match *of {
            ErrorStatus::One(one) => one == status,
            ErrorStatus::Class(class) => class == status / 100,
        };
        self.0.iter().filter(move |(of, _)| counts(of)).flat_map(|(_, rules)| rules)
    }

    /// What is answered instead of a refusal.
    pub(super) fn of_refusal(&self, refusal: &Refusal) -> Option<&Rule> {
        self.of(refusal.status).find(|rule| {
            rule.when.as_ref().is_none_or(|when| {
                (!when.flag.is_empty() && is_called(&when.flag, refusal.flag))
                    || when.message.as_ref().is_some_and(|message| message.is_match(&refusal.message))
            })
        })
    }

    /// Whether one has to look into the body of such an error of an upstream.
    fn looks_into(&self, status: StatusCode) -> bool {
        self.of(status)
            .filter_map(|rule| rule.when.as_ref())
            .any(|when| when.message.is_some() || when.body.is_some())
    }

    /// What is answered instead of an error of an upstream that says this.
    fn of_answer(&self, status: StatusCode, body: Option<&Said>) -> Option<&Rule> {
        self.of(status).find(|rule| {
            let Some(when) = &rule.when else { return true };
            if !when.flag.is_empty() {
                return *when.flag == *OF_UPSTREAM && status.is_server_error();
            }
            let Some(said) = body else { return false };
            when.body.as_ref().is_some_and(|(field, value)| said.has(field, value))
                || when.message.as_ref().is_some_and(|message| message.is_match(&said.text))
        })
    }
}

/// Whether a refusal may be called so: what the original has one flag for, two are told apart here.
fn is_called(wanted: &str, flag: &str) -> bool {
    wanted == flag || matches!((wanted, flag), ("URT", "UCT") | ("TLI", "TLC"))
}

impl Rule {
    fn new(model: &ErrorRule, folder: &Path) -> Result<Self, String> {
        let template = |text: &str| {
            Template::parse_quick("error", text).map_err(|why| format!("this template cannot be used: {why}"))
        };
        let text = match &model.text {
            ErrorText::Same => Text::Same,
            ErrorText::Message(text) => Text::Message(text.clone()),
            ErrorText::Body(text) if text.contains("{{.") => Text::Made(template(text)?),
            ErrorText::Body(text) => Text::Fixed(Bytes::copy_from_slice(text.as_bytes())),
            ErrorText::File(name) => Text::Made(file(folder, name)?),
        };
        let header = |(name, value): &(Box<str>, Box<str>)| {
            let name =
                HeaderName::try_from(&**name).map_err(|_| format!("`{name}` is no name of a header"))?;
            let value = HeaderValue::try_from(&**value)
                .map_err(|_| format!("the value of `{name}` holds what no header can"))?;
            Ok::<_, String>((name, value))
        };
        Ok(Self {
            when: model.when.as_ref().map(When::new).transpose()?,
            status: model.status.and_then(|status| StatusCode::from_u16(status).ok()),
            headers: model.headers.iter().map(header).collect::<Result<_, _>>()?,
            text,
        })
    }

    /// Does to an error what the rule says; `same` is its message.
    pub(super) fn apply(
        &self,
        pages: &ErrorPages,
        request: &HeaderMap,
        same: &str,
        response: &mut Response<Body>,
    ) {
        let status = self.status.unwrap_or(response.status());
        *response.status_mut() = status;
        let kind = self.headers.iter().find(|(name, _)| *name == CONTENT_TYPE).map(|(_, kind)| kind);
        let (usual, usual_kind) = Format::of(request);
        let format = kind.map_or(usual, Format::named);
        let text: Option<Bytes> = match &self.text {
            Text::Same => None,
            Text::Message(message) => Some(pages.text(usual, status, message).into()),
            Text::Fixed(text) => Some(text.clone()),
            Text::Made(template) => match template.render(&format.values(status, same)) {
                Ok(text) => Some(text.into()),
                Err(error) => {
                    tracing::warn!(
                        status = status.as_u16(),
                        error,
                        "the template of an override of errors fails"
                    );
                    Some(pages.text(usual, status, same).into())
                }
            },
        };
        let headers = response.headers_mut();
        if let Some(text) = text {
            for name in [CONTENT_ENCODING, CONTENT_LENGTH, ETAG] {
                headers.remove(name);
            }
            headers.insert(CONTENT_TYPE, usual_kind);
            *response.body_mut() = Body::full(text);
        }
        for (name, value) in &self.headers {
            response.headers_mut().insert(name, value.clone());
        }
    }

    /// Whether it says something in the place of the error's own text.
    pub(super) fn says(&self) -> bool {
        !matches!(self.text, Text::Same)
    }
}

impl When {
    fn new(model: &ErrorMatch) -> Result<Self, String> {
        let message = Some(&model.message).filter(|text| !text.is_empty());
        let body =
            (!model.body_field.is_empty()).then(|| (model.body_field.clone(), model.body_value.clone()));
        Ok(Self {
            flag: model.flag.clone(),
            message: message.map(|text| apidef::pattern(text)).transpose()?,
            body,
        })
    }
}

/// A template of the folder, by its name: no way leads out of it.
fn file(folder: &Path, name: &str) -> Result<Template, String> {
    let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    if !plain {
        return Err(format!("`{name}` must be the name of a file in the folder of templates"));
    }
    let path = folder.join(name);
    match path.extension() {
        None if !path.is_file() => pages::read(&path.with_extension("json")),
        _ => pages::read(&path),
    }
}

/// What an upstream says in an error.
struct Said {
    text: String,
    json: Option<Value>,
}

impl Said {
    fn has(&self, field: &str, value: &str) -> bool {
        let found = field.split('.').try_fold(self.json.as_ref(), |at, part| {
            let next = match at? {
                Value::Object(fields) => fields.get(part),
                Value::Array(items) => part.parse::<usize>().ok().and_then(|index| items.get(index)),
                _ => None,
            };
            Some(next)
        });
        match found.flatten() {
            None => false,
            Some(Value::String(text)) => text == value,
            Some(Value::Null) => value.is_empty(),
            Some(other) => {
                let written = other.to_string();
                written == value
            }
        }
    }
}

/// A stage: puts other answers in the place of an upstream's errors. `own` are the rules of the API.
pub(crate) async fn of_answer(own: &Overrides, exchange: &Exchange, response: &mut Response<Body>) {
    let status = response.status();
    let gate = &exchange.gate.settings;
    let looks = own.looks_into(status) || gate.error_overrides.looks_into(status);
    let said = if looks { said(exchange, response).await } else { None };
    let rule = own
        .of_answer(status, said.as_ref())
        .or_else(|| gate.error_overrides.of_answer(status, said.as_ref()));
    let Some(rule) = rule else { return };
    let same =
        said.map_or_else(|| status.canonical_reason().unwrap_or_default().to_owned(), |said| said.text);
    rule.apply(&gate.error_pages, &exchange.head.headers, &same, response);
}

async fn said(exchange: &Exchange, response: &mut Response<Body>) -> Option<Said> {
    // What is coded cannot be read, and what has no end is not waited for.
    if response.headers().contains_key(CONTENT_ENCODING) || !has_an_end(&exchange.head.method, response) {
        return None;
    }
    let bytes = response.body_mut().peek(LOOKED_AT).await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Some(Said { json: serde_json::from_str(&text).ok(), text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn overrides(value: Value) -> Overrides {
        Overrides::new(&apidef::ErrorOverrides::parse(&value).unwrap(), Path::new("/none")).unwrap()
    }

    fn made(rule: &Rule, same: &str) -> (u16, HeaderMap) {
        let mut response = Response::new(Body::full("old"));
        *response.status_mut() = StatusCode::FORBIDDEN;
        rule.apply(&ErrorPages::default(), &HeaderMap::new(), same, &mut response);
        (response.status().as_u16(), response.headers().clone())
    }

    #[test]
    fn c4_2_rows_2_and_3_the_first_rule_that_fits_a_refusal_counts() {
        let rules = overrides(json!({
            "4xx": [{"response": {"status_code": 400}}],
            "403": [
                {"match": {"flag": "AKI"}, "response": {"status_code": 401, "headers": {"X-A": "1"}}},
                {"match": {"message_pattern": "^quota"}, "response": {"status_code": 429}},
                {"match": {"body_field": "a", "body_value": "b"}, "response": {"status_code": 500}},
            ],
            "504": [{"match": {"flag": "URT"}, "response": {"status_code": 503}}],
        }));
        for (status, flag, message, made_status) in [
            (403, "AKI", "no", Some(401)),
            (403, "QEX", "quota exceeded", Some(429)),
            (403, "QEX", "the quota", Some(400)),
            (404, "VNF", "", Some(400)),
            (500, "UCF", "", None),
            (504, "URT", "", Some(503)),
            (504, "UCT", "", Some(503)),
            (504, "UCF", "", None),
        ] {
            let refusal = Refusal::client(StatusCode::from_u16(status).unwrap(), flag, message);
            let rule = rules.of_refusal(&refusal);
            assert_eq!(rule.map(|rule| made(rule, message).0), made_status, "{status} {flag} {message}");
        }
    }

    #[test]
    fn c4_2_row_4_errors_of_upstreams_are_known_by_what_they_say() {
        let rules = overrides(json!({
            "5xx": [{"match": {"flag": "URS"}, "response": {"status_code": 502}}],
            "4xx": [
                {"match": {"flag": "URS"}, "response": {"status_code": 444}},
                {"match": {"body_field": "errors.0.code", "body_value": "7"}, "response": {"status_code": 409}},
                {"match": {"message_pattern": "gone|lost"}, "response": {"status_code": 410}},
            ],
        }));
        for (status, text, made_status) in [
            (503, "", Some(502)),
            (404, r#"{"errors": [{"code": 7}]}"#, Some(409)),
            (404, r#"{"errors": [{"code": "7"}]}"#, Some(409)),
            (404, r#"{"errors": []}"#, None),
            (400, "it is gone", Some(410)),
            (400, "it is there", None),
        ] {
            let said = Said { text: text.to_owned(), json: serde_json::from_str(text).ok() };
            let status = StatusCode::from_u16(status).unwrap();
            let rule = rules.of_answer(status, Some(&said));
            assert_eq!(rule.map(|rule| made(rule, text).0), made_status, "{status} {text}");
        }
    }

    #[test]
    fn rules_that_cannot_work_are_faults_at_their_place() {
        for response in [
            json!({"body": "{{.Message"}),
            json!({"template": "../secret"}),
            json!({"template": "/etc/passwd"}),
            json!({"template": "none"}),
            json!({"headers": {"a b": "1"}}),
        ] {
            let model = apidef::ErrorOverrides::parse(&json!({"403": [{"response": response}]})).unwrap();
            let fault = Overrides::new(&model, Path::new("/none")).unwrap_err();
            assert_eq!(fault.pointer, "/403/0", "{response}");
        }
    }
}
