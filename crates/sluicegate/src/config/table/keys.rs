//! Keys, limits and sessions.

use super::{COUNT, Key, Kind, Kind::*, acted, idle, ours};

const ALGORITHMS: &[&str] = &["", "murmur32", "murmur64", "murmur128", "sha256", "hmac-sha256"];
const GUESSES: Kind = Kind::Integer { min: 0, max: u32::MAX as i64 };
const SIGNED: Kind = Kind::Integer { min: i64::MIN, max: i64::MAX };

pub(super) static KEYS: &[Key] = &[
    acted(
        "hash_keys",
        Bool,
        "",
        "Store hashes of keys, never the keys. A YAML file that says nothing of `hash_keys` and `hash_key_function` means `true`.",
    ),
    acted(
        "hash_key_function",
        Choice(ALGORITHMS),
        "",
        "How keys are hashed. Empty means `murmur32` and the older format of key texts. `hmac-sha256` is keyed with a secret, so that a copy of the store does not let anybody try out keys; a YAML file that says nothing of `hash_keys` and `hash_key_function` means it.",
    ),
    ours(
        "hash_key_secret",
        Secret,
        "",
        "What `hmac-sha256` is keyed with. Empty means: the value of `node_secret`. With another one, keys that were hashed with it are unknown.",
    ),
    acted(
        "hash_key_function_fallback",
        Choices(ALGORITHMS),
        "",
        "Older algorithms that are tried when a key is looked up.",
    ),
    acted(
        "enable_hashed_keys_listing",
        Bool,
        "",
        "`GET /tyk/keys` lists hashes when keys are hashed. A YAML file that says nothing of how keys are hashed means `true`.",
    ),
    acted("min_token_length", COUNT, "3", "Shorter tokens are refused without a look-up."),
    acted("allow_master_keys", Bool, "", "Accept keys without access rights: they open every API."),
    acted(
        "force_global_session_lifetime",
        Bool,
        "",
        "`global_session_lifetime` replaces every other lifetime.",
    ),
    acted("global_session_lifetime", SIGNED, "", "How long a stored key lives, in seconds."),
    acted(
        "session_lifetime_respects_key_expiration",
        Bool,
        "",
        "A key that expires later than its lifetime is kept until it expires.",
    ),
    acted(
        "enable_redis_rolling_limiter",
        Bool,
        "",
        "Count the rate limit in Redis, exactly and across nodes, instead of per node.",
    ),
    acted(
        "rate_limit_response_headers",
        Choice(&["quotas", "rate_limits"]),
        "\"quotas\"",
        "What the `X-RateLimit-*` headers tell: the quota or the rate limit.",
    ),
    acted(
        "basic_auth_hash_key_function",
        Choice(&["", "bcrypt", "sha256", "murmur32", "murmur64", "murmur128"]),
        "\"bcrypt\"",
        "How passwords of new users of basic authentication are stored. Only `bcrypt` is made for passwords.",
    ),
    acted(
        "disable_key_actions_by_username",
        Bool,
        "",
        "Keys are found by the whole key or its hash alone, and not by the id or the user's name that they were made for: when they are shown, and in admin calls.",
    ),
    idle("enable_key_logging", Bool, "Keys are never written to the log."),
    acted(
        "enforce_org_data_age",
        Bool,
        "",
        "Where an API does not say how long its records are kept, `data_expires` of its organisation's session does.",
    ),
    acted(
        "enforce_org_data_detail_logging",
        Bool,
        "",
        "The session of an organisation may ask that requests and answers are recorded whole.",
    ),
    acted(
        "enforce_org_quotas",
        Bool,
        "",
        "Organisations have limits of their own: rate, quota and being inactive, as their session says (`orgkey.<org>`).",
    ),
    idle("experimental_process_org_off_thread", Bool, "Nothing waits here."),
    acted(
        "suppress_default_org_store",
        Bool,
        "",
        "The admin API knows the organisations alone that an API of this gate belongs to; sessions of others are refused with 404.",
    ),
    idle("legacy_enable_allowance_countdown", Bool, "Obsolete."),
    acted(
        "enable_fixed_window_rate_limiter",
        Bool,
        "",
        "Count the rate limit in Redis in windows that begin with their first request. Comes before the other limiters.",
    ),
    acted(
        "enable_sentinel_rate_limiter",
        Bool,
        "",
        "Count the rate limit in Redis while requests pass, and refuse once it says so: no request waits, bursts may go over.",
    ),
    acted(
        "drl_enable_sentinel_rate_limiter",
        Bool,
        "",
        "Limits that are too small to be shared out among nodes count as with `enable_sentinel_rate_limiter`, not in rolling windows.",
    ),
    acted(
        "enable_rate_limit_smoothing",
        Bool,
        "",
        "Allowances of rolling windows move in steps between a threshold and the limit, where keys or policies say how (`smoothing`).",
    ),
    idle("enable_non_transactional_rate_limiter", Bool, "One script counts everything, in any case."),
    acted(
        "drl_threshold",
        Number,
        "5",
        "Limits with fewer requests a second for each node are counted in Redis instead of being shared out among the nodes.",
    ),
    acted(
        "drl_notification_frequency",
        Seconds,
        "2",
        "Time between two announcements of a node's load to the others.",
    ),
    ours(
        "limits.count_refused",
        Bool,
        "",
        "Rolling windows count refused requests, too: a client that does not slow down stays refused. The limiters of older gateways do so.",
    ),
    ours(
        "limits.standard_headers",
        Bool,
        "",
        "Send the fields `RateLimit` and `RateLimit-Policy` of the IETF, and `Retry-After` with refused rates.",
    ),
    ours(
        "limits.oauth_guesses_by_address",
        GUESSES,
        "120",
        "How many wrong secrets, passwords, codes and tokens one address may bring to the OAuth 2.0 endpoints in a minute, on each node; more are answered 429. 0: any number.",
    ),
    ours(
        "limits.oauth_guesses_by_client",
        GUESSES,
        "120",
        "The same for wrong secrets and passwords of one client, from wherever; addresses that have had a token within the hour are let through. 0: any number.",
    ),
    acted(
        "monitor.enable_trigger_monitors",
        Bool,
        "",
        "Send the webhook of `monitor.configuration` when a threshold of a quota is reached.",
    ),
    acted(
        "monitor.configuration",
        Tree,
        "",
        "That webhook: `target_path`, `method`, `template_path`, `header_map`, `event_timeout`, `signing_secret`; see [events](events.md).",
    ),
    acted(
        "monitor.global_trigger_limit",
        Number,
        "",
        "Percent of any quota at which it is sent. 0: only the thresholds of keys and organisations count.",
    ),
    acted("monitor.monitor_user_keys", Bool, "", "Watch the quotas of keys."),
    acted("monitor.monitor_org_keys", Bool, "", "Watch the quotas of organisations."),
    acted(
        "oauth_refresh_token_expire",
        COUNT,
        "1209600",
        "Lifetime of refresh tokens, in seconds; 0: the default.",
    ),
    acted(
        "oauth_token_expire",
        COUNT,
        "3600",
        "Lifetime of access tokens of the OAuth 2.0 server, in seconds; 0: the default.",
    ),
    acted(
        "oauth_token_expired_retain_period",
        COUNT,
        "",
        "How long tokens that have ended stay listed at their client, in seconds; 0: until `DELETE /tyk/oauth/tokens`.",
    ),
    acted(
        "oauth_redirect_uri_separator",
        Text,
        "",
        "Separates several redirect URIs of a client; empty: a client has one.",
    ),
    acted(
        "oauth_error_status_code",
        Kind::Integer { min: 0, max: 599 },
        "403",
        "Status of a refused token request.",
    ),
];
