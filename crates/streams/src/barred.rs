//! Components that reach the machine the gate runs on (streams contract 1.8).
//!
//! They are told by their names on the parsed configuration, wherever they stand, and asked for once more when a component
//! is built, so that no way to a component leads past this list.

use document::Fault;

use crate::settings::Settings;
use crate::sort::Sort;

/// Refused unless whoever runs the gate names them.
///
/// `inproc` is on the original's list. Here it is not: a topic belongs to the streams of one API, and reaches nothing.
/// The buffer `sqlite` is not on the original's list. Here it is: it writes files of its writer's choice.
pub(crate) const UNSAFE: [(Sort, &[&str]); 5] = [
    (Sort::Input, &["csv", "dynamic", "file", "socket", "socket_server", "stdin", "subprocess"]),
    (Sort::Processor, &["command", "subprocess", "wasm"]),
    (Sort::Output, &["file", "socket", "subprocess"]),
    (Sort::Cache, &["file"]),
    (Sort::Buffer, &["sqlite"]),
];

/// Those that are not offered even then, and why.
const NEVER: &[(Sort, &str, &str)] = &[
    (Sort::Input, "dynamic", "inputs are changed with the definition, never beside it"),
    (Sort::Input, "subprocess", "a gate runs no programs; run the program beside it and let it speak HTTP"),
    (Sort::Output, "dynamic", "outputs are changed with the definition, never beside it"),
    (Sort::Output, "subprocess", "a gate runs no programs; run the program beside it and let it speak HTTP"),
    (Sort::Processor, "command", "a gate runs no programs; call a service with `http`"),
    (Sort::Processor, "subprocess", "a gate runs no programs; call a service with `http`"),
    (Sort::Processor, "wasm", "a gate loads no native code; use `mapping` or `javascript`"),
    (Sort::Cache, "file", "use `redis`, or `memory` with `init_values`"),
];

/// Why this component cannot be used under these settings.
pub(crate) fn barred(sort: Sort, name: &str, settings: &Settings) -> Option<Fault> {
    let is_unsafe = UNSAFE.iter().any(|(of, names)| *of == sort && names.contains(&name));
    let never = NEVER.iter().find(|(of, known, _)| *of == sort && *known == name).map(|(.., why)| *why);
    let word = sort.as_str();
    // Alone in its process a stream reaches what whoever started it reaches anyway.
    if is_unsafe && !settings.alone && !settings.allow_unsafe.iter().any(|allowed| allowed == name) {
        let fault = Fault::error(
            "",
            format!("the {word} `{name}` is not allowed: it reaches the machine that the gate runs on"),
        );
        return Some(fault.hint(match never {
            None => format!("whoever runs the gate can add `{name}` to `streaming.allow_unsafe`"),
            Some(why) => why.to_owned(),
        }));
    }
    let why = never?;
    Some(Fault::error("", format!("the {word} `{name}` is not offered")).hint(why))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::lint::lint;
    use crate::registry::{Kind, Registry};
    use crate::run::build;

    fn settings() -> Settings {
        Settings::new(Registry::standard())
    }

    /// Every place where a component of this sort may stand, each with the pointer to it.
    fn places(sort: Sort, component: &Json) -> Vec<(&'static str, Json)> {
        let stream = |input: Json, processors: Json, output: Json, more: Json| {
            let mut stream =
                json!({ "input": input, "pipeline": { "processors": processors }, "output": output });
            if let (Some(stream), Some(more)) = (stream.as_object_mut(), more.as_object()) {
                stream.extend(more.clone());
            }
            stream
        };
        let (inlet, none, outlet) = (json!({ "inproc": "in" }), json!([]), json!({ "drop": {} }));
        let input = |input: Json| stream(input, json!([]), json!({ "drop": {} }), json!({}));
        let output = |output: Json| stream(json!({ "inproc": "in" }), json!([]), output, json!({}));
        let processor = |processor: Json| {
            stream(json!({ "inproc": "in" }), json!([processor]), json!({ "drop": {} }), json!({}))
        };
        let with = |more: Json| stream(inlet.clone(), none.clone(), outlet.clone(), more);
        let c = component;
        match sort {
            Sort::Input => vec![
                ("/input", input(c.clone())),
                ("/input/broker/inputs/1", input(json!({ "broker": { "inputs": [{ "inproc": "a" }, c] } }))),
                ("/input/sequence/inputs/0", input(json!({ "sequence": { "inputs": [c] } }))),
                (
                    "/input/batched/child",
                    input(json!({ "batched": { "child": c, "policy": { "count": 2 } } })),
                ),
                (
                    "/input/read_until/input",
                    input(json!({ "read_until": { "input": c, "idle_timeout": "1s" } })),
                ),
                (
                    "/input/read_until/input/broker/inputs/0/sequence/inputs/0",
                    input(
                        json!({ "read_until": { "idle_timeout": "1s", "input": { "broker": { "inputs": [{ "sequence": { "inputs": [c] } }] } } } }),
                    ),
                ),
                ("/input_resources/0", with(json!({ "input_resources": [labelled(c)] }))),
                (
                    "/input_resources/0",
                    stream(
                        json!({ "resource": "shared" }),
                        json!([]),
                        outlet.clone(),
                        json!({ "input_resources": [labelled(c)] }),
                    ),
                ),
            ],
            Sort::Processor => {
                let list = json!([c]);
                let group = |name: &str| processor(json!({ name: list }));
                vec![
                    ("/pipeline/processors/0", processor(c.clone())),
                    ("/input/processors/0", input(json!({ "inproc": "in", "processors": list }))),
                    ("/output/processors/0", output(json!({ "drop": {}, "processors": list }))),
                    (
                        "/input/broker/inputs/0/processors/0",
                        input(json!({ "broker": { "inputs": [{ "inproc": "a", "processors": list }] } })),
                    ),
                    (
                        "/output/broker/outputs/0/processors/0",
                        output(json!({ "broker": { "outputs": [{ "drop": {}, "processors": list }] } })),
                    ),
                    (
                        "/output/broker/batching/processors/0",
                        output(
                            json!({ "broker": { "outputs": [outlet], "batching": { "count": 2, "processors": list } } }),
                        ),
                    ),
                    (
                        "/input/batched/policy/processors/0",
                        input(
                            json!({ "batched": { "child": inlet, "policy": { "count": 2, "processors": list } } }),
                        ),
                    ),
                    ("/pipeline/processors/0/try/0", group("try")),
                    ("/pipeline/processors/0/catch/0", group("catch")),
                    ("/pipeline/processors/0/for_each/0", group("for_each")),
                    ("/pipeline/processors/0/processors/0", group("processors")),
                    (
                        "/pipeline/processors/0/parallel/processors/0",
                        processor(json!({ "parallel": { "processors": list } })),
                    ),
                    (
                        "/pipeline/processors/0/branch/processors/0",
                        processor(json!({ "branch": { "processors": list } })),
                    ),
                    (
                        "/pipeline/processors/0/workflow/branches/b/processors/0",
                        processor(json!({ "workflow": { "branches": { "b": { "processors": list } } } })),
                    ),
                    (
                        "/pipeline/processors/0/switch/0/processors/0",
                        processor(json!({ "switch": [{ "processors": list }] })),
                    ),
                    (
                        "/pipeline/processors/0/while/processors/0",
                        processor(json!({ "while": { "max_loops": 1, "processors": list } })),
                    ),
                    (
                        "/pipeline/processors/0/retry/processors/0",
                        processor(json!({ "retry": { "processors": list } })),
                    ),
                    (
                        "/pipeline/processors/0/group_by/0/processors/0",
                        processor(json!({ "group_by": [{ "check": "true", "processors": list }] })),
                    ),
                    (
                        "/pipeline/processors/0/cached/processors/0",
                        stream(
                            inlet.clone(),
                            json!([{ "cached": { "cache": "c", "key": "k", "processors": list } }]),
                            outlet.clone(),
                            json!({ "cache_resources": [{ "label": "c", "noop": {} }] }),
                        ),
                    ),
                    (
                        "/pipeline/processors/0/try/0/branch/processors/0/switch/0/processors/0",
                        processor(
                            json!({ "try": [{ "branch": { "processors": [{ "switch": [{ "processors": list }] }] } }] }),
                        ),
                    ),
                    (
                        "/buffer/memory/batch_policy/processors/0",
                        with(
                            json!({ "buffer": { "memory": { "batch_policy": { "enabled": true, "count": 2, "processors": list } } } }),
                        ),
                    ),
                    ("/processor_resources/0", with(json!({ "processor_resources": [labelled(c)] }))),
                ]
            }
            Sort::Output => vec![
                ("/output", output(c.clone())),
                ("/output/broker/outputs/1", output(json!({ "broker": { "outputs": [{ "drop": {} }, c] } }))),
                ("/output/fallback/1", output(json!({ "fallback": [{ "drop": {} }, c] }))),
                (
                    "/output/switch/cases/0/output",
                    output(json!({ "switch": { "cases": [{ "output": c }] } })),
                ),
                ("/output/retry/output", output(json!({ "retry": { "output": c } }))),
                ("/output/reject_errored", output(json!({ "reject_errored": c }))),
                ("/output/drop_on/output", output(json!({ "drop_on": { "error": true, "output": c } }))),
                (
                    "/output/fallback/0/retry/output",
                    output(json!({ "fallback": [{ "retry": { "output": c } }, { "drop": {} }] })),
                ),
                ("/output_resources/0", with(json!({ "output_resources": [labelled(c)] }))),
            ],
            Sort::Buffer => vec![("/buffer", with(json!({ "buffer": c })))],
            _ => vec![("/cache_resources/0", with(json!({ "cache_resources": [labelled(c)] })))],
        }
    }

    fn labelled(component: &Json) -> Json {
        let mut component = component.clone();
        component["label"] = json!("shared");
        component
    }

    #[test]
    fn c3_7_row_5_unsafe_components_are_refused_wherever_they_stand() {
        let mut tried = 0;
        for (sort, names) in UNSAFE {
            for name in names {
                // The second spelling hides the name from who looks at keys only.
                for component in
                    [json!({ *name: {} }), json!({ "type": name, *name: {} }), json!({ "type": name })]
                {
                    for (pointer, config) in places(sort, &component) {
                        let at = format!("{pointer}/{name}");
                        let wanted = format!("the {} `{name}` is not allowed", sort.as_str());
                        let Err(faults) = build("test", &config, "", &settings()) else {
                            panic!("{config} was built");
                        };
                        assert!(
                            faults
                                .iter()
                                .any(|fault| fault.pointer == at && fault.message.starts_with(&wanted)),
                            "{at}: {faults:#?}"
                        );
                        // Others that are allowed do not let it pass.
                        let mut others = settings();
                        others.allow_unsafe = vec![format!("{name}x"), "nothing".into(), "*".into()];
                        assert!(build("test", &config, "", &others).is_err(), "{config}");
                        tried += 1;
                    }
                }
            }
        }
        assert!(tried > 300, "{tried}");
    }

    #[test]
    fn c3_7_row_5_allowed_ones_are_there_or_it_is_said_why_not() {
        for (sort, names) in UNSAFE {
            for name in names {
                let mut settings = settings();
                settings.allow_unsafe.push((*name).to_owned());
                let (_, config) = places(sort, &json!({ *name: {} })).swap_remove(0);
                let faults = lint(&config, "", &settings);
                assert!(!faults.iter().any(|fault| fault.message.contains("is not allowed")), "{faults:#?}");
                let never = NEVER.iter().any(|(of, known, _)| *of == sort && known == name);
                let said = |words: &str| faults.iter().any(|fault| fault.message.contains(words));
                assert_eq!(said("is not offered"), never, "{name}: {faults:#?}");
                // A test of this crate knows the components of this crate only.
                let known = settings.registry.config(sort, name).is_some();
                assert!(known || never || said("there is no"), "{name}: {faults:#?}");
            }
        }
        let faults =
            lint(&json!({ "input": { "inproc": "x" }, "output": { "dynamic": {} } }), "", &settings());
        assert!(faults[0].message.contains("the output `dynamic` is not offered"), "{faults:#?}");
    }

    /// Components that never went through lint.
    #[test]
    fn building_asks_once_more() {
        use crate::build::BuildContext;
        use crate::node::Node;
        let settings = settings();
        let mut context = BuildContext::new(&settings, "", "");
        for (kind, config) in [
            (Kind::Input, json!({ "file": { "paths": ["/etc/passwd"] } })),
            (Kind::Output, json!({ "file": { "path": "/tmp/x" } })),
            (Kind::Processor, json!({ "command": {} })),
        ] {
            let node = Node::new(&config, kind, "/x");
            let fault = match kind {
                Kind::Input => context.input(&node).err(),
                Kind::Output => context.output(&node).err(),
                _ => context.processor(&node).err(),
            };
            let fault = fault.unwrap();
            assert!(fault.message.contains("is not allowed"), "{fault:?}");
            assert!(fault.pointer.starts_with("/x/"), "{fault:?}");
        }
    }
}
