//! Where definitions and policies come from.

use super::{COUNT, Key, Kind::*, Standing, acted, idle, key, ours, pending};

pub(super) static KEYS: &[Key] = &[
    acted(
        "app_path",
        Text,
        "\"/opt/tyk-gateway/apps/\"",
        "Folder of the API definitions (`*.json`); watched for changes. Not read when `catalog.url` is set.",
    ),
    ours(
        "catalog.url",
        Secret,
        "",
        "Where definitions, policies, certificates and OAuth clients are, instead of in files: `postgresql://USER:PASSWORD@HOST/DATABASE`, `sqlite:FILE`, `mongodb://HOST/DATABASE`, or a folder with `apps`, `policies`, `certificates` and `clients` in it. See [catalog.md](catalog.md). May be a reference.",
    ),
    ours(
        "catalog.name",
        Text,
        "\"sluicegate_catalog\"",
        "The table or collection of the catalog: several catalogs can be in one database.",
    ),
    ours(
        "catalog.poll_interval",
        Seconds,
        "0.5",
        "How often the database is asked whether something changed. PostgreSQL calls changes out as well.",
    ),
    ours("catalog.timeout", Seconds, "5", "How long one call to the database may take."),
    acted(
        "policies.policy_source",
        Choice(&["", "file", "service", "rpc"]),
        "",
        "Where policies come from. Empty and `file` read files, unless `catalog.url` is set: then they come from there. `service` and `rpc` name servers that are not read from.",
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
    pending(
        "policies.policy_connection_string",
        Secret,
        "",
        "Address of a policy service. Policies come with the catalog.",
    ),
    idle("policies.allow_explicit_policy_id", Bool, "The `id` of a policy is kept in any case."),
    idle(
        "allow_unsafe_policy_ids",
        Bool,
        "The id of a policy may be the name of its file: other characters than `A-Z a-z 0-9 . _ ~ -` are never taken.",
    ),
    acted("middleware_path", Text, "\"middleware\"", "Folder of the files of plugins."),
    acted(
        "template_path",
        Text,
        "\"templates\"",
        "Folder of templates: of errors, `error.json`, `error_404.xml` and their like, and those that `error_overrides` names (see [errors.md](errors.md)); a `default_webhook.json` there is what webhooks without a template of their own are made from. Read at the start. What is not there is built in.",
    ),
    acted("tyk_js_path", Text, "", "A file of JavaScript that is loaded before the scripts of every API."),
    acted(
        "use_db_app_configs",
        Bool,
        "",
        "Take definitions from `db_app_conf_options.connection_string`, when `catalog.url` is empty.",
    ),
    acted(
        "db_app_conf_options.connection_string",
        Secret,
        "",
        "The same as `catalog.url`. A dashboard (`http://...`) is not read from: copy its definitions into a catalog.",
    ),
    key(
        "db_app_conf_options.connection_timeout",
        COUNT,
        "30",
        Standing::Idle,
        "`catalog.timeout` says how long one call may take.",
    ),
    acted(
        "db_app_conf_options.node_is_segmented",
        Bool,
        "",
        "Load only the APIs of a catalog that have one of the tags below.",
    ),
    acted("db_app_conf_options.tags", Texts, "", "Tags of the APIs that this node loads."),
    idle("disable_dashboard_zeroconf", Bool, "No dashboard is looked for."),
    idle("resource_sync.retry_attempts", COUNT, "A catalog that is away is asked until it is back."),
    idle("resource_sync.interval", COUNT, "The time between tries doubles from 0.1 s to 5 s."),
    pending(
        "slave_options",
        Tree,
        r#"{"group_id": "ungrouped", "call_timeout": 30, "ping_timeout": 60, "rpc_pool_size": 5, "key_space_sync_interval": 10, "rpc_cert_cache_expiration": 3600, "rpc_global_cache_expiration": 30, "rpc_cert_fetch_max_elapsed_time": 30, "rpc_cert_fetch_initial_interval": 0.1, "rpc_cert_fetch_max_interval": 2, "rpc_cert_fetch_retry_enabled": true, "rpc_cert_fetch_max_retries": 3, "dns_monitor": {"check_interval": 30}}"#,
        "A node below a central control plane.",
    ),
    acted(
        "auth_override",
        Tree,
        "",
        "Where keys and sessions of all APIs are kept: with `force_auth_provider` or `force_session_provider` the provider of that name counts. Only `redis` is there, which is the store that `storage` names; another engine is refused at the start.",
    ),
    pending("external_services", Tree, "", "Proxies and certificates for outgoing connections."),
];
