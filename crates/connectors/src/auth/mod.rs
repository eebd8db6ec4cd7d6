//! How a client says who it is: one `Authorization` header, made for each request.

#[cfg(feature = "http")]
pub(crate) mod digest;
mod jwt;
mod oauth1;
#[cfg(feature = "http")]
pub(crate) mod oauth2;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use document::Fault;
use http::{HeaderValue, Method};
use streams::Node;
use url::Url;

/// One of the ways that need nothing of the server first.
pub(crate) enum Auth {
    /// Nothing is said.
    None,
    /// The same words each time.
    Basic(HeaderValue),
    /// A signature over each request.
    OAuth1(oauth1::OAuth1),
    /// A signed token.
    Jwt(jwt::Jwt),
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Auth::None => "None",
            Auth::Basic(_) => "Basic",
            Auth::OAuth1(_) => "OAuth1",
            Auth::Jwt(_) => "Jwt",
        })
    }
}

impl Auth {
    /// Reads `oauth`, `basic_auth` and `jwt`; `more` are further ways that a component knows, by field.
    ///
    /// # Errors
    /// Several ways at once, since there is one header for them; or one that cannot work.
    pub(crate) fn read(node: &Node<'_>, more: &[&str]) -> Result<Auth, Fault> {
        let mut enabled = Vec::new();
        for name in ["oauth", "basic_auth", "jwt"].iter().chain(more) {
            if node.get(name).boolean("enabled")? {
                enabled.push(*name);
            }
        }
        if let [first, second, ..] = enabled[..] {
            let told = format!("`{first}` and `{second}` both want the `Authorization` header; enable one");
            return Err(node.field_fault(second, told));
        }
        Ok(match enabled.first() {
            Some(&"oauth") => Auth::OAuth1(oauth1::OAuth1::read(&node.get("oauth"))?),
            Some(&"basic_auth") => {
                let basic = node.get("basic_auth");
                Auth::Basic(self::basic(&basic.text("username")?, &basic.text("password")?))
            }
            Some(&"jwt") => Auth::Jwt(jwt::Jwt::read(&node.get("jwt"))?),
            _ => Auth::None,
        })
    }

    /// The header for a request.
    ///
    /// # Errors
    /// When it cannot be made, such as for a key that cannot be read.
    pub(crate) async fn header(&self, method: &Method, url: &Url) -> Result<Option<HeaderValue>, String> {
        let text = match self {
            Auth::None => return Ok(None),
            Auth::Basic(value) => return Ok(Some(value.clone())),
            Auth::OAuth1(oauth) => oauth.header(method, url, &oauth1::Moment::now()),
            Auth::Jwt(jwt) => jwt.header().await?,
        };
        secret_header(&text).map(Some)
    }
}

/// A header that no log shows.
pub(crate) fn secret_header(text: &str) -> Result<HeaderValue, String> {
    let value = HeaderValue::from_str(text);
    let mut value =
        value.map_err(|_| "the `Authorization` header cannot hold these credentials".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// `Basic` credentials (RFC 7617).
pub(crate) fn basic(user: &str, password: &str) -> HeaderValue {
    let text = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
    // Base64 is made of letters that any header can hold.
    let mut value = HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("Basic"));
    value.set_sensitive(true);
    value
}
