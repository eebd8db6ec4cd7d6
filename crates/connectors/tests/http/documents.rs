//! Schemas that processors of other crates have fetched.

use std::sync::Arc;

use serde_json::json;
use streams::{Egress, Message, Processors};

use crate::ends::settings;
use crate::server::{Server, answer, with};

#[tokio::test]
async fn a_schema_is_fetched_once_where_the_egress_policy_allows_it() {
    let server = Server::start(|seen| match seen.uri.path() {
        "/moved" => with(answer(302, ""), "location", "/schema"),
        "/schema" => answer(200, r#"{"type":"string"}"#),
        "/large" => answer(200, vec![b' '; (16 << 20) + 1]),
        _ => answer(404, "none"),
    })
    .await;
    let denied = Egress { deny_private: true, ..Egress::default() };
    for (path, egress, expected) in [
        ("/schema", Egress::default(), ["", "(root) 5 is not of type"]),
        ("/moved", Egress::default(), ["", "(root) 5 is not of type"]),
        ("/gone", Egress::default(), ["unexpected response code 404"; 2]),
        ("/large", Egress::default(), ["the answer is longer than 16777216 bytes"; 2]),
        ("/schema", denied, ["the egress policy denies"; 2]),
    ] {
        let mut settings = settings();
        codecs::register(Arc::make_mut(&mut settings.registry));
        settings.egress = Arc::new(egress);
        let before = server.seen().len();
        let list = json!([{ "json_schema": { "schema_path": server.url(path) } }]);
        let processors = Processors::build(&list, "", &settings).unwrap();
        for (payload, expected) in ["\"x\"", "5"].into_iter().zip(expected) {
            let made = processors.run(vec![Message::new(payload)]).await;
            let fault = made[0][0].error().map(ToString::to_string).unwrap_or_default();
            assert!(fault.contains(expected) && fault.is_empty() == expected.is_empty(), "{path}: {fault}");
        }
        assert!(server.seen().len() - before <= 2, "{path}: it was asked for again");
    }
}
