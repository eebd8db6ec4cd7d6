//! Which keys of the two formats mean the same (contract 2 and 3.2).

/// How a value of one format becomes that of the other.
#[derive(Debug, Clone, Copy)]
pub(super) enum How {
    /// As it is.
    Same,
    /// `disabled` here is `enabled` there.
    Not,
    /// The same, and without a word it is on.
    NotAlways,
    /// Classic has no switch: the OpenAPI one is on where there is a value.
    Given,
    /// Seconds as a number; a duration as a text.
    Seconds,
    /// URLs repeated by their weight; URLs with weights.
    Weights,
    /// An object of texts; a list of objects with these two keys.
    Named(&'static str, &'static str),
    /// Numbers of TLS versions; their names.
    Tls,
}

/// A classic pointer, an OpenAPI pointer below the extension, and what lies between.
#[derive(Debug)]
pub(super) struct Pair(pub(super) &'static str, pub(super) &'static str, pub(super) How);

use How::{Given, Named, Not, NotAlways, Same, Seconds, Tls, Weights};

/// In place of the pointer of a classic definition's only version.
pub(super) const VERSION: &str = "@";

/// Switches stand after what they switch.
pub(super) const PAIRS: &[Pair] = &[
    Pair("/api_id", "/info/id", Same),
    Pair("/id", "/info/dbId", Same),
    Pair("/org_id", "/info/orgId", Same),
    Pair("/name", "/info/name", Same),
    Pair("/expiration", "/info/expiration", Same),
    Pair("/active", "/info/state/active", Same),
    Pair("/internal", "/info/state/internal", Same),
    Pair("/definition/enabled", "/info/versioning/enabled", Same),
    Pair("/definition/name", "/info/versioning/name", Same),
    Pair("/definition/default", "/info/versioning/default", Same),
    Pair("/definition/location", "/info/versioning/location", Same),
    Pair("/definition/key", "/info/versioning/key", Same),
    Pair("/definition/strip_versioning_data", "/info/versioning/stripVersioningData", Same),
    Pair("/definition/url_versioning_pattern", "/info/versioning/urlVersioningPattern", Same),
    Pair("/definition/fallback_to_default", "/info/versioning/fallbackToDefault", Same),
    Pair("/definition/versions", "/info/versioning/versions", Named("name", "id")),
    Pair("/proxy/target_url", "/upstream/url", Same),
    Pair("/proxy/target_list", "/upstream/loadBalancing/targets", Weights),
    Pair("/proxy/enable_load_balancing", "/upstream/loadBalancing/enabled", Same),
    Pair("/proxy/check_host_against_uptime_tests", "/upstream/loadBalancing/skipUnavailableHosts", Same),
    Pair("/proxy/preserve_host_header", "/upstream/preserveHostHeader/enabled", Same),
    Pair("/proxy/disable_strip_slash", "/upstream/preserveTrailingSlash/enabled", Same),
    Pair(
        "/upstream_certificates",
        "/upstream/mutualTLS/domainToCertificateMapping",
        Named("domain", "certificate"),
    ),
    Pair("/upstream_certificates_disabled", "/upstream/mutualTLS/enabled", Not),
    Pair("/global_rate_limit/rate", "/upstream/rateLimit/rate", Same),
    Pair("/global_rate_limit/per", "/upstream/rateLimit/per", Seconds),
    Pair("/global_rate_limit/disabled", "/upstream/rateLimit/enabled", Not),
    Pair("/proxy/transport/ssl_insecure_skip_verify", "/upstream/tlsTransport/insecureSkipVerify", Same),
    Pair("/proxy/transport/ssl_ciphers", "/upstream/tlsTransport/ciphers", Same),
    Pair("/proxy/transport/ssl_min_version", "/upstream/tlsTransport/minVersion", Tls),
    Pair("/proxy/transport/ssl_max_version", "/upstream/tlsTransport/maxVersion", Tls),
    Pair("/proxy/transport/ssl_force_common_name_check", "/upstream/tlsTransport/forceCommonNameCheck", Same),
    Pair("/proxy/transport/proxy_url", "/upstream/proxy/url", Same),
    Pair("/proxy/transport/proxy_url", "/upstream/proxy/enabled", Given),
    Pair("@/global_enforce_timeout", "/upstream/enforceTimeout/duration", Same),
    Pair("@/global_enforce_timeout_disabled", "/upstream/enforceTimeout/enabled", Not),
    Pair("/proxy/listen_path", "/server/listenPath/value", Same),
    Pair("/proxy/strip_listen_path", "/server/listenPath/strip", Same),
    Pair("/protocol", "/server/protocol", Same),
    Pair("/listen_port", "/server/port", Same),
    Pair("/client_certificates", "/server/clientCertificates/allowlist", Same),
    Pair("/use_mutual_tls_auth", "/server/clientCertificates/enabled", Same),
    Pair("/tags", "/server/gatewayTags/tags", Same),
    Pair("/tags_disabled", "/server/gatewayTags/enabled", Not),
    Pair("/domain", "/server/customDomain/name", Same),
    Pair("/certificates", "/server/customDomain/certificates", Same),
    Pair("/domain_disabled", "/server/customDomain/enabled", Not),
    Pair("/enable_detailed_recording", "/server/detailedActivityLogs/enabled", Same),
    Pair("/detailed_tracing", "/server/detailedTracing/enabled", Same),
    Pair("/enable_batch_request_support", "/server/batchProcessing/enabled", Same),
    Pair("/allowed_ips", "/server/ipAccessControl/allow", Same),
    Pair("/blacklisted_ips", "/server/ipAccessControl/block", Same),
    Pair("/ip_access_control_disabled", "/server/ipAccessControl/enabled", Not),
    Pair("/strip_auth_data", "/server/authentication/stripAuthorizationData", Same),
    Pair("/base_identity_provided_by", "/server/authentication/baseIdentityProvider", Same),
    Pair("/session_lifetime", "/server/authentication/customKeyLifetime/value", Seconds),
    Pair("/session_lifetime", "/server/authentication/customKeyLifetime/enabled", Given),
    Pair(
        "/session_lifetime_respects_key_expiration",
        "/server/authentication/customKeyLifetime/respectValidity",
        Same,
    ),
    Pair("/use_keyless", "/server/authentication/enabled", NotAlways),
    Pair("/CORS/enable", "/middleware/global/cors/enabled", Same),
    Pair("/CORS/allowed_origins", "/middleware/global/cors/allowedOrigins", Same),
    Pair("/CORS/allowed_methods", "/middleware/global/cors/allowedMethods", Same),
    Pair("/CORS/allowed_headers", "/middleware/global/cors/allowedHeaders", Same),
    Pair("/CORS/exposed_headers", "/middleware/global/cors/exposedHeaders", Same),
    Pair("/CORS/allow_credentials", "/middleware/global/cors/allowCredentials", Same),
    Pair("/CORS/max_age", "/middleware/global/cors/maxAge", Same),
    Pair("/CORS/options_passthrough", "/middleware/global/cors/optionsPassthrough", Same),
    Pair("/CORS/debug", "/middleware/global/cors/debug", Same),
    Pair("/cache_options/enable_cache", "/middleware/global/cache/enabled", Same),
    Pair("/cache_options/cache_timeout", "/middleware/global/cache/timeout", Same),
    Pair("/cache_options/cache_all_safe_requests", "/middleware/global/cache/cacheAllSafeRequests", Same),
    Pair("/cache_options/cache_response_codes", "/middleware/global/cache/cacheResponseCodes", Same),
    Pair("/cache_options/cache_by_headers", "/middleware/global/cache/cacheByHeaders", Same),
    Pair(
        "/cache_options/enable_upstream_cache_control",
        "/middleware/global/cache/enableUpstreamCacheControl",
        Same,
    ),
    Pair("/cache_options/cache_control_ttl_header", "/middleware/global/cache/controlTTLHeaderName", Same),
    Pair("@/global_headers", "/middleware/global/transformRequestHeaders/add", Named("name", "value")),
    Pair("@/global_headers_remove", "/middleware/global/transformRequestHeaders/remove", Same),
    Pair("@/global_headers_disabled", "/middleware/global/transformRequestHeaders/enabled", Not),
    Pair(
        "@/global_response_headers",
        "/middleware/global/transformResponseHeaders/add",
        Named("name", "value"),
    ),
    Pair("@/global_response_headers_remove", "/middleware/global/transformResponseHeaders/remove", Same),
    Pair("@/global_response_headers_disabled", "/middleware/global/transformResponseHeaders/enabled", Not),
    Pair("@/global_size_limit", "/middleware/global/requestSizeLimit/value", Same),
    Pair("@/global_size_limit_disabled", "/middleware/global/requestSizeLimit/enabled", Not),
    Pair("@/ignore_endpoint_case", "/middleware/global/ignoreCase/enabled", Same),
    Pair("/enable_context_vars", "/middleware/global/contextVariables/enabled", Same),
    Pair("/config_data", "/middleware/global/pluginConfig/data/value", Same),
    Pair("/config_data_disabled", "/middleware/global/pluginConfig/data/enabled", Not),
    Pair("/custom_middleware/driver", "/middleware/global/pluginConfig/driver", Same),
    Pair("/custom_middleware_bundle", "/middleware/global/pluginConfig/bundle/path", Same),
    Pair("/custom_middleware_bundle_disabled", "/middleware/global/pluginConfig/bundle/enabled", Not),
    Pair("/tag_headers", "/middleware/global/trafficLogs/tagHeaders", Same),
    Pair("/expire_analytics_after", "/middleware/global/trafficLogs/customRetentionPeriod", Seconds),
    Pair("/do_not_track", "/middleware/global/trafficLogs/enabled", NotAlways),
    Pair("/disable_rate_limit", "/middleware/global/skipRateLimit", Same),
    Pair("/disable_quota", "/middleware/global/skipQuota", Same),
    Pair("/dont_set_quota_on_create", "/middleware/global/skipQuotaReset", Same),
];

/// A list of `extended_paths`, the key of operations, and what entries hold.
#[derive(Debug)]
pub(super) struct Listed(pub(super) &'static str, pub(super) &'static str, pub(super) &'static [Pair]);

const HEADERS: &[Pair] =
    &[Pair("/add_headers", "/add", Named("name", "value")), Pair("/delete_headers", "/remove", Same)];
const CASE: &[Pair] = &[Pair("/ignore_case", "/ignoreCase", Same)];

/// Rates come first: operations stand in their order, which counts for them.
pub(super) const LISTS: &[Listed] = &[
    Listed("rate_limit", "rateLimit", &[Pair("/rate", "/rate", Same), Pair("/per", "/per", Seconds)]),
    Listed("white_list", "allow", CASE),
    Listed("black_list", "block", CASE),
    Listed("ignored", "ignoreAuthentication", CASE),
    Listed("internal", "internal", &[]),
    Listed("track_endpoints", "trackEndpoint", &[]),
    Listed("do_not_track_endpoints", "doNotTrackEndpoint", &[]),
    Listed("method_transforms", "transformRequestMethod", &[Pair("/to_method", "/toMethod", Same)]),
    Listed("size_limits", "requestSizeLimit", &[Pair("/size_limit", "/value", Same)]),
    Listed("transform_headers", "transformRequestHeaders", HEADERS),
    Listed("transform_response_headers", "transformResponseHeaders", HEADERS),
    Listed(
        "hard_timeouts",
        "enforceTimeout",
        &[Pair("/timeout", "/value", Same), Pair("/duration", "/duration", Same)],
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
    ),
];
