//! Answers to producers in gzip, for those that accept it (streams contract 2.4, "Sync response").

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::Response;
use http::header::{CONTENT_ENCODING, HeaderValue, VARY};

use crate::body::Body;

/// Shorter answers would hardly become smaller.
const LEAST: usize = 256;
/// Longer ones are compressed on a thread of their own: they would hold up others.
const AT_ONCE: usize = 16 << 10;

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
