//! HTTP signatures (draft-cavage-http-signatures, contract 5.4): a caller signs its requests with a secret that it shares
//! with its key, or with an RSA key whose certificate its key names.

use super::{SOURCE, Sources};
use crate::fields::{Field, acts, section};
use crate::section::Section;
use document::{Fault, pointer_join};
use serde_json::{Value, json};
use std::time::Duration;

/// `server.authentication.hmac`.
pub(crate) const OAS: &[Field] = &[
    acts("enabled"),
    section("header", SOURCE),
    section("query", SOURCE),
    section("cookie", SOURCE),
    acts("allowedAlgorithms"),
    acts("allowedClockSkew"),
];

/// Signed requests.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HttpSignature {
    /// Where the signature is looked for.
    pub sources: Sources,
    /// How far the date of a request may be from now; `None`: it is not looked at, and a request can be repeated.
    pub skew: Option<Duration>,
    /// How requests may be signed; empty: in any way that is known.
    pub algorithms: Box<[SignatureAlgorithm]>,
}

/// How a request is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// HMAC with SHA-1.
    HmacSha1,
    /// HMAC with SHA-256.
    HmacSha256,
    /// HMAC with SHA-384.
    HmacSha384,
    /// HMAC with SHA-512.
    HmacSha512,
    /// RSA (PKCS #1 v1.5) with SHA-256.
    RsaSha256,
}

impl SignatureAlgorithm {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::HmacSha1, Self::HmacSha256, Self::HmacSha384, Self::HmacSha512, Self::RsaSha256];

    /// As signatures and definitions name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::HmacSha1 => "hmac-sha1",
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha384 => "hmac-sha384",
            Self::HmacSha512 => "hmac-sha512",
            Self::RsaSha256 => "rsa-sha256",
        }
    }

    /// By its name, which is case-sensitive.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// What to write instead of a name that is none.
    pub(crate) fn hint() -> String {
        format!("use one of {}", Self::ALL.map(|known| format!("`{}`", known.name())).join(", "))
    }
}

impl HttpSignature {
    pub(super) fn classic(root: &Section<'_>, configs: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        Self {
            sources: Sources::classic(&configs.section("hmac", faults), "hmac", faults),
            skew: skew(root, "hmac_allowed_clock_skew", faults),
            algorithms: algorithms(root, "hmac_allowed_algorithms", faults),
        }
    }

    pub(super) fn oas(scheme: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        Self {
            sources: Sources::oas_http(scheme, faults),
            skew: skew(scheme, "allowedClockSkew", faults),
            algorithms: algorithms(scheme, "allowedAlgorithms", faults),
        }
    }

    pub(super) fn write_classic(&self, definition: &mut Value) {
        definition["enable_signature_checking"] = true.into();
        definition["hmac_allowed_clock_skew"] =
            self.skew.map_or(json!(-1), |skew| json!(skew.as_secs_f64() * 1000.0));
        definition["hmac_allowed_algorithms"] = self.algorithms.iter().map(|known| known.name()).collect();
        definition["auth_configs"]["hmac"] = self.sources.write_classic();
    }
}

/// Milliseconds; 0 and less: none.
fn skew(holder: &Section<'_>, key: &str, faults: &mut Vec<Fault>) -> Option<Duration> {
    const A_YEAR: f64 = 366.0 * 86_400_000.0;
    let milliseconds = holder.number(key, faults);
    if milliseconds > 0.0 {
        return Some(Duration::from_secs_f64(milliseconds.min(A_YEAR) / 1000.0));
    }
    let fault = Fault::warning(
        holder.at(key),
        "the date of signed requests is not checked, so they can be repeated at any time",
    );
    faults.push(fault.hint(format!("set `{key}` to some 30000 milliseconds")));
    None
}

fn algorithms(holder: &Section<'_>, key: &str, faults: &mut Vec<Fault>) -> Box<[SignatureAlgorithm]> {
    let names = holder.texts(key, faults);
    let mut known = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        match SignatureAlgorithm::named(name) {
            Some(algorithm) => known.push(algorithm),
            None => faults.push(
                Fault::error(
                    pointer_join(&holder.at(key), &index.to_string()),
                    format!("`{name}` is no signature algorithm"),
                )
                .hint(SignatureAlgorithm::hint()),
            ),
        }
    }
    known.into()
}
