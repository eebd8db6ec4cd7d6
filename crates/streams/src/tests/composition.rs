//! Processors that hold processors, and those that change which messages a batch has.

use super::*;

/// What comes out for these messages, batch by batch, and whether the source heard exactly one ack. `!` is a flag.
async fn through(processors: &Json, given: &[&str]) -> Vec<String> {
    let bench = Bench::default();
    let (input, output) = (bench.topic("in"), bench.topic("out"));
    let mut config = relay();
    config["pipeline"] = json!({ "processors": processors });
    config["cache_resources"] = json!([{ "label": "c", "memory": { "init_values": { "known": "K" } } }]);
    config["rate_limit_resources"] = json!([{ "label": "l", "local": { "count": 1, "interval": "1s" } }]);
    let stream = bench.start(&config);
    let outcomes = bench.outcomes.clone();
    let ack = Ack::new(move |outcome| outcomes.lock().push(("batch", outcome)));
    let batch = given.iter().map(|text| Message::new((*text).to_owned())).collect();
    input.write(Transaction { batch, ack }).await;
    let mut made = Vec::new();
    loop {
        tokio::select! {
            biased;
            transaction = output.read() => {
                let Transaction { batch, ack } = transaction.unwrap();
                assert!(bench.results().is_empty(), "{processors}: acked before its last part");
                made.push(
                    batch.iter()
                        .map(|message| {
                            let flag = if message.error().is_some() { "!" } else { "" };
                            format!("{}{flag}", String::from_utf8_lossy(message.bytes()))
                        })
                        .collect::<Vec<_>>()
                        .join(" "),
                );
                ack.done(Ok(()));
            }
            results = bench.until(1) => {
                assert_eq!(results, [("batch", true)], "{processors}");
                break;
            }
        }
    }
    stream.stop(Duration::from_secs(1), CloseReason::Removed).await;
    assert_eq!(bench.results().len(), 1, "{processors}");
    made
}

fn mark(text: &str) -> Json {
    json!({ "mapping": format!("root = content().string() + \"{text}\"") })
}

/// Fails on the message `b`.
fn fail() -> Json {
    json!({ "mapping": r#"root = if content().string() == "b" { throw("no b") }"# })
}

fn delete() -> Json {
    json!({ "mapping": r#"root = if content().string() == "b" { deleted() }"# })
}

#[tokio::test(start_paused = true)]
async fn composed_processors_do_what_they_say() {
    let mut wrong = Vec::new();
    let is = |text: &str| format!(r#"content().string() == "{text}""#);
    for (processors, expected) in [
        (json!([{ "processors": [mark("1"), mark("2")] }]), vec!["a12 b12 c12"]),
        (json!([fail()]), vec!["a b! c"]),
        (json!([{ "try": [fail(), mark("1")] }]), vec!["a1 b! c1"]),
        (json!([fail(), { "try": [mark("1")] }]), vec!["a1 b! c1"]),
        (json!([{ "try": [fail(), { "split": {} }] }]), vec!["a b! c"]),
        (json!([{ "try": [{ "split": {} }, mark("1")] }]), vec!["a1", "b1", "c1"]),
        (json!([fail(), { "catch": [] }]), vec!["a b c"]),
        (json!([fail(), { "catch": [mark("?")] }]), vec!["a b? c"]),
        (
            json!([fail(), { "catch": [{ "mapping": "root = error()" }] }, mark("1")]),
            vec!["a1 failed assignment (line 1): no b1 c1"],
        ),
        (json!([fail(), { "catch": [{ "mapping": "root = deleted()" }] }]), vec!["a c"]),
        (
            json!([{ "for_each": [{ "mapping": "root = content().string() + batch_size().string()" }] }]),
            vec!["a1 b1 c1"],
        ),
        (json!([{ "for_each": [delete()] }]), vec!["a c"]),
        (
            json!([{ "parallel": { "cap": 2, "processors": [{ "sleep": { "duration": r#"${! if content() == "a" { "5s" } else { "1s" } }"# } }, mark("1")] } }]),
            vec!["a1 b1 c1"],
        ),
        (
            json!([{ "switch": [{ "check": is("b"), "processors": [mark("1")] }, { "processors": [mark("2")] }] }]),
            vec!["a2 b1 c2"],
        ),
        (
            json!([{ "switch": [{ "check": is("b"), "processors": [mark("1")], "fallthrough": true }, { "check": is("c"), "processors": [mark("2")] }] }]),
            vec!["a b12 c2"],
        ),
        (
            json!([{ "switch": [{ "check": r#"if content().string() == "b" { throw("x") } else { true }"#, "processors": [{ "mapping": "root = batch_size()" }] }] }]),
            vec!["2 b! 2"],
        ),
        (
            json!([{ "switch": [{ "check": is("b"), "processors": [{ "mapping": "root = deleted()" }] }] }]),
            vec!["a c"],
        ),
        (
            json!([{ "while": { "at_least_once": true, "max_loops": 3, "check": "content().length() < 3", "processors": [mark("1")] } }]),
            vec!["a11 b11 c11"],
        ),
        (json!([{ "while": { "max_loops": 2, "processors": [mark("1")] } }]), vec!["a11 b11 c11"]),
        (json!([{ "while": { "check": "false", "processors": [mark("1")] } }]), vec!["a b c"]),
        (
            json!([{ "while": { "check": "true", "processors": [{ "mapping": "root = deleted()" }] } }]),
            vec![],
        ),
        (json!([{ "retry": { "max_retries": 2, "processors": [fail(), mark("1")] } }]), vec!["a1 b1! c1"]),
        (
            json!([{ "retry": { "parallel": true, "processors": [
                { "mapping": r#"root = if @retry_count.or(0) < 2 { throw("later") } else { content().string() + @retry_count.string() }"# },
            ] } }]),
            vec!["a2 b2 c2"],
        ),
        (
            json!([{ "group_by": [{ "check": is("c"), "processors": [mark("1")] }, { "check": is("a") }] }]),
            vec!["c1", "a", "b"],
        ),
        (json!([{ "group_by_value": { "value": r#"${! content() == "b" }"# } }]), vec!["a c", "b"]),
        (json!([{ "split": { "size": 2 } }]), vec!["a b", "c"]),
        (json!([{ "split": { "size": 0, "byte_size": 2 } }]), vec!["a b", "c"]),
        (json!([{ "select_parts": { "parts": [-1, 0, 7] } }]), vec!["c a"]),
        (json!([{ "select_parts": {} }]), vec![]),
        (json!([{ "insert_part": { "content": "new ${! batch_size() }" } }]), vec!["a b c new 3"]),
        (json!([{ "insert_part": { "index": -2, "content": "n" } }]), vec!["a b n c"]),
        (json!([{ "insert_part": { "index": 1, "content": "n" } }]), vec!["a n b c"]),
        (json!([{ "bounds_check": { "max_parts": 2 } }]), vec![]),
        (json!([mark("1"), { "bounds_check": { "max_part_size": 1 } }]), vec![]),
        (json!([{ "bounds_check": {} }]), vec!["a b c"]),
        (
            json!([{ "branch": { "request_map": r#"root = if content().string() == "b" { deleted() }"#, "processors": [mark("1")], "result_map": "root = content().string()" } }]),
            vec!["a1 b c1"],
        ),
        (
            json!([{ "branch": { "processors": [fail(), mark("1")], "result_map": "root = content().string()" } }]),
            vec!["a1 b! c1"],
        ),
        (json!([{ "branch": { "processors": [delete()] } }]), vec!["a! b! c!"]),
        (json!([{ "branch": { "processors": [mark("1")] } }]), vec!["a b c"]),
        (json!([{ "cache": { "resource": "c", "operator": "get", "key": "known" } }]), vec!["K K K"]),
        (
            json!([{ "cache": { "resource": "c", "operator": "get", "key": "${! content() }" } }]),
            vec!["a! b! c!"],
        ),
        (
            json!([{ "cache": { "resource": "c", "operator": "exists", "key": "known" } }]),
            vec!["true true true"],
        ),
        (
            json!([{ "cache": { "resource": "c", "operator": "add", "key": "k", "value": "1" } }]),
            vec!["a b! c!"],
        ),
        (
            json!([
                { "cache": { "resource": "c", "operator": "set", "key": "k", "value": "${! content() }" } },
                { "cache": { "resource": "c", "operator": "delete", "key": "known" } },
                { "cache": { "resource": "c", "operator": "get", "key": "k" } },
            ]),
            vec!["c c c"],
        ),
        (json!([{ "cached": { "cache": "c", "key": "k", "processors": [mark("1")] } }]), vec!["a1 a1 a1"]),
        (
            json!([{ "cached": { "cache": "c", "key": "k", "skip_on": "content().string() == \"a1\"", "processors": [mark("1")] } }]),
            vec!["a1 b1 b1"],
        ),
        (
            json!([{ "cached": { "cache": "c", "key": "k", "processors": [{ "insert_part": { "content": "n" } }] } }]),
            vec!["a n a n a n"],
        ),
        (
            json!([
                { "cached": { "cache": "c", "key": "k", "processors": [{ "mapping": "root = \"\"\nmeta m = content().string()" }] } },
                { "mapping": "root = @m" },
            ]),
            vec!["a a a"],
        ),
        (
            json!([{ "cached": { "cache": "c", "key": "${! content() == \"a\" }", "processors": [delete()] } }]),
            vec!["a"],
        ),
        (json!([{ "cached": { "cache": "c", "key": "known", "processors": [mark("1")] } }]), vec!["K K K"]),
        (json!([{ "dedupe": { "cache": "c", "key": "${! content() == \"b\" }" } }]), vec!["a b"]),
        (
            json!([{ "dedupe": { "cache": "c", "strategy": "LIFO", "key": "${! content() == \"b\" }" } }]),
            vec!["b c"],
        ),
        (json!([{ "sleep": { "duration": "-1s" } }, { "sleep": { "duration": "soon" } }]), vec!["a! b! c!"]),
    ] {
        let made = through(&processors, &["a", "b", "c"]).await;
        if made != expected {
            wrong.push(format!("{processors}\n  wanted {expected:?}\n  got    {made:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Wherever it stands, and whatever becomes of the message behind it.
#[tokio::test(start_paused = true)]
async fn a_message_that_failed_is_no_duplicate_of_itself() {
    let dedupe = json!({ "dedupe": { "cache": "c", "key": "${! content() }" } });
    let more = json!({ "insert_part": { "content": "more" } });
    for processors in [
        json!([dedupe]),
        json!([dedupe, { "mapping": "root = \"x\"" }, more]),
        json!([{ "switch": [{ "processors": [dedupe] }] }]),
        json!([{ "resource": "r" }]),
    ] {
        let bench = Bench::default();
        let (input, output) = (bench.topic("in"), bench.topic("out"));
        let mut config = relay();
        config["pipeline"] = json!({ "processors": processors });
        config["cache_resources"] = json!([{ "label": "c", "memory": {} }]);
        config["processor_resources"] =
            json!([{ "label": "r", "dedupe": { "cache": "c", "key": "${! content() }" } }]);
        let _stream = bench.start(&config);
        input.write(bench.transaction(&["a", "b"])).await;
        let (_, transaction) = take(&output).await;
        let only = NackReason::failed("no").only([&transaction.batch[0]]);
        transaction.ack.done(Err(only));
        assert_eq!(bench.until(1).await, [("a", false)], "{processors}");
        // Its source sends it again, and with it a copy of the other one.
        input.write(bench.transaction(&["a", "b"])).await;
        let (_, transaction) = take(&output).await;
        let plain = transaction.batch.len() - usize::from(processors[2].is_object());
        assert_eq!(plain, 1, "{processors}: only what failed is let through");
        drop(transaction);
        bench.until(2).await;
        input.write(bench.transaction(&["a"])).await;
        take(&output).await.1.ack.done(Ok(()));
        bench.until(3).await;
        input.write(bench.transaction(&["a"])).await;
        assert_eq!(bench.until(4).await[3], ("a", true), "{processors}: what was delivered is a duplicate");
    }
}

#[tokio::test(start_paused = true)]
async fn results_of_branches_are_mapped_into_documents() {
    let branch = json!([{ "branch": {
        "request_map": "root.id = this.user.id",
        "processors": [{ "mapping": "root.name = \"n\" + this.id.string()" }],
        "result_map": "root.user.name = this.name",
    } }]);
    let made = through(&branch, &[r#"{"user":{"id":1},"x":2}"#, "no json"]).await;
    assert_eq!(made, [r#"{"user":{"id":1,"name":"n1"},"x":2} no json!"#]);
}

#[tokio::test(start_paused = true)]
async fn waiting_processors_wait() {
    for (processors, seconds) in [
        (json!([{ "rate_limit": { "resource": "l" } }]), 2),
        (json!([{ "sleep": { "duration": "2s" } }]), 6),
        (json!([{ "parallel": { "processors": [{ "sleep": { "duration": "2s" } }] } }]), 2),
        (
            json!([{ "retry": { "max_retries": 2, "backoff": { "initial_interval": "2s" }, "processors": [fail()] } }]),
            5,
        ),
        (
            json!([{ "retry": { "backoff": { "initial_interval": "2s", "max_elapsed_time": "4s" }, "processors": [fail()] } }]),
            2,
        ),
    ] {
        let started = tokio::time::Instant::now();
        through(&processors, &["a", "b", "c"]).await;
        assert_eq!(started.elapsed().as_secs(), seconds, "{processors}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_one_part_is_told_of_its_messages_only() {
    for processors in [
        json!([{ "split": {} }]),
        json!([{ "group_by_value": { "value": "${! content() }" } }]),
        json!([{ "group_by": [{ "check": "content().string() == \"b\"" }] }]),
        json!([{ "switch": [{ "check": "content().string() == \"b\"", "processors": [mark("")] }] }, { "split": {} }]),
    ] {
        let bench = Bench::default();
        let (input, output) = (bench.topic("in"), bench.topic("out"));
        let mut config = relay();
        config["pipeline"] = json!({ "processors": processors });
        let _stream = bench.start(&config);
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        sender.send(bench.transaction(&["a", "b", "c"])).await.unwrap();
        let mut replay = Replay::new(super::replay::Given { receiver });
        let (batch, ack) = replay.read().await.unwrap();
        input.write(Transaction { batch, ack }).await;
        let mut seen = 0;
        while seen < 3 {
            let Transaction { batch, ack } = output.read().await.unwrap();
            seen += batch.len();
            let failed: Vec<Message> = batch.iter().filter(|m| &**m.bytes() == b"b").cloned().collect();
            ack.done(if failed.is_empty() { Ok(()) } else { Err(NackReason::failed("x").only(&failed)) });
        }
        assert_eq!(texts(&replay.read().await.unwrap().0), ["b"], "{processors}");
    }
}

#[test]
fn what_cannot_work_is_refused() {
    for (processor, expected) in [
        (json!({ "switch": [{ "check": "true", "processors": [] }] }), "a case needs at least one processor"),
        (json!({ "branch": { "processors": [] } }), "a branch needs at least one processor"),
        (json!({ "while": { "processors": [] } }), "`while` would never end"),
        (json!({ "retry": { "backoff": { "initial_interval": "0s" }, "processors": [] } }), "above 0"),
        (json!({ "retry": { "backoff": { "max_interval": "0s" }, "processors": [] } }), "must not be below"),
        (json!({ "cache": { "resource": "x", "operator": "get", "key": "k" } }), "no cache resource `x`"),
        (json!({ "rate_limit": { "resource": "" } }), "must name a rate limit"),
        (json!({ "group_by": [{ "check": "" }] }), "must not be empty"),
    ] {
        let mut config = relay();
        config["pipeline"] = json!({ "processors": [processor] });
        let faults = build("test", &config, "", &Bench::default().settings()).unwrap_err();
        assert!(faults.iter().any(|fault| fault.message.contains(expected)), "{processor}: {faults:?}");
    }
}
