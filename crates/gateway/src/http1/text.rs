//! What bytes may stand where.

/// Whether a byte may stand in a method or field name (`token`, RFC 9110 section 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    const TOKEN: [bool; 256] = table(b"!#$%&'*+-.^_`|~");
    TOKEN[usize::from(byte)]
}

/// Whether all bytes can stand in `host[:port]`. A comma, `@` or `/` would make it something else for someone.
pub(super) fn is_authority(bytes: &[u8]) -> bool {
    const AUTHORITY: [bool; 256] = table(b"-._~:[]%!$&'()*+;=");
    bytes.iter().all(|byte| AUTHORITY[usize::from(*byte)])
}

/// Letters, digits and these.
const fn table(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut index = 0;
    while index < others.len() {
        table[others[index] as usize] = true;
        index += 1;
    }
    table
}

/// Whether a control byte other than a tab is among `bytes`. Written so that the compiler uses vector instructions.
pub(super) fn has_control(bytes: &[u8]) -> bool {
    bytes.iter().fold(false, |found, &byte| found | ((byte < b' ') & (byte != b'\t')) | (byte == 0x7f))
}

/// Without the white space around it.
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Whether `token` is among the comma-separated ones of a field's value.
pub(super) fn lists(value: &[u8], token: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|member| trim(member).eq_ignore_ascii_case(token))
}
