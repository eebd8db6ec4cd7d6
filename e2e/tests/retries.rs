//! What is sent to upstreams again (`x-sluicegate.upstream.retries`), and what is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use e2e::definition::keyless;
use e2e::{Authority, Gate, Spoken, Upstream, front};
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

fn retried(id: &str, target: &str, retries: Value) -> Value {
    let mut api = keyless(id, target);
    api["x-sluicegate"] = json!({"upstream": {"retries": retries}});
    api
}

/// Fails so often, each time anew after so many requests, and is well in between.
async fn failing(status: u16, times: usize) -> Spoken {
    let asked = AtomicUsize::new(0);
    Spoken::start(move |request| {
        let number = asked.fetch_add(1, Ordering::SeqCst) % (times + 1);
        if number < times { (status, String::new()) } else { (200, request.to_owned()) }
    })
    .await
}

/// Lets the first so many connections go before a byte was said, and leads the others on. Its port, and how many came.
async fn fickle(to: u16, times: usize) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let came: Arc<AtomicUsize> = Arc::default();
    let counted = Arc::clone(&came);
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            if counted.fetch_add(1, Ordering::SeqCst) < times {
                continue;
            }
            tokio::spawn(async move {
                let mut far = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                let _ = copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    (port, came)
}

#[tokio::test]
async fn what_may_be_done_twice_is_sent_again() {
    let upstream = failing(503, 2).await;
    let gate = Gate::setup()
        .api(retried("a", &upstream.url(""), json!({"attempts": 2})))
        .api(retried("once", &upstream.url(""), json!({"attempts": 1})))
        .api(retried(
            "post",
            &upstream.url(""),
            json!({"attempts": 2, "methods": ["POST"], "largest_body": 100}),
        ))
        .api(retried("other", &upstream.url(""), json!({"attempts": 2, "statuses": [500]})))
        .api(keyless("plain", &upstream.url("")))
        .start()
        .await;
    let long = "x".repeat(200);
    // Requests to the upstream, and what the client gets; failures come in pairs.
    for (path, arguments, asked, status) in [
        ("/a/x", &["-H", "X-Own: kept"][..], 3, 200),
        ("/a/x", &["-X", "PUT", "-d", "body"], 3, 200),
        ("/post/x", &["-d", "body"], 3, 200),
        ("/a/x", &["-d", "body"], 1, 503),
        ("/plain/x", &[], 1, 503),
        ("/plain/x", &[], 1, 200),
        ("/once/x", &[], 2, 503),
        ("/plain/x", &[], 1, 200),
        ("/other/x", &[], 1, 503),
        ("/post/x", &["-X", "PUT", "-d", &long], 1, 503),
        ("/plain/x", &[], 1, 200),
        // Without a length nobody knows that it can be kept.
        ("/post/x", &["-d", "body", "-H", "Transfer-Encoding: chunked"], 1, 503),
        ("/plain/x", &[], 1, 503),
        ("/plain/x", &[], 1, 200),
    ] {
        let before = upstream.asked().len();
        let reply = gate.get(path, arguments).await;
        let all = upstream.asked();
        assert_eq!((all.len() - before, reply.status), (asked, status), "{path} {arguments:?}");
        // It is the same each time.
        for request in &all[before..] {
            assert_eq!(
                request.split_once("\r\n\r\n").unwrap().1,
                all[before].split_once("\r\n\r\n").unwrap().1
            );
            let whole = arguments.contains(&"body") && !arguments.contains(&"Transfer-Encoding: chunked");
            assert!(!whole || request.contains("body"), "{request}");
            assert!(
                !arguments.contains(&"X-Own: kept") || request.to_lowercase().contains("x-own: kept\r\n")
            );
        }
    }
}

#[tokio::test]
async fn what_nothing_of_was_sent_is_sent_again_whatever_it_is() {
    let upstream = Upstream::start().await;
    let tls = front(&upstream.authority(), &Authority::new().sign(&["localhost"]), None).await;
    let (port, came) = fickle(tls, 2).await;
    let mut api = retried("a", &format!("https://localhost:{port}"), json!({"attempts": 2}));
    api["proxy"]["transport"] = json!({"ssl_insecure_skip_verify": true});
    let gate = Gate::setup().api(api).start().await;
    let reply = gate.get("/a/x", &["-d", "streamed", "-H", "Transfer-Encoding: chunked"]).await;
    assert_eq!((reply.status, reply.json()["body"].clone()), (200, json!("streamed")), "{reply:?}");
    assert_eq!((came.load(Ordering::SeqCst), upstream.hits()), (3, 1));

    // Where the connection breaks after the request has gone out, it may have been done.
    let (port, came) = fickle(1, 2).await;
    let gate = Gate::setup()
        .api(retried("a", &format!("http://127.0.0.1:{port}"), json!({"attempts": 1})))
        .start()
        .await;
    assert_eq!((gate.get("/a/x", &["-d", "x"]).await.status, came.load(Ordering::SeqCst)), (500, 1));
}

#[tokio::test]
async fn another_target_is_asked_where_there_is_one() {
    let (bad, good) = (failing(502, usize::MAX - 1).await, Upstream::start().await);
    let mut api = retried("a", "http://127.0.0.1:1/", json!({"attempts": 1}));
    api["proxy"]["enable_load_balancing"] = json!(true);
    api["proxy"]["target_list"] = json!([bad.url("/bad"), good.url("/good")]);
    let gate = Gate::setup().api(api).start().await;
    for _ in 0..6 {
        let reply = gate.get("/a/x", &[]).await;
        assert_eq!((reply.status, reply.json()["path"].clone()), (200, json!("/good/x")), "{reply:?}");
        assert_eq!(reply.json()["headers"]["host"], json!([good.authority()]));
    }
    assert!(!bad.asked().is_empty() && bad.asked().iter().all(|request| request.starts_with("GET /bad/x ")));
}

#[tokio::test]
async fn an_upstream_in_trouble_is_not_asked_twice_as_much() {
    let upstream = failing(503, usize::MAX - 1).await;
    let gate = Gate::setup()
        .api(retried("a", &upstream.url(""), json!({"attempts": 3, "budget": 0.1})))
        .start()
        .await;
    for _ in 0..40 {
        assert_eq!(gate.get("/a/x", &[]).await.status, 503);
    }
    // Ten that were saved, and one for ten requests.
    let retries = upstream.asked().len() - 40;
    assert!((10..=14).contains(&retries), "{retries} retries");
}

#[tokio::test]
async fn all_that_is_tried_has_the_time_of_one_request() {
    let upstream = Upstream::start().await;
    let mut api = retried("a", &upstream.url(""), json!({"attempts": 5}));
    api["version_data"]["versions"]["Default"]["extended_paths"] =
        json!({"hard_timeouts": [{"path": "/slow", "method": "GET", "duration": "150ms"}]});
    let gate = Gate::setup().api(api).start().await;
    assert_eq!((gate.get("/a/slow/5000", &[]).await.status, upstream.hits()), (504, 1));
}
