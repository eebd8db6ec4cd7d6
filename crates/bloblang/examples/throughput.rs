//! How many messages a second typical mappings take, parsing and rendering JSON included.
//!
//! `cargo run --release -p bloblang --example throughput`

#![expect(clippy::print_stdout, reason = "this program's purpose is to print")]
#![expect(clippy::expect_used, reason = "the mappings and the message here are known to be right")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bloblang::{BatchView, Environment, Mapping, MessageView, Root, Value};

const MESSAGE: &str = r#"{"id":"4f1a","user":{"name":"Ada Lovelace","email":"ada@example.org","age":36},
"tags":["a","b","c"],"items":[{"sku":"x1","price":9.5,"count":2},{"sku":"x2","price":1.25,"count":10}],
"created":"2024-02-29T12:00:00Z","status":"open"}"#;

const MAPPINGS: [(&str, &str); 4] = [
    ("condition", r#"this.status == "open" && this.user.age > 18"#),
    ("one field", "root = this\nroot.user.email = deleted()"),
    (
        "reshape",
        "root.id = this.id\nroot.name = this.user.name.uppercase()\nroot.tag = this.tags[0]\n\
         root.kind = match this.status { \"open\" => 1, \"closed\" => 2, _ => 0 }\nmeta key = this.id",
    ),
    (
        "lists",
        "root.total = this.items.map_each(i -> i.price * i.count).sum()\nroot.skus = this.items.map_each(this.sku)",
    ),
];

struct Message(Result<Value, String>);

impl MessageView for Message {
    fn content(&self) -> &[u8] {
        MESSAGE.as_bytes()
    }

    fn structured(&self) -> Result<&Value, String> {
        self.0.as_ref().map_err(Clone::clone)
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

fn main() {
    measure("parse JSON", || {
        black_box(Value::parse_json(MESSAGE.as_bytes()).is_ok());
    });
    for (name, text) in MAPPINGS {
        let mapping = Mapping::parse(&Environment::pure(), text).expect("a right mapping");
        let parsed = Message(Value::parse_json(MESSAGE.as_bytes()));
        measure(&format!("{name}, parsed"), || {
            black_box(mapping.apply(&parsed, 0).is_ok());
        });
        measure(&format!("{name}, bytes to bytes"), || {
            let message = Message(Value::parse_json(MESSAGE.as_bytes()));
            let outcome = mapping.apply(&message, 0).expect("a right message");
            if let Root::Value(value) = outcome.root {
                black_box(value.to_payload());
            }
        });
    }
}

fn measure(name: &str, mut run: impl FnMut()) {
    let start = Instant::now();
    let mut count = 0_u32;
    while start.elapsed() < Duration::from_millis(500) {
        for _ in 0..100 {
            run();
        }
        count += 100;
    }
    let each = start.elapsed() / count;
    println!("{name:28} {each:>10.0?} each, {:>9.0} a second", 1.0 / each.as_secs_f64());
}
