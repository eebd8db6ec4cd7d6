//! TLS in front of servers, with certificates of an authority of one's own.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A certificate and its key.
pub type Shown = (rcgen::Certificate, KeyPair);

/// An authority and what it signs.
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new one.
    #[expect(clippy::new_without_default, reason = "each is another one")]
    pub fn new() -> Self {
        Self::with(CertificateParams::new(Vec::new()).unwrap())
    }

    /// One that is called otherwise than all others.
    pub fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        Self::with(params)
    }

    fn with(mut params: CertificateParams) -> Self {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// The same as bytes.
    pub fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// The certificate that somebody asks for, and the authority's own, as PEM.
    pub(crate) fn sign_request(
        &self,
        asked: &rcgen::CertificateSigningRequestParams,
    ) -> Result<String, rcgen::Error> {
        Ok(format!("{}{}", asked.signed_by(&self.0)?.pem(), self.0.pem()))
    }

    /// A certificate for servers and clients of these names.
    pub fn sign(&self, names: &[&str]) -> Shown {
        self.sign_until(names, 4096)
    }

    /// The same, good until the first day of a year.
    pub fn sign_until(&self, names: &[&str], year: i32) -> Shown {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap(), key)
    }
}

/// TLS in front of what listens at `to`, with this certificate, and with one of these authorities asked of clients. Its port.
pub async fn front(to: &str, shown: &Shown, clients: Option<&Authority>) -> u16 {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.0.der().clone()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let key = PrivateKeyDer::try_from(shown.1.serialize_der()).unwrap();
    let config = builder.with_single_cert(vec![CertificateDer::clone(shown.0.der())], key).unwrap();
    let (acceptor, to) = (TlsAcceptor::from(Arc::new(config)), to.to_owned());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let (acceptor, to) = (acceptor.clone(), to.clone());
            tokio::spawn(async move {
                let Ok(mut near) = acceptor.accept(near).await else { return };
                let mut far = TcpStream::connect(to).await.unwrap();
                let _ = copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    port
}
