//! Limits: how often and how much, and what is told about it.

mod api_rate;
mod key_limits;
mod window;

use http::header::{HeaderMap, HeaderName, HeaderValue};

pub(crate) use api_rate::ApiRate;
pub(crate) use key_limits::KeyLimits;
pub(crate) use window::{Taken, Window, Windows};

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// What the limits leave a caller, for the `X-RateLimit-*` headers (contract 6.7).
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Budget {
    /// Most that may be used in a window; negative = unlimited.
    pub limit: i64,
    /// What is left of it.
    pub remaining: i64,
    /// Unix time in seconds at which the window ends; 0 = none runs.
    pub reset: i64,
    /// Whether refusals carry it too: rates do, quotas do not.
    pub on_refusals: bool,
}

impl Budget {
    /// Writes the headers of an answered exchange; zeros where nothing is limited, as the original does.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        for (name, value) in [(LIMIT, self.limit), (REMAINING, self.remaining), (RESET, self.reset)] {
            headers.insert(name, number(value));
        }
    }

    /// Writes the headers of a refused exchange.
    pub(crate) fn write_on_refusal(&self, headers: &mut HeaderMap) {
        if self.on_refusals {
            self.write(headers);
        }
    }
}

fn number(value: i64) -> HeaderValue {
    if value == 0 { HeaderValue::from_static("0") } else { HeaderValue::from(value) }
}
