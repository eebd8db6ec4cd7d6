//! Whatever an OpenAPI document is, it is imported or refused in words; what is imported has a gateway's part, and another
//! import of it asks for the same.
#![no_main]

use apidef::{Authentication, Definition, Import, import};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(mut document) = serde_json::from_str(text) else { return };
    let asked = Import {
        listen_path: Some("/x/"),
        id: Some("x"),
        authentication: text.contains("security").then_some(Authentication::On),
        allow_list: Some(text.len() % 2 == 0),
        validate_request: Some(true),
        mock_response: Some(true),
        ..Import::default()
    };
    if import(&mut document, &asked).is_ok() {
        let first = document.clone();
        import(&mut document, &asked).expect("what was imported can be patched");
        assert_eq!(document, first);
        let _ = Definition::parse_oas(&document.to_string());
    }
});
