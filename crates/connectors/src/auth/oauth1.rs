//! OAuth 1.0a request signatures with HMAC-SHA1 (RFC 5849).

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use document::Fault;
use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use streams::Node;
use url::Url;

/// All but RFC 3986's unreserved characters (RFC 5849, 3.6).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Who signs.
pub(crate) struct OAuth1 {
    consumer_key: String,
    consumer_secret: String,
    token: String,
    token_secret: String,
}

/// What makes each signature different.
pub(crate) struct Moment {
    nonce: String,
    seconds: u64,
}

impl Moment {
    pub(crate) fn now() -> Moment {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment { nonce: format!("{:032x}", rand::random::<u128>()), seconds: now.as_secs() }
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

impl OAuth1 {
    pub(super) fn read(node: &Node<'_>) -> Result<OAuth1, Fault> {
        let text = |name: &str| node.text(name).map(std::borrow::Cow::into_owned);
        Ok(OAuth1 {
            consumer_key: text("consumer_key")?,
            consumer_secret: text("consumer_secret")?,
            token: text("access_token")?,
            token_secret: text("access_token_secret")?,
        })
    }

    /// The `Authorization` header of a request.
    pub(crate) fn header(&self, method: &Method, url: &Url, moment: &Moment) -> String {
        let seconds = moment.seconds.to_string();
        let mut own = vec![
            ("oauth_consumer_key", self.consumer_key.as_str()),
            ("oauth_nonce", moment.nonce.as_str()),
            ("oauth_signature_method", "HMAC-SHA1"),
            ("oauth_timestamp", seconds.as_str()),
        ];
        if !self.token.is_empty() {
            own.push(("oauth_token", self.token.as_str()));
        }
        own.push(("oauth_version", "1.0"));
        let base = base_string(method, url, &own);
        let key = format!("{}&{}", encoded(&self.consumer_secret), encoded(&self.token_secret));
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
        let signature = BASE64_STANDARD.encode(hmac::sign(&key, base.as_bytes()));
        own.push(("oauth_signature", signature.as_str()));
        let members: Vec<_> =
            own.iter().map(|(name, value)| format!("{name}=\"{}\"", encoded(value))).collect();
        format!("OAuth {}", members.join(", "))
    }
}

/// RFC 5849, 3.4.1.
fn base_string(method: &Method, url: &Url, own: &[(&str, &str)]) -> String {
    let mut parameters: Vec<(String, String)> =
        url.query_pairs().map(|(name, value)| (encoded(&name), encoded(&value))).collect();
    parameters.extend(own.iter().map(|(name, value)| (encoded(name), encoded(value))));
    parameters.sort();
    let joined: Vec<_> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    // `Url` leaves default ports out and has the host in lower case, as the standard wants.
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    let place = format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path());
    format!("{method}&{}&{}", encoded(&place), encoded(&joined.join("&")))
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of RFC 5849, 1.2: a photo is asked for with a token.
    #[test]
    fn the_example_of_the_standard_is_signed_as_it_says() {
        let oauth = OAuth1 {
            consumer_key: "dpf43f3p2l4k3l03".into(),
            consumer_secret: "kd94hf93k423kf44".into(),
            token: "nnch734d00sl2jdk".into(),
            token_secret: "pfkkdhi9sl3r4s00".into(),
        };
        let url = Url::parse("http://photos.example.net/photos?file=vacation.jpg&size=original").unwrap();
        let moment = Moment { nonce: "kllo9940pd9333jh".into(), seconds: 1_191_242_096 };
        // This signer always says its version, so the well-known signature is that of the original specification.
        let header = oauth.header(&Method::GET, &url, &moment);
        assert!(header.contains("oauth_signature=\"tR3%2BTy81lMeYAr%2FFid0kMTYa%2FWM%3D\""), "{header}");
    }

    #[test]
    fn the_base_string_sorts_and_encodes_twice() {
        let url = Url::parse("HTTP://Example.com:80/r%20v/X?id=123&b5=%3D%253D&a3=a&c%40=&a2=r%20b&a3=2+q")
            .unwrap();
        let base = base_string(&Method::POST, &url, &[("oauth_nonce", "7d8f3e4a")]);
        assert_eq!(
            base,
            "POST&http%3A%2F%2Fexample.com%2Fr%2520v%2FX&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D%26id%3D123%26oauth_nonce%3D7d8f3e4a"
        );
    }
}
