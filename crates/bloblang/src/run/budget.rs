//! What one run may take, and how much of it was taken.

use std::time::{Duration, Instant};

use super::{Evaluated, Failure};
use crate::Value;
use crate::value::{ELEMENT, MAX_DEPTH, MAX_SIZE};

/// What one run may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// How many steps it may take: queries and maps that it starts, over all elements that it goes through, and what
    /// methods read. It keeps a mapping whose maps apply each other in ever more branches from running for ever.
    pub(crate) steps: u64,
    /// How many bytes it may build, whether they are kept or not.
    pub(crate) bytes: u64,
    /// How long it may run. Steps bound time only as well as they are counted; this ends what counts as little and takes
    /// long all the same.
    pub(crate) time: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { steps: 50_000_000, bytes: 1 << 30, time: Duration::from_secs(10) }
    }
}

/// So many bytes that are read count as a step.
const BYTES_A_STEP: u64 = 1024;
/// So many bytes of arrays and objects do: there is more to do for each.
const ELEMENTS_A_STEP: u64 = 256;
/// After so many steps the clock is looked at: about once in a millisecond, and never in a usual run.
const STEPS_A_LOOK: u64 = 10_000;
/// What one run took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    limits: Limits,
    steps: u64,
    bytes: u64,
    /// When to look at the clock, or to give up: a number of steps.
    look: u64,
    since: Option<Instant>,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Budget {
        Budget { limits, steps: 0, bytes: 0, look: STEPS_A_LOOK.min(limits.steps), since: None }
    }

    /// Counts work that takes about as long as starting some queries.
    pub(crate) fn step(&mut self, steps: u64) -> Evaluated<()> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps <= self.look { Ok(()) } else { self.look() }
    }

    #[cold]
    fn look(&mut self) -> Evaluated<()> {
        if self.steps > self.limits.steps {
            return Err(Failure::new(format!("the mapping takes more than {} steps", self.limits.steps)));
        }
        self.waits()?;
        self.look = self.steps.saturating_add(STEPS_A_LOOK).min(self.limits.steps);
        Ok(())
    }

    /// Looks at the clock; also before something that may wait for others, which steps say nothing about.
    pub(crate) fn waits(&mut self) -> Evaluated<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() > self.limits.time {
            let text = format!("the mapping runs for more than {} seconds", self.limits.time.as_secs());
            return Err(Failure::new(text));
        }
        Ok(())
    }

    /// Counts bytes that are read.
    pub(crate) fn scan(&mut self, bytes: u64) -> Evaluated<()> {
        if bytes < BYTES_A_STEP { Ok(()) } else { self.step(bytes / BYTES_A_STEP) }
    }

    /// Counts what reading the whole of a value takes: time by its size, and memory for the elements of a document that
    /// become values by it.
    pub(crate) fn reads(&mut self, value: &Value) -> Evaluated<()> {
        match value {
            Value::String(text) => self.scan(text.len() as u64),
            Value::Bytes(bytes) => self.scan(bytes.len() as u64),
            Value::Array(_) | Value::Object(_) => {
                self.step(value.size() / ELEMENTS_A_STEP)?;
                self.make(value.unmade() as u64 * ELEMENT)
            }
            _ => Ok(()),
        }
    }

    /// Counts what it took to find something at a path, in bytes of memory.
    pub(crate) fn finds(&mut self, made: u64) -> Evaluated<()> {
        if made == 0 {
            return Ok(());
        }
        self.step(made / BYTES_A_STEP)?;
        self.make(made)
    }

    /// Counts what looking for one element takes: all of a document's become values.
    pub(crate) fn opens(&mut self, value: &Value) -> Evaluated<()> {
        match value.unmade() as u64 {
            0 => Ok(()),
            made => {
                self.step(made / 16)?;
                self.make(made * ELEMENT)
            }
        }
    }

    /// Counts what comparing two values takes: no more than the smaller one has to tell.
    pub(crate) fn compares(&mut self, left: &Value, right: &Value) -> Evaluated<()> {
        match (left, right) {
            (Value::String(left), Value::String(right)) if left.len() != right.len() => Ok(()),
            (Value::Array(_), Value::Array(_)) | (Value::Object(_), Value::Object(_)) => {
                self.step(left.size().min(right.size()) / ELEMENTS_A_STEP)?;
                self.make((left.unmade() as u64 + right.unmade() as u64) * ELEMENT)
            }
            _ => self.scan(left.size().min(right.size())),
        }
    }

    /// Counts bytes of memory that are made, or are about to be.
    pub(crate) fn make(&mut self, bytes: u64) -> Evaluated<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes <= self.limits.bytes {
            return Ok(());
        }
        Err(Failure::new(format!("the mapping builds more than {} bytes", self.limits.bytes)))
    }
}

/// Fails when a value nests too deeply for the code that walks it, or is too large to be rendered.
pub(crate) fn limit(value: &Value) -> Evaluated<()> {
    if value.depth() > MAX_DEPTH {
        return Err(Failure::new(format!("the value nests deeper than {MAX_DEPTH} levels")));
    }
    if value.size() > MAX_SIZE {
        return Err(Failure::new(format!("the value is larger than {} MiB", MAX_SIZE >> 20)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_ends_a_run() {
        let limits = Limits { steps: 100_000, bytes: 100, time: Duration::from_secs(3600) };
        let mut budget = Budget::new(limits);
        assert!((0..100_000).all(|_| budget.step(1).is_ok()));
        assert!(budget.step(1).unwrap_err().to_string().contains("more than 100000 steps"));
        assert!(budget.make(100).is_ok());
        assert!(budget.make(1).unwrap_err().to_string().contains("more than 100 bytes"));
        let mut budget = Budget::new(Limits { time: Duration::ZERO, ..limits });
        let ended = (0..50_000).map(|_| budget.step(1)).find_map(Result::err).unwrap();
        assert!(ended.to_string().contains("for more than 0 seconds"), "{ended}");
        let mut budget = Budget::new(Limits { time: Duration::ZERO, ..limits });
        let ended = (0..50_000).map(|_| budget.waits()).find_map(Result::err).unwrap();
        assert!(ended.to_string().contains("for more than 0 seconds"), "{ended}");
    }
}
