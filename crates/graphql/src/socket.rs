//! The two protocols of GraphQL over WebSockets: `graphql-transport-ws`, and the older `graphql-ws` (of the package
//! `subscriptions-transport-ws`). Texts in, texts out: no socket here.

use serde_json::{Value, json};

use crate::error::Problem;
use crate::request::Request;

/// Which of them is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `graphql-ws`.
    Old,
    /// `graphql-transport-ws`.
    Transport,
}

impl Protocol {
    /// By its name in `Sec-WebSocket-Protocol`.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "graphql-ws" => Some(Self::Old),
            "graphql-transport-ws" => Some(Self::Transport),
            _ => None,
        }
    }

    /// Its name there.
    pub fn name(self) -> &'static str {
        match self {
            Self::Old => "graphql-ws",
            Self::Transport => "graphql-transport-ws",
        }
    }

    /// The message that refuses an operation.
    pub fn refusal(self, id: &Value, problem: &Problem) -> String {
        let errors = match problem {
            Problem::Errors(errors) => errors["errors"].clone(),
            Problem::Depth => json!([{"message": "depth limit exceeded"}]),
            Problem::Introspection => json!([{"message": "introspection is disabled"}]),
        };
        let payload = match self {
            Self::Transport => errors,
            Self::Old => errors.get(0).cloned().unwrap_or_default(),
        };
        json!({"id": id, "type": "error", "payload": payload}).to_string()
    }
}

/// What becomes of a client's message.
#[derive(Debug, Clone, PartialEq)]
pub enum FromClient {
    /// It goes on, maybe in other words.
    On(String),
    /// It goes on if the request holds.
    Ask {
        /// Of the operation.
        id: Value,
        /// What is asked for.
        request: Request,
        /// What goes on.
        message: String,
    },
    /// It is answered.
    Answer(String),
    /// The other side does not know it.
    Nothing,
    /// The client says goodbye.
    Goodbye,
    /// It is none.
    Malformed,
}

/// What becomes of an upstream's message.
#[derive(Debug, Clone, PartialEq)]
pub enum FromUpstream {
    /// It goes on, maybe in other words.
    On(String),
    /// It is answered.
    Answer(String),
    /// The client does not know it.
    Nothing,
    /// It refuses the connection.
    Refused,
}

/// Reads a client's message, for an upstream that may speak the other protocol.
pub fn from_client(text: &str, client: Protocol, upstream: Protocol) -> FromClient {
    let Ok(Value::Object(mut message)) = serde_json::from_str::<Value>(text) else {
        return FromClient::Malformed;
    };
    // Only what is looked at goes on: some servers take `Type` for `type`.
    message.retain(|name, _| matches!(name.as_str(), "id" | "type" | "payload"));
    let Some(kind) = message.get("type").and_then(Value::as_str) else { return FromClient::Malformed };
    let same = client == upstream;
    let (start, stop) = match upstream {
        Protocol::Old => ("start", "stop"),
        Protocol::Transport => ("subscribe", "complete"),
    };
    let new = match (client, kind) {
        (_, "connection_init") => return FromClient::On(Value::Object(message).to_string()),
        (Protocol::Transport, "subscribe") | (Protocol::Old, "start") => {
            let payload = message.get("payload").cloned().unwrap_or_default();
            let id = message.get("id").cloned().unwrap_or_default();
            let Ok(request) = Request::of_value(payload) else { return FromClient::Malformed };
            message.insert("type".to_owned(), start.into());
            let message = Value::Object(message).to_string();
            return FromClient::Ask { id, request, message };
        }
        (Protocol::Transport, "complete") | (Protocol::Old, "stop") => stop,
        (Protocol::Transport, "ping" | "pong") if same => {
            return FromClient::On(Value::Object(message).to_string());
        }
        (Protocol::Transport, "ping") => return FromClient::Answer(r#"{"type":"pong"}"#.to_owned()),
        (Protocol::Transport, "pong") => return FromClient::Nothing,
        (Protocol::Old, "connection_terminate") => return FromClient::Goodbye,
        _ => return FromClient::Malformed,
    };
    message.insert("type".to_owned(), new.into());
    FromClient::On(Value::Object(message).to_string())
}

/// Reads an upstream's message, for a client that speaks the other protocol.
pub fn from_upstream(text: &str, upstream: Protocol) -> FromUpstream {
    let Ok(Value::Object(mut message)) = serde_json::from_str::<Value>(text) else {
        return FromUpstream::Nothing;
    };
    let new = match (upstream, message.get("type").and_then(Value::as_str).unwrap_or_default()) {
        (_, "connection_ack" | "complete") => return FromUpstream::On(text.to_owned()),
        (Protocol::Old, "data") => "next",
        (Protocol::Transport, "next") => "data",
        (_, "error") => {
            if let Some(payload) = message.get_mut("payload") {
                *payload = match (upstream, payload.take()) {
                    (Protocol::Old, list @ Value::Array(_)) => list,
                    (Protocol::Old, one) => json!([one]),
                    (Protocol::Transport, Value::Array(list)) => list.into_iter().next().unwrap_or_default(),
                    (Protocol::Transport, one) => one,
                };
            }
            "error"
        }
        (Protocol::Transport, "ping") => return FromUpstream::Answer(r#"{"type":"pong"}"#.to_owned()),
        (Protocol::Old, "connection_error") => return FromUpstream::Refused,
        _ => return FromUpstream::Nothing,
    };
    message.insert("type".to_owned(), new.into());
    FromUpstream::On(Value::Object(message).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use Protocol::{Old, Transport};

    #[test]
    fn c10_messages_of_clients() {
        let ask = |message: &str| match from_client(message, Transport, Old) {
            FromClient::Ask { id, request, message } => (id, request.query, message),
            other => panic!("{other:?}"),
        };
        let (id, query, sent) = ask(r#"{"id":"1","type":"subscribe","payload":{"query":"{a}"}}"#);
        assert_eq!((id, &*query), (json!("1"), "{a}"));
        assert_eq!(sent, r#"{"id":"1","type":"start","payload":{"query":"{a}"}}"#);
        for (client, upstream, message, becomes) in [
            (Transport, Transport, r#"{"type":"ping"}"#, FromClient::On(r#"{"type":"ping"}"#.into())),
            (Transport, Old, r#"{"type":"ping"}"#, FromClient::Answer(r#"{"type":"pong"}"#.into())),
            (Transport, Old, r#"{"type":"pong"}"#, FromClient::Nothing),
            (
                Transport,
                Old,
                r#"{"id":"1","type":"complete"}"#,
                FromClient::On(r#"{"id":"1","type":"stop"}"#.into()),
            ),
            (
                Old,
                Transport,
                r#"{"id":"1","type":"stop"}"#,
                FromClient::On(r#"{"id":"1","type":"complete"}"#.into()),
            ),
            (Old, Old, r#"{"type":"connection_terminate"}"#, FromClient::Goodbye),
            (
                Old,
                Transport,
                r#"{"type":"connection_init"}"#,
                FromClient::On(r#"{"type":"connection_init"}"#.into()),
            ),
            // What the protocol does not have goes nowhere: it might hold an operation in disguise.
            (
                Transport,
                Transport,
                r#"{"id":"1","type":"start","payload":{"query":"{a}"}}"#,
                FromClient::Malformed,
            ),
            (Old, Old, r#"{"id":"1","type":"subscribe","payload":{"query":"{a}"}}"#, FromClient::Malformed),
            (
                Transport,
                Transport,
                r#"{"id":"1","type":"subscribe","payload":{"query":7}}"#,
                FromClient::Malformed,
            ),
            (Transport, Transport, r#"{"id":"1","type":"subscribe"}"#, FromClient::Malformed),
            (Transport, Transport, r#"[{"type":"ping"}]"#, FromClient::Malformed),
            (Transport, Transport, "{", FromClient::Malformed),
        ] {
            assert_eq!(from_client(message, client, upstream), becomes, "{message}");
        }
    }

    #[test]
    fn c10_messages_of_upstreams() {
        let on = |text: &str| FromUpstream::On(text.to_owned());
        for (upstream, message, becomes) in [
            (Old, r#"{"id":"1","type":"data","payload":{}}"#, on(r#"{"id":"1","type":"next","payload":{}}"#)),
            (
                Transport,
                r#"{"id":"1","type":"next","payload":{}}"#,
                on(r#"{"id":"1","type":"data","payload":{}}"#),
            ),
            (
                Old,
                r#"{"id":"1","type":"error","payload":{"message":"x"}}"#,
                on(r#"{"id":"1","type":"error","payload":[{"message":"x"}]}"#),
            ),
            (
                Transport,
                r#"{"id":"1","type":"error","payload":[{"message":"x"}]}"#,
                on(r#"{"id":"1","type":"error","payload":{"message":"x"}}"#),
            ),
            (Old, r#"{"type":"ka"}"#, FromUpstream::Nothing),
            (Old, r#"{"type":"connection_error"}"#, FromUpstream::Refused),
            (Transport, r#"{"type":"ping"}"#, FromUpstream::Answer(r#"{"type":"pong"}"#.into())),
            (Transport, r#"{"type":"connection_ack"}"#, on(r#"{"type":"connection_ack"}"#)),
            (Transport, "nonsense", FromUpstream::Nothing),
        ] {
            assert_eq!(from_upstream(message, upstream), becomes, "{message}");
        }
    }
}
