//! Statements and values that fail, and what it costs the others.

use std::sync::Arc;

use serde_json::json;
use streams::{Egress, Message};

use crate::databases::{Table, endless, settings, tables};
use crate::ends::{Stream, messages, texts, unique, until};
use crate::servers::port;

fn only(driver: &str) -> Table {
    tables().into_iter().find(|table| table.driver == driver).expect("one")
}

fn error(message: &Message) -> String {
    message.error().map(|text| text.to_string()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_statement_flags_its_message_only() {
    for table in tables() {
        table.create("id INTEGER PRIMARY KEY").await;
        let query = format!("INSERT INTO {} VALUES ({})", table.name, table.placeholder(1));
        let fields = json!({"query": query, "args_mapping": "root = [this.id]", "exec_only": true});
        let mut stream = table.through(json!([table.component("sql_raw", fields)]));
        drop(stream.send(messages([r#"{"id":1}"#, r#"{"id":1}"#, r#"{"id":2}"#, "no object"])));
        let batch = stream.batch().await;
        let flagged: Vec<bool> = batch.iter().map(|message| message.error().is_some()).collect();
        assert_eq!(flagged, [false, true, false, true], "{}", table.driver);
        assert_eq!(texts(&batch)[0], r#"{"id":1}"#, "exec_only leaves the message");
        stream.stop().await;
        assert_eq!(table.run(&format!("SELECT count(*) AS n FROM {}", table.name)).await, r#"[{"n":2}]"#);
        table.run(&format!("DROP TABLE {}", table.name)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_is_not_answered_ends_with_its_connection() {
    let dsn = format!("root@tcp(127.0.0.1:{})/test?timeout=5s&readTimeout=300ms", port("mariadb"));
    let fields = json!({
        "driver": "mysql", "dsn": dsn, "conn_max_open": 1, "unsafe_dynamic_query": true,
        "query": "SELECT SLEEP(${! content() }) AS s",
    });
    let mut stream = Stream::through(json!([{"sql_raw": fields}]));
    let began = std::time::Instant::now();
    drop(stream.send(messages(["30", "0"])));
    let batch = stream.batch().await;
    let fault = batch[0].error().map(|text| text.to_string()).unwrap_or_default();
    assert!(fault.contains("did not answer within 300ms"), "{fault}");
    // The only connection that the pool may have was made anew.
    assert_eq!((texts(&batch)[1].as_str(), batch[1].error()), (r#"[{"s":0}]"#, None));
    assert!(began.elapsed() < std::time::Duration::from_secs(20));
    stream.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_cannot_be_read_flag_their_row_only() {
    let tables = tables();
    let table = tables.iter().find(|table| table.driver == "postgres").expect("one");
    let query =
        "SELECT * FROM (VALUES (1, DATE '20000-01-01'), (2, DATE '2026-01-01')) AS v(n, d) ORDER BY n";
    let input = table.component("sql_raw", json!({"query": query}));
    let mut reader = Stream::start(json!({"input": input}), &settings());
    let (first, second) = (reader.take().await, reader.take().await);
    assert_eq!(crate::ends::text(&first), r#"{"d":null,"n":1}"#);
    let fault = first.error().map(|text| text.to_string()).unwrap_or_default();
    assert!(fault.starts_with("column `d` of the type date: "), "{fault}");
    assert_eq!(crate::ends::text(&second), r#"{"d":"2026-01-01T00:00:00Z","n":2}"#);
    assert_eq!(second.error(), None);
    until(|| reader.ended()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_cannot_be_read_keep_the_connection() {
    let table = only("postgres");
    let fields = json!({"query": "${! content() }", "unsafe_dynamic_query": true, "conn_max_open": 1});
    let mut stream = table.through(json!([table.component("sql_raw", fields)]));
    let pid = "SELECT pg_backend_pid() AS n";
    let unreadable = "SELECT n, point(n, 1) AS place FROM generate_series(1, 500) AS n";
    let endless = endless("postgres").replace("SELECT n FROM", "SELECT n, point(n, 1) AS place FROM");
    drop(stream.send(messages([pid, unreadable, pid, endless.as_str(), pid])));
    let batch = stream.batch().await;
    let expected =
        "column `place` of the type point: values of point are not read here; select it as `::text`";
    assert_eq!((error(&batch[1]).as_str(), error(&batch[3]).as_str()), (expected, expected));
    let seen = texts(&batch);
    assert_eq!(seen[0], seen[2], "the same connection");
    // So much is left that the connection costs less.
    assert_ne!(seen[2], seen[4], "another connection");
    assert_eq!((error(&batch[2]), error(&batch[4])), (String::new(), String::new()));
    stream.stop().await;
}

/// How long nothing must come.
const QUIET: std::time::Duration = std::time::Duration::from_millis(2500);

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_fails_after_some_rows_is_told_once() {
    let table = only("postgres");
    let name = unique("f").replace('-', "_");
    table
        .run(&format!(
            "CREATE FUNCTION {name}(n int) RETURNS int LANGUAGE plpgsql AS 'BEGIN IF n > 3 THEN RAISE EXCEPTION ''not here'' USING ERRCODE = ''0A000''; END IF; RETURN n; END'"
        ))
        .await;
    for (query, fault) in [
        ("SELECT 10 / (4 - n) AS v FROM generate_series(1, 9) AS n".to_owned(), "division by zero"),
        // PostgreSQL says so of statements that were prepared before a table changed, too.
        (format!("SELECT {name}(n) AS v FROM generate_series(1, 9) AS n"), "not here"),
    ] {
        let input = table.component("sql_raw", json!({"query": query}));
        let mut reader = Stream::start(json!({"input": input}), &settings());
        let seen = reader.rest(QUIET).await;
        assert_eq!(seen.len(), 3, "{query}: {seen:?}");
        let told = reader.last_error();
        assert!(told.contains("after 3 rows") && told.contains(fault), "{told}");
        until(|| reader.ended()).await;
    }
    table.run(&format!("DROP FUNCTION {name}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_is_refused_is_tried_again() {
    for table in tables() {
        let input = table.component("sql_select", json!({"columns": ["id"]}));
        let mut reader = Stream::start(json!({"input": input}), &settings());
        until(|| reader.last_error().contains(&table.name)).await;
        table.create("id INTEGER PRIMARY KEY").await;
        table.run(&format!("INSERT INTO {} VALUES (7)", table.name)).await;
        // It may see the table before the row is there, and has ended then.
        let seen = reader.rest(2 * QUIET).await;
        assert!(seen == ["{\"id\":7}"] || seen.is_empty() && reader.ended(), "{}: {seen:?}", table.driver);
        until(|| reader.ended()).await;
        table.run(&format!("DROP TABLE {}", table.name)).await;
    }
}

// The client libraries look names up by themselves: what they connect to is decided elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn servers_are_reached_where_a_policy_allows_it() {
    for (service, driver) in [("postgresql", "postgres"), ("mariadb", "mysql")] {
        let port = port(service);
        let dsn = match driver {
            "postgres" => format!("postgres://postgres@localhost:{port}/postgres?sslmode=prefer"),
            _ => format!("root@tcp(localhost:{port})/test?tls=preferred"),
        };
        let mut table = only(driver);
        table.dsn = dsn;
        let mut settings = settings();
        let allow = format!("127.0.0.0/8:{port}").parse().expect("a rule");
        settings.egress = Arc::new(Egress { allow: vec![allow], deny_private: true, ..Egress::default() });
        let query = json!({"query": "SELECT 1 AS n", "conn_max_open": 3});
        let processors = json!([table.component("sql_raw", query)]);
        let config = json!({"pipeline": {"threads": 3, "processors": processors}});
        let mut stream = Stream::start(config, &settings);
        for _ in 0..20 {
            drop(stream.send(messages(["{}"])));
        }
        for _ in 0..20 {
            let batch = stream.batch().await;
            assert_eq!((texts(&batch), error(&batch[0])), (vec![r#"[{"n":1}]"#.to_owned()], String::new()));
        }
        stream.stop().await;

        settings.egress = Arc::new(Egress { deny_private: true, ..Egress::default() });
        let mut stream = Stream::start(json!({"pipeline": {"processors": processors}}), &settings);
        drop(stream.send(messages(["{}"])));
        let told = error(&stream.batch().await[0]);
        assert!(told.contains("egress policy denies localhost"), "{told}");
        stream.stop().await;
    }
}
