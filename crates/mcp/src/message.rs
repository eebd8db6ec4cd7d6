//! What a client sends (JSON-RPC 2.0 section 4): one call, or the answer to what the server has asked it. A text that another
//! reader might take for another call is refused: what is guarded is what the server will do.

use apidef::CallKind;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::members::{Ambiguous, Members};
use crate::refusal::{INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR};

/// What a client sends.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    /// It asks for something, or tells something.
    Call(Call),
    /// It answers what the server has asked.
    Answer,
}

/// A request or a notification.
#[derive(Debug, PartialEq, Eq)]
pub struct Call {
    /// What is called.
    pub method: Box<str>,
    /// The tool, resource or prompt that it is called for.
    pub primitive: Option<(CallKind, Box<str>)>,
    /// The resources whose changes it listens to.
    pub resources: Box<[Box<str>]>,
    /// What the answer is to be told apart by, as JSON; `null` where there is no answer.
    pub id: Box<str>,
}

/// It is no message, or one that cannot be told from another.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Malformed {
    /// Of JSON-RPC.
    pub code: i32,
    /// What the client is told.
    pub message: &'static str,
    /// As in [`Call`].
    pub id: Box<str>,
}

/// Members of a message that say what it is.
const MEMBERS: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];

/// Reads the body of a request. A batch is refused as no message: it is none since MCP 2025-06-18.
///
/// # Errors
/// What the client is to be told.
pub fn read(body: &[u8]) -> Result<Message, Malformed> {
    let no_json = || malformed(PARSE_ERROR, "parse error", NULL);
    let text = std::str::from_utf8(body).map_err(|_| no_json())?;
    let members = Members::of(text).ok_or_else(no_json)?;
    let mut found = [None; MEMBERS.len()];
    for (found, name) in found.iter_mut().zip(MEMBERS) {
        *found =
            members.sole(name).map_err(|Ambiguous| malformed(INVALID_REQUEST, "invalid request", NULL))?;
    }
    let [version, id, method, params, result, error] = found;
    let id = id.map_or(NULL, RawValue::get);
    if !id.starts_with(['"', '-', 'n']) && !id.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(malformed(INVALID_REQUEST, "invalid request", NULL));
    }
    let text = |value: Option<&RawValue>| match value.map(RawValue::get) {
        None | Some(NULL) => Ok(None),
        Some(text) => serde_json::from_str::<String>(text).map(Some).map_err(|_| no_json()),
    };
    let (version, method) = (text(version)?, text(method)?);
    let invalid = || malformed(INVALID_REQUEST, "invalid request", id);
    if version.as_deref() != Some("2.0") {
        return Err(invalid());
    }
    let Some(method) = method.filter(|method| !method.is_empty()) else {
        let answers = id != NULL && result.is_some() != error.is_some() && params.is_none();
        return if answers { Ok(Message::Answer) } else { Err(invalid()) };
    };
    if result.is_some() || error.is_some() {
        return Err(invalid());
    }
    let primitive = match primitive(&method) {
        None if method == COMPLETE => Some(referred(params).map_err(|why| why.told(id))?),
        None => None,
        Some((kind, key)) => Some((kind, name(params, key).map_err(|why| why.told(id))?)),
    };
    let resources = match &*method {
        LISTEN => listened(params).map_err(|why| why.told(id))?,
        _ => Box::default(),
    };
    Ok(Message::Call(Call { method: method.into(), primitive, resources, id: id.into() }))
}

const NULL: &str = "null";
/// Proposes values for arguments of a prompt, or of a template of resources.
const COMPLETE: &str = "completion/complete";
/// Listens to what changes (MCP 2026-07-28, "Subscriptions").
const LISTEN: &str = "subscriptions/listen";

fn malformed(code: i32, message: &'static str, id: &str) -> Malformed {
    Malformed { code, message, id: id.into() }
}

/// What a method is called for, and the parameter that names it.
fn primitive(method: &str) -> Option<(CallKind, &'static str)> {
    match method {
        "tools/call" => Some((CallKind::Tool, "name")),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => {
            Some((CallKind::Resource, "uri"))
        }
        "prompts/get" => Some((CallKind::Prompt, "name")),
        _ => None,
    }
}

/// Why it is not known what is called for.
enum Unnamed {
    Missing(&'static str),
    Ambiguous,
}

impl Unnamed {
    fn told(self, id: &str) -> Malformed {
        match self {
            Self::Missing(message) => malformed(INVALID_PARAMS, message, id),
            Self::Ambiguous => malformed(INVALID_REQUEST, "invalid request", id),
        }
    }
}

fn name(params: Option<&RawValue>, key: &str) -> Result<Box<str>, Unnamed> {
    let params = params.ok_or(Unnamed::Missing("missing required params object"))?;
    let missing = Unnamed::Missing(match key {
        "type" => "missing required parameter: type",
        "uri" => "missing required parameter: uri",
        _ => "missing required parameter: name",
    });
    if params.get() == NULL {
        return Err(missing);
    }
    let params = Members::of(params.get()).ok_or(Unnamed::Missing("invalid params: expected object"))?;
    let value = params.sole(key).map_err(|Ambiguous| Unnamed::Ambiguous)?.ok_or(missing)?;
    match serde_json::from_str(value.get()) {
        Ok(Value::String(name)) if !name.is_empty() => Ok(name.into()),
        _ => Err(Unnamed::Missing("invalid params")),
    }
}

/// What a completion is for: whoever may not use it is told nothing of it either.
fn referred(params: Option<&RawValue>) -> Result<(CallKind, Box<str>), Unnamed> {
    let params = params.ok_or(Unnamed::Missing("missing required params object"))?;
    let missing = || Unnamed::Missing("missing required parameter: ref");
    if params.get() == NULL {
        return Err(missing());
    }
    let params = Members::of(params.get()).ok_or(Unnamed::Missing("invalid params: expected object"))?;
    let reference = params.sole("ref").map_err(|Ambiguous| Unnamed::Ambiguous)?.ok_or_else(missing)?;
    match &*name(Some(reference), "type")? {
        "ref/prompt" => Ok((CallKind::Prompt, name(Some(reference), "name")?)),
        "ref/resource" => Ok((CallKind::Resource, name(Some(reference), "uri")?)),
        _ => Err(Unnamed::Missing("invalid params")),
    }
}

/// The resources whose changes are listened to; none where it is only told that a list has changed.
fn listened(params: Option<&RawValue>) -> Result<Box<[Box<str>]>, Unnamed> {
    let mut found = params;
    for name in ["notifications", "resourceSubscriptions"] {
        let Some(holder) = found.filter(|holder| holder.get() != NULL) else { return Ok(Box::default()) };
        let members = Members::of(holder.get()).ok_or(Unnamed::Missing("invalid params: expected object"))?;
        found = members.sole(name).map_err(|Ambiguous| Unnamed::Ambiguous)?;
    }
    let Some(list) = found.filter(|list| list.get() != NULL) else { return Ok(Box::default()) };
    serde_json::from_str(list.get()).map_err(|_| Unnamed::Missing("invalid params"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &str, primitive: Option<(CallKind, &str)>, id: &str) -> Result<Message, Malformed> {
        let primitive = primitive.map(|(kind, name)| (kind, name.into()));
        Ok(Message::Call(Call { method: method.into(), primitive, resources: Box::default(), id: id.into() }))
    }

    fn listen(resources: &[&str]) -> Result<Message, Malformed> {
        let resources = resources.iter().map(|uri| (*uri).into()).collect();
        let method = "subscriptions/listen".into();
        Ok(Message::Call(Call { method, primitive: None, resources, id: "1".into() }))
    }

    fn bad(code: i32, message: &'static str, id: &str) -> Result<Message, Malformed> {
        Err(malformed(code, message, id))
    }

    #[test]
    fn messages_are_read() {
        let tool = |name| Some((CallKind::Tool, name));
        let invalid = |id| bad(-32600, "invalid request", id);
        let parse = || bad(-32700, "parse error", "null");
        for (text, expected) in [
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, call("ping", None, "1")),
            (
                r#"{"jsonrpc":"2.0","id":"a\u0062","method":"x/y","params":[]}"#,
                call("x/y", None, r#""a\u0062""#),
            ),
            (r#"{"jsonrpc":"2.0","id":1e3,"method":"ping"}"#, call("ping", None, "1e3")),
            (
                r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
                call("notifications/initialized", None, "null"),
            ),
            (
                r#" {"method":"tools\/call", "params":{"name":"t\u0031","arguments":{"name":"no","Name":1}}, "id":7, "jsonrpc":"2.0"} "#,
                call("tools/call", tool("t1"), "7"),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"a://b","name":"c"}}"#,
                call("resources/read", Some((CallKind::Resource, "a://b")), "1"),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"p"}}"#,
                call("prompts/get", Some((CallKind::Prompt, "p")), "1"),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"a://b"}}"#,
                call("resources/subscribe", Some((CallKind::Resource, "a://b")), "1"),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p","uri":"a://b"},"argument":{"name":"q","value":""}}}"#,
                call("completion/complete", Some((CallKind::Prompt, "p")), "1"),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":"a://{b}","name":"p"}}}"#,
                call("completion/complete", Some((CallKind::Resource, "a://{b}")), "1"),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete"}"#,
                bad(-32602, "missing required params object", "1"),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{}}"#,
                bad(-32602, "missing required parameter: ref", "1"),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"name":"p"}}}"#,
                bad(-32602, "missing required parameter: type", "1"),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/tool","name":"p"}}}"#,
                bad(-32602, "invalid params", "1"),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p","Name":"q"}}}"#,
                invalid("1"),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p"},"REF":{}}}"#,
                invalid("1"),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["a://b","c\u003a//d"]}}}"#,
                listen(&["a://b", "c://d"]),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true}}}"#,
                listen(&[]),
            ),
            (r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen"}"#, listen(&[])),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":[{"uri":"a://b"}]}}}"#,
                bad(-32602, "invalid params", "1"),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":["a"]}}"#,
                bad(-32602, "invalid params: expected object", "1"),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{},"Notifications":{"resourceSubscriptions":["a://b"]}}}"#,
                invalid("1"),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":[],"resourcesubscriptions":["a://b"]}}}"#,
                invalid("1"),
            ),
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, Ok(Message::Answer)),
            (r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}}"#, Ok(Message::Answer)),
            // No JSON, or none that could be a message.
            ("", parse()),
            ("{", parse()),
            ("[]", parse()),
            (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, parse()),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"} x"#, parse()),
            (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, parse()),
            (r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#, parse()),
            ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"p\\ud800\"}", parse()),
            // JSON, and no message.
            ("{}", invalid("null")),
            (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, invalid("1")),
            (r#"{"id":"x","method":"ping"}"#, invalid(r#""x""#)),
            (r#"{"jsonrpc":"2.0","id":1,"method":""}"#, invalid("1")),
            (r#"{"jsonrpc":"2.0","id":1}"#, invalid("1")),
            (r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#, invalid("null")),
            (r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#, invalid("null")),
            (r#"{"jsonrpc":"2.0","id":1,"result":1,"error":{}}"#, invalid("1")),
            (r#"{"jsonrpc":"2.0","result":1}"#, invalid("null")),
            (r#"{"jsonrpc":"2.0","id":1,"result":1,"params":{}}"#, invalid("1")),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":1}"#, invalid("1")),
            // What some would read as another call.
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#, invalid("null")),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}"#, invalid("null")),
            (r#"{"jsonrpc":"2.0","id":1,"result":{},"METHOD":"tools/call"}"#, invalid("null")),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"},"paramſ":{"name":"b"}}"#,
                invalid("null"),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}"#,
                invalid("1"),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","NAME":"b"}}"#,
                invalid("1"),
            ),
            // A call of nothing.
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#,
                bad(-32602, "missing required params object", "1"),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":null}"#,
                bad(-32602, "missing required parameter: name", "1"),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"uri":"a"}}"#,
                bad(-32602, "missing required parameter: name", "1"),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"name":"a"}}"#,
                bad(-32602, "missing required parameter: uri", "1"),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["a"]}"#,
                bad(-32602, "invalid params: expected object", "1"),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":""}}"#,
                bad(-32602, "invalid params", "1"),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":1}}"#,
                bad(-32602, "invalid params", "1"),
            ),
        ] {
            assert_eq!(read(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(read(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}"), parse());
    }

    #[test]
    fn deep_texts_cost_no_stack() {
        let deep = "[".repeat(500_000) + &"]".repeat(500_000);
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{deep}}}"#);
        assert_eq!(read(text.as_bytes()), call("x", None, "1"));
    }
}
