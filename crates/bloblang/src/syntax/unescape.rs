//! The escapes of quoted text, which are those of Go.

/// Resolves `\n`, `\"`, `\x41`, `\101`, `\u00e4`, `\U0001F600` and so on.
pub(crate) fn unescape(text: &str) -> Result<String, String> {
    if !text.contains('\\') {
        return Ok(text.to_owned());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        let Some(kind) = rest.chars().next() else { return Err("text ends within an escape".to_owned()) };
        rest = &rest[kind.len_utf8()..];
        let simple = match kind {
            'a' => 0x07,
            'b' => 0x08,
            'f' => 0x0c,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 0x0b,
            '\\' => b'\\',
            '"' => b'"',
            'x' => {
                out.push(digits(&mut rest, 2, 16)? as u8);
                continue;
            }
            '0'..='7' => {
                let low = digits(&mut rest, 2, 8)?;
                let code = kind.to_digit(8).unwrap_or(0) * 64 + low;
                out.push(u8::try_from(code).map_err(|_| format!("`\\{code:o}` is more than one byte"))?);
                continue;
            }
            'u' | 'U' => {
                let code = digits(&mut rest, if kind == 'u' { 4 } else { 8 }, 16)?;
                let Some(found) = char::from_u32(code) else {
                    return Err(format!("`\\{kind}{code:x}` is not a character"));
                };
                out.extend_from_slice(found.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            _ => {
                return Err(format!(
                    "unknown escape `\\{}`; write `\\\\` for a backslash",
                    kind.escape_debug()
                ));
            }
        };
        out.push(simple);
    }
    out.extend_from_slice(rest.as_bytes());
    String::from_utf8(out).map_err(|_| "the escapes of this text do not give valid UTF-8".to_owned())
}

fn digits(rest: &mut &str, count: usize, radix: u32) -> Result<u32, String> {
    let digits =
        rest.get(..count).filter(|digits| digits.bytes().all(|byte| char::from(byte).is_digit(radix)));
    let code = digits.and_then(|digits| u32::from_str_radix(digits, radix).ok());
    let code = code.ok_or_else(|| format!("an escape needs {count} digits here"))?;
    *rest = &rest[count..];
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::unescape;

    #[test]
    fn escapes() {
        for (text, expected) in [
            (r"a\tb", Some("a\tb")),
            (r"\x41\101\u00e4\U0001F600", Some("AAä😀")),
            (r"\xc3\xa4", Some("ä")),
            (r"\xff", None),
            (r"\q", None),
            (r"\u12", None),
            (r"\u12€", None),
            (r"\ud800", None),
            (r"\777", None),
        ] {
            assert_eq!(unescape(text).ok().as_deref(), expected, "{text}");
        }
    }
}
