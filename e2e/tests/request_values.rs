//! Streams that requests fill in, and what a gate says beforehand about definitions (streams contract 1.6, 1.12).

use std::process::Command;
use std::time::Duration;

use e2e::definition::session;
use e2e::streaming::{events, guarded, sse_output};
use e2e::{Endless, Gate, binary, tools, until};
use serde_json::{Value, json};

/// One message that says for whom it is, for each client that asks.
fn greeting(who: &str) -> Value {
    json!({
        "input": {"generate": {"mapping": format!("root = \"for {who}\""), "count": 1, "interval": "0s"}},
        "output": {"http_server": {"path": "/get", "stream_path": "", "ws_path": ""}},
    })
}

#[tokio::test]
async fn c3_7_row_2_a_stream_runs_for_each_set_of_values() {
    let gate = Gate::setup()
        .env("TYK_SECRET_SALT", "sa\"lt")
        .oas(events("ev", json!({"s": greeting("$tyk_context.headers_X_Who $secret_env.SALT")})))
        .oas(events("open", json!({"s": greeting("${tyk_context.request_data_who:nobody}")})))
        .oas(guarded(events("keyed", json!({"s": greeting("$tyk_meta.team/$tyk_context.path_parts")}))))
        .start()
        .await;
    for (path, header, status, text) in [
        ("/ev/get", "X-Who: ann \"a\"", 200, "for ann \"a\" sa\"lt"),
        ("/ev/get", "X-Who: bob", 200, "for bob sa\"lt"),
        ("/ev/get", "X-Other: bob", 400, "there is no value for `$tyk_context.headers_X_Who`"),
        ("/ev/get", "X-Who: ${! env(\"HOME\") }", 400, "holds `${`"),
        ("/ev/other", "X-Who: bob", 404, "not found"),
        ("/open/get", "X-Who: bob", 200, "for nobody"),
        ("/open/get?who=cid", "X-Who: bob", 200, "for cid"),
    ] {
        let reply = gate.get(path, &["-H", header]).await;
        assert_eq!(reply.status, status, "{path} {header}: {reply:?}");
        assert!(reply.text().contains(text), "{path} {header}: {text:?} is not in {reply:?}");
    }
    let mut with_team = session(&["keyed"]);
    with_team["meta_data"] = json!({"team": "blue"});
    for (session, status, text) in [
        (with_team, 200, "for blue/keyed,get"),
        (session(&["keyed"]), 400, "there is no value for `$tyk_meta.team`"),
    ] {
        let key = format!("Authorization: {}", gate.admin().key(&session).await);
        let reply = gate.get("/keyed/get", &["-H", &key]).await;
        assert!(reply.status == status && reply.text().contains(text), "{reply:?}");
    }
    // The secret is nowhere to be seen, and what several variants counted is counted together.
    let shown = gate.admin().get("/streams/ev_s").await;
    assert!(!shown.text().contains("sa\\\"lt"), "{shown:?}");
    let metrics = gate.get("/metrics", &[]).await;
    let counted =
        metrics.text().lines().find(|line| line.starts_with("input_received{") && line.contains("\"ev\""));
    assert!(counted.is_some_and(|line| line.ends_with(" 2")), "{counted:?}");
}

/// What the reference needs an engine for, and so it is here: a consumer group for each client, which all see everything.
#[tokio::test]
async fn c3_7_row_4_a_consumer_group_for_each_request_gives_everything_to_everybody() {
    let brokers = tools::service("kafka");
    let topic = format!("e2e-values-{}-{:?}", std::process::id(), std::time::SystemTime::now())
        .replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "");
    tools::kafka_produce(&brokers, &topic, b"one\ntwo\nthree\n").await;
    let stream = json!({
        "input": {"kafka": {
            "addresses": [brokers], "topics": [topic], "consumer_group": "$tyk_context.request_id",
        }},
        "output": sse_output(json!({})),
    });
    let gate = Gate::setup().oas(events("ev", json!({"s": stream}))).start().await;
    let listed = async || gate.admin().get("/streams").await.json()["ev_s"].is_object();
    assert!(!listed().await, "nobody has asked for it");
    let mut clients = Vec::new();
    for _ in 0..2 {
        clients.push(Endless::get(gate.port(), "/ev/sse", &[]).await);
    }
    for client in &mut clients {
        // The topic may have several partitions, which have no order among them.
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(tokio::time::timeout(Duration::from_secs(60), client.data()).await.unwrap().unwrap());
        }
        seen.sort();
        assert_eq!(seen, ["one", "three", "two"]);
    }
    assert!(listed().await);
    drop(clients);
    until("the streams of clients that left to end", async || !listed().await).await;
}

#[tokio::test]
async fn streams_come_and_go_beside_apis() {
    let gate = Gate::setup().oas(events("ev", json!({"s": greeting("all")}))).start().await;
    let echo = json!({
        "input": {"http_server": {"path": "/post", "ws_path": ""}},
        "pipeline": {"processors": [{"mapping": "root = \"heard \" + content()"}]},
        "output": {"sync_response": {}},
    });
    let asked = gate.admin().post("/streams/echo", &echo).await;
    assert_eq!(asked.status, 200, "{asked:?}");
    let post = async || gate.get("/echo/post", &["--data-binary", "you"]).await;
    assert_eq!(post().await.text(), "heard you");
    gate.admin().reload().await;
    assert_eq!(post().await.text(), "heard you");
    let list = gate.admin().get("/streams").await.json();
    assert_eq!(list.as_object().unwrap().keys().collect::<Vec<_>>(), ["echo", "ev_s"]);
    until("all to be ready", async || gate.admin().get("/streams/ready").await.status == 200).await;
    assert_eq!(gate.admin().delete("/streams/echo").await.status, 200);
    assert_eq!(post().await.status, 404);
}

/// What lint says of a definition with this stream, by itself and for gates with these settings.
fn judged(conf: Option<Value>, stream: &Value) -> (Option<i32>, String) {
    let definition = events("ev", json!({"s": stream})).to_string();
    let mut setup = Gate::setup().file("events.json", &definition);
    let mut arguments = vec!["lint", "events.json"];
    if let Some(conf) = conf {
        setup = setup.conf(conf);
        arguments.extend(["--conf", "tyk.conf"]);
    }
    let folder = setup.prepare();
    let done = Command::new(binary()).args(arguments).current_dir(folder.dir()).output().unwrap();
    (done.status.code(), String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned())
}

#[test]
fn c3_7_rows_1_and_5_lint_judges_by_the_settings_of_a_gate() {
    let stream = |output: Value| json!({"input": {"http_server": {}}, "output": output});
    let file = stream(json!({"file": {"path": "/tmp/x"}}));
    let secret = stream(json!({"reject": "$secret_conf.word"}));
    let variable = stream(json!({"reject": "${STREAM_WORD:x}"}));
    let request = stream(json!({"reject": "$tyk_context.headers_X"}));
    let impossible =
        json!({"input": {"generate": {"mapping": "root = 1"}}, "output": {"reject": "$tyk_meta.x"}});
    for (conf, stream, code, told) in [
        (None, &file, 1, "`file`"),
        (Some(json!({})), &file, 1, "`file`"),
        (Some(json!({"streaming": {"allow_unsafe": ["file"]}})), &file, 0, "0 errors"),
        (None, &secret, 0, "0 errors"),
        (Some(json!({})), &secret, 1, "no value for `$secret_conf.word`"),
        (Some(json!({"secrets": {"word": "w"}})), &secret, 0, "0 errors"),
        (Some(json!({})), &variable, 1, "STREAM_WORD"),
        (Some(json!({"streaming": {"environment": ["STREAM_*"]}})), &variable, 0, "0 errors"),
        (Some(json!({})), &request, 0, "0 errors"),
        (None, &request, 0, "0 errors"),
        (Some(json!({})), &impossible, 1, "no endpoint"),
        (Some(json!({"streaming": {"enabled": false}})), &request, 1, "switched off"),
        (Some(json!({"listen_port": "x"})), &request, 1, "listen_port"),
    ] {
        let (found, text) = judged(conf.clone(), stream);
        assert!(found == Some(code) && text.contains(told), "{conf:?} {stream}: {found:?} {text}");
    }
}
