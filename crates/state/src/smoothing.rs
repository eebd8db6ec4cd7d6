//! Smoothing (contract 6.5): what a rolling window admits moves in steps between a threshold and its limit, as use demands.
//!
//! It goes up by `step` when more is used than `allowance - trigger * step`, and down when no more than
//! `allowance - (1 + trigger) * step`, at most every `delay` seconds. It never exceeds the limit. What is allowed lies beside
//! the window, so that all who count in it are allowed the same, and it moves once however many they are.

use std::time::Duration;

use apidef::Smoothing;

/// For so long after the last draw what is allowed is remembered; then it begins at the threshold.
pub(crate) const REMEMBERED: Duration = Duration::from_secs(600);

/// A rule that can work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Steps {
    pub(crate) threshold: f64,
    pub(crate) trigger: f64,
    pub(crate) step: f64,
    pub(crate) delay: Duration,
}

impl Steps {
    /// `None` where smoothing is off, or would never move.
    pub fn of(rule: &Smoothing) -> Option<Steps> {
        let works = rule.enabled && rule.step > 0 && rule.threshold > 0;
        works.then(|| Steps {
            threshold: rule.threshold as f64,
            trigger: if rule.trigger.is_finite() { rule.trigger.max(0.0) } else { 0.0 },
            step: rule.step as f64,
            delay: Duration::from_secs(u64::try_from(rule.delay).unwrap_or(0)),
        })
    }
}

/// What smoothing says of a draw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Smoothed {
    /// What the window admits from now on.
    pub allowed: f64,
    /// This draw moved it: up, or down.
    pub moved: Option<bool>,
}

/// What is allowed now. Times are nanoseconds since the beginning.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allowance {
    /// 0 = not begun.
    now: f64,
    changed: Option<u64>,
    /// See [`Allowance::remembered`].
    remembered: u64,
}

impl Allowance {
    /// What is allowed of `limit`.
    pub(crate) fn of(&self, steps: &Steps, limit: f64) -> f64 {
        let begun = if self.now > 0.0 { self.now } else { steps.threshold };
        begun.min(limit)
    }

    /// Takes notice that so much of the window is used.
    pub(crate) fn used(&mut self, steps: &Steps, limit: f64, used: u64, now: u64) -> Smoothed {
        let (before, used) = (self.of(steps, limit), used as f64);
        let delay = u64::try_from(steps.delay.as_nanos()).unwrap_or(u64::MAX);
        let after = if self.changed.is_some_and(|changed| now.saturating_sub(changed) < delay) {
            before
        } else if used > before - steps.trigger * steps.step {
            (before + steps.step).min(limit)
        } else if used <= before - (1.0 + steps.trigger) * steps.step {
            (before - steps.step).max(steps.threshold.min(limit))
        } else {
            before
        };
        if after == before {
            return Smoothed { allowed: before, moved: None };
        }
        let remembered = u64::try_from(REMEMBERED.as_nanos()).unwrap_or(u64::MAX).saturating_add(delay);
        *self = Self { now: after, changed: Some(now), remembered };
        Smoothed { allowed: after, moved: Some(after > before) }
    }

    /// For how long after the last draw it is remembered: until it may move again, at least. Nothing, where it never moved.
    pub(crate) fn remembered(&self) -> u64 {
        self.remembered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

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
        let mut allowance = Allowance::default();
        assert_eq!(allowance.remembered(), 0, "it has not moved");
        // seconds, used, allowance after; limit 35
        for (seconds, used, expected, moved) in [
            (0, 3, 10.0, None),
            (1, 6, 20.0, Some(true)),
            (2, 19, 20.0, None), // too soon
            (6, 19, 30.0, Some(true)),
            (11, 30, 35.0, Some(true)),
            (16, 35, 35.0, None),
            (17, 21, 35.0, None), // neither
            (18, 5, 25.0, Some(false)),
            (23, 5, 15.0, Some(false)),
            (28, 0, 10.0, Some(false)),
            (33, 0, 10.0, None),
        ] {
            let smoothed = allowance.used(&steps, 35.0, used, seconds * SECOND);
            assert_eq!(smoothed, Smoothed { allowed: expected, moved }, "after {seconds} s with {used}");
            assert_eq!(allowance.of(&steps, 35.0), expected);
        }
        // As long as it may not move again, and ten minutes more.
        assert_eq!(allowance.remembered(), 605 * SECOND);
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
