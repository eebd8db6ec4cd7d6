//! What a message is told about the request it came with (streams contract 2.4, "Metadata").

use http::header::{COOKIE, HeaderName};
use streams::Message;

use crate::exchange::Exchange;

/// Metadata of one request, made once and given to each of its messages.
pub(super) struct Metadata(Vec<(String, String)>);

impl Metadata {
    /// Later sources overwrite earlier ones of the same name: fixed names, headers, query, path, cookies.
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
        for name in head.headers.keys() {
            if let Some(value) = head.headers.get(name).and_then(|value| value.to_str().ok()) {
                pairs.push((canonical(name), value.to_owned()));
            }
        }
        pairs.extend(query_pairs(head.uri.query().unwrap_or_default()));
        pairs.extend(captures);
        for cookies in head.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()) {
            let cookies = cookies.split(';').filter_map(|cookie| cookie.trim().split_once('='));
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

/// `content-type` as the original writes it: `Content-Type`.
fn canonical(name: &HeaderName) -> String {
    let mut upper = true;
    name.as_str()
        .chars()
        .map(|character| {
            let shown = if upper { character.to_ascii_uppercase() } else { character };
            upper = character == '-';
            shown
        })
        .collect()
}

fn query_pairs(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

/// Percent escapes and `+` resolved; what is no valid escape or not UTF-8 stays as near to its text as possible.
pub(crate) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => match (after.first().and_then(hex), after.get(1).and_then(hex)) {
                (Some(high), Some(low)) => {
                    bytes.push(high << 4 | low);
                    rest = &after[2..];
                }
                _ => bytes.push(b'%'),
            },
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn hex(digit: &u8) -> Option<u8> {
    char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded() {
        assert_eq!(canonical(&HeaderName::from_static("x-forwarded-for")), "X-Forwarded-For");
        let pairs: Vec<_> = query_pairs("a=1&b=x%20y+z&c&d=%zz&e=%ff").collect();
        let expected = [("a", "1"), ("b", "x y z"), ("c", ""), ("d", "%zz"), ("e", "\u{fffd}")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(pairs, expected);
    }
}
