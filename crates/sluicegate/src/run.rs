//! Wiring: the configuration becomes a gate that runs until it is told to stop.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use apidef::keys::Algorithm;
use apidef::{PathMatching, UpstreamTls};
use gateway::listen::tls::{CertificateFiles, CertificateSet, ServerTlsSettings, server_tls};
use gateway::listen::{Listener, ServerTls};
use gateway::pass_through::PortSettings;
use gateway::{
    CacheSettings, CertificateSettings, Gate, GuessSettings, HeaderName, KeepAlive, KeepNames,
    KeySetSettings, KeySettings, LimitHeaders, LimitSettings, Limiter, OAuthSettings, Parts, PasswordHash,
    Settings, SeveralAddresses, UpstreamSettings, UptimeSettings, reload,
};
use state::{RedisSettings, RedisTls, Secret, State};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::acme;
use crate::catalog;
use crate::components;
use crate::config::{AddressStrategy, Config, DnsCache, RateLimitHeaders, Storage, StorageKind};
use crate::pid_file::PidFile;

/// How often what has ended is looked for: idle connections to upstreams, sessions and counters.
const SWEEP: Duration = Duration::from_secs(5);

/// Runs the gate until it is told to stop.
///
/// # Errors
///
/// Why it could not start, or why it ended, as one line.
pub(crate) fn run(config: Config) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start worker threads: {error}"))?;
    let outcome = runtime.block_on(serve(config));
    // What still runs (a look-up of a name, a write to a disk) does not hold the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn serve(config: Config) -> Result<(), String> {
    let mut signals = Signals::listen()?;
    let state = open_state(&config)?;
    let records = open_records(&config)?;
    let catalog = catalog::open(&config)?;
    let streams = streams(&config)?;
    let tls = tls(&config)?;
    let upstream = upstream(&config)?;
    let parts = Parts {
        settings: settings(&config)?,
        state: state.clone(),
        answers: open_answers(&config)?,
        catalog,
        acme: acme::open(&config, &upstream)?,
        stores: Arc::new(crate::stores::open(&config)?),
        upstream,
        streams,
        offered: tls.clone(),
        authenticators: gateway::Authenticators::default(),
        records,
    };
    let (gate, requests) = Gate::new(parts);
    tokio::spawn(gateway::events::run(&gate)?);
    let reloader = tokio::spawn(reload::run(Arc::clone(&gate), requests));
    let listeners = bind(&config, tls.filter(|_| config.http_server_options.use_ssl)).await?;
    let named = Some(config.pid_file_location.as_str()).filter(|path| !path.is_empty());
    let _pid_file = named.and_then(|path| PidFile::write(Path::new(path)));

    // Watching begins before the first load, so that no change falls between them.
    let follow_nodes = !config.suppress_redis_signal_reload;
    tokio::spawn(reload::follow(Arc::clone(&gate), gate.catalog.watch(), follow_nodes));
    if gate.reload().await.is_none() {
        return Err("the first load of definitions did not happen".to_owned());
    }
    tokio::spawn(sweep(Arc::clone(&gate)));
    tokio::spawn(gateway::uptime::run(Arc::clone(&gate)));
    tokio::spawn(gateway::stores::run(Arc::clone(&gate)));
    tokio::spawn(gateway::pass_through::run(Arc::clone(&gate)));
    tokio::spawn(reload_on_signal(Arc::clone(&gate), signals.reload));
    gateway::acme::offer_kept(&gate).await;
    tokio::spawn(gateway::acme::run(Arc::clone(&gate)));
    let mut serving = tokio::task::JoinSet::new();
    for listener in listeners {
        serving.spawn(listener.serve(Arc::clone(&gate)));
    }
    tracing::info!(apis = gate.snapshot().apis.len(), "ready");

    stopped(&mut signals.stop).await;
    shut_down(&gate, &mut serving).await;
    if reloader.await.is_err() {
        tracing::error!("the task that applies changes broke; streams may not have been drained");
    }
    state.flush().await.map_err(|error| format!("counters could not be saved: {error}"))
}

/// Announces the end, waits for exchanges to be over, and closes what is left.
async fn shut_down(gate: &Arc<Gate>, serving: &mut tokio::task::JoinSet<()>) {
    tracing::info!("shutting down");
    gate.announce_closing();
    tokio::time::sleep(gate.settings.drain_delay).await;
    gate.close();
    while serving.join_next().await.is_some() {}
    let drained = async {
        while gate.connections.count() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(gate.settings.drain, drained).await.is_err() {
        tracing::warn!(left = gate.connections.count(), "some connections did not end in time and are cut");
    }
}

/// The signals that the gate acts on. Listened to before anything else is done: until then they would end the process.
struct Signals {
    stop: [Signal; 3],
    reload: [Signal; 2],
}

impl Signals {
    fn listen() -> Result<Self, String> {
        let listen = |kind| signal(kind).map_err(|error| format!("cannot listen for signals: {error}"));
        Ok(Self {
            stop: [
                listen(SignalKind::terminate())?,
                listen(SignalKind::interrupt())?,
                listen(SignalKind::quit())?,
            ],
            reload: [listen(SignalKind::hangup())?, listen(SignalKind::user_defined2())?],
        })
    }
}

async fn stopped([terminate, interrupt, quit]: &mut [Signal; 3]) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = quit.recv() => {}
    }
}

async fn reload_on_signal(gate: Arc<Gate>, [mut hangup, mut user]: [Signal; 2]) {
    loop {
        tokio::select! {
            _ = hangup.recv() => {}
            _ = user.recv() => {}
        }
        tracing::info!("reload asked for by signal");
        gate.reload_soon();
    }
}

async fn sweep(gate: Arc<Gate>) {
    let mut ticks = tokio::time::interval(SWEEP);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                gate.pools.sweep();
                gate.upstream.names.sweep();
                gate.state.tidy();
            }
            () = gate.closed() => return,
        }
    }
}

/// What TLS clients are offered, where there is TLS.
fn tls(config: &Config) -> Result<Option<Arc<ServerTls>>, String> {
    let options = &config.http_server_options;
    let certificates = certificates(config);
    // In clear themselves, they are for APIs with ports of their own.
    if !options.use_ssl && certificates.is_empty() {
        return Ok(None);
    }
    let tls = server_tls(&ServerTlsSettings {
        certificates,
        http2: options.enable_http2,
        min_version: options.min_version,
        max_version: options.max_version,
        ciphers: options.ssl_ciphers.clone(),
    })
    .map_err(|error| error.to_string());
    let tls = match tls {
        Err(error) if !options.use_ssl => {
            tracing::warn!(%error, "the certificates of `http_server_options` cannot be used: no API can speak `https` on a port of its own");
            return Ok(None);
        }
        tls => tls?,
    };
    for warning in &tls.warnings {
        tracing::warn!("{warning}");
    }
    Ok(Some(Arc::new(tls)))
}

async fn bind(config: &Config, tls: Option<Arc<ServerTls>>) -> Result<Vec<Listener>, String> {
    let address = listen_address(config)?;
    let mut ports = vec![(config.listen_port, false)];
    if config.control_api_port != 0 && config.control_api_port != config.listen_port {
        ports.push((config.control_api_port, true));
    }
    let mut listeners = Vec::new();
    for (port, control) in ports {
        let listener = Listener::bind(SocketAddr::new(address, port), tls.clone(), control)
            .await
            .map_err(|error| format!("{error}; choose another `listen_port`"))?;
        let bound = listener.address().map_err(|error| error.to_string())?;
        tracing::info!(address = %bound, tls = tls.is_some(), control, "listening");
        listeners.push(listener);
    }
    if config.acme.http_port != 0 && !config.acme.domains.is_empty() {
        let listener = Listener::bind(SocketAddr::new(address, config.acme.http_port), None, false).await;
        let listener = listener.map_err(|error| format!("{error}; choose another `acme.http_port`"))?;
        listeners.push(listener.for_proofs());
    }
    Ok(listeners)
}

fn listen_address(config: &Config) -> Result<IpAddr, String> {
    Ok(match config.listen_address.as_str() {
        "" => Ipv4Addr::UNSPECIFIED.into(),
        "localhost" => Ipv4Addr::LOCALHOST.into(),
        text => text.parse().map_err(|_| format!("`listen_address`: `{text}` is no IP address"))?,
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

fn certificates(config: &Config) -> CertificateSet {
    let options = &config.http_server_options;
    let mut set =
        CertificateSet { may_be_empty: !config.acme.domains.is_empty(), ..CertificateSet::default() };
    for path in &options.ssl_certificates {
        set.defaults.push(CertificateFiles { certificate: path.into(), key: path.into() });
    }
    for entry in &options.certificates {
        let files = CertificateFiles {
            certificate: entry.cert_file.clone().into(),
            key: entry.key_file.clone().into(),
        };
        if entry.domain_name.is_empty() || entry.domain_name == "*" {
            set.defaults.push(files);
        } else {
            set.domains.push((entry.domain_name.clone(), files));
        }
    }
    set
}

fn version_header(name: &str) -> Result<Option<HeaderName>, String> {
    let name = (!name.is_empty()).then(|| HeaderName::try_from(name));
    name.transpose().map_err(|_| "`version_header` is no name of a header".to_owned())
}

fn settings(config: &Config) -> Result<Settings, String> {
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
        app_path: PathBuf::from(&config.app_path),
        service: None,
        ..Settings::default()
    };
    crate::errors::set(config, &mut settings)?;
    Ok(settings)
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
        limiter: if config.enable_fixed_window_rate_limiter {
            Limiter::FixedWindow
        } else if config.enable_sentinel_rate_limiter {
            Limiter::Sentinel
        } else if config.enable_redis_rolling_limiter {
            Limiter::Rolling
        } else {
            Limiter::PerNode
        },
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

/// What private keys are encrypted with in the store (contract 12).
fn encoding_secret(config: &Config) -> Secret {
    let own = &config.security.private_certificate_encoding_secret;
    if own.is_empty() { config.secret.clone() } else { own.clone() }
}

fn boxed(texts: &[String]) -> Vec<Box<str>> {
    texts.iter().map(|text| text.as_str().into()).collect()
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

/// A gate with this configuration that serves nothing and reads no definitions: it judges them as one that runs does.
///
/// # Errors
/// Why one could not start.
pub(crate) fn judge(config: &Config) -> Result<Arc<Gate>, String> {
    let parts = Parts {
        answers: None,
        settings: settings(config)?,
        state: State::embedded(None).map_err(|error| error.to_string())?,
        catalog: state::Catalog::files("", state::PolicySource::None),
        stores: Arc::new(crate::stores::open(config)?),
        upstream: upstream(config)?,
        streams: streams(config)?,
        offered: None,
        acme: None,
        authenticators: gateway::Authenticators::default(),
        records: None,
    };
    Ok(Gate::new(parts).0)
}

/// What streams are built with.
fn streams(config: &Config) -> Result<streams::Settings, String> {
    let mut streams = streams::Settings::new(components::registry());
    streams.lines = Arc::new(components::StandardOutput);
    streams.egress = Arc::new(egress(config)?);
    streams.environment = crate::mappings::environment(&config.streaming.mappings)?;
    let named = config.named_secrets.iter();
    let named = named.map(|(name, secret)| (name.clone(), secret.expose().to_owned()));
    streams.secrets = Arc::new(named.collect());
    if !config.streaming.environment.is_empty() {
        streams.variables = streams::Variables::Named(config.streaming.environment.clone());
    }
    Ok(streams)
}

fn egress(config: &Config) -> Result<streams::Egress, String> {
    let egress = &config.streaming.egress;
    let rules = |key: &str, texts: &[String]| {
        let read = texts.iter().map(|text| text.parse::<streams::EgressRule>());
        read.collect::<Result<_, _>>().map_err(|fault| format!("streaming.egress.{key}: {fault}"))
    };
    Ok(streams::Egress {
        allow: rules("allow", &egress.allow)?,
        deny: rules("deny", &egress.deny)?,
        deny_private: egress.deny_private,
    })
}

fn uptime(config: &Config) -> UptimeSettings {
    let (tests, usual) = (&config.uptime_tests, UptimeSettings::default());
    UptimeSettings {
        enabled: !tests.disable,
        failures: tests.config.failure_trigger_sample_size.max(1),
        every: if tests.config.time_wait.is_zero() { usual.every } else { tests.config.time_wait },
        at_once: if tests.config.checker_pool_size == 0 {
            usual.at_once
        } else {
            tests.config.checker_pool_size
        },
    }
}

fn upstream(config: &Config) -> Result<UpstreamSettings, String> {
    let keep = KeepAlive {
        most_idle: match config.max_idle_connections_per_host {
            0 => KeepAlive::default().most_idle,
            most => most,
        },
        oldest: match config.max_conn_time {
            _ if config.proxy_close_connections => Some(Duration::ZERO),
            Duration::ZERO => None,
            oldest => Some(oldest),
        },
    };
    let (timeout, http2) = (config.proxy_default_timeout, config.proxy_enable_http2);
    let websockets = config.http_server_options.enable_websockets;
    let mut warnings = Vec::new();
    let tls = UpstreamTls::of_gate(&upstream_tls(config), &mut warnings)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let settings =
        UpstreamSettings::new(timeout, keep, websockets, http2, tls).map_err(|error| error.to_string())?;
    Ok(match keep_names(&config.dns_cache) {
        Some(keep) => settings.keeping_names(keep),
        None => settings,
    })
}

fn keep_names(cache: &DnsCache) -> Option<KeepNames> {
    let several = match cache.multiple_ips_handle_strategy {
        AddressStrategy::NoCache => SeveralAddresses::Anew,
        AddressStrategy::PickFirst => SeveralAddresses::First,
        AddressStrategy::Random => SeveralAddresses::Random,
    };
    let ttl = match cache.ttl {
        // As where nothing is said.
        0 => Some(3600),
        seconds => u64::try_from(seconds).ok(),
    };
    cache.enabled.then_some(KeepNames { ttl: ttl.map(Duration::from_secs), several })
}

/// TLS to upstreams as a definition would have it, whose rules are the same.
fn upstream_tls(config: &Config) -> serde_json::Value {
    serde_json::json!({
        "upstream_certificates": config.security.certificates.upstream,
        "pinned_public_keys": config.security.pinned_public_keys,
        "proxy": {"transport": {
            "ssl_insecure_skip_verify": config.proxy_ssl_insecure_skip_verify,
            "ssl_min_version": config.proxy_ssl_min_version,
            "ssl_max_version": config.proxy_ssl_max_version,
            "ssl_ciphers": config.proxy_ssl_ciphers,
            "ssl_force_common_name_check": config.ssl_force_common_name_check,
        }},
    })
}

fn open_state(config: &Config) -> Result<State, String> {
    let storage = &config.storage;
    match storage.kind {
        StorageKind::Embedded => {
            let folder = (!storage.path.is_empty()).then(|| PathBuf::from(&storage.path));
            State::embedded(folder).map_err(|error| error.to_string())
        }
        StorageKind::Redis => redis(storage, config),
    }
}

/// A second store for kept answers, where there is one.
fn open_answers(config: &Config) -> Result<Option<State>, String> {
    config.enable_separate_cache_store.then(|| redis(&config.cache_storage, config)).transpose()
}

fn redis(storage: &Storage, config: &Config) -> Result<State, String> {
    let file = |path: &str| (!path.is_empty()).then(|| PathBuf::from(path));
    let tls = storage.use_ssl.then(|| RedisTls {
        insecure_skip_verify: storage.ssl_insecure_skip_verify,
        ca_file: file(&storage.ca_file),
        cert_file: file(&storage.cert_file),
        key_file: file(&storage.key_file),
    });
    State::redis(RedisSettings {
        hosts: storage.addresses(),
        username: storage.username.clone(),
        password: storage.password.clone(),
        database: storage.database,
        master_name: (!storage.master_name.is_empty()).then(|| storage.master_name.clone()),
        sentinel_password: storage.sentinel_password.clone(),
        cluster: storage.enable_cluster,
        tls,
        timeout: storage.timeout,
        signal_secret: config.node_secret.clone(),
        unsigned_signals: config.allow_insecure_configs,
    })
    .map_err(|error| error.to_string())
}

fn open_records(config: &Config) -> Result<Option<(analytics::Store, analytics::Recorder)>, String> {
    if !config.enable_analytics {
        return Ok(None);
    }
    let folder = Some(Path::new(&config.storage.path)).filter(|path| !path.as_os_str().is_empty());
    let settings = analytics::Settings {
        queue: config.analytics_config.records_buffer_size,
        ..analytics::Settings::default()
    };
    analytics::Store::open(folder, settings).map(Some).map_err(|error| error.to_string())
}
