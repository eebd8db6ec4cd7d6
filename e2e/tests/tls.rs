//! TLS towards clients and towards upstreams (contract 1.3, 4.6).

use e2e::bridge::{sample, sample_pem};
use e2e::definition::keyless;
use e2e::streaming::{events, post, post_to_sse};
use e2e::{Bridge, Endless, Gate, Reply, Setup, Socket, Upstream, curl, until};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// A gate that listens with TLS and offers the certificate of `api.test`; these options go on top.
fn secure(options: Value) -> Setup {
    Gate::setup()
        .file("gate.pem", &sample_pem("api"))
        .conf(json!({"http_server_options": {
            "use_ssl": true,
            "enable_http2": true,
            "ssl_certificates": ["gate.pem"],
        }}))
        .conf(json!({"http_server_options": options}))
}

/// Asks for `https://NAME/a/x` at this gate, whatever its certificate, and gives whose it is.
async fn shown(gate: &Gate, name: &str) -> (Reply, String) {
    let resolve = format!("{name}:{}:127.0.0.1", gate.port());
    let url = format!("https://{name}:{}/a/x", gate.port());
    let reply = curl(&["-k", "-v", "--resolve", &resolve, &url]).await;
    let subject = reply.error.lines().find_map(|line| line.split_once("subject: CN="));
    let subject = subject.map_or_else(String::new, |(_, name)| name.to_owned());
    (reply, subject)
}

#[tokio::test]
async fn c4_6_row_22_both_versions_of_http_are_spoken_over_tls() {
    let upstream = Upstream::start().await;
    let gate = secure(json!({})).api(keyless("a", &upstream.url(""))).start().await;
    let resolve = format!("api.test:{}:127.0.0.1", gate.port());
    let trusted = format!("https://api.test:{}/a/x", gate.port());
    let root = sample("root.crt").display().to_string();
    let careless = gate.url("/a/x");
    for (option, version) in [("--http1.1", "HTTP/1.1"), ("--http2", "HTTP/2")] {
        for arguments in [vec!["-k", &*careless], vec!["--cacert", &*root, "--resolve", &*resolve, &*trusted]]
        {
            let arguments = [&[option, "-d", "hello"], &arguments[..]].concat();
            let reply = curl(&arguments).await;
            assert_eq!((reply.status, reply.version.as_str()), (200, version), "{arguments:?}: {reply:?}");
            assert_eq!(reply.json()["body"], "hello", "{arguments:?}");
        }
    }
    let reply = curl(&["--cacert", &root, &careless]).await;
    assert_eq!(reply.exit, 60, "the certificate is not one for 127.0.0.1: {reply:?}");
}

#[tokio::test]
async fn c4_6_row_22_http2_is_offered_only_where_it_is_enabled() {
    let upstream = Upstream::start().await;
    let gate = secure(json!({"enable_http2": false})).api(keyless("a", &upstream.url(""))).start().await;
    let reply = gate.get("/a/x", &["--http2"]).await;
    assert_eq!((reply.status, reply.version.as_str()), (200, "HTTP/1.1"), "{reply:?}");
}

#[tokio::test]
async fn c12_row_3_the_certificate_follows_the_name_that_the_client_asks_for() {
    let upstream = Upstream::start().await;
    let entry = |domain: &str, name: &str| {
        let file = |ending: &str| sample(&format!("{name}.{ending}"));
        json!({"domain_name": domain, "cert_file": file("crt"), "key_file": file("key")})
    };
    let gate = secure(json!({
        "ssl_certificates": ["default.pem"],
        "certificates": [entry("api.test", "api"), entry("*.apps.test", "wild")],
    }))
    .file("default.pem", &sample_pem("default"))
    .api(keyless("a", &upstream.url("")))
    .start()
    .await;
    for (asked, certificate) in [
        ("gate.test", "gate.test"),
        ("second.test", "gate.test"),
        ("api.test", "api.test"),
        ("API.test", "api.test"),
        ("one.apps.test", "*.apps.test"),
        ("one.more.apps.test", "gate.test"),
        ("unknown.test", "gate.test"),
    ] {
        let (reply, subject) = shown(&gate, asked).await;
        assert_eq!((reply.status, &*subject), (200, certificate), "{asked}: {reply:?}");
    }
    let reply = gate.get("/a/x", &[]).await;
    assert_eq!(reply.status, 200, "a client that names nobody is served, too: {reply:?}");
}

#[tokio::test]
async fn c12_row_9_the_oldest_version_of_tls_is_chosen_by_the_configuration() {
    let upstream = Upstream::start().await;
    for (options, arguments, works) in [
        (json!({"min_version": 772}), &["--tls-max", "1.2"][..], false),
        (json!({"min_version": 772}), &["--tlsv1.3"], true),
        (json!({}), &["--tls-max", "1.2"], true),
        (json!({}), &["--tls-max", "1.1"], false),
        (json!({"max_version": 771}), &["--tlsv1.3"], false),
    ] {
        let mut gate = secure(options.clone()).api(keyless("a", &upstream.url(""))).prepare();
        gate.spawn();
        e2e::until("the gate listens", async || !gate.get("/ready", &[]).await.error.contains("connect"))
            .await;
        let reply = gate.get("/a/x", arguments).await;
        let (status, exit) = if works { (200, 0) } else { (0, 35) };
        assert_eq!((reply.status, reply.exit), (status, exit), "{options} {arguments:?}: {reply:?}");
    }
}

/// What `openssl s_client` tells of a connection.
async fn openssl(gate: &Gate, arguments: &[&str]) -> String {
    let output = tokio::process::Command::new("openssl")
        .args(["s_client", "-connect", &format!("127.0.0.1:{}", gate.port()), "-servername", "api.test"])
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .output()
        .await
        .unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[tokio::test]
async fn c12_row_9_versions_suites_and_protocols_are_agreed_on_as_configured() {
    const OTHER: &str = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";
    let one = json!(["tls_ecdhe_ecdsa_with_aes_128_gcm_sha256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]);
    let weak = json!(["TLS_RSA_WITH_AES_128_CBC_SHA"]);
    // Options, what openssl is told to do and what it sees, what is logged.
    type Connections = Vec<(&'static [&'static str], &'static str)>;
    let cases: Vec<(Value, Connections, &str)> = vec![
        (
            json!({}),
            vec![
                (&["-tls1_3"], "New, TLSv1.3, Cipher is TLS_AES"),
                (&["-tls1_2", "-cipher", OTHER], "AES256-GCM-SHA384"),
                (&["-tls1_2", "-cipher", "AES128-SHA"], "alert handshake failure"),
                (&["-alpn", "h2,http/1.1"], "ALPN protocol: h2"),
                (&["-alpn", "http/1.1"], "ALPN protocol: http/1.1"),
                (&["-alpn", "spdy/3"], "alert no application protocol"),
            ],
            "",
        ),
        (
            json!({"ssl_ciphers": one}),
            vec![
                (&["-tls1_2"], "AES128-GCM-SHA256"),
                (&["-tls1_2", "-cipher", OTHER], "alert handshake failure"),
                (&["-tls1_3"], "New, TLSv1.3, Cipher is TLS_AES"),
            ],
            "",
        ),
        (
            json!({"ssl_ciphers": weak}),
            vec![(&["-tls1_2"], "alert protocol version"), (&["-tls1_3"], "New, TLSv1.3")],
            "so TLS 1.3 alone is offered",
        ),
        (
            json!({"max_version": 771}),
            vec![(&["-tls1_3"], "alert protocol version"), (&["-tls1_2"], "New, TLSv1.2")],
            "",
        ),
    ];
    for (options, connections, logged) in cases {
        let gate = secure(options.clone()).start().await;
        for (arguments, expected) in connections {
            let told = openssl(&gate, arguments).await;
            assert!(told.contains(expected), "{options} {arguments:?}: {told}");
        }
        assert!(gate.log().contains(logged), "{options}: {}", gate.log());
    }
}

#[tokio::test]
async fn a_client_resumes_by_its_ticket() {
    let gate = secure(json!({})).start().await;
    let ticket = gate.dir().join("ticket").display().to_string();
    let first = openssl(&gate, &["-tls1_2", "-sess_out", &ticket]).await;
    assert!(first.contains("New, TLSv1.2"), "{first}");
    let second = openssl(&gate, &["-tls1_2", "-sess_in", &ticket]).await;
    assert!(second.contains("Reused, TLSv1.2"), "{second}");
    // Another process cannot read it, so its key is nowhere but in memory.
    let other = secure(json!({})).start().await;
    let strange = openssl(&other, &["-tls1_2", "-sess_in", &ticket]).await;
    assert!(strange.contains("New, TLSv1.2"), "{strange}");
}

#[tokio::test]
async fn certificates_that_cannot_be_used_are_named_and_end_the_process() {
    let mismatched = std::fs::read_to_string(sample("api.crt")).unwrap()
        + &std::fs::read_to_string(sample("default.key")).unwrap();
    for (options, named) in [
        (json!({"ssl_certificates": ["nowhere.pem"]}), &["nowhere.pem", "No such file"][..]),
        (json!({"ssl_certificates": ["text.pem"]}), &["text.pem", "no certificate"]),
        (json!({"ssl_certificates": ["mismatched.pem"]}), &["mismatched.pem", "does not belong"]),
        (json!({"ssl_certificates": []}), &["no certificate is configured", "ssl_certificates"]),
        (json!({"min_version": 772, "max_version": 771}), &["min_version", "max_version"]),
    ] {
        let mut gate = secure(options.clone())
            .file("text.pem", "not a certificate")
            .file("mismatched.pem", &mismatched)
            .prepare();
        gate.spawn();
        let code = gate.ended().await;
        assert!(code.is_some_and(|code| code != 0), "{options}: {code:?}");
        let log = gate.log();
        for word in named {
            assert!(log.contains(word), "{options} does not say {word:?}: {log}");
        }
        assert!(!log.contains("PRIVATE KEY"), "{log}");
    }
}

#[tokio::test]
async fn clients_that_speak_no_tls_harm_nobody() {
    let upstream = Upstream::start().await;
    let gate = secure(json!({})).api(keyless("a", &upstream.url(""))).start().await;
    for bytes in
        [&b"GET /a/x HTTP/1.1\r\nHost: x\r\n\r\n"[..], b"\x16\x03\x01\xff\xff\x01\x00", b"\0\0\0\0\0"]
    {
        // Not answered as a request; closed when the client ends, at the latest.
        let answer = {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let mut socket = e2e::raw_socket(gate.port()).await;
            let _ = socket.write_all(bytes).await;
            let _ = socket.shutdown().await;
            let mut answer = Vec::new();
            let _ = e2e::soon("the end of the connection", socket.read_to_end(&mut answer)).await;
            String::from_utf8_lossy(&answer).into_owned()
        };
        assert!(!answer.starts_with("HTTP/"), "{answer}");
    }
    assert_eq!(gate.get("/a/x", &[]).await.status, 200);
}

#[tokio::test]
async fn streams_and_sockets_go_over_tls() {
    let mut stream = post_to_sse(json!({"delivery": "broadcast"}));
    stream["output"]["http_server"]["ws_path"] = json!("/ws");
    stream["output"]["http_server"]["ws_message_type"] = json!("text");
    let upstream = Upstream::start().await;
    let gate = secure(json!({}))
        .oas(events("ev", json!({"s": stream})))
        .api(keyless("a", &upstream.url("")))
        .start()
        .await;
    let way_in = Bridge::encrypting(gate.port()).await;
    let mut sse = Endless::get(way_in.port(), "/ev/sse", &[]).await;
    let mut socket = Socket::open(way_in.port(), "/ev/ws", &[]).await.unwrap();
    for number in 0..100 {
        let text = format!("event {number}");
        assert_eq!(post(&gate.url("/ev/post"), &text, &["-k"]).await.status, 200);
        assert_eq!(sse.data().await.as_ref(), Ok(&text));
        assert_eq!(socket.next().await, Some(Message::text(text)));
    }
    let mut proxied = Socket::open(way_in.port(), "/a/ws", &[]).await.unwrap();
    for text in ["hello".to_owned(), "x".repeat(200_000)] {
        proxied.send(Message::text(text.clone())).await;
        assert_eq!(proxied.next().await, Some(Message::text(text)));
    }
}

#[tokio::test]
async fn an_upstream_is_believed_only_with_a_certificate_that_is_trusted() {
    let upstream = Upstream::start().await;
    let secured = Bridge::decrypting(&upstream.authority(), &["http/1.1"]).await;
    let target = format!("https://127.0.0.1:{}", secured.port());
    let mut careless = keyless("careless", &target);
    careless["proxy"]["transport"] = json!({"ssl_insecure_skip_verify": true});
    let gate = Gate::setup()
        .conf(json!({"log_level": "debug"}))
        .api(keyless("a", &target))
        .api(careless)
        .api(keyless("plain", &format!("https://{}", upstream.authority())))
        .start()
        .await;
    let reply = gate.get("/a/x", &[]).await;
    assert_eq!(reply.status, 500, "{reply:?}");
    assert_eq!(reply.json()["error"], "There was a problem proxying the request");
    let told = "tls handshake with 127.0.0.1 failed: invalid peer certificate";
    until("the refusal is logged", async || gate.log().contains(told)).await;
    assert_eq!(upstream.hits(), 0, "the request must not reach who is not trusted");

    let reply = gate.get("/careless/x", &["-d", "hello"]).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.json()["body"], "hello");
    let reply = gate.get("/a/x", &[]).await;
    assert_eq!(reply.status, 500, "connections are not shared with those who check less: {reply:?}");
    let reply = gate.get("/plain/x", &[]).await;
    assert_eq!(reply.status, 500, "an upstream without TLS: {reply:?}");

    let gate = Gate::setup()
        .conf(json!({"proxy_ssl_insecure_skip_verify": true}))
        .api(keyless("a", &target))
        .start()
        .await;
    assert_eq!(gate.get("/a/x", &[]).await.status, 200);
}

#[tokio::test]
async fn c4_6_row_22_http2_is_offered_to_upstreams_where_it_is_enabled() {
    let upstream = Upstream::start().await;
    for (enabled, offered, version) in [
        (true, &["h2", "http/1.1"][..], "HTTP/2.0"),
        (true, &["http/1.1"], "HTTP/1.1"),
        (false, &["h2", "http/1.1"], "HTTP/1.1"),
    ] {
        let secured = Bridge::decrypting(&upstream.authority(), offered).await;
        let target = format!("https://127.0.0.1:{}", secured.port());
        let gate = secure(json!({}))
            .conf(json!({"proxy_enable_http2": enabled, "proxy_ssl_insecure_skip_verify": true}))
            .api(keyless("a", &target))
            .start()
            .await;
        for _ in 0..20 {
            let reply = gate.get("/a/x", &["-d", "hello"]).await;
            assert_eq!(reply.status, 200, "{reply:?}");
            assert_eq!(reply.json()["version"], version, "{enabled} {offered:?}");
            assert_eq!(reply.json()["body"], "hello", "{enabled} {offered:?}");
        }
        assert_eq!(secured.accepted(), 1, "connections for 20 requests, {enabled} {offered:?}");
    }
}

#[tokio::test]
async fn c4_6_row_21_grpc_like_exchanges_pass_over_tls_on_both_sides() {
    let upstream = Upstream::start().await;
    let secured = Bridge::decrypting(&upstream.authority(), &["h2"]).await;
    let target = format!("https://127.0.0.1:{}", secured.port());
    let gate = secure(json!({}))
        .conf(json!({"proxy_enable_http2": true, "proxy_ssl_insecure_skip_verify": true}))
        .api(keyless("a", &target))
        .start()
        .await;
    let headers = ["--http2", "-H", "te: trailers", "-H", "content-type: application/grpc"];
    // curl prints trailers where it prints the head when both go to the same place.
    let arguments = [&headers[..], &["-d", "request", "-D", "-", "-o", "/dev/null"]].concat();
    let reply = gate.get("/a/trailers", &arguments).await;
    assert_eq!((reply.status, reply.version.as_str()), (200, "HTTP/2"), "{reply:?}");
    assert!(format!("{reply:?}").contains("grpc-status"), "{reply:?}");
    let told = gate.get("/a/x", &[&headers[..], &["-d", "request"]].concat()).await.json();
    assert_eq!((&told["version"], &told["body"]), (&json!("HTTP/2.0"), &json!("request")));
    assert_eq!(told["headers"]["te"], json!(["trailers"]));
}

#[tokio::test]
async fn upgrades_reach_an_upstream_that_would_rather_speak_http2() {
    let upstream = Upstream::start().await;
    let secured = Bridge::decrypting(&upstream.authority(), &["h2", "http/1.1"]).await;
    let target = format!("https://127.0.0.1:{}", secured.port());
    let gate = Gate::setup()
        .conf(json!({"proxy_enable_http2": true, "proxy_ssl_insecure_skip_verify": true}))
        .api(keyless("a", &target))
        .start()
        .await;
    assert_eq!(gate.get("/a/x", &[]).await.json()["version"], "HTTP/2.0");
    let mut socket = Socket::open(gate.port(), "/a/ws", &[]).await.expect("the handshake is accepted");
    for text in ["hello".to_owned(), "x".repeat(200_000)] {
        socket.send(Message::text(text.clone())).await;
        assert_eq!(socket.next().await, Some(Message::text(text)));
    }
    assert_eq!(gate.get("/a/x", &[]).await.json()["version"], "HTTP/2.0");
}
