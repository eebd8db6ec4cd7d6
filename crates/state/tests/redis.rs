//! The shared store, against a real redis-server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test may stop at the first surprise, and waits for files"
)]

mod common;

use std::{
    collections::HashSet,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use apidef::keys;
use common::{Folder, Server, free_port, session, until};
use redis::AsyncTypedCommands;
use sha2::{Digest, Sha256};
use state::{RedisSettings, RedisTls, Signal, State, TlsVersions};

const MINUTE: Duration = Duration::from_secs(60);
const NOW: i64 = 1_700_000_000;

fn settings(server: &Server) -> RedisSettings {
    RedisSettings {
        hosts: vec![server.host()],
        signal_secret: "node-secret".into(),
        ..RedisSettings::default()
    }
}

async fn connected(settings: RedisSettings) -> State {
    let state = State::redis(settings).unwrap();
    up(&state).await;
    state
}

async fn up(state: &State) {
    let mut health = state.health_changes();
    let wait = health.wait_for(|health| health.connected);
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("connects").unwrap();
}

async fn down(state: &State) {
    let mut health = state.health_changes();
    let wait = health.wait_for(|health| !health.connected);
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("notices the loss").unwrap();
}

#[tokio::test]
async fn keys_written_by_others_are_read() {
    let server = Server::start(&[]).await;
    let mut other = server.connection().await;
    let state = connected(settings(&server)).await;
    let raw = "orgid0123456789abcdef";
    for name in [raw.to_owned(), keys::hash(raw, None), keys::hash(raw, Some(keys::Algorithm::Murmur128))] {
        assert_eq!(state.session(&name).await, Ok(None));
        let text = format!(
            r#"{{"last_check":0,"allowance":1000,"rate":1000,"per":60,"expires":0,"quota_max":-1,"quota_renews":1406121006,
            "quota_remaining":0,"quota_renewal_rate":60,"access_rights":{{"a1":{{"api_name":"A","api_id":"a1","versions":["Default"]}}}},
            "org_id":"53ac07777cbb8c2d53000002","oauth_keys":null,"basic_auth_data":{{"password":"","hash_type":""}},
            "alias":"{name}","some_new_key":[1]}}"#
        );
        other.set(format!("apikey-{name}"), text).await.unwrap();
        let session = state.session(&name).await.unwrap().unwrap();
        assert_eq!((session.alias.as_str(), session.rate, session.per), (name.as_str(), 1000.0, 60.0));
        assert!(session.access_rights.contains_key("a1"));
    }
    other.set("apikey-broken", "{").await.unwrap();
    assert_eq!(state.session("broken").await, Ok(None));
    let (place, _) = state.first_session(&["nobody", "broken", raw]).await.unwrap().unwrap();
    assert_eq!(place, 2);
    assert_eq!(state.first_session(&[]).await, Ok(None));
    assert_eq!(state.kind(), "redis");
}

#[tokio::test]
async fn c5_1_row_15_sessions_are_written_as_others_read_them() {
    let server = Server::start(&[]).await;
    let mut other = server.connection().await;
    let state = connected(settings(&server)).await;
    for (ttl, seconds) in [(None, -1), (Some(MINUTE), 60), (Some(MINUTE * 60), 3600)] {
        state.put_session("k", &session("one"), ttl).await.unwrap();
        assert_eq!(other.ttl("apikey-k").await.unwrap().raw(), seconds, "{ttl:?}");
        let text: serde_json::Value =
            serde_json::from_str(&other.get("apikey-k").await.unwrap().unwrap()).unwrap();
        assert_eq!((&text["alias"], &text["x_unknown"]["kept"]), (&"one".into(), &true.into()));
        assert_eq!(text.get("quota_renews"), None, "zero values are left out");
    }
    assert_eq!(state.update_session("k", &session("two"), None).await, Ok(true));
    assert_eq!(state.session("k").await.unwrap().unwrap().alias, "two");
    assert_eq!(state.delete_session("k").await, Ok(true));
    assert_eq!(state.delete_session("k").await, Ok(false));
    assert_eq!(state.update_session("k", &session("ghost"), Some(MINUTE)).await, Ok(false));
    assert_eq!(state.session("k").await, Ok(None));

    let names: Vec<String> = (0..2500).map(|index| format!("n*{index:04}")).collect();
    for name in &names {
        other.set(format!("apikey-{name}"), "{}").await.unwrap();
        other.set(format!("quota-{name}"), "1").await.unwrap();
    }
    other.set("apikey-nx", "{}").await.unwrap();
    assert_eq!(state.session_names("n*").await.unwrap(), names);
    assert_eq!(state.session_names("").await.unwrap().len(), 2501);
    assert!(state.session_names("[").await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn quota_counts_are_exact_among_nodes() {
    let server = Server::start(&[]).await;
    let nodes = [connected(settings(&server)).await, connected(settings(&server)).await];
    let calls: Vec<_> = (0..1000)
        .map(|index| {
            let node = nodes[index % 2].clone();
            tokio::spawn(async move { common::quota(&node, "q", 300, MINUTE, NOW).await.unwrap() })
        })
        .collect();
    let mut seen = HashSet::new();
    let mut passed = 0;
    for call in calls {
        let count = call.await.unwrap();
        assert!(seen.insert(count.used), "{count:?} twice");
        assert_eq!(count.renews_at, NOW + 60);
        passed += i32::from(!count.exceeded);
    }
    assert_eq!((passed, seen.len()), (300, 1000));
}

#[tokio::test]
async fn c5_1_rows_17_and_19_quota_windows() {
    let server = Server::start(&[]).await;
    let mut other = server.connection().await;
    let state = connected(settings(&server)).await;
    // A counter that another gateway began.
    other.set_ex("quota-k", 4, 30).await.unwrap();
    let count = common::quota(&state, "k", 5, MINUTE, NOW).await.unwrap();
    assert_eq!((count.used, count.renews_at, count.exceeded), (5, NOW + 30, false));
    assert!(common::quota(&state, "k", 5, MINUTE, NOW).await.unwrap().exceeded);
    assert_eq!(other.get_int("quota-k").await.unwrap(), Some(6), "refused requests count");
    // One that lost its expiry.
    other.set("quota-stuck", 99).await.unwrap();
    assert_eq!(common::quota(&state, "stuck", 5, MINUTE, NOW).await.unwrap().renews_at, NOW + 60);
    assert_eq!(other.ttl("quota-stuck").await.unwrap().raw(), 60);
    // One that never ends, one that ends at once, one that limits nothing.
    assert_eq!(common::quota(&state, "ever", 5, Duration::ZERO, NOW).await.unwrap().renews_at, 0);
    assert_eq!(other.ttl("quota-ever").await.unwrap().raw(), -1);
    common::quota(&state, "short", 1, Duration::from_millis(1), NOW).await.unwrap();
    until("a window ends", async || state.peek_quota("short").await == Ok(None)).await;
    assert!(!common::quota(&state, "short", 1, MINUTE, NOW).await.unwrap().exceeded);

    assert_eq!(state.peek_quota("k").await.unwrap().unwrap().used, 6);
    other.set("quota-k-lock", "1").await.unwrap();
    other.set("rate-limit-k.BLOCKED", "1").await.unwrap();
    state.reset_quota("k").await.unwrap();
    for key in ["quota-k", "quota-k-lock", "rate-limit-k.BLOCKED"] {
        assert!(!other.exists(key).await.unwrap(), "{key}");
    }
    assert_eq!(state.peek_quota("k").await, Ok(None));
    // A value of another type is refused, and is no reason to let the connection go.
    other.lpush("quota-list", 1).await.unwrap();
    assert!(common::quota(&state, "list", 1, MINUTE, NOW).await.is_err());
    assert!(state.health().connected);
}

#[tokio::test]
async fn c5_1_row_18_rate_windows_roll() {
    let server = Server::start(&[]).await;
    let mut other = server.connection().await;
    let state = connected(settings(&server)).await;
    for used in 1..=8 {
        let count = common::rate(&state, "k", 3.0, MINUTE).await.unwrap();
        assert_eq!((count.used, count.exceeded), (used.min(3), used > 3), "{count:?}");
        assert!(count.resets_in <= MINUTE && count.resets_in > MINUTE / 2);
    }
    assert_eq!(other.zcard("rate-limit-k").await.unwrap(), 3, "no more than the limit needs");
    assert!(other.ttl("rate-limit-k").await.unwrap().raw() > 30);
    // Entries of another gateway (scores in nanoseconds), two of three long ago.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    for age in [200_u64, 100, 10] {
        let time = now - age * 1_000_000_000;
        other.zadd("rate-limit-shared", time, time).await.unwrap();
    }
    let count = common::rate(&state, "shared", 2.0, MINUTE).await.unwrap();
    assert_eq!((count.used, count.exceeded), (2, false));
    assert!(count.resets_in <= Duration::from_secs(51), "{count:?}");
    assert!(common::rate(&state, "shared", 2.0, MINUTE).await.unwrap().exceeded);
    // Less than one in a window never passes.
    assert!(common::rate(&state, "half", 0.5, MINUTE).await.unwrap().exceeded);
    let short = Duration::from_millis(1);
    common::rate(&state, "short", 1.0, short).await.unwrap();
    until("a window ends", async || !other.clone().exists("rate-limit-short").await.unwrap()).await;
    assert!(!common::rate(&state, "short", 1.0, short).await.unwrap().exceeded);
}

#[tokio::test]
async fn draws_take_all_or_nothing() {
    let server = Server::start(&[]).await;
    common::draws(&connected(settings(&server)).await, "d").await;
}

#[tokio::test]
async fn c6_5_row_5_what_is_allowed_moves_with_what_is_used() {
    let server = Server::start(&[]).await;
    common::smoothing(&connected(settings(&server)).await, "s", &[]).await;
}

#[tokio::test]
async fn c13_5_row_7_away_is_told_fast_and_mended_without_a_restart() {
    let mut server = Server::start(&[]).await;
    let state = connected(settings(&server)).await;
    let mut signals = state.signals();
    until("subscribed", async || {
        state.publish(Signal::Reload).await.unwrap();
        signals.try_recv().is_ok()
    })
    .await;

    server.kill();
    let all_fail_fast = async || {
        for _ in 0..50 {
            let began = Instant::now();
            let error = state.session("k").await.unwrap_err();
            assert!(began.elapsed() < Duration::from_secs(1), "{error} after {:?}", began.elapsed());
            assert!(common::quota(&state, "k", 1, MINUTE, NOW).await.is_err());
            assert!(state.put_session("k", &session("x"), None).await.is_err());
            assert!(state.publish(Signal::Reload).await.is_err());
        }
    };
    let began = Instant::now();
    all_fail_fast().await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let health = state.health();
    assert!(!health.connected && health.error.is_some());

    server.resume().await;
    up(&state).await;
    state.put_session("k", &session("back"), None).await.unwrap();
    assert_eq!(state.session("k").await.unwrap().unwrap().alias, "back");
    // Scripts are gone with the old server.
    assert_eq!(common::quota(&state, "k", 1, MINUTE, NOW).await.unwrap().used, 1);
    until("signals that may be missing are told", async || matches!(signals.try_recv(), Ok(Signal::Missed)))
        .await;

    // A server that hangs: the first caller waits for the timeout, others for nothing.
    server.signal("-STOP");
    let began = Instant::now();
    assert!(state.session("k").await.is_err());
    assert!(began.elapsed() < Duration::from_secs(1));
    let began = Instant::now();
    all_fail_fast().await;
    assert!(began.elapsed() < Duration::from_millis(300), "{:?}", began.elapsed());
    server.signal("-CONT");
    up(&state).await;
    assert_eq!(state.session("k").await.unwrap().unwrap().alias, "back");
}

#[tokio::test]
async fn c13_5_row_3_a_start_without_redis_is_no_failure() {
    let mut server = Server::start(&[]).await;
    server.kill();
    let state = State::redis(settings(&server)).unwrap();
    assert!(state.session("k").await.is_err());
    assert!(!state.health().connected);
    server.resume().await;
    up(&state).await;
    assert_eq!(state.session("k").await, Ok(None));
}

#[tokio::test]
async fn a_probe_notices_a_silent_loss() {
    let mut server = Server::start(&[]).await;
    let state = connected(settings(&server)).await;
    server.kill();
    down(&state).await;
}

#[tokio::test]
async fn c13_5_row_2_passwords_users_and_databases() {
    let server = Server::start(&[
        "--requirepass",
        "canary-password",
        "--user",
        "app",
        "on",
        ">canary-app",
        "~*",
        "&*",
        "+@all",
    ])
    .await;
    for (username, password, works) in [
        ("", "canary-password", true),
        ("app", "canary-app", true),
        ("app", "canary-wrong", false),
        ("", "", false),
    ] {
        let settings = RedisSettings {
            username: username.to_owned(),
            password: password.into(),
            database: 3,
            ..settings(&server)
        };
        let state = State::redis(settings).unwrap();
        if works {
            up(&state).await;
            state.put_session("k", &session(username), None).await.unwrap();
            let url = format!("redis://:canary-password@{}/3", server.host());
            let mut other =
                redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
            assert!(other.exists("apikey-k").await.unwrap());
        } else {
            until("it is told why", async || {
                state
                    .health()
                    .error
                    .is_some_and(|error| error.to_lowercase().contains("auth") || error.contains("WRONGPASS"))
            })
            .await;
            let told = format!("{:?} {:?} {state:?}", state.session("k").await, state.health());
            assert!(!told.contains("canary"), "{told}");
        }
    }
}

/// A certificate for this machine and its key, in files.
fn certificate(folder: &Folder) -> [PathBuf; 2] {
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .stderr(Stdio::null())
        .status();
    assert!(made.expect("openssl is installed").success());
    [cert, key]
}

#[tokio::test]
async fn c13_5_row_2_tls() {
    let folder = Folder::new();
    let [cert, key] = certificate(&folder);
    let port = free_port().to_string();
    let [cert_name, key_name] = [&cert, &key].map(|path| path.to_str().unwrap());
    let server = Server::start(&[
        "--tls-port",
        &port,
        "--tls-cert-file",
        cert_name,
        "--tls-key-file",
        key_name,
        "--tls-ca-cert-file",
        cert_name,
    ])
    .await;
    let both = RedisTls { cert_file: Some(cert.clone()), key_file: Some(key.clone()), ..RedisTls::default() };
    for (tls, works) in [
        (RedisTls { ca_file: Some(cert.clone()), ..both.clone() }, true),
        (RedisTls { insecure_skip_verify: true, ..both.clone() }, true),
        (both, false),
        (RedisTls { ca_file: Some(cert.clone()), ..RedisTls::default() }, false),
    ] {
        let text = format!("{tls:?}");
        let hosts = vec![format!("127.0.0.1:{port}")];
        let state = State::redis(RedisSettings { hosts, tls: Some(tls), ..settings(&server) }).unwrap();
        if works {
            up(&state).await;
            state.put_session("k", &session("k"), None).await.unwrap();
        } else {
            until("it is refused", async || {
                let error = state.health().error.unwrap_or_else(|| panic!("connected with {text}"));
                !error.contains("not connected to Redis yet")
            })
            .await;
        }
    }
}

#[tokio::test]
async fn c13_5_row_2_contract_1_3_versions_of_tls_can_be_chosen() {
    let folder = Folder::new();
    let [cert, key] = certificate(&folder);
    let [cert_name, key_name] = [&cert, &key].map(|path| path.to_str().unwrap());
    for (spoken, unfit) in [("TLSv1.2", TlsVersions::Only13), ("TLSv1.3", TlsVersions::Only12)] {
        let port = free_port().to_string();
        let server = Server::start(&[
            "--tls-port",
            &port,
            "--tls-cert-file",
            cert_name,
            "--tls-key-file",
            key_name,
            "--tls-ca-cert-file",
            cert_name,
            "--tls-protocols",
            spoken,
        ])
        .await;
        let with = |versions: TlsVersions, insecure: bool| {
            let tls = RedisTls {
                versions,
                insecure_skip_verify: insecure,
                ca_file: (!insecure).then(|| cert.clone()),
                cert_file: Some(cert.clone()),
                key_file: Some(key.clone()),
            };
            let hosts = vec![format!("127.0.0.1:{port}")];
            State::redis(RedisSettings { hosts, tls: Some(tls), ..settings(&server) }).unwrap()
        };
        for versions in [TlsVersions::Both, TlsVersions::Only12, TlsVersions::Only13] {
            for insecure in [false, true] {
                let state = with(versions, insecure);
                if versions == unfit {
                    until("it is refused", async || {
                        let error = state.health().error.expect("no version fits");
                        !error.contains("not connected to Redis yet")
                    })
                    .await;
                    continue;
                }
                up(&state).await;
                let mut signals = state.signals();
                // Whoever subscribes late hears of later signals alone.
                let heard = async {
                    loop {
                        state.publish(Signal::Reload).await.unwrap();
                        let wait = Duration::from_millis(50);
                        if let Ok(signal) = tokio::time::timeout(wait, signals.recv()).await {
                            return signal;
                        }
                    }
                };
                let heard = tokio::time::timeout(Duration::from_secs(20), heard).await;
                assert_eq!(heard.expect("it subscribes"), Ok(Signal::Reload), "{versions:?} {insecure}");
            }
        }
    }
}

#[tokio::test]
async fn c13_1_row_1_signals_are_signed_and_verified() {
    let server = Server::start(&[]).await;
    let mut other = server.connection().await;
    let [one, two] = [connected(settings(&server)).await, connected(settings(&server)).await];
    let open = connected(RedisSettings { unsigned_signals: true, ..settings(&server) }).await;
    let mut receivers = [one.signals(), two.signals(), open.signals()];
    until("all have subscribed", async || {
        let mut other = server.connection().await;
        redis::cmd("PUBSUB")
            .arg("NUMSUB")
            .arg("tyk.cluster.notifications")
            .query_async::<(String, i64)>(&mut other)
            .await
            .unwrap()
            .1
            == 3
    })
    .await;

    let sign = |text: &str| Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let good = sign("ApiUpdatednode-secret");
    let forged =
        format!(r#"{{"command":"DeleteAPICache","payload":"x","signature":"{good}","algorithm":5}}"#);
    let signed = format!(r#"{{"command":"ApiUpdated","payload":"","signature":"{good}","algorithm":5}}"#);
    for message in [&forged, &signed] {
        other.publish("tyk.cluster.notifications", message).await.unwrap();
    }
    let names = vec!["a".to_owned(), "b".to_owned()];
    one.publish(Signal::KeysChanged(names.clone())).await.unwrap();
    let [first, second, third] = &mut receivers;
    assert_eq!(third.recv().await, Ok(Signal::CacheDropped("x".into())), "unsigned is allowed there");
    for receiver in [first, second, third] {
        assert_eq!(receiver.recv().await, Ok(Signal::Reload));
        assert_eq!(receiver.recv().await, Ok(Signal::KeysChanged(names.clone())));
    }
}

#[tokio::test]
async fn c13_5_row_1_a_cluster() {
    let server = Server::start(&["--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1"]).await;
    let mut other = server.connection().await;
    redis::cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(0).arg(16383).query_async::<()>(&mut other).await.unwrap();
    until("the cluster is ready", async || {
        let info: String = redis::cmd("CLUSTER").arg("INFO").query_async(&mut other).await.unwrap();
        info.contains("cluster_state:ok")
    })
    .await;
    let state = connected(RedisSettings { cluster: true, ..settings(&server) }).await;
    let mut signals = state.signals();
    for name in ["a", "b", "c"] {
        state.put_session(name, &session(name), Some(MINUTE)).await.unwrap();
    }
    assert_eq!(state.first_session(&["x", "c", "a"]).await.unwrap().unwrap().0, 1);
    assert_eq!(state.session_names("").await.unwrap(), ["a", "b", "c"]);
    assert_eq!(common::quota(&state, "a", 5, MINUTE, NOW).await.unwrap().used, 1);
    assert_eq!(state.peek_quota("a").await.unwrap().unwrap().used, 1);
    assert_eq!(common::rate(&state, "a", 5.0, MINUTE).await.unwrap().used, 1);
    state.reset_quota("a").await.unwrap();
    assert_eq!(state.peek_quota("a").await, Ok(None));
    common::draws(&state, "d").await;
    // Beside a counter that is called so no other key lies on the same master.
    common::smoothing(&state, "s", &["empty-{}-x", "odd-}-x"]).await;
    common::records_and_collections(&state).await;
    until("a signal goes round", async || {
        state.publish(Signal::Reload).await.unwrap();
        signals.try_recv() == Ok(Signal::Reload)
    })
    .await;
}

#[tokio::test]
async fn c13_5_row_1_sentinels_lead_to_the_master() {
    let server = Server::start(&[]).await;
    let watch = format!("sentinel monitor main 127.0.0.1 {} 1\n", server.port);
    let sentinel = Server::start(&[&watch]).await;
    let state = connected(RedisSettings {
        hosts: vec!["127.0.0.1:1".to_owned(), sentinel.host()],
        master_name: Some("main".to_owned()),
        ..settings(&server)
    })
    .await;
    state.put_session("k", &session("k"), None).await.unwrap();
    assert!(server.connection().await.exists("apikey-k").await.unwrap());
}
