//! The endpoint that tells callers of their limits: `GET <listen path>/tyk/rate-limits/` (contract 4.4). Asking is not counted.

use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::body::Body;
use crate::exchange::Exchange;
use crate::respond::{self, Refusal};

/// Whether a request asks for it.
pub(crate) fn is_addressed(method: &Method, path: &str) -> bool {
    *method == Method::GET && is_at(path)
}

/// Whether a path is the one at which it is asked for.
pub(crate) fn is_at(path: &str) -> bool {
    path.strip_suffix('/').unwrap_or(path) == "/tyk/rate-limits"
}

/// What the caller, who is known, may still do with the API.
pub(crate) async fn answer(exchange: &mut Exchange) -> Result<Response<Body>, Refusal> {
    // Neither is it of the API, nor are its limits those of this request.
    (exchange.unrecorded, exchange.bare) = (true, true);
    let Some(grant) = exchange.grant.clone() else {
        return Err(Refusal::client(StatusCode::NOT_FOUND, "VNF", "Not Found"));
    };
    let quota = grant.quota();
    let (mut remaining, mut renews) = (quota.max, 0);
    if quota.max > 0 {
        let count = exchange.gate.state.peek_quota(quota.name()).await.map_err(Refusal::store_away)?;
        if let Some(count) = count {
            (remaining, renews) = (count.remaining(quota.max), count.renews_at);
        }
    }
    let (requests, per) = grant.rate();
    let told = json!({
        "quota": {"quota_max": quota.max, "quota_remaining": remaining, "quota_renews": renews},
        "rate_limit": {"requests": number(requests), "per_unit": number(per)},
    });
    Ok(respond::json(StatusCode::OK, &told))
}

/// Whole numbers without a point.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 9e15 { json!(value as i64) } else { json!(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_at_its_path_alone() {
        for (method, path, addressed) in [
            (Method::GET, "/tyk/rate-limits/", true),
            (Method::GET, "/tyk/rate-limits", true),
            (Method::POST, "/tyk/rate-limits/", false),
            (Method::GET, "/tyk/rate-limits/x", false),
            (Method::GET, "/x/tyk/rate-limits", false),
        ] {
            assert_eq!(is_addressed(&method, path), addressed, "{method} {path}");
        }
    }
}
