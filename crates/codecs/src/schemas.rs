//! Schemas that a configuration names: written in it, in a file, or fetched when the first message comes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use document::Fault;
use parking_lot::Mutex;
use streams::{Batch, BuildContext, Default, Fetch, Field, Kind, Node, Processor};
use tokio::sync::OnceCell;

use crate::each::{Change, Each};
use crate::files;

/// So long a schema that could not be fetched is not asked for again.
const PAUSE: Duration = Duration::from_secs(1);

/// The field that names a schema elsewhere.
pub(crate) const SCHEMA_PATH: Field = Field::new(
    "schema_path",
    Kind::Text,
    Default::Text(""),
    "Where the schema is: `file://` and the path of a file, read when the stream is built and only where streams may read files, or an address `http://` or `https://`, fetched when the first message comes, under the egress policy.",
);

/// A processor by the schema that `schema` or `schema_path` says.
pub(crate) fn by_schema<C: Change + 'static>(
    node: &Node<'_>,
    context: &BuildContext<'_>,
    make: impl Fn(&str) -> Result<C, String> + Send + Sync + 'static,
) -> Result<Box<dyn Processor>, Fault> {
    if let Some(schema) = node.optional_text("schema")?.filter(|text| !text.is_empty()) {
        let change = make(&schema).map_err(|fault| node.field_fault("schema", fault))?;
        return Ok(Box::new(Each(change)));
    }
    let Some(path) = node.optional_text("schema_path")?.filter(|text| !text.is_empty()) else {
        return Err(node.fault("one of `schema` and `schema_path` is required"));
    };
    let fault = |text: String| node.field_fault("schema_path", text);
    if let Some(file) = path.strip_prefix("file://") {
        let text = files::read(file, context).map_err(|why| {
            fault(why)
                .hint("write the schema into `schema`, or let streams read files: `streaming.mappings.files`")
        })?;
        return Ok(Box::new(Each(make(&text).map_err(fault)?)));
    }
    if !path.starts_with("http://") && !path.starts_with("https://") {
        return Err(fault("`schema_path` must begin with `file://`, `http://` or `https://`".to_owned()));
    }
    let Some(documents) = context.settings.registry.fetch else {
        return Err(fault("this build has no HTTP client to fetch the schema with".to_owned()));
    };
    Ok(Box::new(ByAddress {
        documents: documents(context.settings.egress.clone()),
        url: path.into_owned(),
        make,
        change: OnceCell::new(),
        failed: Mutex::new(None),
    }))
}

/// A change whose schema is fetched when it is needed, and kept as long as the stream runs. A stream does not wait for
/// another server to be built; until that answers, messages are flagged.
struct ByAddress<C, M> {
    documents: Arc<dyn Fetch>,
    url: String,
    make: M,
    change: OnceCell<C>,
    /// When the last attempt failed, and why.
    failed: Mutex<Option<(Instant, String)>>,
}

impl<C, M: Fn(&str) -> Result<C, String>> ByAddress<C, M> {
    async fn fetched(&self) -> Result<C, String> {
        let failed = self.failed.lock().clone();
        if let Some((_, why)) = failed.filter(|(when, _)| when.elapsed() < PAUSE) {
            return Err(why);
        }
        let made = match self.documents.fetch(&self.url, files::LARGEST).await {
            Ok(document) => match std::str::from_utf8(&document) {
                Ok(text) => (self.make)(text),
                Err(_) => Err("it is not UTF-8 text".to_owned()),
            },
            Err(why) => Err(why),
        };
        made.map_err(|why| {
            let why = format!("the schema at {} cannot be used: {why}", self.url);
            *self.failed.lock() = Some((Instant::now(), why.clone()));
            why
        })
    }
}

#[async_trait]
impl<C: Change, M: Fn(&str) -> Result<C, String> + Send + Sync> Processor for ByAddress<C, M> {
    async fn process(&self, mut batch: Batch) -> Vec<Batch> {
        // Whoever comes meanwhile waits for the one that fetches.
        let change = self.change.get_or_try_init(|| self.fetched()).await;
        for message in &mut batch {
            let changed = match &change {
                Ok(change) => change.change(message),
                Err(why) => Err(why.clone()),
            };
            if let Err(fault) = changed {
                message.set_error(fault);
            }
        }
        vec![batch]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;
    use serde_json::json;
    use streams::{Egress, Fetching, Message, Processors};

    use super::*;
    use crate::testing::{settings, with_files};

    /// A server that is away at first.
    struct Away(AtomicUsize);

    impl Fetch for Away {
        fn fetch<'f>(&'f self, url: &'f str, _: usize) -> Fetching<'f> {
            Box::pin(async move {
                match (self.0.fetch_add(1, Ordering::SeqCst), url) {
                    (0, _) => Err("nobody answers".to_owned()),
                    (1, "http://schemas/a") => Ok(Bytes::from_static(b"{\"type\":\"string\"}")),
                    _ => Ok(Bytes::from_static(b"\xff")),
                }
            })
        }
    }

    fn documents(_: Arc<Egress>) -> Arc<dyn Fetch> {
        Arc::new(Away(AtomicUsize::new(0)))
    }

    #[tokio::test]
    async fn schemas_are_read_where_files_may_be() {
        let avro = |path: &str| json!([{ "avro": { "operator": "to_json", "schema_path": path } }]);
        let refused = Processors::build(&avro("file://a.json"), "", &settings()).unwrap_err();
        assert!(
            refused.message.contains("`a.json` cannot be read: reading files is not allowed"),
            "{refused:?}"
        );
        assert!(refused.hint.unwrap().contains("`streaming.mappings.files`"));
        let settings = with_files(&[("a.json", "\"string\"")]);
        let processors = Processors::build(&avro("file://a.json"), "", &settings).unwrap();
        let made = processors.run(vec![Message::new("\"x\""), Message::new("1")]).await;
        let flags: Vec<bool> = made[0].iter().map(|message| message.error().is_some()).collect();
        assert_eq!(flags, [false, true]);
        for (path, expected) in [
            ("file://b.json", "`b.json` cannot be read: there is none"),
            ("b.json", "must begin with"),
            ("http://schemas/a", "no HTTP client"),
        ] {
            let fault = Processors::build(&avro(path), "", &settings).unwrap_err();
            assert!(fault.message.contains(expected), "{fault:?}");
        }
    }

    #[tokio::test]
    async fn schemas_are_fetched_when_a_message_comes_until_they_are_there() {
        let mut settings = settings();
        Arc::make_mut(&mut settings.registry).fetch = Some(documents);
        for (url, expected) in [
            ("http://schemas/a", ["!the schema at http://schemas/a cannot be used: nobody answers", ""]),
            (
                "https://schemas/b",
                [
                    "!the schema at https://schemas/b cannot be used: nobody answers",
                    "!the schema at https://schemas/b cannot be used: it is not UTF-8 text",
                ],
            ),
        ] {
            let list = json!([{ "json_schema": { "schema_path": url } }]);
            let processors = Processors::build(&list, "", &settings).unwrap();
            let one = async || {
                let made = processors.run(vec![Message::new("\"x\"")]).await;
                let message = &made[0][0];
                assert_eq!(&**message.bytes(), b"\"x\"");
                message.error().map(|fault| format!("!{fault}")).unwrap_or_default()
            };
            assert_eq!(one().await, expected[0]);
            // Not asked for again at once.
            assert_eq!(one().await, expected[0]);
            let mut last = one().await;
            while last == expected[0] {
                tokio::time::sleep(Duration::from_millis(20)).await;
                last = one().await;
            }
            assert_eq!(last, expected[1]);
        }
    }
}
