//! The SQL components, each against PostgreSQL, MariaDB and SQLite.

use std::path::PathBuf;

use serde_json::{Value as Json, json};
use streams::{Message, NackReason, Settings};

use crate::ends::{Stream, build, messages, texts, unique, until};
use crate::servers::{Own, port};

/// A database with a table of this test alone.
pub(crate) struct Table {
    pub(crate) driver: &'static str,
    pub(crate) dsn: String,
    pub(crate) name: String,
    file: Option<PathBuf>,
}

impl Drop for Table {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            let _ = std::fs::remove_file(file);
        }
    }
}

pub(crate) fn tables() -> Vec<Table> {
    let name = || unique("t").replace('-', "_");
    let file = std::env::temp_dir().join(format!("{}.db", unique("sluicegate-sql")));
    vec![
        Table {
            driver: "postgres",
            dsn: format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable", port("postgresql")),
            name: name(),
            file: None,
        },
        Table {
            driver: "mysql",
            dsn: format!("root@tcp(127.0.0.1:{})/test", port("mariadb")),
            name: name(),
            file: None,
        },
        Table { driver: "sqlite", dsn: format!("file:{}", file.display()), name: name(), file: Some(file) },
    ]
}

pub(crate) fn settings() -> Settings {
    let mut settings = crate::ends::settings();
    settings.allow_unsafe.push("sqlite".to_owned());
    settings
}

impl Table {
    /// A component of this name, with these fields, for this table.
    pub(crate) fn component(&self, name: &str, mut fields: Json) -> Json {
        fields["driver"] = json!(self.driver);
        fields["dsn"] = json!(self.dsn);
        if !name.ends_with("raw") {
            fields["table"] = json!(self.name);
        }
        json!({ name: fields })
    }

    pub(crate) fn placeholder(&self, number: usize) -> String {
        if self.driver == "postgres" { format!("${number}") } else { "?".to_owned() }
    }

    pub(crate) fn through(&self, processors: Json) -> Stream {
        let config = json!({"pipeline": {"threads": 1, "processors": processors}});
        Stream::start(config, &settings())
    }

    /// Runs one statement; its rows, as text.
    pub(crate) async fn run(&self, query: &str) -> String {
        let processor = self.component("sql_raw", json!({"query": query}));
        let mut stream = self.through(json!([processor]));
        drop(stream.send(messages(["{}"])));
        let batch = stream.batch().await;
        assert_eq!(batch[0].error(), None, "{}: {query}", self.driver);
        stream.stop().await;
        texts(&batch).remove(0)
    }

    pub(crate) async fn create(&self, columns: &str) {
        self.run(&format!("CREATE TABLE {} ({columns})", self.name)).await;
    }
}

/// Texts that would do harm if they became part of a statement.
const INJECTIONS: [&str; 4] = ["'); DROP TABLE t; --", "' OR '1'='1", "\\'; --", "${! content() } ? $1 \"`"];

#[tokio::test(flavor = "multi_thread")]
async fn rows_go_there_and_back_and_values_are_never_statements() {
    for table in tables() {
        table.create("id INTEGER PRIMARY KEY, name VARCHAR(100)").await;
        let insert = json!({"columns": ["id", "name"], "args_mapping": "root = [this.id, this.name]"});
        let output = table.component("sql_insert", insert);
        let writer = Stream::start(json!({"output": output}), &settings());
        let rows: Vec<Message> = (INJECTIONS.iter().enumerate())
            .map(|(id, name)| Message::new(json!({"id": id, "name": name}).to_string()))
            .collect();
        writer.write(rows).await.expect("inserted");
        // All or nothing: the second of these is there already.
        let fault = writer.send(messages([r#"{"id":10,"name":"a"}"#, r#"{"id":1,"name":"b"}"#]));
        until(|| {
            writer.last_error().to_lowercase().contains("unique")
                || writer.last_error().to_lowercase().contains("duplicate")
        })
        .await;
        drop(fault);
        drop(writer);

        let select =
            json!({"columns": ["id", "name"], "where": "name = ?", "args_mapping": "root = [this.name]"});
        let mut stream = table.through(json!([table.component("sql_select", select)]));
        for (id, name) in INJECTIONS.iter().enumerate() {
            drop(stream.send(vec![Message::new(json!({"name": name}).to_string())]));
            let batch = stream.batch().await;
            let found: Json = serde_json::from_slice(batch[0].bytes()).expect("JSON");
            assert_eq!(found, json!([{"id": id, "name": name}]), "{}", table.driver);
        }
        stream.stop().await;

        let input = table.component("sql_select", json!({"columns": ["id"], "suffix": "ORDER BY id"}));
        let mut reader = Stream::start(json!({"input": input}), &settings());
        let ids = [0, 1, 2, 3].map(|id| format!("{{\"id\":{id}}}"));
        assert_eq!(reader.texts(4).await, ids, "{}", table.driver);
        until(|| reader.ended()).await;
        table.run(&format!("DROP TABLE {}", table.name)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_keep_their_types() {
    for table in tables() {
        let columns = match table.driver {
            "postgres" => {
                "i BIGINT, f DOUBLE PRECISION, d NUMERIC(20,5), b BOOLEAN, t TEXT, y BYTEA, s TIMESTAMPTZ, j JSONB, n TEXT"
            }
            "mysql" => {
                "i BIGINT, f DOUBLE, d DECIMAL(20,5), b BOOLEAN, t TEXT, y BLOB, s DATETIME(3), j JSON, n TEXT"
            }
            _ => "i BIGINT, f DOUBLE, d TEXT, b BOOLEAN, t TEXT, y BLOB, s TEXT, j TEXT, n TEXT",
        };
        table.create(columns).await;
        let fields = json!({
            "columns": ["i", "f", "d", "b", "t", "y", "s", "j", "n"],
            "args_mapping": "root = [this.i, this.f, this.d, this.b, this.t, this.t.bytes(), \"2026-07-01T12:30:00.25Z\".ts_parse(\"2006-01-02T15:04:05Z07:00\"), this.j, null]",
        });
        let insert = table.component("sql_insert", fields);
        let select = table.component("sql_raw", json!({"query": format!("SELECT * FROM {}", table.name)}));
        let mut stream = table.through(json!([insert, select]));
        let message = json!({"i": 9_007_199_254_740_993_i64, "f": 0.1, "d": "123456789012345.67890", "b": true, "t": "ü", "j": {"a": [1]}});
        drop(stream.send(vec![Message::new(message.to_string())]));
        let batch = stream.batch().await;
        assert_eq!(batch[0].error(), None, "{}", table.driver);
        let rows: Json = serde_json::from_slice(batch[0].bytes()).expect("JSON");
        let row = &rows[0];
        assert_eq!(row["i"], json!(9_007_199_254_740_993_i64), "{}: {row}", table.driver);
        assert_eq!(row["f"], json!(0.1), "{}: {row}", table.driver);
        assert_eq!(row["d"], json!("123456789012345.67890"), "{}: {row}", table.driver);
        let truth = if table.driver == "mysql" { json!(1) } else { json!(true) };
        assert_eq!(
            (&row["b"], &row["t"], &row["y"], &row["n"]),
            (&truth, &json!("ü"), &json!("ü"), &Json::Null)
        );
        let time = row["s"].as_str().expect("a time").replace(['T', 'Z'], " ");
        assert!(time.starts_with("2026-07-01 12:30:00.25"), "{}: {row}", table.driver);
        let inner: Json = serde_json::from_str(row["j"].as_str().expect("text")).expect("JSON");
        assert_eq!(inner, json!({"a": [1]}), "{}", table.driver);
        stream.stop().await;
        table.run(&format!("DROP TABLE {}", table.name)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn arrays_times_and_json_are_read_as_what_they_are() {
    let tables = tables();
    let postgres = tables.iter().find(|table| table.driver == "postgres").expect("one");
    // The same address in its other form.
    let keys = Table {
        driver: "postgres",
        dsn: format!(
            "host=127.0.0.1 port={} user=postgres dbname=postgres sslmode=disable",
            port("postgresql")
        ),
        name: postgres.name.clone(),
        file: None,
    };
    for (table, query, expected) in [
        (postgres, "SELECT ARRAY[1, 2, NULL]::int4[] AS v", json!([1, 2, null])),
        (postgres, "SELECT ARRAY[['a', 'b'], ['c', 'ü']] AS v", json!([["a", "b"], ["c", "ü"]])),
        (postgres, "SELECT ARRAY[]::text[] AS v", json!([])),
        (postgres, "SELECT ARRAY[1.50, -0.001]::numeric[] AS v", json!(["1.50", "-0.001"])),
        (postgres, "SELECT DATE '2026-02-28' AS v", json!("2026-02-28T00:00:00Z")),
        (postgres, "SELECT TIMESTAMPTZ '2026-02-28 12:00:00.5+02' AS v", json!("2026-02-28T10:00:00.5Z")),
        (postgres, "SELECT TIMESTAMP '1969-12-31 23:59:59' AS v", json!("1969-12-31T23:59:59Z")),
        (postgres, "SELECT TIMESTAMP 'infinity' AS v", json!("infinity")),
        (
            postgres,
            "SELECT NUMERIC '-12345678901234567890.000100' AS v",
            json!("-12345678901234567890.000100"),
        ),
        (postgres, "SELECT NUMERIC 'NaN' AS v", json!("NaN")),
        (postgres, "SELECT '{\"a\": [1]}'::jsonb AS v", json!("{\"a\": [1]}")),
        (&keys, "SELECT current_user::text AS v", json!("postgres")),
    ] {
        let rows: Json = serde_json::from_str(&table.run(query).await).expect("JSON");
        assert_eq!(rows, json!([{"v": expected}]), "{query}");
    }
    let mysql = tables.iter().find(|table| table.driver == "mysql").expect("one");
    for (query, expected) in [
        ("SELECT CAST(-1.500 AS DECIMAL(10,3)) AS v", json!("-1.500")),
        ("SELECT DATE '2026-02-28' AS v", json!("2026-02-28")),
        ("SELECT TIMESTAMP '2026-02-28 12:00:00' AS v", json!("2026-02-28 12:00:00")),
        ("SELECT TIMESTAMP '2026-02-28 12:00:00.250000' AS v", json!("2026-02-28 12:00:00.25")),
        ("SELECT 18446744073709551615 AS v", json!(18_446_744_073_709_551_615_u64)),
    ] {
        let rows: Json = serde_json::from_str(&mysql.run(query).await).expect("JSON");
        assert_eq!(rows, json!([{"v": expected}]), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_and_comes_back_loses_nothing() {
    for (service, driver) in [("postgresql", "postgres"), ("mariadb", "mysql")] {
        let own = Own::start(service);
        let dsn = match driver {
            "postgres" => format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable", own.port),
            _ => format!("root@tcp(127.0.0.1:{})/test", own.port),
        };
        let table = Table { driver, dsn, name: "numbers".to_owned(), file: None };
        let fields = json!({
            "columns": ["id"],
            "args_mapping": "root = [content().string().number()]",
            "init_statement": "CREATE TABLE IF NOT EXISTS numbers (id BIGINT)",
        });
        let writer = Stream::start(json!({"output": table.component("sql_insert", fields)}), &settings());
        writer.write(messages(["1"])).await.expect("inserted");
        own.stop();
        let waiting = writer.send(messages(["2"]));
        own.again();
        tokio::time::timeout(std::time::Duration::from_secs(30), waiting)
            .await
            .expect("in time")
            .expect("an outcome")
            .expect("inserted");
        let found = table.run("SELECT id FROM numbers ORDER BY id").await;
        assert_eq!(found, r#"[{"id":1},{"id":2}]"#, "{driver}");
        writer.stop().await;
    }
}

#[test]
fn what_cannot_work_is_refused_when_it_is_read() {
    let config = |fields: Json| {
        let processors = json!([{"sql_raw": fields}]);
        json!({"input": {"inproc": "a"}, "pipeline": {"processors": processors}, "output": {"drop": {}}})
    };
    for (fields, expected) in [
        (json!({"driver": "oracle", "dsn": "a", "query": "b"}), "the driver `oracle` is not offered"),
        (json!({"driver": "sqlite", "dsn": "file:a", "query": "b"}), "not allowed"),
        (json!({"driver": "postgres", "dsn": "a", "query": "b"}), "/dsn"),
        (json!({"driver": "mysql", "dsn": "a", "query": "b"}), "user:password@tcp"),
        (json!({"driver": "mysql", "dsn": "a@/b", "query": " "}), "must not be empty"),
        (json!({"driver": "mysql", "dsn": "a@/b", "query": "c", "iam_enabled": true}), "iam_enabled"),
        (json!({"driver": "mysql", "dsn": "a@/b", "query": "c", "init_files": ["d"]}), "init_files"),
    ] {
        let faults = build(&config(fields.clone()), &crate::ends::settings()).expect_err("it cannot work");
        assert!(faults.contains(expected), "{fields}: {faults}");
        assert!(!faults.contains("secret"), "{faults}");
    }
}

/// A statement that never comes to an end, and gives its rows as it finds them.
pub(crate) fn endless(driver: &str) -> &'static str {
    match driver {
        // MariaDB's numbers; a recursive table would be made whole before its first row.
        "mysql" => "SELECT seq AS n FROM seq_1_to_1000000000000000",
        _ => {
            "WITH RECURSIVE all_numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM all_numbers) SELECT n FROM all_numbers"
        }
    }
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| format!("{{\"n\":{n}}}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn inputs_read_rows_as_the_stream_takes_them() {
    for table in tables() {
        let input = table.component("sql_raw", json!({"query": endless(table.driver)}));
        let mut reader = Stream::start(json!({"input": input}), &settings());
        assert_eq!(reader.texts(1000).await, numbers(1..1001), "{}", table.driver);
        reader.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_row_comes_again() {
    for table in tables() {
        let input = table.component("sql_raw", json!({"query": endless(table.driver)}));
        let mut reader = Stream::reading_slowly(input, &settings());
        assert_eq!(reader.texts(1).await, numbers(1..2));
        let (batch, ack) = reader.next().await;
        assert_eq!(texts(&batch), numbers(2..3));
        ack.done(Err(NackReason::failed("not now")));
        let mut seen = reader.texts(20).await;
        assert!(seen.contains(&numbers(2..3)[0]), "{}: {seen:?}", table.driver);
        seen.retain(|row| *row != numbers(2..3)[0]);
        assert_eq!(seen, numbers(3..22), "{}", table.driver);
        reader.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_broke_off_come_again_from_the_first() {
    let own = Own::start("postgresql");
    let dsn = format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable", own.port);
    let fields = json!({"driver": "postgres", "dsn": dsn, "query": endless("postgres")});
    let mut reader = Stream::reading(json!({"sql_raw": fields}));
    assert_eq!(reader.texts(10).await, numbers(1..11));
    own.stop();
    own.again();
    // What was on its way still comes.
    let mut last = String::new();
    while last != numbers(1..2)[0] {
        last = reader.texts(1).await.remove(0);
    }
    assert_eq!(reader.texts(100).await, numbers(2..102));
    reader.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_too_much_for_one_message_are_given_up() {
    for table in tables() {
        let many = match table.driver {
            "mysql" => "SELECT REPEAT('x', 1000000) AS t FROM seq_1_to_1000000000000000".to_owned(),
            "postgres" => {
                endless("postgres").replace("SELECT n FROM", "SELECT repeat('x', 1000000) AS t FROM")
            }
            _ => endless("sqlite").replace("SELECT n FROM", "SELECT hex(zeroblob(500000)) AS t FROM"),
        };
        let fields = json!({"query": "${! content() }", "unsafe_dynamic_query": true, "conn_max_open": 1});
        let mut stream = table.through(json!([table.component("sql_raw", fields)]));
        drop(stream.send(messages([many.as_str(), "SELECT 1 AS n"])));
        let batch = stream.batch().await;
        let fault = batch[0].error().map(|text| text.to_string()).unwrap_or_default();
        assert!(fault.contains("more than 64 MiB") && fault.contains("ask for fewer"), "{fault}");
        assert_eq!(texts(&batch)[1], r#"[{"n":1}]"#, "{}: the pool goes on", table.driver);
        stream.stop().await;
    }
}
