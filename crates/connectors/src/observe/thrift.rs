//! As much of Apache Thrift as spans need: structures of numbers, texts and lists, in both of its protocols.

use bytes::{BufMut as _, Bytes, BytesMut};

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// Fixed widths.
    Binary,
    /// Variable widths.
    Compact,
}

/// Types as both protocols number them.
#[derive(Clone, Copy)]
enum Type {
    True,
    Int,
    Long,
    Text,
    List,
    Structure,
}

impl Type {
    fn number(self, protocol: Protocol) -> u8 {
        match (self, protocol) {
            (Type::True, Protocol::Binary) => 2,
            (Type::Int, Protocol::Binary) => 8,
            (Type::Long, Protocol::Binary) => 10,
            (Type::Text, Protocol::Binary) => 11,
            (Type::Structure, Protocol::Binary) => 12,
            (Type::List, Protocol::Binary) => 15,
            (Type::True, Protocol::Compact) => 1,
            (Type::Int, Protocol::Compact) => 5,
            (Type::Long, Protocol::Compact) => 6,
            (Type::Text, Protocol::Compact) => 8,
            (Type::List, Protocol::Compact) => 9,
            (Type::Structure, Protocol::Compact) => 12,
        }
    }
}

/// Writes one structure. Fields come in the order of their numbers; each structure is ended with [`Writer::stop`].
pub(super) struct Writer {
    protocol: Protocol,
    out: BytesMut,
    /// The number of the last field of each open structure; compact fields tell the difference.
    last: Vec<i16>,
}

impl Writer {
    pub(super) fn new(protocol: Protocol) -> Writer {
        Writer { protocol, out: BytesMut::new(), last: vec![0] }
    }

    pub(super) fn finish(self) -> Bytes {
        self.out.freeze()
    }

    /// The head of a call that has no answer; its arguments are a structure.
    pub(super) fn call(&mut self, name: &str) {
        const ONE_WAY: u8 = 4;
        match self.protocol {
            Protocol::Compact => {
                self.out.put_u8(0x82);
                self.out.put_u8(1 | (ONE_WAY << 5));
                self.varint(0);
            }
            Protocol::Binary => self.out.put_u32(0x8001_0000 | u32::from(ONE_WAY)),
        }
        self.bytes(name.as_bytes());
        if self.protocol == Protocol::Binary {
            self.out.put_u32(0);
        }
    }

    fn field(&mut self, number: i16, kind: Type) {
        let kind = kind.number(self.protocol);
        let last = self.last.last_mut();
        let before = last.map_or(0, |last| std::mem::replace(last, number));
        match self.protocol {
            Protocol::Binary => {
                self.out.put_u8(kind);
                self.out.put_i16(number);
            }
            Protocol::Compact => match u8::try_from(number - before) {
                Ok(step @ 1..=15) => self.out.put_u8((step << 4) | kind),
                _ => {
                    self.out.put_u8(kind);
                    self.varint(zigzag(i64::from(number)));
                }
            },
        }
    }

    pub(super) fn bool(&mut self, number: i16, value: bool) {
        match self.protocol {
            Protocol::Binary => {
                self.field(number, Type::True);
                self.out.put_u8(u8::from(value));
            }
            // Here the type is the value; only what is true is ever written.
            Protocol::Compact => {
                debug_assert!(value, "false has another type");
                self.field(number, Type::True);
            }
        }
    }

    pub(super) fn int(&mut self, number: i16, value: i32) {
        self.field(number, Type::Int);
        match self.protocol {
            Protocol::Binary => self.out.put_i32(value),
            Protocol::Compact => self.varint(zigzag(i64::from(value))),
        }
    }

    pub(super) fn long(&mut self, number: i16, value: i64) {
        self.field(number, Type::Long);
        match self.protocol {
            Protocol::Binary => self.out.put_i64(value),
            Protocol::Compact => self.varint(zigzag(value)),
        }
    }

    pub(super) fn text(&mut self, number: i16, text: &str) {
        self.field(number, Type::Text);
        self.bytes(text.as_bytes());
    }

    /// A structure in a field; `write` ends it.
    pub(super) fn structure(&mut self, number: i16, write: impl FnOnce(&mut Writer)) {
        self.field(number, Type::Structure);
        self.inner(write);
    }

    /// A list of structures in a field; `write` ends each.
    pub(super) fn list<T>(&mut self, number: i16, items: &[T], mut write: impl FnMut(&mut Writer, &T)) {
        self.field(number, Type::List);
        let kind = Type::Structure.number(self.protocol);
        match self.protocol {
            Protocol::Binary => {
                self.out.put_u8(kind);
                self.length(items.len());
            }
            Protocol::Compact => match u8::try_from(items.len()) {
                Ok(few @ 0..=14) => self.out.put_u8((few << 4) | kind),
                _ => {
                    self.out.put_u8(0xf0 | kind);
                    self.length(items.len());
                }
            },
        }
        for item in items {
            self.inner(|writer| write(writer, item));
        }
    }

    fn inner(&mut self, write: impl FnOnce(&mut Writer)) {
        self.last.push(0);
        write(self);
        self.last.pop();
    }

    /// The end of a structure.
    pub(super) fn stop(&mut self) {
        self.out.put_u8(0);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.out.put_slice(bytes);
    }

    fn length(&mut self, length: usize) {
        match self.protocol {
            // Nothing of a batch of spans comes near 2 GiB.
            Protocol::Binary => self.out.put_i32(i32::try_from(length).unwrap_or(i32::MAX)),
            Protocol::Compact => self.varint(length as u64),
        }
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.out.put_u8((value as u8 & 0x7f) | 0x80);
            value >>= 7;
        }
        self.out.put_u8(value as u8);
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(protocol: Protocol) -> Vec<u8> {
        let mut writer = Writer::new(protocol);
        writer.text(1, "ab");
        writer.int(2, -1);
        writer.long(20, 300);
        writer.list(21, &[1], |writer, number| {
            writer.int(1, *number);
            writer.stop();
        });
        writer.bool(22, true);
        writer.stop();
        writer.finish().to_vec()
    }

    /// By hand, from the descriptions of both protocols.
    #[test]
    fn values_are_written_as_the_protocols_have_them() {
        let binary = [
            &[11, 0, 1, 0, 0, 0, 2, b'a', b'b'][..],
            &[8, 0, 2, 0xff, 0xff, 0xff, 0xff],
            &[10, 0, 20, 0, 0, 0, 0, 0, 0, 1, 44],
            &[15, 0, 21, 12, 0, 0, 0, 1, 8, 0, 1, 0, 0, 0, 1, 0],
            &[2, 0, 22, 1, 0],
        ];
        assert_eq!(written(Protocol::Binary), binary.concat());
        let compact = [
            &[0x18, 2, b'a', b'b'][..],
            &[0x15, 1],
            &[0x06, 40, 0xd8, 0x04],
            &[0x19, 0x1c, 0x15, 2, 0],
            &[0x11, 0],
        ];
        assert_eq!(written(Protocol::Compact), compact.concat());
        let mut call = Writer::new(Protocol::Compact);
        call.call("emitBatch");
        assert_eq!(call.finish()[..], [&[0x82, 0x81, 0, 9][..], b"emitBatch"].concat());
    }
}
