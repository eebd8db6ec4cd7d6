//! TLS towards servers, from what the field `tls` says.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::fields::{Identity, Pem, Tls};

/// How long files are trusted to hold what they held: certificates are renewed while the gate runs.
const FRESH: Duration = Duration::from_secs(60);

/// The TLS side of one client, made when first needed and again when its files may have changed.
#[derive(Debug)]
pub(crate) struct TlsClient {
    tls: Arc<Tls>,
    protocols: Vec<Vec<u8>>,
    made: Mutex<Option<(Instant, Arc<ClientConfig>)>>,
}

impl TlsClient {
    /// Offers these protocols (ALPN), in this order.
    pub(crate) fn new(tls: Tls, protocols: &[&[u8]]) -> TlsClient {
        let protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        TlsClient { tls: Arc::new(tls), protocols, made: Mutex::new(None) }
    }

    /// What to connect with.
    ///
    /// # Errors
    /// An unreadable or malformed certificate or key.
    pub(crate) async fn config(&self) -> Result<Arc<ClientConfig>, String> {
        let made = self.made.lock().clone();
        if let Some((when, config)) = &made
            && (!self.tls.has_files() || when.elapsed() < FRESH)
        {
            return Ok(config.clone());
        }
        let (tls, protocols) = (self.tls.clone(), self.protocols.clone());
        let fresh = tokio::task::spawn_blocking(move || make(&tls, protocols, None)).await;
        match (fresh.map_err(|fault| fault.to_string()).and_then(|made| made), made) {
            (Ok(config), _) => {
                let config = Arc::new(config);
                *self.made.lock() = Some((Instant::now(), config.clone()));
                Ok(config)
            }
            // A file that is just being replaced must not stop what worked.
            (Err(fault), Some((_, old))) => {
                tracing::warn!(%fault, "tls files cannot be read again; what they held before is used");
                *self.made.lock() = Some((Instant::now(), old.clone()));
                Ok(old)
            }
            (Err(fault), None) => Err(fault),
        }
    }

    /// What to connect to a server of this name with, for clients that are told its address and take that for its name.
    ///
    /// # Errors
    /// As [`TlsClient::config`], and when it is no name that a certificate could hold.
    #[cfg(feature = "nats")]
    pub(crate) async fn config_for(&self, name: &str) -> Result<ClientConfig, String> {
        let named = ServerName::try_from(name.to_owned())
            .map_err(|_| format!("`{name}` is not a name that a certificate could hold"))?;
        let (tls, protocols) = (self.tls.clone(), self.protocols.clone());
        let made = tokio::task::spawn_blocking(move || make(&tls, protocols, Some(named))).await;
        made.map_err(|fault| fault.to_string()).and_then(|made| made)
    }
}

/// Blocking: reads files, and decrypting a key takes its time. `name`: the server's, whatever is connected to.
fn make(
    tls: &Tls,
    protocols: Vec<Vec<u8>>,
    name: Option<ServerName<'static>>,
) -> Result<ClientConfig, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|fault| format!("tls cannot be set up: {fault}"))?;
    let builder = if tls.skip_verify {
        let verifier = AnyCertificate(provider.signature_verification_algorithms);
        builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
    } else {
        let roots = match &tls.roots {
            None => usual_roots(),
            Some(pem) => Arc::new(roots(pem)?),
        };
        match name {
            None => builder.with_root_certificates(roots),
            Some(name) => {
                let inner = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
                let inner = inner.map_err(|fault| format!("tls cannot be set up: {fault}"))?;
                builder.dangerous().with_custom_certificate_verifier(Arc::new(Named { inner, name }))
            }
        }
    };
    let mut config = match &tls.client {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = read_identity(identity)?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|fault| format!("the client certificate cannot be used: {fault}"))?
        }
    };
    config.alpn_protocols = protocols;
    Ok(config)
}

fn roots(pem: &Pem) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(pem, "root_cas")? {
        store.add(certificate).map_err(|fault| format!("{}: {fault}", pem.place("root_cas")))?;
    }
    Ok(store)
}

/// Mozilla's roots and the machine's, read once. Blocking.
fn usual_roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let read = || {
        let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    };
    ROOTS.get_or_init(read).clone()
}

fn certificates(pem: &Pem, field: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = pem.read(field)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|fault| format!("{}: {fault}", pem.place(field)))?;
    if found.is_empty() {
        return Err(format!("{}: there is no certificate in it", pem.place(field)));
    }
    Ok(found)
}

/// A certificate with its chain, and its key. Blocking.
pub(crate) fn read_identity(
    identity: &Identity,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let chain = certificates(&identity.certificate, "cert")?;
    let place = || identity.key.place("key");
    let text = identity.key.read("key")?;
    let text = std::str::from_utf8(&text).map_err(|_| format!("{}: not PEM text", place()))?;
    let key =
        private_key(text, identity.password.as_deref()).map_err(|fault| format!("{}: {fault}", place()))?;
    Ok((chain, key))
}

/// A certificate and its key as PEM without password, for clients that read nothing else. Blocking.
#[cfg(any(feature = "amqp_0_9", feature = "redis"))]
pub(crate) fn plain_identity(identity: &Identity) -> Result<(Vec<u8>, Vec<u8>), String> {
    let certificate = identity.certificate.read("cert")?;
    let (key, place) = (identity.key.read("key")?, identity.key.place("key"));
    let Some(password) = &identity.password else { return Ok((certificate, key)) };
    let text = std::str::from_utf8(&key).map_err(|_| format!("{place}: not PEM text"))?;
    let PrivateKeyDer::Pkcs8(decrypted) =
        private_key(text, Some(password)).map_err(|fault| format!("{place}: {fault}"))?
    else {
        // It was not encrypted.
        return Ok((certificate, key));
    };
    let document = pkcs8::SecretDocument::try_from(decrypted.secret_pkcs8_der());
    let pem = document.and_then(|document| document.to_pem("PRIVATE KEY", pkcs8::LineEnding::LF));
    let pem = pem.map_err(|fault| format!("{place}: {fault}"))?;
    Ok((certificate, pem.as_bytes().to_vec()))
}

/// The first private key of a PEM text; decrypted when it is PKCS#8 with a password.
pub(crate) fn private_key(text: &str, password: Option<&str>) -> Result<PrivateKeyDer<'static>, String> {
    const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
    const END: &str = "-----END ENCRYPTED PRIVATE KEY-----";
    if let Some(begin) = text.find(ENCRYPTED) {
        let end = text.find(END).ok_or("the key does not end")? + END.len();
        let pem = text.get(begin..end).ok_or("the key ends before it begins")?;
        let password = password.ok_or("the key is encrypted; its `password` is missing")?;
        let (_, document) =
            pkcs8::SecretDocument::from_pem(pem).map_err(|fault| format!("not a private key: {fault}"))?;
        let key = pkcs8::EncryptedPrivateKeyInfoRef::try_from(document.as_bytes())
            .and_then(|key| key.decrypt(password))
            .map_err(|fault| format!("the key cannot be decrypted with this `password`: {fault}"))?;
        return Ok(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec())));
    }
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(
            "keys in the old encrypted form are not read; convert it with `openssl pkcs8 -topk8`".to_owned()
        );
    }
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|fault| format!("no private key: {fault}"))
}

/// Takes any certificate (`skip_cert_verify`), but still checks that the server holds its key.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// Checks a certificate against the server's own name.
#[derive(Debug)]
struct Named {
    inner: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.inner.verify_server_cert(certificate, chain, &self.name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(all(test, feature = "nats"))]
mod tests {
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    #[tokio::test]
    async fn certificates_are_those_of_the_name_and_not_of_the_address() {
        let sample = |file: &str| Pem::File(format!("{}/tests/samples/{file}", env!("CARGO_MANIFEST_DIR")));
        let identity =
            Identity { certificate: sample("server.crt"), key: sample("server.key"), password: None };
        let (chain, key) = read_identity(&identity).unwrap();
        let server = rustls::ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(server));
        let client = TlsClient::new(Tls { roots: Some(sample("ca.crt")), ..Tls::default() }, &[]);
        // The certificate holds `server.test` and 127.0.0.1.
        for (name, address, accepted) in [
            ("server.test", "10.0.0.1", true),
            ("other.test", "127.0.0.1", false),
            ("127.0.0.1", "10.0.0.1", true),
        ] {
            let (near, far) = tokio::io::duplex(1 << 16);
            let connector = TlsConnector::from(Arc::new(client.config_for(name).await.unwrap()));
            let address = ServerName::try_from(address).unwrap();
            let (connected, _) = tokio::join!(connector.connect(address, near), acceptor.accept(far));
            assert_eq!(connected.is_ok(), accepted, "{name}: {:?}", connected.err());
        }
        assert!(client.config_for("no name").await.is_err());
    }
}
