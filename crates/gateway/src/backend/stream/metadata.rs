//! What a message is told about the request it came with (streams contract 2.4, "Metadata").

use http::header::COOKIE;
use streams::Message;

use crate::exchange::Exchange;
use crate::fields::canonical;
use crate::query;

/// What the gate itself says of a request begins so.
const OWN: &str = "http_server_";

/// Metadata of one request, made once and given to each of its messages.
pub(super) struct Metadata(Vec<(String, String)>);

impl Metadata {
    /// Later sources overwrite earlier ones of the same name: fixed names, headers, query, path, cookies. But clients may
    /// not say what the gate has seen: from them names that begin as the fixed ones do are left out.
    pub(super) fn of(exchange: &Exchange, captures: Vec<(String, String)>) -> Self {
        let head = &exchange.head;
        let mut pairs = Vec::with_capacity(head.headers.len() + 8);
        let text =
            |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        pairs.push(("http_server_user_agent".to_owned(), text("user-agent").to_owned()));
        pairs.push(("http_server_request_path".to_owned(), exchange.path_in_api().to_owned()));
        pairs.push(("http_server_verb".to_owned(), head.method.to_string()));
        if let Some(address) = exchange.client_address() {
            pairs.push(("http_server_remote_ip".to_owned(), address.to_string()));
        }
        if let Some(agreed) = &exchange.peer.tls {
            pairs.push(("http_server_tls_version".to_owned(), agreed.version().to_owned()));
            pairs.extend(agreed.suite().map(|suite| ("http_server_tls_cipher_suite".to_owned(), suite)));
            let subject = agreed.certificate().map(|certificate| certificate.subject.to_string());
            pairs.extend(subject.map(|subject| ("http_server_tls_subject".to_owned(), subject)));
        }
        for name in head.headers.keys() {
            if let Some(value) = head.headers.get(name).and_then(|value| value.to_str().ok()) {
                pairs.push((canonical(name), value.to_owned()));
            }
        }
        let query = query::pairs(head.uri.query().unwrap_or_default());
        let query = query.filter(|(name, _)| !name.starts_with(OWN));
        pairs.extend(query.map(|(name, value)| (name.into_owned(), value.into_owned())));
        pairs.extend(captures);
        for cookies in head.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()) {
            let cookies = cookies.split(';').filter_map(|cookie| cookie.trim().split_once('='));
            let cookies = cookies.filter(|(name, _)| !name.starts_with(OWN));
            pairs.extend(cookies.map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
        Self(pairs)
    }

    pub(super) fn write(&self, message: &mut Message) {
        for (name, value) in &self.0 {
            message.set_meta(name.as_str(), value.as_str());
        }
    }
}
