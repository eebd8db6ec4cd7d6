//! The PROXY protocol, versions 1 and 2: whoever forwards a connection says first from where it came
//! (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>). Depends on nothing of the gate, so that it can be fuzzed
//! alone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What a header of version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const WORD: &[u8] = b"PROXY ";
/// The longest header of version 1, with its line break (section 2.1).
const LONGEST_LINE: usize = 107;
/// More than this nobody needs: addresses, and some notes.
const LONGEST: usize = 4096;

/// A header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// From where, and to where; `None` where the sender does not say, or speaks for itself.
    pub(crate) addresses: Option<(SocketAddr, SocketAddr)>,
    /// How many bytes it took.
    pub(crate) length: usize,
}

/// Which version is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    Two,
}

/// What is wrong with a header.
pub(crate) type Malformed = &'static str;

/// Reads the header that a connection begins with; `None` while it is not all there.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let begins = |with: &[u8]| {
        let length = bytes.len().min(with.len());
        bytes[..length] == with[..length]
    };
    if begins(SIGNATURE) {
        return binary(bytes);
    }
    if begins(WORD) {
        return line(bytes);
    }
    Err("it does not begin with a PROXY header")
}

/// How many bytes can be read of a header that is not all there without reading what is behind it.
pub(crate) fn more(bytes: &[u8]) -> usize {
    let start = SIGNATURE.len() + 4;
    match bytes.get(SIGNATURE.len() + 2..start) {
        Some(&[high, low]) if bytes.starts_with(SIGNATURE) => {
            (start + usize::from(u16::from_be_bytes([high, low]))).saturating_sub(bytes.len()).max(1)
        }
        _ if bytes.starts_with(SIGNATURE) => start.saturating_sub(bytes.len()).max(1),
        _ => 1,
    }
}

fn line(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let window = &bytes[..bytes.len().min(LONGEST_LINE)];
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() >= LONGEST_LINE { Err("its line is too long") } else { Ok(None) };
    };
    let text = std::str::from_utf8(&bytes[..end]).map_err(|_| "its line is no text")?;
    let mut words = text.split(' ').skip(1);
    let length = end + 2;
    let family = words.next().unwrap_or_default();
    if family == "UNKNOWN" {
        return Ok(Some(Header { addresses: None, length }));
    }
    let mut word = || words.next().filter(|word| !word.is_empty()).ok_or("its line is cut short");
    let (from, to, from_port, to_port) = (word()?, word()?, word()?, word()?);
    let address = |text: &str| match family {
        "TCP4" => text.parse::<Ipv4Addr>().map(IpAddr::V4).map_err(|_| "an address is malformed"),
        "TCP6" => text.parse::<Ipv6Addr>().map(IpAddr::V6).map_err(|_| "an address is malformed"),
        _ => Err("its family is none"),
    };
    let port = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| digits).ok_or("a port is malformed")
    };
    let from = SocketAddr::new(address(from)?, port(from_port)?);
    let to = SocketAddr::new(address(to)?, port(to_port)?);
    if words.next().is_some() {
        return Err("its line is too long");
    }
    Ok(Some(Header { addresses: Some((from, to)), length }))
}

fn binary(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let Some(&[kind, family, high, low]) = bytes.get(SIGNATURE.len()..SIGNATURE.len() + 4) else {
        return Ok(None);
    };
    let start = SIGNATURE.len() + 4;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if kind >> 4 != 2 {
        return Err("its version is neither 1 nor 2");
    }
    if length > LONGEST {
        return Err("it is too long");
    }
    let Some(rest) = bytes.get(start..start + length) else { return Ok(None) };
    let length = start + length;
    let port = |at: usize| Some(u16::from_be_bytes([*rest.get(at)?, *rest.get(at + 1)?]));
    let addresses = match (kind & 0x0f, family) {
        // The sender speaks for itself.
        (0, _) => None,
        (1, 0x11) => {
            let address = |at: usize| <[u8; 4]>::try_from(rest.get(at..at + 4)?).ok().map(Ipv4Addr::from);
            Some((address(0).zip(port(8)), address(4).zip(port(10)))).map(|(from, to)| {
                (from.map(|(a, p)| (IpAddr::V4(a), p)), to.map(|(a, p)| (IpAddr::V4(a), p)))
            })
        }
        (1, 0x21) => {
            let address = |at: usize| <[u8; 16]>::try_from(rest.get(at..at + 16)?).ok().map(Ipv6Addr::from);
            Some((address(0).zip(port(32)), address(16).zip(port(34)))).map(|(from, to)| {
                (from.map(|(a, p)| (IpAddr::V6(a), p)), to.map(|(a, p)| (IpAddr::V6(a), p)))
            })
        }
        // Another family: the connection is taken as it is (section 2.2).
        (1, _) => None,
        _ => return Err("its command is none"),
    };
    let addresses = match addresses {
        None => None,
        Some((Some(from), Some(to))) => Some((SocketAddr::from(from), SocketAddr::from(to))),
        Some(_) => return Err("its addresses are cut short"),
    };
    Ok(Some(Header { addresses, length }))
}

/// The header that says from where a connection came and to where.
pub(crate) fn write(version: Version, from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    // Both have to be of one family.
    let mapped = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    match (version, from.ip(), to.ip()) {
        (Version::One, IpAddr::V4(a), IpAddr::V4(b)) => {
            format!("PROXY TCP4 {a} {b} {} {}\r\n", from.port(), to.port()).into_bytes()
        }
        (Version::One, ..) => {
            format!("PROXY TCP6 {} {} {} {}\r\n", mapped(from), mapped(to), from.port(), to.port())
                .into_bytes()
        }
        (Version::Two, IpAddr::V4(a), IpAddr::V4(b)) => {
            let mut bytes = SIGNATURE.to_vec();
            bytes.extend([0x21, 0x11, 0, 12]);
            bytes.extend(a.octets());
            bytes.extend(b.octets());
            bytes.extend(from.port().to_be_bytes());
            bytes.extend(to.port().to_be_bytes());
            bytes
        }
        (Version::Two, ..) => {
            let mut bytes = SIGNATURE.to_vec();
            bytes.extend([0x21, 0x21, 0, 36]);
            bytes.extend(mapped(from).octets());
            bytes.extend(mapped(to).octets());
            bytes.extend(from.port().to_be_bytes());
            bytes.extend(to.port().to_be_bytes());
            bytes
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_strictly() {
        for (text, expected) in [
            ("PROXY TCP4 1.2.3.4 5.6.7.8 10 20\r\nrest", Ok(Some((Some("1.2.3.4:10"), 34)))),
            ("PROXY TCP6 ::1 ::2 1 65535\r\n", Ok(Some((Some("[::1]:1"), 28)))),
            ("PROXY UNKNOWN what ever\r\n", Ok(Some((None, 25)))),
            ("PROXY UNKNOWN\r\n", Ok(Some((None, 15)))),
            ("PROXY TCP4 1.2.3.4 5.6.7.8 10 20", Ok(None)),
            ("PRO", Ok(None)),
            ("", Ok(None)),
            ("PROXY TCP4 ::1 ::2 1 2\r\n", Err(())),
            ("PROXY TCP4 1.2.3.4 5.6.7.8 10\r\n", Err(())),
            ("PROXY TCP4 1.2.3.4 5.6.7.8 10 20 30\r\n", Err(())),
            ("PROXY TCP4 1.2.3.4 5.6.7.8 +1 20\r\n", Err(())),
            ("PROXY TCP4 1.2.3.4 5.6.7.8 99999 20\r\n", Err(())),
            ("PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n", Err(())),
            ("GET / HTTP/1.1\r\n", Err(())),
        ] {
            let found = read(text.as_bytes()).map_err(drop).map(|header| {
                header.map(|header| (header.addresses.map(|(from, _)| from.to_string()), header.length))
            });
            let expected =
                expected.map(|header| header.map(|(from, length)| (from.map(str::to_owned), length)));
            assert_eq!(found, expected, "{text:?}");
        }
        assert!(read(format!("PROXY {}", "x".repeat(200)).as_bytes()).is_err());
    }

    #[test]
    fn what_is_written_is_read() {
        let pairs = [("1.2.3.4:5", "6.7.8.9:10"), ("[2001:db8::1]:5", "[::2]:10"), ("1.2.3.4:5", "[::2]:10")];
        for (from, to) in pairs {
            let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
            for version in [Version::One, Version::Two] {
                let mut bytes = write(version, from, to);
                let length = bytes.len();
                for cut in 0..length {
                    assert_eq!(read(&bytes[..cut]), Ok(None), "{version:?} {cut}");
                }
                bytes.extend(b"rest");
                let header = read(&bytes).unwrap().unwrap();
                let (said_from, said_to) = header.addresses.unwrap();
                assert_eq!(header.length, length);
                assert_eq!((said_from.ip().to_canonical(), said_from.port()), (from.ip(), from.port()));
                assert_eq!((said_to.ip().to_canonical(), said_to.port()), (to.ip(), to.port()));
            }
        }
    }

    #[test]
    fn binary_headers_that_say_nothing_or_nonsense() {
        let with = |rest: &[u8]| [SIGNATURE.as_slice(), rest].concat();
        for (rest, expected) in [
            (&[0x20, 0, 0, 0][..], Ok(Some(16))),
            (&[0x20, 0x11, 0, 2, 1, 2], Ok(Some(18))),
            (&[0x21, 0x31, 0, 1, 9], Ok(Some(17))),
            (&[0x21, 0x11, 0, 4, 1, 2, 3, 4], Err(())),
            (&[0x11, 0x11, 0, 0], Err(())),
            (&[0x22, 0x11, 0, 0], Err(())),
            (&[0x21, 0x11, 0xff, 0xff], Err(())),
            (&[0x21, 0x11, 0], Ok(None)),
        ] {
            let found = read(&with(rest)).map_err(drop).map(|header| header.map(|header| header.length));
            assert_eq!(found, expected, "{rest:?}");
        }
    }
}
