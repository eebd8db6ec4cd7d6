//! Where an API is reached, in its OpenAPI document (contract 3.1, "`servers` regeneration"): addresses at the gate stand in front
//! and follow the definition; those that others have written stay.

use std::sync::Arc;

use apidef::{Api, Definition, Source, VersionLocation};
use serde_json::{Value, json};

use crate::gate::Gate;
use crate::reload;

/// The definition with what its API is reached by now, and without what the one that it replaces was.
pub(super) async fn renewed(
    gate: &Gate,
    definition: Arc<Definition>,
    before: Option<&Definition>,
) -> Arc<Definition> {
    // What is the same changes nothing, addresses included: nobody is sent away for it.
    if definition.source != Source::Oas || before.is_some_and(|before| before.digest == definition.digest) {
        return definition;
    }
    let own = addresses(gate, &definition.api);
    let former = before.map(|before| addresses(gate, &before.api)).unwrap_or_default();
    let Some(text) = written(&definition.text, &own, &former) else { return definition };
    match reload::read(gate, &text, Some(Source::Oas)).await {
        Ok(renewed) => Arc::new(renewed),
        Err(found) => {
            tracing::warn!(
                api_id = &*definition.api.id,
                ?found,
                "the addresses of a document stay as they are"
            );
            definition
        }
    }
}

/// The addresses of an API: its own, and those of versions that are named in paths. Without a name of the gate they are
/// relative. What only the gate itself asks has none, nor has what is not asked over HTTP.
fn addresses(gate: &Gate, api: &Api) -> Vec<String> {
    if api.internal || api.pass_through.is_some() {
        return Vec::new();
    }
    let ports = &gate.settings.ports;
    let (port, tls) = ports.of(api, Source::Oas).ok().flatten().unwrap_or((ports.main, ports.main_tls));
    let (scheme, usual) = if tls { ("https", 443) } else { ("http", 80) };
    let origin = match gate.settings.host_of(api) {
        Some(host) if port == usual || port == 0 => format!("{scheme}://{host}"),
        Some(host) => format!("{scheme}://{host}:{port}"),
        None => String::new(),
    };
    let base = format!("{origin}{}", api.listen_path);
    let mut all = vec![base.clone()];
    let versioning =
        api.versioning.as_deref().filter(|versioning| versioning.location == VersionLocation::Path);
    for (version, _) in versioning.into_iter().flat_map(|versioning| versioning.others()) {
        all.push(format!("{}/{version}/", base.trim_end_matches('/')));
    }
    all
}

/// The document with other addresses; `None` where they are the same.
fn written(text: &str, own: &[String], former: &[String]) -> Option<String> {
    let mut document: Value = serde_json::from_str(text).ok()?;
    let given = document.get("servers").and_then(Value::as_array).cloned().unwrap_or_default();
    let is_ours = |server: &Value| {
        // One with a name or variables has been written by somebody.
        let members = server.as_object().map_or(0, |server| server.len());
        let url = server["url"].as_str().unwrap_or_default();
        members == 1 && own.iter().chain(former).any(|known| known == url)
    };
    let others = given.iter().filter(|server| !is_ours(server)).cloned();
    let servers: Vec<Value> = own.iter().map(|url| json!({"url": url})).chain(others).collect();
    if servers == given {
        return None;
    }
    document["servers"] = servers.into();
    Some(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c3_1_row_10_addresses_of_the_gate_stand_in_front_of_those_of_others() {
        let list = |urls: &[&str]| urls.iter().map(|url| (*url).to_owned()).collect::<Vec<_>>();
        let (own, former) = (list(&["/new/", "/new/v2/"]), list(&["/old/"]));
        for (given, expected) in [
            (json!(null), Some(json!([{"url": "/new/"}, {"url": "/new/v2/"}]))),
            (
                json!([{"url": "/old/"}, {"url": "http://mine"}, {"url": "/old/", "description": "kept"}]),
                Some(json!([{"url": "/new/"}, {"url": "/new/v2/"}, {"url": "http://mine"},
                    {"url": "/old/", "description": "kept"}])),
            ),
            (json!([{"url": "/new/"}, {"url": "/new/v2/"}, {"url": "http://mine"}]), None),
            (
                json!([{"url": "http://mine"}, {"url": "/new/"}]),
                Some(json!([{"url": "/new/"}, {"url": "/new/v2/"}, {"url": "http://mine"}])),
            ),
        ] {
            let mut document = json!({"openapi": "3.0.3", "paths": {}});
            if !given.is_null() {
                document["servers"] = given.clone();
            }
            let text = written(&document.to_string(), &own, &former);
            let servers = text.map(|text| serde_json::from_str::<Value>(&text).unwrap()["servers"].clone());
            assert_eq!(servers, expected, "{given}");
        }
        let none = json!({"openapi": "3.0.3", "paths": {}}).to_string();
        assert_eq!(written(&none, &[], &former), None);
    }
}
