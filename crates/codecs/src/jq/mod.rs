//! jq programs (streams contract 3.7).

mod guard;
mod meter;
mod program;
#[cfg(test)]
mod tests;
mod write;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use document::Fault;
use streams::{Batch, BuildContext, Default, Field, Kind, Message, Node, Processor, ProcessorSpec};

pub use program::Program;

pub(crate) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "jq",
    summary: "Runs a jq program on each message. No result removes the message, several become an array. The metadata is `$metadata`. A program ends with a fault after two seconds, after twenty million steps, or when it makes more than 256 MiB; it reads neither modules, inputs, nor the environment.",
    config: Kind::Object(&[
        Field::required("query", Kind::Text, "The program."),
        Field::new(
            "raw",
            Kind::Bool,
            Default::Bool(false),
            "Whether the program gets the payload as a text instead of parsed JSON.",
        ).advanced(),
        Field::new(
            "output_raw",
            Kind::Bool,
            Default::Bool(false),
            "Whether results that are texts are written as they are, one after the other, instead of as JSON.",
        ).advanced(),
    ]),
    build,
};

/// After a message that took this long others of the thread get their turn.
const LONG: Duration = Duration::from_millis(2);

fn build(node: &Node<'_>, _: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    let query = node.text("query")?;
    let program = Program::compile(&query).map_err(|fault| node.field_fault("query", fault))?;
    let jq = Jq { program, raw: node.boolean("raw")?, output_raw: node.boolean("output_raw")? };
    Ok(Box::new(jq))
}

struct Jq {
    program: Program,
    raw: bool,
    output_raw: bool,
}

#[async_trait]
impl Processor for Jq {
    async fn process(&self, batch: Batch) -> Vec<Batch> {
        let mut made = Batch::with_capacity(batch.len());
        for mut message in batch {
            let started = Instant::now();
            match self.run(&message) {
                Ok(Some(payload)) => {
                    message.set_bytes(payload);
                    made.push(message);
                }
                Ok(None) => {}
                Err(fault) => {
                    message.set_error(format!("jq: {fault}"));
                    made.push(message);
                }
            }
            if started.elapsed() > LONG {
                give_way().await;
            }
        }
        if made.is_empty() { Vec::new() } else { vec![made] }
    }
}

impl Jq {
    /// The new payload; `None`: there was no result.
    fn run(&self, message: &Message) -> Result<Option<Vec<u8>>, String> {
        if !self.raw {
            // Checks the document as a whole, its depth included.
            message.value().map_err(str::to_owned)?;
        }
        self.program.run(message, self.raw, self.output_raw)
    }
}

/// Lets other tasks of this thread run.
async fn give_way() {
    let mut first = true;
    std::future::poll_fn(|context| {
        if std::mem::take(&mut first) {
            context.waker().wake_by_ref();
            return std::task::Poll::Pending;
        }
        std::task::Poll::Ready(())
    })
    .await;
}
