use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bloblang::{Environment, File, Files};
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use streams::{Message, Processors, Registry, Settings};

fn settings() -> Settings {
    let mut registry = Registry::standard();
    crate::register(&mut registry);
    Settings::new(registry)
}

/// What a script makes of messages: payload, metadata, flag.
async fn run(config: Json, messages: Vec<Message>) -> Vec<String> {
    let list = json!([{ "javascript": config }]);
    let processors = Processors::build(&list, "", &settings())
        .unwrap_or_else(|fault| panic!("{}: {}", fault.pointer, fault.message));
    let made = processors.run(messages).await;
    let told = made.iter().flatten().map(|message| {
        let metadata: Vec<String> =
            message.meta_iter().map(|(key, value)| format!("{key}={}", value.to_json())).collect();
        let flag = message.error().map(|fault| format!("!{fault}")).unwrap_or_default();
        let metadata = if metadata.is_empty() { String::new() } else { format!(" {}", metadata.join(",")) };
        format!("{}{metadata}{flag}", String::from_utf8_lossy(message.bytes()))
    });
    told.collect()
}

async fn one(code: &str, payload: &str) -> String {
    run(json!({ "code": code }), vec![Message::new(payload.to_owned())]).await.join("|")
}

#[tokio::test]
async fn scripts_read_and_change_their_message() {
    let mutation = "(() => {
        let thing = bento.v0_msg_as_structured();
        thing.num_keys = Object.keys(thing).length;
        delete thing['b'];
        bento.v0_msg_set_structured(thing);
    })();";
    for (code, payload, expected) in [
        ("bento.v0_msg_set_string(bento.v0_msg_as_string() + \"hello world\");", "a ", "a hello world"),
        ("benthos.v0_msg_set_string('x')", "a", "x"),
        (mutation, r#"{"a":1,"b":2}"#, r#"{"a":1,"num_keys":2}"#),
        ("bento.v0_msg_set_structured([1, 'x', null, {a: undefined}])", "a", r#"[1,"x",null,{}]"#),
        ("bento.v0_msg_set_structured('text')", "a", r#""text""#),
        (
            "bento.v0_msg_set_meta('k', 'v'); bento.v0_msg_set_meta('n', 1.5); bento.v0_msg_set_meta('l', ['x'])",
            "a",
            r#"a k="v",l=["x"],n=1.5"#,
        ),
        (
            "bento.v0_msg_set_meta('k', 'v'); bento.v0_msg_set_string(bento.v0_msg_get_meta('k') + bento.v0_msg_exists_meta('k') + bento.v0_msg_exists_meta('x'))",
            "a",
            r#"vtruefalse k="v""#,
        ),
        ("const x = 1; if (x) return; bento.v0_msg_set_string('never')", "a", "a"),
        ("bento.v0_msg_set_string('last') // a comment", "a", "last"),
        ("Promise.resolve('p').then(v => bento.v0_msg_set_string(v))", "a", "p"),
        ("bento.v0_msg_set_string([...'añ€😀'].reverse().join(''))", "", "😀€ña"),
        // Faults leave the message as it was, changes before them, too.
        ("bento.v0_msg_set_string('changed'); throw new Error('no')", "a", "a!javascript: no (line 1)"),
        ("\n\nfoo.bar", "a", "a!javascript: ReferenceError: foo is not defined (line 3)"),
        ("throw 'text'", "a", "a!javascript: text"),
        ("throw {}", "a", "a!javascript: the script threw a value that is no error"),
        ("bento.v0_msg_as_structured()", "no json", "no json!javascript: parse as json"),
        ("bento.v0_msg_get_meta('x')", "a", "a!javascript: key not found"),
        ("bento.v0_msg_set_structured(() => 1)", "a", "a!javascript: TypeError: a value of this type"),
        ("const c = {}; c.c = c; bento.v0_msg_set_structured(c)", "a", "a!javascript: TypeError: circular"),
        ("require('fs')", "a", "a!javascript: `require` is not offered"),
        (
            "bento.v0_fetch('file:///etc/passwd')",
            "a",
            "a!javascript: `file:///etc/passwd` is no address of http or https",
        ),
    ] {
        let made = one(code, payload).await;
        let right = if expected.contains('!') { made.starts_with(expected) } else { made == expected };
        assert!(right, "{code}: {made}");
    }
    let messages = || vec![Message::new("a"), Message::new("b"), Message::new("c")];
    let code = "if (bento.v0_msg_as_string() == 'b') throw 'no'; bento.v0_msg_set_string('x')";
    assert_eq!(run(json!({ "code": code }), messages()).await, ["x", "b!javascript: no", "x"]);
    // Another script for each message.
    let code = "bento.v0_msg_set_string('${! content() }' + 1)";
    assert_eq!(run(json!({ "code": code }), messages()).await, ["a1", "b1", "c1"]);
}

#[tokio::test]
async fn scripts_know_nothing_of_the_machine() {
    let known = [
        "process",
        "Deno",
        "os",
        "std",
        "fetch",
        "XMLHttpRequest",
        "setTimeout",
        "Worker",
        "load",
        "import_",
    ];
    let code = known.map(|name| format!("typeof {name}")).join(" + ");
    let made = one(&format!("bento.v0_msg_set_string({code})"), "").await;
    assert_eq!(made, "undefined".repeat(known.len()));
    let made = one(
        "import('fs').then(() => bento.v0_msg_set_string('read'), () => bento.v0_msg_set_string('refused'))",
        "",
    )
    .await;
    assert!(made != "read", "{made}");
}

#[tokio::test]
async fn scripts_end() {
    for (code, expected) in [
        ("for (;;) {}", "the script was ended: it takes longer than 2s"),
        ("try { for (;;) {} } catch (e) { bento.v0_msg_set_string('caught') }", "the script was ended"),
        ("const a = []; for (;;) a.push('x'.repeat(1000000) + a.length)", "out of memory"),
        ("function f() { return f() + 1 } f()", "call stack"),
        ("const p = () => Promise.resolve().then(p); p()", "promises in a row"),
        ("/(a+)+$/.test('a'.repeat(40) + 'b')", "the script was ended"),
    ] {
        let begun = Instant::now();
        let made = one(code, "a").await;
        assert!(
            made.starts_with("a!javascript: ") && made.to_lowercase().contains(expected),
            "{code}: {made}"
        );
        assert!(begun.elapsed() < Duration::from_secs(20), "{code}: {:?}", begun.elapsed());
    }
    // What is left of an engine that broke is not used again.
    let list = json!([{ "javascript": { "code": "if (bento.v0_msg_as_string() == 'loop') for (;;) {}; bento.v0_msg_set_string('done')" } }]);
    let processors = Processors::build(&list, "", &settings()).unwrap();
    for (payload, expected) in [("x", "done"), ("loop", "loop"), ("x", "done")] {
        let made = processors.run(vec![Message::new(payload)]).await;
        assert_eq!(made[0][0].bytes(), expected.as_bytes());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_scripts_run_at_once() {
    let code = "let n = 0; for (let i = 0; i < 1000; i++) n += i; bento.v0_msg_set_string(bento.v0_msg_as_string() + n)";
    let list = json!([{ "javascript": { "code": code } }]);
    let processors = Arc::new(Processors::build(&list, "", &settings()).unwrap());
    let running: Vec<_> = (0..32)
        .map(|number| {
            let processors = processors.clone();
            tokio::spawn(async move { processors.run(vec![Message::new(format!("{number} "))]).await })
        })
        .collect();
    for (number, made) in running.into_iter().enumerate() {
        assert_eq!(made.await.unwrap()[0][0].bytes(), format!("{number} 499500").as_bytes());
    }
}

struct Known;

impl Files for Known {
    fn open(&self, path: &str, _: Option<&str>) -> Result<File, String> {
        match path {
            "good.js" => {
                Ok(File { name: path.into(), content: "bento.v0_msg_set_string('from a file')".into() })
            }
            _ => Err("there is none".to_owned()),
        }
    }
}

#[tokio::test]
async fn scripts_come_from_files_where_they_may_be_read() {
    let mut settings = settings();
    settings.environment = Environment::pure().with_files(Arc::new(Known));
    let list = |file: &str| json!([{ "javascript": { "file": file } }]);
    for file in ["good.js", "${! @name }.js"] {
        let mut message = Message::new("a");
        message.set_meta("name", "good");
        let made = Processors::build(&list(file), "", &settings).unwrap().run(vec![message]).await;
        assert_eq!(made[0][0].bytes(), "from a file", "{file}");
    }
    let fault = Processors::build(&list("gone.js"), "", &settings).unwrap_err();
    assert_eq!(
        (&*fault.pointer, &*fault.message),
        ("/0/javascript/file", "`gone.js` cannot be read: there is none")
    );
    for (config, expected) in [
        (json!({ "file": "good.js" }), "reading files is not allowed here"),
        (json!({}), "one of `code` and `file` is required"),
        (json!({ "code": "1", "file": "x" }), "write either `code` or `file`"),
        (json!({ "code": "let = ;" }), "SyntaxError: "),
        (json!({ "code": "\n  if (" }), "(line 2)"),
    ] {
        let fault = Processors::build(&json!([{ "javascript": config }]), "", &self::settings()).unwrap_err();
        assert!(fault.message.contains(expected), "{fault:?}");
    }
    let faults = streams::lint(
        &json!({
            "input": { "inproc": "x" },
            "pipeline": { "processors": [{ "javascript": { "code": "1", "global_folders": ["/lib"] } }] },
            "output": { "drop": {} },
        }),
        "",
        &self::settings(),
    );
    assert!(faults[0].message.contains("`global_folders` is not supported here"), "{faults:?}");
}

#[tokio::test]
async fn a_script_is_built_without_being_run() {
    let begun = Instant::now();
    for code in [
        "}); for (;;) {} (function () {",
        "}); for (;;) try { bento.v0_fetch('http://127.0.0.1:1/') } catch {} (function () {",
        "for (;;) {}",
    ] {
        let list = json!([{ "javascript": { "code": code } }]);
        assert!(Processors::build(&list, "", &settings()).is_ok(), "{code}");
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    // It is ended when it runs, as any other.
    let made = one("}); for (;;) {} (function () {", "a").await;
    assert!(made.starts_with("a!javascript: the script was ended"), "{made}");
}

#[tokio::test]
async fn requests_are_counted() {
    let code = "let n = 0;
        for (;;) {
            try { bento.v0_fetch('http://127.0.0.1:1/') }
            catch (e) { if (e.message.includes('no more than')) break; n++ }
        }
        bento.v0_msg_set_string(n)";
    assert_eq!(one(code, "").await, "100");
    // Each message has its own.
    let code = "try { bento.v0_fetch('http://u:secret@127.0.0.1:1/?key=k') } catch (e) { bento.v0_msg_set_string(e.message) }";
    let made = run(json!({ "code": code }), vec![Message::new("a"), Message::new("b")]).await;
    assert!(made.iter().all(|text| text.starts_with("http://127.0.0.1:1/: ")), "{made:?}");
}

#[test]
fn the_time_for_requests_ends() {
    let (longest, all) = (Duration::from_secs(2), Duration::from_secs(30));
    let mut current = super::engine::Current::new(Some(Message::new("")));
    let left = current.request().unwrap();
    assert!(left > longest && left <= all, "{left:?}");
    // However long its requests have put that off.
    current.until += Duration::from_secs(3600);
    assert!(!current.is_late());
    current.last = Instant::now();
    assert!(current.is_late());
    assert_eq!(current.request(), Ok(Duration::ZERO));
    assert!(super::engine::Current::new(None).request().is_err(), "there is no message");
}

/// Keeps the lines of scripts.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl tracing::field::Visit for Line {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn Debug) {
        self.0 += &format!(" {}={value:?}", field.name());
    }
}

impl tracing::Subscriber for Lines {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::Id {
        tracing::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::Id, _: &tracing::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        if event.metadata().target().contains("javascript") {
            let mut line = Line(event.metadata().level().to_string());
            event.record(&mut line);
            self.0.lock().push(line.0);
        }
    }

    fn enter(&self, _: &tracing::Id) {}

    fn exit(&self, _: &tracing::Id) {}
}

#[test]
fn the_console_is_the_log() {
    let lines = Lines::default();
    let outside = super::Outside {
        stream: "s".into(),
        path: "root.pipeline.processors.0".into(),
        fetch: super::Fetch::for_tests(),
    };
    let mut engine = super::Engine::new(&Arc::new(outside)).unwrap();
    let code = "console.log('a', 1, {b: [2]}, null); console.error(new Error('bad')); console.warn(); console.debug('d'); console.info('x'.repeat(20000))";
    tracing::subscriber::with_default(lines.clone(), || {
        engine.run(&code.into(), Message::new("")).unwrap();
    });
    let lines = lines.0.lock();
    assert_eq!(lines[0], "INFO message=a 1 {\"b\":[2]} null stream=s path=root.pipeline.processors.0");
    assert!(lines[1].starts_with("ERROR message=Error: bad stream=s"), "{}", lines[1]);
    assert!(
        lines[2].starts_with("WARN message= stream=s") && lines[3].starts_with("DEBUG message=d"),
        "{lines:?}"
    );
    assert!(lines[4].starts_with("INFO message=xxx") && lines[4].len() < 17_000);
}
