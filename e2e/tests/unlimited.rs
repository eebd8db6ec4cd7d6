//! Limits that definitions switch off, and those of what is under way at once (contract 2.3, 3.1, 4.4 rows 22 and 25).

use e2e::definition::{keyed, keyless, oas, session};
use e2e::streaming::{events, guarded, post_to_sse};
use e2e::{Endless, Gate, Sse, Upstream, until};
use serde_json::{Value, json};

async fn statuses(gate: &Gate, calls: usize, path: &str, key: &str) -> Vec<u16> {
    let key = format!("Authorization: {key}");
    let mut seen = Vec::new();
    for _ in 0..calls {
        seen.push(gate.get(path, &["-H", &key]).await.status);
    }
    seen
}

#[tokio::test]
async fn c2_3_disable_rate_limit_and_disable_quota_leave_keys_and_the_api_without_them() {
    let upstream = Upstream::start().await;
    let with = |id: &str, more: Value| {
        let mut api = keyed(id, &upstream.url(""));
        api["global_rate_limit"] = json!({"rate": 10, "per": 600});
        api["version_data"]["versions"]["Default"]["extended_paths"] =
            json!({"rate_limit": [{"path": "/narrow", "method": "GET", "rate": 1, "per": 600}]});
        api.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        api
    };
    let described = |id: &str, skips: Value| {
        let mut api = guarded(oas(id, &upstream.url("")));
        api["paths"] = json!({"/narrow": {"get": {"operationId": "narrow"}}});
        api["x-tyk-api-gateway"]["upstream"]["rateLimit"] =
            json!({"enabled": true, "rate": 10, "per": "10m"});
        api["x-tyk-api-gateway"]["middleware"] = json!({
            "global": skips,
            "operations": {"narrow": {"rateLimit": {"enabled": true, "rate": 1, "per": "10m"}}},
        });
        api
    };
    let gate = Gate::setup()
        .api(with("both", json!({})))
        .api(with("no-rate", json!({"disable_rate_limit": true})))
        .api(with("no-quota", json!({"disable_quota": true})))
        .api(with("neither", json!({"disable_rate_limit": true, "disable_quota": true})))
        .oas(described("o-both", json!({})))
        .oas(described("o-no-rate", json!({"skipRateLimit": true})))
        .oas(described("o-no-quota", json!({"skipQuota": true})))
        .oas(described("o-neither", json!({"skipRateLimit": true, "skipQuota": true})))
        .start()
        .await;
    let key = async |api: &str, more: Value| {
        let mut limited = session(&[api]);
        limited.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        gate.admin().key(&limited).await
    };
    let (rate, quota) = (json!({"rate": 2, "per": 600}), json!({"quota_max": 2, "quota_renewal_rate": 3600}));
    for (api, has_rates, has_quotas) in
        [("both", true, true), ("no-rate", false, true), ("no-quota", true, false), ("neither", false, false)]
    {
        for api in [api.to_owned(), format!("o-{api}")] {
            let path = format!("/{api}/x");
            let seen = statuses(&gate, 4, &path, &key(&api, rate.clone()).await).await;
            assert_eq!(seen, if has_rates { [200, 200, 429, 429] } else { [200; 4] }, "{api}: rate of a key");
            let seen = statuses(&gate, 4, &path, &key(&api, quota.clone()).await).await;
            assert_eq!(seen, if has_quotas { [200, 200, 403, 403] } else { [200; 4] }, "{api}: quota");
            // The rates of the API and of its path are rates, too.
            let free = key(&api, json!({})).await;
            let seen = statuses(&gate, 2, &format!("/{api}/narrow"), &free).await;
            assert_eq!(seen, if has_rates { [200, 429] } else { [200; 2] }, "{api}: rate of a path");
            let seen = statuses(&gate, 10, &path, &free).await;
            assert_eq!(seen.contains(&429), has_rates, "{api}: rate of the API: {seen:?}");
        }
    }
}

#[tokio::test]
async fn so_many_requests_at_once_of_one_key_and_from_one_address() {
    let upstream = Upstream::start().await;
    let with = |mut api: Value, at_once: Value| {
        api["x-sluicegate"] = json!({"concurrency": at_once});
        api
    };
    let gate = Gate::setup()
        .api(with(keyed("key", &upstream.url("")), json!({"requests_per_key": 1})))
        .api(with(keyed("ip", &upstream.url("")), json!({"requests_per_ip": 1})))
        .api(with(keyless("open", &upstream.url("")), json!({"requests_per_ip": 1})))
        .start()
        .await;
    let one = gate.admin().key(&session(&["key", "ip"])).await;
    let two = gate.admin().key(&session(&["key", "ip"])).await;
    let ask = async |path: &str, key: &str, address: &str| {
        let (key, address) = (format!("Authorization: {key}"), format!("X-Real-IP: {address}"));
        let reply = gate.get(path, &["-H", &key, "-H", &address]).await;
        if reply.status == 429 {
            assert_eq!(reply.json()["error"], "Too many requests at once");
            assert_eq!(reply.header("retry-after").as_deref(), Some("1"));
        }
        reply.status
    };
    for (api, same, other) in [
        // The key has its place wherever it calls from, and another key has its own.
        ("key", (&one, "10.0.0.2"), (&two, "10.0.0.1")),
        ("ip", (&two, "10.0.0.1"), (&one, "10.0.0.2")),
        ("open", (&two, "10.0.0.1"), (&one, "10.0.0.2")),
    ] {
        let path = format!("/{api}/x");
        let (key, address) = (format!("Authorization: {one}"), "X-Real-IP: 10.0.0.1");
        let before = upstream.hits();
        upstream.release();
        let mut held = Endless::get(gate.port(), &format!("/{api}/sse"), &[&key, address]).await;
        assert!(held.data().await.is_ok());
        assert_eq!((held.status, upstream.hits()), (200, before + 1), "{api}");
        assert_eq!(ask(&path, same.0, same.1).await, 429, "{api}: there is one already");
        assert_eq!(upstream.hits(), before + 1, "{api}");
        assert_eq!(ask(&path, other.0, other.1).await, 200, "{api}: others have a place of their own");
        drop(held);
        until("the place is given back", async || ask(&path, same.0, same.1).await == 200).await;
    }
}

#[tokio::test]
async fn so_many_subscribers_with_one_key() {
    let mut api = guarded(events("ev", json!({"s": post_to_sse(json!({"delivery": "broadcast"}))})));
    api["x-sluicegate"] = json!({"concurrency": {"subscribers_per_key": 2}});
    let gate = Gate::setup().oas(api).start().await;
    let mut keys = Vec::new();
    for _ in 0..2 {
        keys.push(format!("Authorization: {}", gate.admin().key(&session(&["ev"])).await));
    }
    let open = async |key: &str| Sse::open(gate.port(), "/ev/sse", &[key]).await;
    let (first, second) = (open(&keys[0]).await, open(&keys[0]).await);
    assert_eq!((first.status, second.status), (200, 200));
    let third = gate.get("/ev/sse", &["-H", &keys[0]]).await;
    assert_eq!((third.status, third.json()["error"].as_str()), (429, Some("Too many subscribers at once")));
    let other = open(&keys[1]).await;
    assert_eq!(other.status, 200, "another key has its own places");
    drop(first);
    until("a place is given back", async || open(&keys[0]).await.status == 200).await;
    drop((second, other));
}
