//! The frame: a zero, the id of the schema in four bytes, the highest first; for Protocol Buffers, which message of
//! the schema it is: a list of indices, as zigzag varints with their number first, where a single 0 stands for `[0]`.

/// Bytes before a body, indices aside.
pub const HEAD: usize = 5;
/// Messages nest in each other at most so deep.
const DEEPEST: i64 = 32;

/// Takes the frame off: the id, and what follows.
///
/// # Errors
/// When there is no frame.
pub fn split(payload: &[u8]) -> Result<(u32, &[u8]), String> {
    match payload.split_first_chunk::<HEAD>() {
        Some(([0, id @ ..], body)) => Ok((u32::from_be_bytes(*id), body)),
        Some(([first, ..], _)) => {
            Err(format!("this is not framed for a schema registry: it begins with {first}, not 0"))
        }
        None => Err(format!(
            "this is not framed for a schema registry: it is shorter than a frame's {HEAD} bytes"
        )),
    }
}

/// Begins a message with the frame of this schema.
pub fn begin(id: u32, out: &mut Vec<u8>) {
    out.push(0);
    out.extend_from_slice(&id.to_be_bytes());
}

/// Takes the indices off.
///
/// # Errors
/// When there are none that could be.
pub fn indices(body: &[u8]) -> Result<(Vec<i32>, &[u8]), String> {
    let (count, mut rest) = number(body)?;
    match count {
        0 => return Ok((vec![0], rest)),
        1..=DEEPEST => {}
        _ => return Err(format!("the frame says a message {count} levels deep")),
    }
    let mut indices = Vec::new();
    for _ in 0..count {
        let (index, after) = number(rest)?;
        rest = after;
        let index = i32::try_from(index).ok().filter(|index| *index >= 0);
        indices.push(index.ok_or("the frame says a message by an index that cannot be")?);
    }
    Ok((indices, rest))
}

/// Appends indices.
pub fn write_indices(indices: &[i32], out: &mut Vec<u8>) {
    if indices == [0] {
        return out.push(0);
    }
    let count = i32::try_from(indices.len()).unwrap_or(i32::MAX);
    for number in std::iter::once(&count).chain(indices) {
        let number = i64::from(*number);
        prost::encoding::encode_varint(((number << 1) ^ (number >> 63)).cast_unsigned(), out);
    }
}

/// A zigzag varint.
fn number(mut bytes: &[u8]) -> Result<(i64, &[u8]), String> {
    let raw = prost::encoding::decode_varint(&mut bytes)
        .map_err(|_| "the frame ends within the index of its message".to_owned())?;
    Ok(((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed(), bytes))
}
