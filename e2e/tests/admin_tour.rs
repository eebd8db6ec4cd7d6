//! A tour of the admin API with curl, as an operator would make it: import, versions, keys, debug, export, farewell.

use e2e::definition::{oas, session};
use e2e::{Gate, Upstream};
use serde_json::{Value, json};

#[tokio::test]
async fn c7_3_rows_15_and_23_an_operator_makes_a_tour() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup().start().await;
    let admin = gate.admin();
    let done = |key: &str, action: &str| json!({"key": key, "status": "ok", "action": action});

    // A plain OpenAPI document becomes an API, guarded by what the document asks for.
    let plain = json!({
        "openapi": "3.0.3", "info": {"title": "Pets", "version": "1"},
        "servers": [{"url": upstream.url("")}],
        "security": [{"key": []}],
        "components": {"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Key"}}},
        "paths": {"/pets": {"get": {"responses": {"200": {"description": "pets"}}}}},
    });
    let reply = admin.post("/apis/oas/import?apiID=pets&listenPath=/shop/&authentication=true", &plain).await;
    assert_eq!(reply.json(), done("pets", "added"), "{reply:?}");
    assert!(reply.header("x-sluicegate-generation").is_some());
    assert_eq!(gate.get("/shop/pets", &[]).await.status, 401);

    // A key opens it; a policy changes what the key may do.
    let policy = json!({
        "id": "slow", "org_id": "", "rate": 1000, "per": 1, "access_rights": {"pets": {"api_id": "pets", "versions": ["Default"]}},
    });
    assert_eq!(admin.post("/policies", &policy).await.json(), done("slow", "added"));
    let key = admin.key(&session(&["pets"])).await;
    let header = format!("x-key: {key}");
    assert_eq!(gate.get("/shop/pets", &["-H", &header]).await.status, 200);
    let reply = admin.post("/keys/preview", &json!({"apply_policies": ["slow"]})).await;
    assert_eq!((reply.status, &reply.json()["rate"]), (200, &json!(1000)));

    // A second version, for who asks for it.
    let mut next = oas("second", &upstream.url("/two"));
    next["x-tyk-api-gateway"]["info"]["state"]["internal"] = json!(true);
    let query = "base_api_id=pets&base_api_version_name=v1&new_version_name=v2";
    let reply = admin.post(&format!("/apis/oas?{query}"), &next).await;
    assert_eq!(reply.json(), done("second", "added"), "{reply:?}");
    assert_eq!(gate.get("/shop/pets", &["-H", "x-api-version: v2"]).await.status, 200, "the version is open");
    assert_eq!(gate.get("/shop/pets", &["-H", "x-api-version: v3"]).await.status, 404);
    assert_eq!(gate.get("/second/", &[]).await.status, 404, "it is internal");
    let listed = admin.get("/apis/pets/versions").await.json();
    let names: Vec<&Value> =
        listed["apis"].as_array().unwrap().iter().map(|api| &api["versionName"]).collect();
    assert_eq!(names, ["v1", "v2"], "{listed}");
    let base = admin.get("/apis/oas/second").await;
    assert_eq!(base.header("x-tyk-base-api-id").as_deref(), Some("pets"));

    // Another document, and the gateway's part stays.
    let mut patch = plain.clone();
    patch["info"]["title"] = json!("More pets");
    let reply = admin.call("PATCH", "/apis/oas/pets", Some(&patch.to_string())).await;
    assert_eq!(reply.json(), done("pets", "modified"), "{reply:?}");
    assert_eq!(gate.get("/shop/pets", &[]).await.status, 401, "it is guarded as before");
    let export = admin.get("/apis/oas/pets/export").await;
    assert_eq!(
        export.header("content-disposition").as_deref(),
        Some("attachment;filename=\"TykOasApiDef-pets.json\"")
    );
    assert_eq!(export.json()["info"]["title"], "More pets");
    let public = admin.get("/apis/oas/pets/export?mode=public").await.json();
    assert_eq!(public.get("x-tyk-api-gateway"), None);

    // A definition is tried without being there, and one that is wrong changes nothing.
    let tried = json!({"oas": oas("tried", &upstream.url("")), "request": {"path": "/tried/x"}});
    let report = admin.post("/debug", &tried).await.json();
    assert!(report["response"].as_str().unwrap().contains("HTTP/1.1 200"), "{report}");
    assert_eq!(admin.get("/apis/tried").await.status, 404);
    let mut wrong = oas("pets", &upstream.url(""));
    wrong["x-tyk-api-gateway"]["server"]["listenPath"] = json!({"value": 7});
    let reply = admin.put("/apis/oas/pets", &wrong).await;
    assert_eq!((reply.status, &reply.json()["errors"][0]["place"]["line"]), (400, &json!(1)), "{reply:?}");
    assert_eq!(admin.get("/reload?block=perhaps").await.status, 400);

    // What describes it.
    let document = admin.get("/openapi.json").await.json();
    assert!(document["paths"]["/tyk/apis/oas/import"]["post"].is_object());
    assert_eq!(admin.get("/schema?oasVersion=3.1").await.json()["status"], "Success");

    // Everything goes again, in any order.
    assert_eq!(admin.delete("/apis/oas/second").await.json(), done("second", "deleted"));
    assert_eq!(gate.get("/shop/pets", &["-H", "x-api-version: v2"]).await.status, 404);
    assert_eq!(admin.delete(&format!("/keys/{key}")).await.status, 200);
    assert_eq!(gate.get("/shop/pets", &["-H", &header]).await.status, 403);
    assert_eq!(admin.delete("/policies/slow").await.json(), done("slow", "deleted"));
    assert_eq!(admin.delete("/apis/oas/pets").await.json(), done("pets", "deleted"));
    assert_eq!(gate.get("/shop/pets", &["-H", &header]).await.status, 404);
    assert_eq!(admin.get("/apis").await.json(), json!([]));
}
