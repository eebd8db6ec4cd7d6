//! Keys and counters outlive the process; a store that is away is told as such, and takes with it only what it must
//! (contract 5.1, 6, 13.1).

use std::time::SystemTime;

use e2e::definition::{keyed, keyless, session};
use e2e::{Gate, PATIENCE, Redis, Reply, Upstream, until};
use serde_json::{Value, json};

async fn with_key(gate: &Gate, key: &str) -> Reply {
    gate.get("/a/x", &["-H", &format!("Authorization: {key}")]).await
}

fn remaining(reply: &Reply) -> i64 {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.header("x-ratelimit-remaining").unwrap().parse().unwrap()
}

/// A gate on this Redis with a keyed API `a`, a keyless one `open`, and a policies' folder.
async fn gate_on(redis: &Redis, upstream: &Upstream) -> Gate {
    Gate::setup()
        .conf(redis.conf())
        .api(keyed("a", &upstream.url("")))
        .api(keyless("open", &upstream.url("")))
        .start()
        .await
}

#[tokio::test]
async fn embedded_keys_and_quotas_survive_an_end_and_a_kill() {
    let upstream = Upstream::start().await;
    let mut gate = Gate::setup().api(keyed("a", &upstream.url(""))).start().await;
    let mut limited = session(&["a"]);
    limited["quota_max"] = json!(10);
    limited["quota_renewal_rate"] = json!(3600);
    let key = gate.admin().key(&limited).await;
    let gone = gate.admin().key(&session(&["a"])).await;
    assert_eq!(gate.admin().delete(&format!("/keys/{gone}")).await.status, 200);
    assert_eq!(remaining(&with_key(&gate, &key).await), 9);
    assert_eq!(remaining(&with_key(&gate, &key).await), 8);
    assert_eq!(gate.stop().await, Some(0));

    gate.start().await;
    assert_eq!(remaining(&with_key(&gate, &key).await), 7, "an orderly end forgot the quota");
    assert_eq!(with_key(&gate, &gone).await.status, 403, "a deleted key came back");

    // A key is durable when its reply is there; counters are saved every second.
    let called = SystemTime::now();
    assert_eq!(remaining(&with_key(&gate, &key).await), 6);
    let saved = || {
        let files = std::fs::read_dir(gate.dir().join("state")).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().modified().unwrap()).max()
    };
    let begin = std::time::Instant::now();
    while saved() < Some(called) {
        assert!(begin.elapsed() < PATIENCE, "counters are not saved");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let late = gate.admin().key(&session(&["a"])).await;
    gate.kill();
    gate.start().await;
    assert_eq!(remaining(&with_key(&gate, &key).await), 5, "a kill forgot the quota");
    assert_eq!(with_key(&gate, &late).await.status, 200, "a key was acknowledged and lost");
    assert_eq!(with_key(&gate, &gone).await.status, 403, "a deleted key came back");
}

#[tokio::test]
async fn c5_1_keys_that_others_wrote_into_redis_open_the_gate() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let gate = gate_on(&redis, &upstream).await;
    // Keys of the form {"org":"org","id":"hand","h":"<function>"} in base64, and their hashes: MurmurHash3 (x86 32,
    // x64 128 and its first half) and SHA-256 of that text. The last one is a key of the older form.
    let keys = [
        ("eyJvcmciOiJvcmciLCJpZCI6ImhhbmQiLCJoIjoibXVybXVyMzIifQ==", "3370ec38"),
        ("eyJvcmciOiJvcmciLCJpZCI6ImhhbmQiLCJoIjoibXVybXVyNjQifQ==", "cdd18c0ee63cec96"),
        ("eyJvcmciOiJvcmciLCJpZCI6ImhhbmQiLCJoIjoibXVybXVyMTI4In0=", "5652e25ef0914f368192ed22b4eac532"),
        (
            "eyJvcmciOiJvcmciLCJpZCI6ImhhbmQiLCJoIjoic2hhMjU2In0=",
            "e32e3537d670514f264fc48e82f4ffea450d687da67c7caefee82fd3e22f26c4",
        ),
        ("orgplain", "4c740fc7"),
    ];
    for (key, hash) in keys {
        assert_eq!(with_key(&gate, key).await.status, 403, "{key} is not there yet");
        let mut limited = session(&["a"]);
        limited["quota_max"] = json!(5);
        limited["quota_renewal_rate"] = json!(600);
        redis.call(&["SET", &format!("apikey-{hash}"), &limited.to_string(), "EX", "600"]);
        assert_eq!(remaining(&with_key(&gate, key).await), 4, "{key}");
        // The quota counts where the original would look for it.
        assert_eq!(redis.call(&["GET", &format!("quota-{hash}")]), "1", "{key}");
        let renews: u32 = redis.call(&["TTL", &format!("quota-{hash}")]).parse().unwrap();
        assert!((590..=600).contains(&renews), "{renews}");
    }
    // The id alone will do where the API's organisation makes it whole.
    assert_eq!(remaining(&with_key(&gate, "hand").await), 3);

    // The other way round: what the gate writes is where others look.
    let key = gate.admin().key(&session(&["a"])).await;
    let hashed = redis.call(&["KEYS", "apikey-*"]);
    assert_eq!(hashed.lines().count(), keys.len() + 1, "{hashed}");
    let new = hashed.lines().find(|name| keys.iter().all(|(_, hash)| !name.ends_with(hash))).unwrap();
    assert_eq!(new.len(), "apikey-".len() + 16, "murmur64 is 16 digits: {new}");
    let stored: Value = serde_json::from_str(&redis.call(&["GET", new])).unwrap();
    assert_eq!(stored["access_rights"]["a"]["api_id"], "a");
    assert!(!redis.call(&["GET", new]).contains(&key), "the key itself is stored");
}

#[tokio::test]
async fn c13_5_rows_3_to_5_without_redis_the_gate_says_so_and_serves_what_it_can() {
    let (upstream, mut redis) = (Upstream::start().await, Redis::start().await);
    let gate = gate_on(&redis, &upstream).await;
    let admin = gate.admin();
    let cached = admin.key(&session(&["a"])).await;
    let unknown = admin.key(&session(&["a"])).await;
    assert_eq!(with_key(&gate, &cached).await.status, 200);
    let hello = gate.get("/hello", &[]).await.json();
    assert_eq!(
        (&hello["status"], &hello["details"]["redis"]["status"]),
        (&json!("pass"), &json!("pass")),
        "{hello}"
    );

    redis.kill();
    assert_eq!(with_key(&gate, &cached).await.status, 200, "a session at hand needs no store");
    assert_eq!(gate.get("/open/x", &[]).await.status, 200);
    for key in [unknown.as_str(), "never-heard-of"] {
        let reply = with_key(&gate, key).await;
        assert_eq!(reply.status, 503, "nobody knows whether the key is good: {reply:?}");
        assert!(reply.header("retry-after").is_some(), "{reply:?}");
        assert!(!reply.text().contains(Redis::PASSWORD));
    }
    until("/ready tells", async || gate.get("/ready", &[]).await.status == 503).await;
    let ready = gate.get("/ready", &[]).await.json();
    assert_eq!(ready, json!({"status": "error", "message": "Redis connection not available"}));
    let hello = gate.get("/hello", &[]).await;
    assert_eq!((hello.status, &hello.json()["status"]), (200, &json!("fail")), "{hello:?}");
    assert_eq!(hello.json()["details"]["redis"]["status"], "fail");
    assert!(gate.get("/metrics", &[]).await.text().contains("sluicegate_state_connected 0"));
    let refused = admin.post("/keys", &session(&["a"])).await;
    assert!(refused.status >= 500, "a key that is stored nowhere was made: {refused:?}");
    // Not for ever: somebody may have revoked it meanwhile.
    until("a cached session runs out", async || {
        let reply = with_key(&gate, &cached).await;
        assert!(matches!(reply.status, 200 | 503), "{reply:?}");
        reply.status == 503
    })
    .await;
    assert_eq!(gate.get("/open/x", &[]).await.status, 200);

    redis.restart().await;
    until("/ready tells", async || gate.get("/ready", &[]).await.status == 200).await;
    for key in [&cached, &unknown] {
        assert_eq!(with_key(&gate, key).await.status, 200, "the gate does not recover by itself");
    }
    assert_eq!(with_key(&gate, "never-heard-of").await.status, 403);
    assert_eq!(gate.get("/hello", &[]).await.json()["status"], "pass");
}

#[tokio::test]
async fn c6_5_row_9_without_redis_limits_go_on_per_node() {
    let (upstream, mut redis) = (Upstream::start().await, Redis::start().await);
    let gate = gate_on(&redis, &upstream).await;
    let mut limited = session(&["a"]);
    limited["quota_max"] = json!(4);
    limited["quota_renewal_rate"] = json!(3600);
    let key = gate.admin().key(&limited).await;
    assert_eq!(remaining(&with_key(&gate, &key).await), 3);
    redis.kill();
    let mut served = 0;
    for _ in 0..8 {
        let reply = with_key(&gate, &key).await;
        match reply.status {
            200 => served += 1,
            403 => assert_eq!(reply.json()["error"], "Quota exceeded"),
            _ => panic!("a session at hand and limits of this node would do: {reply:?}"),
        }
    }
    assert!((1..=4).contains(&served), "{served} of a quota of 4");
    redis.restart().await;
    until("the gate is ready again", async || gate.get("/ready", &[]).await.status == 200).await;
    assert!(matches!(with_key(&gate, &key).await.status, 200 | 403));
}

#[tokio::test]
async fn c5_1_row_10_what_one_gate_changes_is_live_on_the_other() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let one = gate_on(&redis, &upstream).await;
    let other = gate_on(&redis, &upstream).await;
    let mut limited = session(&["a"]);
    limited["quota_max"] = json!(10);
    limited["quota_renewal_rate"] = json!(3600);
    let key = one.admin().key(&limited).await;
    assert_eq!(remaining(&with_key(&other, &key).await), 9);
    assert_eq!(remaining(&with_key(&one, &key).await), 8, "a quota is one for all nodes");

    // Far quicker than the 10 s for which a session is believed.
    let start = std::time::Instant::now();
    let mut elsewhere = session(&["b"]);
    elsewhere["org_id"] = json!("org");
    assert_eq!(one.admin().put(&format!("/keys/{key}"), &elsewhere).await.status, 200);
    until("the changed key is refused", async || with_key(&other, &key).await.status == 403).await;
    assert_eq!(one.admin().put(&format!("/keys/{key}"), &limited).await.status, 200);
    until("the changed key is good again", async || with_key(&other, &key).await.status == 200).await;
    assert_eq!(other.admin().delete(&format!("/keys/{key}")).await.status, 200);
    until("the deleted key is refused", async || with_key(&one, &key).await.status == 403).await;
    assert!(start.elapsed().as_secs() < 5, "changes arrive by waiting for caches to run out");
}

#[tokio::test]
async fn c13_1_rows_1_and_2_a_group_reload_reaches_every_gate() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let one = gate_on(&redis, &upstream).await;
    let other = gate_on(&redis, &upstream).await;
    let reloads = async |gate: &Gate| -> u64 {
        let metrics = gate.get("/metrics", &[]).await;
        let line = metrics.text().lines().find_map(|line| line.strip_prefix("sluicegate_reloads_total "));
        line.unwrap().parse().unwrap()
    };
    let before = (reloads(&one).await, reloads(&other).await);
    let reply = one.admin().get("/reload/group").await;
    assert_eq!((reply.status, &reply.json()["status"]), (200, &json!("ok")), "{reply:?}");
    until("both have reloaded", async || reloads(&one).await > before.0 && reloads(&other).await > before.1)
        .await;

    // What is not signed with the nodes' secret is nobody's business.
    let before = reloads(&other).await;
    let forged =
        json!({"command": "GroupReload", "payload": "", "signature": "0".repeat(64), "algorithm": 5});
    let heard: u32 =
        redis.call(&["PUBLISH", "tyk.cluster.notifications", &forged.to_string()]).parse().unwrap();
    assert_eq!(heard, 2, "both gates listen");
    // Signed: hex(sha256("GroupReload" + "e2e-secret")).
    let signed = json!({
        "command": "GroupReload", "payload": "", "algorithm": 5, "signature": SIGNATURE,
    });
    redis.call(&["PUBLISH", "tyk.cluster.notifications", &signed.to_string()]);
    until("the signed one is followed", async || reloads(&other).await > before).await;
    assert_eq!(reloads(&other).await, before + 1, "the forged one was followed, too");
}

/// SHA-256 of `GroupReload` and the secret of every gate here, as others would send it.
const SIGNATURE: &str = "9bfc53cd031548608e17e0e7482e77b691a6fbf970107fb084ab574e89bc0fa0";
