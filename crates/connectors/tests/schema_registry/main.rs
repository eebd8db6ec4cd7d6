//! `schema_registry_encode` and `schema_registry_decode` against a registry that the tests start.

#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

#[path = "../ends/mod.rs"]
mod ends;
mod registry;

use serde_json::{Value as Json, json};
use streams::Egress;

use crate::ends::{Stream, build, messages, settings, text, texts, within};
use crate::registry::Registry;

const ADDRESS: &str =
    r#"{"type":"record","name":"Address","namespace":"x","fields":[{"name":"city","type":"string"}]}"#;
const PERSON: &str =
    r#"{"type":"record","name":"P","namespace":"x","fields":[{"name":"a","type":["null","Address"]}]}"#;

/// What becomes of one batch: each payload, with its fault.
async fn through(stream: &mut Stream, payloads: &[&str]) -> Vec<String> {
    let batch = payloads.iter().map(|payload| streams::Message::new((*payload).to_owned())).collect();
    let sent = stream.send(batch);
    let made = stream.batch().await;
    let _ = within(sent).await;
    made.iter()
        .map(|message| match message.error() {
            Some(fault) => format!("{}!{fault}", text(message)),
            None => text(message),
        })
        .collect()
}

fn both(registry: &Registry, subject: &str, fields: Json) -> Json {
    let mut encode = json!({"url": registry.url(), "subject": subject});
    let mut decode = json!({"url": registry.url()});
    for config in [&mut encode, &mut decode] {
        config.as_object_mut().expect("fields").extend(fields.as_object().expect("fields").clone());
    }
    json!([{"schema_registry_encode": encode}, {"schema_registry_decode": decode}])
}

#[tokio::test]
async fn messages_come_back_through_schemas_of_every_kind() {
    let registry = Registry::start().await;
    let refers = |name: &str, subject: &str| json!([{"name": name, "subject": subject, "version": 1}]);
    registry.register("address", json!({"schema": ADDRESS}));
    registry.register("avro", json!({"schema": PERSON, "references": refers("x.Address", "address")}));
    let place = "syntax = \"proto3\"; package place; message P { string city = 1; }";
    registry.register("place", json!({"schema": place, "schemaType": "PROTOBUF"}));
    let proto = "syntax = \"proto3\"; import \"place.proto\"; message A { message In { place.P p = 1; } }";
    registry.register(
        "a/b",
        json!({"schema": proto, "schemaType": "PROTOBUF", "references": refers("place.proto", "place")}),
    );
    let schema = r#"{"properties":{"n":{"type":"integer"}}}"#;
    registry.register("json", json!({"schema": schema, "schemaType": "JSON"}));
    for (subject, fields, document) in [
        ("avro", json!({}), r#"{"a":{"x.Address":{"city":"Bern"}}}"#),
        ("avro", json!({"avro_raw_json": true}), r#"{"a":{"city":"Bern"}}"#),
        ("a/b", json!({}), r#"{"p":{"city":"Bern"}}"#),
        ("json", json!({"avro_nested_schemas": true}), r#"{ "n": 5 }"#),
    ] {
        let before = registry.asked().len();
        let mut stream = Stream::through(both(&registry, subject, fields));
        assert_eq!(through(&mut stream, &[document, document]).await, [document, document]);
        assert_eq!(through(&mut stream, &[document]).await, [document]);
        stream.stop().await;
        // The schema once for each processor, with what it refers to.
        let asked = registry.asked().len() - before;
        assert_eq!(asked, if subject == "json" { 2 } else { 4 }, "{:?}", &registry.asked()[before..]);
    }
}

#[tokio::test]
async fn what_does_not_fit_is_flagged_and_kept() {
    let registry = Registry::start().await;
    registry.register("s-1", json!({"schema": "\"int\""}));
    let processors =
        json!([{"schema_registry_encode": {"url": registry.url(), "subject": "s-${! json(\"s\").or(1) }"}}]);
    let mut stream = Stream::through(processors);
    let made = through(&mut stream, &["5", r#"{"s":2}"#, r#"{"s":1}"#]).await;
    assert_eq!(made[0].as_bytes(), b"\0\0\0\0\x01\x0a");
    assert!(
        made[1].contains("subjects/s-2/versions/latest") && made[1].contains("Subject not found"),
        "{made:?}"
    );
    assert!(
        made[2].starts_with(r#"{"s":1}!schema_registry_encode: by the latest schema of `s-1`: int"#),
        "{made:?}"
    );
    stream.stop().await;
    let mut stream = Stream::through(json!([{"schema_registry_decode": {"url": registry.url()}}]));
    let made = through(&mut stream, &["\0\0\0\0\x01\x0a", "\0\0\0\0\x01", "\0\0\0\0\x09\x0a", "{}"]).await;
    assert_eq!(made[0], "5");
    assert!(made[1].contains("by the schema 1: at byte 0"), "{made:?}");
    assert!(made[2].contains("schemas/ids/9") && made[2].contains("Schema not found"), "{made:?}");
    assert!(made[3].starts_with("{}!schema_registry_decode: this is not framed"), "{made:?}");
    stream.stop().await;
}

#[tokio::test]
async fn a_registry_that_comes_back_is_asked_again() {
    let registry = Registry::start().await;
    registry.register("s", json!({"schema": "\"int\""}));
    registry.down(true);
    // What the first processor flagged is not for the second.
    let mut stream = Stream::through(json!([{"try": both(&registry, "s", json!({}))}]));
    let made = through(&mut stream, &["5", "6"]).await;
    assert!(made.iter().all(|made| made.contains("503") && made.contains("not now")), "{made:?}");
    // Three attempts for both messages together.
    assert_eq!(registry.asked().len(), 3);
    registry.down(false);
    let until = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while through(&mut stream, &["5"]).await != ["5"] {
        assert!(tokio::time::Instant::now() < until, "it is never asked again");
    }
    // What is known goes on while the registry is away.
    registry.down(true);
    assert_eq!(through(&mut stream, &["7"]).await, ["7"]);
    stream.stop().await;
}

#[tokio::test]
async fn a_newer_schema_is_used_without_waiting_for_it() {
    let registry = Registry::start().await;
    registry.register("s", json!({"schema": "\"int\""}));
    let processors =
        json!([{"schema_registry_encode": {"url": registry.url(), "subject": "s", "refresh_period": "1ms"}}]);
    let mut stream = Stream::through(processors);
    assert_eq!(through(&mut stream, &["5"]).await[0].as_bytes(), b"\0\0\0\0\x01\x0a");
    registry.register("s", json!({"schema": "\"string\""}));
    let until = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while through(&mut stream, &["\"a\""]).await[0].as_bytes() != b"\0\0\0\0\x02\x02a" {
        assert!(tokio::time::Instant::now() < until, "the newer schema is never used");
    }
    stream.stop().await;
}

#[tokio::test]
async fn who_asks_is_said_and_the_egress_policy_holds() {
    let registry = Registry::start().await;
    let id = registry.register("s", json!({"schema": "\"int\""}));
    assert_eq!(id, 1);
    let basic = json!({"enabled": true, "username": "u", "password": "p"});
    for (url, fields, expected) in [
        (registry.url(), json!({"basic_auth": basic}), Some("Basic dTpw")),
        (format!("http://u:p@{}/", registry.address()), json!({}), Some("Basic dTpw")),
        (registry.url(), json!({}), None),
    ] {
        let mut config = json!({"url": url});
        config.as_object_mut().expect("fields").extend(fields.as_object().expect("fields").clone());
        let mut stream = Stream::through(json!([{"schema_registry_decode": config}]));
        assert_eq!(through(&mut stream, &["\0\0\0\0\x01\x0a"]).await, ["5"]);
        assert_eq!(registry.credentials().last().expect("a request").as_deref(), expected);
        stream.stop().await;
    }
    let asked = registry.asked().len();
    let mut closed = settings();
    closed.egress = std::sync::Arc::new(Egress { deny_private: true, ..Egress::default() });
    let processors = json!([{"schema_registry_decode": {"url": registry.url()}}]);
    let mut stream = Stream::start(json!({"pipeline": {"processors": processors}}), &closed);
    drop(stream.send(messages(["\0\0\0\0\x01\x0a"])));
    let made = stream.batch().await;
    assert_eq!(texts(&made), ["\0\0\0\0\x01\x0a"]);
    assert!(made[0].error().is_some());
    assert_eq!(registry.asked().len(), asked);
    stream.stop().await;
    // Nobody there: the address is told, what is secret about it is not.
    let url = "http://u:hidden@127.0.0.1:1/a?key=hidden";
    let mut stream = Stream::through(json!([{"schema_registry_decode": {"url": url}}]));
    drop(stream.send(messages(["\0\0\0\0\x01\x0a"])));
    let fault = stream.batch().await[0].error().map(|text| text.to_string()).unwrap_or_default();
    assert!(fault.contains("/a/schemas/ids/1") && !fault.contains("hidden"), "{fault}");
    stream.stop().await;
}

#[tokio::test]
async fn schemas_are_changed_before_they_are_used() {
    let registry = Registry::start().await;
    let odd = r#"{"type":"record","name":"R","namespace":"a-b","fields":[{"name":"n","type":"whole"}]}"#;
    registry.register("s", json!({"schema": odd}));
    let config = json!({
        "url": registry.url(),
        "sanitize_namespace_names": true,
        "avro": {"mapping": "root = this\nroot.fields.0.type = \"int\"", "raw_unions": true},
    });
    let mut stream = Stream::through(json!([{"schema_registry_decode": config}]));
    assert_eq!(through(&mut stream, &["\0\0\0\0\x01\x0a"]).await, [r#"{"n":5}"#]);
    stream.stop().await;
}

#[tokio::test]
async fn wrong_configurations_are_refused() {
    for (config, expected) in [
        (json!({}), "url"),
        (json!({"url": "registry:8081"}), "an address `http://...`"),
        (json!({"url": "http://r", "basic_auth": {"enabled": true}, "jwt": {"enabled": true}}), "enable one"),
        (json!({"url": "http://r", "subject": "s", "refresh_period": "0s"}), "longer than 0s"),
    ] {
        let name = if config.get("subject").is_some() { "encode" } else { "decode" };
        let stream = json!({
            "input": {"generate": {"mapping": "root = 1"}},
            "pipeline": {"processors": [{(format!("schema_registry_{name}")): config}]},
            "output": {"drop": {}},
        });
        let fault = build(&stream, &settings()).err().unwrap_or_default();
        assert!(fault.contains(expected), "{expected}: {fault}");
    }
}
