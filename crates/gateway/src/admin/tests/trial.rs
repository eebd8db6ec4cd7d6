//! Scripts that are tried out (contract 7.3, `POST /plugins/test`).

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::Admin;

/// A gate whose scripts may take so long.
async fn admin(time: Duration) -> Admin {
    Admin::start(|settings| {
        settings.plugins.javascript = true;
        settings.plugins.limits.time = time;
    })
    .await
}

/// So long that a busy machine is no reason to fail.
const LONG: Duration = Duration::from_secs(20);

async fn tried(admin: &Admin, asked: Value) -> Value {
    let reply = admin.post("/plugins/test", &asked).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

#[tokio::test]
async fn c7_3_row_48_a_script_is_shown_what_is_given_and_what_it_makes_of_it_is_told() {
    let admin = admin(LONG).await;
    let code = "function pre(request, session, spec) {
        log('called with ' + request.Headers.Accept[0]);
        request.SetHeaders['X-Hello'] = spec.config_data.who + spec.APIID + session.alias;
        request.Body = request.Body + '!';
        TykStorageSet('a', 'kept', 0);
        log(TykStorageGet('a') + TykStorageIncr('n', 2));
    }";
    for code in [code.to_owned(), BASE64_STANDARD.encode(code)] {
        let told = tried(
            &admin,
            json!({
                "code": code, "hook_type": "pre", "org_id": "o", "api_id": "a", "session": {"alias": "ann"},
                "request": {"Headers": {"Accept": ["text/plain"]}, "Body": "hi"}, "config_data": {"who": "you"},
            }),
        )
        .await;
        assert_eq!(told["logs"], json!(["called with text/plain", "kept2"]));
        assert_eq!(
            (&told["request_before"]["Body"], &told["request_before"]["Method"]),
            (&json!("hi"), &json!("GET"))
        );
        assert_eq!(told["request_after"]["SetHeaders"], json!({"X-Hello": "youaann"}));
        assert_eq!(told["request_after"]["Body"], "hi!");
        assert_eq!((&told["error"], &told["response_before"]), (&Value::Null, &Value::Null));
        assert_eq!(told["session_after"]["alias"], "ann");
        assert!(told["execution_ms"].as_f64().unwrap() >= 0.0);
    }
}

#[tokio::test]
async fn c7_3_row_48_plugins_that_authenticate_and_those_on_answers_are_tried_too() {
    let admin = admin(LONG).await;
    let code = "var m = new TykJS.TykMiddleware.NewMiddleware({});
        m.NewProcessRequest(function (request, session) { session.rate = 7; return m.ReturnAuthData(request, session); });
        m.NewProcessResponse(function (response) {
            response.StatusCode = 418; response.Body = 'tea'; return m.ReturnResponseData(response, {}); });";
    let told = tried(&admin, json!({"code": code, "hook_type": "auth_check", "request": {}})).await;
    assert_eq!((&told["session_after"]["rate"], &told["error"]), (&json!(7.0), &Value::Null), "{told}");
    let response = json!({"StatusCode": 200, "Body": "coffee", "Headers": {"A": ["b"]}});
    let told = tried(&admin, json!({"code": code, "hook_type": "response", "response": response})).await;
    assert_eq!(told["response_before"]["Body"], "coffee");
    assert_eq!(
        (&told["response_after"]["StatusCode"], &told["response_after"]["Body"]),
        (&json!(418), &json!("tea"))
    );
}

#[tokio::test]
async fn c7_3_row_48_what_fails_is_told_with_its_kind_and_what_is_no_test_is_refused() {
    let admin = admin(LONG).await;
    for (code, kind, text) in [
        ("function pre( {", "syntax", "plugin.js"),
        ("throw new Error('early');", "runtime", "early"),
        ("function pre() { throw new Error('late'); }", "runtime", "late"),
        ("var a = 5;", "runtime", "`pre`"),
        ("function one() {} function other() {}", "runtime", "one, other"),
    ] {
        let told = tried(&admin, json!({"code": code, "hook_type": "pre"})).await;
        assert_eq!(told["error"]["type"], kind, "{code}: {told}");
        assert!(told["error"]["message"].as_str().unwrap().contains(text), "{code}: {told}");
    }
    let brief = self::admin(Duration::from_millis(300)).await;
    let told = tried(&brief, json!({"code": "function pre() { for (;;); }", "hook_type": "pre"})).await;
    assert_eq!(told["error"]["type"], "timeout", "{told}");
    for (asked, text) in [
        (json!({"code": "x", "hook_type": "virtual"}), "hook_type"),
        (json!({"hook_type": "pre"}), "`code` is missing"),
        (json!({"code": "x", "hook_type": "pre", "request": []}), "`request` must be an object"),
        (json!({"code": "x", "hook_type": "pre", "request": {"Headers": 5}}), "`request`"),
        (json!("x"), "invalid type"),
    ] {
        let reply = admin.post("/plugins/test", &asked).await;
        assert_eq!(reply.status, 400, "{asked}: {reply:?}");
        assert!(reply.json()["error"].as_str().unwrap().contains(text), "{asked}: {reply:?}");
    }
    let off = Admin::plain().await.post("/plugins/test", &json!({"code": "x", "hook_type": "pre"})).await;
    assert!(off.status == 400 && off.text.contains("enable_jsvm"), "{off:?}");
}
