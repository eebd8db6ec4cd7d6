//! Where the gate itself sends requests, because definitions, issuers, scripts and clients say so (`egress`): each of its
//! ways out reaches a server without a rule, and leaves it alone with one.

use std::time::Duration;

use e2e::definition::{keyed, keyless};
use e2e::issuer::Issuer;
use e2e::tokens::{now, with};
use e2e::{Gate, Scripted, Spoken, Upstream, until};
use serde_json::{Value, json};

/// A server that stands for a machine that must not be reached.
async fn inside() -> Spoken {
    Spoken::start(|_| (200, json!({"active": true, "access_token": "x", "data": {"n": 1}}).to_string())).await
}

fn port_of(server: &Spoken) -> String {
    server.url("").rsplit_once(':').unwrap().1.to_owned()
}

fn was_asked(server: &Spoken, path: &str) -> bool {
    server.asked().iter().any(|request| request.lines().next().is_some_and(|line| line.contains(path)))
}

fn code(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn guarded(id: &str, more: Value) -> Value {
    let mut api = keyless(id, "http://127.0.0.1:1");
    let object = api.as_object_mut().unwrap();
    object.remove("use_keyless");
    object.extend(more.as_object().unwrap().clone());
    api
}

fn paths(mut api: Value, lists: Value) -> Value {
    api["version_data"]["versions"]["Default"]["extended_paths"] = lists;
    api
}

/// APIs that each send a request of their own to `at`, by the path that it asks for.
fn apis(at: &str, upstream: &Upstream) -> Vec<Value> {
    let target = upstream.url("");
    let key_set = guarded(
        "keys",
        json!({"enable_jwt": true, "jwt_source": format!("{at}/keys"), "jwt_signing_method": "ecdsa",
            "jwt_identity_base_field": "sub", "jwt_default_policies": ["none"]}),
    );
    let asked = guarded(
        "asked",
        json!({"external_oauth": {"enabled": true, "providers": [{"introspection": {
            "enabled": true, "url": format!("{at}/asked"), "client_id": "gate", "client_secret": "x"}}]}}),
    );
    let issuer = guarded(
        "issuer",
        json!({"use_openid": true, "openid_options": {"segregate_by_client": false,
            "providers": [{"issuer": format!("{at}/issuer"), "client_ids": {"d2Vi": "none"}}]}}),
    );
    let mut token = keyless("token", &target);
    token["upstream_auth"] = json!({"enabled": true, "oauth": {"enabled": true,
        "allowed_authorize_types": ["clientCredentials"],
        "client_credentials": {"client_id": "gate", "client_secret": "x", "token_url": format!("{at}/token")}}});
    let mut found = keyless("found", &target);
    found["proxy"]["service_discovery"] =
        json!({"use_discovery_service": true, "query_endpoint": format!("{at}/found"), "data_path": "host"});
    let mut hook = keyed("hook", &target);
    hook["event_handlers"] = json!({"events": {"AuthFailure": [{"handler_name": "eh_web_hook_handler",
        "handler_meta": {"method": "POST", "target_path": format!("{at}/hook")}}]}});
    let script = format!(
        "function ask() {{ return TykJsResponse({{Body: String(TykMakeHttpRequest(JSON.stringify({{Method: 'GET', Domain: '{at}', Resource: '/script', Headers: {{}}, FormData: {{}}}}))), Headers: {{}}, Code: 200}}, {{}}) }}"
    );
    let script = paths(
        keyless("script", &target),
        json!({"virtual": [{"path": "/x", "method": "GET", "response_function_name": "ask",
            "function_source_type": "blob", "function_source_uri": code(&script)}]}),
    );
    let mut probed = keyless("probed", &target);
    let tcp = at.strip_prefix("http://").unwrap();
    probed["uptime_tests"] = json!({"check_list": [{"url": format!("{at}/probed"), "method": "GET"},
        {"url": tcp, "protocol": "tcp", "timeout": 2_000_000_000_u64,
            "commands": [{"name": "send", "message": "GET /over-tcp HTTP/1.1\r\n\r\n"}, {"name": "expect", "message": "200"}]}]});
    let mut graph = keyless("graph", "");
    graph["graphql"] = json!({
        "enabled": true, "execution_mode": "executionEngine", "version": "2", "schema": "type Query { n: Int }",
        "engine": {"data_sources": [{"kind": "REST", "name": "n", "root_fields": [{"type": "Query", "fields": ["n"]}],
            "config": {"url": format!("{at}/graph"), "method": "GET"}}]},
    });
    let mut bundle = keyless("bundle", &target);
    bundle["custom_middleware_bundle"] = json!("bundle.zip");
    let chosen = paths(
        keyless("chosen", &target),
        json!({"url_rewrites": [{"path": "/to", "method": "GET", "match_pattern": "/to/([^/]+)$", "rewrite_to": "http://$1/chosen"}]}),
    );
    vec![key_set, asked, issuer, token, found, hook, script, probed, graph, bundle, chosen]
}

/// Makes all of them ask.
async fn provoke(gate: &Gate, host: &str, issuer: &Issuer) {
    let claims = |issuer: &str| json!({"iss": issuer, "sub": "me", "aud": "web", "exp": now() + 60});
    let token = issuer.token(&claims("x"));
    with(gate, "/keys/x", &token).await;
    with(gate, "/asked/x", "opaque").await;
    with(gate, "/issuer/x", &issuer.token(&claims(&format!("http://{host}/issuer")))).await;
    for path in ["/token/x", "/found/x", "/hook/x", "/script/x", "/bundle/x"] {
        gate.get(path, &["-H", "Authorization: nobody"]).await;
    }
    gate.get(&format!("/chosen/to/{host}"), &[]).await;
    let question = json!({"query": "{ n }"}).to_string();
    gate.get("/graph/", &["-H", "Content-Type: application/json", "--data", &question]).await;
}

const ALL: [&str; 12] = [
    "/keys",
    "/asked",
    "/issuer/.well-known",
    "/token",
    "/found",
    "/hook",
    "/script",
    "/probed",
    "/over-tcp",
    "/graph",
    "/bundle.zip",
    "/chosen",
];

async fn start(at: &str, upstream: &Upstream, egress: Value) -> Gate {
    let mut setup = Gate::setup().conf(json!({
        "enable_jsvm": true, "enable_bundle_downloader": true, "bundle_base_url": at, "egress": egress,
        "uptime_tests": {"config": {"time_wait": 0.1, "failure_trigger_sample_size": 1}},
    }));
    for api in apis(at, upstream) {
        setup = setup.api(api);
    }
    setup.start().await
}

#[tokio::test]
async fn every_way_out_is_under_the_policy() {
    let (upstream, issuer) = (Upstream::start().await, Issuer::start().await);
    // The same is reached where no rule forbids it, so that the rest of this test says something.
    let open = inside().await;
    let gate = start(&open.url(""), &upstream, json!({})).await;
    provoke(&gate, open.url("").trim_start_matches("http://"), &issuer).await;
    for path in ALL {
        until(path, async || was_asked(&open, path)).await;
    }

    for (name, egress) in [
        ("egress.deny", json!({"deny": ["127.0.0.0/8"]})),
        ("egress.allow", json!({"allow": ["192.0.2.0/24"]})),
        ("egress.deny_private", json!({"deny_private": true, "allow": ["localhost", "*"]})),
    ] {
        let closed = inside().await;
        let gate = start(&closed.url(""), &upstream, egress).await;
        provoke(&gate, closed.url("").trim_start_matches("http://"), &issuer).await;
        // What waits for nobody has been refused once this stands in the log.
        for path in ["/hook", "/probed", "/bundle.zip"] {
            let told = format!("`{}` is not asked: the egress policy", closed.url(path));
            until(&told, async || {
                // Of handlers that are not reached only some are told.
                gate.get("/hook/x", &["-H", "Authorization: nobody"]).await;
                gate.log().contains(&told)
            })
            .await;
        }
        assert!(gate.log().contains(&format!("`{name}`")), "{}", gate.log());
        assert_eq!(closed.asked(), Vec::<String>::new(), "{name}");
        // Callers are not told what is where.
        for path in ["/token/x", "/graph/", "/chosen/to/127.0.0.1:1"] {
            let question = json!({"query": "{ n }"}).to_string();
            let reply = gate.get(path, &["-H", "Content-Type: application/json", "--data", &question]).await;
            assert!(!reply.text().contains("egress"), "{path}: {reply:?}");
        }
    }
}

#[tokio::test]
async fn addresses_count_however_they_are_written_and_whatever_points_to_them() {
    let (upstream, inside) = (Upstream::start().await, inside().await);
    let port = port_of(&inside);
    let redirect =
        format!("HTTP/1.1 302 x\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", inside.url("/moved"));
    let redirects = Scripted::start(Box::leak(redirect.into_bytes().into_boxed_slice())).await;
    let script = "function ask(request) { return TykJsResponse({Body: String(TykMakeHttpRequest(JSON.stringify({Method: 'GET', Domain: request.Params.at[0], Resource: '/way', Headers: {}, FormData: {}}))), Headers: {}, Code: 200}, {}) }";
    let api = paths(
        keyless("s", &upstream.url("")),
        json!({"virtual": [{"path": "/x", "method": "GET", "response_function_name": "ask",
            "function_source_type": "blob", "function_source_uri": code(script)}]}),
    );
    let deny = json!([format!("127.0.0.1:{port}")]);
    let gate = Gate::setup()
        .conf(
            json!({"enable_jsvm": true, "egress": {"deny": deny}, "dns_cache": {"enabled": true, "ttl": 1}}),
        )
        .hosts("127.0.0.1 localhost inside.test\n127.0.0.2 rebinds.test\n")
        .api(api)
        .start()
        .await;
    let ask = async |at: &str| {
        gate.get("/s/x", &["-G", "--data-urlencode", &format!("at={at}")]).await.text().to_owned()
    };
    let refused = |url: &str| format!("`{url}` is not asked: the egress policy denies");
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "[::ffff:127.0.0.1]",
        "localhost",
        "inside.test",
        "INSIDE.test",
    ] {
        ask(&format!("http://{host}:{port}")).await;
        let told = refused(&format!("http://{}:{port}/way", host.to_lowercase()));
        until(&told, async || gate.log().contains(&told)).await;
    }
    ask(&redirects.url("")).await;
    let told = refused(&inside.url("/moved"));
    until(&told, async || gate.log().contains(&told)).await;

    // A name that was good leads inside later.
    ask(&format!("http://rebinds.test:{port}")).await;
    let told = refused(&format!("http://rebinds.test:{port}/way"));
    assert!(!gate.log().contains(&told), "{}", gate.log());
    gate.set_hosts("127.0.0.1 localhost rebinds.test\n");
    until(&told, async || {
        ask(&format!("http://rebinds.test:{port}")).await;
        gate.log().contains(&told)
    })
    .await;
    assert_eq!(inside.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn where_clouds_keep_secrets_nothing_is_asked_unless_the_list_says_otherwise() {
    let upstream = Upstream::start().await;
    let script = "function ask(request) { return TykJsResponse({Body: String(TykMakeHttpRequest(JSON.stringify({Method: 'GET', Domain: request.Params.at[0], Resource: '/latest/meta-data/', Headers: {}, FormData: {}}))), Headers: {}, Code: 200}, {}) }";
    let api = paths(
        keyless("s", &upstream.url("")),
        json!({"virtual": [{"path": "/x", "method": "GET", "response_function_name": "ask",
            "function_source_type": "blob", "function_source_uri": code(script)}],
            "url_rewrites": [{"path": "/to", "method": "GET", "match_pattern": "/to/([^/]+)$", "rewrite_to": "http://$1/latest/"}]}),
    );
    let gate = Gate::setup().conf(json!({"enable_jsvm": true})).api(api.clone()).start().await;
    let ask = async |gate: &Gate, at: &str| {
        gate.get("/s/x", &["-G", "--data-urlencode", &format!("at={at}")]).await.text().to_owned()
    };
    for at in [
        "169.254.169.254",
        "0xa9fea9fe",
        "[::ffff:a9fe:a9fe]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "100.100.100.200",
    ] {
        ask(&gate, &format!("http://{at}")).await;
        let told = format!("`http://{at}/latest/meta-data/` is not asked: the egress policy denies");
        until(&told, async || gate.log().contains(&told)).await;
        assert!(gate.log().contains("`egress.deny`"));
    }
    // What is near is reached, as gates are asked to.
    assert!(ask(&gate, &upstream.url("")).await.contains("/latest/meta-data/"));
    // Nor does a request choose such an upstream.
    let reply = gate.get("/s/to/169.254.169.254", &[]).await;
    assert_eq!(reply.status, 500, "{reply:?}");
    assert!(!reply.text().contains("169.254"), "{reply:?}");

    // Whoever needs it takes the rule away.
    let gate =
        Gate::setup().conf(json!({"enable_jsvm": true, "egress": {"deny": []}})).api(api).start().await;
    let asked = ask(&gate, "http://169.254.169.254:1");
    let _ = tokio::time::timeout(Duration::from_secs(1), asked).await;
    assert!(!gate.log().contains("egress"), "{}", gate.log());
}

#[tokio::test]
async fn hosts_that_a_definition_names_are_reached_as_its_upstream_is() {
    let upstream = Upstream::start().await;
    let to = upstream.url("/fixed");
    let mut api = paths(
        keyless("a", &upstream.url("")),
        json!({"url_rewrites": [{"path": "/to", "method": "GET", "match_pattern": "/to", "rewrite_to": to}]}),
    );
    api["proxy"]["enable_load_balancing"] = json!(true);
    api["proxy"]["target_list"] = json!([upstream.url("")]);
    api["proxy"]["check_host_against_uptime_tests"] = json!(true);
    api["uptime_tests"] = json!({"check_list": [{"url": upstream.url("/health")}]});
    let often = json!({"config": {"time_wait": 0.1, "failure_trigger_sample_size": 1}});
    let conf = json!({"egress": {"deny_private": true}, "uptime_tests": often});
    let gate = Gate::setup().conf(conf).api(api).start().await;
    assert_eq!(gate.get("/a/to", &[]).await.json()["path"], "/fixed");
    // What may not be probed is not down.
    until("it is told", async || gate.log().contains("a host is not probed")).await;
    assert_eq!(gate.get("/a/x", &[]).await.json()["path"], "/x");
}

#[tokio::test]
async fn rules_that_are_none_stop_the_start() {
    let mut gate = Gate::setup().conf(json!({"egress": {"deny": ["10.0.0.0/33"]}})).prepare();
    gate.spawn();
    assert_ne!(gate.ended().await, Some(0));
    assert!(gate.log().contains("egress.deny: `10.0.0.0/33` is not a place"), "{}", gate.log());
}
