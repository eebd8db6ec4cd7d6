//! Processor `javascript`: requests of scripts.

use serde_json::{Value as Json, json};

use crate::ends::{Stream, messages, texts};
use crate::server::{Server, answer};

fn script(code: &str) -> Json {
    json!([{ "javascript": { "code": code } }])
}

#[tokio::test]
async fn scripts_send_requests() {
    let server = Server::start(|seen| {
        let told = format!("{} {} {} {}", seen.method, seen.uri.path(), seen.header("x-a"), seen.text());
        answer(if seen.uri.path() == "/missing" { 404 } else { 200 }, told)
    })
    .await;
    let code = format!(
        "const say = (...a) => JSON.stringify(bento.v0_fetch(...a));
        bento.v0_msg_set_string(say('{0}') + say('{1}', {{'x-a': 1}}, 'post', 'body'))",
        server.url("/one"),
        server.url("/missing"),
    );
    let mut stream = Stream::through(script(&code));
    let sent = stream.send(messages(["x"]));
    let batch = stream.batch().await;
    assert!(crate::ends::within(sent).await.unwrap().is_ok());
    assert_eq!(
        texts(&batch),
        [r#"{"status":200,"body":"GET /one (none) "}{"status":404,"body":"POST /missing 1 body"}"#]
    );
    stream.stop().await;
}

#[tokio::test]
async fn a_request_that_fails_can_be_caught() {
    let code = "try { bento.v0_fetch('http://127.0.0.1:1/') } catch (e) { bento.v0_msg_set_string('caught: ' + e.message) }";
    let mut stream = Stream::through(script(code));
    let _sent = stream.send(messages(["x"]));
    let batch = stream.batch().await;
    assert!(texts(&batch)[0].starts_with("caught: http://127.0.0.1:1/: "), "{:?}", texts(&batch));
    stream.stop().await;
}
