//! `/hello` says what is up, `/ready` whether this node should get traffic (contract 7.2), `/tyk/records` what it did.

use std::time::SystemTime;

use http::header::HeaderValue;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::reply::error;
use crate::body::Body;
use crate::gate::Gate;
use crate::respond;

pub(super) fn hello(gate: &Gate) -> Response<Body> {
    let store = gate.state.health();
    let (status, state) = if store.connected { ("pass", "pass") } else { ("warn", "fail") };
    let mut details = json!({
        gate.state.kind(): {
            "status": state,
            "componentType": "datastore",
            "time": rfc3339(SystemTime::now()),
        }
    });
    if let Some(reason) = store.error {
        details[gate.state.kind()]["output"] = reason.into();
    }
    let mut response = respond::json(StatusCode::OK, &report(status, "Tyk GW", Some(details)));
    if gate.settings.generator_header {
        response.headers_mut().insert("x-generator", HeaderValue::from_static("tyk.io"));
    }
    response
}

/// Unlike `/hello` this fails while the node should get no traffic.
pub(super) fn ready(gate: &Gate) -> Response<Body> {
    let refused = |message| error(StatusCode::SERVICE_UNAVAILABLE, message);
    if gate.is_closing() {
        return refused("Gateway is shutting down");
    }
    if !gate.state.health().connected {
        return refused("Redis connection not available");
    }
    if gate.snapshot().generation == 0 {
        return refused("A successful API reload did not happen");
    }
    respond::json(StatusCode::OK, &report("pass", "Tyk GW Ready", None))
}

/// The last records, newest first.
pub(super) fn records(gate: &Gate, limit: Option<&str>) -> Response<Body> {
    let Some(store) = &gate.records else {
        return error(StatusCode::NOT_FOUND, "Records are not kept: set enable_analytics to true");
    };
    let limit = limit.and_then(|limit| limit.parse().ok()).unwrap_or(100);
    respond::json(StatusCode::OK, &store.recent(limit))
}

fn report(status: &str, description: &str, details: Option<Value>) -> Value {
    let mut report = json!({
        "status": status,
        "version": env!("CARGO_PKG_VERSION"),
        "description": description,
    });
    if let Some(details) = details {
        report["details"] = details;
    }
    report
}

/// A time as RFC 3339 in UTC, to the second.
pub(super) fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days to a civil date: years begin in March, so that leap days come last.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3_600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::rfc3339;

    #[test]
    fn times_are_written_as_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_704_067_199, "2023-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }
}
