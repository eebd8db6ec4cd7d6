//! Names of header fields as others write them.

use http::HeaderName;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_canonical() {
        assert_eq!(canonical(&HeaderName::from_static("x-forwarded-for")), "X-Forwarded-For");
    }
}
