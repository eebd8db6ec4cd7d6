//! Texts as schemas ask for them: by their pattern, their format, and how long they are.

use regex::Regex;
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Look};
use serde_json::{Map, Value};

/// Longest text that is made, in characters.
pub(super) const LONGEST: usize = 1000;
/// How much of a pattern is written in all.
const MOST_STEPS: usize = 10_000;
/// How deep a pattern may be.
const DEEPEST: u32 = 50;

/// What texts of a format look like.
const FORMATS: [(&str, &str); 20] = [
    ("date-time", "2024-01-01T00:00:00Z"),
    ("date", "2024-01-01"),
    ("time", "00:00:00Z"),
    ("duration", "P1D"),
    ("email", "user@example.com"),
    ("idn-email", "user@example.com"),
    ("hostname", "example.com"),
    ("idn-hostname", "example.com"),
    ("ipv4", "192.0.2.1"),
    ("ipv6", "2001:db8::1"),
    ("uri", "https://example.com/"),
    ("iri", "https://example.com/"),
    ("url", "https://example.com/"),
    ("uri-reference", "/example"),
    ("iri-reference", "/example"),
    ("uri-template", "/example/{id}"),
    ("uuid", "00000000-0000-4000-8000-000000000000"),
    ("json-pointer", "/example"),
    ("relative-json-pointer", "0"),
    ("byte", "c3RyaW5n"),
];

/// The least length of texts of a schema, as far as it is kept to.
pub(super) fn shortest(schema: &Map<String, Value>) -> usize {
    length(schema, "minLength").unwrap_or(0).min(LONGEST)
}

fn length(schema: &Map<String, Value>, key: &str) -> Option<usize> {
    schema.get(key).and_then(Value::as_u64).and_then(|length| usize::try_from(length).ok())
}

/// A text that a schema takes, as far as one is found.
pub(super) fn text(schema: &Map<String, Value>) -> String {
    let word = |key: &str| schema.get(key).and_then(Value::as_str);
    let (shortest, longest) = (shortest(schema), length(schema, "maxLength").unwrap_or(usize::MAX));
    let of_format = FORMATS.iter().find(|(name, _)| Some(*name) == word("format")).map(|(_, text)| *text);
    match (word("pattern"), of_format) {
        (Some(pattern), Some(text)) if matches(pattern, text) => return text.to_owned(),
        (Some(pattern), _) => {
            if let Some(text) = of_pattern(pattern, shortest, longest) {
                return text;
            }
        }
        (None, Some(text)) if (shortest..=longest).contains(&text.len()) => return text.to_owned(),
        _ => {}
    }
    "string".chars().cycle().take("string".len().max(shortest).min(longest)).collect()
}

fn matches(pattern: &str, text: &str) -> bool {
    Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text))
}

/// A text in which a pattern is found; `None` where none of this length is easy to write.
fn of_pattern(pattern: &str, shortest: usize, longest: usize) -> Option<String> {
    let parsed = ParserBuilder::new().nest_limit(DEEPEST).build().parse(pattern).ok()?;
    let may_go_on = !parsed.properties().look_set_suffix().contains(Look::End);
    // What may be repeated is repeated oftener, until the text is long enough.
    for more in 0..=u32::try_from(shortest).ok()? {
        let mut writer = Writer { text: String::new(), more, steps: MOST_STEPS };
        writer.write(&parsed)?;
        let length = writer.text.chars().count();
        if (shortest..=longest).contains(&length) {
            return Some(writer.text);
        }
        if length > longest {
            return None;
        }
        if may_go_on {
            let text: String =
                writer.text.chars().chain(std::iter::repeat_n('a', shortest - length)).collect();
            // Alternatives may end each in their own way.
            return matches(pattern, &text).then_some(text);
        }
    }
    None
}

/// Writes a text that a pattern means.
struct Writer {
    text: String,
    /// How many turns more than it must be something is repeated.
    more: u32,
    steps: usize,
}

impl Writer {
    /// `None` where it has no end, or cannot be told.
    fn write(&mut self, pattern: &Hir) -> Option<()> {
        self.steps = self.steps.checked_sub(1)?;
        match pattern.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => self.text.push_str(str::from_utf8(&literal.0).ok()?),
            HirKind::Class(Class::Unicode(class)) => {
                let has = |wanted: &char| {
                    class.ranges().iter().any(|range| (range.start()..=range.end()).contains(wanted))
                };
                let usual = ['a', 'A', '0', '-', '_', ' '].into_iter().find(has);
                self.text.push(usual.or(class.ranges().first().map(|range| range.start()))?);
            }
            HirKind::Class(Class::Bytes(_)) => return None,
            HirKind::Repetition(repeated) => {
                let most = repeated.max.unwrap_or(u32::MAX);
                for _ in 0..repeated.min.saturating_add(self.more).min(most) {
                    self.write(&repeated.sub)?;
                }
            }
            HirKind::Capture(group) => self.write(&group.sub)?,
            HirKind::Concat(parts) => parts.iter().try_for_each(|part| self.write(part))?,
            HirKind::Alternation(parts) => self.write(parts.first()?)?,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn c3_6_row_3_texts_are_of_their_format_pattern_and_length() {
        for (schema, expected) in [
            (json!({}), "string"),
            (json!({"minLength": 8}), "stringst"),
            (json!({"maxLength": 3}), "str"),
            (json!({"maxLength": 0}), ""),
            (json!({"format": "date"}), "2024-01-01"),
            (json!({"format": "date", "maxLength": 4}), "stri"),
            (json!({"format": "unheard of"}), "string"),
            (json!({"pattern": "^[A-Z]{3}-\\d{2,4}$"}), "AAA-00"),
            (json!({"pattern": "^[A-Z]{3}-\\d{2,4}$", "minLength": 8}), "AAA-0000"),
            (json!({"pattern": "^(ord|inv)_[a-z0-9]+$", "minLength": 10}), "ord_aaaaaa"),
            (json!({"pattern": "^x*$", "minLength": 3, "maxLength": 3}), "xxx"),
            (json!({"pattern": "b", "minLength": 4}), "baaa"),
            (json!({"pattern": "^a$|b", "minLength": 2}), "string"),
            (json!({"pattern": "\\.com$", "format": "hostname"}), "example.com"),
            (json!({"pattern": "^\\p{Greek}$"}), "\u{370}"),
            // What is no pattern here, never matches or has no end.
            (json!({"pattern": "(?=a)"}), "string"),
            (json!({"pattern": "[^\\s\\S]"}), "string"),
            (json!({"pattern": "^((a{999}){999}){999}$"}), "string"),
            (json!({"pattern": "^a$", "minLength": 2}), "string"),
        ] {
            assert_eq!(text(schema.as_object().unwrap()), expected, "{schema}");
        }
        let longer = text(json!({"minLength": 1_000_000, "pattern": "^a+$"}).as_object().unwrap());
        assert_eq!(longer.len(), LONGEST);
    }

    #[test]
    fn every_format_has_a_text_that_is_not_the_usual_one() {
        for (name, expected) in FORMATS {
            assert_eq!(text(json!({"format": name}).as_object().unwrap()), expected);
        }
    }
}
