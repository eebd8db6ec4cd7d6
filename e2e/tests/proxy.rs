//! What happens to a request on its way to an upstream, and to the answer on its way back (contract 4.6).

use e2e::definition::{keyed, keyless, oas, session};
use e2e::{Gate, Reply, Scripted, Socket, Sse, Upstream, curl};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// A gate with one keyless API `a` that sends to `target` below the upstream.
async fn gate(upstream: &Upstream, target: &str) -> Gate {
    Gate::setup().api(keyless("a", &upstream.url(target))).start().await
}

fn sent(reply: &Reply, name: &str) -> Value {
    reply.json()["headers"][name].clone()
}

#[tokio::test]
async fn c4_6_rows_3_4_7_paths_and_queries_are_joined() {
    let upstream = Upstream::start().await;
    let cases = [
        // target, strip, request, what the upstream sees
        ("", true, "/a/x/y", "/x/y"),
        ("/", true, "/a/x", "/x"),
        ("/base", true, "/a/x", "/base/x"),
        ("/base/", true, "/a/x", "/base/x"),
        ("/base/", true, "/a/x/", "/base/x/"),
        ("/base", false, "/a/x", "/base/a/x"),
        ("/base?k=1", true, "/a/x?b=2&b=3", "/base/x?k=1&b=2&b=3"),
        ("", true, "/a/x?q=a%20b%2Fc", "/x?q=a%20b%2Fc"),
        ("", true, "/a/sp%20ace/%C3%BC", "/sp%20ace/%C3%BC"),
        ("", true, "/a/one%2Ftwo", "/one%2Ftwo"),
    ];
    let mut setup = Gate::setup();
    for (index, (target, strip, ..)) in cases.iter().enumerate() {
        let mut api = keyless(&format!("api{index}"), &upstream.url(target));
        api["proxy"]["listen_path"] = json!("/a/");
        api["proxy"]["strip_listen_path"] = json!(strip);
        api["domain"] = json!(format!("case{index}.test"));
        setup = setup.api(api);
    }
    let gate = setup.start().await;
    for (index, (target, _, path, expected)) in cases.iter().enumerate() {
        let reply = gate.get(path, &["-H", &format!("Host: case{index}.test")]).await;
        assert_eq!(reply.status, 200, "{target} + {path}: {reply:?}");
        assert_eq!(reply.json()["path"], **expected, "{target} + {path}");
    }
}

#[tokio::test]
async fn c2_9_row_4_apis_are_told_apart_by_listen_path_and_domain() {
    let upstream = Upstream::start().await;
    let with = |id: &str, listen: &str, domain: &str| {
        let mut api = keyless(id, &upstream.url(&format!("/{id}")));
        api["proxy"]["listen_path"] = json!(listen);
        api["domain"] = json!(domain);
        api
    };
    let gate = Gate::setup()
        .api(with("short", "/v/", ""))
        .api(with("long", "/v/deep/", ""))
        .api(with("own", "/v/", "own.test"))
        .start()
        .await;
    for (host, path, expected) in [
        ("x", "/v/1", "/short/1"),
        ("x", "/v/deep/1", "/long/1"),
        ("own.test", "/v/deep/1", "/own/deep/1"),
        ("OWN.test:80", "/v/1", "/own/1"),
    ] {
        let reply = gate.get(path, &["-H", &format!("Host: {host}")]).await;
        assert_eq!(reply.json()["path"], expected, "{host} {path}");
    }
    let missing = gate.get("/nowhere", &[]).await;
    assert_eq!((missing.status, missing.text()), (404, "Not Found"));
    assert!(missing.header("content-type").unwrap().starts_with("text/plain"), "{missing:?}");
}

#[tokio::test]
async fn c3_2_row_4_an_oas_definition_proxies_like_a_classic_one() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().oas(oas("o", &upstream.url("/base"))).start().await;
    let reply = gate.get("/o/x?y=1", &[]).await;
    assert_eq!(reply.json()["path"], "/base/x?y=1");
}

#[tokio::test]
async fn c4_6_row_8_headers_that_belong_to_one_hop_end_there() {
    let upstream = Upstream::start().await;
    let gate = gate(&upstream, "").await;
    let arguments = [
        "-H",
        "Connection: close, X-Private",
        "-H",
        "X-Private: 1",
        "-H",
        "Keep-Alive: 5",
        "-H",
        "Proxy-Authorization: x",
        "-H",
        "Proxy-Connection: keep-alive",
        "-H",
        "TE: gzip",
        "-H",
        "X-Public: 1",
        "-H",
        "x-public: 2",
    ];
    let reply = gate.get("/a/x", &arguments).await;
    for name in ["connection", "x-private", "keep-alive", "proxy-authorization", "proxy-connection", "te"] {
        assert_eq!(sent(&reply, name), Value::Null, "{name} reached the upstream");
    }
    assert_eq!(sent(&reply, "x-public"), json!(["1", "2"]));
    let reply = gate.get("/a/hop", &[]).await;
    for name in ["x-private", "keep-alive", "proxy-authenticate"] {
        assert_eq!(reply.header(name), None, "{name} reached the client");
    }
    assert_eq!(reply.header("x-public").as_deref(), Some("1"));
}

#[tokio::test]
async fn c4_6_rows_5_6_9_the_upstream_learns_who_asks_and_whom() {
    let upstream = Upstream::start().await;
    let mut keeping = keyless("keeping", &upstream.url(""));
    keeping["proxy"]["preserve_host_header"] = json!(true);
    let gate = Gate::setup().api(keyless("a", &upstream.url(""))).api(keeping).start().await;

    let reply = gate.get("/a/x", &[]).await;
    assert_eq!(sent(&reply, "x-forwarded-for"), json!(["127.0.0.1"]));
    assert_eq!(sent(&reply, "host"), json!([upstream.authority()]));
    assert!(sent(&reply, "user-agent")[0].as_str().unwrap().starts_with("curl/"));
    for name in ["x-forwarded-proto", "x-forwarded-host"] {
        assert_eq!(sent(&reply, name), Value::Null, "{name}");
    }

    let reply = gate.get("/a/x", &["-H", "X-Forwarded-For: 9.9.9.9", "-H", "X-Forwarded-For: 8.8.8.8"]).await;
    assert_eq!(sent(&reply, "x-forwarded-for"), json!(["9.9.9.9, 8.8.8.8, 127.0.0.1"]));

    let reply = gate.get("/keeping/x", &["-H", "Host: asked.test"]).await;
    assert_eq!(sent(&reply, "host"), json!(["asked.test"]));
}

#[tokio::test]
async fn methods_and_bodies_arrive_as_they_were_sent() {
    let upstream = Upstream::start().await;
    let gate = gate(&upstream, "").await;
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
        let reply = gate.get("/a/x", &["-X", method]).await;
        assert_eq!(reply.json()["method"], method);
    }
    let big = "0123456789".repeat(20_000);
    for (name, arguments) in [
        ("sized", vec![]),
        ("chunked", vec!["-H", "Transfer-Encoding: chunked"]),
        ("after 100-continue", vec!["-H", "Expect: 100-continue"]),
    ] {
        for body in ["hello", &big] {
            let path = gate.dir().join("body");
            std::fs::write(&path, body).unwrap();
            let data = format!("@{}", path.display());
            let mut arguments = arguments.clone();
            arguments.extend(["--data-binary", &data]);
            let reply = gate.get("/a/x", &arguments).await;
            assert_eq!(reply.status, 200, "{name}: {}", reply.error);
            assert!(reply.json()["body"] == body, "{name}: the body of {} bytes changed", body.len());
        }
    }
    let reply = gate.get("/a/x", &["-d", "hello"]).await;
    assert_eq!(sent(&reply, "content-length"), json!(["5"]));
    assert_eq!(sent(&reply, "transfer-encoding"), Value::Null);
}

#[tokio::test]
async fn c4_6_row_23_answers_come_back_as_they_were_given() {
    let upstream = Upstream::start().await;
    let gate = gate(&upstream, "").await;
    for status in [200, 201, 204, 304, 404, 418, 500, 503] {
        let reply = gate.get(&format!("/a/status/{status}"), &[]).await;
        assert_eq!((reply.status, reply.body.len(), reply.exit), (status, 0, 0), "{reply:?}");
        assert_eq!(reply.header("x-generator"), None, "an upstream's error is not the gate's");
    }
    let reply = gate.get("/a/chunked", &[]).await;
    assert_eq!((reply.status, reply.text()), (200, "onetwothree"));
    assert_eq!(reply.header("transfer-encoding").as_deref(), Some("chunked"));
    let reply = gate.get("/a/bytes/100000", &[]).await;
    assert_eq!(reply.header("content-length").as_deref(), Some("100000"));
    assert_eq!(reply.body.len(), 100_000);
    let reply = gate.get("/a/bytes/1234", &["-I"]).await;
    assert_eq!((reply.status, reply.body.len(), reply.exit), (200, 0, 0));
    assert_eq!(reply.header("content-length").as_deref(), Some("1234"));
    let reply = gate.get("/a/x", &[]).await;
    assert_eq!(reply.header("x-upstream").as_deref(), Some("yes"));
    for name in ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"] {
        assert_eq!(reply.header(name).as_deref(), Some("0"), "{name} of a keyless API");
    }
}

#[tokio::test]
async fn one_connection_carries_many_exchanges() {
    let upstream = Upstream::start().await;
    let gate = gate(&upstream, "").await;
    let (one, two) = (gate.url("/a/one"), gate.url("/a/two"));
    let arguments = [
        "-w",
        "%{num_connects};",
        &one,
        "-o",
        "/dev/null",
        "--next",
        "-sS",
        "-w",
        "%{num_connects};",
        &two,
        "-o",
        "/dev/null",
    ];
    assert_eq!(curl(&arguments).await.text(), "1;0;");
    let answer = gate
        .raw(b"GET /a/one HTTP/1.1\r\nHost: x\r\n\r\nGET /a/two HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    let (one, two) = (answer.find(r#""path":"/one""#), answer.find(r#""path":"/two""#));
    assert!(one.is_some() && one < two, "{answer}");
}

#[tokio::test]
async fn c4_6_row_20_the_first_event_does_not_wait_for_the_second() {
    let upstream = Upstream::start().await;
    let gate = gate(&upstream, "").await;
    let mut sse = Sse::open(gate.port(), "/a/sse", &[]).await;
    assert_eq!(sse.status, 200, "{:?}", sse.head);
    for number in 0..3 {
        assert_eq!(sse.next_data().await.as_deref(), Some(&*format!("event {number}")));
        upstream.release();
    }
}

#[tokio::test]
async fn c4_6_row_19_websockets_pass_where_they_are_enabled() {
    let upstream = Upstream::start().await;
    let on =
        Gate::setup().api(keyless("a", &upstream.url(""))).api(keyed("k", &upstream.url(""))).start().await;
    let mut socket = Socket::open(on.port(), "/a/ws", &[]).await.expect("the handshake is accepted");
    for text in ["hello".to_owned(), "x".repeat(100_000)] {
        socket.send(Message::text(text.clone())).await;
        assert_eq!(socket.next().await, Some(Message::text(text)));
    }
    assert_eq!(
        Socket::open(on.port(), "/k/ws", &[]).await.err(),
        Some(401),
        "the chain guards a WebSocket, too"
    );
    let key = on.admin().key(&session(&["k"])).await;
    let mut socket =
        Socket::open(on.port(), "/k/ws", &[("authorization", &key)]).await.expect("the key opens it");
    socket.send(Message::text("hello")).await;
    assert_eq!(socket.next().await, Some(Message::text("hello")));

    let off = Gate::setup()
        .conf(json!({"http_server_options": {"enable_websockets": false}}))
        .api(keyless("a", &upstream.url("")))
        .start()
        .await;
    assert!(Socket::open(off.port(), "/a/ws", &[]).await.is_err());
}

#[tokio::test]
async fn c4_6_rows_21_and_22_http2_is_spoken_on_both_sides() {
    let upstream = Upstream::start().await;
    let h2c = format!("h2c://{}", upstream.authority());
    let gate = Gate::setup().api(keyless("one", &upstream.url(""))).api(keyless("two", &h2c)).start().await;
    for (api, version) in [("one", "HTTP/1.1"), ("two", "HTTP/2.0")] {
        for arguments in [vec![], vec!["--http2-prior-knowledge"]] {
            let mut arguments = arguments;
            arguments.extend(["-d", "hello"]);
            let reply = gate.get(&format!("/{api}/x"), &arguments).await;
            assert_eq!(reply.status, 200, "{api} {arguments:?}: {reply:?}");
            assert_eq!(reply.json()["version"], version, "{api} {arguments:?}");
            assert_eq!(reply.json()["body"], "hello", "{api} {arguments:?}");
        }
    }
    // As gRPC does it: h2c at both ends, `TE: trailers`, and the status in the trailers.
    let arguments =
        ["--http2-prior-knowledge", "-H", "te: trailers", "-H", "content-type: application/grpc", "-d", "x"];
    let reply = gate.get("/two/trailers", &[&arguments[..], &["-D", "-", "-o", "/dev/null"]].concat()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let all = format!("{reply:?}");
    assert!(all.contains("grpc-status"), "{all}");
    let reply = gate.get("/two/x", &arguments).await;
    assert_eq!(sent(&reply, "te"), json!(["trailers"]));
}

#[tokio::test]
async fn c12_row_3_https_and_its_alpn_are_served_by_name() {
    let upstream = Upstream::start().await;
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/gateway/src/listen/tls/samples");
    let file = |name: &str| std::fs::read_to_string(format!("{samples}/{name}")).unwrap();
    let certificate = |domain: &str, name: &str| json!({"domain_name": domain, "cert_file": format!("{samples}/{name}.crt"), "key_file": format!("{samples}/{name}.key")});
    let gate = Gate::setup()
        .conf(json!({"http_server_options": {
            "use_ssl": true,
            "enable_http2": true,
            "certificates": [certificate("gate.test", "default"), certificate("api.test", "api")],
        }}))
        .file("root.crt", &file("root.crt"))
        .api(keyless("a", &upstream.url("")))
        .start()
        .await;
    let reply = gate.get("/a/x", &["--http2"]).await;
    assert_eq!((reply.status, reply.version.as_str()), (200, "HTTP/2"), "{reply:?}");
    let reply = gate.get("/a/x", &["--http1.1"]).await;
    assert_eq!((reply.status, reply.version.as_str()), (200, "HTTP/1.1"), "{reply:?}");
    // `api.test` is served with the certificate that the root signed: curl verifies it.
    let resolve = format!("api.test:{}:127.0.0.1", gate.port());
    let root = gate.dir().join("root.crt").display().to_string();
    let url = format!("https://api.test:{}/a/x", gate.port());
    let reply = curl(&["--resolve", &resolve, "--cacert", &root, &url]).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[tokio::test]
async fn c4_6_row_13_failures_of_an_upstream_are_told_apart() {
    let upstream = Upstream::start().await;
    let silent = Scripted::start(b"").await;
    let nonsense = Scripted::start(b"this is not HTTP\r\n\r\n").await;
    let eager = Scripted::start(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n").await;
    let gate = Gate::setup()
        .api(keyless("refused", "http://127.0.0.1:1"))
        .api(keyless("eager", &eager.url("")))
        .api(keyless("silent", &silent.url("")))
        .api(keyless("nonsense", &nonsense.url("")))
        .api(keyless("unknown", "http://no-such-host.invalid"))
        .api(keyless("fine", &upstream.url("")))
        .start()
        .await;
    for (api, message) in [
        ("refused", "There was a problem proxying the request"),
        ("silent", "There was a problem proxying the request"),
        ("nonsense", "There was a problem proxying the request"),
        ("eager", "There was a problem proxying the request"),
        ("unknown", "Upstream host lookup failed"),
    ] {
        let reply = gate.get(&format!("/{api}/x"), &[]).await;
        assert_eq!(reply.status, 500, "{api}: {reply:?}");
        assert_eq!(reply.text(), format!("{{\n    \"error\": \"{message}\"\n}}"), "{api}");
        assert_eq!(reply.header("x-generator").as_deref(), Some("tyk.io"), "{api}");
    }
    // An answer that breaks off is broken off for the client, too: never a short body that looks whole.
    let reply = gate.get("/fine/cut", &[]).await;
    assert_ne!(reply.exit, 0, "{reply:?}");
    assert_eq!(gate.get("/fine/x", &[]).await.status, 200);
}
