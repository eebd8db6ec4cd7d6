//! Tape archives: regular files of ustar, GNU and pax archives.

use bytes::{Buf, Bytes, BytesMut};

const BLOCK: usize = 512;
/// Names in headers of their own are this long at most.
const LONGEST_NAME: usize = 64 * 1024;

/// A file of an archive.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) data: Bytes,
}

/// Reads an archive as it arrives.
#[derive(Debug)]
pub(crate) struct Reader {
    pending: BytesMut,
    /// Members larger than this are refused.
    largest: usize,
    /// What the next member is called, from a header before its own.
    long_name: Option<String>,
    zeros: u8,
}

impl Reader {
    pub(crate) fn new(largest: usize) -> Reader {
        Reader { pending: BytesMut::new(), largest, long_name: None, zeros: 0 }
    }

    /// Takes more bytes.
    pub(crate) fn feed(&mut self, chunk: &[u8]) {
        if self.zeros < 2 {
            self.pending.extend_from_slice(chunk);
        }
    }

    /// The next file, when it is there whole.
    pub(crate) fn next(&mut self) -> Result<Option<Member>, String> {
        loop {
            // Two empty blocks end an archive; what follows is padding.
            if self.zeros >= 2 {
                self.pending.clear();
                return Ok(None);
            }
            let Some(header) = self.pending.first_chunk::<BLOCK>() else { return Ok(None) };
            if header.iter().all(|byte| *byte == 0) {
                self.zeros += 1;
                self.pending.advance(BLOCK);
                continue;
            }
            self.zeros = 0;
            check(header)?;
            let size = usize::try_from(number(&header[124..136])?).map_err(|_| "a member is too large")?;
            let kind = header[156];
            let limit = if matches!(kind, b'L' | b'K' | b'x' | b'g') { LONGEST_NAME } else { self.largest };
            if size > limit {
                return Err(format!("a member of {size} bytes is larger than {limit}"));
            }
            let padded = size.div_ceil(BLOCK) * BLOCK;
            if self.pending.len() < BLOCK + padded {
                return Ok(None);
            }
            let own = name(header);
            self.pending.advance(BLOCK);
            let mut data = self.pending.split_to(padded);
            data.truncate(size);
            match kind {
                b'L' => self.long_name = Some(text(&data)),
                b'x' => self.long_name = pax_path(&data).or(self.long_name.take()),
                b'0' | 0 | b'7' => {
                    let name = self.long_name.take().unwrap_or(own);
                    return Ok(Some(Member { name, data: data.freeze() }));
                }
                // Folders, links and devices hold nothing.
                b'g' | b'K' => {}
                _ => self.long_name = None,
            }
        }
    }

    /// No more bytes come.
    pub(crate) fn finish(&self) -> Result<(), String> {
        if self.pending.is_empty() { Ok(()) } else { Err("the archive ends within a member".to_owned()) }
    }
}

fn check(header: &[u8; BLOCK]) -> Result<(), String> {
    let sum: u64 = (header.iter().enumerate())
        .map(|(at, byte)| if (148..156).contains(&at) { u64::from(b' ') } else { u64::from(*byte) })
        .sum();
    if number(&header[148..156])? == sum {
        Ok(())
    } else {
        Err("this is no tar archive: the checksum of a header is wrong".to_owned())
    }
}

/// An octal number, or a binary one whose first bit is set.
fn number(field: &[u8]) -> Result<u64, String> {
    if let Some(first) = field.first().filter(|first| **first & 0x80 != 0) {
        return field[1..].iter().try_fold(u64::from(first & 0x7f), |number, byte| {
            number
                .checked_mul(256)
                .map(|number| number | u64::from(*byte))
                .ok_or_else(|| "a number is too large".to_owned())
        });
    }
    let digits = field.split(|byte| matches!(byte, 0 | b' ')).find(|part| !part.is_empty()).unwrap_or(b"0");
    digits.iter().try_fold(0_u64, |number, byte| match byte {
        b'0'..=b'7' => number
            .checked_mul(8)
            .map(|number| number + u64::from(byte - b'0'))
            .ok_or_else(|| "a number is too large".to_owned()),
        _ => Err("this is no tar archive: a header holds no octal number where one must be".to_owned()),
    })
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

fn name(header: &[u8; BLOCK]) -> String {
    let name = text(&header[..100]);
    let prefix = if &header[257..263] == b"ustar\0" { text(&header[345..500]) } else { String::new() };
    if prefix.is_empty() { name } else { format!("{prefix}/{name}") }
}

/// The path in an extended header: lines of `length key=value`.
fn pax_path(mut data: &[u8]) -> Option<String> {
    let mut path = None;
    while let Some(space) = data.iter().position(|byte| *byte == b' ') {
        let length: usize = std::str::from_utf8(&data[..space]).ok()?.parse().ok()?;
        let line = data.get(space + 1..length)?;
        if let Some(value) = line.strip_prefix(b"path=") {
            path = Some(String::from_utf8_lossy(value.strip_suffix(b"\n").unwrap_or(value)).into_owned());
        }
        data = &data[length..];
    }
    path
}

/// Writes an archive.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// Adds a file; `time` is in seconds since 1970.
    pub(crate) fn add(&mut self, name: &str, time: u64, data: &[u8]) {
        if name.len() > 100 {
            // `path` in an extended header, which counts itself.
            let line = format!(" path={name}\n");
            let mut length = line.len() + 1;
            while length != line.len() + length.to_string().len() {
                length = line.len() + length.to_string().len();
            }
            self.member("PaxHeader", b'x', time, format!("{length}{line}").as_bytes());
        }
        self.member(name, b'0', time, data);
    }

    fn member(&mut self, name: &str, kind: u8, time: u64, data: &[u8]) {
        let mut header = [0_u8; BLOCK];
        let short = &name.as_bytes()[..name.len().min(100)];
        header[..short.len()].copy_from_slice(short);
        header[100..108].copy_from_slice(b"0000666\0");
        header[108..116].copy_from_slice(b"0000000\0");
        header[116..124].copy_from_slice(b"0000000\0");
        put(&mut header[124..136], data.len() as u64);
        put(&mut header[136..148], time);
        header[148..156].copy_from_slice(b"        ");
        header[156] = kind;
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
        put(&mut header[148..155], sum);
        self.0.extend_from_slice(&header);
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().div_ceil(BLOCK) * BLOCK, 0);
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 2 * BLOCK, 0);
        self.0
    }
}

/// An octal number with a zero byte behind it.
fn put(field: &mut [u8], number: u64) {
    let digits = field.len() - 1;
    let text = format!("{number:0digits$o}");
    field[..digits].copy_from_slice(&text.as_bytes()[text.len() - digits..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_whatever_the_chunks() {
        let long = "d/".repeat(90) + "file";
        let mut writer = Writer::default();
        for (name, data) in [("a", &b""[..]), (&long, b"x"), ("b/c", &[7; 1000])] {
            writer.add(name, 1_700_000_000, data);
        }
        let archive = writer.finish();
        assert_eq!(archive.len() % BLOCK, 0);
        for size in [1, 511, 4096, archive.len()] {
            let (mut reader, mut found) = (Reader::new(1000), Vec::new());
            for chunk in archive.chunks(size) {
                reader.feed(chunk);
                while let Some(member) = reader.next().unwrap() {
                    found.push((member.name, member.data.len()));
                }
            }
            reader.finish().unwrap();
            assert_eq!(found, [("a".to_owned(), 0), (long.clone(), 1), ("b/c".to_owned(), 1000)]);
        }
    }

    #[test]
    fn what_is_no_archive_or_too_large_is_told() {
        let mut writer = Writer::default();
        writer.add("a", 0, &[1; 600]);
        let archive = writer.finish();
        let read = |bytes: &[u8], largest| {
            let mut reader = Reader::new(largest);
            reader.feed(bytes);
            while reader.next()?.is_some() {}
            reader.finish()
        };
        assert!(read(&archive, 600).is_ok());
        assert!(read(&archive, 599).unwrap_err().contains("larger than 599"));
        assert!(read(&archive[..700], 600).unwrap_err().contains("within a member"));
        assert!(read(&[b'x'; 512], 600).unwrap_err().contains("no tar archive"));
        let mut broken = archive.clone();
        broken[0] = b'b';
        assert!(read(&broken, 600).unwrap_err().contains("checksum"));
    }
}
