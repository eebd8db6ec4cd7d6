//! Variables in any text, and any text as a file of variables.

#![no_main]

use document::Place;
use libfuzzer_sys::fuzz_target;
use streams::{expand, variables_of_file};

// A file of variables, and a text that uses them.
fuzz_target!(|input: (&str, &str)| {
    let (file, text) = input;
    let given = match variables_of_file(file) {
        Ok(given) => given,
        Err((line, _)) => {
            assert!(line >= 1 && line <= file.lines().count());
            Default::default()
        }
    };
    for name in given.keys() {
        assert!(
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
        );
    }
    let Ok(expanded) = expand(text, &|name| given.get(name).cloned()) else { return };
    if !text.contains("${") {
        assert_eq!(expanded.text, text);
    }
    let lines = u32::try_from(text.matches('\n').count() + 1).unwrap_or(u32::MAX);
    for (_, place) in &expanded.missing {
        assert!(place.line >= 1 && place.line <= lines && place.column >= 1);
    }
    for line in 1..=expanded.text.matches('\n').count().min(20) as u32 + 1 {
        for column in [1, 3, 100] {
            let origin = expanded.origin(text, Place { line, column, length: 2 });
            assert!(origin.line >= 1 && origin.line <= lines, "{origin:?}");
        }
    }
});
