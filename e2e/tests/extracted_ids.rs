//! Callers that a plugin let in are known by an id in their requests (contract 2.6 `id_extractor`, 5.8, 6.1
//! `id_extractor_deadline`): the plugin is asked once for each, and again after the time that it named.

use base64::Engine as _;
use e2e::definition::{keyless, oas, session};
use e2e::{Gate, Upstream, until};
use serde_json::{Value, json};

/// Lets in who shows something, for as many seconds as the definition says, and tells of each call.
const WHO: &str = r#"
    var who = new TykJS.TykMiddleware.NewMiddleware({});
    who.NewProcessRequest(function (request, session, spec) {
        log("asked by " + spec.APIID);
        if (!request.Headers.Authorization) {
            request.ReturnOverrides.ResponseCode = 401;
            return who.ReturnAuthData(request, session);
        }
        session.alias = request.Headers.Authorization[0];
        session.id_extractor_deadline = Math.floor(Date.now() / 1000) + spec.config_data.seconds;
        return who.ReturnAuthData(request, session);
    });"#;

fn code() -> String {
    base64::engine::general_purpose::STANDARD.encode(WHO)
}

fn classic(id: &str, target: &str, seconds: u64, extractor: Value) -> Value {
    let mut api = keyless(id, target);
    api["use_keyless"] = json!(false);
    api["custom_plugin_auth_enabled"] = json!(true);
    api["config_data"] = json!({"seconds": seconds});
    api["custom_middleware"] = json!({
        "driver": "javascript", "auth_check": {"name": "who", "code": code()}, "id_extractor": extractor,
    });
    api
}

/// How often the plugin of an API was asked.
fn asked(gate: &Gate, api: &str) -> usize {
    gate.log().matches(&format!("asked by {api}")).count()
}

/// Sends a request; gives its status, once the log tells of as many calls as there are to be by then. One too many is
/// noticed at the latest by the next request.
async fn get(gate: &Gate, api: &str, path: &str, arguments: &[&str], calls: usize) -> u16 {
    let reply = gate.get(&format!("/{api}/{path}"), arguments).await;
    until("the log tells of the call", async || asked(gate, api) >= calls).await;
    assert_eq!(asked(gate, api), calls, "{api}/{path} {arguments:?}");
    reply.status
}

#[tokio::test]
async fn c5_8_row_2_a_plugin_is_asked_once_for_each_id_wherever_that_stands() {
    let upstream = Upstream::start().await;
    let target = upstream.url("");
    let from = |from: &str, with: &str, config: Value| json!({"extract_from": from, "extract_with": with, "extractor_config": config});
    let mut document = oas("openapi", &target);
    document["x-tyk-api-gateway"]["middleware"] = json!({"global": {"pluginConfig": {"driver": "javascript", "data": {"enabled": true, "value": {"seconds": 3600}}}}});
    document["x-tyk-api-gateway"]["server"]["authentication"] = json!({"enabled": true, "custom": {
        "enabled": true,
        "config": {"functionName": "who", "code": code(), "idExtractor": {
            "enabled": true, "source": "header", "with": "value", "config": {"headerName": "X-Id"},
        }},
    }});
    let regex = json!({"param_name": "id", "regex_expression": "[a-z]+", "regex_match_index": 1});
    let gate = Gate::setup()
        .conf(json!({"enable_jsvm": true}))
        .api(classic("of-header", &target, 3600, from("header", "value", json!({"header_name": "X-Id"}))))
        .api(classic("of-query", &target, 3600, from("querystring", "regex", regex)))
        .api(classic("of-form", &target, 3600, from("form", "value", json!({"param_name": "id"}))))
        .api(classic(
            "of-body",
            &target,
            3600,
            from("body", "xpath", json!({"xpath_expression": "//order/@id"})),
        ))
        .oas(document)
        .start()
        .await;
    let xml = |id: &str| format!("<all><order id='{id}'/></all>");
    let (first, second) = (xml("1"), xml("2"));
    for (api, path, one, other) in [
        ("of-header", ["x", "x"], ["-H", "X-Id: 1"], ["-H", "X-Id: 2"]),
        ("openapi", ["x", "x"], ["-H", "X-Id: 1"], ["-H", "X-Id: 2"]),
        ("of-query", ["x?id=1ab2cd", "x?id=ef-cd"], ["-H", "A: b"], ["-H", "A: b"]),
        ("of-form", ["x", "x"], ["-d", "id=1&a=b"], ["-d", "id=2"]),
        ("of-body", ["x", "x"], ["-d", &first], ["-d", &second]),
    ] {
        let key = ["-H", "Authorization: ann"];
        let (one, other) = ([one, key].concat(), [other, key].concat());
        assert_eq!(get(&gate, api, path[0], &one, 1).await, 200, "{api} {}", gate.log());
        assert_eq!(get(&gate, api, path[0], &one, 1).await, 200, "{api}");
        // The second match of the query is the same one.
        let expected = if api == "of-query" { 1 } else { 2 };
        assert_eq!(get(&gate, api, path[1], &other, expected).await, 200, "{api}");
        // Without an id the plugin says what becomes of the request.
        assert_eq!(get(&gate, api, "x", &[], expected + 1).await, 401, "{api}");
    }
    // Nobody else's id is known there.
    assert_eq!(get(&gate, "openapi", "x", &["-H", "X-Id: 3"], 4).await, 401);
}

#[tokio::test]
async fn c6_1_row_27_it_is_asked_again_after_the_deadline_and_when_the_session_was_changed() {
    let upstream = Upstream::start().await;
    let target = upstream.url("");
    let extractor = || json!({"extract_from": "header", "extract_with": "value", "extractor_config": {"header_name": "X-Id"}});
    let gate = Gate::setup()
        .conf(json!({"enable_jsvm": true}))
        .api(classic("brief", &target, 2, extractor()))
        .api(classic("never", &target, 0, extractor()))
        .api(classic("long", &target, 3600, extractor()))
        .start()
        .await;
    let ann = ["-H", "Authorization: ann", "-H", "X-Id: 1"];
    assert_eq!(get(&gate, "brief", "x", &ann, 1).await, 200, "{}", gate.log());
    until("it is asked again", async || {
        gate.get("/brief/x", &ann).await;
        asked(&gate, "brief") > 1
    })
    .await;

    for count in 1..=2 {
        assert_eq!(get(&gate, "never", "x", &ann, count).await, 200, "it names no time");
    }

    let changes = [
        ("POST", "?suppress_reset=1", 200),
        ("PUT", "?org_id=org", 200),
        ("DELETE", "?org_id=org", 200),
        // There is none any more, and what a plugin gave is forgotten all the same.
        ("DELETE", "?org_id=org", 404),
    ];
    for (count, (change, query, status)) in (1..).zip(changes) {
        for _ in 0..2 {
            assert_eq!(get(&gate, "long", "x", &ann, count).await, 200, "before {change}");
        }
        let of_ann = session(&["long"]).to_string();
        let reply = gate.admin().call(change, &format!("/keys/ann{query}"), Some(&of_ann)).await;
        assert_eq!(reply.status, status, "{change}: {}", reply.text());
    }
    assert_eq!(get(&gate, "long", "x", &ann, 5).await, 200);
    // Others have not changed; a definition that did is another plugin.
    let bob = ["-H", "Authorization: bob", "-H", "X-Id: 2"];
    assert_eq!(get(&gate, "long", "x", &bob, 6).await, 200);
    let changed = classic("long", &target, 3601, extractor());
    gate.write("apps/long.json", &changed.to_string());
    gate.admin().reload().await;
    assert_eq!(get(&gate, "long", "x", &bob, 7).await, 200);
    assert_eq!(get(&gate, "long", "x", &bob, 7).await, 200);
}
