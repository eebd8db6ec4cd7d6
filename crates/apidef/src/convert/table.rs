//! Which keys of the two formats mean the same (contract 2 and 3.2).

use super::To;
use serde_json::Value;

/// How a value of one format becomes that of the other.
#[derive(Debug, Clone, Copy)]
pub(super) enum How {
    /// As it is.
    Same,
    /// The same, where it says anything.
    Said,
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
    /// Nanoseconds as a number; a duration as a text.
    Nanoseconds,
    /// An object of texts with commas; a list of objects with a text and a list of texts.
    Listed(&'static str, &'static str),
    /// A list of objects, each with these keys.
    Each(&'static [Pair]),
    /// An object with these keys; a list with that alone.
    Only(&'static [Pair]),
    /// As this says; `None` where it cannot be.
    By(fn(&Value, To) -> Option<Value>),
}

/// A classic pointer, an OpenAPI pointer below the extension, and what lies between.
#[derive(Debug)]
pub(super) struct Pair(pub(super) &'static str, pub(super) &'static str, pub(super) How);

use How::{Each, Given, Listed, Named, Nanoseconds, Not, NotAlways, Only, Said, Same, Seconds, Tls, Weights};

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
    Pair(
        "/pinned_public_keys",
        "/upstream/certificatePinning/domainToPublicKeysMapping",
        Listed("domain", "publicKeys"),
    ),
    Pair("/certificate_pinning_disabled", "/upstream/certificatePinning/enabled", Not),
    Pair("/global_rate_limit/rate", "/upstream/rateLimit/rate", Same),
    Pair("/global_rate_limit/per", "/upstream/rateLimit/per", Seconds),
    Pair("/global_rate_limit/smoothing", "/upstream/rateLimit/smoothing", Same),
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
    Pair("/custom_middleware/driver", "/middleware/global/pluginConfig/driver", Said),
    Pair("/custom_middleware/pre", "/middleware/global/prePlugins", Each(HOOK)),
    Pair("/custom_middleware/post_key_auth", "/middleware/global/postAuthenticationPlugins", Each(HOOK)),
    Pair("/custom_middleware/post", "/middleware/global/postPlugins", Each(HOOK)),
    Pair("/custom_middleware/response", "/middleware/global/responsePlugins", Each(HOOK)),
    Pair("/custom_middleware_bundle", "/middleware/global/pluginConfig/bundle/path", Said),
    Pair("/custom_middleware_bundle_disabled", "/middleware/global/pluginConfig/bundle/enabled", Not),
    Pair("/error_overrides_disabled", "/errorOverrides/enabled", Not),
    Pair("/enable_context_vars", "/middleware/global/contextVariables/enabled", Same),
    Pair("/config_data", "/middleware/global/pluginConfig/data/value", Same),
    Pair("/config_data_disabled", "/middleware/global/pluginConfig/data/enabled", Not),
    Pair("/custom_middleware/traffic_logs", "/middleware/global/trafficLogs/plugins", Only(HOOK)),
    Pair("/tag_headers", "/middleware/global/trafficLogs/tagHeaders", Same),
    Pair("/expire_analytics_after", "/middleware/global/trafficLogs/customRetentionPeriod", Seconds),
    Pair("/do_not_track", "/middleware/global/trafficLogs/enabled", NotAlways),
    Pair("/disable_rate_limit", "/middleware/global/skipRateLimit", Same),
    Pair("/disable_quota", "/middleware/global/skipQuota", Same),
    Pair("/dont_set_quota_on_create", "/middleware/global/skipQuotaReset", Same),
];

/// One plugin of a list.
const HOOK: &[Pair] = &[
    Pair("/name", "/functionName", Same),
    Pair("/path", "/path", Said),
    Pair("/code", "/code", Said),
    Pair("/require_session", "/requireSession", Same),
    Pair("/raw_body_only", "/rawBodyOnly", Same),
    Pair("/disabled", "/enabled", Not),
];

const PROBE: &[Pair] = &[
    Pair("/url", "/url", Same),
    Pair("/timeout", "/timeout", Nanoseconds),
    Pair("/method", "/method", Said),
    Pair("/headers", "/headers", Said),
    Pair("/body", "/body", Said),
    Pair("/commands", "/commands", Said),
    Pair("/enable_proxy_protocol", "/enableProxyProtocol", Said),
];

/// What is behind the gate in ways that not every API needs: who tells the targets, who probes them, and who the gate is
/// to them.
pub(super) const BEHIND: &[Pair] = &[
    Pair("/proxy/service_discovery/query_endpoint", "/upstream/serviceDiscovery/queryEndpoint", Said),
    Pair("/proxy/service_discovery/use_nested_query", "/upstream/serviceDiscovery/useNestedQuery", Said),
    Pair("/proxy/service_discovery/parent_data_path", "/upstream/serviceDiscovery/parentDataPath", Said),
    Pair("/proxy/service_discovery/data_path", "/upstream/serviceDiscovery/dataPath", Said),
    Pair("/proxy/service_discovery/port_data_path", "/upstream/serviceDiscovery/portDataPath", Said),
    Pair("/proxy/service_discovery/target_path", "/upstream/serviceDiscovery/targetPath", Said),
    Pair("/proxy/service_discovery/use_target_list", "/upstream/serviceDiscovery/useTargetList", Said),
    Pair(
        "/proxy/service_discovery/endpoint_returns_list",
        "/upstream/serviceDiscovery/endpointReturnsList",
        Said,
    ),
    Pair("/proxy/service_discovery/cache_timeout", "/upstream/serviceDiscovery/cache/timeout", Said),
    Pair("/proxy/service_discovery/use_discovery_service", "/upstream/serviceDiscovery/enabled", Said),
    Pair("/proxy/service_discovery/cache_disabled", "/upstream/serviceDiscovery/cache/enabled", Not),
    Pair("/uptime_tests/check_list", "/upstream/uptimeTests/tests", Each(PROBE)),
    Pair("/uptime_tests/config/recheck_wait", "/upstream/uptimeTests/hostDownRetestPeriod", Seconds),
    Pair("/uptime_tests/config/expire_utime_after", "/upstream/uptimeTests/logRetentionPeriod", Seconds),
    Pair(
        "/uptime_tests/config/service_discovery/query_endpoint",
        "/upstream/uptimeTests/serviceDiscovery/queryEndpoint",
        Said,
    ),
    Pair(
        "/uptime_tests/config/service_discovery/use_nested_query",
        "/upstream/uptimeTests/serviceDiscovery/useNestedQuery",
        Said,
    ),
    Pair(
        "/uptime_tests/config/service_discovery/parent_data_path",
        "/upstream/uptimeTests/serviceDiscovery/parentDataPath",
        Said,
    ),
    Pair(
        "/uptime_tests/config/service_discovery/data_path",
        "/upstream/uptimeTests/serviceDiscovery/dataPath",
        Said,
    ),
    Pair(
        "/uptime_tests/config/service_discovery/port_data_path",
        "/upstream/uptimeTests/serviceDiscovery/portDataPath",
        Said,
    ),
    Pair(
        "/uptime_tests/config/service_discovery/target_path",
        "/upstream/uptimeTests/serviceDiscovery/targetPath",
        Said,
    ),
    Pair(
        "/uptime_tests/config/service_discovery/use_target_list",
        "/upstream/uptimeTests/serviceDiscovery/useTargetList",
        Said,
    ),
    Pair(
        "/uptime_tests/config/service_discovery/endpoint_returns_list",
        "/upstream/uptimeTests/serviceDiscovery/endpointReturnsList",
        Said,
    ),
    Pair(
        "/uptime_tests/config/service_discovery/cache_timeout",
        "/upstream/uptimeTests/serviceDiscovery/cache/timeout",
        Said,
    ),
    Pair(
        "/uptime_tests/config/service_discovery/use_discovery_service",
        "/upstream/uptimeTests/serviceDiscovery/enabled",
        Said,
    ),
    Pair(
        "/uptime_tests/config/service_discovery/cache_disabled",
        "/upstream/uptimeTests/serviceDiscovery/cache/enabled",
        Not,
    ),
    Pair("/uptime_tests/disabled", "/upstream/uptimeTests/enabled", Not),
    Pair("/upstream_auth/basic_auth/username", "/upstream/authentication/basicAuth/username", Said),
    Pair("/upstream_auth/basic_auth/password", "/upstream/authentication/basicAuth/password", Said),
    Pair(
        "/upstream_auth/basic_auth/header/enabled",
        "/upstream/authentication/basicAuth/header/enabled",
        Said,
    ),
    Pair("/upstream_auth/basic_auth/header/name", "/upstream/authentication/basicAuth/header/name", Said),
    Pair(
        "/upstream_auth/oauth/client_credentials/client_id",
        "/upstream/authentication/oauth/clientCredentials/clientId",
        Said,
    ),
    Pair(
        "/upstream_auth/oauth/client_credentials/client_secret",
        "/upstream/authentication/oauth/clientCredentials/clientSecret",
        Said,
    ),
    Pair(
        "/upstream_auth/oauth/client_credentials/method",
        "/upstream/authentication/oauth/clientCredentials/method",
        Said,
    ),
    Pair(
        "/upstream_auth/oauth/client_credentials/token_url",
        "/upstream/authentication/oauth/clientCredentials/tokenUrl",
        Said,
    ),
    Pair(
        "/upstream_auth/oauth/client_credentials/scopes",
        "/upstream/authentication/oauth/clientCredentials/scopes",
        Said,
    ),
    Pair(
        "/upstream_auth/oauth/client_credentials/extra_metadata",
        "/upstream/authentication/oauth/clientCredentials/extraMetadata",
        Said,
    ),
    Pair(
        "/upstream_auth/oauth/client_credentials/header/enabled",
        "/upstream/authentication/oauth/clientCredentials/header/enabled",
        Said,
    ),
    Pair(
        "/upstream_auth/oauth/client_credentials/header/name",
        "/upstream/authentication/oauth/clientCredentials/header/name",
        Said,
    ),
    Pair("/upstream_auth/oauth/password/client_id", "/upstream/authentication/oauth/password/clientId", Said),
    Pair(
        "/upstream_auth/oauth/password/client_secret",
        "/upstream/authentication/oauth/password/clientSecret",
        Said,
    ),
    Pair("/upstream_auth/oauth/password/method", "/upstream/authentication/oauth/password/method", Said),
    Pair("/upstream_auth/oauth/password/username", "/upstream/authentication/oauth/password/username", Said),
    Pair("/upstream_auth/oauth/password/password", "/upstream/authentication/oauth/password/password", Said),
    Pair("/upstream_auth/oauth/password/token_url", "/upstream/authentication/oauth/password/tokenUrl", Said),
    Pair("/upstream_auth/oauth/password/scopes", "/upstream/authentication/oauth/password/scopes", Said),
    Pair(
        "/upstream_auth/oauth/password/extra_metadata",
        "/upstream/authentication/oauth/password/extraMetadata",
        Said,
    ),
    Pair(
        "/upstream_auth/oauth/password/header/enabled",
        "/upstream/authentication/oauth/password/header/enabled",
        Said,
    ),
    Pair(
        "/upstream_auth/oauth/password/header/name",
        "/upstream/authentication/oauth/password/header/name",
        Said,
    ),
    Pair("/upstream_auth/basic_auth/enabled", "/upstream/authentication/basicAuth/enabled", Said),
    Pair("/upstream_auth/oauth/enabled", "/upstream/authentication/oauth/enabled", Said),
    Pair(
        "/upstream_auth/oauth/allowed_authorize_types",
        "/upstream/authentication/oauth/allowedAuthorizeTypes",
        Said,
    ),
    Pair("/request_signing/secret", "/upstream/authentication/requestSigning/secret", Said),
    Pair("/request_signing/key_id", "/upstream/authentication/requestSigning/keyId", Said),
    Pair("/request_signing/algorithm", "/upstream/authentication/requestSigning/algorithm", Said),
    Pair("/request_signing/header_list", "/upstream/authentication/requestSigning/headers", Said),
    Pair("/request_signing/certificate_id", "/upstream/authentication/requestSigning/certificateId", Said),
    Pair(
        "/request_signing/signature_header",
        "/upstream/authentication/requestSigning/signatureHeader",
        Said,
    ),
    Pair("/request_signing/is_enabled", "/upstream/authentication/requestSigning/enabled", Said),
];
