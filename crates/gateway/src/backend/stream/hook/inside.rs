//! What plugins of streams may ask of the world outside.

use std::sync::Arc;
use std::time::Duration;

use plugins::{Answer, Outgoing, Outside};

/// What plugins of streams may ask for: the log alone. There are processors for all else.
#[derive(Debug)]
pub(super) struct Inside(pub(super) Arc<str>);

const NOTHING: &str = "plugins of streams are offered nothing but the log; use a processor for this";

impl Outside for Inside {
    fn log(&self, line: &str) {
        tracing::info!(target: "plugins", stream = &*self.0, "{line}");
    }

    fn send(&self, _: &Outgoing, _: Duration) -> Result<Answer, String> {
        Err(NOTHING.to_owned())
    }

    fn session(&self, _: &str, _: &str) -> Option<String> {
        None
    }

    fn put_session(&self, _: &str, _: &str, _: bool) -> Result<(), String> {
        Err(NOTHING.to_owned())
    }

    fn batch(&self, _: &str, _: Duration) -> Result<String, String> {
        Err(NOTHING.to_owned())
    }

    fn stored(&self, _: &str) -> Result<Option<String>, String> {
        Err(NOTHING.to_owned())
    }

    fn store(&self, _: &str, _: &str, _: u64, _: bool) -> Result<bool, String> {
        Err(NOTHING.to_owned())
    }

    fn forget(&self, _: &str) -> Result<bool, String> {
        Err(NOTHING.to_owned())
    }

    fn add(&self, _: &str, _: i64) -> Result<i64, String> {
        Err(NOTHING.to_owned())
    }

    fn seconds_left(&self, _: &str) -> Result<i64, String> {
        Err(NOTHING.to_owned())
    }
}
