//! Requests and answers that have to be as an OpenAPI document says (contract 3.5).

use std::time::{Duration, Instant};

use e2e::definition::oas;
use e2e::{Gate, Reply, Upstream, until};
use serde_json::{Value, json};

const JSON: [&str; 2] = ["-H", "content-type: application/json"];

fn on(code: u16) -> Value {
    json!({"validateRequest": {"enabled": true, "errorResponseCode": code}})
}

fn pets(target: &str) -> Value {
    let mut api = oas("api", target);
    api["paths"] = json!({
        "/pets/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "integer", "minimum": 1}}],
            "get": {"operationId": "one", "parameters": [
                {"name": "fields", "in": "query", "explode": false, "schema": {"type": "array", "items": {"enum": ["name", "age"]}}},
                {"name": "filter", "in": "query", "style": "deepObject", "explode": true, "schema": {"type": "object",
                    "properties": {"age": {"type": "integer"}}, "additionalProperties": false}},
                {"name": "X-Day", "in": "header", "schema": {"type": "string", "format": "date"}},
                {"name": "size", "in": "cookie", "schema": {"type": "integer"}},
            ]},
        },
        "/pets": {"post": {"operationId": "add",
            "parameters": [{"$ref": "#/components/parameters/Dry"}],
            "requestBody": {"required": true, "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/Pet"}},
                "application/x-www-form-urlencoded": {"schema": {"$ref": "#/components/schemas/Pet"}},
            }},
        }},
        "/free": {"get": {"operationId": "free"}},
    });
    api["components"] = json!({
        "parameters": {"Dry": {"name": "dry", "in": "query", "required": true, "schema": {"type": "boolean"}}},
        "schemas": {"Pet": {"type": "object", "required": ["name", "id"], "properties": {
            "id": {"type": "integer", "readOnly": true},
            "name": {"type": "string", "minLength": 2},
            "age": {"type": "integer", "minimum": 0, "exclusiveMinimum": true, "nullable": true},
            "friends": {"type": "array", "items": {"$ref": "#/components/schemas/Pet"}},
        }}},
    });
    api["x-tyk-api-gateway"]["middleware"] =
        json!({"operations": {"one": on(400), "add": {"validateRequest": {"enabled": true}}}});
    api
}

#[tokio::test]
async fn c2_5_row_15_the_classic_projection_of_a_document_can_be_given_back() {
    let upstream = Upstream::start().await;
    let mut api = pets(&upstream.url(""));
    api["x-tyk-api-gateway"]["middleware"]["operations"]["free"] =
        json!({"mockResponse": {"enabled": true, "code": 418, "body": "tea"}});
    let gate = Gate::setup().oas(api).start().await;
    let mut classic = gate.admin().get("/apis/api").await.json();
    let listed = &classic["version_data"]["versions"][""]["extended_paths"]["validate_request"];
    let entry = json!({"path": "/pets/{id}", "method": "GET", "disabled": false, "enabled": true, "error_response_code": 400});
    assert!(listed.as_array().unwrap().contains(&entry), "{listed}");
    (classic["api_id"], classic["proxy"]["listen_path"]) = (json!("back"), json!("/back/"));
    let posted = gate.admin().post("/apis", &classic).await;
    assert_eq!(posted.status, 200, "{posted:?}");
    gate.admin().reload().await;
    for path in ["/api", "/back"] {
        for (rest, status) in [("/pets/7", 200), ("/pets/seven", 400), ("/free", 418)] {
            let reply = gate.get(&format!("{path}{rest}"), &[]).await;
            assert_eq!(reply.status, status, "{path}{rest}: {reply:?}");
        }
        let add = [&JSON[..], &["--data-binary", "{\"name\": \"R\"}"]].concat();
        let refused = gate.get(&format!("{path}/pets?dry=true"), &add).await;
        assert_eq!(refused.status, 422, "{path}: {refused:?}");
    }
}

#[tokio::test]
async fn c3_1_row_4_patterns_name_letters_by_their_numbers_and_stay_as_they_are_written() {
    let upstream = Upstream::start().await;
    let mut api = oas("api", &upstream.url(""));
    let patterns = [("u", "^[\\u4e00-\\u9fa5]+\\u0021?$"), ("x", "^[\\x{4e00}-\\x{9fa5}]+\\x{21}?$")];
    for (name, pattern) in patterns {
        api["paths"][format!("/{name}")]["post"] = json!({"operationId": name, "requestBody": {"required": true,
            "content": {"application/json": {"schema": {"type": "string", "pattern": pattern}}}}});
        api["x-tyk-api-gateway"]["middleware"]["operations"][name] = on(422);
    }
    let gate = Gate::setup().start().await;
    let posted = gate.admin().post("/apis/oas", &api).await;
    assert_eq!(posted.status, 200, "{posted:?}");
    gate.admin().reload().await;
    let shown = gate.admin().get("/apis/oas/api").await.json();
    for (name, pattern) in patterns {
        let path = format!("/api/{name}");
        for (said, status) in [("\"汉字!\"", 200), ("\"汉字\"", 200), ("\"word\"", 422), ("\"\"", 422)] {
            let reply = gate.get(&path, &[&JSON[..], &["--data-binary", said]].concat()).await;
            assert_eq!(reply.status, status, "{path} {said}: {reply:?}");
        }
        let kept = &shown["paths"][format!("/{name}")]["post"]["requestBody"]["content"]["application/json"]
            ["schema"];
        assert_eq!(kept["pattern"], pattern);
    }
}

#[tokio::test]
async fn c3_5_rows_1_4_5_6_requests_are_held_to_the_document() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().oas(pets(&upstream.url(""))).start().await;
    let post = |body: &'static str| [&JSON[..], &["--data-binary", body]].concat();
    let long = format!("[{}]", vec![r#"{"name": "Rex"}"#; 50].join(","));
    let friends: &'static str = format!(r#"{{"name": "Rex", "friends": {long}}}"#).leak();
    for (path, arguments, status, message) in [
        ("/pets/7", vec![], 200, ""),
        ("/pets/%37?fields=name,age&filter[age]=3", vec!["-H", "x-day: 2024-02-29", "-b", "size=3"], 200, ""),
        (
            "/pets/seven",
            vec![],
            400,
            "parameter \"id\" in path has an error: value seven: an invalid integer: invalid syntax",
        ),
        ("/pets/0", vec![], 400, "parameter \"id\" in path has an error: number must be at least 1"),
        (
            "/pets/7?fields=name,x",
            vec![],
            400,
            "parameter \"fields\" in query has an error: Error at \"/1\": value is not one of the allowed values [\"name\",\"age\"]",
        ),
        (
            "/pets/7?filter[size]=3",
            vec![],
            400,
            "parameter \"filter\" in query has an error: property \"size\" is unsupported",
        ),
        (
            "/pets/7",
            vec!["-H", "x-day: 2023-02-29"],
            400,
            "parameter \"X-Day\" in header has an error: string doesn't match the format \"date\"",
        ),
        (
            "/pets/7",
            vec!["-b", "size=big"],
            400,
            "parameter \"size\" in cookie has an error: value big: an invalid integer: invalid syntax",
        ),
        ("/pets/7/more", vec![], 400, "no matching operation was found for request: GET /pets/7/more"),
        ("/free", vec![], 200, ""),
        ("/pets?dry=true", post(r#"{"name": "Rex", "age": null}"#), 200, ""),
        ("/pets?dry=true", post(friends), 200, ""),
        ("/pets?dry=true", vec!["--data", "name=Rex&age=7"], 200, ""),
        ("/pets", post("{}"), 422, "parameter \"dry\" in query has an error: value is required but missing"),
        (
            "/pets?dry=",
            post("{}"),
            422,
            "parameter \"dry\" in query has an error: empty value is not allowed",
        ),
        (
            "/pets?dry=true",
            post("{}"),
            422,
            "request body has an error: doesn't match schema: Error at \"/name\": property \"name\" is missing",
        ),
        (
            "/pets?dry=true",
            post(r#"{"name": "Rex", "age": 0}"#),
            422,
            "request body has an error: doesn't match schema: Error at \"/age\": number must be more than 0",
        ),
        (
            "/pets?dry=true",
            post(r#"{"name": "Rex", "friends": [{"name": "R"}]}"#),
            422,
            "request body has an error: doesn't match schema: Error at \"/friends/0/name\": minimum string length is 2",
        ),
        (
            "/pets?dry=true",
            post(r#"{"name": "Rex", "id": 5}"#),
            422,
            "request body has an error: doesn't match schema: Error at \"/id\": it may not be sent",
        ),
        (
            "/pets?dry=true",
            vec!["-X", "POST"],
            422,
            "request body has an error: value is required but missing",
        ),
        (
            "/pets?dry=true",
            vec!["-H", "content-type: text/plain", "--data", "x"],
            422,
            "request body has an error: header Content-Type has unexpected value: \"text/plain\"",
        ),
    ] {
        let before = upstream.hits();
        let reply = gate.get(&format!("/api{path}"), &[&["-g"][..], &arguments].concat()).await;
        assert_eq!(reply.status, status, "{path} {arguments:?}: {}", reply.text());
        if message.is_empty() {
            assert_eq!(upstream.hits(), before + 1, "{path}");
        } else {
            assert_eq!(
                reply.json()["error"],
                format!("request validation error: {message}"),
                "{path} {arguments:?}"
            );
            assert_eq!(upstream.hits(), before, "{path}");
        }
    }
    // What arrives is what was sent.
    let sent = gate.get("/api/pets?dry=true", &post(r#"{"name":  "Rex"}"#)).await;
    assert_eq!(sent.json()["body"], r#"{"name":  "Rex"}"#);
}

#[tokio::test]
async fn c3_1_row_13_paths_that_are_alike_are_told_apart_by_their_parameters() {
    let upstream = Upstream::start().await;
    let mut api = oas("api", &upstream.url(""));
    let path = |name: &str, schema: Value, id: &str| {
        json!({"get": {"operationId": id, "parameters": [
            {"name": name, "in": "path", "required": true, "schema": schema},
            {"name": "only", "in": "query", "required": true, "schema": {"enum": [id]}},
        ]}})
    };
    api["paths"] = json!({
        "/users/{name}": path("name", json!({"type": "string", "pattern": "^[a-z]+$"}), "name"),
        "/users/{id}": path("id", json!({"type": "integer"}), "id"),
        "/users/me": {"get": {"operationId": "me"}},
    });
    api["x-tyk-api-gateway"]["middleware"] =
        json!({"operations": {"name": on(422), "id": on(422), "me": on(422)}});
    let gate = Gate::setup().oas(api).start().await;
    for (path, status, message) in [
        ("/users/7?only=id", 200, ""),
        (
            "/users/7?only=name",
            422,
            "parameter \"only\" in query has an error: value is not one of the allowed values [\"id\"]",
        ),
        ("/users/bob?only=name", 200, ""),
        ("/users/me", 200, ""),
        ("/users/BOB?only=name", 422, "path parameter doesn't match any endpoint"),
    ] {
        let reply = gate.get(&format!("/api{path}"), &[]).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.text());
        if status != 200 {
            assert_eq!(reply.json()["error"], format!("request validation error: {message}"), "{path}");
        }
    }
}

#[tokio::test]
async fn bodies_are_looked_at_up_to_their_limit_and_decoded() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup()
        .conf(json!({"http_server_options": {"max_request_body_size": 2000}}))
        .oas(pets(&upstream.url("")))
        .start()
        .await;
    let sent = |text: &[u8], name: &str| {
        let path = gate.dir().join(name);
        std::fs::write(&path, text).unwrap();
        format!("@{}", path.display())
    };
    let zipped = |text: &str, name: &str| {
        sent(text.as_bytes(), name);
        let path = gate.dir().join(name);
        assert!(std::process::Command::new("gzip").arg(&path).status().unwrap().success());
        format!("@{}.gz", path.display())
    };
    let large = format!(r#"{{"name": "{}"}}"#, "x".repeat(3000));
    for (body, fields, status) in [
        (sent(large.as_bytes(), "plain"), &["-H", "transfer-encoding: chunked"][..], 413),
        (zipped(&large, "bomb"), &["-H", "content-encoding: gzip"], 413),
        (zipped(r#"{"name": "Rex"}"#, "good"), &["-H", "content-encoding: gzip"], 200),
        (zipped("{}", "bad"), &["-H", "content-encoding: gzip"], 422),
        (sent(b"{}", "strange"), &["-H", "content-encoding: br"], 422),
    ] {
        let reply =
            gate.get("/api/pets?dry=true", &[&JSON[..], fields, &["--data-binary", &body]].concat()).await;
        assert_eq!(reply.status, status, "{body}: {}", reply.text());
    }
}

#[tokio::test]
async fn what_cannot_be_used_refuses_the_definition_at_its_place() {
    let gate = Gate::setup().start().await;
    for (schema, place) in [
        (
            json!({"$ref": "http://169.254.169.254/schema.json"}),
            "is in another document, and none is fetched",
        ),
        (json!({"$ref": "file:///etc/passwd"}), "there is no value for `file:///etc/passwd`"),
        (json!({"$ref": "#/components/schemas/Gone"}), "leads nowhere in this document"),
        (json!({"type": "string", "pattern": "(?=x)"}), "the schema cannot be used"),
    ] {
        let mut api = oas("bad", "http://127.0.0.1:1/");
        api["paths"] = json!({"/a": {"get": {"operationId": "a", "parameters": [
            {"name": "p", "in": "query", "schema": schema},
        ]}}});
        api["x-tyk-api-gateway"]["middleware"] = json!({"operations": {"a": on(422)}});
        let reply = gate.admin().post("/apis/oas", &api).await;
        assert_eq!(reply.status, 400, "{schema}: {}", reply.text());
        assert!(reply.text().contains(place), "{schema}: {}", reply.text());
    }
}

#[tokio::test]
async fn answers_are_held_to_the_document() {
    let upstream = Upstream::start().await;
    let mut api = oas("api", &upstream.url(""));
    let answer = |id: &str, schema: Value| {
        json!({"get": {"operationId": id, "responses": {
            "2XX": {"description": "ok", "content": {"application/json": {"schema": schema}}},
        }}})
    };
    let good =
        json!({"type": "object", "required": ["method"], "properties": {"method": {"type": "string"}}});
    let bad = json!({"type": "object", "required": ["price"]});
    api["paths"] = json!({
        "/good": answer("good", good), "/bad": answer("bad", bad.clone()), "/told": answer("told", bad.clone()),
        "/status/404": answer("missing", bad.clone()), "/bytes/9": answer("bytes", bad),
    });
    let refuse = json!({"validateResponse": {"enabled": true, "mode": "refuse"}});
    api["x-tyk-api-gateway"]["middleware"] = json!({"operations": {
        "good": refuse, "bad": refuse, "missing": refuse, "bytes": refuse, "told": {"validateResponse": {"enabled": true}},
    }});
    let gate = Gate::setup().oas(api).start().await;
    until("it is in the log", async || {
        assert_eq!(gate.get("/api/told", &[]).await.status, 200);
        let log = gate.log();
        log.contains("an answer is not what the document says") && log.contains("is missing")
    })
    .await;
    for (path, status) in
        [("/good", 200), ("/bad", 502), ("/told", 200), ("/status/404", 404), ("/bytes/9", 502)]
    {
        let reply = gate.get(&format!("/api{path}"), &[]).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.text());
        if status == 502 {
            assert_eq!(
                reply.json()["error"],
                "The upstream's answer is not what its description says",
                "{path}"
            );
        }
    }
}

/// A document of the size that large public ones have.
fn large(operations: usize) -> Value {
    let schema = |at: usize| {
        json!({"type": "object", "required": ["id", "name"], "properties": {
            "id": {"type": "integer", "format": "int64"},
            "name": {"type": "string", "maxLength": 200},
            "state": {"enum": ["open", "closed", null], "nullable": true, "type": "string"},
            "parent": {"$ref": format!("#/components/schemas/Thing{}", (at * 7 + 3) % operations)},
            "labels": {"type": "array", "items": {"$ref": format!("#/components/schemas/Thing{}", (at + 1) % operations)}},
        }})
    };
    let schemas: serde_json::Map<String, Value> =
        (0..operations).map(|at| (format!("Thing{at}"), schema(at))).collect();
    let paths: serde_json::Map<String, Value> = (0..operations / 2)
        .map(|at| {
            let body = json!({"required": true, "content": {"application/json": {"schema": {"$ref": format!("#/components/schemas/Thing{at}")}}}});
            let item = json!({
                "parameters": [{"name": "owner", "in": "path", "required": true, "schema": {"type": "string", "pattern": "^[a-z0-9-]+$"}}],
                "get": {"responses": {}, "parameters": [
                    {"name": "page", "in": "query", "schema": {"type": "integer", "minimum": 1}},
                    {"name": "sort", "in": "query", "schema": {"enum": ["created", "updated"]}},
                ]},
                "post": {"responses": {}, "requestBody": body},
            });
            (format!("/orgs/{{owner}}/things{at}"), item)
        })
        .collect();
    json!({
        "openapi": "3.0.3", "info": {"title": "Large", "version": "1"}, "servers": [{"url": "http://127.0.0.1:1/"}],
        "paths": paths, "components": {"schemas": schemas},
    })
}

#[tokio::test]
async fn c7_3_row_14_a_document_with_400_operations_is_imported_matched_and_held_to() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().start().await;
    let file = gate.dir().join("large.json");
    std::fs::write(&file, large(400).to_string()).unwrap();
    let began = Instant::now();
    let query =
        format!("apiID=large&listenPath=/large/&validateRequest=true&upstreamURL={}", upstream.url(""));
    let body = format!("@{}", file.display());
    let reply: Reply = gate.admin().call("POST", &format!("/apis/oas/import?{query}"), Some(&body)).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let took = began.elapsed();
    // Unoptimised, and beside other tests; what would be quadratic takes minutes.
    assert!(took < Duration::from_secs(30), "{took:?}");
    eprintln!("400 operations are live after {took:?}");
    for at in [0, 57, 199] {
        for (path, body, status) in [
            (format!("/orgs/me/things{at}?page=2&sort=created"), None, 200),
            (format!("/orgs/me/things{at}?page=0"), None, 422),
            (format!("/orgs/Me/things{at}"), None, 422),
            (
                format!("/orgs/me/things{at}"),
                Some(r#"{"id": 1, "name": "a", "labels": [{"id": 2, "name": "b"}]}"#),
                200,
            ),
            (
                format!("/orgs/me/things{at}"),
                Some(r#"{"id": 1, "name": "a", "labels": [{"id": "2", "name": "b"}]}"#),
                422,
            ),
        ] {
            let body: Vec<&str> = body.iter().flat_map(|body| ["--data-binary", body]).collect();
            let reply = gate.get(&format!("/large{path}"), &[&JSON[..], &body].concat()).await;
            assert_eq!(reply.status, status, "{path} {body:?}: {}", reply.text());
        }
    }
}
