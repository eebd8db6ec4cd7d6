//! From an answer to messages.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http::response::Parts;
use streams::{Batch, Message, multipart};

use streams::Selection;

/// A whole answer.
pub(super) struct Reply {
    pub(super) head: Parts,
    pub(super) body: Bytes,
}

/// The metadata that every message of an answer gets: its status and the headers that are wanted.
pub(super) fn metadata(head: &Parts, wanted: &Selection) -> Vec<(Arc<str>, String)> {
    let mut found: Vec<(Arc<str>, String)> =
        vec![("http_status_code".into(), head.status.as_u16().to_string())];
    for name in head.headers.keys() {
        // Of a header that comes several times, the first.
        if wanted.takes(name.as_str())
            && let Some(value) = head.headers.get(name)
        {
            found.push((name.as_str().into(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        }
    }
    found
}

fn boundary(headers: &HeaderMap) -> Option<String> {
    headers.get(CONTENT_TYPE)?.to_str().ok().and_then(multipart::boundary)
}

impl Reply {
    /// One message, or one for each part of a `multipart/*` answer.
    ///
    /// # Errors
    /// When the parts cannot be told apart.
    pub(super) fn into_batch(self, wanted: &Selection) -> Result<Batch, String> {
        let metadata = metadata(&self.head, wanted);
        let payloads = match boundary(&self.head.headers) {
            None => vec![self.body],
            Some(boundary) => {
                let parts = multipart::parts(&self.body, &boundary);
                let parts = parts.map_err(|fault| format!("a multipart answer cannot be read: {fault}"))?;
                parts.into_iter().map(|part| self.body.slice_ref(part)).collect()
            }
        };
        let message = |payload| {
            let mut message = Message::new(payload);
            for (name, value) in &metadata {
                message.set_meta(name.clone(), value.as_str());
            }
            message
        };
        Ok(payloads.into_iter().map(message).collect())
    }
}
