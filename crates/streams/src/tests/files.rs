//! Files of the machine, where they are allowed.

#![expect(clippy::disallowed_methods, reason = "a test may block")]

use std::path::PathBuf;

use super::*;

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let root = std::env::temp_dir().join(format!("sluicegate-files-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root); // of a run that was cut short
        std::fs::create_dir_all(&root).unwrap();
        Folder(root)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap_or_else(|_| "(none)".to_owned())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn start(bench: &Bench, config: &Json) -> RunningStream {
    let settings = Settings { allow_unsafe: vec!["file".into()], ..bench.settings() };
    build("test", config, "", &settings).unwrap().start()
}

async fn ended(stream: &RunningStream) {
    while !stream.status().ended {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn files_are_read_one_after_the_other() {
    let folder = Folder::new("read");
    folder.put("a.txt", "1\n2\n");
    folder.put("b.txt", "3");
    folder.put("c.json", r#"{"a":1}{"a":2}"#);
    for (config, expected) in [
        (json!({ "paths": [folder.path("*.txt")] }), vec!["1", "2", "3"]),
        (json!({ "paths": [folder.path("b.txt"), folder.path("a.txt")] }), vec!["3", "1", "2"]),
        (
            json!({ "paths": [folder.path("c.json")], "scanner": { "json_documents": {} } }),
            vec![r#"{"a":1}"#, r#"{"a":2}"#],
        ),
        (json!({ "paths": [folder.path("a.txt")], "scanner": { "to_the_end": {} } }), vec!["1\n2\n"]),
        (json!({ "paths": [folder.path("a.txt")], "codec": "all-bytes" }), vec!["1\n2\n"]),
        // One that is missing does not stop the others.
        (json!({ "paths": [folder.path("gone"), folder.path("b.txt")] }), vec!["3"]),
        (json!({ "paths": [folder.path("*.none")] }), vec![]),
    ] {
        let bench = Bench::default();
        let output = bench.topic("out");
        let stream = start(&bench, &json!({ "input": { "file": config }, "output": { "inproc": "out" } }));
        for expected in expected {
            let (batch, transaction) = take(&output).await;
            assert_eq!(batch, [expected], "{config}");
            let message = &transaction.batch[0];
            let path = message.meta("path").unwrap().to_text();
            assert!(path.starts_with(&*folder.0.display().to_string()), "{path}");
            assert!(message.meta("mod_time_unix").is_some() && message.meta("mod_time").is_some());
            transaction.ack.done(Ok(()));
        }
        ended(&stream).await;
    }
}

#[tokio::test]
async fn a_file_is_deleted_when_all_of_it_is_delivered() {
    let folder = Folder::new("delete");
    folder.put("a.txt", "1\n2\n");
    folder.put("b.txt", "3\n4\n");
    let bench = Bench::default();
    let output = bench.topic("out");
    let stream = start(
        &bench,
        &json!({
            "input": { "file": { "paths": [folder.path("*.txt")], "delete_on_finish": true, "auto_replay_nacks": false } },
            "output": { "inproc": "out" },
        }),
    );
    for (wanted, delivered) in [("1", true), ("2", true), ("3", false), ("4", true)] {
        let (batch, transaction) = take(&output).await;
        assert_eq!(batch, [wanted]);
        transaction.ack.done(if delivered { Ok(()) } else { Err(NackReason::failed("x")) });
    }
    ended(&stream).await;
    assert_eq!((folder.text("a.txt"), folder.text("b.txt")), ("(none)".into(), "3\n4\n".into()));
}

#[tokio::test]
async fn files_that_are_delivered_together_are_all_deleted() {
    let folder = Folder::new("together");
    let names: Vec<String> = (0..20).map(|number| format!("{number:02}.txt")).collect();
    names.iter().for_each(|name| folder.put(name, "x\n"));
    let bench = Bench::default();
    let output = bench.topic("out");
    let file = json!({ "paths": [folder.path("*.txt")], "delete_on_finish": true });
    let stream = start(&bench, &json!({ "input": { "file": file }, "output": { "inproc": "out" } }));
    let mut taken = Vec::new();
    for _ in &names {
        taken.push(take(&output).await.1);
    }
    taken.into_iter().for_each(|transaction| transaction.ack.done(Ok(())));
    ended(&stream).await;
    for name in &names {
        assert_eq!(folder.text(name), "(none)", "{name}");
    }
}

#[tokio::test]
async fn messages_are_written_to_files() {
    let folder = Folder::new("write");
    folder.put("whole.txt", "before");
    folder.put("lines.txt", "before\n");
    folder.put("taken", "a file where a folder is wanted");
    for (path, codec, batches, results, expected) in [
        (
            "lines.txt",
            "lines",
            vec![vec!["a", "b"], vec!["c"]],
            vec![true, true],
            vec![("lines.txt", "before\na\nb\nc\n")],
        ),
        (
            "d/e/${! content() }.txt",
            "append",
            vec![vec!["x", "y", "x"]],
            vec![true],
            vec![("d/e/x.txt", "xx"), ("d/e/y.txt", "y")],
        ),
        ("delim.txt", "delim:--", vec![vec!["a", "b"]], vec![true], vec![("delim.txt", "a--b--")]),
        ("whole.txt", "all-bytes", vec![vec!["a", "b"]], vec![true], vec![("whole.txt", "b")]),
        (
            "${! content() }/f.txt",
            "lines",
            vec![vec!["taken", "free"]],
            vec![false],
            vec![("free/f.txt", "free\n")],
        ),
    ] {
        let bench = Bench::default();
        let input = bench.topic("in");
        let stream = start(
            &bench,
            &json!({ "input": { "inproc": "in" }, "output": { "file": { "path": folder.path(path), "codec": codec } } }),
        );
        for batch in &batches {
            let mut transaction = bench.transaction(batch);
            crate::message::number(&mut transaction.batch);
            input.write(transaction).await;
        }
        let done = bench.until(batches.len()).await;
        assert_eq!(done.iter().map(|(_, delivered)| *delivered).collect::<Vec<_>>(), results, "{path}");
        for (name, text) in expected {
            assert_eq!(folder.text(name), text, "{path}");
        }
        stream.stop(Duration::from_secs(1), CloseReason::Removed).await;
    }
}

#[test]
fn settings_of_files_are_checked() {
    let bench = Bench::default();
    let settings = Settings { allow_unsafe: vec!["file".into()], ..bench.settings() };
    for (input, output, expected) in [
        (json!({ "file": { "paths": [] } }), json!({ "drop": {} }), "/input/file/paths: `paths` must name"),
        (
            json!({ "inproc": "x" }),
            json!({ "file": { "path": "x", "codec": "tar" } }),
            "/output/file/codec: `tar` is no codec",
        ),
        (json!({ "inproc": "x" }), json!({ "file": {} }), "/output/file: `file` needs the field `path`"),
    ] {
        let faults = build("test", &json!({ "input": input, "output": output }), "", &settings).unwrap_err();
        let told = format!("{}: {}", faults[0].pointer, faults[0].message);
        assert!(told.starts_with(expected), "{told}");
    }
}
