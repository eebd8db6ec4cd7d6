//! Which lists of `extended_paths` and which keys of operations mean the same (contract 2.5, 3.2).

use super::table::{How, Pair};
use super::value::{put, take};
use super::{To, rewrites, sources};
use How::{By, Named, NotAlways, Said, Same, Seconds};
use serde_json::Value;

/// Moves what pairs cannot say of an entry from one format to the other.
pub(super) type Rest = fn(To, &mut Value, &mut Value);

/// A list of `extended_paths`, the key of operations, what entries hold, and what of it pairs cannot say.
#[derive(Debug)]
pub(super) struct Listed(
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) &'static [Pair],
    pub(super) Option<Rest>,
);

const HEADERS: &[Pair] =
    &[Pair("/add_headers", "/add", Named("name", "value")), Pair("/delete_headers", "/remove", Same)];
const TEMPLATE: &[Pair] = &[Pair("/template_data/input_type", "/format", Said)];
const CASE: &[Pair] = &[Pair("/ignore_case", "/ignoreCase", Same)];

/// Entries of `validate_request` have two switches.
fn requests(to: To, from: &mut Value, out: &mut Value) {
    match to {
        To::Oas if take(from, "/enabled") == Some(Value::Bool(false)) => put(out, "/enabled", false.into()),
        To::Oas => {}
        To::Classic => put(out, "/enabled", true.into()),
    }
}

/// Rates come first: operations stand in their order, which counts for them.
pub(super) const LISTS: &[Listed] = &[
    Listed(
        "rate_limit",
        "rateLimit",
        &[
            Pair("/rate", "/rate", Same),
            Pair("/per", "/per", Seconds),
            Pair("/smoothing", "/smoothing", Same),
        ],
        None,
    ),
    Listed("white_list", "allow", CASE, None),
    Listed("black_list", "block", CASE, None),
    Listed("ignored", "ignoreAuthentication", CASE, None),
    Listed("internal", "internal", &[], None),
    Listed("track_endpoints", "trackEndpoint", &[], None),
    Listed("do_not_track_endpoints", "doNotTrackEndpoint", &[], None),
    Listed("method_transforms", "transformRequestMethod", &[Pair("/to_method", "/toMethod", Same)], None),
    Listed("size_limits", "requestSizeLimit", &[Pair("/size_limit", "/value", Same)], None),
    Listed("transform_headers", "transformRequestHeaders", HEADERS, None),
    Listed("transform_response_headers", "transformResponseHeaders", HEADERS, None),
    Listed(
        "hard_timeouts",
        "enforceTimeout",
        &[Pair("/timeout", "/value", Same), Pair("/duration", "/duration", Same)],
        None,
    ),
    Listed(
        "circuit_breakers",
        "circuitBreaker",
        &[
            Pair("/threshold_percent", "/threshold", Same),
            Pair("/samples", "/sampleSize", Same),
            Pair("/return_to_service_after", "/coolDownPeriod", Same),
            Pair("/disable_half_open_state", "/halfOpenStateEnabled", NotAlways),
        ],
        None,
    ),
    Listed(
        "url_rewrites",
        "urlRewrite",
        &[
            Pair("/match_pattern", "/pattern", Same),
            Pair("/rewrite_to", "/rewriteTo", Same),
            Pair("/triggers", "/triggers", By(rewrites::triggers)),
        ],
        None,
    ),
    Listed(
        "validate_request",
        "validateRequest",
        &[Pair("/error_response_code", "/errorResponseCode", Said)],
        Some(requests),
    ),
    Listed("transform", "transformRequestBody", TEMPLATE, Some(sources::template)),
    Listed("transform_response", "transformResponseBody", TEMPLATE, Some(sources::template)),
    Listed(
        "mock_response",
        "mockResponse",
        &[
            Pair("/code", "/code", Said),
            Pair("/body", "/body", Said),
            Pair("/headers", "/headers", Named("name", "value")),
        ],
        None,
    ),
    Listed(
        "virtual",
        "virtualEndpoint",
        &[
            Pair("/response_function_name", "/functionName", Same),
            Pair("/use_session", "/requireSession", Same),
            Pair("/proxy_on_error", "/proxyOnError", Same),
        ],
        Some(sources::function),
    ),
    Listed(
        "advance_cache_config",
        "cache",
        &[
            Pair("/cache_key_regex", "/cacheByRegex", Said),
            Pair("/cache_response_codes", "/cacheResponseCodes", Said),
            Pair("/timeout", "/timeout", Said),
        ],
        None,
    ),
];
