//! Header fields and methods that are changed on the way, and what can be named in their values (contract 4.4 rows 12, 35 and
//! 37, 4.5, 4.6, 8.3, 8.9, 8.10).

use e2e::definition::{keyed, keyless, oas, session};
use e2e::{Gate, Reply, Upstream};
use serde_json::{Value, json};

const VERSION: &str = "/version_data/versions/Default";

/// A classic API whose version says this, too.
fn versioned(mut api: Value, more: Value) -> Value {
    let version = api.pointer_mut(VERSION).and_then(Value::as_object_mut).unwrap();
    version.extend(more.as_object().unwrap().clone());
    api["enable_context_vars"] = json!(true);
    api
}

/// What reached the upstream of a field.
fn sent(reply: &Reply, name: &str) -> Value {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["headers"][name].clone()
}

/// The same changes in both formats: of all requests and answers, and of those to `GET /users/{id}`.
fn both(upstream: &Upstream) -> [Value; 2] {
    let of_all = json!({"X-All": "all", "X-Both": "from all", "X-Request": "$tyk_context.request_id"});
    let of_path = json!({"X-Path": "of $tyk_context.path", "X-Both": "from path"});
    let classic = versioned(
        keyless("classic", &upstream.url("")),
        json!({
            "global_headers": of_all,
            "global_headers_remove": ["X-Gone", "user-agent"],
            "global_response_headers": {"X-Both": "from all", "X-Request": "$tyk_context.request_id", "Server": "gate"},
            "global_response_headers_remove": ["X-Upstream"],
            "extended_paths": {
                "transform_headers": [
                    {"path": "/users/{id}", "method": "GET", "add_headers": of_path, "delete_headers": ["X-All"]},
                    {"path": "/users", "method": "GET", "add_headers": {"X-Path": "second"}},
                    {"path": "/off", "method": "GET", "disabled": true, "add_headers": {"X-Path": "off"}},
                ],
                "transform_response_headers": [
                    {"path": "/users/{id}", "method": "GET", "act_on": false,
                        "add_headers": {"X-Both": "from path", "X-Path": "$tyk_context.headers_X_Who"}},
                ],
            },
        }),
    );
    let list = |object: &Value| -> Value {
        let entries = object.as_object().unwrap().iter();
        entries.map(|(name, value)| json!({"name": name, "value": value})).collect()
    };
    let mut described = oas("described", &upstream.url(""));
    described["paths"] = json!({"/users/{id}": {"get": {"operationId": "user"}}});
    described["x-tyk-api-gateway"]["middleware"] = json!({
        "global": {
            "contextVariables": {"enabled": true},
            "transformRequestHeaders": {"enabled": true, "add": list(&of_all), "remove": ["X-Gone", "user-agent"]},
            "transformResponseHeaders": {"enabled": true, "remove": ["X-Upstream"],
                "add": list(&json!({"X-Both": "from all", "X-Request": "$tyk_context.request_id", "Server": "gate"}))},
        },
        "operations": {"user": {
            "transformRequestHeaders": {"enabled": true, "add": list(&of_path), "remove": ["X-All"]},
            "transformResponseHeaders": {"enabled": true,
                "add": list(&json!({"X-Both": "from path", "X-Path": "$tyk_context.headers_X_Who"}))},
        }},
    });
    [classic, described]
}

#[tokio::test]
async fn c8_3_row_8_fields_of_requests_and_answers_are_changed() {
    let upstream = Upstream::start().await;
    let [classic, described] = both(&upstream);
    let gate = Gate::setup().api(classic).oas(described).start().await;
    for api in ["classic", "described"] {
        let arguments = ["-H", "X-Gone: 1", "-H", "X-Kept: 1", "-H", "X-Both: client", "-H", "X-Who: me"];
        let reply = gate.get(&format!("/{api}/users/7"), &arguments).await;
        let id = sent(&reply, "x-request")[0].as_str().unwrap().to_owned();
        for (name, value) in [
            ("x-gone", Value::Null),
            ("x-kept", json!(["1"])),
            // All of them come before those of the path, which takes some away again.
            ("x-all", Value::Null),
            ("x-both", json!(["from path"])),
            ("x-path", json!([format!("of /{api}/users/7")])),
        ] {
            assert_eq!(sent(&reply, name), value, "{api}: {name}");
        }
        assert!(sent(&reply, "user-agent")[0].as_str().unwrap().starts_with("Sluicegate/"), "{api}");
        for (name, value) in [
            ("x-upstream", None),
            // For answers, all of them come last.
            ("x-both", Some("from all")),
            ("x-path", Some("me")),
            ("server", Some("gate")),
            // One request has one id, on both ways.
            ("x-request", Some(&*id)),
        ] {
            assert_eq!(reply.header(name).as_deref(), value, "{api}: {name}");
        }
        let other = gate.get(&format!("/{api}/other"), &[]).await;
        assert_eq!(sent(&other, "x-all"), json!(["all"]), "{api}");
        assert_eq!(sent(&other, "x-path"), Value::Null, "{api}");
        assert_eq!(other.header("x-path"), None, "{api}");
        assert_ne!(sent(&other, "x-request")[0], json!(id), "{api}");
        let post = gate.get(&format!("/{api}/users/7"), &["-X", "POST"]).await;
        assert_eq!(sent(&post, "x-path"), Value::Null, "{api}: another method");
    }
}

#[tokio::test]
async fn c8_9_rows_1_2_5_what_is_known_of_a_request_has_names() {
    let upstream = Upstream::start().await;
    let names = [
        ("path", "/named/a/b"),
        ("path_parts", "named,a,b"),
        ("remote_addr", "9.9.9.9"),
        ("headers_X_Team", "blue"),
        ("headers_x_team", "blue"),
        ("headers_X_None", ""),
        ("cookies_my_id", "c1"),
        ("request_data", "a-b:1,2;c:x y"),
        ("request_data_a_b", "1,2"),
        ("request_data_none", ""),
        ("tyk_trace_id", "0af7651916cd43dd8448eb211c80319c"),
        ("none", ""),
    ];
    let add: serde_json::Map<String, Value> = names
        .iter()
        .enumerate()
        .map(|(number, (name, _))| (format!("X-N{number}"), json!(format!("<$tyk_context.{name}>"))))
        .collect();
    let off = |id: &str| {
        let mut api = versioned(
            keyless(id, &upstream.url("")),
            json!({"global_headers": {"X-Path": "<$tyk_context.path>", "X-Other": "<${tyk_context.path:none}>"}}),
        );
        api["enable_context_vars"] = json!(false);
        api
    };
    let gate = Gate::setup()
        .api(versioned(keyless("named", &upstream.url("")), json!({"global_headers": add})))
        .api(off("off"))
        .start()
        .await;
    let arguments = [
        "-H",
        "X-Real-IP: 9.9.9.9",
        "-H",
        "X-Team: blue",
        "-H",
        "Cookie: other=1; my-id=c1",
        "-H",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ];
    let reply = gate.get("/named/a/b?a-b=1&a-b=2&c=x%20y", &arguments).await;
    for (number, (name, value)) in names.iter().enumerate() {
        let told = sent(&reply, &format!("x-n{number}"));
        assert_eq!(told, json!([format!("<{value}>")]), "{name}");
    }
    // A form in a body counts, too, and still goes on.
    let reply = gate.get("/named/a?c=3", &[&arguments[..], &["-d", "a-b=1&c=2"]].concat()).await;
    assert_eq!(sent(&reply, "x-n7"), json!(["<a-b:1;c:2,3>"]));
    assert_eq!(reply.json()["body"], "a-b=1&c=2");
    // Switched off there is nothing to be named.
    let reply = gate.get("/off/a", &[]).await;
    assert_eq!(sent(&reply, "x-path"), json!(["<>"]));
    assert_eq!(sent(&reply, "x-other"), json!(["<none>"]));
}

#[tokio::test]
async fn c8_10_row_2_callers_and_secrets_are_named() {
    let upstream = Upstream::start().await;
    let mut api = versioned(
        keyed("k", &upstream.url("")),
        json!({"global_headers": {
            "X-Team": "$tyk_meta.team", "X-None": "[$tyk_meta.none]", "X-Secret": "$secret_conf.word $secret_env.salt",
            "X-Auth": "$tyk_context.headers_Authorization", "X-Token": "$tyk_context.token",
            "X-Quota": "$tyk_context.quota_limit/$tyk_context.quota_remaining",
            "X-Rate": "$tyk_context.rate_limit_limit/$tyk_context.rate_limit_remaining",
        }}),
    );
    api["strip_auth_data"] = json!(true);
    let gate = Gate::setup()
        .conf(json!({"secrets": {"word": "w$tyk_meta.team"}}))
        .env("TYK_SECRET_SALT", "salt")
        .api(api)
        .start()
        .await;
    let mut caller = session(&["k"]);
    caller["meta_data"] = json!({"team": "blue $tyk_context.path"});
    (caller["rate"], caller["per"]) = (json!(10), json!(60));
    (caller["quota_max"], caller["quota_renewal_rate"]) = (json!(100), json!(3600));
    let key = gate.admin().key(&caller).await;
    let reply = gate.get("/k/x", &["-H", &format!("Authorization: {key}")]).await;
    for (name, value) in [
        // What a value holds is no name.
        ("x-team", "blue $tyk_context.path"),
        ("x-none", "[]"),
        ("x-secret", "w$tyk_meta.team salt"),
        // As it came, though it is taken off before.
        ("x-auth", &*key),
        ("x-token", &*key),
        ("x-quota", "100/99"),
        ("x-rate", "10/9"),
    ] {
        assert_eq!(sent(&reply, name), json!([value]), "{name}");
    }
    assert_eq!(sent(&reply, "authorization"), Value::Null);
}

#[tokio::test]
async fn what_a_stranger_sends_makes_no_field() {
    let upstream = Upstream::start().await;
    let api = versioned(
        keyless("a", &upstream.url("")),
        json!({
            "global_headers": {"X-In": "$tyk_context.request_data_v"},
            "global_response_headers": {"X-Out": "$tyk_context.request_data_v"},
        }),
    );
    let gate = Gate::setup().api(api).start().await;
    for (value, told) in [
        ("a%0d%0aX-Evil:%201", "a  X-Evil: 1"),
        ("%0aSet-Cookie:x", "Set-Cookie:x"),
        ("a%00b", "a b"),
        ("%C3%A9", "é"),
    ] {
        let reply = gate.get(&format!("/a/x?v={value}"), &[]).await;
        assert_eq!(sent(&reply, "x-in"), json!([told]), "{value}");
        assert_eq!(reply.header("x-out").as_deref(), Some(told), "{value}");
        for name in ["x-evil", "set-cookie"] {
            assert_eq!((sent(&reply, name), reply.header(name)), (Value::Null, None), "{value}");
        }
    }
}

#[tokio::test]
async fn c4_6_row_9_an_address_that_is_removed_is_not_told() {
    let upstream = Upstream::start().await;
    let api = versioned(
        keyless("a", &upstream.url("")),
        json!({
            "extended_paths": {"transform_headers": [
                {"path": "/hidden", "method": "GET", "delete_headers": ["X-Forwarded-For"], "add_headers": {}},
            ]},
            // Where a message ends is no matter of definitions.
            "global_headers": {"Content-Length": "3", "Transfer-Encoding": "chunked", "Connection": "x-a", "X-A": "1"},
            "global_response_headers": {"Content-Length": "3", "Connection": "close"},
        }),
    );
    let gate = Gate::setup().api(api).start().await;
    let from = ["-H", "X-Forwarded-For: 1.1.1.1"];
    assert_eq!(sent(&gate.get("/a/hidden", &from).await, "x-forwarded-for"), Value::Null);
    let reply = gate.get("/a/x", &[&from[..], &["-d", "four"]].concat()).await;
    assert_eq!(sent(&reply, "x-forwarded-for"), json!(["1.1.1.1, 127.0.0.1"]));
    assert_eq!(sent(&reply, "content-length"), json!(["4"]));
    assert_eq!(sent(&reply, "x-a"), json!(["1"]));
    assert_eq!(reply.json()["body"], "four");
}

#[tokio::test]
async fn c4_5_row_2_an_injector_comes_last() {
    let upstream = Upstream::start().await;
    let mut api = versioned(
        keyless("a", &upstream.url("")),
        json!({"global_response_headers": {"X-One": "version", "X-Two": "version"}}),
    );
    api["response_processors"] = json!([
        {"name": "response_body_transform", "options": {}},
        {"name": "header_injector", "options": {"add_headers": {"X-Two": "injected"}, "remove_headers": ["X-Upstream"]}},
    ]);
    let gate = Gate::setup().api(api).start().await;
    let reply = gate.get("/a/x", &[]).await;
    for (name, value) in [("x-one", Some("version")), ("x-two", Some("injected")), ("x-upstream", None)] {
        assert_eq!(reply.header(name).as_deref(), value, "{name}");
    }
}

#[tokio::test]
async fn c4_4_row_37_methods_are_changed() {
    let upstream = Upstream::start().await;
    let methods = json!([
        {"path": "/up", "method": "GET", "to_method": "post"},
        {"path": "/down", "method": "POST", "to_method": "GET"},
        {"path": "/head", "method": "HEAD", "to_method": "GET"},
        {"path": "/none", "method": "GET", "to_method": "HEAD"},
    ]);
    let api = versioned(
        keyless("a", &upstream.url("")),
        json!({"extended_paths": {
            "method_transforms": methods,
            // What follows finds it by the method that was asked with.
            "transform_response_headers": [{"path": "/up", "method": "GET", "add_headers": {"X-Found": "yes"}}],
        }}),
    );
    let mut described = oas("o", &upstream.url(""));
    described["paths"] = json!({"/up": {"get": {"operationId": "up"}}});
    described["x-tyk-api-gateway"]["middleware"] =
        json!({"operations": {"up": {"transformRequestMethod": {"enabled": true, "toMethod": "PUT"}}}});
    let gate = Gate::setup().api(api).oas(described).start().await;
    let reply = gate.get("/a/up", &[]).await;
    assert_eq!(
        (reply.json()["method"].clone(), reply.header("x-found").as_deref()),
        (json!("POST"), Some("yes"))
    );
    assert_eq!(sent(&reply, "content-length"), json!(["0"]));
    let reply = gate.get("/a/down", &["-d", "body"]).await;
    assert_eq!((&reply.json()["method"], &reply.json()["body"]), (&json!("GET"), &json!("body")));
    let reply = gate.get("/a/head", &["-I"]).await;
    assert_eq!((reply.status, reply.body.len(), reply.exit), (200, 0, 0), "{reply:?}");
    let reply = gate.get("/a/none", &[]).await;
    assert_eq!((reply.status, reply.json()["error"].clone()), (405, json!("Method not allowed")));
    assert_eq!(gate.get("/a/other", &[]).await.json()["method"], "GET");
    assert_eq!(gate.get("/o/up", &[]).await.json()["method"], "PUT");
}
