//! What is said to a source over a WebSocket to get the events of one subscription, and what it says. Texts in, texts out.

use serde_json::{Value, json};

use crate::error::answer_of;
use crate::socket::Protocol;

/// The name of the operation: a connection has one.
const NAME: &str = "1";

/// The first message.
pub fn hello() -> String {
    json!({"type": "connection_init", "payload": {}}).to_string()
}

/// Asks for events. `request`: one of GraphQL in JSON.
pub fn ask(protocol: Protocol, request: &str) -> Result<String, serde_json::Error> {
    let kind = match protocol {
        Protocol::Old => "start",
        Protocol::Transport => "subscribe",
    };
    let payload: Value = serde_json::from_str(request)?;
    Ok(json!({"id": NAME, "type": kind, "payload": payload}).to_string())
}

/// No more events are wanted.
pub fn goodbye(protocol: Protocol) -> String {
    let kind = match protocol {
        Protocol::Old => "stop",
        Protocol::Transport => "complete",
    };
    json!({"id": NAME, "type": kind}).to_string()
}

/// What a source says.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// It can be asked now.
    Ready,
    /// An answer.
    Next(Value),
    /// The last answer: the operation is refused.
    Last(Value),
    /// There is no more.
    End,
    /// It wants this message.
    Reply(&'static str),
    /// Nothing that counts.
    Nothing,
    /// It takes nobody; why, as far as it says.
    Refused(String),
}

/// Reads a message of a source.
pub fn read(text: &str, protocol: Protocol) -> Said {
    let Ok(Value::Object(mut message)) = serde_json::from_str(text) else { return Said::Nothing };
    let kind = message.remove("type").unwrap_or_default();
    let mut payload = || message.remove("payload").unwrap_or_default();
    match (protocol, kind.as_str().unwrap_or_default()) {
        (_, "connection_ack") => Said::Ready,
        (Protocol::Transport, "next") | (Protocol::Old, "data") => Said::Next(payload()),
        (_, "error") => Said::Last(match payload() {
            Value::Array(errors) if !errors.is_empty() => json!({"errors": errors}),
            Value::Object(error) if error.contains_key("message") => json!({"errors": [error]}),
            Value::String(text) => answer_of(&text),
            _ => answer_of("it refuses the operation"),
        }),
        (_, "complete") => Said::End,
        (Protocol::Transport, "ping") => Said::Reply(r#"{"type":"pong"}"#),
        (Protocol::Old, "connection_error") => {
            let told = payload();
            let text = told["message"].as_str().or(told.as_str()).unwrap_or("it refuses the connection");
            Said::Refused(text.to_owned())
        }
        _ => Said::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Protocol::{Old, Transport};

    #[test]
    fn c10_sources_are_asked_in_their_words() {
        let request = r#"{"query":"subscription { a }"}"#;
        for (protocol, start, stop) in [(Old, "start", "stop"), (Transport, "subscribe", "complete")] {
            let asked: Value = serde_json::from_str(&ask(protocol, request).unwrap()).unwrap();
            assert_eq!(asked, json!({"id": "1", "type": start, "payload": {"query": "subscription { a }"}}));
            let ended: Value = serde_json::from_str(&goodbye(protocol)).unwrap();
            assert_eq!(ended, json!({"id": "1", "type": stop}));
        }
        assert!(ask(Old, "{").is_err());
    }

    #[test]
    fn c10_what_sources_say() {
        let answer = json!({"data": {"a": 1}});
        let error = json!({"errors": [{"message": "no"}]});
        for (protocol, text, said) in [
            (Old, r#"{"type":"connection_ack"}"#, Said::Ready),
            (Old, r#"{"type":"ka"}"#, Said::Nothing),
            (Old, r#"{"type":"data","id":"1","payload":{"data":{"a":1}}}"#, Said::Next(answer.clone())),
            (Old, r#"{"type":"next","id":"1","payload":{"data":{"a":1}}}"#, Said::Nothing),
            (Transport, r#"{"type":"next","id":"1","payload":{"data":{"a":1}}}"#, Said::Next(answer)),
            (
                Transport,
                r#"{"type":"error","id":"1","payload":[{"message":"no"}]}"#,
                Said::Last(error.clone()),
            ),
            (Old, r#"{"type":"error","id":"1","payload":{"message":"no"}}"#, Said::Last(error)),
            (Old, r#"{"type":"error","id":"1","payload":"no"}"#, Said::Last(answer_of("no"))),
            (Old, r#"{"type":"error"}"#, Said::Last(answer_of("it refuses the operation"))),
            (Transport, r#"{"type":"complete","id":"1"}"#, Said::End),
            (Transport, r#"{"type":"ping"}"#, Said::Reply(r#"{"type":"pong"}"#)),
            (
                Old,
                r#"{"type":"connection_error","payload":{"message":"who?"}}"#,
                Said::Refused("who?".into()),
            ),
            (Transport, "nonsense", Said::Nothing),
            (Transport, "[]", Said::Nothing),
        ] {
            assert_eq!(read(text, protocol), said, "{text}");
        }
    }
}
