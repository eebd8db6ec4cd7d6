//! What scripts are called with, on its way into an engine.
//!
//! Requests and answers go there piece by piece, and the prelude puts them together: that takes a third of the time that
//! writing and reading JSON takes. Its functions read them in the same order as they are written here.

use std::borrow::Cow;

use serde_json::Value;

use super::{json, session_of};
use crate::call::Lists;
use crate::{Call, Fault, Spec};

/// So many arguments most calls have room in.
const USUAL: usize = 48;

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
        let request = call.request;
        let mut all = Self(Vec::with_capacity(USUAL));
        for text in [name, &*request.url, &*request.method, &*request.request_uri, &*request.scheme] {
            all.add(text);
        }
        all.add_body(request.body.as_ref());
        match call.session {
            Some(_) => all.add(session_of(call.session)?),
            None => all.0.push(Argument::Nothing),
        }
        all.add_spec(call.spec)?;
        if let Some(response) = call.response {
            all.0.push(Argument::Number(response.status_code.into()));
            all.add_body(response.body.as_ref());
        }
        all.add_lists(&request.headers);
        all.add_lists(&request.params);
        if let Some(response) = call.response {
            all.add_lists(&response.headers);
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
