//! What scripts are called with, on its way into an engine.
//!
//! Requests and answers go there piece by piece, and the prelude puts them together: that takes a third of the time that
//! writing and reading JSON takes. Its functions read them in the same order as they are written here.

use std::borrow::Cow;

use serde_json::Value;

use super::{json, session_of};
use crate::call::Lists;
use crate::{Call, Fault, Request, Response, Spec};

/// One argument of a function of the prelude.
#[derive(Debug, Clone)]
pub(super) enum Argument<'a> {
    Nothing,
    Number(u32),
    Text(Cow<'a, str>),
}

impl Argument<'_> {
    /// For a call on another thread.
    pub(super) fn into_owned(self) -> Argument<'static> {
        match self {
            Self::Nothing => Argument::Nothing,
            Self::Number(number) => Argument::Number(number),
            Self::Text(text) => Argument::Text(Cow::Owned(text.into_owned())),
        }
    }
}

impl<'a> From<&'a str> for Argument<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Argument<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

/// Arguments in their order.
#[derive(Debug, Default)]
pub(super) struct Arguments<'a>(pub(super) Vec<Argument<'a>>);

impl<'a> Arguments<'a> {
    /// What hooks are called with: the name of the script, the request, the session and the API; and the answer, of a hook
    /// that sees it.
    pub(super) fn of(name: &'a str, call: &Call<'a>) -> Result<Self, Fault> {
        let mut all = Self::default();
        all.add(name);
        all.add_request(call.request);
        match call.session {
            Some(_) => all.add(session_of(call.session)?),
            None => all.0.push(Argument::Nothing),
        }
        all.add_spec(call.spec)?;
        if let Some(response) = call.response {
            all.add_response(response);
        }
        Ok(all)
    }

    pub(super) fn add(&mut self, argument: impl Into<Argument<'a>>) {
        self.0.push(argument.into());
    }

    fn add_body(&mut self, body: Option<&'a bytes::Bytes>) {
        self.0.push(match body {
            Some(body) => Argument::Text(String::from_utf8_lossy(body)),
            None => Argument::Nothing,
        });
    }

    fn add_request(&mut self, request: &'a Request) {
        self.add(&*request.url);
        self.add(&*request.method);
        self.add(&*request.request_uri);
        self.add(&*request.scheme);
        self.add_lists(&request.headers);
        self.add_lists(&request.params);
        self.add_body(request.body.as_ref());
    }

    fn add_response(&mut self, response: &'a Response) {
        self.0.push(Argument::Number(response.status_code.into()));
        self.add_lists(&response.headers);
        self.add_body(response.body.as_ref());
    }

    /// How many names there are; then each name, how many texts it has, and those.
    fn add_lists(&mut self, lists: &'a Lists) {
        let number = |count: usize| Argument::Number(u32::try_from(count).unwrap_or(u32::MAX));
        self.0.push(number(lists.len()));
        for (name, texts) in lists {
            self.add(&**name);
            self.0.push(number(texts.len()));
            texts.iter().for_each(|text| self.add(&**text));
        }
    }

    fn add_spec(&mut self, spec: &'a Spec) -> Result<(), Fault> {
        self.add(&*spec.org);
        self.add(&*spec.api);
        match &spec.config_data {
            Value::Object(nothing) if nothing.is_empty() => self.0.push(Argument::Nothing),
            config => self.add(json(config)?),
        }
        Ok(())
    }
}
