//! Auth token: a key in a header, query parameter or cookie (contract 5.2).

use super::{KeySignature, Sources};
use crate::section::Section;
use document::Fault;
use serde_json::Value;

/// A key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Token {
    /// Where it is looked for.
    pub sources: Sources,
    /// The certificate of a TLS client stands for the key that is bound to it, and a key that is bound to a certificate
    /// needs it (dynamic mutual TLS).
    pub certificate: bool,
    /// A signature is needed beside the key.
    pub signature: Option<KeySignature>,
}

impl Token {
    pub(super) fn classic(root: &Section<'_>, configs: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let mut config = configs.section("authToken", faults);
        if !config.exists() {
            config = root.section("auth", faults);
        }
        Self {
            certificate: config.flag("use_certificate", faults),
            signature: KeySignature::classic(&config, faults),
            sources: Sources::classic(&config, "authToken", faults),
        }
    }

    /// OpenAPI says where the key is, and the extension may add to it.
    pub(super) fn oas(scheme: &Section<'_>, component: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let place = component.text("in", faults);
        let name = component.text("name", faults);
        if !matches!(place, "header" | "query" | "cookie") {
            faults.push(Fault::error(component.at("in"), "an apiKey is `in` a header, query or cookie"));
        }
        if name.is_empty() {
            faults.push(Fault::error(component.at("name"), "an apiKey needs a `name`"));
        }
        Self {
            certificate: scheme.flag("enableClientCertificate", faults),
            signature: KeySignature::oas(scheme, faults),
            sources: Sources::oas(scheme, (place, name), faults),
        }
    }

    pub(super) fn write_classic(&self, definition: &mut Value) {
        definition["use_standard_auth"] = true.into();
        definition["auth_configs"]["authToken"] = self.sources.write_classic();
        definition["auth_configs"]["authToken"]["use_certificate"] = self.certificate.into();
        if let Some(signature) = &self.signature {
            definition["auth_configs"]["authToken"]["validate_signature"] = true.into();
            definition["auth_configs"]["authToken"]["signature"] = signature.write_classic();
        }
    }
}
