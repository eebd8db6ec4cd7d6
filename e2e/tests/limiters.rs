//! What two gates on one Redis admit together, limiter by limiter, and when Redis fails: killed, hanging, slow, failing
//! over. The bounds are those of `docs/limits.md`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use e2e::definition::{keyed, session};
use e2e::{Gate, Masters, Redis, Sentinels, Slow, Upstream, until};
use serde_json::{Value, json};

/// What is admitted in a window that ends after the test.
const LIMIT: usize = 40;

struct Pair {
    gates: [Gate; 2],
    key: String,
    /// Under which it is stored and counted.
    name: String,
    _upstream: Upstream,
}

impl Pair {
    async fn start(confs: [Value; 2], more: &Value) -> Self {
        Self::start_with(confs, more, &key(LIMIT, 100_000)).await
    }

    async fn start_with(confs: [Value; 2], more: &Value, limited: &Value) -> Self {
        let upstream = Upstream::start().await;
        let start = |conf: Value| {
            let setup = Gate::setup().conf(conf).conf(more.clone()).api(keyed("a", &upstream.url("")));
            setup.start()
        };
        let [one, two] = confs;
        let gates = [start(one).await, start(two).await];
        let reply = gates[0].admin().post("/keys", limited).await.json();
        let text = |name: &str| reply[name].as_str().expect("the reply names the key").to_owned();
        let pair = Self { gates, key: text("key"), name: text("key_hash"), _upstream: upstream };
        pair.together().await;
        pair
    }

    /// Asks both gates in turn, four requests at a time; how many are admitted.
    async fn admitted(&self, calls: usize) -> usize {
        let mut admitted = 0;
        for _ in 0..calls.div_ceil(4) {
            let asks = (0..4).map(|number| status(&self.gates[number % 2], &self.key));
            let statuses = futures_util::future::join_all(asks).await;
            admitted += statuses.iter().filter(|status| **status == 200).count();
        }
        admitted
    }

    /// Asks both gates without a pause, four requests at a time, while something happens; how many are admitted. Nobody is
    /// told anything but that, or that it is enough, or that the store is away.
    async fn admitted_while(&self, what: impl Future<Output = ()>) -> usize {
        let over = AtomicBool::new(false);
        let lane = async |number: usize| {
            let mut admitted = 0;
            while !over.load(Ordering::Relaxed) {
                match status(&self.gates[number % 2], &self.key).await {
                    200 => admitted += 1,
                    403 | 429 | 503 => {}
                    other => panic!("a request is answered with {other}"),
                }
            }
            admitted
        };
        let what = async {
            what.await;
            over.store(true, Ordering::Relaxed);
        };
        let lanes = futures_util::future::join_all((0..4).map(lane));
        futures_util::future::join(lanes, what).await.0.iter().sum()
    }

    /// Waits until both know that Redis is away.
    async fn apart(&self) {
        for gate in &self.gates {
            until("the gate knows that Redis is away", async || {
                gate.get("/metrics", &[])
                    .await
                    .text()
                    .lines()
                    .any(|line| line == "sluicegate_state_connected 0")
            })
            .await;
        }
    }

    /// Waits until both know that there are two of them, and reach Redis.
    async fn together(&self) {
        for gate in &self.gates {
            until("the gates know each other and reach Redis", async || {
                let told = gate.get("/metrics", &[]).await.text().to_owned();
                let says = |line: &str| told.lines().any(|told| told == line);
                says("sluicegate_nodes 2") && says("sluicegate_state_connected 1")
            })
            .await;
        }
    }
}

/// A key with a rate and a quota of so many in a time that ends after the test.
fn key(rate: usize, quota: usize) -> Value {
    let mut limited = session(&["a"]);
    for (name, value) in [("rate", rate), ("per", 600), ("quota_max", quota), ("quota_renewal_rate", 600)] {
        limited[name] = json!(value);
    }
    limited
}

async fn status(gate: &Gate, key: &str) -> u16 {
    let request =
        format!("GET /a/x HTTP/1.1\r\nHost: gate\r\nAuthorization: {key}\r\nConnection: close\r\n\r\n");
    let answer = gate.raw(request.as_bytes()).await;
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn c6_5_rows_1_to_4_two_gates_admit_together_what_the_limiter_promises() {
    let redis = Redis::start().await;
    // Limiter -> the fewest and the most that both admit together.
    for (limiter, conf, least, most) in [
        ("rolling", json!({"enable_redis_rolling_limiter": true}), LIMIT, LIMIT),
        ("fixed window", json!({"enable_fixed_window_rate_limiter": true}), LIMIT, LIMIT),
        // Those that were under way when the window was full.
        ("sentinel", json!({"enable_sentinel_rate_limiter": true}), LIMIT, LIMIT + 12),
        ("small share", json!({}), LIMIT, LIMIT),
        // Each gate admits its share, which follows its part of the load.
        ("per node", json!({"drl_threshold": 0.0001}), LIMIT * 6 / 10, LIMIT * 15 / 10),
    ] {
        let pair = Pair::start([redis.conf(), redis.conf()], &conf).await;
        let admitted = pair.admitted(4 * LIMIT).await;
        assert!((least..=most).contains(&admitted), "{limiter}: {admitted}");
    }
}

fn limiters() -> [(&'static str, Value); 3] {
    [
        ("rolling", json!({"enable_redis_rolling_limiter": true})),
        ("fixed window", json!({"enable_fixed_window_rate_limiter": true})),
        ("sentinel", json!({"enable_sentinel_rate_limiter": true})),
    ]
}

#[tokio::test]
async fn c6_5_row_9_a_redis_that_is_killed_or_hangs_lets_no_more_than_two_limits_through() {
    for (limiter, conf) in limiters() {
        for fault in ["killed", "hanging"] {
            let mut redis = Redis::start().await;
            let pair = Pair::start([redis.conf(), redis.conf()], &conf).await;

            let what = format!("{limiter}, {fault}");
            let first = pair.admitted(20).await;
            assert_eq!(first, 20, "{what}: within the limit nobody is refused");
            if fault == "killed" {
                redis.kill()
            } else {
                redis.signal("STOP")
            }
            let during = pair.admitted(4 * LIMIT).await;
            if fault == "killed" {
                redis.restart().await
            } else {
                redis.signal("CONT")
            }
            pair.together().await;
            let after = pair.admitted(4 * LIMIT).await;
            let all = first + during + after;
            assert!(during > 0, "{what}: limits go on without the store");
            assert!((LIMIT..=2 * LIMIT + 12).contains(&all), "{what}: {first} + {during} + {after}");
        }
    }
}

#[tokio::test]
async fn c6_5_row_9_a_slow_redis_changes_nothing_until_it_is_too_slow() {
    let redis = Redis::start().await;
    let slow = Slow::to(redis.port()).await;
    let mut conf = redis.conf();
    conf["storage"]["port"] = json!(slow.port);
    let rolling = json!({"enable_redis_rolling_limiter": true});
    let pair = Pair::start([conf.clone(), conf], &rolling).await;

    slow.delay(Duration::from_millis(40));
    assert_eq!(pair.admitted(20).await, 20);
    assert_eq!(pair.admitted(4 * LIMIT).await, LIMIT - 20, "slow, and exact");
    slow.delay(Duration::from_secs(3));
    let during = pair.admitted(4 * LIMIT).await;
    assert!(during > 0 && during <= LIMIT * 13 / 10, "too slow: the nodes' own shares: {during}");
    slow.delay(Duration::ZERO);
    pair.together().await;
    assert_eq!(pair.admitted(2 * LIMIT).await, 0, "what was counted is still there");
}

#[tokio::test]
async fn c13_5_row_1_a_failover_by_sentinels_lets_no_more_than_two_limits_through() {
    let mut sentinels = Sentinels::start().await;
    let rolling = json!({"enable_redis_rolling_limiter": true});
    let pair = Pair::start([sentinels.conf(), sentinels.conf()], &rolling).await;

    let first = pair.admitted(20).await;
    assert_eq!(first, 20);
    sentinels.kill_primary();
    let during = pair.admitted(4 * LIMIT).await;
    sentinels.failed_over().await;
    pair.together().await;
    let after = pair.admitted(4 * LIMIT).await;
    let all = first + during + after;
    assert!(during > 0 && (LIMIT..=2 * LIMIT + 12).contains(&all), "{first} + {during} + {after}");
}

#[tokio::test]
async fn c13_5_row_1_a_cluster_counts_exactly_and_without_a_master_lets_no_more_than_two_limits_through() {
    let mut masters = Masters::start().await;
    let rolling = json!({"enable_redis_rolling_limiter": true});
    let pair = Pair::start([masters.conf(), masters.conf()], &rolling).await;

    assert_eq!(pair.admitted(20).await, 20);
    masters.kill(masters.holder(&format!("rate-limit-{}", pair.name)));
    let during = pair.admitted(4 * LIMIT).await;
    // Shares follow the load as it was last announced, so that both together may be above the whole for a while.
    assert!(during > 0 && during <= 2 * LIMIT, "the nodes' own shares: {during}");
}

/// What an outage may let through of a limit that is counted in Redis (`docs/limits.md`, "failing"): shares follow the load
/// while it lasts, and a replica may not have heard of the last requests. Sentinel has those under way besides.
const BOUND: usize = 3 * LIMIT + 12;

/// Limits that are counted in Redis, and keys whose rate or quota they are.
fn counted() -> [(&'static str, Value, Value); 4] {
    let [rolling, fixed, sentinel] = limiters().map(|(limiter, conf)| (limiter, conf, key(LIMIT, 100_000)));
    [rolling, fixed, sentinel, ("quota", limiters()[0].1.clone(), key(100_000, LIMIT))]
}

#[tokio::test]
async fn under_load_a_redis_that_dies_or_hangs_lets_no_more_through_than_the_bound() {
    for (limiter, conf, key) in counted() {
        for fault in ["killed", "hanging"] {
            let mut redis = Redis::start().await;
            let pair = Pair::start_with([redis.conf(), redis.conf()], &conf, &key).await;
            let fault_and_return = async {
                if fault == "killed" {
                    redis.kill();
                    pair.apart().await;
                    redis.restart().await;
                } else {
                    redis.signal("STOP");
                    pair.apart().await;
                    redis.signal("CONT");
                }
                pair.together().await;
            };
            let all = pair.admitted_while(fault_and_return).await + pair.admitted(4 * LIMIT).await;
            assert!((LIMIT..=BOUND).contains(&all), "{limiter}, {fault}: {all}");
        }
    }
}

#[tokio::test]
async fn under_load_a_failover_lets_no_more_through_than_the_bound() {
    for (limiter, conf, key) in counted() {
        let mut sentinels = Sentinels::start().await;
        let pair = Pair::start_with([sentinels.conf(), sentinels.conf()], &conf, &key).await;
        let failover = async {
            sentinels.kill_primary();
            pair.apart().await;
            sentinels.failed_over().await;
            pair.together().await;
        };
        let all = pair.admitted_while(failover).await + pair.admitted(4 * LIMIT).await;
        assert!((LIMIT..=BOUND).contains(&all), "{limiter}, by sentinels: {all}");
    }
}

#[tokio::test]
async fn under_load_a_failover_in_a_cluster_lets_no_more_through_than_the_bound() {
    for (limiter, conf, key) in counted() {
        let mut masters = Masters::start_with_replicas().await;
        let pair = Pair::start_with([masters.conf(), masters.conf()], &conf, &key).await;
        let counter = if limiter == "quota" { "quota" } else { "rate-limit" };
        let holder = masters.holder(&format!("{counter}-{}", pair.name));
        let failover = async {
            masters.kill(holder);
            masters.failed_over(holder).await;
            pair.together().await;
        };
        let all = pair.admitted_while(failover).await + pair.admitted(4 * LIMIT).await;
        assert!((LIMIT..=BOUND).contains(&all), "{limiter}, in a cluster: {all}");
    }
}
