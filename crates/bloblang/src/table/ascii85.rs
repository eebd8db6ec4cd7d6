//! Base 85: Ascii85 as Adobe and btoa write it, and Z85 of ZeroMQ.

const Z85: &[u8; 85] =
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

/// Five digits for four bytes, and one fewer for each byte that is missing at the end.
fn digits(chunk: &[u8]) -> [u8; 5] {
    let mut bytes = [0; 4];
    bytes.iter_mut().zip(chunk).for_each(|(byte, given)| *byte = *given);
    let mut number = u32::from_be_bytes(bytes);
    let mut digits = [0; 5];
    for digit in digits.iter_mut().rev() {
        *digit = u8::try_from(number % 85).unwrap_or(0);
        number /= 85;
    }
    digits
}

/// Four bytes of five digits; missing ones count as the highest.
fn number(digits: &[u8]) -> Option<[u8; 4]> {
    let digits = digits.iter().copied().chain(std::iter::repeat(84)).take(5);
    let number = digits.fold(0_u64, |number, digit| number * 85 + u64::from(digit));
    u32::try_from(number).ok().map(u32::to_be_bytes)
}

pub(super) fn encode(data: &[u8]) -> String {
    let mut out = String::with_capacity(data.len() / 4 * 5 + 5);
    for chunk in data.chunks(4) {
        if chunk == [0; 4] {
            out.push('z');
        } else {
            out.extend(digits(chunk).iter().take(chunk.len() + 1).map(|digit| char::from(b'!' + digit)));
        }
    }
    out
}

pub(super) fn decode(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len() / 5 * 4 + 4);
    let mut group = Vec::with_capacity(5);
    let too_large = || "a group of digits is too large".to_owned();
    for (at, byte) in text.iter().enumerate() {
        match byte {
            0..=b' ' => {}
            b'z' if group.is_empty() => out.extend([0; 4]),
            b'!'..=b'u' => {
                group.push(byte - b'!');
                if group.len() == 5 {
                    out.extend(number(&group).ok_or_else(too_large)?);
                    group.clear();
                }
            }
            _ => return Err(format!("illegal data at byte {at}")),
        }
    }
    match group.len() {
        0 => {}
        1 => return Err("it ends within a group".to_owned()),
        length => out.extend(&number(&group).ok_or_else(too_large)?[..length - 1]),
    }
    Ok(out)
}

pub(super) fn encode_z85(data: &[u8]) -> Result<String, String> {
    if !data.len().is_multiple_of(4) {
        return Err("the length must be a multiple of 4".to_owned());
    }
    let digit = |digit: u8| Z85.get(usize::from(digit)).copied().map_or('0', char::from);
    Ok(data.chunks(4).flat_map(digits).map(digit).collect())
}

pub(super) fn decode_z85(text: &[u8]) -> Result<Vec<u8>, String> {
    if !text.len().is_multiple_of(5) {
        return Err("the length must be a multiple of 5".to_owned());
    }
    let mut out = Vec::with_capacity(text.len() / 5 * 4);
    for (at, group) in text.chunks(5).enumerate() {
        let value =
            |byte: &u8| Z85.iter().position(|known| known == byte).and_then(|at| u8::try_from(at).ok());
        let values: Option<Vec<u8>> = group.iter().map(value).collect();
        let bytes = values.and_then(|values| number(&values));
        out.extend(bytes.ok_or_else(|| format!("illegal data at byte {}", at * 5))?);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back() {
        for length in 0..40_u8 {
            let data: Vec<u8> = (0..length).map(|n| n.wrapping_mul(89)).collect();
            assert_eq!(decode(encode(&data).as_bytes()).unwrap(), data);
            if let Ok(text) = encode_z85(&data) {
                assert_eq!(decode_z85(text.as_bytes()).unwrap(), data);
            }
        }
        assert_eq!(encode(&[0; 8]), "zz");
        assert_eq!(encode_z85(&[0x86, 0x4f, 0xd2, 0x6f, 0xb5, 0x59, 0xf7, 0x5b]).unwrap(), "HelloWorld");
        for wrong in ["!", "uuuuu", "abczd", "vvv\u{7f}"] {
            assert!(decode(wrong.as_bytes()).is_err(), "{wrong}");
        }
        for wrong in ["a", "#####", "aaa~a"] {
            assert!(decode_z85(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
