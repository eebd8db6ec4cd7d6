//! Header fields as others write them.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName};

/// `content-type` as the original writes it: `Content-Type`.
pub(crate) fn canonical(name: &HeaderName) -> String {
    let mut upper = true;
    let letter = |letter: char| {
        let shown = if upper { letter.to_ascii_uppercase() } else { letter };
        upper = letter == '-';
        shown
    };
    name.as_str().chars().map(letter).collect()
}

/// Header fields by names in canonical form.
pub(crate) fn texts(headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        all.entry(canonical(name)).or_default().push(value);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_canonical() {
        assert_eq!(canonical(&HeaderName::from_static("x-forwarded-for")), "X-Forwarded-For");
    }
}
