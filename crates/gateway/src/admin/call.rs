//! One request to the admin API, read whole.

use bytes::Bytes;

use super::endpoints::{Endpoint, Holds};

/// What a call says.
pub(super) struct Call {
    pub(super) endpoint: &'static Endpoint,
    /// What the path names first, decoded.
    pub(super) name: String,
    /// What it names beside it.
    pub(super) beside: String,
    /// Of the query, decoded.
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Bytes,
}

impl Call {
    pub(super) fn flag(&self, name: &str) -> bool {
        self.parameter(name).is_some_and(|value| matches!(value, "1" | "true"))
    }

    /// The parameter, unless it is empty.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        debug_assert!(
            self.endpoint.parameters.iter().any(|parameter| parameter.name == name),
            "{} {} has no parameter {name} in its row",
            self.endpoint.method,
            self.endpoint.path,
        );
        let found = self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        found.filter(|value| !value.is_empty())
    }

    /// Refuses a parameter that is nothing of what it may be: it would be dropped, and nobody told.
    pub(super) fn check(&self) -> Result<(), String> {
        for parameter in self.endpoint.parameters {
            let Some(value) = self.parameter(parameter.name) else { continue };
            let must = match parameter.holds {
                Holds::Text => continue,
                Holds::Flag if matches!(value, "1" | "true" | "0" | "false") => continue,
                Holds::Flag => "true or false".to_owned(),
                Holds::Number if value.parse::<u64>().is_ok() => continue,
                Holds::Number => "a whole number".to_owned(),
                Holds::OneOf(values) if values.contains(&value) => continue,
                Holds::OneOf(values) => values.join(" or "),
            };
            return Err(format!("the parameter {} must be {must}", parameter.name));
        }
        Ok(())
    }
}
