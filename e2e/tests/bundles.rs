//! Plugins that come from elsewhere: bundles over HTTP (contract 9.5), and servers of plugins, several of them (9.3).

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use e2e::definition::keyless;
use e2e::{Authority, Dispatcher, Gate, Setup, Upstream, Wire, free_port, front, until};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// A folder of this test, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sluicegate-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let output = Command::new(program).current_dir(&self.0).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {said}");
    }

    /// Packs a script that says `says` to the upstream.
    fn bundle(&self, says: &str, more: &[&str]) -> Vec<u8> {
        fs::create_dir_all(self.0.join("source")).unwrap();
        let script = format!("function say(request) {{ request.SetHeaders['X-Said'] = '{says}'; }}");
        fs::write(self.0.join("source/say.js"), script).unwrap();
        let manifest = json!({
            "file_list": ["say.js"],
            "custom_middleware": {"driver": "javascript", "pre": [{"name": "say", "path": "say.js"}]},
        });
        fs::write(self.0.join("source/manifest.json"), manifest.to_string()).unwrap();
        let gate = e2e::binary().display().to_string();
        self.run(&gate, &[&["plugin", "bundle", "source", "-o", "packed.zip"][..], more].concat());
        fs::read(self.0.join("packed.zip")).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

type Answers = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// A server of bundles: for each request, the last of the answers that are there for its path, or 404; all but the first
/// are given once. What it was asked for.
async fn server(answers: &Answers) -> (Wire, Arc<Mutex<Vec<String>>>) {
    let (answers, asked) = (Arc::clone(answers), Arc::new(Mutex::new(Vec::new())));
    let kept = Arc::clone(&asked);
    let wire = Wire::start(move |mut line| {
        let (answers, asked) = (Arc::clone(&answers), Arc::clone(&asked));
        async move {
            while let Some(head) = line.request().await {
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                let answer = {
                    let mut answers = answers.lock();
                    let mut of_path = answers.iter().enumerate().filter(|(_, (known, _))| *known == path);
                    let last = of_path.next_back().map(|(at, (_, answer))| (at, answer.clone()));
                    if let Some((at, _)) = last
                        && of_path.next().is_some()
                    {
                        answers.remove(at);
                    }
                    last.map(|(_, answer)| answer)
                };
                asked.lock().push(path);
                let none = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec();
                // An empty answer is none: the connection ends.
                let answer = answer.unwrap_or(none);
                if answer.is_empty() || !line.say(&answer).await {
                    break;
                }
            }
        }
    })
    .await;
    (wire, kept)
}

fn good(bundle: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bundle.len()).as_bytes(), bundle].concat()
}

fn status(line: &str) -> Vec<u8> {
    format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

fn bundled(id: &str, target: &str, name: &str) -> Value {
    let mut api = keyless(id, target);
    api["custom_middleware_bundle"] = json!(name);
    api
}

fn fetching(base: &str) -> Setup {
    Gate::setup()
        .conf(json!({"enable_jsvm": true, "enable_bundle_downloader": true, "bundle_base_url": base}))
}

/// What the plugin told the upstream.
async fn said(gate: &Gate, path: &str) -> Value {
    let reply = gate.get(path, &[]).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    reply.json()["headers"]["x-said"][0].clone()
}

#[tokio::test]
async fn c9_5_rows_2_3_5_bundles_are_fetched_over_http_and_asked_for_again_where_that_may_help() {
    let (upstream, folder, answers) = (Upstream::start().await, Folder::new("fetched"), Answers::default());
    let (server, asked) = server(&answers).await;
    let bundle = folder.bundle("first", &[]);
    let put = |path: &str, answer: Vec<u8>| answers.lock().push((format!("/base{path}"), answer));
    put("/good.zip", good(&bundle));
    // Overwhelmed, then gone in the middle of it, then well.
    put("/again.zip", good(&bundle));
    put("/again.zip", Vec::new());
    put("/again.zip", status("503 Service Unavailable"));
    put("/moved.zip", status("302 Found\r\nLocation: /base/good.zip"));
    put("/forbidden.zip", status("403 Forbidden"));
    put("/failing.zip", status("500 Internal Server Error"));
    put("/rubbish.zip", good(b"<html>"));
    put("/cut.zip", format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bundle.len()).into_bytes());
    // One slash between the two, however they are written.
    let gate = fetching(&format!("{}/base/", server.url())).start().await;
    let tries = |path: &str| asked.lock().iter().filter(|known| **known == format!("/base{path}")).count();
    for (name, asks) in [("good", 1), ("again", 3), ("moved", 1)] {
        let api = bundled(name, &upstream.url(""), &format!("{name}.zip"));
        let reply = gate.admin().post("/apis", &api).await;
        assert_eq!(reply.status, 200, "{name}: {}", reply.text());
        assert_eq!(said(&gate, &format!("/{name}/x")).await, "first");
        assert_eq!(tries(&format!("/{name}.zip")), asks, "{name}");
    }
    for (name, why) in [
        ("forbidden", "answers 403"),
        ("failing", "answers 500"),
        ("none", "answers 404"),
        ("rubbish", "bundle cannot be used"),
    ] {
        let before = tries(&format!("/{name}.zip"));
        let reply =
            gate.admin().post("/apis", &bundled("bad", &upstream.url(""), &format!("{name}.zip"))).await;
        assert!(reply.status == 400 && reply.text().contains(why), "{name}: {}", reply.text());
        // What will not pass is not asked for again by itself.
        let asks = tries(&format!("/{name}.zip")) - before;
        assert_eq!(asks > 1, name == "failing", "{name}: {asks} times");
        assert_eq!(gate.get("/bad/x", &[]).await.status, 404, "an API without its plugins is not served");
    }
    // A definition on disk whose bundle was not there is live with the first reload at which it is.
    let late = bundled("late", &upstream.url(""), "late.zip");
    gate.write("apps/late.json", &late.to_string());
    gate.admin().reload().await;
    assert_eq!(gate.get("/late/x", &[]).await.status, 404);
    put("/late.zip", good(&folder.bundle("late", &[])));
    gate.admin().reload().await;
    assert_eq!(said(&gate, "/late/x").await, "late");
    // What is there is not fetched with every reload.
    let before = tries("/good.zip");
    gate.admin().reload().await;
    assert_eq!(tries("/good.zip"), before);
}

#[tokio::test]
async fn c9_5_row_4_bundles_are_verified_and_so_is_who_serves_them() {
    let (upstream, folder, answers) = (Upstream::start().await, Folder::new("signed"), Answers::default());
    let (server, _asked) = server(&answers).await;
    for name in ["own", "other"] {
        let (private, public) = (format!("{name}.pem"), format!("{name}.pub"));
        folder.run(
            "openssl",
            &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", &private],
        );
        folder.run("openssl", &["pkey", "-in", &private, "-pubout", "-out", &public]);
    }
    for (name, key) in [("signed", &["-k", "own.pem"][..]), ("foreign", &["-k", "other.pem"]), ("bare", &[])]
    {
        answers.lock().push((format!("/{name}.zip"), good(&folder.bundle(name, key))));
    }
    let gate =
        fetching(&server.url()).conf(json!({"public_key_path": folder.0.join("own.pub")})).start().await;
    for (name, status) in [("signed", 200), ("foreign", 400), ("bare", 400)] {
        let api = bundled(name, &upstream.url(""), &format!("{name}.zip"));
        let reply = gate.admin().post("/apis", &api).await;
        assert_eq!(reply.status, status, "{name}: {}", reply.text());
        if status == 400 {
            let why = "it is not signed by the key of `public_key_path`";
            assert!(reply.text().contains(why), "{name}: {}", reply.text());
        }
    }
    assert_eq!(said(&gate, "/signed/x").await, "signed");

    // Over TLS, with a certificate that nobody knows.
    let shown = Authority::new().sign(&["localhost"]);
    let port = front(server.url().trim_start_matches("http://"), &shown, None).await;
    for (insecure, status) in [(false, 400), (true, 200)] {
        let gate = fetching(&format!("https://localhost:{port}"))
            .conf(json!({"bundle_insecure_skip_verify": insecure}))
            .start()
            .await;
        let reply = gate.admin().post("/apis", &bundled("a", &upstream.url(""), "bare.zip")).await;
        assert_eq!(reply.status, status, "{insecure}: {}", reply.text());
    }
}

#[tokio::test]
async fn c9_3_several_servers_of_plugins_take_turns_and_keep_their_connections() {
    let (upstream, first, second) =
        (Upstream::start().await, Dispatcher::start().await, Dispatcher::start().await);
    let mut api = keyless("a", &upstream.url(""));
    api["custom_middleware"] = json!({"driver": "grpc", "pre": [{"name": "request"}]});
    let gate = |servers: String| {
        let options = json!({"enable_coprocess": true, "coprocess_grpc_server": servers});
        Gate::setup().conf(json!({"coprocess_options": options})).api(api.clone()).start()
    };
    let both = gate(format!("{},{}", first.address(), second.address())).await;
    let ask = async |gate: &Gate| {
        let reply = gate.get("/a/x", &["-d", "text"]).await;
        (reply.status, serde_json::from_str::<Value>(reply.text()).unwrap_or_default()["body"].clone())
    };
    // The second one may be connected to a moment later.
    let mut asked = 0;
    until("both were called", async || {
        asked += 1;
        assert_eq!(ask(&both).await, (200, json!("TEXT")));
        first.calls() > 0 && second.calls() > 0
    })
    .await;
    for _ in 0..30 {
        assert_eq!(ask(&both).await, (200, json!("TEXT")));
    }
    assert_eq!(first.calls() + second.calls(), asked + 30, "each request is one call");
    assert!(first.calls() >= 5 && second.calls() >= 5, "{} and {}", first.calls(), second.calls());
    assert_eq!((first.connections(), second.connections()), (1, 1), "connections are kept");

    // One that is away costs nobody anything.
    let half = gate(format!("tcp://127.0.0.1:{},{}", free_port(), first.address())).await;
    let before = first.calls();
    for _ in 0..20 {
        assert_eq!(ask(&half).await, (200, json!("TEXT")));
    }
    assert_eq!(first.calls() - before, 20);
}
