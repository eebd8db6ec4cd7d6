use serde_json::{Value as Json, json};

use super::order::tiers;
use crate::build::BuildContext;
use crate::node::Node;
use crate::registry::Kind;
use crate::resources::Resources;
use crate::run::build;
use crate::{Message, Processors, Registry, Settings};

fn settings() -> Settings {
    Settings::new(Registry::standard())
}

fn branch(request: &str, result: &str) -> Json {
    json!({ "request_map": request, "processors": [{ "noop": {} }], "result_map": result })
}

#[test]
fn tiers_follow_from_what_depends_on_what() {
    for (after, expected) in [
        (vec![vec![], vec![0], vec![0, 1]], Ok(vec![vec![0], vec![1], vec![2]])),
        (vec![vec![2], vec![2], vec![]], Ok(vec![vec![2], vec![0, 1]])),
        (vec![vec![], vec![]], Ok(vec![vec![0, 1]])),
        (vec![vec![1], vec![0], vec![]], Err(vec![1, 0])),
        (vec![vec![1], vec![2], vec![1]], Err(vec![2, 1])),
    ] {
        assert_eq!(tiers(&after), expected, "{after:?}");
    }
}

/// The first fault of a stream with this workflow.
fn fault_of(workflow: Json) -> String {
    let stream = json!({
        "input": { "inproc": "in" },
        "pipeline": { "processors": [{ "workflow": workflow }] },
        "output": { "drop": {} },
        "processor_resources": [
            { "label": "res", "branch": branch("root = this.a", "root.r = this") },
            { "label": "none", "noop": {} },
            { "label": "inside", "branch": { "processors": [{ "workflow": { "branch_resources": ["inside"] } }] } },
        ],
    });
    // The resource that stands in itself is a fault of its own wherever it is looked at.
    let faults = build("test", &stream, "", &settings()).unwrap_err();
    let fault = faults.into_iter().find(document::Fault::is_error).unwrap();
    format!("{}: {}", fault.pointer, fault.message)
}

#[test]
fn workflows_that_cannot_run_are_refused_with_their_place() {
    let at = "/pipeline/processors/0/workflow";
    let ab = json!({ "a": branch("root = this.b", "root.a = this"), "b": branch("root = this.a", "root.b = this") });
    for (workflow, expected) in [
        (json!({}), format!("{at}: a workflow needs at least one branch")),
        (
            json!({ "branches": ab }),
            format!("{at}/branches: the branches read each other's results in a circle: a -> b -> a"),
        ),
        (
            json!({ "branches": ab, "order": [["a"]] }),
            format!("{at}/order: the branch `b` stands in no tier"),
        ),
        (
            json!({ "branches": ab, "order": [["a"], ["b", "a"]] }),
            format!("{at}/order/1/1: the branch `a` stands in `order` twice"),
        ),
        (
            json!({ "branches": ab, "order": [["a", "c"]] }),
            format!("{at}/order/0/1: there is no branch `c`, and no processor resource"),
        ),
        (
            json!({ "branches": { "res": branch("", "") }, "branch_resources": ["res"] }),
            format!("{at}/branch_resources/0: there are two branches `res`"),
        ),
        (
            json!({ "branch_resources": ["none"] }),
            format!("{at}/branch_resources/0: the processor resource `none` is no `branch`"),
        ),
        (
            json!({ "branch_resources": ["inside"] }),
            "/processor_resources/2/branch/processors/0/workflow/branch_resources/0: the processor `inside` refers to itself".to_owned(),
        ),
        (
            json!({ "branches": { "a": { "processors": [] } } }),
            format!("{at}/branches/a/processors: a branch needs at least one processor"),
        ),
        (
            json!({ "branches": { "a": { "request_map": "root = (", "processors": [] } } }),
            format!("{at}/branches/a/request_map: bloblang, line 1"),
        ),
    ] {
        let fault = fault_of(workflow.clone());
        assert!(fault.starts_with(&expected), "{workflow}: {fault}");
    }
}

async fn run(workflow: Json, payload: &str) -> String {
    let processors = Processors::build(&json!([{ "workflow": workflow }]), "", &settings())
        .unwrap_or_else(|fault| panic!("{}: {}", fault.pointer, fault.message));
    let made = processors.run(vec![Message::new(payload.to_owned())]).await;
    let told = made.iter().flatten().map(|message| {
        let flag = message.error().map(|fault| format!(" !{fault}")).unwrap_or_default();
        format!("{}{flag}", String::from_utf8_lossy(message.bytes()))
    });
    told.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn branches_run_in_order_and_tell_what_became_of_them() {
    let chain = || {
        json!({
            // Written in the wrong order on purpose.
            "c": branch("root = {\"sum\": this.a + this.b}", "root.c = this.sum"),
            "b": branch("root.v = this.a + 1", "root.b = this.v"),
            "a": branch("root.v = this.n", "root.a = this.v"),
        })
    };
    let failing = || {
        json!({
            "bad": branch("root = throw(\"no\")", "root.x = this"),
            "good": branch("root.v = 1", "root.good = this.v"),
            "skipped": branch("root = deleted()", "root.y = this"),
        })
    };
    for (workflow, payload, expected) in [
        (
            json!({ "branches": chain(), "meta_path": "m" }),
            r#"{"n":1}"#,
            r#"{"a":1,"b":2,"c":3,"m":{"succeeded":["a","b","c"]},"n":1}"#,
        ),
        (json!({ "branches": chain(), "meta_path": "" }), r#"{"n":1}"#, r#"{"a":1,"b":2,"c":3,"n":1}"#),
        // In an order that was written, what is not there yet is not there: `c` cannot add.
        (
            json!({ "branches": chain(), "order": [["c"], ["b", "a"]], "meta_path": "" }),
            r#"{"n":1}"#,
            r#"{"a":1,"n":1} !workflow branches failed: [b c]"#,
        ),
        (
            json!({ "branches": failing() }),
            "{}",
            "{\"good\":1,\"meta\":{\"workflow\":{\"failed\":{\"bad\":\"the request map failed: failed assignment (line 1): no\"},\"skipped\":[\"skipped\"],\"succeeded\":[\"good\"]}}}",
        ),
        (
            json!({ "branches": failing(), "meta_path": "" }),
            "{}",
            r#"{"good":1} !workflow branches failed: [bad]"#,
        ),
        // A run before this one.
        (
            json!({ "branches": chain(), "meta_path": "m" }),
            r#"{"n":1,"a":5,"m":{"succeeded":["a"],"failed":{"b":"x"}}}"#,
            r#"{"a":5,"b":6,"c":11,"m":{"previous":{"failed":{"b":"x"},"succeeded":["a"]},"skipped":["a"],"succeeded":["b","c"]},"n":1}"#,
        ),
        (
            json!({ "branches": chain(), "meta_path": "m" }),
            r#"{"n":1,"a":5,"m":{"succeeded":["b"],"apply":["b"]}}"#,
            r#"{"a":5,"b":6,"m":{"previous":{"apply":["b"],"succeeded":["b"]},"skipped":["a","c"],"succeeded":["b"]},"n":1}"#,
        ),
        // Deleted by one branch: nothing is left to map others into.
        (
            json!({ "branches": { "a": branch("", "root = deleted()"), "b": branch("", "root.b = 1") } }),
            "{}",
            "",
        ),
        // No place for the record.
        (
            json!({ "branches": { "a": branch("root = \"x\"", "") } }),
            "text",
            "text !the record of the workflow cannot be written at `meta.workflow`",
        ),
        (
            json!({ "branches": { "a": branch("root = throw(\"no\")", "") }, "meta_path": "n.m" }),
            r#"{"n":1}"#,
            r#"{"n":1} !the record of the workflow cannot be written at `n.m`"#,
        ),
        // Both read all of what there is, which is no reason to wait.
        (
            json!({ "branches": { "a": branch("", "root.a = 1"), "b": branch("", "root.b = 1") }, "meta_path": "" }),
            "{}",
            r#"{"a":1,"b":1}"#,
        ),
        // Each reads an object that the other writes into.
        (
            json!({ "branches": { "a": branch("root = this.d", "root.d.a = 1"), "b": branch("root = this.d", "root.d.b = 1") }, "meta_path": "" }),
            r#"{"d":{}}"#,
            r#"{"d":{"a":1,"b":1}}"#,
        ),
    ] {
        let told = run(workflow.clone(), payload).await;
        assert!(
            told == expected || expected.contains('!') && told.starts_with(expected),
            "{workflow} of {payload}:\n{told}\n{expected}"
        );
    }
}

#[tokio::test]
async fn branches_of_resources_take_part() {
    let settings = settings();
    let stream = json!({
        "processor_resources": [
            { "label": "res", "branch": branch("root.v = this.a", "root.r = this.v") },
            { "label": "other", "branch": branch("root.v = this.r", "root.o = this.v") },
        ],
    });
    for workflow in [
        json!({ "branch_resources": ["other", "res"], "branches": { "a": branch("", "root.a = 7") }, "meta_path": "" }),
        json!({ "order": [["a"], ["res"], ["other"]], "branches": { "a": branch("", "root.a = 7") }, "meta_path": "" }),
    ] {
        let mut context = BuildContext::new(&settings, "", "");
        context.resources = Resources::read(&Node::new(
            &stream,
            Kind::Object(crate::stream_fields::stream_fields(false)),
            "",
        ));
        let list = json!([{ "workflow": workflow }]);
        let stages = context.stages(&Node::new(&list, Kind::List(&Kind::Processor), "")).unwrap();
        let made = crate::run_stages(&stages, vec![Message::new("{}")]).await;
        assert_eq!(&**made[0][0].bytes(), br#"{"a":7,"o":7,"r":7}"#, "{workflow}");
    }
}
