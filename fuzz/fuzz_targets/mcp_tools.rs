//! Any OpenAPI document gives tools or is told to give none, and whatever a caller sends to one stays where it belongs.

#![no_main]

use apidef::{Definition, Place, catalog};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};

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
    let nothing = Map::new();
    let arguments = given.get("a").and_then(Value::as_object).unwrap_or(&nothing);
    for (index, tool) in tools.iter().enumerate() {
        assert!(tools[..index].iter().all(|other| other.name != tool.name), "{}", tool.name);
        let Ok(request) = mcp::request(tool, arguments) else { continue };
        let path = request.target.split('?').next().unwrap_or_default();
        let named = tool.path.split('?').next().unwrap_or_default();
        let in_path = tool.arguments.iter().any(|argument| argument.place == Place::Path);
        if in_path && named == &*tool.path && !tool.path.contains('#') {
            assert_eq!(path.matches('/').count(), named.matches('/').count(), "{path} of {named}");
            assert!(path.split('/').all(|segment| !matches!(segment, "." | "..")), "{path}");
        }
        for (name, value) in &request.fields {
            assert!(!value.contains(['\r', '\n', '\0']), "{name}: {value:?}");
        }
    }
});
