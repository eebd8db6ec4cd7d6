//! `sluicegate stream` as somebody at a terminal meets it: files, exit codes, signals.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use e2e::{Gate, binary, streaming};
use serde_json::{Value, json};

/// A finished run.
struct Done {
    code: Option<i32>,
    out: String,
    err: String,
}

fn stream(folder: &Path, arguments: &[&str]) -> Done {
    let done = Command::new(binary())
        .arg("stream")
        .args(arguments)
        .current_dir(folder)
        .env("SLUICEGATE_TEST_WORD", "tea")
        .stdin(Stdio::null())
        .output()
        .expect("the binary can be started");
    let text = |bytes| String::from_utf8(bytes).expect("the output is UTF-8");
    Done { code: done.status.code(), out: text(done.stdout), err: text(done.stderr) }
}

const COUNT: &str = "\
input:
  generate:
    count: ${COUNT:2}
    interval: 0s
    mapping: root.word = \"${SLUICEGATE_TEST_WORD}\"
pipeline:
  processors:
    - resource: shout
output:
  stdout: {}
logger: { level: WARN }
";
const SHOUT: &str = "\
processor_resources:
  - label: shout
    mapping: root.word = this.word.uppercase()
";

#[test]
fn a_stream_runs_until_its_input_ends() {
    let folder = Gate::setup()
        .file("count.yaml", COUNT)
        .file("parts/shout.yaml", SHOUT)
        .file("three.env", "# how many\nexport COUNT=\"3\"\n")
        .prepare();
    let tea = "{\"word\":\"TEA\"}\n";
    for (arguments, lines) in [
        (vec!["run", "-r", "parts/*.yaml", "count.yaml"], 2),
        (vec!["run", "-r", "parts/shout.yaml", "-e", "three.env", "count.yaml"], 3),
        (vec!["run", "-r", "parts/*.yaml", "-s", "input.generate.count=5", "count.yaml"], 5),
    ] {
        let done = stream(folder.dir(), &arguments);
        assert_eq!((done.code, done.out), (Some(0), tea.repeat(lines)), "{arguments:?}\n{}", done.err);
    }
    let rejecting = "\
input:
  generate: { count: 3, interval: 0s, auto_replay_nacks: false, mapping: 'root.n = counter()' }
pipeline:
  processors:
    - mapping: 'root = if this.n == 2 { throw(\"not two\") } else { this }'
output: { stdout: {} }
error_handling: { strategy: reject, log: { enabled: true } }
";
    std::fs::write(folder.dir().join("reject.yaml"), rejecting).expect("a file is written");
    let done = stream(folder.dir(), &["run", "reject.yaml"]);
    assert_eq!((done.code, &*done.out), (Some(0), "{\"n\":1}\n{\"n\":3}\n"), "{}", done.err);
    assert!(done.err.contains("a message failed") && done.err.contains("not two"), "{}", done.err);

    for (arguments, code, said) in [
        (vec!["run", "count.yaml"], 1, "there is no processor resource `shout`"),
        (vec!["run", "gone.yaml"], 2, "gone.yaml"),
        (vec!["run", "-r", "none/*.yaml", "count.yaml"], 2, "there is no such file"),
    ] {
        let done = stream(folder.dir(), &arguments);
        assert_eq!(done.code, Some(code), "{arguments:?}\n{}{}", done.out, done.err);
        assert!(done.err.contains(said), "{arguments:?}\n{}", done.err);
    }
}

#[test]
fn the_log_is_written_as_the_stream_asks_for_it() {
    let stream_with = |logger: &str| {
        format!(
            "\
input: {{ generate: {{ count: 1, interval: 0s, mapping: 'root.id = 7' }} }}
pipeline:
  processors:
    - log: {{ level: WARN, message: 'saw ${{! json(\"id\") }}', fields_mapping: 'root.id = this.id' }}
output: {{ drop: {{}} }}
logger: {logger}
"
        )
    };
    let folder = Gate::setup()
        .file("plain.yaml", &stream_with("{}"))
        .file(
            "json.yaml",
            &stream_with(
                "{ level: WARN, format: json, add_timestamp: true, message_name: text, static_fields: { team: tea }, file: { path: log.json } }",
            ),
        )
        .file("off.yaml", &stream_with("{ level: NONE }"))
        .file("nowhere.yaml", &stream_with("{ file: { path: plain.yaml/x.log } }"))
        .prepare();

    let done = stream(folder.dir(), &["run", "plain.yaml"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let line = done.err.lines().find(|line| line.contains("saw 7")).expect("the line is on standard error");
    for part in
        ["level=warning ", "msg=\"saw 7\"", "@service=bento", "path=root.pipeline.processors.0", "id=7"]
    {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(done.err.contains("level=info "), "{}", done.err);

    let done = stream(folder.dir(), &["run", "json.yaml"]);
    assert_eq!((done.code, &*done.err), (Some(0), ""));
    let log = std::fs::read_to_string(folder.dir().join("log.json")).expect("the log is in its file");
    let line: Value = serde_json::from_str(log.trim_end()).expect("the log has one line, of JSON");
    assert_eq!(
        (&line["level"], &line["text"], &line["team"], &line["id"], &line["path"]),
        (&json!("warning"), &json!("saw 7"), &json!("tea"), &json!(7), &json!("root.pipeline.processors.0"))
    );
    assert!(line["time"].is_string() && line["@service"].is_null(), "{line}");

    let done = stream(folder.dir(), &["run", "off.yaml"]);
    assert_eq!((done.code, &*done.err), (Some(0), ""));
    let done = stream(folder.dir(), &["run", "nowhere.yaml"]);
    assert!(done.code == Some(1) && done.err.contains("plain.yaml/x.log"), "{:?}: {}", done.code, done.err);
}

#[test]
fn a_signal_drains_the_stream_and_ends_the_process() {
    let config = "\
input:
  generate: { interval: 1ms, mapping: 'root = counter()' }
output:
  stdout: {}
";
    let folder = Gate::setup().file("endless.yaml", config).prepare();
    for signal in ["-TERM", "-INT"] {
        let mut child = Command::new(binary())
            .args(["stream", "run", "endless.yaml"])
            .current_dir(folder.dir())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary can be started");
        let mut out = BufReader::new(child.stdout.take().expect("the output is a pipe"));
        let mut line = String::new();
        out.read_line(&mut line).expect("a line comes");
        assert_eq!(line, "1\n");
        let killed = Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(killed.expect("kill runs").success());
        let mut rest = String::new();
        out.read_to_string(&mut rest).expect("the rest is text");
        assert_eq!(child.wait().expect("it ends").code(), Some(0), "{signal}");
        assert!(rest.is_empty() || rest.ends_with('\n'), "the last line is whole");
    }
}

#[test]
fn faults_are_told_in_the_file_and_line_that_somebody_wrote() {
    let folder = Gate::setup()
        .file("good.yaml", "input: { generate: { mapping: root = 1 } }\noutput: { drop: {} }\n")
        .file("bad.yaml", "input:\n  generate:\n    mapping: root = ${SLUICEGATE_TEST_WORD:1}.up()\n    count: x\noutput:\n  dorp: {}\n")
        .file("unset.yaml", "input: { generate: { mapping: root = 1, count: ${NOT_SET_ANYWHERE} } }\noutput: { drop: {} }\n")
        .file("user.yaml", "input: { generate: { mapping: root = 1 } }\npipeline: { processors: [{ resource: r }] }\noutput: { drop: {} }\n")
        .file("parts.yaml", "processor_resources:\n  - label: r\n    maping: root = 1\n")
        .prepare();
    for (arguments, code, said) in [
        (vec!["lint", "good.yaml"], 0, vec!["1 file checked: 0 errors, 0 warnings"]),
        (
            vec!["lint", "bad.yaml"],
            1,
            vec![
                "bad.yaml:3:",
                "bad.yaml:4:12: error: `count` must be a whole number",
                "bad.yaml:6:3: error: there is no output `dorp`",
                "did you mean `drop`?",
            ],
        ),
        (
            vec!["lint", "unset.yaml"],
            1,
            vec!["unset.yaml:1:48: error: the variable `NOT_SET_ANYWHERE` is not set"],
        ),
        (
            vec!["lint", "-r", "parts.yaml", "user.yaml"],
            1,
            vec!["parts.yaml:3:5: error: there is no processor `maping`"],
        ),
        (vec!["lint", "gone.yaml"], 2, vec!["gone.yaml"]),
    ] {
        let done = stream(folder.dir(), &arguments);
        assert_eq!(done.code, Some(code), "{arguments:?}\n{}{}", done.out, done.err);
        for said in said {
            assert!(done.out.contains(said), "{arguments:?}: no `{said}`\n{}", done.out);
        }
    }
}

#[test]
fn lint_is_as_strict_as_is_asked_and_a_stream_can_run_in_spite_of_it() {
    let odd = "\
input: { generate: { count: 1, interval: 0s, mapping: root = \"tea\", cuont: 1 } }
output: { stdout: {} }
http: { enabled: false }
cache_resources: [{ label: Odd, ttlru: { ttl: 1s } }]
";
    let folder = Gate::setup()
        .file("odd.yaml", odd)
        .file(
            "unset.yaml",
            &odd.replace(", cuont: 1", "").replace("tea", "tea${NOT_SET_ANYWHERE}").replace("Odd", "odd"),
        )
        .file("broken.yaml", &odd.replace("root = \"tea\"", "root ="))
        .prepare();
    for (arguments, code, out, err) in [
        (&["run", "odd.yaml"][..], 1, "", "odd.yaml:1:69: error: unknown field `cuont`"),
        (&["run", "--chilled", "odd.yaml"], 0, "tea\n", "odd.yaml:1:69: warning: unknown field `cuont`"),
        (&["run", "unset.yaml"], 1, "", "error: the variable `NOT_SET_ANYWHERE` is not set"),
        (
            &["run", "--chilled", "unset.yaml"],
            0,
            "tea\n",
            "warning: the variable `NOT_SET_ANYWHERE` is not set",
        ),
        (&["run", "--chilled", "broken.yaml"], 1, "", "error: "),
        (&["lint", "unset.yaml", "-s", "input.generate.mapping=root = 1"], 1, "1 error,", ""),
        (&["lint", "odd.yaml", "--deprecated"], 1, "error: `ttl` of `ttlru` is deprecated", ""),
        (&["lint", "odd.yaml", "--labels"], 1, "error: the output `stdout` has no label", ""),
    ] {
        let done = stream(folder.dir(), arguments);
        assert_eq!(done.code, Some(code), "{arguments:?}\n{}{}", done.out, done.err);
        assert!(done.out.contains(out) && done.err.contains(err), "{arguments:?}\n{}{}", done.out, done.err);
    }
    let plain = stream(folder.dir(), &["lint", "odd.yaml"]);
    assert!(!plain.out.contains("deprecated") && !plain.out.contains("has no label"), "{}", plain.out);
}

const TESTED: &str = "\
input: { generate: { mapping: root = 1 } }
pipeline:
  processors:
    - mapping: root.name = this.name.uppercase()
    - label: ask
      sleep: { duration: 1h }
    - mapping: 'root = this.assign({\"word\": \"${WORD:none}\"})'
output: { drop: {} }
";
const TESTS: &str = "\
tests:
  - name: upper case
    environment: { WORD: cup }
    mocks: { ask: { mapping: 'meta asked = \"yes\"' } }
    input_batch:
      - json_content: { name: ada }
      - content: '{\"name\":\"eve\"}'
        metadata: { k: v }
    output_batches:
      - - json_equals: { name: ADA, word: cup }
          metadata_equals: { asked: 'yes' }
        - json_contains: { name: EVE }
          content_matches: '^\\{\"name\":\"E'
          bloblang: '@k == \"v\" && this.word == \"cup\"'
  - name: one processor
    target_processors: /pipeline/processors/0
    input_batch: [{ content: '{\"name\":\"x\"}' }]
    output_batches: [[{ content_equals: '{\"name\":\"X\"}' }]]
";

#[test]
fn tests_of_configurations_pass_and_fail() {
    let folder = Gate::setup()
        .file("right/a.yaml", TESTED)
        .file("right/a_bento_test.yaml", TESTS)
        .file("wrong/a.yaml", TESTED)
        .file("wrong/a_benthos_test.yaml", &TESTS.replace("{\"name\":\"X\"}", "{\"name\":\"Y\"}"))
        .prepare();
    for (arguments, code, said) in [
        (vec!["test", "right"], 0, "2 passed, 0 failed"),
        (vec!["test", "right/a_bento_test.yaml"], 0, "2 passed, 0 failed"),
        (vec!["test", "wrong/a.yaml"], 1, "FAILED: one processor"),
        (vec!["test", "wrong/a.yaml"], 1, "1 passed, 1 failed"),
    ] {
        let done = stream(folder.dir(), &arguments);
        assert_eq!(done.code, Some(code), "{arguments:?}\n{}{}", done.out, done.err);
        assert!(done.out.contains(said), "{arguments:?}: no `{said}`\n{}", done.out);
    }
}

#[test]
fn what_is_created_can_be_checked_and_what_is_listed_is_there() {
    let folder = Gate::setup().prepare();
    let created = stream(folder.dir(), &["create", "generate/mapping,log/drop"]);
    assert_eq!(created.code, Some(0), "{}", created.err);
    for part in ["input:\n  generate:\n", "- mapping:", "- log:\n", "output:\n  drop: {}"] {
        assert!(created.out.contains(part), "no `{part}`\n{}", created.out);
    }
    let wrong = stream(folder.dir(), &["create", "generat"]);
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.err.contains("did you mean `generate`?"), "{}", wrong.err);

    let listed = stream(folder.dir(), &["list", "inputs", "--format", "json"]);
    let listed: Value = serde_json::from_str(&listed.out).expect("JSON");
    assert!(listed["inputs"].as_array().expect("a list").contains(&json!("kafka")), "{listed}");
    assert!(listed.get("outputs").is_none(), "{listed}");
    let schema = stream(folder.dir(), &["list", "--format", "jsonschema"]);
    let schema: Value = serde_json::from_str(&schema.out).expect("JSON");
    assert!(schema["definitions"]["input_kafka"]["properties"]["addresses"].is_object());
}

#[tokio::test]
async fn a_gate_expands_the_variables_that_its_configuration_names() {
    let word = |variable: &str| {
        let mapping = format!("root = \"${{{variable}}}\"");
        let input = json!({"generate": {"count": 1, "interval": "", "mapping": mapping}});
        let output = json!({"http_server": {"path": "/get", "ws_path": "", "stream_path": ""}});
        json!({"s": {"input": input, "output": output}})
    };
    let gate = Gate::setup()
        .conf(json!({"streaming": {"enabled": true, "environment": ["CUP_*"]}}))
        .env("CUP_OF", "tea")
        .oas(streaming::events("cup", word("CUP_OF")))
        .oas(streaming::events("secret", word("TYK_GW_SECRET:x")))
        .start()
        .await;
    let reply = gate.get("/cup/get", &[]).await;
    assert_eq!((reply.status, &*reply.body), (200, &b"tea"[..]));
    assert_eq!(gate.get("/secret/get", &[]).await.status, 404);
    assert!(gate.log().contains("may not be read by streams"), "{}", gate.log());

    let header = format!("x-tyk-authorization: {}", Gate::SECRET);
    let schema = gate.get("/tyk/streams/schema.json", &["-H", &header]).await;
    let schema: Value = serde_json::from_slice(&schema.body).expect("JSON");
    assert_eq!(schema["title"], "Stream configuration");
}

const LOUD: &str = "\
name: loud
type: processor
fields:
  - { name: mark, type: string, default: '!' }
mapping: |
  root.mapping = \"root = content().uppercase() + %q\".format(this.mark)
tests:
  - name: a mark is added
    config: { mark: '?' }
    expected: { mapping: 'root = content().uppercase() + \"?\"' }
";

#[test]
fn templates_make_components_of_others() {
    let using = "\
input: { generate: { count: 1, interval: 0s, mapping: root = \"tea\" } }
pipeline:
  processors:
    - loud: { mark: '?' }
output: { stdout: {} }
tests:
  - input_batch: [{ content: cup }]
    output_batches: [[{ content_equals: CUP? }]]
";
    let folder = Gate::setup()
        .file("parts/loud.yaml", LOUD)
        .file("tea.yaml", using)
        .file("wrong.yaml", &using.replace("mark:", "mrak:"))
        .file("parts/wrong.yml", &LOUD.replace("{ mark: '?' }", "{ mark: '.' }"))
        .prepare();
    let with = ["-t", "parts/*.yaml"];
    let done = stream(folder.dir(), &[&["run", "tea.yaml", "-s", "http.enabled=false"], &with[..]].concat());
    assert_eq!((done.code, &*done.out), (Some(0), "TEA?\n"), "{}", done.err);
    let done = stream(folder.dir(), &[&["test", "tea.yaml"], &with[..]].concat());
    assert_eq!(done.code, Some(0), "{} {}", done.out, done.err);
    let done = stream(folder.dir(), &["lint", "tea.yaml"]);
    assert_eq!(done.code, Some(1));
    assert!(done.out.contains("there is no processor `loud`"), "{}", done.out);
    let done = stream(folder.dir(), &[&["lint", "wrong.yaml"], &with[..]].concat());
    assert_eq!(done.code, Some(1));
    assert!(done.out.contains("wrong.yaml:4:15: error: unknown field `mrak` in `loud`"), "{}", done.out);
    assert!(done.out.contains("did you mean `mark`?"), "{}", done.out);

    let created = stream(folder.dir(), &[&["create", "generate/loud/drop"], &with[..]].concat());
    assert!(created.out.contains("- loud:\n        mark: "), "{}{}", created.out, created.err);
    let listed =
        stream(folder.dir(), &[&["list", "processors", "--format", "json-full"], &with[..]].concat());
    let listed: Value = serde_json::from_str(&listed.out).expect("JSON");
    let names = listed["processors"].as_array().expect("a list").iter().map(|listed| &listed["name"]);
    assert!(
        names.clone().any(|name| name == "loud") && names.clone().any(|name| name == "mapping"),
        "{listed}"
    );

    assert_eq!(stream(folder.dir(), &["lint", "parts/loud.yaml"]).code, Some(0));
    let done = stream(folder.dir(), &["lint", "parts/wrong.yml"]);
    assert_eq!(done.code, Some(1));
    assert!(done.out.contains("test `a mark is added`: the mapping makes"), "{}", done.out);
}

#[test]
fn a_test_that_would_test_nothing_fails() {
    let with = |tests: &str| {
        format!(
            "input: {{ generate: {{ mapping: root = 1 }} }}\npipeline: {{ processors: [] }}\noutput: {{ drop: {{}} }}\n{tests}"
        )
    };
    let one = "tests:\n  - { input_batch: [{ content: a }], output_batches: [[{ content_equals: a }]] }\n";
    let folder = Gate::setup()
        .file("good.yaml", &with(one))
        .file("none.yaml", &with(""))
        .file("object.yaml", &with("tests: { a: 1 }"))
        .file("batch.yaml", &with(&one.replace("[{ content: a }]", "{ content: a }")))
        .file("field.yaml", &with(&one.replace("content: a }]", "contnt: a }]")))
        .file("beside.yaml", &with(""))
        .file("beside_bento_test.yaml", "test: []")
        .prepare();
    assert_eq!(stream(folder.dir(), &["test", "good.yaml"]).code, Some(0));
    for (file, told) in [
        ("none.yaml", "there is no test"),
        ("object.yaml", "`tests` must be a list"),
        ("batch.yaml", "must be a list of messages"),
        ("field.yaml", "did you mean `content`?"),
        ("beside.yaml", "there are no `tests`"),
    ] {
        let done = stream(folder.dir(), &["test", file]);
        assert_eq!(done.code, Some(1), "{file}: {}", done.out);
        assert!(format!("{}{}", done.out, done.err).contains(told), "{file}: {} {}", done.out, done.err);
    }
}
