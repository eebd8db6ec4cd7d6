//! A script without a gate around it: what it logs is shown, and nothing leaves the machine.

use std::io::{self, Write};
use std::time::Duration;

use plugins::{Answer, Outgoing, Outside};

const NO_GATE: &str = "there is no gate here to ask";

#[derive(Debug)]
pub(super) struct Alone;

impl Outside for Alone {
    fn log(&self, line: &str) {
        let _ = writeln!(io::stderr().lock(), "log: {line}");
    }

    fn send(&self, _: &Outgoing, _: Duration) -> Result<Answer, String> {
        Err(NO_GATE.to_owned())
    }

    fn session(&self, _: &str, _: &str) -> Option<String> {
        None
    }

    fn put_session(&self, _: &str, _: &str, _: bool) -> Result<(), String> {
        Err(NO_GATE.to_owned())
    }

    fn batch(&self, _: &str, _: Duration) -> Result<String, String> {
        Err(NO_GATE.to_owned())
    }

    fn stored(&self, _: &str) -> Result<Option<String>, String> {
        Ok(None)
    }

    fn store(&self, _: &str, _: &str, _: u64, _: bool) -> Result<bool, String> {
        Err(NO_GATE.to_owned())
    }

    fn forget(&self, _: &str) -> Result<bool, String> {
        Ok(false)
    }

    fn add(&self, _: &str, _: i64) -> Result<i64, String> {
        Err(NO_GATE.to_owned())
    }

    fn seconds_left(&self, _: &str) -> Result<i64, String> {
        Ok(-2)
    }
}
