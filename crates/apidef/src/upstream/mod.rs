//! How requests go upstream, beside where (contract 2.3, 3.2): TLS, credentials, signatures, a proxy in between; one a file:
//! its model, and how both formats write it.

mod balance;
mod credentials;
mod discovery;
mod endpoints;
mod hosts;
mod outbound;
mod own;
mod signing;
mod tls;
mod uptime;

pub(crate) use balance::greatest_divisor;
pub use credentials::{UpstreamCredentials, UpstreamGrant, UpstreamOAuth};
pub use discovery::{Discovery, Kept};
pub use endpoints::{Breaker, Endpoints};
pub use hosts::ByHost;
pub use outbound::{OutboundProxy, ProxyKind};
pub use own::{Balancing, Care, Ejection, HashOn, Retries};
pub use signing::{RequestSigning, SigningKey};
pub use tls::UpstreamTls;
pub use uptime::{Command, Probe, ProbeKind, Uptime};

pub(crate) use balance::OAS as OAS_BALANCE;
pub(crate) use credentials::{CLASSIC as CLASSIC_AUTH, OAS as OAS_AUTH};
pub(crate) use discovery::{CLASSIC as CLASSIC_DISCOVERY, OAS as OAS_DISCOVERY};
pub(crate) use endpoints::{CLASSIC_BREAKER, CLASSIC_TIMEOUT, OAS_BREAKER, OAS_TIMEOUT};
pub(crate) use own::FIELDS as OWN_FIELDS;
pub(crate) use signing::CLASSIC as CLASSIC_SIGNING;
pub(crate) use tls::{CLASSIC as CLASSIC_TRANSPORT, OAS as OAS_TRANSPORT, OAS_CERTIFICATES, OAS_PINS};

pub(crate) use uptime::{CLASSIC as CLASSIC_UPTIME, OAS as OAS_UPTIME};

use crate::Target;
use crate::section::Section;
use document::Fault;
use serde_json::Value;

/// How requests go upstream, beside where.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Manner {
    /// TLS.
    pub tls: UpstreamTls,
    /// Through which proxy.
    pub proxy: Option<OutboundProxy>,
    /// Who the gate is towards the upstream.
    pub credentials: Option<UpstreamCredentials>,
    /// Requests are signed.
    pub signing: Option<RequestSigning>,
}

impl Manner {
    pub(crate) fn classic(root: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let transport = root.section("proxy", faults).section("transport", faults);
        let auth = root.section("upstream_auth", faults);
        let manner = Self {
            tls: UpstreamTls::classic(root, &transport, faults),
            proxy: outbound::read(transport.text("proxy_url", faults), transport.at("proxy_url"), faults),
            credentials: UpstreamCredentials::classic(&auth, faults),
            signing: RequestSigning::classic(&root.section("request_signing", faults), faults),
        };
        manner.check(auth.pointer, faults);
        manner
    }

    pub(crate) fn oas(upstream: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let auth = upstream.section("authentication", faults);
        let proxy = upstream.section("proxy", faults);
        let url = if proxy.flag("enabled", faults) { proxy.text("url", faults) } else { "" };
        let on = auth.flag("enabled", faults);
        let manner = Self {
            tls: UpstreamTls::oas(upstream, faults),
            proxy: outbound::read(url, proxy.at("url"), faults),
            credentials: UpstreamCredentials::oas(&auth, faults),
            signing: RequestSigning::oas(&auth.section("requestSigning", faults), faults).filter(|_| on),
        };
        manner.check(auth.pointer, faults);
        manner
    }

    /// A header holds one thing.
    fn check(&self, at: String, faults: &mut Vec<Fault>) {
        let (Some(credentials), Some(signing)) = (&self.credentials, &self.signing) else { return };
        if credentials.header() == &*signing.header {
            let message =
                format!("credentials and signature would both be in the header `{}`", signing.header);
            faults.push(Fault::error(at, message).hint("give one of them a header of its own"));
        }
    }

    pub(crate) fn write_classic(&self, definition: &mut Value) {
        self.tls.write_classic(definition);
        if let Some(proxy) = &self.proxy {
            definition["proxy"]["transport"]["proxy_url"] = proxy.to_string().into();
        }
        if let Some(credentials) = &self.credentials {
            definition["upstream_auth"] = credentials.write_classic();
        }
        if let Some(signing) = &self.signing {
            definition["request_signing"] = signing.write_classic();
        }
    }
}

/// The name of a header field, lower case; what it is where nothing is said.
fn header(holder: &Section<'_>, key: &str, faults: &mut Vec<Fault>) -> Box<str> {
    let name = holder.text(key, faults);
    if name.is_empty() {
        return "authorization".into();
    }
    let token = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
    if !token {
        faults.push(Fault::error(holder.at(key), format!("`{name}` is no name of a header")));
    }
    name.to_ascii_lowercase().into()
}

/// The targets among which requests are shared out.
pub(crate) fn classic_targets(proxy: &Section<'_>, faults: &mut Vec<Fault>) -> Box<[Target]> {
    balance::classic(proxy, faults)
}

/// The same of an OpenAPI definition.
pub(crate) fn oas_targets(upstream: &Section<'_>, faults: &mut Vec<Fault>) -> Box<[Target]> {
    balance::oas(&upstream.section("loadBalancing", faults), faults)
}

/// What `proxy.target_list` is to say.
pub(crate) fn write_targets(targets: &[Target]) -> Value {
    balance::write(targets)
}
