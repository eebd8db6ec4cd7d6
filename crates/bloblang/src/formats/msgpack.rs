//! MessagePack, as its specification describes it. Extensions are refused.

use crate::value::MAX_DEPTH;
use crate::{Object, Text, Value};

/// Reads a document.
///
/// # Errors
/// What is wrong with it, or that something follows it.
pub fn parse(document: &[u8]) -> Result<Value, String> {
    let mut reader = Reader { rest: document, left: MOST_VALUES };
    let value = reader.value(0)?;
    if reader.rest.is_empty() { Ok(value) } else { Err("there is something after the document".to_owned()) }
}

/// Writes a value as a document.
///
/// # Errors
/// When something of it is larger than a document can say.
pub fn format(value: &Value) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    write(value, &mut out)?;
    Ok(out)
}

/// Most values in a document: one takes a byte of it, and forty of memory.
pub(super) const MOST_VALUES: usize = 10_000_000;

struct Reader<'b> {
    rest: &'b [u8],
    /// How many values may still come.
    left: usize,
}

impl<'b> Reader<'b> {
    fn take(&mut self, length: usize) -> Result<&'b [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or("it ends too early")?;
        self.rest = rest;
        Ok(taken)
    }

    /// An unsigned number of some bytes.
    fn number(&mut self, length: usize) -> Result<u64, String> {
        Ok(self.take(length)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn length(&mut self, bytes: usize) -> Result<usize, String> {
        usize::try_from(self.number(bytes)?).map_err(|_| "a length is too large".to_owned())
    }

    fn signed(&mut self, length: usize) -> Result<Value, String> {
        let unused = 64 - 8 * u32::try_from(length).unwrap_or(8);
        Ok(Value::Int((self.number(length)? as i64) << unused >> unused))
    }

    fn text(&mut self, length: usize) -> Result<Text, String> {
        let bytes = self.take(length)?;
        Ok(String::from_utf8_lossy(bytes).into())
    }

    fn array(&mut self, length: usize, depth: u16) -> Result<Value, String> {
        // A length promises what need not come.
        let mut items = Vec::with_capacity(length.min(1024));
        for _ in 0..length {
            items.push(self.value(depth + 1)?);
        }
        Ok(Value::array(items))
    }

    fn map(&mut self, length: usize, depth: u16) -> Result<Value, String> {
        let mut fields = Object::new();
        for _ in 0..length {
            let name = match self.value(depth + 1)? {
                Value::String(name) => name,
                Value::Array(_) | Value::Object(_) => return Err("a key is not a text".to_owned()),
                other => other.to_text().into(),
            };
            fields.insert(name, self.value(depth + 1)?);
        }
        Ok(Value::object(fields))
    }

    fn bytes(&mut self, length: usize) -> Result<Value, String> {
        Ok(Value::Bytes(self.take(length)?.to_vec().into()))
    }

    fn value(&mut self, depth: u16) -> Result<Value, String> {
        if depth > MAX_DEPTH / 2 {
            return Err("it is nested too deeply".to_owned());
        }
        self.left =
            self.left.checked_sub(1).ok_or_else(|| format!("it has more than {MOST_VALUES} values"))?;
        let kind = *self.take(1)?.first().ok_or("it ends too early")?;
        match kind {
            0x00..=0x7f => Ok(Value::Int(i64::from(kind))),
            0x80..=0x8f => self.map(usize::from(kind & 15), depth),
            0x90..=0x9f => self.array(usize::from(kind & 15), depth),
            0xa0..=0xbf => self.text(usize::from(kind & 31)).map(Value::String),
            0xc0 => Ok(Value::Null),
            0xc2 => Ok(Value::Bool(false)),
            0xc3 => Ok(Value::Bool(true)),
            0xc4..=0xc6 => {
                let length = self.length(1 << (kind - 0xc4))?;
                self.bytes(length)
            }
            0xca => Ok(Value::Float(f64::from(f32::from_bits(self.number(4)? as u32)))),
            0xcb => Ok(Value::Float(f64::from_bits(self.number(8)?))),
            0xcc..=0xcf => {
                let number = self.number(1 << (kind - 0xcc))?;
                Ok(Value::from(number))
            }
            0xd0..=0xd3 => self.signed(1 << (kind - 0xd0)),
            0xd9..=0xdb => {
                let length = self.length(1 << (kind - 0xd9))?;
                self.text(length).map(Value::String)
            }
            0xdc | 0xdd => {
                let length = self.length(if kind == 0xdc { 2 } else { 4 })?;
                self.array(length, depth)
            }
            0xde | 0xdf => {
                let length = self.length(if kind == 0xde { 2 } else { 4 })?;
                self.map(length, depth)
            }
            0xe0..=0xff => Ok(Value::Int(i64::from(kind as i8))),
            _ => Err(format!("type {kind:#04x} (an extension) is not supported")),
        }
    }
}

/// A length, with the codes for short ones, those of one byte, two and four.
fn head(
    length: usize,
    short: (u8, usize),
    one: Option<u8>,
    two: u8,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let length = u32::try_from(length).map_err(|_| "the value is too large for MessagePack".to_owned())?;
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length), _) if usize::from(length) < short.1 => out.push(short.0 | length),
        (Ok(length), _) if one.is_some() => out.extend(one.into_iter().chain([length])),
        (_, Ok(length)) => {
            out.push(two);
            out.extend(length.to_be_bytes());
        }
        _ => {
            out.push(two + 1);
            out.extend(length.to_be_bytes());
        }
    }
    Ok(())
}

fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), String> {
    match value {
        Value::Null | Value::Delete | Value::Nothing => out.push(0xc0),
        Value::Bool(value) => out.push(0xc2 | u8::from(*value)),
        Value::Int(number) => write_number(*number, out),
        Value::Digits(_) => write(&value.clone().settled(), out)?,
        Value::Float(number) => {
            out.push(0xcb);
            out.extend(number.to_bits().to_be_bytes());
        }
        Value::String(text) => {
            head(text.len(), (0xa0, 32), Some(0xd9), 0xda, out)?;
            out.extend(text.as_bytes());
        }
        Value::Bytes(bytes) => {
            head(bytes.len(), (0, 0), Some(0xc4), 0xc5, out)?;
            out.extend(&bytes[..]);
        }
        Value::Timestamp(_) => write(&Value::from(value.to_text()), out)?,
        Value::Array(items) => {
            head(items.len(), (0x90, 16), None, 0xdc, out)?;
            for item in items.iter() {
                write(item, out)?;
            }
        }
        Value::Object(object) => {
            head(object.len(), (0x80, 16), None, 0xde, out)?;
            for (name, value) in object.sorted() {
                write(&Value::String(name.clone()), out)?;
                write(value, out)?;
            }
        }
    }
    Ok(())
}

/// A whole number in its shortest form.
fn write_number(number: i64, out: &mut Vec<u8>) {
    let bytes = number.to_be_bytes();
    let (code, length) = match number {
        -32..=127 => return out.extend(&bytes[7..]),
        128..=255 => (0xcc, 1),
        256..=65_535 => (0xcd, 2),
        65_536..=4_294_967_295 => (0xce, 4),
        4_294_967_296.. => (0xcf, 8),
        -128..=-33 => (0xd0, 1),
        -32_768..=-129 => (0xd1, 2),
        -2_147_483_648..=-32_769 => (0xd2, 4),
        _ => (0xd3, 8),
    };
    out.push(code);
    out.extend(&bytes[8 - length..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back() {
        for number in
            [0, 127, 128, 255, 256, 65_535, 65_536, 1 << 32, i64::MAX, -1, -32, -33, -129, -40_000, i64::MIN]
        {
            let (mut out, value) = (Vec::new(), Value::Int(number));
            write(&value, &mut out).unwrap();
            assert_eq!(parse(&out).unwrap(), value);
        }
        for length in [0, 15, 16, 31, 32, 255, 256, 65_535, 65_536] {
            for value in [
                Value::from("x".repeat(length)),
                Value::Bytes(vec![7; length].into()),
                Value::array(vec![Value::Null; length]),
                Value::object((0..length).map(|at| (at.to_string(), Value::Bool(true))).collect()),
            ] {
                let mut out = Vec::new();
                write(&value, &mut out).unwrap();
                let mut reader = Reader { rest: &out, left: MOST_VALUES };
                assert_eq!(reader.value(0).unwrap(), value);
                assert!(reader.rest.is_empty());
            }
        }
    }

    #[test]
    fn broken_documents_are_refused() {
        let deep = [0x91; 500];
        for bytes in [
            &[][..],
            &[0xdd, 255, 255, 255, 255],
            &[0xa5, b'a'],
            &[0xc1],
            &[0xd4, 1, 2],
            &[0x81, 0x90, 1],
            &deep,
        ] {
            assert!(Reader { rest: bytes, left: MOST_VALUES }.value(0).is_err(), "{bytes:?}");
        }
    }
}
