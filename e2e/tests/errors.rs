//! What errors say: templates, other words, and rules that put another answer in their place (contract 4.1, 4.2, 4.5).

use e2e::definition::{keyed, keyless, oas};
use e2e::{Gate, Reply, Scripted, Upstream};
use serde_json::{Value, json};

fn shown(reply: &Reply) -> (u16, String, String) {
    (reply.status, reply.header("content-type").unwrap_or_default(), reply.text().to_owned())
}

#[tokio::test]
async fn c4_1_rows_1_5_7_templates_of_the_folder_are_used() {
    let upstream = Upstream::start().await;
    let mut gate = Gate::setup()
        .api(keyed("a", &upstream.url("")))
        .file("templates/error.json", r#"{"says": "{{.Message}}", "status": {{.StatusCode}}}"#)
        .file("templates/error_403.json", r#"{"no": "{{.Message | upper}}"}"#)
        .file("templates/error.xml", "<e>{{.Message}}</e>")
        .file("templates/other.txt", "{{")
        .prepare();
    let templates = gate.dir().join("templates");
    let conf = std::fs::read_to_string(gate.dir().join("tyk.conf")).unwrap();
    let mut conf: Value = serde_json::from_str(&conf).unwrap();
    conf["template_path"] = json!(templates);
    conf["hide_generator_header"] = json!(true);
    gate.write("tyk.conf", &conf.to_string());
    gate.start().await;
    const XML: &[&str] = &["-H", "Content-Type: text/xml; charset=utf-8", "-H", "Authorization: none"];
    for (arguments, status, kind, text) in [
        (&[][..], 401, "application/json", r#"{"says": "Authorization field missing", "status": 401}"#),
        (
            &["-H", "Authorization: none"],
            403,
            "application/json",
            r#"{"no": "ACCESS TO THIS API HAS BEEN DISALLOWED"}"#,
        ),
        (XML, 403, "text/xml", "<e>Access to this API has been disallowed</e>"),
    ] {
        let reply = gate.get("/a/x", arguments).await;
        assert_eq!(shown(&reply), (status, kind.to_owned(), text.to_owned()), "{arguments:?}");
        assert_eq!(reply.header("x-generator"), None);
    }
    assert_eq!(gate.get("/nowhere", &[]).await.text(), "Not Found");

    // One that cannot be used stops the start, and is named.
    assert_eq!(gate.stop().await, Some(0));
    gate.write("templates/error_500.json", "{{.Message");
    gate.spawn();
    assert_ne!(gate.ended().await, Some(0));
    assert!(gate.log().contains("error_500.json"), "{}", gate.log());
}

#[tokio::test]
async fn c4_2_rows_1_2_3_5_the_configuration_has_other_words_and_rules() {
    let upstream = Upstream::start().await;
    let mut own = keyed("own", &upstream.url(""));
    own["error_overrides"] = json!({"4xx": [{"response": {"status_code": 418, "message": "of the API"}}]});
    let mut off = own.clone();
    off["api_id"] = json!("off");
    off["proxy"]["listen_path"] = json!("/off/");
    off["error_overrides_disabled"] = json!(true);
    let gate = Gate::setup()
        .conf(json!({
            "override_messages": {"auth.auth_field_missing": {"code": 400, "message": "who are you?"}},
            "error_overrides": {
                "403": [{"match": {"flag": "AKI"}, "response": {
                    "status_code": 401,
                    "headers": {"Content-Type": "application/problem+json", "X-Why": "key"},
                    "body": "{\"detail\": \"{{.Message}}\", \"status\": {{.StatusCode}}}",
                }}],
                "5xx": [{"match": {"flag": "URS"}, "response": {"status_code": 502, "body": "upstream"}}],
            },
        }))
        .api(keyed("plain", &upstream.url("")))
        .api(keyless("open", &upstream.url("")))
        .api(own)
        .api(off)
        .start()
        .await;
    let denied = r#"{"detail": "Access to this API has been disallowed", "status": 401}"#;
    for (path, arguments, status, kind, text) in [
        ("/plain/x", &[][..], 400, "application/json", "{\n    \"error\": \"who are you?\"\n}"),
        ("/plain/x", &["-H", "Authorization: none"], 401, "application/problem+json", denied),
        ("/off/x", &["-H", "Authorization: none"], 401, "application/problem+json", denied),
        (
            "/own/x",
            &["-H", "Authorization: none"],
            418,
            "application/json",
            "{\n    \"error\": \"of the API\"\n}",
        ),
        ("/open/x?status=503", &[], 502, "application/json", "upstream"),
    ] {
        let reply = gate.get(path, arguments).await;
        assert_eq!(shown(&reply), (status, kind.to_owned(), text.to_owned()), "{path} {arguments:?}");
    }
    let reply = gate.get("/plain/x", &["-H", "Authorization: none"]).await;
    assert_eq!(reply.header("x-why").as_deref(), Some("key"));
    assert_eq!(gate.get("/open/x?status=404", &[]).await.status, 404);
}

#[tokio::test]
async fn c4_2_rows_4_and_5_errors_of_upstreams_are_answered_otherwise() {
    let upstream = Upstream::start().await;
    let rules = json!({
        "404": [
            {"match": {"messagePattern": "\"path\":\"/gone"}, "response": {"statusCode": 410, "message": "gone"}},
            {"match": {"bodyField": "method", "bodyValue": "POST"}, "response": {"statusCode": 405}},
        ],
        "5xx": [{"match": {"flag": "UCF"}, "response": {"statusCode": 503, "headers": [{"name": "Retry-After", "value": "7"}]}}],
    });
    let described = |id: &str, target: &str| {
        let mut api = oas(id, target);
        api["x-tyk-api-gateway"]["errorOverrides"] = json!({"enabled": true, "value": rules});
        api
    };
    let away = format!("http://127.0.0.1:{}/", e2e::free_port());
    // Longer than what is looked at, and cut short behind that.
    let cut = Scripted::start(b"HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\nfour").await;
    let gate = Gate::setup()
        .oas(described("a", &upstream.url("")))
        .oas(described("away", &away))
        .oas(described("cut", &cut.url("")))
        .start()
        .await;
    let gone = gate.get("/a/gone?status=404", &[]).await;
    assert_eq!((gone.status, gone.json()), (410, json!({"error": "gone"})));
    let posted = gate.get("/a/x?status=404", &["-X", "POST", "-d", "1"]).await;
    assert_eq!((posted.status, posted.json()["body"].clone()), (405, json!("1")), "it says what it said");
    let same = gate.get("/a/x?status=404", &[]).await;
    assert_eq!((same.status, same.json()["method"].clone()), (404, json!("GET")));
    // What is longer than what is looked at goes on whole.
    let long = format!("X-Long: {}", "y".repeat(6000));
    let whole = gate.get("/a/x?status=404", &["-H", &long]).await;
    assert_eq!(whole.json()["headers"]["x-long"][0].as_str().map(str::len), Some(6000));
    let away = gate.get("/away/x", &[]).await;
    assert_eq!((away.status, away.header("retry-after").as_deref()), (503, Some("7")));
    let cut = gate.get("/cut/x", &[]).await;
    assert!(cut.exit != 0 && cut.body == b"four", "what breaks off is told as such: {cut:?}");
}
