//! A payload is a document for mappings exactly when it is JSON elsewhere, says the same, and is rendered as JSON that
//! says the same again, whether it was looked into or not.

#![no_main]

use bloblang::Value;
use libfuzzer_sys::fuzz_target;

/// Looks into everything, so that all of it is unpacked.
fn unpack(value: &Value) -> usize {
    let items = value.as_array().map_or(0, |items| items.iter().map(unpack).sum());
    let fields = value.as_object().map_or(0, |object| object.iter().map(|(_, value)| unpack(value)).sum());
    1 + items + fields
}

/// Numbers may differ in their last bit: serde_json reads floats in a hurry.
fn alike(left: &serde_json::Value, right: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Number, Object};
    match (left, right) {
        (Number(a), Number(b)) => {
            let (a, b) = (a.as_f64().unwrap_or(0.0), b.as_f64().unwrap_or(0.0));
            (a - b).abs() <= a.abs() * 1e-15
        }
        (Array(a), Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (Object(a), Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| alike(a, b)))
        }
        (a, b) => a == b,
    }
}

fuzz_target!(|bytes: &[u8]| {
    let other = serde_json::from_slice::<serde_json::Value>(bytes);
    let text = std::str::from_utf8(bytes).unwrap_or("");
    // Half of a surrogate pair is refused there and replaced here.
    let halves = text.contains("\\u") || text.contains("\\U");
    match (Value::parse_json(bytes), other) {
        (Ok(value), Ok(other)) => {
            let rendered = value.to_json();
            unpack(&value);
            let same = serde_json::to_value(serde_json::Value::from(&value)).expect("a value is JSON");
            if !halves {
                assert!(alike(&same, &other), "{same} {other}");
            }
            let again: serde_json::Value = serde_json::from_str(&rendered).expect("what is rendered is JSON");
            assert!(alike(&again, &same), "{again} {same}");
            let mut unpacked = value.clone();
            if let Value::Object(object) = &mut unpacked {
                std::sync::Arc::make_mut(object).remove("\u{0}not there");
            }
            assert_eq!(unpacked.to_json(), rendered);
            assert_eq!(value.settled(), unpacked.settled());
        }
        (Ok(_), Err(error)) => assert!(halves, "{error}"),
        (Err(why), Ok(_)) => panic!("{why}"),
        (Err(_), Err(_)) => {}
    }
});
