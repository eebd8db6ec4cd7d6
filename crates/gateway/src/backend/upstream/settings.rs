//! What every upstream of the gate has in common.

use std::sync::Arc;
use std::time::Duration;

use apidef::UpstreamTls;
use rustls::RootCertStore;
use streams::Egress;

use super::names::{KeepNames, Names};
use super::pool::KeepAlive;
use super::security::Security;
use super::tls::{Proof, usual_roots};
use crate::listen::tls::{CertificateFiles, TlsError, certified_key, read_certificates, read_folder};
use crate::stores::TrustSettings;

/// What every upstream of the gate has in common.
#[derive(Debug, Clone)]
pub struct UpstreamSettings {
    /// Bound for dialling and for the response head (`proxy_default_timeout`).
    pub timeout: Duration,
    /// Which connections are kept for the next exchange.
    pub keep: KeepAlive,
    /// Whether upgrades pass (`enable_websockets`).
    pub websockets: bool,
    /// Offer HTTP/2 to TLS upstreams (`proxy_enable_http2`).
    pub http2: bool,
    /// TLS where APIs do not say (`proxy_ssl_*`, `security.certificates.upstream`, `security.pinned_public_keys`).
    pub common: UpstreamTls,
    /// What the names of upstreams stand for.
    pub names: Arc<Names>,
    /// Where the gate may ask by itself, and where requests may choose to be sent (`egress`).
    pub egress: Arc<Egress>,
    /// Client side TLS that checks certificates.
    pub(crate) tls: ClientTls,
    /// Client side TLS that does not.
    pub(crate) insecure_tls: ClientTls,
    /// The name that certificates have to have, instead of the host that is asked.
    pub(crate) name: Option<Box<str>>,
}

/// TLS towards upstreams, by what the connection is for.
#[derive(Debug, Clone)]
pub(crate) struct ClientTls {
    /// For requests: may offer HTTP/2.
    pub(super) requests: Arc<rustls::ClientConfig>,
    /// For upgrades, which only HTTP/1.1 knows.
    pub(super) upgrades: Arc<rustls::ClientConfig>,
}

impl UpstreamSettings {
    /// With TLS as `common` has it. Blocking: reads the machine's root certificates.
    ///
    /// # Errors
    /// Versions and ciphers that leave nothing.
    pub fn new(
        timeout: Duration,
        keep: KeepAlive,
        websockets: bool,
        http2: bool,
        common: UpstreamTls,
    ) -> Result<Self, TlsError> {
        let build = |insecure| {
            ClientTls::build(&Security::usual(&common, insecure), usual_roots(), &Proof::default(), http2)
        };
        let (tls, insecure_tls) = (build(false)?, build(true)?);
        let (names, egress) = (Names::new(None), Arc::default());
        Ok(Self { timeout, keep, websockets, http2, common, names, egress, tls, insecure_tls, name: None })
    }

    /// The same, under this policy.
    #[must_use]
    pub fn under(self, egress: Egress) -> Self {
        Self { egress: Arc::new(egress), ..self }
    }

    /// The same, with the addresses of names kept (`dns_cache`).
    #[must_use]
    pub fn keeping_names(self, keep: KeepNames) -> Self {
        Self { names: Names::new(Some(keep)), ..self }
    }

    /// The same, with certificates checked by these roots and no others.
    pub(crate) fn trusting(&self, roots: &Arc<rustls::RootCertStore>) -> Result<Self, TlsError> {
        let security = Security::usual(&self.common, false);
        let tls = ClientTls::build(&security, roots, &Proof::default(), self.http2)?;
        Ok(Self { tls, ..self.clone() })
    }

    /// For a store of values, with trust of its own. Blocking: reads files.
    ///
    /// # Errors
    /// Files that cannot be used.
    pub(crate) fn of_store(timeout: Duration, trust: &TrustSettings) -> Result<Self, TlsError> {
        Self::of_another(timeout, trust, UpstreamTls::default(), false)
    }

    /// For a collector of traces, with trust of its own and versions of TLS (lowest, highest). Blocking: reads files.
    ///
    /// # Errors
    /// Files that cannot be used.
    pub(crate) fn of_collector(
        timeout: Duration,
        trust: &TrustSettings,
        (min_version, max_version): (u16, u16),
        http2: bool,
    ) -> Result<Self, TlsError> {
        let common = UpstreamTls { min_version, max_version, ..UpstreamTls::default() };
        Self::of_another(timeout, trust, common, http2)
    }

    fn of_another(
        timeout: Duration,
        trust: &TrustSettings,
        common: UpstreamTls,
        http2: bool,
    ) -> Result<Self, TlsError> {
        let (file, folder) = (&trust.ca_file, &trust.ca_folder);
        let authorities = match (file.as_os_str().is_empty(), folder.as_os_str().is_empty()) {
            (false, _) => Some(read_certificates(file)?),
            (true, false) => Some(read_folder(folder)?),
            (true, true) => None,
        };
        let roots = match authorities {
            None => Arc::clone(usual_roots()),
            Some(authorities) => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(authorities);
                Arc::new(roots)
            }
        };
        let certified = if trust.cert_file.as_os_str().is_empty() {
            None
        } else {
            let key = if trust.key_file.as_os_str().is_empty() { &trust.cert_file } else { &trust.key_file };
            let files = CertificateFiles { certificate: trust.cert_file.clone(), key: key.clone() };
            Some(certified_key(&files)?)
        };
        let proof = Proof { pins: None, certified };
        let build = |insecure| ClientTls::build(&Security::usual(&common, insecure), &roots, &proof, http2);
        let (tls, insecure_tls) = (build(false)?, build(true)?);
        let keep = KeepAlive::default();
        // The configuration alone says where this leads.
        let (names, egress) = (Names::new(None), Arc::default());
        let name = (!trust.name.is_empty()).then(|| trust.name.as_str().into());
        Ok(Self { timeout, keep, websockets: false, http2, common, names, egress, tls, insecure_tls, name })
    }
}
