//! From where, and from which pages, APIs may be called (contract 4.4 rows 4, 7 and 8).

use e2e::definition::{keyed, keyless, oas};
use e2e::{Gate, Upstream};
use serde_json::{Value, json};

fn with(mut api: Value, more: Value) -> Value {
    api.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    api
}

#[tokio::test]
async fn addresses_are_admitted_by_lists() {
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
async fn browsers_are_told_which_pages_may_call() {
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
