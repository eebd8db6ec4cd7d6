//! Private keys as they lie in the store: encrypted PEM (RFC 1423) with AES-256-CBC, the key derived from a passphrase
//! with MD5. That is weak against whoever can guess the passphrase, and it is what others read and write (contract 12).

use aws_lc_rs::cipher::{
    AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey,
    UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use md5::{Digest, Md5};
use pem::Pem;

use crate::hex::hex;

/// What the block is called, whatever sort of key is in it.
pub(super) const TAG: &str = "ENCRYPTED PRIVATE KEY";
const CIPHER: &str = "AES-256-CBC";

/// Encrypts the DER of a private key.
pub(super) fn seal(der: &[u8], passphrase: &str) -> Option<Pem> {
    let iv: [u8; 16] = rand::random();
    let mut sealed = der.to_vec();
    let key = UnboundCipherKey::new(&AES_256, &derived(passphrase, &iv)).ok()?;
    PaddedBlockEncryptingKey::cbc_pkcs7(key)
        .ok()?
        .less_safe_encrypt(&mut sealed, EncryptionContext::Iv128(FixedLength::from(iv)))
        .ok()?;
    let mut block = Pem::new(TAG, sealed);
    block.headers_mut().add("Proc-Type", "4,ENCRYPTED").ok()?;
    block.headers_mut().add("DEK-Info", &format!("{CIPHER},{}", hex(&iv).to_ascii_uppercase())).ok()?;
    Some(block)
}

/// Decrypts what [`seal`] made; `None` where the passphrase is another, or the block is damaged.
pub(super) fn open(block: &Pem, passphrase: &str) -> Option<Vec<u8>> {
    let (cipher, iv) = block.headers().get("DEK-Info")?.split_once(',')?;
    let iv = unhex(iv.trim())?;
    if !cipher.trim().eq_ignore_ascii_case(CIPHER) {
        return None;
    }
    let key = UnboundCipherKey::new(&AES_256, &derived(passphrase, &iv)).ok()?;
    let mut opened = block.contents().to_vec();
    let context = DecryptionContext::Iv128(FixedLength::from(iv));
    let length = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?.decrypt(&mut opened, context).ok()?.len();
    opened.truncate(length);
    Some(opened)
}

/// As [`seal`], as a text.
pub(crate) fn seal_text(der: &[u8], passphrase: &str) -> Option<String> {
    seal(der, passphrase).map(|block| pem::encode(&block))
}

/// As [`open`], from a text.
pub(crate) fn open_text(text: &str, passphrase: &str) -> Option<Vec<u8>> {
    open(&pem::parse(text).ok()?, passphrase)
}

/// OpenSSL's `EVP_BytesToKey` with one round of MD5; the salt is the first half of the initialisation vector.
fn derived(passphrase: &str, iv: &[u8; 16]) -> [u8; 32] {
    let mut key = [0; 32];
    let mut block: Vec<u8> = Vec::new();
    for part in key.chunks_mut(16) {
        let mut digest = Md5::new();
        digest.update(&block);
        digest.update(passphrase.as_bytes());
        digest.update(&iv[..8]);
        block = digest.finalize().to_vec();
        part.copy_from_slice(&block);
    }
    key
}

fn unhex(text: &str) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..32).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_its_passphrase_only() {
        for length in [0, 1, 15, 16, 17, 1200] {
            let der: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let block = pem::parse(pem::encode(&seal(&der, "secret").unwrap())).unwrap();
            assert_eq!(block.tag(), TAG);
            assert_eq!(open(&block, "secret"), Some(der.clone()));
            assert_ne!(open(&block, "other"), Some(der));
        }
    }

    #[test]
    fn c12_row_1_what_openssl_sealed_opens() {
        // `openssl ec -aes256 -passout pass:secret`, and the same with `-outform DER` and no passphrase.
        const SEALED: &str = "-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-256-CBC,37F59C066EC2EFB4CC35697D82EA29FC

ybHEdBkikq2oYliX55UGNudI1qI4LEBd8IgKKVGPyKjGnons1+yKZ8JutfOmbC/+
JEwC0IyEsLkVjJJJPcAd8/P257UetHTsPssR/cYjzt4Us3cKYzXmGQac7r0HY4gm
uiEDw0cPJKO7fn0MkyX1IBnlTDB0t9JMD/hFonL3Z9w=
-----END EC PRIVATE KEY-----
";
        const OPENED: &str = "3077020101042062d44e5787370a2a32de2fd9c677b0d8156cd343f02a8a318a3f66561a5adefba00a06082a\
            8648ce3d030107a144034200049c8213e36787613e9c8e87c40915840dd9f38f59a623e84b74d9a5dca9d83cc9c100659a3c42835a\
            1c83ba94870024caaa181986dd97ed3653e7a1f32bfbd3ab";
        let block = pem::parse(SEALED).unwrap();
        assert_eq!(open(&block, "secret").as_deref().map(hex).as_deref(), Some(OPENED));
        assert_ne!(open(&block, "other").as_deref().map(hex).as_deref(), Some(OPENED));
    }
}
