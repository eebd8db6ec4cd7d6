//! Buffers between input and pipeline.

use super::*;

fn buffered(buffer: Json) -> Json {
    let mut config = relay();
    config["buffer"] = buffer;
    config
}

fn of_buffer(stream: &RunningStream, name: &str) -> SampleValue {
    let status = stream.status();
    let probe = status.components.iter().find(|probe| probe.kind == ComponentKind::Buffer).unwrap();
    probe.series().into_iter().find(|series| series.name == name).unwrap().value
}

#[tokio::test(start_paused = true)]
async fn a_buffer_takes_what_the_output_does_not_take_yet_and_acks_what_is_delivered() {
    let bench = Bench::default();
    let (input, output) = (bench.topic("in"), bench.topic("out"));
    let stream = bench.start(&buffered(json!({ "memory": {} })));
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    for name in names {
        input.write(bench.transaction(&[name])).await;
    }
    assert!(bench.results().is_empty(), "accepted is not delivered");
    for name in names {
        let (batch, transaction) = take(&output).await;
        assert_eq!(batch, [name]);
        transaction.ack.done(Ok(()));
    }
    assert_eq!(bench.until(12).await, names.map(|name| (name, true)));
    stream.stop(Duration::from_secs(1), CloseReason::Removed).await;
}

#[tokio::test(start_paused = true)]
async fn what_fails_behind_a_buffer_comes_again_from_it() {
    let bench = Bench::default();
    let (input, output) = (bench.topic("in"), bench.topic("out"));
    let stream = bench.start(&buffered(json!({ "memory": {} })));
    input.write(bench.transaction(&["a", "b"])).await;
    let (_, transaction) = take(&output).await;
    let only = NackReason::failed("no").only([&transaction.batch[1]]);
    transaction.ack.done(Err(only));
    let (batch, transaction) = take(&output).await;
    assert_eq!(batch, ["b"]);
    transaction.ack.done(Ok(()));
    assert_eq!(bench.until(1).await, [("a", true)]);
    // What is held when the stream has to stop goes back to its source.
    for name in ["c", "d", "e", "f", "g"] {
        input.write(bench.transaction(&[name])).await;
    }
    stream.stop(Duration::from_secs(4), CloseReason::Removed).await;
    drop((input, output));
    let mut results = bench.until(6).await;
    results.sort_unstable();
    assert_eq!(results, [("a", true), ("c", false), ("d", false), ("e", false), ("f", false), ("g", false)]);
}

#[tokio::test(start_paused = true)]
async fn a_full_buffer_waits_or_refuses() {
    for (spillover, expected) in [(false, None), (true, Some(("fourth", false)))] {
        let bench = Bench::default();
        let (input, output) = (bench.topic("in"), bench.topic("out"));
        let stream = bench.start(&buffered(json!({ "memory": { "limit": 16, "spillover": spillover } })));
        for name in ["first", "second", "third"] {
            input.write(bench.transaction(&[name])).await;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        input.write(bench.transaction(&["fourth"])).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(bench.results().first().copied(), expected, "spillover {spillover}");
        assert_eq!(of_buffer(&stream, "buffer_active"), SampleValue::Gauge(16.0));
        assert_eq!(of_buffer(&stream, "buffer_spillover"), SampleValue::Counter(u64::from(spillover)));
        for _ in 0..4 - usize::from(spillover) {
            take(&output).await.1.ack.done(Ok(()));
        }
        assert_eq!(of_buffer(&stream, "buffer_active"), SampleValue::Gauge(0.0), "nothing is held any more");
    }
    let bench = Bench::default();
    let (input, _output) = (bench.topic("in"), bench.topic("out"));
    let _stream = bench.start(&buffered(json!({ "memory": { "limit": 4 } })));
    input.write(bench.transaction(&["larger"])).await;
    assert_eq!(bench.until(1).await, [("larger", false)]);
}

#[tokio::test(start_paused = true)]
async fn a_buffer_can_gather() {
    let bench = Bench::default();
    let (input, output) = (bench.topic("in"), bench.topic("out"));
    let policy = json!({ "enabled": true, "count": 3 });
    let _stream = bench.start(&buffered(json!({ "memory": { "batch_policy": policy } })));
    for name in ["a", "b", "c"] {
        input.write(bench.transaction(&[name])).await;
    }
    let (batch, transaction) = take(&output).await;
    assert_eq!(batch, ["a", "b", "c"]);
    let only = NackReason::failed("no").only([&transaction.batch[1]]);
    transaction.ack.done(Err(only));
    // Alone it makes no batch of three: one more and another bring it along.
    for name in ["d", "e"] {
        input.write(bench.transaction(&[name])).await;
    }
    let (batch, transaction) = take(&output).await;
    assert_eq!(batch, ["b", "d", "e"]);
    transaction.ack.done(Ok(()));
    let mut results = bench.until(5).await;
    results.sort_unstable();
    assert_eq!(results, [("a", true), ("b", true), ("c", true), ("d", true), ("e", true)]);
}

/// Messages with a time of their own: `seconds text`.
fn window(more: Json) -> Json {
    let mut spec = json!({ "timestamp_mapping": "root = content().string().split(\" \").index(0).number()" });
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    buffered(json!({ "system_window": spec }))
}

fn now() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64()
}

#[tokio::test(start_paused = true)]
async fn windows_hold_what_is_of_their_time() {
    let bench = Bench::default();
    let (input, output) = (bench.topic("in"), bench.topic("out"));
    // Windows so long that the test's own time cannot leave one.
    let size = 100_000.0;
    let stream = bench.start(&window(json!({ "size": "100000s", "allowed_lateness": "10s" })));
    let begin = (now() / size).floor() * size;
    let write = async |name: &'static str, at: f64| {
        let mut transaction = bench.transaction(&[name]);
        transaction.batch[0].set_bytes(format!("{at} {name}"));
        input.write(transaction).await;
    };
    write("begin", begin + 0.5).await;
    write("next", begin + size + 1.0).await;
    write("end", begin + size).await;
    let names = |batch: &[Message]| -> Vec<String> {
        texts(batch).iter().map(|text| text.split_once(' ').unwrap().1.to_owned()).collect()
    };
    let (_, transaction) = take(&output).await;
    assert_eq!(names(&transaction.batch), ["begin", "end"]);
    let stamp = transaction.batch[0].meta("window_end_timestamp").unwrap().to_text();
    let stamp: jiff::Timestamp = stamp.parse().unwrap();
    assert_eq!(stamp.as_second() as f64, begin + size);
    transaction.ack.done(Err(NackReason::failed("no").only([&transaction.batch[1]])));
    let (_, transaction) = take(&output).await;
    assert_eq!(names(&transaction.batch), ["end"], "only what failed comes again");
    transaction.ack.done(Ok(()));
    let (_, transaction) = take(&output).await;
    assert_eq!(names(&transaction.batch), ["next"]);
    transaction.ack.done(Ok(()));
    bench.until(3).await;
    write("too old", begin + 0.5).await;
    bench.until(4).await;
    assert_eq!(of_buffer(&stream, "buffer_late"), SampleValue::Counter(1), "what is dropped is counted");
    let mut results = bench.until(4).await;
    results.sort_unstable();
    assert_eq!(results, [("begin", true), ("end", true), ("next", true), ("too old", true)]);
    assert_eq!(of_buffer(&stream, "buffer_active"), SampleValue::Gauge(0.0));
}

/// 3.11: unacknowledged messages come again after a restart, of whatever age.
#[tokio::test(start_paused = true)]
async fn nothing_is_late_until_a_first_window_was_given_out() {
    for slide in ["", "50000s"] {
        let bench = Bench::default();
        let (input, output) = (bench.topic("in"), bench.topic("out"));
        let size = 100_000.0;
        let stream = bench.start(&window(json!({ "size": "100000s", "slide": slide })));
        let begin = (now() / size).floor() * size;
        for (name, at) in
            [("new", begin + 1.0), ("old", begin - 3.0 * size + 1.0), ("less old", begin - 50_001.0)]
        {
            let mut transaction = bench.transaction(&[name]);
            transaction.batch[0].set_bytes(format!("{at}"));
            input.write(transaction).await;
        }
        let mut given: Vec<(f64, i64)> = Vec::new();
        // Each is in one window, or in two that overlap.
        let expected = if slide.is_empty() { 3 } else { 6 };
        while given.len() < expected {
            let (batch, transaction) = take(&output).await;
            assert_eq!(batch.len(), 1, "{batch:?}");
            let stamp = transaction.batch[0].meta("window_end_timestamp").unwrap().to_text();
            let end = stamp.parse::<jiff::Timestamp>().unwrap().as_second();
            let at: f64 = batch[0].parse().unwrap();
            assert!(at <= end as f64 && at > end as f64 - size, "{at} in {end}");
            given.push((at, end));
            transaction.ack.done(Ok(()));
        }
        bench.until(3).await;
        assert!(given.is_sorted_by_key(|(_, end)| *end), "slide {slide:?}: {given:?}");
        assert_eq!(of_buffer(&stream, "buffer_late"), SampleValue::Counter(0));
    }
}

#[tokio::test(start_paused = true)]
async fn sliding_windows_share_their_messages_and_open_ones_are_nacked_at_the_end() {
    let bench = Bench::default();
    let (input, output) = (bench.topic("in"), bench.topic("out"));
    let stream = bench.start(&window(json!({ "size": "100000s", "slide": "50000s" })));
    let at = (now() / 50_000.0).floor() * 50_000.0 + 1.0;
    let mut transaction = bench.transaction(&["both"]);
    transaction.batch[0].set_bytes(format!("{at}"));
    input.write(transaction).await;
    let mut ends = Vec::new();
    for last in [false, true] {
        let (_, transaction) = take(&output).await;
        ends.push(transaction.batch[0].meta("window_end_timestamp").unwrap().to_text());
        assert!(bench.results().is_empty());
        transaction.ack.done(Ok(()));
        if last {
            assert_eq!(bench.until(1).await, [("both", true)]);
        }
    }
    assert_ne!(ends[0], ends[1]);
    let mut transaction = bench.transaction(&["open"]);
    transaction.batch[0].set_bytes(format!("{}", at + 1e9));
    input.write(transaction).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    stream.stop(Duration::from_secs(1), CloseReason::Removed).await;
    assert_eq!(bench.until(2).await, [("both", true), ("open", false)]);
    let mut bad = bench.transaction(&["bad"]);
    bad.batch[0].set_bytes("no time");
    let _stream = bench.start(&window(json!({ "size": "1h" })));
    input.write(bad).await;
    assert_eq!(bench.until(3).await[2], ("bad", false));
}

#[tokio::test(start_paused = true)]
async fn a_window_that_waits_for_late_messages_is_open_at_the_start() {
    let bench = Bench::default();
    let (input, output) = (bench.topic("in"), bench.topic("out"));
    let spec =
        json!({ "timestamp_mapping": "root = metadata(\"at\")", "size": "10s", "allowed_lateness": "9s" });
    // One second into a window: the one before waits eight more.
    let into = bench.clock().nanoseconds().rem_euclid(10_000_000_000) as i64 / 1_000_000_000;
    *bench.set.lock() = 11 - into;
    let stream = bench.start(&buffered(json!({ "system_window": spec })));
    let now = jiff::Timestamp::from_nanosecond(bench.clock().nanoseconds()).unwrap();
    let mut transaction = bench.transaction(&["late"]);
    transaction.batch[0].set_meta("at", (now - Duration::from_secs(5)).to_string());
    input.write(transaction).await;
    let (batch, transaction) = take(&output).await;
    assert_eq!(batch, ["late"]);
    transaction.ack.done(Ok(()));
    assert_eq!(of_buffer(&stream, "buffer_late"), SampleValue::Counter(0));
}

#[tokio::test(start_paused = true)]
async fn windows_follow_the_clock_wherever_it_is_set() {
    let bench = Bench::default();
    let (input, output) = (bench.topic("in"), bench.topic("out"));
    // Built some time before it starts.
    let spec = json!({ "timestamp_mapping": "root = metadata(\"at\")", "size": "10s" });
    let config = buffered(json!({ "system_window": spec }));
    let built = build("test", &config, "", &bench.settings()).unwrap();
    let clock = bench.clock();
    tokio::time::advance(Duration::from_secs(3600)).await;
    let stream = built.start();
    let mut written = 0;
    for (name, set) in
        [("a", 0), ("forwards", 86_400), ("back", -86_400), ("a little back", -86_403), ("far", 864_000_000)]
    {
        *bench.set.lock() = set;
        // To the nanosecond: a whole second may lie before the window that is open.
        let now = jiff::Timestamp::from_nanosecond(clock.nanoseconds()).unwrap();
        let mut transaction = bench.transaction(&[name]);
        transaction.batch[0].set_meta("at", now.to_string());
        input.write(transaction).await;
        written += 1;
        let started = tokio::time::Instant::now();
        let taken = tokio::time::timeout(Duration::from_secs(30), take(&output)).await;
        let (batch, transaction) = taken.unwrap_or_else(|_| panic!("{name}: no window is closed"));
        assert_eq!(batch, [name]);
        assert!(started.elapsed() < Duration::from_secs(12), "{name}: {:?}", started.elapsed());
        let stamp = transaction.batch[0].meta("window_end_timestamp").unwrap().to_text();
        let stamp: jiff::Timestamp = stamp.parse().unwrap();
        assert!((now..=now + Duration::from_secs(10)).contains(&stamp), "{name}: {stamp}");
        transaction.ack.done(Ok(()));
        bench.until(written).await;
    }
    assert_eq!(of_buffer(&stream, "buffer_late"), SampleValue::Counter(0));
}
