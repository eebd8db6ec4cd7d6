//! From where an API may be called (contract 4.4 rows 7 and 8).

use std::net::IpAddr;

use http::StatusCode;

use crate::exchange::Exchange;
use crate::respond::Refusal;

/// What is told whoever calls from elsewhere.
pub(crate) const ADDRESS_REFUSED: &str = "access from this IP has been disallowed";

/// Admits by the client's address.
#[derive(Debug)]
pub(crate) struct Addresses(apidef::Addresses);

impl Addresses {
    /// `None` where all may call.
    pub(crate) fn new(model: &apidef::Addresses) -> Option<Self> {
        (!model.is_empty()).then(|| Self(model.clone()))
    }

    /// Whether there are addresses that may call, and others that may not.
    pub(crate) fn allow_few(&self) -> bool {
        !self.0.allow.is_empty()
    }

    pub(crate) fn pass(&self, exchange: &Exchange) -> Result<(), Refusal> {
        if self.admits(exchange.client_address(), exchange.peer.address) {
            return Ok(());
        }
        Err(Refusal::client(StatusCode::FORBIDDEN, "EAD", ADDRESS_REFUSED))
    }

    /// `client` is unknown where proxies that should have named it have not: it is on no list of those who may, and those
    /// who may not are looked for at the other end of the connection.
    pub(crate) fn admits(&self, client: Option<IpAddr>, peer: IpAddr) -> bool {
        let is_on =
            |list: &[apidef::Network], address: IpAddr| list.iter().any(|network| network.contains(address));
        let allowed = self.0.allow.is_empty() || client.is_some_and(|address| is_on(&self.0.allow, address));
        allowed && !is_on(&self.0.block, client.unwrap_or(peer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lists_count() {
        let list = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        for (allow, block, client, admitted) in [
            (&["10.0.0.0/8"][..], &[][..], Some("10.1.1.1"), true),
            (&["10.0.0.0/8"], &[], Some("11.1.1.1"), false),
            (&["10.0.0.0/8"], &[], None, false),
            (&[], &["10.0.0.0/8"], Some("10.1.1.1"), false),
            (&[], &["10.0.0.0/8"], Some("11.1.1.1"), true),
            (&[], &["10.0.0.0/8"], None, true),
            (&[], &["192.0.2.0/24"], None, false),
            (&["10.0.0.0/8"], &["10.1.1.1"], Some("10.1.1.1"), false),
            (&["10.0.0.0/8"], &["10.1.1.1"], Some("10.1.1.2"), true),
        ] {
            let guard = Addresses(apidef::Addresses { allow: list(allow), block: list(block) });
            let client = client.map(|address| address.parse().unwrap());
            let peer = "192.0.2.7".parse().unwrap();
            assert_eq!(guard.admits(client, peer), admitted, "{allow:?} {block:?} {client:?}");
        }
    }
}
