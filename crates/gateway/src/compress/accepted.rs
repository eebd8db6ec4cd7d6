//! Which coding a client wants most (RFC 9110, section 12.5.3).

use apidef::ContentCoding;
use http::header::{ACCEPT_ENCODING, HeaderMap};

/// Of what is offered, the best first, that which the client likes best; `None` where it would rather have none.
pub(super) fn best(request: &HeaderMap, offered: &[ContentCoding]) -> Option<ContentCoding> {
    let mut best: Option<(ContentCoding, f32)> = None;
    for coding in offered {
        let weight = weight(request, coding.name()).or_else(|| weight(request, "*")).unwrap_or(0.0);
        if weight > best.map_or(0.0, |(_, weight)| weight) {
            best = Some((*coding, weight));
        }
    }
    let plain = weight(request, "identity").unwrap_or(0.0);
    best.filter(|(_, weight)| *weight >= plain).map(|(coding, _)| coding)
}

/// What a client says of a coding; what cannot be read is not wanted.
fn weight(request: &HeaderMap, name: &str) -> Option<f32> {
    let listed = request.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    for entry in listed.flat_map(|value| value.split(',')) {
        let mut parts = entry.split(';').map(str::trim);
        let listed = parts.next().unwrap_or_default();
        let known =
            listed.eq_ignore_ascii_case(name) || (name == "gzip" && listed.eq_ignore_ascii_case("x-gzip"));
        if !known {
            continue;
        }
        let Some(weight) = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
        else {
            return Some(1.0);
        };
        let read = weight.trim().parse::<f32>().ok().filter(|weight| (0.0..=1.0).contains(weight));
        return Some(read.unwrap_or(0.0));
    }
    None
}

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;

    use super::*;

    #[test]
    fn clients_get_what_they_like_best() {
        use ContentCoding::{Gzip, Zstd};
        for (values, expected) in [
            (&["gzip"][..], Some(Gzip)),
            (&["gzip, zstd"], Some(Zstd)),
            (&["gzip", "zstd;q=0.5"], Some(Gzip)),
            (&["GZIP;q=0.3, Zstd;Q=0.4"], Some(Zstd)),
            (&["x-gzip"], Some(Gzip)),
            (&["*"], Some(Zstd)),
            (&["*;q=0.1, gzip;q=0.2"], Some(Gzip)),
            (&["*, zstd;q=0"], Some(Gzip)),
            (&["*;q=0"], None),
            (&["gzip;q=0.0, br"], None),
            (&["gzip;q=0.5, identity"], None),
            (&["gzip;q=0.5, identity;q=0.5"], Some(Gzip)),
            (&["identity;q=0, gzip;q=0.001"], Some(Gzip)),
            (&["gzip;q=2"], None),
            (&["gzip;q=nan"], None),
            (&["gzip;level=1"], Some(Gzip)),
            (&["gzipped, br, deflate"], None),
            (&[""], None),
            (&[], None),
        ] {
            let mut request = HeaderMap::new();
            for value in values {
                request.append(ACCEPT_ENCODING, HeaderValue::from_static(value));
            }
            assert_eq!(best(&request, &[Zstd, Gzip]), expected, "{values:?}");
        }
        let mut request = HeaderMap::new();
        request.insert(ACCEPT_ENCODING, HeaderValue::from_static("zstd, gzip;q=0.1"));
        assert_eq!(best(&request, &[Gzip]), Some(Gzip));
    }
}
