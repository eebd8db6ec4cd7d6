//! What attackers try, one test for each kind that no other page tests. Everything is bounded and stays on this machine.
//!
//! Tested elsewhere:
//!
//! | kind | where |
//! |---|---|
//! | smuggling (CL.TE, TE.CL, TE.TE, CL.0), broken chunks | `bad_input`: `ambiguous_framing_…`, `a_broken_chunked_body_…` |
//! | garbage and oversized frames of HTTP/2 | `bad_input`: `http2_abuse_ends_one_connection_only` |
//! | floods of HTTP/2: continuations, settings, pings, priorities, empty data, resets; bombs of HPACK | `http2_floods` |
//! | slow heads, slow bodies, slow readers | `edges`: `a_head_that_trickles_…`, `who_takes_nothing_of_an_answer_…`; `bad_input`: `a_slow_client_…` |
//! | path confusion | `bad_input`: `odd_paths_do_not_reach_the_upstream`; fuzz target `paths` |
//! | fields of one hop | `proxy`: `headers_that_belong_to_one_hop_end_there` |
//! | bombs in bodies | `validation`: `bodies_are_looked_at_up_to_their_limit_and_decoded`; `transfer`: `a_body_too_large_…` |
//! | pages of other origins that open sockets | `edges`: `pages_of_other_origins_open_no_socket_to_send` |
//! | line breaks in events | `events`: `no_payload_breaks_out_of_its_event` |
//! | algorithms and keys of tokens | `gateway`: `auth/jwt`; `jwt`: `an_issuer_that_misbehaves_…`; fuzz target `token` |
//! | references out of documents | `validation`: `what_cannot_be_used_refuses_the_definition_at_its_place` |
//! | batches that leave their API, or multiply | `virtuals`: `c4_6_batches_are_bounded_and_stay_below_their_api` |
//! | scripts without end | `virtuals`: `c8_5_functions_answer_…`; `plugins` |
//! | ranks of streams over HTTP/2 | `http2_floods`: `floods_end_their_own_connection_or_are_answered` |
//! | servers within that the gate is made to ask (SSRF), by name, number, redirect or another address later | `egress` |
//! | keys guessed by time: they are looked up by digest, secrets are compared whole | `apidef`: `keys`; `gateway`: `auth` |
//! | clocks that jump | `state`: `a_clock_that_jumps_locks_nobody_out_and_gives_nobody_more` |
//! | calls of gRPC that nobody ends | `grpc`: `calls_that_are_late_end_at_the_client_and_at_the_server` |
//! | bodies that are cut over HTTP/2 | `grpc`: the same, whose server never takes a part for the whole |
//! | Kafka: records too large, lists of brokers that change, offsets that the log does not have | `kafka`: `a_record_that_no_broker_takes_…`, `brokers_of_a_list_…`; `connectors`: `kafka` |
//! | MQTT: others with the client's name, floods of retained messages and topics | `connectors`: `brokers/mqtt` |
//! | bad messages, dead brokers | `delivery`, `stream_kills`, `bad_input`: `an_unreachable_broker_…` |

use std::io::Write as _;

use e2e::definition::{keyed, keyless, oas, session};
use e2e::streaming::events;
use e2e::{Client, Gate, Scripted, Upstream, raw_socket, soon};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How much more memory an attack may cost, in kilobytes.
const MOST_MEMORY: u64 = 96 << 10;

async fn gate(upstream: &Upstream) -> Gate {
    Gate::setup().api(keyless("a", &upstream.url(""))).start().await
}

/// Memory of the gate, in kilobytes.
fn memory(gate: &Gate) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gate.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOODBYE: u8 = 7;
const WINDOW: u8 = 8;

/// Sends bytes over a connection of HTTP/2, as far as they are taken, and leaves when they are answered or the other side has
/// had enough; gives what was said.
async fn over_http2(gate: &Gate, frames: &[u8]) -> Vec<u8> {
    let mut socket = raw_socket(gate.port()).await;
    let opening = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, &[])].concat();
    socket.write_all(&opening).await.unwrap();
    let (mut reader, mut writer) = socket.split();
    let write = async {
        let _ = writer.write_all(frames).await;
        std::future::pending::<()>().await;
    };
    let read = async {
        let (mut answer, mut piece) = (Vec::new(), [0; 16 << 10]);
        while let Ok(read @ 1..) = reader.read(&mut piece).await {
            answer.extend_from_slice(&piece[..read]);
            if is_answered(&mut answer) {
                break;
            }
        }
        answer
    };
    let both = async {
        tokio::select! {
            () = write => Vec::new(),
            answer = read => answer,
        }
    };
    soon("the end of the attack", both).await
}

/// Whether there is the end of an answer, a reset or a goodbye. What comes before and means nothing is dropped.
fn is_answered(answer: &mut Vec<u8>) -> bool {
    let mut at = 0;
    while let Some(&[a, b, c, kind, flags]) = answer.get(at..at + 5) {
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        let ends = [RESET, GOODBYE].contains(&kind) || (kind <= HEADERS && flags & 1 != 0);
        if answer.len() < at + 9 + length {
            break;
        }
        if ends {
            return true;
        }
        if [SETTINGS, PING, WINDOW].contains(&kind) && at == 0 {
            answer.drain(..9 + length);
        } else {
            at += 9 + length;
        }
    }
    false
}

#[tokio::test]
async fn http2_fields_that_frame_http1() {
    // H2.TE and H2.CL: what says how a message ends over HTTP/1 has no say over HTTP/2.
    let upstream = Upstream::start().await;
    let gate = gate(&upstream).await;
    let field = |name: &str, value: &str| {
        let sizes = [u8::try_from(name.len()).unwrap(), u8::try_from(value.len()).unwrap()];
        [&[0x00, sizes[0]], name.as_bytes(), &[sizes[1]], value.as_bytes()].concat()
    };
    let post = [&[0x83, 0x86, 0x44, 4][..], b"/a/x", &[0x41, 1, b'a']].concat();
    // Without any of it, the request arrives.
    over_http2(&gate, &frame(HEADERS, 5, 1, &post)).await;
    assert_eq!(upstream.hits(), 1);
    for (name, value, body) in [
        ("transfer-encoding", "chunked", &b"0\r\n\r\nGET /a/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"[..]),
        ("content-length", "0", b"GET /a/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("connection", "transfer-encoding", b""),
        ("x", "a\r\ntransfer-encoding: chunked", b""),
    ] {
        let head = [post.clone(), field(name, value)].concat();
        let frames = [frame(HEADERS, 4, 1, &head), frame(0, 1, 1, body)].concat();
        over_http2(&gate, &frames).await;
        assert_eq!(upstream.hits(), 1, "{name}: {value:?}");
    }
    assert_eq!(gate.get("/a/x", &[]).await.status, 200);
}

#[tokio::test]
async fn http2_authority_and_host_that_disagree() {
    let upstream = Upstream::start().await;
    let gate = gate(&upstream).await;
    let head = [&[0x82, 0x86, 0x44, 4][..], b"/a/x", &[0x41, 1, b'a'], &[0x66, 1, b'b']].concat();
    let answer = over_http2(&gate, &frame(HEADERS, 5, 1, &head)).await;
    assert!(String::from_utf8_lossy(&answer).contains("different hosts"), "{answer:?}");
    assert_eq!(upstream.hits(), 0);
}

#[tokio::test]
async fn upgrades_to_http2_in_clear() {
    // An upgrade that an upstream may take would tunnel requests past everything that is asked of them here.
    let upstream = Upstream::start().await;
    let gate = gate(&upstream).await;
    let answer = gate
        .raw(b"GET /a/x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(!answer.to_ascii_lowercase().contains("http2-settings"), "the upstream has seen it: {answer}");
}

#[tokio::test]
async fn heads_of_many_fields_and_cookies() {
    let upstream = Upstream::start().await;
    let gate = gate(&upstream).await;
    for (name, fields) in [
        ("many fields", (0..5000).map(|at| format!("x-{at}: 1\r\n")).collect::<String>()),
        ("one large field", format!("x: {}\r\n", "y".repeat(2 << 20))),
        ("many cookies", "cookie: a=b\r\n".repeat(5000)),
    ] {
        let answer = gate
            .raw(format!("GET /a/x HTTP/1.1\r\nHost: a\r\n{fields}Connection: close\r\n\r\n").as_bytes())
            .await;
        assert!(answer.starts_with("HTTP/1.1 4") || answer.is_empty(), "{name}: {answer:.200}");
    }
    assert_eq!(upstream.hits(), 0);
    assert_eq!(gate.get("/a/x", &[]).await.status, 200);
}

#[tokio::test]
async fn regular_expressions_that_backtrack() {
    let upstream = Upstream::start().await;
    let mut api = oas("a", &upstream.url(""));
    api["paths"] = json!({"/x": {"post": {"operationId": "x", "requestBody": {"content": {"application/json": {"schema":
        {"type": "string", "pattern": "^(a+)+$"}}}}}}});
    api["x-tyk-api-gateway"]["middleware"] = json!({"operations": {"x": {
        "validateRequest": {"enabled": true}, "urlRewrite": {"enabled": true, "pattern": "(x+x+)+y", "rewriteTo": "/y"},
    }}});
    let gate = Gate::setup().oas(api).start().await;
    let evil = format!("\"{}!\"", "a".repeat(60_000));
    let path = format!("/a/x?{}", "x".repeat(4000));
    let began = std::time::Instant::now();
    let reply = gate.get(&path, &["-H", "content-type: application/json", "--data", &evil]).await;
    assert_eq!(reply.status, 422, "{reply:?}");
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
}

/// A producer's WebSocket, opened.
async fn websocket(gate: &Gate) -> TcpStream {
    websocket_that_offers(gate, "").await.0
}

/// A WebSocket with more fields in its handshake, and the head of the answer to that.
async fn websocket_that_offers(gate: &Gate, more: &str) -> (TcpStream, String) {
    let mut socket = raw_socket(gate.port()).await;
    let handshake = format!(
        "GET /ev/in HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    );
    socket.write_all(handshake.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101"), "{head}");
    (socket, head)
}

#[tokio::test]
async fn websocket_compression_that_nobody_agreed_to() {
    let stream = json!({"input": {"http_server": {"path": "", "ws_path": "/in"}}, "output": {"drop": {}}});
    let gate = Gate::setup().oas(events("ev", json!({"s": stream}))).start().await;
    // Two hundred megabytes of nothing, as permessage-deflate has them: some hundred kilobytes.
    let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(&[0; 1 << 20]).unwrap();
    packer.flush().unwrap();
    let packed = packer.get_ref().repeat(200);
    let masked = |first: u8, payload: &[u8]| {
        let length = u64::try_from(payload.len()).unwrap().to_be_bytes();
        match payload {
            [] => vec![first, 0x80, 0, 0, 0, 0],
            payload => [&[first, 0xff], &length[..], &[0; 4], payload].concat(),
        }
    };
    let before = memory(&gate);
    for offer in ["", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"] {
        for (name, bytes) in [
            ("a compressed text", masked(0xc1, &packed)),
            ("compressed bytes", masked(0xc2, &packed)),
            ("the first of several parts", [masked(0x42, &packed), masked(0x80, b"")].concat()),
            ("a part that is not the first", [masked(0x02, b""), masked(0xc0, &packed)].concat()),
        ] {
            let (mut socket, head) = websocket_that_offers(&gate, offer).await;
            assert!(!head.contains("sec-websocket-extensions"), "{head}");
            let _ = socket.write_all(&bytes).await;
            let mut answer = Vec::new();
            let _ = soon(name, socket.read_to_end(&mut answer)).await;
            // Protocol error; the connection may be gone before that is read.
            assert!(
                answer.is_empty() || (answer[0] == 0x88 && answer[2..4] == [3, 234]),
                "{name}: {answer:?}"
            );
        }
    }
    assert!(memory(&gate).saturating_sub(before) < MOST_MEMORY, "nothing of it was unpacked");
}

#[tokio::test]
async fn websocket_frames_that_are_none() {
    let stream = json!({"input": {"http_server": {"path": "", "ws_path": "/in"}}, "output": {"drop": {}}});
    let gate = Gate::setup().oas(events("ev", json!({"s": stream}))).start().await;
    let masked = |first: u8, payload: &[u8]| {
        let length = 0x80 | u8::try_from(payload.len()).unwrap();
        [&[first, length, 0, 0, 0, 0], payload].concat()
    };
    for (name, bytes) in [
        ("unmasked", vec![0x81, 1, b'x']),
        ("a fragmented ping", masked(0x09, b"x")),
        ("a long ping", [&[0x89, 0xfe, 0, 126, 0, 0, 0, 0][..], &[0; 126]].concat()),
        ("reserved bits", masked(0xf1, b"x")),
        ("an unknown opcode", masked(0x83, b"x")),
        ("text that is not UTF-8", masked(0x81, &[0xff, 0xfe])),
        ("a continuation of nothing", masked(0x80, b"x")),
        (
            "a length beyond all limits",
            vec![0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
        ),
    ] {
        let before = memory(&gate);
        let mut socket = websocket(&gate).await;
        socket.write_all(&bytes).await.unwrap();
        let mut answer = Vec::new();
        let _ = soon(name, socket.read_to_end(&mut answer)).await;
        assert!(memory(&gate).saturating_sub(before) < MOST_MEMORY, "{name}");
        // A goodbye with a code of an error, or none at all.
        let code = answer.iter().position(|byte| *byte == 0x88).and_then(|at| answer.get(at + 2..at + 4));
        assert!(
            code.is_none_or(|code| (1002..=1009).contains(&u16::from_be_bytes([code[0], code[1]]))),
            "{name}: {answer:?}"
        );
    }
    assert!(gate.get("/ev/none", &[]).await.status == 404, "others are served");
}

#[tokio::test]
async fn what_requests_say_is_no_configuration() {
    // Values of requests go into streams as values, never as text of their configuration.
    let mut stream = json!({"input": {"http_server": {"path": "/in"}}, "output": {"sync_response": {}}});
    stream["pipeline"] = json!({"processors": [{"mapping": "root.said = meta(\"X-Say\").or(\"\")"}]});
    // The same where a definition names what requests say in the text of the configuration itself.
    let named = json!({
        "input": {"generate": {"mapping": "root = \"$tyk_context.headers_X_Say\"", "count": 1, "interval": "0s"}},
        "output": {"http_server": {"path": "/get", "stream_path": "", "ws_path": ""}},
    });
    // And where a request's path, fields and query become those of another.
    let upstream = Upstream::start().await;
    let mut changed = keyless("changed", &upstream.url(""));
    changed["enable_context_vars"] = json!(true);
    let version = &mut changed["version_data"]["versions"]["Default"];
    version["global_headers"] = json!({"X-Said": "$tyk_context.headers_X_Say"});
    version["extended_paths"] = json!({"url_rewrites": [{"path": "/x", "method": "GET", "match_pattern": "/x/(.*)",
        "rewrite_to": "/y/$1?said=$tyk_context.headers_X_Say"}]});
    let gate = Gate::setup()
        .env("TYK_SECRET_SALT", "canary-salt")
        .oas(events("ev", json!({"s": stream})))
        .oas(events("named", json!({"s": named})))
        .api(changed)
        .start()
        .await;
    for said in [
        "${! env(\"HOME\") }",
        "${HOME}",
        "$secret_env.SALT",
        "$secret_conf.x",
        "$tyk_context.headers_Host",
        "$5 of $tyk_other",
        "\", \"x\": {\"stdin\": {}}",
        "\" + env(\"HOME\") + \"",
        "\\\" + env(\"HOME\") #",
        "{{ .Env }}",
    ] {
        let field = format!("X-Say: {said}");
        let reply = gate.get("/ev/in", &["-H", &field, "--data", "x"]).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.json()["said"], said);
        let reply = gate.get("/named/get", &["-H", &field]).await;
        if said.contains("${") || said.starts_with("$secret") || said.starts_with("$tyk_context") {
            let told = reply.text();
            let is_told = told.contains("holds `${`") || told.contains("make `$");
            assert!(reply.status == 400 && is_told, "{said}: {reply:?}");
        } else {
            assert_eq!((reply.status, reply.text()), (200, said));
        }
        let reply = gate.get("/changed/x/$secret_env.SALT/$tyk_context.path", &["-H", &field]).await;
        assert_eq!((reply.status, &reply.json()["headers"]["x-said"][0]), (200, &json!(said)));
        assert!(!reply.text().contains("canary"), "{said}: {}", reply.text());
    }
}

#[tokio::test]
async fn descriptors_that_run_out() {
    let upstream = Upstream::start().await;
    let gate = gate(&upstream).await;
    let mut known = Client::connect(&gate).await;
    assert!(known.get("/hello").await.0.starts_with("HTTP/1.1 200"));
    // So few that idle clients take all of them.
    let pid = gate.pid().to_string();
    let limited = std::process::Command::new("prlimit").args(["--pid", &pid, "--nofile=160:160"]).status();
    assert!(limited.unwrap().success());
    let mut idle = Vec::new();
    for _ in 0..220 {
        // The kernel takes them before the gate does.
        idle.push(raw_socket(gate.port()).await);
    }
    let descriptors = || std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    e2e::until("none is left", async || descriptors() >= 159).await;
    // Who is connected already is served meanwhile.
    assert!(known.get("/hello").await.0.starts_with("HTTP/1.1 200"));
    drop(idle);
    e2e::until("it serves again", async || gate.get("/a/x", &[]).await.status == 200).await;
    assert!(known.get("/a/x").await.0.starts_with("HTTP/1.1 200"), "on the same connection");
    assert!(descriptors() < 100, "{} are left open", descriptors());
}

#[tokio::test]
async fn c4_5_row_4_answers_that_unpack_to_far_more_than_they_are() {
    // 200 MB of nothing in 200 kB, for a guard that has to read answers.
    let folder = std::env::temp_dir().join(format!("sluicegate-e2e-bomb-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = std::fs::File::create(folder.join("zeros")).unwrap();
    file.set_len(200 << 20).unwrap();
    assert!(std::process::Command::new("gzip").arg(folder.join("zeros")).status().unwrap().success());
    let bomb = std::fs::read(folder.join("zeros.gz")).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        bomb.len()
    );
    let says: &'static [u8] = [head.as_bytes(), &bomb].concat().leak();
    let upstream = Scripted::start(says).await;
    let mut api = keyless("a", &upstream.url(""));
    // Base64 of `x`.
    let template = json!({"input_type": "json", "template_mode": "blob", "template_source": "eA=="});
    api["version_data"]["versions"]["Default"]["extended_paths"] =
        json!({"transform_response": [{"path": "/x", "method": "GET", "template_data": template}]});
    let gate = Gate::setup()
        .conf(json!({"http_server_options": {"max_response_body_size": 1 << 20}}))
        .api(api)
        .start()
        .await;
    assert_eq!(gate.get("/a/other", &[]).await.body.len(), bomb.len(), "nobody unpacks it");
    let before = memory(&gate);
    let reply = gate.get("/a/x", &[]).await;
    assert_eq!((reply.status, reply.json()["error"].as_str()), (500, Some("Response body too large")));
    let more = memory(&gate).saturating_sub(before);
    assert!(more < MOST_MEMORY, "{more} kB more");
}

#[tokio::test]
async fn paths_that_two_servers_read_differently() {
    let upstream = Upstream::start().await;
    let mut api = keyless("a", &upstream.url("/base"));
    api["version_data"]["versions"]["Default"]["extended_paths"] =
        json!({"black_list": [{"path": "/secret", "method": "GET"}]});
    let gate = Gate::setup().api(api).start().await;
    for path in [
        "/a/secret",
        "/a/secret;x=1",
        "/a/;x=1/secret",
        "/a/%73ecret",
        "/a/x/%2e%2e/secret",
        "/a/x/../secret",
        "/a//secret",
        "/a/./secret",
    ] {
        let before = upstream.hits();
        let reply = gate.get(path, &["--path-as-is"]).await;
        let is_refused = matches!(reply.status, 301 | 308 | 400 | 403);
        assert!(is_refused && upstream.hits() == before, "{path}: {reply:?}");
    }
    // What is no text in any encoding, above all overlong forms of dots and slashes, is nobody's parent folder.
    for path in ["/a/%c0%ae%c0%ae/x", "/a/..%c0%afx", "/a/%e0%80%ae./x", "/a/%f8%80%80%80%ae/x", "/a/%ff"] {
        let before = upstream.hits();
        let reply = gate.get(path, &["--path-as-is"]).await;
        match reply.status {
            400 => assert_eq!(upstream.hits(), before, "{path}"),
            _ => {
                let expected = format!("/base{}", path.trim_start_matches("/a"));
                assert_eq!((reply.status, &reply.json()["path"]), (200, &json!(expected)), "as it was sent");
            }
        }
    }
}

#[tokio::test]
async fn answers_that_are_made_for_one_and_given_to_others() {
    let upstream = Upstream::start().await;
    let mut api = keyless("a", &upstream.url(""));
    api["cache_options"] = json!({"enable_cache": true, "cache_timeout": 60, "cache_all_safe_requests": true,
        "cache_by_headers": ["X-A", "X-B"]});
    let mut hosts = keyless("h", &upstream.url(""));
    hosts["cache_options"] = api["cache_options"].clone();
    hosts["proxy"]["preserve_host_header"] = json!(true);
    let gate = Gate::setup().api(api).api(hosts).start().await;
    let is_kept = |reply: &e2e::Reply| reply.header("x-tyk-cached-response").is_some();
    let fields = [
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Proto: gopher",
        "X-Forwarded-Port: 1",
        "X-Forwarded-Prefix: /evil",
        "X-Host: evil.example",
        "X-Original-URL: /admin",
        "X-Rewrite-URL: /admin",
        "X-HTTP-Method-Override: DELETE",
        "Forwarded: host=evil.example",
    ];
    for (at, field) in fields.into_iter().enumerate() {
        let path = format!("/a/{at}");
        assert!(!is_kept(&gate.get(&path, &["-H", field]).await));
        let reply = gate.get(&path, &[]).await;
        assert!(!is_kept(&reply) && !reply.text().contains("evil"), "{field}: {reply:?}");
        // Each has what was made for it.
        assert!(
            is_kept(&gate.get(&path, &["-H", field]).await) && is_kept(&gate.get(&path, &[]).await),
            "{field}"
        );
    }
    // Pairs of requests that must not be taken for one another.
    for (first, second) in [
        (vec!["/a/q?a=1&b=2"], vec!["/a/q?b=2&a=1"]),
        (vec!["/a/q?x=1&x=2"], vec!["/a/q?x=2&x=1"]),
        (vec!["/a/q?x=1%26y=2"], vec!["/a/q?x=1&y=2"]),
        (vec!["/a/p;v=1"], vec!["/a/p"]),
        (vec!["/a/s/"], vec!["/a/s"]),
        (vec!["/a/fat", "-X", "GET", "-d", "q=evil"], vec!["/a/fat"]),
        (vec!["/a/m", "-H", "X-A: 1X-B-2"], vec!["/a/m", "-H", "X-A: 1", "-H", "X-B: 2X-B-"]),
        (vec!["/a/n", "-H", "X-A: 1-X-A-2"], vec!["/a/n-X-A-1", "-H", "X-A: 2"]),
        (vec!["/h/x", "-H", "Host: evil.example"], vec!["/h/x"]),
    ] {
        let hits = upstream.hits();
        for request in [&first, &second] {
            let reply = gate.get(request[0], &request[1..]).await;
            assert!(reply.status == 200 && !is_kept(&reply), "{request:?}: {reply:?}");
        }
        assert_eq!(upstream.hits(), hits + 2, "{first:?} {second:?}");
    }
}

#[tokio::test]
async fn keys_that_have_one_hash() {
    // Both are 64906cae as murmur32 has it.
    const KEY: &str = "org7bcc18d480d100cb7c35049c7b504";
    const OTHER: &str = "orge1a3a8cc34a90625e10c38fa34101";
    let upstream = Upstream::start().await;
    for (function, opens) in
        [("", 200), ("murmur64", 403), ("murmur128", 403), ("sha256", 403), ("hmac-sha256", 403)]
    {
        let gate = Gate::setup()
            .conf(json!({"hash_keys": true, "hash_key_function": function}))
            .api(keyed("a", &upstream.url("")))
            .start()
            .await;
        let stored = gate.admin().post(&format!("/keys/{KEY}"), &session(&["a"])).await;
        assert_eq!(stored.status, 200, "{stored:?}");
        let ask = async |key: &str| gate.get("/a/x", &["-H", &format!("Authorization: {key}")]).await.status;
        assert_eq!(ask(stored.json()["key"].as_str().unwrap()).await, 200, "{function}");
        // With the hash that the original begins with nobody can tell them apart, which is why the gate says so.
        assert_eq!(ask(OTHER).await, opens, "{function}");
        let is_told = gate.log().contains("can make a key that has it");
        assert_eq!(is_told, function.is_empty() || function.starts_with("murmur"), "{function}");
        // Whoever has a hash has no key.
        let hash = stored.json()["key_hash"].as_str().unwrap().to_owned();
        assert_eq!(ask(&hash).await, 403, "{function}");
    }
}

#[tokio::test]
async fn a_disk_that_is_full() {
    let upstream = Upstream::start().await;
    let mut gate = Gate::setup()
        .told_of_full_disks()
        .conf(json!({"enable_analytics": true}))
        .api(keyless("a", &upstream.url("")))
        .api(keyed("k", &upstream.url("")))
        .prepare();
    gate.start().await;
    let mut large = session(&["k"]);
    large["meta_data"] = json!({"filler": "x".repeat(100_000)});
    let mut good = vec![gate.admin().key(&session(&["k"])).await];
    // No file grows beyond what the largest one is by now.
    let files = std::fs::read_dir(gate.dir().join("state")).unwrap();
    let largest = files.map(|file| file.unwrap().metadata().unwrap().len()).max().unwrap();
    let limit = format!("--fsize={largest}:{largest}");
    let limited =
        std::process::Command::new("prlimit").args(["--pid", &gate.pid().to_string(), &limit]).status();
    assert!(limited.unwrap().success());
    let mut refused = None;
    for _ in 0..800 {
        let reply = gate.admin().post("/keys", &large).await;
        if reply.status != 200 {
            refused = Some(reply);
            break;
        }
        good.push(reply.json()["key"].as_str().unwrap().to_owned());
    }
    let refused = refused.expect("a file that cannot grow refuses a key at last");
    assert!(refused.status >= 500, "{refused:?}");
    e2e::until("it is told", async || gate.get("/hello", &[]).await.json()["status"] != "pass").await;
    assert!(gate.log().contains("is the disk full?"), "{}", gate.log());
    // Who is known is served, and so is everybody where no key is asked for.
    let ask = async |gate: &Gate, key: &str| {
        gate.get("/k/x", &["-H", &format!("Authorization: {key}")]).await.status
    };
    assert_eq!(gate.get("/a/x", &[]).await.status, 200);
    assert_eq!(ask(&gate, &good[0]).await, 200);
    // After a start on a disk with room all is there that was said to be.
    gate.stop().await;
    gate.start().await;
    for key in &good {
        assert_eq!(ask(&gate, key).await, 200, "{} keys", good.len());
    }
    gate.admin().key(&large).await;
    assert_eq!(gate.get("/hello", &[]).await.json()["status"], "pass");
}

#[tokio::test]
async fn a_disk_that_is_full_of_records() {
    let upstream = Upstream::start().await;
    let mut gate = Gate::setup()
        .told_of_full_disks()
        .conf(json!({"enable_analytics": true, "analytics_config":
            {"enable_detailed_recording": true, "detailed_recording_size": 65_536}}))
        .api(keyless("a", &upstream.url("")))
        .prepare();
    gate.start().await;
    let recorded = async |gate: &Gate, path: &str| {
        let records = gate.admin().get("/records?limit=2000").await.json();
        records.as_array().unwrap().iter().any(|record| record["path"].as_str().unwrap().ends_with(path))
    };
    assert_eq!(gate.get("/a/before", &[]).await.status, 200);
    e2e::until("it is recorded", async || recorded(&gate, "/before").await).await;
    // Whoever ends writes what is in memory.
    assert_eq!(gate.stop().await, Some(0), "{}", gate.log());
    gate.start().await;
    let files = std::fs::read_dir(gate.dir().join("state")).unwrap();
    let largest = files.map(|file| file.unwrap().metadata().unwrap().len()).max().unwrap();
    let limit = format!("--fsize={largest}:{largest}");
    let limited =
        std::process::Command::new("prlimit").args(["--pid", &gate.pid().to_string(), &limit]).status();
    assert!(limited.unwrap().success());
    let (body, begun) = ("x".repeat(60_000), std::time::Instant::now());
    let mut number = 0;
    while !gate.log().contains("records cannot be written; is the disk full?") {
        let reply = gate.get(&format!("/a/{number}"), &["--data-binary", &body]).await;
        assert_eq!(reply.status, 200, "{number}: {reply:?}");
        number += 1;
        assert!(begun.elapsed() < 3 * e2e::PATIENCE, "{number} records fit");
    }
    // Nobody is harmed, nothing is dropped that fits into memory, and whoever asks is told.
    let hello = gate.get("/hello", &[]).await.json();
    assert_eq!((&hello["status"], &hello["details"]["records"]["status"]), (&json!("warn"), &json!("fail")));
    assert_eq!(hello["details"]["embedded"]["status"], "pass", "{hello}");
    for _ in 0..50 {
        assert_eq!(gate.get("/a/after", &[]).await.status, 200);
    }
    e2e::until("it is recorded", async || recorded(&gate, "/after").await).await;
    let metrics = gate.get("/metrics", &[]).await;
    assert!(metrics.text().contains("sluicegate_records_dropped_total 0"), "{}", metrics.text());
    assert_eq!(gate.get("/ready", &[]).await.status, 200);
    // A start on a disk with room mends it; what was written before is there.
    assert_eq!(gate.stop().await, Some(0), "{}", gate.log());
    gate.start().await;
    assert!(recorded(&gate, "/before").await, "what was written is lost");
    assert_eq!(gate.get("/a/again", &[]).await.status, 200);
    e2e::until("it is recorded", async || recorded(&gate, "/again").await).await;
    gate.stop().await;
    gate.start().await;
    assert!(recorded(&gate, "/again").await, "records are not written again");
    assert_eq!(gate.get("/hello", &[]).await.json()["status"], "pass");
}
