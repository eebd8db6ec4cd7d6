//! Processors that wait (streams contract 3.6).

use std::sync::Arc;

use async_trait::async_trait;
use bloblang::Template;

use crate::component::Processor;
use crate::message::{Batch, View};
use crate::rate_limit::{RateLimit, pass};
use crate::registry::{Field, Kind, ProcessorSpec};
use crate::units;

pub(super) static RATE_LIMIT: ProcessorSpec = ProcessorSpec {
    name: "rate_limit",
    summary: "Holds each message until a rate limit lets it pass. A limit that cannot be asked is asked again every second.",
    config: Kind::Object(&[Field::required("resource", Kind::RateLimit, "The label of the rate limit.")]),
    build: |node, context| match context.rate_limit(&node.get("resource"))? {
        Some(limit) => Ok(Box::new(Limited { limit })),
        None => Err(node.field_fault("resource", "`resource` must name a rate limit")),
    },
};

pub(super) static SLEEP: ProcessorSpec = ProcessorSpec {
    name: "sleep",
    summary: "Holds the batch, for each of its messages, for a time. When the stream is cut while it waits, the batch comes again.",
    config: Kind::Object(&[Field::required(
        "duration",
        Kind::Template,
        "How long, as a duration; 0 or less: not at all.",
    )]),
    build: |node, context| Ok(Box::new(Sleep { time: node.template("duration", context)? })),
};

struct Limited {
    limit: Arc<dyn RateLimit>,
}

#[async_trait]
impl Processor for Limited {
    async fn process(&self, batch: Batch) -> Vec<Batch> {
        for message in &batch {
            pass(&*self.limit, message.bytes().len()).await;
        }
        vec![batch]
    }
}

struct Sleep {
    time: Template,
}

#[async_trait]
impl Processor for Sleep {
    async fn process(&self, mut batch: Batch) -> Vec<Batch> {
        for index in 0..batch.len() {
            let text = self.time.render(&View(&batch), index).map_err(|fault| fault.to_string());
            let time = text.and_then(|text| match text.strip_prefix('-') {
                Some(rest) => units::duration(rest).map(|_| None),
                None => units::duration(&text).map(Some),
            });
            match time {
                Ok(Some(time)) => tokio::time::sleep(time).await,
                Ok(None) => {}
                Err(text) => batch[index].set_error(format!("the time to sleep is unknown: {text}")),
            }
        }
        vec![batch]
    }
}
