//! What Redis answers, as a value of Bloblang, and what Bloblang makes as arguments.

use std::sync::Arc;

use bloblang::{Array, Object, Value};
use redis::Value as Reply;

/// A reply as the payload of a message. Bytes that are text are text.
pub(super) fn value(reply: Reply) -> Value {
    match reply {
        Reply::Nil => Value::Null,
        Reply::Int(number) => Value::from(number),
        Reply::Double(number) => Value::from(number),
        Reply::Boolean(yes) => Value::from(yes),
        Reply::Okay => Value::from("OK"),
        Reply::SimpleString(text) | Reply::VerbatimString { text, .. } => Value::from(text),
        Reply::BulkString(bytes) | Reply::BigNumber(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Value::from(text),
            Err(fault) => Value::from(bytes::Bytes::from(fault.into_bytes())),
        },
        Reply::Array(members) | Reply::Set(members) | Reply::Push { data: members, .. } => {
            Value::Array(Arc::new(members.into_iter().map(value).collect::<Array>()))
        }
        Reply::Map(pairs) => {
            let pairs = pairs.into_iter().map(|(name, member)| (value(name).to_text(), value(member)));
            Value::Object(Arc::new(pairs.collect::<Object>()))
        }
        Reply::Attribute { data, .. } => value(*data),
        other => Value::from(format!("{other:?}")),
    }
}

/// The members of the list that a mapping has made, each as the text or bytes that Redis is sent.
pub(super) fn arguments(made: &Value) -> Result<Vec<Vec<u8>>, String> {
    let Some(members) = made.as_array() else {
        return Err(format!("the mapping must make a list of arguments, not {}", made.type_name()));
    };
    members
        .iter()
        .map(|member| match member.type_name() {
            "object" | "array" => {
                Err(format!("an argument must be text, a number or a boolean, not {}", member.type_name()))
            }
            _ => Ok(member.to_payload().to_vec()),
        })
        .collect()
}
