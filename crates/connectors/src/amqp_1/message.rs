//! Between AMQP 1.0 and a stream's messages.

use bloblang::Value;
use bytes::{Bytes, BytesMut};
use fe2o3_amqp::types::messaging::annotations::OwnedKey;
use fe2o3_amqp::types::messaging::{
    AmqpValue, ApplicationProperties, Batch, Body, Data, Message as Amqp, MessageAnnotations,
};
use fe2o3_amqp::types::primitives::{Binary, OrderedMap, SimpleValue, Symbol, Value as AmqpAny};
use jiff::Timestamp;
use streams::Message;

/// Values in values deeper than this are left out.
const DEPTH: usize = 16;

/// What a link carries: any body.
pub(super) type Carried = Amqp<Body<AmqpAny>>;

/// The message that arrived.
pub(super) fn from_amqp(incoming: Carried, read_header: bool) -> Message {
    let mut message = Message::new(payload(incoming.body));
    for (key, value) in incoming.message_annotations.into_iter().flat_map(|all| all.0) {
        if let (OwnedKey::Symbol(name), Some(text)) = (key, scalar(&value)) {
            message.set_meta(name.0, text);
        }
    }
    if let Some(properties) = incoming.properties {
        let created = properties.creation_time.map(|at| at.into_inner());
        let told = [
            ("amqp_content_type", properties.content_type.map(|text| text.0)),
            ("amqp_content_encoding", properties.content_encoding.map(|text| text.0)),
            ("amqp_creation_time", created.and_then(time)),
            ("amqp_to", properties.to),
        ];
        for (name, value) in told {
            if let Some(value) = value {
                message.set_meta(name, value);
            }
        }
    }
    if let Some(header) = incoming.header.filter(|_| read_header) {
        message.set_meta("amqp_durable", header.durable);
        message.set_meta("amqp_priority", i64::from(header.priority.0));
        message.set_meta("amqp_ttl", i64::from(header.ttl.unwrap_or_default()));
        message.set_meta("amqp_first_acquirer", header.first_acquirer);
        message.set_meta("amqp_delivery_count", i64::from(header.delivery_count));
    }
    message
}

fn time(milliseconds: i64) -> Option<String> {
    Timestamp::from_millisecond(milliseconds).ok().map(|at| at.to_string())
}

fn payload(body: Body<AmqpAny>) -> Bytes {
    match body {
        Body::Data(sections) => {
            let mut whole = BytesMut::new();
            sections.into_iter().for_each(|section| whole.extend_from_slice(&section.0));
            whole.freeze()
        }
        Body::Value(AmqpValue(value)) => value_of(&value, DEPTH).to_payload(),
        Body::Sequence(sections) => {
            let values = sections.into_iter().flat_map(|section| section.0);
            let values: Vec<_> = values.map(|value| value_of(&value, DEPTH)).collect();
            Value::Array(std::sync::Arc::new(values.into())).to_payload()
        }
        Body::Empty => Bytes::new(),
    }
}

/// A value in our terms; what has no counterpart is `null`.
fn value_of(value: &AmqpAny, depth: usize) -> Value {
    match value {
        AmqpAny::Binary(bytes) => Value::Bytes(Bytes::copy_from_slice(bytes)),
        AmqpAny::List(values) if depth > 0 => {
            let values: Vec<_> = values.iter().map(|value| value_of(value, depth - 1)).collect();
            Value::Array(std::sync::Arc::new(values.into()))
        }
        AmqpAny::Map(values) if depth > 0 => {
            let mut object = bloblang::Object::default();
            for (key, value) in values.iter() {
                if let Some(key) = scalar(key) {
                    object.insert(key.as_str(), value_of(value, depth - 1));
                }
            }
            Value::Object(std::sync::Arc::new(object))
        }
        AmqpAny::Bool(value) => Value::Bool(*value),
        AmqpAny::Float(value) => Value::Float(f64::from(value.0)),
        AmqpAny::Double(value) => Value::Float(value.0),
        AmqpAny::Ubyte(_)
        | AmqpAny::Ushort(_)
        | AmqpAny::Uint(_)
        | AmqpAny::Ulong(_)
        | AmqpAny::Byte(_)
        | AmqpAny::Short(_)
        | AmqpAny::Int(_)
        | AmqpAny::Long(_) => match scalar(value).map(|text| (text.parse(), text)) {
            Some((Ok(number), _)) => Value::Int(number),
            Some((Err(_), text)) => Value::Digits(text.into()),
            None => Value::Null,
        },
        other => scalar(other).map_or(Value::Null, |text| Value::from(text.as_str())),
    }
}

/// A single value as text.
fn scalar(value: &AmqpAny) -> Option<String> {
    Some(match value {
        AmqpAny::Bool(value) => value.to_string(),
        AmqpAny::Ubyte(value) => value.to_string(),
        AmqpAny::Ushort(value) => value.to_string(),
        AmqpAny::Uint(value) => value.to_string(),
        AmqpAny::Ulong(value) => value.to_string(),
        AmqpAny::Byte(value) => value.to_string(),
        AmqpAny::Short(value) => value.to_string(),
        AmqpAny::Int(value) => value.to_string(),
        AmqpAny::Long(value) => value.to_string(),
        AmqpAny::Float(value) => value.0.to_string(),
        AmqpAny::Double(value) => value.0.to_string(),
        AmqpAny::Char(value) => value.to_string(),
        AmqpAny::Timestamp(at) => time(at.clone().into_inner())?,
        AmqpAny::Binary(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        AmqpAny::String(text) => text.clone(),
        AmqpAny::Symbol(text) => text.0.clone(),
        _ => return None,
    })
}

/// The message to send. `properties`: the object that the application properties are made of.
pub(super) fn to_amqp(
    message: &Message,
    excluded: &[String],
    properties: Option<&Value>,
    as_text: bool,
) -> Result<Carried, String> {
    let body = if as_text {
        let text = std::str::from_utf8(message.bytes()).map_err(|_| "the payload is no text")?;
        Body::Value(AmqpValue(AmqpAny::String(text.to_owned())))
    } else {
        Body::Data(Batch::new(vec![Data(Binary::from(message.bytes().to_vec()))]))
    };
    let mut annotations = OrderedMap::new();
    for (name, value) in message.meta_iter() {
        if excluded.iter().any(|prefix| name.starts_with(prefix.as_str())) {
            continue;
        }
        // The protocol has symbols for names, which are ASCII.
        if !name.is_ascii() {
            return Err(format!(
                "metadata `{name}` cannot be an annotation; leave it out with `exclude_prefixes`"
            ));
        }
        annotations.insert(OwnedKey::Symbol(Symbol::new(name)), AmqpAny::String(value.to_text()));
    }
    let properties = properties.map(application_properties).transpose()?;
    Ok(Amqp {
        header: None,
        delivery_annotations: None,
        message_annotations: (!annotations.is_empty()).then_some(MessageAnnotations(annotations)),
        properties: None,
        application_properties: properties,
        body,
        footer: None,
    })
}

fn application_properties(value: &Value) -> Result<ApplicationProperties, String> {
    let Value::Object(object) = value else {
        return Err(format!("`application_properties_map` gave no object but {}", value.type_name()));
    };
    let mut properties = OrderedMap::new();
    for (name, value) in object.iter() {
        let simple = match value.clone().settled() {
            Value::Null => SimpleValue::Null,
            Value::Bool(value) => SimpleValue::Bool(value),
            Value::Int(value) => SimpleValue::Long(value),
            Value::Float(value) => SimpleValue::Double(value.into()),
            Value::Bytes(value) => SimpleValue::Binary(Binary::from(value.to_vec())),
            other @ (Value::String(_) | Value::Timestamp(_) | Value::Digits(_)) => {
                SimpleValue::String(other.to_text())
            }
            other => {
                return Err(format!("`application_properties_map`: `{name}` is an {}", other.type_name()));
            }
        };
        properties.insert(name.to_string(), simple);
    }
    Ok(ApplicationProperties(properties))
}
