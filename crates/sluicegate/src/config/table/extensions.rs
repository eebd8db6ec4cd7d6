//! Streams, plugins, key-value stores, certificates.

use super::{COUNT, Key, Kind::*, Standing, acted, idle, key, pending};

pub(super) static KEYS: &[Key] = &[
    acted(
        "streaming.enabled",
        Bool,
        "true",
        "Run the streams of event APIs. `false` refuses definitions that hold streams.",
    ),
    acted(
        "streaming.allow_unsafe",
        Texts,
        "",
        "Stream components that reach the machine itself (files, sockets, commands) are refused unless named here.",
    ),
    acted(
        "streaming.egress.allow",
        Texts,
        "",
        "Where HTTP and WebSocket clients of streams may connect to: hosts, `*.domain`, addresses, ranges such as `10.0.0.0/8`, or `*`, each with `:port` for one port. When empty: everywhere that is not denied. Checked at connect time with the resolved address, redirects too.",
    ),
    acted(
        "streaming.egress.deny",
        Texts,
        "",
        "Where they may not connect to, in the same form; stronger than `allow`.",
    ),
    acted(
        "streaming.egress.deny_private",
        Bool,
        "",
        "Refuse addresses that are not public (loopback, private, link-local and the like), unless `allow` names the address or its range; a name in `allow` is not enough.",
    ),
    acted("secrets", SecretMap, "", "Named secrets, for references of the form `secrets://name`."),
    pending("enable_jsvm", Bool, "", "JavaScript plugins."),
    pending("jsvm_timeout", COUNT, "5", "How long one may run, in seconds."),
    pending("disable_virtual_path_blobs", Bool, "", "No JavaScript inside definitions."),
    pending("enable_bundle_downloader", Bool, "", "Fetch plugin bundles."),
    pending("bundle_base_url", Text, "", "Where they are fetched from."),
    pending("bundle_insecure_skip_verify", Bool, "", "Do not verify that host's certificate."),
    pending("skip_verify_existing_plugin_bundle", Bool, "", "Do not verify bundles that are there already."),
    pending("coprocess_options", Tree, r#"{"grpc_authority": "localhost"}"#, "Plugins in other processes."),
    pending("kv", Tree, r#"{"vault": {"kv_version": 2}}"#, "Stores for references: Consul, Vault, files."),
    pending("security.private_certificate_encoding_secret", Secret, "", "Encrypts stored private keys."),
    key(
        "security.control_api_use_mutual_tls",
        Bool,
        "",
        Standing::Refused,
        "Client certificates for the admin API. Not supported yet, and refused so that the admin API is not left open.",
    ),
    pending("security.pinned_public_keys", Tree, "", "Public keys that upstreams must have."),
    pending("security.certificates", Tree, "", "Certificates by use."),
    pending(
        "security.allow_unsafe_dynamic_mtls_token",
        Bool,
        "",
        "Tokens bound to a certificate without the certificate.",
    ),
    pending(
        "security.certificate_expiry_monitor",
        Tree,
        r#"{"warning_threshold_days": 30, "check_cooldown_seconds": 3600, "event_cooldown_seconds": 86400}"#,
        "Warnings before certificates expire.",
    ),
    pending("override_messages", Tree, "", "Other texts for refusals."),
    pending("error_overrides", Tree, "", "Other answers for errors."),
    pending("oas_config", Tree, "", "How strictly OAS definitions are checked."),
    idle("cloud", Tree, "Hosted installations of the original."),
    idle("labs", Tree, "Experiments of the original."),
];
