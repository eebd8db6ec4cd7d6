//! TLS towards upstreams: which versions and ciphers, which certificates the gate shows, and what is asked of theirs.

use super::ByHost;
use super::hosts;
use crate::fields::{Field, acts, each};
use crate::section::Section;
use document::{Fault, pointer_join};
use serde_json::{Value, json};

/// `proxy.transport`.
pub(crate) const CLASSIC: &[Field] = &[
    acts("ssl_insecure_skip_verify"),
    acts("ssl_ciphers"),
    acts("ssl_min_version"),
    acts("ssl_max_version"),
    acts("ssl_force_common_name_check"),
    acts("proxy_url"),
];

/// `upstream.tlsTransport`.
pub(crate) const OAS: &[Field] = &[
    acts("insecureSkipVerify"),
    acts("ciphers"),
    acts("minVersion"),
    acts("maxVersion"),
    acts("forceCommonNameCheck"),
];

/// `upstream.mutualTLS`.
pub(crate) const OAS_CERTIFICATES: &[Field] =
    &[acts("enabled"), each("domainToCertificateMapping", &[acts("domain"), acts("certificate")])];

/// `upstream.certificatePinning`.
pub(crate) const OAS_PINS: &[Field] =
    &[acts("enabled"), each("domainToPublicKeysMapping", &[acts("domain"), acts("publicKeys")])];

/// How TLS to an upstream is done. What is empty or 0 is as the gate has it for all upstreams.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Accept any certificate.
    pub insecure_skip_verify: bool,
    /// As in the TLS record: 771 is 1.2, 772 is 1.3.
    pub min_version: u16,
    /// Likewise.
    pub max_version: u16,
    /// Names of cipher suites (IANA), upper case.
    pub ciphers: Box<[Box<str>]>,
    /// The common name of the upstream's certificate has to be its host, whatever else is checked.
    pub common_name: bool,
    /// Certificates that the gate shows, by host: ids, or PEM files.
    pub certificates: ByHost<Box<str>>,
    /// Public keys one of which the upstream has to have, by host: hex SHA-256 of the key, or ids of stored certificates.
    pub pins: ByHost<Box<[Box<str>]>>,
}

/// What versions are called in OpenAPI definitions.
const VERSIONS: [(&str, u16); 4] = [("1.0", 769), ("1.1", 770), ("1.2", 771), ("1.3", 772)];

/// Cipher suites that can be offered. Those of TLS 1.3 are offered unless some of them are listed.
const CIPHERS: [&str; 9] = [
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
];

impl UpstreamTls {
    /// What the gate's own configuration says, in the words of a classic definition; what is wrong with it, in one text.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn of_gate(settings: &Value, warnings: &mut Vec<String>) -> Result<Self, String> {
        let mut faults = Vec::new();
        let root = Section::root(settings, &mut faults);
        let transport = root.section("proxy", &mut faults).section("transport", &mut faults);
        let tls = Self::classic(&root, &transport, &mut faults);
        let text = |fault: &Fault| {
            let key = fault.pointer.rsplit('/').next().unwrap_or_default().to_owned();
            format!("tls to upstreams, `{key}`: {}", fault.message)
        };
        if let Some(error) = faults.iter().find(|fault| fault.is_error()) {
            return Err(text(error));
        }
        warnings.extend(faults.iter().map(text));
        Ok(tls)
    }

    pub(super) fn classic(root: &Section<'_>, transport: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let version = |key: &str, faults: &mut Vec<Fault>| {
            let number = transport.number(key, faults);
            let known = VERSIONS.iter().map(|(_, known)| *known).find(|known| f64::from(*known) == number);
            if known.is_none() && number != 0.0 {
                let fault = Fault::error(transport.at(key), format!("{number} is no version of TLS"));
                faults.push(fault.hint("use 771 for TLS 1.2 or 772 for TLS 1.3"));
            }
            known.unwrap_or(0)
        };
        let (min_version, max_version) =
            (version("ssl_min_version", faults), version("ssl_max_version", faults));
        let certificates = root.section("upstream_certificates", faults);
        let pins = root.section("pinned_public_keys", faults);
        let tls = Self {
            insecure_skip_verify: transport.flag("ssl_insecure_skip_verify", faults),
            min_version,
            max_version,
            ciphers: ciphers(transport, "ssl_ciphers", faults),
            common_name: transport.flag("ssl_force_common_name_check", faults),
            certificates: if root.flag("upstream_certificates_disabled", faults) {
                ByHost::default()
            } else {
                by_host(&certificates, faults, |text| Some(text.into()))
            },
            pins: if root.flag("certificate_pinning_disabled", faults) {
                ByHost::default()
            } else {
                by_host(&pins, faults, listed)
            },
        };
        tls.check(transport, ["ssl_min_version", "ssl_max_version", "ssl_ciphers"], faults);
        tls
    }

    pub(super) fn oas(upstream: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let transport = upstream.section("tlsTransport", faults);
        let version = |key: &str, faults: &mut Vec<Fault>| {
            let text = transport.text(key, faults);
            let known = VERSIONS.iter().find(|(name, _)| *name == text);
            if known.is_none() && !text.is_empty() {
                let fault = Fault::error(transport.at(key), format!("`{text}` is no version of TLS"));
                faults.push(fault.hint("use \"1.2\" or \"1.3\""));
            }
            known.map_or(0, |(_, number)| *number)
        };
        let (min_version, max_version) = (version("minVersion", faults), version("maxVersion", faults));
        let mutual = upstream.section("mutualTLS", faults);
        let pinning = upstream.section("certificatePinning", faults);
        let (mutual_on, pinning_on) = (mutual.flag("enabled", faults), pinning.flag("enabled", faults));
        let certificates = mapped(&mutual, "domainToCertificateMapping", faults, |entry, faults| {
            let id = entry.text("certificate", faults);
            if id.is_empty() { Err("certificate") } else { Ok(id.into()) }
        });
        let pins = mapped(&pinning, "domainToPublicKeysMapping", faults, |entry, faults| {
            let keys = entry.texts("publicKeys", faults);
            let keys: Box<[Box<str>]> = keys.iter().flat_map(|keys| listed(keys)).flatten().collect();
            if keys.is_empty() { Err("publicKeys") } else { Ok(keys) }
        });
        let tls = Self {
            insecure_skip_verify: transport.flag("insecureSkipVerify", faults),
            min_version,
            max_version,
            ciphers: ciphers(&transport, "ciphers", faults),
            common_name: transport.flag("forceCommonNameCheck", faults),
            certificates: if mutual_on { certificates } else { ByHost::default() },
            pins: if pinning_on { pins } else { ByHost::default() },
        };
        tls.check(&transport, ["minVersion", "maxVersion", "ciphers"], faults);
        tls
    }

    /// What the settings leave of TLS.
    fn check(&self, transport: &Section<'_>, [min, max, ciphers]: [&str; 3], faults: &mut Vec<Fault>) {
        const OLD: &str = "TLS 1.0 and 1.1 are broken and not spoken";
        if (1..771).contains(&self.max_version) {
            faults.push(
                Fault::error(transport.at(max), format!("{OLD}, so nothing is left"))
                    .hint("1.2 is the oldest"),
            );
        } else if self.max_version != 0 && self.min_version > self.max_version {
            faults.push(Fault::error(transport.at(min), format!("`{min}` is above `{max}`")));
        }
        if (1..771).contains(&self.min_version) {
            faults.push(Fault::warning(transport.at(min), format!("{OLD}; 1.2 is the oldest")));
        }
        let of_1_2 = |cipher: &str| cipher.starts_with("TLS_ECDHE_");
        if self.max_version == 771
            && !self.ciphers.is_empty()
            && !self.ciphers.iter().any(|cipher| of_1_2(cipher))
        {
            faults.push(Fault::error(transport.at(ciphers), "none of the ciphers is one of TLS 1.2"));
        }
    }

    pub(super) fn write_classic(&self, definition: &mut Value) {
        definition["proxy"]["transport"] = json!({
            "ssl_insecure_skip_verify": self.insecure_skip_verify,
            "ssl_min_version": self.min_version,
            "ssl_max_version": self.max_version,
            "ssl_ciphers": self.ciphers,
            "ssl_force_common_name_check": self.common_name,
        });
        let certificates = self.certificates.iter().map(|(host, id)| (host.to_owned(), Value::from(&**id)));
        definition["upstream_certificates"] = Value::Object(certificates.collect());
        definition["upstream_certificates_disabled"] = self.certificates.is_empty().into();
        let pins = self.pins.iter().map(|(host, pins)| (host.to_owned(), Value::from(pins.join(","))));
        definition["pinned_public_keys"] = Value::Object(pins.collect());
        definition["certificate_pinning_disabled"] = self.pins.is_empty().into();
    }
}

/// The entries of a list that stands in one text.
fn listed(text: &str) -> Option<Box<[Box<str>]>> {
    let entries: Box<[Box<str>]> =
        text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(Into::into).collect();
    (!entries.is_empty()).then_some(entries)
}

/// The members of an object whose names are patterns of hosts.
fn by_host<T>(holder: &Section<'_>, faults: &mut Vec<Fault>, read: impl Fn(&str) -> Option<T>) -> ByHost<T> {
    let mut entries = Vec::new();
    for pattern in holder.object.into_iter().flat_map(|object| object.keys()) {
        hosts::check(pattern, holder.at(pattern), faults);
        let text = holder.text(pattern, faults);
        match Some(text).filter(|text| !text.is_empty()).and_then(&read) {
            Some(value) => entries.push((pattern.as_str().into(), value)),
            None => {
                faults.push(Fault::error(holder.at(pattern), format!("nothing is said about `{pattern}`")))
            }
        }
    }
    entries.into_iter().collect()
}

/// The entries of a list that has a `domain` in each.
fn mapped<T>(
    holder: &Section<'_>,
    key: &str,
    faults: &mut Vec<Fault>,
    read: impl Fn(&Section<'_>, &mut Vec<Fault>) -> Result<T, &'static str>,
) -> ByHost<T> {
    let mut entries = Vec::new();
    let items = holder.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for (index, item) in items.iter().enumerate() {
        let pointer = pointer_join(&holder.at(key), &index.to_string());
        let entry = Section { object: item.as_object(), pointer };
        let domain = entry.text("domain", faults);
        hosts::check(domain, entry.at("domain"), faults);
        match read(&entry, faults) {
            Ok(value) => entries.push((domain.into(), value)),
            Err(missing) => {
                faults.push(Fault::error(entry.at(missing), format!("nothing is said about `{domain}`")));
            }
        }
    }
    entries.into_iter().collect()
}

fn ciphers(holder: &Section<'_>, key: &str, faults: &mut Vec<Fault>) -> Box<[Box<str>]> {
    let mut known: Vec<Box<str>> = Vec::new();
    for (index, name) in holder.texts(key, faults).iter().enumerate() {
        // The one name that is short in some lists.
        let mut upper = name.trim().to_ascii_uppercase();
        if upper.starts_with("TLS_ECDHE_") && upper.ends_with("_CHACHA20_POLY1305") {
            upper.push_str("_SHA256");
        }
        if CIPHERS.contains(&&*upper) {
            known.push(upper.into());
            continue;
        }
        let at = pointer_join(&holder.at(key), &index.to_string());
        let fault = Fault::warning(at, format!("the cipher `{name}` is not offered: it is weak, or unknown"));
        faults.push(match document::nearest(&upper, CIPHERS.into_iter()) {
            Some(meant) => fault.hint(format!("did you mean `{meant}`?")),
            None => fault,
        });
    }
    if known.is_empty() && holder.get(key).and_then(Value::as_array).is_some_and(|list| !list.is_empty()) {
        let fault = Fault::error(holder.at(key), "none of the ciphers can be offered, so nothing is left");
        faults.push(fault.hint(format!("use some of {}", CIPHERS.join(", "))));
    }
    known.into()
}
