//! Numbers of one's own (streams contract 3.6).

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bloblang::Template;
use document::Fault;
use parking_lot::Mutex;

use crate::build::BuildContext;
use crate::component::Processor;
use crate::customs::{Custom, CustomKind, Customs};
use crate::message::{Batch, View};
use crate::node::Node;
use crate::registry::{Default, Field, Kind, ProcessorSpec};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "metric",
    summary: "Makes a number of each message, beside those that every component counts, and passes the message on. What cannot be counted is logged; the message is not flagged.",
    config: Kind::Object(&[
        Field::required(
            "type",
            Kind::Choice(&["counter", "counter_by", "gauge", "timing"]),
            "`counter` counts messages, `counter_by` adds `value` (a whole number), `gauge` is set to `value`, `timing` records `value` as nanoseconds. None takes a negative one.",
        ),
        Field::required("name", Kind::Text, "The name."),
        Field::optional(
            "labels",
            Kind::Map(&Kind::Template),
            "Labels beside `label` and `path`. A stream has at most 10000 series of its own; what would be one more is not counted.",
        ),
        Field::new("value", Kind::Template, Default::Text(""), "The value, for all but `counter`."),
    ]),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    let kind = node.text("type")?;
    let (takes, kind) = match &*kind {
        "counter" => (Takes::One, CustomKind::Counter),
        "counter_by" => (Takes::Whole, CustomKind::Counter),
        "gauge" => (Takes::Number, CustomKind::Gauge),
        _ => (Takes::Whole, CustomKind::Timing),
    };
    let name = node.text("name")?.into_owned();
    if name.is_empty() {
        return Err(node.field_fault("name", "`name` must not be empty"));
    }
    if takes != Takes::One && !node.has("value") {
        return Err(node.field_fault("value", "`value` is required for every type but `counter`"));
    }
    let labels = node.templates("labels", context)?;
    let mut metric = Metric {
        takes,
        kind,
        name,
        fixed: None,
        own: context.probe.labels(),
        value: node.template("value", context)?,
        customs: context.watch.customs.clone(),
        known: Mutex::default(),
        labels: Vec::new(),
    };
    let texts: Option<Vec<(String, String)>> = (labels.iter())
        .map(|(label, template)| Some((label.clone(), template.as_static()?.to_owned())))
        .collect();
    match texts {
        // Nothing to look up for each message.
        Some(texts) => metric.fixed = metric.series(texts),
        None => metric.labels = labels,
    }
    Ok(Box::new(metric))
}

#[derive(Clone, Copy, PartialEq)]
enum Takes {
    One,
    Whole,
    Number,
}

struct Metric {
    takes: Takes,
    kind: CustomKind,
    name: String,
    // Where no label depends on the message.
    fixed: Option<Arc<Custom>>,
    // `label` and `path`.
    own: Vec<(String, String)>,
    labels: Vec<(String, Template)>,
    value: Template,
    customs: Arc<Customs>,
    // By the texts of the labels. No more than there are series of the stream.
    known: Mutex<HashMap<Vec<String>, Arc<Custom>>>,
}

impl Metric {
    fn series(&self, labels: Vec<(String, String)>) -> Option<Arc<Custom>> {
        let own = self.own.iter().filter(|(name, _)| labels.iter().all(|(label, _)| label != name));
        let all = own.cloned().chain(labels.iter().cloned()).collect();
        self.customs.get(&self.name, self.kind, all)
    }

    fn labelled(&self, batch: &[crate::Message], index: usize) -> Result<Option<Arc<Custom>>, String> {
        let render = |(_, template): &(String, Template)| template.render(&View(batch), index);
        let texts: Vec<String> =
            self.labels.iter().map(render).collect::<Result<_, _>>().map_err(|fault| fault.to_string())?;
        if let Some(known) = self.known.lock().get(&texts) {
            return Ok(Some(known.clone()));
        }
        let labels = self.labels.iter().map(|(label, _)| label.clone()).zip(texts.iter().cloned()).collect();
        let series = self.series(labels);
        if let Some(series) = &series {
            self.known.lock().insert(texts, series.clone());
        }
        Ok(series)
    }

    fn count(&self, batch: &[crate::Message], index: usize) -> Result<(), String> {
        let value = match self.takes {
            Takes::One => 1.0,
            Takes::Whole => {
                let text = self.value.render(&View(batch), index).map_err(|fault| fault.to_string())?;
                let whole = text.trim().parse::<u64>();
                whole.map_err(|_| format!("`{text}` is not a whole number from 0 up"))? as f64
            }
            Takes::Number => {
                let text = self.value.render(&View(batch), index).map_err(|fault| fault.to_string())?;
                let number =
                    text.trim().parse::<f64>().ok().filter(|number| *number >= 0.0 && number.is_finite());
                number.ok_or_else(|| format!("`{text}` is not a number from 0 up"))?
            }
        };
        let series = match &self.fixed {
            Some(fixed) => Some(fixed.clone()),
            None => self.labelled(batch, index)?,
        };
        if let Some(series) = series {
            series.take(value);
        }
        Ok(())
    }
}

#[async_trait]
impl Processor for Metric {
    async fn process(&self, batch: Batch) -> Vec<Batch> {
        for index in 0..batch.len() {
            if let Err(fault) = self.count(&batch, index) {
                tracing::warn!(metric = self.name, fault, "a message was not counted");
            }
        }
        vec![batch]
    }
}
