//! Answers to producers in gzip, for those that accept it (streams contract 2.4, "Sync response").

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::Response;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue, VARY};

use crate::body::Body;

/// Shorter answers would hardly become smaller.
const LEAST: usize = 256;
/// Longer ones are compressed on a thread of their own: they would hold up others.
const AT_ONCE: usize = 16 << 10;

/// Whether the client takes gzip (RFC 9110, section 12.5.3).
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    for value in headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()) {
        for coding in value.split(',') {
            let mut parts = coding.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let refused = parts.any(|part| {
                let weight = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
                weight.is_some_and(|weight| weight.trim().parse::<f32>().is_ok_and(|weight| weight <= 0.0))
            });
            match name.to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => return !refused,
                "*" => any = !refused,
                _ => {}
            }
        }
    }
    any
}

/// The answer in gzip, unless it is short or encoded by the stream already.
pub(super) async fn compressed(mut response: Response<Bytes>) -> Response<Body> {
    if response.body().len() < LEAST || response.headers().contains_key(CONTENT_ENCODING) {
        return response.map(Body::full);
    }
    let plain = response.body().clone();
    let zipped = if plain.len() <= AT_ONCE {
        gzip(&plain)
    } else {
        match tokio::task::spawn_blocking(move || gzip(&plain)).await {
            Ok(zipped) => zipped,
            Err(fault) => Err(fault.into()),
        }
    };
    match zipped {
        Ok(zipped) => {
            *response.body_mut() = zipped;
            let headers = response.headers_mut();
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        Err(fault) => tracing::debug!(%fault, "an answer could not be compressed and goes out as it is"),
    }
    response.map(Body::full)
}

fn gzip(plain: &[u8]) -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 2), Compression::fast());
    encoder.write_all(plain)?;
    encoder.finish().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_accepted_where_it_is_named_and_not_refused() {
        for (values, expected) in [
            (&["gzip"][..], true),
            (&["deflate, GZip;q=0.5"], true),
            (&["br", "x-gzip"], true),
            (&["*"], true),
            (&["gzip;q=0"], false),
            (&["gzip;q=0.0, *"], false),
            (&["*;q=0"], false),
            (&["identity, br"], false),
            (&[""], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(ACCEPT_ENCODING, HeaderValue::from_str(value).unwrap());
            }
            assert_eq!(accepts_gzip(&headers), expected, "{values:?}");
        }
    }
}
