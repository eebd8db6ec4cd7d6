//! Methods that parse formats take any bytes: they give a value or say what is wrong, and end.

#![no_main]

use bloblang::{BatchView, Environment, Mapping, MessageView, Value};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

struct Message(Vec<u8>);

impl MessageView for Message {
    fn content(&self) -> &[u8] {
        &self.0
    }

    fn structured(&self) -> Result<&Value, String> {
        Err("bytes".to_owned())
    }

    fn metadata(&self, _key: &str) -> Option<&Value> {
        None
    }

    fn metadata_all(&self, _visit: &mut dyn FnMut(&str, &Value)) {}

    fn error(&self) -> Option<&str> {
        None
    }
}

impl BatchView for Message {
    fn len(&self) -> usize {
        1
    }

    fn message(&self, _index: usize) -> &dyn MessageView {
        self
    }
}

static MAPPINGS: LazyLock<Vec<Mapping>> = LazyLock::new(|| {
    let calls = [
        "parse_csv()",
        "parse_csv(lazy_quotes: true)",
        "parse_msgpack().format_msgpack().parse_msgpack()",
        "parse_yaml().format_yaml().parse_yaml()",
        "parse_xml(cast: true).format_xml()",
        "parse_url()",
        "parse_form_url_encoded()",
        "strip_html([\"b\"])",
        "unescape_html()",
        "slug()",
        "decode(\"ascii85\")",
        "decode(\"z85\")",
        "parse_duration_iso8601()",
        "parse_jwt_hs256(\"secret\")",
        "parse_big_decimal(3)",
    ];
    let parse = |call: &&str| {
        Mapping::parse(&Environment::pure(), &format!("root = content().string().{call}")).expect(call)
    };
    let bytes =
        |call: &&str| Mapping::parse(&Environment::pure(), &format!("root = content().{call}")).expect(call);
    calls.iter().map(parse).chain(calls.iter().map(bytes)).collect()
});

fuzz_target!(|content: &[u8]| {
    let message = Message(content.to_vec());
    for mapping in MAPPINGS.iter() {
        let _ = mapping.apply(&message, 0);
    }
});
