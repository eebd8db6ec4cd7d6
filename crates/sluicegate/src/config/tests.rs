//! Configuration files of all kinds, good and bad.

use std::path::{Path, PathBuf};

use super::*;

/// A folder of its own for one test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("sluicegate-config-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    #[expect(clippy::disallowed_methods, reason = "a test without async threads")]
    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn variables(pairs: &[(&str, &str)]) -> Variables {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn load_text(name: &str, text: &str, pairs: &[(&str, &str)]) -> Result<Loaded, Broken> {
    let folder = Folder::new(name);
    let path = folder.file("gate.conf", text);
    load(Some(&path), &folder.0, &variables(pairs))
}

#[test]
fn table_and_settings_agree() {
    // `deny_unknown_fields` and the absence of serde defaults make this fail on a row without field, and on a field
    // without row.
    let config = typed(&Given::new()).unwrap();
    assert_eq!(config.listen_port, 8080);
    assert_eq!(config.storage.kind, StorageKind::Embedded);
    assert_eq!(config.http_server_options.read_timeout.as_secs(), 120);
    assert!(config.secret.is_empty());
}

#[test]
fn without_a_file_the_built_in_defaults_are_used_and_none_is_written() {
    let folder = Folder::new("none");
    let loaded = load(None, &folder.0, &variables(&[("TYK_GW_LISTENPORT", "9090")])).unwrap();
    assert_eq!(loaded.source, Source::BuiltIn);
    assert_eq!(loaded.config.listen_port, 9090);
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 0);
}

#[test]
fn the_look_up_order_holds() {
    let folder = Folder::new("order");
    folder.file("tyk.conf", r#"{"listen_port": 1}"#);
    let other = folder.file("other.json", r#"{"listen_port": 3}"#);
    let named = folder.file("named.json", r#"{"listen_port": 4}"#);
    let other = [(PATH_VARIABLE, other.to_str().unwrap())];
    let port = |named: Option<&Path>, pairs: &[(&str, &str)]| {
        load(named, &folder.0, &variables(pairs)).unwrap().config.listen_port
    };
    assert_eq!(port(None, &[]), 1);
    folder.file("sluicegate.yaml", "listen_port: 2\n");
    assert_eq!(port(None, &[]), 2);
    assert_eq!(port(None, &other), 3);
    assert_eq!(port(Some(&named), &other), 4);
    let missing = load(Some(&folder.0.join("absent.conf")), &folder.0, &variables(&[])).unwrap_err();
    assert!(missing.to_string().contains("cannot read the configuration file"), "{missing}");
}

#[test]
fn zero_means_the_default_and_an_address_means_redis() {
    let text = r#"{
        "listen_port": 0, "min_token_length": 0, "graceful_shutdown_timeout_duration": 0,
        "http_server_options": {"read_timeout": 0, "xff_depth": 2},
        "storage": {"host": "redis.local", "database": 3, "optimisation_max_idle": 2000},
        "streaming": {"enabled": false}, "HASH_KEYS": true
    }"#;
    let config = load_text("zero", text, &[]).unwrap().config;
    assert_eq!((config.listen_port, config.min_token_length), (8080, 3));
    assert_eq!(config.http_server_options.read_timeout.as_secs(), 120);
    assert_eq!(config.http_server_options.xff_depth, 2);
    assert_eq!(config.storage.kind, StorageKind::Redis);
    assert_eq!(config.storage.addresses(), ["redis.local:6379"]);
    assert!(!config.streaming.enabled && config.hash_keys);
    let config = load_text("zero-env", "{}", &[("TYK_GW_STORAGE_ADDRS", "a:1,b:2")]).unwrap().config;
    assert_eq!(config.storage.kind, StorageKind::Redis);
    assert_eq!(config.storage.addresses(), ["a:1", "b:2"]);
}

#[test]
fn the_environment_wins_and_may_replace_the_file() {
    let text = r#"{"listen_port": 1000, "listen_address": "::1"}"#;
    let with = |pairs: &[(&str, &str)]| load_text("env", text, pairs).unwrap();
    assert_eq!(with(&[("TYK_GW_LISTENPORT", "2000")]).config.listen_port, 2000);
    assert!(with(&[("TYK_GW_OAS_VALIDATEEXAMPLES", "true")]).config.oas_config.validate_examples);
    let omitted = with(&[("TYK_GW_OMITCONFIGFILE", "true"), ("TYK_GW_LISTENPORT", "2000")]);
    assert_eq!(omitted.config.listen_address, "");
    assert_eq!(omitted.source, Source::BuiltIn);
}

#[test]
fn what_has_no_effect_is_named_once() {
    let text = r#"{
        "pid_file_location": "/var/run/tyk/tyk-gateway.pid", "allow_unsafe_policy_ids": true, "reload_interval": 5,
        "uptime_tests": {"disable": false, "config": {"time_wait": 10, "checker_pool_size": 0}},
        "opentelemetry": {"traces": {"enabled": false}, "metrics": {"enabled": true}}, "oas_config": {"validate_examples": true}, "use_syslog": true
    }"#;
    let loaded = load_text("pending", text, &[("TYK_GW_SLAVEOPTIONS_APIKEY", "k")]).unwrap();
    assert_eq!(
        loaded.warnings,
        [
            "known, but without effect so far: `use_syslog`, `opentelemetry.metrics`, `TYK_GW_SLAVEOPTIONS_APIKEY`"
        ]
    );
}

#[test]
fn c5_1_row_39_settings_of_copies_for_emergencies_have_no_effect_and_are_named() {
    let set = r#"{"storage": {"compress_api_definitions": true, "compress_policies": true, "max_decompressed_size": 5}}"#;
    let usual = r#"{"storage": {"compress_api_definitions": false, "max_decompressed_size": 104857600}}"#;
    let warnings = load_text("copies", set, &[]).unwrap().warnings;
    assert_eq!(
        warnings,
        [
            "known, but without effect so far: `storage.compress_api_definitions`, `storage.compress_policies`, \
             `storage.max_decompressed_size`"
        ]
    );
    assert!(load_text("no-copies", usual, &[]).unwrap().warnings.is_empty());
}

#[test]
fn every_fault_is_told() {
    let text = "{\n  \"listen_port\": \"8080\",\n  \"storage\": [],\n  \"hash_key_function\": \"murmer64\",\n  \"listen_prot\": 1\n}";
    let broken = load_text("faults", text, &[("TYK_GW_HASHKEYS", "maybe")]).unwrap_err().to_string();
    for expected in [
        "`listen_port`: expected a whole number from 0 to 65535, found text",
        "`storage`: expected an object of settings, found a list",
        "`hash_key_function`: expected one of \"murmur32\"",
        "did you mean `murmur64`?",
        "environment variable TYK_GW_HASHKEYS: expected true or false",
    ] {
        assert!(broken.contains(expected), "{expected} is missing in:\n{broken}");
    }
    assert!(!broken.contains("listen_prot"), "a warning is no error");
}

#[test]
fn unknown_settings_are_warned_about_with_a_proposal() {
    let loaded =
        load_text("unknown", "{\"listen_prot\": 1, \"storage\": {\"hash_keys\": true}}", &[]).unwrap();
    assert!(loaded.warnings[0].contains("unknown setting `listen_prot`"), "{:?}", loaded.warnings);
    assert!(loaded.warnings[0].contains("did you mean `listen_port`?"), "{:?}", loaded.warnings);
    assert!(loaded.warnings[1].contains("there is `hash_keys`"), "{:?}", loaded.warnings);
}

#[test]
fn secrets_come_from_references_and_never_leave() {
    let text =
        r#"{"secret": "env://ADMIN", "node_secret": "secrets://node", "secrets": {"node": "canary-n"}}"#;
    let loaded = load_text("references", text, &[("TYK_SECRET_ADMIN", "canary-a")]).unwrap();
    assert_eq!(loaded.config.secret.expose(), "canary-a");
    assert_eq!(loaded.config.node_secret.expose(), "canary-n");
    assert!(!format!("{loaded:?}").contains("canary"), "a dump shows a secret");

    let text = r#"{"secret": "canary-a", "storage": {"password": 4711}, "listen_port": [], "secrets": {"x": "canary\"x"}}"#;
    let broken = load_text("shown", text, &[]).unwrap_err().to_string();
    assert!(
        !broken.contains("canary") && !broken.contains("4711"),
        "an error text shows a secret:\n{broken}"
    );

    for (text, expected) in [
        (r#"{"secret": "vault://a/b"}"#, "there is no value for `vault://a/b`: no Vault is set up"),
        (r#"{"secret": "env://ABSENT"}"#, "neither TYK_SECRET_ABSENT nor ABSENT is set"),
    ] {
        let broken = load_text("unresolved", text, &[]).unwrap_err().to_string();
        assert!(broken.contains(expected), "{broken}");
    }
}

#[test]
fn unreadable_texts_are_refused() {
    let folder = Folder::new("bytes");
    let binary = folder.file("binary.conf", [0xff, 0xfe, 0x00]);
    let broken = load(Some(&binary), &folder.0, &variables(&[])).unwrap_err().to_string();
    assert!(broken.contains("is not UTF-8 text"), "{broken}");
    for text in ["{\"listen_port\": 80", "[1, 2]", "\"just text\""] {
        assert!(load_text("syntax", text, &[]).is_err(), "{text}");
    }
}

#[test]
fn a_yaml_file_hashes_keys_under_a_secret_unless_it_says_otherwise() {
    let folder = Folder::new("hashes");
    let of = |file: &str, text: &str, pairs: &[(&str, &str)]| {
        let path = folder.file(file, text);
        let config = load(Some(&path), &folder.0, &variables(pairs)).unwrap().config;
        let secret = config.hash_key_secret.expose().to_owned();
        (config.hash_keys, config.hash_key_function, config.enable_hashed_keys_listing, secret)
    };
    let keyed = |secret: &str| (true, "hmac-sha256".to_owned(), true, secret.to_owned());
    let plain = (false, String::new(), false, "s".to_owned());
    assert_eq!(of("a.yaml", "secret: s", &[]), keyed("s"));
    assert_eq!(of("b.yml", "secret: s\nnode_secret: n", &[]), keyed("n"));
    assert_eq!(of("c.yaml", "node_secret: n\nhash_key_secret: h", &[]), keyed("h"));
    assert_eq!(of("d.yaml", "listen_port: 1", &[]), (true, "sha256".to_owned(), true, String::new()));
    assert_eq!(of("e.yaml", "secret: s\nhash_keys: false", &[]), plain);
    assert_eq!(of("f.yaml", "secret: s", &[("TYK_GW_HASHKEYS", "false")]), plain);
    assert_eq!(of("g.yaml", "hash_key_function: murmur64", &[]).1, "murmur64");
    assert!(!of("h.yaml", "enable_hashed_keys_listing: false", &[]).2);
    // A file of the original keeps its defaults.
    assert_eq!(of("tyk.conf", r#"{"secret": "s"}"#, &[]), plain);
}
