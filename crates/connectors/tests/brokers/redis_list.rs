//! Input and output `redis_list`: what is under way stays in Redis.

use std::time::Duration;

use serde_json::{Value as Json, json};
use streams::NackReason;

use crate::ends::{Stream, build, messages, settings, texts, unique, until};
use crate::redis::{cli, with};
use crate::servers::{Own, numbers, port, write_all};

fn reading(port: u16, name: &str, fields: Json) -> Json {
    let mut all = json!({"key": name, "timeout": "100ms"});
    all.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    with("redis_list", port, all)
}

/// The keys that stand beside a list.
fn beside(port: u16, name: &str) -> Vec<String> {
    cli(port, &["KEYS", &format!("{{{name}}}:sluicegate:*")]).lines().map(str::to_owned).collect()
}

/// How many elements are held.
fn held(port: u16, name: &str) -> usize {
    let lists = beside(port, name).into_iter().filter(|key| key.contains(":held:"));
    lists.map(|list| cli(port, &["LLEN", &list]).parse::<usize>().expect("a number")).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_reader_held_comes_first_and_in_its_order() {
    let port = port("redis");
    for (command, push, expected) in
        [("blpop", "RPUSH", ["1", "2", "3", "4", "5"]), ("brpop", "LPUSH", ["1", "2", "3", "4", "5"])]
    {
        let name = unique("dead");
        let place = format!("{{{name}}}:sluicegate");
        cli(port, &["RPUSH", &format!("{place}:held:gone"), "1", "2", "3"]);
        cli(port, &["ZADD", &format!("{place}:holders"), "1000", "gone"]);
        // One that lives keeps what it has.
        cli(port, &["RPUSH", &format!("{place}:held:alive"), "another one's"]);
        cli(port, &["ZADD", &format!("{place}:holders"), "99999999999999", "alive"]);
        cli(port, &[push, &name, "4", "5"]);
        let mut reader = Stream::reading(reading(port, &name, json!({"command": command})));
        assert_eq!(reader.texts(5).await, expected, "{command}");
        until(|| held(port, &name) == 1).await;
        reader.stop().await;
        assert_eq!(cli(port, &["ZRANGE", &format!("{place}:holders"), "0", "-1"]), "alive");
        cli(port, &["DEL", &format!("{place}:holders"), &format!("{place}:held:alive")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn elements_are_held_until_they_are_delivered() {
    let (port, name) = (port("redis"), unique("held"));
    // Twice the same bytes are two elements.
    cli(port, &["RPUSH", &name, "same", "same", "other"]);
    let mut reader = Stream::reading(reading(port, &name, json!({"auto_replay_nacks": false})));
    let first = reader.next().await;
    let second = reader.next().await;
    let third = reader.next().await;
    assert_eq!(held(port, &name), 3);
    assert_eq!(cli(port, &["LLEN", &name]), "0");
    first.1.done(Ok(()));
    until(|| held(port, &name) == 2).await;
    third.1.done(Err(NackReason::failed("not now")));
    let (again, ack) = reader.next().await;
    assert_eq!(texts(&again), ["other"]);
    ack.done(Ok(()));
    second.1.done(Ok(()));
    until(|| held(port, &name) == 0).await;
    reader.stop().await;
    assert!(beside(port, &name).is_empty(), "{:?}", beside(port, &name));

    cli(port, &["RPUSH", &name, "a"]);
    let mut reader = Stream::reading(reading(port, &name, json!({"crash_safe": false})));
    let (batch, ack) = reader.next().await;
    assert_eq!((texts(&batch), beside(port, &name)), (vec!["a".to_owned()], Vec::new()));
    ack.done(Ok(()));
    reader.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ends_come_back_after_the_server_was_away() {
    let own = tokio::task::spawn_blocking(|| Own::start("redis")).await.expect("started");
    let (port, name) = (own.port, unique("back"));
    let writer = Stream::writing(with("redis_list", port, json!({"key": name, "max_in_flight": 1})));
    let mut reader = Stream::reading(reading(port, &name, json!({})));
    write_all(&writer, numbers(0..5)).await;
    assert_eq!(reader.texts(5).await, numbers(0..5));
    until(|| held(port, &name) == 0).await;
    write_all(&writer, numbers(5..6)).await;
    let (batch, ack) = reader.next().await;
    assert_eq!(texts(&batch), ["5"]);
    let own = tokio::task::spawn_blocking(move || {
        own.stop();
        own
    });
    let own = own.await.expect("stopped");
    let late = writer.send(messages(["late"]));
    until(|| !reader.connected()).await;
    let own = tokio::task::spawn_blocking(move || {
        own.again();
        own
    });
    let own = own.await.expect("started again");
    late.await.expect("one outcome").expect("delivered");
    assert_eq!(reader.texts(1).await, ["late"]);
    // It was taken on the connection before: Redis still holds it, and hears now that it was delivered.
    assert_eq!(held(port, &name), 1);
    ack.done(Ok(()));
    until(|| held(port, &name) == 0).await;
    assert!(reader.rest(Duration::from_millis(200)).await.is_empty());
    reader.stop().await;
    writer.stop().await;
    tokio::task::spawn_blocking(move || drop(own)).await.expect("stopped");
}

#[tokio::test]
async fn any_number_may_be_under_way() {
    for limit in [0, 1, i64::MAX] {
        let input = reading(1, "none", json!({"max_in_flight": limit}));
        let built = build(&json!({"input": input, "output": {"drop": {}}}), &settings());
        assert!(built.is_ok(), "{limit}");
    }
}
