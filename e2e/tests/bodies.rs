//! What becomes of bodies on their way (contract 8.3, 4.4 rows 33 and 34, 4.5).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use e2e::definition::{keyed, keyless, oas, session};
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
async fn c8_3_rows_5_6_7_9_answers_are_made_from_templates() {
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

#[tokio::test]
async fn c8_3_row_4_templates_see_what_is_known_of_the_caller() {
    let upstream = Upstream::start().await;
    let target = upstream.url("");
    let text = "{{with ._tyk_meta}}{{.team}} {{.deep.a}}{{else}}nobody{{end}} $tyk_meta.team";
    let mut without = template("/without", "json", text);
    without["template_data"]["enable_session"] = json!(false);
    let lists = json!({
        "transform": [template("/json", "json", text), template("/xml", "xml", text), without],
        "transform_response": [template("/answer", "json", text)],
    });
    let mut described = oas("described", &target);
    described["components"] =
        json!({"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "Authorization"}}});
    described["security"] = json!([{"key": []}]);
    described["paths"] = json!({"/x": {"post": {"operationId": "x"}}});
    described["x-tyk-api-gateway"]["server"]["authentication"] =
        json!({"enabled": true, "securitySchemes": {"key": {"enabled": true}}});
    described["x-tyk-api-gateway"]["middleware"] = json!({
        "global": {"contextVariables": {"enabled": true}},
        "operations": {"x": {"transformRequestBody": {"enabled": true, "format": "json", "body": BASE64_STANDARD.encode(text)}}},
    });
    let gate = Gate::setup().api(with_lists(keyed("made", &target), lists)).oas(described).start().await;
    let mut known = session(&["made", "described"]);
    known["meta_data"] = json!({"team": "blue", "deep": {"a": 7}});
    let key = format!("Authorization: {}", gate.admin().key(&known).await);
    // What a body says of the caller is not believed.
    let forged = r#"{"_tyk_meta": {"team": "red", "deep": {"a": 8}}}"#;
    for (path, sent, got) in [
        ("/made/json", "{}", "blue 7 blue"),
        ("/made/json", forged, "blue 7 blue"),
        ("/made/xml", "<a/>", "blue 7 blue"),
        ("/made/without", "{}", "nobody blue"),
        ("/described/x", "{}", "blue 7 blue"),
    ] {
        let reply = gate.get(path, &["-H", &key, "-H", "content-type: application/json", "-d", sent]).await;
        assert_eq!((reply.status, &reply.json()["body"]), (200, &json!(got)), "{path} {sent}");
    }
    let reply = gate.get("/made/answer", &["-H", &key, "-d", "{}"]).await;
    assert_eq!((reply.status, reply.text()), (200, "blue 7 blue"));
    // Of who has none there is nothing.
    let key = format!("Authorization: {}", gate.admin().key(&session(&["made"])).await);
    let reply = gate.get("/made/json", &["-H", &key, "-d", forged]).await;
    assert!(!reply.json()["body"].as_str().unwrap().contains("red"), "{}", reply.text());
}

#[tokio::test]
async fn c2_5_row_4_templates_are_read_from_files() {
    let upstream = Upstream::start().await;
    let target = upstream.url("");
    let gate = Gate::setup()
        .file("templates/request.tmpl", "file {{.a}} {{._tyk_context.path}}")
        .file("templates/answer.tmpl", "{{.method}} from a file")
        .file("templates/broken.tmpl", "{{.a")
        .start()
        .await;
    let file = |name: &str| gate.dir().join("templates").join(name).display().to_string();
    let of_file = |path: &str, name: &str| {
        json!({"path": path, "method": "POST", "template_data":
            {"input_type": "json", "template_mode": "file", "template_source": file(name)}})
    };
    let lists = json!({
        "transform": [of_file("/x", "request.tmpl")],
        "transform_response": [of_file("/back", "answer.tmpl")],
    });
    let described = |name: &str| {
        let mut api = oas("described", &target);
        api["paths"] =
            json!({"/x": {"post": {"operationId": "x"}}, "/back": {"post": {"operationId": "back"}}});
        api["x-tyk-api-gateway"]["middleware"] = json!({
            "global": {"contextVariables": {"enabled": true}},
            "operations": {
                "x": {"transformRequestBody": {"enabled": true, "format": "json", "path": file(name)}},
                "back": {"transformResponseBody": {"enabled": true, "format": "json", "path": file("answer.tmpl")}},
            },
        });
        api
    };
    let admin = gate.admin();
    for (path, api) in
        [("/apis", with_lists(keyless("made", &target), lists)), ("/apis/oas", described("request.tmpl"))]
    {
        let reply = admin.post(path, &api).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    admin.reload().await;
    for api in ["made", "described"] {
        let reply = gate.get(&format!("/{api}/x"), &["-d", r#"{"a": 1}"#]).await;
        assert_eq!((reply.status, &reply.json()["body"]), (200, &json!(format!("file 1 /{api}/x"))), "{api}");
        let reply = gate.get(&format!("/{api}/back"), &["-d", "{}"]).await;
        assert_eq!((reply.status, reply.text()), (200, "POST from a file"), "{api}");
    }
    for (name, told) in [("none.tmpl", "none.tmpl` cannot be read"), ("broken.tmpl", "template")] {
        let reply = admin.put("/apis/oas/described", &described(name)).await;
        assert!(reply.status == 400 && reply.text().contains(told), "{name}: {}", reply.text());
    }
}
