//! What became of each branch, as it is written into the message.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bloblang::{Array, Object, Value};

use crate::message::Message;

/// What a message says about its own earlier runs.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The record of the run before.
    earlier: Option<Value>,
    /// Branches that have nothing to do any more.
    done: BTreeSet<String>,
    /// Only these branches are to run.
    apply: Option<BTreeSet<String>>,
}

impl Plan {
    pub(super) fn of(message: &Message, path: Option<&str>) -> Plan {
        let record = path.and_then(|path| message.value().ok()?.at(path));
        let Some(earlier) = record.filter(|record| record.as_object().is_some()) else {
            return Plan::default();
        };
        let names = |field: &str| -> Option<BTreeSet<String>> {
            let names = earlier.get(field)?.as_array()?;
            Some(names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        };
        let mut done = names("succeeded").unwrap_or_default();
        done.extend(names("skipped").unwrap_or_default());
        Plan { apply: names("apply"), done, earlier: Some(earlier) }
    }

    pub(super) fn wants(&self, name: &str) -> bool {
        match &self.apply {
            Some(apply) => apply.contains(name),
            None => !self.done.contains(name),
        }
    }
}

/// What became of each branch for one message.
#[derive(Debug, Default)]
pub(super) struct Record {
    succeeded: BTreeSet<String>,
    skipped: BTreeSet<String>,
    failed: BTreeMap<String, String>,
}

impl Record {
    pub(super) fn succeed(&mut self, name: &str) {
        self.succeeded.insert(name.to_owned());
    }

    pub(super) fn skip(&mut self, name: &str) {
        self.skipped.insert(name.to_owned());
    }

    pub(super) fn fail(&mut self, name: &str, text: String) {
        self.failed.insert(name.to_owned(), text);
    }

    /// Tells the message: by the record at `path`, or without one by its flag.
    pub(super) fn finish(&self, message: &mut Message, path: Option<&str>, plan: &Plan) {
        let Some(path) = path else {
            if !self.failed.is_empty() {
                let names: Vec<&str> = self.failed.keys().map(String::as_str).collect();
                message.set_error(format!("workflow branches failed: [{}]", names.join(" ")));
            }
            return;
        };
        let written = message.value().cloned().map_err(str::to_owned).and_then(|mut document| {
            document.set_at(path, self.to_value(plan))?;
            Ok(document)
        });
        match written {
            Ok(document) => message.set_value(document),
            Err(fault) => {
                // Nobody may lose sight of a failure because there was no place to write it down.
                let failed: Vec<&str> = self.failed.keys().map(String::as_str).collect();
                let failed = match failed.is_empty() {
                    true => String::new(),
                    false => format!("; branches failed: [{}]", failed.join(" ")),
                };
                message.set_error(format!(
                    "the record of the workflow cannot be written at `{path}`: {fault}{failed}"
                ));
            }
        }
    }

    fn to_value(&self, plan: &Plan) -> Value {
        let list = |names: &BTreeSet<String>| {
            Value::Array(Arc::new(Array::from(
                names.iter().map(|name| Value::from(name.as_str())).collect::<Vec<_>>(),
            )))
        };
        let mut record = Object::new();
        if !self.succeeded.is_empty() {
            record.insert("succeeded", list(&self.succeeded));
        }
        if !self.skipped.is_empty() {
            record.insert("skipped", list(&self.skipped));
        }
        if !self.failed.is_empty() {
            let failed = self.failed.iter().map(|(name, text)| (name.as_str(), Value::from(text.as_str())));
            record.insert("failed", Value::Object(Arc::new(failed.collect())));
        }
        if let Some(earlier) = &plan.earlier {
            record.insert("previous", earlier.clone());
        }
        Value::Object(Arc::new(record))
    }
}
