//! What scripts may ask of the world outside.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::call::{Texts, nullable, texts};

/// A request that a script sends (`TykMakeHttpRequest`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Outgoing {
    /// Its method; none means `GET`.
    #[serde(deserialize_with = "nullable")]
    pub method: String,
    /// Its body, where there is no form.
    #[serde(deserialize_with = "nullable")]
    pub body: String,
    /// Header fields.
    #[serde(deserialize_with = "texts")]
    pub headers: Texts,
    /// Scheme, host and port.
    #[serde(deserialize_with = "nullable")]
    pub domain: String,
    /// Path and query.
    #[serde(deserialize_with = "nullable")]
    pub resource: String,
    /// The fields of a form that is the body.
    #[serde(deserialize_with = "texts")]
    pub form_data: Texts,
}

/// The answer to such a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Its status.
    pub code: u16,
    /// Its body as text.
    pub body: String,
    /// Its header fields.
    pub headers: std::collections::BTreeMap<String, Vec<String>>,
}

/// What scripts may ask of the world outside. They wait for it, so every method may block, for as long as it is told.
pub trait Outside: Send + Sync + std::fmt::Debug {
    /// Writes a line to the log, for whoever wrote the script.
    fn log(&self, line: &str);

    /// Tells whoever wants to know of an event; where nobody is told of such ones, it is a line of the log.
    fn trigger(&self, event: &str, payload: &str) {
        self.log(&format!("event {event}: {payload}"));
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// Why there is none.
    fn send(&self, request: &Outgoing, longest: Duration) -> Result<Answer, String>;

    /// The session of a key as JSON, if it may open this API.
    fn session(&self, key: &str, api: &str) -> Option<String>;

    /// Stores the session of a key.
    ///
    /// # Errors
    /// Why it is not stored.
    fn put_session(&self, key: &str, session: &str, suppress_reset: bool) -> Result<(), String>;

    /// Sends a batch of requests as the batch endpoint of the API does; gives its answer.
    ///
    /// # Errors
    /// Why there is none.
    fn batch(&self, requests: &str, longest: Duration) -> Result<String, String>;

    /// What is stored under a name of this API's scripts.
    ///
    /// # Errors
    /// Why it cannot be told.
    fn stored(&self, name: &str) -> Result<Option<String>, String>;

    /// Stores a text under a name, for a number of seconds (0 = for ever); with `new`, only where there is none. Tells
    /// whether it did.
    ///
    /// # Errors
    /// Why it cannot.
    fn store(&self, name: &str, text: &str, seconds: u64, new: bool) -> Result<bool, String>;

    /// Deletes what is stored under a name; tells whether something was.
    ///
    /// # Errors
    /// Why it cannot.
    fn forget(&self, name: &str) -> Result<bool, String>;

    /// Adds to the number under a name; gives the sum.
    ///
    /// # Errors
    /// Why it cannot.
    fn add(&self, name: &str, by: i64) -> Result<i64, String>;

    /// Seconds for which something is stored under a name still; -1 = for ever, -2 = there is nothing.
    ///
    /// # Errors
    /// Why it cannot be told.
    fn seconds_left(&self, name: &str) -> Result<i64, String>;
}

/// A line of the log is no longer than this, in bytes.
pub(crate) const LONGEST_LINE: usize = 16 << 10;

/// A line, as far as the log takes it.
pub(crate) fn shortened(line: &str) -> &str {
    &line[..line.floor_char_boundary(LONGEST_LINE)]
}
