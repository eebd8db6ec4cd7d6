//! What plugins see, and what they give back: the shapes of contract 9.2 and 9.3, for every kind of plugin the same.

use std::collections::BTreeMap;

use apidef::Session;
use bytes::Bytes;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Names and a text each.
pub(crate) type Texts = BTreeMap<String, String>;
/// Names and some texts each.
pub(crate) type Lists = BTreeMap<String, Vec<String>>;

/// Where a plugin is called from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hook {
    /// Before authentication.
    Pre,
    /// In the place of authentication.
    Auth,
    /// After authentication.
    PostKeyAuth,
    /// Right before the backend.
    Post,
    /// On the answer.
    Response,
}

/// A request, as plugins see it and change it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Request {
    /// Header fields, by names in canonical form.
    #[serde(deserialize_with = "lists")]
    pub headers: Lists,
    /// Fields that are to be set.
    #[serde(deserialize_with = "texts")]
    pub set_headers: Texts,
    /// Fields that are to be deleted.
    #[serde(deserialize_with = "nullable")]
    pub delete_headers: Vec<String>,
    /// The target: path and query.
    #[serde(rename = "URL", deserialize_with = "nullable")]
    pub url: String,
    /// Parameters of the query.
    #[serde(deserialize_with = "lists")]
    pub params: Lists,
    /// Parameters that are to be added.
    #[serde(deserialize_with = "texts")]
    pub add_params: Texts,
    /// Parameters that are to be added, with several values each.
    #[serde(deserialize_with = "lists")]
    pub extended_params: Lists,
    /// Parameters that are to be deleted.
    #[serde(deserialize_with = "nullable")]
    pub delete_params: Vec<String>,
    /// What the client is to be answered instead.
    #[serde(deserialize_with = "nullable")]
    pub return_overrides: Overrides,
    /// The body stays as it is, whatever the plugin gives.
    #[serde(deserialize_with = "nullable")]
    pub ignore_body: bool,
    /// The method.
    #[serde(deserialize_with = "nullable")]
    pub method: String,
    /// The target as the client sent it.
    #[serde(rename = "RequestURI", deserialize_with = "nullable")]
    pub request_uri: String,
    /// `http` or `https`.
    #[serde(deserialize_with = "nullable")]
    pub scheme: String,
    /// The body: in a call, that of the request, in an outcome, that which takes its place.
    #[serde(skip)]
    pub body: Option<Bytes>,
}

impl Request {
    /// What a plugin gave, for whoever looks at it: with what plugins see and cannot change, which only some of them give
    /// back.
    #[must_use]
    pub fn with_seen(self, seen: &Self) -> Self {
        let Self { headers, params, request_uri, scheme, mut url, mut method, .. } = seen.clone();
        // Some give these only where they are others.
        if !self.url.is_empty() {
            url = self.url;
        }
        if !self.method.is_empty() {
            method = self.method;
        }
        Self { headers, params, request_uri, scheme, url, method, ..self }
    }
}

/// What a plugin wants the client to be answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Overrides {
    /// The status; 0 = there is no such wish.
    #[serde(deserialize_with = "nullable")]
    pub response_code: i32,
    /// An older name of the body.
    #[serde(deserialize_with = "nullable")]
    pub response_error: String,
    /// The body.
    #[serde(deserialize_with = "nullable")]
    pub response_body: String,
    /// Header fields.
    #[serde(deserialize_with = "texts")]
    pub response_headers: Texts,
    /// The body is the answer as it stands, even of an error.
    #[serde(deserialize_with = "nullable")]
    pub override_error: bool,
}

impl Overrides {
    /// The body that is meant, by whichever name.
    pub fn text(&self) -> &str {
        if self.response_body.is_empty() { &self.response_error } else { &self.response_body }
    }
}

/// An answer, as plugins see it and change it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Response {
    /// The status.
    #[serde(deserialize_with = "nullable")]
    pub status_code: u16,
    /// Header fields, by names in canonical form.
    #[serde(deserialize_with = "lists")]
    pub headers: Lists,
    /// Fields that are to be set.
    #[serde(deserialize_with = "lists")]
    pub set_headers: Lists,
    /// Fields that are to be deleted.
    #[serde(deserialize_with = "nullable")]
    pub delete_headers: Vec<String>,
    /// The body: in a call, that of the answer, in an outcome, that which takes its place.
    #[serde(skip)]
    pub body: Option<Bytes>,
}

impl Response {
    /// As [`Request::with_seen`].
    #[must_use]
    pub fn with_seen(self, seen: &Self) -> Self {
        Self { headers: seen.headers.clone(), ..self }
    }
}

/// What a plugin is told of the API.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Spec {
    /// Its organisation.
    #[serde(rename = "OrgID")]
    pub org: String,
    /// Its id.
    #[serde(rename = "APIID")]
    pub api: String,
    /// What its definition has for plugins (`config_data`).
    pub config_data: Value,
    /// The digest of the bundle that the plugin is of.
    #[serde(skip)]
    pub bundle: String,
}

/// One call of a plugin.
#[derive(Debug)]
pub struct Call<'a> {
    /// Where from.
    pub hook: Hook,
    /// The request.
    pub request: &'a Request,
    /// The answer, of a hook that sees it.
    pub response: Option<&'a Response>,
    /// The session of the caller, where there is one that the plugin may see.
    pub session: Option<&'a Session>,
    /// The API.
    pub spec: &'a Spec,
    /// The body is not needed as text.
    pub raw_body_only: bool,
}

/// What a plugin gives.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// The request with what is to be changed.
    pub request: Request,
    /// The answer with what is to be changed.
    pub response: Option<Response>,
    /// The session: of a plugin that authenticates, that of the caller.
    pub session: Option<Box<Session>>,
    /// Metadata: of a session, or what a plugin that authenticates says of the caller.
    pub metadata: Map<String, Value>,
}

/// `null` is what an empty value is.
pub(crate) fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Names and a text each; scripts write numbers, too.
pub(crate) fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Texts, D::Error> {
    let written = Option::<BTreeMap<String, Value>>::deserialize(deserializer)?.unwrap_or_default();
    let pairs = written.into_iter().map(|(name, value)| match text(value) {
        Some(text) => Ok((name, text)),
        None => Err(D::Error::custom(format!("the value of `{name}` is no text"))),
    });
    pairs.collect()
}

/// Names and some texts each; scripts write a single one without a list.
pub(crate) fn lists<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Lists, D::Error> {
    let written = Option::<BTreeMap<String, Value>>::deserialize(deserializer)?.unwrap_or_default();
    let pairs = written.into_iter().map(|(name, value)| {
        let list = match value {
            Value::Null => Some(Vec::new()),
            Value::Array(values) => values.into_iter().map(text).collect::<Option<Vec<_>>>(),
            other => text(other).map(|text| vec![text]),
        };
        list.map(|list| (name.clone(), list))
            .ok_or_else(|| D::Error::custom(format!("the value of `{name}` is no list of texts")))
    });
    pairs.collect()
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null => Some(String::new()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_scripts_write_carelessly_is_read() {
        let written = r#"{"Headers": null, "SetHeaders": {"X-N": 5, "X-B": true}, "AddParams": {"a": "b"},
            "ExtendedParams": {"c": "d", "e": ["f", 1]}, "DeleteHeaders": null, "ReturnOverrides": null, "Other": 1}"#;
        let request: Request = serde_json::from_str(written).unwrap();
        assert_eq!(request.set_headers["X-N"], "5");
        assert_eq!(request.set_headers["X-B"], "true");
        assert_eq!(request.extended_params["c"], ["d"]);
        assert_eq!(request.extended_params["e"], ["f", "1"]);
        assert_eq!(request.return_overrides, Overrides::default());
        for bad in [r#"{"SetHeaders": {"a": {}}}"#, r#"{"ExtendedParams": {"a": [[]]}}"#, r#"{"Method": {}}"#]
        {
            assert!(serde_json::from_str::<Request>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn either_name_of_the_body_will_do() {
        let of = |text: &str| serde_json::from_str::<Overrides>(text).unwrap();
        assert_eq!(of(r#"{"ResponseError": "no"}"#).text(), "no");
        assert_eq!(of(r#"{"ResponseError": "no", "ResponseBody": "really no"}"#).text(), "really no");
    }
}
