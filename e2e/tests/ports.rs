//! APIs over HTTP on ports of their own (contract 2.1, `listen_port` and `protocol`; 1.3, `ports_whitelist`).

use e2e::bridge::{sample, sample_pem};
use e2e::definition::{keyless, oas};
use e2e::{Gate, Reply, Upstream, curl, free_port, raw, raw_socket, soon, until};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn on(port: u16, protocol: &str, mut api: Value) -> Value {
    api["listen_port"] = json!(port);
    api["protocol"] = json!(protocol);
    api
}

async fn get(port: u16, path: &str, arguments: &[&str]) -> Reply {
    let url = format!("http://127.0.0.1:{port}{path}");
    curl(&[arguments, &[&url]].concat()).await
}

async fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).await.is_ok()
}

#[tokio::test]
async fn c2_1_row_5_apis_are_served_on_their_port_and_nowhere_else() {
    let upstream = Upstream::start().await;
    let (port, other) = (free_port(), free_port());
    let mut openapi = oas("o", &upstream.url("/o"));
    openapi["x-tyk-api-gateway"]["server"]["port"] = json!(port);
    let mut batched = on(port, "http", keyless("a", &upstream.url("/a")));
    batched["enable_batch_request_support"] = json!(true);
    let gate = Gate::setup()
        .conf(json!({"ports_whitelist": {
            "http": {"ranges": [{"from": port, "to": port}]},
            "h2c": {"ports": [other]},
        }}))
        .api(batched)
        .oas(openapi)
        // The same path, on another port.
        .api(on(other, "h2c", {
            let mut api = keyless("h", &upstream.url("/h"));
            api["proxy"]["listen_path"] = json!("/a/");
            api
        }))
        .api(keyless("main", &upstream.url("/main")))
        .start()
        .await;
    until("the ports", async || listens(port).await && listens(other).await).await;
    for (at, path, arguments, reached) in [
        (port, "/a/x", &[][..], "/a/x"),
        (port, "/o/x", &[], "/o/x"),
        (other, "/a/x", &[], "/h/x"),
        (other, "/a/x", &["--http2-prior-knowledge"], "/h/x"),
        (other, "/h/x", &[], "/h/x"),
        (gate.port(), "/main/x", &[], "/main/x"),
    ] {
        let reply = get(at, path, arguments).await;
        assert_eq!(reply.status, 200, "{at} {path}: {reply:?}\n{}", gate.log());
        assert_eq!(reply.json()["path"], reached, "{at} {path}");
    }
    for (at, path) in [
        (gate.port(), "/a/x"),
        (gate.port(), "/o/x"),
        (port, "/main/x"),
        (port, "/h/x"),
        // What is the gate's own is on its own port.
        (port, "/hello"),
        (port, "/ready"),
        (port, "/metrics"),
        (port, "/tyk/apis"),
    ] {
        let secret = format!("x-tyk-authorization: {}", Gate::SECRET);
        let reply = get(at, path, &["-H", &secret]).await;
        assert_eq!((reply.status, reply.text()), (404, "Not Found"), "{at} {path}");
    }
    let batch = json!({"requests": [{"method": "GET", "relative_url": "x"}]}).to_string();
    let reply = get(port, "/a/tyk/batch/", &["-d", &batch]).await;
    assert_eq!((reply.status, &reply.json()[0]["code"]), (200, &json!(200)), "{reply:?}");
}

#[tokio::test]
async fn c2_1_row_5_ports_have_to_be_open_to_definitions_and_spoken_as_they_can_be() {
    let (listed, tcp) = (free_port(), free_port());
    let gate = Gate::setup()
        .conf(json!({"ports_whitelist": {"http": {"ports": [listed]}, "https": {"ports": [listed]}, "tcp": {"ports": [tcp]}}}))
        .api(on(listed, "", keyless("first", "http://127.0.0.1:1")))
        .start()
        .await;
    let own = gate.port();
    let text = "is not open to definitions";
    for (port, protocol, at, told) in [
        (free_port(), "http", "/listen_port", text),
        (listed, "h2c", "/listen_port", text),
        (tcp, "http", "/listen_port", text),
        (listed, "https", "/protocol", "no certificate"),
        (own, "https", "/protocol", "served in clear"),
        (0, "https", "/protocol", "served in clear"),
        (listed, "udp", "/protocol", "unknown"),
    ] {
        let reply = gate.admin().post("/apis", &on(port, protocol, keyless("x", "http://127.0.0.1:1"))).await;
        assert_eq!(reply.status, 400, "{port} {protocol}: {reply:?}");
        assert!(reply.text().contains(told) && reply.text().contains(at), "{port} {protocol}: {reply:?}");
    }
    // Its own port by number is as good as none.
    for (port, protocol) in [(own, "http"), (own, ""), (0, "h2c")] {
        let api = on(port, protocol, keyless("same", "http://127.0.0.1:1"));
        let reply = gate.admin().post("/apis", &api).await;
        assert_eq!(reply.status, 200, "{port} {protocol}: {reply:?}");
        assert_eq!(gate.get("/same/x", &[]).await.status, 500, "{port} {protocol}: nobody is upstream");
        assert_eq!(gate.admin().delete("/apis/same").await.status, 200);
    }
    let any = Gate::setup()
        .conf(json!({"disable_ports_whitelist": true}))
        .api(on(tcp, "http", keyless("a", "http://127.0.0.1:1")))
        .start()
        .await;
    until("the port", async || listens(tcp).await).await;
    // Who serves there already keeps the port from a newcomer of another kind.
    let other = on(tcp, "tcp", keyless("b", "tcp://127.0.0.1:1"));
    any.admin().post("/apis", &other).await;
    until("the clash to be told", async || any.log().contains("which is served over HTTP")).await;
    assert_eq!(get(tcp, "/a/x", &[]).await.status, 500, "nobody is upstream");
}

#[tokio::test]
async fn c2_1_row_5_https_is_spoken_on_a_port_of_its_own_beside_a_gate_in_clear() {
    let upstream = Upstream::start().await;
    let port = free_port();
    let gate = Gate::setup()
        .file("gate.pem", &sample_pem("api"))
        .conf(json!({
            "http_server_options": {"ssl_certificates": ["gate.pem"], "enable_http2": true},
            "ports_whitelist": {"https": {"ports": [port]}},
        }))
        .api(on(port, "https", keyless("a", &upstream.url("/a"))))
        .api(keyless("main", &upstream.url("/main")))
        .start()
        .await;
    until("the port", async || listens(port).await).await;
    let (resolve, root) = (format!("api.test:{port}:127.0.0.1"), sample("root.crt").display().to_string());
    let url = format!("https://api.test:{port}/a/x");
    for (option, version) in [("--http1.1", "HTTP/1.1"), ("--http2", "HTTP/2")] {
        let reply = curl(&[option, "--cacert", &root, "--resolve", &resolve, &url]).await;
        assert_eq!((reply.status, &*reply.version), (200, version), "{reply:?}\n{}", gate.log());
    }
    assert_eq!(gate.get("/main/x", &[]).await.status, 200);
    let clear = get(port, "/a/x", &[]).await;
    assert_eq!(clear.status, 0, "{clear:?}");
}

#[tokio::test]
async fn c13_2_row_2_ports_open_and_close_with_definitions_and_cut_nothing_that_is_under_way() {
    let upstream = Upstream::start().await;
    let (port, moved) = (free_port(), free_port());
    let gate = Gate::setup()
        .conf(json!({"disable_ports_whitelist": true}))
        .api(on(port, "http", keyless("a", &upstream.url(""))))
        .start()
        .await;
    until("the port", async || listens(port).await).await;

    // One client hears events, another for something to ask, a third speaks HTTP/2.
    let mut waiting = raw_socket(port).await;
    waiting.write_all(b"GET /a/sse HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut heard = Vec::new();
    soon("the first event", async {
        while !String::from_utf8_lossy(&heard).contains("event 0") {
            assert_ne!(waiting.read_buf(&mut heard).await.unwrap(), 0);
        }
    })
    .await;
    let mut idle = raw_socket(port).await;
    idle.write_all(b"GET /a/status/204 HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    soon("an answer", async {
        while !answer.ends_with(b"\r\n\r\n") {
            assert_ne!(idle.read_buf(&mut answer).await.unwrap(), 0);
        }
    })
    .await;
    let hits = upstream.hits();
    let multiplexed =
        tokio::spawn(async move { get(port, "/a/slow/1500", &["--http2-prior-knowledge"]).await });
    until("the request over HTTP/2", async || upstream.hits() > hits).await;

    let to = on(moved, "http", keyless("a", &upstream.url("")));
    assert_eq!(gate.admin().put("/apis/a", &to).await.status, 200);
    until("the new port", async || listens(moved).await).await;
    until("the end of the old one", async || !listens(port).await).await;
    assert_eq!(get(moved, "/a/x", &[]).await.status, 200);
    soon("the idle connection to be closed", idle.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(multiplexed.await.unwrap().status, 200);
    upstream.release();
    soon("the next event", async {
        while !String::from_utf8_lossy(&heard).contains("event 1") {
            assert_ne!(waiting.read_buf(&mut heard).await.unwrap(), 0);
        }
    })
    .await;

    // Somebody else has the port: it is taken as soon as it is free.
    let taken = free_port();
    let squatter = TcpListener::bind(("127.0.0.1", taken)).await.unwrap();
    let to = on(taken, "http", keyless("a", &upstream.url("")));
    assert_eq!(gate.admin().put("/apis/a", &to).await.status, 200);
    until("the clash to be told", async || gate.log().contains("cannot be opened; trying again")).await;
    drop(squatter);
    until("the port", async || {
        let asked = b"GET /a/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        listens(taken).await && raw(taken, asked).await.starts_with("HTTP/1.1 200")
    })
    .await;
    assert_eq!(gate.admin().delete("/apis/a").await.status, 200);
    until("the end of the port", async || !listens(taken).await).await;
}
