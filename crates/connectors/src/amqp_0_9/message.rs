//! Between deliveries and a stream's messages.

use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use streams::Message;

/// Tables in tables deeper than this are left out.
const DEPTH: usize = 16;

/// The message of a delivery (contract 2.9): headers first, what the protocol itself tells wins.
pub(super) fn from_delivery(delivery: &mut Delivery, consumer_tag: &str) -> Message {
    let mut message = Message::new(std::mem::take(&mut delivery.data));
    let properties = &delivery.properties;
    if let Some(headers) = properties.headers() {
        for (name, value) in headers {
            set(&mut message, name.to_string().replace('-', "_"), value, DEPTH);
        }
    }
    let text = |value: &Option<ShortString>| value.as_ref().map(ToString::to_string);
    let told = [
        ("content_type", text(properties.content_type())),
        ("content_encoding", text(properties.content_encoding())),
        ("delivery_mode", properties.delivery_mode().map(|mode| mode.to_string())),
        ("priority", properties.priority().map(|priority| priority.to_string())),
        ("correlation_id", text(properties.correlation_id())),
        ("reply_to", text(properties.reply_to())),
        ("expiration", text(properties.expiration())),
        ("message_id", text(properties.message_id())),
        ("timestamp", properties.timestamp().map(|seconds| seconds.to_string())),
        ("type", text(properties.kind())),
        ("user_id", text(properties.user_id())),
        ("app_id", text(properties.app_id())),
        ("consumer_tag", Some(consumer_tag.to_owned())),
        ("delivery_tag", Some(delivery.delivery_tag.to_string())),
        ("redelivered", Some(delivery.redelivered.to_string())),
        ("exchange", Some(delivery.exchange.to_string())),
        ("routing_key", Some(delivery.routing_key.to_string())),
    ];
    for (name, value) in told {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            message.set_meta(format!("amqp_{name}"), value);
        }
    }
    message
}

/// Sets a header; tables become names joined by `_`.
fn set(message: &mut Message, name: String, value: &AMQPValue, depth: usize) {
    if let AMQPValue::FieldTable(table) = value {
        if depth > 0 {
            for (inner, value) in table {
                let inner = inner.to_string().replace('-', "_");
                set(message, format!("{name}_{inner}"), value, depth - 1);
            }
        }
        return;
    }
    if let Some(text) = scalar(value, depth).filter(|text| !text.is_empty()) {
        message.set_meta(name, text);
    }
}

fn scalar(value: &AMQPValue, depth: usize) -> Option<String> {
    Some(match value {
        AMQPValue::Boolean(value) => value.to_string(),
        AMQPValue::ShortShortInt(value) => value.to_string(),
        AMQPValue::ShortShortUInt(value) => value.to_string(),
        AMQPValue::ShortInt(value) => value.to_string(),
        AMQPValue::ShortUInt(value) => value.to_string(),
        AMQPValue::LongInt(value) => value.to_string(),
        AMQPValue::LongUInt(value) => value.to_string(),
        AMQPValue::LongLongInt(value) => value.to_string(),
        AMQPValue::Float(value) => value.to_string(),
        AMQPValue::Double(value) => value.to_string(),
        AMQPValue::DecimalValue(value) => {
            let scale = i32::from(value.scale);
            (f64::from(value.value) / 10_f64.powi(scale)).to_string()
        }
        AMQPValue::ShortString(value) => value.to_string(),
        AMQPValue::LongString(value) => value.to_string(),
        AMQPValue::Timestamp(value) => value.to_string(),
        AMQPValue::ByteArray(value) => String::from_utf8_lossy(value.as_slice()).into_owned(),
        AMQPValue::FieldArray(values) if depth > 0 => {
            let values: Vec<_> =
                values.as_slice().iter().filter_map(|value| scalar(value, depth - 1)).collect();
            values.join(",")
        }
        AMQPValue::FieldArray(_) | AMQPValue::FieldTable(_) | AMQPValue::Void => return None,
    })
}

/// The headers of a message: its metadata as text, `_` written as `-`, except where the name begins with one of
/// `excluded` (contract 2.10).
pub(super) fn headers(message: &Message, excluded: &[String]) -> FieldTable {
    let mut headers = FieldTable::default();
    for (name, value) in message.meta_iter() {
        if excluded.iter().any(|prefix| name.starts_with(prefix.as_str())) {
            continue;
        }
        // The protocol has no longer names.
        if let Ok(name) = short(name.replace('_', "-")) {
            headers.insert(name, AMQPValue::LongString(value.to_text().into()));
        }
    }
    headers
}

/// Text of at most 255 bytes, which is what the protocol has for names and properties.
pub(super) fn short(text: String) -> Result<ShortString, String> {
    if text.len() > 255 {
        return Err("it is longer than 255 bytes".to_owned());
    }
    Ok(ShortString::from(text))
}
