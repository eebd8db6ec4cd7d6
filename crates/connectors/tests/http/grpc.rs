//! Input and output `grpc_client` against a server that frames by hand.

use std::sync::Arc;

use bloblang::{Environment, File, Files};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{HeaderMap, Response};
use serde_json::{Value as Json, json};
use streams::{Egress, Message, ReplySlot, Settings};

use crate::ends::{self, Stream, build, sample, text, until, within};
use crate::server::{Answer, Seen, Server};

const SHOP: &str = r#"
    syntax = "proto3";
    package shop.v1;
    message Item { string name = 1; int32 count = 2; }
    service Orders {
        rpc Put(Item) returns (Item);
        rpc PutAll(stream Item) returns (Item);
        rpc List(Item) returns (stream Item);
        rpc Talk(stream Item) returns (stream Item);
    }
"#;

struct Shop;

impl Files for Shop {
    fn open(&self, path: &str, _: Option<&str>) -> Result<File, String> {
        match path {
            "shop.proto" => Ok(File { name: path.to_owned(), content: SHOP.into() }),
            _ => Err("there is no such file".to_owned()),
        }
    }
}

fn settings() -> Settings {
    let mut settings = ends::settings();
    settings.environment = Environment::pure().with_files(Arc::new(Shop));
    settings
}

/// An item, framed.
fn item(name: &str, count: u8) -> Vec<u8> {
    let mut message = vec![0x0a, u8::try_from(name.len()).expect("short")];
    message.extend_from_slice(name.as_bytes());
    if count > 0 {
        message.extend_from_slice(&[0x10, count]);
    }
    let mut framed = vec![0, 0, 0, 0, u8::try_from(message.len()).expect("short")];
    framed.append(&mut message);
    framed
}

fn grpc(messages: &[Vec<u8>], status: &str, said: &str) -> Answer {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.parse().expect("a header"));
    trailers.insert("grpc-message", said.parse().expect("a header"));
    let body = Full::new(Bytes::from(messages.concat()));
    let body = body.with_trailers(std::future::ready(Some(Ok(trailers)))).boxed();
    Response::builder().header("content-type", "application/grpc").body(body).expect("an answer")
}

fn component(server: &Server, method: &str, rpc_type: &str, more: &Json) -> Json {
    let mut fields = json!({
        "address": server.address.to_string(), "service": "shop.v1.Orders", "method": method,
        "rpc_type": rpc_type, "proto_files": ["shop.proto"],
    });
    fields.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    json!({ "grpc_client": fields })
}

fn writing(server: &Server, method: &str, rpc_type: &str, more: &Json) -> Stream {
    Stream::start(json!({"output": component(server, method, rpc_type, more)}), &settings())
}

fn documents(texts: &[&str]) -> Vec<Message> {
    texts.iter().map(|text| Message::new((*text).to_owned())).collect()
}

#[tokio::test]
async fn messages_become_calls_and_answers_go_back() {
    let server = Server::start(|seen: &Seen| match seen.uri.path() {
        "/shop.v1.Orders/Put" if seen.body.ends_with(b"bad") => grpc(&[], "9", "out%20of%20stock"),
        _ => grpc(&[item("taken", 2)], "0", ""),
    })
    .await;
    let fields =
        json!({"propagate_response": true, "metadata": {"x-count": "${! this.count }"}, "max_in_flight": 1});
    let writer = writing(&server, "Put", "unary", &fields);
    let slot = Arc::new(ReplySlot::default());
    let mut message = Message::new(r#"{"name":"a","count":3}"#);
    message.set_reply(slot.clone());
    writer.write(vec![message]).await.expect("delivered");
    assert_eq!(text(&slot.take()[0]), r#"{"name":"taken","count":2}"#);
    let seen = server.one();
    assert_eq!((seen.uri.path(), &*seen.body), ("/shop.v1.Orders/Put", &*item("a", 3)));
    assert_eq!((seen.header("content-type"), seen.header("te")), ("application/grpc", "trailers"));
    assert_eq!(seen.header("x-count"), "3");
    // Only what failed, and what stood behind it, comes again.
    let sent = writer.send(documents(&[r#"{"name":"b"}"#, r#"{"name":"bad"}"#]));
    until(|| writer.last_error().contains("grpc status 9: out of stock")).await;
    drop((sent, writer));

    // What is no such message never reaches the server.
    let writer = writing(&server, "Put", "unary", &json!({}));
    let sent = writer.send(documents(&[r#"{"colour":"red"}"#]));
    until(|| writer.last_error().contains("colour")).await;
    drop((sent, writer));

    for (method, rpc_type) in [("PutAll", "client_stream"), ("Talk", "bidi")] {
        let before = server.seen().len();
        let writer = writing(&server, method, rpc_type, &json!({}));
        writer.write(documents(&[r#"{"name":"a"}"#, r#"{"name":"b"}"#])).await.expect("delivered");
        let seen = server.seen();
        let last = seen.last().expect("a call");
        assert_eq!(seen.len(), before + 1, "{method}: one call for the batch");
        assert_eq!(&*last.body, [item("a", 0), item("b", 0)].concat(), "{method}");
        writer.stop().await;
    }
}

#[tokio::test]
async fn answers_become_messages() {
    let server = Server::start(|seen: &Seen| {
        assert_eq!(&*seen.body, item("want", 0));
        match seen.uri.path() {
            "/shop.v1.Orders/List" => grpc(&[item("a", 1), item("b", 0), item("c", 3)], "0", ""),
            _ => grpc(&[item("one", 0)], "0", ""),
        }
    })
    .await;
    for (method, rpc_type, expected) in [
        (
            "List",
            "server_stream",
            vec![r#"{"name":"a","count":1}"#, r#"{"name":"b"}"#, r#"{"name":"c","count":3}"#],
        ),
        ("Put", "unary", vec![r#"{"name":"one"}"#]),
    ] {
        let fields = json!({"payload": r#"{"name":"want"}"#});
        let input = component(&server, method, rpc_type, &fields);
        let mut reader = Stream::start(json!({"input": input}), &settings());
        // Called again when all were given.
        assert_eq!(reader.texts(expected.len() * 2).await, [&expected[..], &expected[..]].concat());
        reader.stop().await;
    }
}

#[tokio::test]
async fn servers_are_asked_for_their_health_and_reached_where_the_policy_allows_it() {
    let server = Server::tls(false, |seen: &Seen| match seen.uri.path() {
        "/grpc.health.v1.Health/Check" if seen.body.ends_with(b"shop") => {
            grpc(&[vec![0, 0, 0, 0, 2, 8, 1]], "0", "")
        }
        "/grpc.health.v1.Health/Check" => grpc(&[vec![0, 0, 0, 0, 2, 8, 2]], "0", ""),
        _ => grpc(&[item("taken", 0)], "0", ""),
    })
    .await;
    let tls = json!({"enabled": true, "root_cas_file": sample("ca.crt")});
    let fields = |service: &str| json!({"tls": tls, "health_check": {"enabled": true, "service": service}});
    let writer = writing(&server, "Put", "unary", &fields("shop"));
    within(writer.write(documents(&["{}"]))).await.expect("delivered");
    writer.stop().await;
    let writer = writing(&server, "Put", "unary", &fields("other"));
    until(|| writer.last_error().contains("does not serve")).await;
    drop(writer);
    let mut private = settings();
    private.egress = Arc::new(Egress { deny_private: true, ..Egress::default() });
    let output = component(&server, "Put", "unary", &fields("shop"));
    let writer = Stream::start(json!({"output": output}), &private);
    until(|| writer.last_error().contains("egress policy")).await;
    drop(writer);
}

#[tokio::test]
async fn what_cannot_work_is_refused_at_its_place() {
    let server = Server::start(|_: &Seen| grpc(&[], "0", "")).await;
    for (change, pointer, told) in [
        (json!({"service": "shop.v1.Order"}), "service", "shop.v1.Orders"),
        (json!({"method": "Get"}), "method", "Put, PutAll"),
        (json!({"rpc_type": "bidi"}), "rpc_type", "`unary`"),
        (json!({"proto_files": ["other.proto"]}), "proto_files", "no such file"),
        (json!({"proto_files": []}), "proto_files", "no folder"),
        (json!({"address": "a:1/b"}), "address", "host:port"),
    ] {
        let config = json!({
            "input": {"generate": {"mapping": "root = 1"}}, "output": component(&server, "Put", "unary", &change),
        });
        let fault = build(&config, &settings()).err().unwrap_or_else(|| panic!("{change} was taken"));
        assert!(fault.contains(&format!("/output/grpc_client/{pointer}")), "{fault}");
        assert!(fault.contains(told), "{fault}");
    }
}
