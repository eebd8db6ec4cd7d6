//! Everything but keys and definitions (contract 7.1, 7.3).

use serde_json::{Value, json};

use super::{Admin, api, count_quota, oas};

#[tokio::test]
async fn c7_1_rows_1_2_4_who_may_call_and_what_is_there() {
    let admin = Admin::plain().await;
    let wrong = "{\"status\":\"error\",\"message\":\"Attempted administrative access with invalid or missing key!\"}\n";
    for (method, path, secret, status, body) in [
        ("GET", "/tyk/apis", None, 403, wrong),
        ("GET", "/tyk/apis", Some("nonsense"), 403, wrong),
        ("GET", "/tyk/nowhere", None, 403, wrong),
        ("GET", "/tyk", None, 403, wrong),
        ("PATCH", "/tyk/keys", None, 403, wrong),
        ("GET", "/tyk/nowhere", Some("secret"), 404, "404 page not found\n"),
        ("GET", "/tyk/", Some("secret"), 404, "404 page not found\n"),
        ("GET", "/tyk/keys/a/b", Some("secret"), 404, "404 page not found\n"),
        ("GET", "/tyk/apis/", Some("secret"), 200, "[]\n"),
        (
            "PATCH",
            "/tyk/keys",
            Some("secret"),
            405,
            "{\"status\":\"error\",\"message\":\"Method not supported\"}\n",
        ),
        (
            "HEAD",
            "/tyk/apis",
            Some("secret"),
            405,
            "{\"status\":\"error\",\"message\":\"Method not supported\"}\n",
        ),
        ("POST", "/hello", None, 405, "{\"status\":\"error\",\"message\":\"Method Not Allowed\"}\n"),
    ] {
        let reply = admin.send(method, path, "", secret).await;
        assert_eq!((reply.status, reply.text.as_str()), (status, body), "{method} {path} {secret:?}");
    }
    for (method, path, allowed) in [
        ("PATCH", "/tyk/keys", "GET, POST"),
        ("GET", "/tyk/apis/oas/import", "POST"),
        ("POST", "/hello", "GET"),
    ] {
        let reply = admin.send(method, path, "", Some("secret")).await;
        assert_eq!((reply.status, reply.header("allow")), (405, Some(allowed)), "{method} {path}");
    }
    let closed = Admin::start(|settings| settings.secret = None).await;
    assert_eq!(closed.send("GET", "/tyk/apis", "", Some("")).await.status, 403, "no secret opens nothing");
}

#[tokio::test]
async fn c7_1_row_5_answers_are_safe_inside_html() {
    let admin = Admin::plain().await;
    let mut named = api("a");
    named["name"] = json!("<b>&</b>");
    admin.add("/apis", &named).await;
    let reply = admin.get("/apis/a").await;
    assert!(
        reply.text.contains(r"\u003cb\u003e\u0026\u003c/b\u003e") && reply.text.ends_with("}\n"),
        "{reply:?}"
    );
    let mut document = oas("o");
    document["info"]["title"] = json!("a<b");
    admin.add("/apis/oas", &document).await;
    for path in ["/apis/oas/o", "/apis/oas"] {
        let reply = admin.get(path).await;
        assert!(reply.text.contains(r"a\u003cb") && !reply.text.ends_with('\n'), "{reply:?}");
    }
}

#[tokio::test]
async fn c7_3_rows_25_to_27_policies() {
    let admin = Admin::plain().await;
    let policy = json!({"id": "p", "org_id": "org", "rate": 5, "per": 1});
    let known = json!({"_id": "5ead7120575961000181867e", "org_id": "org"});
    let modified = |key: &str, action: &str| json!({"key": key, "status": "ok", "action": action});
    let mismatch = "Request ID does not match that in policy! For Update operations these must match.";
    let nameless = "Unable to create policy without id.";
    admin
        .table(&[
            ("GET", "/policies", "", 200, json!([])),
            ("GET", "/policies/p", "", 404, json!("Policy not found")),
            ("POST", "/policies", "{nonsense", 400, json!("Request malformed")),
            ("POST", "/policies", "{}", 400, json!(nameless)),
            ("POST", "/policies", r#"{"_id":"not of a database"}"#, 400, json!(nameless)),
            ("POST", "/policies", &policy.to_string(), 200, modified("p", "added")),
            ("POST", "/policies", &known.to_string(), 200, modified("5ead7120575961000181867e", "added")),
            ("PUT", "/policies/q", &policy.to_string(), 400, json!(mismatch)),
            ("PUT", "/policies/p", &policy.to_string(), 200, modified("p", "modified")),
            ("GET", "/policies/p", "", 200, policy.clone()),
            (
                "DELETE",
                "/policies/5ead7120575961000181867e",
                "",
                200,
                modified("5ead7120575961000181867e", "deleted"),
            ),
            ("DELETE", "/policies/none", "", 500, json!("Delete failed")),
            ("GET", "/policies", "", 200, json!([policy])),
        ])
        .await;
}

#[tokio::test]
async fn c7_3_rows_26_and_27_policies_that_cannot_be_written_or_removed_are_told() {
    let admin = Admin::plain().await;
    // Nobody, whatever they may do, can put a file where a folder is, or remove that as one.
    std::fs::create_dir_all(admin.folder.join("policies/p.json/inside")).unwrap();
    let policy = json!({"id": "p", "org_id": "org"}).to_string();
    admin
        .table(&[
            ("POST", "/policies", &policy, 500, json!("Failed to create file!")),
            ("PUT", "/policies/p", &policy, 500, json!("Failed to create file!")),
            ("DELETE", "/policies/p", "", 500, json!("Delete failed")),
        ])
        .await;
    let told = admin.post("/policies", &json!({"id": "p"})).await.json();
    assert!(told["errors"][0]["message"].as_str().unwrap().contains("p.json"), "{told}");
}

#[tokio::test]
async fn c7_3_row_32_organisations_without_an_api_here_can_be_unknown() {
    let admin = Admin::start(|settings| settings.orgs_of_apis_only = true).await;
    let session = json!({"quota_max": 10}).to_string();
    let unknown = "No such organisation found in Active API list";
    admin
        .table(&[
            ("GET", "/org/keys", "", 404, json!("ORG not found")),
            ("GET", "/org/keys/org", "", 404, json!("Org not found")),
            ("POST", "/org/keys/org", &session, 404, json!(unknown)),
            ("PUT", "/org/keys/org", &session, 404, json!(unknown)),
            ("DELETE", "/org/keys/org", "", 404, json!("Org not found")),
        ])
        .await;
    admin.add("/apis", &api("a")).await;
    let modified = |action: &str| json!({"key": "org", "status": "ok", "action": action});
    admin
        .table(&[
            ("POST", "/org/keys/org", &session, 200, modified("added")),
            ("GET", "/org/keys?filter=or", "", 200, json!({"keys": ["org"]})),
            ("GET", "/org/keys?filter=other", "", 404, json!("ORG not found")),
            ("POST", "/org/keys/other", &session, 404, json!(unknown)),
            ("DELETE", "/org/keys/org", "", 200, modified("deleted")),
        ])
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn c7_3_row_21_a_key_is_deleted_once_however_many_ask_for_it() {
    let admin = Admin::plain().await;
    admin.add("/apis", &api("a")).await;
    let session = json!({"org_id": "org", "access_rights": {"a": {"api_id": "a", "api_name": "a"}}});
    for _ in 0..20 {
        admin.add("/keys/mine", &session).await;
        let asked: Vec<_> = (0..8).map(|_| admin.delete("/keys/orgmine")).collect();
        let replies = futures_util::future::join_all(asked).await;
        let removed = replies.iter().filter(|reply| reply.status == 200).count();
        assert_eq!(removed, 1, "{replies:?}");
        for reply in replies.iter().filter(|reply| reply.status != 200) {
            // Who came when it was gone, and who came when it was about to go.
            let told = (reply.status, reply.json()["message"].as_str().unwrap_or_default().to_owned());
            let late = (404, "There is no such key found".to_owned());
            let beaten = (400, "Failed to remove the key".to_owned());
            assert!(told == late || told == beaten, "{reply:?}");
        }
    }
}

#[tokio::test]
async fn c7_3_row_32_organisations() {
    let admin = Admin::plain().await;
    let session = json!({"quota_max": 10, "quota_renewal_rate": 60, "org_id": "acme"});
    let modified = |action: &str| json!({"key": "acme", "status": "ok", "action": action});
    admin
        .table(&[
            ("GET", "/org/keys", "", 200, json!({"keys": []})),
            ("GET", "/org/keys/acme", "", 404, json!("Org not found")),
            ("DELETE", "/org/keys/acme", "", 404, json!("Org not found")),
            ("POST", "/org/keys/acme", "{nonsense", 400, json!("Request malformed")),
            ("PUT", "/org/keys/acme", "[]", 400, json!("Request malformed")),
            ("POST", "/org/keys/acme", &session.to_string(), 200, modified("added")),
            ("PUT", "/org/keys/acme", &session.to_string(), 200, modified("modified")),
            ("GET", "/org/keys/acme", "", 200, session.clone()),
            ("GET", "/org/keys", "", 200, json!({"keys": ["acme"]})),
            ("GET", "/org/keys?filter=ac", "", 200, json!({"keys": ["acme"]})),
            ("GET", "/org/keys?filter=b", "", 200, json!({"keys": []})),
            ("GET", "/keys", "", 200, json!({"keys": []})),
        ])
        .await;
    // Its quota begins anew only when asked to.
    count_quota(&admin.gate, "acme", 60).await;
    admin.put("/org/keys/acme", &session).await;
    assert!(admin.gate.state.peek_quota("acme").await.unwrap().is_some());
    admin.put("/org/keys/acme?reset_quota=1", &session).await;
    assert!(admin.gate.state.peek_quota("acme").await.unwrap().is_none());
    assert!(admin.get("/org/keys/acme").await.json()["quota_renews"].as_i64() > Some(0));
    let mut signals = admin.gate.state.signals();
    admin.table(&[("PUT", "/org/keys/acme", &session.to_string(), 200, modified("modified"))]).await;
    admin.table(&[("DELETE", "/org/keys/acme", "", 200, modified("deleted"))]).await;
    for change in ["replaced", "deleted"] {
        let told = ::state::Signal::KeysChanged(vec!["acme".to_owned()]);
        assert_eq!(signals.try_recv().unwrap(), told, "every node hears of an organisation that is {change}");
    }
}

#[tokio::test]
async fn c7_3_rows_43_and_45_what_is_kept_for_speed_and_what_is_not_here() {
    let admin = Admin::plain().await;
    admin.add("/apis", &api("a")).await;
    let mut signals = admin.gate.state.signals();
    admin
        .table(&[
            ("DELETE", "/cache/a", "", 200, json!({"status": "ok", "message": "cache invalidated"})),
            ("GET", "/health?api_id=a", "", 400, json!("Health checks are not enabled for this node")),
            ("GET", "/mcps", "", 200, json!([])),
            ("GET", "/mcps/a", "", 404, json!("API is not an MCP Proxy")),
            ("GET", "/mcps/none", "", 404, json!("API not found")),
            ("DELETE", "/mcps/a", "", 404, json!("API is not an MCP Proxy")),
            ("DELETE", "/mcps/none", "", 404, json!("API not found")),
            ("PUT", "/mcps/a", "{}", 404, json!("API is not an MCP Proxy")),
            ("PUT", "/mcps/none", "{}", 404, json!("API not found")),
            ("POST", "/mcps", "[]", 400, json!("request malformed")),
            ("POST", "/mcps", "{}", 400, json!("the payload should contain x-tyk-api-gateway")),
        ])
        .await;
    assert_eq!(signals.recv().await.unwrap(), ::state::Signal::CacheDropped("a".to_owned()));
    let counts = Admin::start(|settings| settings.health_window = Some(60)).await;
    counts.add("/apis", &api("a")).await;
    let averages = json!({
        "throttle_reqests_per_second": 0, "quota_violations_per_second": 0, "key_failures_per_second": 0,
        "average_upstream_latency": 0, "average_requests_per_second": 0
    });
    let told = counts.get("/health?api_id=a").await.json();
    let names =
        |value: &Value| value.as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>();
    assert_eq!(names(&told), names(&averages), "the names of the original, misspelt one included");
    counts
        .table(&[
            ("GET", "/health", "", 400, json!("missing api_id parameter")),
            ("GET", "/health?api_id=none", "", 404, json!("API ID not found")),
        ])
        .await;
}

#[tokio::test]
async fn c7_3_rows_1_and_2_reloads() {
    let admin = Admin::plain().await;
    for path in ["/reload", "/reload?block=true"] {
        let reply = admin.get(path).await.json();
        assert_eq!((&reply["status"], &reply["message"]), (&json!("ok"), &json!("")), "{path}");
    }
    let mut signals = admin.gate.state.signals();
    assert_eq!(admin.get("/reload/group").await.json(), json!({"status": "ok", "message": ""}));
    assert_eq!(signals.recv().await.unwrap(), ::state::Signal::Reload);
}

#[tokio::test]
async fn the_document_describes_what_is_routed() {
    let admin = Admin::plain().await;
    let document = admin.get("/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.0.3");
    let secret = &document["components"]["securitySchemes"]["secret"]["name"];
    assert_eq!(secret, "x-tyk-authorization");
    assert_ne!(document["paths"]["/tyk/keys/{key}"]["put"]["requestBody"], Value::Null);
}
