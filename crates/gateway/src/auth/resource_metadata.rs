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

/// The refusal of a caller that is not known, with where tokens are had, if the API says so (RFC 9728 section 5.1). Who brings
/// nothing is asked to.
pub(super) fn told(exchange: &Exchange, refusal: Refusal) -> Refusal {
    if exchange.api.model.resource_metadata.is_none() {
        return refusal;
    }
    let brings_nothing = refusal.message.eq_ignore_ascii_case("authorization field missing");
    match &refusal.challenge {
        _ if !brings_nothing && refusal.status != StatusCode::UNAUTHORIZED => refusal,
        Some(other) if !other.as_bytes().starts_with(b"Bearer") => refusal,
        known => {
            let known = known.as_ref().and_then(|known| known.to_str().ok());
            let challenge = with_place(exchange, known.unwrap_or("Bearer realm=\"tyk\""));
            Refusal { status: StatusCode::UNAUTHORIZED, ..refusal }.challenge(challenge)
        }
    }
}

/// A challenge of the Bearer scheme, with where the API's metadata are, if it has any.
pub(super) fn with_place(exchange: &Exchange, challenge: &str) -> HeaderValue {
    let place = exchange.api.model.resource_metadata.as_deref().and_then(|metadata| {
        let base = base(exchange)?;
        Some(format!("resource_metadata=\"{}/{}\"", base.trim_end_matches('/'), metadata.path))
    });
    let whole = place.map(|place| {
        let between = if challenge.contains(' ') { ", " } else { " " };
        format!("{challenge}{between}{place}")
    });
    let written = whole.as_deref().and_then(|whole| HeaderValue::try_from(whole).ok());
    let plain = || HeaderValue::try_from(challenge).unwrap_or(HeaderValue::from_static("Bearer"));
    written.unwrap_or_else(plain)
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
