//! Output `portal_webhook` against a portal and webhooks of the test's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value as Json, json};

use crate::ends::{Stream, build, messages, settings};
use crate::server::{Seen, Server, answer, with};

/// A portal with this many apps; `request` gives the access requests of each. It may be away.
async fn portal(
    apps: usize,
    away: Arc<AtomicBool>,
    request: impl Fn(usize) -> Json + Send + Sync + 'static,
) -> Server {
    Server::start(move |seen| {
        if away.load(Ordering::Relaxed) {
            return answer(503, "");
        }
        if seen.header("authorization") != "portal-token" {
            return answer(401, "{}");
        }
        let path = seen.uri.path();
        if path == "/portal-api/apps" {
            let query = seen.uri.query().unwrap();
            let page: usize =
                query.strip_prefix("page=").unwrap().strip_suffix("&per_page=10").unwrap().parse().unwrap();
            let list: Vec<Json> =
                ((page - 1) * 10..apps.min(page * 10)).map(|id| json!({"ID": id, "Name": "app"})).collect();
            return answer(200, json!(list).to_string());
        }
        let id: usize = path.strip_prefix("/portal-api/apps/").unwrap().parse().unwrap();
        answer(200, json!({"ID": id, "AccessRequests": request(id)}).to_string())
    })
    .await
}

fn subscribed(url: &str, events: &str) -> Json {
    json!({"Status": "approved", "WebhookURL": url, "WebhookEventTypes": events, "WebhookSecret": "words of a developer"})
}

fn output(portal: &Server, more: Json) -> Json {
    let mut fields = json!({
        "portal_url": portal.url(""), "secret": "portal-token", "event_type": "order",
        "retry_period": "1ms", "max_retry_backoff": "20ms",
    });
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"portal_webhook": fields})
}

fn is_signed(seen: &Seen) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"words of a developer");
    let content =
        format!("{}.{}.{}", seen.header("webhook-id"), seen.header("webhook-timestamp"), seen.text());
    let signature = seen.header("webhook-signature").strip_prefix("v1,").unwrap();
    hmac::verify(&key, content.as_bytes(), &BASE64_STANDARD.decode(signature).unwrap()).is_ok()
}

#[tokio::test]
async fn events_go_signed_to_those_that_have_subscribed_to_them() {
    let (one, two) =
        (Server::start(|_| answer(204, "")).await, Server::start(|_| answer(200, "thanks")).await);
    let (first, second) = (one.url("/hook?key=1"), two.url("/"));
    // On three pages: 23 apps, of which few have webhooks, and one has the same twice.
    let portal = portal(23, Arc::default(), move |id| match id {
        3 => json!([[subscribed(&first, "order")]]),
        11 => json!([subscribed(&first, "order, payment"), subscribed(&second, "orders,payment")]),
        22 => json!([subscribed(&second, "payment ,order")]),
        _ => json!([]),
    })
    .await;
    let stream = Stream::writing(output(&portal, json!({"headers": {"X-Kind": "${! json(\"kind\") }"}})));
    assert!(stream.write(messages([r#"{"kind":"a"}"#, r#"{"kind":"b"}"#])).await.is_ok());
    for hook in [&one, &two] {
        let seen = hook.seen();
        let texts: Vec<_> = seen.iter().map(Seen::text).collect();
        assert_eq!(texts, [r#"{"kind":"a"}"#, r#"{"kind":"b"}"#], "in order, each once");
        for (seen, kind) in seen.iter().zip(["a", "b"]) {
            assert_eq!((seen.header("content-type"), seen.header("x-kind")), ("application/json", kind));
            assert!(is_signed(seen), "{seen:?}");
        }
        assert_ne!(seen[0].header("webhook-id"), seen[1].header("webhook-id"));
    }
    assert_eq!(one.seen()[0].uri.to_string(), "/hook?key=1");
    assert_eq!(one.seen()[0].header("webhook-id"), two.seen()[0].header("webhook-id"));
    assert_eq!(portal.seen().len(), 3 + 23, "asked once for all messages");
    stream.stop().await;
}

#[tokio::test]
async fn an_event_is_sent_again_where_that_may_help() {
    // answers in turn (the last one stays), delivered, requests
    for (codes, delivered, requests) in [
        (&[200][..], true, 1),
        (&[500, 503, 429, 200], true, 4),
        (&[500], false, 4),
        (&[400], false, 1),
        (&[410], false, 1),
        (&[302], false, 1),
    ] {
        let turn = AtomicUsize::new(0);
        let hook = Server::start(move |_| {
            let code = codes[turn.fetch_add(1, Ordering::Relaxed).min(codes.len() - 1)];
            with(with(answer(code, ""), "retry-after", "3600"), "location", "http://127.0.0.1:1/")
        })
        .await;
        let url = hook.url("/");
        let portal = portal(1, Arc::default(), move |_| json!([subscribed(&url, "order")])).await;
        let stream = Stream::writing(output(&portal, json!({})));
        let outcome = stream.write(messages(["{}"])).await;
        assert_eq!(outcome.is_ok(), delivered, "{codes:?}: {outcome:?}");
        let seen = hook.seen();
        assert_eq!(seen.len(), requests, "{codes:?}");
        assert!(seen.iter().all(|one| one.header("webhook-id") == seen[0].header("webhook-id")));
        assert!(seen.iter().all(is_signed));
        stream.stop().await;
    }
}

#[tokio::test]
async fn one_dead_webhook_is_a_dead_letter_or_left_behind() {
    for (rule, delivered) in [("reject", false), ("drop", true)] {
        let good = Server::start(|_| answer(200, "")).await;
        let url = good.url("/");
        let portal = portal(2, Arc::default(), move |id| match id {
            // Nobody listens there.
            0 => json!([subscribed("http://127.0.0.1:1/?secret=7", "order")]),
            _ => json!([subscribed(&url, "order")]),
        })
        .await;
        let stream = Stream::writing(output(&portal, json!({"on_failure": rule, "retries": 1})));
        let outcome = stream.write(messages(["{}"])).await;
        assert_eq!(outcome.is_ok(), delivered, "{rule}: {outcome:?}");
        if let Err(reason) = outcome {
            assert!(
                reason.text().contains("http://127.0.0.1:1/: ") && !reason.text().contains("secret=7"),
                "{reason:?}"
            );
        }
        assert_eq!(good.seen().len(), 1, "others have it: {rule}");
        stream.stop().await;
    }
}

#[tokio::test]
async fn subscriptions_are_asked_for_anew_and_kept_while_the_portal_is_away() {
    let hook = Server::start(|_| answer(200, "")).await;
    let (away, unsubscribed) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
    let (url, gone) = (hook.url("/"), unsubscribed.clone());
    let portal = portal(1, away.clone(), move |_| {
        json!([subscribed(&url, if gone.load(Ordering::Relaxed) { "payment" } else { "order" })])
    })
    .await;
    let stream = Stream::writing(output(&portal, json!({"refresh": "0s"})));
    // Before its first answer nobody knows who wants what: the message waits.
    let waits = stream.send(messages(["one"]));
    crate::ends::until(|| stream.last_error().contains("answered 503")).await;
    assert_eq!(hook.seen().len(), 0);
    away.store(false, Ordering::Relaxed);
    assert!(crate::ends::within(waits).await.unwrap().is_ok());
    away.store(true, Ordering::Relaxed);
    assert!(stream.write(messages(["two"])).await.is_ok());
    assert_eq!(hook.seen().len(), 2);
    away.store(false, Ordering::Relaxed);
    unsubscribed.store(true, Ordering::Relaxed);
    assert!(stream.write(messages(["three"])).await.is_ok());
    assert_eq!(hook.seen().len(), 2, "nobody wants it any more");
    stream.stop().await;
}

#[tokio::test]
async fn webhooks_are_reached_where_the_egress_policy_allows() {
    let hook = Server::start(|_| answer(200, "")).await;
    let url = hook.url("/");
    let portal = portal(1, Arc::default(), move |_| json!([subscribed(&url, "order")])).await;
    let mut settings = settings();
    let allow = vec![format!("127.0.0.1:{}", portal.address.port()).parse().unwrap()];
    settings.egress = Arc::new(streams::Egress { allow, ..streams::Egress::default() });
    let stream = Stream::start(json!({"output": output(&portal, json!({"retries": 0}))}), &settings);
    let told = stream.write(messages(["{}"])).await.unwrap_err();
    assert!(told.text().contains("the egress policy does not allow"), "{told:?}");
    assert_eq!(hook.seen().len(), 0);
    stream.stop().await;
}

#[test]
fn what_cannot_be_used_is_a_fault_at_its_place() {
    let config = |more: Json| {
        let mut fields = json!({"portal_url": "http://portal", "secret": "s", "event_type": "e"});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"input": {"generate": {"mapping": "root = 1"}}, "output": {"portal_webhook": fields}})
    };
    assert!(build(&config(json!({})), &settings()).is_ok());
    for (more, expected) in [
        (json!({"portal_url": "portal:3001"}), "portal_url: an address"),
        (json!({"portal_url": "ftp://portal"}), "portal_url: an address"),
        (json!({"secret": "a\nb"}), "secret: this cannot stand in a header"),
        (json!({"event_type": ""}), "event_type: an event is expected"),
        (json!({"event_type": "a,b"}), "event_type: an event is expected"),
        (json!({"headers": {"a b": "c"}}), "headers: `a b` is no name of a header"),
        (json!({"timeout": "0s"}), "timeout: `timeout` must be longer"),
    ] {
        let told = build(&config(more), &settings()).unwrap_err();
        assert!(told.contains(expected), "{expected}: {told}");
    }
}
