//! Tells clients where they get tokens for an API (RFC 9728; contract 4.4 row 14): a document that everybody may read, and
//! where it is, in the challenge of who came without a token.

use std::sync::Arc;

use apidef::{Api, ResourceMetadata};
use http::header::{HOST, HeaderValue};
use http::{Method, Response, StatusCode};
use serde_json::json;

use crate::body::Body;
use crate::exchange::Exchange;
use crate::respond::{self, Refusal};

/// Answers who asks for the metadata of an API.
#[derive(Debug)]
pub(crate) struct Describe(Arc<ResourceMetadata>);

impl Describe {
    pub(crate) fn of(api: &Api) -> Option<Self> {
        api.resource_metadata.as_deref().cloned().map(Arc::new).map(Self)
    }

    /// The document, for whoever asks for it.
    pub(crate) fn answer(&self, exchange: &Exchange) -> Option<Response<Body>> {
        let Self(metadata) = self;
        let asked = exchange.path_in_api().strip_prefix('/') == Some(&*metadata.path);
        if !asked || exchange.head.method != Method::GET {
            return None;
        }
        let resource = match &*metadata.resource {
            "" => base(exchange)?,
            resource => resource.to_owned(),
        };
        let mut document = json!({"resource": resource});
        for (name, texts) in
            [("authorization_servers", &metadata.servers), ("scopes_supported", &metadata.scopes)]
        {
            if !texts.is_empty() {
                document[name] = json!(texts);
            }
        }
        Some(respond::json(StatusCode::OK, &document))
    }
}

/// The refusal of who came without a token, told where tokens are had; `otherwise` where the API says nothing of that.
pub(super) fn missing(exchange: &Exchange, otherwise: Refusal) -> Refusal {
    let Some(metadata) = exchange.api.model.resource_metadata.as_deref() else { return otherwise };
    let challenge = base(exchange).map(|base| {
        format!(
            "Bearer realm=\"tyk\", resource_metadata=\"{}/{}\"",
            base.trim_end_matches('/'),
            metadata.path
        )
    });
    let challenge = challenge.and_then(|text| HeaderValue::try_from(text).ok());
    let challenge = challenge.unwrap_or(HeaderValue::from_static("Bearer realm=\"tyk\""));
    Refusal { status: StatusCode::UNAUTHORIZED, ..otherwise }.challenge(challenge)
}

/// The address of the API as the client wrote it, without a final slash; `None` where the client named no host.
fn base(exchange: &Exchange) -> Option<String> {
    let uri = &exchange.head.uri;
    let host = match uri.authority() {
        Some(authority) => authority.as_str(),
        None => exchange.head.headers.get(HOST)?.to_str().ok()?,
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    if host.is_empty() || !host.bytes().all(plain) {
        return None;
    }
    let scheme = if exchange.peer.tls.is_some() { "https" } else { "http" };
    let listen = uri.path()[..exchange.matched].trim_end_matches('/');
    let quoted = listen.contains(['"', '\\']);
    (!quoted).then(|| format!("{scheme}://{host}{listen}"))
}
