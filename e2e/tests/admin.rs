//! The admin API (contract 7): what it takes, answers and refuses.

use e2e::definition::{keyed, keyless, oas, session};
use e2e::{Gate, Reply, Upstream, curl};
use serde_json::json;

/// `{"status":"error","message":…}`; what is said beyond that (`errors`, each with its place) does no harm.
fn assert_error(reply: &Reply, status: u16, message: &str) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!((&reply.json()["status"], &reply.json()["message"]), (&json!("error"), &json!(message)));
    assert_eq!(reply.header("content-type").as_deref(), Some("application/json"));
}

#[tokio::test]
async fn c7_1_rows_1_2_4_only_the_secret_opens_it() {
    let gate = Gate::setup().start().await;
    let wrong = "Attempted administrative access with invalid or missing key!";
    assert_error(&gate.get("/tyk/apis", &[]).await, 403, wrong);
    assert_error(&gate.get("/tyk/apis", &["-H", "x-tyk-authorization: nonsense"]).await, 403, wrong);
    assert_error(&gate.get("/tyk/nowhere", &[]).await, 403, wrong);
    let reply = gate.admin().get("/nowhere").await;
    assert_eq!((reply.status, reply.text().trim_end()), (404, "404 page not found"));
    assert_error(&gate.admin().call("PATCH", "/keys", None).await, 405, "Method not supported");
    assert_eq!(gate.admin().get("/apis").await.status, 200);
    assert_eq!(gate.admin().get("/apis/").await.status, 200, "a trailing slash does not matter");
}

#[tokio::test]
async fn c7_2_rows_1_and_2_health_is_told_without_a_secret() {
    let gate = Gate::setup().start().await;
    let hello = gate.get("/hello", &[]).await;
    assert_eq!(hello.status, 200);
    assert_eq!(hello.json()["status"], "pass");
    assert_eq!(hello.json()["description"], "Tyk GW");
    assert!(hello.json()["version"].is_string());
    let ready = gate.get("/ready", &[]).await;
    assert_eq!((ready.status, &ready.json()["status"]), (200, &json!("pass")));
    assert_eq!(gate.get("/hello", &["-X", "POST"]).await.status, 405);
}

#[tokio::test]
async fn c7_3_rows_3_5_6_7_classic_apis_are_created_changed_and_deleted() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().start().await;
    let admin = gate.admin();
    // Not `/a/`: every API answers below its id, too.
    let mut api = keyless("a", &upstream.url(""));
    api["proxy"]["listen_path"] = json!("/first/");
    let reply = admin.post("/apis", &api).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.json(), json!({"key": "a", "status": "ok", "action": "added"}));
    assert!(gate.dir().join("apps/a.json").exists());
    admin.reload().await;
    assert_eq!(gate.get("/first/x", &[]).await.status, 200);

    assert_eq!(gate.get("/a/x", &[]).await.status, 200, "an API answers below its id");

    let got = admin.get("/apis/a").await.json();
    assert_eq!((&got["api_id"], &got["proxy"]["listen_path"]), (&json!("a"), &json!("/first/")));
    let all = admin.get("/apis").await.json();
    assert_eq!(all.as_array().unwrap().len(), 1, "{all}");

    let mut moved = api.clone();
    moved["proxy"]["listen_path"] = json!("/moved/");
    let reply = admin.put("/apis/a", &moved).await;
    assert_eq!(reply.json(), json!({"key": "a", "status": "ok", "action": "modified"}), "{reply:?}");
    admin.reload().await;
    assert_eq!(gate.get("/moved/x", &[]).await.status, 200);
    assert_eq!(gate.get("/first/x", &[]).await.status, 404);

    assert_error(&admin.put("/apis/other", &api).await, 404, "API not found");
    let mut renamed = api.clone();
    renamed["api_id"] = json!("b");
    let mismatch = "Request APIID does not match that in Definition! For Update operations these must match.";
    assert_error(&admin.put("/apis/a", &renamed).await, 400, mismatch);

    let reply = admin.delete("/apis/a").await;
    assert_eq!(reply.json(), json!({"key": "a", "status": "ok", "action": "deleted"}), "{reply:?}");
    admin.reload().await;
    assert_eq!(gate.get("/moved/x", &[]).await.status, 404);
    assert_error(&admin.get("/apis/a").await, 404, "API not found");
    assert_error(&admin.delete("/apis/a").await, 404, "API not found");
    assert_error(&admin.call("POST", "/apis", Some("{nonsense")).await, 400, "Request malformed");
}

#[tokio::test]
async fn c2_1_row_10_oas_apis_are_created_changed_and_deleted() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().start().await;
    let admin = gate.admin();
    let document = oas("o", &upstream.url(""));
    let reply = admin.post("/apis/oas", &document).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.json(), json!({"key": "o", "status": "ok", "action": "added"}));
    for file in ["apps/o.json", "apps/o-oas.json"] {
        assert!(gate.dir().join(file).exists(), "{file}");
    }
    admin.reload().await;
    assert_eq!(gate.get("/o/x", &[]).await.status, 200);
    let got = admin.get("/apis/oas/o").await.json();
    assert_eq!(got["x-tyk-api-gateway"]["server"]["listenPath"]["value"], "/o/");
    assert_eq!(got["openapi"], "3.0.3");
    assert_eq!(admin.get("/apis/o").await.json()["is_oas"], true);
    assert_eq!(admin.get("/apis/oas").await.json().as_array().unwrap().len(), 1);

    let mut moved = document.clone();
    moved["x-tyk-api-gateway"]["server"]["listenPath"]["value"] = json!("/moved/");
    assert_eq!(admin.put("/apis/oas/o", &moved).await.json()["action"], "modified");
    admin.reload().await;
    assert_eq!(gate.get("/moved/x", &[]).await.status, 200);

    let plain = json!({"openapi": "3.0.3", "info": {"title": "x", "version": "1"}, "paths": {}});
    assert_error(&admin.post("/apis/oas", &plain).await, 400, "the payload should contain x-tyk-api-gateway");
    assert_error(&admin.call("POST", "/apis/oas", Some("{nonsense")).await, 400, "request malformed");
    assert_eq!(admin.delete("/apis/oas/o").await.json()["action"], "deleted");
    admin.reload().await;
    assert_eq!(gate.get("/moved/x", &[]).await.status, 404);
}

#[tokio::test]
async fn a_definition_that_does_not_hold_is_refused_with_every_fault() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().api(keyless("a", &upstream.url(""))).start().await;
    let admin = gate.admin();
    let mut broken = keyless("a", "not a url");
    broken["proxy"]["listen_path"] = json!(5);
    let reply = admin.put("/apis/a", &broken).await;
    assert_eq!(reply.status, 400, "{reply:?}");
    let text = reply.text();
    for place in ["/proxy/target_url", "/proxy/listen_path"] {
        assert!(text.contains(place), "{place} is not named: {text}");
    }
    admin.reload().await;
    assert_eq!(gate.get("/a/x", &[]).await.status, 200, "the running API was harmed");
    assert_eq!(admin.get("/apis/a").await.json()["proxy"]["listen_path"], "/a/");
}

#[tokio::test]
async fn c7_3_rows_19_to_21_keys_are_created_read_changed_and_deleted() {
    let gate = Gate::setup().api(keyed("a", "http://127.0.0.1:1")).start().await;
    let admin = gate.admin();
    let mut wanted = session(&["a"]);
    wanted["alias"] = json!("tester");
    wanted["meta_data"] = json!({"plan": "gold"});
    let created = admin.post("/keys", &wanted).await;
    assert_eq!(created.status, 200, "{created:?}");
    let key = created.json()["key"].as_str().unwrap().to_owned();
    assert_eq!(
        (created.json()["status"].clone(), created.json()["action"].clone()),
        (json!("ok"), json!("added"))
    );
    assert!(key.starts_with("org"), "{key}: an id of the legacy form begins with the organisation");

    let got = admin.get(&format!("/keys/{key}")).await.json();
    assert_eq!((&got["alias"], &got["meta_data"]["plan"]), (&json!("tester"), &json!("gold")));
    assert_eq!(got.get("is_inactive"), None, "zero values are left out");
    let listed = admin.get("/keys").await.json();
    assert_eq!(listed, json!({"keys": [key]}));

    wanted["alias"] = json!("changed");
    let reply = admin.put(&format!("/keys/{key}"), &wanted).await;
    assert_eq!(reply.json()["action"], "modified", "{reply:?}");
    assert_eq!(admin.get(&format!("/keys/{key}")).await.json()["alias"], "changed");

    let custom = admin.post("/keys/mine", &wanted).await;
    assert_eq!(custom.json()["key"], "orgmine", "{custom:?}");

    assert_eq!(admin.delete(&format!("/keys/{key}")).await.json()["action"], "deleted");
    assert_error(&admin.get(&format!("/keys/{key}")).await, 404, "Key not found");
    assert_error(&admin.put(&format!("/keys/{key}"), &wanted).await, 404, "Key is not found");
    assert_error(&admin.delete(&format!("/keys/{key}")).await, 404, "There is no such key found");
    assert_error(&admin.call("POST", "/keys", Some("{nonsense")).await, 400, "Request malformed");
    // Without `allow_master_keys` a key must name what it opens.
    assert_ne!(admin.post("/keys", &json!({"org_id": "org"})).await.status, 200);
}

#[tokio::test]
async fn c7_3_rows_25_and_26_policies_are_created_changed_and_deleted() {
    let gate = Gate::setup().start().await;
    let admin = gate.admin();
    let mut policy =
        json!({"id": "p", "org_id": "org", "name": "p", "rate": 5, "per": 1, "access_rights": {}});
    let reply = admin.post("/policies", &policy).await;
    assert_eq!(reply.json(), json!({"key": "p", "status": "ok", "action": "added"}), "{reply:?}");
    assert!(gate.dir().join("policies/p.json").exists());
    admin.reload().await;
    assert_eq!(admin.get("/policies/p").await.json()["rate"], 5);
    assert_eq!(admin.get("/policies").await.json().as_array().unwrap().len(), 1);
    policy["rate"] = json!(6);
    assert_eq!(admin.put("/policies/p", &policy).await.json()["action"], "modified");
    let mismatch = "Request ID does not match that in policy! For Update operations these must match.";
    assert_error(&admin.put("/policies/q", &policy).await, 400, mismatch);
    assert_error(
        &admin.post("/policies", &json!({"name": "x"})).await,
        400,
        "Unable to create policy without id.",
    );
    assert_eq!(admin.delete("/policies/p").await.json()["action"], "deleted");
    admin.reload().await;
    assert_error(&admin.get("/policies/p").await, 404, "Policy not found");
}

#[tokio::test]
async fn c2_1_row_2_ids_cannot_leave_their_folder() {
    let gate = Gate::setup().start().await;
    let admin = gate.admin();
    for id in ["../evil", "a/b", "..", "x\u{0}y"] {
        let mut api = keyless("a", "http://127.0.0.1:1");
        api["api_id"] = json!(id);
        let reply = admin.post("/apis", &api).await;
        assert_eq!(reply.status, 400, "{id:?}: {reply:?}");
        let reply = admin.post("/policies", &json!({"id": id, "org_id": "org"})).await;
        assert_eq!(reply.status, 400, "{id:?}: {reply:?}");
    }
    assert!(!gate.dir().join("evil.json").exists());
}

#[tokio::test]
async fn c7_1_row_1_a_port_of_its_own_keeps_it_off_the_data_plane() {
    let control = 20_000 + u16::try_from(std::process::id() % 5_000).unwrap();
    let mut gate = Gate::setup().conf(json!({"control_api_port": control})).prepare();
    gate.spawn();
    let secret = format!("x-tyk-authorization: {}", Gate::SECRET);
    let url = format!("http://127.0.0.1:{control}/tyk/apis");
    e2e::until("the control port answers", async || curl(&["-H", &secret, &url]).await.status == 200).await;
    assert_eq!(gate.get("/tyk/apis", &["-H", &secret]).await.status, 404);
}

#[tokio::test]
async fn metrics_are_offered_to_prometheus() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().api(keyless("a", &upstream.url(""))).start().await;
    assert_eq!(gate.get("/a/x", &[]).await.status, 200);
    let reply = gate.get("/metrics", &[]).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.text().contains("# TYPE "), "{}", reply.text());
}
