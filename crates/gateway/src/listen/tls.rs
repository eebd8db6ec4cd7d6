//! TLS towards clients, with certificates by host name that can be swapped while it runs.

use std::collections::HashMap;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use apidef::Template;
use arc_swap::ArcSwap;

use super::asks::{AnyClient, Asks};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion, version};

use self::tickets::Tickets;

mod ciphers;
#[cfg(test)]
mod tests;
mod tickets;

/// Why TLS could not be set up; the text names the file and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsError(String);

impl TlsError {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}

/// A certificate chain and its private key, as PEM files. Both may be the same file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key: PKCS#8, PKCS#1 or SEC1, not encrypted.
    pub key: PathBuf,
}

/// Which certificates a listener offers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateSet {
    /// Chosen by the names inside the certificates. The first also serves clients that ask for no known name; without
    /// any default, the first of `domains` does.
    pub defaults: Vec<CertificateFiles>,
    /// Chosen by this name, whatever the certificate says: `api.example.com`, or `*.example.com` for one more label.
    pub domains: Vec<(String, CertificateFiles)>,
    /// None of them need be there: others are obtained while the gate runs.
    pub may_be_empty: bool,
}

impl CertificateSet {
    /// Whether it names none.
    pub fn is_empty(&self) -> bool {
        self.defaults.is_empty() && self.domains.is_empty()
    }
}

/// How a TLS listener is set up (contract 1.3, `http_server_options`).
#[derive(Debug, Clone, Default)]
pub struct ServerTlsSettings {
    /// What to offer at the start; [`Certificates::swap`] changes it later.
    pub certificates: CertificateSet,
    /// Offer HTTP/2 besides HTTP/1.1 (`enable_http2`).
    pub http2: bool,
    /// `min_version`: 769 to 772 for TLS 1.0 to 1.3; 0 means 1.2.
    pub min_version: u16,
    /// `max_version`, likewise; 0 means 1.3.
    pub max_version: u16,
    /// Suites of TLS 1.2 that are offered (`ssl_ciphers`), by their names in the registry of IANA; empty: all that are good.
    pub ciphers: Vec<String>,
}

/// A TLS listener's configuration: one for each way of asking clients for a certificate.
#[derive(Debug)]
pub struct ServerTls {
    silent: Arc<ServerConfig>,
    asking: Arc<ServerConfig>,
    demanding: Arc<ServerConfig>,
    /// For changing certificates later.
    pub certificates: Arc<Certificates>,
    /// What was asked for and is not done, for the log.
    pub warnings: Vec<String>,
}

impl ServerTls {
    /// For the acceptor.
    pub fn config(&self, asks: Asks) -> Arc<ServerConfig> {
        Arc::clone(match asks {
            Asks::Nothing => &self.silent,
            Asks::IfThereIsOne => &self.asking,
            Asks::Always => &self.demanding,
        })
    }
}

/// Builds the configuration of a TLS listener. Blocking: reads files.
///
/// # Errors
/// Unreadable or malformed files, a key that does not belong to its certificate, versions that leave nothing.
pub fn server_tls(settings: &ServerTlsSettings) -> Result<ServerTls, TlsError> {
    let mut warnings = Vec::new();
    let mut versions = versions(settings.min_version, settings.max_version, &mut warnings)?;
    let provider = ciphers::chosen(&settings.ciphers, &mut warnings);
    if versions.contains(&&version::TLS12) && !ciphers::serve_tls12(&provider) {
        versions.retain(|offered| **offered != version::TLS12);
        if versions.is_empty() {
            return Err(TlsError("tls `ssl_ciphers` names no suite that TLS 1.2 can be offered with".into()));
        }
        warnings.push("tls `ssl_ciphers` names no suite of TLS 1.2, so TLS 1.3 alone is offered".into());
    }
    let certificates = Arc::new(Certificates::load(&settings.certificates)?);
    let config = |asks| config(settings, (&provider, &versions), &certificates, asks);
    Ok(ServerTls {
        silent: config(Asks::Nothing)?,
        asking: config(Asks::IfThereIsOne)?,
        demanding: config(Asks::Always)?,
        certificates,
        warnings,
    })
}

fn config(
    settings: &ServerTlsSettings,
    (provider, versions): (&Arc<CryptoProvider>, &[&'static SupportedProtocolVersion]),
    certificates: &Arc<Certificates>,
    asks: Asks,
) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions)
        .map_err(|error| TlsError(format!("cannot set up tls: {error}")))?;
    let builder = match asks {
        Asks::Nothing => builder.with_no_client_auth(),
        _ => {
            let verifier = AnyClient::new(Arc::clone(provider), asks == Asks::Always);
            builder.with_client_cert_verifier(Arc::new(verifier))
        }
    };
    let mut config = builder.with_cert_resolver(Arc::clone(certificates) as Arc<dyn ResolvesServerCert>);
    config.alpn_protocols =
        if settings.http2 { vec![b"h2".into(), b"http/1.1".into()] } else { vec![b"http/1.1".into()] };
    // Its own for each way of asking: who was asked for no certificate cannot resume where one is asked for.
    let tickets = Tickets::new(tickets::PERIOD, Instant::now())
        .map_err(|error| TlsError(format!("cannot set up tls: {error}")))?;
    config.ticketer = Arc::new(tickets);
    Ok(Arc::new(config))
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()))
}

fn versions(
    min: u16,
    max: u16,
    warnings: &mut Vec<String>,
) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    for (name, value) in [("min_version", min), ("max_version", max)] {
        if value != 0 && !(769..=772).contains(&value) {
            return Err(TlsError(format!("tls `{name}` is {value}; use 771 for TLS 1.2 or 772 for TLS 1.3")));
        }
    }
    let max = if max == 0 { 772 } else { max };
    if max < 771 {
        return Err(TlsError(format!(
            "tls `max_version` {max} allows only TLS 1.0 and 1.1, which are broken and not offered; use 771 or 772"
        )));
    }
    if min > max {
        return Err(TlsError(format!("tls `min_version` {min} is above `max_version` {max}")));
    }
    if min != 0 && min < 771 {
        warnings.push(format!(
            "tls `min_version` {min} asks for TLS 1.0 or 1.1, which are broken and not offered; 1.2 is the oldest"
        ));
    }
    let offered = [(771, &version::TLS12), (772, &version::TLS13)];
    Ok(offered
        .into_iter()
        .filter(|(number, _)| (min..=max).contains(number))
        .map(|(_, version)| version)
        .collect())
}

/// The certificates of a listener: chosen per handshake, swapped as a whole.
#[derive(Debug)]
pub struct Certificates {
    configured: ArcSwap<Chosen>,
    /// Those of APIs with a domain of their own; they come first.
    of_apis: ArcSwap<ByName>,
    /// Those that are obtained from a directory.
    obtained: ArcSwap<ByName>,
}

/// Certificates by lower-case name; wildcards by what follows their `*`, with its dot.
#[derive(Debug, Default)]
struct ByName {
    exact: HashMap<String, Arc<CertifiedKey>>,
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    /// Those of domains that are patterns, as these are written.
    patterns: Vec<(String, Template, Arc<CertifiedKey>)>,
    /// The one that was put in first.
    first: Option<Arc<CertifiedKey>>,
}

impl ByName {
    fn insert(&mut self, domain: &str, key: Arc<CertifiedKey>) {
        self.first.get_or_insert_with(|| Arc::clone(&key));
        if let Ok(Some(pattern)) = Template::of_domain(domain) {
            self.patterns.push((domain.to_owned(), pattern, key));
            return;
        }
        let domain = domain.to_ascii_lowercase();
        match domain.strip_prefix('*') {
            Some(rest) => self.wildcard.insert(rest.to_owned(), key),
            None => self.exact.insert(domain, key),
        };
    }

    /// What another set has for exactly this domain.
    fn take_over(&mut self, domain: &str, other: &Self) {
        let lower = domain.to_ascii_lowercase();
        let kept = match lower.strip_prefix('*') {
            Some(rest) => other.wildcard.get(rest),
            None => other.exact.get(&lower),
        };
        let pattern = || other.patterns.iter().find(|(known, ..)| known == domain).map(|(.., key)| key);
        if let Some(kept) = kept.or_else(pattern) {
            self.insert(domain, Arc::clone(kept));
        }
    }

    fn get(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let by_pattern = || {
            let fitting = self.patterns.iter().filter(|(_, pattern, _)| pattern.fits(name));
            fitting.min_by(|(_, one, _), (_, other, _)| one.rank().cmp(&other.rank()))
        };
        self.exact
            .get(name)
            .or_else(|| self.wildcard.get(&name[name.find('.')?..]))
            .or_else(|| by_pattern().map(|(.., key)| key))
    }
}

#[derive(Debug, Default)]
struct Chosen {
    defaults: Vec<Arc<CertifiedKey>>,
    by_name: ByName,
    /// For clients that name no host, or one that is not known.
    fallback: Option<Arc<CertifiedKey>>,
}

impl Certificates {
    /// Reads a set of certificates. Blocking: reads files.
    ///
    /// # Errors
    /// See [`server_tls`].
    pub fn load(set: &CertificateSet) -> Result<Self, TlsError> {
        let configured = ArcSwap::from_pointee(Chosen::load(set)?);
        Ok(Self { configured, of_apis: ArcSwap::default(), obtained: ArcSwap::default() })
    }

    /// Offers another set from the next handshake on; open connections stay as they are. Blocking: reads files.
    ///
    /// # Errors
    /// See [`server_tls`]; what was offered before stays then.
    pub fn swap(&self, set: &CertificateSet) -> Result<(), TlsError> {
        self.configured.store(Arc::new(Chosen::load(set)?));
        Ok(())
    }

    /// Offers these certificates for the domains of APIs from the next handshake on, and no longer those before; for
    /// `unknown` domains, those before.
    pub(crate) fn swap_domains(&self, domains: Vec<(String, CertifiedKey)>, unknown: &[String]) {
        swap(&self.of_apis, domains, unknown);
    }

    /// The same for those that are obtained from a directory.
    pub(crate) fn swap_obtained(&self, domains: Vec<(String, CertifiedKey)>, unknown: &[String]) {
        swap(&self.obtained, domains, unknown);
    }
}

fn swap(offered: &ArcSwap<ByName>, domains: Vec<(String, CertifiedKey)>, unknown: &[String]) {
    let (mut by_name, before) = (ByName::default(), offered.load());
    for domain in unknown {
        by_name.take_over(domain, &before);
    }
    for (domain, key) in domains {
        by_name.insert(&domain, Arc::new(key));
    }
    offered.store(Arc::new(by_name));
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let of_name = |offered: &ArcSwap<ByName>| {
            offered.load().get(&hello.server_name()?.to_ascii_lowercase()).map(Arc::clone)
        };
        of_name(&self.of_apis)
            .or_else(|| of_name(&self.obtained))
            .or_else(|| self.configured.load().choose(hello.server_name()))
            .or_else(|| self.obtained.load().first.clone())
    }
}

impl Chosen {
    fn load(set: &CertificateSet) -> Result<Self, TlsError> {
        let mut chosen = Self::default();
        for files in &set.defaults {
            chosen.defaults.push(certified_key(files)?);
        }
        chosen.fallback = chosen.defaults.first().cloned();
        for (domain, files) in &set.domains {
            let key = certified_key(files)?;
            chosen.fallback.get_or_insert_with(|| Arc::clone(&key));
            chosen.by_name.insert(domain, key);
        }
        if chosen.fallback.is_none() && !set.may_be_empty {
            return Err(TlsError(
                "tls is on but no certificate is configured; set `ssl_certificates` or `acme.domains`".into(),
            ));
        }
        Ok(chosen)
    }

    fn choose(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        if let Some(name) = name {
            let name = name.to_ascii_lowercase();
            if let Some(key) = self.by_name.get(&name) {
                return Some(Arc::clone(key));
            }
            if let Some(key) = self.defaults.iter().find(|key| is_valid_for(key, &name)) {
                return Some(Arc::clone(key));
            }
        }
        self.fallback.clone()
    }
}

pub(crate) fn is_valid_for(key: &CertifiedKey, name: &str) -> bool {
    let Some(certificate) = key.cert.first() else { return false };
    match (ParsedCertificate::try_from(certificate), ServerName::try_from(name)) {
        (Ok(certificate), Ok(name)) => verify_server_name(&certificate, &name).is_ok(),
        _ => false,
    }
}

pub(crate) fn certified_key(files: &CertificateFiles) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = read_certificates(&files.certificate)?;
    let path = files.key.display();
    let pem = read(&files.key)?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
        if contains(&pem, b"ENCRYPTED") {
            TlsError(format!("{path}: the private key is encrypted; give it without a passphrase"))
        } else {
            TlsError(format!("{path}: no usable private key in PEM form ({error})"))
        }
    })?;
    let certified = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            TlsError(format!("{path}: the private key does not belong to {}", files.certificate.display()))
        }
        error => TlsError(format!("{path}: cannot use this private key: {error}")),
    })?;
    if let Some(certificate) = certified.cert.first()
        && let Err(error) = ParsedCertificate::try_from(certificate)
    {
        return Err(TlsError(format!(
            "{}: cannot use this certificate: {error}",
            files.certificate.display()
        )));
    }
    Ok(Arc::new(certified))
}

pub(crate) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => {
            Err(TlsError(format!("{}: no certificate in PEM form", path.display())))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(TlsError(format!("{}: malformed PEM: {error}", path.display()))),
    }
}

/// The certificates of all files in a folder. Blocking.
pub(crate) fn read_folder(folder: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let fault = |why: &dyn fmt::Display| TlsError(format!("{}: cannot read: {why}", folder.display()));
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| fault(&error))? {
        let path = entry.map_err(|error| fault(&error))?.path();
        if path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    let mut certificates = Vec::new();
    for path in paths {
        certificates.extend(read_certificates(&path)?);
    }
    if certificates.is_empty() { Err(fault(&"there is no certificate in it")) } else { Ok(certificates) }
}

/// A larger file holds no certificates.
const LARGEST: u64 = 16 << 20;

/// Blocking, as all that reads files here; certificates are read outside async code.
fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let fault = |why: &dyn fmt::Display| TlsError(format!("{}: cannot read: {why}", path.display()));
    let mut text = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| fault(&error))?;
    file.take(LARGEST + 1).read_to_end(&mut text).map_err(|error| fault(&error))?;
    if text.len() as u64 > LARGEST {
        return Err(fault(&"it is larger than 16 MiB"));
    }
    Ok(text)
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(haystack, needle).is_some()
}
