//! Requests that the gate signs for an upstream (contract 5.4): the same signatures that it takes from callers.

use super::header;
use crate::Secret;
use crate::auth::SignatureAlgorithm;
use crate::fields::{Field, acts};
use crate::section::Section;
use document::Fault;
use serde_json::{Value, json};

/// `request_signing`.
pub(crate) const CLASSIC: &[Field] = &[
    acts("is_enabled"),
    acts("secret"),
    acts("key_id"),
    acts("algorithm"),
    acts("header_list"),
    acts("certificate_id"),
    acts("signature_header"),
];

/// `upstream.authentication.requestSigning`.
pub(crate) const OAS: &[Field] = &[
    acts("enabled"),
    acts("signatureHeader"),
    acts("algorithm"),
    acts("keyId"),
    acts("headers"),
    acts("secret"),
    acts("certificateId"),
];

/// How requests are signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestSigning {
    /// The header that the signature is sent in, lower case.
    pub header: Box<str>,
    /// Whose signature it says it is.
    pub key_id: Box<str>,
    /// How it is made.
    pub algorithm: SignatureAlgorithm,
    /// By what.
    pub key: SigningKey,
    /// What is signed, lower case; empty: method and path, host, and date. The date is signed in any case.
    pub signed: Box<[Box<str>]>,
}

/// What requests are signed by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SigningKey {
    /// A secret that the upstream knows.
    Secret(Secret),
    /// The private key of a certificate: its id, or a PEM file.
    Certificate(Box<str>),
}

/// Names that differ between the formats.
struct Names {
    enabled: &'static str,
    key_id: &'static str,
    headers: &'static str,
    certificate: &'static str,
    header: &'static str,
}

impl RequestSigning {
    pub(super) fn classic(signing: &Section<'_>, faults: &mut Vec<Fault>) -> Option<Self> {
        let names = Names {
            enabled: "is_enabled",
            key_id: "key_id",
            headers: "header_list",
            certificate: "certificate_id",
            header: "signature_header",
        };
        read(signing, &names, faults)
    }

    pub(super) fn oas(signing: &Section<'_>, faults: &mut Vec<Fault>) -> Option<Self> {
        let names = Names {
            enabled: "enabled",
            key_id: "keyId",
            headers: "headers",
            certificate: "certificateId",
            header: "signatureHeader",
        };
        read(signing, &names, faults)
    }

    pub(super) fn write_classic(&self) -> Value {
        let (secret, certificate) = match &self.key {
            SigningKey::Secret(secret) => (&*secret.0, ""),
            SigningKey::Certificate(id) => ("", &**id),
        };
        json!({
            "is_enabled": true,
            "secret": secret,
            "key_id": self.key_id,
            "algorithm": self.algorithm.name(),
            "header_list": self.signed,
            "certificate_id": certificate,
            "signature_header": self.header,
        })
    }
}

fn read(signing: &Section<'_>, names: &Names, faults: &mut Vec<Fault>) -> Option<RequestSigning> {
    if !signing.flag(names.enabled, faults) {
        return None;
    }
    const MISSING: &str = "Fields required for signing the request are missing";
    let key_id = needed(signing, names.key_id, MISSING, faults);
    if key_id.contains(['"', '\\']) || key_id.chars().any(char::is_control) {
        faults.push(Fault::error(
            signing.at(names.key_id),
            "a key's id holds no quotes and no control characters",
        ));
    }
    let name = signing.text("algorithm", faults);
    let algorithm = SignatureAlgorithm::named(name);
    if algorithm.is_none() {
        let message = if name.is_empty() { MISSING } else { "Request signing algorithm is not supported" };
        let fault = Fault::error(signing.at("algorithm"), message);
        faults.push(fault.hint(SignatureAlgorithm::hint()));
    }
    let key = match algorithm? {
        SignatureAlgorithm::RsaSha256 => {
            let id = needed(signing, names.certificate, "CertificateID is empty", faults);
            SigningKey::Certificate(id.into())
        }
        _ => SigningKey::Secret(Secret(needed(signing, "secret", MISSING, faults).to_owned())),
    };
    let mut signed: Vec<Box<str>> = Vec::new();
    for (index, written) in signing.texts(names.headers, faults).iter().enumerate() {
        let name = written.trim().to_ascii_lowercase();
        let token =
            name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
        if (name.is_empty() || !token) && name != "(request-target)" {
            let at = document::pointer_join(&signing.at(names.headers), &index.to_string());
            faults.push(Fault::error(at, format!("`{written}` is no name of a header")));
        } else if !signed.iter().any(|known| **known == *name) {
            signed.push(name.into());
        }
    }
    Some(RequestSigning {
        header: header(signing, names.header, faults),
        key_id: key_id.into(),
        algorithm: algorithm?,
        key,
        signed: signed.into(),
    })
}

fn needed<'v>(signing: &Section<'v>, key: &str, message: &str, faults: &mut Vec<Fault>) -> &'v str {
    let text = signing.text(key, faults);
    if text.is_empty() {
        faults.push(Fault::error(signing.at(key), message).hint(format!("set `{key}`")));
    }
    text
}
