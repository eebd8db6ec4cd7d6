//! Requests of scripts.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use streams::BuildContext;
use tokio::runtime::Handle;
use url::Url;

use crate::addresses::shown;
use crate::http_client::exchange::{Exchange, Request, whole};

/// An answer takes no longer.
const LONGEST: Duration = Duration::from_secs(10);
/// Largest answer, in bytes.
const LARGEST: usize = 16 << 20;

pub(super) struct Fetch {
    exchange: Exchange,
}

impl Fetch {
    /// Connections go where the egress policy allows it.
    pub(super) fn new(context: &BuildContext<'_>) -> Fetch {
        Fetch { exchange: Exchange::plain(context, false) }
    }

    #[cfg(test)]
    pub(super) fn for_tests() -> Fetch {
        let settings = streams::Settings::new(streams::Registry::standard());
        Fetch { exchange: Exchange::to(settings.egress, false) }
    }

    /// Sends a request and waits for the whole answer, for `longest` at most: its status and its body. For threads that
    /// may block.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) fn fetch(
        &self,
        url: &str,
        headers: &[(String, String)],
        method: &str,
        body: String,
        longest: Duration,
    ) -> Result<(u16, String), String> {
        let request = request(url, headers, method, body)?;
        let Ok(handle) = Handle::try_current() else {
            return Err("requests can be sent only while the stream runs".to_owned());
        };
        let exchange = async {
            let (head, body) = self.exchange.send(&request).await?;
            let body = whole(body, LARGEST).await?;
            Ok((head.status.as_u16(), String::from_utf8_lossy(&body).into_owned()))
        };
        handle
            .block_on(async {
                let longest = longest.min(LONGEST);
                let answer = tokio::time::timeout(longest, exchange).await;
                answer.unwrap_or_else(|_| Err(format!("no answer within {longest:?}")))
            })
            .map_err(|fault: String| format!("{}: {fault}", shown(request.url.as_str())))
    }
}

fn request(url: &str, headers: &[(String, String)], method: &str, body: String) -> Result<Request, String> {
    let url = Url::parse(url).map_err(|fault| format!("`{}` is no address: {fault}", shown(url)))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("`{}` is no address of http or https", shown(url.as_str())));
    }
    let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes())
        .map_err(|_| format!("`{method}` is not a method of HTTP"))?;
    let mut fields = HeaderMap::new();
    for (name, value) in headers {
        let header =
            HeaderName::try_from(name.as_str()).map_err(|_| format!("`{name}` is not a header's name"))?;
        let value = HeaderValue::from_str(value)
            .map_err(|_| format!("the header `{name}` cannot have this value"))?;
        fields.insert(header, value);
    }
    Ok(Request { method, url, headers: fields, body: body.into() })
}
