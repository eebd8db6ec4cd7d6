//! What the admin API says when the store does not take what it is to keep (contract 7.3).

use e2e::definition::{keyless, session};
use e2e::{Gate, Redis, Upstream};
use serde_json::json;

#[tokio::test]
async fn c7_3_rows_33_and_43_what_a_store_that_is_away_does_not_take_is_told_in_the_contracts_words() {
    let (upstream, mut redis) = (Upstream::start().await, Redis::start().await);
    let mut api = keyless("a", &upstream.url(""));
    let object = api.as_object_mut().unwrap();
    object.remove("use_keyless");
    object.insert("use_oauth2".to_owned(), json!(true));
    object.insert("oauth_meta".to_owned(), json!({"allowed_access_types": ["client_credentials"]}));
    let mut policy = session(&["a"]);
    policy["id"] = json!("gold");
    policy["active"] = json!(true);
    let gate = Gate::setup().conf(redis.conf()).api(api).policy(policy).start().await;
    let admin = gate.admin();
    let client = json!({"client_id": "c", "api_id": "a", "policy_id": "gold"});
    assert_eq!(admin.post("/oauth/clients/create", &client).await.status, 200);
    assert_eq!(admin.delete("/cache/a").await.status, 200);

    redis.kill();
    for (reply, told) in [
        (admin.delete("/cache/a").await, "Cache invalidation failed"),
        (admin.post("/oauth/clients/create", &client).await, "Failure in storing client data."),
    ] {
        assert_eq!((reply.status, &reply.json()["message"]), (500, &json!(told)), "{reply:?}");
        let why = reply.json()["errors"][0]["message"].as_str().unwrap_or_default().to_owned();
        assert!(!why.is_empty() && !why.contains(Redis::PASSWORD), "{reply:?}");
    }
    // Nothing else would help them: they may try again.
    let reply = admin.get("/oauth/clients/a/c").await;
    assert_eq!(reply.status, 503, "{reply:?}");

    redis.restart().await;
    e2e::until("the store is back", async || {
        admin.post("/oauth/clients/create", &client).await.status == 200
            && admin.delete("/cache/a").await.status == 200
    })
    .await;
}
