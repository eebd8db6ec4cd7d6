//! The command line as a user and a script meet it: what is printed, where the faults are shown, which code the
//! process ends with.

use std::path::Path;
use std::process::{Command, Output};

use e2e::{Admin, Gate, Reply, binary, curl, definition, tools, until};
use serde_json::{Value, json};

/// A finished run of the binary.
struct Done {
    code: Option<i32>,
    out: String,
    err: String,
}

fn sluicegate(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Done {
    let Output { status, stdout, stderr } = Command::new(binary())
        .args(arguments)
        .current_dir(folder)
        .envs(environment.iter().copied())
        .output()
        .expect("the binary can be started");
    let text = |bytes| String::from_utf8(bytes).expect("the output is UTF-8");
    Done { code: status.code(), out: text(stdout), err: text(stderr) }
}

/// A folder with these files; it goes away with the value.
fn folder(files: &[(&str, &str)]) -> Gate {
    files.iter().fold(Gate::setup(), |setup, (path, text)| setup.file(path, text)).prepare()
}

const STREAM: &str = "\
input:
  generate:
    interval: 1s
    mapping: |
      root.item = \"tea\"
      root.name = this.item.uppercas()
output:
  drop: {}
";

const EVENTS: &str = r#"{
  "openapi": "3.0.3", "info": {"title": "shop", "version": "1"}, "paths": {},
  "x-tyk-api-gateway": {
    "info": {"id": "shop", "name": "shop", "state": {"active": true}},
    "server": {"listenPath": {"value": "/shop/"}}, "upstream": {"url": ""}
  },
  "x-tyk-streaming": {"streams": {"orders": {
    "input": {"http_server": {"path": "/orders"}},
    "pipeline": {"processors": [
      {"mapping": "root = this\nroot.item = this.item.uppercas()"}
    ]},
    "output": {"http_servr": {"path": "/feed"}}
  }}}
}"#;

#[test]
fn help_teaches() {
    let at = folder(&[]);
    for (arguments, wanted) in [
        (
            &["--help"][..],
            &[
                "Examples:",
                "sluicegate run --conf",
                "sluicegate lint",
                "TYK_GW_LISTENPORT=9000",
                "Exit codes: 0",
            ][..],
        ),
        (
            &["run", "--help"],
            &["--conf <FILE>", "SLUICEGATE_CONF", "TYK_GW_", "curl", "Exit codes: 0", "1 ", "2 "],
        ),
        (&["lint", "--help"], &["Examples:", "--format", "Exit codes: 0", "1 faults", "2 wrong usage"]),
        (&["version", "--help"], &["--json"]),
    ] {
        let done = sluicegate(at.dir(), arguments, &[]);
        assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{arguments:?}");
        for part in wanted {
            assert!(done.out.contains(part), "{arguments:?} does not say {part:?}:\n{}", done.out);
        }
    }
    for wrong in [&[][..], &["walk"], &["lint"], &["run", "--config", "x"], &["lint", "x", "--from", "y"]] {
        let done = sluicegate(at.dir(), wrong, &[]);
        assert_eq!(done.code, Some(2), "{wrong:?}");
        assert!(done.err.contains("Usage:"), "{wrong:?}: {}", done.err);
    }
}

#[test]
fn version_is_for_people_and_for_programs() {
    let at = folder(&[]);
    let done = sluicegate(at.dir(), &["version"], &[]);
    let version =
        done.out.strip_prefix("sluicegate ").expect("it begins with the name").trim_end().to_owned();
    assert_eq!((done.code, version.split('.').count()), (Some(0), 3), "{version}");
    let done = sluicegate(at.dir(), &["version", "--json"], &[]);
    let told: Value = serde_json::from_str(&done.out).expect("one JSON object");
    assert_eq!(told, json!({"name": "sluicegate", "version": version}));
    assert_eq!(done.code, Some(0));
}

#[test]
fn lint_finds_what_only_building_a_stream_tells() {
    let text = "input:\n  generate:\n    mapping: root = 1\noutput:\n  http_server:\n    ping_period: 0s\n";
    let at = folder(&[("stream.yaml", text)]);
    let done = sluicegate(at.dir(), &["lint", "stream.yaml"], &[]);
    assert_eq!(done.code, Some(1));
    assert!(done.out.starts_with("stream.yaml:6:18: error: `ping_period`"), "{}", done.out);
}

#[test]
fn lint_underlines_every_fault_in_its_line() {
    let at = folder(&[("stream.yaml", STREAM), ("events.json", EVENTS)]);
    let done = sluicegate(at.dir(), &["lint", "stream.yaml"], &[]);
    let expected = "\
stream.yaml:6:29: error: bloblang, line 2 column 23: unrecognised method `uppercas`
  |
6 |       root.name = this.item.uppercas()
  |                             ^
  = help: did you mean `uppercase`?

1 file checked: 1 error, 0 warnings
";
    assert_eq!((done.code, done.out.as_str()), (Some(1), expected), "{}", done.err);

    let done = sluicegate(at.dir(), &["lint", "events.json"], &[]);
    assert_eq!(done.code, Some(1));
    for part in [
        "events.json:10:55: error: bloblang, line 2 column 23: unrecognised method `uppercas`\n",
        "10 |       {\"mapping\": \"root = this\\nroot.item = this.item.uppercas()\"}\n",
        "   |                                                       ^\n",
        "events.json:12:16: error: ",
        "http_servr",
        "did you mean `http_server`?",
        "1 file checked: 2 errors, 0 warnings\n",
    ] {
        assert!(done.out.contains(part), "{part:?} is not in\n{}", done.out);
    }
}

#[test]
fn lint_tells_programs_the_same() {
    let at = folder(&[("stream.yaml", STREAM)]);
    let done = sluicegate(at.dir(), &["lint", "--format", "json", "stream.yaml", "absent.json"], &[]);
    let told: Value = serde_json::from_str(&done.out).expect("one JSON object");
    assert_eq!((done.code, &told["errors"], &told["warnings"]), (Some(2), &json!(1), &json!(0)));
    let file = &told["files"][0];
    assert_eq!((&file["path"], &file["kind"]), (&json!("stream.yaml"), &json!("stream configuration")));
    let fault = &file["faults"][0];
    assert_eq!(fault["pointer"], "/input/generate/mapping");
    assert_eq!(fault["severity"], "error");
    assert_eq!((&fault["place"]["line"], &fault["place"]["column"]), (&json!(6), &json!(29)));
    assert_eq!(fault["hint"], "did you mean `uppercase`?");
    assert_eq!(told["unreadable"][0]["path"], "absent.json");
}

#[test]
fn exit_codes_of_lint_tell_good_from_bad_from_unreadable() {
    let good = definition::keyless("good", "http://127.0.0.1:9/").to_string();
    let mut odd = definition::keyless("odd", "http://127.0.0.1:9/");
    odd["no_such_key"] = json!(1);
    let at = folder(&[
        ("good/api.json", &good),
        ("odd.json", &odd.to_string()),
        ("bad.json", r#"{"api_id": "bad", "proxy": {"listen_path": 5}}"#),
        ("torn.json", r#"{"openapi": "3.0.3", "#),
        ("empty/readme.txt", "nothing to check"),
    ]);
    std::fs::write(at.dir().join("binary.json"), b"{\"\xff\": 1}").unwrap();
    for (files, code, said) in [
        (&["good/api.json"][..], 0, "1 file checked: 0 errors, 0 warnings"),
        (&["good"], 0, "1 file checked: 0 errors"),
        (&["odd.json"], 0, "no_such_key"),
        (&["bad.json"], 1, "bad.json:1:"),
        (&["good", "bad.json"], 1, "2 files checked"),
        (&["torn.json"], 1, "torn.json:1:"),
        (&["binary.json"], 1, "not UTF-8"),
        (&["good", "absent.json"], 2, "absent.json: cannot be read: No such file"),
        (&["empty"], 2, "empty: "),
    ] {
        let mut arguments = vec!["lint"];
        arguments.extend(files);
        let done = sluicegate(at.dir(), &arguments, &[]);
        assert_eq!(done.code, Some(code), "{files:?}: {}{}", done.out, done.err);
        assert!(done.out.contains(said), "{files:?} does not say {said:?}:\n{}", done.out);
    }
}

#[test]
fn a_configuration_that_cannot_be_taken_stops_the_start_and_tells_every_fault() {
    let at = folder(&[
        (
            "several.json",
            "{\n  \"listen_port\": \"eighty\",\n  \"hash_keys\": 1,\n  \"storage\": {\"type\": \"mongo\"}\n}",
        ),
        ("several.yaml", "listen_port: 70000\nstorage:\n  port: high\n"),
        ("torn.json", "{\"listen_port\": 8080,"),
        ("list.json", "[]"),
        ("reference.json", "{\"secret\": \"vault://path.key\"}"),
    ]);
    for (file, said) in [
        ("absent.json", &["cannot read the configuration file absent.json: No such file"][..]),
        (
            "several.json",
            &[
                "several.json:2:18: error: `listen_port`",
                "2 |   \"listen_port\": \"eighty\",",
                "several.json:3:16: error: `hash_keys`",
                "several.json:4:23: error: `storage.type`",
                "\"embedded\", \"redis\"",
            ],
        ),
        (
            "several.yaml",
            &["several.yaml:1:14: error: `listen_port`", "several.yaml:3:9: error: `storage.port`"],
        ),
        ("torn.json", &["torn.json:1:22: ", "not valid JSON"]),
        ("list.json", &["list.json:1:1: error: expected an object"]),
        ("reference.json", &["`secret`", "vault://"]),
    ] {
        let done = sluicegate(at.dir(), &["run", "--conf", file], &[]);
        assert_eq!(done.code, Some(1), "{file}: {}{}", done.out, done.err);
        for part in said {
            assert!(done.err.contains(part), "{file}: {part:?} is not in\n{}", done.err);
        }
    }
    let wrong = [("TYK_GW_LISTENPORT", "eighty")];
    let done = sluicegate(at.dir(), &["run", "--conf", "list.json"], &wrong);
    assert_eq!(done.code, Some(1));
    let wrong = [("TYK_GW_LISTENPORT", "eighty"), ("TYK_GW_OMITCONFIGFILE", "true")];
    let done = sluicegate(at.dir(), &["run", "--conf", "list.json"], &wrong);
    assert_eq!(done.code, Some(1));
    assert!(
        done.err.contains("environment variable TYK_GW_LISTENPORT: expected a whole number"),
        "{}",
        done.err
    );
}

#[tokio::test]
async fn an_unknown_setting_is_a_warning_with_a_proposal() {
    let gate = Gate::setup().conf(json!({"hash_kyes": true})).start().await;
    let log = gate.log();
    let line = log.lines().find(|line| line.contains("hash_kyes")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("WARN") && line.contains("tyk.conf:"), "{line}");
    assert!(line.contains("did you mean `hash_keys`?"), "{line}");
}

#[tokio::test]
async fn variables_win_over_the_file() {
    let gate = Gate::setup()
        .env("TYK_GW_SECRET", "from-the-environment")
        .env("TYK_GW_HEALTHCHECKENDPOINTNAME", "alive")
        .env("TYK_GW_HTTPSERVEROPTIONS_MAXREQUESTBODYSIZE", "10")
        .start()
        .await;
    assert_eq!(gate.admin().get("/apis").await.status, 403);
    let admin = Admin::new(gate.url(""), "from-the-environment");
    assert_eq!(admin.get("/apis").await.status, 200);
    assert_eq!(gate.get("/alive", &[]).await.status, 200);
    assert_eq!(gate.get("/anything", &["-d", "more than ten bytes"]).await.status, 413);
    assert!(!gate.log().contains("from-the-environment"), "a secret is in the log");
}

#[tokio::test]
async fn a_port_in_use_is_said_clearly() {
    let mut gate = Gate::setup().prepare();
    let _other = std::net::TcpListener::bind(("127.0.0.1", gate.port())).unwrap();
    gate.spawn();
    assert_eq!(gate.ended().await, Some(1));
    let said = format!("error: cannot listen on 127.0.0.1:{}: Address already in use", gate.port());
    assert!(gate.log().contains(&said), "{}", gate.log());
    assert!(gate.log().contains("choose another `listen_port`"), "{}", gate.log());
}

#[tokio::test]
async fn c7_2_row_2_a_folder_of_definitions_that_is_not_there_does_not_stop_the_gate() {
    let mut gate = Gate::setup().conf(json!({"app_path": "later"})).prepare();
    gate.spawn();
    // It runs, and says that it should get no traffic: nobody knows what it should serve.
    until("the gate answers", async || gate.get("/hello", &[]).await.status == 200).await;
    let ready = gate.get("/ready", &[]).await;
    assert_eq!(ready.status, 503, "{ready:?}");
    assert_eq!(ready.json()["message"], "A successful API reload did not happen");
    let log = gate.log();
    let line = log.lines().find(|line| line.contains("cannot list the folder of definitions"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("ERROR") && line.contains("later") && line.contains("app_path"), "{line}");
    let target = format!("http://127.0.0.1:{}/hello", gate.port());
    std::fs::create_dir(gate.dir().join("later")).unwrap();
    gate.write("later/late.json", &definition::keyless("late", &target).to_string());
    gate.admin().reload().await;
    assert_eq!(gate.get("/late/", &[]).await.status, 200);
    assert_eq!(gate.get("/ready", &[]).await.status, 200);
}

/// As an operator has it: many settings, among them those that mean nothing here yet. PORT, DIR and REDIS are what
/// differs from machine to machine.
const TYK_CONF: &str = r#"{
  "listen_address": "",
  "listen_port": PORT,
  "secret": "352d20ee67be67f6340b4c0605b044b7",
  "node_secret": "352d20ee67be67f6340b4c0605b044b7",
  "template_path": "/opt/tyk-gateway/templates",
  "middleware_path": "/opt/tyk-gateway/middleware",
  "tyk_js_path": "/opt/tyk-gateway/js/tyk.js",
  "pid_file_location": "/var/run/tyk/tyk-gateway.pid",
  "use_db_app_configs": false,
  "db_app_conf_options": {"connection_string": "", "node_is_segmented": false, "tags": []},
  "app_path": "DIR/apps",
  "policies": {"policy_source": "file", "policy_record_name": "DIR/policies.json"},
  "storage": {
    "type": "redis", "host": "127.0.0.1", "port": REDIS, "username": "", "password": "", "database": 0,
    "optimisation_max_idle": 2000, "optimisation_max_active": 4000, "enable_cluster": false
  },
  "enable_separate_cache_store": false,
  "local_session_cache": {"disable_cached_session_state": false, "cached_session_timeout": 0, "cached_session_eviction": 0},
  "dns_cache": {"enabled": false, "ttl": 3600},
  "hash_keys": true,
  "hash_key_function": "murmur128",
  "suppress_redis_signal_reload": false,
  "close_connections": false,
  "allow_insecure_configs": true,
  "allow_master_keys": false,
  "enable_non_transactional_rate_limiter": true,
  "enable_sentinel_rate_limiter": false,
  "enable_redis_rolling_limiter": false,
  "experimental_process_org_off_thread": false,
  "enforce_org_data_age": true,
  "enforce_org_data_detail_logging": false,
  "enforce_org_quotas": false,
  "oauth_token_expire": 0,
  "force_global_session_lifetime": false,
  "global_session_lifetime": 0,
  "monitor": {"enable_trigger_monitors": false, "configuration": {"method": "", "target_path": "", "template_path": "", "header_map": null, "event_timeout": 0}},
  "max_idle_connections_per_host": 500,
  "max_conn_time": 0,
  "proxy_default_timeout": 30,
  "proxy_enable_http2": true,
  "proxy_ssl_insecure_skip_verify": false,
  "uptime_tests": {"disable": false, "poller_group": "", "config": {"enable_uptime_analytics": true, "failure_trigger_sample_size": 3, "time_wait": 300, "checker_pool_size": 50}},
  "http_server_options": {
    "override_defaults": true, "read_timeout": 120, "write_timeout": 120, "use_ssl": false, "enable_websockets": true,
    "enable_strict_routes": false, "ssl_certificates": [], "flush_interval": 0, "skip_url_cleaning": false
  },
  "enable_custom_domains": true,
  "enable_analytics": true,
  "analytics_config": {
    "type": "", "ignored_ips": [], "enable_detailed_recording": false, "enable_geo_ip": false,
    "normalise_urls": {"enabled": true, "normalise_uuids": true, "normalise_numbers": true, "custom_patterns": []},
    "pool_size": 5, "records_buffer_size": 1000, "storage_expiration_time": 60
  },
  "health_check": {"enable_health_checks": false, "health_check_value_timeouts": 60},
  "health_check_endpoint_name": "hello",
  "enable_jsvm": true,
  "enable_bundle_downloader": true,
  "bundle_base_url": "",
  "coprocess_options": {"enable_coprocess": false, "coprocess_grpc_server": ""},
  "event_handlers": {"events": {}},
  "security": {"private_certificate_encoding_secret": "", "control_api_use_mutual_tls": false},
  "log_level": "info",
  "use_sentry": false,
  "use_syslog": false,
  "use_redis_log": true,
  "tracing": {"enabled": false},
  "opentelemetry": {"enabled": true, "exporter": "grpc", "endpoint": "localhost:4317"},
  "enable_http_profiler": false,
  "hide_generator_header": false,
  "graceful_shutdown_timeout_duration": 5
}"#;

#[tokio::test]
async fn a_tyk_conf_is_taken_as_it_is() {
    let redis = tools::service("redis");
    let mut gate = Gate::setup().prepare();
    let conf = TYK_CONF
        .replace("PORT", &gate.port().to_string())
        .replace("DIR", &gate.dir().display().to_string())
        .replace("REDIS", redis.rsplit_once(':').expect("host:port").1);
    gate.write("tyk.conf", &conf);
    let target = format!("http://127.0.0.1:{}/hello", gate.port());
    gate.write("apps/one.json", &definition::keyless("one", &target).to_string());
    gate.write(
        "policies.json",
        r#"{"gold": {"id": "gold", "org_id": "org", "rate": 5, "per": 1, "access_rights": {}}}"#,
    );
    let linted = sluicegate(gate.dir(), &["lint", "tyk.conf", "apps", "policies.json"], &[]);
    assert_eq!(linted.code, Some(0), "{}", linted.out);

    gate.start().await;
    assert_eq!(gate.get("/one/", &[]).await.status, 200);
    let admin = Admin::new(gate.url(""), "352d20ee67be67f6340b4c0605b044b7");
    let policies: Reply = admin.get("/policies").await;
    assert_eq!(policies.json()[0]["id"], "gold", "{policies:?}");

    let log = gate.log();
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains("without effect so far")).collect();
    assert_eq!(warnings.len(), 1, "{log}");
    for name in ["analytics_config.normalise_urls", "use_redis_log"] {
        assert!(warnings[0].contains(&format!("`{name}")), "{name} is not named: {}", warnings[0]);
    }
    // What is acted on, what stands at its default and what needs no action is not.
    let silent = [
        "listen_port",
        "hash_keys",
        "use_sentry",
        "coprocess_options",
        "experimental_process_org",
        "opentelemetry",
        "enforce_org_data_age",
    ];
    for name in silent {
        assert!(!warnings[0].contains(name), "{name} is named: {}", warnings[0]);
    }
    assert!(!log.contains("unknown setting"), "{log}");
}

#[tokio::test]
async fn signals_reload_and_stop() {
    let mut gate = Gate::setup().start().await;
    let target = format!("http://127.0.0.1:{}/hello", gate.port());
    gate.write("apps/new.json", &definition::keyless("new", &target).to_string());
    gate.signal("HUP");
    let url = gate.url("/new/");
    until("the new API answers", async || curl(&[&url]).await.status == 200).await;
    assert_eq!(gate.stop().await, Some(0));
}

#[tokio::test]
async fn c2_9_row_6_definitions_become_those_of_the_other_format_and_serve_the_same() {
    let upstream = e2e::Upstream::start().await;
    let mut classic = definition::keyed("made", &upstream.url(""));
    classic["slug"] = "made".into();
    classic["version_data"]["versions"]["Default"]["extended_paths"] = json!({
        "white_list": [{"path": "/open/{id}", "method": "GET"}],
        "transform_headers": [{"path": "/open/{id}", "method": "GET", "add_headers": {"X-Added": "yes"}}],
    });
    let mut program = classic.clone();
    program["version_data"]["versions"]["Default"]["extended_paths"]["transform_jq"] =
        json!([{"path": "/open/{id}", "method": "GET", "filter": "."}]);
    let mut versions = classic.clone();
    versions["version_data"] = json!({"not_versioned": false, "default_version": "v1", "versions": {
        "v1": {"name": "v1"}, "v2": {"name": "v2", "global_headers": {"X-Version": "2"}},
    }});
    let made = classic.to_string();
    let gate = folder(&[
        ("made.json", &made),
        ("program.json", &program.to_string()),
        ("versions.json", &versions.to_string()),
        ("wrong.json", "{\"api_id\": \"x\"}"),
    ]);

    let done = sluicegate(gate.dir(), &["convert", "made.json", "--out", "converted"], &[]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let warning = done.err.lines().find(|line| line.contains("warning: `/slug`")).unwrap_or_default();
    assert!(warning.starts_with("made.json:1:"), "{}", done.err);
    let again = sluicegate(gate.dir(), &["convert", "made.json", "--out", "converted"], &[]);
    assert_eq!(again.code, Some(1), "what is there is not replaced: {}", again.err);
    let refused = sluicegate(gate.dir(), &["convert", "wrong.json", "made.json"], &[]);
    assert_eq!(refused.code, Some(1), "{}", refused.err);
    assert!(refused.err.contains("`listen_path` is missing"), "{}", refused.err);
    // What the other format has no words for is kept in the gate's own part.
    let program = sluicegate(gate.dir(), &["convert", "program.json"], &[]);
    assert_eq!(program.code, Some(0), "{}", program.err);
    let program: Value = serde_json::from_str(&program.out).unwrap();
    assert_eq!(program["x-sluicegate"]["extended_paths"]["transform_jq"][0]["filter"], ".");
    let several = sluicegate(gate.dir(), &["convert", "versions.json"], &[]);
    assert_eq!((several.code, several.out.is_empty()), (Some(1), true), "{}", several.err);
    assert!(several.err.contains("2 definitions: name a folder"), "{}", several.err);
    let several = sluicegate(gate.dir(), &["convert", "versions.json", "--out", "several"], &[]);
    assert_eq!(several.code, Some(0), "{}", several.err);

    let converted = std::fs::read_to_string(gate.dir().join("converted/made.json")).unwrap();
    let converted: Value = serde_json::from_str(&converted).unwrap();
    for setup in [Gate::setup().api(classic), Gate::setup().oas(converted)] {
        let gate = setup.start().await;
        let key = gate.admin().key(&definition::session(&["made"])).await;
        let authorization = format!("Authorization: {key}");
        let with = ["-H", authorization.as_str()];
        let served = gate.get("/made/open/7", &with).await;
        assert_eq!((served.status, &served.json()["headers"]["x-added"]), (200, &json!(["yes"])));
        assert_eq!(gate.get("/made/other", &with).await.status, 403);
        assert_eq!(gate.get("/made/open/7", &[]).await.status, 401);
    }

    let of = |name: &str| -> Value {
        let text = std::fs::read_to_string(gate.dir().join("several").join(name)).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let gate = Gate::setup().oas(of("versions.json")).oas(of("versions-v2.json")).start().await;
    let key = gate.admin().key(&definition::session(&["made", "made-v2"])).await;
    let authorization = format!("Authorization: {key}");
    for (version, added) in [("v1", json!(null)), ("v2", json!(["2"]))] {
        let version = format!("x-api-version: {version}");
        let served = gate.get("/made/x", &["-H", &authorization, "-H", &version]).await;
        assert_eq!((served.status, &served.json()["headers"]["x-version"]), (200, &added), "{version}");
    }
}
