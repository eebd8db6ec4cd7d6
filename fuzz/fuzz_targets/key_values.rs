//! PostgreSQL's `key=value` addresses: reading never panics, and every value comes back as it was written.
#![no_main]

use libfuzzer_sys::fuzz_target;

// Only this file: the database clients would make this target's build a hundred times longer.
#[path = "../../crates/connectors/src/sql/key_values.rs"]
mod key_values;

use key_values::key_values;

fuzz_target!(|input: (&str, Vec<(bool, String)>)| {
    let (text, values) = input;
    if let Some(pairs) = key_values(text) {
        let length: usize = pairs.iter().map(|(key, value)| key.len() + value.len()).sum();
        assert!(!pairs.is_empty() && length < text.len());
    }
    let (mut written, mut expected) = (String::new(), Vec::new());
    for (number, (quoted, value)) in values.into_iter().enumerate() {
        let escaped: String = value
            .chars()
            .flat_map(|letter| {
                let escape = matches!(letter, '\\' | '\'') || (!quoted && letter.is_whitespace());
                escape.then_some('\\').into_iter().chain([letter])
            })
            .collect();
        let quote = if quoted { "'" } else { "" };
        // An unquoted value that is empty would be taken for the key behind it.
        if quoted || !escaped.is_empty() {
            written += &format!("key_{number} = {quote}{escaped}{quote}\n");
            expected.push((format!("key_{number}"), value));
        }
    }
    assert_eq!(key_values(&written), (!expected.is_empty()).then_some(expected));
});
