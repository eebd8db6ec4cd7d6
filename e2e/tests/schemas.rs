//! Bodies that have to be as a JSON schema says (contract 2.5 `validate_json`, 4.4 row 30), and answers that a stage has to
//! read whole (4.5, 4.6).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use e2e::definition::keyless;
use e2e::{Gate, Upstream};
use serde_json::{Value, json};

fn with_lists(id: &str, target: &str, lists: Value) -> Value {
    let mut api = keyless(id, target);
    api["version_data"]["versions"]["Default"]["extended_paths"] = lists;
    api
}

#[tokio::test]
async fn c4_4_row_30_bodies_that_are_not_as_their_schema_says_are_refused() {
    let upstream = Upstream::start().await;
    // As definitions of the original have it: draft-04, where an exclusive bound is a flag beside the bound.
    let pet = json!({
        "$schema": "http://json-schema.org/draft-04/schema#",
        "type": "object", "required": ["name"], "additionalProperties": false,
        "properties": {
            "name": {"type": "string", "minLength": 2},
            "age": {"type": "integer", "minimum": 0, "exclusiveMinimum": true},
            "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
        },
    });
    let list = BASE64_STANDARD.encode(r#"{"type": "array", "maxItems": 1}"#);
    let lists = json!({"validate_json": [
        {"path": "/pets/{id}", "method": "POST", "schema": pet},
        {"path": "/teapot", "method": "PUT", "schema": pet, "error_response_code": 418},
        {"path": "/list", "method": "POST", "schema_b64": list},
        {"path": "/off", "method": "POST", "schema": pet, "disabled": true},
    ]});
    let gate = Gate::setup()
        .conf(json!({"http_server_options": {"max_request_body_size": 1000}}))
        .api(with_lists("a", &upstream.url(""), lists))
        .start()
        .await;
    let long = format!(r#"{{"name": "{}"}}"#, "x".repeat(2000));
    for (method, path, body, status, message) in [
        ("POST", "/pets/1", r#"{"name": "Rex", "age": 3, "tags": ["a"]}"#, 200, ""),
        ("POST", "/pets/1", "{}", 422, "(root): name is required"),
        ("POST", "/pets/1", r#"{"name": 7}"#, 422, "name: Invalid type. Expected: string, given: integer"),
        ("POST", "/pets/1", r#"{"name": "Rex", "age": 0}"#, 422, "age: Must be greater than 0"),
        (
            "POST",
            "/pets/1",
            r#"{"name": "Rex", "more": 1}"#,
            422,
            "(root): Additional property more is not allowed",
        ),
        (
            "POST",
            "/pets/1",
            r#"{"name": "Rex", "tags": ["a", 2]}"#,
            422,
            "tags.1: Invalid type. Expected: string, given: integer",
        ),
        ("POST", "/pets/1", "[]", 422, "(root): Invalid type. Expected: object, given: array"),
        ("POST", "/pets/1", "", 400, "JSON parsing error: EOF"),
        // Another method, and what is below the path, are nobody's matter.
        ("PUT", "/pets/1", "{}", 200, ""),
        ("POST", "/other", "{", 200, ""),
        ("PUT", "/teapot", "{}", 418, "(root): name is required"),
        ("PUT", "/teapot", r#"{"name": "Rex"}"#, 200, ""),
        ("POST", "/list", "[1]", 200, ""),
        ("POST", "/list", "[1, 2]", 422, "(root): Array must have at most 1 items"),
        ("POST", "/off", "{}", 200, ""),
    ] {
        for framing in ["x-none: 1", "transfer-encoding: chunked"] {
            let before = upstream.hits();
            let fields =
                ["-X", method, "-H", framing, "-H", "content-type: text/plain", "--data-binary", body];
            let reply = gate.get(&format!("/a{path}"), &fields).await;
            assert_eq!(reply.status, status, "{method} {path} {body} {framing}: {}", reply.text());
            if status == 200 {
                assert_eq!(reply.json()["body"], body, "what was looked at is what arrives");
            } else {
                assert_eq!(reply.json()["error"], message, "{method} {path} {body}");
            }
            assert_eq!(upstream.hits() - before, usize::from(status == 200), "{method} {path} {body}");
        }
    }
    for framing in ["x-none: 1", "transfer-encoding: chunked"] {
        let fields = ["-X", "POST", "-H", framing, "--data-binary", &long];
        let reply = gate.get("/a/pets/1", &fields).await;
        assert_eq!((reply.status, reply.json()["error"].as_str()), (413, Some("Request Entity Too Large")));
    }
    for body in ["{", r#"{"name": "Rex"} {}"#, "{'name': 1}"] {
        let reply = gate.get("/a/pets/1", &["-X", "POST", "--data-binary", body]).await;
        let told = reply.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(reply.status == 400 && told.starts_with("JSON parsing error: "), "{body}: {told}");
    }
    // Several at once are told in one text.
    let reply = gate.get("/a/pets/1", &["-X", "POST", "--data-binary", r#"{"age": -1}"#]).await;
    let told = reply.json()["error"].as_str().unwrap_or_default().to_owned();
    let mut parts: Vec<&str> = told.split("; ").collect();
    parts.sort_unstable();
    assert_eq!((reply.status, parts), (422, vec!["(root): name is required", "age: Must be greater than 0"]));
}

#[tokio::test]
async fn c4_5_row_4_answers_that_are_too_large_or_cut_are_told_where_they_have_to_be_read_whole() {
    let upstream = Upstream::start().await;
    let template = |path: &str| {
        let source = BASE64_STANDARD.encode("<{{.method}}>");
        json!({"path": path, "method": "GET", "template_data":
            {"input_type": "json", "template_mode": "blob", "template_source": source}})
    };
    let looked_at = with_lists(
        "made",
        &upstream.url(""),
        json!({"transform_response": [template("/bytes/{n}"), template("/chunked"), template("/cut"), template("/x")]}),
    );
    let gate = Gate::setup()
        .conf(json!({"http_server_options": {"max_response_body_size": 1000}}))
        .api(looked_at)
        .api(keyless("plain", &upstream.url("")))
        .start()
        .await;
    let large = gate.get("/made/bytes/1001", &[]).await;
    assert_eq!((large.status, large.json()["error"].as_str()), (500, Some("Response body too large")));
    let cut = gate.get("/made/cut", &[]).await;
    let text = "There was a problem with reading Body of the Request.";
    assert_eq!((cut.status, cut.json()["error"].as_str()), (500, Some(text)), "{cut:?}");
    // As large as it may be; what is no JSON goes on as it is.
    let fits = gate.get("/made/bytes/1000", &[]).await;
    assert_eq!((fits.status, fits.body.len()), (200, 1000));
    assert_eq!(gate.get("/made/chunked", &[]).await.text(), "onetwothree");
    assert_eq!(gate.get("/made/x", &[]).await.text(), "<GET>");
    // What nobody has to read whole is passed on however large it is, and cut where it was cut.
    let passed = gate.get("/plain/bytes/100000", &[]).await;
    assert_eq!((passed.status, passed.body.len()), (200, 100_000));
    let cut = gate.get("/plain/cut", &[]).await;
    assert_eq!((cut.status, cut.text()), (200, "four"));
    assert_ne!(cut.exit, 0, "the client sees that something is missing");
}
