//! What probes find, as pumps read it (contract 11.1, "Uptime record list").

use e2e::definition::{keyless, oas};
use e2e::{Gate, Redis, Spoken, until};
use serde_json::{Value, json};

const LIST: &str = "analytics-tyk-uptime-analytics";

fn quick(redis: &Redis, recorded: bool) -> Value {
    let mut conf = redis.conf();
    conf["uptime_tests"] = json!({"config": {
        "time_wait": 0.1, "failure_trigger_sample_size": 2, "enable_uptime_analytics": recorded,
    }});
    conf["analytics_config"] = json!({"storage_expiration_time": 600});
    conf
}

#[tokio::test]
async fn c11_1_what_probes_find_waits_in_a_list() {
    let redis = Redis::start().await;
    let well = Spoken::start(|_| (200, String::new())).await;
    let ill = Spoken::start(|_| (503, String::new())).await;
    let mut api = keyless("first", &well.url(""));
    api["org_id"] = json!("org-1");
    api["uptime_tests"] =
        json!({"check_list": [{"url": well.url("/well")}], "config": {"expire_utime_after": 60}});
    let mut document = oas("second", &well.url(""));
    document["x-tyk-api-gateway"]["upstream"]["uptimeTests"] =
        json!({"enabled": true, "logRetentionPeriod": "1m", "tests": [{"url": ill.url("/ill")}]});
    let _gate = Gate::setup().conf(quick(&redis, true)).api(api).oas(document).start().await;
    let mut found = String::new();
    until("both probes have told what they found", async || {
        found = redis.call(&["--no-raw", "LRANGE", LIST, "0", "-1"]);
        found.contains("/well") && found.contains("/ill")
    })
    .await;
    for text in ["ResponseCode", "TimeStamp", "ExpireAt", "first", "org-1", "second"] {
        assert!(found.contains(text), "{text}: {found:?}");
    }
    let left: i64 = redis.call(&["TTL", LIST]).trim().parse().unwrap();
    assert!((1..=600).contains(&left), "{left}");
    // A pump takes the list away, and the next ones are in a new one.
    redis.call(&["DEL", LIST]);
    until("there is a list again", async || redis.call(&["TTL", LIST]).trim().parse::<i64>().unwrap() > 0)
        .await;
}

#[tokio::test]
async fn nothing_is_recorded_where_nobody_asked_for_it() {
    let redis = Redis::start().await;
    let server = Spoken::start(|_| (503, String::new())).await;
    let mut api = keyless("quiet", &server.url(""));
    api["uptime_tests"] = json!({"check_list": [{"url": server.url("/ill")}]});
    let gate = Gate::setup().conf(quick(&redis, false)).api(api).start().await;
    until("the probe has found it down", async || gate.log().contains("HostDown")).await;
    assert_eq!(redis.call(&["EXISTS", LIST]).trim(), "0");
    let told = Gate::setup()
        .conf(json!({"uptime_tests": {"config": {"enable_uptime_analytics": true}}}))
        .start()
        .await;
    assert!(told.log().contains("enable_uptime_analytics has no effect"), "{}", told.log());
}
