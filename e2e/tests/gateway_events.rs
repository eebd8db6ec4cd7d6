//! Who is told of what happens at a gate (contract 8.12, 6.8): real receivers, and what they get.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use e2e::definition::{keyed, keyless, session};
use e2e::streaming::events;
use e2e::{Dispatcher, Gate, Spoken, Upstream, until};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A receiver that is content with everything.
async fn receiver() -> Spoken {
    Spoken::start(|_| (200, String::new())).await
}

fn webhook(receiver: &Spoken) -> Value {
    json!({"handler_name": "eh_web_hook_handler", "handler_meta": {"method": "POST", "target_path": receiver.url("/hook")}})
}

/// Who is told of these events in the same way.
fn handlers(events: &[&str], handler: &Value) -> Value {
    let events: serde_json::Map<String, Value> =
        events.iter().map(|event| ((*event).to_owned(), json!([handler]))).collect();
    json!({ "events": events })
}

fn body(request: &str) -> &str {
    request.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

/// What the receiver was told of one kind of event.
fn told(receiver: &Spoken, event: &str) -> Vec<Value> {
    let bodies =
        receiver.asked().into_iter().map(|request| serde_json::from_str::<Value>(body(&request)).unwrap());
    bodies.filter(|body| body["event"] == event).collect()
}

async fn comes(receiver: &Spoken, event: &str) -> Value {
    until(event, async || !told(receiver, event).is_empty()).await;
    told(receiver, event).swap_remove(0)
}

async fn key(gate: &Gate, session: &Value) -> (String, String) {
    let reply = gate.admin().post("/keys", session).await.json();
    (reply["key"].as_str().unwrap().to_owned(), reply["key_hash"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn c8_12_each_kind_of_event_is_told_in_the_words_of_the_built_in_template() {
    let (upstream, receiver) = (Upstream::start().await, receiver().await);
    let health = Arc::new(AtomicU16::new(503));
    let tells = Arc::clone(&health);
    let host = Spoken::start(move |_| (tells.load(Ordering::SeqCst), String::new())).await;
    let mut api = keyed("a", &upstream.url(""));
    let all = [
        "AuthFailure",
        "KeyExpired",
        "RatelimitExceeded",
        "QuotaExceeded",
        "VersionFailure",
        "BreakerTriggered",
        "BreakerTripped",
        "BreakerReset",
        "HostDown",
        "HostUp",
    ];
    api["event_handlers"] = handlers(&all, &webhook(&receiver));
    api["version_data"]["versions"]["Default"]["extended_paths"] = json!({
        "black_list": [{"path": "/secret", "method_actions": {"GET": {"action": "no_action", "code": 200}}}],
        "circuit_breakers": [{"path": "/status", "method": "GET", "threshold_percent": 0.5, "samples": 2,
            "return_to_service_after": 1}],
    });
    api["uptime_tests"] = json!({"check_list": [{"url": host.url("/health"), "method": "GET"}]});
    let gate = Gate::setup()
        .conf(json!({
            "hash_keys": true,
            "uptime_tests": {"config": {"time_wait": 0.1, "failure_trigger_sample_size": 1}},
            "event_handlers": handlers(&["TokenCreated", "TokenUpdated", "TokenDeleted"], &webhook(&receiver)),
        }))
        .api(api)
        .start()
        .await;
    let of_key = |event: &str, message: &str, path: &str, key: &str| json!({"event": event, "message": message, "path": path, "origin": "127.0.0.1", "key": key});

    assert_eq!(gate.get("/a/x?y=1", &["-H", "Authorization: nobody-knows-this"]).await.status, 403);
    let failure = comes(&receiver, "AuthFailure").await;
    let shown = failure["key"].as_str().unwrap();
    assert!(!shown.is_empty() && !shown.contains("knows"), "{failure}");
    assert_eq!(failure, of_key("AuthFailure", "Auth Failure", "/a/x", shown));

    let mut limited = session(&["a"]);
    (limited["rate"], limited["per"]) = (json!(1), json!(60));
    let (limited, hash) = key(&gate, &limited).await;
    for _ in 0..2 {
        gate.get("/a/x", &["-H", &format!("Authorization: {limited}")]).await;
    }
    let expected = of_key("RatelimitExceeded", "Key Rate Limit Exceeded", "/a/x", &hash);
    assert_eq!(comes(&receiver, "RatelimitExceeded").await, expected);
    let created = told(&receiver, "TokenCreated").swap_remove(0);
    assert_eq!(
        created,
        json!({"event": "TokenCreated", "message": "Key generated.", "org": "org", "key": hash})
    );

    let mut used_up = session(&["a"]);
    (used_up["quota_max"], used_up["quota_renewal_rate"]) = (json!(1), json!(3600));
    let (used_up, hash) = key(&gate, &used_up).await;
    for _ in 0..2 {
        gate.get("/a/x", &["-H", &format!("Authorization: {used_up}")]).await;
    }
    let expected = of_key("QuotaExceeded", "Key Quota Limit Exceeded", "/a/x", &hash);
    assert_eq!(comes(&receiver, "QuotaExceeded").await, expected);

    let mut inactive = session(&["a"]);
    inactive["is_inactive"] = json!(true);
    let (inactive, hash) = key(&gate, &inactive).await;
    assert_eq!(gate.get("/a/x", &["-H", &format!("Authorization: {inactive}")]).await.status, 403);
    let expected = of_key("KeyExpired", "Attempted access from inactive key.", "/a/x", &hash);
    assert_eq!(comes(&receiver, "KeyExpired").await, expected);

    let (good, hash) = key(&gate, &session(&["a"])).await;
    let authorization = format!("Authorization: {good}");
    assert_eq!(gate.get("/a/secret", &["-H", &authorization]).await.status, 403);
    let refused = comes(&receiver, "VersionFailure").await;
    assert_eq!(refused["message"], "Attempted access to disallowed version / path.");

    for _ in 0..3 {
        gate.get("/a/status/500", &["-H", &authorization]).await;
    }
    let breaker = |event: &str, message: &str, status: &str| json!({"event": event, "message": message, "api_id": "a", "path": "/a/status/500", "Status": status});
    assert_eq!(comes(&receiver, "BreakerTripped").await, breaker("BreakerTripped", "Breaker Tripped", "0"));
    assert_eq!(
        comes(&receiver, "BreakerTriggered").await,
        breaker("BreakerTriggered", "Breaker Tripped", "0")
    );
    until("the breaker is reset", async || {
        gate.get("/a/status/200", &["-H", &authorization]).await;
        !told(&receiver, "BreakerReset").is_empty()
    })
    .await;

    let address = host.url("");
    let probed = |event: &str, message: &str, status: &str| {
        json!({"event": event, "message": message, "url": host.url("/health"), "response_code": status,
            "tcp_error": "false", "host": address.trim_start_matches("http://"), "api_id": "a"})
    };
    assert_eq!(comes(&receiver, "HostDown").await, probed("HostDown", "Uptime test failed", "503"));
    health.store(200, Ordering::SeqCst);
    assert_eq!(comes(&receiver, "HostUp").await, probed("HostUp", "Uptime test succeeded", "200"));

    let changed = gate.admin().put(&format!("/keys/{good}"), &session(&["a"])).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(comes(&receiver, "TokenUpdated").await["key"], json!(hash));
    assert_eq!(gate.admin().delete(&format!("/keys/{good}")).await.status, 200);
    assert_eq!(comes(&receiver, "TokenDeleted").await["key"], json!(hash));

    for request in receiver.asked() {
        assert!(request.starts_with("POST /hook HTTP/1.1\r\n"), "{request}");
        let head = request.to_lowercase();
        assert!(
            head.contains("user-agent: tyk-hookshot\r\n")
                && head.contains("content-type: application/json\r\n")
        );
        for secret in [&good, &limited, &used_up, &inactive, "nobody-knows-this"] {
            assert!(!request.contains(secret), "{request}");
        }
    }
}

#[tokio::test]
async fn c8_12_rows_10_and_14_a_template_of_ones_own_is_sent_signed_once_and_without_secrets() {
    let (upstream, receiver) = (Upstream::start().await, receiver().await);
    let mut api = keyed("a", &upstream.url(""));
    let mut hook = webhook(&receiver);
    let meta = &mut hook["handler_meta"];
    meta["method"] = json!("PUT");
    meta["template_path"] = json!("hook.txt");
    meta["event_timeout"] = json!(3600);
    meta["header_map"] = json!({"X-From": "gate", "X-Secret": "$secret_env.RECEIVER"});
    meta["signing_secret"] = json!("$secret_env.SIGNING");
    api["event_handlers"] = handlers(&["AuthFailure"], &hook);
    let template = "{{.Type}}|{{.Meta.Path}}|{{.APIID}}|{{.Meta.OriginatingRequest}}|{{len (as_rfc3339_from_string .TimeStamp)}}";
    let gate = Gate::setup()
        .file("hook.txt", template)
        .env("TYK_SECRET_RECEIVER", "for-the-receiver")
        .env("TYK_SECRET_SIGNING", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        .api(api)
        .start()
        .await;
    let arguments = &["-H", "Authorization: nobody-knows-this", "-H", "Cookie: s=hidden", "-A", "curl"];
    for path in ["/a/x", "/a/x", "/a/y"] {
        assert_eq!(gate.get(path, arguments).await.status, 403);
    }
    // The same is told once, and what is different is told.
    until("both are told", async || receiver.asked().len() >= 2).await;
    let told = receiver.asked();
    assert_eq!(told.iter().filter(|told| told.contains("|/a/x|")).count(), 1, "{told:?}");
    let told = told.into_iter().find(|told| told.contains("|/a/x|")).unwrap();
    let parts: Vec<&str> = body(&told).split('|').collect();
    assert_eq!((parts[0], parts[2], parts[4]), ("AuthFailure", "a", "20"));
    let request = String::from_utf8(BASE64_STANDARD.decode(parts[3]).unwrap()).unwrap();
    assert!(
        request.starts_with("GET /a/x HTTP/1.1\r\n") && request.contains("user-agent: curl\r\n"),
        "{request}"
    );
    assert!(request.contains("authorization: ***\r\n") && request.contains("cookie: ***\r\n"), "{request}");

    let field = |name: &str| {
        let lines = told.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
    };
    assert!(told.starts_with("PUT /hook "), "{told}");
    assert_eq!(field("x-from").as_deref(), Some("gate"));
    assert_eq!(field("x-secret").as_deref(), Some("for-the-receiver"));
    assert_eq!(field("content-type").as_deref(), Some("text/plain"));
    let signed =
        format!("{}.{}.{}", field("webhook-id").unwrap(), field("webhook-timestamp").unwrap(), body(&told));
    let secret = BASE64_STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    assert_eq!(field("webhook-signature").unwrap(), format!("v1,{}", hmac(&secret, &signed)));
}

fn hmac(secret: &[u8], text: &str) -> String {
    use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
    BASE64_STANDARD.encode(sign(&Key::new(HMAC_SHA256, secret), text.as_bytes()))
}

#[tokio::test]
async fn c8_12_row_13_a_receiver_that_is_away_is_asked_again_and_one_that_is_slow_harms_nobody() {
    let upstream = Upstream::start().await;
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let fails_once = Spoken::start(move |_| match counted.fetch_add(1, Ordering::SeqCst) {
        0 => (503, String::new()),
        _ => (204, String::new()),
    })
    .await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let mut again = keyed("again", &upstream.url(""));
    again["event_handlers"] = handlers(&["AuthFailure"], &webhook(&fails_once));
    let mut slow = keyed("slow", &upstream.url(""));
    slow["event_handlers"] = handlers(
        &["AuthFailure"],
        &json!({"handler_name": "eh_web_hook_handler", "handler_meta": {"method": "POST", "target_path": address}}),
    );
    let gate = Gate::setup().api(again).api(slow).start().await;
    for number in 0..200 {
        assert_eq!(gate.get(&format!("/slow/{number}"), &["-H", "Authorization: nobody"]).await.status, 403);
    }
    assert_eq!(gate.get("/again/x", &["-H", "Authorization: nobody"]).await.status, 403);
    until("it is asked again", async || fails_once.asked().len() >= 2).await;
    let asked = fails_once.asked();
    assert_eq!(body(&asked[0]), body(&asked[1]));
    // What had no place is counted.
    until("what is not told is counted", async || {
        let page = gate.get("/metrics", &[]).await;
        let count = |name: &str| {
            let line =
                page.text().lines().find(|line| line.starts_with(&format!("{name} "))).map(str::to_owned);
            line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).unwrap_or_default()
        };
        count("sluicegate_events_total") == 201 && count("sluicegate_events_undelivered_total") >= 130
    })
    .await;
    drop(silent);
}

#[tokio::test]
async fn c6_8_row_1_a_monitor_tells_once_that_so_much_of_a_quota_is_used() {
    let (upstream, receiver) = (Upstream::start().await, receiver().await);
    let gate = Gate::setup()
        .conf(json!({
            "hash_keys": true,
            "enforce_org_quotas": true,
            "monitor": {"enable_trigger_monitors": true, "global_trigger_limit": 80.0, "monitor_user_keys": true,
                "monitor_org_keys": true,
                "configuration": {"method": "POST", "target_path": receiver.url("/hook"), "event_timeout": 10}},
        }))
        .api(keyed("a", &upstream.url("")))
        .start()
        .await;
    let organisation = json!({"org_id": "org", "quota_max": 20, "quota_renewal_rate": 3600, "monitor": {"trigger_limits": [25]}});
    assert_eq!(gate.admin().post("/org/keys/org", &organisation).await.status, 200);
    let mut watched = session(&["a"]);
    (watched["quota_max"], watched["quota_renewal_rate"]) = (json!(10), json!(3600));
    watched["monitor"] = json!({"trigger_limits": [50]});
    let (watched, hash) = key(&gate, &watched).await;
    for number in 1..=12 {
        let reply = gate.get("/a/x", &["-H", &format!("Authorization: {watched}")]).await;
        assert_eq!(reply.status, if number <= 10 { 200 } else { 403 }, "{number}");
    }
    let told = async |key: &str, limit: &str| {
        let expected = json!({"event": "TriggerExceeded", "message": "Quota trigger reached", "org": "org", "key": key,
            "trigger_limit": limit});
        until("it is told", async || told(&receiver, "TriggerExceeded").contains(&expected)).await;
    };
    told(&hash, "50").await;
    told(&hash, "80").await;
    told("", "25").await;
    assert_eq!(receiver.asked().len(), 3, "{:?}", receiver.asked());
}

#[tokio::test]
async fn c8_12_rows_9_and_14_logs_scripts_and_servers_are_told_too() {
    let (upstream, server) = (Upstream::start().await, Dispatcher::start().await);
    let mut api = keyless("a", &upstream.url(""));
    let log = json!({"handler_name": "eh_log_handler", "handler_meta": {"prefix": "WATCH"}});
    let script =
        json!({"handler_name": "eh_dynamic_handler", "handler_meta": {"name": "told", "path": "told.js"}});
    let remote = json!({"handler_name": "cp_dynamic_handler", "handler_meta": {"name": "remote"}});
    let object =
        json!({"handler_name": "eh_dynamic_handler", "handler_meta": {"name": "watch", "path": "watch.js"}});
    api["event_handlers"] = json!({"events": {"AuthFailure": [log, script, object, remote]}});
    api["enable_ip_whitelisting"] = json!(true);
    api["allowed_ips"] = json!(["10.1.2.3"]);
    let gate = Gate::setup()
        .conf(json!({
            "enable_jsvm": true,
            "coprocess_options": {"enable_coprocess": true, "coprocess_grpc_server": server.address()},
        }))
        .file(
            "middleware/told.js",
            "function told(event, context) { log('script:' + event.Type + ':' + context.APIID + ':' + event.Meta.Origin); }",
        )
        .file(
            "middleware/watch.js",
            "var watch = new TykJS.TykEventHandlers.NewEventHandler({});\n\
             watch.NewHandler(function (event, context) { log('object:' + event.Type + ':' + context.APIID + ':' + event.Meta.Path); });",
        )
        .api(api)
        .start()
        .await;
    assert_eq!(gate.get("/a/x", &[]).await.status, 403);
    until("the log handler's line", async || gate.log().contains("WATCH:AuthFailure")).await;
    until("the script's line", async || gate.log().contains("script:AuthFailure:a:127.0.0.1")).await;
    until("the object's line", async || gate.log().contains("object:AuthFailure:a:/a/x")).await;
    until("the server is told", async || !server.events().is_empty()).await;
    let payload: Value = serde_json::from_str(&server.events()[0]).unwrap();
    assert_eq!(
        (&payload["handler_name"], &payload["spec"]),
        (&json!("remote"), &json!({"APIID": "a", "OrgID": "org"}))
    );
    assert_eq!(
        (&payload["message"]["Type"], &payload["message"]["Meta"]["Path"]),
        (&json!("AuthFailure"), &json!("/a/x"))
    );
}

#[tokio::test]
async fn c8_12_handlers_that_cannot_work_are_told_by_lint_at_their_place() {
    let mut api = keyless("a", "http://127.0.0.1:1");
    api["event_handlers"] = json!({"events": {
        "AuthFailed": [],
        "AuthFailure": [{"handler_name": "eh_web_hook_handler",
            "handler_meta": {"target_path": "http://127.0.0.1:1/", "template_path": "nowhere.json"}}],
    }});
    let gate = Gate::setup().api(keyless("b", "http://127.0.0.1:1")).start().await;
    let reply = gate.admin().post("/apis", &api).await;
    assert_eq!(reply.status, 400, "{reply:?}");
    assert!(reply.text().contains("nowhere.json"), "{reply:?}");
    api["event_handlers"]["events"]["AuthFailure"] = json!([]);
    assert_eq!(gate.admin().post("/apis", &api).await.status, 200);
}

#[tokio::test]
async fn c12_row_11_certificates_that_end_soon_are_told_of_once() {
    let receiver = receiver().await;
    let certified = rcgen::generate_simple_self_signed(vec!["soon.example".to_owned()]).unwrap();
    let mut api = keyless("a", "http://127.0.0.1:1");
    api["certificates"] = json!(["soon.pem"]);
    api["event_handlers"] = handlers(&["CertificateExpiringSoon"], &webhook(&receiver));
    let gate = Gate::setup()
        .conf(json!({"security": {"certificate_expiry_monitor":
            {"warning_threshold_days": 10_000_000, "check_cooldown_seconds": 1}}}))
        .file("soon.pem", &format!("{}{}", certified.cert.pem(), certified.signing_key.serialize_pem()))
        .api(api)
        .start()
        .await;
    let told = comes(&receiver, "CertificateExpiringSoon").await;
    assert_eq!((&told["cert_role"], &told["api_id"]), (&json!("server"), &json!("a")), "{}", gate.log());
    assert!(told["expires_at"].as_str().unwrap().ends_with("T00:00:00Z"), "{told}");
    assert!(told["days_remaining"].as_str().unwrap().parse::<u64>().unwrap() > 1000, "{told}");
}

#[tokio::test]
async fn c8_12_row_8_what_is_amiss_with_tokens_for_upstreams_is_told() {
    let (upstream, receiver) = (Upstream::start().await, receiver().await);
    let issuer = Spoken::start(|_| (500, String::new())).await;
    let client = json!({"client_id": "gate", "client_secret": "hidden", "token_url": issuer.url("/token")});
    let mut api = keyless("a", &upstream.url(""));
    api["upstream_auth"] = json!({"enabled": true, "oauth": {"enabled": true,
        "allowed_authorize_types": ["clientCredentials"], "client_credentials": client}});
    api["event_handlers"] = handlers(&["UpstreamOAuthError"], &webhook(&receiver));
    let gate = Gate::setup().api(api).start().await;
    assert_eq!(gate.get("/a/x", &[]).await.status, 500);
    let told = comes(&receiver, "UpstreamOAuthError").await;
    assert_eq!((&told["message"], &told["path"]), (&json!("Upstream OAuth error"), &json!("/a/x")));
    assert!(receiver.asked().iter().all(|request| !request.contains("hidden")));
}

#[tokio::test]
async fn events_are_a_stream_for_any_output() {
    let upstream = Upstream::start().await;
    let follows = |id: &str, org: &str, config: Value| {
        let mut api = events(
            id,
            json!({"s": {"input": {"gateway_events": config},
            "output": {"http_server": {"path": "/get", "stream_path": "", "ws_path": ""}}}}),
        );
        api["x-tyk-api-gateway"]["info"]["orgId"] = json!(org);
        api
    };
    let gate = Gate::setup()
        .api(keyed("a", &upstream.url("")))
        .oas(follows("mine", "org", json!({"events": ["AuthFailure"]})))
        .oas(follows("other", "elsewhere", json!({})))
        .start()
        .await;
    let mut got = Value::Null;
    until("an event comes", async || {
        gate.get("/a/x", &["-H", "Authorization: nobody"]).await;
        let reply = gate.get("/mine/get", &["--max-time", "1"]).await;
        if reply.status == 200 {
            got = reply.json();
        }
        reply.status == 200
    })
    .await;
    assert_eq!(
        (&got["event"], &got["api_id"], &got["meta"]["Path"]),
        (&json!("AuthFailure"), &json!("a"), &json!("/a/x"))
    );
    // Another organisation is told nothing of it.
    assert_ne!(gate.get("/other/get", &["--max-time", "1"]).await.status, 200);

    let reply = gate.admin().post("/apis/oas", &follows("wrong", "", json!({"events": ["AuthFail"]}))).await;
    assert_eq!(reply.status, 400, "{reply:?}");
    assert!(reply.text().contains("no event is called `AuthFail`"), "{reply:?}");
}
