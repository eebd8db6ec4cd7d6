//! Growing pauses between attempts.

use std::time::Duration;

/// Grows from `first` by `factor` up to `most`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    pub(crate) first: Duration,
    pub(crate) most: Duration,
    pub(crate) factor: f64,
}

/// Inputs connect again after 100 ms to 1 s (streams contract 5.5).
pub(crate) const INPUT_CONNECT: Backoff =
    Backoff { first: Duration::from_millis(100), most: Duration::from_secs(1), factor: 1.5 };
/// Outputs connect again after 500 ms to 1 s (5.5).
pub(crate) const OUTPUT_CONNECT: Backoff =
    Backoff { first: Duration::from_millis(500), most: Duration::from_secs(1), factor: 1.5 };
/// Failed batches come again after 1 ms growing by 1.1 to 1 s (5.3).
pub(crate) const REPLAY: Backoff =
    Backoff { first: Duration::from_millis(1), most: Duration::from_secs(1), factor: 1.1 };
/// Children of a fan-out are written to again after 500 ms to 3 s (2.12).
pub(crate) const FAN_OUT: Backoff =
    Backoff { first: Duration::from_millis(500), most: Duration::from_secs(3), factor: 1.5 };

impl Backoff {
    /// The pause before attempt `attempt`, counted from 0.
    pub(crate) fn pause(&self, attempt: u32) -> Duration {
        // Past this many steps every policy here has reached its most.
        let steps = i32::try_from(attempt.min(1000)).unwrap_or(1000);
        let seconds = self.first.as_secs_f64() * self.factor.powi(steps);
        Duration::try_from_secs_f64(seconds.min(self.most.as_secs_f64())).unwrap_or(self.most)
    }
}
