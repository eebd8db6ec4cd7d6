//! Where messages of HTTP/1 end (RFC 9112 sections 2.2, 5 to 7 and 9.3), as tables: each row has a number, says what is
//! sent, and what comes of it. After whatever is accepted one more request follows on the same connection, whose answer
//! shows that both sides agree where the one before it ended. After whatever is refused one follows, too: nobody reads it.

use e2e::definition::keyless;
use e2e::{Gate, Upstream, Wire, raw};
use serde_json::Value;

const LAST: &str = "GET /a/last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// An answer, its body without its framing.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// The answers to requests with these methods, one after the other; fails where they are not framed.
fn answers(mut bytes: &str, heads_only: &[bool]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        let (head, rest) = bytes.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {bytes:?}"));
        let head = head.to_ascii_lowercase();
        let status = head.strip_prefix("http/1.1 ").unwrap_or_else(|| panic!("no answer: {head:?}"));
        let status: u16 = status[..3].parse().unwrap();
        bytes = rest;
        if status < 200 {
            continue;
        }
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
        let no_body = [204, 304].contains(&status) || heads_only.get(answers.len()) == Some(&true);
        let mut body = String::new();
        if no_body {
            answers.push(Answer { status, head, body });
            continue;
        }
        if field("transfer-encoding:") == Some("chunked") {
            assert_eq!(field("content-length:"), None, "{head}");
            loop {
                let (size, rest) = bytes.split_once("\r\n").unwrap_or_else(|| panic!("no size: {bytes:?}"));
                let size = usize::from_str_radix(size, 16).unwrap_or_else(|_| panic!("no size: {size:?}"));
                body += &rest[..size];
                bytes = rest[size..].strip_prefix("\r\n").unwrap_or(&rest[size..]);
                if size == 0 {
                    // Trailers, if any, and what is behind them.
                    bytes = match rest.strip_prefix("\r\n") {
                        Some(behind) => behind,
                        None => rest.split_once("\r\n\r\n").expect("trailers end").1,
                    };
                    break;
                }
            }
        } else if let Some(length) = field("content-length:") {
            let length = length.parse().unwrap();
            body = bytes.get(..length).unwrap_or_else(|| panic!("{length} bytes of {bytes:?}")).to_owned();
            bytes = &bytes[length..];
        } else {
            body = std::mem::take(&mut bytes).to_owned();
        }
        answers.push(Answer { status, head, body });
    }
    answers
}

async fn gate(target: &str) -> Gate {
    Gate::setup().api(keyless("a", target)).start().await
}

fn post(fields: &str, body: &str) -> String {
    format!("POST /a/x HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n{body}")
}

fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked", body)
}

fn get(fields: &str) -> String {
    format!("GET /a/x HTTP/1.1\r\nHost: x\r\n{fields}\r\n")
}

#[tokio::test]
async fn requests_end_where_their_framing_says() {
    let upstream = Upstream::start().await;
    let gate = gate(&upstream.url("")).await;
    // Number, what is sent, the bodies that reach the upstream, one for each request.
    let rows: &[(u32, String, &[&str])] = &[
        (1, post("Content-Length: 5", "hello"), &["hello"]),
        (2, post("Content-Length: 0", ""), &[""]),
        (3, post("Content-Length: 0005", "hello"), &["hello"]),
        (4, post("Content-Length: \t 5 \t", "hello"), &["hello"]),
        (5, post("content-LENGTH:5", "hello"), &["hello"]),
        (6, post("A: b", ""), &[""]),
        (7, format!("\r\n{}", get("")), &[""]),
        (8, chunked("5\r\nhello\r\n0\r\n\r\n"), &["hello"]),
        (9, chunked("2\r\nhe\r\n1\r\nl\r\n2\r\nlo\r\n0\r\n\r\n"), &["hello"]),
        (10, chunked("a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n"), &["01234567890123456789a"]),
        (11, chunked("0005\r\nhello\r\n000\r\n\r\n"), &["hello"]),
        (12, chunked("0\r\n\r\n"), &[""]),
        (13, chunked("5;name=value\r\nhello\r\n0;last\r\n\r\n"), &["hello"]),
        (14, chunked("5;a=\"b ; c\"\r\nhello\r\n0\r\n\r\n"), &["hello"]),
        // Data that looks like framing.
        (15, chunked("7\r\n0\r\n\r\n5;\r\n0\r\n\r\n"), &["0\r\n\r\n5;"]),
        (16, chunked("5\r\nhello\r\n0\r\nX-T: 1\r\nx-u:\r\n\r\n"), &["hello"]),
        (17, post("Transfer-Encoding: Chunked", "1\r\nx\r\n0\r\n\r\n"), &["x"]),
        (18, post("transfer-encoding:chunked", "1\r\nx\r\n0\r\n\r\n"), &["x"]),
        (19, [get(""), get(""), get("")].concat(), &["", "", ""]),
        (
            20,
            [post("Content-Length: 1", "a"), chunked("1\r\nb\r\n0\r\n\r\n"), get("")].concat(),
            &["a", "b", ""],
        ),
        (21, "GET /a/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello".into(), &["hello"]),
        (
            22,
            "DELETE /a/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n".into(),
            &["x"],
        ),
        (23, "GET http://x/a/x HTTP/1.1\r\nHost: x\r\n\r\n".into(), &[""]),
        (24, "GET /a/x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".into(), &[""]),
        (25, get("Empty:\r\nTab:\ta\t\r\n"), &[""]),
        (26, get("Obs-Text: caf\u{e9}\r\n"), &[""]),
    ];
    for (number, sent, bodies) in rows {
        let heard = raw(gate.port(), format!("{sent}{LAST}").as_bytes()).await;
        let answers = answers(&heard, &[]);
        assert_eq!(answers.len(), bodies.len() + 1, "row {number}: {sent:?} gave {heard:?}");
        for (answer, body) in answers.iter().zip(*bodies) {
            let echo: Value = serde_json::from_str(&answer.body).unwrap();
            assert_eq!((answer.status, &echo["path"]), (200, &Value::from("/x")), "row {number}: {heard:?}");
            assert_eq!(echo["body"], *body, "row {number}");
        }
        let last: Value = serde_json::from_str(&answers.last().unwrap().body).unwrap();
        assert_eq!(last["path"], "/last", "row {number}: {heard:?}");
    }
    let heard = raw(gate.port(), format!("{}{LAST}", rows[15].1).as_bytes()).await;
    let echo: Value = serde_json::from_str(&answers(&heard, &[])[0].body).unwrap();
    assert_eq!(echo["trailers"]["x-t"][0], "1", "row 16: trailers go on: {echo}");
}

#[tokio::test]
async fn requests_that_two_servers_might_end_elsewhere_are_refused() {
    let upstream = Upstream::start().await;
    let gate = gate(&upstream.url("")).await;
    let line = |line: &str| format!("{line}\r\nHost: x\r\n\r\n");
    let both = "Content-Length: 5\r\nTransfer-Encoding: chunked";
    let rows: &[(u32, String, u16)] = &[
        (101, post(both, "0\r\n\r\n"), 400),
        (102, post("Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n"), 400),
        (103, post("Content-Length: 0\r\nTransfer-Encoding: chunked", "0\r\n\r\n"), 400),
        (104, post("Content-Length: 5\r\nContent-Length: 5", "hello"), 400),
        (105, post("Content-Length: 5\r\nContent-Length: 0", "hello"), 400),
        (106, post("Content-Length: 5, 5", "hello"), 400),
        (107, post("Content-Length: 5,", "hello"), 400),
        (108, post("Content-Length:", "hello"), 400),
        (109, post("Content-Length: +5", "hello"), 400),
        (110, post("Content-Length: -5", "hello"), 400),
        (111, post("Content-Length: 0x5", "hello"), 400),
        (112, post("Content-Length: 5.0", "hello"), 400),
        (113, post("Content-Length: 5 5", "hello"), 400),
        (114, post("Content-Length: 9223372036854775808", "hello"), 400),
        (115, post("Content-Length: 99999999999999999999999999", "hello"), 400),
        (116, post("Content-Length: 1\u{660}", "hello"), 400),
        (121, post("Transfer-Encoding: identity", "hello"), 400),
        (122, post("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"), 400),
        (123, post("Transfer-Encoding: chunked, chunked", "0\r\n\r\n"), 400),
        (124, post("Transfer-Encoding: chunked, identity", "0\r\n\r\n"), 400),
        (125, post("Transfer-Encoding: chunked;q=1", "0\r\n\r\n"), 400),
        (126, post("Transfer-Encoding: xchunked", "0\r\n\r\n"), 400),
        (127, post("Transfer-Encoding: \"chunked\"", "0\r\n\r\n"), 400),
        (128, post("Transfer-Encoding:", "0\r\n\r\n"), 400),
        (129, post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n"), 400),
        (130, post("Transfer-Encoding : chunked", "0\r\n\r\n"), 400),
        (131, post("Transfer-Encoding: \x0bchunked", "0\r\n\r\n"), 400),
        (132, post("Transfer-Encoding:\r\n chunked", "0\r\n\r\n"), 400),
        (133, post("X: y\r\n Transfer-Encoding: chunked", "0\r\n\r\n"), 400),
        (134, "POST /a/x HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(), 400),
        (141, "GET /a/x HTTP/1.1\nHost: x\n\n".into(), 400),
        (142, "GET /a/x HTTP/1.1\r\nHost: x\nA: b\r\n\r\n".into(), 400),
        (143, "GET /a/x HTTP/1.1\r\nHost: x\r\n\nGET /a/y HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        (144, get("A: b\rc\r\n"), 400),
        (145, get("A: b\r\r\n"), 400),
        (146, get("A: b\0\r\n"), 400),
        (147, get(" A: b\r\n"), 400),
        (148, "GET /a/x HTTP/1.1\r\n Host: x\r\n\r\n".into(), 400),
        (149, get("A : b\r\n"), 400),
        (150, get(": b\r\n"), 400),
        (151, get("A\r\n"), 400),
        (152, get("A(b): c\r\n"), 400),
        (153, get("Host: x\r\n"), 400),
        (154, "GET /a/x HTTP/1.1\r\n\r\n".into(), 400),
        (161, line("GET  /a/x HTTP/1.1"), 400),
        (162, line("GET /a/x  HTTP/1.1"), 400),
        (163, line("GET\t/a/x\tHTTP/1.1"), 400),
        (164, line(" GET /a/x HTTP/1.1"), 400),
        (165, line("GET /a/x HTTP/1.1 "), 400),
        (166, line("GET /a/x http/1.1"), 400),
        (167, line("GET /a/x HTTP/1.10"), 400),
        (168, line("GET /a/x HTTP/2.0"), 505),
        (169, line("GET /a/x"), 400),
        (170, line("GET /a/x#y HTTP/1.1"), 400),
        (171, line("GET a/x HTTP/1.1"), 400),
        (172, line("G@T /a/x HTTP/1.1"), 400),
        (173, format!("\r\n\r\n{}", get("")), 400),
        (174, line(&format!("GET /a/{} HTTP/1.1", "x".repeat(9_000))), 414),
        (175, get(&format!("A: {}\r\n", "x".repeat(70_000))), 431),
        (176, get(&"A: b\r\n".repeat(101)), 431),
    ];
    let hits = upstream.hits();
    for (number, sent, status) in rows {
        let heard = raw(gate.port(), format!("{sent}{LAST}").as_bytes()).await;
        let answers = answers(&heard, &[]);
        assert_eq!(answers.len(), 1, "row {number}: {sent:?} gave {heard:?}");
        assert_eq!(answers[0].status, *status, "row {number}: {sent:?} gave {heard:?}");
        assert!(answers[0].head.contains("connection: close"), "row {number}: {heard:?}");
    }
    assert_eq!(upstream.hits(), hits, "something was passed on");
}

#[tokio::test]
async fn chunks_that_two_servers_might_read_differently_are_refused() {
    let upstream = Upstream::start().await;
    let gate = gate(&upstream.url("")).await;
    let rows: &[(u32, String)] = &[
        (201, "5\nhello\n0\n\n".into()),
        (202, "5\r\nhello\n0\r\n\r\n".into()),
        (203, "5\r\nhello0\r\n\r\n".into()),
        (204, "\r\nhello\r\n0\r\n\r\n".into()),
        (205, "five\r\nhello\r\n0\r\n\r\n".into()),
        (206, "-5\r\nhello\r\n0\r\n\r\n".into()),
        (207, "+5\r\nhello\r\n0\r\n\r\n".into()),
        (208, "0x5\r\nhello\r\n0\r\n\r\n".into()),
        (209, "5 \r\nhello\r\n0\r\n\r\n".into()),
        (210, " 5\r\nhello\r\n0\r\n\r\n".into()),
        (211, "3\r\nhello\r\n0\r\n\r\n".into()),
        (212, "8000000000000000\r\nhello\r\n0\r\n\r\n".into()),
        (213, "10000000000000005\r\nhello\r\n0\r\n\r\n".into()),
        (214, "00000000000000005\r\nhello\r\n0\r\n\r\n".into()),
        (215, "5;a\nb\r\nhello\r\n0\r\n\r\n".into()),
        (216, "5;a\rb\r\nhello\r\n0\r\n\r\n".into()),
        (217, format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(300))),
        (218, "0\r\nContent-Length: 5\r\n\r\n".into()),
        (219, "0\r\nTransfer-Encoding: chunked\r\n\r\n".into()),
        (220, "0\r\nhost: y\r\n\r\n".into()),
        (221, "0\r\nA\r\n\r\n".into()),
        (222, "0\r\nA: b\r\n c\r\n\r\n".into()),
        (223, "0\r\nA: b\n\r\n".into()),
        (224, "0\r\nA : b\r\n\r\n".into()),
        (225, "0\r\nA: \0\r\n\r\n".into()),
        (226, "0\r\n\n".into()),
        (227, format!("0\r\n{}\r\n", "A: b\r\n".repeat(101))),
        (228, format!("0\r\nA: {}\r\n\r\n", "x".repeat(70_000))),
    ];
    for (number, body) in rows {
        let sent = format!("{}{LAST}", chunked(body));
        let heard = raw(gate.port(), sent.as_bytes()).await;
        let answers = answers(&heard, &[]);
        assert_eq!(answers.len(), 1, "row {number}: {body:?} gave {heard:?}");
        assert!((400..500).contains(&answers[0].status), "row {number}: {body:?} gave {heard:?}");
    }
}

/// An upstream that answers with these bytes, and with `last` when it is asked for that; `ends` closes the connection behind
/// the bytes.
async fn saying(says: &'static str, ends: bool) -> Wire {
    Wire::start(move |mut line| async move {
        while let Some(request) = line.request().await {
            let is_last = request.contains("/last ");
            let answer = if is_last { "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast" } else { says };
            if !line.say(answer.as_bytes()).await || (ends && !is_last) {
                return;
            }
        }
    })
    .await
}

#[tokio::test]
async fn answers_end_where_their_framing_says() {
    const KEPT: bool = false;
    const ENDS: bool = true;
    // Number, method, what the upstream says, whether it closes behind it, status and body for the client.
    let rows: &[(u32, &str, &'static str, bool, u16, &str)] = &[
        (301, "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", KEPT, 200, "hello"),
        (302, "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", KEPT, 200, ""),
        (
            303,
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
            KEPT,
            200,
            "hello",
        ),
        (
            304,
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n",
            KEPT,
            200,
            "hello",
        ),
        (
            305,
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n",
            KEPT,
            200,
            "hello",
        ),
        (
            306,
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
            KEPT,
            200,
            "hello",
        ),
        (307, "GET", "HTTP/1.1 200 OK\r\n\r\nhello", ENDS, 200, "hello"),
        (308, "GET", "HTTP/1.0 200 OK\r\n\r\nhello", ENDS, 200, "hello"),
        (309, "GET", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", ENDS, 200, "hello"),
        (
            310,
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            KEPT,
            200,
            "hello",
        ),
        (
            311,
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
            KEPT,
            200,
            "hello",
        ),
        (312, "GET", "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", KEPT, 200, "hello"),
        (313, "GET", "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", KEPT, 200, "hello"),
        (
            314,
            "GET",
            "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            KEPT,
            200,
            "hello",
        ),
        (
            315,
            "GET",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            KEPT,
            200,
            "hello",
        ),
        (321, "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", KEPT, 200, ""),
        (322, "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", KEPT, 200, ""),
        (323, "HEAD", "HTTP/1.1 200 OK\r\n\r\n", KEPT, 200, ""),
        (324, "GET", "HTTP/1.1 204 No Content\r\n\r\n", KEPT, 204, ""),
        (325, "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", KEPT, 204, ""),
        (326, "GET", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", KEPT, 204, ""),
        (327, "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", KEPT, 304, ""),
        // What comes behind the end is nobody's next answer.
        (331, "GET", "HTTP/1.1 204 No Content\r\n\r\nhello", KEPT, 204, ""),
        (332, "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", KEPT, 200, ""),
        (
            333,
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
            KEPT,
            200,
            "hello",
        ),
        (
            334,
            "GET",
            "HTTP/1.1 304 Not Modified\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
            KEPT,
            304,
            "",
        ),
        // What does not tell in one way where it ends.
        (
            341,
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
            KEPT,
            500,
            "",
        ),
        (342, "GET", "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello", KEPT, 500, ""),
        (343, "GET", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello", KEPT, 500, ""),
        (344, "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello", ENDS, 500, ""),
        (345, "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", KEPT, 500, ""),
        (346, "GET", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 5\r\n\r\nhello", KEPT, 500, ""),
        (347, "GET", "HTTP/1.1 200 OK\r\nA\r\nContent-Length: 5\r\n\r\nhello", KEPT, 500, ""),
        (348, "GET", "HTTP/1.1 200 OK\r\nA: \0\r\nContent-Length: 5\r\n\r\nhello", KEPT, 500, ""),
        (349, "GET", "HTTP/3 200 OK\r\nContent-Length: 5\r\n\r\nhello", KEPT, 500, ""),
        (350, "GET", "hello\r\n\r\n", KEPT, 500, ""),
        (351, "GET", "", ENDS, 500, ""),
    ];
    let (mut setup, mut upstreams) = (Gate::setup(), Vec::new());
    for (number, _, says, ends, ..) in rows {
        let upstream = saying(says, *ends).await;
        setup = setup.api(keyless(&format!("r{number}"), &upstream.url()));
        upstreams.push(upstream);
    }
    let gate = setup.start().await;
    for (number, method, says, _, status, body) in rows {
        let last = LAST.replace("/a/", &format!("/r{number}/"));
        let sent = format!("{method} /r{number}/x HTTP/1.1\r\nHost: x\r\n\r\n{last}");
        let heard = raw(gate.port(), sent.as_bytes()).await;
        let answers = answers(&heard, &[*method == "HEAD"]);
        assert_eq!(answers.len(), 2, "row {number}: {says:?} gave {heard:?}");
        assert_eq!(answers[0].status, *status, "row {number}: {says:?} gave {heard:?}");
        if *status < 500 {
            assert_eq!(answers[0].body, *body, "row {number}");
        }
        if *status == 204 {
            // RFC 9110 section 8.6, RFC 9112 section 6.1.
            let framed =
                ["content-length:", "transfer-encoding:"].iter().any(|name| answers[0].head.contains(name));
            assert!(!framed, "row {number}: {heard:?}");
        }
        assert_eq!((answers[1].status, &*answers[1].body), (200, "last"), "row {number}: {heard:?}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_ended_for_the_client() {
    let rows: &[(u32, &'static str)] = &[
        (401, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"),
        (402, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
        (403, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"),
        (
            404,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nfive\r\nhello\r\n0\r\n\r\n",
        ),
        (405, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX0\r\n\r\n"),
    ];
    for (number, says) in rows {
        let upstream = saying(says, true).await;
        let gate = gate(&upstream.url()).await;
        let heard = raw(gate.port(), format!("GET /a/x HTTP/1.1\r\nHost: x\r\n\r\n{LAST}").as_bytes()).await;
        assert!(heard.starts_with("HTTP/1.1 200 ") && heard.contains("hello"), "row {number}: {heard:?}");
        assert!(!heard.ends_with("0\r\n\r\n"), "row {number}: it looks whole: {heard:?}");
        assert!(!heard.contains("last"), "row {number}: what follows is taken for the rest: {heard:?}");
    }
}
