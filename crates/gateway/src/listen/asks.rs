//! How clients are asked for a certificate of theirs, by the name that they ask for.
//!
//! The handshake proves that a client holds the key of the certificate that it shows. Whether that certificate may do
//! anything is for the chain of the API to say, which then can tell why not.

use std::collections::HashMap;
use std::sync::Arc;

use apidef::{Api, Template};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use crate::settings::Settings;

/// What a client is asked for in the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Asks {
    /// Nothing.
    #[default]
    Nothing,
    /// A certificate; without one it goes on.
    IfThereIsOne,
    /// A certificate; without one the handshake fails.
    Always,
}

/// What clients are asked for, by the name that they ask for (contract 12, "Client auth level per domain").
#[derive(Debug, Default)]
pub(crate) struct AskedByName {
    /// Lower case.
    names: HashMap<Box<str>, Asks>,
    /// Domains that are patterns.
    patterns: Vec<(Template, Asks)>,
    others: Asks,
}

impl AskedByName {
    /// What these APIs need.
    pub(crate) fn by<'a>(apis: impl Iterator<Item = &'a Api>, settings: &Settings) -> Self {
        let mut anywhere: Vec<Asks> = Vec::new();
        let mut by_domain: HashMap<Box<str>, Vec<Asks>> = HashMap::new();
        // Those whose connections are passed through have ports of their own, where they ask themselves.
        for api in apis.filter(|api| api.pass_through.is_none()) {
            match settings.host_of(api) {
                Some(domain) => by_domain.entry(domain.into()).or_default().push(wanted(api)),
                None => anywhere.push(wanted(api)),
            }
        }
        if !settings.control_apart {
            // The admin API answers there as well, and the endpoints that tell how the gate is.
            let needs_one = settings.certificates.control_needs_one;
            let asks = if needs_one { Asks::IfThereIsOne } else { Asks::Nothing };
            match &settings.control_hostname {
                None => anywhere.push(asks),
                Some(name) => by_domain.entry(name.to_ascii_lowercase().into()).or_default().push(asks),
            }
        }
        let (mut names, mut patterns) = (HashMap::new(), Vec::new());
        for (name, mut asked) in by_domain {
            asked.extend(&anywhere);
            let asks = together(&asked);
            match Template::of_domain(&name) {
                Ok(Some(pattern)) => patterns.push((pattern, asks)),
                _ => drop(names.insert(name, asks)),
            }
        }
        Self { names, patterns, others: together(&anywhere) }
    }

    /// What a client is asked for that wants this name.
    pub(crate) fn of(&self, name: Option<&str>) -> Asks {
        let Some(name) = name.map(str::to_ascii_lowercase) else { return self.others };
        let exact = self.names.get(&*name).copied();
        if self.patterns.is_empty() {
            return exact.unwrap_or(self.others);
        }
        let fitting = self.patterns.iter().filter(|(pattern, _)| pattern.fits(&name)).map(|(_, asks)| *asks);
        let asked: Vec<Asks> = exact.into_iter().chain(fitting).collect();
        if asked.is_empty() { self.others } else { together(&asked) }
    }
}

fn wanted(api: &Api) -> Asks {
    if api.client_certificates.is_some() {
        Asks::Always
    } else if api.auth.may_use_certificates() {
        Asks::IfThereIsOne
    } else {
        Asks::Nothing
    }
}

fn together(asked: &[Asks]) -> Asks {
    if asked.iter().all(|asks| *asks == Asks::Nothing) {
        Asks::Nothing
    } else if asked.iter().all(|asks| *asks == Asks::Always) {
        Asks::Always
    } else {
        Asks::IfThereIsOne
    }
}

/// Takes any certificate of a client that holds its key.
#[derive(Debug)]
pub(crate) struct AnyClient {
    provider: Arc<CryptoProvider>,
    mandatory: bool,
}

impl AnyClient {
    pub(crate) fn new(provider: Arc<CryptoProvider>, mandatory: bool) -> Self {
        Self { provider, mandatory }
    }
}

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::Asks::{Always, IfThereIsOne, Nothing};
    use super::*;

    fn api(domain: &str, mutual: bool) -> Api {
        let text = serde_json::json!({
            "api_id": "a", "domain": domain, "use_keyless": true, "use_mutual_tls_auth": mutual,
            "client_certificates": ["x"], "active": true, "name": "a", "version_data": {"not_versioned": true},
            "proxy": {"listen_path": "/", "target_url": "http://localhost"}
        });
        let definition = apidef::Definition::parse(&text.to_string());
        (*definition.expect("a definition").api).clone()
    }

    #[test]
    fn c5_9_row_4_clients_are_asked_by_what_the_apis_of_a_name_need() {
        type Case<'a> = (&'a [(&'a str, bool)], Control, Option<&'a str>, Asks);
        let (apart, control) = (Control::Apart, Control::At("Admin.example", false));
        let mutual_control = Control::At("Admin.example", true);
        let cases: &[Case<'_>] = &[
            (&[], apart, None, Nothing),
            (&[("", false)], apart, Some("a.example"), Nothing),
            (&[("", true)], apart, Some("a.example"), Always),
            (&[("", true)], apart, None, Always),
            (&[("", true)], Control::Anywhere, None, IfThereIsOne),
            (&[("", true), ("", false)], apart, None, IfThereIsOne),
            (&[("a.example", true)], apart, Some("A.Example"), Always),
            (&[("a.example", true)], apart, Some("b.example"), Nothing),
            (&[("a.example", true), ("a.example", false)], apart, Some("a.example"), IfThereIsOne),
            (&[("a.example", true), ("", false)], apart, Some("a.example"), IfThereIsOne),
            (&[("{x}.example", true)], apart, Some("A.Example"), Always),
            (&[("{x}.example", true)], apart, Some("example"), Nothing),
            (&[("{x}.example", true), ("a.example", false)], apart, Some("a.example"), IfThereIsOne),
            (&[("{x}.example", true), ("", false)], apart, Some("a.example"), IfThereIsOne),
            // The admin API has a name of its own: that is asked as the admin API needs it.
            (&[], control, Some("admin.example"), Nothing),
            (&[], mutual_control, Some("admin.EXAMPLE"), IfThereIsOne),
            (&[], mutual_control, Some("a.example"), Nothing),
            (&[("", true)], control, Some("admin.example"), IfThereIsOne),
            (&[("", true)], control, Some("a.example"), Always),
            (&[("admin.example", false)], mutual_control, Some("admin.example"), IfThereIsOne),
        ];
        for (apis, control, name, asks) in cases {
            let apis: Vec<Api> = apis.iter().map(|(domain, mutual)| api(domain, *mutual)).collect();
            let mut settings =
                Settings { control_apart: matches!(control, Control::Apart), ..Settings::default() };
            if let Control::At(name, needs_one) = control {
                settings.control_hostname = Some((*name).into());
                settings.certificates.control_needs_one = *needs_one;
            }
            assert_eq!(AskedByName::by(apis.iter(), &settings).of(*name), *asks, "{apis:?} {name:?}");
        }
    }

    /// Where the admin API is, and whether it needs a certificate.
    #[derive(Clone, Copy)]
    enum Control {
        Apart,
        Anywhere,
        At(&'static str, bool),
    }
}
