//! Connections to upstreams.

use super::{COUNT, Key, Kind::*, TLS_VERSION, acted, idle};

pub(super) static KEYS: &[Key] = &[
    acted(
        "proxy_default_timeout",
        Seconds,
        "30",
        "How long an upstream may take to connect and to send the head of its answer; 504 after it.",
    ),
    acted("proxy_ssl_insecure_skip_verify", Bool, "", "Do not verify the certificates of upstreams."),
    acted("proxy_close_connections", Bool, "", "Open a new connection for every request to an upstream."),
    acted(
        "max_idle_connections_per_host",
        COUNT,
        "",
        "Idle connections kept per upstream host. 0 leaves it to the gate.",
    ),
    acted("max_conn_time", Seconds, "", "How long one upstream connection may be reused. 0 sets no limit."),
    acted(
        "max_idle_connections",
        COUNT,
        "",
        "Idle connections kept for all upstream hosts together; one more is closed when its request is over. 0 sets no limit.",
    ),
    acted("proxy_enable_http2", Bool, "", "Offer HTTP/2 to TLS upstreams."),
    acted(
        "proxy_ssl_min_version",
        TLS_VERSION,
        "771",
        "Lowest TLS version towards upstreams: 771 is 1.2, 772 is 1.3.",
    ),
    acted("proxy_ssl_max_version", TLS_VERSION, "772", "Highest TLS version towards upstreams."),
    acted(
        "proxy_ssl_ciphers",
        Texts,
        "",
        "TLS cipher suites towards upstreams; without a list, all that are safe.",
    ),
    idle("proxy_ssl_disable_renegotiation", Bool, "There is no renegotiation."),
    acted(
        "ssl_force_common_name_check",
        Bool,
        "",
        "The common name of an upstream's certificate has to be its host, whatever else is checked.",
    ),
    acted("uptime_tests.disable", Bool, "", "Probe no upstream."),
    acted(
        "uptime_tests.config.failure_trigger_sample_size",
        COUNT,
        "3",
        "So many failures of a probe one after the other, and its host is down.",
    ),
    acted("uptime_tests.config.time_wait", Seconds, "10", "How often each probe runs."),
    acted(
        "uptime_tests.config.checker_pool_size",
        COUNT,
        "",
        "How many probes run at once. 0 leaves it to the gate.",
    ),
    acted(
        "uptime_tests.config.enable_uptime_analytics",
        Bool,
        "",
        "Write what probes find to Redis, where pumps read it (`analytics-tyk-uptime-analytics`).",
    ),
    acted(
        "uptime_tests.poller_group",
        Text,
        "",
        "Of the nodes of a group that share a Redis one probes, and tells the others. Name groups where nodes reach different hosts.",
    ),
    acted("jwt_ssl_insecure_skip_verify", Bool, "", "Do not verify the certificate of a key set's host."),
    acted(
        "jwks.cache.timeout",
        Seconds,
        "240",
        "How long fetched key sets are believed where a definition says nothing.",
    ),
];
