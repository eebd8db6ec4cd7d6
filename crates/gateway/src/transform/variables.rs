//! Takes note of what names stand for (contract 4.4 row 12), before guards change the request.

use std::borrow::Cow;
use std::collections::BTreeSet;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::text::Variable;
use crate::context;
use crate::exchange::Exchange;
use crate::respond::Refusal;

/// The value of a name for a request.
pub(crate) fn value(variable: &Variable, exchange: &Exchange) -> Option<String> {
    if variable.meta {
        let session = &exchange.caller.as_ref()?.session;
        return session.meta_data.get(&*variable.name).and_then(context::plain).map(Cow::into_owned);
    }
    context::named(exchange, &variable.name)
}

/// Largest body that is looked at as a form, as large as in the original.
const LARGEST_FORM: usize = 10 << 20;

/// What has to be noted of requests. Only names that stand somewhere in the definition.
#[derive(Debug, Default)]
pub(crate) struct Variables {
    headers: BTreeSet<String>,
    cookies: bool,
    all_headers: bool,
    form: bool,
}

impl Variables {
    /// A name stands somewhere.
    pub(crate) fn see(&mut self, variable: &Variable) {
        if variable.meta {
            return;
        }
        let name = &*variable.name;
        if let Some(header) = name.strip_prefix("headers_") {
            self.headers.insert(header.to_ascii_lowercase());
        }
        self.cookies |= name.starts_with("cookies_");
        self.all_headers |= name == "headers";
        self.form |= name.starts_with("request_data");
    }

    /// A field is asked for by its name, lower case.
    pub(crate) fn see_header(&mut self, name: &str) {
        self.headers.insert(name.to_owned());
    }

    /// `None` where nothing need be noted.
    pub(crate) fn some(self) -> Option<Self> {
        (!self.headers.is_empty() || self.cookies || self.all_headers || self.form).then_some(self)
    }

    pub(crate) async fn pass(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        let noted = |name: &HeaderName| {
            self.all_headers
                || (self.cookies && *name == header::COOKIE)
                || self.headers.iter().any(|wanted| context::is_header(name.as_str(), wanted))
        };
        let headers = exchange.head.headers.iter().filter(|(name, _)| noted(name));
        let headers: HeaderMap = headers.map(|(name, value)| (name.clone(), value.clone())).collect();
        exchange.noted.headers = Some(headers);
        let kind = exchange.head.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        let is_form = kind.is_some_and(|kind| {
            const FORM: &[u8] = b"application/x-www-form-urlencoded";
            kind.get(..FORM.len()).is_some_and(|start| start.eq_ignore_ascii_case(FORM))
        });
        if self.form && is_form && !exchange.body.is_none() {
            exchange.noted.form = Some(exchange.buffer_body(LARGEST_FORM).await?);
        }
        Ok(())
    }
}
