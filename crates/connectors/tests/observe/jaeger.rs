//! Spans, as agents and collectors of Jaeger get them. The messages are read by the descriptions of Thrift's protocols and
//! the names of `jaeger.thrift`.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Response;
use http_body_util::{BodyExt as _, Full};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use serde_json::{Value as Json, json};
use tokio::net::UdpSocket;

use crate::ends::{PATIENCE, build, settings};
use crate::receiver::{Receiver, ok};

/// A structure as its fields by number.
type Fields = BTreeMap<i16, Value>;

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Bool(bool),
    Number(i64),
    Text(String),
    List(Vec<Fields>),
    Structure(Fields),
}

impl Value {
    fn text(&self) -> &str {
        if let Value::Text(text) = self { text } else { panic!("{self:?}") }
    }
    fn number(&self) -> i64 {
        if let Value::Number(number) = self { *number } else { panic!("{self:?}") }
    }
    fn list(&self) -> &[Fields] {
        if let Value::List(list) = self { list } else { panic!("{self:?}") }
    }
    fn structure(&self) -> &Fields {
        if let Value::Structure(fields) = self { fields } else { panic!("{self:?}") }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    compact: bool,
}

impl Reader<'_> {
    fn take(&mut self, count: usize) -> &[u8] {
        let (taken, rest) = self.bytes.split_at(count);
        self.bytes = rest;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.take(1)[0]
    }

    fn varint(&mut self) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = self.byte();
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    }

    fn number(&mut self, width: usize) -> i64 {
        if self.compact {
            let value = self.varint();
            return (value >> 1) as i64 ^ -((value & 1) as i64);
        }
        let start = if self.bytes[0] & 0x80 == 0 { 0i64 } else { -1 };
        self.take(width).iter().fold(start, |value, byte| (value << 8) | i64::from(*byte))
    }

    fn length(&mut self) -> usize {
        if self.compact { self.varint() as usize } else { self.number(4) as usize }
    }

    fn text(&mut self) -> String {
        let length = self.length();
        String::from_utf8(self.take(length).to_vec()).unwrap()
    }

    fn structure(&mut self) -> Fields {
        let (mut fields, mut last) = (Fields::new(), 0);
        loop {
            let head = self.byte();
            if head == 0 {
                return fields;
            }
            let (kind, number) = match (self.compact, head >> 4) {
                (false, _) => (head, self.number(2) as i16),
                (true, 0) => (head & 15, self.number(2) as i16),
                (true, step) => (head & 15, last + i16::from(step)),
            };
            last = number;
            let value = match (self.compact, kind) {
                (true, 1 | 2) => Value::Bool(kind == 1),
                (false, 2) => Value::Bool(self.byte() == 1),
                (true, 5) | (false, 8) => Value::Number(self.number(4)),
                (true, 6) | (false, 10) => Value::Number(self.number(8)),
                (true, 8) | (false, 11) => Value::Text(self.text()),
                (_, 12) => Value::Structure(self.structure()),
                (true, 9) | (false, 15) => {
                    let head = self.byte();
                    let (kind, length) = match (self.compact, head >> 4) {
                        (true, 15) => (head & 15, self.length()),
                        (true, few) => (head & 15, usize::from(few)),
                        (false, _) => (head, self.length()),
                    };
                    assert_eq!(kind, 12);
                    Value::List((0..length).map(|_| self.structure()).collect())
                }
                other => panic!("{other:?}"),
            };
            fields.insert(number, value);
        }
    }
}

fn stream(tracer: Json) -> Json {
    json!({
        "input": { "generate": { "mapping": "root.id = counter()", "interval": "", "count": 20 } },
        "pipeline": { "threads": 1, "processors": [
            { "mapping": "root = if this.id == 2 { throw(\"no\") } else { this }" },
        ] },
        "output": { "drop": {} },
        "tracer": { "jaeger": tracer },
    })
}

async fn run(tracer: Json) {
    let stream = build(&stream(tracer), &settings()).unwrap().start();
    let over = async {
        while !stream.status().ended {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, over).await.unwrap();
}

/// Of batches: who sent them, and every span.
fn check(batches: &[Fields]) {
    let process = batches[0][&1].structure();
    assert_eq!(process[&1].text(), "shop");
    let tag =
        |fields: &Fields| (fields[&1].text().to_owned(), fields.get(&3).map(|text| text.text().to_owned()));
    let tags = |list: &Value| list.list().iter().map(tag).collect::<BTreeMap<_, _>>();
    assert_eq!(tags(&process[&2]), BTreeMap::from([("zone".to_owned(), Some("a".to_owned()))]));

    let spans: Vec<&Fields> = batches.iter().flat_map(|batch| batch[&2].list()).collect();
    let named = |name: &str| spans.iter().filter(|span| span[&5].text() == name).collect::<Vec<_>>();
    let roots = named("input_generate");
    assert_eq!(
        (roots.len(), named("mapping").len(), named("output_drop").len(), spans.len()),
        (20, 20, 20, 60)
    );
    for root in roots {
        assert_eq!((root[&4].number(), root[&7].number()), (0, 1), "no parent, sampled");
        let same = |span: &&&&Fields| (span[&1] == root[&1]) && (span[&2] == root[&2]);
        let child = named("mapping");
        let child = child.iter().find(same).unwrap();
        assert_eq!(child[&4], root[&3]);
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as i64;
        assert!((now - 60_000_000..=now).contains(&child[&8].number()), "{} {now}", child[&8].number());
        assert!((0..60_000_000).contains(&child[&9].number()));
    }
    let failed: Vec<_> = spans.iter().filter(|span| tags(&span[&10]).contains_key("error")).collect();
    assert_eq!(failed.len(), 1);
    let error = failed[0][&10].list().iter().find(|tag| tag[&1].text() == "error").unwrap();
    assert_eq!((error[&2].number(), &error[&5]), (2, &Value::Bool(true)));
}

fn tags() -> Json {
    json!({ "service.name": "shop", "zone": "a" })
}

#[tokio::test]
async fn an_agent_gets_every_span_in_datagrams() {
    let agent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = agent.local_addr().unwrap().port();
    run(json!({ "agent_address": format!("127.0.0.1:{port}"), "tags": tags(), "flush_interval": "5ms" }))
        .await;
    let (mut batches, mut count) = (Vec::new(), 0);
    while count < 60 {
        let mut buffer = vec![0; 65_536];
        let size = tokio::time::timeout(PATIENCE, agent.recv(&mut buffer)).await.unwrap().unwrap();
        let mut reader = Reader { bytes: &buffer[..size], compact: true };
        assert_eq!(reader.take(3), [0x82, 0x81, 0], "a call without an answer");
        assert_eq!(reader.text(), "emitBatch");
        let batch = reader.structure()[&1].structure().clone();
        assert!(reader.bytes.is_empty());
        count += batch[&2].list().len();
        batches.push(batch);
    }
    check(&batches);
}

#[tokio::test]
async fn a_collector_gets_every_span_in_its_own_form_or_as_otlp() {
    let collector =
        Receiver::start(|_| Response::builder().status(202).body(Full::default().boxed()).unwrap()).await;
    let url = format!("http://127.0.0.1:{}/api/traces", collector.port);
    run(json!({ "collector_url": url, "agent_address": "nobody:1", "tags": tags() })).await;
    let received = collector.received();
    assert_eq!((received[0].head.method.as_str(), received[0].head.uri.path()), ("POST", "/api/traces"));
    assert_eq!(received[0].header("content-type"), "application/x-thrift");
    let batches = received.iter().map(|request| Reader { bytes: &request.body, compact: false }.structure());
    check(&batches.collect::<Vec<_>>());

    let collector = Receiver::start(ok).await;
    run(json!({ "collector_url": format!("http://127.0.0.1:{}/v1/traces", collector.port) })).await;
    let exports = collector.received();
    let exports =
        exports.iter().map(|request| ExportTraceServiceRequest::decode(request.body.clone()).unwrap());
    let spans: usize = exports
        .flat_map(|export| export.resource_spans)
        .flat_map(|resource| resource.scope_spans)
        .map(|scope| scope.spans.len())
        .sum();
    assert_eq!(spans, 60);
}

#[test]
fn wrong_settings_are_refused_with_their_place() {
    for (tracer, expected) in [
        (json!({}), "there is neither an agent nor a collector"),
        (json!({ "agent_address": "a:x" }), "/tracer/jaeger/agent_address: `x` is no port"),
        (json!({ "collector_url": "a" }), "/tracer/jaeger/collector_url: `a` is no address"),
        (json!({ "agent_address": "a", "sampler_param": 2 }), "`sampler_param` must be from 0 to 1"),
        (json!({ "agent_address": "a", "sampler_type": "rate" }), "`rate` is no option of `sampler_type`"),
    ] {
        let refused = build(&stream(tracer.clone()), &settings()).unwrap_err();
        assert!(refused.contains(expected), "{tracer}: {refused}");
    }
}
