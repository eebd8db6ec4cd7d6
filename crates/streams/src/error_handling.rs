//! What becomes of messages that a processor failed on and nothing has handled (streams contract 5.6).

use std::sync::Arc;

use async_trait::async_trait;
use document::Fault;

use crate::build::{BuildContext, OutputNode, Stage};
use crate::component::Processor;
use crate::message::Batch;
use crate::metrics::{ComponentKind, Probe};
use crate::node::Node;
use crate::outputs::reject_errored::refusing;
use crate::registry::{Default, Field, Kind};

/// The field `error_handling` of a stream.
pub(crate) const ERROR_HANDLING: &[Field] = &[
    Field::new(
        "strategy",
        Kind::Choice(&["none", "reject", "retry"]),
        Default::Text("none"),
        "`none` hands them to the output as any other; `reject` fails them before the output, so that their input hears of it, and delivers the others; `retry` does the same, for an input that gives what failed again: `auto_replay_nacks`, which is on by default, or its source. The processor `retry` says how often.",
    ),
    Field::object(
        "log",
        &[
            Field::new("enabled", Kind::Bool, Default::Bool(false), "Log them behind the pipeline."),
            Field::new("add_payload", Kind::Bool, Default::Bool(false), "With their payloads."),
            Field::new("sampling_ratio", Kind::Float, Default::Float(1.0), "How many of them, from 0 to 1."),
        ],
        "What is told of them.",
    ),
];

/// Outputs that handle failed messages themselves: they would get none if those were rejected before.
const HANDLERS: [&str; 3] = ["fallback", "reject_errored", "switch"];

/// Puts before the output of a stream, which was built with these parts, what its `error_handling` asks for. One that
/// handles failed messages may stand below others, such as behind a `retry` or as a resource.
pub(crate) fn guard(
    node: &Node<'_>,
    output: OutputNode,
    parts: &[Arc<Probe>],
    context: &BuildContext<'_>,
) -> Result<OutputNode, Fault> {
    let handler =
        (parts.iter()).find(|part| part.kind == ComponentKind::Output && HANDLERS.contains(&part.type_name));
    match (&*node.text("strategy")?, handler) {
        ("reject" | "retry", Some(handler)) => {
            let (stream, path, kind) = (&*context.stream, &*handler.path, handler.type_name);
            tracing::warn!(
                stream,
                path,
                kind,
                "failed messages are not rejected: the output handles them itself"
            );
            Ok(output)
        }
        ("reject" | "retry", None) => {
            let probe = probe(ComponentKind::Output);
            Ok(OutputNode {
                output: refusing(output),
                stages: Vec::new(),
                batching: None,
                probe,
                spans: None,
            })
        }
        _ => Ok(output),
    }
}

/// Puts behind the processors of a stream what its `error_handling` asks for.
pub(crate) fn log(node: &Node<'_>, stages: &mut Vec<Stage>, context: &BuildContext<'_>) -> Result<(), Fault> {
    let log = node.get("log");
    if !log.boolean("enabled")? {
        return Ok(());
    }
    let ratio = log.float("sampling_ratio")?;
    if !(0.0..=1.0).contains(&ratio) {
        return Err(log.field_fault("sampling_ratio", "`sampling_ratio` must be from 0 to 1"));
    }
    let told = Told { stream: context.stream.clone(), payload: log.boolean("add_payload")?, ratio };
    stages.push(Stage {
        processor: Box::new(told),
        probe: probe(ComponentKind::Processor),
        spans: None,
        adds_keys: false,
    });
    Ok(())
}

fn probe(kind: ComponentKind) -> Arc<Probe> {
    Arc::new(Probe::new(kind, "error_handling", "root.error_handling".to_owned(), None))
}

/// Logs messages that failed, and passes all on.
struct Told {
    stream: Arc<str>,
    payload: bool,
    ratio: f64,
}

#[async_trait]
impl Processor for Told {
    async fn process(&self, batch: Batch) -> Vec<Batch> {
        for message in &batch {
            let Some(error) = message.error() else { continue };
            if rand::random::<f64>() >= self.ratio {
                continue;
            }
            let stream = &*self.stream;
            if self.payload {
                let payload = String::from_utf8_lossy(message.bytes());
                tracing::error!(stream, error, %payload, "a message failed");
            } else {
                tracing::error!(stream, error, "a message failed");
            }
        }
        vec![batch]
    }
}
