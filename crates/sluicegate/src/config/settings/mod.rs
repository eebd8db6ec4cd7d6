//! The settings that are acted on, typed. Names and meaning are those of the file; `docs/configuration.md` explains them.

#![allow(missing_docs, reason = "each field is a row of config/table, which holds its documentation")]

mod kv;
mod stores;
mod telemetry;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use state::Secret;

pub(crate) use self::kv::Kv;
pub(crate) use self::stores::{CacheSettings, CatalogSettings, DbAppConfOptions, LocalSessionCache, Storage};
pub(crate) use self::telemetry::{OpenTelemetry, TlsVersion, TraceExport};

/// Everything that is acted on. Times are durations; sizes are bytes; empty texts mean "not set".
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Named secrets, as streams may ask for them: `conf.NAME` those of `secrets`, `env.NAME` those of `TYK_SECRET_NAME`.
    #[serde(skip)]
    pub(crate) named_secrets: BTreeMap<String, Secret>,
    /// The environment of the process, as definitions may ask for it.
    #[serde(skip)]
    pub(crate) variables: BTreeMap<String, Secret>,
    /// What may be seen of the settings over the admin API.
    #[serde(skip)]
    pub(crate) inspected: Vec<gateway::Inspected>,
    pub(crate) enable_config_inspection: bool,
    pub(crate) health_check: HealthCheck,
    pub(crate) kv: Kv,
    pub(crate) ports_whitelist: serde_json::Value,
    pub(crate) disable_ports_whitelist: bool,
    pub(crate) listen_address: String,
    pub(crate) listen_port: u16,
    pub(crate) control_api_port: u16,
    pub(crate) control_api_hostname: String,
    pub(crate) hostname: String,
    pub(crate) pid_file_location: String,
    pub(crate) management_node: bool,
    pub(crate) ignore_endpoint_case: bool,
    #[serde(deserialize_with = "secret")]
    pub(crate) secret: Secret,
    #[serde(deserialize_with = "secret")]
    pub(crate) node_secret: Secret,
    pub(crate) hide_generator_header: bool,
    pub(crate) version_header: String,
    pub(crate) close_connections: bool,
    pub(crate) enable_custom_domains: bool,
    pub(crate) health_check_endpoint_name: String,
    pub(crate) readiness_check_endpoint_name: String,
    #[serde(deserialize_with = "seconds")]
    pub(crate) graceful_shutdown_timeout_duration: Duration,
    #[serde(deserialize_with = "seconds")]
    pub(crate) graceful_shutdown_delay_seconds: Duration,
    pub(crate) suppress_redis_signal_reload: bool,
    pub(crate) allow_insecure_configs: bool,
    pub(crate) http_server_options: HttpServerOptions,
    pub(crate) acme: Acme,
    pub(crate) app_path: String,
    pub(crate) catalog: CatalogSettings,
    pub(crate) use_db_app_configs: bool,
    pub(crate) db_app_conf_options: DbAppConfOptions,
    pub(crate) policies: Policies,
    pub(crate) storage: Storage,
    pub(crate) cache: CacheSettings,
    pub(crate) enable_separate_cache_store: bool,
    pub(crate) cache_storage: Storage,
    pub(crate) local_session_cache: LocalSessionCache,
    pub(crate) dns_cache: DnsCache,
    pub(crate) hash_keys: bool,
    pub(crate) hash_key_function: String,
    #[serde(deserialize_with = "secret")]
    pub(crate) hash_key_secret: Secret,
    pub(crate) hash_key_function_fallback: Vec<String>,
    pub(crate) basic_auth_hash_key_function: String,
    pub(crate) disable_key_actions_by_username: bool,
    pub(crate) enable_hashed_keys_listing: bool,
    pub(crate) min_token_length: usize,
    pub(crate) allow_master_keys: bool,
    #[serde(deserialize_with = "seconds")]
    pub(crate) oauth_token_expire: Duration,
    #[serde(deserialize_with = "seconds")]
    pub(crate) oauth_refresh_token_expire: Duration,
    #[serde(deserialize_with = "seconds")]
    pub(crate) oauth_token_expired_retain_period: Duration,
    pub(crate) oauth_redirect_uri_separator: String,
    pub(crate) oauth_error_status_code: u16,
    pub(crate) force_global_session_lifetime: bool,
    pub(crate) global_session_lifetime: i64,
    pub(crate) session_lifetime_respects_key_expiration: bool,
    pub(crate) enable_redis_rolling_limiter: bool,
    pub(crate) enable_fixed_window_rate_limiter: bool,
    pub(crate) enable_sentinel_rate_limiter: bool,
    pub(crate) drl_enable_sentinel_rate_limiter: bool,
    pub(crate) enable_rate_limit_smoothing: bool,
    pub(crate) drl_threshold: f64,
    #[serde(deserialize_with = "seconds")]
    pub(crate) drl_notification_frequency: Duration,
    pub(crate) enforce_org_quotas: bool,
    pub(crate) suppress_default_org_store: bool,
    pub(crate) enforce_org_data_age: bool,
    pub(crate) enforce_org_data_detail_logging: bool,
    pub(crate) limits: Limits,
    pub(crate) rate_limit_response_headers: RateLimitHeaders,
    #[serde(deserialize_with = "seconds")]
    pub(crate) proxy_default_timeout: Duration,
    pub(crate) proxy_ssl_insecure_skip_verify: bool,
    /// As in the TLS record: 771 is 1.2, 772 is 1.3.
    pub(crate) proxy_ssl_min_version: u16,
    /// As `proxy_ssl_min_version`.
    pub(crate) proxy_ssl_max_version: u16,
    pub(crate) proxy_ssl_ciphers: Vec<String>,
    pub(crate) ssl_force_common_name_check: bool,
    pub(crate) jwt_ssl_insecure_skip_verify: bool,
    pub(crate) jwks: Jwks,
    pub(crate) uptime_tests: UptimeTests,
    pub(crate) service_discovery: ServiceDiscovery,
    pub(crate) proxy_enable_http2: bool,
    pub(crate) proxy_close_connections: bool,
    pub(crate) max_idle_connections_per_host: usize,
    pub(crate) max_idle_connections: usize,
    #[serde(deserialize_with = "seconds")]
    pub(crate) max_conn_time: Duration,
    pub(crate) enable_analytics: bool,
    pub(crate) analytics_config: AnalyticsConfig,
    pub(crate) access_logs: AccessLogs,
    pub(crate) opentelemetry: OpenTelemetry,
    pub(crate) log_level: String,
    pub(crate) log_format: LogFormat,
    pub(crate) streaming: Streaming,
    pub(crate) egress: Egress,
    pub(crate) enable_jsvm: bool,
    #[serde(deserialize_with = "seconds")]
    pub(crate) jsvm_timeout: Duration,
    pub(crate) middleware_path: String,
    pub(crate) template_path: String,
    pub(crate) override_messages: serde_json::Value,
    pub(crate) error_overrides: serde_json::Value,
    pub(crate) tyk_js_path: String,
    pub(crate) disable_virtual_path_blobs: bool,
    pub(crate) public_key_path: String,
    pub(crate) enable_bundle_downloader: bool,
    pub(crate) bundle_base_url: String,
    pub(crate) bundle_insecure_skip_verify: bool,
    pub(crate) coprocess_options: CoprocessOptions,
    pub(crate) event_handlers: serde_json::Value,
    pub(crate) monitor: Monitor,
    pub(crate) oas_config: OasConfig,
    pub(crate) auth_override: serde_json::Value,
    pub(crate) security: Security,
}

/// What OpenAPI documents are checked for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OasConfig {
    pub(crate) validate_examples: bool,
    pub(crate) validate_schema_defaults: bool,
}

/// Counters of `/tyk/health`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HealthCheck {
    pub(crate) enable_health_checks: bool,
    /// Seconds.
    pub(crate) health_check_value_timeouts: u32,
}

/// Who is told when quotas run out.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Monitor {
    pub(crate) enable_trigger_monitors: bool,
    pub(crate) configuration: serde_json::Value,
    pub(crate) global_trigger_limit: f64,
    pub(crate) monitor_user_keys: bool,
    pub(crate) monitor_org_keys: bool,
}

/// When certificates are told of.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CertificateExpiryMonitor {
    pub(crate) warning_threshold_days: i64,
    #[serde(deserialize_with = "seconds")]
    pub(crate) check_cooldown_seconds: Duration,
    #[serde(deserialize_with = "seconds")]
    pub(crate) event_cooldown_seconds: Duration,
}

/// Servers of plugins.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CoprocessOptions {
    pub(crate) enable_coprocess: bool,
    pub(crate) coprocess_grpc_server: String,
    pub(crate) grpc_recv_max_size: usize,
    pub(crate) grpc_send_max_size: usize,
    pub(crate) grpc_authority: String,
    pub(crate) python_path_prefix: String,
    pub(crate) python_version: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Security {
    #[serde(deserialize_with = "secret")]
    pub(crate) private_certificate_encoding_secret: Secret,
    pub(crate) certificate_expiry_monitor: CertificateExpiryMonitor,
    pub(crate) control_api_use_mutual_tls: bool,
    pub(crate) allow_unsafe_dynamic_mtls_token: bool,
    pub(crate) certificates: TrustedCertificates,
    pub(crate) pinned_public_keys: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrustedCertificates {
    pub(crate) apis: Vec<String>,
    pub(crate) control_api: Vec<String>,
    pub(crate) upstream: std::collections::BTreeMap<String, String>,
}

/// Certificates from a directory.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acme {
    pub(crate) domains: Vec<String>,
    pub(crate) directory: String,
    pub(crate) email: String,
    pub(crate) challenge: AcmeChallenge,
    pub(crate) http_port: u16,
    pub(crate) ca_file: String,
    #[serde(deserialize_with = "seconds")]
    pub(crate) renew_before: Duration,
    pub(crate) external_account: AcmeExternalAccount,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DnsCache {
    pub(crate) enabled: bool,
    /// Seconds; below zero: for ever.
    pub(crate) ttl: i64,
    pub(crate) multiple_ips_handle_strategy: AddressStrategy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AddressStrategy {
    #[serde(alias = "")]
    NoCache,
    PickFirst,
    Random,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum AcmeChallenge {
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn,
    #[serde(rename = "http-01")]
    Http,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcmeExternalAccount {
    pub(crate) id: String,
    #[serde(deserialize_with = "secret")]
    pub(crate) key: Secret,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpServerOptions {
    #[serde(deserialize_with = "seconds")]
    pub(crate) read_timeout: Duration,
    #[serde(deserialize_with = "seconds")]
    pub(crate) write_timeout: Duration,
    pub(crate) use_ssl: bool,
    pub(crate) enable_http2: bool,
    pub(crate) enable_strict_routes: bool,
    pub(crate) enable_path_prefix_matching: bool,
    pub(crate) enable_path_suffix_matching: bool,
    pub(crate) enable_websockets: bool,
    pub(crate) certificates: Vec<Certificate>,
    pub(crate) ssl_certificates: Vec<String>,
    /// As in the TLS record: 771 is 1.2, 772 is 1.3, 0 is not set.
    pub(crate) min_version: u16,
    /// As `min_version`.
    pub(crate) max_version: u16,
    pub(crate) ssl_ciphers: Vec<String>,
    pub(crate) max_request_body_size: u64,
    pub(crate) max_response_body_size: u64,
    pub(crate) skip_url_cleaning: bool,
    pub(crate) xff_depth: usize,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Certificate {
    pub(crate) domain_name: String,
    pub(crate) cert_file: String,
    pub(crate) key_file: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policies {
    pub(crate) policy_source: String,
    pub(crate) policy_path: String,
    pub(crate) policy_record_name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StorageKind {
    Embedded,
    Redis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RateLimitHeaders {
    Quotas,
    RateLimits,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    pub(crate) count_refused: bool,
    pub(crate) standard_headers: bool,
    pub(crate) oauth_guesses_by_address: u32,
    pub(crate) oauth_guesses_by_client: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnalyticsConfig {
    pub(crate) records_buffer_size: usize,
    pub(crate) enable_detailed_recording: bool,
    pub(crate) detailed_recording_size: usize,
    #[serde(deserialize_with = "seconds")]
    pub(crate) storage_expiration_time: Duration,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UptimeTests {
    pub(crate) disable: bool,
    pub(crate) poller_group: String,
    pub(crate) config: UptimeConfig,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UptimeConfig {
    pub(crate) failure_trigger_sample_size: u32,
    #[serde(deserialize_with = "seconds")]
    pub(crate) time_wait: Duration,
    pub(crate) checker_pool_size: usize,
    pub(crate) enable_uptime_analytics: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceDiscovery {
    #[serde(deserialize_with = "seconds")]
    pub(crate) default_cache_timeout: Duration,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Jwks {
    pub(crate) cache: JwksCache,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JwksCache {
    #[serde(deserialize_with = "seconds")]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessLogs {
    pub(crate) enabled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    #[serde(alias = "legacy")]
    Text,
    Json,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Streaming {
    pub(crate) enabled: bool,
    pub(crate) allow_unsafe: Vec<String>,
    pub(crate) environment: Vec<String>,
    pub(crate) egress: Egress,
    pub(crate) mappings: Mappings,
}

/// A value that is not printed.
#[derive(Clone, Default)]
pub(crate) struct Unshown(pub(crate) serde_json::Value);

impl std::fmt::Debug for Unshown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// What mappings of streams may read and do.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mappings {
    pub(crate) environment: bool,
    /// A folder; empty: no files.
    pub(crate) files: String,
    pub(crate) hostname: bool,
    pub(crate) random: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Egress {
    pub(crate) allow: Vec<String>,
    pub(crate) deny: Vec<String>,
    pub(crate) deny_private: bool,
}

fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    Duration::try_from_secs_f64(f64::deserialize(from)?).map_err(serde::de::Error::custom)
}

fn unshown<'de, D: Deserializer<'de>>(from: D) -> Result<Unshown, D::Error> {
    serde_json::Value::deserialize(from).map(Unshown)
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Secret, D::Error> {
    String::deserialize(from).map(Secret::new)
}
