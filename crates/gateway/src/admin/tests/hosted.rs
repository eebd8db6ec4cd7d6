//! Streams that come and go beside the APIs of a catalog (streams contract 5.12).

use serde_json::{Value, json};

use super::{Admin, api, oas};

fn stream(prefix: &str) -> Value {
    json!({
        "input": {"http_server": {"path": "/post", "ws_path": ""}},
        "pipeline": {"processors": [{"mapping": format!("root = {prefix:?} + content()")}]},
        "output": {"sync_response": {}},
    })
}

/// An API of this id with a stream `s`.
fn events(id: &str) -> Value {
    let mut document = oas(id);
    document["x-tyk-api-gateway"].as_object_mut().unwrap().remove("upstream");
    document["x-tyk-streaming"] = json!({"streams": {"s": stream("")}});
    document
}

async fn with_streams() -> Admin {
    Admin::start(|settings| settings.streaming = true).await
}

impl Admin {
    /// The API at a path, as requests find it.
    fn at(&self, path: &str) -> Option<String> {
        let snapshot = self.gate.snapshot();
        snapshot.routes.find("host", path).map(|found| found.api.identity.id.to_string())
    }

    async fn ids(&self) -> Vec<String> {
        self.get("/streams").await.json().as_object().unwrap().keys().cloned().collect()
    }
}

#[tokio::test]
async fn streams_come_change_and_go_beside_apis() {
    let admin = with_streams().await;
    admin.add("/apis/oas", &events("api")).await;
    admin.add("/streams/orders", &stream("one ")).await;
    let list = admin.get("/streams").await.json();
    assert_eq!(list.as_object().unwrap().keys().collect::<Vec<_>>(), ["api_s", "orders"]);
    assert_eq!((&list["orders"]["active"], &list["api_s"]["api_id"]), (&json!(true), &json!("api")));
    assert!(list["api_s"]["uptime"].is_f64() && list["orders"]["uptime_str"].is_string(), "{list}");
    assert_eq!(admin.at("/orders/post").as_deref(), Some("orders"));

    // No change of the catalog takes it away, and no list of definitions has it.
    admin.add("/apis", &api("other")).await;
    assert_eq!(admin.at("/orders/post").as_deref(), Some("orders"));
    assert_eq!(admin.at("/other/").as_deref(), Some("other"));
    assert_eq!(admin.get("/apis").await.json().as_array().unwrap().len(), 2);
    assert_eq!(admin.get("/apis/oas").await.json().as_array().unwrap().len(), 1);
    assert_eq!(admin.get("/apis/orders").await.status, 404);
    assert_eq!(admin.delete("/apis/orders").await.status, 404);

    assert_eq!(admin.put("/streams/orders", &stream("two ")).await.status, 200);
    let merged = json!({"pipeline": {"threads": 2}});
    assert_eq!(admin.call("PATCH", "/streams/orders", &merged.to_string()).await.status, 200);
    let config = &admin.get("/streams/orders").await.json()["config"];
    assert_eq!(config["pipeline"]["threads"], 2, "{config}");
    assert!(config["pipeline"]["processors"][0]["mapping"].as_str().unwrap().contains("two"), "{config}");
    assert_eq!(admin.get("/streams/api_s").await.json()["config"]["input"]["http_server"]["path"], "/post");
    for id in ["orders", "api_s"] {
        let stats = admin.get(&format!("/streams/{id}/stats")).await.json();
        assert!(stats["uptime_ns"].is_u64() && stats.as_object().unwrap().len() > 5, "{id}: {stats}");
    }
    let ready = async {
        while admin.get("/streams/ready").await.status != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), ready).await.unwrap();
    let components = admin.get("/streams/components").await.json();
    assert!(components["components"].as_array().unwrap().len() >= 4, "{components}");

    // The whole set leaves the streams of definitions alone.
    assert_eq!(admin.post("/streams", &json!({"new": stream("three ")})).await.status, 200);
    assert_eq!(admin.ids().await, ["api_s", "new"]);
    assert_eq!((admin.at("/orders/post"), admin.at("/new/post").as_deref()), (None, Some("new")));
    assert_eq!(admin.delete("/streams/new").await.status, 200);
    assert_eq!(admin.ids().await, ["api_s"]);
    assert_eq!(admin.at("/new/post"), None);
    assert_eq!(admin.at("/api/post").as_deref(), Some("api"));
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_changes_nothing() {
    let admin = with_streams().await;
    admin.add("/apis/oas", &events("api")).await;
    let mut elsewhere = api("elsewhere");
    elsewhere["proxy"]["listen_path"] = json!("/taken/");
    admin.add("/apis", &elsewhere).await;
    admin.add("/streams/orders", &stream("")).await;
    let good = stream("").to_string();
    let unknown = r#"{"input": {"http_server": {}}, "output": {"dorp": {}}}"#;
    let unsafe_one = r#"{"input": {"http_server": {}}, "output": {"file": {"path": "/tmp/x"}}}"#;
    let belongs = "the stream belongs to the API `api`: change its definition";
    for (method, path, body, status, told) in [
        ("POST", "/streams/orders", &*good, 400, "Stream already exists"),
        ("POST", "/streams/api_s", &good, 400, "Stream already exists"),
        ("PUT", "/streams/api_s", &good, 409, belongs),
        ("PATCH", "/streams/api_s", "{}", 409, belongs),
        ("DELETE", "/streams/api_s", "", 409, belongs),
        ("GET", "/streams/none", "", 404, "Stream not found"),
        ("GET", "/streams/none/stats", "", 404, "Stream not found"),
        ("PUT", "/streams/none", &good, 404, "Stream not found"),
        ("DELETE", "/streams/none", "", 404, "Stream not found"),
        ("POST", "/streams/api", &good, 400, "`api` is the id of an API"),
        ("POST", "/streams/taken", &good, 400, "taken"),
        ("POST", "/streams/tyk", &good, 400, "`tyk` is no id"),
        ("POST", "/streams/hello", &good, 400, "`hello` is no id"),
        ("POST", "/streams/components", &good, 405, "Method not supported"),
        ("POST", "/streams", r#"{"components": {}}"#, 400, "`components` is no id"),
        ("POST", "/streams/new", unknown, 400, "drop"),
        ("POST", "/streams/new?chilled=true", unknown, 400, "dorp"),
        ("POST", "/streams/new", unsafe_one, 400, "file"),
        ("POST", "/streams/new?chilled=true", unsafe_one, 400, "file"),
        ("POST", "/streams/new", "{\"input\": ", 400, "JSON"),
        ("POST", "/resources/tea/x", "{}", 404, "resources are of"),
    ] {
        let reply = admin.call(method, path, body).await;
        let json = reply.json();
        assert_eq!((reply.status, &json["status"]), (status, &json!("error")), "{method} {path}: {reply:?}");
        assert!(reply.text.contains(told), "{method} {path}: {told:?} is not in {reply:?}");
    }
    let lints = admin.call("POST", "/streams/new", unknown).await.json();
    assert!(lints["lint_errors"][0].as_str().unwrap().contains("/output/dorp"), "{lints}");
    assert_eq!(admin.ids().await, ["api_s", "orders"]);
    // A definition that comes later does not push a stream aside.
    admin.add("/apis", &api("orders")).await;
    assert_eq!(admin.at("/orders/post").as_deref(), Some("orders"));
    assert_eq!(admin.get("/streams/orders").await.status, 200);

    let off = Admin::start(|settings| settings.streaming = false).await;
    let reply = off.post("/streams/orders", &stream("")).await;
    assert!(reply.status == 400 && reply.text.contains("switched off"), "{reply:?}");
}

#[tokio::test]
async fn secrets_are_not_shown_and_resources_are_shared() {
    let admin = with_streams().await;
    let mut secret = stream("");
    secret["output"] = json!({"broker": {"outputs": [{"resource": "out"}]}});
    let cache = json!({"drop": {}});
    assert_eq!(admin.post("/resources/output/out", &cache).await.status, 200);
    admin.add("/streams/s", &secret).await;
    let counted = |stats: &Value| stats.as_object().unwrap().keys().any(|key| key.contains("label=\"out\""));
    assert!(counted(&admin.get("/streams/s/stats").await.json()));
    let config = &admin.get("/streams/s").await.json()["config"];
    assert_eq!(config["output_resources"], Value::Null, "as it was given: {config}");
}

#[tokio::test]
async fn a_lenient_resource_is_no_fault_of_strict_streams() {
    let admin = with_streams().await;
    let odd = r#"{"memory": {"nonsense": 1}}"#;
    let broken = r#"{"memory": {}, "nonsense": 1}"#;
    let reply = admin.call("POST", "/resources/cache/odd?chilled=true", broken).await;
    assert_eq!(reply.status, 400, "what cannot be built is refused: {reply:?}");
    assert_eq!(admin.call("POST", "/resources/cache/odd", odd).await.status, 400);
    assert_eq!(admin.call("POST", "/resources/cache/odd?chilled=true", odd).await.status, 200);
    admin.add("/streams/strict", &stream("")).await;
    let mut wrong = stream("");
    wrong["nonsense"] = json!(1);
    assert_eq!(admin.post("/streams/wrong", &wrong).await.status, 400, "its own faults count");
    assert_eq!(admin.post("/streams/wrong?chilled=true", &wrong).await.status, 200);
    // Who uses it is built anew, and stays as strict as it was.
    let mut user = stream("");
    user["pipeline"]["processors"] =
        json!([{"cache": {"resource": "odd", "operator": "set", "key": "k", "value": "v"}}]);
    admin.add("/streams/user", &user).await;
    assert_eq!(admin.call("POST", "/resources/cache/odd?chilled=true", odd).await.status, 200);
    let more = json!({"nonsense": 1}).to_string();
    assert_eq!(admin.call("PATCH", "/streams/user", &more).await.status, 400);
}
