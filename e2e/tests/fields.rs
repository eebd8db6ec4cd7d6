//! Fields of definitions that no other test names, each seen to do what it says (contract 2.1 to 2.6, 3.2, 3.3, 4.6, 8.12).

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use e2e::definition::{keyless, oas};
use e2e::{Authority, Gate, Spoken, Upstream, front, until};
use serde_json::{Value, json};

/// More than the second that breakers cool down here.
const COOLED: Duration = Duration::from_millis(1500);

fn code(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// The Tyk part of an OAS document.
fn part(document: &mut Value) -> &mut Value {
    &mut document["x-tyk-api-gateway"]
}

/// A document whose operations have this middleware; each operation is `GET /<its name>`.
fn operations(id: &str, target: &str, middleware: Value) -> Value {
    let mut document = oas(id, target);
    for name in middleware.as_object().unwrap().keys() {
        document["paths"][format!("/{name}")] =
            json!({"get": {"operationId": name, "responses": {"200": {"description": ""}}}});
    }
    part(&mut document)["middleware"]["operations"] = middleware;
    document
}

async fn status(gate: &Gate, path: &str, arguments: &[&str]) -> u16 {
    gate.get(path, arguments).await.status
}

#[tokio::test]
async fn c4_6_row_17_targets_in_a_text_within_an_answer_and_in_a_bare_list_are_found() {
    let upstream = Upstream::start().await;
    let (host, port) =
        upstream.authority().rsplit_once(':').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let inner = json!({"name": host, "at": port}).to_string();
    let nested = Spoken::start(move |_| (200, json!({"node": {"value": inner}}).to_string())).await;
    let bare = json!([{"Address": host, "Port": port.parse::<u16>().unwrap()}]).to_string();
    let bare = Spoken::start(move |_| (200, bare.clone())).await;
    let mut document = oas("nested", "http://127.0.0.1:1/unused");
    part(&mut document)["upstream"]["serviceDiscovery"] = json!({
        "enabled": true, "queryEndpoint": nested.url("/"), "useNestedQuery": true, "parentDataPath": "node.value",
        "dataPath": "name", "portDataPath": "at",
    });
    let mut api = keyless("bare", "http://127.0.0.1:1/unused");
    api["proxy"]["service_discovery"] = json!({
        "use_discovery_service": true, "query_endpoint": bare.url("/"), "endpoint_returns_list": true,
        "data_path": "Address", "port_data_path": "Port",
    });
    let gate = Gate::setup().oas(document).api(api).start().await;
    for id in ["nested", "bare"] {
        assert_eq!(status(&gate, &format!("/{id}/x"), &[]).await, 200, "{id}: {}", gate.log());
    }
}

#[tokio::test]
async fn c11_1_records_are_labelled_and_kept_as_definitions_say() {
    let upstream = Upstream::start().await;
    // How long a record may be kept becomes one of its labels.
    let hook = code(
        "function records(record) {
            var kept = (Date.parse(record.expireAt) - Date.parse(record.timestamp)) / 1000;
            record.tags.push('kept-' + Math.round(kept));
        }",
    );
    let mut document = oas("logs", &upstream.url(""));
    part(&mut document)["middleware"]["global"] = json!({
        "pluginConfig": {"driver": "javascript"},
        "trafficLogs": {"enabled": true, "tagHeaders": ["X-Team"], "customRetentionPeriod": "2h",
            "plugins": [{"enabled": true, "functionName": "records", "code": hook}]},
    });
    let classic = |id: &str, off: bool| {
        let mut api = keyless(id, &upstream.url(""));
        api["tags"] = json!(["edge"]);
        api["tags_disabled"] = json!(off);
        api["expire_analytics_after"] = json!(3600);
        api["custom_middleware"] =
            json!({"driver": "javascript", "traffic_logs": {"name": "records", "code": hook}});
        api
    };
    let gate = Gate::setup()
        .conf(json!({"enable_analytics": true, "enable_jsvm": true}))
        .oas(document)
        .api(classic("tagged", false))
        .api(classic("untagged", true))
        .start()
        .await;
    for (id, tags) in [
        ("logs", json!(["x-team-blue", "kept-7200"])),
        ("tagged", json!(["edge", "kept-3600"])),
        ("untagged", json!(["kept-3600"])),
    ] {
        assert_eq!(status(&gate, &format!("/{id}/x"), &["-H", "X-Team: blue"]).await, 200);
        let mut told = Value::Null;
        until(&format!("a record of {id}"), async || {
            let all = gate.admin().get("/records?limit=100").await.json();
            told = all
                .as_array()
                .unwrap()
                .iter()
                .find(|record| record["api_id"] == id)
                .cloned()
                .unwrap_or_default();
            !told.is_null()
        })
        .await;
        assert_eq!(told["tags"], tags, "{id}: {told}");
    }
}

#[tokio::test]
async fn c2_2_row_10_older_names_of_authentication_by_plugins_count() {
    let upstream = Upstream::start().await;
    let who = code(
        "function who(request, session) {
            if (request.Headers.Authorization) { session.alias = request.Headers.Authorization[0]; }
            else { request.ReturnOverrides.ResponseCode = 401; }
            return {Request: request, Session: session};
        }",
    );
    let mut setup = Gate::setup().conf(json!({"enable_jsvm": true}));
    let keys = ["custom_plugin_auth_enabled", "enable_coprocess_auth", "use_go_plugin_auth"];
    for key in keys {
        let mut api = keyless(key, &upstream.url(""));
        api["use_keyless"] = json!(false);
        api[key] = json!(true);
        api["custom_middleware"] =
            json!({"driver": "javascript", "auth_check": {"name": "who", "code": who}});
        setup = setup.api(api);
    }
    let gate = setup.start().await;
    for key in keys {
        assert_eq!(status(&gate, &format!("/{key}/x"), &[]).await, 401, "{key}");
        assert_eq!(status(&gate, &format!("/{key}/x"), &["-H", "Authorization: ann"]).await, 200, "{key}");
    }
}

#[tokio::test]
async fn c4_6_row_3_a_slash_at_the_end_of_an_empty_path_is_kept_where_that_is_asked_for() {
    let upstream = Upstream::start().await;
    let mut kept = keyless("kept", &upstream.url("/base"));
    kept["proxy"]["disable_strip_slash"] = json!(true);
    let gate = Gate::setup().api(kept).api(keyless("plain", &upstream.url("/base"))).start().await;
    for (path, sent) in
        [("/kept/", "/base/"), ("/plain/", "/base"), ("/kept/x", "/base/x"), ("/plain/x/", "/base/x/")]
    {
        assert_eq!(gate.get(path, &[]).await.json()["path"], sent, "{path}");
    }
}

#[tokio::test]
async fn c4_6_row_18_a_host_that_is_down_is_probed_again_after_its_own_time() {
    let health = Arc::new(AtomicU16::new(503));
    let tells = Arc::clone(&health);
    let host = Spoken::start(move |_| (tells.load(Ordering::SeqCst), String::new())).await;
    let mut api = keyless("a", &host.url(""));
    api["uptime_tests"] =
        json!({"check_list": [{"url": host.url("/health")}], "config": {"recheck_wait": 1}});
    // By the clock of the gate it would be probed again after an hour.
    let gate = Gate::setup()
        .conf(json!({"uptime_tests": {"config": {"time_wait": 3600, "failure_trigger_sample_size": 1}}}))
        .api(api)
        .start()
        .await;
    until("the host is down", async || gate.log().contains("HostDown")).await;
    health.store(200, Ordering::SeqCst);
    until("the host is up", async || gate.log().contains("HostUp")).await;
}

#[tokio::test]
async fn c4_6_row_15_a_breaker_without_a_half_open_state_lets_all_try_again() {
    let upstream = Upstream::start().await;
    let classic = |id: &str, disabled: bool| {
        let mut api = keyless(id, &upstream.url(""));
        api["version_data"]["versions"]["Default"]["extended_paths"] = json!({"circuit_breakers": [{
            "path": "/(status|slow)", "method": "GET", "threshold_percent": 0.5, "samples": 2,
            "return_to_service_after": 1, "disable_half_open_state": disabled,
        }]});
        api
    };
    let half = |id: &str, enabled: bool| {
        let mut document = oas(id, &upstream.url(""));
        document["paths"] = json!({"/{kind}/{n}": {"get": {"operationId": "any", "responses": {"200": {"description": ""}}}}});
        part(&mut document)["middleware"]["operations"]["any"]["circuitBreaker"] = json!({
            "enabled": true, "threshold": 0.5, "sampleSize": 2, "coolDownPeriod": 1, "halfOpenStateEnabled": enabled,
        });
        document
    };
    let gate = Gate::setup()
        .api(classic("half", false))
        .api(classic("all", true))
        .oas(half("oashalf", true))
        .oas(half("oasall", false))
        .start()
        .await;
    let apis = [("half", false), ("all", true), ("oashalf", false), ("oasall", true)];
    for (id, _) in apis {
        for _ in 0..2 {
            assert_eq!(status(&gate, &format!("/{id}/status/500"), &[]).await, 500, "{id}");
        }
        assert_eq!(status(&gate, &format!("/{id}/slow/1"), &[]).await, 503, "{id}: it has tripped");
    }
    // Their time to cool down is over by the clock: nothing else tells of that without being a try.
    tokio::time::sleep(COOLED).await;
    for (id, both) in apis {
        // Two at once: where there is a half-open state one of them is let through to see.
        let path = format!("/{id}/slow/700");
        let (one, other) = tokio::join!(gate.get(&path, &[]), gate.get(&path, &[]));
        let mut found = [one.status, other.status];
        found.sort_unstable();
        assert_eq!(found, if both { [200, 200] } else { [200, 503] }, "{id}");
    }
}

#[tokio::test]
async fn c3_2_row_34_paths_of_lists_may_be_written_in_either_case() {
    let upstream = Upstream::start().await;
    let mut document = operations(
        "lists",
        &upstream.url(""),
        json!({
            "open": {"allow": {"enabled": true, "ignoreCase": true}},
            "exact": {"allow": {"enabled": true}},
            "free": {"ignoreAuthentication": {"enabled": true, "ignoreCase": true}, "allow": {"enabled": true, "ignoreCase": true}},
            "bare": {"ignoreAuthentication": {"enabled": true}, "allow": {"enabled": true, "ignoreCase": true}},
        }),
    );
    part(&mut document)["server"]["authentication"] = json!({"enabled": true, "securitySchemes": {
        "token": {"enabled": true, "header": {"enabled": true, "name": "Authorization"}},
    }});
    document["components"] =
        json!({"securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "Authorization"}}});
    document["security"] = json!([{"token": []}]);
    let gate = Gate::setup().oas(document).start().await;
    let key = gate.admin().post("/keys", &e2e::definition::session(&["lists"])).await.json()["key"]
        .as_str()
        .unwrap()
        .to_owned();
    let shown = format!("Authorization: {key}");
    for (path, keyed, keyless) in [
        ("open", 200, 401),
        ("OPEN", 200, 401),
        ("exact", 200, 401),
        ("EXACT", 403, 403),
        ("other", 403, 403),
        ("free", 200, 200),
        ("FREE", 200, 200),
        ("bare", 200, 200),
        ("BARE", 200, 401),
    ] {
        let path = format!("/lists/{path}");
        assert_eq!(status(&gate, &path, &["-H", &shown]).await, keyed, "{path} with a key");
        assert_eq!(status(&gate, &path, &[]).await, keyless, "{path} without one");
    }
}

#[tokio::test]
async fn c3_2_row_44_a_function_that_fails_is_gone_past_where_that_is_asked_for() {
    let upstream = Upstream::start().await;
    let fails = code("function fails() { throw new Error('inside'); }");
    let function = |proxy: bool| json!({"virtualEndpoint": {"enabled": true, "functionName": "fails", "body": fails, "proxyOnError": proxy}});
    let document =
        operations("v", &upstream.url(""), json!({"past": function(true), "stays": function(false)}));
    let gate = Gate::setup().conf(json!({"enable_jsvm": true})).oas(document).start().await;
    assert_eq!(status(&gate, "/v/past", &[]).await, 200, "{}", gate.log());
    assert_eq!(status(&gate, "/v/stays", &[]).await, 500);
}

#[tokio::test]
async fn c3_3_row_10_ids_in_documents_are_found_by_xpath() {
    let upstream = Upstream::start().await;
    let mut document = oas("ids", &upstream.url(""));
    part(&mut document)["middleware"]["global"]["pluginConfig"] = json!({"driver": "javascript"});
    let who = code(
        "function who(request, session) { log('asked'); session.id_extractor_deadline = Math.floor(Date.now() / 1000) + 3600; return {Request: request, Session: session}; }",
    );
    part(&mut document)["server"]["authentication"] = json!({"enabled": true, "custom": {"enabled": true, "config": {
        "enabled": true, "functionName": "who", "code": who,
        "idExtractor": {"enabled": true, "source": "body", "with": "xpath", "config": {"xPathExp": "/order/@by"}},
    }}});
    let gate = Gate::setup().conf(json!({"enable_jsvm": true})).oas(document).start().await;
    let asked = || gate.log().matches("asked").count();
    for (by, calls) in [("ann", 1), ("ann", 1), ("bob", 2)] {
        let body = format!("<order by='{by}'><n>1</n></order>");
        let reply = gate
            .get("/ids/x", &["-H", "Authorization: any", "-H", "Content-Type: text/xml", "-d", &body])
            .await;
        assert_eq!(reply.status, 200, "{} {}", reply.text(), gate.log());
        until("the log tells of the call", async || asked() >= calls).await;
        assert_eq!(asked(), calls, "{by}");
    }
}

#[tokio::test]
async fn c2_6_row_5_hooks_that_want_bytes_alone_get_no_text_in_both_formats() {
    let upstream = Upstream::start().await;
    let file = "from tyk.decorators import *\n\
        def told(message):\n    return '%s:%d' % (message.body, len(message.raw_body))\n\
        @Hook\ndef before(request, session, spec):\n    request.object.set_headers['X-Before'] = told(request.object)\n    return request, session\n\
        @Hook\ndef who(request, session, metadata, spec):\n    metadata['token'] = 'a'\n    request.object.set_headers['X-Who'] = told(request.object)\n    return request, session, metadata\n\
        @Hook\ndef after(request, session, spec):\n    request.object.set_headers['X-After'] = told(request.object)\n    return request, session\n\
        @Hook\ndef last(request, session, spec):\n    request.object.set_headers['X-Last'] = told(request.object)\n    return request, session\n\
        @Hook\ndef answer(request, response, session, metadata, spec):\n    response.headers['X-Text'] = str(len(response.body))\n    response.headers['X-Raw'] = str(len(response.raw_body))\n    return response\n";
    let classic = |id: &str, raw: bool| {
        let hook = |name: &str| json!({"name": name, "path": "hooks.py", "raw_body_only": raw});
        let mut api = keyless(id, &upstream.url(""));
        api["use_keyless"] = json!(false);
        api["custom_plugin_auth_enabled"] = json!(true);
        api["custom_middleware"] = json!({"driver": "python", "pre": [hook("before")], "auth_check": hook("who"),
            "post_key_auth": [hook("after")], "post": [hook("last")], "response": [hook("answer")]});
        api
    };
    let described = |id: &str, raw: bool| {
        let hook = |name: &str| json!({"enabled": true, "functionName": name, "path": "hooks.py", "rawBodyOnly": raw});
        let mut document = oas(id, &upstream.url(""));
        part(&mut document)["server"]["authentication"] =
            json!({"enabled": true, "custom": {"enabled": true, "config": hook("who")}});
        part(&mut document)["middleware"]["global"] = json!({"pluginConfig": {"driver": "python"},
            "prePlugins": [hook("before")], "postAuthenticationPlugins": [hook("after")],
            "postPlugins": [hook("last")], "responsePlugins": [hook("answer")]});
        document
    };
    let gate = Gate::setup()
        .conf(json!({"coprocess_options": {"enable_coprocess": true}}))
        .file("middleware/hooks.py", file)
        .api(classic("raw", true))
        .api(classic("text", false))
        .oas(described("oasraw", true))
        .oas(described("oastext", false))
        .start()
        .await;
    for (id, raw) in [("raw", true), ("text", false), ("oasraw", true), ("oastext", false)] {
        let reply = gate.get(&format!("/{id}/x"), &["-d", "four"]).await;
        assert_eq!(reply.status, 200, "{id}: {} {}", reply.text(), gate.log());
        let echo = reply.json();
        for name in ["x-before", "x-who", "x-after", "x-last"] {
            assert_eq!(echo["headers"][name][0], if raw { ":4" } else { "four:4" }, "{id} {name}");
        }
        let length = reply.text().len().to_string();
        assert_eq!(reply.header("x-raw").as_deref(), Some(&*length), "{id}");
        assert_eq!(reply.header("x-text").as_deref(), Some(if raw { "0" } else { &*length }), "{id}");
    }
}

#[tokio::test]
async fn c3_2_rows_11_and_13_tls_and_signatures_towards_upstreams_are_as_documents_want_them() {
    let (upstream, authority) = (Upstream::start().await, Authority::new());
    let port = front(&upstream.authority(), &authority.sign(&["localhost"]), None).await;
    let tls = |id: &str, transport: Value| {
        let mut document = oas(id, &format!("https://localhost:{port}"));
        part(&mut document)["upstream"]["tlsTransport"] = transport;
        document
    };
    let chacha = json!(["TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"]);
    let rsa_only = json!(["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]);
    let mut signs = oas("signs", &upstream.url(""));
    part(&mut signs)["upstream"]["authentication"] = json!({"enabled": true, "requestSigning": {
        "enabled": true, "signatureHeader": "X-Signature", "algorithm": "hmac-sha256", "keyId": "gate",
        "headers": ["x-one", "host"], "secret": "s3cret",
    }});
    let mut cannot = oas("cannot", &upstream.url(""));
    part(&mut cannot)["upstream"]["authentication"] = json!({"enabled": true, "requestSigning": {
        "enabled": true, "algorithm": "rsa-sha256", "keyId": "gate", "certificateId": "gone.pem",
    }});
    let gate = Gate::setup()
        .oas(tls("any", json!({"insecureSkipVerify": true})))
        .oas(tls("unknown", json!({})))
        .oas(tls("old", json!({"insecureSkipVerify": true, "maxVersion": "1.2", "ciphers": chacha})))
        .oas(tls("none", json!({"insecureSkipVerify": true, "maxVersion": "1.2", "ciphers": rsa_only})))
        .oas(tls("new", json!({"insecureSkipVerify": true, "minVersion": "1.3", "ciphers": rsa_only})))
        .oas(tls("name", json!({"insecureSkipVerify": true, "forceCommonNameCheck": true})))
        .oas(signs)
        .oas(cannot)
        .start()
        .await;
    for (id, expected) in [
        ("any", 200),
        ("unknown", 500),
        ("old", 200),
        ("none", 500),
        ("new", 200),
        ("name", 500),
        ("cannot", 500),
    ] {
        assert_eq!(status(&gate, &format!("/{id}/x"), &[]).await, expected, "{id}: {}", gate.log());
    }
    let echo = gate.get("/signs/x", &["-H", "X-One: 1"]).await.json();
    let field = echo["headers"]["x-signature"][0].as_str().unwrap();
    for told in ["keyId=\"gate\"", "algorithm=\"hmac-sha256\"", "headers=\"x-one host date\""] {
        assert!(field.contains(told), "{field}");
    }
}

#[tokio::test]
async fn c3_2_row_21_handlers_of_events_have_words_templates_and_pauses_of_their_own() {
    let receiver = Spoken::start(|_| (200, String::new())).await;
    let mut document = oas("e", "http://127.0.0.1:1");
    part(&mut document)["server"]["authentication"] = json!({"enabled": true, "securitySchemes": {
        "token": {"enabled": true, "header": {"enabled": true, "name": "Authorization"}},
    }});
    document["components"] =
        json!({"securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "Authorization"}}});
    document["security"] = json!([{"token": []}]);
    let hook = |path: &str, pause: &str| {
        json!({"enabled": true, "trigger": "AuthFailure", "type": "webhook", "name": path, "url": receiver.url(path),
            "method": "POST", "cooldownPeriod": pause, "bodyTemplate": "templates/told.json"})
    };
    part(&mut document)["server"]["eventHandlers"] = json!([
        {"enabled": true, "trigger": "AuthFailure", "type": "log", "logPrefix": "LISTEN"},
        hook("/once", "1h"),
        hook("/each", "0s"),
    ]);
    let gate =
        Gate::setup().file("templates/told.json", r#"{"told": "{{.Type}}"}"#).oas(document).start().await;
    for _ in 0..3 {
        assert_eq!(status(&gate, "/e/x", &["-H", "Authorization: nobody"]).await, 403);
    }
    let asked =
        |path: &str| receiver.asked().iter().filter(|request| request.contains(&format!(" {path} "))).count();
    until("each is told", async || asked("/each") == 3).await;
    assert_eq!(asked("/once"), 1, "{:?}", receiver.asked());
    assert!(
        receiver.asked().iter().all(|request| request.contains(r#"{"told": "AuthFailure"}"#)),
        "{:?}",
        receiver.asked()
    );
    assert!(gate.log().contains("LISTEN:AuthFailure"), "{}", gate.log());
}

#[tokio::test]
async fn what_operations_of_graphql_may_nest_is_bounded() {
    let upstream = Spoken::start(|_| (200, r#"{"data":{}}"#.to_owned())).await;
    let mut api = keyless("g", &upstream.url("/graphql"));
    let schema = "type Query { a: A } type A { a: A b: Int }";
    api["graphql"] =
        json!({"enabled": true, "execution_mode": "proxyOnly", "version": "2", "schema": schema});
    api["x-sluicegate"] = json!({"graphql": {"limits": {"nesting": 3}}});
    let gate = Gate::setup().api(api).start().await;
    for (query, expected) in [("{ a { b } }", 200), ("{ a { a { a { b } } } }", 400)] {
        let body = json!({"query": query}).to_string();
        let reply = gate.get("/g/", &["-H", "Content-Type: application/json", "-d", &body]).await;
        assert_eq!(reply.status, expected, "{query}: {} {}", reply.text(), gate.log());
    }
}
