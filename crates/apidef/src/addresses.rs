//! From which addresses an API may be called.

use crate::section::Section;
use document::{Fault, pointer_join};
use serde_json::{Value, json};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Lists of addresses that may call an API, and of such that may not. Empty: all may.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Only these may.
    pub allow: Box<[Network]>,
    /// These may not, whatever else is said.
    pub block: Box<[Network]>,
}

impl Addresses {
    /// Whether anything is said.
    pub fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.block.is_empty()
    }
}

/// Addresses that begin alike: one, or those of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// So many bits count.
    bits: u8,
}

impl Network {
    /// Whether an address belongs to it. An IPv4 address is the same in its IPv6 form.
    pub fn contains(&self, address: IpAddr) -> bool {
        let same = |one: u128, other: u128, width: u8| {
            let rest = u32::from(width - self.bits);
            one.checked_shr(rest) == other.checked_shr(rest)
        };
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(one), IpAddr::V4(other)) => same(one.to_bits().into(), other.to_bits().into(), 32),
            (IpAddr::V6(one), IpAddr::V6(other)) => same(one.to_bits(), other.to_bits(), 128),
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(drop)?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= width).ok_or(())?,
            None => width,
        };
        // What is written as `::ffff:10.0.0.0/104` means IPv4.
        Ok(match (address.to_canonical(), address) {
            (canonical @ IpAddr::V4(_), IpAddr::V6(_)) if bits >= 96 => {
                Network { address: canonical, bits: bits - 96 }
            }
            _ => Network { address, bits },
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// `allowed_ips` and `blacklisted_ips` of a classic definition. A list that is not empty counts, unless lists are switched
/// off and this one is not switched on (contract 14.1 row 11).
pub(crate) fn read_classic(root: &Section<'_>, faults: &mut Vec<Fault>) -> Addresses {
    let off = root.flag("ip_access_control_disabled", faults);
    let list = |flag: &str, key: &str, faults: &mut Vec<Fault>| {
        if off && !root.flag(flag, faults) { Box::default() } else { networks(root, key, faults) }
    };
    Addresses {
        allow: list("enable_ip_whitelisting", "allowed_ips", faults),
        block: list("enable_ip_blacklisting", "blacklisted_ips", faults),
    }
}

/// `server.ipAccessControl` of an OpenAPI definition.
pub(crate) fn read_oas(server: &Section<'_>, faults: &mut Vec<Fault>) -> Addresses {
    let access = server.section("ipAccessControl", faults);
    if !access.flag("enabled", faults) {
        return Addresses::default();
    }
    Addresses { allow: networks(&access, "allow", faults), block: networks(&access, "block", faults) }
}

fn networks(holder: &Section<'_>, key: &str, faults: &mut Vec<Fault>) -> Box<[Network]> {
    let texts = holder.texts(key, faults);
    let mut networks = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        match text.parse() {
            Ok(network) => networks.push(network),
            Err(()) => {
                let at = pointer_join(&holder.at(key), &index.to_string());
                faults.push(Fault::error(at, format!("invalid IP/CIDR \"{text}\"")));
            }
        }
    }
    networks.into()
}

/// The same in a classic definition.
pub(crate) fn write_classic(addresses: &Addresses, definition: &mut Value) {
    let texts = |networks: &[Network]| networks.iter().map(ToString::to_string).collect::<Vec<_>>();
    definition["enable_ip_whitelisting"] = json!(!addresses.allow.is_empty());
    definition["allowed_ips"] = json!(texts(&addresses.allow));
    definition["enable_ip_blacklisting"] = json!(!addresses.block.is_empty());
    definition["blacklisted_ips"] = json!(texts(&addresses.block));
    definition["ip_access_control_disabled"] = json!(addresses.is_empty());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_addresses_of_their_kind() {
        for (network, inside, outside) in [
            ("10.1.2.3", &["10.1.2.3", "::ffff:10.1.2.3"][..], &["10.1.2.4", "::10.1.2.3", "::1"][..]),
            ("10.0.0.0/8", &["10.255.0.1", "::ffff:10.0.0.9"], &["11.0.0.1", "a00::1"]),
            // Bits that do not count may be set.
            ("10.1.2.3/8", &["10.255.0.1"], &["11.0.0.1"]),
            ("0.0.0.0/0", &["1.2.3.4", "::ffff:1.2.3.4"], &["2001:db8::1"]),
            ("::/0", &["2001:db8::1"], &["1.2.3.4", "::ffff:1.2.3.4"]),
            ("2001:db8::/33", &["2001:db8:7fff::1"], &["2001:db8:8000::1"]),
            ("::1", &["::1"], &["::2", "127.0.0.1"]),
            ("::ffff:10.0.0.0/104", &["10.9.9.9"], &["11.0.0.1"]),
        ] {
            let read: Network = network.parse().unwrap();
            for address in inside {
                assert!(read.contains(address.parse().unwrap()), "{address} is in {network}");
            }
            for address in outside {
                assert!(!read.contains(address.parse().unwrap()), "{address} is not in {network}");
            }
            assert_eq!(read.to_string().parse(), Ok(read), "{network}");
        }
        for text in ["", "10.0.0", "10.0.0.0/33", "10.0.0.0/-1", "::/129", "10.0.0.0/", "a.example", " ::1"] {
            assert_eq!(text.parse::<Network>(), Err(()), "{text}");
        }
    }
}
