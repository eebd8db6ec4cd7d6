//! Which codings of bodies a client takes (RFC 9110, section 12.5.3): read here for all who ask.

use apidef::ContentCoding;
use http::header::{ACCEPT_ENCODING, HeaderMap};

/// Whether a client takes bodies in a coding. One that says nothing takes none.
pub(crate) fn takes(request: &HeaderMap, coding: &str) -> bool {
    liking(request, coding) > 0.0
}

/// Of what is offered, the best first, that which the client likes best; `None` where it would rather have none.
pub(crate) fn best(request: &HeaderMap, offered: &[ContentCoding]) -> Option<ContentCoding> {
    let mut best: Option<(ContentCoding, f32)> = None;
    for coding in offered {
        let liking = liking(request, coding.name());
        if liking > best.map_or(0.0, |(_, liking)| liking) {
            best = Some((*coding, liking));
        }
    }
    let plain = weight(request, "identity").unwrap_or(0.0);
    best.filter(|(_, liking)| *liking >= plain).map(|(coding, _)| coding)
}

/// From 0, for what is not taken, to 1.
fn liking(request: &HeaderMap, coding: &str) -> f32 {
    weight(request, coding).or_else(|| weight(request, "*")).unwrap_or(0.0)
}

/// What a client says of a coding; what cannot be read is not wanted.
fn weight(request: &HeaderMap, coding: &str) -> Option<f32> {
    let listed = request.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    for entry in listed.flat_map(|value| value.split(',')) {
        let mut parts = entry.split(';').map(str::trim);
        let listed = parts.next().unwrap_or_default();
        if !plain(listed).eq_ignore_ascii_case(plain(coding)) {
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

/// A coding without the mark that some had before they were registered (RFC 9110, section 8.4.1.3).
fn plain(coding: &str) -> &str {
    if coding.eq_ignore_ascii_case("x-gzip") { "gzip" } else { coding }
}

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;

    use super::*;

    fn accepting(values: &[&'static str]) -> HeaderMap {
        let mut request = HeaderMap::new();
        for value in values {
            request.append(ACCEPT_ENCODING, HeaderValue::from_static(value));
        }
        request
    }

    #[test]
    fn clients_get_what_they_like_best() {
        use ContentCoding::{Brotli, Gzip, Zstd};
        for (values, expected) in [
            (&["gzip"][..], Some(Gzip)),
            (&["gzip, zstd"], Some(Zstd)),
            (&["gzip", "zstd;q=0.5"], Some(Gzip)),
            (&["GZIP;q=0.3, Zstd;Q=0.4"], Some(Zstd)),
            (&["x-gzip"], Some(Gzip)),
            (&["*"], Some(Zstd)),
            (&["*;q=0.1, gzip;q=0.2"], Some(Gzip)),
            (&["*, zstd;q=0"], Some(Brotli)),
            (&["*, zstd;q=0, br;q=0"], Some(Gzip)),
            (&["*;q=0"], None),
            (&["gzip, deflate, br"], Some(Brotli)),
            (&["gzip;q=0.9", "BR;q=0.901"], Some(Brotli)),
            (&["br;q=0.5, gzip;q=0.8, zstd;q=0.1"], Some(Gzip)),
            (&["gzip;q=0.0, br"], Some(Brotli)),
            (&["br;q=0"], None),
            (&["gzip;q=0.5, identity"], None),
            (&["gzip;q=0.5, identity;q=0.5"], Some(Gzip)),
            (&["identity;q=0, gzip;q=0.001"], Some(Gzip)),
            (&["gzip;q=2"], None),
            (&["gzip;q=nan"], None),
            (&["gzip;level=1"], Some(Gzip)),
            (&["gzipped, brotli, deflate"], None),
            (&[""], None),
            (&[], None),
        ] {
            assert_eq!(best(&accepting(values), &[Zstd, Brotli, Gzip]), expected, "{values:?}");
        }
        assert_eq!(best(&accepting(&["zstd, br, gzip;q=0.1"]), &[Gzip]), Some(Gzip));
    }

    #[test]
    fn codings_are_taken_where_they_are_named_and_not_refused() {
        for (values, coding, expected) in [
            (&["gzip, br"][..], "gzip", true),
            (&["br;q=1.0, GZIP;q=0.5"], "gzip", true),
            (&["deflate, GZip;q=0.5"], "gzip", true),
            (&["br", "x-gzip"], "gzip", true),
            (&["gzip"], "X-Gzip", true),
            (&["gzip;q=0"], "gzip", false),
            (&["gzip;q=0.0, *"], "gzip", false),
            (&["*"], "zstd", true),
            (&["*;q=0, gzip"], "zstd", false),
            (&["identity, br"], "gzip", false),
            (&["deflate"], "gzip", false),
            (&["gzip;q=much"], "gzip", false),
            (&[""], "gzip", false),
            (&[], "gzip", false),
        ] {
            assert_eq!(takes(&accepting(values), coding), expected, "{values:?} {coding}");
        }
    }
}
