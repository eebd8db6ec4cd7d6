//! WebSockets frame by frame (RFC 6455), in the order of the list that everybody tests with (Autobahn): its numbers stand
//! before the cases. The stream echoes every message to its producer.

use e2e::frames::{BINARY, CLOSE, CONTINUATION, FIN, Frames, PING, PONG, TEXT, closing, frame};
use e2e::streaming::events;
use e2e::{Gate, soon};
use serde_json::json;

async fn gate() -> Gate {
    let echo = json!({
        "input": {"http_server": {"path": "/post", "ws_path": "/echo"}},
        "output": {"sync_response": {}},
    });
    Gate::setup().oas(events("ev", json!({"echo": echo}))).start().await
}

async fn open(gate: &Gate) -> Frames {
    Frames::open(gate.port(), "/ev/echo").await
}

/// What the other side says in the end: the code of its close frame, `0` for one without, `None` for none.
async fn end(frames: &mut Frames) -> Option<u16> {
    while let Some((first, payload)) = frames.next().await {
        if first == FIN | CLOSE {
            return Some(payload.first_chunk().map_or(0, |code| u16::from_be_bytes(*code)));
        }
    }
    None
}

/// Whether a connection works: a ping is answered.
async fn works(frames: &mut Frames, case: &str) {
    frames.send(&frame(FIN | PING, b"there?")).await;
    assert_eq!(frames.next().await, Some((FIN | PONG, b"there?".to_vec())), "{case}");
}

#[tokio::test]
async fn autobahn_1_and_2_messages_of_all_lengths_and_pings() {
    let gate = gate().await;
    let mut frames = open(&gate).await;
    for (case, length) in
        [("1.1.2", 125), ("1.1.3", 126), ("1.1.4", 127), ("1.1.5", 128), ("1.1.6", 65535), ("1.1.7", 65536)]
    {
        let text = vec![b'*'; length];
        frames.send(&frame(FIN | TEXT, &text)).await;
        assert_eq!(frames.next().await, Some((FIN | TEXT, text)), "{case}");
        let bytes = vec![0xfe; length];
        frames.send(&frame(FIN | BINARY, &bytes)).await;
        assert_eq!(frames.next().await, Some((FIN | BINARY, bytes)), "{}", case.replace("1.1", "1.2"));
    }
    // 1.1.8: a message in many pieces of the wire.
    for piece in frame(FIN | TEXT, &[b'*'; 3000]).chunks(997) {
        frames.send(piece).await;
    }
    assert_eq!(frames.next().await, Some((FIN | TEXT, vec![b'*'; 3000])), "1.1.8");

    for (case, payload) in
        [("2.1", &b""[..]), ("2.2", b"Hello, world!"), ("2.3", &[0, 0xff, 0xfe, 0xfd]), ("2.4", &[0xfe; 125])]
    {
        frames.send(&frame(FIN | PING, payload)).await;
        assert_eq!(frames.next().await, Some((FIN | PONG, payload.to_vec())), "{case}");
    }
    // 2.7 to 2.9: pongs that nobody asked for.
    frames.send(&frame(FIN | PONG, b"")).await;
    frames.send(&frame(FIN | PONG, b"unasked")).await;
    works(&mut frames, "2.9").await;
    // 2.10: ten pings, ten pongs, in their order.
    for index in 0..10 {
        frames.send(&frame(FIN | PING, &[index])).await;
    }
    for index in 0..10 {
        assert_eq!(frames.next().await, Some((FIN | PONG, vec![index])), "2.10");
    }
    // 2.11: octet by octet.
    for byte in frame(FIN | PING, b"slow") {
        frames.send(&[byte]).await;
    }
    assert_eq!(frames.next().await, Some((FIN | PONG, b"slow".to_vec())), "2.11");
}

#[tokio::test]
async fn autobahn_2_to_5_what_breaks_the_framing_is_closed_with_1002() {
    let gate = gate().await;
    let unmasked = [FIN | TEXT, 2, b'h', b'i'].to_vec();
    let mut cases: Vec<(String, Vec<u8>)> = vec![
        ("2.5: a ping of 126 octets".into(), frame(FIN | PING, &[0xfe; 126])),
        ("3.1: the first reserved bit".into(), frame(FIN | 0x40 | TEXT, b"x")),
        ("3.2: the second".into(), frame(FIN | 0x20 | TEXT, b"x")),
        ("3.4: the third".into(), frame(FIN | 0x10 | BINARY, b"x")),
        ("3.6: on a ping".into(), frame(FIN | 0x40 | PING, b"")),
        ("3.7: all of them on a close".into(), frame(FIN | 0x70 | CLOSE, b"")),
        ("5.1: a ping in parts".into(), [frame(PING, b"a"), frame(FIN | CONTINUATION, b"b")].concat()),
        ("5.2: a pong in parts".into(), [frame(PONG, b"a"), frame(FIN | CONTINUATION, b"b")].concat()),
        ("5.9: a continuation of nothing".into(), frame(FIN | CONTINUATION, b"x")),
        ("5.12: one that is not the last".into(), frame(CONTINUATION, b"x")),
        ("5.18: a text within a text".into(), [frame(TEXT, b"a"), frame(FIN | TEXT, b"b")].concat()),
        ("RFC 6455, 5.1: a frame without a mask".into(), unmasked),
    ];
    for (number, opcode) in (3..8).chain(11..16).enumerate() {
        let number = if opcode < 8 { format!("4.1.{}", number + 1) } else { format!("4.2.{}", number - 4) };
        cases.push((format!("{number}: opcode {opcode}"), frame(FIN | opcode, b"x")));
    }
    for (case, bytes) in cases {
        let mut frames = open(&gate).await;
        works(&mut frames, &case).await;
        frames.send(&bytes).await;
        assert_eq!(end(&mut frames).await, Some(1002), "{case}");
        assert_eq!(frames.next().await, None, "{case}: the connection ends");
    }
}

#[tokio::test]
async fn autobahn_5_parts_are_put_together() {
    let gate = gate().await;
    let mut frames = open(&gate).await;
    let whole = |parts: &[(u8, &str)]| -> Vec<u8> {
        parts.iter().flat_map(|(first, text)| frame(*first, text.as_bytes())).collect()
    };
    for (case, parts, expected) in [
        ("5.3", whole(&[(TEXT, "frag"), (FIN | CONTINUATION, "ment")]), "fragment"),
        ("5.6", whole(&[(TEXT, "a"), (CONTINUATION, ""), (FIN | CONTINUATION, "b")]), "ab"),
        ("6.1.2", whole(&[(TEXT, ""), (CONTINUATION, ""), (FIN | CONTINUATION, "")]), ""),
    ] {
        frames.send(&parts).await;
        assert_eq!(frames.next().await, Some((FIN | TEXT, expected.as_bytes().to_vec())), "{case}");
    }
    // 5.7: a ping between the parts is answered before they are a message.
    frames.send(&frame(TEXT, b"frag")).await;
    works(&mut frames, "5.7").await;
    frames.send(&frame(FIN | CONTINUATION, b"ment")).await;
    assert_eq!(frames.next().await, Some((FIN | TEXT, b"fragment".to_vec())), "5.7");
    // 5.19: many parts, with pings between them.
    for index in 0..50 {
        frames.send(&frame(if index == 0 { TEXT } else { CONTINUATION }, b"0123456789")).await;
        works(&mut frames, "5.19").await;
    }
    frames.send(&frame(FIN | CONTINUATION, b"")).await;
    assert_eq!(frames.next().await, Some((FIN | TEXT, b"0123456789".repeat(50))), "5.19");
}

#[tokio::test]
async fn autobahn_6_texts_are_utf_8() {
    let gate = gate().await;
    let mut frames = open(&gate).await;
    for (case, text) in [
        ("6.2.1", "Hello-µ@ßöäüàá-UTF-8!!"),
        ("6.5.1", "κόσμε"),
        ("6.6.2", "\u{0}"),
        ("6.7.2", "\u{80}\u{7ff}"),
        ("6.7.3", "\u{800}\u{ffff}"),
        ("6.7.4", "\u{10000}\u{10ffff}"),
        ("6.22.1", "\u{fffe}"),
        ("6.23.1", "\u{d7ff}\u{e000}\u{fffd}"),
    ] {
        frames.send(&frame(FIN | TEXT, text.as_bytes())).await;
        assert_eq!(frames.next().await, Some((FIN | TEXT, text.as_bytes().to_vec())), "{case}");
        // 6.2.2 to 6.2.4: in parts of one octet each.
        let last = text.len() - 1;
        for (index, byte) in text.bytes().enumerate() {
            let first = if index == 0 { TEXT } else { CONTINUATION } | if index == last { FIN } else { 0 };
            frames.send(&frame(first, &[byte])).await;
        }
        assert_eq!(frames.next().await, Some((FIN | TEXT, text.as_bytes().to_vec())), "{case} in parts");
    }
    for (case, bytes) in [
        ("6.3.1: a surrogate", &b"\xce\xba\xed\xa0\x80edited"[..]),
        ("6.4.1: beyond the last plane", b"\xce\xba\xf4\x90\x80\x80"),
        ("6.8.1: five octets", b"\xf8\x88\x80\x80\x80"),
        ("6.8.2: six octets", b"\xfc\x84\x80\x80\x80\x80"),
        ("6.10.2: past the last", b"\xf4\x90\x80\x80"),
        ("6.11.1: a continuation", b"\x80"),
        ("6.12.1: a lonely start", b"\xc0 \xc1 "),
        ("6.13.1: cut short", b"\xc2"),
        ("6.13.3: cut short", b"\xf0\x80\x80"),
        ("6.15.1: impossible octets", b"\xfe\xfe\xff\xff"),
        ("6.16.1: a slash in two octets", b"\xc0\xaf"),
        ("6.18.1: a null in two octets", b"\xc0\x80"),
        ("6.19.1: half a pair", b"\xed\xa0\x80"),
        ("6.20.1: a pair", b"\xed\xa0\x80\xed\xb0\x80"),
    ] {
        let mut frames = open(&gate).await;
        frames.send(&frame(FIN | TEXT, bytes)).await;
        assert_eq!(end(&mut frames).await, Some(1007), "{case}");
        // In two parts, the second of which shows it.
        let mut frames = open(&gate).await;
        let (left, right) = bytes.split_at(bytes.len() / 2);
        frames.send(&[frame(TEXT, left), frame(FIN | CONTINUATION, right)].concat()).await;
        assert_eq!(end(&mut frames).await, Some(1007), "{case}, in parts");
        // The same octets are fine where no text is promised.
        let mut frames = open(&gate).await;
        frames.send(&frame(FIN | BINARY, bytes)).await;
        assert_eq!(frames.next().await, Some((FIN | BINARY, bytes.to_vec())), "{case}, as bytes");
    }
}

#[tokio::test]
async fn autobahn_7_connections_are_closed_in_order() {
    let gate = gate().await;
    // 7.1.1 to 7.1.6: what comes after a close is not heard; a close is answered by its like.
    let mut frames = open(&gate).await;
    let text = frame(FIN | TEXT, b"heard");
    frames.send(&text).await;
    assert_eq!(frames.next().await, Some((FIN | TEXT, b"heard".to_vec())), "7.1.1");
    let unheard =
        [frame(FIN | CLOSE, &closing(1000, b"")), frame(FIN | TEXT, b"unheard"), frame(FIN | PING, b"")];
    frames.send(&unheard.concat()).await;
    assert_eq!(end(&mut frames).await, Some(1000), "7.1.2");
    assert_eq!(frames.next().await, None, "7.1.3");
    for (case, payload, expected) in [
        ("7.3.1: nothing", vec![], 0),
        ("7.3.3: a code", closing(1000, b""), 1000),
        ("7.3.4: and a reason", closing(1000, b"Hello World!"), 1000),
        ("7.3.5: of 123 octets", closing(1000, &[b'*'; 123]), 1000),
    ] {
        let mut frames = open(&gate).await;
        frames.send(&frame(FIN | CLOSE, &payload)).await;
        assert_eq!(end(&mut frames).await, Some(expected), "{case}");
        assert_eq!(frames.next().await, None, "{case}");
    }
    for (case, payload) in
        [("7.3.2: half a code", vec![3]), ("7.3.6: 124 octets", closing(1000, &[b'*'; 124]))]
    {
        let mut frames = open(&gate).await;
        frames.send(&frame(FIN | CLOSE, &payload)).await;
        assert_eq!(end(&mut frames).await, Some(1002), "{case}");
    }
    let mut frames = open(&gate).await;
    frames.send(&frame(FIN | CLOSE, &closing(1000, b"\xce\xba\xed\xa0\x80"))).await;
    assert_eq!(end(&mut frames).await, Some(1007), "7.5.1: a reason that is no text");
    // 7.7 and 7.13: codes that clients may send.
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        let mut frames = open(&gate).await;
        frames.send(&frame(FIN | CLOSE, &closing(code, b""))).await;
        assert_eq!(end(&mut frames).await, Some(code), "7.7: {code}");
    }
    // 7.9: codes that they must not.
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999] {
        let mut frames = open(&gate).await;
        frames.send(&frame(FIN | CLOSE, &closing(code, b""))).await;
        assert_eq!(end(&mut frames).await, Some(1002), "7.9: {code}");
    }
}

#[tokio::test]
async fn autobahn_9_large_messages_pass_and_larger_ones_than_the_limit_are_closed_with_1009() {
    let gate = gate().await;
    let mut frames = open(&gate).await;
    let large = vec![b'*'; 4 << 20];
    frames.send(&frame(FIN | TEXT, &large)).await;
    assert_eq!(frames.next().await, Some((FIN | TEXT, large.clone())), "9.1.5: four MiB");
    // 9.3: the same in parts of 64 KiB.
    for (index, part) in large.chunks(64 << 10).enumerate() {
        frames.send(&frame(if index == 0 { BINARY } else { CONTINUATION }, part)).await;
    }
    frames.send(&frame(FIN | CONTINUATION, b"")).await;
    assert_eq!(frames.next().await, Some((FIN | TEXT, large)), "9.4.5");
    // A frame that promises more than may be sent is not waited for.
    let mut frames = open(&gate).await;
    let head = [&[FIN | BINARY, 0x80 | 127][..], &(1_u64 << 40).to_be_bytes(), &[0; 4]].concat();
    frames.send(&head).await;
    assert_eq!(soon("the end", end(&mut frames)).await, Some(1009));
}
