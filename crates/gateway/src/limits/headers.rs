//! What is told about limits: `X-RateLimit-*` (contract 6.7), and by option the fields `RateLimit` and `RateLimit-Policy`
//! (draft-ietf-httpapi-ratelimit-headers).

use std::fmt::Write as _;

use http::header::{HeaderMap, HeaderName, HeaderValue};

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const STANDARD: HeaderName = HeaderName::from_static("ratelimit");
const STANDARD_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What the limits leave a caller.
#[derive(Debug, Default, Clone)]
pub(crate) struct Budget {
    /// Most that may be used in a window; negative = unlimited.
    pub limit: i64,
    /// What is left of it.
    pub remaining: i64,
    /// Unix time in seconds at which the window ends; 0 = none runs.
    pub reset: i64,
    /// Whether refusals carry it too: rates do, quotas do not.
    pub on_refusals: bool,
    /// Limit, rest and end (unix time in seconds) of the rate that counts.
    pub rate: Option<[i64; 3]>,
    /// The same of the caller's quota.
    pub quota: Option<[i64; 3]>,
    /// Each limit that counted, where the standard fields are asked for.
    pub standard: Vec<Line>,
}

/// One limit in the standard fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) limit: u64,
    /// Seconds; 0 = without end.
    pub(crate) window: u64,
    pub(crate) remaining: u64,
    /// Seconds; 0 = without end.
    pub(crate) reset: u64,
}

impl Budget {
    /// With what the API's limits say that were asked later: what the key's said stays (contract 6.7).
    pub(super) fn and(mut self, later: Self) -> Self {
        if self.rate.is_none() {
            self.rate = later.rate;
            if later.on_refusals {
                (self.limit, self.remaining, self.reset) = (later.limit, later.remaining, later.reset);
                self.on_refusals = true;
            }
        }
        self.standard.extend(later.standard);
        self
    }

    /// Writes the headers of an answered exchange; zeros where nothing is limited, as the original does.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        for (name, value) in [(LIMIT, self.limit), (REMAINING, self.remaining), (RESET, self.reset)] {
            headers.insert(name, number(value));
        }
        self.write_standard(headers);
    }

    /// Writes the headers of a refused exchange.
    pub(crate) fn write_on_refusal(&self, headers: &mut HeaderMap) {
        if self.on_refusals {
            self.write(headers);
        } else {
            self.write_standard(headers);
        }
    }

    fn write_standard(&self, headers: &mut HeaderMap) {
        if self.standard.is_empty() {
            return;
        }
        let (mut policy, mut left) = (String::new(), String::new());
        for line in &self.standard {
            let separator = if policy.is_empty() { "" } else { ", " };
            // Writing to a string cannot fail.
            let _ = write!(policy, "{separator}\"{}\";q={}", line.name, line.limit);
            let _ = write!(left, "{separator}\"{}\";r={}", line.name, line.remaining);
            if line.window > 0 {
                let _ = write!(policy, ";w={}", line.window);
                let _ = write!(left, ";t={}", line.reset);
            }
        }
        for (name, text) in [(STANDARD_POLICY, policy), (STANDARD, left)] {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        }
    }
}

fn number(value: i64) -> HeaderValue {
    if value == 0 { HeaderValue::from_static("0") } else { HeaderValue::from(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told() {
        let line = |name, window| Line { name, limit: 10, window, remaining: 3, reset: 7 };
        let quota = Budget { limit: 5, remaining: 4, reset: 3, ..Budget::default() };
        let rate = Budget { on_refusals: true, ..quota.clone() };
        let standard = Budget { standard: vec![line("key", 60), line("quota", 0)], ..quota.clone() };
        // budget, refused -> limit, standard
        for (budget, refused, limit, told) in [
            (Budget::default(), false, Some("0"), None),
            (Budget::default(), true, None, None),
            (quota.clone(), false, Some("5"), None),
            (quota, true, None, None),
            (rate, true, Some("5"), None),
            (standard.clone(), false, Some("5"), Some("\"key\";r=3;t=7, \"quota\";r=3")),
            (standard, true, None, Some("\"key\";r=3;t=7, \"quota\";r=3")),
        ] {
            let mut headers = HeaderMap::new();
            if refused {
                budget.write_on_refusal(&mut headers)
            } else {
                budget.write(&mut headers)
            }
            let text = |name| headers.get(name).map(|value| value.to_str().unwrap());
            assert_eq!((text(LIMIT), text(STANDARD)), (limit, told), "{budget:?} {refused}");
            let policy = told.map(|_| "\"key\";q=10;w=60, \"quota\";q=10");
            assert_eq!(text(STANDARD_POLICY), policy);
        }
    }
}
