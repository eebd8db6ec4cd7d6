//! Answers made smaller on their way out, where an API says so (`x-sluicegate.compression`).
//!
//! It is the last thing that happens to an answer: whatever keeps or records it has it as it was, in one form for all
//! clients.

mod squeezed;

use apidef::{Compression, ContentCoding};
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, VARY,
};
use http::{Method, Response, StatusCode};
use http_body::Body as _;

use self::squeezed::{Encoder, Squeezed};
use crate::body::Body;
use crate::chain::is_event_stream;
use crate::codings;
use crate::exchange::{Exchange, is_grpc};

/// Fields that say what the very bytes of a body are.
const DIGESTS: [&str; 4] = ["content-md5", "digest", "content-digest", "repr-digest"];

/// Makes the answer smaller, if that is asked for and helps.
pub(crate) fn answer(exchange: &Exchange, response: &mut Response<Body>) {
    let apis = [exchange.entered.as_ref(), Some(&exchange.api)];
    let Some(model) = apis.into_iter().flatten().find_map(|api| api.model.compression.as_deref()) else {
        return;
    };
    let request = &exchange.head.headers;
    if !is_worth_it(model, response) || says_no_transform(request) {
        return;
    }
    // Caches on the way are told, whatever this client takes.
    varies(response.headers_mut());
    if exchange.head.method == Method::HEAD {
        return;
    }
    let Some(coding) = codings::best(request, &model.codings) else { return };
    let encoder = match Encoder::new(coding) {
        Ok(encoder) => encoder,
        Err(fault) => {
            tracing::debug!(%fault, "an answer could not be compressed and goes out as it is");
            return;
        }
    };
    let body = std::mem::replace(response.body_mut(), Body::empty());
    *response.body_mut() = Body::boxed(Box::pin(Squeezed::new(body, encoder)));
    told(response.headers_mut(), coding);
}

/// Whether the answer could be compressed, by what it is.
fn is_worth_it(model: &Compression, response: &Response<Body>) -> bool {
    let (status, headers) = (response.status(), response.headers());
    let bodiless = status.is_informational()
        || matches!(
            status,
            StatusCode::NO_CONTENT
                | StatusCode::RESET_CONTENT
                | StatusCode::PARTIAL_CONTENT
                | StatusCode::NOT_MODIFIED
        );
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let known = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let known = known.or_else(|| response.body().size_hint().exact());
    !bodiless
        && model.fits(kind)
        && !is_event_stream(headers)
        && !is_grpc(headers)
        && known.is_none_or(|length| length >= model.smallest.max(1))
        && !is_coded(headers)
        && !says_no_transform(headers)
        && !headers.contains_key(CONTENT_RANGE)
        && !DIGESTS.iter().any(|name| headers.contains_key(*name))
}

fn is_coded(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|coding| !coding.as_bytes().is_empty() && !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// RFC 9111, section 5.2.2.6.
fn says_no_transform(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case("no-transform"))
}

fn varies(headers: &mut HeaderMap) {
    let named = |name: &str| name == "*" || name.eq_ignore_ascii_case(ACCEPT_ENCODING.as_str());
    let values = headers.get_all(VARY).iter().filter_map(|value| value.to_str().ok());
    if !values.flat_map(|value| value.split(',')).any(|name| named(name.trim())) {
        headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
}

/// The fields of an answer whose bytes are others now.
fn told(headers: &mut HeaderMap, coding: ContentCoding) {
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    headers.remove(CONTENT_LENGTH);
    headers.remove(ACCEPT_RANGES);
    // It says what it said, and not by the same bytes (RFC 9110, section 8.8.1).
    if let Some(tag) = headers.get(ETAG).filter(|tag| tag.as_bytes().starts_with(b"\""))
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat())
    {
        headers.insert(ETAG, weak);
    }
}
