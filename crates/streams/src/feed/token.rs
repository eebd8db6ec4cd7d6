//! Opaque names of positions: which run of which feed, and which message of it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// 22 characters that mean nothing to a client.
pub(super) fn encode(epoch: u64, sequence: u64) -> String {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&epoch.to_be_bytes());
    bytes[8..].copy_from_slice(&sequence.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What a token means; `None` for anything that is none.
pub(super) fn decode(token: &str) -> Option<(u64, u64)> {
    if token.len() != 22 {
        return None;
    }
    let bytes: [u8; 16] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
    let number = u128::from_be_bytes(bytes);
    Some(((number >> 64) as u64, number as u64))
}
