//! Random streams: whatever is put together, every batch is resolved exactly once, none before it is delivered, and
//! the stream ends in time.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Streams that are tried, and batches that go through each.
const STREAMS: u64 = 400;
const BATCHES: u64 = 12;
/// Far beyond what retries, windows and pauses can take, in the test's own time.
const STUCK: Duration = Duration::from_secs(1200);
/// A buffer gives what is refused out again until it is delivered: what always is refused ends with the stream.
const BUFFERED: Duration = Duration::from_secs(30);

/// The numbers of one seed (splitmix64): a failure names its seed and can be run again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }
}

/// Makes a configuration, and knows whether it may drop messages on purpose.
struct Maker {
    dice: Dice,
    drops: bool,
    /// Whether some messages are refused however often they come.
    refuses: bool,
    /// Whether it tries what is refused again for as long as it runs.
    insists: bool,
}

impl Maker {
    fn config(&mut self) -> Json {
        let mut config = json!({
            "input": self.input(2),
            "pipeline": { "threads": 1 + self.dice.roll(4), "processors": self.processors(2) },
            "output": self.output(2),
            "cache_resources": [{ "label": "c", "memory": {} }, { "label": "d", "lru": { "cap": 100 } }],
            "rate_limit_resources": [{ "label": "l", "local": { "count": 50, "interval": "1s" } }],
        });
        match self.dice.roll(5) {
            0 => config["buffer"] = json!({ "memory": { "limit": 100_000 } }),
            1 => {
                config["buffer"] = json!({ "memory": { "limit": 100_000, "batch_policy": { "enabled": true, "count": 3, "period": "1s" } } })
            }
            2 => {
                // What waits for long comes late, and is dropped.
                self.drops = true;
                let at = r#"root = metadata("at")"#;
                let slide = if self.dice.one_in(2) { "2s" } else { "" };
                config["buffer"] = json!({ "system_window": {
                    "timestamp_mapping": at, "size": "5s", "slide": slide, "allowed_lateness": "4s",
                } });
            }
            _ => {}
        }
        config
    }

    fn input(&mut self, depth: u64) -> Json {
        let mut input = match self.dice.roll(if depth == 0 { 2 } else { 6 }) {
            0 | 1 => json!({ "inproc": "in" }),
            2 => {
                json!({ "broker": { "inputs": [self.input(depth - 1), { "inproc": "never" }], "batching": self.batching() } })
            }
            3 => {
                json!({ "batched": { "child": self.input(depth - 1), "policy": { "count": 2 + self.dice.roll(3), "period": "2s" } } })
            }
            4 => json!({ "sequence": { "inputs": [self.input(depth - 1), { "inproc": "never" }] } }),
            _ => {
                let until = match self.dice.roll(3) {
                    0 => json!({ "input": self.input(depth - 1), "idle_timeout": "700ms" }),
                    1 => json!({ "input": self.input(depth - 1), "check": r#"meta("id").number() > 7"# }),
                    _ => {
                        json!({ "input": self.input(depth - 1), "restart_input": true, "check": r#"meta("id").number() % 9 == 5"# })
                    }
                };
                json!({ "sequence": { "inputs": [{ "read_until": until }, { "inproc": "in" }] } })
            }
        };
        if self.dice.one_in(3) {
            input["processors"] = self.processors(1);
        }
        input
    }

    fn batching(&mut self) -> Json {
        match self.dice.roll(3) {
            0 => json!({ "count": 1 + self.dice.roll(4), "period": "1s" }),
            1 => json!({ "period": "500ms", "processors": self.processors(1) }),
            _ => json!({}),
        }
    }

    fn processors(&mut self, depth: u64) -> Json {
        (0..=self.dice.roll(3)).map(|_| self.processor(depth)).collect()
    }

    fn processor(&mut self, depth: u64) -> Json {
        let check = r#"meta("id").number() % 2 == 0"#;
        if depth == 0 || self.dice.one_in(2) {
            return match self.dice.roll(12) {
                0 => json!({ "noop": {} }),
                1 => json!({ "mapping": "root = content().string() + \"m\"" }),
                2 => json!({ "mutation": r#"root = if meta("id").number() % 3 == 0 { throw("no") }"# }),
                3 => json!({ "split": { "size": 1 + self.dice.roll(3) } }),
                4 => json!({ "log": { "level": "TRACE", "message": "seen" } }),
                5 => json!({ "sleep": { "duration": "${! batch_index() * 100 }ms" } }),
                6 => json!({ "group_by_value": { "value": r#"${! meta("id").number() % 2 }"# } }),
                7 => json!({ "group_by": [{ "check": check, "processors": [{ "noop": {} }] }] }),
                8 => json!({ "rate_limit": { "resource": "l" } }),
                9 => json!({ "insert_part": { "content": "inserted" } }),
                10 => {
                    self.drops = true;
                    json!({ "mapping": format!("root = if {check} {{ deleted() }}") })
                }
                _ => {
                    self.drops = true;
                    match self.dice.roll(3) {
                        0 => json!({ "dedupe": { "cache": "c", "key": r#"${! meta("id") }"# } }),
                        1 => json!({ "select_parts": { "parts": [0, -1] } }),
                        _ => json!({ "bounds_check": { "max_parts": 2 } }),
                    }
                }
            };
        }
        let inner = self.processors(depth - 1);
        match self.dice.roll(11) {
            0 => json!({ "try": inner }),
            1 => json!({ "catch": inner }),
            2 => json!({ "for_each": inner }),
            3 => json!({ "processors": inner }),
            4 => json!({ "parallel": { "cap": 2, "processors": inner } }),
            5 => json!({ "branch": { "processors": inner, "result_map": "root = content().string()" } }),
            6 => {
                json!({ "switch": [{ "check": check, "processors": inner, "fallthrough": self.dice.one_in(2) }, { "processors": [{ "noop": {} }] }] })
            }
            7 => json!({ "while": { "max_loops": 2, "check": "true", "processors": inner } }),
            8 => json!({ "retry": { "max_retries": 2, "processors": inner } }),
            9 => {
                let other = json!({ "request_map": format!("root = if {check} {{ deleted() }}"), "processors": [{ "noop": {} }], "result_map": "root = content().string()" });
                let one = json!({ "processors": inner, "result_map": "root = content().string()" });
                json!({ "workflow": { "meta_path": "", "order": [["one"], ["other"]], "branches": { "one": one, "other": other } } })
            }
            _ => json!({ "cached": { "cache": "d", "key": r#"${! meta("id") }"#, "processors": inner } }),
        }
    }

    /// Whether something is written again until it succeeds, which what is refused never does.
    fn insists(&mut self) -> bool {
        let insists = self.dice.one_in(2);
        self.insists |= insists;
        insists
    }

    fn output(&mut self, depth: u64) -> Json {
        let mut output = if depth == 0 || self.dice.one_in(3) {
            match self.dice.roll(8) {
                0 => {
                    self.refuses = true;
                    json!({ "reject": "not this" })
                }
                1 => {
                    self.drops = true;
                    json!({ "drop": {} })
                }
                _ => json!({ "inproc": "out" }),
            }
        } else {
            let inner = self.output(depth - 1);
            match self.dice.roll(9) {
                0 => {
                    self.drops = true;
                    json!({ "drop_on": { "error": true, "back_pressure": "5s", "output": inner } })
                }
                1 => json!({ "fallback": [inner, self.output(depth - 1)] }),
                2 => json!({ "retry": { "max_retries": 3, "output": inner } }),
                3 => {
                    self.refuses = true;
                    json!({ "reject_errored": inner })
                }
                4 => json!({ "switch": { "retry_until_success": self.insists(), "cases": [
                    { "check": r#"meta("id").number() % 2 == 0"#, "output": inner, "continue": self.dice.one_in(3) },
                    { "output": self.output(depth - 1) },
                ] } }),
                pattern => {
                    let pattern =
                        ["fan_out_fail_fast", "fan_out_sequential_fail_fast", "round_robin", "greedy"]
                            [pattern as usize - 5];
                    json!({ "broker": { "pattern": pattern, "outputs": [inner, self.output(depth - 1)], "batching": self.batching() } })
                }
            }
        };
        if self.dice.one_in(4) {
            output["processors"] = self.processors(1);
        }
        output
    }
}

#[tokio::test(start_paused = true)]
async fn any_stream_resolves_every_batch_once_and_not_before_it_is_delivered() {
    for seed in 0..STREAMS {
        let mut maker = Maker { dice: Dice(seed), drops: false, refuses: false, insists: false };
        let config = maker.config();
        pass(seed, &config, &mut maker).await;
    }
}

/// Sends batches through one stream; its end takes and refuses them at random.
async fn pass(seed: u64, config: &Json, maker: &mut Maker) {
    let bench = Bench::default();
    let (input, output) = (bench.topic("in"), bench.topic("out"));
    let built = build("random", config, "", &bench.settings());
    let stream = built.unwrap_or_else(|faults| panic!("seed {seed}: {faults:?}\n{config}")).start();

    // What became of each batch, how often it was told, and what had been delivered by then.
    type Told = BTreeMap<u64, (usize, bool, BTreeSet<u64>)>;
    let (told, delivered) = (Arc::new(Mutex::new(Told::new())), Arc::new(Mutex::new(BTreeSet::new())));
    let mut sizes = BTreeMap::new();
    let now = jiff::Timestamp::from_nanosecond(bench.clock().nanoseconds()).unwrap();
    let mut next = 0;
    let batches = (0..BATCHES).map(|number| {
        let size = 1 + maker.dice.roll(4);
        sizes.insert(number, next..next + size);
        let batch = (next..next + size).map(|id| {
            let mut message = Message::new(format!("{id}"));
            message.set_meta("id", id.to_string());
            message.set_meta("at", now.to_string());
            message
        });
        next += size;
        let (told, delivered) = (told.clone(), delivered.clone());
        let ack = Ack::new(move |outcome| {
            let mut told = told.lock();
            let entry = told.entry(number).or_insert((0, outcome.is_ok(), delivered.lock().clone()));
            entry.0 += 1;
        });
        Transaction { batch: batch.collect(), ack }
    });
    let batches: Vec<Transaction> = batches.collect();
    let to = input.clone();
    let writer = tokio::spawn(async move {
        for batch in batches {
            to.write(batch).await;
        }
    });

    let started = tokio::time::Instant::now();
    let endless = (config.get("buffer").is_some() || maker.insists) && maker.refuses;
    let patience = if endless { BUFFERED } else { STUCK };
    while told.lock().len() < BATCHES as usize && started.elapsed() < patience {
        let taken = tokio::select! {
            biased;
            transaction = output.read() => transaction,
            () = tokio::time::sleep(Duration::from_millis(20)) => continue,
        };
        let Some(Transaction { batch, ack }) = taken else { break };
        // Messages before this one are refused, those from it on delivered.
        let first = match maker.dice.roll(6) {
            // What fails as a whole when one message of many does, succeeds only when all do.
            _ if started.elapsed() > STUCK / 2 => 0,
            0 => 1,
            1 | 2 => batch.len(),
            _ => 0,
        };
        let id = |message: &Message| {
            std::str::from_utf8(&message.meta("id")?.to_payload()).ok()?.parse::<u64>().ok()
        };
        delivered.lock().extend(batch[first..].iter().filter_map(id));
        match first {
            0 => ack.done(Ok(())),
            _ if maker.dice.one_in(3) && first == batch.len() => drop(ack),
            _ => ack.done(Err(NackReason::failed("not now").only(&batch[..first]))),
        }
    }
    let done = told.lock().len();
    assert!(endless || done == BATCHES as usize, "seed {seed}: only {done} batches were told\n{config}");
    drop(input);
    stream.stop(Duration::from_secs(20), CloseReason::Removed).await;
    writer.abort();
    let _ = writer.await;
    while tokio::time::timeout(Duration::from_millis(1), output.read()).await.is_ok() {}
    assert_eq!(told.lock().len(), BATCHES as usize, "seed {seed}: batches were lost at the end\n{config}");

    for (number, (times, acked, before)) in &*told.lock() {
        assert_eq!(*times, 1, "seed {seed}: batch {number} was told {times} times\n{config}");
        if *acked && !maker.drops {
            let missing: Vec<u64> = sizes[number].clone().filter(|id| !before.contains(id)).collect();
            assert!(
                missing.is_empty(),
                "seed {seed}: batch {number} was acked without {missing:?}\n{config}"
            );
        }
    }
}

/// What goes to several outputs is delivered to each before it is acked, whatever each refuses and however the stream
/// goes on.
#[tokio::test(start_paused = true)]
async fn any_fan_out_delivers_to_each_of_its_outputs() {
    for seed in 0..STREAMS {
        let mut dice = Dice(seed ^ 0x5eed);
        let patterns = ["fan_out", "fan_out_fail_fast", "fan_out_sequential", "fan_out_sequential_fail_fast"];
        let pattern = patterns[dice.roll(4) as usize];
        let mut leaves = ["one", "two", "three"].map(|topic| json!({ "inproc": topic }));
        for leaf in &mut leaves {
            match dice.roll(4) {
                0 => *leaf = json!({ "retry": { "output": *leaf } }),
                1 => *leaf = json!({ "fallback": [*leaf, *leaf] }),
                2 => leaf["processors"] = json!([{ "split": { "size": 1 } }]),
                _ => {}
            }
        }
        let mut broker = json!({ "pattern": pattern, "outputs": leaves });
        if dice.one_in(3) {
            broker["batching"] = json!({ "count": 1 + dice.roll(4), "period": "1s" });
        }
        let mut output = json!({ "broker": broker });
        if dice.one_in(3) {
            output = json!({ "retry": { "output": output } });
        }
        let input = json!({ "batched": {
            "child": { "inproc": "in" }, "policy": { "count": 2 + dice.roll(3), "period": "1s" },
        } });
        reach_each(seed, &json!({ "input": input, "output": output }), &mut dice).await;
    }
}

/// Gives messages to one stream; each of its three ends takes and refuses them at random, and the stream is stopped
/// somewhere in between.
async fn reach_each(seed: u64, config: &Json, dice: &mut Dice) {
    let bench = Bench::default();
    let input = bench.topic("in");
    let built = build("random", config, "", &bench.settings());
    let stream = built.unwrap_or_else(|faults| panic!("seed {seed}: {faults:?}\n{config}")).start();
    // What each end has taken, and how many had a message when it was acked.
    let taken: Arc<Mutex<BTreeMap<u64, BTreeSet<&str>>>> = Arc::default();
    let told: Arc<Mutex<BTreeMap<u64, Result<usize, ()>>>> = Arc::default();
    let ends = ["one", "two", "three"].map(|name| {
        let (topic, taken, mut dice) = (bench.topic(name), taken.clone(), Dice(dice.roll(u64::MAX)));
        tokio::spawn(async move {
            while let Some(Transaction { batch, ack }) = topic.read().await {
                let first = match dice.roll(4) {
                    0 => dice.roll(batch.len() as u64) as usize,
                    1 => batch.len(),
                    _ => 0,
                };
                for message in &batch[first..] {
                    let id = message.meta("id").map(|id| id.to_payload()).unwrap();
                    let id = std::str::from_utf8(&id).unwrap().parse().unwrap();
                    taken.lock().entry(id).or_default().insert(name);
                }
                match first {
                    0 => ack.done(Ok(())),
                    _ => ack.done(Err(NackReason::failed("not now").only(&batch[..first]))),
                }
            }
        })
    });
    let messages = BATCHES * 2;
    let writer = {
        let (input, told, taken) = (input.clone(), told.clone(), taken.clone());
        tokio::spawn(async move {
            for id in 0..messages {
                let mut message = Message::new(format!("{id}"));
                message.set_meta("id", id.to_string());
                let (told, taken) = (told.clone(), taken.clone());
                let ack = Ack::new(move |outcome| {
                    let reached = taken.lock().get(&id).map_or(0, BTreeSet::len);
                    let before = told.lock().insert(id, outcome.map(|()| reached).map_err(drop));
                    assert!(before.is_none(), "seed {seed}: message {id} was told twice");
                });
                input.write(Transaction { batch: [message].into(), ack }).await;
            }
        })
    };
    let enough = 1 + dice.roll(messages) as usize;
    let started = tokio::time::Instant::now();
    while told.lock().len() < enough && started.elapsed() < STUCK {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(told.lock().len() >= enough, "seed {seed}: only {} were told\n{config}", told.lock().len());
    drop(input);
    stream.stop(Duration::from_secs(20), CloseReason::Removed).await;
    writer.abort();
    ends.iter().for_each(tokio::task::JoinHandle::abort);
    for (id, outcome) in &*told.lock() {
        if let Ok(reached) = outcome {
            assert_eq!(*reached, 3, "seed {seed}: message {id} was acked\n{config}");
        }
    }
}
