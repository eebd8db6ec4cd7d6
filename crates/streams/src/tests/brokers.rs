//! Several ends, and gathering.

use super::*;

fn broker(pattern: &str) -> Json {
    json!({
        "input": { "inproc": "in" },
        "output": { "broker": { "pattern": pattern, "outputs": [{ "inproc": "one" }, { "inproc": "two" }] } },
    })
}

#[tokio::test(start_paused = true)]
async fn fan_out_writes_again_to_the_child_that_failed_only() {
    let bench = Bench::default();
    let (input, one, two) = (bench.topic("in"), bench.topic("one"), bench.topic("two"));
    let _stream = bench.start(&broker("fan_out"));
    input.write(bench.transaction(&["a"])).await;
    take(&one).await.1.ack.done(Ok(()));
    for _ in 0..3 {
        assert!(bench.results().is_empty());
        take(&two).await.1.ack.done(Err(NackReason::failed("x")));
    }
    take(&two).await.1.ack.done(Ok(()));
    assert_eq!(bench.until(1).await, [("a", true)]);
    assert!(tokio::time::timeout(Duration::from_secs(9), take(&one)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn fail_fast_and_sequential_patterns() {
    for (pattern, retries) in
        [("fan_out_fail_fast", false), ("fan_out_sequential", true), ("fan_out_sequential_fail_fast", false)]
    {
        let bench = Bench::default();
        let (input, one, two) = (bench.topic("in"), bench.topic("one"), bench.topic("two"));
        let _stream = bench.start(&broker(pattern));
        input.write(bench.transaction(&["a"])).await;
        if pattern.contains("sequential") {
            assert!(tokio::time::timeout(Duration::from_secs(1), two.read()).await.is_err(), "{pattern}");
        }
        take(&one).await.1.ack.done(Ok(()));
        take(&two).await.1.ack.done(Err(NackReason::failed("x")));
        if retries {
            take(&two).await.1.ack.done(Ok(()));
        }
        assert_eq!(bench.until(1).await, [("a", retries)], "{pattern}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_later_child_has_not_seen_comes_again() {
    for (part, again) in [("one", &["a", "b"][..]), ("two", &["b"][..])] {
        let bench = Bench::default();
        let (input, one, two) = (bench.topic("in"), bench.topic("one"), bench.topic("two"));
        let mut config = broker("fan_out_sequential_fail_fast");
        config["input"] = json!({ "batched": { "child": { "inproc": "in" }, "policy": { "count": 2 } } });
        let _stream = bench.start(&config);
        input.write(bench.transaction(&["a"])).await;
        input.write(bench.transaction(&["b"])).await;
        if part == "two" {
            take(&one).await.1.ack.done(Ok(()));
        }
        let (_, transaction) = take(if part == "one" { &one } else { &two }).await;
        let reason = NackReason::failed("x").only([&transaction.batch[1]]);
        transaction.ack.done(Err(reason));
        // Each message has an ack of its own: those that are not delivered everywhere are nacked.
        let mut failed: Vec<_> =
            bench.until(2).await.into_iter().filter(|(_, ok)| !ok).map(|(name, _)| name).collect();
        failed.sort_unstable();
        assert_eq!(failed, again, "{part}");
    }
}

#[tokio::test(start_paused = true)]
async fn round_robin_takes_turns_and_greedy_goes_where_there_is_room() {
    let bench = Bench::default();
    let (input, one, two) = (bench.topic("in"), bench.topic("one"), bench.topic("two"));
    let _stream = bench.start(&broker("round_robin"));
    for (name, topic) in [("a", &one), ("b", &two), ("c", &one)] {
        input.write(bench.transaction(&[name])).await;
        assert_eq!(take(topic).await.0, [name]);
    }
    let bench = Bench::default();
    let (input, _one, two) = (bench.topic("in"), bench.topic("one"), bench.topic("two"));
    let _stream = bench.start(&broker("greedy"));
    let writing = bench.clone();
    tokio::spawn(async move {
        for _ in 0..20 {
            input.write(writing.transaction(&["x"])).await;
        }
    });
    // Nobody reads the first child: all but what it holds comes to the second.
    for _ in 0..10 {
        take(&two).await.1.ack.done(Ok(()));
    }
}

#[tokio::test(start_paused = true)]
async fn batches_are_gathered_and_each_source_hears_of_its_own() {
    let bench = Bench::default();
    let (input, output) = (bench.topic("in"), bench.topic("out"));
    let batching = json!({ "count": 4, "period": "3s" });
    let config = json!({
        "input": { "inproc": "in" },
        "output": { "broker": { "outputs": [{ "inproc": "out" }], "batching": batching, "pattern": "fan_out_fail_fast" } },
    });
    let _stream = bench.start(&config);
    input.write(bench.transaction(&["a", "b"])).await;
    input.write(bench.transaction(&["c"])).await;
    input.write(bench.transaction(&["d"])).await;
    let (batch, transaction) = take(&output).await;
    assert_eq!(batch, ["a", "b", "c", "d"]);
    let reason = NackReason::failed("x").only([&transaction.batch[1], &transaction.batch[3]]);
    transaction.ack.done(Err(reason));
    assert_eq!(bench.until(3).await, [("a", false), ("c", true), ("d", false)]);

    let started = tokio::time::Instant::now();
    input.write(bench.transaction(&["e"])).await;
    let (batch, transaction) = take(&output).await;
    assert_eq!((batch, started.elapsed().as_secs()), (vec!["e".to_owned()], 3));
    transaction.ack.done(Ok(()));
    assert_eq!(bench.until(4).await[3], ("e", true));
}

#[tokio::test(start_paused = true)]
async fn inputs_merge_and_copies_multiply() {
    let bench = Bench::default();
    let output = bench.topic("out");
    let generate = json!({ "generate": { "mapping": "root = \"g\"", "interval": "", "count": 2 } });
    let config = json!({
        "input": { "broker": { "copies": 2, "inputs": [generate] } },
        "output": { "inproc": "out" },
    });
    let stream = bench.start(&config);
    for _ in 0..4 {
        take(&output).await.1.ack.done(Ok(()));
    }
    while !stream.status().ended {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
