//! How messages are written one after the other (streams contract 3.12).

use bytes::{BufMut, BytesMut};

use crate::message::Message;
use crate::registry::{Default, Field, Kind};

/// The field that names the codec.
pub const CODEC: Field = Field::new(
    "codec",
    Kind::Text,
    Default::Text("lines"),
    "`lines`: each message and a line end. `delim:x`: each message and the text `x`. `append`: each message and nothing. `all-bytes`: each message is the whole content.",
);

/// How messages are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Codec {
    /// Each message, and these bytes.
    Delimited(Vec<u8>),
    /// Each message replaces what was there.
    Whole,
}

impl Codec {
    /// Reads the field.
    ///
    /// # Errors
    /// What may be written.
    pub fn parse(text: &str) -> Result<Codec, String> {
        match text {
            "lines" => Ok(Codec::Delimited(b"\n".to_vec())),
            "append" => Ok(Codec::Delimited(Vec::new())),
            "all-bytes" => Ok(Codec::Whole),
            _ => match text.strip_prefix("delim:").filter(|delimiter| !delimiter.is_empty()) {
                Some(delimiter) => Ok(Codec::Delimited(delimiter.into())),
                None => Err(format!(
                    "`{text}` is no codec; write `lines`, `append`, `all-bytes`, or `delim:` and a text"
                )),
            },
        }
    }

    /// Adds a message to what is to be written.
    pub fn write(&self, message: &Message, out: &mut BytesMut) {
        out.put_slice(message.bytes());
        if let Codec::Delimited(delimiter) = self {
            out.put_slice(delimiter);
        }
    }
}
