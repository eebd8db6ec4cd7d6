//! Twenty typical mappings over one JSON document of 1 KB: bytes in, bytes out, on one core, without a stream around
//! them. What is measured is what a `mapping` processor adds to a message: parsing, evaluating, rendering.

use crate::Settings;
use crate::process;
use crate::report::{Bound, Metric, Report, median};
use bloblang::{BatchView, Environment, Mapping, MessageView, Root, Value};
use bytes::Bytes;
use std::hint::black_box;
use std::io;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const TIME: Metric = Metric { name: "µs/message", decimals: 3 };
const RATE: Metric = Metric { name: "messages/s", decimals: 0 };

/// 1 KB, written as services write it: not sorted, no spaces, some text that needs escapes, prices with two decimals.
pub(crate) const DOCUMENT: &str = concat!(
    r#"{"id":"4f1a6c0e-9d0b-4c53-8f0e-2b8f5c1d7a90","type":"order.created","version":3,"#,
    r#""created_at":"2026-02-11T09:41:07.512Z","tenant":"acme-eu","source":{"service":"checkout","host":"web-17.eu-1","#,
    r#""ip":"10.12.7.201","build":"2026.2.1-r4481"},"customer":{"id":981273,"name":"Ada Lovelace","#,
    r#""email":"ada.lovelace@example.org","tier":"gold","address":{"street":"12 St James's Square","city":"London","#,
    r#""zip":"SW1Y 4JH","country":"GB"},"tags":["returning","newsletter","b2b"]},"items":["#,
    r#"{"sku":"AE-1843-X","name":"Analytical engine, brass","quantity":1,"price":1843.25,"discount":0},"#,
    r#"{"sku":"PC-0080-N","name":"Punch cards \"Jacquard\" (80)","quantity":12,"price":4.75,"discount":0.15},"#,
    r#"{"sku":"OI-0002-L","name":"Machine oil, light","quantity":2,"price":11.9,"discount":0}],"#,
    r#""currency":"EUR","total":1915.6,"paid":true,"coupon":null,"#,
    r#""shipping":{"method":"express","cost":12.5,"eta_days":2,"notes":"Ring twice.\nLeave with the neighbour at no. 14."},"#,
    r#""trace":{"id":"0af7651916cd43dd8448eb211c80319c","span":"b7ad6b7169203331","sampled":true}}"#
);

/// The mappings that carry targets.
const SMALL: &str = "small";
const FIVE: &str = "five assignments";

const MAPPINGS: [(&str, &str); 20] = [
    (SMALL, "root.id = this.id"),
    (
        FIVE,
        "root.id = this.id\nroot.name = this.customer.name.uppercase()\nroot.city = this.customer.address.city\n\
         root.total = this.total * 1.2\nroot.items = this.items.length()",
    ),
    ("pass through", "root = this"),
    ("constant", r#"root = {"type": "tick", "ok": true}"#),
    ("condition", r#"this.type == "order.created" && this.total > 100"#),
    ("drop by condition", r#"root = if this.tenant != "acme-eu" { deleted() }"#),
    ("remove a field", "root = this\nroot.customer.email = deleted()"),
    ("add fields", "root = this\nroot.seen = true\nroot.source.region = \"eu-1\""),
    ("rename", "root = this.without(\"tenant\")\nroot.account = this.tenant"),
    ("metadata", "meta key = this.customer.id\nmeta tenant = this.tenant\nroot = this.items"),
    ("route", r#"root = match this.customer.tier { "gold" => "fast", "silver" => "normal", _ => "slow" }"#),
    (
        "flatten",
        "root.id = this.id\nroot.customer = this.customer.id\nroot.country = this.customer.address.country | \"?\"\n\
         root.method = this.shipping.method\nroot.first = this.items.0.sku\nroot.tag = this.customer.tags.0\n\
         root.service = this.source.service\nroot.trace = this.trace.id",
    ),
    ("sum of a list", "root.total = this.items.map_each(i -> i.price * i.quantity).sum()"),
    ("project a list", r#"root.lines = this.items.map_each(i -> {"sku": i.sku, "count": i.quantity})"#),
    ("filter a list", "root.big = this.items.filter(i -> i.price > 10).map_each(i -> i.sku)"),
    (
        "text",
        r#"root.who = this.customer.name.lowercase().replace_all(" ", ".") + "@" + this.tenant
root.domain = this.customer.email.split("@").index(1)"#,
    ),
    ("pattern", r#"root.ok = this.id.re_match("^[0-9a-f]{8}-[0-9a-f]{4}-")"#),
    ("time", "root.day = this.created_at.ts_parse(\"2006-01-02T15:04:05.999Z\").ts_format(\"2006-01-02\")"),
    (
        "map and variables",
        "map line {\n  root = this.quantity * this.price * (1 - this.discount)\n}\n\
         let rate = if this.customer.address.country == \"GB\" { 1.0 } else { 1.2 }\n\
         root.total = this.items.map_each(i -> i.apply(\"line\")).sum() * $rate",
    ),
    (
        "fall back",
        "root.n = this.coupon.number().catch(0)\nroot.eta = this.shipping.eta | this.shipping.eta_days | 9",
    ),
];

/// One message as a stream holds it: bytes, and the parsed document once somebody asked for it.
struct Message {
    bytes: Bytes,
    value: OnceLock<Result<Value, String>>,
}

impl MessageView for Message {
    fn content(&self) -> &[u8] {
        &self.bytes
    }

    fn structured(&self) -> Result<&Value, String> {
        self.value.get_or_init(|| Value::from_json(self.bytes.clone())).as_ref().map_err(Clone::clone)
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

pub(crate) fn run(settings: &Settings, report: &mut Report) -> io::Result<()> {
    process::pin(settings.gate_core)?;
    let document = Bytes::from_static(DOCUMENT.as_bytes());
    let mut rates = Vec::new();
    let case = format!("mapping, JSON of {} B, one core", document.len());
    for (name, text) in MAPPINGS {
        let mapping = Mapping::parse(&Environment::pure(), text)
            .map_err(|faults| crate::http::invalid(format!("{name}: {faults:?}")))?;
        let times: io::Result<Vec<f64>> =
            (0..settings.rounds).map(|_| measure(&mapping, &document, window(settings))).collect();
        let seconds = median(times?);
        report.figure(&case, name, TIME, seconds * 1e6);
        report.figure(&case, name, RATE, 1.0 / seconds);
        rates.push((name, 1.0 / seconds));
    }
    for name in [SMALL, FIVE] {
        let rate = rates.iter().find(|(known, _)| *known == name).map_or(0.0, |(_, rate)| *rate);
        report.target(&format!("mapping, {name}: messages/s"), rate, 0, Bound::AtLeast(1_000_000.0));
    }
    Ok(())
}

/// Twenty mappings share the time that other cases give to one contender.
fn window(settings: &Settings) -> Duration {
    settings.window / 10
}

/// Seconds for one message.
fn measure(mapping: &Mapping, document: &Bytes, window: Duration) -> io::Result<f64> {
    let start = Instant::now();
    let mut count = 0_u32;
    while start.elapsed() < window {
        for _ in 0..200 {
            let message = Message { bytes: document.clone(), value: OnceLock::new() };
            let outcome =
                mapping.apply(&message, 0).map_err(|error| crate::http::invalid(error.to_string()))?;
            black_box(&outcome.metadata);
            if let Root::Value(root) = outcome.root {
                black_box(root.to_payload());
            }
        }
        count += 200;
    }
    Ok(start.elapsed().as_secs_f64() / f64::from(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mapping_works_on_the_document() {
        assert!((1_000..1_300).contains(&DOCUMENT.len()), "{}", DOCUMENT.len());
        for (name, text) in MAPPINGS {
            let mapping = Mapping::parse(&Environment::pure(), text).expect(name);
            let message = Message { bytes: Bytes::from_static(DOCUMENT.as_bytes()), value: OnceLock::new() };
            assert!(mapping.apply(&message, 0).is_ok(), "{name}");
        }
    }
}
