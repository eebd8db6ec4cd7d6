//! Every file of `examples/streams/` is without fault, and does with real brokers what its first lines say.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command as Blocking;

use document::{Document, Format};
use e2e::streaming::{events, post};
use e2e::tools::{kafka_consume, kafka_produce, mqtt_subscribe, program, service};
use e2e::{Endless, Gate, Reply, Socket, binary, free_port, until};
use serde_json::{Value, json};

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/streams"))
}

/// The examples by the names of their files.
fn examples() -> BTreeMap<String, String> {
    let files =
        fs::read_dir(folder()).expect("examples/streams/ is there").map(|entry| entry.unwrap().path());
    let yaml = files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    let read = |path: PathBuf| {
        (path.file_stem().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap())
    };
    yaml.map(read).collect()
}

#[test]
fn every_example_is_without_fault() {
    let output = Blocking::new(binary()).arg("lint").arg(folder()).output().expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("0 errors, 0 warnings"), "{said}");
    for (name, text) in examples() {
        assert!(text.starts_with("# "), "{name} does not say what it is for");
    }
}

/// All examples in one gate, each under a path of its own name.
struct World {
    gate: Gate,
    kafka: String,
    mqtt: u16,
    redis: u16,
    /// Stands for `example` in names of topics, queues and keys.
    run: String,
}

impl World {
    async fn start() -> World {
        let port = free_port();
        let run = format!("run{}", number_of_this_run());
        let [kafka, mosquitto, rabbitmq, redis, nats, postgresql] =
            ["kafka", "mosquitto", "rabbitmq", "redis", "nats", "postgresql"].map(service);
        let mut setup = Gate::setup().conf(json!({"listen_port": port}));
        for (name, text) in examples() {
            let text = [
                ("example-", format!("{run}-")),
                ("localhost:8080", format!("127.0.0.1:{port}")),
                ("localhost:9092", kafka.clone()),
                ("localhost:1883", mosquitto.clone()),
                ("localhost:5672", rabbitmq.clone()),
                ("localhost:6379", redis.clone()),
                ("localhost:4222", nats.clone()),
                ("localhost:5432", postgresql.clone()),
                ("localhost:4318", format!("127.0.0.1:{}", free_port())),
            ]
            .iter()
            .fold(text, |text, (from, to)| text.replace(from, to));
            let stream =
                Document::parse(text, Format::Yaml).unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
            setup = setup.oas(events(&name, json!({"s": stream.into_value()})));
        }
        for topic in ["readings", "jobs", "alerts", "orders", "left", "right"] {
            // Made before anybody reads it.
            kafka_produce(&kafka, &format!("{run}-{topic}"), b"").await;
        }
        let number = |address: &str| address.rsplit(':').next().and_then(|port| port.parse().ok());
        let gate = setup.start().await;
        World {
            gate,
            mqtt: number(&mosquitto).expect("a port"),
            redis: number(&redis).expect("a port"),
            kafka,
            run,
        }
    }

    async fn post(&self, path: &str, body: &str) -> Reply {
        post(&self.gate.url(path), body, &[]).await
    }

    /// Posts what must be taken.
    async fn give(&self, path: &str, body: &str) {
        let reply = self.post(path, body).await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}\n{}", self.gate.log());
    }

    async fn answer(&self, path: &str, body: &str) -> Value {
        let reply = self.post(path, body).await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}\n{}", self.gate.log());
        reply.json()
    }

    async fn events(&self, path: &str) -> Endless {
        let events = Endless::get(self.gate.port(), path, &[]).await;
        assert_eq!(events.status, 200, "{path}");
        events
    }

    async fn produce(&self, topic: &str, line: &str) {
        kafka_produce(&self.kafka, &format!("{}-{topic}", self.run), format!("{line}\n").as_bytes()).await;
    }

    /// The first message of a topic.
    async fn in_kafka(&self, topic: &str) -> Value {
        let topic = format!("{}-{topic}", self.run);
        until("the topic is there", async || {
            program("kcat", &["-b", &self.kafka, "-L"], b"").await.contains(&format!("\"{topic}\""))
        })
        .await;
        let lines = kafka_consume(&self.kafka, &topic, 1).await;
        serde_json::from_str(&lines[0]).unwrap_or_else(|_| Value::from(lines[0].as_str()))
    }
}

/// A number that differs between runs.
fn number_of_this_run() -> u32 {
    std::process::id() ^ std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.subsec_nanos())
}

async fn next(events: &mut Endless) -> Value {
    serde_json::from_str(&events.data().await.expect("an event")).expect("JSON")
}

#[tokio::test]
async fn every_example_does_what_it_says() {
    let world = World::start().await;
    for name in examples().keys() {
        try_out(name, &world).await;
    }
}

async fn try_out(name: &str, world: &World) {
    match name {
        "kafka-to-subscribers" => {
            let mut events = world.events("/kafka-to-subscribers/events").await;
            let mut socket =
                Socket::open(world.gate.port(), "/kafka-to-subscribers/socket", &[]).await.unwrap();
            world.produce("readings", r#"{"celsius":21}"#).await;
            assert_eq!(next(&mut events).await, json!({"celsius": 21}));
            assert_eq!(socket.next().await.map(|frame| frame.into_data().len()), Some(14));
        }
        // The one puts jobs into Kafka, the other works them off.
        "post-to-kafka" => {
            let answer = world.answer("/post-to-kafka/jobs", r#"{"question":"why"}"#).await;
            assert_eq!(answer["question"], "why");
            assert_eq!(answer["job"].as_str().map(str::len), Some(36), "{answer}");
            let result = world.in_kafka("results").await;
            assert_eq!((&result["result"], &result["job"]), (&json!("WHY"), &answer["job"]));
        }
        "worker" => {}
        "several-inputs" => {
            let mut events = world.events("/several-inputs/events").await;
            world.give("/several-inputs/alerts", r#"{"n":1}"#).await;
            assert_eq!(next(&mut events).await, json!({"n": 1, "via": "post"}));
            world.produce("alerts", r#"{"n":2}"#).await;
            assert_eq!(next(&mut events).await, json!({"n": 2, "via": "kafka"}));
        }
        "mock-service" => {
            for (path, body, expected) in [
                ("/mock-service/shout", "hello", json!({"answer": "HELLO"})),
                ("/mock-service/email", r#"{"customer":7}"#, json!({"email": "customer-7@example.com"})),
                ("/mock-service/slow", "", json!({"answer": "late"})),
                ("/mock-service/page?page=3", "", json!({"items": [5, 6], "next": null})),
                ("/mock-service/none", "", json!({"error": "there is nothing at /none"})),
            ] {
                assert_eq!(world.answer(path, body).await, expected, "{path}");
            }
        }
        "token-server" => {
            let answer = world.answer("/token-server/token", "grant_type=client_credentials").await;
            assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("Bearer"), &json!(3600)));
        }
        "poll-pages" => {
            let mut items = world.events("/poll-pages/items").await;
            let mut seen = Vec::new();
            while seen.len() < 4 {
                seen.push(items.data().await.expect("an item").parse::<u32>().expect("a number"));
            }
            let first = seen[0];
            assert_eq!(seen, [first, first + 1, first + 2, first + 3].map(|item| (item - 1) % 6 + 1));
        }
        "high-value-orders" => {
            let mut events = world.events("/high-value-orders/events").await;
            world.produce("orders", r#"{"customer":1,"value":10}"#).await;
            world.produce("orders", r#"{"customer":2,"value":5000}"#).await;
            let expected =
                json!({"customer": 2, "value": 5000, "email": "customer-2@example.com", "high": true});
            assert_eq!(next(&mut events).await, expected);
        }
        "legacy-to-kafka" => assert_eq!(world.in_kafka("legacy").await["first"], json!(1)),
        "orchestrate" => {
            world.produce("left", r#"{"id":1}"#).await;
            let both = world.in_kafka("both").await;
            assert_eq!((&both["kind"], &both["answer"]), (&json!("left"), &json!("{\"ID\":1}")));
            assert_eq!(world.in_kafka("copies").await, both);
            world.produce("right", r#"{"id":2}"#).await;
            let topic = format!("{}-both", world.run);
            let two = kafka_consume(&world.kafka, &topic, 2).await.join("\n");
            assert!(two.contains("customer-2@example.com"), "{two}");
        }
        "fan-out" => {
            let mut events = world.events("/fan-out/events").await;
            world.give("/fan-out/post", r#"{"name":"Ada","what":"x"}"#).await;
            let live = next(&mut events).await;
            assert_eq!((&live["name"], live["number"].is_number()), (&json!("Ada"), true));
            assert_eq!(world.in_kafka("archive").await, json!({"what": "x", "number": live["number"]}));
        }
        "batches-to-kafka" => {
            world.give("/batches-to-kafka/post", r#"{"n":1}"#).await;
            assert_eq!(world.in_kafka("batched").await, json!({"n": 1}));
        }
        // The one sends, the other receives.
        "webhook-of-arrays" => {
            let mut events = world.events("/webhook-receiver/events").await;
            let give = |body| world.give("/webhook-of-arrays/post", body);
            let (_, _, _, sent) = tokio::join!(give("1"), give("2"), give("3"), next(&mut events));
            let mut sent = sent.as_array().expect("an array").clone();
            sent.sort_by_key(Value::as_i64);
            assert_eq!(sent, [1, 2, 3]);
        }
        "webhook-receiver" => {}
        "mqtt-to-subscribers" => {
            let mut events = world.events("/mqtt-to-subscribers/events").await;
            let (port, topic) = (world.mqtt.to_string(), format!("{}-devices/boiler/temperature", world.run));
            until("the subscription is there", async || {
                program("mosquitto_pub", &["-p", &port, "-q", "1", "-t", &topic, "-m", "21.5"], b"").await;
                let come =
                    tokio::time::timeout(std::time::Duration::from_millis(300), next(&mut events)).await;
                come.is_ok_and(|event| event == json!({"device": "boiler", "celsius": 21.5}))
            })
            .await;
        }
        "post-to-mqtt" => {
            let topic = format!("{}-devices/valve/command", world.run);
            let listening = mqtt_subscribe(world.mqtt, &topic, 1);
            let posting = async {
                // Who subscribes meanwhile may have missed the first ones.
                loop {
                    world.give("/post-to-mqtt/commands", r#"{"device":"valve","do":"open"}"#).await;
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            };
            tokio::select! {
                heard = listening => assert_eq!(heard, [r#"{"device":"valve","do":"open"}"#]),
                () = posting => unreachable!("posts go on"),
            }
        }
        // The one publishes, the other consumes.
        "post-to-rabbitmq" => {
            let mut events = world.events("/rabbitmq-to-subscribers/events").await;
            until("the queue is bound", async || {
                world.give("/post-to-rabbitmq/orders", r#"{"region":"south","n":1}"#).await;
                world.give("/post-to-rabbitmq/orders", r#"{"region":"north","n":2}"#).await;
                let come =
                    tokio::time::timeout(std::time::Duration::from_millis(300), next(&mut events)).await;
                come.is_ok_and(|event| event == json!({"region": "north", "n": 2}))
            })
            .await;
        }
        "rabbitmq-to-subscribers" => {}
        "cities" => {
            let body = r#"{"locations":[{"name":"Seattle","state":"WA"},{"name":"New York","state":"NY"},{"name":"Bellevue","state":"WA"}]}"#;
            assert_eq!(world.answer("/cities/cities", body).await, json!({"cities": "Bellevue, Seattle"}));
        }
        "to-avro-and-back" => {
            let answer = world.answer("/to-avro-and-back/readings", r#"{"device":"b","celsius":1.5}"#).await;
            assert_eq!(answer, json!({"device": "b", "celsius": 1.5, "bytes": 10}));
        }
        // The one sends, the other receives.
        "post-to-amqp-1" => {
            let mut events = world.events("/amqp-1-to-subscribers/events").await;
            world.give("/post-to-amqp-1/jobs", r#"{"kind":"clean","n":1}"#).await;
            assert_eq!(next(&mut events).await, json!({"kind": "clean", "n": 1}));
        }
        "amqp-1-to-subscribers" => {}
        "orders-as-xml" => {
            let order = |items: &str| format!("<order id=\"7\">{items}</order>");
            let cup = r#"<item price="2.5" count="4">cup</item>"#;
            for (items, count, total) in [(cup.to_owned(), 1, 10), (cup.repeat(3), 3, 30)] {
                let reply = world.post("/orders-as-xml/orders", &order(&items)).await;
                let expected =
                    format!("<receipt order=\"7\"><items>{count}</items><total>{total}</total></receipt>");
                assert_eq!((reply.status, reply.text()), (200, &*expected));
            }
        }
        "framed-readings" => {
            let answer = world.answer("/framed-readings/readings", r#"{"device":"b","celsius":1.5}"#).await;
            assert_eq!(answer, json!({"device": "b", "celsius": 1.5, "bytes": 15}));
        }
        "schema-registry" => {}
        // The one writes, the other reads.
        "orders-into-sql" => {
            let number: u32 = world.run.trim_start_matches("run").parse().expect("a number");
            let customer = format!("Ada {number}");
            for value in [2.5, 100.0] {
                let order = json!({"id": number, "customer": customer, "value": value});
                world.give("/orders-into-sql/orders", &order.to_string()).await;
            }
            let asked = json!({"customer": customer}).to_string();
            let answer = world.answer("/orders-from-sql/orders", &asked).await;
            assert_eq!(answer, json!([{"id": number, "value": 2.5}]));
        }
        "orders-from-sql" => {}
        "masked-orders" => {
            let order = r#"{"id":1,"card":"4111111111111111","phone":12345}"#;
            let answer = world.answer("/masked-orders/orders", order).await;
            assert_eq!(answer, json!({"id": 1, "card": "************1111", "phone": "*2345"}));
            let answer = world.answer("/masked-orders/orders", "no order").await;
            let refused = answer["refused"].as_str().unwrap_or_default();
            assert!(refused.starts_with("hook: the plugin failed: SyntaxError"), "{answer}");
        }
        "checked-orders" => {
            let taken = world.answer("/checked-orders/orders", r#"{"id":1,"value":2}"#).await;
            assert_eq!(taken, json!({"id": 1, "value": 2}));
            let reply = world.post("/checked-orders/orders", r#"{"id":"x","value":2}"#).await;
            assert_eq!(reply.status, 422, "{reply:?}");
            assert!(
                reply.json()["refused"].as_str().is_some_and(|text| text.contains("integer")),
                "{reply:?}"
            );
        }
        "dead-letters" => {
            world.give("/dead-letters/post", "undeliverable").await;
            let letter = world.in_kafka("dead").await;
            assert_eq!(letter["message"], "undeliverable");
            assert!(letter["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{letter}");
        }
        "route-by-content" => {
            let mut alarms = world.events("/route-by-content/alarms").await;
            world.give("/route-by-content/post", r#"{"kind":"alarm"}"#).await;
            assert_eq!(next(&mut alarms).await, json!({"kind": "alarm"}));
            world.give("/route-by-content/post", r#"{"kind":"order"}"#).await;
            assert_eq!(world.in_kafka("routed-orders").await, json!({"kind": "order"}));
            let refused = world.post("/route-by-content/post", r#"{"kind":"joke"}"#).await;
            assert_eq!(refused.status, 502, "{refused:?}");
        }
        "counts-per-second" => {
            let mut counts = world.events("/counts-per-second/counts").await;
            let give = |body| world.give("/counts-per-second/post", body);
            let a = r#"{"kind":"a"}"#;
            let posting = async { tokio::join!(give(a), give(a), give(r#"{"kind":"b"}"#)) };
            let counting = async {
                let mut sums = BTreeMap::<String, i64>::new();
                while sums.values().sum::<i64>() < 3 {
                    let count = next(&mut counts).await;
                    *sums.entry(count["kind"].as_str().unwrap().to_owned()).or_default() +=
                        count["count"].as_i64().unwrap();
                }
                sums
            };
            let (_, sums) = tokio::join!(posting, counting);
            assert_eq!(sums, BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 1)]));
        }
        "only-once" => {
            let mut events = world.events("/only-once/events").await;
            for id in [1, 1, 2, 1, 3] {
                world.give("/only-once/orders", &format!("{{\"id\":{id}}}")).await;
            }
            for id in 1..=3 {
                assert_eq!(next(&mut events).await, json!({"id": id}));
            }
        }
        "watched" => {
            world.answer("/watched/post", r#"{"kind":"k"}"#).await;
            until("the counter counts", async || {
                world.gate.get("/metrics", &[]).await.text().lines().any(|line| {
                    line.starts_with("example_messages")
                        && line.contains("kind=\"k\"")
                        && line.ends_with(" 1")
                })
            })
            .await;
        }
        // The one announces, the other listens.
        "hashed-in-redis" => {
            let mut events = world.events("/redis-changes/events").await;
            until("the subscription is there", async || {
                world.give("/hashed-in-redis/states", r#"{"device":"d1","state":"on"}"#).await;
                let come =
                    tokio::time::timeout(std::time::Duration::from_millis(300), next(&mut events)).await;
                come.is_ok_and(|event| event == json!({"device": "d1", "state": "on"}))
            })
            .await;
            let (port, key) = (world.redis.to_string(), format!("{}-device-d1", world.run));
            assert_eq!(program("redis-cli", &["-p", &port, "hget", &key, "state"], b"").await.trim(), "on");
        }
        "redis-changes" => {}
        // The one publishes, the other subscribes.
        "post-to-nats" => {
            let mut events = world.events("/nats-to-subscribers/events").await;
            until("the subscription is there", async || {
                world.give("/post-to-nats/prices", r#"{"currency":"EUR","price":3}"#).await;
                let come =
                    tokio::time::timeout(std::time::Duration::from_millis(300), next(&mut events)).await;
                come.is_ok_and(|event| event == json!({"currency": "EUR", "price": 3}))
            })
            .await;
        }
        "nats-to-subscribers" => {}
        other => panic!("examples/streams/{other}.yaml is tried out by nobody: give it a row here"),
    }
}
