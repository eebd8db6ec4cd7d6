//! Tools that are made of an OpenAPI document: which there are, what they are called, and what is told of what is wrong.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use apidef::{Definition, Place, Tool, ToolSource, catalog};
use serde_json::{Value, json};

/// What a definition says of tools.
fn wanted(entries: Value) -> Result<ToolSource, Vec<(String, String)>> {
    let definition = json!({
        "openapi": "3.0.3",
        "info": {"title": "t", "version": "1"},
        "paths": {},
        "x-tyk-api-gateway": {
            "info": {"id": "agents"},
            "upstream": {"url": "tyk://orders/mcp"},
            "server": {"listenPath": {"value": "/agents/"}},
        },
        "x-tyk-mcp-server": {"primitives": entries},
    });
    match Definition::parse_oas(&definition.to_string()) {
        Ok(definition) => Ok(ToolSource::clone(definition.api.tools.as_deref().unwrap())),
        Err(faults) => Err(faults.into_iter().map(|fault| (fault.pointer, fault.message)).collect()),
    }
}

fn tools(document: &Value, entries: Value) -> Result<Vec<Tool>, Vec<(String, String)>> {
    let made = catalog(document, &wanted(entries)?);
    made.map(|(tools, _)| tools)
        .map_err(|faults| faults.into_iter().map(|fault| (fault.pointer, fault.message)).collect())
}

fn names(tools: &[Tool]) -> Vec<&str> {
    tools.iter().map(|tool| &*tool.name).collect()
}

fn document(paths: Value, operations: Value) -> Value {
    json!({"openapi": "3.0.3", "paths": paths, "x-tyk-api-gateway": {"middleware": {"operations": operations}}})
}

#[test]
fn which_operations_are_tools() {
    let paths = json!({
        "/a": {"get": {"operationId": "a"}, "trace": {}, "post": {}},
        "/b/{id}": {"get": {"operationId": "b"}, "delete": {"operationId": "gone"}},
    });
    let on = json!({"enabled": true});
    for (operations, entries, expected) in [
        (json!({}), json!([]), &["a", "post_a", "b", "gone"][..]),
        (json!({"gone": {"block": on}}), json!([]), &["a", "post_a", "b"]),
        (json!({"gone": {"internal": on}}), json!([]), &["a", "post_a", "b"]),
        (json!({"aPOST": {"internal": on}}), json!([]), &["a", "b", "gone"]),
        (json!({"aPOST": {"allow": on}}), json!([]), &["post_a"]),
        (
            json!({"gone": {"internal": on}}),
            json!([{"source": {"operationId": "gone"}, "allow": true}]),
            &["gone"],
        ),
        (json!({"gone": {"block": on}}), json!([{"source": {"operationId": "gone"}, "allow": true}]), &[]),
        (json!({"b": {"allow": on}, "a": {"allow": {"enabled": false}}}), json!([]), &["b"]),
        (
            json!({}),
            json!([
                {"source": {"method": "post", "path": "/a"}, "allow": true, "name": "make"},
                {"source": {"operationId": "b"}, "name": "not"},
            ]),
            &["make"],
        ),
        (
            json!({}),
            json!([{"source": {"operationId": "b"}, "name": "b-2", "allow": false}]),
            &["a", "post_a", "b-2", "gone"],
        ),
    ] {
        let made = tools(&document(paths.clone(), operations.clone()), entries.clone());
        assert_eq!(names(&made.unwrap()), expected, "{operations} {entries}");
    }
}

#[test]
fn arguments_have_one_name_each() {
    let parameter = |name: &str, place: &str| json!({"name": name, "in": place, "required": place == "path", "schema": {"type": "string"}});
    let body = |schema: Value| json!({"content": {"application/json": {"schema": schema}}, "required": true});
    let named = |properties: &[&str]| {
        let all: serde_json::Map<String, Value> =
            properties.iter().map(|name| ((*name).to_owned(), json!({"type": "string"}))).collect();
        json!({"type": "object", "properties": all})
    };
    type Named = (String, String, Place);
    let of = |operation: Value, entries: Value| -> Result<Vec<Named>, Vec<(String, String)>> {
        let mut operation = operation;
        operation["operationId"] = json!("x");
        let made = tools(
            &document(
                json!({"/x/{id}": {"parameters": [parameter("id", "path")], "post": operation}}),
                json!({}),
            ),
            entries,
        )?;
        let arguments =
            made[0].arguments.iter().map(|one| (one.name.to_string(), one.source.to_string(), one.place));
        Ok(arguments.collect::<Vec<_>>())
    };
    let one = |name: &str, source: &str, place: Place| (name.to_owned(), source.to_owned(), place);
    let entry = |parameters: Value| json!([{"source": {"operationId": "x"}, "parameters": parameters}]);
    for (operation, entries, expected) in [
        (
            json!({"parameters": [parameter("id", "query"), parameter("q", "query")]}),
            json!([]),
            vec![
                one("path_id", "id", Place::Path),
                one("query_id", "id", Place::Query),
                one("q", "q", Place::Query),
            ],
        ),
        (
            json!({"parameters": [parameter("id", "query")]}),
            entry(json!([{"param": "id", "name": "order"}])),
            vec![one("order", "id", Place::Path), one("id", "id", Place::Query)],
        ),
        (
            json!({"requestBody": body(named(&["id", "n"]))}),
            entry(json!([{"param": "id", "name": "order"}])),
            vec![
                one("order", "id", Place::Path),
                one("id", "id", Place::Member),
                one("n", "n", Place::Member),
            ],
        ),
        (
            json!({"requestBody": body(json!({"type": "array"}))}),
            json!([]),
            vec![one("id", "id", Place::Path), one("body", "body", Place::Body)],
        ),
        (
            json!({"requestBody": body(json!({"oneOf": [named(&["a"])]}))}),
            json!([]),
            vec![one("id", "id", Place::Path), one("body", "body", Place::Body)],
        ),
        (
            json!({"requestBody": body(json!({"allOf": [named(&["a"]), named(&["b"])]}))}),
            json!([]),
            vec![one("id", "id", Place::Path), one("a", "a", Place::Member), one("b", "b", Place::Member)],
        ),
        (
            json!({"requestBody": {"content": {"multipart/form-data": {"schema": named(&["a"])}}}}),
            json!([]),
            vec![one("id", "id", Place::Path)],
        ),
        (
            json!({"parameters": [parameter("Authorization", "header"), parameter("Host", "header"), parameter("X-A", "header")]}),
            json!([]),
            vec![one("id", "id", Place::Path), one("X-A", "X-A", Place::Header)],
        ),
    ] {
        assert_eq!(of(operation.clone(), entries).as_ref(), Ok(&expected), "{operation}");
    }
    let clash = of(json!({"requestBody": body(named(&["id"]))}), json!([])).unwrap_err();
    let at = "/x-tyk-api-gateway/upstream/url".to_owned();
    assert_eq!(clash, [(at, "duplicate exposed parameter name \"id\" of POST /x/{id}".to_owned())]);
}

#[test]
fn bodies_that_say_so_take_more_and_answers_are_told() {
    let operation = json!({"post": {
        "operationId": "x",
        "requestBody": {"required": true, "content": {"application/merge-patch+json": {"schema": {
            "type": "object", "properties": {"a": {"type": "string"}, "made": {"readOnly": true}}, "required": ["a"],
            "additionalProperties": {"type": "integer"},
        }}}},
        "responses": {"201": {"content": {"application/json": {"schema": {
            "properties": {"id": {"type": "string"}, "password": {"type": "string", "writeOnly": true}},
        }}}}},
    }});
    let made = tools(
        &document(json!({"/x": operation}), json!({"x": {"validateResponse": {"enabled": true}}})),
        json!([]),
    )
    .unwrap();
    let tool = &made[0];
    assert_eq!(tool.input["additionalProperties"], json!({"type": "integer"}));
    assert_eq!(tool.input["required"], json!(["a"]));
    let body = tool.body.as_ref().unwrap();
    assert_eq!((&*body.kind, body.free, body.required), ("application/merge-patch+json", true, true));
    assert_eq!(*body.left_out, ["made".into()]);
    assert_eq!(tool.output, Some(json!({"properties": {"id": {"type": "string"}}, "type": "object"})));
    assert!(tool.answers_json && tool.answers_checked);
    assert_eq!(tool.expanded()["parameterLocations"], json!({"a": "body.a"}));
}

#[test]
fn tools_know_what_is_beside_them() {
    let parameter = |more: Value| {
        let mut parameter = json!({"name": "id", "in": "path", "required": true});
        parameter.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([parameter])
    };
    let paths = json!({
        "/Orders/{id}": {
            "parameters": parameter(json!({})),
            "get": {"operationId": "get"},
            "head": {"operationId": "head"},
            "put": {"operationId": "put", "parameters": parameter(json!({"allowReserved": true}))},
        },
        "/orders/export": {"get": {"operationId": "export"}, "trace": {}},
        "/orders/caf%C3%A9": {"head": {"operationId": "cafe"}},
    });
    let on = json!({"enabled": true});
    let all: Vec<Value> = ["get", "head", "put", "export"]
        .map(|id| json!({"source": {"operationId": id}, "allow": true}))
        .into();
    let made =
        tools(&document(paths, json!({"export": {"internal": on}, "put": {"internal": {}}})), all.into())
            .unwrap();
    let told: Vec<(&str, Vec<&str>, bool, bool)> = made
        .iter()
        .map(|tool| {
            let beside = tool.beside.iter().map(|path| &**path).collect();
            (&*tool.name, beside, tool.inner, tool.arguments.first().is_some_and(|one| one.reserved))
        })
        .collect();
    assert_eq!(
        told,
        [
            ("get", vec!["/orders/{id}", "/orders/export"], false, false),
            ("head", vec!["/orders/{id}", "/orders/{id}", "/orders/export", "/orders/café"], false, false),
            ("put", vec!["/orders/{id}"], false, true),
            ("export", vec![], true, false),
        ]
    );
    let head = &made[1];
    for (path, own) in [("/Orders/7", true), ("/Orders/caf%C3%A9", false), ("/Orders/caf%c3%a9s", true)] {
        assert_eq!(head.is_path(path), own, "{path}");
    }
}

#[test]
fn what_is_put_together_of_too_much_is_one_argument() {
    let mut schemas = serde_json::Map::new();
    for level in 0..17 {
        let next = json!({"$ref": format!("#/components/schemas/L{}", level + 1)});
        schemas.insert(format!("L{level}"), json!({"allOf": vec![next; 10]}));
    }
    schemas.insert("L17".to_owned(), json!({"properties": {"a": {"type": "string"}}}));
    for (first, names) in [("L17", &["a"][..]), ("L14", &["a"]), ("L3", &["body"]), ("L0", &["body"])] {
        let content =
            json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{first}")}}});
        let mut whole = document(
            json!({"/x": {"post": {
                "requestBody": {"content": content},
                "responses": {"200": {"description": "ok", "content": content}},
            }}}),
            json!({}),
        );
        whole["components"] = json!({"schemas": schemas});
        let made = tools(&whole, json!([])).unwrap();
        let arguments: Vec<&str> = made[0].arguments.iter().map(|one| &*one.name).collect();
        assert_eq!(arguments, names, "{first}");
        assert_eq!(made[0].output.is_some(), names == ["a"], "{first}");
        assert!(made[0].input.to_string().len() < 1 << 20, "{first}");
    }
}

#[test]
fn what_is_wrong_has_its_place() {
    let paths = json!({
        "/a": {"get": {"operationId": "a"}, "post": {"operationId": "a"}},
        "/b": {"get": {"operationId": "b b"}},
    });
    let whole = document(paths, json!({}));
    let at = |rest: &str| format!("/x-tyk-mcp-server/primitives{rest}");
    let url = "/x-tyk-api-gateway/upstream/url";
    for (entries, pointer, message) in [
        (json!([]), url.to_owned(), "duplicate tool name \"a\", of POST /a"),
        (
            json!([{"source": {"operationId": "a"}, "allow": true}]),
            at("/0/source"),
            "the API `orders` has more than one operation of this id",
        ),
        (
            json!([{"source": {"method": "GET", "path": "/b"}, "allow": true}]),
            at("/0"),
            "`b b`, GET /b, is no name of a tool: a tool has a name of 1 to 128 letters, digits, `_`, `-` and `.`",
        ),
        (
            json!([{"source": {"method": "GET", "path": "/b"}, "allow": true, "name": "b"}, {"source": {"method": "GET", "path": "/a"}, "allow": true, "name": "b"}]),
            at("/1/name"),
            "duplicate tool name \"b\"",
        ),
        (
            json!([{"source": {"operationId": "x"}}, {"source": {"operationId": "x"}}]),
            at("/1/source"),
            "there is an entry for this operation already",
        ),
        (
            json!([{"source": {"operationId": "x"}, "parameters": [{"param": "a", "name": "b"}, {"param": "a", "name": "b"}]}]),
            at("/0/parameters/1/param"),
            "there is an entry for `a` already",
        ),
        (
            json!([{"source": {"operationId": "x"}, "parameters": [{}]}]),
            at("/0/parameters/0/param"),
            "which parameter of the operation is this about?",
        ),
        (json!([{"allow": true}]), at("/0/source"), "which operation of the API is this about?"),
        (json!([7]), at("/0"), "this must be an object"),
    ] {
        let faults = tools(&whole, entries.clone()).unwrap_err();
        assert!(faults.contains(&(pointer.clone(), message.to_owned())), "{entries}: {faults:?}");
    }
}
