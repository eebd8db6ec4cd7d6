//! The cache `sql` against PostgreSQL, MariaDB and SQLite.

use serde_json::{Value as Json, json};
use streams::{Message, Settings};

use crate::databases::{Table, settings, tables};
use crate::ends::{Stream, build};

/// What a stream of its own gives for one operation: two processes share nothing but the table.
async fn run(cache: &Json, operator: &str, key: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut resource = cache.clone();
    resource["label"] = json!("c");
    let asked =
        json!({"resource": "c", "operator": operator, "key": "${! @key }", "value": "${! content() }"});
    let config = json!({
        "pipeline": {"processors": [{"cache": asked}, {"catch": [{"mapping": "root = \"failed: \" + error()"}]}]},
        "cache_resources": [resource],
    });
    let mut stream = Stream::start(config, &settings());
    let mut message = Message::new(payload.to_vec());
    message.set_meta("key", String::from_utf8_lossy(key).into_owned());
    drop(stream.send(vec![message]));
    let message = stream.batch().await.remove(0);
    stream.stop().await;
    message.bytes().to_vec()
}

fn cache(table: &Table, suffix: Option<&str>) -> Json {
    let mut fields = json!({"key_column": "k", "value_column": "v"});
    if let Some(suffix) = suffix {
        fields["set_suffix"] = json!(suffix);
    }
    table.component("sql", fields)
}

fn suffix(table: &Table) -> &'static str {
    match table.driver {
        "mysql" => "ON DUPLICATE KEY UPDATE v = VALUES(v)",
        _ => "ON CONFLICT (k) DO UPDATE SET v = excluded.v",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_a_cache() {
    let hostile = "k'); DROP TABLE t; -- 2024-01-01T00:00:00Z";
    let time = "2024-01-01T00:00:00.5Z";
    for column in ["text", "bytes"] {
        for table in tables() {
            let kind = match (column, table.driver) {
                ("text", _) => "TEXT",
                (_, "postgres") => "BYTEA",
                _ => "BLOB",
            };
            table.create(&format!("k VARCHAR(100) PRIMARY KEY, v {kind}")).await;
            for suffix in [None, Some(suffix(&table))] {
                let cache = cache(&table, suffix);
                for (operator, key, payload, expected) in [
                    ("get", hostile, "x", "failed: key does not exist"),
                    ("add", hostile, "v1", "v1"),
                    ("add", hostile, "v2", "failed: key already exists"),
                    ("get", hostile, "x", "v1"),
                    ("set", hostile, "\\x00 \\ '", "\\x00 \\ '"),
                    ("get", hostile, "x", "\\x00 \\ '"),
                    ("set", time, time, time),
                    ("get", time, "x", time),
                    ("delete", hostile, "x", "x"),
                    ("get", hostile, "x", "failed: key does not exist"),
                    ("delete", hostile, "x", "x"),
                    ("delete", time, "x", "x"),
                ] {
                    let got = run(&cache, operator, key.as_bytes(), payload.as_bytes()).await;
                    let got = String::from_utf8_lossy(&got);
                    assert_eq!(got, expected, "{} {column} {suffix:?} {operator} {key}", table.driver);
                }
                if column == "bytes" {
                    let value = [0, 255, 39, 92];
                    assert_eq!(run(&cache, "set", b"b", &value).await, value);
                    assert_eq!(run(&cache, "get", b"b", b"x").await, value, "{} {suffix:?}", table.driver);
                    run(&cache, "delete", b"b", b"x").await;
                }
            }
            table.run(&format!("DROP TABLE {}", table.name)).await;
            let got = run(&cache(&table, None), "get", b"k", b"x").await;
            let got = String::from_utf8_lossy(&got).into_owned();
            assert!(got.starts_with("failed: ") && got.contains(&table.name), "{got}");
        }
    }
}

#[test]
fn what_cannot_work_is_refused_when_it_is_read() {
    let refused = |cache: Json, settings: &Settings| {
        let mut resource = cache;
        resource["label"] = json!("c");
        let config = json!({
            "input": {"generate": {"mapping": "root = 1"}}, "output": {"drop": {}}, "cache_resources": [resource],
        });
        build(&config, settings).err().unwrap_or_else(|| panic!("{config} was taken"))
    };
    let sqlite = json!({"sql": {"driver": "sqlite", "dsn": "file:x", "table": "t", "key_column": "k", "value_column": "v"}});
    let fault = refused(sqlite.clone(), &crate::ends::settings());
    assert!(fault.contains("/cache_resources/0/sql/driver") && fault.contains("not allowed"), "{fault}");
    let mut nameless = sqlite;
    nameless["sql"]["key_column"] = json!("");
    let fault = refused(nameless, &settings());
    assert!(fault.contains("/cache_resources/0/sql/key_column"), "{fault}");
}
