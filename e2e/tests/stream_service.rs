//! Processes that run streams and nothing else, as their clients meet them: endpoints, pages about the streams, and the
//! API of streams mode.

use std::path::Path;
use std::process::Stdio;

use e2e::bridge::{sample, sample_pem};
use e2e::{Gate, Reply, Socket, binary, curl, soon, until};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

/// A running `sluicegate stream run` or `streams`. Dropping it kills it.
struct Process {
    child: Child,
    log: std::path::PathBuf,
    address: String,
}

impl Process {
    /// Starts it in a folder, and waits until its server listens.
    async fn start(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Process {
        let log = folder.join("log");
        let child = Command::new(binary())
            .arg("stream")
            .args(arguments)
            .envs(variables.iter().copied())
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary can be started");
        let mut process = Process { child, log, address: String::new() };
        until("the server listens", async || {
            let log = process.log();
            let line = log.lines().find(|line| line.contains("msg=listening"));
            let address = line.and_then(|line| line.split("address=").nth(1)?.split(' ').next());
            process.address = address.unwrap_or_default().to_owned();
            !process.address.is_empty() && log.contains("msg=running")
        })
        .await;
        process
    }

    async fn ask(&self, path: &str, arguments: &[&str]) -> Reply {
        let url = format!("http://{}{path}", self.address);
        curl(&[&[&*url], arguments].concat()).await
    }

    async fn text(&self, path: &str) -> (u16, String) {
        let reply = self.ask(path, &[]).await;
        (reply.status, String::from_utf8_lossy(&reply.body).into_owned())
    }

    /// Sends a body and expects success, or tells what came.
    async fn send(&self, verb: &str, path: &str, body: &str) -> (u16, String) {
        let reply = self.ask(path, &["-X", verb, "-H", "content-type:", "--data-binary", body]).await;
        (reply.status, String::from_utf8_lossy(&reply.body).into_owned())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks it to stop; its exit code.
    async fn stop(mut self) -> Option<i32> {
        let pid = self.child.id().expect("it runs").to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        soon("the end of the process", self.child.wait()).await.unwrap().code()
    }
}

fn shouting(more: Value) -> String {
    let mut config = json!({
        "http": {"address": "127.0.0.1:0"},
        "input": {"http_server": {"path": "/post"}},
        "pipeline": {"processors": [{"mapping": "root = content().uppercase()"}]},
        "output": {"sync_response": {}},
    });
    for (name, value) in more.as_object().unwrap() {
        config[name] = value.clone();
    }
    config.to_string()
}

#[tokio::test]
async fn a_stream_serves_its_endpoints_and_tells_how_it_is() {
    let folder = Gate::setup().file("shout.yaml", &shouting(json!({}))).prepare();
    let process = Process::start(folder.dir(), &["run", "shout.yaml"], &[]).await;
    assert_eq!(process.text("/ping").await, (200, "pong".to_owned()));
    assert_eq!(process.text("/bento/ping").await, (200, "pong".to_owned()));
    assert_eq!(process.text("/ready").await, (200, "OK".to_owned()));
    assert_eq!(process.ask("/version", &[]).await.json()["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(process.ask("/ping", &["-d", "x"]).await.status, 405);
    assert_eq!(process.text("/tyk/apis").await.0, 404, "no admin API is here");
    assert_eq!(process.text("/streams").await.0, 404, "no API of streams is here");
    for path in ["/post", "/bento/post"] {
        let reply = process.ask(path, &["-d", "hello"]).await;
        assert_eq!((reply.status, &*reply.body), (200, &b"HELLO"[..]), "{path}");
    }
    let endpoints = process.ask("/endpoints", &[]).await.json();
    assert!(endpoints["/post"].is_string() && endpoints["/ready"].is_string(), "{endpoints}");
    for path in ["/metrics", "/stats", "/bento/metrics"] {
        let (status, page) = process.text(path).await;
        let received = "input_received{label=\"\",path=\"root.input\",endpoint=\"post\",stream=\"shout\"} 2";
        assert!(status == 200 && page.lines().any(|line| line == received), "{path}: {page}");
    }
    assert_eq!(process.stop().await, Some(0));
}

#[tokio::test]
async fn metrics_go_where_the_stream_says_and_the_server_speaks_tls() {
    let config = json!({
        "http": {"address": "127.0.0.1:0", "root_path": "", "cert_file": "s.pem", "key_file": "s.pem"},
        "metrics": {"json_api": {}},
    });
    let folder = Gate::setup().file("s.yaml", &shouting(config)).file("s.pem", &sample_pem("api")).prepare();
    let process = Process::start(folder.dir(), &["run", "s.yaml"], &[]).await;
    let ask = async |path: &str| {
        let (ca, to) = (sample("root.crt"), format!("api.test:443:{}", process.address));
        let url = format!("https://api.test{path}");
        curl(&[&url, "--cacert", ca.to_str().unwrap(), "--connect-to", &to]).await
    };
    let stats = ask("/stats").await;
    assert_eq!(stats.status, 200, "{stats:?}");
    assert_eq!(
        stats.json()["input_received{endpoint=\"post\",label=\"\",path=\"root.input\",stream=\"s\"}"],
        0,
        "{stats:?}"
    );
    assert_eq!(ask("/bento/ping").await.status, 404);
    assert_eq!(process.stop().await, Some(0));
}

#[tokio::test]
async fn who_is_not_ready_says_what_is_missing() {
    let output = json!({"amqp_0_9": {"urls": ["amqp://127.0.0.1:1"], "exchange": "x"}});
    let folder = Gate::setup().file("s.yaml", &shouting(json!({"output": output}))).prepare();
    let process = Process::start(folder.dir(), &["run", "s.yaml"], &[]).await;
    until("the refusal is known", async || process.text("/ready").await.1.contains("refused")).await;
    let (status, text) = process.text("/ready").await;
    assert_eq!(status, 503);
    assert!(text.starts_with("s: root.output (amqp_0_9) is not connected: "), "{text}");
    assert!(!text.contains("root.input"), "{text}");
}

#[tokio::test]
async fn a_password_and_cross_origin_rules_hold_for_every_path() {
    // The SHA-256 of `tea`.
    let hash = "qfdNHsNuvesto/blhoCQzSotILPcynti9gMEsdPZ70I=";
    let config = json!({"http": {
        "address": "127.0.0.1:0",
        "basic_auth": {"enabled": true, "username": "ann", "password_hash": hash, "realm": "here"},
        "cors": {"enabled": true, "allowed_origins": ["https://a.example"]},
    }});
    let folder = Gate::setup().file("s.yaml", &shouting(config)).prepare();
    let process = Process::start(folder.dir(), &["run", "s.yaml"], &[]).await;
    for path in ["/ping", "/post", "/nowhere"] {
        for credentials in [&[][..], &["-u", "ann:coffee"], &["-u", "bob:tea"]] {
            let reply = process.ask(path, credentials).await;
            assert_eq!(reply.status, 401, "{path} {credentials:?}");
            assert_eq!(reply.header("www-authenticate"), Some("Basic realm=\"here\"".to_owned()));
        }
    }
    assert_eq!(process.ask("/ping", &["-u", "ann:tea"]).await.status, 200);
    assert_eq!(process.ask("/post", &["-u", "ann:tea", "-d", "x"]).await.body, b"X");

    let origin = ["-H", "origin: https://a.example"];
    let asks = ["-X", "OPTIONS", "-H", "access-control-request-method: POST"];
    let preflight = process.ask("/post", &[&origin[..], &asks].concat()).await;
    assert_eq!(preflight.status, 204, "{preflight:?}");
    assert_eq!(preflight.header("access-control-allow-origin"), Some("https://a.example".to_owned()));
    assert_eq!(preflight.header("access-control-allow-methods"), Some("POST".to_owned()));
    let reply = process.ask("/ping", &["-u", "ann:tea", "-H", "origin: https://b.example"]).await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, None));
}

#[tokio::test]
async fn an_address_that_is_taken_is_a_fault_only_for_who_needs_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = Gate::setup().file("s.yaml", &shouting(json!({"http": {"address": address}}))).prepare();
    let run = async |arguments: &[&str]| {
        let command = Command::new(binary()).arg("stream").args(arguments).current_dir(folder.dir()).output();
        soon("the end of the process", command).await.unwrap()
    };
    let done = run(&["run", "s.yaml"]).await;
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1), "{told}");
    assert!(told.contains(&address) && told.contains("set `http.address` to another one"), "{told}");

    let count = "input: { generate: { count: 2, interval: '', mapping: root = \"tea\" } }\n";
    std::fs::write(folder.dir().join("count.yaml"), count).unwrap();
    let done = run(&["run", "-s", "http.enabled=false", "count.yaml"]).await;
    assert_eq!((done.status.code(), &*done.stdout), (Some(0), &b"tea\ntea\n"[..]));
    let done = run(&["lint", "-s", "http.basic_auth.enabled=true", "count.yaml"]).await;
    assert_eq!(done.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&done.stdout).contains("`basic_auth` needs a `username`"));
}

/// A stream of streams mode that answers with a prefix.
fn prefixing(prefix: &str) -> String {
    let config = json!({
        "input": {"http_server": {"path": "/post", "ws_path": ""}},
        "pipeline": {"processors": [{"mapping": format!("root = {prefix:?} + content()")}]},
        "output": {"sync_response": {}},
    });
    config.to_string()
}

const SERVICE: &str = "http: { address: '127.0.0.1:0' }\n";

#[tokio::test]
async fn streams_come_change_and_go_over_http() {
    let folder = Gate::setup()
        .file("service.yaml", SERVICE)
        .file("streams/first.yaml", &prefixing("one "))
        .file("streams/more/second.yaml", &prefixing("two "))
        .prepare();
    let process = Process::start(folder.dir(), &["streams", "-c", "service.yaml", "streams"], &[]).await;
    let posted = async |id: &str| process.send("POST", &format!("/{id}/post"), "x").await;
    assert_eq!(posted("first").await, (200, "one x".to_owned()));

    let list = process.ask("/streams", &[]).await.json();
    assert_eq!(list["first"]["active"], true, "{list}");
    assert!(list["first"]["uptime"].is_f64() && list["first"]["uptime_str"].is_string(), "{list}");

    assert_eq!(process.send("POST", "/streams/new", &prefixing("new ")).await.0, 200);
    assert_eq!(posted("new").await, (200, "new x".to_owned()));
    let again = process.send("POST", "/streams/new", &prefixing("again ")).await;
    assert_eq!(again, (400, "Stream already exists\n".to_owned()));
    assert_eq!(process.send("PUT", "/streams/new", &prefixing("put ")).await.0, 200);
    assert_eq!(posted("new").await, (200, "put x".to_owned()));
    let patch = r#"{"pipeline": {"processors": [{"mapping": "root = \"patched\""}]}}"#;
    assert_eq!(process.send("PATCH", "/streams/new", patch).await.0, 200);
    assert_eq!(posted("new").await, (200, "patched".to_owned()));
    let shown = process.ask("/streams/new", &[]).await.json();
    assert_eq!(shown["config"]["input"]["http_server"]["path"], "/post", "{shown}");
    let stats = process.ask("/streams/new/stats", &[]).await.json();
    assert_eq!(stats["input_received{endpoint=\"post\",label=\"\",path=\"root.input\"}"], 1, "{stats}");
    assert!(stats["uptime_ns"].is_u64(), "{stats}");
    let (_, page) = process.text("/metrics").await;
    assert!(page.contains("input_received{stream=\"first\","), "{page}");

    assert_eq!(process.send("DELETE", "/streams/new", "").await.0, 200);
    assert_eq!(posted("new").await.0, 404);
    for (verb, path) in [("GET", "/streams/new"), ("PUT", "/streams/new"), ("DELETE", "/streams/new")] {
        assert_eq!(process.send(verb, path, "{}").await, (404, "Stream not found\n".to_owned()), "{verb}");
    }

    // The whole set: one stays as it is, one is new, the others go.
    let set = format!("{{\"first\": {}, \"third\": {}}}", prefixing("one "), prefixing("three "));
    assert_eq!(process.send("POST", "/streams", &set).await.0, 200);
    let list = process.ask("/streams", &[]).await.json();
    assert_eq!(list.as_object().unwrap().keys().collect::<Vec<_>>(), ["first", "third"]);
    assert_eq!(posted("third").await, (200, "three x".to_owned()));
    assert_eq!(process.text("/ready").await.0, 200);
    assert_eq!(process.stop().await, Some(0));
}

#[tokio::test]
async fn what_is_at_fault_changes_nothing_and_is_told_with_its_place() {
    let folder = Gate::setup().file("service.yaml", SERVICE).prepare();
    let process = Process::start(folder.dir(), &["streams", "-c", "service.yaml"], &[]).await;
    assert_eq!(process.send("POST", "/streams/a", &prefixing("a ")).await.0, 200);
    let faulty = "input:\n  generate: { mapping: 'root = 1' }\noutput:\n  dorp: {}\n";
    for (verb, path, body, told) in [
        ("POST", "/streams/b", faulty, "(4,3) stream `b`: /output/dorp: "),
        ("PUT", "/streams/a", faulty, "(4,3) stream `a`: "),
        (
            "PATCH",
            "/streams/a",
            r#"{"output": {"sync_response": null, "dorp": {}}}"#,
            "stream `a`: /output/dorp: ",
        ),
        (
            "POST",
            "/streams",
            "a:\n  input: { generate: {} }\n  output: { drop: {} }\n",
            "stream `a`: /a/input/generate",
        ),
        ("POST", "/streams/b", "input: [", "(1,"),
        ("POST", "/resources/cache/c", "memroy: {}", "(1,1) "),
    ] {
        let (status, text) = process.send(verb, path, body).await;
        let lints: Value =
            serde_json::from_str(&text).unwrap_or_else(|_| panic!("{verb} {path}: {status} {text}"));
        let first = lints["lint_errors"][0].as_str().unwrap_or_default().to_owned();
        assert!(status == 400 && first.contains(told), "{verb} {path}: {told:?} is not in {text}");
    }
    // Who wants them to run anyway says so; what cannot be built is refused all the same.
    let odd = prefixing("b ").replacen('{', "{\"unheard_of\": 1, ", 1);
    assert_eq!(process.send("POST", "/streams/b", &odd).await.0, 400);
    assert_eq!(process.send("POST", "/streams/b?chilled=true", &odd).await.0, 200);
    assert_eq!(process.send("POST", "/b/post", "x").await, (200, "b x".to_owned()));
    assert_eq!(process.send("POST", "/streams/c?chilled=true", faulty).await.0, 400);
    for id in ["ready", "a%20b", "..%2Fx"] {
        let (status, text) = process.send("POST", &format!("/streams/{id}"), &prefixing("")).await;
        assert!(status == 400 && text.contains("is no id"), "{id}: {status} {text}");
    }
    assert_eq!(process.send("POST", "/a/post", "x").await, (200, "a x".to_owned()), "it runs as before");
    assert_eq!(process.send("DELETE", "/streams", "").await.0, 405);
}

#[tokio::test]
async fn resources_are_shared_by_their_labels() {
    let folder = Gate::setup()
        .file("service.yaml", SERVICE)
        .file(
            "parts/shout.yaml",
            "processor_resources:\n  - { label: shout, mapping: root = content().uppercase() }\n",
        )
        .prepare();
    let arguments = ["streams", "-c", "service.yaml", "-r", "parts/*.yaml"];
    let process = Process::start(folder.dir(), &arguments, &[]).await;
    let user = prefixing("").replace(r#"{"mapping":"root = \"\" + content()"}"#, r#"{"resource":"shout"}"#);
    assert!(user.contains("shout"), "{user}");
    assert_eq!(process.send("POST", "/streams/a", &user).await.0, 200);
    assert_eq!(process.send("POST", "/a/post", "tea").await, (200, "TEA".to_owned()));
    let other = "mapping: root = content().string().reverse()";
    assert_eq!(process.send("POST", "/resources/processor/shout", other).await.0, 200);
    assert_eq!(process.send("POST", "/a/post", "tea").await, (200, "aet".to_owned()));
    assert_eq!(process.send("POST", "/resources/tea/shout", other).await.0, 404);
}

#[tokio::test]
async fn streams_are_changed_by_those_who_may() {
    let folder = Gate::setup().file("service.yaml", SERVICE).prepare();
    let arguments = ["streams", "-c", "service.yaml"];
    let open = Process::start(folder.dir(), &arguments, &[]).await;
    assert_eq!(open.text("/streams").await.0, 200, "this machine may");
    for header in ["origin: https://a.example", "host: rebound.example"] {
        assert_eq!(open.ask("/streams", &["-H", header]).await.status, 403, "a page may not: {header}");
    }
    let guarded = Process::start(folder.dir(), &arguments, &[("TYK_GW_SECRET", "s3cret")]).await;
    for (header, status) in
        [("x: y", 403), ("x-tyk-authorization: s3cres", 403), ("x-tyk-authorization: s3cret", 200)]
    {
        assert_eq!(guarded.ask("/streams", &["-H", header]).await.status, status, "{header}");
    }
    assert_eq!(guarded.text("/ping").await.0, 200);
}

#[tokio::test]
async fn secrets_are_not_shown_again() {
    let folder = Gate::setup().file("service.yaml", SERVICE).prepare();
    let process = Process::start(folder.dir(), &["streams", "-c", "service.yaml"], &[]).await;
    let config = json!({
        "input": {"generate": {"mapping": "root = 1", "count": 1}},
        "output": {"http_client": {"url": "http://127.0.0.1:1/", "basic_auth": {
            "enabled": true, "username": "ann", "password": "hush",
        }}},
    });
    assert_eq!(process.send("POST", "/streams/a", &config.to_string()).await.0, 200);
    let shown = process.ask("/streams/a", &[]).await.json();
    let auth = &shown["config"]["output"]["http_client"]["basic_auth"];
    assert_eq!((&auth["username"], &auth["password"]), (&json!("ann"), &json!("!!!SECRET_SCRUBBED!!!")));
}

#[tokio::test]
async fn each_stream_reads_what_is_beside_its_own_file() {
    let stream = json!({
        "input": {"http_server": {"path": "/post"}},
        "pipeline": {"processors": [{"mapping": "root = content().string() + file_rel(\"name.txt\")"}]},
        "output": {"sync_response": {}},
    })
    .to_string();
    let folder = Gate::setup()
        .file("service.yaml", SERVICE)
        .file("streams/one/first.yaml", &stream)
        .file("streams/one/name.txt", "one")
        .file("streams/two/second.yaml", &stream)
        .file("streams/two/name.txt", "two")
        .prepare();
    let process = Process::start(folder.dir(), &["streams", "-c", "service.yaml", "streams"], &[]).await;
    for (id, name) in [("one_first", "one"), ("two_second", "two")] {
        let posted = process.send("POST", &format!("/{id}/post"), "x ").await;
        assert_eq!(posted, (200, format!("x {name}")), "{id}");
    }
    assert_eq!(process.stop().await, Some(0));
}

/// A stream that answers on a listener of its own.
fn apart(address: &str, prefix: &str, more: Value) -> String {
    let mut config: Value = serde_json::from_str(&prefixing(prefix)).unwrap();
    config["input"]["http_server"]["address"] = address.into();
    for (name, value) in more.as_object().into_iter().flatten() {
        config["input"]["http_server"][name] = value.clone();
    }
    config.to_string()
}

#[tokio::test]
async fn a_stream_may_have_a_listener_of_its_own() {
    let port = e2e::free_port();
    let own = format!("127.0.0.1:{port}");
    let sockets = json!({"ws_path": "/ws"});
    let mut config: Value = serde_json::from_str(&apart(&own, "own ", sockets)).unwrap();
    config["http"] = json!({"address": "127.0.0.1:0"});
    let folder = Gate::setup().file("s.yaml", &config.to_string()).prepare();
    let process = Process::start(folder.dir(), &["run", "s.yaml"], &[]).await;
    let post = |address: &str| format!("http://{address}/post");
    let asked = curl(&[&post(&own), "--data-binary", "x"]).await;
    assert_eq!((asked.status, asked.text()), (200, "own x"));
    assert_eq!(curl(&[&post(&process.address), "--data-binary", "x"]).await.status, 404);
    assert_eq!(curl(&[&format!("http://{own}/ping")]).await.status, 404, "nothing else is there");
    let mut socket = Socket::open(port, "/ws", &[]).await.expect("a WebSocket opens");
    socket.send("y").await;
    assert_eq!(soon("an answer", socket.next()).await, Some("own y".into()));
    let endpoints = process.ask("/endpoints", &[]).await.json();
    assert!(endpoints[post(&own)].is_string(), "{endpoints}");
    assert_eq!(process.stop().await, Some(0));
}

#[tokio::test]
async fn own_listeners_come_change_and_go_with_their_streams() {
    let folder = Gate::setup().file("service.yaml", SERVICE).file("s.pem", &sample_pem("api")).prepare();
    let process = Process::start(folder.dir(), &["streams", "-c", "service.yaml"], &[]).await;
    let own = format!("127.0.0.1:{}", e2e::free_port());
    let post = async || curl(&[&format!("http://{own}/post"), "--data-binary", "x"]).await;
    assert_eq!(process.send("POST", "/streams/a", &apart(&own, "one ", json!({}))).await.0, 200);
    assert_eq!(post().await.text(), "one x", "without the prefix of the stream");
    let (status, text) = process.send("POST", "/streams/b", &apart(&own, "b ", json!({}))).await;
    assert!(status == 400 && text.contains("cannot be opened"), "{status} {text}");
    assert_eq!(process.send("PUT", "/streams/a", &apart(&own, "two ", json!({}))).await.0, 200);
    assert_eq!(post().await.text(), "two x");
    let tls = json!({"cert_file": "s.pem", "key_file": "s.pem"});
    assert_eq!(process.send("PUT", "/streams/a", &apart(&own, "three ", tls.clone())).await.0, 200);
    let (ca, to) = (sample("root.crt"), format!("api.test:443:{own}"));
    let arguments = ["--cacert", ca.to_str().unwrap(), "--connect-to", &to, "--data-binary", "x"];
    let asked = curl(&[&["https://api.test/post"], &arguments[..]].concat()).await;
    assert_eq!((asked.status, asked.text()), (200, "three x"));
    // What would be lost is told.
    let (status, text) = process.send("POST", "/streams/c", &apart("", "c ", tls)).await;
    assert!(status == 400 && text.contains("`address` is empty"), "{status} {text}");
    assert_eq!(process.send("DELETE", "/streams/a", "").await.0, 200);
    until("its port to be free", async || tokio::net::TcpListener::bind(&own).await.is_ok()).await;
}
