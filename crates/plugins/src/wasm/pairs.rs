//! Header fields as filters get and give them: a count, the lengths of all names and values, and then these, each followed
//! by a zero byte.

/// Names and values, in their order.
pub type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Most pairs of one list.
const MOST: usize = 10_000;

/// A list in the form of the interface.
pub fn write(pairs: &Pairs) -> Vec<u8> {
    let mut bytes = Vec::new();
    let number = |bytes: &mut Vec<u8>, number: usize| {
        bytes.extend(u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
    };
    number(&mut bytes, pairs.len());
    for (name, value) in pairs {
        number(&mut bytes, name.len());
        number(&mut bytes, value.len());
    }
    for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend(text);
        bytes.push(0);
    }
    bytes
}

/// A list that a filter gave; `None` where it is none.
pub fn read(bytes: &[u8]) -> Option<Pairs> {
    if bytes.is_empty() {
        return Some(Pairs::new());
    }
    let number = |at: usize| -> Option<usize> {
        let bytes: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    let count = number(0).filter(|count| *count <= MOST)?;
    let mut at = 4 + 8 * count;
    let mut text = |length: usize| -> Option<Vec<u8>> {
        let end = at.checked_add(length)?;
        let text = bytes.get(at..end)?.to_vec();
        at = end.checked_add(1)?;
        Some(text)
    };
    (0..count)
        .map(|index| {
            let (name, value) = (number(4 + 8 * index)?, number(8 + 8 * index)?);
            Some((text(name)?, text(value)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_no_list_is_not() {
        let pairs: Pairs = vec![(b"a".into(), b"".into()), (b":path".into(), b"/x".into())];
        let bytes = write(&pairs);
        assert_eq!(bytes.len(), 4 + 16 + 2 + 1 + 6 + 3);
        assert_eq!(read(&bytes), Some(pairs));
        assert_eq!(read(&[]), Some(Pairs::new()));
        for bad in [
            &bytes[..bytes.len() - 3],
            &[1, 0, 0, 0],
            &[255; 4],
            &[1, 0, 0, 0, 255, 255, 255, 255, 9, 0, 0, 0],
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }
}
