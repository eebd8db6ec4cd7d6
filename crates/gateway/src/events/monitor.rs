//! Monitors (contract 6.8): whoever has used so much of a quota is told of, once until it is renewed.
//!
//! A counter gives each request a number of its own, on whatever node it is served. So the one request that carries a
//! quota over a threshold is known without remembering anything.

use apidef::Event;
use serde_json::json;

use super::{fire, request};
use crate::exchange::Exchange;

/// What is watched where the configuration asks for it (`monitor`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MonitorSettings {
    /// Percent of a quota, of any key or organisation; 0 = only their own thresholds count.
    pub threshold: f64,
    /// Keys are watched.
    pub keys: bool,
    /// Organisations are watched.
    pub organisations: bool,
}

/// Whose quota it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Key,
    Organisation,
}

/// Whether anybody wants to know of thresholds.
pub(crate) fn is_watched(exchange: &Exchange) -> bool {
    exchange.gate.events.wants(Some(&exchange.api), Event::TriggerExceeded)
}

/// A request was counted: `remaining` of `max` are left. `own`: the thresholds of the key or organisation. Ask
/// [`is_watched`] before.
pub(crate) fn counted(exchange: &Exchange, whose: Whose, max: i64, remaining: i64, own: &[f64]) {
    let settings = exchange.gate.settings.events.monitor;
    let on = settings.is_none_or(|settings| match whose {
        Whose::Key => settings.keys,
        Whose::Organisation => settings.organisations,
    });
    if !on {
        return;
    }
    let common = settings.map(|settings| settings.threshold).filter(|threshold| *threshold > 0.0);
    let used = max.saturating_sub(remaining);
    for threshold in crossed(max, used, common, own) {
        let api = &*exchange.api;
        exchange.gate.events.fire(Some(api), Event::TriggerExceeded, || {
            let key = match whose {
                Whose::Key => request::key(exchange),
                Whose::Organisation => String::new(),
            };
            let meta = json!({
                "Message": "Quota trigger reached",
                "OriginatingRequest": "",
                "org_id": &*api.identity.org,
                "key": key,
                "trigger_limit": threshold as i64,
                "usage_percentage": percent(max, used) as i64,
            });
            fire::told(Some(api), Event::TriggerExceeded, meta)
        });
    }
}

fn percent(max: i64, used: i64) -> f64 {
    used as f64 / max as f64 * 100.0
}

/// The thresholds, in percent, that the last request was the first to reach; each once.
fn crossed(max: i64, used: i64, common: Option<f64>, own: &[f64]) -> Vec<f64> {
    if max <= 0 || used <= 0 {
        return Vec::new();
    }
    let (before, now) = (percent(max, used - 1), percent(max, used));
    let mut crossed: Vec<f64> = Vec::new();
    for threshold in common.into_iter().chain(own.iter().copied()) {
        if threshold > 0.0 && before < threshold && threshold <= now && !crossed.contains(&threshold) {
            crossed.push(threshold);
        }
    }
    crossed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c6_8_row_1_one_request_carries_a_quota_over_a_threshold() {
        for (max, common, own, at) in [
            (10, Some(80.0), &[][..], &[(8, 80.0)][..]),
            (3, Some(50.0), &[], &[(2, 50.0)]),
            (10, None, &[50.0, 75.0], &[(5, 50.0), (8, 75.0)]),
            // Named twice, it is told once; several at once are told each.
            (10, Some(80.0), &[80.0, 71.0], &[(8, 80.0), (8, 71.0)]),
            (1, Some(80.0), &[100.0], &[(1, 80.0), (1, 100.0)]),
            (10, None, &[0.0, -5.0, 110.0], &[]),
            (0, Some(80.0), &[], &[]),
            (-1, Some(80.0), &[], &[]),
        ] {
            let told: Vec<(i64, f64)> = (0..=max.max(3))
                .flat_map(|used| crossed(max, used, common, own).into_iter().map(move |at| (used, at)))
                .collect();
            assert_eq!(told, at, "{max} {common:?} {own:?}");
        }
    }
}
