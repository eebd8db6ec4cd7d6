//! What the header fields of a request repeat of its body (MCP 2026-07-28, "Request Metadata" of Streamable HTTP). Whoever stands
//! on the way may go by the fields, and the server goes by the body: they have to say the same.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::members::Members;
use crate::message::Call;

/// The revision that asks for these fields; revisions are called by their days.
const FIRST: &str = "2026-07-28";
/// Where a body says which revision it is of.
const REVISION: &str = "io.modelcontextprotocol/protocolVersion";
/// Methods whose requests name what they are for.
const NAMED: [&str; 3] = ["tools/call", "resources/read", "prompts/get"];

/// The fields of a request; `Err`: what stands there more than once, or is no text.
#[derive(Debug, Clone, Copy)]
pub struct Mirrored<'h> {
    /// `MCP-Protocol-Version`
    pub revision: Field<'h>,
    /// `Mcp-Method`
    pub method: Field<'h>,
    /// `Mcp-Name`
    pub name: Field<'h>,
}

/// A field, if it is there.
pub type Field<'h> = Result<Option<&'h str>, Malformed>;

/// A field that cannot be compared with anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl Mirrored<'_> {
    /// Compares the fields with a call, and the body that it was read from. Older revisions do not ask for them; where they are
    /// there all the same, they have to be true.
    ///
    /// # Errors
    /// What the client is told.
    pub fn agree(&self, call: &Call, body: &[u8]) -> Result<(), String> {
        if (self.revision, self.method, self.name) == (Ok(None), Ok(None), Ok(None)) {
            return Ok(());
        }
        let revision = sole("MCP-Protocol-Version", self.revision)?;
        // What is asked of notifications is left open.
        let asked = revision.is_some_and(is_recent) && &*call.id != "null";
        compare("Mcp-Method", sole("Mcp-Method", self.method)?.map(ToOwned::to_owned), &call.method, asked)?;
        if let Some((_, name)) = &call.primitive
            && NAMED.contains(&&*call.method)
        {
            let told =
                sole("Mcp-Name", self.name)?.map(|told| plain(told).ok_or_else(|| malformed("Mcp-Name")));
            compare("Mcp-Name", told.transpose()?, name, asked)?;
        }
        if asked {
            let said = revision_of(body).unwrap_or_default();
            compare("MCP-Protocol-Version", revision.map(ToOwned::to_owned), &said, true)?;
        }
        Ok(())
    }
}

fn sole<'h>(name: &str, field: Field<'h>) -> Result<Option<&'h str>, String> {
    field.map_err(|Malformed| malformed(name))
}

fn malformed(name: &str) -> String {
    format!("Header mismatch: {name} header is malformed")
}

fn compare(name: &str, told: Option<String>, said: &str, asked: bool) -> Result<(), String> {
    match told {
        Some(told) if told == said => Ok(()),
        Some(told) => {
            Err(format!("Header mismatch: {name} header value '{told}' does not match body value '{said}'"))
        }
        None if asked => Err(format!("Header mismatch: {name} header is missing")),
        None => Ok(()),
    }
}

/// Whether a revision is one that asks for the fields.
fn is_recent(revision: &str) -> bool {
    let is_day = revision.len() == FIRST.len()
        && revision.bytes().zip(FIRST.bytes()).all(|(one, other)| match other {
            b'-' => one == b'-',
            _ => one.is_ascii_digit(),
        });
    is_day && revision >= FIRST
}

/// A value as it was before it was made fit for a field ("Value Encoding").
fn plain(value: &str) -> Option<String> {
    let Some(coded) = value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) else {
        return Some(value.to_owned());
    };
    String::from_utf8(BASE64_STANDARD.decode(coded).ok()?).ok()
}

/// Which revision a body says that it is of.
fn revision_of(body: &[u8]) -> Option<String> {
    let message = Members::of(std::str::from_utf8(body).ok()?)?;
    let params = Members::of(message.first("params")?.get())?;
    let meta = Members::of(params.first("_meta")?.get())?;
    let mut said = meta.0.iter().filter(|(name, _)| name == REVISION).map(|(_, value)| value.get());
    let (Some(said), None) = (said.next(), said.next()) else { return None };
    serde_json::from_str(said).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Message, read};

    fn body(method: &str, params: &str, revision: &str) -> String {
        let meta = format!(r#""_meta":{{"{REVISION}":"{revision}"}}"#);
        let params = if params.is_empty() { meta } else { format!("{params},{meta}") };
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}}}}}"#)
    }

    fn agree(
        body: &str,
        revision: Option<&str>,
        method: Option<&str>,
        name: Option<&str>,
    ) -> Result<(), String> {
        let Ok(Message::Call(call)) = read(body.as_bytes()) else { panic!("{body}") };
        let fields = Mirrored { revision: Ok(revision), method: Ok(method), name: Ok(name) };
        fields.agree(&call, body.as_bytes())
    }

    #[test]
    fn fields_say_what_the_body_says() {
        let new = Some("2026-07-28");
        let tool = body("tools/call", r#""name":"get""#, "2026-07-28");
        let call = Some("tools/call");
        let read = body("resources/read", r#""uri":"a://é""#, "2026-07-28");
        let list = body("tools/list", "", "2026-07-28");
        let (tool, read, list) = (tool.as_str(), read.as_str(), list.as_str());
        let told = r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#;
        let missing = |name: &str| Err(format!("Header mismatch: {name} header is missing"));
        let other = |name: &str, told: &str, said: &str| {
            Err(format!("Header mismatch: {name} header value '{told}' does not match body value '{said}'"))
        };
        for (body, revision, method, name, expected) in [
            (tool, new, call, Some("get"), Ok(())),
            (tool, new, call, Some("=?base64?Z2V0?="), Ok(())),
            (tool, new, call, Some("set"), other("Mcp-Name", "set", "get")),
            (tool, new, call, Some("GET"), other("Mcp-Name", "GET", "get")),
            (tool, new, call, Some("=?base64?c2V0?="), other("Mcp-Name", "set", "get")),
            (
                tool,
                new,
                call,
                Some("=?base64?!?="),
                Err("Header mismatch: Mcp-Name header is malformed".to_owned()),
            ),
            (tool, new, call, None, missing("Mcp-Name")),
            (tool, new, None, Some("get"), missing("Mcp-Method")),
            (tool, new, Some("tools/list"), Some("get"), other("Mcp-Method", "tools/list", "tools/call")),
            (
                tool,
                Some("2027-01-01"),
                call,
                Some("get"),
                other("MCP-Protocol-Version", "2027-01-01", "2026-07-28"),
            ),
            (read, new, Some("resources/read"), Some("=?base64?YTovL8Op?="), Ok(())),
            (read, new, Some("resources/read"), None, missing("Mcp-Name")),
            (list, new, Some("tools/list"), None, Ok(())),
            // Of others it is not said what it would be.
            (list, new, Some("tools/list"), Some("any"), Ok(())),
            (list, new, None, None, missing("Mcp-Method")),
            (told, new, None, None, Ok(())),
            (told, new, Some("ping"), None, other("Mcp-Method", "ping", "notifications/cancelled")),
            // Those of before know nothing of it, and may not say what is not so.
            (tool, Some("2025-11-25"), None, None, Ok(())),
            (tool, Some("DRAFT-2026-v1"), None, None, Ok(())),
            (tool, None, None, None, Ok(())),
            (tool, None, Some("ping"), None, other("Mcp-Method", "ping", "tools/call")),
            (tool, Some("2025-11-25"), None, Some("set"), other("Mcp-Name", "set", "get")),
        ] {
            assert_eq!(
                agree(body, revision, method, name),
                expected,
                "{body} {revision:?} {method:?} {name:?}"
            );
        }
        let bare = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        assert_eq!(agree(bare, new, Some("ping"), None), other("MCP-Protocol-Version", "2026-07-28", ""));
        let Ok(Message::Call(call)) = crate::read(bare.as_bytes()) else { panic!() };
        let twice = Mirrored { revision: Ok(None), method: Err(Malformed), name: Ok(None) };
        assert!(twice.agree(&call, bare.as_bytes()).is_err());
    }
}
