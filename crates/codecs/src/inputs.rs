//! Inputs of formats.

use std::sync::Arc;

use bloblang::formats::csv::Rules;
use document::Fault;
use streams::fields::AUTO_REPLAY_NACKS;
use streams::files::FileSource;
use streams::{BuildContext, Default, Field, Input, InputSpec, Kind, Node};

use crate::scanners::csv::{self, Metadata, Options};

pub(crate) static CSV: InputSpec = InputSpec {
    name: "csv",
    summary: "Reads rows of files with comma-separated values: objects by the names of the first row, or arrays where there is none. The metadata `path`, `mod_time` and `mod_time_unix` tell of the file, `header` are the names of its first row in their order.",
    config: Kind::Object(&[
        Field::required(
            "paths",
            Kind::List(&Kind::Text),
            "The files, in this order. `*`, `?` and `[a-z]` stand for characters of a name, `**` for any number of folders.",
        ),
        Field::new("parse_header_row", Kind::Bool, Default::Bool(true), "The first row holds names."),
        Field::new("delimiter", Kind::Text, Default::Text(","), "What stands between fields, one character."),
        Field::new("lazy_quotes", Kind::Bool, Default::Bool(false), "Take lone quotes as they are."),
        Field::new(
            "delete_on_finish",
            Kind::Bool,
            Default::Bool(false),
            "Whether a file is deleted when all of its rows are delivered.",
        )
        .advanced(),
        Field::new(
            "batch_count",
            Kind::Int,
            Default::Int(1),
            "Most rows of a file that travel as one batch.",
        )
        .advanced(),
        AUTO_REPLAY_NACKS,
        Field::optional(
            "expected_headers",
            Kind::List(&Kind::Text),
            "The names that the first row must hold.",
        ),
        Field::optional("expected_number_of_fields", Kind::Int, "How many fields every row must have."),
    ]),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    let paths = node.texts("paths")?;
    if paths.is_empty() {
        return Err(node.field_fault("paths", "`paths` must name at least one file"));
    }
    let together = node.count("batch_count")?;
    if !(1..=100_000).contains(&together) {
        return Err(node.field_fault("batch_count", "`batch_count` must be from 1 to 100000"));
    }
    let delimiter = Rules::delimiter(&node.text("delimiter")?);
    let scanner = csv::scanner(Options {
        rules: Rules {
            delimiter: delimiter.map_err(|fault| node.field_fault("delimiter", fault))?,
            lazy_quotes: node.boolean("lazy_quotes")?,
        },
        parse_header_row: node.boolean("parse_header_row")?,
        continue_on_error: false,
        expected_headers: node.has("expected_headers").then(|| node.texts("expected_headers")).transpose()?,
        expected_number_of_fields: node
            .has("expected_number_of_fields")
            .then(|| node.count("expected_number_of_fields"))
            .transpose()?,
        metadata: Metadata::Header,
    });
    let source = FileSource::new(paths, Arc::new(scanner), node.boolean("delete_on_finish")?, together);
    context.with_replay(node, source)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test may block")]
mod tests {
    use std::time::Duration;

    use serde_json::{Value as Json, json};
    use streams::{CloseReason, Lines, Settings};

    use crate::testing::settings;

    #[derive(Clone, Default)]
    struct Kept(std::sync::Arc<parking_lot::Mutex<Vec<u8>>>);

    impl Lines for Kept {
        fn write_all(&self, bytes: &[u8]) -> std::io::Result<()> {
            self.0.lock().extend_from_slice(bytes);
            Ok(())
        }
    }

    /// What a stream from this input writes until it ends.
    async fn written(csv: Json, mapping: &str) -> String {
        let kept = Kept::default();
        let settings = Settings {
            allow_unsafe: vec!["csv".into()],
            lines: std::sync::Arc::new(kept.clone()),
            ..settings()
        };
        let config = json!({
            "input": { "csv": csv },
            "pipeline": { "processors": [{ "mapping": mapping }, { "archive": { "format": "json_array" } }] },
            "output": { "stdout": {} },
        });
        let stream = streams::build("test", &config, "", &settings).unwrap().start();
        while !stream.status().ended {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stream.stop(Duration::from_secs(1), CloseReason::Removed).await;
        String::from_utf8(kept.0.lock().clone()).unwrap()
    }

    #[tokio::test]
    async fn rows_become_messages() {
        let root = std::env::temp_dir().join(format!("sluicegate-csv-{}", std::process::id()));
        std::fs::create_dir_all(&root).unwrap();
        let put = |name: &str, text: &str| {
            let path = root.join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let (a, b) = (put("a.csv", "n,t\n1,x\n2,\"y,z\"\n"), put("b.csv", "n;t\n3;w\n"));
        for (config, expected) in [
            (json!({ "paths": [a] }), "[{\"n\":\"1\",\"t\":\"x\"}]\n[{\"n\":\"2\",\"t\":\"y,z\"}]\n"),
            (
                json!({ "paths": [a], "batch_count": 2 }),
                "[{\"n\":\"1\",\"t\":\"x\"},{\"n\":\"2\",\"t\":\"y,z\"}]\n",
            ),
            (json!({ "paths": [b], "delimiter": ";" }), "[{\"n\":\"3\",\"t\":\"w\"}]\n"),
            (
                json!({ "paths": [b], "delimiter": ";", "parse_header_row": false }),
                "[[\"n\",\"t\"]]\n[[\"3\",\"w\"]]\n",
            ),
            (json!({ "paths": [a], "expected_headers": ["n", "x"] }), ""),
            (json!({ "paths": [a], "expected_number_of_fields": 3 }), ""),
        ] {
            assert_eq!(written(config.clone(), "root = this").await, expected, "{config}");
        }
        let named = json!({ "paths": [b], "delimiter": ";" });
        assert_eq!(written(named, "root = @header").await, "[[\"n\",\"t\"]]\n");
        std::fs::remove_dir_all(&root).unwrap();
        for (config, expected) in [
            (json!({ "paths": [] }), "`paths` must name"),
            (json!({ "paths": ["x"], "delimiter": "ab" }), "the delimiter must be one character"),
            (json!({ "paths": ["x"], "batch_count": 0 }), "`batch_count` must be from 1"),
        ] {
            let stream = json!({ "input": { "csv": config }, "output": { "drop": {} } });
            let settings = Settings { allow_unsafe: vec!["csv".into()], ..settings() };
            let faults = streams::build("test", &stream, "", &settings).unwrap_err();
            assert!(faults.iter().any(|fault| fault.message.contains(expected)), "{faults:?}");
        }
    }
}
