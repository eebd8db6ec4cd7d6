//! What becomes of each key of a classic definition (contract 2.1 to 2.7).

use crate::auth::{
    CLASSIC_BASIC, CLASSIC_EXTERNAL_OAUTH, CLASSIC_KEY_SIGNATURE, CLASSIC_OAUTH, CLASSIC_OAUTH_NOTICES,
    CLASSIC_OPEN_ID,
};
use crate::cache;
use crate::cors;
use crate::fields::{Field, acts, each, ignored, kept, section};
use crate::graphql;
use crate::paths::{
    CLASSIC_HOOK, CLASSIC_LIST, CLASSIC_REPLY, CLASSIC_SCHEMA, CLASSIC_SIZE, CLASSIC_TRACKED, CLASSIC_VIRTUAL,
};
use crate::plugins;
use crate::transforms::{
    CLASSIC_HEADERS, CLASSIC_JQ, CLASSIC_METHOD, CLASSIC_PROCESSORS, CLASSIC_REWRITE, CLASSIC_TEMPLATE,
};
use crate::upstream::{
    CLASSIC_AUTH, CLASSIC_BREAKER, CLASSIC_DISCOVERY, CLASSIC_SIGNING, CLASSIC_TIMEOUT, CLASSIC_TRANSPORT,
    CLASSIC_UPTIME,
};
use crate::versioning;

pub(crate) const ROOT: &[Field] = &[
    // Identity.
    acts("api_id"),
    acts("org_id"),
    acts("name"),
    acts("active"),
    acts("internal"),
    kept("id"),
    acts("slug"),
    kept("is_oas"),
    acts("expiration"),
    // Where it listens.
    acts("domain"),
    acts("domain_disabled"),
    acts("protocol"),
    acts("listen_port"),
    acts("certificates"),
    acts("enable_proxy_protocol"),
    acts("json_rpc_version"),
    acts("application_protocol"),
    // Who may call.
    acts("use_keyless"),
    acts("use_standard_auth"),
    section("auth", AUTH_CONFIG),
    each("auth_configs", AUTH_CONFIG),
    acts("strip_auth_data"),
    acts("use_basic_auth"),
    section("basic_auth", CLASSIC_BASIC).when("use_basic_auth"),
    acts("use_oauth2"),
    section("oauth_meta", CLASSIC_OAUTH).when("use_oauth2"),
    section("notifications", CLASSIC_OAUTH_NOTICES).when("use_oauth2"),
    acts("use_openid"),
    section("openid_options", CLASSIC_OPEN_ID).when("use_openid"),
    section("external_oauth", CLASSIC_EXTERNAL_OAUTH),
    acts("enable_jwt"),
    acts("jwt_signing_method").when("enable_jwt"),
    acts("jwt_source").when("enable_jwt"),
    each("jwt_jwks_uris", &[acts("url"), acts("cache_timeout")]).when("enable_jwt"),
    acts("jwt_identity_base_field").when("enable_jwt"),
    acts("jwt_client_base_field").when("enable_jwt"),
    acts("jwt_policy_field_name").when("enable_jwt"),
    acts("jwt_default_policies").when("enable_jwt"),
    acts("jwt_issued_at_validation_skew").when("enable_jwt"),
    acts("jwt_expires_at_validation_skew").when("enable_jwt"),
    acts("jwt_not_before_validation_skew").when("enable_jwt"),
    acts("jwt_skip_kid").when("enable_jwt"),
    acts("jwt_scope_to_policy_mapping").when("enable_jwt"),
    acts("jwt_scope_claim_name").when("enable_jwt"),
    section("scopes", &[section("jwt", SCOPES), section("oidc", SCOPES)]),
    acts("idp_client_id_mapping_disabled"),
    acts("enable_signature_checking"),
    acts("hmac_allowed_clock_skew").when("enable_signature_checking"),
    acts("hmac_allowed_algorithms").when("enable_signature_checking"),
    acts("use_mutual_tls_auth"),
    acts("client_certificates").when("use_mutual_tls_auth"),
    acts("custom_plugin_auth_enabled"),
    acts("use_go_plugin_auth"),
    acts("enable_coprocess_auth"),
    acts("base_identity_provided_by"),
    kept("security_requirements"),
    kept("security_requirement_scopes"),
    section("auth_provider", PROVIDER),
    section("session_provider", PROVIDER),
    acts("enable_ip_whitelisting"),
    acts("allowed_ips"),
    acts("enable_ip_blacklisting"),
    acts("blacklisted_ips"),
    acts("ip_access_control_disabled"),
    // Limits.
    acts("disable_rate_limit"),
    acts("disable_quota"),
    section(
        "global_rate_limit",
        &[acts("disabled"), acts("rate"), acts("per"), section("smoothing", crate::limits::SMOOTHING)],
    ),
    section(crate::limits::OWN, crate::beyond::CLASSIC),
    acts("session_lifetime"),
    acts("session_lifetime_respects_key_expiration"),
    acts("dont_set_quota_on_create"),
    // Where it sends.
    section("proxy", PROXY),
    section("upstream_auth", CLASSIC_AUTH),
    section("request_signing", CLASSIC_SIGNING),
    acts("upstream_certificates"),
    acts("upstream_certificates_disabled"),
    acts("pinned_public_keys"),
    acts("certificate_pinning_disabled"),
    section("uptime_tests", CLASSIC_UPTIME),
    section("graphql", graphql::FIELDS),
    // Versions and endpoints.
    section("definition", versioning::CLASSIC),
    section("version_data", &[acts("not_versioned"), acts("default_version"), each("versions", VERSION)]),
    // What happens on the way.
    section("CORS", cors::CLASSIC),
    section("cache_options", cache::CLASSIC),
    each("response_processors", CLASSIC_PROCESSORS),
    section("custom_middleware", plugins::CLASSIC),
    acts("custom_middleware_bundle"),
    acts("custom_middleware_bundle_disabled"),
    acts("event_handlers"),
    acts("error_overrides").unless("error_overrides_disabled"),
    acts("error_overrides_disabled"),
    acts("enable_batch_request_support"),
    acts("enable_context_vars"),
    acts("config_data"),
    acts("config_data_disabled"),
    // What is recorded.
    acts("tags"),
    acts("tags_disabled"),
    acts("do_not_track"),
    acts("tag_headers"),
    acts("enable_detailed_recording"),
    acts("expire_analytics_after"),
    section("analytics_plugin", plugins::CLASSIC_RECORDS),
    acts("detailed_tracing"),
];

const AUTH_CONFIG: &[Field] = &[
    acts("auth_header_name"),
    acts("disable_header"),
    acts("use_param"),
    acts("param_name"),
    acts("use_cookie"),
    acts("cookie_name"),
    kept("name"),
    acts("use_certificate"),
    acts("validate_signature"),
    section("signature", CLASSIC_KEY_SIGNATURE).when("validate_signature"),
];

const SCOPES: &[Field] = &[acts("scope_claim_name"), acts("scope_to_policy")];

const PROVIDER: &[Field] = &[acts("name"), acts("storage_engine"), ignored("meta")];

const PROXY: &[Field] = &[
    acts("listen_path"),
    acts("target_url"),
    acts("strip_listen_path"),
    acts("disable_strip_slash"),
    acts("preserve_host_header"),
    acts("enable_load_balancing"),
    acts("target_list").when("enable_load_balancing"),
    acts("check_host_against_uptime_tests"),
    section("service_discovery", CLASSIC_DISCOVERY),
    section("transport", CLASSIC_TRANSPORT),
];

const VERSION: &[Field] = &[
    kept("name"),
    acts("expires"),
    section("paths", &[acts("ignored"), acts("white_list"), acts("black_list")]).unless("use_extended_paths"),
    acts("use_extended_paths"),
    section("extended_paths", EXTENDED).when("use_extended_paths"),
    acts("global_headers"),
    acts("global_headers_remove"),
    acts("global_headers_disabled"),
    acts("global_response_headers"),
    acts("global_response_headers_remove"),
    acts("global_response_headers_disabled"),
    acts("ignore_endpoint_case"),
    acts("global_size_limit"),
    acts("global_size_limit_disabled"),
    acts("global_enforce_timeout"),
    acts("global_enforce_timeout_disabled"),
    acts("override_target"),
];

pub(crate) const EXTENDED: &[Field] = &[
    each("ignored", CLASSIC_LIST),
    each("white_list", CLASSIC_LIST),
    each("black_list", CLASSIC_LIST),
    each("internal", CLASSIC_TRACKED),
    each("size_limits", CLASSIC_SIZE),
    each(
        "rate_limit",
        &[
            acts("path"),
            acts("method"),
            acts("disabled"),
            acts("rate"),
            acts("per"),
            section("smoothing", crate::limits::SMOOTHING),
        ],
    ),
    each("validate_json", CLASSIC_SCHEMA),
    each(crate::beyond::REQUESTS, crate::beyond::CLASSIC_REQUEST),
    each("go_plugin", CLASSIC_HOOK),
    each("persist_graphql", graphql::PERSISTED),
    each("mock_response", CLASSIC_REPLY),
    acts("cache"),
    each("advance_cache_config", cache::CLASSIC_PATH),
    each("transform", CLASSIC_TEMPLATE),
    each("transform_response", CLASSIC_TEMPLATE),
    each("transform_jq", CLASSIC_JQ),
    each("transform_jq_response", CLASSIC_JQ),
    each("transform_headers", CLASSIC_HEADERS),
    each("transform_response_headers", CLASSIC_HEADERS),
    each("hard_timeouts", CLASSIC_TIMEOUT),
    each("circuit_breakers", CLASSIC_BREAKER),
    each("url_rewrites", CLASSIC_REWRITE),
    each("virtual", CLASSIC_VIRTUAL),
    each("method_transforms", CLASSIC_METHOD),
    each("track_endpoints", CLASSIC_TRACKED),
    each("do_not_track_endpoints", CLASSIC_TRACKED),
];
