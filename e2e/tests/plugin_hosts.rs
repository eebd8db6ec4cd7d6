//! Plugins in Lua, Python and WebAssembly (contract 9.4): the examples as they are shipped, and the commands for them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use e2e::definition::keyless;
use e2e::{Dispatcher, Gate, PluginServer, Spoken, Upstream, until};
use serde_json::{Value, json};

fn examples(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/plugins").join(kind)
}

fn example(kind: &str, name: &str) -> String {
    fs::read_to_string(examples(kind).join(name)).unwrap()
}

fn with(mut api: Value, more: Value) -> Value {
    api.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    api
}

fn header(echo: &Value, name: &str) -> Value {
    echo["headers"][name][0].clone()
}

/// A folder of this test, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sluicegate-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn sluicegate(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(e2e::binary()).args(arguments).current_dir(folder).output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

/// The filter of the examples, built as its users build it.
fn filter(folder: &Path) -> PathBuf {
    let target = "wasm32-unknown-unknown";
    // Where it is there already, nothing happens.
    let added = Command::new("rustup").args(["target", "add", target]).output();
    assert!(added.is_ok_and(|added| added.status.success()), "rustup adds the target {target}");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--release", "--locked", "--target", target, "--manifest-path"])
        .arg(examples("wasm").join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    folder.join("target").join(target).join("release/filter.wasm")
}

#[tokio::test]
async fn c9_4_row_1_bundles_in_python_authenticate_and_change_requests_and_answers() {
    let upstream = Upstream::start().await;
    let folder = Folder::new("python");
    let bundle = folder.0.join("friends.zip");
    let source = examples("python");
    let arguments = ["plugin", "bundle", source.to_str().unwrap(), "-o", bundle.to_str().unwrap()];
    let (good, said) = sluicegate(&folder.0, &arguments);
    assert!(good && said.contains("2 files"), "{said}");
    let mut api = with(
        keyless("friends", &upstream.url("")),
        json!({"custom_middleware_bundle": "friends.zip", "config_data": {"region": "south"}}),
    );
    api["use_keyless"] = json!(false);
    api["custom_plugin_auth_enabled"] = json!(true);
    let mut gate = Gate::setup()
        .conf(json!({
            "coprocess_options": {"enable_coprocess": true}, "enable_bundle_downloader": true,
            "bundle_base_url": format!("file://{}", folder.0.display()),
        }))
        .api(api)
        .start()
        .await;
    let reply = gate.get("/friends/x", &["-H", "Authorization: friend-ann", "-d", "hi"]).await;
    assert_eq!(reply.status, 200, "{} {}", reply.text(), gate.log());
    let echo = reply.json();
    assert_eq!(header(&echo, "x-greeting"), "hello ann in the south");
    assert_eq!(echo["body"], r#"{"from": "ann", "said": "hi"}"#);
    assert_eq!(reply.header("server"), None);
    let refused = gate.get("/friends/x", &["-H", "Authorization: enemy"]).await;
    assert_eq!((refused.status, refused.json()["error"].as_str()), (401, Some("friends only")));
    assert!(gate.log().contains("a request of ann"), "{}", gate.log());

    // Its process ends with the gate, however that ends.
    let process = format!("/proc/{}", reply.header("x-process").unwrap());
    assert!(Path::new(&process).exists());
    gate.kill();
    until("the process of Python has ended", async || !Path::new(&process).exists()).await;
}

#[tokio::test]
async fn c9_4_files_of_python_and_lua_that_change_are_taken_at_the_next_reload() {
    let upstream = Upstream::start().await;
    let hooks = |driver: &str, path: &str| {
        let post = json!([{"name": "hook", "path": path}]);
        with(
            keyless(driver, &upstream.url("")),
            json!({"custom_middleware": {"driver": driver, "post": post}}),
        )
    };
    let python = |text: &str| {
        format!(
            "from tyk.decorators import *\n@Hook\ndef hook(request, session, spec):\n    request.object.set_headers['X-Text'] = '{text}'\n"
        )
    };
    let lua = |text: &str| format!("function hook(request) request.set_headers['X-Text'] = '{text}' end");
    let gate = Gate::setup()
        .conf(json!({"coprocess_options": {"enable_coprocess": true}}))
        .file("middleware/hook.py", &python("first"))
        .file("middleware/hook.lua", &lua("first"))
        .api(hooks("python", "middleware/hook.py"))
        .api(hooks("lua", "hook.lua"))
        .start()
        .await;
    let texts = async |expected: &str| {
        for driver in ["python", "lua"] {
            let reply = gate.get(&format!("/{driver}/x"), &[]).await;
            assert_eq!(header(&reply.json(), "x-text"), expected, "{driver} {}", gate.log());
        }
    };
    texts("first").await;
    gate.write("middleware/hook.py", &python("second"));
    gate.write("middleware/hook.lua", &lua("second"));
    gate.admin().reload().await;
    texts("second").await;
    // One that cannot be used leaves what runs.
    gate.write("middleware/hook.py", "def hook(: pass");
    gate.write("middleware/hook.lua", "function hook(");
    gate.admin().reload().await;
    texts("second").await;
}

#[tokio::test]
async fn c9_4_row_1_what_hangs_fails_its_own_request_and_its_process_is_ended() {
    let upstream = Upstream::start().await;
    let text = "import os, time\n\
        def hook(request, session, spec):\n    \
            request.object.set_headers['X-Process'] = str(os.getpid())\n    \
            if 'hang' in request.object.url: time.sleep(1000)\n    \
            if 'die' in request.object.url: os._exit(1)\n";
    let api = with(
        keyless("slow", &upstream.url("")),
        json!({"custom_middleware": {"driver": "python", "pre": [{"name": "hook", "path": "hook.py"}]}}),
    );
    let gate = Gate::setup()
        .conf(json!({"coprocess_options": {"enable_coprocess": true}, "jsvm_timeout": 1}))
        .file("middleware/hook.py", text)
        .api(api)
        .start()
        .await;
    let process = header(&gate.get("/slow/x", &[]).await.json(), "x-process");
    for path in ["/slow/hang", "/slow/die"] {
        let (reply, other) = tokio::join!(gate.get(path, &[]), gate.get("/slow/fine", &[]));
        assert_eq!((reply.status, reply.json()["error"].as_str()), (500, Some("Middleware error")), "{path}");
        assert_eq!(other.status, 200, "beside {path}");
        assert_eq!(gate.get("/slow/fine", &[]).await.status, 200, "after {path}");
    }
    let process = format!("/proc/{}", process.as_str().unwrap());
    until("the process that hung is ended", async || {
        drop(tokio::time::timeout(Duration::from_secs(3), gate.get("/slow/die", &[])).await);
        !Path::new(&process).exists()
    })
    .await;
}

#[tokio::test]
async fn c9_4_row_2_hooks_in_lua_do_what_the_example_says() {
    let upstream = Upstream::start().await;
    let api = with(
        keyless("lua", &upstream.url("")),
        json!({
            "config_data": {"region": "west"},
            "custom_middleware": {
                "driver": "lua",
                "pre": [{"name": "before", "path": "hooks.lua"}], "response": [{"name": "after", "path": "hooks.lua"}],
            },
        }),
    );
    let gate = Gate::setup()
        .conf(json!({"coprocess_options": {"enable_coprocess": true}}))
        .file("middleware/hooks.lua", &example("lua", "hooks.lua"))
        .file("middleware/names.lua", &example("lua", "names.lua"))
        .api(api)
        .start()
        .await;
    let reply = gate.get("/lua/x", &["-H", "X-Name: ann", "-H", "X-Internal: 1"]).await;
    assert_eq!(reply.status, 200, "{} {}", reply.text(), gate.log());
    let echo = reply.json();
    assert_eq!(
        (header(&echo, "x-greeting"), &echo["headers"]["x-internal"]),
        (json!("hello ann in the west"), &Value::Null)
    );
    assert_eq!(reply.header("x-length"), Some(reply.text().len().to_string()));
    let reply = gate.get("/lua/teapot", &[]).await;
    assert_eq!((reply.status, reply.json()), (418, json!({"error": "this gate brews no tea"})));
    assert_eq!(reply.header("content-type").as_deref(), Some("application/json"));
}

#[tokio::test]
async fn c9_4_row_4_plugins_keep_data_and_tell_of_events() {
    let (upstream, receiver) = (Upstream::start().await, Spoken::start(|_| (200, String::new())).await);
    let hooks = |driver: &str, file: &str| {
        let pre = json!([{"name": "hook", "path": file}]);
        with(keyless(driver, &upstream.url("")), json!({"custom_middleware": {"driver": driver, "pre": pre}}))
    };
    let python = "from tyk.decorators import *\nfrom gateway import TykGateway as tyk\n\n@Hook\n\
        def hook(request, session, spec):\n    before = tyk.get_data(\"python\")\n    \
        tyk.store_data(\"python\", request.object.url, 600)\n    \
        tyk.trigger_event(\"TokenCreated\", \"python after %s\" % before)\n    \
        tyk.trigger_event(\"Unheard\", \"of\")\n    \
        request.object.set_headers[\"X-Before\"] = str(before)\n    return request, session\n";
    let lua = "function hook(request, session, spec)\n    local before = tyk.get_data(\"lua\")\n    \
        tyk.store_data(\"lua\", request.url, 600)\n    \
        tyk.trigger_event(\"TokenCreated\", \"lua after \" .. tostring(before))\n    \
        tyk.trigger_event(\"Unheard\", \"of\")\n    \
        request.set_headers[\"X-Before\"] = tostring(before)\n    return request, session\nend\n";
    let handler = json!([{"handler_name": "eh_web_hook_handler",
        "handler_meta": {"method": "POST", "target_path": receiver.url("/told"), "event_timeout": 0}}]);
    let gate = Gate::setup()
        .conf(json!({
            "coprocess_options": {"enable_coprocess": true},
            "event_handlers": {"events": {"TokenCreated": handler}},
        }))
        .file("middleware/hook.py", python)
        .file("middleware/hook.lua", lua)
        .api(hooks("python", "hook.py"))
        .api(hooks("lua", "hook.lua"))
        .start()
        .await;
    let told = |text: &str| receiver.asked().iter().any(|asked| asked.contains(text));
    for (driver, nothing) in [("python", "None"), ("lua", "nil")] {
        for (path, before) in [("one", nothing.to_owned()), ("two", format!("/{driver}/one"))] {
            let reply = gate.get(&format!("/{driver}/{path}"), &[]).await;
            assert_eq!(reply.status, 200, "{} {}", reply.text(), gate.log());
            let seen = header(&reply.json(), "x-before").as_str().unwrap_or_default().to_owned();
            // What one request leaves is there for the next one.
            assert!(before.ends_with(&seen) && !seen.is_empty(), "{driver}: {seen}");
            let event = format!("{driver} after {seen}");
            until(&event, async || told(&event)).await;
        }
    }
    until("what nobody knows is in the log", async || gate.log().contains("event Unheard: of")).await;
}

#[tokio::test]
async fn c9_3_row_1_servers_of_plugins_with_the_public_kit_do_what_the_example_says() {
    let (upstream, server) = (Upstream::start().await, PluginServer::start().await);
    let mut api = with(
        keyless("served", &upstream.url("")),
        json!({
            "config_data": {"region": "north"},
            "custom_middleware": {
                "driver": "grpc", "auth_check": {"name": "authenticate"}, "post": [{"name": "greet"}],
                "response": [{"name": "sign"}], "traffic_logs": {"name": "join"},
            },
        }),
    );
    api["use_keyless"] = json!(false);
    api["custom_plugin_auth_enabled"] = json!(true);
    let gate = Gate::setup()
        .conf(json!({
            "enable_analytics": true,
            "coprocess_options": {"enable_coprocess": true, "coprocess_grpc_server": server.address()},
        }))
        .api(api)
        .start()
        .await;
    let ann = ["-H", "Authorization: friend-ann", "-H", "X-Internal: 1", "-d", "hi"];
    let reply = gate.get("/served/users/77", &ann).await;
    assert_eq!(reply.status, 200, "{} {}", reply.text(), gate.log());
    let echo = reply.json();
    assert_eq!(header(&echo, "x-greeting"), "hello ann in the north");
    assert_eq!(
        (&echo["headers"]["x-internal"], &echo["body"]),
        (&Value::Null, &json!(r#"{"from": "ann", "said": "hi"}"#))
    );
    assert_eq!(
        (reply.header("x-length"), reply.header("server")),
        (Some(reply.text().len().to_string()), None)
    );
    let refused = gate.get("/served/users/77", &["-H", "Authorization: enemy"]).await;
    assert_eq!((refused.status, refused.json()["error"].as_str()), (401, Some("friends only")));
    until("both requests are recorded as one path", async || {
        let all = gate.admin().get("/records?limit=100").await.json();
        let is_joined =
            |record: &&Value| record["path"].as_str().is_some_and(|path| path.ends_with("/users/{id}"));
        all.as_array().is_some_and(|all| all.iter().filter(is_joined).count() == 2)
    })
    .await;
}

#[tokio::test]
async fn c9_1_row_4_filters_in_webassembly_are_built_with_the_public_kit_and_run() {
    let upstream = Upstream::start().await;
    let folder = Folder::new("wasm");
    let built = filter(&folder.0);
    let api = with(
        keyless("wasm", &upstream.url("")),
        json!({
            "config_data": {"k": "v"},
            "custom_middleware": {
                "driver": "wasm",
                "post": [{"name": "filter", "path": "filter.wasm"}], "response": [{"name": "filter", "path": "filter.wasm"}],
            },
        }),
    );
    let mut gate = Gate::setup()
        .conf(json!({
            "coprocess_options": {"enable_coprocess": true}, "enable_analytics": true,
            "streaming": {"mappings": {"files": built.parent()}},
        }))
        .file("middleware/filter.wasm", "")
        .api(api)
        .prepare();
    fs::copy(&built, gate.dir().join("middleware/filter.wasm")).unwrap();
    gate.start().await;
    let reply = gate.get("/wasm/x", &["-H", "X-Internal: 1", "-d", "text"]).await;
    assert_eq!(reply.status, 200, "{} {}", reply.text(), gate.log());
    let echo = reply.json();
    assert_eq!((header(&echo, "x-configured"), &echo["body"]), (json!(r#"{"k":"v"}"#), &json!("TEXT")));
    assert_eq!(
        (&echo["headers"]["x-internal"], reply.header("x-filtered")),
        (&Value::Null, Some("200".to_owned()))
    );
    let reply = gate.get("/wasm/teapot", &[]).await;
    assert_eq!(
        (reply.status, reply.text(), reply.header("x-pot")),
        (418, "this gate brews no tea", Some("small".to_owned()))
    );

    // Who is calling is said by properties, and so is what a record is to be.
    let mut friends = with(
        keyless("friends", &upstream.url("")),
        json!({"custom_middleware": {
            "driver": "wasm",
            "auth_check": {"name": "filter", "path": "filter.wasm"}, "traffic_logs": {"name": "filter", "path": "filter.wasm"},
        }}),
    );
    friends["use_keyless"] = json!(false);
    friends["custom_plugin_auth_enabled"] = json!(true);
    let added = gate.admin().post("/apis", &friends).await;
    assert_eq!(added.status, 200, "{}", added.text());
    gate.admin().reload().await;
    let reply = gate.get("/friends/users/77", &["-H", "Authorization: friend-ann"]).await;
    assert_eq!(reply.status, 200, "{} {}", reply.text(), gate.log());
    let reply = gate.get("/friends/users/77", &["-H", "Authorization: enemy"]).await;
    assert_eq!((reply.status, reply.json()["error"].as_str()), (401, Some("friends only")), "{}", gate.log());
    let mut told = Vec::new();
    until("both requests are recorded", async || {
        let all = gate.admin().get("/records?limit=100").await.json();
        told =
            all.as_array().unwrap().iter().filter(|record| record["api_id"] == "friends").cloned().collect();
        told.len() == 2
    })
    .await;
    for record in &told {
        assert!(record["path"].as_str().unwrap().ends_with("/users/{id}"), "{record}");
    }
    assert!(told.iter().any(|record| record["alias"] == "ann" && record["status"] == 200), "{told:?}");

    // Messages pass through the same filter, from a file or in the configuration itself.
    let inline = base64::engine::general_purpose::STANDARD.encode(fs::read(&built).unwrap());
    for (id, hook, expected) in [
        (
            "from-file",
            json!({"driver": "wasm", "name": "filter", "file": "filter.wasm", "config": {"k": "v"}}),
            r#"TEXT {"k":"v"} gone"#,
        ),
        ("inline", json!({"driver": "wasm", "name": "filter", "code": inline}), "TEXT  gone"),
    ] {
        let mut stream = hooked(&hook);
        stream["pipeline"]["processors"][0]["mapping"] = json!(r#"meta "X-Internal" = "secret""#);
        stream["pipeline"]["processors"][3]["mapping"] = json!(
            r#"root = content().string() + " " + (meta("x-configured") | "none") + " " + (meta("X-Internal") | "gone")"#
        );
        let definition = e2e::streaming::events(id, json!({"s": stream}));
        gate.write(&format!("apps/{id}.json"), &definition.to_string());
        gate.admin().reload().await;
        let reply = e2e::streaming::post(&gate.url(&format!("/{id}/post")), "text", &[]).await;
        assert_eq!((reply.status, reply.text()), (200, expected), "{}", gate.log());
    }

    let (good, said) = sluicegate(&folder.0, &["plugin", "test", built.to_str().unwrap()]);
    assert!(good && said.contains("x-configured"), "{said}");
    fs::write(folder.0.join("config.json"), r#"{"k": "v"}"#).unwrap();
    fs::write(folder.0.join("ann.json"), r#"{"Headers": {"Authorization": ["friend-ann"]}}"#).unwrap();
    for (more, expected) in [
        (&["--config", "config.json"][..], r#""x-configured": "{\"k\":\"v\"}""#),
        (&["--hook", "auth", "--request", "ann.json"], r#""alias": "ann""#),
        (&["--hook", "response"], r#""x-filtered""#),
    ] {
        let arguments = [&["plugin", "test", built.to_str().unwrap()][..], more].concat();
        let (good, said) = sluicegate(&folder.0, &arguments);
        assert!(good && said.contains(expected), "{more:?}: {said}");
    }
    begun_in_rust(&folder.0);

    // Another one in its place is taken at the next reload, and what is none leaves what runs.
    let mut other = fs::read(&built).unwrap();
    let name = b"x-filtered";
    let at: Vec<usize> = (0..other.len() - name.len()).filter(|at| other[*at..].starts_with(name)).collect();
    assert!(!at.is_empty(), "the module has the name of its field in it");
    for at in at {
        other[at..at + name.len()].copy_from_slice(b"x-replaced");
    }
    let file = gate.dir().join("middleware/filter.wasm");
    for (content, field) in [(&other[..], "x-replaced"), (b"none", "x-replaced"), (b"", "x-replaced")] {
        fs::write(&file, content).unwrap();
        gate.admin().reload().await;
        let reply = gate.get("/wasm/x", &[]).await;
        assert_eq!(
            (reply.status, reply.header(field), reply.header("x-filtered")),
            (200, Some("200".to_owned()), None),
            "{}",
            gate.log()
        );
    }
    fs::copy(&built, &file).unwrap();
    gate.admin().reload().await;
    assert_eq!(gate.get("/wasm/x", &[]).await.header("x-filtered"), Some("200".to_owned()));
}

/// What `plugin new` begins in Rust is built as it says, and does what it says.
fn begun_in_rust(folder: &Path) {
    let own = folder.join("own");
    fs::create_dir_all(&own).unwrap();
    let (good, said) = sluicegate(&own, &["plugin", "new", "hello.rs"]);
    assert!(good && said.contains("cargo build --release --target wasm32-unknown-unknown"), "{said}");
    // The versions that the example was built with are on this machine.
    let lock = fs::read_to_string(examples("wasm").join("Cargo.lock")).unwrap();
    fs::write(own.join("Cargo.lock"), lock.replace("name = \"filter\"", "name = \"hello\"")).unwrap();
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--release", "--target", "wasm32-unknown-unknown"])
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .current_dir(&own)
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let filter = folder.join("target/wasm32-unknown-unknown/release/hello.wasm");
    let (good, said) = sluicegate(&own, &["plugin", "test", filter.to_str().unwrap()]);
    assert!(good && said.contains(r#""x-hello": "from hello""#), "{said}");
}

#[tokio::test]
async fn plugins_are_called_with_messages_of_streams() {
    let lua = "function hook(request)\n\
        if request.body == 'bad' then error('no such message') end\n\
        if request.body == 'refused' then request.return_overrides.response_code = 403 end\n\
        request.body = request.body:upper() .. (request.headers.kind or '')\n\
        request.set_headers.seen = 'yes'\n\
        table.insert(request.delete_headers, 'kind')\n\
        end";
    let script = "function hook(request) { request.Body += '!'; }";
    let plugin = |driver: &str, code: &str| json!({"hook": {"driver": driver, "name": "hook", "code": code}});
    let stream = json!({
        "input": {"http_server": {"path": "/post", "ws_path": ""}},
        "pipeline": {"processors": [
            {"mapping": "meta kind = \"?\""},
            plugin("lua", lua),
            {"catch": [{"mapping": "root = error()"}]},
            plugin("javascript", script),
            {"mapping": "root = content().string() + \" \" + (@seen | \"no\") + (@kind | \"\")"},
        ]},
        "output": {"sync_response": {}},
    });
    let gate = Gate::setup().oas(e2e::streaming::events("ev", json!({"s": stream}))).start().await;
    let url = gate.url("/ev/post");
    for (message, expected) in [
        ("text", "TEXT?! yes"),
        ("bad", "hook: the plugin failed: hook.lua:2: no such message! no?"),
        ("refused", "hook: it refuses the message with 403: ! no?"),
    ] {
        let reply = e2e::streaming::post(&url, message, &[]).await;
        assert_eq!((reply.status, reply.text()), (200, expected), "{}", gate.log());
    }
    // What cannot be used refuses the definition.
    for (driver, code, text) in [
        ("lua", "function other() end", "no `hook`"),
        ("javascript", "var a = ;", "cannot be used"),
        ("wasm", "AAAA", "this is no module"),
    ] {
        let mut stream = stream.clone();
        stream["pipeline"]["processors"] = json!([plugin(driver, code)]);
        let other = e2e::streaming::events("other", json!({"s": stream}));
        let reply = gate.admin().post("/apis/oas", &other).await;
        assert!(reply.status == 400 && reply.text().contains(text), "{driver}: {}", reply.text());
    }
}

#[tokio::test]
async fn messages_go_to_modules_to_files_and_to_bundles_with_their_configuration() {
    let folder = Folder::new("stream-hooks");
    let pack = |name: &str, files: &[(&str, &str)], middleware: Value| {
        let from = folder.0.join(name);
        for (file, text) in files {
            let path = from.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let names: Vec<&str> = files.iter().map(|(file, _)| *file).collect();
        let manifest = json!({"file_list": names, "custom_middleware": middleware});
        fs::write(from.join("manifest.json"), manifest.to_string()).unwrap();
        let archive = format!("{name}.zip");
        let (good, said) = sluicegate(&folder.0, &["plugin", "bundle", name, "-o", &archive]);
        assert!(good, "{said}");
        archive
    };
    let script = pack(
        "script",
        &[
            (
                "lib/main.mjs",
                "import { end } from './end.mjs'; export const change = (r) => { r.Body += end; };",
            ),
            ("lib/end.mjs", "export const end = ' bundled';"),
        ],
        json!({"pre": [{"name": "change", "path": "lib/main.mjs"}]}),
    );
    let lua = pack(
        "lua",
        &[
            (
                "main.lua",
                "local words = require('words')\nfunction change(request) request.body = request.body .. words.last end",
            ),
            ("words.lua", "return { last = ' lua' }"),
        ],
        json!({"pre": [{"name": "change", "path": "main.lua"}]}),
    );
    let python = pack(
        "python",
        &[
            (
                "main.py",
                "from lib.words import last\ndef change(request, session, spec):\n    request.object.body += last",
            ),
            ("lib/words.py", "last = ' python'"),
        ],
        json!({}),
    );
    fs::write(folder.0.join("damaged.zip"), "none").unwrap();
    let module = "export function change(request, session, spec) { request.Body += spec.config_data.end; }";
    fs::write(folder.0.join("change.mjs"), module).unwrap();
    let hook = |driver: &str, more: Value| with(json!({"driver": driver, "name": "change"}), more);
    let stream = |hooks: &[Value]| {
        let hooks: Vec<Value> = hooks.iter().map(|hook| json!({"hook": hook})).collect();
        let mut processors = hooks;
        processors.push(json!({"catch": [{"mapping": "root = error()"}]}));
        json!({
            "input": {"http_server": {"path": "/post", "ws_path": ""}},
            "pipeline": {"processors": processors},
            "output": {"sync_response": {}},
        })
    };
    let config = json!({
        "streaming": {"mappings": {"files": &folder.0}, "allow_unsafe": ["python"]},
    });
    let hooks = [
        hook("javascript", json!({"file": "change.mjs", "config": {"end": " file"}})),
        hook("javascript", json!({"code": module, "module": true, "config": {"end": " inline"}})),
        hook(
            "javascript",
            json!({"code": "function change(r, s, spec) { r.Body += ' ' + JSON.stringify(spec.config_data); }"}),
        ),
        hook("javascript", json!({"bundle": script})),
        hook("lua", json!({"bundle": lua})),
        hook("python", json!({"bundle": python})),
    ];
    let gate = Gate::setup()
        .conf(config)
        .oas(e2e::streaming::events("ev", json!({"s": stream(&hooks)})))
        .start()
        .await;
    let reply = e2e::streaming::post(&gate.url("/ev/post"), "text", &[]).await;
    let expected = "text file inline {} bundled lua python";
    assert_eq!((reply.status, reply.text()), (200, expected), "{}", gate.log());

    for (driver, more, text) in [
        ("javascript", json!({"code": "export const change = 1;"}), "cannot be used"),
        ("javascript", json!({"file": "change.mjs", "module": true}), "may be said to be a module"),
        ("lua", json!({"code": "x = 1", "module": true}), "may be said to be a module"),
        (
            "javascript",
            json!({"code": "", "bundle": script}),
            "write only one of `code`, `file` and `bundle`",
        ),
        ("javascript", json!({}), "one of `code`, `file` and `bundle` is required"),
        ("javascript", json!({"bundle": "damaged.zip"}), "the bundle cannot be used"),
        ("javascript", json!({"bundle": "../none.zip"}), "`../none.zip` cannot be read"),
        ("lua", json!({"bundle": python}), "the bundle has no file for `change`"),
        ("javascript", json!({"code": module, "module": true, "config": 1}), "config"),
        ("grpc", json!({"bundle": script, "servers": ["tcp://127.0.0.1:1"]}), "servers have their code"),
    ] {
        let other = e2e::streaming::events("other", json!({"s": stream(&[hook(driver, more.clone())])}));
        let reply = gate.admin().post("/apis/oas", &other).await;
        assert!(reply.status == 400 && reply.text().contains(text), "{driver} {more}: {}", reply.text());
    }
}

/// A stream whose processor is this hook, between metadata and what came of them.
fn hooked(hook: &Value) -> Value {
    json!({
        "input": {"http_server": {"path": "/post", "ws_path": ""}},
        "pipeline": {"processors": [
            {"mapping": "meta kind = \"?\""},
            {"hook": hook},
            {"catch": [{"mapping": "root = error()"}]},
            {"mapping": "root = content().string() + \" \" + (@seen | \"no\") + (@kind | \"\")"},
        ]},
        "output": {"sync_response": {}},
    })
}

#[tokio::test]
async fn messages_go_to_processes_of_python_where_whoever_runs_the_gate_allows_it() {
    let code = "import os, time\n\
        def hook(request, session, spec):\n    \
            message = request.object\n    \
            if message.body == 'bad': raise ValueError('no such message')\n    \
            if message.body == 'slow': time.sleep(1000)\n    \
            if message.body == 'dies': os._exit(1)\n    \
            if message.body == 'refused': message.return_overrides.response_code = 403\n    \
            message.body = message.body.upper() + request.get_header('kind') + spec['APIID']\n    \
            message.set_headers['seen'] = 'yes'\n    \
            message.delete_headers.append('kind')\n";
    let stream = hooked(&json!({"driver": "python", "name": "hook", "code": code, "timeout": "1s"}));
    let events = e2e::streaming::events("ev", json!({"s": stream}));
    let gate = Gate::setup()
        .conf(json!({"streaming": {"allow_unsafe": ["python"]}}))
        .oas(events.clone())
        .start()
        .await;
    let url = gate.url("/ev/post");
    for (message, expected) in [
        ("text", "TEXT?s yes"),
        ("bad", "hook: the plugin failed: ValueError: no such message (hook.py:4) no?"),
        ("refused", "hook: it refuses the message with 403:  no?"),
        ("slow", "hook: the plugin was ended: it takes longer than 1s no?"),
        ("text", "TEXT?s yes"),
        ("dies", "hook: the plugin's server gave no answer: the process of Python is gone"),
        ("text", "TEXT?s yes"),
    ] {
        let reply = e2e::streaming::post(&url, message, &[]).await;
        assert!(
            reply.status == 200 && reply.text().starts_with(expected),
            "{message}: {reply:?} {}",
            gate.log()
        );
    }
    let closed = Gate::setup().start().await;
    let reply = closed.admin().post("/apis/oas", &events).await;
    assert!(reply.status == 400 && reply.text().contains("`streaming.allow_unsafe`"), "{}", reply.text());
}

#[tokio::test]
async fn messages_go_to_servers_of_plugins_that_take_turns() {
    let (one, other) = (Dispatcher::start().await, Dispatcher::start().await);
    let hook = |servers: Value, name: &str| json!({"driver": "grpc", "name": name, "servers": servers, "timeout": "1s"});
    // The one in the middle is not there.
    let stream = hooked(&hook(json!([one.address(), "tcp://127.0.0.1:1", other.address()]), "message"));
    let unknown = hooked(&hook(json!([one.address()]), "unheard of"));
    let gate = Gate::setup()
        .oas(e2e::streaming::events("ev", json!({"s": stream})))
        .oas(e2e::streaming::events("none", json!({"s": unknown})))
        .start()
        .await;
    let url = gate.url("/ev/post");
    for (message, expected) in [
        ("text", "TEXT? yes"),
        ("refused", "hook: it refuses the message with 403:  no?"),
        ("slow", "hook: the plugin was ended: it takes longer than 1s no?"),
        ("text", "TEXT? yes"),
        ("more", "MORE? yes"),
        ("last", "LAST? yes"),
    ] {
        let reply = e2e::streaming::post(&url, message, &[]).await;
        assert_eq!((reply.status, reply.text()), (200, expected), "{}", gate.log());
    }
    assert!(
        one.calls() > 0 && other.calls() > 0 && one.calls() + other.calls() == 6,
        "{} {}",
        one.calls(),
        other.calls()
    );
    let reply = e2e::streaming::post(&gate.url("/none/post"), "text", &[]).await;
    assert!(reply.text().contains("unheard of is not for me"), "{}", reply.text());
    // What can be seen to be wrong refuses the definition.
    for (hook, text) in [
        (json!({"driver": "grpc", "name": "a"}), "needs `servers`"),
        (json!({"driver": "grpc", "name": "a", "servers": ["tcp://nowhere"]}), "no address of a server"),
        (
            json!({"driver": "grpc", "name": "a", "servers": [one.address()], "code": "x"}),
            "servers have their code",
        ),
        (json!({"driver": "lua", "name": "a", "servers": [one.address()], "code": "x"}), "asks no servers"),
        (
            json!({"driver": "lua", "name": "a", "code": "function a() end", "timeout": "0s"}),
            "needs some time",
        ),
    ] {
        let other = e2e::streaming::events("other", json!({"s": hooked(&hook)}));
        let reply = gate.admin().post("/apis/oas", &other).await;
        assert!(reply.status == 400 && reply.text().contains(text), "{hook}: {}", reply.text());
    }
    // The egress policy is asked when a server is called.
    let closed = Gate::setup()
        .conf(json!({"streaming": {"egress": {"deny_private": true}}}))
        .oas(e2e::streaming::events("ev", json!({"s": hooked(&hook(json!([one.address()]), "message"))})))
        .start()
        .await;
    let reply = e2e::streaming::post(&closed.url("/ev/post"), "text", &[]).await;
    assert!(reply.text().contains("egress policy"), "{}", reply.text());
}

#[test]
fn plugins_in_every_language_are_begun_and_tried_out() {
    let folder = Folder::new("begun");
    for file in ["hello.js", "hello.mjs", "hello.py", "hello.lua"] {
        let (good, said) = sluicegate(&folder.0, &["plugin", "new", file]);
        assert!(good && said.contains(&format!("`sluicegate plugin test {file}`")), "{file}: {said}");
        let (good, said) = sluicegate(&folder.0, &["plugin", "test", file]);
        assert!(good && said.contains(r#""X-Hello": "from hello""#), "{file}: {said}");
        let (good, said) = sluicegate(&folder.0, &["plugin", "test", file, "--name", "none"]);
        assert!(!good && said.contains("no `none`"), "{file}: {said}");
    }
    for file in ["hello.txt", "hello.wasm", "hello.JS", "hello"] {
        let (good, said) = sluicegate(&folder.0, &["plugin", "new", file]);
        assert!(!good && said.contains("`.mjs` (a module of JavaScript)"), "{file}: {said}");
        assert!(!folder.0.join(file).exists(), "{file}");
        fs::write(folder.0.join(file), "x").unwrap();
        let (good, said) = sluicegate(&folder.0, &["plugin", "test", file]);
        let expected = if file == "hello.wasm" { "this is no module" } else { "there are `.js`" };
        assert!(!good && said.contains(expected), "{file}: {said}");
    }
    // Nothing that is there is written over, and no half of a pair is left.
    for (there, other) in [("Cargo.toml", "filter.rs"), ("filter.rs", "Cargo.toml")] {
        let path = folder.0.join(there);
        fs::write(&path, "mine").unwrap();
        let (good, said) = sluicegate(&folder.0, &["plugin", "new", "filter.rs"]);
        assert!(!good && said.contains(&format!("{there} cannot be written")), "{said}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        assert!(!folder.0.join(other).exists(), "{other}");
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn plugins_are_tried_out_at_each_hook_with_what_they_see_there() {
    let folder = Folder::new("tried");
    let file = |name: &str, content: Value| {
        let path = folder.0.join(name);
        fs::write(&path, content.to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let request = file("request.json", json!({"Headers": {"Authorization": ["friend-ann"]}, "Body": "hi"}));
    let response =
        file("response.json", json!({"StatusCode": 201, "Headers": {"Server": ["x"]}, "Body": "four"}));
    let session = file("session.json", json!({"alias": "ann"}));
    let config = file("config.json", json!({"region": "south"}));
    let (request, response) = (["--request", request.as_str()], ["--response", response.as_str()]);
    let (session, config) = (["--session", session.as_str()], ["--config", config.as_str()]);
    type Case<'c> = (&'c str, &'c str, &'c str, &'c [[&'c str; 2]], &'c [(&'c str, Value)]);
    let cases: &[Case<'_>] = &[
        (
            "javascript/headers.js",
            "headers",
            "pre",
            &[config],
            &[("/Request/SetHeaders/X-Region", json!("south"))],
        ),
        ("javascript/auth.js", "auth", "auth", &[request], &[("/Session/alias", json!("ann"))]),
        (
            "javascript/modern.mjs",
            "onRequest",
            "post_key_auth",
            &[session],
            &[("/Request/SetHeaders/X-Stamp", json!("ann@gate")), ("/Request/Method", json!("GET"))],
        ),
        (
            "javascript/modern.mjs",
            "onResponse",
            "response",
            &[response],
            &[
                ("/Response/SetHeaders/X-Length", json!(["4"])),
                ("/Response/DeleteHeaders", json!(["Server"])),
                ("/Response/StatusCode", json!(201)),
                ("/Response/Body", json!("four")),
            ],
        ),
        ("javascript/modern.mjs", "onResponse", "response", &[], &[("/Response/StatusCode", json!(200))]),
        (
            "lua/hooks.lua",
            "before",
            "pre",
            &[config],
            &[("/Request/SetHeaders/X-Greeting", json!("hello you in the south"))],
        ),
        (
            "lua/hooks.lua",
            "after",
            "response",
            &[response],
            &[("/Response/SetHeaders/X-Length", json!(["4"])), ("/Response/StatusCode", json!(201))],
        ),
        (
            "python/middleware.py",
            "AuthHook",
            "auth",
            &[request],
            &[("/Session/alias", json!("ann")), ("/SessionMeta/token", json!("friend-ann"))],
        ),
        (
            "python/middleware.py",
            "PostHook",
            "post",
            &[request, session, config],
            &[
                ("/Request/SetHeaders/X-Greeting", json!("hello ann in the south")),
                ("/Request/Body", json!(r#"{"from": "ann", "said": "hi"}"#)),
            ],
        ),
        (
            "python/middleware.py",
            "ResponseHook",
            "response",
            &[response],
            &[("/Response/DeleteHeaders", json!(["Server"]))],
        ),
    ];
    let call = |file: &str, more: &[&str]| {
        let path = examples("").join(file);
        let arguments = [&["plugin", "test", path.to_str().unwrap()][..], more].concat();
        let output = Command::new(e2e::binary()).args(arguments).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned(), told)
    };
    for (file, name, hook, given, expected) in cases {
        let more = [&["--name", *name, "--hook", *hook][..], &given.concat()].concat();
        let (good, said, told) = call(file, &more);
        assert!(good, "{file} {name}: {told}");
        let said: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}"));
        for (at, value) in *expected {
            assert_eq!(said.pointer(at), Some(value), "{file} {name} {at}: {said}");
        }
        assert_eq!(said.get("Response").is_some(), *hook == "response", "{said}");
    }
    for (more, expected) in [
        ([&["--hook", "post"][..], &response].concat(), "add `--hook response`"),
        (["--session", config[1], "--hook", "none"].to_vec(), "post_key_auth"),
        (["--session", "/nowhere.json"].to_vec(), "/nowhere.json cannot be read"),
        (["--config", examples("lua/names.lua").to_str().unwrap()].to_vec(), "is no JSON"),
    ] {
        let (good, _, told) = call("javascript/headers.js", &more);
        assert!(!good && told.contains(expected), "{more:?}: {told}");
    }
}

#[tokio::test]
async fn c9_4_row_3_definitions_whose_plugins_are_switched_off_or_cannot_run_are_refused_at_their_place() {
    let on = json!({"coprocess_options": {"enable_coprocess": true}});
    let gates = [
        Gate::setup().start().await,
        Gate::setup()
            .conf(on)
            .file("middleware/a.py", "import nowhere")
            .file("middleware/a.lua", "a = = 1")
            .file("middleware/a.wasm", "none")
            .start()
            .await,
    ];
    for (gate, driver, text) in [
        (0, "python", "plugins in Python are switched off"),
        (0, "lua", "plugins in Lua are switched off"),
        (0, "wasm", "plugins in WebAssembly are switched off"),
        (1, "python", "No module named 'nowhere' (a.py:1)"),
        (1, "lua", "a.lua:1"),
        (1, "wasm", "this is no module"),
        (1, "goplugin", "driver `goplugin`"),
    ] {
        let hooks = json!({"custom_middleware": {"driver": driver, "pre": [{"name": "a", "path": format!("a.{}", match driver {
            "python" => "py",
            driver => driver,
        })}]}});
        let reply = gates[gate].admin().post("/apis", &with(keyless("x", "http://127.0.0.1:1"), hooks)).await;
        let told = reply.text();
        assert!(
            reply.status == 400 && told.contains(text) && told.contains("/custom_middleware/pre/0"),
            "{driver}: {told}"
        );
    }
}
