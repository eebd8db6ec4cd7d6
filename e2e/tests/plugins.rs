//! The code of users on the way (contract 9): the examples as they are shipped, and what users do beyond them.

use std::fs;
use std::path::Path;

use e2e::definition::{keyed, keyless, oas, session};
use e2e::{Dispatcher, Gate, Upstream};
use serde_json::{Value, json};

fn example(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/plugins/javascript");
    fs::read_to_string(folder.join(name)).unwrap()
}

fn with(mut api: Value, more: Value) -> Value {
    api.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    api
}

fn scripts(hooks: Value) -> Value {
    let mut middleware = json!({"driver": "javascript"});
    middleware.as_object_mut().unwrap().extend(hooks.as_object().unwrap().clone());
    json!({"custom_middleware": middleware})
}

fn code(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// What reached the upstream, as its echo tells it.
fn header(echo: &Value, name: &str) -> Value {
    echo["headers"][name][0].clone()
}

#[tokio::test]
async fn c9_2_rows_1_2_5_6_the_examples_do_what_they_say() {
    let upstream = Upstream::start().await;
    let target = upstream.url("");
    let mut guarded = with(
        keyless("auth", &target),
        scripts(json!({
            "auth_check": {"name": "auth", "path": "middleware/auth.js"},
            "post": [{"name": "onRequest", "path": "middleware/modern.mjs", "require_session": true}],
            "response": [{"name": "onResponse", "path": "middleware/modern.mjs"}],
        })),
    );
    guarded["use_keyless"] = json!(false);
    guarded["custom_plugin_auth_enabled"] = json!(true);
    guarded["custom_middleware"]["pre"] =
        json!([{"name": "stamp", "path": "middleware/stamp.mjs", "disabled": true}]);
    let gate = Gate::setup()
        .conf(json!({"enable_jsvm": true}))
        .file("middleware/headers.js", &example("headers.js"))
        .file("middleware/auth.js", &example("auth.js"))
        .file("middleware/modern.mjs", &example("modern.mjs"))
        .file("middleware/stamp.mjs", &example("stamp.mjs"))
        .api(with(
            with(
                keyless("headers", &target),
                scripts(json!({"pre": [{"name": "headers", "path": "headers.js"}]})),
            ),
            json!({"config_data": {"region": "south"}}),
        ))
        .api(guarded)
        .start()
        .await;

    let reply = gate.get("/headers/x", &["-H", "X-Internal: 1"]).await;
    assert_eq!(reply.status, 200, "{}", gate.log());
    let echo = reply.json();
    assert_eq!((header(&echo, "x-region"), &echo["headers"]["x-internal"]), (json!("south"), &Value::Null));
    let reply = gate.get("/headers/teapot", &[]).await;
    assert_eq!((reply.status, reply.json()), (418, json!({"error": "this gate brews no tea"})));
    assert_eq!(reply.header("content-type").as_deref(), Some("application/json"));

    let reply = gate.get("/auth/x", &["-H", "Authorization: enemy"]).await;
    assert_eq!((reply.status, reply.json()["error"].as_str()), (401, Some("friends only")));
    for left in (0..5).rev() {
        let reply = gate.get("/auth/x", &["-H", "Authorization: friend-ann"]).await;
        assert_eq!(reply.status, 200, "{left} left: {}", reply.text());
        assert_eq!(header(&reply.json(), "x-stamp"), "ann@gate");
        assert_eq!(reply.header("x-length"), Some(reply.text().len().to_string()));
        assert_eq!(reply.header("server"), None);
    }
    assert_eq!(gate.get("/auth/x", &["-H", "Authorization: friend-ann"]).await.status, 429);
    assert_eq!(gate.get("/auth/x", &["-H", "Authorization: friend-bob"]).await.status, 200);
}

#[tokio::test]
async fn c9_1_rows_1_3_4_5_hooks_run_in_their_places_and_see_what_came_before() {
    let upstream = Upstream::start().await;
    let target = upstream.url("");
    let script = r#"
        function note(request, session) {
            var trail = (request.Headers["Trail"] || [""])[0];
            request.SetHeaders["Trail"] = trail + (session.alias || "-");
        }
        function pre(request, session) {
            request.SetHeaders["Authorization"] = (request.Headers["X-Key"] || [""])[0];
            note(request, session);
        }
        function body(request) {
            request.Body = JSON.stringify({was: JSON.parse(request.Body)});
            request.URL = "/hooks/other?kept=1";
            request.AddParams.added = "a b";
            request.DeleteParams.push("kept");
            request.Method = "PUT";
        }
        function response(response, request) {
            response.Body = response.Body.toUpperCase();
            response.SetHeaders["X-Seen"] = request.Method + response.StatusCode;
            response.StatusCode = 203;
        }"#;
    let plugin = |name: &str| json!({"name": name, "code": code(script), "require_session": true});
    let hooks = scripts(json!({
        "pre": [plugin("pre")], "post_key_auth": [plugin("note")], "post": [plugin("note"), plugin("body")],
        "response": [plugin("response")],
    }));
    let gate = Gate::setup()
        .conf(json!({"enable_jsvm": true}))
        .api(with(keyed("hooks", &target), hooks))
        .start()
        .await;
    let mut ann = session(&["hooks"]);
    ann["alias"] = json!("ann");
    let key = gate.admin().key(&ann).await;
    let key = format!("X-Key: {key}");
    let reply = gate.get("/hooks/x?kept=1", &["-H", &key, "-d", r#"{"a":"b"}"#]).await;
    assert_eq!(reply.status, 203, "{} {}", reply.text(), gate.log());
    assert_eq!(reply.header("x-seen").as_deref(), Some("PUT200"));
    let text = reply.text();
    assert!(text.contains(r#""TRAIL":["-ANNANN"]"#), "{text}");
    assert!(text.contains(r#"/OTHER?ADDED=A%20B"#) || text.contains("/OTHER?ADDED=A+B"), "{text}");
    assert!(text.contains(r#"{\"WAS\":{\"A\":\"B\"}}"#), "{text}");
    assert_eq!(gate.get("/hooks/x", &["-d", "{}"]).await.status, 401);
}

#[tokio::test]
async fn c9_2_the_oas_form_and_files_that_change() {
    let upstream = Upstream::start().await;
    let target = upstream.url("");
    let mut described = oas("described", &target);
    described["x-tyk-api-gateway"]["middleware"] = json!({"global": {
        "pluginConfig": {"driver": "javascript", "data": {"enabled": true, "value": {"region": "west"}}},
        "prePlugins": [{"enabled": true, "functionName": "headers", "path": "headers.js"},
            {"enabled": false, "functionName": "none", "path": "none.js"}],
    }});
    let gate = Gate::setup()
        .conf(json!({"enable_jsvm": true}))
        .file("middleware/headers.js", &example("headers.js"))
        .oas(described)
        .start()
        .await;
    assert_eq!(header(&gate.get("/described/x", &[]).await.json(), "x-region"), "west");

    // A file that is another one is taken at the next reload.
    gate.write("middleware/headers.js", &example("headers.js").replace("X-Region", "X-Place"));
    gate.admin().reload().await;
    assert_eq!(header(&gate.get("/described/x", &[]).await.json(), "x-place"), "west");
    // One that cannot be used leaves what runs.
    gate.write("middleware/headers.js", "var headers = ;");
    gate.admin().reload().await;
    assert_eq!(header(&gate.get("/described/x", &[]).await.json(), "x-place"), "west");
}

#[tokio::test]
async fn c4_5_row_3_what_fails_costs_its_own_request_and_is_told_to_operators_alone() {
    let upstream = Upstream::start().await;
    let target = upstream.url("");
    let script = r#"
        function bad(request) {
            if (request.URL.indexOf("throw") > 0) throw new Error("the secret reason");
            if (request.URL.indexOf("hang") > 0) for (;;) {}
        }
        function after(response) { throw new Error("the other reason"); }"#;
    let plugin = |name: &str| json!([{"name": name, "code": code(script)}]);
    let gate = Gate::setup()
        .conf(json!({"enable_jsvm": true, "jsvm_timeout": 1}))
        .api(with(keyless("bad", &target), scripts(json!({"pre": plugin("bad")}))))
        .api(with(keyless("after", &target), scripts(json!({"response": plugin("after")}))))
        .start()
        .await;
    for (path, told, logged) in [
        ("/bad/throw", "Internal Server Error", "the secret reason"),
        ("/bad/hang", "Internal Server Error", "longer than 1s"),
        ("/after/x", "Middleware error", "the other reason"),
    ] {
        let (reply, other) = tokio::join!(gate.get(path, &[]), gate.get("/bad/fine", &[]));
        assert_eq!((reply.status, reply.json()["error"].as_str()), (500, Some(told)), "{path}");
        assert_eq!(other.status, 200, "beside {path}");
        // One line a second is told aloud.
        e2e::until("it is logged", async || {
            drop(gate.get(path, &[]).await);
            gate.log().contains(logged)
        })
        .await;
    }
}

#[tokio::test]
async fn c9_2_row_7_scripts_ask_the_gate_for_sessions_texts_and_requests() {
    let upstream = Upstream::start().await;
    let target = upstream.url("");
    let script = format!(
        r#"
        function ask(request, session, spec) {{
            var key = request.Headers["X-Key"][0];
            var found = JSON.parse(TykGetKeyData(key, spec.APIID));
            found.alias = "renamed";
            TykSetKeyData(key, JSON.stringify(found), 1);
            var again = JSON.parse(TykGetKeyData(key, spec.APIID));
            var answer = JSON.parse(TykMakeHttpRequest(JSON.stringify({{
                Method: "POST", Domain: "{target}", Resource: "/asked", Headers: {{"X-From": "script"}}, FormData: {{"a": "b c"}}
            }})));
            var echo = JSON.parse(answer.Body);
            TykStorageDel("n");
            request.SetHeaders["X-Out"] = JSON.stringify([again.alias, answer.Code, echo.method, echo.path, echo.body,
                echo.headers["x-from"][0], TykStorageIncr("n"), TykStorageIncr("n", 2), TykStorageGet("n"),
                JSON.parse(TykGetKeyData("unknown", "")).status]);
        }}"#
    );
    let hooks = scripts(json!({"pre": [{"name": "ask", "code": code(&script)}]}));
    let gate = Gate::setup()
        .conf(json!({"enable_jsvm": true}))
        .api(with(keyless("ask", &target), hooks))
        .start()
        .await;
    let key = gate.admin().key(&session(&["ask"])).await;
    let reply = gate.get("/ask/x", &["-H", &format!("X-Key: {key}")]).await;
    assert_eq!(reply.status, 200, "{}", gate.log());
    let out = header(&reply.json(), "x-out");
    let out: Value = serde_json::from_str(out.as_str().unwrap()).unwrap();
    assert_eq!(out, json!(["renamed", 200, "POST", "/asked", "a=b%20c", "script", 1, 3, "3", "error"]));
    let stored = gate.admin().get(&format!("/keys/{key}")).await.json();
    assert_eq!(stored["alias"], "renamed");
}

#[tokio::test]
async fn definitions_whose_plugins_cannot_run_are_refused_at_their_place() {
    let gate = Gate::setup()
        .conf(json!({"enable_jsvm": true}))
        .file("middleware/a.js", "var a = 1;\nvar b = ;")
        .start()
        .await;
    let hook = |hook: Value| scripts(json!({"pre": [hook]}));
    for (more, pointer, text) in [
        (hook(json!({"name": "a", "path": "a.js"})), "/custom_middleware/pre/0", "a.js:2"),
        (hook(json!({"name": "a", "path": "none.js"})), "/custom_middleware/pre/0/path", "cannot be read"),
        (
            hook(json!({"name": "a", "path": "../secret.js"})),
            "/custom_middleware/pre/0/path",
            "out of the folder",
        ),
        (
            hook(json!({"name": "a", "path": "/etc/passwd"})),
            "/custom_middleware/pre/0/path",
            "out of the folder",
        ),
        (hook(json!({"name": "a", "code": code("var b;")})), "/custom_middleware/pre/0", "no `a`"),
        (
            json!({"custom_middleware_bundle": "b.zip"}),
            "/custom_middleware_bundle",
            "enable_bundle_downloader",
        ),
    ] {
        let reply = gate.admin().post("/apis", &with(keyless("x", "http://127.0.0.1:1"), more)).await;
        assert_eq!(reply.status, 400, "{text}");
        let told = reply.text();
        assert!(told.contains(text) && told.contains(pointer), "{text}: {told}");
    }
}

#[tokio::test]
async fn c9_3_rows_1_3_4_servers_authenticate_and_change_requests_and_answers() {
    let (upstream, dispatcher) = (Upstream::start().await, Dispatcher::start().await);
    let target = upstream.url("");
    let hooks = |hooks: Value| {
        let mut middleware = json!({"driver": "grpc"});
        middleware.as_object_mut().unwrap().extend(hooks.as_object().unwrap().clone());
        json!({"custom_middleware": middleware})
    };
    let mut served = with(
        keyless("served", &target),
        hooks(
            json!({"auth_check": {"name": "auth"}, "post": [{"name": "request"}], "response": [{"name": "response"}]}),
        ),
    );
    served["use_keyless"] = json!(false);
    served["custom_plugin_auth_enabled"] = json!(true);
    let gate = Gate::setup()
        .conf(json!({"coprocess_options": {
            "enable_coprocess": true, "coprocess_grpc_server": dispatcher.address(),
        }}))
        .api(served)
        .api(with(keyless("broken", &target), hooks(json!({"pre": [{"name": "unknown"}]}))))
        .start()
        .await;
    let reply = gate.get("/served/x", &["-H", "Name: ann", "-d", "text"]).await;
    assert_eq!(reply.status, 202, "{} {}", reply.text(), gate.log());
    assert_eq!(reply.header("x-after").as_deref(), Some("1"));
    let echo: String = reply.text().chars().rev().collect();
    let echo: Value = serde_json::from_str(&echo).unwrap();
    assert_eq!((header(&echo, "x-alias"), &echo["body"]), (json!("ann"), &json!("TEXT")));
    let reply = gate.get("/served/x", &[]).await;
    assert_eq!((reply.status, reply.json()["error"].as_str()), (403, Some("Forbidden")));
    let reply = gate.get("/broken/x", &[]).await;
    assert_eq!((reply.status, reply.json()["error"].as_str()), (500, Some("Middleware error")));
    e2e::until("it is logged", async || {
        drop(gate.get("/broken/x", &[]).await);
        gate.log().contains("unknown is not for me")
    })
    .await;
}

#[tokio::test]
async fn c9_5_rows_1_and_5_bundles_are_packed_fetched_checked_and_run() {
    let upstream = Upstream::start().await;
    let manifest = json!({
        "file_list": ["headers.js", "modern.mjs", "stamp.mjs"],
        "custom_middleware": {"driver": "javascript", "pre": [{"name": "headers", "path": "headers.js"}],
            "post": [{"name": "onRequest", "path": "modern.mjs"}]},
    });
    let dir = std::env::temp_dir().join(format!("sluicegate-bundles-{}", std::process::id()));
    let (folder, good) = (dir.join("plugins"), dir.join("good.zip"));
    fs::create_dir_all(&folder).unwrap();
    for name in ["headers.js", "modern.mjs", "stamp.mjs"] {
        fs::write(folder.join(name), example(name)).unwrap();
    }
    fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
    let packed = std::process::Command::new(e2e::binary())
        .args(["plugin", "bundle", folder.to_str().unwrap(), "-o", good.to_str().unwrap()])
        .output()
        .unwrap();
    let said =
        String::from_utf8_lossy(&packed.stdout).into_owned() + &String::from_utf8_lossy(&packed.stderr);
    assert!(packed.status.success() && said.contains("3 files"), "{said}");
    let mut damaged = fs::read(&good).unwrap();
    let middle = damaged.len() / 3;
    damaged[middle] ^= 0xff;
    fs::write(dir.join("damaged.zip"), damaged).unwrap();

    let bundled = |id: &str, name: &str| {
        with(
            keyless(id, &upstream.url("")),
            json!({"custom_middleware_bundle": name, "config_data": {"region": "east"}}),
        )
    };
    let base = format!("file://{}", dir.display());
    let gate = Gate::setup()
        .conf(json!({"enable_jsvm": true, "enable_bundle_downloader": true, "bundle_base_url": base}))
        .start()
        .await;
    let reply = gate.admin().post("/apis", &bundled("good", "good.zip")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let echo = gate.get("/good/x", &[]).await.json();
    assert_eq!((header(&echo, "x-region"), header(&echo, "x-stamp")), (json!("east"), json!("nobody@gate")));
    for name in ["damaged.zip", "none.zip", "../good.zip"] {
        let reply = gate.admin().post("/apis", &bundled("bad", name)).await;
        assert!(
            reply.status == 400 && reply.text().contains("bundle cannot be used"),
            "{name}: {}",
            reply.text()
        );
    }
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn plugins_are_begun_and_tried_out() {
    let folder = std::env::temp_dir().join(format!("sluicegate-plugin-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(e2e::binary())
            .arg("plugin")
            .args(arguments)
            .current_dir(&folder)
            .output()
            .unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), said)
    };
    assert!(run(&["new", "hello.js"]).0);
    assert!(!run(&["new", "hello.js"]).0, "what is there is not overwritten");
    let (good, said) = run(&["test", "hello.js"]);
    let told: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}"));
    assert!(good && told["Request"]["SetHeaders"]["X-Hello"] == "from hello", "{told}");
    fs::write(folder.join("request.json"), r#"{"Body": "abc", "Headers": {"A": ["b"]}}"#).unwrap();
    fs::write(
        folder.join("body.mjs"),
        "import { end } from './end.mjs'; export const add = (r) => { r.Body += end; log('seen'); };",
    )
    .unwrap();
    fs::write(folder.join("end.mjs"), "export const end = '!';").unwrap();
    let (good, said) = run(&["test", "body.mjs", "--name", "add", "--request", "request.json"]);
    assert!(good && said.contains(r#""Body": "abc!""#) && said.contains("log: seen"), "{said}");
    let (good, said) = run(&["test", "body.mjs", "--name", "none"]);
    assert!(!good && said.contains("no `none`"), "{said}");
    fs::remove_dir_all(&folder).unwrap();
}

/// A check has no runtime in which a connection could be begun.
#[tokio::test]
async fn definitions_with_servers_are_checked_by_their_configuration() {
    let (on, off) = (
        json!({"coprocess_options": {"enable_coprocess": true, "coprocess_grpc_server": "tcp://127.0.0.1:1"}}),
        json!({}),
    );
    for (conf, good) in [(on, true), (off, false)] {
        let hooks = json!({"custom_middleware": {"driver": "grpc", "pre": [{"name": "any"}]}});
        let gate = Gate::setup().conf(conf).api(with(keyless("a", "http://127.0.0.1:1"), hooks)).prepare();
        let linted = std::process::Command::new(e2e::binary())
            .args(["lint", "--conf", "tyk.conf", "apps"])
            .current_dir(gate.dir())
            .output()
            .unwrap();
        let said =
            String::from_utf8_lossy(&linted.stdout).into_owned() + &String::from_utf8_lossy(&linted.stderr);
        assert_eq!(linted.status.success(), good, "{said}");
        assert_eq!(said.contains("no server of plugins is known"), !good, "{said}");
    }
}
