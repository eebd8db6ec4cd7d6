use std::pin::pin;
use std::task::{Context, Poll, Waker};

use serde_json::json;

use super::*;

fn settings() -> streams::Settings {
    streams::Settings::new(streams::Registry::standard())
}

fn model(stream: Json) -> apidef::Streams {
    apidef::Streams { streams: vec![("s".into(), stream)], pointer: "/streams".into() }
}

/// The variants of a stream that is filled in with one header.
fn family(stream: &Json) -> Arc<Family> {
    let wanted = wanted(stream, "/streams/s", &settings()).unwrap();
    Family::new("s", stream.clone(), "/streams/s", wanted, settings())
}

fn values(value: &str) -> Values {
    Box::new([(!value.is_empty()).then(|| value.to_owned())])
}

/// Three messages for nobody, and an endpoint.
fn counting(mapping: &str) -> Json {
    json!({
        "input": {"generate": {"mapping": mapping, "count": 3, "interval": "0s"}},
        "output": {"broker": {"outputs": [{"drop": {}}, {"http_server": {
            "path": "/get", "stream_path": "", "ws_path": "", "delivery": "broadcast",
        }}]}},
    })
}

fn received(family: &Family) -> u64 {
    let samples = family.samples(false);
    let found = samples.iter().find(|(_, sample)| sample.name == "input_received");
    match found.map(|(_, sample)| &sample.value) {
        Some(streams::SampleValue::Counter(count)) => *count,
        _ => 0,
    }
}

#[test]
fn paths_are_nothing_that_requests_fill_in() {
    let input = |field: &str, path: &str| json!({"input": {"http_server": {field: path}}, "output": {"reject": "$tyk_context.headers_X"}});
    let output = |field: &str, path: &str| json!({"input": {"generate": {"mapping": "root = 1"}}, "output": {"http_server": {field: path}}});
    for (stream, pointer) in [
        (input("path", "/x/$tyk_context.headers_X"), "/streams/s/input/http_server/path"),
        (input("ws_path", "$tyk_meta.team"), "/streams/s/input/http_server/ws_path"),
        (output("path", "/${tyk_context.path:x}/y"), "/streams/s/output/http_server/path"),
        (output("stream_path", "/a-$tyk_context.headers_X"), "/streams/s/output/http_server/stream_path"),
        (output("ws_path", "/$tyk_context.headers_X/b"), "/streams/s/output/http_server/ws_path"),
    ] {
        let faults = StreamBackend::of(&model(stream.clone()), &settings()).unwrap_err();
        assert_eq!(faults.iter().map(|fault| fault.pointer.as_str()).collect::<Vec<_>>(), [pointer]);
        assert!(faults[0].message.contains("no request can fill in a path"), "{stream}: {faults:?}");
    }
    for stream in [input("path", "/x/{id}"), counting("root = \"$tyk_context.headers_X\"")] {
        assert!(StreamBackend::of(&model(stream), &settings()).is_ok());
    }
}

/// The values fit, but with one of them nothing can be built.
fn fragile() -> Json {
    json!({
        "input": {"http_server": {"timeout": "$tyk_context.headers_Wait"}},
        "output": {"drop": {}},
    })
}

#[tokio::test]
async fn what_cannot_be_built_keeps_no_place() {
    let family = family(&fragile());
    for (value, status) in [("soon", 500), ("", 400), ("a${b}", 400), ("1s", 200)] {
        let chosen = family.with(values(value)).await;
        assert_eq!(chosen.map_or_else(|refusal| refusal.status.as_u16(), |_| 200), status, "{value}");
        let places = family.state.lock().running.len();
        assert_eq!(places, usize::from(status == 200), "{value}");
    }
    // Who goes before it is built leaves nothing, neither does who waited with him.
    {
        // Nobody's turn comes, so that neither is built however late this thread is.
        let turns = u32::try_from(BUILT_AT_ONCE).unwrap();
        let _all_turns = family.building.acquire_many(turns).await.unwrap();
        let mut one = pin!(family.with(values("2s")));
        let mut other = pin!(family.with(values("2s")));
        let mut context = Context::from_waker(Waker::noop());
        assert!(matches!(one.as_mut().poll(&mut context), Poll::Pending));
        assert!(matches!(other.as_mut().poll(&mut context), Poll::Pending));
        assert_eq!(family.state.lock().running.len(), 2);
    }
    assert_eq!(family.state.lock().running.len(), 1);
    // Several who want the same, which cannot be had.
    let all = (0..8).map(|_| family.with(values("never")));
    assert!(futures_util::future::join_all(all).await.iter().all(Result::is_err));
    assert_eq!(family.state.lock().running.len(), 1);
    family.stop(Duration::from_secs(1), CloseReason::Removed).await;
}

#[tokio::test]
async fn counters_never_go_down() {
    let family = family(&counting("root = \"$tyk_context.request_id\""));
    for round in 1..=2 {
        let chosen = family.with(values(&round.to_string())).await.unwrap_or_else(|_| panic!("it is built"));
        while received(&family) < 3 * round {
            tokio::task::yield_now().await;
        }
        drop(chosen);
        let gone = family.unused();
        assert_eq!((gone.len(), received(&family)), (1, 3 * round), "it ends");
        let mut ends = pin!(family.end(&gone[0], DRAIN, CloseReason::Removed));
        let begun = ends.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(received(&family), 3 * round, "it delivers what it has: {begun:?}");
        if begun.is_pending() {
            ends.await;
        }
        assert_eq!(received(&family), 3 * round, "it is over");
        assert!(family.state.lock().ending.is_empty() && family.backends().is_empty());
    }
}
