//! Certificates and keys as PEM. Whether a key belongs to its certificate is for `tls` to say.

use std::sync::OnceLock;

use pem::Pem;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo, X509Certificate};

use super::certificate::{Certificate, fingerprint};
use super::sealed;

/// Why a text is not taken as a certificate; the texts of contract 7.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("Failed to decode certificate. It should be PEM encoded.")]
    NotPem,
    #[error("Found multiple private keys")]
    SeveralKeys,
    #[error("Public keys can't be combined with certificates")]
    MixedWithPublicKey,
    #[error("the private key does not belong to the certificate, or cannot be used")]
    OtherKey,
    #[error("the stored private key cannot be decrypted: was private_certificate_encoding_secret changed?")]
    Sealed,
}

/// Most blocks of a text: a chain is a handful.
const MOST_BLOCKS: usize = 64;

/// Reads a certificate with its chain and key, or a public key. `passphrase` opens keys that lie in the store.
pub(super) fn read(text: &[u8], org: &str, passphrase: &str) -> Result<Certificate, ReadError> {
    let blocks = pem::parse_many(text).map_err(|_| ReadError::NotPem)?;
    if blocks.len() > MOST_BLOCKS {
        return Err(ReadError::NotPem);
    }
    let mut chain = Vec::new();
    let (mut key, mut public_key) = (None, None);
    for block in blocks {
        match block.tag() {
            "CERTIFICATE" => chain.push(CertificateDer::from(block.into_contents())),
            "PUBLIC KEY" => public_key = Some(block.into_contents()),
            tag if tag.ends_with("PRIVATE KEY") => {
                if key.is_some() {
                    return Err(ReadError::SeveralKeys);
                }
                key = Some(private_key(block, passphrase)?);
            }
            _ => {}
        }
    }
    match (chain.first(), public_key) {
        (Some(_), Some(_)) => Err(ReadError::MixedWithPublicKey),
        (None, None) => Err(ReadError::NotPem),
        (None, Some(der)) => public(der, org),
        (Some(_), None) => with_chain(chain, key, org),
    }
}

fn private_key(block: Pem, passphrase: &str) -> Result<PrivateKeyDer<'static>, ReadError> {
    let der = match block.headers().get("DEK-Info") {
        Some(_) => sealed::open(&block, passphrase).ok_or(ReadError::Sealed)?,
        None => block.into_contents(),
    };
    PrivateKeyDer::try_from(der).map_err(|_| ReadError::OtherKey)
}

fn public(der: Vec<u8>, org: &str) -> Result<Certificate, ReadError> {
    SubjectPublicKeyInfo::from_der(&der).map_err(|_| ReadError::NotPem)?;
    let fingerprint = fingerprint(&der);
    Ok(Certificate {
        id: format!("{org}{fingerprint}").into(),
        fingerprint: fingerprint.into(),
        chain: Vec::new(),
        key: None,
        public_key: der,
        not_after: 0,
        is_authority: false,
        rsa: OnceLock::new(),
    })
}

fn with_chain(
    chain: Vec<CertificateDer<'static>>,
    key: Option<PrivateKeyDer<'static>>,
    org: &str,
) -> Result<Certificate, ReadError> {
    let leaf = chain.first().ok_or(ReadError::NotPem)?;
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| ReadError::NotPem)?;
    let fingerprint = fingerprint(leaf);
    Ok(Certificate {
        id: format!("{org}{fingerprint}").into(),
        fingerprint: fingerprint.into(),
        public_key: parsed.public_key().raw.to_vec(),
        not_after: parsed.validity().not_after.timestamp(),
        is_authority: parsed.is_ca(),
        chain,
        key,
        rsa: OnceLock::new(),
    })
}

impl Certificate {
    /// As it is stored: the chain, then the private key, encrypted; or the public key.
    pub(super) fn write(&self, passphrase: &str) -> Option<String> {
        if self.chain.is_empty() {
            return Some(pem::encode(&Pem::new("PUBLIC KEY", self.public_key.clone())));
        }
        let mut blocks: Vec<Pem> =
            self.chain.iter().map(|certificate| Pem::new("CERTIFICATE", certificate.to_vec())).collect();
        if let Some(key) = &self.key {
            blocks.push(sealed::seal(key.secret_der(), passphrase)?);
        }
        Some(pem::encode_many(&blocks))
    }
}
