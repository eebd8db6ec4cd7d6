//! Requests in clear that are handed to an HTTP proxy, which sends them on (RFC 9112 section 3.2.2).

use apidef::{OutboundProxy, Scheme, Target};
use http::header::{HeaderValue, PROXY_AUTHORIZATION};

use super::Outbound;
use super::identity::secret;
use super::through;

/// What such requests carry.
pub(super) struct Forward {
    authority: Box<str>,
    authorization: Option<HeaderValue>,
}

impl Forward {
    /// `None` where the proxy is asked for a way through instead.
    pub(super) fn new(proxy: &OutboundProxy, target: &Target) -> Result<Option<Self>, String> {
        if !proxy.kind.is_http() || target.scheme != Scheme::Http {
            return Ok(None);
        }
        let authorization = through::authorization(proxy).map(|text| secret(&text)).transpose()?;
        Ok(Some(Self { authority: target.authority.clone(), authorization }))
    }

    /// Tells the proxy who we are, and gives the target as it wants it.
    pub(super) fn hand_over(&self, request: &mut Outbound) -> String {
        if let Some(authorization) = &self.authorization {
            request.headers.insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        format!("http://{}{}", self.authority, request.path)
    }
}
