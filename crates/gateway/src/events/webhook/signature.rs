//! What proves that a webhook is the gate's: the header fields of Standard Webhooks.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// Before secrets that are written in base64.
const PREFIX: &str = "whsec_";

/// What webhooks are signed with.
#[derive(Debug)]
pub(super) struct Signer(hmac::Key);

impl Signer {
    /// The bytes of the secret are its text, or what stands behind `whsec_` in base64.
    pub(super) fn new(secret: &str) -> Result<Self, String> {
        let bytes = match secret.strip_prefix(PREFIX) {
            Some(encoded) => BASE64_STANDARD
                .decode(encoded)
                .map_err(|_| format!("what stands behind `{PREFIX}` in the signing secret is not base64"))?,
            None => secret.as_bytes().to_vec(),
        };
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// The value of `webhook-signature`.
    pub(super) fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let signature = hmac::sign(&self.0, format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", BASE64_STANDARD.encode(signature))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_is_signed_as_there() {
        // https://github.com/standard-webhooks/standard-webhooks, "Signature scheme".
        let signer = Signer::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(Signer::new("whsec_%").is_err());
        assert!(Signer::new("any text").is_ok());
    }
}
