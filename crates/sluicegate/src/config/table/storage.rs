//! State: sessions, counters, signals; and the caches before it.

use super::{COUNT, Key, Kind::*, PORT, Standing, acted, key, ours, pending};

pub(super) static KEYS: &[Key] = &[
    acted(
        "storage.type",
        Choice(&["", "embedded", "redis"]),
        "",
        "`redis`, or `embedded` (in memory, kept on disk, one node). Empty means `redis` when an address is given below, else `embedded`.",
    ),
    ours("storage.path", Text, "\".sluicegate\"", "Folder of the embedded state. It is created when absent."),
    acted("storage.host", Text, "\"localhost\"", "Redis host."),
    acted("storage.port", PORT, "6379", "Redis port."),
    acted("storage.addrs", Texts, "", "Redis addresses (`host:port`), for Cluster and Sentinel. Wins over `host` and `port`."),
    acted("storage.hosts", TextMap, "", "The older form of `addrs`: a map from host to port."),
    acted("storage.username", Text, "", "Redis user."),
    acted("storage.password", Secret, "", "Redis password. May be a reference."),
    acted("storage.database", COUNT, "", "Redis database number."),
    acted("storage.enable_cluster", Bool, "", "Redis Cluster."),
    acted("storage.master_name", Text, "", "Name of the primary; switches to Sentinel, with `addrs` naming the sentinels."),
    acted("storage.sentinel_password", Secret, "", "Password of the sentinels."),
    acted("storage.use_ssl", Bool, "", "TLS towards Redis."),
    acted("storage.ssl_insecure_skip_verify", Bool, "", "Do not verify the certificate of Redis."),
    acted("storage.timeout", Seconds, "5", "How long one call to Redis may take."),
    pending("storage.ca_file", Text, "", "PEM file with the CA of Redis."),
    pending("storage.cert_file", Text, "", "PEM file with the client certificate for Redis."),
    pending("storage.key_file", Text, "", "PEM file with the key of that certificate."),
    pending("storage.tls_min_version", Text, "\"1.2\"", "Lowest TLS version towards Redis."),
    pending("storage.tls_max_version", Text, "\"1.3\"", "Highest TLS version towards Redis."),
    key("storage.optimisation_max_idle", COUNT, "100", Standing::Idle, "One multiplexed connection needs no pool."),
    key("storage.optimisation_max_active", COUNT, "500", Standing::Idle, "One multiplexed connection needs no pool."),
    pending("storage.compress_api_definitions", Bool, "", "Compress stored definitions."),
    pending("storage.compress_policies", Bool, "", "Compress stored policies."),
    pending("storage.max_decompressed_size", COUNT, "104857600", "Largest stored value after decompression."),
    pending("storage.iam_auth", Tree, r#"{"provider": "gcp", "token_refresh_before_expiry": "5m"}"#, "Cloud identity towards Redis."),
    pending("enable_separate_cache_store", Bool, "", "Use `cache_storage` for cached answers."),
    pending("cache_storage", Tree, STORE_DEFAULTS, "A second Redis, for cached answers."),
    pending("enable_separate_analytics_store", Bool, "", "Use `analytics_storage` for records."),
    pending("analytics_storage", Tree, STORE_DEFAULTS, "A second Redis, for records."),
    acted(
        "local_session_cache.disable_cached_session_state",
        Bool,
        "",
        "Read the session from the store for every exchange instead of keeping it in memory for some seconds.",
    ),
    key("local_session_cache.cached_session_timeout", COUNT, "", Standing::Idle, "Obsolete."),
    key("local_session_cache.cached_session_eviction", COUNT, "", Standing::Idle, "Obsolete."),
    pending(
        "dns_cache",
        Tree,
        r#"{"ttl": 3600, "multiple_ips_handle_strategy": "no_cache"}"#,
        "Keep name look-ups in memory.",
    ),
    pending("service_discovery.default_cache_timeout", COUNT, "120", "How long discovered addresses are kept, in seconds."),
];

const STORE_DEFAULTS: &str = r#"{"type": "redis", "host": "localhost", "port": 6379, "timeout": 5, "optimisation_max_idle": 100, "optimisation_max_active": 500}"#;
