//! Any OpenAPI document gives tools or is told to give none, and whatever a caller sends to one stays where it belongs.

#![no_main]

use apidef::{Definition, Place, catalog};
use libfuzzer_sys::fuzz_target;
use mcp::Arguments;
use serde_json::{Value, json};

fuzz_target!(|bytes: &[u8]| {
    let Ok(Value::Object(given)) = serde_json::from_slice::<Value>(bytes) else { return };
    let definition = json!({
        "openapi": "3.0.3",
        "paths": {},
        "x-tyk-api-gateway": {
            "info": {"id": "a"},
            "upstream": {"url": "tyk://b/mcp"},
            "server": {"listenPath": {"value": "/"}},
        },
        "x-tyk-mcp-server": given.get("e").cloned().unwrap_or_else(|| json!({})),
    });
    let Ok(definition) = Definition::parse_oas(&definition.to_string()) else { return };
    let Some(wanted) = definition.api.tools.as_deref() else { panic!("the address makes tools") };
    let document = given.get("d").cloned().unwrap_or_default();
    let Ok((tools, _)) = catalog(&document, wanted) else { return };
    let nothing = json!({});
    let arguments = given.get("a").filter(|arguments| arguments.is_object()).unwrap_or(&nothing);
    let Some(arguments) = Arguments::read(&arguments.to_string()) else { panic!("an object is read") };
    let all = document["paths"].as_object().into_iter().flatten();
    let written: Vec<(String, String)> = all
        .flat_map(|(path, item)| {
            let methods =
                item.as_object().into_iter().flatten().filter(|(_, operation)| operation.is_object());
            methods.map(|(method, _)| (method.to_ascii_uppercase(), path.to_lowercase()))
        })
        .collect();
    for (index, tool) in tools.iter().enumerate() {
        assert!(tools[..index].iter().all(|other| other.name != tool.name), "{}", tool.name);
        let Ok(request) = mcp::request(tool, &arguments) else { continue };
        let path = request.target.split('?').next().unwrap_or_default();
        let named = tool.path.split('?').next().unwrap_or_default();
        let path_arguments = || tool.arguments.iter().filter(|argument| argument.place == Place::Path);
        if path_arguments().next().is_some() && named == &*tool.path && !tool.path.contains('#') {
            assert_eq!(path.matches('/').count(), named.matches('/').count(), "{path} of {named}");
            // However it is read, it is the operation's path, and of no other one that is written out.
            let read = unescaped(path);
            assert!(read.split(['/', '\\']).all(|segment| !matches!(segment, "." | "..")), "{path}");
            if path_arguments().all(|argument| !argument.reserved) {
                let separators = |path: &str| path.matches(['/', '\\']).count();
                assert_eq!(separators(&read), separators(&unescaped(named)), "{path} of {named}");
            }
            let is_other = |(method, other): &&(String, String)| {
                *method == *tool.method && !other.contains(['{', '%']) && *other != tool.path.to_lowercase()
            };
            for (_, other) in written.iter().filter(is_other).filter(|_| named.contains('{')) {
                assert_ne!(read.to_lowercase(), *other, "{named}");
            }
        }
        for (name, value) in &request.fields {
            assert!(!value.contains(['\r', '\n', '\0']), "{name}: {value:?}");
        }
    }
});

/// A text as it is read by whoever resolves its escapes until there are none.
fn unescaped(text: &str) -> String {
    let once = |text: &str| {
        let mut out = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((first, after)) = rest.split_first() {
            let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
            let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
            match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                Some(byte) if *first == b'%' => {
                    out.push(byte);
                    rest = &after[2..];
                }
                _ => {
                    out.push(*first);
                    rest = after;
                }
            }
        }
        String::from_utf8_lossy(&out).into_owned()
    };
    let mut text = text.to_owned();
    loop {
        let next = once(&text);
        if next == text {
            return text;
        }
        text = next;
    }
}
