//! HTTP/2 frame by frame (RFC 9113, RFC 7541), in the order of the list that everybody tests with (h2spec): the sections of
//! the standard stand before the cases.

use e2e::definition::keyless;
use e2e::h2::{
    ACK, COMPRESSION_ERROR, CONTINUATION, Connection, DATA, END_HEADERS, END_STREAM, FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR, Frame, GOAWAY, HEADERS, PADDED, PING, PREFACE, PRIORITIZED, PRIORITY, PROTOCOL_ERROR,
    PUSH_PROMISE, REFUSED_STREAM, RST_STREAM, SETTINGS, STREAM_CLOSED, WINDOW_UPDATE, fields, frame, setting,
};
use e2e::{Gate, Upstream};

/// What a case has to lead to.
#[derive(Debug, Clone, Copy)]
enum Want {
    /// The connection lives: a ping is answered.
    Alive,
    /// An answer on stream 1.
    Answered,
    /// The connection ends, with one of these codes or without a word.
    Ends(&'static [u32]),
    /// The stream ends, with one of these codes; or the connection does; or the request is refused.
    Stream(&'static [u32]),
}
use Want::{Alive, Answered, Ends, Stream};

const LAST: u8 = END_STREAM | END_HEADERS;

fn request() -> Vec<(&'static str, &'static str)> {
    vec![(":method", "GET"), (":scheme", "http"), (":path", "/a/x"), (":authority", "gate.test")]
}

/// HEADERS of a request that has no body.
fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, LAST, stream, &fields(&request()))
}

/// HEADERS of a request whose body follows.
fn post(stream: u32) -> Vec<u8> {
    let mut request = request();
    request[0].1 = "POST";
    frame(HEADERS, END_HEADERS, stream, &fields(&request))
}

/// A request with other fields than a good one has.
fn with(change: impl FnOnce(&mut Vec<(&'static str, &'static str)>)) -> Vec<u8> {
    let mut request = request();
    change(&mut request);
    frame(HEADERS, LAST, 1, &fields(&request))
}

/// A request without one of the fields that a good one has.
fn without(index: usize) -> Vec<u8> {
    with(|all| {
        all.remove(index);
    })
}

/// A request whose block of fields is this.
fn block(bytes: &[u8]) -> Vec<u8> {
    frame(HEADERS, LAST, 1, bytes)
}

/// The status of an answer's header fields, in the forms that servers use.
fn status(frame: &Frame) -> Option<u16> {
    // Updates of the table may stand before it.
    let first = frame.payload.iter().find(|byte| **byte & 0xe0 != 0x20)?;
    match first {
        0x88 => Some(200),
        0x89 => Some(204),
        0x8c => Some(400),
        0x8d => Some(404),
        0x8e => Some(500),
        _ => Some(0),
    }
}

async fn check(gate: &Gate, case: &str, bytes: &[u8], want: Want) {
    let mut connection = Connection::open(gate.port()).await;
    connection.send(bytes).await;
    let mark = frame(PING, 0, 0, b"the-mark");
    if !matches!(want, Ends(_)) {
        connection.send(&mark).await;
    }
    let (mut answered, mut alive) = (None, false);
    let ended = loop {
        let Some(frame) = connection.next().await else { break None };
        match frame.kind {
            GOAWAY => break frame.code(),
            RST_STREAM if matches!(want, Stream(_)) => {
                let Stream(codes) = want else { unreachable!() };
                assert!(codes.contains(&frame.code().unwrap()), "{case}: {frame:?}");
                return;
            }
            HEADERS if answered.is_none() => answered = status(&frame),
            PING if frame.flags & ACK != 0 => alive = true,
            _ => {}
        }
        match want {
            Alive if alive => return,
            Answered if answered.is_some() => {
                assert_eq!(answered, Some(200), "{case}");
                return;
            }
            // A request that is no good may be told so.
            Stream(_) if answered == Some(400) => return,
            Stream(_) if answered == Some(200) => panic!("{case}: it is served"),
            _ => {}
        }
    };
    match want {
        Ends(codes) | Stream(codes) => {
            assert!(ended.is_none_or(|code| codes.contains(&code)), "{case}: the end is {ended:?}");
        }
        Alive | Answered => panic!("{case}: the connection ends with {ended:?}"),
    }
}

async fn checked(cases: Vec<(&str, Vec<u8>, Want)>) {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().api(keyless("a", &upstream.url(""))).start().await;
    for (case, bytes, want) in cases {
        check(&gate, case, &bytes, want).await;
    }
    // Whatever one connection did, others are served.
    check(&gate, "the end", &get(1), Answered).await;
}

#[tokio::test]
async fn h2spec_3_and_4_prefaces_frames_and_blocks_of_fields() {
    let protocol = &[PROTOCOL_ERROR];
    let huge = vec![0; 16_385];
    let long = "x".repeat(120);
    let many: Vec<u8> = (0..140).flat_map(|_| fields(&[("x-long", &long)])).collect();
    let mut cases = vec![
        ("4.1: a frame of a type that nobody knows", frame(0xf0, 0, 0, b"????"), Alive),
        ("4.1: flags that nobody knows", frame(PING, 0xfe, 0, b"12345678"), Alive),
        (
            "4.1: the reserved bit of a stream",
            [get(1), frame(PING, 0, 0x8000_0000, b"12345678")].concat(),
            Alive,
        ),
        (
            "4.2: DATA of the largest size",
            [post(1), frame(DATA, END_STREAM, 1, &huge[1..])].concat(),
            Answered,
        ),
        (
            "4.2: DATA beyond it",
            [post(1), frame(DATA, END_STREAM, 1, &huge)].concat(),
            Ends(&[FRAME_SIZE_ERROR]),
        ),
        ("4.2: HEADERS beyond it", block(&[fields(&request()), many].concat()), Ends(&[FRAME_SIZE_ERROR])),
        (
            "4.3: a field that is cut short",
            block(&[0x00, 0x05, b'x']),
            Ends(&[COMPRESSION_ERROR, PROTOCOL_ERROR]),
        ),
        (
            "4.3: another frame between the parts of fields",
            [frame(HEADERS, END_STREAM, 1, &fields(&request())), frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1])]
                .concat(),
            Ends(protocol),
        ),
        (
            "4.3: another stream between them",
            [frame(HEADERS, END_STREAM, 1, &fields(&request())), get(3)].concat(),
            Ends(protocol),
        ),
    ];
    cases.push((
        "3.4: settings are answered, and more of them",
        frame(SETTINGS, 0, 0, &setting(3, 10)),
        Alive,
    ));
    checked(cases).await;

    let upstream = Upstream::start().await;
    let gate = Gate::setup().api(keyless("a", &upstream.url(""))).start().await;
    // 3.4: what is no preface is no HTTP/2, and none of HTTP/1 either.
    let mut connection = Connection::silent(gate.port()).await;
    connection.send(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n").await;
    while connection.next().await.is_some() {}
    // 3.4: the first frame of a server is its settings; one of another type is no hello of a client.
    let mut connection = Connection::silent(gate.port()).await;
    connection.send(PREFACE).await;
    assert_eq!(connection.next().await.map(|frame| frame.kind), Some(SETTINGS));
    connection.send(&frame(PING, 0, 0, b"12345678")).await;
    let last = loop {
        match connection.next().await {
            Some(frame) if frame.kind == GOAWAY => break frame.code(),
            // Or it is forgiven.
            Some(frame) if frame.kind == PING => break None,
            Some(_) => {}
            None => break None,
        }
    };
    assert!(last.is_none_or(|code| code == PROTOCOL_ERROR), "{last:?}");
}

#[tokio::test]
async fn h2spec_5_streams() {
    let (protocol, closed) = (&[PROTOCOL_ERROR], &[STREAM_CLOSED, PROTOCOL_ERROR]);
    checked(vec![
        ("5.1: DATA on an idle stream", frame(DATA, END_STREAM, 1, b"x"), Ends(closed)),
        ("5.1: RST_STREAM on an idle stream", frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]), Ends(protocol)),
        ("5.1: WINDOW_UPDATE on an idle stream", frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 100]), Ends(protocol)),
        (
            "5.1: CONTINUATION on an idle stream",
            frame(CONTINUATION, END_HEADERS, 1, &fields(&request())),
            Ends(protocol),
        ),
        (
            "5.1: DATA after the end of a stream",
            [get(1), frame(DATA, END_STREAM, 1, b"x")].concat(),
            Stream(closed),
        ),
        ("5.1: HEADERS after the end of a stream", [get(1), get(1)].concat(), Stream(closed)),
        (
            "5.1: CONTINUATION after it",
            [get(1), frame(CONTINUATION, END_HEADERS, 1, &fields(&request()))].concat(),
            Ends(closed),
        ),
        (
            "5.1: DATA after a reset",
            [post(1), frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]), frame(DATA, END_STREAM, 1, b"x")].concat(),
            // Frames may have crossed the reset: they are dropped, or the stream is closed again.
            Alive,
        ),
        (
            "5.1: PRIORITY after the end of a stream",
            [get(1), frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1])].concat(),
            Answered,
        ),
        ("5.1.1: a stream of even number", get(2), Ends(protocol)),
        (
            "5.1.1: a smaller number than before",
            [get(5), get(3)].concat(),
            Ends(&[PROTOCOL_ERROR, STREAM_CLOSED]),
        ),
        (
            "5.1.2: more streams at once than are allowed",
            // None of them ends, so that all are under way.
            (0..=100).flat_map(|number| post(1 + 2 * number)).collect(),
            Stream(&[PROTOCOL_ERROR, REFUSED_STREAM]),
        ),
        (
            "5.3.1: HEADERS that depend on themselves",
            frame(HEADERS, LAST | PRIORITIZED, 1, &[&[0, 0, 0, 1, 16][..], &fields(&request())].concat()),
            Stream(protocol),
        ),
        (
            "5.3.1: PRIORITY that depends on itself",
            frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 16]),
            Stream(protocol),
        ),
        ("5.5: an unknown frame on a stream", [get(1), frame(0xf1, 0, 1, b"????")].concat(), Answered),
        (
            "5.5: an unknown frame within fields",
            [frame(HEADERS, END_STREAM, 1, &fields(&request())), frame(0xf1, 0, 0, b"????")].concat(),
            Ends(protocol),
        ),
    ])
    .await;
}

#[tokio::test]
async fn h2spec_6_frames_and_their_rules() {
    // The engine tells some lengths as errors of the protocol, which is allowed (section 5.4).
    let (protocol, size) = (&[PROTOCOL_ERROR], &[FRAME_SIZE_ERROR, PROTOCOL_ERROR]);
    let set = |name: u16, value: u32| frame(SETTINGS, 0, 0, &setting(name, value));
    let (head, rest) = {
        let all = fields(&request());
        let (head, rest) = all.split_at(10);
        (head.to_vec(), rest.to_vec())
    };
    let padded = [&[3][..], &fields(&request()), &[0; 3]].concat();
    checked(vec![
        ("6.1: DATA on stream 0", [post(1), frame(DATA, END_STREAM, 0, b"x")].concat(), Ends(protocol)),
        (
            "6.1: padding as long as the frame",
            [post(1), frame(DATA, END_STREAM | PADDED, 1, &[6, 0, 0, 0, 0, 0])].concat(),
            Ends(protocol),
        ),
        ("6.1: padding", [post(1), frame(DATA, END_STREAM | PADDED, 1, &[2, b'x', 0, 0])].concat(), Answered),
        ("6.2: padding", frame(HEADERS, LAST | PADDED, 1, &padded), Answered),
        ("6.2: padding as long as the frame", frame(HEADERS, LAST | PADDED, 1, &[255, 0x82]), Ends(protocol)),
        ("6.2: HEADERS on stream 0", get(0), Ends(protocol)),
        ("6.3: PRIORITY on stream 0", frame(PRIORITY, 0, 0, &[0, 0, 0, 0, 1]), Ends(protocol)),
        ("6.3: PRIORITY of four octets", frame(PRIORITY, 0, 1, &[0, 0, 0, 0]), Stream(size)),
        ("6.4: RST_STREAM on stream 0", frame(RST_STREAM, 0, 0, &[0, 0, 0, 8]), Ends(protocol)),
        (
            "6.4: RST_STREAM of three octets",
            [post(1), frame(RST_STREAM, 0, 1, &[0, 0, 0])].concat(),
            Ends(size),
        ),
        (
            "6.5: an answer to settings that says something",
            frame(SETTINGS, ACK, 0, &setting(3, 1)),
            Ends(size),
        ),
        ("6.5: SETTINGS on a stream", frame(SETTINGS, 0, 1, &[]), Ends(protocol)),
        ("6.5: SETTINGS of five octets", frame(SETTINGS, 0, 0, &[0; 5]), Ends(size)),
        ("6.5.2: a push that is neither on nor off", set(2, 2), Ends(protocol)),
        ("6.5.2: a window beyond all", set(4, 0x8000_0000), Ends(&[FLOW_CONTROL_ERROR, PROTOCOL_ERROR])),
        ("6.5.2: frames that are too small", set(5, 16_383), Ends(protocol)),
        ("6.5.2: frames that are too large", set(5, 16_777_216), Ends(protocol)),
        ("6.5.2: a setting that nobody knows", set(0xff, 1), Alive),
        ("6.7: an answer to no ping", [frame(PING, ACK, 0, b"12345678"), get(1)].concat(), Answered),
        ("6.7: PING on a stream", frame(PING, 0, 1, b"12345678"), Ends(protocol)),
        ("6.7: PING of six octets", frame(PING, 0, 0, b"123456"), Ends(size)),
        ("6.8: GOAWAY on a stream", frame(GOAWAY, 0, 1, &[0; 8]), Ends(protocol)),
        ("6.9: room for nothing", frame(WINDOW_UPDATE, 0, 0, &[0; 4]), Ends(protocol)),
        (
            "6.9: room for nothing on a stream",
            [post(1), frame(WINDOW_UPDATE, 0, 1, &[0; 4])].concat(),
            Stream(protocol),
        ),
        ("6.9: WINDOW_UPDATE of three octets", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1]), Ends(size)),
        (
            "6.9.1: more room than there can be",
            [
                frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]),
                frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]),
            ]
            .concat(),
            Ends(&[FLOW_CONTROL_ERROR]),
        ),
        (
            "6.9.1: the same on a stream",
            [
                post(1),
                frame(WINDOW_UPDATE, 0, 1, &[0x7f, 0xff, 0xff, 0xff]),
                frame(WINDOW_UPDATE, 0, 1, &[0x7f, 0xff, 0xff, 0xff]),
            ]
            .concat(),
            Stream(&[FLOW_CONTROL_ERROR]),
        ),
        (
            "6.10: fields in parts",
            [
                frame(HEADERS, END_STREAM, 1, &head),
                frame(CONTINUATION, 0, 1, &rest),
                frame(CONTINUATION, END_HEADERS, 1, &[]),
            ]
            .concat(),
            Answered,
        ),
        (
            "6.10: CONTINUATION after the last part",
            [post(1), frame(CONTINUATION, END_HEADERS, 1, &[])].concat(),
            Ends(protocol),
        ),
        (
            "6.10: CONTINUATION on stream 0",
            [frame(HEADERS, END_STREAM, 1, &head), frame(CONTINUATION, END_HEADERS, 0, &rest)].concat(),
            Ends(protocol),
        ),
        (
            "6.10: DATA before the last part",
            [
                frame(HEADERS, 0, 1, &head),
                frame(DATA, 0, 1, b"x"),
                frame(CONTINUATION, END_HEADERS, 1, &rest),
            ]
            .concat(),
            Ends(protocol),
        ),
        (
            "8.2: a promise of a client",
            [get(1), frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])].concat(),
            Ends(protocol),
        ),
        ("7: a code that nobody knows", [post(1), frame(RST_STREAM, 0, 1, &[0, 0, 0, 0xff])].concat(), Alive),
    ])
    .await;
}

#[tokio::test]
async fn h2spec_8_requests_that_are_malformed_are_not_served() {
    let wrong = Stream(&[PROTOCOL_ERROR]);
    let post_with = |field: (&'static str, &'static str), data: &[u8]| {
        let mut all = request();
        all[0].1 = "POST";
        all.push(field);
        [frame(HEADERS, END_HEADERS, 1, &fields(&all)), frame(DATA, END_STREAM, 1, data)].concat()
    };
    checked(vec![
        (
            "8.1: a second HEADERS that does not end the stream",
            [post(1), frame(HEADERS, END_HEADERS, 1, &fields(&[("x-a", "b")]))].concat(),
            wrong,
        ),
        ("8.2: a name in capitals", with(|all| all.push(("X-Test", "ok"))), wrong),
        ("8.3: a pseudo-field that nobody knows", with(|all| all.push((":test", "ok"))), wrong),
        ("8.3: one of answers", with(|all| all.push((":status", "200"))), wrong),
        ("8.3: another order of them", with(|all| all.rotate_left(1)), Answered),
        ("8.3: one behind a field", with(|all| all.insert(0, ("x-test", "ok"))), wrong),
        (
            "8.3: one among trailers",
            [post(1), frame(HEADERS, LAST, 1, &fields(&[(":method", "200")]))].concat(),
            // The engine leaves it out: it reaches nobody.
            Answered,
        ),
        ("8.2.2: a field of the connection", with(|all| all.push(("connection", "keep-alive"))), wrong),
        ("8.2.2: `te` with more than trailers", with(|all| all.push(("te", "trailers, deflate"))), wrong),
        ("8.2.2: `te` with trailers", with(|all| all.push(("te", "trailers"))), Answered),
        ("8.3.1: an empty path", with(|all| all[2].1 = ""), wrong),
        ("8.3.1: no method", without(0), wrong),
        ("8.3.1: no scheme", without(1), wrong),
        ("8.3.1: no path", without(2), wrong),
        ("8.3.1: two methods", with(|all| all.insert(1, (":method", "GET"))), wrong),
        ("8.3.1: two schemes", with(|all| all.insert(1, (":scheme", "http"))), wrong),
        ("8.3.1: two paths", with(|all| all.insert(1, (":path", "/a/x"))), wrong),
        ("8.1.1: more data than announced", post_with(("content-length", "1"), b"test"), wrong),
        ("8.1.1: less data than announced", post_with(("content-length", "10"), b"test"), wrong),
        (
            "8.1.1: more than the nothing that is announced",
            post_with(("content-length", "0"), b"test"),
            wrong,
        ),
        ("8.1.1: nothing, as announced", post_with(("content-length", "0"), b""), Answered),
        ("8.1.1: as much as announced", post_with(("content-length", "4"), b"test"), Answered),
    ])
    .await;
}

#[tokio::test]
async fn h2spec_6_5_3_the_later_of_two_settings_counts() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().api(keyless("a", &upstream.url(""))).start().await;
    let mut connection = Connection::open(gate.port()).await;
    let window = |octets| frame(SETTINGS, 0, 0, &setting(4, octets));
    connection.send(&[window(100), window(1), get(1)].concat()).await;
    let first = connection.expect(DATA, 1).await.expect("an answer");
    assert_eq!(
        (first.payload.len(), first.flags & END_STREAM),
        (1, 0),
        "there is room for one octet: {first:?}"
    );
    connection.send(&frame(WINDOW_UPDATE, 0, 1, &7u32.to_be_bytes())).await;
    assert_eq!(connection.expect(DATA, 1).await.expect("more").payload.len(), 7);
}

#[tokio::test]
async fn h2spec_hpack_fields_that_cannot_be_read_end_the_connection() {
    let wrong = Ends(&[COMPRESSION_ERROR, PROTOCOL_ERROR]);
    let good = fields(&request());
    let after = |bytes: &[u8]| block(&[&good, bytes].concat());
    checked(vec![
        ("2.3.3: an index beyond the table", after(&[0xff, 0x40]), wrong),
        ("2.3.3: one of a name beyond the table", after(&[0x7f, 0x40, 0x01, b'x']), wrong),
        ("4.2: an update of the table behind a field", after(&[0x20]), wrong),
        ("4.2: one before all fields", block(&[&[0x20], &good[..]].concat()), Answered),
        (
            "5.2: padding of more than seven bits",
            after(&[0x00, 0x85, 0xf2, 0xb2, 0x4a, 0x84, 0xff, 0x84, 0x49, 0x50, 0x9f, 0xff]),
            wrong,
        ),
        (
            "5.2: padding with zeroes",
            after(&[0x00, 0x85, 0xf2, 0xb2, 0x4a, 0x84, 0xff, 0x83, 0x49, 0x50, 0x90]),
            wrong,
        ),
        ("6.1: index 0", after(&[0x80]), wrong),
        ("6.3: a table larger than allowed", block(&[&[0x3f, 0xe1, 0xff, 0x7f], &good[..]].concat()), wrong),
    ])
    .await;
}

#[tokio::test]
async fn h2spec_6_9_windows_are_kept() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().api(keyless("a", &upstream.url(""))).start().await;
    // 6.9.2: a window of one octet, made wider when the answer waits in it.
    let mut connection = Connection::silent(gate.port()).await;
    connection.send(PREFACE).await;
    connection.send(&frame(SETTINGS, 0, 0, &setting(4, 1))).await;
    connection.send(&get(1)).await;
    let first = connection.expect(DATA, 1).await.expect("the first octet");
    assert_eq!((first.payload.len(), first.flags & END_STREAM), (1, 0));
    connection.send(&frame(SETTINGS, 0, 0, &setting(4, 3))).await;
    let second = connection.expect(DATA, 1).await.expect("two more");
    assert_eq!((second.payload.len(), second.flags & END_STREAM), (2, 0));
    connection.send(&frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0x7f, 0xff])).await;
    let mut body = [first.payload, second.payload].concat();
    loop {
        let part = connection.expect(DATA, 1).await.expect("the rest");
        body.extend(&part.payload);
        if part.flags & END_STREAM != 0 {
            break;
        }
    }
    assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok(), "{}", String::from_utf8_lossy(&body));
}
