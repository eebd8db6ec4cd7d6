//! Certificates from a directory: obtained, used, kept, renewed, and harmless when there are none to be had.

use std::time::{Duration, Instant};

use e2e::bridge::sample_pem;
use e2e::definition::keyless;
use e2e::{Directory, Gate, Redis, Reply, Setup, Upstream, curl, free_port, until};
use serde_json::{Value, json};

/// A gate that listens with TLS and has no certificate; the port is its own.
fn bare(directory: &Directory, port: u16, acme: Value) -> Setup {
    Gate::setup()
        .conf(json!({
            "listen_port": port,
            "http_server_options": {"use_ssl": true, "enable_http2": true},
            "acme": {"domains": ["api.test"], "directory": directory.url()},
        }))
        .conf(json!({"acme": acme}))
}

/// Asks for a page under this name, as a client that trusts the directory alone.
async fn visit(gate: &Gate, directory: &Directory, name: &str) -> Reply {
    let root = gate.dir().join("root.pem");
    std::fs::write(&root, directory.root()).unwrap();
    let resolve = format!("{name}:{}:127.0.0.1", gate.port());
    let url = format!("https://{name}:{}/a/x", gate.port());
    curl(&["--cacert", &root.display().to_string(), "--resolve", &resolve, &url]).await
}

/// What `/hello` says of a name's certificate: its status, and why.
async fn told(gate: &Gate, name: &str) -> (String, String) {
    let hello = gate.get("/hello", &[]).await.json();
    let told = &hello["details"][format!("certificate ({name})")];
    let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
    if text("status") != "pass" {
        assert_eq!(hello["status"], "warn");
    }
    (text("status"), text("output"))
}

async fn stored(gate: &Gate) -> Vec<String> {
    let list = gate.admin().get("/certs").await.json();
    list["certs"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn certificates_are_obtained_used_and_kept() {
    let upstream = Upstream::start().await;
    let (port, http_port) = (free_port(), free_port());
    for challenge in ["tls-alpn-01", "http-01"] {
        let by_tls = challenge == "tls-alpn-01";
        let directory = Directory::start(&[if by_tls { port } else { http_port }]).await;
        directory.external("me", b"0123456789abcdef0123456789abcdef");
        let trusted = directory.over_tls().await;
        let acme = json!({
            "domains": ["two.test", "API.test"],
            "challenge": challenge,
            "http_port": if by_tls { 0 } else { http_port },
            "email": "ops@example.com",
            "ca_file": "directory.pem",
            "external_account": {"id": "me", "key": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"},
        });
        let setup = bare(&directory, port, acme).file("directory.pem", &trusted);
        let mut gate = setup.api(keyless("a", &upstream.url(""))).start().await;
        for name in ["api.test", "two.test"] {
            until("a certificate is there", async || visit(&gate, &directory, name).await.status == 200)
                .await;
            until("it is told", async || told(&gate, name).await == ("pass".to_owned(), String::new())).await;
        }
        let counts = directory.counts();
        assert_eq!((counts.accounts, counts.orders, counts.certificates), (1, 2, 2), "{challenge}");
        assert_eq!(directory.contacts(), ["mailto:ops@example.com"]);
        let list = gate.admin().get("/certs?mode=detailed").await.json();
        let mut names: Vec<&Value> =
            list["certs"].as_array().unwrap().iter().map(|one| &one["dns_names"][0]).collect();
        names.sort_by_key(|name| name.to_string());
        assert_eq!(names, ["api.test", "two.test"]);
        if !by_tls {
            let url = format!("http://127.0.0.1:{http_port}/a/x");
            assert_eq!(curl(&[&url]).await.status, 404, "the port for proofs serves nothing else");
            // What is no answer to a directory's question goes on to the APIs.
            let reply = gate.get("/.well-known/acme-challenge/another", &[]).await;
            assert_eq!((reply.status, reply.text()), (404, "Not Found"));
        }
        gate.kill();
        directory.failing(true);
        gate.start().await;
        for name in ["api.test", "two.test"] {
            assert_eq!(visit(&gate, &directory, name).await.status, 200, "{name}: kept");
            assert_eq!(told(&gate, name).await.0, "pass");
        }
        assert_eq!(directory.counts(), counts, "nothing is asked for again");
    }
}

#[tokio::test]
async fn a_certificate_is_renewed_before_its_end() {
    let upstream = Upstream::start().await;
    let port = free_port();
    let directory = Directory::start(&[port]).await;
    directory.life(Duration::from_secs(8));
    let gate = bare(&directory, port, json!({})).api(keyless("a", &upstream.url(""))).start().await;
    let first = stored(&gate).await;
    directory.life(Duration::from_secs(86_400));
    until("a second one is there", async || directory.counts().certificates == 2).await;
    until("it takes the place of the first", async || {
        let now = stored(&gate).await;
        now.len() == 1 && now != first
    })
    .await;
    until("it is used", async || {
        let reply = visit(&gate, &directory, "api.test").await;
        reply.status == 200 && told(&gate, "api.test").await.0 == "pass"
    })
    .await;
    assert_eq!(directory.counts().accounts, 1);
}

#[tokio::test]
async fn c12_a_certificate_is_renewed_so_long_before_its_end_as_is_said() {
    let upstream = Upstream::start().await;
    let port = free_port();
    let directory = Directory::start(&[port]).await;
    // Where nothing is said it would be after eight seconds.
    directory.life(Duration::from_secs(12));
    let gate =
        bare(&directory, port, json!({"renew_before": 2})).api(keyless("a", &upstream.url(""))).start();
    let _gate = gate.await;
    until("the first is there", async || directory.counts().certificates == 1).await;
    let begun = Instant::now();
    until("a second one is there", async || directory.counts().certificates == 2).await;
    let after = begun.elapsed();
    assert!(after > Duration::from_millis(8_900), "after {after:?}");
}

#[tokio::test]
async fn a_directory_that_fails_costs_nothing_and_is_asked_seldom() {
    let upstream = Upstream::start().await;
    let (port, nobody) = (free_port(), free_port());
    let directory = Directory::start(&[port]).await;
    directory.failing(true);
    let mut gate = bare(&directory, port, json!({}))
        .file("gate.pem", &sample_pem("api"))
        .conf(json!({"http_server_options": {"ssl_certificates": ["gate.pem"]}}))
        .api(keyless("a", &upstream.url("")))
        .start()
        .await;
    assert_eq!(gate.get("/a/x", &[]).await.status, 200, "what is configured is offered");
    until("it is told", async || told(&gate, "api.test").await.1.contains("out of order")).await;
    assert_eq!(told(&gate, "api.test").await.0, "fail");
    assert!(gate.log().contains("no certificate was obtained"), "{}", gate.log());
    let asked = directory.counts().requests;
    directory.failing(false);
    gate.kill();
    gate.start().await;
    until("it is told again", async || told(&gate, "api.test").await.1.contains("out of order")).await;
    assert_eq!(directory.counts().requests, asked, "a start is no way around the wait");

    // Another directory is asked at once. It cannot confirm the name.
    let other = Directory::start(&[nobody]).await;
    gate.kill();
    let conf = std::fs::read_to_string(gate.dir().join("tyk.conf")).unwrap();
    gate.write("tyk.conf", &conf.replace(&directory.url(), &other.url()));
    gate.start().await;
    until("the reason is told", async || {
        told(&gate, "api.test").await.1.contains("could not confirm that the name is ours")
    })
    .await;
    let (_, why) = told(&gate, "api.test").await;
    assert!(why.contains(&format!("port {nobody}")), "{why}");
    assert_eq!((other.counts().orders, other.counts().certificates), (1, 0));
    assert_eq!(gate.get("/a/x", &[]).await.status, 200);
}

#[tokio::test]
async fn of_several_nodes_one_orders_and_all_answer_and_use_it() {
    let upstream = Upstream::start().await;
    let redis = Redis::start().await;
    let ports = [free_port(), free_port(), free_port()];
    // The directory looks at every node for the proof.
    let directory = Directory::start(&ports).await;
    let mut gates: Vec<Gate> = ports
        .iter()
        .map(|port| {
            let setup = bare(&directory, *port, json!({})).conf(redis.conf());
            setup.api(keyless("a", &upstream.url(""))).prepare()
        })
        .collect();
    let [one, two, three] = gates.as_mut_slice() else { unreachable!() };
    tokio::join!(one.start(), two.start(), three.start());
    for gate in &gates {
        until("the node uses it", async || visit(gate, &directory, "api.test").await.status == 200).await;
    }
    let counts = directory.counts();
    assert_eq!((counts.accounts, counts.orders, counts.certificates), (1, 1, 1));
    // A certificate that an admin throws away is obtained anew, by one.
    let id = stored(&gates[0]).await.remove(0);
    assert_eq!(gates[1].admin().delete(&format!("/certs/{id}?org_id=")).await.status, 200);
    until("there is another one", async || directory.counts().certificates == 2).await;
    for gate in &gates {
        until("all have it", async || {
            let told = told(gate, "api.test").await;
            told.0 == "pass" && stored(gate).await.iter().all(|other| *other != id)
        })
        .await;
        assert_eq!(visit(gate, &directory, "api.test").await.status, 200);
    }
    assert_eq!((directory.counts().accounts, directory.counts().orders), (1, 2));
}

#[tokio::test]
async fn settings_that_cannot_work_stop_the_start() {
    let directory = Directory::start(&[]).await;
    for (conf, said) in [
        (json!({"http_server_options": {"use_ssl": false}}), "use_ssl"),
        (json!({"acme": {"domains": ["*.test"]}}), "name each host"),
        (json!({"acme": {"domains": ["https://api.test"]}}), "no name of a host"),
        (json!({"acme": {"directory": "letsencrypt"}}), "no address"),
        (json!({"acme": {"external_account": {"id": "me"}}}), "both `id` and `key`"),
        (json!({"acme": {"ca_file": "missing.pem"}}), "missing.pem"),
        (json!({"acme": {"challenge": "dns-01"}}), "http-01"),
    ] {
        let mut gate = bare(&directory, free_port(), json!({})).conf(conf.clone()).prepare();
        gate.spawn();
        assert_eq!(gate.ended().await, Some(1), "{conf}: {}", gate.log());
        assert!(gate.log().contains(said), "{conf}: {}", gate.log());
    }
}
