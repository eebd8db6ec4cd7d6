//! Which places outside the streams of this gate may talk to, and what the gate asks by itself.
//!
//! The policy is asked at connect time, with the address that the name was resolved to, for every connection that is dialled
//! here: a name that resolves to another address later, and a redirect to another place, meet it again. Some client libraries
//! dial by themselves and look names up once more: for them all addresses of the name must be allowed, and a name whose
//! addresses change in between is not noticed. Through a proxy only names can be judged.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The policy. The default allows everything.
#[derive(Debug, Clone)]
pub struct Egress {
    /// Where its settings are, for those who are refused.
    pub settings: &'static str,
    /// When there are any: nothing else is reached.
    pub allow: Vec<EgressRule>,
    /// Never reached, whatever `allow` says.
    pub deny: Vec<EgressRule>,
    /// Refuse addresses that are not public: loopback, private, link-local and the like, unless a rule of `allow`
    /// names the address itself. A name in `allow` is not enough, since who owns the name chooses its address.
    pub deny_private: bool,
}

/// One place or several: `host`, `*.domain`, an address, a range `10.0.0.0/8`, or `*`; each with `:port` for one port
/// (`[::1]:443` for addresses of IPv6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressRule {
    place: Place,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Any,
    Host(String),
    /// With the leading dot: `.example.com`.
    Below(String),
    Range(IpAddr, u8),
}

impl Default for Egress {
    fn default() -> Self {
        Self { settings: "streaming.egress", allow: Vec::new(), deny: Vec::new(), deny_private: false }
    }
}

impl Egress {
    /// Reads the rules of a policy whose settings are at `settings`.
    ///
    /// # Errors
    /// Which text is no rule, for people.
    pub fn read(
        settings: &'static str,
        allow: &[String],
        deny: &[String],
        deny_private: bool,
    ) -> Result<Egress, String> {
        let rules = |key: &str, texts: &[String]| {
            let read = texts.iter().map(|text| text.parse::<EgressRule>());
            read.collect::<Result<Vec<_>, _>>().map_err(|fault| format!("{settings}.{key}: {fault}"))
        };
        Ok(Egress { settings, allow: rules("allow", allow)?, deny: rules("deny", deny)?, deny_private })
    }

    /// Whether it refuses nothing.
    pub fn allows_all(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty() && !self.deny_private
    }

    /// Whether a connection to `host:port` may be made at this address.
    ///
    /// # Errors
    /// Why not, for people.
    pub fn check(&self, host: &str, port: u16, address: IpAddr) -> Result<(), String> {
        let address = canonical(address);
        let place = || format!("{host}:{port} ({address})");
        self.listed(host, port, Some(address), place)?;
        if self.deny_private && !is_public(address) {
            let named = |rule: &EgressRule| {
                matches!(rule.place, Place::Range(..)) && rule.matches(host, port, Some(address))
            };
            if !self.allow.iter().any(named) {
                return Err(format!(
                    "the egress policy denies {}: the address is not public, which `{at}.deny_private` refuses; to reach it, name the address or its range in `{at}.allow`",
                    place(),
                    at = self.settings,
                ));
            }
        }
        Ok(())
    }

    fn listed(
        &self,
        host: &str,
        port: u16,
        address: Option<IpAddr>,
        place: impl Fn() -> String,
    ) -> Result<(), String> {
        let at = self.settings;
        if let Some(rule) = self.deny.iter().find(|rule| rule.matches(host, port, address)) {
            return Err(format!(
                "the egress policy denies {}: `{rule}` stands in `{at}.deny`; to reach it, take that out there",
                place(),
            ));
        }
        if !self.allow.is_empty() && !self.allow.iter().any(|rule| rule.matches(host, port, address)) {
            return Err(format!(
                "the egress policy does not allow {}: to reach it, name it in `{at}.allow`",
                place(),
            ));
        }
        Ok(())
    }

    /// What can be said of a place whose name somebody else resolves (a proxy): rules for names and ports hold, rules
    /// for addresses only where the host is written as an address.
    ///
    /// # Errors
    /// Why not, for people.
    pub fn check_name(&self, host: &str, port: u16) -> Result<(), String> {
        if let Ok(address) = bare(host).parse() {
            return self.check(host, port, address);
        }
        self.listed(host, port, None, || format!("{host}:{port}"))
    }

    /// Whether a socket of this machine may be connected to. No rule names one: it counts as the loopback address, without a port.
    ///
    /// # Errors
    /// Why not, for people.
    pub fn check_socket(&self, path: &str) -> Result<(), String> {
        let told = |_| {
            format!("the egress policy denies the socket `{path}`, which counts as the address 127.0.0.1")
        };
        self.check("", 0, IpAddr::V4(Ipv4Addr::LOCALHOST)).map_err(told)
    }
}

impl EgressRule {
    fn matches(&self, host: &str, port: u16, address: Option<IpAddr>) -> bool {
        if self.port.is_some_and(|own| own != port) {
            return false;
        }
        let host = || host.trim_end_matches('.').to_ascii_lowercase();
        match &self.place {
            Place::Any => true,
            Place::Host(name) => host() == *name,
            Place::Below(suffix) => host().ends_with(suffix.as_str()),
            Place::Range(network, bits) => address.is_some_and(|address| within(address, *network, *bits)),
        }
    }
}

impl fmt::Display for EgressRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let brackets = self.port.is_some();
        match &self.place {
            Place::Any => write!(f, "*")?,
            Place::Host(name) => write!(f, "{name}")?,
            Place::Below(suffix) => write!(f, "*{suffix}")?,
            Place::Range(IpAddr::V4(address), 32) => write!(f, "{address}")?,
            Place::Range(IpAddr::V6(address), 128) if brackets => write!(f, "[{address}]")?,
            Place::Range(IpAddr::V6(address), 128) => write!(f, "{address}")?,
            Place::Range(IpAddr::V6(address), bits) if brackets => write!(f, "[{address}/{bits}]")?,
            Place::Range(address, bits) => write!(f, "{address}/{bits}")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl FromStr for EgressRule {
    type Err = String;

    fn from_str(text: &str) -> Result<EgressRule, String> {
        let wrong = || {
            format!(
                "`{text}` is not a place; write a host, `*.domain`, an address, a range such as `10.0.0.0/8`, or `*`, each with `:port` for one port"
            )
        };
        let text = text.trim();
        let (place, port) = match text.rsplit_once(':') {
            // Several colons without brackets: an address of IPv6 without a port.
            Some((place, port)) if !place.contains(':') || place.ends_with(']') => {
                (place, Some(port.parse::<u16>().ok().filter(|port| *port != 0).ok_or_else(wrong)?))
            }
            _ => (text, None),
        };
        let place = bare(place);
        let place = if place == "*" {
            Place::Any
        } else if let Some((network, bits)) = place.split_once('/') {
            let network: IpAddr = bare(network).parse().map_err(|_| wrong())?;
            let most = if network.is_ipv4() { 32 } else { 128 };
            let bits = bits.parse::<u8>().ok().filter(|bits| *bits <= most).ok_or_else(wrong)?;
            match canonical(network) {
                // Written within IPv6, as the addresses that it holds may be. A range of all that is written so says
                // nothing of IPv4 itself.
                inner @ IpAddr::V4(_) if network.is_ipv6() && bits > 96 => Place::Range(inner, bits - 96),
                _ => Place::Range(network, bits),
            }
        } else if let Ok(address) = place.parse::<IpAddr>() {
            let address = canonical(address);
            Place::Range(address, if address.is_ipv4() { 32 } else { 128 })
        } else {
            let (name, below) = match place.strip_prefix("*.") {
                Some(domain) => (domain, true),
                None => (place, false),
            };
            let good = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            if name.is_empty() || !name.chars().all(good) {
                return Err(wrong());
            }
            if below { Place::Below(format!(".{name}")) } else { Place::Host(name) }
        };
        Ok(EgressRule { place, port })
    }
}

/// An address without the brackets that URLs put around it.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// The address that a packet would really go to: those of IPv4 that are written within IPv6 are taken out.
fn canonical(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else { return address };
    let parts = six.segments();
    let inner = match parts {
        [0, 0, 0, 0, 0, 0xffff, ..] // mapped
        | [0, 0, 0, 0, 0xffff, 0, ..] // translated (RFC 7915)
        | [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some((parts[6], parts[7])), // NAT64 (RFC 6052)
        [0x2002, ..] => Some((parts[1], parts[2])), // 6to4 (RFC 3056)
        // Compatible (RFC 4291, section 2.5.5.1); `::` and `::1` are no such.
        [0, 0, 0, 0, 0, 0, high, _] if high > 0 => Some((parts[6], parts[7])),
        _ => None,
    };
    inner.map_or(address, |(high, low)| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    })
}

fn within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let bits = u32::from(bits);
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let shift = 32_u32.saturating_sub(bits);
            (u32::from(address) ^ u32::from(network)).checked_shr(shift).unwrap_or(0) == 0
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let shift = 128_u32.saturating_sub(bits);
            (u128::from(address) ^ u128::from(network)).checked_shr(shift).unwrap_or(0) == 0
        }
        _ => false,
    }
}

/// Whether an address is reached over the public Internet (IANA's special-purpose registries).
fn is_public(address: IpAddr) -> bool {
    let ranges: &[(IpAddr, u8)] = match address {
        IpAddr::V4(_) => NOT_PUBLIC_4,
        IpAddr::V6(_) => NOT_PUBLIC_6,
    };
    !ranges.iter().any(|&(network, bits)| within(address, network, bits))
}

const fn four(a: u8, b: u8, c: u8, bits: u8) -> (IpAddr, u8) {
    (IpAddr::V4(Ipv4Addr::new(a, b, c, 0)), bits)
}

const NOT_PUBLIC_4: &[(IpAddr, u8)] = &[
    four(0, 0, 0, 8),       // this network
    four(10, 0, 0, 8),      // private
    four(100, 64, 0, 10),   // shared with the provider
    four(127, 0, 0, 8),     // loopback
    four(169, 254, 0, 16),  // link-local; clouds tell secrets here
    four(172, 16, 0, 12),   // private
    four(192, 0, 0, 24),    // protocols
    four(192, 0, 2, 24),    // documentation
    four(192, 168, 0, 16),  // private
    four(198, 18, 0, 15),   // measurements
    four(198, 51, 100, 24), // documentation
    four(203, 0, 113, 24),  // documentation
    four(224, 0, 0, 3),     // multicast, reserved, broadcast
];

const fn six(first: u16, second: u16, bits: u8) -> (IpAddr, u8) {
    (IpAddr::V6(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0)), bits)
}

const NOT_PUBLIC_6: &[(IpAddr, u8)] = &[
    six(0, 0, 8),           // unspecified, loopback, addresses of IPv4 in old forms
    six(0x64, 0xff9b, 32),  // translation
    six(0x100, 0, 64),      // discarded
    six(0x2001, 0, 32),     // Teredo
    six(0x2001, 0xdb8, 32), // documentation
    six(0xfc00, 0, 7),      // unique local
    six(0xfe80, 0, 10),     // link-local
    six(0xfec0, 0, 10),     // site-local
    six(0xff00, 0, 8),      // multicast
];

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(texts: &[&str]) -> Vec<EgressRule> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn rules_name_hosts_domains_ranges_and_ports() {
        // rule, host, port, address, matches
        for (rule, host, port, address, expected) in [
            ("*", "a.example", 80, "1.2.3.4", true),
            ("*:443", "a.example", 80, "1.2.3.4", false),
            ("*:443", "a.example", 443, "1.2.3.4", true),
            ("a.example", "A.Example.", 80, "1.2.3.4", true),
            ("a.example", "b.a.example", 80, "1.2.3.4", false),
            ("*.a.example", "b.a.example", 80, "1.2.3.4", true),
            ("*.a.example", "a.example", 80, "1.2.3.4", false),
            ("*.a.example:81", "b.a.example", 80, "1.2.3.4", false),
            ("*.a.example", "evila.example", 80, "1.2.3.4", false),
            ("1.2.3.0/24", "x", 80, "1.2.3.4", true),
            ("1.2.3.0/24:81", "x", 80, "1.2.3.4", false),
            ("1.2.3.4", "x", 80, "::ffff:1.2.3.4", true),
            ("1.2.3.4", "x", 80, "64:ff9b::1.2.3.4", true),
            ("1.2.3.4", "x", 80, "1.2.3.5", false),
            ("0.0.0.0/0", "x", 80, "9.9.9.9", true),
            ("0.0.0.0/0", "x", 80, "2001:db8::1", false),
            ("::/0", "x", 80, "2001:db8::1", true),
            ("fd00::/8", "x", 80, "fd12::1", true),
            ("[fd00::1]:443", "x", 443, "fd00::1", true),
            ("fd00::1", "x", 443, "fd00::1", true),
            ("169.254.0.0/16", "x", 80, "::ffff:a9fe:a9fe", true),
            ("169.254.0.0/16", "x", 80, "::169.254.169.254", true),
            ("169.254.0.0/16", "x", 80, "::ffff:0:169.254.169.254", true),
            ("169.254.0.0/16", "x", 80, "2002:a9fe:a9fe::1", true),
            ("::ffff:169.254.0.0/112", "x", 80, "169.254.169.254", true),
            ("::ffff:169.254.0.0/112", "x", 80, "169.255.0.1", false),
            ("::ffff:0:0/96", "x", 80, "1.2.3.4", false),
            ("64:ff9b::/96", "x", 80, "64:ff9b::1.2.3.4", false),
            ("127.0.0.0/8", "x", 80, "::1", false),
            ("::1", "x", 80, "::1", true),
        ] {
            let rule_read: EgressRule = rule.parse().unwrap();
            let address = address.parse().map(canonical).unwrap();
            assert_eq!(
                rule_read.matches(host, port, Some(address)),
                expected,
                "{rule} {host}:{port} {address}"
            );
        }
        for wrong in
            ["", ".", "*..", "a b", "*.", "1.2.3.0/33", "::/129", "x/8", "a:0", "a:x", "http://a", "*a"]
        {
            assert!(wrong.parse::<EgressRule>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn deny_wins_allow_is_a_list_and_private_needs_an_address() {
        let open = Egress::default();
        let public = Egress { deny_private: true, ..Egress::default() };
        let listed = Egress {
            allow: rules(&["*.example.com", "127.0.0.1:8080"]),
            deny: rules(&["bad.example.com", "*:25"]),
            deny_private: true,
            ..Egress::default()
        };
        for (policy, host, port, address, expected) in [
            (&open, "a", 80, "127.0.0.1", true),
            (&public, "a", 80, "127.0.0.1", false),
            (&public, "a", 80, "169.254.169.254", false),
            (&public, "a", 80, "::ffff:10.0.0.1", false),
            (&public, "a", 80, "2002:0a00:0001::1", false),
            (&public, "a", 80, "::1", false),
            (&public, "a", 80, "100.127.0.1", false),
            (&public, "a", 80, "100.128.0.1", true),
            (&public, "a", 80, "172.32.0.1", true),
            (&public, "a", 80, "255.255.255.255", false),
            (&public, "a", 80, "2606:4700::1", true),
            (&listed, "a.example.com", 443, "8.8.8.8", true),
            // Rebinding: the name is allowed, its address is not.
            (&listed, "a.example.com", 443, "127.0.0.1", false),
            (&listed, "a.example.com", 8080, "127.0.0.1", true),
            (&listed, "bad.example.com", 443, "8.8.8.8", false),
            (&listed, "a.example.com", 25, "8.8.8.8", false),
            (&listed, "other.org", 443, "8.8.8.8", false),
            (&listed, "127.0.0.1", 8080, "127.0.0.1", true),
            (&listed, "127.0.0.1", 8081, "127.0.0.1", false),
        ] {
            let told = policy.check(host, port, address.parse().unwrap());
            assert_eq!(told.is_ok(), expected, "{host}:{port} {address}: {told:?}");
        }
    }

    #[test]
    fn refusals_name_the_rule_and_the_setting() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let read = |allow: &[&str], deny: &[&str], private| {
            Egress::read("egress", &texts(allow), &texts(deny), private).unwrap()
        };
        for (policy, address, rule, setting) in [
            (
                read(&[], &["169.254.0.0/16"], false),
                "::ffff:169.254.169.254",
                "`169.254.0.0/16`",
                "`egress.deny`",
            ),
            (read(&[], &["*.x.example:80"], false), "1.1.1.1", "`*.x.example:80`", "`egress.deny`"),
            (read(&[], &["[fd00::/8]:80"], false), "fd00::1", "`[fd00::/8]:80`", "`egress.deny`"),
            (read(&["other.example"], &[], false), "1.1.1.1", "does not allow", "`egress.allow`"),
            (read(&[], &[], true), "10.0.0.1", "`egress.deny_private`", "`egress.allow`"),
        ] {
            let told = policy.check("a.x.example", 80, address.parse().unwrap()).unwrap_err();
            assert!(told.contains(rule) && told.contains(setting), "{told}");
            assert!(told.contains("a.x.example:80"), "{told}");
        }
        for rule in
            ["*", "*:1", "a.b", "*.a.b:2", "1.2.3.4:5", "1.2.0.0/16", "[::1]:443", "::1", "[fd00::/8]:9"]
        {
            assert_eq!(rule.parse::<EgressRule>().unwrap().to_string(), rule);
        }
        let fault = Egress::read("egress", &[], &texts(&["a b"]), false).unwrap_err();
        assert!(fault.starts_with("egress.deny: `a b` is not a place"), "{fault}");
    }

    #[test]
    fn sockets_of_the_machine_count_as_loopback() {
        for (policy, expected) in [
            (Egress::default(), true),
            (Egress { deny: rules(&["bad.example", "*:25", "127.0.0.1:6379"]), ..Egress::default() }, true),
            (Egress { deny: rules(&["*"]), ..Egress::default() }, false),
            (Egress { deny: rules(&["127.0.0.0/8"]), ..Egress::default() }, false),
            (Egress { allow: rules(&["*"]), ..Egress::default() }, true),
            (Egress { allow: rules(&["*.example", "127.0.0.1:6379"]), ..Egress::default() }, false),
            (Egress { deny_private: true, ..Egress::default() }, false),
            (Egress { allow: rules(&["127.0.0.1"]), deny_private: true, ..Egress::default() }, true),
        ] {
            assert_eq!(policy.check_socket("/run/redis.sock").is_ok(), expected, "{policy:?}");
        }
    }

    #[test]
    fn behind_a_proxy_names_and_written_addresses_count() {
        let policy = Egress { deny: rules(&["bad.example"]), deny_private: true, ..Egress::default() };
        for (host, expected) in
            [("good.example", true), ("bad.example", false), ("10.0.0.1", false), ("[::1]", false)]
        {
            assert_eq!(policy.check_name(host, 443).is_ok(), expected, "{host}");
        }
        let listed = Egress { allow: rules(&["10.0.0.0/8"]), ..Egress::default() };
        assert!(listed.check_name("name.example", 443).is_err());
        assert!(listed.check_name("10.1.2.3", 443).is_ok());
    }
}
