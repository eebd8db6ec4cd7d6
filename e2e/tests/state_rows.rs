//! What gates write beside sessions and counters, and what of it others share (contract 5.1, 6.1, 8.1).

use std::time::{Duration, Instant};

use e2e::definition::{keyed, keyless, oas, session};
use e2e::issuer::shared;
use e2e::tokens::{now, policy, with as with_token};
use e2e::{Gate, Redis, Reply, Setup, Spoken, Upstream, until};
use serde_json::{Value, json};

const VERSION: &str = "version-check-gateway";
const PROBE: &str = "tyk-liveness-probe";
/// Far more than `/hello` may take, and far less than a store may.
const HELLO: Duration = Duration::from_secs(8);

fn with(mut api: Value, more: Value) -> Value {
    api.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    api
}

async fn with_key(gate: &Gate, path: &str, key: &str) -> Reply {
    gate.get(path, &["-H", &format!("Authorization: {key}")]).await
}

/// A gate that writes nothing by itself but what is tested.
fn quiet(redis: &Redis) -> Setup {
    Gate::setup().conf(redis.conf()).conf(json!({"uptime_tests": {"disable": true}}))
}

/// How often Redis was told to do something since it was asked to forget that.
fn calls(redis: &Redis, command: &str) -> u64 {
    let stats = redis.call(&["INFO", "commandstats"]);
    let name = format!("cmdstat_{command}:calls=");
    let line = stats.lines().find_map(|line| line.strip_prefix(&*name)).unwrap_or("0");
    line.split(',').next().unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn c5_1_row_32_what_happened_to_an_api_is_counted_for_all_gates_of_a_redis() {
    let (upstream, mut redis) = (Upstream::start().await, Redis::start().await);
    let setup = || {
        quiet(&redis)
            .conf(json!({"health_check": {"enable_health_checks": true, "health_check_value_timeouts": 600}}))
            .api(keyed("a", &upstream.url("")))
    };
    let (one, two) = (setup().start().await, setup().start().await);
    let few = with(session(&["a"]), json!({"quota_max": 2, "quota_renewal_rate": 3600}));
    let key = one.admin().key(&few).await;
    for (gate, key, status) in [
        (&one, &*key, 200),
        (&two, &*key, 200),
        (&two, &*key, 403),
        (&one, "stranger", 403),
        (&two, "stranger", 403),
    ] {
        assert_eq!(with_key(gate, "/a/x", key).await.status, status);
    }
    let told = async |gate: &Gate| {
        let told = gate.admin().get("/health?api_id=a").await.json();
        [
            "average_requests_per_second",
            "quota_violations_per_second",
            "key_failures_per_second",
            "throttle_reqests_per_second",
        ]
        .map(|name| (told[name].as_f64().unwrap() * 600.0).round())
    };
    for gate in [&one, &two] {
        until("all of it is told by both", async || told(gate).await == [5.0, 1.0, 2.0, 0.0]).await;
    }
    for (metric, count) in
        [("Request", "2"), ("BlockedRequest", "3"), ("QuotaViolation", "1"), ("KeyFailure", "2")]
    {
        let set = format!("apihealth.a.{metric}");
        assert_eq!(redis.call(&["ZCARD", &set]), count, "{metric}");
        let life: u64 = redis.call(&["TTL", &set]).parse().unwrap();
        assert!((1..=600).contains(&life), "{metric}: {life}");
        let member = redis.call(&["ZRANGE", &set, "0", "0"]);
        let (at, latency) = member.split_once('.').map_or((&*member, None), |(at, rest)| (at, Some(rest)));
        let at = at.parse::<u64>().unwrap() / 1_000_000_000;
        assert!(now() - at < 600, "{metric}: {member}");
        assert_eq!(latency.is_some(), metric == "Request", "{metric}: {member}");
    }
    // What is older than the window counts no more, and what others write does.
    redis.call(&["ZADD", "apihealth.a.Throttle", "1", "1"]);
    let recent = format!("{}000000000", now());
    redis.call(&["ZADD", "apihealth.a.Throttle", &recent, &recent]);
    assert_eq!(told(&one).await, [5.0, 1.0, 2.0, 1.0]);
    // Without Redis each tells what it has seen itself.
    redis.kill();
    assert_eq!(told(&one).await, [2.0, 0.0, 1.0, 0.0]);
    assert_eq!(told(&two).await, [3.0, 1.0, 1.0, 0.0]);
}

#[tokio::test]
async fn c5_1_row_34_a_webhook_is_sent_once_by_all_gates_of_a_redis_until_its_pause_is_over() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let receiver = Spoken::start(|_| (200, String::new())).await;
    let hook = json!({"handler_name": "eh_web_hook_handler", "handler_meta":
        {"method": "POST", "target_path": receiver.url("/hook"), "event_timeout": 3600}});
    let api =
        with(keyed("a", &upstream.url("")), json!({"event_handlers": {"events": {"AuthFailure": [hook]}}}));
    let setup = || quiet(&redis).api(api.clone());
    let (one, two) = (setup().start().await, setup().start().await);
    let told = |path: &str| receiver.asked().iter().filter(|asked| asked.contains(path)).count();
    let fail = async |gate: &Gate, path: &str| {
        assert_eq!(with_key(gate, path, "nobody-knows-this").await.status, 403);
    };
    fail(&one, "/a/same").await;
    until("it is told", async || told("/a/same") == 1).await;
    let keys = redis.call(&["KEYS", "webhook.cache.*"]);
    assert_eq!(keys.lines().count(), 1, "{keys}");
    let life: u64 = redis.call(&["TTL", &keys]).parse().unwrap();
    assert!((1..=3600).contains(&life), "{life}");
    // The other gate says nothing that has been said, and everything else.
    fail(&two, "/a/same").await;
    fail(&two, "/a/other").await;
    until("something else is told", async || told("/a/other") == 1).await;
    assert_eq!(told("/a/same"), 1, "{:?}", receiver.asked());
    redis.call(&["DEL", &keys]);
    fail(&two, "/a/same").await;
    until("it is told again after the pause", async || told("/a/same") == 2).await;
    fail(&one, "/a/same").await;
    fail(&one, "/a/last").await;
    until("the last is told", async || told("/a/last") == 1).await;
    assert_eq!(told("/a/same"), 2, "{:?}", receiver.asked());
}

#[tokio::test]
async fn c5_1_row_36_a_certificate_that_ends_soon_is_told_of_once_by_all_gates_of_a_redis() {
    let redis = Redis::start().await;
    let receiver = Spoken::start(|_| (200, String::new())).await;
    let hook = json!({"handler_name": "eh_web_hook_handler", "handler_meta":
        {"method": "POST", "target_path": receiver.url("/hook")}});
    let events = json!({"event_handlers": {"events": {"CertificateExpiringSoon": [hook]}}});
    let made = |name: &str| {
        let certified = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        format!("{}{}", certified.cert.pem(), certified.signing_key.serialize_pem())
    };
    let (same, own) = (made("same.example"), made("own.example"));
    let api = |id: &str, file: &str| {
        with(with(keyless(id, "http://127.0.0.1:1"), events.clone()), json!({"certificates": [file]}))
    };
    let setup = || {
        quiet(&redis)
            .conf(json!({"security": {"certificate_expiry_monitor": {"warning_threshold_days": 10_000_000,
                "check_cooldown_seconds": 1, "event_cooldown_seconds": 5000}}}))
            .file("same.pem", &same)
            .api(api("same", "same.pem"))
    };
    let told = |api: &str| {
        let asked = receiver.asked();
        let bodies = asked.iter().filter_map(|asked| asked.split_once("\r\n\r\n"));
        let bodies = bodies.map(|(_, body)| serde_json::from_str::<Value>(body).unwrap());
        bodies.filter(|body| body["api_id"] == api).count()
    };
    let _one = setup().start().await;
    until("it is told", async || told("same") == 1).await;
    let keys = redis.call(&["KEYS", "cert-cooldown:cert_expiry_event_cooldown:*"]);
    assert_eq!(keys.lines().count(), 1, "{keys}");
    let life: u64 = redis.call(&["TTL", &keys]).parse().unwrap();
    assert!((1..=5000).contains(&life), "{life}");
    // Another gate has a certificate of its own beside it: that it has been told of twice says that all were looked through.
    let _two = setup().file("own.pem", &own).api(api("own", "own.pem")).start().await;
    for times in [1, 2] {
        until("the other one's own is told", async || told("own") == times).await;
        let all = redis.call(&["KEYS", "cert-cooldown:*"]);
        let of_own = all.lines().find(|key| **key != *keys).unwrap();
        redis.call(&["DEL", of_own]);
    }
    assert_eq!(told("same"), 1, "{:?}", receiver.asked());
    redis.call(&["DEL", &keys]);
    until("it is told again after the pause", async || told("same") == 2).await;
}

#[tokio::test]
async fn c5_1_row_37_the_version_that_runs_is_written_down() {
    let mut redis = Redis::start().await;
    let gate = quiet(&redis).start().await;
    let version = gate.get("/hello", &[]).await.json()["version"].as_str().unwrap().to_owned();
    until("it is written", async || redis.call(&["GET", VERSION]) == version).await;
    assert_eq!(redis.call(&["TTL", VERSION]), "-1", "for as long as nobody writes another");
    // A Redis that comes back, and may be another one, is told again.
    redis.call(&["SET", VERSION, "older"]);
    redis.kill();
    redis.restart().await;
    until("it is written again", async || redis.call(&["GET", VERSION]) == version).await;
}

#[tokio::test]
async fn c5_1_row_38_a_redis_that_takes_nothing_is_told_as_failing_and_one_that_is_slow_holds_nobody() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    let gate = quiet(&redis)
        .conf(json!({"storage": {"timeout": 30}}))
        .api(keyless("a", &upstream.url("")))
        .start()
        .await;
    let hello = async || gate.get("/hello", &[]).await.json();
    let output = |hello: &Value| hello["details"]["redis"]["output"].as_str().unwrap_or_default().to_owned();
    assert_eq!(hello().await["status"], "pass");
    assert_eq!(redis.call(&["GET", PROBE]), PROBE);
    let life: u64 = redis.call(&["TTL", PROBE]).parse().unwrap();
    assert!((1..=10).contains(&life), "{life}");

    // However often it is asked, a second sees one write.
    redis.call(&["CONFIG", "RESETSTAT"]);
    let begun = Instant::now();
    for _ in 0..100 {
        assert_eq!(hello().await["status"], "pass");
    }
    let most = begun.elapsed().as_secs() + 2;
    assert!(calls(&redis, "set") <= most, "{} in {:?}", calls(&redis, "set"), begun.elapsed());

    // A replica is read from, and so is one that is full; neither is of use to a gate.
    for (breaks, mends, why) in [
        (&["REPLICAOF", "127.0.0.1", "1"][..], &["REPLICAOF", "NO", "ONE"][..], "read only replica"),
        (&["CONFIG", "SET", "maxmemory", "1"], &["CONFIG", "SET", "maxmemory", "0"], "maxmemory"),
    ] {
        redis.call(breaks);
        until("/hello tells", async || hello().await["status"] == "fail").await;
        let told = hello().await;
        assert!(output(&told).contains(why), "{told}");
        assert_eq!(told["details"]["redis"]["status"], "fail", "{told}");
        assert!(gate.log().contains("the state store takes nothing"), "{}", gate.log());
        let metrics = gate.get("/metrics", &[]).await;
        assert!(metrics.text().contains("sluicegate_state_connected 1"), "what can be read is read still");
        assert_eq!(gate.get("/a/x", &[]).await.status, 200);
        redis.call(mends);
        until("/hello tells", async || hello().await["status"] == "pass").await;
        assert_eq!(output(&hello().await), "");
    }

    redis.signal("STOP");
    for _ in 0..3 {
        let begun = Instant::now();
        let reply = gate.get("/hello", &[]).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(begun.elapsed() < HELLO, "{:?}", begun.elapsed());
    }
    redis.signal("CONT");
    until("/hello tells", async || hello().await["status"] == "pass").await;
}

#[tokio::test]
async fn c6_1_rows_1_and_2_what_is_kept_for_older_readers_is_as_it_was_written() {
    let (upstream, redis) = (Upstream::start().await, Redis::start().await);
    const SOURCE: &str = "YSBzaGFyZWQgc2VjcmV0IG9mIG1vcmUgdGhhbiAzMiBieXRlcw==";
    let jwt = json!({
        "use_keyless": false, "enable_jwt": true, "jwt_signing_method": "hmac", "jwt_source": SOURCE,
        "jwt_identity_base_field": "sub", "jwt_default_policies": ["gold"],
    });
    let gate = quiet(&redis)
        .conf(json!({"hash_keys": false}))
        .api(keyed("a", &upstream.url("")))
        .api(with(keyless("jwt", &upstream.url("")), jwt))
        .policy(policy("gold", &["jwt"], json!({"rate": 77, "per": 60})))
        .start()
        .await;
    let admin = gate.admin();
    let stored = |key: &str| -> Value {
        serde_json::from_str(&redis.call(&["GET", &format!("apikey-{key}")])).unwrap()
    };
    let told = async |key: &str| admin.get(&format!("/keys/{key}")).await.json();
    let rate = json!({"rate": 1000, "per": 60});
    // As it was sent, whether or not it is what the original's documents have in their examples.
    for (last_check, allowance) in [(1_406_121_006, 1000.0), (7, 12.5)] {
        let older = json!({"last_check": last_check, "allowance": allowance});
        let sent = with(with(session(&["a"]), rate.clone()), older.clone());
        let key = admin.key(&sent).await;
        for _ in 0..3 {
            assert_eq!(with_key(&gate, "/a/x", &key).await.status, 200);
        }
        for name in ["last_check", "allowance"] {
            assert_eq!(told(&key).await[name].as_f64(), older[name].as_f64(), "{name}");
            assert_eq!(stored(&key)[name].as_f64(), older[name].as_f64(), "{name}");
        }
        // Read, and written back.
        let put = admin.put(&format!("/keys/{key}"), &told(&key).await).await;
        assert_eq!(put.status, 200, "{put:?}");
        assert_eq!(stored(&key)["last_check"], last_check);
        // What another gate wrote there is told.
        let other = with(stored(&key), json!({"last_check": 9, "allowance": 3.5}));
        redis.call(&["SET", &format!("apikey-{key}"), &other.to_string()]);
        let told = told(&key).await;
        assert_eq!((&told["last_check"], &told["allowance"]), (&json!(9), &json!(3.5)));
    }
    // Nothing is made up.
    let key = admin.key(&with(session(&["a"]), rate)).await;
    assert_eq!(with_key(&gate, "/a/x", &key).await.status, 200);
    for session in [told(&key).await, stored(&key)] {
        assert_eq!((session.get("last_check"), session.get("allowance")), (None, None), "{session}");
    }
    // A session that the gate makes from a policy has its rate there.
    let claims = json!({"sub": "me", "exp": now() + 600});
    let token = shared(b"a shared secret of more than 32 bytes", &json!({}), &claims);
    assert_eq!(with_token(&gate, "/jwt/x", &token).await.status, 200);
    let made = redis.call(&["KEYS", "apikey-*"]);
    let made = made.lines().map(|key| serde_json::from_str::<Value>(&redis.call(&["GET", key])).unwrap());
    let made = made.filter(|session| session["alias"] == "me").collect::<Vec<_>>();
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(made[0]["allowance"].as_f64(), Some(77.0), "{made:?}");
    assert_eq!(made[0].get("last_check"), None, "{made:?}");
}

#[tokio::test]
async fn c8_1_row_7_each_api_that_is_a_version_has_rights_and_limits_of_its_own() {
    let (base, child) = (Upstream::start().await, Upstream::start().await);
    let versions = |key: &str| json!({"enabled": true, "name": "v1", "default": "self", "location": "header", "key": key});
    let classic = with(
        keyed("base", &base.url("/base")),
        json!({"definition": with(versions("X-V"), json!({"versions": {"v2": "child"}}))}),
    );
    let mut document = oas("oas", &base.url("/base"));
    document["components"] = json!({"securitySchemes": {"authToken": {"type": "apiKey", "in": "header", "name": "Authorization"}}});
    document["security"] = json!([{"authToken": []}]);
    let extension = &mut document["x-tyk-api-gateway"];
    extension["server"]["authentication"] =
        json!({"enabled": true, "securitySchemes": {"authToken": {"enabled": true}}});
    extension["info"]["versioning"] =
        with(versions("X-V"), json!({"versions": [{"name": "v2", "id": "child"}]}));
    let gate =
        Gate::setup().api(classic).api(keyed("child", &child.url("/child"))).oas(document).start().await;
    let ask = async |path: &str, key: &str, version: &str| {
        let key = format!("Authorization: {key}");
        let version = format!("X-V: {version}");
        gate.get(path, &["-H", &key, "-H", &version]).await
    };
    const NO: &str = "Access to this API has been disallowed";
    for path in ["/base/x", "/oas/x"] {
        let id = path.split('/').nth(1).unwrap();
        for (rights, of_base, of_child) in
            [(&[id][..], true, false), (&["child"], false, true), (&[id, "child"], true, true)]
        {
            let key = gate.admin().key(&session(rights)).await;
            for (version, opens, served) in [("v1", of_base, "/base/x"), ("v2", of_child, "/child/x")] {
                let reply = ask(path, &key, version).await;
                match opens {
                    true => {
                        assert_eq!(reply.status, 200, "{path} {rights:?} {version}: {reply:?}");
                        assert_eq!(reply.json()["path"], served);
                    }
                    false => {
                        assert_eq!(reply.status, 403, "{path} {rights:?} {version}: {reply:?}");
                        assert!(reply.text().contains(NO), "{reply:?}");
                    }
                }
            }
            // The way that the version has for itself asks for the same.
            let own = with_key(&gate, "/child/x", &key).await.status;
            assert_eq!(own, if of_child { 200 } else { 403 }, "{rights:?}");
        }
        // So are its limits: what is spent at the version is not at the base.
        let mut limited = session(&[id, "child"]);
        for (api, most) in [(id, 2), ("child", 1)] {
            limited["access_rights"][api]["limit"] =
                json!({"rate": 0, "quota_max": most, "quota_renewal_rate": 3600});
        }
        let key = gate.admin().key(&limited).await;
        let mut statuses = Vec::new();
        for version in ["v2", "v2", "v1", "v1", "v1"] {
            statuses.push(ask(path, &key, version).await.status);
        }
        assert_eq!(statuses, [200, 403, 200, 200, 403], "{path}");
    }
}
