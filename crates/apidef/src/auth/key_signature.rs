//! Signatures of keys (contract 5.2): beside the key a request carries a hash over the key, a secret and the time.

use crate::Secret;
use crate::fields::{Field, acts, section};
use crate::section::Section;
use document::Fault;
use serde_json::{Value, json};

/// `auth_configs.authToken.signature`.
pub(crate) const CLASSIC: &[Field] = &[
    acts("algorithm"),
    acts("header"),
    acts("use_param"),
    acts("param_name"),
    acts("secret"),
    acts("allowed_clock_skew"),
    acts("error_code"),
    acts("error_message"),
];

/// `signatureValidation` of a scheme that OpenAPI calls `apiKey`.
pub(crate) const OAS: &[Field] = &[
    acts("enabled"),
    acts("algorithm"),
    acts("header"),
    section("query", super::oas::SOURCE),
    acts("secret"),
    acts("allowedClockSkew"),
    acts("errorCode"),
    acts("errorMessage"),
];

/// Every second of the skew costs a hash for a key that somebody guesses a signature for.
const LARGEST_SKEW: f64 = 3600.0;

/// How the signature of a key is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySignature {
    /// How it is made.
    pub algorithm: KeySignatureAlgorithm,
    /// The header that it is in, lower case.
    pub header: Option<Box<str>>,
    /// The query parameter that it is in; it comes before the header.
    pub query: Option<Box<str>>,
    /// What both sides know; `$tyk_meta.NAME` in it is replaced by what the session's metadata say.
    pub secret: Secret,
    /// How many seconds the clocks may be apart.
    pub skew: u32,
    /// Status of the refusal; 401 if the definition says nothing.
    pub status: u16,
    /// Text of the refusal; `None`: the usual one.
    pub message: Option<Box<str>>,
}

/// What the signature of a key is: hex of a hash over key, secret and Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySignatureAlgorithm {
    /// MD5.
    MasheryMd5,
    /// SHA-256.
    MasherySha256,
}

impl KeySignatureAlgorithm {
    const NAMES: [(&'static str, Self); 2] =
        [("MasherySHA256", Self::MasherySha256), ("MasheryMD5", Self::MasheryMd5)];

    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }
}

/// Names that differ between the formats.
struct Names {
    skew: &'static str,
    status: &'static str,
    message: &'static str,
}

impl KeySignature {
    pub(super) fn classic(config: &Section<'_>, faults: &mut Vec<Fault>) -> Option<Self> {
        if !config.flag("validate_signature", faults) {
            return None;
        }
        let signature = config.section("signature", faults);
        let header = signature.text("header", faults);
        let param = match signature.text("param_name", faults) {
            "" => header,
            name => name,
        };
        let query = signature.flag("use_param", faults).then_some(param);
        let names = Names { skew: "allowed_clock_skew", status: "error_code", message: "error_message" };
        read(&signature, query, &names, faults)
    }

    pub(super) fn oas(scheme: &Section<'_>, faults: &mut Vec<Fault>) -> Option<Self> {
        let signature = scheme.section("signatureValidation", faults);
        if !signature.flag("enabled", faults) {
            return None;
        }
        let query = signature.section("query", faults);
        let name = query.text("name", faults);
        let query = query.flag("enabled", faults).then_some(name);
        let names = Names { skew: "allowedClockSkew", status: "errorCode", message: "errorMessage" };
        read(&signature, query, &names, faults)
    }

    /// What `auth_configs.authToken.signature` is to say.
    pub(super) fn write_classic(&self) -> Value {
        json!({
            "algorithm": self.algorithm.name(),
            "header": self.header.as_deref().unwrap_or_default(),
            "use_param": self.query.is_some(),
            "param_name": self.query.as_deref().unwrap_or_default(),
            "secret": self.secret.0,
            "allowed_clock_skew": self.skew,
            "error_code": self.status,
            "error_message": self.message.as_deref().unwrap_or_default(),
        })
    }
}

fn read(
    signature: &Section<'_>,
    query: Option<&str>,
    names: &Names,
    faults: &mut Vec<Fault>,
) -> Option<KeySignature> {
    let some = |text: &str| (!text.is_empty()).then(|| text.into());
    let name = signature.text("algorithm", faults);
    let algorithm = KeySignatureAlgorithm::NAMES.iter().find(|(known, _)| *known == name);
    if algorithm.is_none() {
        let fault = Fault::error(signature.at("algorithm"), format!("`{name}` signs no keys"));
        faults.push(fault.hint("use `MasherySHA256` or `MasheryMD5`"));
    }
    let header: Option<Box<str>> = some(signature.text("header", faults));
    let query: Option<Box<str>> = query.and_then(some);
    if header.is_none() && query.is_none() {
        let message = "where is the signature? Neither a header nor a query parameter is named";
        faults.push(Fault::error(signature.at("header"), message));
    }
    let secret = signature.text("secret", faults);
    if secret.is_empty() {
        faults.push(Fault::error(
            signature.at("secret"),
            "`secret` is missing: whoever knows a key could sign it",
        ));
    }
    let skew = signature.number(names.skew, faults);
    if !(0.0..=LARGEST_SKEW).contains(&skew) {
        let fault = Fault::error(signature.at(names.skew), format!("a skew of {skew} s cannot be searched"));
        faults.push(fault.hint(format!("use 0 to {LARGEST_SKEW} seconds")));
    }
    let status = signature.number(names.status, faults);
    if status != 0.0 && !(400.0..600.0).contains(&status) {
        let message = format!("{status} is no status of a refusal");
        faults.push(Fault::error(signature.at(names.status), message).hint("use 400 to 599"));
    }
    // What is out of bounds was told; the figures fit.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "both are clamped")]
    let (skew, status) = (skew.clamp(0.0, LARGEST_SKEW) as u32, status.clamp(0.0, 599.0) as u16);
    Some(KeySignature {
        algorithm: algorithm?.1,
        header: header.map(|name| name.to_ascii_lowercase().into()),
        query,
        secret: Secret(secret.to_owned()),
        skew,
        status: if status == 0 { 401 } else { status },
        message: some(signature.text(names.message, faults)),
    })
}
