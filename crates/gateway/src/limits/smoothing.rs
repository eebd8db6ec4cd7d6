//! Smoothing (contract 6.5): the rate that is allowed moves in steps between a threshold and the limit, as use demands.
//!
//! It goes up by `step` when more is used than `allowance - trigger * step`, and down when no more than
//! `allowance - (1 + trigger) * step`, at most every `delay` seconds. It never exceeds the limit.

use std::time::{Duration, Instant};

use apidef::Smoothing;

/// A rule that can work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Steps {
    threshold: f64,
    trigger: f64,
    step: f64,
    delay: Duration,
}

impl Steps {
    /// `None` where smoothing is off, or would never move.
    pub(crate) fn of(rule: &Smoothing) -> Option<Self> {
        let works = rule.enabled && rule.step > 0 && rule.threshold > 0;
        works.then(|| Self {
            threshold: rule.threshold as f64,
            trigger: if rule.trigger.is_finite() { rule.trigger.max(0.0) } else { 0.0 },
            step: rule.step as f64,
            delay: Duration::from_secs(u64::try_from(rule.delay).unwrap_or(0)),
        })
    }
}

/// What is allowed now.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Allowance {
    /// 0 = not begun.
    now: f64,
    changed: Option<Instant>,
}

impl Allowance {
    /// What is allowed of `limit`.
    pub(super) fn of(&self, steps: &Steps, limit: f64) -> f64 {
        let begun = if self.now > 0.0 { self.now } else { steps.threshold };
        begun.min(limit)
    }

    /// Whether it moved in the last `within`.
    pub(super) fn moved_within(&self, within: Duration, now: Instant) -> bool {
        self.changed.is_some_and(|changed| now.saturating_duration_since(changed) < within)
    }

    /// Takes notice that so much of the window is used; tells whether the allowance moved, and where to.
    pub(super) fn used(&mut self, steps: &Steps, limit: f64, used: f64, now: Instant) -> Option<f64> {
        let before = self.of(steps, limit);
        if self.changed.is_some_and(|changed| now.saturating_duration_since(changed) < steps.delay) {
            return None;
        }
        let after = if used > before - steps.trigger * steps.step {
            (before + steps.step).min(limit)
        } else if used <= before - (1.0 + steps.trigger) * steps.step {
            (before - steps.step).max(steps.threshold.min(limit))
        } else {
            before
        };
        if after == before {
            return None;
        }
        *self = Self { now: after, changed: Some(now) };
        Some(after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allowance_follows_use_within_its_bounds() {
        let rule = Smoothing {
            enabled: true,
            threshold: 10,
            trigger: 0.5,
            step: 10,
            delay: 5,
            ..Smoothing::default()
        };
        let steps = Steps::of(&rule).unwrap();
        let start = Instant::now();
        let mut allowance = Allowance::default();
        // seconds, used, allowance after; limit 35
        for (seconds, used, expected) in [
            (0, 3.0, 10.0),
            (1, 6.0, 20.0),
            (2, 19.0, 20.0), // too soon
            (6, 19.0, 30.0),
            (11, 30.0, 35.0),
            (16, 35.0, 35.0),
            (17, 21.0, 35.0), // neither
            (18, 5.0, 25.0),
            (23, 5.0, 15.0),
            (28, 0.0, 10.0),
            (33, 0.0, 10.0),
        ] {
            allowance.used(&steps, 35.0, used, start + Duration::from_secs(seconds));
            assert_eq!(allowance.of(&steps, 35.0), expected, "after {seconds} s with {used}");
        }
        for off in [
            Smoothing::default(),
            Smoothing { enabled: false, ..rule.clone() },
            Smoothing { step: 0, ..rule.clone() },
            Smoothing { threshold: 0, ..rule },
        ] {
            assert_eq!(Steps::of(&off), None);
        }
    }
}
