//! All numbers of a stream at one moment, under the names and labels that its `metrics.mapping` gives them (streams
//! contract 5.13).

use std::collections::HashMap;
use std::sync::Arc;

use bloblang::{BatchView, Mapping, MessageView, MetadataEdit, Root, Value};
use parking_lot::Mutex;

use crate::customs::Customs;
use crate::exporter::{Sample, Samples, SeriesKey as Key};
use crate::metrics::Probe;

/// The numbers of one stream.
pub(crate) struct StreamSamples {
    pub(crate) probes: Vec<Arc<Probe>>,
    pub(crate) customs: Arc<Customs>,
    /// The value of the label `stream`, where there are several.
    pub(crate) stream: Option<Arc<str>>,
    pub(crate) relabel: Option<Relabel>,
}

impl StreamSamples {
    /// What components count, without the mapping and the label `stream`, in no order.
    pub(crate) fn counted(&self) -> Vec<Sample> {
        self.probes.iter().flat_map(|probe| probe.samples()).collect()
    }
}

impl Samples for StreamSamples {
    fn samples(&self) -> Vec<Sample> {
        let mut all = self.counted();
        all.extend(self.customs.samples());
        if let Some(stream) = &self.stream {
            for sample in &mut all {
                sample.labels.push(("stream".to_owned(), stream.to_string()));
            }
        }
        if let Some(relabel) = &self.relabel {
            all = relabel.apply(all);
        }
        // Stable: of two series of one name and the same labels, those of components stay first.
        all.sort_by(|a, b| (&a.name, &a.labels).cmp(&(&b.name, &b.labels)));
        all
    }
}

/// A mapping that renames series, changes their labels, or drops them.
pub(crate) struct Relabel {
    mapping: Mapping,
    // It runs once for each series: what it gives depends on nothing else. As many as there are series.
    known: Mutex<HashMap<Key, Option<Key>>>,
}

impl Relabel {
    pub(crate) fn new(mapping: Mapping) -> Relabel {
        Relabel { mapping, known: Mutex::default() }
    }

    /// Series that it gives the same name and labels become one.
    fn apply(&self, samples: Vec<Sample>) -> Vec<Sample> {
        let mut known = self.known.lock();
        let mut places: HashMap<Key, usize> = HashMap::with_capacity(samples.len());
        let mut all: Vec<Sample> = Vec::with_capacity(samples.len());
        for Sample { name, labels, value } in samples {
            let key = (name, labels);
            let mapped = match known.get(&key) {
                Some(mapped) => mapped.clone(),
                None => {
                    let mapped = self.map(&key);
                    known.insert(key, mapped.clone());
                    mapped
                }
            };
            let Some(key) = mapped else { continue };
            match places.get(&key) {
                Some(place) => all[*place].value.merge(value),
                None => {
                    places.insert(key.clone(), all.len());
                    all.push(Sample { name: key.0, labels: key.1, value });
                }
            }
        }
        all
    }

    /// The new name and labels; `None` when the series is dropped. A mapping that fails leaves the series as it is.
    fn map(&self, key: &Key) -> Option<Key> {
        let view = SeriesView::new(key);
        let outcome = match self.mapping.apply(&view, 0) {
            Ok(outcome) => outcome,
            Err(fault) => {
                tracing::warn!(metric = key.0, %fault, "the mapping of metrics failed, the metric stays as it is");
                return Some(key.clone());
            }
        };
        let name = match outcome.root {
            Root::Deleted => return None,
            Root::Unchanged => key.0.clone(),
            Root::Value(Value::String(name)) => name.to_string(),
            Root::Value(other) => {
                tracing::warn!(
                    metric = key.0,
                    "the mapping of metrics gives {}, not text: the name stays as it is",
                    other.type_name()
                );
                key.0.clone()
            }
        };
        let mut labels = key.1.clone();
        for edit in outcome.metadata {
            match edit {
                MetadataEdit::Set(label, value) => {
                    let text = String::from_utf8_lossy(&value.to_payload()).into_owned();
                    match labels.iter_mut().find(|(name, _)| *name == label) {
                        Some((_, known)) => *known = text,
                        None => labels.push((label, text)),
                    }
                }
                MetadataEdit::Delete(label) => labels.retain(|(name, _)| *name != label),
                MetadataEdit::Clear => labels.clear(),
            }
        }
        Some((name, labels))
    }
}

/// A series as a mapping sees it: `this` is the name, metadata are the labels.
struct SeriesView<'a> {
    name: &'a str,
    value: Value,
    labels: Vec<(&'a str, Value)>,
}

impl<'a> SeriesView<'a> {
    fn new((name, labels): &'a Key) -> SeriesView<'a> {
        let labels =
            labels.iter().map(|(label, text)| (label.as_str(), Value::from(text.as_str()))).collect();
        SeriesView { name, value: Value::from(name.as_str()), labels }
    }
}

impl BatchView for SeriesView<'_> {
    fn len(&self) -> usize {
        1
    }

    fn message(&self, _: usize) -> &dyn MessageView {
        self
    }
}

impl MessageView for SeriesView<'_> {
    fn content(&self) -> &[u8] {
        self.name.as_bytes()
    }

    fn structured(&self) -> Result<&Value, String> {
        Ok(&self.value)
    }

    fn metadata(&self, key: &str) -> Option<&Value> {
        self.labels.iter().find(|(label, _)| *label == key).map(|(_, value)| value)
    }

    fn metadata_all(&self, visit: &mut dyn FnMut(&str, &Value)) {
        self.labels.iter().for_each(|(label, value)| visit(label, value));
    }

    fn error(&self) -> Option<&str> {
        None
    }
}

#[cfg(test)]
mod tests {
    use bloblang::Environment;

    use super::*;
    use crate::exporter::{SampleValue, Timing};

    fn sample(name: &str, labels: &[(&str, &str)], value: u64) -> Sample {
        let labels = labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Sample { name: name.to_owned(), labels, value: SampleValue::Counter(value) }
    }

    #[test]
    fn a_mapping_renames_drops_and_labels() {
        let input = || sample("input_received", &[("label", "orders"), ("path", "root.input")], 5);
        for (mapping, expected) in [
            (
                "root = \"x_\" + this",
                Some(sample("x_input_received", &[("label", "orders"), ("path", "root.input")], 5)),
            ),
            ("meta path = deleted()", Some(sample("input_received", &[("label", "orders")], 5))),
            (
                "meta zone = @label.uppercase()\nmeta label = deleted()\nmeta path = deleted()",
                Some(sample("input_received", &[("zone", "ORDERS")], 5)),
            ),
            ("if this.has_prefix(\"input\") { root = deleted() }", None),
            ("root = if @label == \"orders\" { deleted() }", None),
            // What it cannot do, it leaves as it was.
            ("root = this.number()", Some(input())),
            ("root = {\"a\": 1}", Some(input())),
        ] {
            let parsed = Mapping::parse(&Environment::pure(), mapping).unwrap();
            let relabel = Relabel::new(parsed);
            for _ in 0..2 {
                assert_eq!(relabel.apply(vec![input()]), Vec::from_iter(expected.clone()), "{mapping}");
            }
        }
    }

    #[test]
    fn series_of_one_name_become_one() {
        let parsed = Mapping::parse(&Environment::pure(), "root = \"all\"\nmeta = deleted()").unwrap();
        let relabel = Relabel::new(parsed);
        let merged = relabel.apply(vec![sample("a", &[("l", "1")], 2), sample("b", &[], 3)]);
        assert_eq!(merged, [sample("all", &[], 5)]);

        let timing = |buckets: &[(u64, u64)]| Sample {
            value: SampleValue::Timing(Timing {
                count: buckets.last().unwrap().1,
                sum_ns: 10,
                buckets: buckets.to_vec(),
                recent: None,
            }),
            ..sample("t", &[], 0)
        };
        let merged = relabel.apply(vec![timing(&[(10, 1), (30, 2)]), timing(&[(20, 4)])]);
        let SampleValue::Timing(merged) = &merged[0].value else { panic!("{merged:?}") };
        assert_eq!(merged.buckets, [(10, 1), (20, 5), (30, 6)]);
        assert_eq!((merged.count, merged.sum_ns, merged.within(25.0)), (6, 20, 5));
    }
}
