//! Of nodes that share a Redis one probes, and tells the others (contract 4.6, "Uptime tests", 13.5).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use e2e::definition::keyless;
use e2e::{Gate, Redis, Spoken, until};
use serde_json::{Value, json};

const LEADER: &str = "host-checker:PollerActiveInstanceID";
/// As long as a name stands that nobody writes anew, the time until it is looked for, and as much again for a busy machine.
const TAKEOVER: Duration = Duration::from_secs(45);
/// Less than the 15 s for which a name stands that nobody takes away.
const AT_ONCE: Duration = Duration::from_secs(10);

/// A host that keeps who probed it, and is as well as it is told to be.
async fn host() -> (Spoken, Arc<AtomicU16>) {
    let health = Arc::new(AtomicU16::new(200));
    let tells = Arc::clone(&health);
    let server = Spoken::start(move |request| match request.contains(" /health ") {
        true => (tells.load(Ordering::SeqCst), String::new()),
        false => (200, "served".to_owned()),
    })
    .await;
    (server, health)
}

/// A node that says its name in probes.
async fn node(name: &str, host: &Spoken, redis: Option<&Redis>, group: &str) -> Gate {
    let mut conf = redis.map_or_else(|| json!({}), Redis::conf);
    conf["uptime_tests"] = json!({
        "poller_group": group, "config": {"time_wait": 0.1, "failure_trigger_sample_size": 2},
    });
    let mut api = keyless("a", "http://127.0.0.1:1/unused");
    api["proxy"]["enable_load_balancing"] = json!(true);
    api["proxy"]["target_list"] = json!([host.url("")]);
    api["proxy"]["check_host_against_uptime_tests"] = json!(true);
    api["uptime_tests"] = json!({"check_list": [{"url": host.url("/health"), "headers": {"X-Node": name}}]});
    Gate::setup().conf(conf).api(api).start().await
}

/// Who probed a host since it was asked so often.
fn probed(host: &Spoken, since: usize) -> Vec<Value> {
    let name = |request: &String| {
        let line = request.lines().find(|line| line.to_ascii_lowercase().starts_with("x-node:"))?;
        Some(Value::from(line.split_once(':')?.1.trim()))
    };
    host.asked().iter().skip(since).filter_map(name).collect()
}

/// The only one who probes from now on.
async fn alone(host: &Spoken) -> String {
    let since = host.asked().len();
    until("ten probes", async || probed(host, since).len() >= 10).await;
    let names = probed(host, since);
    assert!(names.iter().all(|name| *name == names[0]), "{names:?}");
    names[0].as_str().unwrap().to_owned()
}

async fn status(gate: &Gate) -> u16 {
    gate.get("/a/x", &[]).await.status
}

#[tokio::test]
async fn c13_5_row_8_one_node_probes_tells_the_others_and_is_followed_by_another() {
    let (redis, (host, health)) = (Redis::start().await, host().await);
    let mut nodes = vec![("one".to_owned(), node("one", &host, Some(&redis), "").await)];
    for name in ["two", "three"] {
        nodes.push((name.to_owned(), node(name, &host, Some(&redis), "").await));
    }
    let leader = alone(&host).await;
    assert_eq!(leader, "one", "who was first");
    let life: u64 = redis.call(&["PTTL", LEADER]).trim().parse().unwrap();
    assert!((1..=15_000).contains(&life), "{life}");

    // What it finds holds for all, and is told once.
    health.store(503, Ordering::SeqCst);
    for (name, gate) in &nodes {
        until(&format!("{name} knows that the host is down"), async || status(gate).await == 503).await;
        assert_eq!(gate.log().contains("HostDown"), *name == leader, "{name}: {}", gate.log());
    }
    health.store(200, Ordering::SeqCst);
    for (name, gate) in &nodes {
        until(&format!("{name} knows that the host is up"), async || status(gate).await == 200).await;
    }

    // One that dies is followed when its name has gone by itself; what was down stays so until somebody finds it up.
    health.store(503, Ordering::SeqCst);
    for (name, gate) in &nodes {
        until(&format!("{name} knows that the host is down"), async || status(gate).await == 503).await;
    }
    nodes[0].1.kill();
    let (since, begun) = (host.asked().len(), Instant::now());
    while !probed(&host, since + 1).iter().any(|name| *name != leader) {
        assert!(begun.elapsed() < TAKEOVER, "nobody took over");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    nodes.remove(0);
    let second = alone(&host).await;
    health.store(200, Ordering::SeqCst);
    for (name, gate) in &nodes {
        until(&format!("{name} knows that the host is up"), async || status(gate).await == 200).await;
    }

    // One that ends gives its place away at once.
    let place = nodes.iter().position(|(name, _)| *name == second).unwrap();
    assert_eq!(nodes[place].1.stop().await, Some(0));
    let begun = Instant::now();
    nodes.remove(place);
    until("the last one probes", async || probed(&host, 0).last().is_some_and(|name| *name == *nodes[0].0))
        .await;
    assert!(begun.elapsed() < AT_ONCE, "its name stood until it was gone by itself");
}

#[tokio::test]
async fn c13_5_row_8_without_redis_and_in_groups_of_their_own_nodes_probe_for_themselves() {
    let redis = Redis::start().await;
    let expected: BTreeSet<String> = ["one", "two"].map(str::to_owned).into();
    for (redis, groups) in [(None, ["", ""]), (Some(&redis), ["south", "north"])] {
        let (host, _) = host().await;
        let _nodes = (node("one", &host, redis, groups[0]).await, node("two", &host, redis, groups[1]).await);
        until("both probe", async || {
            let names = probed(&host, 0);
            names.iter().filter_map(Value::as_str).map(str::to_owned).collect::<BTreeSet<_>>() == expected
        })
        .await;
    }
    let keys = redis.call(&["KEYS", &format!("{LEADER}*")]);
    assert!(keys.contains(".south") && keys.contains(".north"), "{keys}");
}

#[tokio::test]
async fn nodes_that_follow_ask_about_all_hosts_at_once() {
    const HOSTS: usize = 40;
    let redis = Redis::start().await;
    let mut api = keyless("a", "http://127.0.0.1:1/unused");
    // Nobody listens at these ports.
    let hosts: Vec<Value> =
        (1..=HOSTS).map(|port| json!({"url": format!("http://127.0.0.1:{port}/health")})).collect();
    api["uptime_tests"] = json!({"check_list": hosts});
    let conf = json!({"uptime_tests": {"config": {"time_wait": 2, "failure_trigger_sample_size": 1}}});
    let setup = || Gate::setup().conf(redis.conf()).conf(conf.clone()).api(api.clone());
    let _leader = setup().start().await;
    until("all are down", async || {
        redis.call(&["KEYS", "host-checker:PollerCheckerInstance:*"]).lines().count() == HOSTS
    })
    .await;
    let follower = setup().start().await;
    until("the other node hears of each", async || {
        follower.log().matches("a host is down, as the node says that probes").count() >= HOSTS
    })
    .await;
    redis.call(&["CONFIG", "RESETSTAT"]);
    let calls = |command: &str| {
        let stats = redis.call(&["INFO", "commandstats"]);
        let name = format!("cmdstat_{command}:calls=");
        let line = stats.lines().find_map(|line| line.strip_prefix(&*name)).unwrap_or("0");
        line.split(',').next().unwrap().trim().parse::<usize>().unwrap()
    };
    until("it has asked again", async || calls("mget") >= 2).await;
    // What is left are looks at the name of the node that probes.
    assert!(calls("get") < HOSTS / 2, "{}", redis.call(&["INFO", "commandstats"]));
}

#[tokio::test]
async fn c13_5_row_8_while_redis_is_away_each_node_probes() {
    let (mut redis, (host, _)) = (Redis::start().await, host().await);
    let _nodes = (node("one", &host, Some(&redis), "").await, node("two", &host, Some(&redis), "").await);
    assert_eq!(alone(&host).await, "one");
    redis.kill();
    let since = host.asked().len();
    until("both probe", async || {
        ["one", "two"].iter().all(|name| probed(&host, since).iter().any(|who| who == name))
    })
    .await;
    redis.restart().await;
    let begun = Instant::now();
    loop {
        let since = host.asked().len();
        until("five probes", async || probed(&host, since).len() >= 5).await;
        let names = probed(&host, since);
        if names.iter().all(|name| *name == names[0]) {
            break;
        }
        assert!(begun.elapsed() < TAKEOVER, "both probe");
    }
}
