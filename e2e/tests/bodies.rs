//! What becomes of bodies on their way (contract 8.3, 4.4 rows 33 and 34, 4.5).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use e2e::definition::{keyless, oas};
use e2e::{Gate, Upstream};
use serde_json::{Value, json};

fn template(path: &str, input: &str, text: &str) -> Value {
    let source = BASE64_STANDARD.encode(text);
    json!({"path": path, "method": "POST", "template_data": {
        "input_type": input, "template_mode": "blob", "enable_session": true, "template_source": source,
    }})
}

fn with_lists(mut api: Value, lists: Value) -> Value {
    api["version_data"]["versions"]["Default"]["use_extended_paths"] = true.into();
    api["version_data"]["versions"]["Default"]["extended_paths"] = lists;
    api["enable_context_vars"] = true.into();
    api
}

#[tokio::test]
async fn c8_3_requests_are_made_from_templates() {
    let upstream = Upstream::start().await;
    let target = upstream.url("");
    let lists = json!({"transform": [
        template("/json", "json", "name={{.name | upper}} {{._tyk_context.path}} $tyk_context.request_data_q"),
        template("/array", "json", "{{range .array}}<{{.}}>{{end}}"),
        template("/xml", "xml", "{{jsonMarshal .}}"),
        template("/fails", "json", "{{upper .number}}"),
    ], "transform_jq": [
        {"path": "/jq", "method": "POST", "filter": "{body: .body.a, rewrite_headers: {\"x-jq\": \"1\"}}"},
    ]});
    let mut described = oas("described", &target);
    described["paths"] = json!({"/x": {"post": {"operationId": "x"}}});
    described["x-tyk-api-gateway"]["middleware"] = json!({"operations": {"x": {"transformRequestBody": {
        "enabled": true, "format": "json", "body": BASE64_STANDARD.encode("<{{.a}}>"),
    }}}});
    let gate = Gate::setup().api(with_lists(keyless("made", &target), lists)).oas(described).start().await;
    for (path, sent, got) in [
        ("/made/json?q=a%20b", r#"{"name":"ann"}"#, "name=ANN /made/json a+b"),
        ("/made/array", "[1,2]", "<1><2>"),
        ("/made/xml", "<a k='1'><b>x</b></a>", r#"{"a":{"-k":"1","b":"x"}}"#),
        // Goes on as it is.
        ("/made/json", "{", "{"),
        ("/made/fails", r#"{"number":1}"#, r#"{"number":1}"#),
        ("/made/other", "x", "x"),
        ("/made/jq", r#"{"a":{"b":1}}"#, r#"{"b":1}"#),
        ("/described/x", r#"{"a":1}"#, "<1>"),
    ] {
        for how in [&["-H", "content-type: text/plain"][..], &["-H", "transfer-encoding: chunked"]] {
            let fields = [&["-X", "POST", "-d", sent][..], how].concat();
            let reply = gate.get(path, &fields).await;
            assert_eq!(
                (reply.status, &*reply.json()["body"].to_string()),
                (200, &*json!(got).to_string()),
                "{path}"
            );
        }
    }
    let refused = gate.get("/made/jq", &["-X", "POST", "-d", "{"]).await;
    assert_eq!(refused.status, 415);
}

#[tokio::test]
async fn c8_3_answers_are_made_from_templates() {
    let upstream = Upstream::start().await;
    let target = upstream.url("");
    let lists = json!({"transform_response": [
        template("/made", "json", "{{.method}} $tyk_context.path"),
        template("/fails", "xml", "{{.a}}"),
    ], "transform_jq_response": [
        {"path": "/jq", "method": "POST", "filter": "{body: .body.method, rewrite_headers: {\"x-jq\": \"1\"}}"},
    ]});
    let gate = Gate::setup().api(with_lists(keyless("back", &target), lists)).start().await;
    let reply = gate.get("/back/made", &["-X", "POST", "-d", "x"]).await;
    assert_eq!((reply.status, reply.text()), (200, "POST /back/made"));
    assert_eq!(reply.header("content-length").as_deref(), Some("15"));
    let reply = gate.get("/back/fails", &["-X", "POST", "-d", "x"]).await;
    assert_eq!(reply.json()["method"], "POST", "it goes on as it is");
    let reply = gate.get("/back/jq", &["-X", "POST", "-d", "x"]).await;
    assert_eq!((reply.text(), reply.header("x-jq").as_deref()), ("\"POST\"", Some("1")));
}
