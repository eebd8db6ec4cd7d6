//! Object container files: a header with the schema, then blocks of data between sync marks.

use bloblang::formats::compression::{self, Algorithm};
use bytes::{Buf, Bytes, BytesMut};
use streams::Message;
use streams::scanners::Cut;

use super::decode::{CUT, Reader};
use super::{Schema, Unions, budget};

const MAGIC: &[u8] = b"Obj\x01";
const SYNC: usize = 16;
/// Headers are looked at again as they arrive: 4 MiB.
const LARGEST_HEADER: usize = 4 << 20;
/// Blocks are collected up to this size, and unpacked up to this size.
const LARGEST: usize = 64 * 1024 * 1024;

/// Reads a container as it arrives: each datum becomes a message.
pub(crate) struct ContainerScan {
    unions: Unions,
    pending: BytesMut,
    header: Option<Header>,
}

struct Header {
    schema: Schema,
    codec: Codec,
    sync: [u8; SYNC],
}

#[derive(Clone, Copy)]
enum Codec {
    Null,
    Deflate,
    Snappy,
    Zstandard,
}

impl ContainerScan {
    pub(crate) fn new(unions: Unions) -> ContainerScan {
        ContainerScan { unions, pending: BytesMut::new(), header: None }
    }

    /// Takes the header, when it is there whole.
    fn header(&mut self) -> Result<bool, String> {
        let known = self.pending.len().min(MAGIC.len());
        if self.pending[..known] != MAGIC[..known] {
            return Err("this is no Avro container: it does not begin with `Obj` and 1".to_owned());
        }
        if known < MAGIC.len() {
            return Ok(false);
        }
        let mut from = Reader { rest: &self.pending[MAGIC.len()..], left: budget(0) };
        let Some((schema, codec)) = complete(metadata(&mut from))? else { return Ok(false) };
        let Some(sync) = complete(from.take(SYNC))? else { return Ok(false) };
        let sync = sync.try_into().map_err(|_| CUT.to_owned())?;
        let header = Header { schema: Schema::parse(&schema)?, codec, sync };
        let used = self.pending.len() - from.rest.len();
        self.pending.advance(used);
        self.header = Some(header);
        Ok(true)
    }

    /// Takes one block, when it is there whole.
    fn block(&mut self, out: &mut Vec<Message>) -> Result<bool, String> {
        let Some(header) = &self.header else { return Ok(false) };
        if self.pending.is_empty() {
            return Ok(false);
        }
        let mut from = Reader { rest: &self.pending, left: 0 };
        let Some(count) = complete(from.size())? else { return Ok(false) };
        let Some(size) = complete(from.size())? else { return Ok(false) };
        if size > LARGEST {
            return Err(format!("a block is larger than {LARGEST} bytes"));
        }
        let Some(data) = complete(from.take(size))? else { return Ok(false) };
        let Some(sync) = complete(from.take(SYNC))? else { return Ok(false) };
        if sync != header.sync {
            return Err("a block does not end with the mark of its file".to_owned());
        }
        let data = unpack(header.codec, data)?;
        if count > budget(data.len()) {
            return Err("a block counts more values than its bytes can hold".to_owned());
        }
        let mut rest = &data[..];
        for _ in 0..count {
            let (value, after) = header.schema.decode(rest, self.unions)?;
            out.push(Message::from_value(value));
            rest = after;
        }
        let used = self.pending.len() - from.rest.len();
        self.pending.advance(used);
        Ok(true)
    }
}

/// What is cut off may still come; anything else is a fault.
fn complete<T>(read: Result<T, String>) -> Result<Option<T>, String> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(fault) if fault == CUT => Ok(None),
        Err(fault) => Err(fault),
    }
}

fn metadata(from: &mut Reader<'_>) -> Result<(String, Codec), String> {
    let (mut schema, mut codec) = (None, Codec::Null);
    from.blocks(|from| {
        from.left = from.left.checked_sub(1).ok_or("the header has too many entries")?;
        let size = from.size()?;
        let key = from.take(size)?;
        let size = from.size()?;
        let value = from.take(size)?;
        match key {
            b"avro.schema" => schema = Some(String::from_utf8_lossy(value).into_owned()),
            b"avro.codec" => {
                codec = match value {
                    b"null" | b"" => Codec::Null,
                    b"deflate" => Codec::Deflate,
                    b"snappy" => Codec::Snappy,
                    b"zstandard" => Codec::Zstandard,
                    other => {
                        let name = String::from_utf8_lossy(other);
                        return Err(format!(
                            "blocks are packed with `{}`, which is not known here",
                            name.escape_debug()
                        ));
                    }
                };
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok((schema.ok_or("the header holds no schema")?, codec))
}

fn unpack(codec: Codec, data: &[u8]) -> Result<Vec<u8>, String> {
    let (algorithm, data) = match codec {
        Codec::Null => return Ok(data.to_vec()),
        Codec::Deflate => (Algorithm::Flate, data),
        Codec::Zstandard => (Algorithm::Zstd, data),
        // The checksum of the unpacked bytes follows them.
        Codec::Snappy => (Algorithm::Snappy, data.split_last_chunk::<4>().ok_or(CUT)?.0),
    };
    compression::unpack(algorithm, data, LARGEST)
        .map_err(|fault| format!("a block cannot be unpacked: {fault}"))
}

impl Cut for ContainerScan {
    fn feed(&mut self, chunk: Bytes, out: &mut Vec<Message>) -> Result<(), String> {
        self.pending.extend_from_slice(&chunk);
        if self.header.is_none() && !self.header()? {
            return if self.pending.len() > LARGEST_HEADER {
                Err("the header is too long".to_owned())
            } else {
                Ok(())
            };
        }
        while self.block(out)? {}
        Ok(())
    }

    fn finish(&mut self, _: &mut Vec<Message>) -> Result<(), String> {
        match (&self.header, self.pending.is_empty()) {
            (Some(_), true) => Ok(()),
            (None, true) => Ok(()),
            _ => Err("the Avro container ends within a block".to_owned()),
        }
    }
}
