//! What the names of upstreams stand for (contract 1, `dns_cache`; RFC 8305).

use e2e::definition::keyless;
use e2e::{Gate, Upstream, until};
use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

fn named(upstream: &Upstream, path: &str) -> String {
    upstream.url(path).replace("127.0.0.1", "up.test")
}

#[tokio::test]
async fn an_upstream_is_reached_by_whichever_of_its_addresses_answers() {
    let upstream = Upstream::start().await;
    for strategy in ["no_cache", "pick_first", "random"] {
        for enabled in [false, true] {
            let gate = Gate::setup()
                .hosts("::1 up.test\n127.0.0.9 up.test\n127.0.0.1 up.test\n")
                .conf(json!({"proxy_close_connections": true,
                    "dns_cache": {"enabled": enabled, "multiple_ips_handle_strategy": strategy}}))
                .api(keyless("api", &named(&upstream, "/")))
                .start()
                .await;
            for _ in 0..6 {
                let reply = gate.get("/api/x", &[]).await;
                assert_eq!(reply.status, 200, "{strategy} {enabled}: {reply:?}\n{}", gate.log());
            }
        }
    }
}

#[tokio::test]
async fn an_upstream_of_ipv6_is_reached_by_name_and_by_address() {
    let upstream = Upstream::start().await;
    // The upstream is there by the other family alone.
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let target = upstream.authority();
    let bridge = tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let Ok(mut far) = TcpStream::connect(&target).await else { continue };
            tokio::spawn(async move { copy_bidirectional(&mut near, &mut far).await });
        }
    });
    let gate = Gate::setup()
        .hosts("::1 six.test\n")
        .api(keyless("name", &format!("http://six.test:{port}/")))
        .api(keyless("address", &format!("http://[::1]:{port}/")))
        .start()
        .await;
    for api in ["name", "address"] {
        let reply = gate.get(&format!("/{api}/x"), &[]).await;
        assert_eq!(reply.status, 200, "{api}: {reply:?}");
    }
    let host = gate.get("/address/x", &[]).await.json()["headers"]["host"].clone();
    assert!(host.to_string().contains(&format!("[::1]:{port}")), "{host}");
    bridge.abort();
}

#[tokio::test]
async fn c4_6_row_13_addresses_are_kept_while_names_are_lost_and_renewed_when_they_are_back() {
    const STAY: &str = "cannot be looked up again: those that are known stay";
    let upstream = Upstream::start().await;
    let gate = Gate::setup()
        .hosts("127.0.0.1 up.test\n")
        .conf(json!({"proxy_close_connections": true, "dns_cache": {"enabled": true, "ttl": 1}}))
        .api(keyless("api", &named(&upstream, "/")))
        .api(keyless("other", &named(&upstream, "/").replace("up.test", "other.test")))
        .start()
        .await;
    let status = async || gate.get("/api/x", &[]).await.status;
    assert_eq!(status().await, 200);
    let unknown = gate.get("/other/x", &[]).await;
    assert_eq!(
        (unknown.status, unknown.text().contains("Upstream host lookup failed")),
        (500, true),
        "{unknown:?}"
    );

    gate.set_hosts("");
    until("a look-up that fails", async || {
        assert_eq!(status().await, 200, "{}", gate.log());
        gate.log().contains(STAY)
    })
    .await;
    assert_eq!(status().await, 200);

    gate.set_hosts("127.0.0.9 up.test\n");
    until("the new address, where nobody listens", async || status().await == 500).await;
    gate.set_hosts("127.0.0.9 up.test\n127.0.0.1 up.test\n");
    until("the one that listens", async || status().await == 200).await;
}

#[tokio::test]
async fn without_the_cache_every_connection_looks_up_its_name() {
    let upstream = Upstream::start().await;
    let gate = Gate::setup()
        .hosts("127.0.0.1 up.test\n")
        .conf(json!({"proxy_close_connections": true}))
        .api(keyless("api", &named(&upstream, "/")))
        .start()
        .await;
    for (hosts, status) in [("127.0.0.9 up.test\n", 500), ("127.0.0.1 up.test\n", 200), ("", 500)] {
        gate.set_hosts(hosts);
        assert_eq!(gate.get("/api/x", &[]).await.status, status, "{hosts:?}");
    }
}
