//! Encodings and sums.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rand::RngExt as _;
use sha1::Digest as _;

use super::{Table, made, only_text, size, str};
use crate::cost;

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

pub(super) const TABLE: Table = &[
    ("b64enc", |args| only_text(args, |text| BASE64_STANDARD.encode(text))),
    ("b64dec", |args| {
        let decoded = BASE64_STANDARD.decode(str(args, 0)?);
        Ok(made(
            decoded
                .map_or_else(|fault| fault.to_string(), |bytes| String::from_utf8_lossy(&bytes).into_owned()),
        ))
    }),
    ("b32enc", |args| only_text(args, |text| base32(text.as_bytes()))),
    ("b32dec", |args| {
        let decoded = from_base32(str(args, 0)?);
        Ok(made(decoded.map_or_else(
            || "illegal base32 data".to_owned(),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        )))
    }),
    ("sha1sum", |args| only_text(args, |text| hex(&sha1::Sha1::digest(text)))),
    ("sha256sum", |args| only_text(args, |text| hex(&sha2::Sha256::digest(text)))),
    ("sha512sum", |args| only_text(args, |text| hex(&sha2::Sha512::digest(text)))),
    ("adler32sum", |args| only_text(args, |text| adler32(text.as_bytes()).to_string())),
    ("randBytes", |args| {
        let count = size(args, 0)?;
        cost::fits(count)?;
        let mut random = rand::rng();
        Ok(made(BASE64_STANDARD.encode((0..count).map(|_| random.random::<u8>()).collect::<Vec<_>>())))
    }),
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn adler32(bytes: &[u8]) -> u32 {
    let (mut low, mut high) = (1_u32, 0_u32);
    for byte in bytes {
        low = (low + u32::from(*byte)) % 65521;
        high = (high + low) % 65521;
    }
    (high << 16) | low
}

fn base32(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(5) * 8);
    for group in bytes.chunks(5) {
        let mut bits = [0_u8; 8];
        bits[3..3 + group.len()].copy_from_slice(group);
        let bits = u64::from_be_bytes(bits);
        let used = (group.len() * 8).div_ceil(5);
        for place in 0..8 {
            let index = (bits >> (35 - 5 * place)) & 31;
            out.push(if place < used { char::from(BASE32[index as usize]) } else { '=' });
        }
    }
    out
}

fn from_base32(text: &str) -> Option<Vec<u8>> {
    let (mut bits, mut count, mut out) = (0_u64, 0, Vec::new());
    for byte in text.trim_end_matches('=').bytes() {
        bits = (bits << 5 | BASE32.iter().position(|known| *known == byte)? as u64) & 0xffff;
        count += 5;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    Some(out)
}
