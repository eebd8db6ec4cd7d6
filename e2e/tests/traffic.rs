//! From where, and from which pages, APIs may be called (contract 4.4 rows 4, 7 and 8).

use e2e::definition::{keyed, keyless, oas};
use e2e::{Gate, Upstream};
use serde_json::{Value, json};

fn with(mut api: Value, more: Value) -> Value {
    api.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    api
}

#[tokio::test]
async fn c4_4_rows_7_and_8_addresses_are_admitted_by_lists() {
    let upstream = Upstream::start().await;
    let target = upstream.url("");
    let mut described = oas("described", &target);
    described["x-tyk-api-gateway"]["server"]["ipAccessControl"] =
        json!({"enabled": true, "allow": ["10.0.0.0/8"], "block": ["10.6.0.0/16"]});
    let gate = Gate::setup()
        .api(with(keyless("allow", &target), json!({"allowed_ips": ["10.0.0.0/8", "2001:db8::/32"]})))
        .api(with(keyed("block", &target), json!({"blacklisted_ips": ["10.6.0.0/16"]})))
        .api(with(
            keyless("off", &target),
            json!({"allowed_ips": ["10.0.0.1"], "ip_access_control_disabled": true}),
        ))
        .oas(described)
        .start()
        .await;
    for (api, address, status) in [
        ("allow", "10.1.2.3", 200),
        ("allow", "2001:db8::7", 200),
        ("allow", "11.1.2.3", 403),
        // The other end of the connection, which is on no list.
        ("allow", "", 403),
        // Who may call by its address has to say who it is.
        ("block", "10.1.2.3", 401),
        ("block", "10.6.2.3", 403),
        ("off", "11.1.2.3", 200),
        ("described", "10.1.2.3", 200),
        ("described", "10.6.2.3", 403),
        ("described", "11.1.2.3", 403),
    ] {
        let field = format!("X-Real-IP: {address}");
        let fields = if address.is_empty() { vec![] } else { vec!["-H", field.as_str()] };
        let reply = gate.get(&format!("/{api}/x"), &fields).await;
        assert_eq!(reply.status, status, "{api} from {address}");
        if status == 403 {
            assert_eq!(reply.json()["error"], "access from this IP has been disallowed");
        }
    }
}

#[tokio::test]
async fn c4_4_rows_4_and_45_browsers_are_told_which_pages_may_call() {
    let upstream = Upstream::start().await;
    let rules = json!({
        "enable": true, "allowed_origins": ["https://a.example"], "allowed_methods": ["GET"],
        "allowed_headers": ["authorization"], "exposed_headers": ["x-ratelimit-limit"], "max_age": 60,
    });
    let passing = json!({"enable": true, "options_passthrough": true});
    let mut described = oas("described", &upstream.url(""));
    described["x-tyk-api-gateway"]["middleware"] =
        json!({"global": {"cors": {"enabled": true, "allowedOrigins": ["https://a.example"]}}});
    let gate = Gate::setup()
        .api(with(keyed("shop", &upstream.url("")), json!({"CORS": rules})))
        .api(with(keyed("passing", &upstream.url("")), json!({"CORS": passing})))
        .oas(described)
        .start()
        .await;
    let ask = |api: &'static str, origin: &'static str, method: &'static str| {
        let gate = &gate;
        async move {
            let (origin, wanted) =
                (format!("Origin: {origin}"), format!("Access-Control-Request-Method: {method}"));
            let fields = ["-X", "OPTIONS", "-H", &origin, "-H", &wanted];
            gate.get(&format!("/{api}/x"), &fields).await
        }
    };
    let before = upstream.hits();
    let reply = ask("shop", "https://a.example", "GET").await;
    assert_eq!((reply.status, reply.text()), (204, ""), "{reply:?}");
    for (name, value) in [
        ("access-control-allow-origin", Some("https://a.example")),
        ("access-control-allow-methods", Some("GET")),
        ("access-control-max-age", Some("60")),
        ("access-control-allow-credentials", None),
    ] {
        assert_eq!(reply.header(name).as_deref(), value, "{name}");
    }
    for (origin, method) in [("https://b.example", "GET"), ("https://a.example", "DELETE")] {
        let reply = ask("shop", origin, method).await;
        assert_eq!(
            (reply.status, reply.header("access-control-allow-origin").as_deref()),
            (204, None),
            "{origin}"
        );
    }
    assert_eq!(ask("described", "https://a.example", "POST").await.status, 204);
    assert_eq!(upstream.hits(), before, "questions are answered by the gate");
    // A page that may call can read why it was refused.
    let refused = gate.get("/shop/x", &["-H", "Origin: https://a.example"]).await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.header("access-control-allow-origin").as_deref(), Some("https://a.example"));
    assert_eq!(refused.header("access-control-expose-headers").as_deref(), Some("x-ratelimit-limit"));
    let other = gate.get("/shop/x", &["-H", "Origin: https://b.example"]).await;
    assert_eq!((other.status, other.header("access-control-allow-origin").as_deref()), (401, None));
    assert_eq!(other.header("vary").as_deref(), Some("Origin"));
    // What the upstream answers can be read by the same pages.
    for (origin, allowed) in [("https://a.example", true), ("https://b.example", false)] {
        let reply = gate.get("/described/x", &["-H", &format!("Origin: {origin}")]).await;
        assert_eq!(reply.status, 200);
        let told = reply.header("access-control-allow-origin");
        assert_eq!(told.as_deref(), allowed.then_some(origin));
    }
    // Past every guard, to an upstream that has rules of its own.
    assert_eq!(ask("passing", "https://b.example", "GET").await.status, 200);
    assert_eq!(upstream.hits(), before + 3);
    assert_eq!(gate.get("/passing/x", &[]).await.status, 401);
}

#[tokio::test]
async fn c8_7_row_1_credentials_and_every_rule_of_both_formats() {
    let upstream = Upstream::start().await;
    let target = upstream.url("");
    let classic = json!({
        "enable": true, "allowed_origins": ["https://*.a.example", "https://b.example"], "allowed_methods": ["GET", "put"],
        "allowed_headers": ["X-One", "x-two"], "exposed_headers": ["X-Told", "X-More"], "allow_credentials": true,
        "max_age": 90,
    });
    let cors = json!({
        "enabled": true, "allowedOrigins": ["https://*.a.example", "https://b.example"], "allowedMethods": ["GET", "put"],
        "allowedHeaders": ["X-One", "x-two"], "exposedHeaders": ["X-Told", "X-More"], "allowCredentials": true, "maxAge": 90,
    });
    let described = |id: &str, cors: Value| {
        let mut api = oas(id, &target);
        api["x-tyk-api-gateway"]["middleware"] = json!({"global": {"cors": cors}});
        api
    };
    let gate = Gate::setup()
        .api(with(keyless("classic", &target), json!({"CORS": classic})))
        .oas(described("described", cors))
        .oas(described("usual", json!({"enabled": true, "allowCredentials": true})))
        .oas(described("passing", json!({"enabled": true, "optionsPassthrough": true})))
        .oas(described("off", json!({"enabled": false, "allowedOrigins": ["*"]})))
        .start()
        .await;
    let ask = async |api: &str, origin: &str, method: &str, named: &str| {
        let (origin, wanted) =
            (format!("Origin: {origin}"), format!("Access-Control-Request-Method: {method}"));
        let named = format!("Access-Control-Request-Headers: {named}");
        let fields = ["-X", "OPTIONS", "-H", &origin, "-H", &wanted, "-H", &named];
        gate.get(&format!("/{api}/x"), &fields).await
    };
    let told = |reply: &e2e::Reply| {
        let names = ["origin", "methods", "headers", "credentials"].map(|name| format!("allow-{name}"));
        let names = names.iter().map(String::as_str).chain(["max-age", "expose-headers"]);
        let told = names.filter_map(|name| {
            reply.header(&format!("access-control-{name}")).map(|value| format!("{name}: {value}"))
        });
        told.collect::<Vec<_>>().join("; ")
    };
    let before = upstream.hits();
    for api in ["classic", "described"] {
        for (origin, method, named, expected) in [
            (
                "https://shop.a.example",
                "PUT",
                "x-one, X-Two",
                "allow-origin: https://shop.a.example; allow-methods: PUT; allow-headers: x-one, X-Two; allow-credentials: true; max-age: 90",
            ),
            (
                "HTTPS://B.example",
                "GET",
                "",
                "allow-origin: HTTPS://B.example; allow-methods: GET; allow-credentials: true; max-age: 90",
            ),
            // Each of the rules by itself: nothing is told, not even part of it.
            ("https://a.example", "GET", "", ""),
            ("https://a.example.evil.example", "GET", "", ""),
            ("http://b.example", "GET", "", ""),
            ("null", "GET", "", ""),
            ("https://b.example", "POST", "", ""),
            ("https://b.example", "GET", "x-one, x-three", ""),
        ] {
            let reply = ask(api, origin, method, named).await;
            assert_eq!(
                (reply.status, told(&reply).as_str()),
                (204, expected),
                "{api} {origin} {method} {named}"
            );
            let vary = reply.header("vary").unwrap_or_default().to_lowercase();
            assert!(vary.contains("origin") && vary.contains("access-control-request-method"), "{vary}");
        }
    }
    assert_eq!(upstream.hits(), before, "the upstream is asked nothing");
    for (api, origin, expected) in [
        (
            "classic",
            "https://b.example",
            "allow-origin: https://b.example; allow-credentials: true; expose-headers: X-Told, X-More",
        ),
        (
            "described",
            "https://x.a.example",
            "allow-origin: https://x.a.example; allow-credentials: true; expose-headers: X-Told, X-More",
        ),
        ("described", "https://c.example", ""),
        ("off", "https://b.example", ""),
        // A browser sends no credentials where everybody may read; the standard says what is told, not what is meant.
        ("usual", "https://b.example", "allow-origin: *; allow-credentials: true"),
    ] {
        // What the upstream says of it is not what the gate's rules say.
        let path = format!("/{api}/x?field-access-control-allow-credentials=false");
        let reply = gate.get(&path, &["-H", &format!("Origin: {origin}")]).await;
        let expected = if api == "off" { "allow-credentials: false" } else { expected };
        assert_eq!((reply.status, told(&reply).as_str()), (200, expected), "{api} {origin}");
    }
    // What counts where a list is empty.
    for (method, named, allowed) in [
        ("GET", "", true),
        ("HEAD", "Accept, Content-Type, X-Requested-With, Origin", true),
        ("PUT", "", false),
        ("POST", "Authorization", false),
    ] {
        let reply = ask("usual", "https://any.example", method, named).await;
        assert_eq!((reply.status, !told(&reply).is_empty()), (204, allowed), "{method} {named}");
    }
    // Questions that the upstream is to answer, and APIs without rules.
    for api in ["passing", "off"] {
        let hits = upstream.hits();
        let reply = ask(api, "https://any.example", "GET", "").await;
        assert_eq!((reply.status, reply.json()["method"].as_str()), (200, Some("OPTIONS")), "{api}");
        assert_eq!(upstream.hits(), hits + 1, "{api}");
    }
}
