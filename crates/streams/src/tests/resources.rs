//! Resources, caches and rate limits.

use super::*;
use crate::build::BuildContext;
use crate::registry::{Kind, Registry};
use crate::resources::Resources;

/// The resources of a stream, with everything that looks them up.
fn with_context<T>(config: &Json, test: impl FnOnce(&mut BuildContext<'_>) -> T) -> T {
    let settings = Settings::new(Registry::standard());
    let mut context = BuildContext::new(&settings, "test", "");
    let root = Node::new(config, Kind::Object(crate::stream_fields::stream_fields(false)), "");
    context.resources = Resources::read(&root);
    test(&mut context)
}

pub(super) fn cache(spec: Json) -> Arc<dyn Cache> {
    let mut spec = spec;
    spec["label"] = json!("c");
    let config = json!({ "cache_resources": [
        spec,
        { "label": "upper", "lru": { "cap": 2 } },
        { "label": "lower", "memory": { "init_values": { "deep": "down" } } },
    ] });
    with_context(&config, |context| context.cache(&Node::new(&json!("c"), Kind::Cache, "/x"))).unwrap()
}

fn rate_limit(spec: Json) -> Arc<dyn RateLimit> {
    let config = json!({ "rate_limit_resources": [{ "label": "l", "local": spec }] });
    let limit =
        with_context(&config, |context| context.rate_limit(&Node::new(&json!("l"), Kind::RateLimit, "/x")));
    limit.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_cache_keeps_to_the_contract() {
    for spec in [
        json!({ "memory": {} }),
        json!({ "memory": { "shards": 8, "compaction_interval": "" } }),
        json!({ "lru": {} }),
        json!({ "lru": { "algorithm": "arc" } }),
        json!({ "lru": { "algorithm": "two_queues" } }),
        json!({ "ttlru": {} }),
        json!({ "multilevel": ["upper", "lower"] }),
    ] {
        let cache = cache(spec.clone());
        assert_eq!(cache.get("a").await, Err(CacheError::NotFound), "{spec}");
        cache.set("a", "1".into(), None).await.unwrap();
        assert_eq!(cache.add("a", "2".into(), None).await, Err(CacheError::Exists), "{spec}");
        cache.add("b", "2".into(), None).await.unwrap();
        cache.set("a", "3".into(), None).await.unwrap();
        assert_eq!(&*cache.get("a").await.unwrap(), b"3", "{spec}");
        assert!(cache.exists("b").await.unwrap(), "{spec}");
        cache.delete("b").await.unwrap();
        cache.delete("b").await.unwrap();
        assert!(!cache.exists("b").await.unwrap(), "{spec}");
        let item = |key: &str| CacheItem { key: key.into(), value: "m".into(), ttl: None };
        cache.set_many(vec![item("x"), item("y")]).await.unwrap();
        assert_eq!(&*cache.get("y").await.unwrap(), b"m", "{spec}");
    }
    let cache = cache(json!({ "noop": {} }));
    cache.set("a", "1".into(), None).await.unwrap();
    cache.add("a", "1".into(), None).await.unwrap();
    assert_eq!(cache.get("a").await, Err(CacheError::NotFound));
}

#[tokio::test(start_paused = true)]
async fn values_expire_by_their_own_time_or_the_default() {
    let cache = cache(json!({ "memory": { "default_ttl": "10s", "init_values": { "kept": "for ever" } } }));
    cache.set("default", "1".into(), None).await.unwrap();
    cache.set("own", "1".into(), Some(Duration::from_secs(100))).await.unwrap();
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(cache.get("default").await, Err(CacheError::NotFound));
    assert!(cache.exists("own").await.unwrap());
    tokio::time::advance(Duration::from_secs(90)).await;
    cache.add("own", "2".into(), None).await.expect("an expired key is new again");
    assert!(cache.exists("kept").await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn bounded_caches_give_up_what_is_used_least() {
    let cache = cache(json!({ "ttlru": { "cap": 2, "default_ttl": "10s" } }));
    cache.set("a", "1".into(), None).await.unwrap();
    tokio::time::advance(Duration::from_secs(6)).await;
    cache.set("b", "2".into(), None).await.unwrap();
    cache.get("a").await.expect("use makes it live longer");
    tokio::time::advance(Duration::from_secs(1)).await;
    cache.set("c", "3".into(), None).await.unwrap();
    assert!(!cache.exists("b").await.unwrap(), "it would have expired first");
    tokio::time::advance(Duration::from_secs(9)).await;
    assert!(!cache.exists("a").await.unwrap(), "expired");
    assert!(cache.exists("c").await.unwrap());

    let cache = self::cache(json!({ "lru": { "cap": 2 } }));
    for key in ["a", "b"] {
        cache.set(key, "1".into(), None).await.unwrap();
    }
    cache.get("a").await.unwrap();
    cache.add("c", "1".into(), None).await.unwrap();
    assert!(!cache.exists("b").await.unwrap());
    assert!(cache.exists("a").await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn levels_are_filled_from_below() {
    let config = json!({ "cache_resources": [
        { "label": "both", "multilevel": ["upper", "lower"] },
        { "label": "upper", "lru": {} },
        { "label": "lower", "memory": { "init_values": { "deep": "down" } } },
    ] });
    let [both, upper, lower] = with_context(&config, |context| {
        ["both", "upper", "lower"]
            .map(|label| context.cache(&Node::new(&json!(label), Kind::Cache, "/x")).unwrap())
    });
    assert!(!upper.exists("deep").await.unwrap());
    assert_eq!(&*both.get("deep").await.unwrap(), b"down");
    assert_eq!(&*upper.get("deep").await.unwrap(), b"down");
    assert_eq!(both.add("deep", "x".into(), None).await, Err(CacheError::Exists));
    lower.set("below", "1".into(), None).await.unwrap();
    assert_eq!(both.add("below", "x".into(), None).await, Err(CacheError::Exists));
    both.delete("deep").await.unwrap();
    assert!(!lower.exists("deep").await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn rate_limits_let_so_many_through_per_window() {
    let limit = rate_limit(json!({ "count": 2, "interval": "10s" }));
    assert_eq!(limit.access(0).await.unwrap(), Access::Go);
    tokio::time::advance(Duration::from_secs(4)).await;
    assert_eq!(limit.access(0).await.unwrap(), Access::Go);
    assert_eq!(limit.access(0).await.unwrap(), Access::Wait(Duration::from_secs(6)));
    let started = tokio::time::Instant::now();
    pass(&*limit, 0).await;
    assert_eq!(started.elapsed(), Duration::from_secs(6));

    let limit = rate_limit(json!({ "count": 0, "byte_size": 10, "interval": "1s" }));
    assert_eq!(limit.access(100).await.unwrap(), Access::Go, "what is too large alone passes alone");
    assert!(matches!(limit.access(1).await.unwrap(), Access::Wait(_)));
    tokio::time::advance(Duration::from_secs(1)).await;
    for (bytes, goes) in [(6, true), (5, false), (4, true), (1, false)] {
        assert_eq!(limit.access(bytes).await.unwrap() == Access::Go, goes, "{bytes}");
    }
}

#[tokio::test(start_paused = true)]
async fn shared_components_run_once_for_all_that_name_them() {
    let bench = Bench::default();
    let (input, output) = (bench.topic("in"), bench.topic("out"));
    let stream = bench.start(&json!({
        "input": { "broker": { "inputs": [{ "resource": "source" }, { "resource": "source" }] } },
        "pipeline": { "processors": [{ "resource": "mark" }, { "resource": "mark" }] },
        "output": { "broker": { "pattern": "round_robin", "outputs": [{ "resource": "end" }, { "resource": "end" }] } },
        "input_resources": [{ "label": "source", "inproc": "in" }],
        "processor_resources": [{ "label": "mark", "mapping": "root = content().string() + \"!\"" }],
        "output_resources": [
            { "label": "end", "inproc": "out" },
            { "label": "nobody", "http_server": {} },
        ],
    }));
    for name in ["a", "b"] {
        input.write(bench.transaction(&[name])).await;
        let (batch, transaction) = take(&output).await;
        assert_eq!(batch, [format!("{name}!!")]);
        transaction.ack.done(Ok(()));
    }
    assert_eq!(bench.until(2).await, [("a", true), ("b", true)]);
    let status = stream.status();
    let probe = |path: &str| status.components.iter().filter(|probe| probe.path == path).count();
    assert_eq!((probe("root.input_resources.0"), probe("root.output_resources.1")), (1, 0));
    assert!(status.connected(), "what nobody names is not waited for");
    assert!(bench.endpoints.lock().is_empty(), "and not served");
    let started = tokio::time::Instant::now();
    stream.stop(Duration::from_secs(8), CloseReason::Removed).await;
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn every_reader_of_a_shared_input_connects_although_nothing_comes() {
    let bench = Bench::default();
    let stream = bench.start(&json!({
        "input": { "broker": { "inputs": [{ "resource": "source" }, { "resource": "source" }] } },
        "output": { "drop": {} },
        "input_resources": [{ "label": "source", "inproc": "in" }],
    }));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let status = stream.status();
    // What is there to write connects with the first batch.
    let away: Vec<&str> = status.unconnected().map(|probe| &*probe.path).collect();
    assert!(away.is_empty(), "{away:?}");
    bench.topic("in").write(bench.transaction(&["a"])).await;
    assert_eq!(bench.until(1).await, [("a", true)]);
}

#[test]
fn faults_of_resources_say_what_and_where() {
    let faults_of = |more: Json| {
        let mut config = relay();
        for (key, value) in more.as_object().unwrap() {
            config[key] = value.clone();
        }
        let faults = build("test", &config, "", &Bench::default().settings()).unwrap_err();
        let first = faults.first().unwrap();
        format!("{}: {} [{}]", first.pointer, first.message, first.hint.as_deref().unwrap_or_default())
    };
    for (more, expected) in [
        (
            json!({ "output": { "resource": "ends" }, "output_resources": [{ "label": "end", "drop": {} }] }),
            "/output/resource: there is no output resource `ends` [did you mean `end`?]",
        ),
        (
            json!({ "output": { "resource": "end" }, "cache_resources": [{ "label": "end", "memory": {} }] }),
            "/output/resource: there is no output resource `end` [add one with this label to `output_resources`]",
        ),
        (
            json!({ "cache_resources": [{ "memory": {} }] }),
            "/cache_resources/0: a cache resource needs a `label` [others refer to it by its label]",
        ),
        (
            json!({ "cache_resources": [{ "label": "a", "memory": {} }], "rate_limit_resources": [{ "label": "a", "local": {} }] }),
            "/rate_limit_resources/0/label: the label `a` is already taken at /cache_resources/0/label []",
        ),
        (
            json!({ "cache_resources": [{ "label": "a", "memori": {} }] }),
            "/cache_resources/0/memori: there is no cache `memori` [did you mean `memory`?]",
        ),
        (
            json!({ "cache_resources": [{ "label": "a", "file": { "directory": "/" } }] }),
            "/cache_resources/0/file: the cache `file` is not allowed",
        ),
        (
            json!({ "rate_limit_resources": [{ "label": "a", "local": { "count": 0 } }] }),
            "/rate_limit_resources/0/local/count: either `count` or `byte_size` must be above 0",
        ),
        (
            json!({ "processor_resources": [{ "label": "a", "resource": "b" }, { "label": "b", "resource": "a" }] }),
            "/processor_resources/1/resource: the processor `a` refers to itself [break the circle]",
        ),
    ] {
        let found = faults_of(more);
        assert!(found.starts_with(expected), "wanted {expected}\ngot    {found}");
    }
}
