//! Where definitions and policies come from.

use super::{COUNT, Key, Kind::*, acted, pending};

pub(super) static KEYS: &[Key] = &[
    acted(
        "app_path",
        Text,
        "\"/opt/tyk-gateway/apps/\"",
        "Folder of the API definitions (`*.json`); watched for changes.",
    ),
    acted(
        "policies.policy_source",
        Choice(&["", "file", "service", "rpc"]),
        "",
        "Where policies come from. Empty and `file` read files; the others are not supported yet.",
    ),
    acted(
        "policies.policy_path",
        Text,
        "",
        "Folder with one policy a file. The admin API can change policies only when this is set.",
    ),
    acted(
        "policies.policy_record_name",
        Text,
        "",
        "One JSON file with a map of policies. Used when `policies.policy_path` is empty.",
    ),
    pending("policies.policy_connection_string", Secret, "", "Address of a policy service."),
    pending("policies.allow_explicit_policy_id", Bool, "", "Keep the `id` of a policy."),
    pending("allow_unsafe_policy_ids", Bool, "", "Accept policy ids with any characters."),
    pending("middleware_path", Text, "\"middleware\"", "Folder of plugins."),
    pending("template_path", Text, "\"templates\"", "Folder of error and webhook templates."),
    pending("tyk_js_path", Text, "", "JavaScript loaded before every plugin."),
    pending("use_db_app_configs", Bool, "", "Take definitions from a dashboard."),
    pending("db_app_conf_options", Tree, r#"{"connection_timeout": 30}"#, "How to reach that dashboard."),
    pending("disable_dashboard_zeroconf", Bool, "", "Do not look for a dashboard by itself."),
    pending("resource_sync.retry_attempts", COUNT, "", "How often to try again to fetch definitions."),
    pending("resource_sync.interval", COUNT, "", "Time between those tries, in seconds."),
    pending(
        "slave_options",
        Tree,
        r#"{"group_id": "ungrouped", "call_timeout": 30, "ping_timeout": 60, "rpc_pool_size": 5, "key_space_sync_interval": 10, "rpc_cert_cache_expiration": 3600, "rpc_global_cache_expiration": 30, "rpc_cert_fetch_max_elapsed_time": 30, "rpc_cert_fetch_initial_interval": 0.1, "rpc_cert_fetch_max_interval": 2, "rpc_cert_fetch_retry_enabled": true, "rpc_cert_fetch_max_retries": 3, "dns_monitor": {"check_interval": 30}}"#,
        "A node below a central control plane.",
    ),
    pending("auth_override", Tree, "", "Providers of keys and sessions for all APIs."),
    pending("external_services", Tree, "", "Proxies and certificates for outgoing connections."),
];
