use document::{Document, Format, Severity};
use serde_json::json;

use super::*;
use crate::registry::Registry;
use crate::run::build;

fn settings() -> Settings {
    Settings::new(Registry::standard())
}

/// The faults as `pointer: message [hint]`.
fn faults_of(config: &Json) -> Vec<String> {
    let faults = match build("test", config, "/base", &settings()) {
        Ok(built) => built.warnings,
        Err(faults) => faults,
    };
    (faults.iter())
        .map(|fault| {
            let hint = fault.hint.as_ref().map(|hint| format!(" [{hint}]")).unwrap_or_default();
            let word = if fault.severity == Severity::Warning { "warning: " } else { "" };
            format!("{word}{}: {}{hint}", fault.pointer, fault.message)
        })
        .collect()
}

/// A stream with this input.
fn input(input: Json) -> Json {
    json!({ "input": input, "output": { "drop": {} } })
}

fn output(output: Json) -> Json {
    json!({ "input": { "inproc": "in" }, "output": output })
}

fn processors(processors: Json) -> Json {
    json!({ "input": { "inproc": "in" }, "pipeline": { "processors": processors }, "output": { "drop": {} } })
}

#[test]
fn right_streams_have_no_faults() {
    for config in [
        input(json!({ "inproc": "x" })),
        input(json!({ "type": "inproc", "inproc": "x", "label": "in_1" })),
        input(json!({ "http_server": {}, "processors": [{ "mapping": "root = this" }] })),
        input(json!({ "http_server": null })),
        input(
            json!({ "http_server": { "address": "", "rate_limit": "", "cors": null, "timeout": "1m30s" } }),
        ),
        input(
            json!({ "http_server": { "sync_response": { "status": 201, "headers": { "X": "${! @k }" } } } }),
        ),
        output(
            json!({ "http_server": { "delivery": "broadcast", "slow_subscriber": "close", "heartbeat": "0s" } }),
        ),
        output(
            json!({ "broker": { "outputs": [{ "drop": {} }], "batching": { "count": 10, "byte_size": "1MB" } } }),
        ),
        json!({ "input": { "inproc": "x" }, "output": { "drop": {} }, "buffer": { "none": {} }, "pipeline": {} }),
    ] {
        assert_eq!(faults_of(&config), [""; 0], "{config}");
    }
}

#[test]
fn faults_say_what_and_where() {
    let only = |config: Json, expected: &str| {
        let faults = faults_of(&config);
        assert!(
            faults.len() == 1 && faults[0].contains(expected),
            "wanted {expected:?} for {config}\n{faults:#?}"
        );
    };
    let cases: Vec<(Json, &str)> = vec![
        // shape of the stream
        (json!([]), "/base: `stream` must be an object, not a list"),
        (json!({ "input": { "inproc": "x" } }), "/base: `stream` needs the field `output`"),
        (
            json!({ "input": { "inproc": "x" }, "outout": {}, "output": { "drop": {} } }),
            "/base/outout: unknown field `outout` in `stream` [did you mean `output`?]",
        ),
        (
            json!({ "input": { "inproc": "x" }, "output": { "drop": {} }, "logger": { "level": "DEBUG" } }),
            "warning: /base/logger: `logger` has no effect here",
        ),
        (
            json!({ "input": { "inproc": "x" }, "output": { "drop": {} }, "buffer": { "memori": {} } }),
            "/base/buffer/memori: there is no buffer `memori`",
        ),
        // type inference
        (input(json!({})), "/base/input: unable to infer component type: there is no type key"),
        (input(json!({ "label": "x" })), "/base/input: unable to infer component type"),
        (
            input(json!({ "inproc": "a", "generate": {} })),
            "/base/input: unable to infer component type: there are several type keys",
        ),
        (input(json!("inproc")), "/base/input: a component is expected"),
        (
            input(json!({ "htp_server": {} })),
            "/base/input/htp_server: there is no input `htp_server` [did you mean `http_server`?]",
        ),
        (
            input(json!({ "inproc": "a", "type": "inproc", "rest": 1 })),
            "/base/input/rest: unknown field `rest` beside `inproc`",
        ),
        // fields
        (
            input(json!({ "http_server": { "pth": "/x" } })),
            "/base/input/http_server/pth: unknown field `pth` in `http_server` [did you mean `path`?]",
        ),
        (input(json!({ "generate": {} })), "/base/input/generate: `generate` needs the field `mapping`"),
        (
            input(json!({ "generate": { "mapping": "root = 1", "count": "many" } })),
            "/base/input/generate/count: `count` must be a whole number, not text",
        ),
        (
            input(json!({ "generate": { "mapping": "root = 1", "auto_replay_nacks": "yes" } })),
            "must be true or false, not text",
        ),
        (
            input(json!({ "http_server": { "timeout": "5 parsecs" } })),
            "/base/input/http_server/timeout: `timeout`: `5 parsecs` is not a duration",
        ),
        (
            input(json!({ "http_server": { "allowed_verbs": "POST" } })),
            "/base/input/http_server/allowed_verbs: `allowed_verbs` must be a list, not text",
        ),
        (
            input(json!({ "http_server": { "address": "0.0.0.0:80" } })),
            "/base/input/http_server/address: `address` is not supported here [leave it empty",
        ),
        (
            input(json!({ "http_server": { "cors": { "enabld": true } } })),
            "/base/input/http_server/cors/enabld: unknown field",
        ),
        (
            output(json!({ "http_server": { "stream_format": "event_sorce" } })),
            "/base/output/http_server/stream_format: `event_sorce` is no option of `stream_format` [did you mean `event_source`?]",
        ),
        (output(json!({ "http_server": { "ring_bytes": "a lot" } })), "`a lot` is not a size"),
        (
            output(json!({ "broker": { "outputs": { "drop": {} } } })),
            "/base/output/broker/outputs: `outputs` must be a list, not an object",
        ),
        // rules that building knows
        (
            input(json!({ "generate": { "mapping": "root = 1", "interval": "@every so often" } })),
            "/base/input/generate/interval: `so often` is not a duration",
        ),
        (
            output(json!({ "http_server": { "slow_subscriber": "skip" } })),
            "/base/output/http_server/slow_subscriber: `skip` would lose or repeat",
        ),
        (
            output(json!({ "http_server": { "ping_period": "60s" } })),
            "/base/output/http_server/ping_period: `ping_period` must be below",
        ),
        (output(json!({ "http_server": { "ring": 0 } })), "`ring` must be from 1"),
        (output(json!({ "broker": { "outputs": [] } })), "must name at least one output"),
        // Bloblang
        (
            processors(json!([{ "noop": {} }, { "mapping": "root = this\nroot.a = (" }])),
            "/base/pipeline/processors/1/mapping: bloblang, line 2 column ",
        ),
        (
            input(json!({ "http_server": { "sync_response": { "status": "${! }" } } })),
            "/base/input/http_server/sync_response/status: bloblang, line 1 column ",
        ),
        // labels and paths
        (
            input(json!({ "inproc": "x", "label": "My Label" })),
            "/base/input/label: `My Label` cannot be a label",
        ),
        (input(json!({ "inproc": "x", "label": "_x" })), "`_x` cannot be a label"),
        (
            processors(json!([{ "noop": {}, "label": "a" }, { "noop": {}, "label": "a" }])),
            "/base/pipeline/processors/1/label: the label `a` is already taken at /base/pipeline/processors/0/label",
        ),
        (
            json!({ "input": { "http_server": { "path": "/x" } }, "output": { "http_server": { "path": "x" } } }),
            "/base/output/http_server/path: the path `/x` is already taken at /base/input/http_server/path",
        ),
        (
            output(
                json!({ "broker": { "outputs": [{ "http_server": { "path": "/a" } }, { "http_server": { "path": "/b", "ws_path": "" } }] } }),
            ),
            "warning: /base/output/broker/outputs/1/http_server/stream_path: nothing is served on the default path",
        ),
        (
            output(
                json!({ "broker": { "copies": 2, "outputs": [{ "http_server": { "path": "/a", "stream_path": "", "ws_path": "" } }] } }),
            ),
            "/base/output/broker/outputs/0/http_server/path: the path `/a` is already taken",
        ),
        // unsafe components, by identity, wherever they stand
        (
            input(json!({ "file": { "paths": ["/etc/passwd"] } })),
            "/base/input/file: the input `file` is not allowed",
        ),
        (
            processors(json!([{ "noop": {} }, { "command": { "name": "rm" } }])),
            "/base/pipeline/processors/1/command: the processor `command` is not allowed",
        ),
        (
            output(json!({ "broker": { "outputs": [{ "drop": {} }, { "file": {} }] } })),
            "/base/output/broker/outputs/1/file: the output `file` is not allowed",
        ),
        (
            output(json!({ "drop": {}, "processors": [{ "subprocess": {} }] })),
            "/base/output/processors/0/subprocess: the processor `subprocess` is not allowed",
        ),
        // the gate's environment
        (input(json!({ "inproc": "${TOPIC:x}" })), "/base/input/inproc: `${TOPIC}` is not expanded"),
        (
            processors(json!([{ "mapping": "root = env(\"HOME\")" }])),
            "/base/pipeline/processors/0/mapping: bloblang, line 1 column ",
        ),
    ];
    for (config, expected) in cases {
        only(config, expected);
    }
}

#[test]
fn depth_is_limited() {
    let mut config = json!({ "drop": {} });
    for _ in 0..70 {
        config = json!({ "broker": { "outputs": [config] } });
    }
    let faults = faults_of(&output(config));
    assert!(faults.len() == 1 && faults[0].ends_with("components are nested deeper than 64"), "{faults:#?}");
}

#[test]
fn faults_inside_of_mappings_are_placed_in_the_file() {
    let text = "input:\n  inproc: in\npipeline:\n  processors:\n    - mapping: |\n        root = this\n        root.a = (\noutput:\n  dorp: {}\n";
    let (_, faults) = crate::check_text("test", text, Format::Yaml, &settings()).unwrap();
    let places: Vec<(u32, u32)> =
        faults.iter().map(|fault| fault.place.map_or((0, 0), |place| (place.line, place.column))).collect();
    assert_eq!(places.len(), 2, "{faults:#?}");
    assert!(places[0].0 == 7 || places[0].0 == 8, "{faults:#?}");
    assert_eq!(places[1], (9, 3), "{faults:#?}");
    assert!(crate::check_text("test", "input: [", Format::Yaml, &settings()).is_err());
    assert!(Document::parse("{}", Format::Json).is_ok());
}

#[test]
fn strict_lint_tells_what_is_deprecated_and_what_has_no_label() {
    use crate::settings::Strictness;

    let config = json!({
        "input": {"broker": {"inputs": [{"label": "in", "inproc": "a"}]}, "processors": [{"noop": {}}]},
        "pipeline": {"processors": [{"label": "", "try": [{"label": "inner", "noop": {}}]}]},
        "output": {"label": "out", "drop": {}},
        "buffer": {"memory": {}},
        "cache_resources": [{"label": "c", "ttlru": {"ttl": "1s"}}, {"memory": {}}],
    });
    let strict = |deprecated, labels| {
        let settings = Settings { strictness: Strictness { deprecated, labels }, ..settings() };
        let faults = lint(&config, "", &settings);
        faults.into_iter().map(|fault| format!("{}: {}", fault.pointer, fault.message)).collect::<Vec<_>>()
    };
    let unlabelled = "/cache_resources/1: a cache resource needs a `label`";
    assert_eq!(strict(false, false), [unlabelled]);
    let deprecated = "/cache_resources/0/ttlru/ttl: `ttl` of `ttlru` is deprecated";
    assert_eq!(strict(true, false), [deprecated, unlabelled]);
    assert_eq!(
        strict(false, true),
        [
            "/input/processors/0: the processor `noop` has no label",
            "/input: the input `broker` has no label",
            "/pipeline/processors/0: the processor `try` has no label",
            "/cache_resources/1: the cache `memory` has no label",
        ]
    );
}

#[test]
fn a_lenient_build_goes_on_with_what_can_be_built() {
    let lenient = Settings { lenient: true, ..settings() };
    let with = |key: &str, value: Json| {
        let mut config = input(json!({"generate": {"mapping": "root = 1"}}));
        config[key] = value;
        config
    };
    for (config, warned) in [
        (with("unheard_of", json!(1)), "unknown field `unheard_of`"),
        (input(json!({"generate": {"mapping": "root = 1", "cuont": 1}})), "unknown field `cuont`"),
        (output(json!({"label": "Not One", "drop": {}})), "cannot be a label"),
    ] {
        assert!(build("test", &config, "", &settings()).is_err(), "{config}");
        let built = build("test", &config, "", &lenient).unwrap();
        let told = built.warnings.iter().any(|fault| !fault.is_error() && fault.message.contains(warned));
        assert!(told, "{config}: {:?}", built.warnings);
    }
    for (config, refused) in [
        (input(json!({"generate": {"mapping": "root ="}})), "bloblang"),
        (input(json!({"generate": {}})), "mapping"),
        (input(json!({"generat": {"mapping": "root = 1"}})), "there is no input `generat`"),
        (input(json!({"file": {"paths": ["/etc/hostname"]}})), "is not allowed"),
        (processors(json!([{"resource": "nobody"}])), "nobody"),
    ] {
        let faults = build("test", &config, "", &lenient).unwrap_err();
        let told = faults.iter().any(|fault| fault.is_error() && fault.message.contains(refused));
        assert!(told, "{config}: {faults:?}");
    }
    let mut deep = json!({"noop": {}});
    for _ in 0..DEPTH {
        deep = json!({"try": [deep]});
    }
    assert!(build("test", &processors(json!([deep])), "", &lenient).is_err());
}
