//! Small helpers around values.

use std::sync::Arc;

use bloblang::{Array, Object, Value};
use streams::Message;

pub(crate) fn array(items: Vec<Value>) -> Value {
    Value::Array(Arc::new(Array::from(items)))
}

pub(crate) fn object(fields: Object) -> Value {
    Value::Object(Arc::new(fields))
}

/// Makes a value the payload as JSON, also where it is bare text, which a message would take as its payload.
pub(crate) fn set_json(message: &mut Message, value: Value) {
    match value {
        Value::String(_) => message.set_bytes(value.to_json()),
        other => message.set_value(other),
    }
}
