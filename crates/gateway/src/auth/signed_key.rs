//! Signatures of keys (contract 5.2): beside its key a request carries a hash over the key, a secret and the time.

use std::borrow::Cow;

use apidef::{KeySignatureAlgorithm, Session};
use http::header::HeaderName;
use http::{StatusCode, request};
use md5::Md5;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::clock::unix_now;
use crate::exchange::Exchange;
use crate::query;
use crate::respond::Refusal;
use crate::same::same;

/// In a secret: what the session's metadata say stands there.
const META: &str = "$tyk_meta.";

/// Checks the signature of a key.
#[derive(Debug)]
pub(super) struct SignedKey {
    model: apidef::KeySignature,
    header: Option<HeaderName>,
    status: StatusCode,
}

impl SignedKey {
    pub(super) fn new(model: &apidef::KeySignature) -> Result<Self, String> {
        let named = |name: &str| {
            HeaderName::try_from(name)
                .map_err(|_| format!("`{name}` is no valid header name for signatures of keys"))
        };
        Ok(Self {
            header: model.header.as_deref().map(named).transpose()?,
            status: StatusCode::from_u16(model.status).unwrap_or(StatusCode::UNAUTHORIZED),
            model: model.clone(),
        })
    }

    /// Whether the request carries a signature of this key that was made about now.
    pub(super) async fn check(
        &self,
        exchange: &Exchange,
        key: &str,
        session: &Session,
    ) -> Result<(), Refusal> {
        let signature = self.find(&exchange.head).ok_or_else(|| self.refused("the key is not signed"))?;
        let secret = secret(&self.model.secret.0, session)
            .ok_or_else(|| self.refused("the session's metadata do not hold what the secret needs"))?;
        let signed = [key, &secret].concat();
        let (now, skew) = (unix_now(), i64::from(self.model.skew));
        let fits = match self.model.algorithm {
            KeySignatureAlgorithm::MasheryMd5 => is_of::<Md5>(&signature, &signed, now, skew).await,
            KeySignatureAlgorithm::MasherySha256 => is_of::<Sha256>(&signature, &signed, now, skew).await,
        };
        if fits { Ok(()) } else { Err(self.refused("the signature is not by the key, or not of now")) }
    }

    fn find<'a>(&self, head: &'a request::Parts) -> Option<Cow<'a, str>> {
        let filled = |value: &Cow<'_, str>| !value.is_empty();
        let from_query = || query::value(head.uri.query()?, self.model.query.as_ref()?);
        let from_header =
            || head.headers.get(self.header.as_ref()?)?.to_str().ok().map(str::trim).map(Cow::Borrowed);
        from_query().filter(filled).or_else(|| from_header().filter(filled))
    }

    fn refused(&self, why: &'static str) -> Refusal {
        const TEXT: &str = "Request signature verification failed";
        let message =
            self.model.message.as_deref().map_or(Cow::Borrowed(TEXT), |text| text.to_owned().into());
        Refusal::client(self.status, "AKI", message).detail(why)
    }
}

/// The secret, once the session is known; `None` where a part of it is missing: a shorter secret is a weaker one.
fn secret<'s>(written: &'s str, session: &Session) -> Option<Cow<'s, str>> {
    if !written.contains(META) {
        return Some(written.into());
    }
    let (mut text, mut rest) = (String::new(), written);
    while let Some(at) = rest.find(META) {
        text.push_str(&rest[..at]);
        rest = &rest[at + META.len()..];
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        match session.meta_data.get(&rest[..end]) {
            Some(Value::String(value)) if !value.is_empty() => text.push_str(value),
            Some(Value::Number(value)) => text.push_str(&value.to_string()),
            _ => return None,
        }
        rest = &rest[end..];
    }
    text.push_str(rest);
    Some(text.into())
}

/// The bytes of hex, in any case of letters.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| u8::try_from(char::from(*byte).to_digit(16)?).ok();
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?)).collect()
}

/// So many seconds are tried before other exchanges get their turn: some 50 microseconds.
const AT_ONCE: i64 = 256;

/// Whether it is the hex of a hash over `signed` and a second that is no further than `skew` from now; the nearest are tried
/// first. What is the same for all seconds is done once.
async fn is_of<D: Digest + Clone>(signature: &str, signed: &str, now: i64, skew: i64) -> bool {
    let Some(signature) = unhex(signature) else { return false };
    if signature.len() != <D as Digest>::output_size() {
        return false;
    }
    let signed = D::new().chain_update(signed);
    let fits = |second: i64| {
        let sum = signed.clone().chain_update(second.to_string()).finalize();
        same(&sum, &signature)
    };
    if fits(now) {
        return true;
    }
    for apart in 1..=skew {
        if fits(now - apart) || fits(now + apart) {
            return true;
        }
        if apart % AT_ONCE == 0 {
            tokio::task::yield_now().await;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn c5_2_row_3_a_signature_is_good_for_the_seconds_around_its_own() {
        // printf 'keysecret1700000000' | openssl dgst -md5 (and -sha256).
        around::<Md5>("7aabd71b55c81890b0fbc6f1dc480ee8").await;
        around::<Sha256>("278d74471a3b5267e27221967122169ad26fac349e0fb6a94779cdf050a0d038").await;
    }

    async fn around<D: Digest + Clone>(signature: &str) {
        for (now, skew, expected) in [
            (1_700_000_000, 0, true),
            (1_700_000_001, 0, false),
            (1_700_000_002, 2, true),
            (1_699_999_998, 2, true),
            (1_700_000_003, 2, false),
            (1_699_999_997, 2, false),
            (1_700_003_600, 3600, true),
            (1_700_003_601, 3600, false),
        ] {
            assert_eq!(is_of::<D>(signature, "keysecret", now, skew).await, expected, "{now} {skew}");
        }
        let shout = signature.to_ascii_uppercase();
        assert!(is_of::<D>(&shout, "keysecret", 1_700_000_000, 0).await);
        for hostile in [
            "",
            &signature[1..],
            &signature[..16],
            "x",
            &format!("{signature}0"),
            &format!("{signature}00"),
            &format!("{signature}\0"),
            &format!("+{}", &signature[1..]),
        ] {
            assert!(!is_of::<D>(hostile, "keysecret", 1_700_000_000, 5).await, "{hostile}");
        }
        for signed in ["key", "secret", "keysecre", "secretkey", "Keysecret"] {
            assert!(!is_of::<D>(signature, signed, 1_700_000_000, 5).await, "{signed}");
        }
    }

    #[test]
    fn a_secret_is_completed_by_the_session() {
        let session: Session =
            serde_json::from_str(r#"{"meta_data": {"secret": "s3", "n": 7, "empty": "", "list": [1]}}"#)
                .unwrap();
        for (written, expected) in [
            ("plain", Some("plain")),
            ("$tyk_meta.secret", Some("s3")),
            ("a-$tyk_meta.secret$tyk_meta.n!", Some("a-s37!")),
            ("$tyk_meta.gone", None),
            ("$tyk_meta.empty", None),
            ("x$tyk_meta.list", None),
            ("$tyk_meta.", None),
        ] {
            assert_eq!(secret(written, &session).as_deref(), expected, "{written}");
        }
    }
}
