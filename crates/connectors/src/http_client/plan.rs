//! From a message to a request (streams contract 2.1).

use std::borrow::Cow;

use bloblang::{MessageView as _, Template};
use bytes::Bytes;
use document::Fault;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use percent_encoding::percent_decode_str;
use streams::{BuildContext, Message, Node, View, multipart};
use url::Url;

use super::exchange::Request;
use crate::addresses::shown;
use crate::auth::basic;
use streams::Selection;

/// How requests are made.
#[derive(Debug)]
pub(super) struct Plan {
    url: Template,
    method: Method,
    headers: Vec<(HeaderName, Template)>,
    metadata: Selection,
    payload: Option<Template>,
    parts: Vec<Part>,
}

/// One part of a body that is built of parts.
#[derive(Debug)]
struct Part {
    content_type: Template,
    content_disposition: Template,
    body: Template,
}

/// What a request carries.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    body: Bytes,
    content_type: Option<Cow<'static, str>>,
}

impl Plan {
    pub(super) fn read(node: &Node<'_>, context: &BuildContext<'_>) -> Result<Plan, Fault> {
        let verb = node.text("verb")?;
        let method = Method::from_bytes(verb.as_bytes())
            .map_err(|_| node.field_fault("verb", format!("`{verb}` is not a method of HTTP")))?;
        let mut headers = Vec::new();
        for (name, template) in node.templates("headers", context)? {
            let header = HeaderName::try_from(name.as_str())
                .map_err(|_| node.get("headers").field_fault(&name, "this is not a header's name"))?;
            headers.push((header, template));
        }
        let url = node.template("url", context)?;
        if let Some(text) = url.as_static() {
            parsed(text).map_err(|fault| node.field_fault("url", fault))?;
        }
        let mut parts = Vec::new();
        for part in node.items("multipart") {
            parts.push(Part {
                content_type: part.template("content_type", context)?,
                content_disposition: part.template("content_disposition", context)?,
                body: part.template("body", context)?,
            });
        }
        let payload = match node.has("payload") {
            true => Some(node.template("payload", context)?),
            false => None,
        };
        if payload.is_some() && !parts.is_empty() {
            return Err(node.field_fault("payload", "the body is either `payload` or `multipart`"));
        }
        Ok(Plan { url, method, headers, metadata: Selection::read(&node.get("metadata"))?, payload, parts })
    }

    /// What a request for one message carries.
    pub(super) fn content(&self, batch: &[Message], index: usize) -> Result<Content, String> {
        let view = View(batch);
        if !self.parts.is_empty() {
            return self.built(&view, index);
        }
        if let Some(payload) = &self.payload {
            let body = payload.render_bytes(&view, index).map_err(|fault| format!("`payload`: {fault}"))?;
            return Ok(Content { body, content_type: None });
        }
        let body = batch.get(index).map(|message| message.bytes().clone()).unwrap_or_default();
        Ok(Content { body, content_type: None })
    }

    /// The address where no message makes it; empty when it needs one.
    pub(super) fn address(&self) -> String {
        self.url.render(&View(&[]), 0).unwrap_or_default()
    }

    /// What a request carries that only asks; `previous` is what the last one gave.
    pub(super) fn question(&self, previous: &[Message]) -> Result<Content, String> {
        match self.payload {
            None => Ok(Content::default()),
            Some(_) => self.content(previous, 0),
        }
    }

    /// What one request for a whole batch carries: a part for each message.
    pub(super) fn content_of_all(&self, batch: &[Message]) -> Result<Content, String> {
        if batch.len() < 2 {
            return self.content(batch, 0);
        }
        let mut payloads = Vec::with_capacity(batch.len());
        for index in 0..batch.len() {
            payloads.push(self.content(batch, index)?);
        }
        let default = [("Content-Type", "application/octet-stream")];
        let boundary = multipart::new_boundary();
        let parts =
            payloads.iter().map(|content| multipart::Part { headers: &default, payload: &content.body });
        Ok(Content { body: multipart::write(parts, &boundary), content_type: Some(form_data(&boundary)) })
    }

    fn built(&self, view: &View<'_>, index: usize) -> Result<Content, String> {
        let mut rendered = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let text = |name: &str, template: &Template| {
                let text = template
                    .render(view, index)
                    .map_err(|fault| format!("`multipart`, `{name}`: {fault}"))?;
                if text.contains(['\r', '\n']) {
                    return Err(format!("`multipart`, `{name}`: a header cannot hold a line break"));
                }
                Ok(text)
            };
            let content_type = text("content_type", &part.content_type)?;
            let disposition = text("content_disposition", &part.content_disposition)?;
            let body = part
                .body
                .render_bytes(view, index)
                .map_err(|fault| format!("`multipart`, `body`: {fault}"))?;
            rendered.push((content_type, disposition, body));
        }
        let headers: Vec<Vec<(&str, &str)>> = (rendered.iter())
            .map(|(content_type, disposition, _)| {
                let both =
                    [("Content-Type", content_type.as_str()), ("Content-Disposition", disposition.as_str())];
                both.into_iter().filter(|(_, value)| !value.is_empty()).collect()
            })
            .collect();
        let boundary = multipart::new_boundary();
        let parts = rendered.iter().zip(&headers);
        let parts = parts.map(|((_, _, body), headers)| multipart::Part { headers, payload: body });
        Ok(Content { body: multipart::write(parts, &boundary), content_type: Some(form_data(&boundary)) })
    }

    /// The request, without credentials but those in the address.
    pub(super) fn request(
        &self,
        batch: &[Message],
        index: usize,
        content: Content,
    ) -> Result<Request, String> {
        let view = View(batch);
        let url = self.url.render(&view, index).map_err(|fault| format!("`url`: {fault}"))?;
        let mut url = parsed(&url)?;
        let mut headers = HeaderMap::new();
        if let Some(message) = batch.get(index) {
            for (name, value) in self.metadata.of(message) {
                let header = HeaderName::try_from(name)
                    .map_err(|_| format!("the metadata `{name}` cannot be a header: its name is none"))?;
                headers.insert(header, header_value(name, &value)?);
            }
            // In place of one that came in with the message: it is that of our own span.
            for (name, value) in message.trace().into_iter().flat_map(|trace| trace.fields) {
                if let (Ok(header), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                    headers.insert(header, value);
                }
            }
        }
        for (name, template) in &self.headers {
            let value =
                template.render(&view, index).map_err(|fault| format!("the header `{name}`: {fault}"))?;
            headers.insert(name.clone(), header_value(name.as_str(), &value)?);
        }
        if let Some(content_type) = &content.content_type {
            headers.insert(CONTENT_TYPE, header_value("Content-Type", content_type)?);
        } else if !content.body.is_empty() && !headers.contains_key(CONTENT_TYPE) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        }
        if headers.get(HOST).is_some_and(HeaderValue::is_empty) {
            headers.remove(HOST);
        }
        if !url.username().is_empty() || url.password().is_some() {
            let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
            let value = basic(&decoded(url.username()), &decoded(url.password().unwrap_or_default()));
            headers.entry(AUTHORIZATION).or_insert(value);
            let _ = url.set_username("");
            let _ = url.set_password(None);
        }
        Ok(Request { method: self.method.clone(), url, headers, body: content.body })
    }
}

fn form_data(boundary: &str) -> Cow<'static, str> {
    format!("multipart/form-data; boundary={boundary}").into()
}

fn header_value(name: &str, text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_bytes(text.as_bytes())
        .map_err(|_| format!("the value of `{name}` cannot stand in a header: it holds a control character"))
}

fn parsed(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|fault| format!("`{}` is not an address: {fault}", shown(text)))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!(
            "`{}` is not an address of HTTP; write `http://...` or `https://...`",
            shown(text)
        ));
    }
    Ok(url)
}
