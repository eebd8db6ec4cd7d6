//! What two gates on one Redis admit together, limiter by limiter, and when Redis fails: killed, hanging, slow, failing
//! over. The bounds are those of `docs/limits.md`.

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
        let upstream = Upstream::start().await;
        let start = |conf: Value| {
            // The quota is counted too, and never reached.
            let setup = Gate::setup().conf(conf).conf(more.clone()).api(keyed("a", &upstream.url("")));
            setup.start()
        };
        let [one, two] = confs;
        let gates = [start(one).await, start(two).await];
        let mut limited = session(&["a"]);
        for (name, value) in
            [("rate", LIMIT as u64), ("per", 600), ("quota_max", 100_000), ("quota_renewal_rate", 600)]
        {
            limited[name] = json!(value);
        }
        let reply = gates[0].admin().post("/keys", &limited).await.json();
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

async fn status(gate: &Gate, key: &str) -> u16 {
    let request =
        format!("GET /a/x HTTP/1.1\r\nHost: gate\r\nAuthorization: {key}\r\nConnection: close\r\n\r\n");
    let answer = gate.raw(request.as_bytes()).await;
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn two_gates_admit_together_what_the_limiter_promises() {
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
async fn a_redis_that_is_killed_or_hangs_lets_no_more_than_two_limits_through() {
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
