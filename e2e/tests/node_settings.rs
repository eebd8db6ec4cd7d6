//! Settings of a node as a whole (contract 1.3).

use std::time::Duration;

use e2e::definition::{keyed, keyless, session};
use e2e::{Gate, Upstream};
use serde_json::json;

#[tokio::test]
async fn c1_3_apis_without_a_domain_answer_to_the_host_name_of_the_node() {
    let upstream = Upstream::start().await;
    let mut own = keyless("own", &upstream.url(""));
    own["domain"] = "own.example".into();
    let gate = Gate::setup()
        .conf(json!({"hostname": "127.0.0.1", "enable_custom_domains": true}))
        .api(keyless("plain", &upstream.url("")))
        .api(own)
        .start()
        .await;
    for (host, path, status) in [
        ("127.0.0.1", "/plain/x", 200),
        ("127.0.0.1:1234", "/plain/x", 200),
        ("other.example", "/plain/x", 404),
        ("own.example", "/own/x", 200),
        ("127.0.0.1", "/own/x", 404),
        ("127.0.0.1", "/hello", 200),
        ("other.example", "/hello", 404),
    ] {
        let reply = gate.get(path, &["-H", &format!("Host: {host}")]).await;
        assert_eq!(reply.status, status, "{host}{path}: {}", reply.text());
    }
}

#[tokio::test]
async fn c1_3_the_case_of_endpoints_can_be_left_aside_for_all_apis() {
    let upstream = Upstream::start().await;
    let mut listed = keyless("Listed", &upstream.url(""));
    listed["version_data"]["versions"]["Default"]["extended_paths"] =
        json!({"white_list": [{"path": "/Users/{id}", "method": "GET"}]});
    for (ignored, status) in [(false, 403), (true, 200)] {
        let gate =
            Gate::setup().conf(json!({"ignore_endpoint_case": ignored})).api(listed.clone()).start().await;
        assert_eq!(gate.get("/Listed/Users/7", &[]).await.status, 200);
        assert_eq!(gate.get("/Listed/uSERS/7", &[]).await.status, status, "{ignored}");
        assert_eq!(gate.get("/listed/Users/7", &[]).await.status, 404, "listen paths keep their case");
    }
}

#[tokio::test]
async fn c1_3_the_id_of_the_process_is_in_a_file_while_it_runs() {
    let mut gate = Gate::setup().conf(json!({"pid_file_location": "gate.pid"})).start().await;
    let file = gate.dir().join("gate.pid");
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), gate.pid().to_string());
    assert_eq!(gate.stop().await, Some(0));
    assert!(!file.exists());
    let gate = Gate::setup().conf(json!({"pid_file_location": "no/such/folder/gate.pid"})).start().await;
    assert!(gate.log().contains("change `pid_file_location`, or make its folder"), "{}", gate.log());
}

#[tokio::test]
async fn c1_1_settings_are_shown_to_who_knows_the_secret() {
    let gate = Gate::setup().start().await;
    assert_eq!(gate.get("/config", &[]).await.status, 404);
    let gate = Gate::setup()
        .conf(json!({"enable_config_inspection": true}))
        .env("TYK_GW_GLOBALSESSIONLIFETIME", "77")
        .start()
        .await;
    assert_eq!(gate.get("/config", &[]).await.status, 403);
    let field = format!("X-Tyk-Authorization: {}", Gate::SECRET);
    let shown = gate.get("/config", &["-H", &field]).await;
    assert_eq!((shown.status, &shown.json()["global_session_lifetime"]), (200, &json!(77)));
    assert_eq!(shown.json()["secret"], json!("***"));
    assert!(!shown.text().contains(Gate::SECRET));
    let one = gate.get("/env?env=TYK_GW_GLOBALSESSIONLIFETIME", &["-H", &field]).await.json();
    assert_eq!((&one["config_field"], &one["value"]), (&json!("global_session_lifetime"), &json!(77)));
}

#[tokio::test]
async fn c11_8_what_happened_to_an_api_is_told_on_average() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup()
        .conf(json!({"health_check": {"enable_health_checks": true, "health_check_value_timeouts": 600}}))
        .api(keyed("keyed", &upstream.url("")))
        .start()
        .await;
    let admin = gate.admin();
    let mut few = session(&["keyed"]);
    few["quota_max"] = 1.into();
    few["quota_renewal_rate"] = 3600.into();
    let key = admin.key(&few).await;
    for (key, status) in [(&*key, 200), (&*key, 403), ("stranger", 403), ("stranger", 403)] {
        let reply = gate.get("/keyed/", &["-H", &format!("Authorization: {key}")]).await;
        assert_eq!(reply.status, status, "{}", reply.text());
    }
    let told = admin.get("/health?api_id=keyed").await.json();
    let count = |name: &str| (told[name].as_f64().unwrap() * 600.0).round();
    assert_eq!(count("average_requests_per_second"), 4.0, "{told}");
    assert_eq!(count("quota_violations_per_second"), 1.0, "{told}");
    assert_eq!(count("key_failures_per_second"), 2.0, "{told}");
    assert_eq!(count("throttle_reqests_per_second"), 0.0, "{told}");
    assert_eq!(admin.get("/health").await.status, 400);
    assert_eq!(admin.get("/health?api_id=nobody").await.status, 404);
}

#[tokio::test]
async fn c6_2_row_6_keys_may_be_kept_until_they_expire() {
    let gate = Gate::setup()
        .conf(json!({"session_lifetime_respects_key_expiration": true}))
        .api({
            let mut short = keyed("short", "http://127.0.0.1:9");
            short["session_lifetime"] = 1.into();
            short
        })
        .start()
        .await;
    let admin = gate.admin();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let mut lasting = session(&["short"]);
    lasting["expires"] = (now + Duration::from_secs(600)).as_secs().into();
    let lasting = admin.key(&lasting).await;
    let mut gone = session(&["short"]);
    gone["expires"] = (now + Duration::from_secs(1)).as_secs().into();
    let gone = admin.key(&gone).await;
    e2e::until("the key is gone", async || admin.get(&format!("/keys/{gone}")).await.status == 404).await;
    assert_eq!(admin.get(&format!("/keys/{lasting}")).await.status, 200);
}

#[tokio::test]
async fn contract_1_3_so_many_connections_to_upstreams_are_kept_in_all() {
    // Setting -> connections to one upstream, and to another, that were asked in turns.
    for (most, expected) in [(json!({}), (1, 1)), (json!({"max_idle_connections": 1}), (1, 2))] {
        let (one, other) = (Upstream::start().await, Upstream::start().await);
        let gate = Gate::setup()
            .conf(most.clone())
            .api(keyless("a", &one.url("")))
            .api(keyless("b", &other.url("")))
            .start()
            .await;
        for path in ["/a/x", "/b/x", "/a/x", "/b/x", "/a/x"] {
            assert_eq!(gate.get(path, &[]).await.status, 200, "{path}");
        }
        assert_eq!((one.connections(), other.connections()), expected, "{most}");
    }
}
