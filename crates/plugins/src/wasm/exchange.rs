//! What a filter sees of one call, and what becomes of what it did.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use serde_json::Value;

use super::Sees;
use super::pairs::Pairs;
use super::told::{self, Told};
use crate::{Call, Fault, Hook, Outcome, Outgoing, Overrides, Request, Response, Spec};

/// One call as the filter sees it.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    /// What the hook is called with.
    pub(super) sees: Sees,
    /// Header fields of the request; what begins with `:` is its first line.
    pub(super) request: Pairs,
    pub(super) request_body: Vec<u8>,
    pub(super) response: Pairs,
    pub(super) response_body: Vec<u8>,
    /// The answer to a request of the filter.
    pub(super) called: Pairs,
    pub(super) called_body: Vec<u8>,
    /// What is known by a path of names.
    pub(super) properties: HashMap<Vec<u8>, Vec<u8>>,
    /// What the client is to be answered.
    pub(super) answer: Option<Answer>,
    /// It was told to go on.
    pub(super) goes_on: bool,
    /// Requests that the filter wants sent, with their numbers.
    pub(super) wishes: VecDeque<(u32, Outgoing)>,
    /// Properties that the filter set, where they say something: who is calling, or what a record is to be.
    pub(super) told: Option<Told>,
    pub(super) has_request_body: bool,
    pub(super) has_response_body: bool,
}

/// An answer of the filter's own.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u32,
    pub(super) headers: Pairs,
    pub(super) body: Vec<u8>,
}

impl Exchange {
    pub(super) fn of(name: &str, call: &Call<'_>) -> Self {
        let request = call.request;
        let mut seen = Self {
            request: fields(&request.headers),
            request_body: request.body.as_ref().map(|body| body.to_vec()).unwrap_or_default(),
            has_request_body: request.body.is_some(),
            told: (call.hook == Hook::Auth).then(Told::new),
            sees: if call.hook == Hook::Response { Sees::Answers } else { Sees::Requests },
            ..Self::default()
        };
        let host = seen.request.iter().find(|(name, _)| name == b"host").map(|(_, host)| host.clone());
        let host = host.unwrap_or_default();
        let line = [
            (&b":method"[..], request.method.as_bytes()),
            (b":path", request.url.as_bytes()),
            (b":scheme", request.scheme.as_bytes()),
            (b":authority", &host),
        ];
        seen.request.splice(0..0, line.map(|(name, value)| (name.to_vec(), value.to_vec())));
        if let Some(response) = call.response {
            seen.response = fields(&response.headers);
            let status = response.status_code.to_string().into_bytes();
            seen.response.insert(0, (b":status".to_vec(), status));
            seen.has_response_body = response.body.is_some();
            seen.response_body = response.body.as_ref().map(|body| body.to_vec()).unwrap_or_default();
        }
        let (path, query) = request.url.split_once('?').unwrap_or((&request.url, ""));
        let mut known = |path: &str, value: &[u8]| {
            seen.properties.insert(path.replace('.', "\0").into_bytes(), value.to_vec());
        };
        for (path, value) in [
            ("hook", hook_name(call.hook)),
            ("plugin_name", name),
            ("plugin_root_id", name),
            ("request.method", &request.method),
            ("request.path", &request.url),
            ("request.url_path", path),
            ("request.query", query),
            ("request.scheme", &request.scheme),
            ("api.id", &call.spec.api),
            ("api.organisation", &call.spec.org),
        ] {
            known(path, value.as_bytes());
        }
        known("request.host", &host);
        // Numbers are in eight bytes.
        known("request.size", &(seen.request_body.len() as u64).to_le_bytes());
        if let Some(response) = call.response {
            known("response.code", &u64::from(response.status_code).to_le_bytes());
        }
        let session = call.session.and_then(|session| serde_json::to_value(session).ok());
        for (name, value) in session.iter().filter_map(Value::as_object).flatten() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let path = [b"session\0", name.as_bytes()].concat();
            seen.properties.insert(path, text.into_bytes());
        }
        seen
    }

    /// A record: each of its fields is a property, and so is the whole, as JSON.
    pub(super) fn of_record(name: &str, record: &str, spec: &Spec) -> Result<Self, Fault> {
        let fields: Value = serde_json::from_str(record).map_err(|why| Fault::Unusable(why.to_string()))?;
        let mut seen = Self { sees: Sees::Records, told: Some(Told::new()), ..Self::default() };
        let mut known = |path: &str, value: &[u8]| {
            seen.properties.insert(path.replace('.', "\0").into_bytes(), value.to_vec());
        };
        for (path, value) in [
            ("hook", "records"),
            ("plugin_name", name),
            ("plugin_root_id", name),
            ("api.id", &spec.api),
            ("api.organisation", &spec.org),
            ("record", record),
        ] {
            known(path, value.as_bytes());
        }
        put("record", &fields, &mut known);
        Ok(seen)
    }

    /// What is to be done for what the filter did.
    pub(super) fn outcome(self, call: &Call<'_>) -> Result<Outcome, Fault> {
        // Who is answered is nobody, whatever was told before.
        let mut outcome = match &self.told {
            Some(told) if self.answer.is_none() => told::caller(told)?,
            _ => Outcome::default(),
        };
        match call.response {
            None => outcome.request = self.request_made(call),
            Some(before) => outcome.response = Some(self.response_made(before)),
        }
        Ok(outcome)
    }

    /// What a record is to be.
    pub(super) fn record(self, before: &str) -> Result<String, Fault> {
        told::record(before, &self.told.unwrap_or_default())
    }

    fn request_made(self, call: &Call<'_>) -> Request {
        if let Some(answer) = self.answer {
            let headers = answer.headers.iter().map(|(name, value)| (text(name), text(value)));
            let return_overrides = Overrides {
                // 0 would be no answer at all; what is no status is refused by who reads this.
                response_code: i32::try_from(answer.status).ok().filter(|status| *status != 0).unwrap_or(-1),
                response_body: text(&answer.body),
                response_headers: headers.collect(),
                override_error: true,
                ..Overrides::default()
            };
            return Request { return_overrides, ..Request::default() };
        }
        let mut made = Request::default();
        let (set, gone) = differences(&fields(&call.request.headers), &self.request);
        made.set_headers = set.into_iter().map(|(name, values)| (name, values.join(", "))).collect();
        made.delete_headers = gone;
        let line = |wanted: &[u8]| {
            self.request.iter().find(|(name, _)| name == wanted).map(|(_, value)| text(value))
        };
        made.url = line(b":path").unwrap_or_default();
        made.method = line(b":method").unwrap_or_default();
        made.body = replaced(call.request.body.as_ref(), self.request_body);
        made
    }

    fn response_made(self, before: &Response) -> Response {
        if let Some(answer) = self.answer {
            let (set_headers, _) = differences(&Pairs::new(), &answer.headers);
            // 0 would leave the status of the backend; 1 is none, and is refused.
            let status_code = u16::try_from(answer.status).ok().filter(|status| *status != 0).unwrap_or(1);
            return Response {
                status_code,
                set_headers,
                // It stands in the place of the other one: nothing of that is left.
                delete_headers: before.headers.keys().cloned().collect(),
                body: Some(answer.body.into()),
                ..Response::default()
            };
        }
        let (set_headers, delete_headers) = differences(&fields(&before.headers), &self.response);
        let status = self.response.iter().find(|(name, _)| name == b":status");
        Response {
            status_code: status.and_then(|(_, status)| text(status).parse().ok()).unwrap_or_default(),
            set_headers,
            delete_headers,
            body: replaced(before.body.as_ref(), self.response_body),
            ..Response::default()
        }
    }
}

const fn hook_name(hook: Hook) -> &'static str {
    match hook {
        Hook::Pre => "pre",
        Hook::Auth => "auth",
        Hook::PostKeyAuth => "post_key_auth",
        Hook::Post => "post",
        Hook::Response => "response",
    }
}

/// The fields of an object as properties, and theirs.
fn put(path: &str, value: &Value, known: &mut impl FnMut(&str, &[u8])) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        match value {
            Value::String(text) => known(&path, text.as_bytes()),
            other => known(&path, other.to_string().as_bytes()),
        }
        put(&path, value, known);
    }
}

fn replaced(before: Option<&Bytes>, after: Vec<u8>) -> Option<Bytes> {
    (after != before.map(|body| &**body).unwrap_or_default()).then(|| after.into())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn fields(headers: &crate::call::Lists) -> Pairs {
    let pairs = headers.iter().flat_map(|(name, values)| {
        values.iter().map(|value| (name.to_ascii_lowercase().into_bytes(), value.clone().into_bytes()))
    });
    pairs.collect()
}

/// Fields that are other than before, and those that are gone; without what is no field.
fn differences(before: &Pairs, after: &Pairs) -> (crate::call::Lists, Vec<String>) {
    let of = |pairs: &Pairs| {
        let mut lists = crate::call::Lists::new();
        for (name, value) in pairs.iter().filter(|(name, _)| !name.starts_with(b":")) {
            lists.entry(text(name).to_ascii_lowercase()).or_default().push(text(value));
        }
        lists
    };
    let (before, mut after) = (of(before), of(after));
    let gone = before.keys().filter(|name| !after.contains_key(*name)).cloned().collect();
    after.retain(|name, values| before.get(name) != Some(values));
    (after, gone)
}
