//! Reads what is called, and holds it against what the definition opens (contract 4.4 rows 2 and 3).

use std::sync::Arc;

use apidef::{Api, CallKind, call_at};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, UPGRADE};
use http::{Method, StatusCode};
use mcp::{Message, Rights, Rules, Verdict};

use super::Asked;
use crate::exchange::{Exchange, Skips};
use crate::respond::Refusal;

/// Bytes of a message where the gate has no limit of its own for bodies.
const MOST: usize = 1 << 20;

/// Reads calls.
#[derive(Debug)]
pub(crate) struct Reader {
    rights: Arc<Rights>,
    /// Open to everybody.
    open: Rights,
    /// What the client sends does not go on, so that it has to be known.
    makes_tools: bool,
}

impl Reader {
    /// `None` where the API speaks no MCP.
    pub(crate) fn of(api: &Api) -> Option<Self> {
        if !api.mcp {
            return None;
        }
        let lists = &api.paths.lists;
        let rules = |kind| Rules::written(names(&lists.allowed, kind), names(&lists.blocked, kind));
        let open = |kind| Rules::written(names(&lists.ignored, kind), std::iter::empty());
        let makes_tools = api.tools.is_some();
        Some(Self { rights: Arc::new(Rights::new(rules)), open: Rights::new(open), makes_tools })
    }

    pub(crate) async fn pass(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        // What led here through another API is held to what that one says, too.
        let before = exchange.mcp.take().map(|asked| asked.sight).unwrap_or_default();
        let mut asked = match exchange.head.method {
            Method::POST => self.read(exchange).await?,
            Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS if exchange.body.is_none() => {
                // Nothing but HTTP is understood here.
                exchange.head.headers.remove(UPGRADE);
                Asked::default()
            }
            Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS => return Err(invalid()),
            _ => {
                return Err(Refusal::client(StatusCode::METHOD_NOT_ALLOWED, "BIV", "Method not allowed"));
            }
        };
        asked.sight = before;
        asked.sent = self.makes_tools.then(|| exchange.head.headers.clone());
        asked.cut_to(&self.rights, &mut exchange.head.headers);
        let opens = asked.call.as_ref().map(|call| self.opens(call));
        exchange.mcp = Some(Box::new(asked));
        if opens.transpose()?.unwrap_or_default() {
            exchange.skips = exchange.skips.and(Skips::OPEN);
        }
        Ok(())
    }

    async fn read(&self, exchange: &mut Exchange) -> Result<Asked, Refusal> {
        if !is_json(&exchange.head.headers) {
            return Err(invalid());
        }
        let settings = &exchange.gate.settings;
        let most = match usize::try_from(settings.max_request_body).unwrap_or(usize::MAX) {
            0 => MOST,
            most => most.min(settings.most_kept_of_requests()),
        };
        let body = match exchange.buffer_body(most).await {
            Ok(body) => body,
            Err(refusal) if refusal.flag == "BTL" => return Err(invalid()),
            Err(refusal) => return Err(refusal),
        };
        match mcp::read(&body) {
            Ok(Message::Call(call)) => {
                let fields = mirrored(&exchange.head.headers);
                let said = fields.agree(&call, &body);
                said.map_err(|why| told(mcp::HEADER_MISMATCH, &why, &call.id))?;
                Ok(Asked::of(call, &exchange.api.patterns))
            }
            Ok(Message::Answer) => Ok(Asked::default()),
            Err(malformed) => Err(told(malformed.code, malformed.message, &malformed.id)),
        }
    }

    /// Whether a call is open to everybody; else it has to be one that the definition does not close.
    fn opens(&self, call: &mcp::Call) -> Result<bool, Refusal> {
        let primitive = call.primitive.as_ref().map(|(kind, name)| (*kind, &**name));
        let listened = || call.resources.iter().map(|uri| (CallKind::Resource, &**uri));
        let named = || std::iter::once((CallKind::Method, &*call.method)).chain(primitive);
        let open = |(kind, name): (CallKind, &str)| self.open.lists(kind, name);
        for (kind, name) in named().chain(listened()) {
            let closed = match (self.rights.to(kind).verdict(name), kind) {
                (Verdict::Fine, _) => continue,
                // A path that is open is not looked for in the other lists either (contract 4.3).
                _ if open((kind, name)) => continue,
                (Verdict::Blocked, _) => "Requested endpoint is forbidden",
                (Verdict::Unlisted, CallKind::Method) => "Access to this operation has been disallowed",
                (Verdict::Unlisted, _) => "access to this resource has been disallowed",
            };
            return Err(Refusal::client(StatusCode::FORBIDDEN, "EAD", closed));
        }
        let all_listened = !call.resources.is_empty() && listened().all(open);
        Ok(all_listened || named().any(open))
    }
}

/// The names of calls of one kind in a list.
fn names(list: &[apidef::AtPath<()>], kind: CallKind) -> impl Iterator<Item = &str> {
    let all = list.iter().filter_map(|one| call_at(&one.path));
    all.filter(move |(known, _)| *known == kind).map(|(_, name)| name)
}

/// The lists of paths without those of calls.
pub(crate) fn without_calls(lists: &apidef::Lists) -> apidef::Lists {
    let paths = |list: &[apidef::AtPath<()>]| {
        list.iter().filter(|one| call_at(&one.path).is_none()).cloned().collect()
    };
    apidef::Lists {
        internal: paths(&lists.internal),
        replies: lists.replies.clone(),
        ignored: paths(&lists.ignored),
        blocked: paths(&lists.blocked),
        allowed: paths(&lists.allowed),
    }
}

/// Whether a body is JSON, and nothing else to whoever reads it: one field that says so, in the charset that JSON has, and
/// nothing packed.
fn is_json(headers: &HeaderMap) -> bool {
    let mut kinds = headers.get_all(CONTENT_TYPE).iter();
    let (Some(kind), None) = (kinds.next().and_then(|kind| kind.to_str().ok()), kinds.next()) else {
        return false;
    };
    let mut parts = kind.split(';').map(str::trim);
    let plain = headers.get_all(CONTENT_ENCODING).iter().all(|coding| coding.as_bytes() == b"identity");
    let is_utf8 = |part: &str| {
        part.split_once('=').is_none_or(|(name, value)| {
            !name.trim().eq_ignore_ascii_case("charset")
                || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
    };
    plain
        && parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"))
        && parts.all(is_utf8)
}

/// The fields that repeat what stands in the body.
fn mirrored(headers: &HeaderMap) -> mcp::Mirrored<'_> {
    let field = |name: &str| {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => value.to_str().map(Some).map_err(|_| mcp::MalformedField),
            _ => Err(mcp::MalformedField),
        }
    };
    mcp::Mirrored {
        revision: field("mcp-protocol-version"),
        method: field("mcp-method"),
        name: field("mcp-name"),
    }
}

fn invalid() -> Refusal {
    told(-32600, "invalid request", "null")
}

/// What is told of what is no call, with the line end that the original's encoder leaves.
fn told(code: i32, message: &str, id: &str) -> Refusal {
    let text = mcp::refusal(code, message, id, None) + "\n";
    let refusal = Refusal::client(StatusCode::BAD_REQUEST, "BIV", text);
    Refusal { is_json: true, ..refusal }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_json_and_nothing_else() {
        for (fields, expected) in [
            (&[("content-type", "application/json")][..], true),
            (&[("content-type", "Application/JSON; charset=UTF-8")], true),
            (&[("content-type", "application/json; charset=\"utf-8\"; x=y")], true),
            (&[("content-type", "application/json; charset=utf-16")], false),
            (&[("content-type", "application/jsonp")], false),
            (&[("content-type", "text/plain")], false),
            (&[], false),
            (&[("content-type", "application/json"), ("content-type", "application/json")], false),
            (&[("content-type", "application/json"), ("content-encoding", "gzip")], false),
            (&[("content-type", "application/json"), ("content-encoding", "identity")], true),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, value.parse().unwrap());
            }
            assert_eq!(is_json(&headers), expected, "{fields:?}");
        }
    }
}
