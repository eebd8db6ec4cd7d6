//! Tokens that the client signs itself (RFC 7519, 7515; EdDSA: RFC 8037).

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKey;
use aws_lc_rs::signature::{
    self, Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaEncoding,
};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use document::Fault;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Map, Value as Json};
use streams::Node;
use tokio::sync::OnceCell;

use crate::net::tls::private_key;

/// What is signed, and with what.
pub(crate) struct Jwt {
    key_file: String,
    method: Method,
    /// Header and claims, as they are signed.
    signed: String,
    token: OnceCell<String>,
}

#[derive(Clone, Copy)]
enum Method {
    Rsa(&'static dyn RsaEncoding),
    EdDsa,
}

impl Jwt {
    pub(super) fn read(node: &Node<'_>) -> Result<Jwt, Fault> {
        let key_file = node.text("private_key_file")?.into_owned();
        if key_file.is_empty() {
            return Err(
                node.field_fault("private_key_file", "a token is signed with a private key; name its file")
            );
        }
        let name = node.text("signing_method")?;
        let method = match &*name {
            "RS256" => Method::Rsa(&RSA_PKCS1_SHA256),
            "RS384" => Method::Rsa(&RSA_PKCS1_SHA384),
            "RS512" => Method::Rsa(&RSA_PKCS1_SHA512),
            "EdDSA" => Method::EdDsa,
            _ => {
                return Err(node.field_fault("signing_method", "write RS256, RS384, RS512 or EdDSA"));
            }
        };
        let object = |name: &str| node.get(name).value().as_object().cloned().unwrap_or_default();
        let mut header =
            Map::from_iter([("alg".to_owned(), Json::from(&*name)), ("typ".to_owned(), Json::from("JWT"))]);
        header.extend(object("headers"));
        let part =
            |object: Map<String, Json>| BASE64_URL_SAFE_NO_PAD.encode(Json::Object(object).to_string());
        let signed = format!("{}.{}", part(header), part(object("claims")));
        Ok(Jwt { key_file, method, signed, token: OnceCell::new() })
    }

    /// `Bearer` and the token. The claims never change, so it is signed once.
    pub(crate) async fn header(&self) -> Result<String, String> {
        let make = || async {
            let (file, signed, method) = (self.key_file.clone(), self.signed.clone(), self.method);
            tokio::task::spawn_blocking(move || token(&file, method, &signed))
                .await
                .map_err(|fault| fault.to_string())?
        };
        self.token.get_or_try_init(make).await.map(|token| format!("Bearer {token}"))
    }
}

/// Blocking: reads the key.
#[expect(clippy::disallowed_methods, reason = "called where blocking is allowed")]
fn token(file: &str, method: Method, signed: &str) -> Result<String, String> {
    let told = |fault: String| format!("jwt: {file}: {fault}");
    let pem = std::fs::read_to_string(file).map_err(|fault| told(fault.to_string()))?;
    let key = private_key(&pem, None).map_err(told)?;
    let signature = sign(&key, method, signed.as_bytes()).map_err(told)?;
    Ok(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
}

fn sign(key: &PrivateKeyDer<'_>, method: Method, text: &[u8]) -> Result<Vec<u8>, String> {
    match method {
        Method::Rsa(encoding) => {
            let pair = match key {
                PrivateKeyDer::Pkcs1(key) => RsaKey::from_der(key.secret_pkcs1_der()),
                key => RsaKey::from_pkcs8(key.secret_der()),
            };
            let pair = pair.map_err(|fault| format!("not an RSA key: {fault}"))?;
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(encoding, &SystemRandom::new(), text, &mut signature)
                .map_err(|_| "the key does not sign".to_owned())?;
            Ok(signature)
        }
        Method::EdDsa => {
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_der())
                .map_err(|fault| format!("not an Ed25519 key: {fault}"))?;
            let signature: signature::Signature = pair.sign(text);
            Ok(signature.as_ref().to_vec())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 8037, A.1 and A.4: the key and the token of the standard.
    #[test]
    fn the_example_of_the_standard_is_signed_as_it_says() {
        let seed = BASE64_URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
        let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
        der.extend(seed);
        let key = PrivateKeyDer::Pkcs8(der.into());
        let signed = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature = sign(&key, Method::EdDsa, signed).unwrap();
        assert_eq!(
            BASE64_URL_SAFE_NO_PAD.encode(signature),
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
        );
        assert!(sign(&key, Method::Rsa(&RSA_PKCS1_SHA256), signed).is_err());
    }
}
