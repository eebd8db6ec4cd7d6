//! HTTP/1 from clients and from upstreams: reading never panics and comes to the same however the bytes are cut, and no
//! request's head passes that another parser reads in another way.
#![no_main]

use bytes::BytesMut;
use http::Method;
use libfuzzer_sys::fuzz_target;

// Only the reading and writing: the rest of the gateway would make this target's build a hundred times longer.
#[allow(dead_code, unused_imports, unreachable_pub)]
#[path = "../../crates/gateway/src/http1/mod.rs"]
mod http1;

use http1::{Decoder, HEAD_LIMIT, Piece, RequestReader, read_answer};

fuzz_target!(|input: (bool, u16, &[u8])| {
    let (upstream, cut, bytes) = input;
    let cut = usize::from(cut) % (bytes.len() + 1);
    if upstream {
        assert_eq!(answer(bytes, bytes.len()), answer(bytes, cut));
        return;
    }
    let whole = request(bytes, bytes.len());
    assert_eq!(whole, request(bytes, cut));
    if let Some((length, ..)) = whole {
        let mut headers = [httparse::EMPTY_HEADER; 101];
        let mut request = httparse::Request::new(&mut headers);
        let parsed = request.parse(&bytes[..length]).expect("a head that passes is one for others, too");
        assert!(parsed.is_complete());
        let lengths =
            request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("content-length"));
        let codings =
            request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("transfer-encoding"));
        assert!(lengths.count() + codings.count() <= 1);
    }
});

/// The first request, given in two pieces: bytes of its head, how it shows, its body; `None` when there is none.
fn request(bytes: &[u8], cut: usize) -> Option<(usize, String, Body)> {
    let mut reader = RequestReader::default();
    let mut buffer = BytesMut::from(&bytes[..cut]);
    let span = match reader.scan(&buffer, HEAD_LIMIT) {
        Ok(Some(span)) => span,
        Ok(None) => {
            buffer.extend_from_slice(&bytes[cut..]);
            reader.scan(&buffer, HEAD_LIMIT).ok()??
        }
        Err(_) => return None,
    };
    let rest = &bytes[cut.max(buffer.len())..];
    let head = buffer.split_to(span.length).freeze();
    let request = reader.take(head, ()).ok()?;
    Some((span.length, format!("{request:?}"), body(span.body, buffer, rest)))
}

/// An upstream's answer, given in two pieces.
fn answer(bytes: &[u8], cut: usize) -> Option<(String, Body)> {
    let mut buffer = BytesMut::from(&bytes[..cut]);
    let mut searched = 0;
    let mut rest = &bytes[cut..];
    let head = match read_answer(&mut buffer, &mut searched, &Method::GET).ok()? {
        Some(head) => head,
        None => {
            buffer.extend_from_slice(std::mem::take(&mut rest));
            read_answer(&mut buffer, &mut searched, &Method::GET).ok()??
        }
    };
    let shown = format!("{} {:?} {:?} {}", head.status, head.reason, head.headers, head.keep_alive);
    Some((shown, body(head.body, buffer, rest)))
}

/// Data, trailers, and whether it came to its end.
type Body = (Vec<u8>, String, Result<bool, &'static str>);

fn body(mut decoder: Decoder, mut buffer: BytesMut, rest: &[u8]) -> Body {
    let (mut data, mut trailers) = (Vec::new(), String::new());
    let mut rest = Some(rest);
    loop {
        match decoder.decode(&mut buffer) {
            Ok(Some(Piece::Data(piece))) => data.extend_from_slice(&piece),
            Ok(Some(Piece::Trailers(fields))) => trailers = format!("{fields:?}"),
            Ok(Some(Piece::End)) => return (data, trailers, Ok(true)),
            Ok(None) => match rest.take() {
                Some(rest) => buffer.extend_from_slice(rest),
                None => return (data, trailers, Ok(decoder.close())),
            },
            Err(message) => return (data, trailers, Err(message)),
        }
    }
}
