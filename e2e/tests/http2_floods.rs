//! Floods of HTTP/2: each ends its own connection, or is answered to its end; neither costs anybody else anything.

use std::collections::HashMap;

use e2e::definition::keyless;
use e2e::h2::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, PRIORITY, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, frame,
};
use e2e::{Gate, Upstream, raw_socket, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How much more memory they may cost all together, in kilobytes.
const MOST_MEMORY: u64 = 96 << 10;
/// `GET http://a/` as HPACK has it: indexed method, scheme and path, and `:authority: a`.
const GET: [u8; 6] = [0x82, 0x86, 0x84, 0x41, 0x01, b'a'];
/// The same of `/a/x`.
const GET_A: [u8; 11] = [0x82, 0x86, 0x44, 4, b'/', b'a', b'/', b'x', 0x41, 0x01, b'a'];
/// What is asked last: who answers it has taken all that came before.
const LAST: &[u8; 8] = b"the last";
/// That is too much (RFC 9113, section 7).
const ENHANCE_YOUR_CALM: u32 = 11;
const PROTOCOL_ERROR: u32 = 1;

/// Memory of the gate, in kilobytes.
fn memory(gate: &Gate) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gate.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// What became of a connection.
#[derive(Debug, Default)]
struct Outcome {
    /// Frames that came, by their type.
    came: HashMap<u8, usize>,
    /// The code of its goodbye.
    goodbye: Option<u32>,
    /// All was taken, and the connection is there.
    answered: bool,
}

/// Sends all of it and reads what is said, until what is asked last is answered or the other side ends the connection.
async fn flood(gate: &Gate, frames: &[u8]) -> Outcome {
    let mut socket = raw_socket(gate.port()).await;
    let (mut reader, mut writer) = socket.split();
    let all = [PREFACE, &frame(SETTINGS, 0, 0, &[]), frames, &frame(PING, 0, 0, LAST)].concat();
    let write = async {
        // The other side may have had enough.
        let _ = writer.write_all(&all).await;
        std::future::pending::<()>().await;
    };
    let read = async {
        let (mut outcome, mut bytes) = (Outcome::default(), Vec::new());
        loop {
            while let Some(head) = bytes.first_chunk::<9>().copied() {
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                let Some(payload) = bytes.get(9..9 + length) else { break };
                *outcome.came.entry(head[3]).or_default() += 1;
                match head[3] {
                    GOAWAY => outcome.goodbye = payload[4..].first_chunk().copied().map(u32::from_be_bytes),
                    PING if head[4] & ACK != 0 && payload == LAST => outcome.answered = true,
                    _ => {}
                }
                bytes.drain(..9 + length);
            }
            if outcome.answered || !reader.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
                return outcome;
            }
        }
    };
    let both = async {
        tokio::select! {
            () = write => Outcome::default(),
            outcome = read => outcome,
        }
    };
    soon("the end of the flood", both).await
}

/// A frame for each of so many streams.
fn streams(count: u32, frames: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    (0..count).flat_map(|at| frames(2 * at + 1)).collect()
}

#[tokio::test]
async fn floods_end_their_own_connection_or_are_answered() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().api(keyless("a", &upstream.url(""))).start().await;
    assert_eq!(gate.get("/a/x", &[]).await.status, 200);
    let bystander = e2e::h2::Connection::open(gate.port()).await;
    let before = memory(&gate);

    // Fields without end, of one request.
    let continuation = frame(CONTINUATION, 0, 1, &[0x40, 1, b'x', 1, b'y'].repeat(1000));
    let continuations = [frame(HEADERS, 0, 1, &GET), continuation.repeat(3000)].concat();
    // One field of 4000 bytes goes into the table, and is named thousands of times: 60 MB of fields in 60 kB.
    let field = [&[0x40, 1, b'x', 0x7f, 0xa1, 0x1e][..], &[b'y'; 4000]].concat();
    let first = [&GET[..], &field, &[0xbe].repeat(15_000 - 4000)].concat();
    let bomb = streams(50, |id| match id {
        1 => frame(HEADERS, END_STREAM | END_HEADERS, 1, &first),
        id => frame(HEADERS, END_STREAM | END_HEADERS, id, &[&GET[..], &[0xbe].repeat(15_000)].concat()),
    });
    // Streams that are opened well, and then broken so that the server has to reset them.
    let made_you_reset = streams(3000, |id| {
        [frame(HEADERS, END_STREAM | END_HEADERS, id, &GET_A), frame(WINDOW_UPDATE, 0, id, &[0; 4])].concat()
    });
    // Streams that are cancelled as soon as they are opened: before the end of their request, and after it.
    let cancelled = |flags: u8| {
        streams(3000, |id| {
            [frame(HEADERS, flags, id, &GET_A), frame(RST_STREAM, 0, id, &[0, 0, 0, 8])].concat()
        })
    };
    // Streams that depend on one another, three in a circle; and such that depend on themselves, which breaks the protocol.
    let priority = |id: u32, of: u32| frame(PRIORITY, 0, id, &[&of.to_be_bytes()[..], &[200]].concat());
    let circles = streams(50_000, |id| priority(id, if id % 6 == 5 { id - 4 } else { id + 2 }));
    let on_themselves = streams(50_000, |id| priority(id, id));
    // A body of nothing, in many pieces.
    let empty = [frame(HEADERS, END_HEADERS, 1, &GET_A), frame(DATA, 0, 1, &[]).repeat(100_000)].concat();

    for (name, frames, ends) in [
        ("continuations", continuations, &[ENHANCE_YOUR_CALM][..]),
        ("made you reset", made_you_reset, &[ENHANCE_YOUR_CALM, PROTOCOL_ERROR]),
        ("resets before the end of requests", cancelled(END_HEADERS), &[ENHANCE_YOUR_CALM]),
        ("rapid reset", cancelled(END_HEADERS | END_STREAM), &[ENHANCE_YOUR_CALM]),
        ("settings", frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 1]).repeat(200_000), &[]),
        ("pings", frame(PING, 0, 0, &[0; 8]).repeat(200_000), &[]),
        ("an HPACK bomb", bomb, &[ENHANCE_YOUR_CALM]),
        ("priorities in circles", circles, &[]),
        ("priorities of streams on themselves", on_themselves, &[PROTOCOL_ERROR, ENHANCE_YOUR_CALM]),
        ("empty data", empty, &[ENHANCE_YOUR_CALM]),
    ] {
        let outcome = flood(&gate, &frames).await;
        if ends.is_empty() {
            assert!(outcome.answered && outcome.goodbye.is_none(), "{name}: {outcome:?}");
        } else {
            assert!(!outcome.answered, "{name}: {outcome:?}");
            assert!(outcome.goodbye.is_none_or(|code| ends.contains(&code)), "{name}: {outcome:?}");
        }
        assert_eq!(gate.get("/a/x", &["--http2-prior-knowledge"]).await.status, 200, "{name}");
    }
    let more = memory(&gate).saturating_sub(before);
    assert!(more < MOST_MEMORY, "{more} kB more");
    drop(bystander);
}
