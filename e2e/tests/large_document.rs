//! An OpenAPI document of the size that public ones have (contract 3.4, 3.5): imported over the admin API, every operation
//! of it is served, and held to what the document says.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use e2e::{Client, Gate, Upstream};
use serde_json::{Value, json};

/// Each has seven operations.
const THINGS: usize = 50;
const OPERATIONS: usize = THINGS * 7;
/// What a build for tests may take on a busy machine; a build for use takes a fraction of it.
const MOST_TIME: Duration = Duration::from_secs(15);
/// In kilobytes.
const MOST_MEMORY: u64 = 300 * 1024;

/// A request, and whether it is as the document says.
struct Case {
    method: &'static str,
    path: String,
    headers: String,
    body: String,
    good: bool,
}

fn reference(kind: &str, name: &str) -> Value {
    json!({"$ref": format!("#/components/{kind}/{name}")})
}

/// What may be null is written in one way in 3.0, and in another in 3.1.
fn nullable(kind: &str, newer: bool) -> Value {
    if newer { json!({"type": [kind, "null"]}) } else { json!({"type": kind, "nullable": true}) }
}

fn document(version: &str, target: &str) -> Value {
    let newer = version.starts_with("3.1");
    let (mut paths, mut schemas) = (json!({}), json!({}));
    for number in 0..THINGS {
        schemas_of(number, newer, &mut schemas);
        paths_of(number, &mut paths);
    }
    schemas["Id"] = json!({"type": "integer", "format": "int64", "minimum": 1});
    schemas["Problem"] = json!({"type": "object", "properties": {"title": {"type": "string"}, "detail": nullable("string", newer)}});
    json!({
        "openapi": version,
        "info": {"title": "Things", "version": "2024-01", "description": "Everything about things.", "license": {"name": "MIT"}},
        "servers": [{"url": format!("{target}/{{base}}"), "variables": {"base": {"default": "api", "enum": ["api", "beta"]}}}],
        "tags": [{"name": "things", "description": "All of them"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "parameters": {
                "Id": {"name": "id", "in": "path", "required": true, "description": "Which one", "schema": reference("schemas", "Id")},
                "Request": {"name": "X-Request-Id", "in": "header", "schema": {"type": "string", "pattern": "^[0-9a-f]{8}$"}},
                "Session": {"name": "session", "in": "cookie", "schema": {"type": "integer"}},
                "Page": {"name": "page", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 1}},
                "Filter": {"name": "filter", "in": "query", "style": "deepObject", "explode": true, "schema": {"type": "object",
                    "properties": {"size": {"type": "integer"}, "name": {"type": "string"}}, "additionalProperties": false}},
            },
            "responses": {"Problem": {"description": "What went wrong", "content":
                {"application/problem+json": {"schema": reference("schemas", "Problem")}}}},
            "requestBodies": {},
        },
    })
}

fn schemas_of(number: usize, newer: bool, schemas: &mut Value) {
    schemas[format!("Base{number}")] = json!({"type": "object", "required": ["name"], "properties": {
        "id": {"allOf": [reference("schemas", "Id")], "readOnly": true},
        "name": {"type": "string", "minLength": 2, "maxLength": 40, "example": "Rex"},
        "note": nullable("string", newer),
        "due": {"type": "string", "format": "date"},
        "status": {"type": "string", "enum": ["open", "closed", "archived"], "default": "open"},
    }});
    schemas[format!("Thing{number}")] = json!({"description": format!("The thing number {number}"), "allOf": [
        reference("schemas", &format!("Base{number}")),
        {"type": "object", "properties": {
            "size": {"type": "integer", "minimum": 0},
            "tags": {"type": "array", "maxItems": 5, "items": {"type": "string"}, "uniqueItems": true},
            "parts": {"type": "array", "items": reference("schemas", &format!("Thing{number}"))},
            "animal": reference("schemas", &format!("Animal{number}")),
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        }},
    ]});
    let (cat, dog) = (format!("Cat{number}"), format!("Dog{number}"));
    schemas[format!("Animal{number}")] = json!({
        "oneOf": [reference("schemas", &cat), reference("schemas", &dog)],
        "discriminator": {"propertyName": "kind", "mapping": {"cat": format!("#/components/schemas/{cat}"), "dog": dog}},
    });
    let of = |name: &str, kind: &str| json!({"type": "object", "required": ["kind", name], "properties": {"kind": {"type": "string"}, name: {"type": kind}}});
    schemas[cat] = of("lives", "integer");
    schemas[dog] = of("barks", "boolean");
    let word = if newer { json!({"const": "word"}) } else { json!({"type": "string", "enum": ["word"]}) };
    schemas[format!("Search{number}")] = json!({"anyOf": [
        {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}, "mode": word}},
        {"type": "object", "required": ["ids"], "properties": {"ids": {"type": "array", "minItems": 1, "items": reference("schemas", "Id")}}},
    ]});
}

fn answers(number: usize, status: &str) -> Value {
    json!({
        status: {"description": "It", "headers": {"X-Rate": {"schema": {"type": "integer"}}}, "content":
            {"application/json": {"schema": reference("schemas", &format!("Thing{number}"))}}},
        "default": reference("responses", "Problem"),
    })
}

fn base(number: usize) -> String {
    format!("/area{}/things{number}", number / 10)
}

fn paths_of(number: usize, paths: &mut Value) {
    let (base, thing) = (base(number), reference("schemas", &format!("Thing{number}")));
    let words = |values: Value| json!({"type": "array", "items": {"type": "string", "enum": values}});
    let operation = |name: &str, status: &str| {
        // Some documents name their operations, some do not.
        let mut operation = json!({"summary": format!("{name} things"), "tags": ["things"], "responses": answers(number, status)});
        if number.is_multiple_of(2) {
            operation["operationId"] = json!(format!("{name}Things{number}"));
        }
        operation
    };
    let mut list = operation("list", "200");
    list["parameters"] = json!([
        reference("parameters", "Page"), reference("parameters", "Filter"), reference("parameters", "Request"),
        reference("parameters", "Session"),
        {"name": "tags", "in": "query", "schema": {"type": "array", "items": {"type": "string", "maxLength": 8}}},
        {"name": "fields", "in": "query", "explode": false, "schema": words(json!(["name", "size"]))},
        {"name": "ids", "in": "query", "style": "pipeDelimited", "explode": false, "schema":
            {"type": "array", "items": reference("schemas", "Id")}},
        {"name": "sort", "in": "query", "style": "spaceDelimited", "explode": false, "schema": words(json!(["name", "size"]))},
        {"name": "where", "in": "query", "content": {"application/json": {"schema": {"type": "object", "required": ["a"]}}}},
    ]);
    let mut add = operation("add", "201");
    add["requestBody"] = json!({"required": true, "content": {
        "application/json": {"schema": thing},
        "application/x-www-form-urlencoded": {"schema": reference("schemas", &format!("Base{number}"))},
        "multipart/form-data": {"schema": reference("schemas", &format!("Base{number}"))},
        "text/plain": {"schema": {"type": "string", "maxLength": 20}},
        "application/xml": {"schema": thing},
    }});
    paths[&base] = json!({"get": list, "post": add});
    let mut replace = operation("replace", "200");
    replace["requestBody"] =
        json!({"required": true, "content": {"application/merge-patch+json": {"schema": thing}}});
    let mut remove = operation("remove", "200");
    remove["parameters"] = json!([{"name": "If-Match", "in": "header", "required": true, "schema": {"type": "string", "pattern": "^\"[a-z0-9]+\"$"}}]);
    paths[format!("{base}/{{id}}")] = json!({
        "parameters": [reference("parameters", "Id")],
        "get": operation("get", "200"), "put": replace, "delete": remove,
    });
    let mut part = operation("part", "200");
    part["parameters"] = json!([
        reference("parameters", "Id"),
        {"name": "part", "in": "path", "required": true, "style": "matrix", "schema": {"type": "integer"}},
    ]);
    paths[format!("{base}/{{id}}/parts/{{part}}")] = json!({"get": part});
    let mut search = operation("search", "200");
    search["requestBody"] = json!({"content": {"application/json": {"schema": reference("schemas", &format!("Search{number}"))}}});
    paths[format!("{base}/search")] = json!({"post": search});
}

/// Requests for the operations of one thing; of those that are wrong another one for each thing.
fn cases(number: usize) -> Vec<Case> {
    let base = base(number);
    let mut cases = Vec::new();
    let mut push = |good: bool, method: &'static str, rest: &str, headers: &str, body: &str| {
        let case =
            Case { method, path: format!("{base}{rest}"), headers: headers.into(), body: body.into(), good };
        cases.push(case);
    };
    let one_of = |all: &[&'static str]| all[number % all.len()];
    push(true, "GET", "", "", "");
    push(
        true,
        "GET",
        "?page=2&tags=a&tags=b&fields=name,size&filter%5Bsize%5D=3&ids=1%7C2&sort=name%20size&where=%7B%22a%22:1%7D",
        "X-Request-Id: 0123abcd\r\nCookie: session=7\r\n",
        "",
    );
    let query = one_of(&[
        "?page=0",
        "?page=x",
        "?fields=name,weight",
        "?filter%5Bother%5D=1",
        "?filter%5Bsize%5D=x",
        "?ids=1%7Cx",
        "?ids=0",
        "?sort=name%20weight",
        "?tags=a&tags=muchtoolong",
        "?where=%7B%22b%22:1%7D",
        "?where=%7B",
    ]);
    push(false, "GET", query, "", "");
    push(false, "GET", "", one_of(&["X-Request-Id: 0123\r\n", "Cookie: session=x\r\n"]), "");

    let json = "Content-Type: application/json\r\n";
    push(
        true,
        "POST",
        "",
        json,
        r#"{"name": "Rex", "note": null, "size": 3, "tags": ["a"], "parts": [{"name": "Leg"}], "due": "2024-02-29",
            "animal": {"kind": "cat", "lives": 9}, "labels": {"a": "b"}}"#,
    );
    let wrong = one_of(&[
        "{}",
        r#"{"name": "R"}"#,
        r#"{"name": null}"#,
        r#"{"name": "Rex", "size": -1}"#,
        r#"{"name": "Rex", "tags": ["a", "a"]}"#,
        r#"{"name": "Rex", "parts": [{"parts": []}]}"#,
        r#"{"name": "Rex", "animal": {"kind": "cow"}}"#,
        r#"{"name": "Rex", "animal": {"kind": "dog", "lives": 9}}"#,
        r#"{"name": "Rex", "labels": {"a": 1}}"#,
        r#"{"name": "Rex", "due": "2023-02-29"}"#,
        r#"{"name": "Rex", "id": 1}"#,
        r#"{"name": "Rex""#,
        "[]",
    ]);
    push(false, "POST", "", json, wrong);
    let multipart = "Content-Type: multipart/form-data; boundary=b\r\n";
    let part = "--b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nRex\r\n--b--\r\n";
    let (kind, body) = [
        ("Content-Type: application/x-www-form-urlencoded\r\n", "name=Rex&status=closed"),
        (multipart, part),
        ("Content-Type: text/plain; charset=utf-8\r\n", "Rex"),
        ("Content-Type: application/xml\r\n", "<thing><name>Rex</name></thing>"),
    ][number % 4];
    push(true, "POST", "", kind, body);
    let (kind, body) = [
        ("Content-Type: application/x-www-form-urlencoded\r\n", "name=Rex&status=ajar"),
        (multipart, "--b\r\nContent-Disposition: form-data; name=\"due\"\r\n\r\n2024-01-01\r\n--b--\r\n"),
        ("Content-Type: text/plain\r\n", "far more than there may be of it"),
        ("Content-Type: application/pdf\r\n", "%PDF"),
        (json, ""),
    ][number % 5];
    push(false, "POST", "", kind, body);

    push(true, "GET", "/7", "", "");
    push(false, "GET", one_of(&["/0", "/seven", "/1.5"]), "", "");
    push(true, "PUT", "/7", "Content-Type: application/merge-patch+json\r\n", r#"{"name": "Rex"}"#);
    push(false, "PUT", "/7", "Content-Type: application/merge-patch+json\r\n", r#"{"size": 1}"#);
    push(true, "DELETE", "/7", "If-Match: \"a1\"\r\n", "");
    push(false, "DELETE", "/7", one_of(&["", "If-Match: a1\r\n"]), "");
    push(true, "GET", "/7/parts/;part=3", "", "");
    push(false, "GET", one_of(&["/7/parts/;part=x", "/x/parts/;part=3"]), "", "");
    push(true, "POST", "/search", json, one_of(&[r#"{"text": "a", "mode": "word"}"#, r#"{"ids": [1, 2]}"#]));
    push(
        false,
        "POST",
        "/search",
        json,
        one_of(&[r#"{"text": ""}"#, r#"{"ids": []}"#, r#"{"ids": [0]}"#, "{}"]),
    );
    cases
}

fn memory(gate: &Gate) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gate.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

async fn serve(version: &str) {
    let upstream = Upstream::start().await;
    let document = document(version, &upstream.url(""));
    let gate = Gate::setup().start().await;
    let text = document.to_string();
    gate.write("large.json", &text);
    let before = memory(&gate);
    let file = format!("@{}", gate.dir().join("large.json").display());
    let started = Instant::now();
    let import = "/apis/oas/import?apiID=large&listenPath=/large/&validateRequest=true&allowList=true";
    let reply = gate.admin().call("POST", import, Some(&file)).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    gate.admin().reload().await;
    let took = started.elapsed();

    let held = gate.admin().get("/apis/oas/large").await.json();
    let operations = held["x-tyk-api-gateway"]["middleware"]["operations"].as_object().unwrap();
    assert_eq!(operations.len(), OPERATIONS);
    for (id, operation) in operations {
        assert_eq!(
            (&operation["allow"]["enabled"], &operation["validateRequest"]["enabled"]),
            (&json!(true), &json!(true)),
            "{id}"
        );
    }

    let (mut good, mut bad) = (0, 0);
    for number in 0..THINGS {
        for case in cases(number) {
            let Case { method, path, headers, body, good: is_good } = case;
            let mut request =
                format!("{method} /large{path} HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n{headers}");
            write!(request, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
            let mut client = Client::connect(&gate).await;
            client.send(&request).await;
            let (head, answer) = client.answer().await;
            if is_good {
                assert!(head.starts_with("HTTP/1.1 200 "), "{version} {request}\n{head}{answer}");
                let answer: Value = serde_json::from_str(&answer).unwrap();
                assert_eq!(answer["path"], format!("/api{path}"), "{request}");
                good += 1;
            } else {
                assert!(head.starts_with("HTTP/1.1 422 "), "{version} {request}\n{head}{answer}");
                assert!(answer.contains("request validation error: "), "{request}\n{answer}");
                bad += 1;
            }
        }
    }
    assert_eq!((good, upstream.hits()), (THINGS * 9, THINGS * 9), "no other request reached the upstream");
    assert_eq!(bad, THINGS * 9);
    // What is no operation of it is closed.
    assert_eq!(gate.get("/large/area0/nothing", &[]).await.status, 403);

    let more = memory(&gate).saturating_sub(before);
    eprintln!(
        "OpenAPI {version}: {OPERATIONS} operations, {} KiB: live after {took:?}, {more} KiB of memory at most",
        text.len() / 1024
    );
    assert!(took < MOST_TIME, "{took:?}");
    assert!(more < MOST_MEMORY, "{more} KiB");
}

#[tokio::test]
async fn c3_4_a_large_document_of_openapi_3_0_is_imported_and_every_operation_is_held_to_it() {
    serve("3.0.3").await;
}

#[tokio::test]
async fn c3_4_a_large_document_of_openapi_3_1_is_imported_and_every_operation_is_held_to_it() {
    serve("3.1.0").await;
}
