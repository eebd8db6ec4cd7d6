//! The `msgpack` processor (streams contract 3.7).

use bloblang::formats::msgpack;
use document::Fault;
use streams::{BuildContext, Field, Kind, Message, Node, Processor, ProcessorSpec};

use crate::each::{Change, Each};
use crate::values::set_json;

pub(crate) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "msgpack",
    summary: "Converts messages between JSON and MessagePack. Bytes become text in JSON; extension types are refused.",
    config: Kind::Object(&[Field::required(
        "operator",
        Kind::Choice(&["from_json", "to_json"]),
        "The direction: from JSON to MessagePack, or to JSON from MessagePack.",
    )]),
    build,
};

fn build(node: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    Ok(Box::new(Each(MessagePack { to_json: node.text("operator")? == "to_json" })))
}

struct MessagePack {
    to_json: bool,
}

impl Change for MessagePack {
    fn change(&self, message: &mut Message) -> Result<(), String> {
        if self.to_json {
            let value = msgpack::parse(message.bytes()).map_err(|fault| format!("msgpack: {fault}"))?;
            set_json(message, value);
        } else {
            let value = message.value().map_err(|fault| format!("msgpack: {fault}"))?;
            let bytes = msgpack::format(value).map_err(|fault| format!("msgpack: {fault}"))?;
            message.set_bytes(bytes);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};
    use streams::Message;

    use crate::testing::processed;

    fn both() -> Json {
        json!([{"msgpack": {"operator": "from_json"}}, {"msgpack": {"operator": "to_json"}}])
    }

    #[tokio::test]
    async fn documents_come_back() {
        for text in ["null", "\"text\"", "[1,-1,1.5,true]", r#"{"a":{"b":[]},"c":18446744073709551615}"#, "5"]
        {
            let made = processed(&both(), vec![Message::new(text)]).await;
            let expected =
                if text.contains("1844") { r#"{"a":{"b":[]},"c":18446744073709552000}"# } else { text };
            assert_eq!(made, [expected]);
        }
    }

    #[tokio::test]
    async fn what_is_no_document_stays_flagged() {
        for (operator, payload, expected) in [
            ("from_json", &b"{"[..], "msgpack: parse as json"),
            ("to_json", b"", "msgpack: it ends too early"),
            ("to_json", b"\x01\x01", "msgpack: there is something after the document"),
            ("to_json", b"\xd4\x01\x02", "an extension"),
        ] {
            let list = json!([{"msgpack": {"operator": operator}}]);
            let made = processed(&list, vec![Message::new(payload)]).await;
            let (kept, fault) = made[0].split_once('!').unwrap();
            assert_eq!(kept, String::from_utf8_lossy(payload));
            assert!(fault.contains(expected), "{fault}");
        }
    }
}
