//! Event streams of upstreams, case by case of their format (WHATWG HTML, 9.2.5 and 9.2.6): whatever they hold and wherever
//! they are cut, the gate passes them on byte for byte, at once, and looks into none of them.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use e2e::definition::{keyed, oas, session};
use e2e::streaming::guarded;
use e2e::{Gate, raw_socket, soon};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Number, what it is about, and the pieces that the upstream sends one after the other.
type Case = (usize, &'static str, &'static [&'static [u8]]);

const CASES: &[Case] = &[
    (1, "a byte order mark before all else", &[b"\xef\xbb\xbfdata: 1\n\n"]),
    (2, "a second one, which belongs to the line", &[b"\xef\xbb\xbf\xef\xbb\xbfdata: 1\n\n"]),
    (3, "a byte order mark that is cut", &[b"\xef", b"\xbb", b"\xbfdata: 1\n\n"]),
    (4, "lines that end with LF", &[b"event: a\ndata: 1\n\n"]),
    (5, "lines that end with CR", &[b"event: a\rdata: 1\r\r"]),
    (6, "lines that end with CRLF", &[b"event: a\r\ndata: 1\r\n\r\n"]),
    (7, "all of them in one event", &[b"event: a\rdata: 1\ndata: 2\r\n\n"]),
    (8, "a cut between CR and LF", &[b"data: 1\r", b"\n\r", b"\n"]),
    (9, "comments", &[b": hello\n:\n\ndata: 1\n: in between\n\n"]),
    (10, "fields without a colon", &[b"data\n\ndata\ndata\n\nevent\ndata: 1\n\n"]),
    (11, "a space behind the colon, and a second one", &[b"data:1\n\ndata: 1\n\ndata:  1\n\n"]),
    (12, "data of several lines, some of them empty", &[b"data: 1\ndata\ndata:\ndata: 2\n\n"]),
    (13, "an id, none, and one with NUL", &[b"id: 7\ndata: 1\n\nid\ndata: 2\n\nid: a\0b\ndata: 3\n\n"]),
    (14, "times to wait, and what are none", &[b"retry: 10\nretry: 1x\nretry: -1\nretry:\n\n"]),
    (15, "names that nobody knows, or in upper case", &[b"Data: 1\nother: 2\n data: 3\ndata : 4\n\n"]),
    (16, "an event without data", &[b"event: a\nid: 1\n\n"]),
    (17, "a last event without its empty line", &[b"data: 1\n\ndata: 2\n"]),
    (18, "a last line without its end", &[b"data: 1\n\ndata: 2"]),
    (19, "a cut inside of a character", &["data: caf\u{e9} \u{1f600}\n\n".as_bytes()]),
    (20, "each byte of a character by itself", &[b"data: \xf0", b"\x9f", b"\x98", b"\x80\n\n"]),
    (21, "bytes that are no UTF-8", &[b"data: \xff\xfe\xc3\n\n"]),
    (22, "an empty line at the beginning, and many", &[b"\n\n\r\r\r\n\r\ndata: 1\n\n\n\n"]),
    (23, "what looks like a chunk of HTTP", &[b"data: 5\r\n0\r\n\r\n", b"data: 1\n\n"]),
];

/// Sends the pieces of the case that is asked for (`/NUMBER`), each when the test lets it.
async fn upstream(pieces: Arc<Semaphore>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(send(socket, Arc::clone(&pieces)));
        }
    });
    url
}

async fn send(mut socket: TcpStream, pieces: Arc<Semaphore>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    // What is left unread would cut the answer off when the connection is closed.
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let _ = socket.read_exact(&mut vec![0; length.unwrap_or(0)]).await;
    let path = head.split(' ').nth(1).unwrap_or_default();
    let number = path.trim_start_matches('/').split('?').next().and_then(|number| number.parse().ok());
    let case = CASES.iter().find(|(known, ..)| Some(*known) == number);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    for piece in case.map(|(.., pieces)| *pieces).unwrap_or_default() {
        pieces.acquire().await.unwrap().forget();
        let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        socket.write_all(&chunk).await.unwrap();
    }
    pieces.acquire().await.unwrap().forget();
    socket.write_all(b"0\r\n\r\n").await.unwrap();
}

/// The payload of chunks, and whether the last one has come.
fn unchunked(mut bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut payload = Vec::new();
    while let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") {
        let size = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let size = usize::from_str_radix(&size, 16).unwrap_or_else(|_| panic!("{size:?} is no size"));
        bytes = &bytes[end + 2..];
        if size == 0 {
            return (payload, true);
        }
        payload.extend_from_slice(&bytes[..size.min(bytes.len())]);
        bytes = bytes.get(size + 2..).unwrap_or_default();
    }
    (payload, false)
}

/// Reads until so much of the body, or its end, is there.
async fn read(socket: &mut TcpStream, known: &mut Vec<u8>, until: impl Fn(&[u8], bool) -> bool) -> Vec<u8> {
    soon("a piece of an event stream", async {
        loop {
            let (payload, ended) = unchunked(known);
            if until(&payload, ended) {
                return payload;
            }
            assert!(socket.read_buf(known).await.unwrap() > 0, "the stream was cut: {known:?}");
        }
    })
    .await
}

#[tokio::test]
async fn c4_6_row_20_event_streams_are_passed_on_byte_for_byte_through_all_guards() {
    let pieces = Arc::new(Semaphore::new(0));
    let target = upstream(Arc::clone(&pieces)).await;
    let mut api = keyed("a", &target);
    api["strip_auth_data"] = json!(true);
    api["enable_detailed_recording"] = json!(true);
    api["enable_context_vars"] = json!(true);
    api["global_rate_limit"] = json!({"rate": 1000, "per": 1});
    api["allowed_ips"] = json!(["127.0.0.1"]);
    api["CORS"] = json!({"enable": true, "allowed_origins": ["*"]});
    api["cache_options"] =
        json!({"enable_cache": true, "cache_timeout": 60, "cache_all_safe_requests": true});
    let version = &mut api["version_data"]["versions"]["Default"];
    version["global_response_headers"] = json!({"X-Passed": "yes"});
    version["use_extended_paths"] = json!(true);
    // Base64 of a template that would leave nothing of an answer.
    let template = json!({"input_type": "json", "template_mode": "blob", "template_source": "Z29uZQ=="});
    version["extended_paths"] = json!({
        "white_list": [{"path": "/[0-9]+", "method": "GET"}],
        "track_endpoints": [{"path": "/[0-9]+", "method": "GET"}],
        "transform_response": [{"path": "/[0-9]+", "method": "GET", "template_data": template}],
        "hard_timeouts": [{"path": "/[0-9]+", "method": "GET", "timeout": 10}],
        "circuit_breakers": [{"path": "/[0-9]+", "method": "GET", "threshold_percent": 0.5, "samples": 5, "return_to_service_after": 1}],
    });
    let gate = Gate::setup().api(api).start().await;
    let key = gate.admin().key(&session(&["a"])).await;
    passes_on(&gate, &pieces, &key, &|number| format!("GET /a/{number} HTTP/1.1\r\n"), "").await;
}

#[tokio::test]
async fn event_streams_are_passed_on_byte_for_byte_through_what_reads_and_changes_requests_and_answers() {
    let pieces = Arc::new(Semaphore::new(0));
    let target = upstream(Arc::clone(&pieces)).await;
    let code = |text: &str| BASE64_STANDARD.encode(text);
    let script = code(
        "function pre(request) { request.SetHeaders['X-Pre'] = '1'; }
         function post(request, session) { request.SetHeaders['X-Post'] = '1'; }
         function response(response) { response.SetHeaders['X-Passed'] = 'yes'; response.Body = 'gone'; }",
    );
    let plugin = |name: &str| json!([{"name": name, "code": script, "require_session": true}]);
    let mut api = keyed("a", &target);
    api["blacklisted_ips"] = json!(["10.0.0.0/8"]);
    api["enable_context_vars"] = json!(true);
    api["custom_middleware"] = json!({"driver": "javascript", "pre": plugin("pre"), "post_key_auth": plugin("post"),
        "post": plugin("post"), "response": plugin("response")});
    let version = &mut api["version_data"]["versions"]["Default"];
    version["global_headers"] = json!({"X-Path": "$tyk_context.path"});
    version["global_size_limit"] = json!(1000);
    let at = |more: Value| {
        let mut entry = json!({"path": "/stream/[0-9]+", "method": "POST"});
        entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([entry])
    };
    let made = |text: &str| json!({"template_data": {"input_type": "json", "template_mode": "blob", "template_source": code(text)}});
    version["extended_paths"] = json!({
        "validate_json": at(json!({"schema": {"type": "object", "required": ["a"]}})),
        "transform": at(made("{\"b\": {{.a}}}")),
        "transform_jq": at(json!({"filter": "{body: .body, rewrite_headers: {\"x-jq\": \"1\"}}"})),
        "transform_response": at(made("gone")),
        "transform_jq_response": at(json!({"filter": "{body: \"gone\"}"})),
        "transform_headers": at(json!({"add_headers": {"X-Added": "1"}})),
        "transform_response_headers": at(json!({"add_headers": {"X-More": "1"}})),
        "url_rewrites": at(json!({"match_pattern": "/stream/([0-9]+)", "rewrite_to": "/$1"})),
        "rate_limit": at(json!({"rate": 1000, "per": 1})),
        "size_limits": at(json!({"size_limit": 900})),
    });
    // The same as an OpenAPI document says it, with what only those have.
    let mut described = guarded(oas("o", &target));
    described["paths"] = json!({"/stream/{number}": {"post": {
        "operationId": "stream",
        "parameters": [{"name": "number", "in": "path", "required": true, "schema": {"type": "integer"}}],
        "requestBody": {"required": true, "content": {"application/json": {"schema": {"type": "object", "required": ["a"]}}}},
        "responses": {"200": {"description": "events", "content": {"application/json": {"schema": {"type": "object"}}}}},
    }}});
    described["x-tyk-api-gateway"]["middleware"] = json!({
        "global": {"transformResponseHeaders": {"enabled": true, "add": [{"name": "X-Passed", "value": "yes"}]}},
        "operations": {"stream": {
            "validateRequest": {"enabled": true},
            "validateResponse": {"enabled": true, "mode": "refuse"},
            "urlRewrite": {"enabled": true, "pattern": "/stream/([0-9]+)", "rewriteTo": "/$1"},
            "transformRequestBody": {"enabled": true, "format": "json", "body": code("{\"b\": {{.a}}}")},
            "transformResponseBody": {"enabled": true, "format": "json", "body": code("gone")},
            "enforceTimeout": {"enabled": true, "value": 10},
        }},
    });
    let overrides = json!({"5xx": [{"response": {"status_code": 500, "message": "gone"}}], "4xx": [{"response": {"message": "gone"}}]});
    let gate = Gate::setup()
        .conf(json!({"enable_jsvm": true, "error_overrides": overrides}))
        .api(api)
        .oas(described)
        .start()
        .await;
    let mut limited = session(&["a", "o"]);
    for (name, value) in [("quota_max", 1000), ("quota_renewal_rate", 3600), ("rate", 1000), ("per", 1)] {
        limited[name] = json!(value);
    }
    limited["throttle_interval"] = json!(1);
    limited["throttle_retry_limit"] = json!(2);
    let key = gate.admin().key(&limited).await;
    let body = r#"{"a": 1}"#;
    let fields = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    for api in ["a", "o"] {
        let line = |number| format!("POST /{api}/stream/{number} HTTP/1.1\r\n{fields}");
        passes_on(&gate, &pieces, &key, &line, body).await;
    }
}

/// Asks for all cases: `line` is how the request of one begins.
async fn passes_on(gate: &Gate, pieces: &Semaphore, key: &str, line: &dyn Fn(usize) -> String, body: &str) {
    for (number, about, sent) in CASES {
        let mut socket = raw_socket(gate.port()).await;
        let request = format!(
            "{}Host: gate\r\nAuthorization: {key}\r\nOrigin: https://x.example\r\nAccept: text/event-stream\r\n\r\n{body}",
            line(*number)
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        soon("the head of an event stream", async {
            while !head.ends_with(b"\r\n\r\n") {
                head.push(socket.read_u8().await.unwrap());
            }
        })
        .await;
        let head = String::from_utf8(head).unwrap().to_lowercase();
        assert!(
            head.starts_with("http/1.1 200 ") && head.contains("x-passed: yes"),
            "{number} {about}: {head}"
        );
        assert!(head.contains("content-type: text/event-stream"), "{head}");

        let (mut known, mut expected) = (Vec::new(), Vec::new());
        for piece in *sent {
            expected.extend_from_slice(piece);
            pieces.add_permits(1);
            // The next piece is only sent when this one has arrived.
            let came = read(&mut socket, &mut known, |payload, _| payload.len() >= expected.len()).await;
            assert_eq!(came, expected, "{number} {about}");
        }
        pieces.add_permits(1);
        let came = read(&mut socket, &mut known, |_, ended| ended).await;
        assert_eq!(came, expected, "{number} {about}, whole");
    }
}
