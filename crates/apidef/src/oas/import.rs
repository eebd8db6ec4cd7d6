//! A plain OpenAPI document becomes a definition, and a definition gets another document (contract 3.4).

use super::{EXTENSION, STREAMING};
use crate::Target;
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// What an import or a patch asks for beside the document. `None` leaves things as they are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Import<'a> {
    /// `upstreamURL`
    pub upstream: Option<&'a str>,
    /// `listenPath`
    pub listen_path: Option<&'a str>,
    /// `customDomain`
    pub domain: Option<&'a str>,
    /// `apiID`; only a new definition takes it.
    pub id: Option<&'a str>,
    /// `authentication`
    pub authentication: Option<Authentication>,
    /// `allowList`
    pub allow_list: Option<bool>,
    /// `validateRequest`
    pub validate_request: Option<bool>,
    /// `mockResponse`
    pub mock_response: Option<bool>,
    /// `securityProcessingMode`
    pub processing_mode: Option<&'a str>,
}

/// Whether the security schemes of the document guard the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// They do not.
    Off,
    /// Those of the first requirement do.
    On,
    /// As the requirements say: alternatives of schemes that count together.
    Compliant,
}

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// Writes the gateway's part of `document`, which may hold one already, by what is asked for. The error is the
/// contract's text for who sent the document.
pub fn import(document: &mut Value, asked: &Import<'_>) -> Result<(), String> {
    let fresh = document.get(EXTENSION).is_none();
    let streams = document.get(STREAMING).is_some();
    let upstream = match asked.upstream {
        Some(url) => Some(usable(url).map_err(|why| {
            format!("The manually configured upstream URL is not valid. The URL must be absolute and properly formatted: it {why}")
        })?),
        None if fresh && !streams => Some(first_server(document)?),
        None => None,
    };
    let schemes = match asked.authentication {
        Some(Authentication::On | Authentication::Compliant) => required_schemes(document)?,
        _ => Vec::new(),
    };
    let operations = name_operations(document);
    let title = document.pointer("/info/title").and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(root) = document.as_object_mut() else { return Err("request malformed".to_owned()) };
    let extension = child(root, EXTENSION)?;
    if fresh {
        let info = child(extension, "info")?;
        info.insert("name".to_owned(), json!(title));
        if let Some(id) = asked.id {
            info.insert("id".to_owned(), json!(id));
        }
        child(info, "state")?.insert("active".to_owned(), json!(true));
        let listen = child(child(extension, "server")?, "listenPath")?;
        listen.insert("value".to_owned(), json!("/"));
        listen.insert("strip".to_owned(), json!(true));
        let global = child(child(extension, "middleware")?, "global")?;
        child(global, "contextVariables")?.insert("enabled".to_owned(), json!(true));
        child(global, "trafficLogs")?.insert("enabled".to_owned(), json!(true));
    }
    if let Some(upstream) = upstream {
        child(extension, "upstream")?.insert("url".to_owned(), json!(upstream));
    }
    let server = child(extension, "server")?;
    if let Some(path) = asked.listen_path {
        child(server, "listenPath")?.insert("value".to_owned(), json!(path));
    }
    if let Some(domain) = asked.domain {
        let custom = child(server, "customDomain")?;
        custom.insert("enabled".to_owned(), json!(!domain.is_empty()));
        custom.insert("name".to_owned(), json!(domain));
    }
    authenticate(server, asked, &schemes)?;
    let middleware = child(extension, "middleware")?;
    configure(middleware, asked, &operations)?;
    if middleware.is_empty() {
        extension.remove("middleware");
    }
    Ok(())
}

/// The member, which is made if it is not there.
fn child<'v>(holder: &'v mut Map<String, Value>, key: &str) -> Result<&'v mut Map<String, Value>, String> {
    let member = holder.entry(key).or_insert(Value::Null);
    if member.is_null() {
        *member = json!({});
    }
    member.as_object_mut().ok_or_else(|| format!("`{key}` in {EXTENSION} must be an object"))
}

fn usable(url: &str) -> Result<String, &'static str> {
    Target::parse(url).map(|_| url.to_owned())
}

/// The URL of the first server, its variables replaced by their defaults.
fn first_server(document: &Value) -> Result<String, String> {
    let Some(server) = document.pointer("/servers/0") else {
        return Err(
            "The ‘servers’ object is empty in your OAS. Add a server to it, or name the upstream with the \
                    parameter upstreamURL."
                .to_owned(),
        );
    };
    let mut url = server.get("url").and_then(Value::as_str).unwrap_or_default().to_owned();
    for (name, variable) in server.get("variables").and_then(Value::as_object).into_iter().flatten() {
        let value = variable.get("default").and_then(Value::as_str).unwrap_or_default();
        url = url.replace(&format!("{{{name}}}"), value);
    }
    usable(&url).map_err(|why| {
        format!(
            "The first entry in the ‘servers’ object of your OAS is not valid. The URL must be absolute and properly \
             formatted: it {why}"
        )
    })
}

/// Names of the schemes that the document's `security` refers to.
fn required_schemes(document: &Value) -> Result<Vec<String>, String> {
    let security = document.get("security").and_then(Value::as_array);
    let Some(security) = security.filter(|security| !security.is_empty()) else {
        return Err(
            "The ‘security’ object is empty in your OAS. Name in it what a request needs, or leave the \
                    parameter authentication out."
                .to_owned(),
        );
    };
    let mut names = Vec::new();
    for name in security.iter().filter_map(Value::as_object).flat_map(Map::keys) {
        if document.pointer("/components/securitySchemes").and_then(|schemes| schemes.get(name)).is_none() {
            return Err(format!(
                "Missing required Security Scheme '{name}' in Components.SecuritySchemes. Define it there, or take it \
                 out of `security`."
            ));
        }
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    Ok(names)
}

fn authenticate(
    server: &mut Map<String, Value>,
    asked: &Import<'_>,
    schemes: &[String],
) -> Result<(), String> {
    if let Some(authentication) = asked.authentication {
        let section = child(server, "authentication")?;
        section.insert("enabled".to_owned(), json!(authentication != Authentication::Off));
        if authentication == Authentication::Compliant {
            section.insert("securityProcessingMode".to_owned(), json!("compliant"));
        }
        for name in schemes {
            child(child(section, "securitySchemes")?, name)?.insert("enabled".to_owned(), json!(true));
        }
    }
    if let Some(mode) = asked.processing_mode {
        child(server, "authentication")?.insert("securityProcessingMode".to_owned(), json!(mode));
    }
    Ok(())
}

/// An operation of the document.
struct Operation {
    id: String,
    takes_input: bool,
    has_examples: bool,
}

/// Finds every operation; those without an id get one (contract 3.1, "Operation binding").
fn name_operations(document: &mut Value) -> Vec<Operation> {
    let mut found = Vec::new();
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    for (path, item) in paths.into_iter().flatten() {
        let shared = item.get("parameters").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
        for method in METHODS {
            let Some(operation) = item.get_mut(method).and_then(Value::as_object_mut) else { continue };
            let id = match operation.get("operationId").and_then(Value::as_str) {
                Some(id) if !id.is_empty() => id.to_owned(),
                _ => {
                    let id = format!("{}{}", path.trim_start_matches('/'), method.to_ascii_uppercase());
                    operation.insert("operationId".to_owned(), json!(id));
                    id
                }
            };
            let own =
                operation.get("parameters").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
            found.push(Operation {
                id,
                takes_input: shared || own || operation.contains_key("requestBody"),
                has_examples: operation.get("responses").is_some_and(has_examples),
            });
        }
    }
    found
}

fn has_examples(responses: &Value) -> bool {
    let media = responses
        .as_object()
        .into_iter()
        .flat_map(Map::values)
        .filter_map(|response| response.get("content").and_then(Value::as_object));
    media.flat_map(Map::values).any(|media| {
        ["example", "examples", "schema"]
            .iter()
            .any(|key| media.get(key).is_some_and(|value| !value.is_null()))
    })
}

/// Switches the features of operations on or off, and drops what belongs to operations that are gone.
fn configure(
    middleware: &mut Map<String, Value>,
    asked: &Import<'_>,
    operations: &[Operation],
) -> Result<(), String> {
    let ids: HashSet<&str> = operations.iter().map(|operation| operation.id.as_str()).collect();
    if let Some(configured) = middleware.get_mut("operations").and_then(Value::as_object_mut) {
        configured.retain(|id, _| ids.contains(id.as_str()));
    }
    if [asked.allow_list, asked.validate_request, asked.mock_response].iter().all(Option::is_none) {
        return Ok(());
    }
    let configured = child(middleware, "operations")?;
    for operation in operations {
        let features = [
            ("allow", asked.allow_list, json!({"enabled": true})),
            (
                "validateRequest",
                asked.validate_request.filter(|on| !on || operation.takes_input),
                json!({"enabled": true, "errorResponseCode": 422}),
            ),
            (
                "mockResponse",
                asked.mock_response.filter(|on| !on || operation.has_examples),
                json!({"enabled": true, "fromOASExamples": {"enabled": true}}),
            ),
        ];
        for (name, on, section) in features {
            match on {
                Some(true) => {
                    let features = child(configured, &operation.id)?;
                    features.insert(name.to_owned(), section);
                    if name == "allow"
                        && let Some(block) = features.get_mut("block").and_then(Value::as_object_mut)
                    {
                        block.insert("enabled".to_owned(), json!(false));
                    }
                }
                Some(false) => {
                    let held = configured.get_mut(&operation.id).and_then(|features| features.get_mut(name));
                    if let Some(held) = held.and_then(Value::as_object_mut) {
                        held.insert("enabled".to_owned(), json!(false));
                    }
                }
                None => {}
            }
        }
    }
    if configured.is_empty() {
        middleware.remove("operations");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> Value {
        json!({
            "openapi": "3.0.3", "info": {"title": "Pets", "version": "1"},
            "servers": [{"url": "https://{host}/v1", "variables": {"host": {"default": "pets.example"}}}],
            "security": [{"key": []}],
            "components": {"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Key"}}},
            "paths": {
                "/pets/{id}": {"get": {"responses": {"200": {"content": {"application/json": {"example": 1}}}}}},
                "/pets": {"post": {"operationId": "add", "requestBody": {}, "responses": {}}},
            },
        })
    }

    fn imported(document: Value, asked: &Import<'_>) -> Value {
        let mut document = document;
        import(&mut document, asked).unwrap();
        document
    }

    #[test]
    fn a_plain_document_becomes_a_definition() {
        let document = imported(plain(), &Import::default());
        assert_eq!(
            document[EXTENSION],
            json!({
                "info": {"name": "Pets", "state": {"active": true}},
                "upstream": {"url": "https://pets.example/v1"},
                "server": {"listenPath": {"value": "/", "strip": true}},
                "middleware": {"global": {"contextVariables": {"enabled": true}, "trafficLogs": {"enabled": true}}},
            })
        );
        assert_eq!(document["paths"]["/pets/{id}"]["get"]["operationId"], "pets/{id}GET");
    }

    #[test]
    fn parameters_decide() {
        let asked = Import {
            upstream: Some("http://other:8080/"),
            listen_path: Some("/pets/"),
            domain: Some("api.example"),
            id: Some("pets"),
            authentication: Some(Authentication::Compliant),
            allow_list: Some(true),
            validate_request: Some(true),
            mock_response: Some(true),
            processing_mode: None,
        };
        let extension = imported(plain(), &asked)[EXTENSION].take();
        assert_eq!(extension["info"]["id"], "pets");
        assert_eq!(extension["upstream"]["url"], "http://other:8080/");
        assert_eq!(extension["server"]["listenPath"]["value"], "/pets/");
        assert_eq!(extension["server"]["customDomain"], json!({"enabled": true, "name": "api.example"}));
        let authentication = json!({
            "enabled": true, "securityProcessingMode": "compliant", "securitySchemes": {"key": {"enabled": true}},
        });
        assert_eq!(extension["server"]["authentication"], authentication);
        let operations = &extension["middleware"]["operations"];
        let names = |id: &str| operations[id].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(
            names("pets/{id}GET"),
            ["allow", "mockResponse"],
            "without input there is nothing to validate"
        );
        assert_eq!(
            names("add"),
            ["allow", "validateRequest"],
            "without an example there is nothing to answer"
        );
    }

    #[test]
    fn c3_4_row_8_what_cannot_be_imported_is_told_in_the_words_of_the_contract() {
        let without = |key: &str| {
            let mut document = plain();
            document.as_object_mut().unwrap().remove(key);
            document
        };
        let mut relative = plain();
        relative["servers"] = json!([{"url": "/v1"}]);
        let secured = Import { authentication: Some(Authentication::On), ..Import::default() };
        let misled = Import { upstream: Some("nowhere"), ..Import::default() };
        for (document, asked, begin) in [
            (without("servers"), Import::default(), "The ‘servers’ object is empty in your OAS."),
            (
                relative,
                Import::default(),
                "The first entry in the ‘servers’ object of your OAS is not valid.",
            ),
            (plain(), misled, "The manually configured upstream URL is not valid."),
            (without("security"), secured, "The ‘security’ object is empty in your OAS."),
            (
                without("components"),
                secured,
                "Missing required Security Scheme 'key' in Components.SecuritySchemes",
            ),
        ] {
            let mut changed = document.clone();
            let told = import(&mut changed, &asked).unwrap_err();
            assert!(told.starts_with(begin), "{told}");
            assert_eq!(changed, document, "a refused document is left alone");
        }
    }

    #[test]
    fn a_definition_keeps_its_part_and_loses_operations_that_are_gone() {
        let mut document = plain();
        document[EXTENSION] = json!({
            "info": {"id": "pets", "name": "Mine"}, "upstream": {"url": "http://kept/"},
            "server": {"listenPath": {"value": "/kept/"}},
            "middleware": {"operations": {"gone": {"allow": {"enabled": true}}, "add": {"block": {"enabled": true}}}},
        });
        let extension = imported(document.clone(), &Import::default())[EXTENSION].take();
        assert_eq!(extension["info"], json!({"id": "pets", "name": "Mine"}));
        assert_eq!(extension["upstream"]["url"], "http://kept/");
        assert_eq!(extension["middleware"]["operations"], json!({"add": {"block": {"enabled": true}}}));
        let on = imported(document.clone(), &Import { allow_list: Some(true), ..Import::default() });
        let add = &on[EXTENSION]["middleware"]["operations"]["add"];
        assert_eq!(*add, json!({"block": {"enabled": false}, "allow": {"enabled": true}}));
        let off = imported(on, &Import { allow_list: Some(false), ..Import::default() });
        let add = &off[EXTENSION]["middleware"]["operations"]["add"];
        assert_eq!(add["allow"], json!({"enabled": false}));
    }

    #[test]
    fn streams_need_no_upstream() {
        let mut document = plain();
        document.as_object_mut().unwrap().remove("servers");
        document[STREAMING] = json!({"streams": {}});
        assert_eq!(imported(document, &Import::default())[EXTENSION].get("upstream"), None);
    }
}
