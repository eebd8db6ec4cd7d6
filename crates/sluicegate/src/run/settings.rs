//! What the gate is told of the configuration.

use std::path::PathBuf;
use std::time::Duration;

use apidef::keys::Algorithm;
use apidef::{PathMatching, StatedKinds};
use gateway::pass_through::PortSettings;
use gateway::{
    CacheSettings, CertificateSettings, GuessSettings, HeaderName, KeySetSettings, KeySettings, LimitHeaders,
    LimitSettings, Limiter, OAuthSettings, PasswordHash, Settings, UptimeSettings,
};
use serde_json::Value;
use state::Secret;

use super::{certificates, listen_address};
use crate::config::{Config, RateLimitHeaders};

pub(super) fn of(config: &Config) -> Result<Settings, String> {
    let options = &config.http_server_options;
    let named = |text: &str| (!text.is_empty()).then(|| text.into());
    if config.secret.expose().is_empty() {
        tracing::warn!("no `secret` is set: the admin API is closed; set one to open it");
    }
    let mut settings = Settings {
        secret: (!config.secret.expose().is_empty()).then(|| config.secret.clone()),
        hostname: named(&config.hostname.to_ascii_lowercase()),
        control_hostname: named(&config.control_api_hostname).or_else(|| named(&config.hostname)),
        inspected: config.inspected.as_slice().into(),
        control_apart: config.control_api_port != 0 && config.control_api_port != config.listen_port,
        health_name: config.health_check_endpoint_name.as_str().into(),
        ready_name: config.readiness_check_endpoint_name.as_str().into(),
        health_window: config
            .health_check
            .enable_health_checks
            .then_some(config.health_check.health_check_value_timeouts.max(1)),
        generator_header: !config.hide_generator_header,
        version_header: version_header(&config.version_header)?,
        close_connections: config.close_connections,
        read_timeout: options.read_timeout,
        write_timeout: options.write_timeout,
        max_request_body: options.max_request_body_size,
        max_response_body: options.max_response_body_size,
        strict_routes: options.enable_strict_routes,
        skip_url_cleaning: options.skip_url_cleaning,
        custom_domains: config.enable_custom_domains,
        forwarded_depth: options.xff_depth,
        path_matching: PathMatching {
            prefix: options.enable_path_prefix_matching,
            suffix: options.enable_path_suffix_matching,
            ignore_case: config.ignore_endpoint_case,
        },
        keys: keys(config)?,
        orgs_of_apis_only: config.suppress_default_org_store,
        certificates: CertificateSettings {
            passphrase: encoding_secret(config),
            of_all_apis: boxed(&config.security.certificates.apis),
            of_control: boxed(&config.security.certificates.control_api),
            token_alone_is_enough: config.security.allow_unsafe_dynamic_mtls_token,
            control_needs_one: config.security.control_api_use_mutual_tls,
        },
        key_sets: KeySetSettings {
            keep: match config.jwks.cache.timeout {
                Duration::ZERO => KeySetSettings::default().keep,
                keep => keep,
            },
            insecure: config.jwt_ssl_insecure_skip_verify,
        },
        ports: ports(config)?,
        uptime: uptime(config),
        cache: CacheSettings {
            memory: config.cache.memory,
            longest: usize::try_from(config.cache.largest_answer).unwrap_or(usize::MAX),
        },
        discovered_for: match config.service_discovery.default_cache_timeout {
            Duration::ZERO => Settings::default().discovered_for,
            time => time,
        },
        oauth: oauth(config)?,
        limit_headers: match config.rate_limit_response_headers {
            RateLimitHeaders::Quotas => LimitHeaders::Quotas,
            RateLimitHeaders::RateLimits => LimitHeaders::RateLimits,
        },
        limits: limits(config),
        plugins: crate::plugin::settings(config)?,
        events: crate::events::settings(config)?,
        streaming: config.streaming.enabled,
        allow_unsafe: config.streaming.allow_unsafe.clone(),
        access_log: config.access_logs.enabled,
        analytics: config.enable_analytics,
        record_whole: config.analytics_config.enable_detailed_recording,
        recorded_at_most: config.analytics_config.detailed_recording_size,
        drain: config.graceful_shutdown_timeout_duration,
        drain_delay: config.graceful_shutdown_delay_seconds,
        checked_values: StatedKinds {
            examples: config.oas_config.validate_examples,
            defaults: config.oas_config.validate_schema_defaults,
        },
        app_path: PathBuf::from(&config.app_path),
        service: None,
        ..Settings::default()
    };
    crate::errors::set(config, &mut settings)?;
    providers(&config.auth_override)?;
    Ok(settings)
}

/// Keys and sessions are kept in the store that `storage` names: others cannot be forced on APIs.
fn providers(forced: &Value) -> Result<(), String> {
    for (switch, provider) in
        [("force_auth_provider", "auth_provider"), ("force_session_provider", "session_provider")]
    {
        if forced.get(switch) != Some(&Value::Bool(true)) {
            continue;
        }
        let engine = forced.get(provider).and_then(|provider| provider.get("storage_engine"));
        let engine = engine.and_then(Value::as_str).unwrap_or_default();
        if !matches!(engine, "" | "redis") {
            return Err(format!(
                "`auth_override.{provider}.storage_engine`: keys are not kept in `{engine}`; use `redis`, which is the \
                 store that `storage` names, or set `{switch}` to false"
            ));
        }
    }
    Ok(())
}

fn oauth(config: &Config) -> Result<OAuthSettings, String> {
    let default = OAuthSettings::default();
    let or = |given: Duration, default: Duration| if given.is_zero() { default } else { given };
    let retain = config.oauth_token_expired_retain_period;
    let status = config.oauth_error_status_code;
    Ok(OAuthSettings {
        access: or(config.oauth_token_expire, default.access),
        refresh: or(config.oauth_refresh_token_expire, default.refresh),
        retain: (!retain.is_zero()).then_some(retain),
        separator: config.oauth_redirect_uri_separator.as_str().into(),
        error_status: match status {
            0 => default.error_status,
            400..=599 => status,
            _ => return Err(format!("oauth_error_status_code: {status} is no error; use 400, 401 or 403")),
        },
        guesses: GuessSettings {
            by_address: config.limits.oauth_guesses_by_address,
            by_client: config.limits.oauth_guesses_by_client,
        },
    })
}

fn limits(config: &Config) -> LimitSettings {
    LimitSettings {
        limiter: limiter([
            config.enable_fixed_window_rate_limiter,
            config.enable_sentinel_rate_limiter,
            config.enable_redis_rolling_limiter,
        ]),
        sentinel_for_few: config.drl_enable_sentinel_rate_limiter,
        threshold: config.drl_threshold.max(0.0),
        announce_every: config.drl_notification_frequency,
        takes_part: !config.management_node,
        smoothing: config.enable_rate_limit_smoothing,
        counts_refused: config.limits.count_refused,
        organisations: config.enforce_org_quotas,
        organisation_age: config.enforce_org_data_age,
        organisation_detail: config.enforce_org_data_detail_logging,
        standard_headers: config.limits.standard_headers,
    }
}

/// The limiter that is asked for: of several, fixed windows come first, and the sentinel before the rolling one.
fn limiter(asked: [bool; 3]) -> Limiter {
    match asked {
        [true, ..] => Limiter::FixedWindow,
        [_, true, _] => Limiter::Sentinel,
        [.., true] => Limiter::Rolling,
        _ => Limiter::PerNode,
    }
}

fn keys(config: &Config) -> Result<KeySettings, String> {
    let algorithm = |name: &str| {
        name.parse::<Algorithm>().map_err(|_| {
            format!(
                "`{name}` is no key hash function: use murmur32, murmur64, murmur128, sha256 or hmac-sha256"
            )
        })
    };
    let needs_secret = std::iter::once(&config.hash_key_function)
        .chain(&config.hash_key_function_fallback)
        .any(|name| name == Algorithm::HmacSha256.as_str());
    if config.hash_keys && needs_secret && config.hash_key_secret.is_empty() {
        return Err(
            "`hmac-sha256` hashes keys under a secret: set `hash_key_secret`, `node_secret` or `secret`"
                .into(),
        );
    }
    let weak = matches!(&*config.hash_key_function, "" | "murmur32" | "murmur64" | "murmur128");
    if config.hash_keys && weak {
        tracing::warn!(
            "whoever sees the hash of a key, in a record or in the store, can make a key that has it: set `hash_key_function` to `hmac-sha256`, and `hash_key_function_fallback` to what it was, so that keys that exist stay good"
        );
    }
    let lifetime = u64::try_from(config.global_session_lifetime).ok().filter(|seconds| *seconds > 0);
    Ok(KeySettings {
        hashed: config.hash_keys,
        algorithm: match config.hash_key_function.as_str() {
            "" => None,
            name => Some(algorithm(name)?),
        },
        hash_secret: config.hash_key_secret.clone(),
        fallbacks: config
            .hash_key_function_fallback
            .iter()
            .map(|name| algorithm(name))
            .collect::<Result<_, _>>()?,
        passwords: match config.basic_auth_hash_key_function.as_str() {
            "" | "bcrypt" => PasswordHash::Bcrypt,
            name => PasswordHash::Keys(algorithm(name)?),
        },
        min_length: config.min_token_length,
        whole_only: config.disable_key_actions_by_username,
        allow_master: config.allow_master_keys,
        list_hashed: config.enable_hashed_keys_listing,
        cache_for: if config.local_session_cache.disable_cached_session_state {
            Duration::ZERO
        } else {
            Duration::from_secs(10)
        },
        lifetime_respects_expiry: config.session_lifetime_respects_key_expiration,
        forced_lifetime: config.force_global_session_lifetime.then(|| lifetime.map(Duration::from_secs)),
    })
}

/// Which ports definitions may ask for.
fn ports(config: &Config) -> Result<PortSettings, String> {
    let mut allowed = Vec::new();
    for (protocol, listed) in config.ports_whitelist.as_object().into_iter().flatten() {
        let wrong = || format!("`ports_whitelist.{protocol}`: ports are numbers from 1 to 65535");
        let port = |value: Option<&serde_json::Value>| {
            let number = value.and_then(serde_json::Value::as_u64);
            number.and_then(|number| u16::try_from(number).ok()).filter(|port| *port > 0).ok_or_else(wrong)
        };
        let list = |key: &str| listed.get(key).and_then(serde_json::Value::as_array).into_iter().flatten();
        for one in list("ports") {
            let one = port(Some(one))?;
            allowed.push((protocol.to_ascii_lowercase().into(), one..=one));
        }
        for range in list("ranges") {
            let (from, to) = (port(range.get("from"))?, port(range.get("to"))?);
            allowed.push((protocol.to_ascii_lowercase().into(), from..=to));
        }
    }
    let own = [config.listen_port, config.control_api_port, config.acme.http_port];
    let own = own.into_iter().filter(|port| *port > 0).collect();
    Ok(PortSettings {
        address: listen_address(config)?,
        own,
        main: config.listen_port,
        main_tls: config.http_server_options.use_ssl,
        certificates: config.http_server_options.use_ssl || !certificates(config).is_empty(),
        any: config.disable_ports_whitelist,
        allowed,
    })
}

fn uptime(config: &Config) -> UptimeSettings {
    let (tests, usual) = (&config.uptime_tests, UptimeSettings::default());
    UptimeSettings {
        enabled: !tests.disable,
        group: tests.poller_group.as_str().into(),
        failures: tests.config.failure_trigger_sample_size.max(1),
        every: if tests.config.time_wait.is_zero() { usual.every } else { tests.config.time_wait },
        at_once: if tests.config.checker_pool_size == 0 {
            usual.at_once
        } else {
            tests.config.checker_pool_size
        },
        recorded: tests.config.enable_uptime_analytics,
        record_life: match config.analytics_config.storage_expiration_time {
            Duration::ZERO => usual.record_life,
            life => life,
        },
    }
}

fn version_header(name: &str) -> Result<Option<HeaderName>, String> {
    let name = (!name.is_empty()).then(|| HeaderName::try_from(name));
    name.transpose().map_err(|_| "`version_header` is no name of a header".to_owned())
}

/// What private keys are encrypted with in the store (contract 12).
fn encoding_secret(config: &Config) -> Secret {
    let own = &config.security.private_certificate_encoding_secret;
    if own.is_empty() { config.secret.clone() } else { own.clone() }
}

fn boxed(texts: &[String]) -> Vec<Box<str>> {
    texts.iter().map(|text| text.as_str().into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c1_3_providers_that_are_not_there_cannot_be_forced_on_apis() {
        use serde_json::json;
        for (forced, told) in [
            (json!(null), None),
            (
                json!({"force_auth_provider": true, "auth_provider": {"name": "d", "storage_engine": "redis"}}),
                None,
            ),
            (json!({"force_session_provider": true}), None),
            (json!({"force_auth_provider": false, "auth_provider": {"storage_engine": "ldap"}}), None),
            (
                json!({"force_auth_provider": true, "auth_provider": {"storage_engine": "ldap"}}),
                Some("`auth_override.auth_provider.storage_engine`: keys are not kept in `ldap`"),
            ),
            (
                json!({"force_session_provider": true, "session_provider": {"storage_engine": "rpc"}}),
                Some("`auth_override.session_provider.storage_engine`: keys are not kept in `rpc`"),
            ),
        ] {
            match (providers(&forced), told) {
                (Ok(()), None) => {}
                (Err(error), Some(told)) => assert!(error.starts_with(told), "{error}"),
                (read, told) => panic!("{forced}: {read:?}, not {told:?}"),
            }
        }
    }

    #[test]
    fn contract_6_5_one_limiter_counts_and_without_a_choice_each_node_for_itself() {
        // Fixed window, sentinel, rolling.
        for (asked, expected) in [
            ([false, false, false], Limiter::PerNode),
            ([true, false, false], Limiter::FixedWindow),
            ([false, true, false], Limiter::Sentinel),
            ([false, false, true], Limiter::Rolling),
            ([true, true, true], Limiter::FixedWindow),
            ([false, true, true], Limiter::Sentinel),
        ] {
            assert_eq!(limiter(asked), expected, "{asked:?}");
        }
    }
}
