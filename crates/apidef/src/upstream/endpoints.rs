//! What single paths of an upstream have of their own: how long it may take, and when it is left alone (contract 2.5, 4.6).

use crate::AtPath;
use crate::at_path::{classic, oas, write_classic};
use crate::beyond::add;
use crate::fields::{Field, acts};
use crate::section::Section;
use document::Fault;
use serde_json::Value;
use std::time::Duration;

/// `extended_paths.hard_timeouts`.
pub(crate) const CLASSIC_TIMEOUT: &[Field] =
    &[acts("path"), acts("method"), acts("disabled"), acts("timeout"), acts("duration")];
/// `extended_paths.circuit_breakers`.
pub(crate) const CLASSIC_BREAKER: &[Field] = &[
    acts("path"),
    acts("method"),
    acts("disabled"),
    acts("threshold_percent"),
    acts("samples"),
    acts("return_to_service_after"),
    acts("disable_half_open_state"),
];
/// `middleware.operations.*.enforceTimeout`.
pub(crate) const OAS_TIMEOUT: &[Field] = &[acts("enabled"), acts("value"), acts("duration")];
/// `middleware.operations.*.circuitBreaker`.
pub(crate) const OAS_BREAKER: &[Field] = &[
    acts("enabled"),
    acts("threshold"),
    acts("sampleSize"),
    acts("coolDownPeriod"),
    acts("halfOpenStateEnabled"),
];

/// What single paths have of their own; the first that fits counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Endpoints {
    /// How long the head of an answer may take.
    pub timeouts: Box<[AtPath<Duration>]>,
    /// When an upstream that fails is left alone.
    pub breakers: Box<[AtPath<Breaker>]>,
}

/// When an upstream that fails is left alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Breaker {
    /// The part of the answers that may be failures; above 0, at most 1.
    pub threshold: f64,
    /// So many answers are looked at before it is judged.
    pub samples: u32,
    /// How long it is left alone.
    pub rest: Duration,
    /// One request tries it before all others do.
    pub half_open: bool,
}

impl Endpoints {
    pub(crate) fn classic(extended: &Section<'_>, ignore_case: bool, faults: &mut Vec<Fault>) -> Self {
        let timeouts = classic(extended, "hard_timeouts", ignore_case, faults, |entry, faults| {
            timeout(entry, "timeout", faults)
        });
        let breakers = classic(extended, "circuit_breakers", ignore_case, faults, |entry, faults| {
            let half_open = !entry.flag("disable_half_open_state", faults);
            breaker(entry, ["threshold_percent", "samples", "return_to_service_after"], half_open, faults)
        });
        Self { timeouts, breakers }
    }

    pub(crate) fn oas(root: &Section<'_>, middleware: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let timeouts =
            oas(root, middleware, "enforceTimeout", faults, |entry, faults| timeout(entry, "value", faults));
        let breakers = oas(root, middleware, "circuitBreaker", faults, |entry, faults| {
            let half_open = entry.flag("halfOpenStateEnabled", faults);
            breaker(entry, ["threshold", "sampleSize", "coolDownPeriod"], half_open, faults)
        });
        Self { timeouts, breakers }
    }

    /// Adds what is said beside operations.
    pub(crate) fn add(&mut self, more: Self) {
        add(&mut self.timeouts, more.timeouts);
        add(&mut self.breakers, more.breakers);
    }

    /// What `extended_paths` is to say, and whether case counts.
    pub(crate) fn write_classic(&self, version: &mut Value) {
        write_classic(&self.timeouts, "hard_timeouts", version, |timeout, entry| {
            entry["duration"] = format!("{}ms", timeout.as_millis()).into();
        });
        write_classic(&self.breakers, "circuit_breakers", version, |breaker, entry| {
            let Breaker { threshold, samples, rest, half_open } = *breaker;
            entry["threshold_percent"] = threshold.into();
            entry["samples"] = samples.into();
            entry["return_to_service_after"] = rest.as_secs_f64().into();
            entry["disable_half_open_state"] = (!half_open).into();
        });
    }
}

/// A duration comes before whole seconds.
fn timeout(entry: &Section<'_>, seconds: &str, faults: &mut Vec<Fault>) -> Option<Duration> {
    if entry.text("duration", faults).starts_with('-') || entry.number(seconds, faults) < 0.0 {
        // Contract 2.8; both formats tell it in the same words.
        faults.push(Fault::error(entry.pointer.clone(), "invalid timeout value"));
        return None;
    }
    entry.duration("duration", faults).or_else(|| entry.seconds(seconds, faults))
}

fn breaker(
    entry: &Section<'_>,
    [threshold, samples, rest]: [&str; 3],
    half_open: bool,
    faults: &mut Vec<Fault>,
) -> Option<Breaker> {
    let part = entry.number(threshold, faults);
    if !(part > 0.0 && part <= 1.0) {
        let fault = Fault::error(entry.at(threshold), format!("{part} is no part of all answers"));
        faults.push(fault.hint("use a number above 0 and not above 1, such as 0.5"));
        return None;
    }
    let count = entry.number(samples, faults);
    if count < 1.0 || count > f64::from(u32::MAX) || count.fract() != 0.0 {
        faults.push(Fault::error(entry.at(samples), format!("`{samples}` must be a whole number above 0")));
        return None;
    }
    let Some(rest) = entry.seconds(rest, faults) else {
        let message = format!("`{rest}` must be above 0: how many seconds is the upstream left alone?");
        faults.push(Fault::error(entry.at(rest), message));
        return None;
    };
    Some(Breaker { threshold: part, samples: count as u32, rest, half_open })
}
