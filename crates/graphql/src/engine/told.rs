//! What sources said was wrong.

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::gather::MOST_CALLS;

/// The errors of sources, under the paths that they have in the answer.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Of a part of what came.
    errors: Mutex<Vec<Value>>,
    /// What more they say of errors, those included that stand in the place of a field.
    extensions: Mutex<Vec<(Vec<Value>, Value)>>,
}

impl Told {
    /// An error of a part of what came.
    pub(super) fn part(&self, message: &str, error: &Value, path: Vec<Value>) {
        let mut errors = self.errors.lock();
        if errors.len() < MOST_CALLS {
            self.field(error, &path);
            errors.push(json!({"message": message, "path": path}));
        }
    }

    /// An error that is told in the place of a field.
    pub(super) fn field(&self, error: &Value, path: &[Value]) {
        let mut all = self.extensions.lock();
        if let Some(extensions) = error.get("extensions").filter(|extensions| extensions.is_object())
            && all.len() < MOST_CALLS
        {
            all.push((path.to_vec(), extensions.clone()));
        }
    }

    /// Adds them to an answer; with what more they say, where clients are to know.
    pub(super) fn add_to(self, answer: &mut Value, extended: bool) {
        let errors = self.errors.into_inner();
        if !errors.is_empty() {
            match answer.get_mut("errors").and_then(Value::as_array_mut) {
                Some(known) => known.extend(errors),
                None => answer["errors"] = json!(errors),
            }
        }
        if !extended {
            return;
        }
        let extensions = self.extensions.into_inner();
        for error in answer.get_mut("errors").and_then(Value::as_array_mut).into_iter().flatten() {
            let path = error["path"].as_array();
            let own = extensions.iter().find(|(at, _)| path == Some(at));
            if let Some((_, own)) = own {
                error["extensions"] = own.clone();
            }
        }
    }
}
