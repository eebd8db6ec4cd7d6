//! Hosts that are down, as probes find, and who is asked then (contract 4.6, "Uptime tests", "Load balancing").

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use e2e::definition::{keyless, oas};
use e2e::{Gate, Socket, Spoken, Upstream, until};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers `/health` as it is told, and all else with its name.
async fn host(name: &'static str) -> (Spoken, Arc<AtomicU16>) {
    let health = Arc::new(AtomicU16::new(200));
    let tells = Arc::clone(&health);
    let server = Spoken::start(move |request| match request.contains(" /health ") {
        true => (tells.load(Ordering::SeqCst), String::new()),
        false => (200, name.to_owned()),
    })
    .await;
    (server, health)
}

fn quick() -> Value {
    json!({"uptime_tests": {"config": {"time_wait": 0.1, "failure_trigger_sample_size": 2}}})
}

fn balanced(id: &str, hosts: &[&Spoken], tests: Value) -> Value {
    let mut api = keyless(id, "http://127.0.0.1:1/unused");
    api["proxy"]["enable_load_balancing"] = json!(true);
    api["proxy"]["target_list"] = hosts.iter().map(|host| host.url("")).collect();
    api["proxy"]["check_host_against_uptime_tests"] = json!(true);
    api["uptime_tests"] = tests;
    api
}

#[tokio::test]
async fn c4_6_rows_2_16_18_a_host_that_is_down_is_not_asked() {
    let ((first, health), (second, other_health)) = (host("1").await, host("2").await);
    let tests = |hosts: &[&Spoken]| -> Value {
        hosts
            .iter()
            .map(|host| {
                json!({"url": host.url("/health"), "method": "PUT", "headers": {"X-Probe": "yes"}, "body": BASE64_STANDARD.encode("ping"),
                    "timeout": 2_000_000_000_u64})
            })
            .collect()
    };
    let mut document = oas("o", "http://127.0.0.1:1/unused");
    document["x-tyk-api-gateway"]["upstream"]["loadBalancing"] = json!({"enabled": true, "skipUnavailableHosts": true,
        "targets": [{"url": first.url(""), "weight": 1}, {"url": second.url(""), "weight": 1}]});
    document["x-tyk-api-gateway"]["upstream"]["uptimeTests"] =
        json!({"enabled": true, "hostDownRetestPeriod": "100ms", "tests": [{"url": first.url("/health")}]});
    let gate = Gate::setup()
        .conf(quick())
        .api(balanced("a", &[&first, &second], json!({"check_list": tests(&[&first, &second])})))
        .api(balanced("off", &[&first], json!({"disabled": true, "check_list": tests(&[&first])})))
        .oas(document)
        .start()
        .await;
    let served = async |api: &str| {
        let mut names = String::new();
        for _ in 0..4 {
            let reply = gate.get(&format!("/{api}/x"), &[]).await;
            names.push_str(if reply.status == 200 { reply.text() } else { "-" });
        }
        names
    };
    until("both are probed", async || {
        [&first, &second]
            .iter()
            .all(|host| host.asked().iter().any(|request| request.starts_with("PUT /health ")))
    })
    .await;
    let probe = first.asked().into_iter().find(|request| request.starts_with("PUT /health ")).unwrap();
    assert!(probe.to_lowercase().contains("x-probe: yes\r\n") && probe.ends_with("\r\n\r\nping"), "{probe}");
    let both = served("a").await;
    assert!(both.contains('1') && both.contains('2'), "{both}");
    // Contract 14.1 row 12: whatever is not 200 is a failure.
    health.store(204, Ordering::SeqCst);
    until("the first one is down", async || served("a").await == "2222").await;
    until("for the other format, too", async || served("o").await == "2222").await;
    other_health.store(500, Ordering::SeqCst);
    until("both are down", async || served("a").await == "----").await;
    let reply = gate.get("/a/x", &[]).await;
    assert_eq!((reply.status, reply.json()["error"].clone()), (503, json!("all hosts are down")));
    assert_eq!(Socket::open(gate.port(), "/a/ws", &[]).await.unwrap_err(), 503);
    // A state of the host counts for whoever asks for it.
    assert_eq!(gate.get("/off/x", &[]).await.status, 503);
    for health in [&health, &other_health] {
        health.store(200, Ordering::SeqCst);
    }
    until("both are up again", async || {
        let both = served("a").await;
        both.contains('1') && both.contains('2')
    })
    .await;
    assert!(gate.log().contains("HostDown") && gate.log().contains("HostUp"), "{}", gate.log());

    // What is not probed any more is not down any more.
    health.store(500, Ordering::SeqCst);
    until("the first one is down again", async || served("a").await == "2222").await;
    gate.write("apps/a.json", &balanced("a", &[&first, &second], json!({})).to_string());
    gate.write(
        "apps/o.json",
        &json!({"api_id": "o", "is_oas": true, "name": "o", "active": false, "proxy": {"listen_path": "/"}})
            .to_string(),
    );
    gate.write("apps/o-oas.json", &oas("o", "http://127.0.0.1:1/").to_string());
    gate.admin().reload().await;
    until("nobody says that it is down", async || {
        let both = served("a").await;
        both.contains('1') && both.contains('2')
    })
    .await;
}

#[tokio::test]
async fn c2_1_row_32_hosts_are_probed_over_tcp_and_as_they_are_discovered() {
    let (upstream, (second, _)) = (Upstream::start().await, host("2").await);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = Arc::new(AtomicU16::new(0));
    let answers = Arc::clone(&answer);
    // Answers talks, and requests that come as the talks do not.
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let good = answers.load(Ordering::SeqCst) == 0;
            tokio::spawn(async move {
                let mut heard = vec![0; 64];
                let length = socket.read(&mut heard).await.unwrap_or(0);
                let says: &[u8] = match &heard[..length] {
                    b"PROXY UNKNOWN\r\nPING" | b"PROXY UNKNOWN\r\n" if good => b"hello\r\n+PONG\r\n",
                    b"PROXY UNKNOWN\r\nPING" | b"PROXY UNKNOWN\r\n" => b"-ERR\r\n",
                    _ => b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n1",
                };
                let _ = socket.write_all(says).await;
                let _ = socket.read(&mut heard).await;
            });
        }
    });
    let mut api = balanced(
        "tcp",
        &[&second],
        json!({"check_list": [{"url": format!("127.0.0.1:{port}"), "protocol": "tcp", "enable_proxy_protocol": true,
            "timeout": 2_000_000_000_u64,
            "commands": [{"name": "send", "message": "PING"}, {"name": "expect", "message": "+PONG"}]}]}),
    );
    api["proxy"]["target_list"] = json!([format!("http://127.0.0.1:{port}"), second.url("")]);
    // The upstream answers `/` with 200; the other one is not there.
    let closed = e2e::free_port();
    let told = json!({"hosts": [upstream.authority(), format!("127.0.0.1:{closed}")]}).to_string();
    let server = Spoken::start(move |_| (200, told.clone())).await;
    let mut found = balanced(
        "found",
        &[],
        json!({"config": {"service_discovery": {"use_discovery_service": true, "query_endpoint": server.url("/"),
            "use_target_list": true, "parent_data_path": "hosts"}}}),
    );
    found["proxy"]["target_list"] = json!([format!("http://127.0.0.1:{closed}")]);
    let gate = Gate::setup().conf(quick()).api(api).api(found).start().await;
    let served = async || {
        let mut names = String::new();
        for _ in 0..4 {
            names.push_str(gate.get("/tcp/x", &[]).await.text());
        }
        names
    };
    let both = served().await;
    assert!(both.contains('1') && both.contains('2'), "{both}");
    until("what is discovered is probed", async || upstream.hits() > 0).await;
    until("the one that is not there is down", async || gate.get("/found/x", &[]).await.status == 503).await;
    answer.store(1, Ordering::SeqCst);
    until("the talk goes wrong", async || served().await == "2222").await;
    answer.store(0, Ordering::SeqCst);
    until("and well again", async || served().await.contains('1')).await;
}
