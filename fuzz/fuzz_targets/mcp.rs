//! Any body is a message or is told to be none; what is read of a call is what lenient readers find, too, and what is cut out
//! of answers and events does not depend on the pieces that they come in.

#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use mcp::{Events, Message, Rights, Rules, Sight, read};
use serde_json::Value;

static SIGHT: LazyLock<Sight> = LazyLock::new(|| {
    let rights = Rights::new(|_| Rules::written(["a", "b*"].into_iter(), ["bc"].into_iter()));
    let mut sight = Sight::default();
    sight.add(&Arc::new(rights));
    sight
});

/// Members of an object whose names some take for this one.
fn alike<'v>(value: &'v Value, name: &str) -> Vec<&'v Value> {
    let members = value.as_object().into_iter().flatten();
    members.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Message::Call(call)) = read(bytes)
        && let Ok(value) = serde_json::from_slice::<Value>(bytes)
    {
        assert_eq!(alike(&value, "method"), [&Value::from(&*call.method)]);
        if let Some((kind, name)) = &call.primitive {
            let key = if *kind == apidef::CallKind::Resource { "uri" } else { "name" };
            let params = alike(&value, "params");
            assert_eq!(params.len(), 1);
            let holders =
                if &*call.method == "completion/complete" { alike(params[0], "ref") } else { params };
            assert_eq!(holders.len(), 1);
            assert_eq!(alike(holders[0], key), [&Value::from(&**name)]);
        }
        if &*call.method == "subscriptions/listen" {
            let params = alike(&value, "params");
            let notifications = params.iter().flat_map(|params| alike(params, "notifications"));
            let listened: Vec<&Value> =
                notifications.flat_map(|all| alike(all, "resourceSubscriptions")).collect();
            let told = listened.iter().flat_map(|list| list.as_array().into_iter().flatten());
            assert!(told.eq(call.resources.iter().map(|uri| Value::from(&**uri)).collect::<Vec<_>>().iter()));
        }
        assert!(serde_json::from_str::<Value>(&call.id).is_ok());
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(Some(cut)) = SIGHT.cut(text)
    {
        // What is cut down is JSON as before, and needs to be cut no more.
        assert_eq!(SIGHT.cut(&cut), Ok(None), "{cut}");
    }
    let through = |piece: usize| {
        let mut events = Events::new(SIGHT.clone(), usize::MAX);
        let mut out = Vec::new();
        for bytes in bytes.chunks(piece) {
            out.extend(events.push(bytes).unwrap_or_default());
        }
        out.extend(events.end());
        out
    };
    assert_eq!(through(1), through(bytes.len().max(1)));
});
