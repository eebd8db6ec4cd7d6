//! A batch as bytes, and back, for whoever keeps it outside of memory.
//!
//! Version, then a count of messages; each is its flags, payload, metadata and perhaps its fault. Lengths and counts
//! are 32 bits, little endian. What a message knows only while the gate runs (who waits for its reply) is not kept.

use bloblang::Value;
use bytes::{Buf, Bytes};
use jiff::Zoned;

use crate::message::{Batch, Message};

const VERSION: u8 = 1;
/// The message carries a fault.
const FAULTY: u8 = 1;

const STRING: u8 = 0;
const BYTES: u8 = 1;
const TIMESTAMP: u8 = 2;
const JSON: u8 = 3;

/// The bytes of a batch; `None` when a part of it is larger than 4 GiB.
pub fn encode(batch: &[Message]) -> Option<Vec<u8>> {
    let payload: usize = batch.iter().map(|message| message.bytes().len() + 16).sum();
    let mut out = Vec::with_capacity(payload + 8);
    out.push(VERSION);
    number(&mut out, batch.len())?;
    for message in batch {
        out.push(if message.error().is_some() { FAULTY } else { 0 });
        text(&mut out, message.bytes())?;
        number(&mut out, message.meta_iter().count())?;
        for (key, value) in message.meta_iter() {
            text(&mut out, key.as_bytes())?;
            self::value(&mut out, value)?;
        }
        if let Some(fault) = message.error() {
            text(&mut out, fault.as_bytes())?;
        }
    }
    Some(out)
}

fn number(out: &mut Vec<u8>, number: usize) -> Option<()> {
    out.extend_from_slice(&u32::try_from(number).ok()?.to_le_bytes());
    Some(())
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    number(out, bytes.len())?;
    out.extend_from_slice(bytes);
    Some(())
}

fn value(out: &mut Vec<u8>, value: &Value) -> Option<()> {
    let mut tagged = |tag: u8, bytes: &[u8]| {
        out.push(tag);
        text(out, bytes)
    };
    match value {
        Value::String(string) => tagged(STRING, string.as_bytes()),
        Value::Bytes(bytes) => tagged(BYTES, bytes),
        Value::Timestamp(time) => tagged(TIMESTAMP, time.to_string().as_bytes()),
        other => {
            let json = other.to_json();
            // What is nested too deeply for a reader of JSON stays readable as text.
            let readable = !matches!(other, Value::Array(_) | Value::Object(_))
                || Value::parse_json(json.as_bytes()).is_ok();
            tagged(if readable { JSON } else { STRING }, json.as_bytes())
        }
    }
}

/// The batch of these bytes; `None` when they are none that [`encode`] made.
pub fn decode(bytes: impl Into<Bytes>) -> Option<Batch> {
    let mut rest: Bytes = bytes.into();
    if rest.try_get_u8().ok()? != VERSION {
        return None;
    }
    let count = rest.try_get_u32_le().ok()?;
    let mut batch = Batch::new();
    for _ in 0..count {
        let flags = rest.try_get_u8().ok().filter(|flags| flags & !FAULTY == 0)?;
        let mut message = Message::new(take(&mut rest)?);
        for _ in 0..rest.try_get_u32_le().ok()? {
            let key = take(&mut rest)?;
            let value = read_value(&mut rest)?;
            message.set_meta(str::from_utf8(&key).ok()?, value);
        }
        if flags & FAULTY != 0 {
            message.set_error(str::from_utf8(&take(&mut rest)?).ok()?);
        }
        batch.push(message);
    }
    rest.is_empty().then_some(batch)
}

/// The next text, which shares the memory of the whole.
fn take(rest: &mut Bytes) -> Option<Bytes> {
    let length = rest.try_get_u32_le().ok()? as usize;
    (length <= rest.len()).then(|| rest.split_to(length))
}

fn read_value(rest: &mut Bytes) -> Option<Value> {
    let tag = rest.try_get_u8().ok()?;
    let bytes = take(rest)?;
    Some(match tag {
        STRING => Value::from(str::from_utf8(&bytes).ok()?),
        BYTES => Value::Bytes(bytes),
        TIMESTAMP => Value::Timestamp(str::from_utf8(&bytes).ok()?.parse::<Zoned>().ok()?.into()),
        JSON => Value::from_json(bytes).ok()?,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_comes_back_as_it_was() {
        let mut batch: Batch =
            [&b"text"[..], b"", b"\xff\x00"].iter().map(|bytes| Message::new(bytes.to_vec())).collect();
        let time: Zoned = "2026-07-01T12:00:00.000000001+02:00[Europe/Berlin]".parse().unwrap();
        let metadata = [
            ("string", Value::from("ü")),
            ("bytes", Value::Bytes(Bytes::from_static(b"\xff"))),
            ("time", Value::Timestamp(time.into())),
            ("int", Value::Int(i64::MIN)),
            ("float", Value::Float(0.1)),
            ("null", Value::Null),
            ("bool", Value::Bool(true)),
            ("list", Value::parse_json(br#"[1.50,{"a":null}]"#).unwrap()),
        ];
        for (key, value) in &metadata {
            batch[1].set_meta(*key, value.clone());
        }
        batch[2].set_error("it broke");
        let read = decode(encode(&batch).unwrap()).unwrap();
        let payloads = |batch: &[Message]| batch.iter().map(|m| m.bytes().clone()).collect::<Vec<_>>();
        assert_eq!(payloads(&read), payloads(&batch));
        for (key, value) in &metadata {
            let again = read[1].meta(key).unwrap();
            assert_eq!((again.type_name(), again.to_text()), (value.type_name(), value.to_text()), "{key}");
        }
        assert_eq!(read.iter().map(Message::error).collect::<Vec<_>>(), [None, None, Some("it broke")]);
        assert!(decode(encode(&[]).unwrap()).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_batch_is_none() {
        let mut message = Message::new("payload");
        message.set_meta("key", "value");
        let whole = encode(&[message]).unwrap();
        for end in 0..whole.len() {
            assert!(decode(whole[..end].to_vec()).is_none(), "cut at {end}");
        }
        let longer = [&whole[..], b"x"].concat();
        let huge = [&[VERSION][..], &u32::MAX.to_le_bytes()].concat();
        for bytes in [longer, huge, vec![2], b"\x01\x01\0\0\0\x02".to_vec()] {
            assert!(decode(bytes).is_none());
        }
    }
}
