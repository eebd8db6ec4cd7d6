//! What the tests of all kinds of plugins have in common.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;

use crate::{Answer, Outgoing, Outside, Request, Response, Spec};

/// A world in which every request is answered with what was asked, and which keeps texts.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) lines: Mutex<Vec<String>>,
    pub(crate) kept: Mutex<BTreeMap<String, String>>,
}

impl Outside for World {
    fn log(&self, line: &str) {
        self.lines.lock().push(line.to_owned());
    }

    fn send(&self, request: &Outgoing, _: Duration) -> Result<Answer, String> {
        if request.domain.is_empty() {
            return Err("nobody is there".to_owned());
        }
        let body = format!("{} {}{} {}", request.method, request.domain, request.resource, request.body);
        let headers = request.headers.iter().map(|(name, value)| (name.clone(), vec![value.clone()]));
        Ok(Answer { code: 201, body, headers: headers.collect() })
    }

    fn session(&self, key: &str, api: &str) -> Option<String> {
        (key == "known").then(|| format!("{{\"alias\":\"of {api}\"}}"))
    }

    fn put_session(&self, key: &str, session: &str, suppress_reset: bool) -> Result<(), String> {
        self.kept.lock().insert(key.to_owned(), format!("{session} {suppress_reset}"));
        Ok(())
    }

    fn batch(&self, requests: &str, _: Duration) -> Result<String, String> {
        Ok(format!("[{requests}]"))
    }

    fn stored(&self, name: &str) -> Result<Option<String>, String> {
        Ok(self.kept.lock().get(name).cloned())
    }

    fn store(&self, name: &str, text: &str, _: u64, new: bool) -> Result<bool, String> {
        let mut kept = self.kept.lock();
        let may = !(new && kept.contains_key(name));
        if may {
            kept.insert(name.to_owned(), text.to_owned());
        }
        Ok(may)
    }

    fn forget(&self, name: &str) -> Result<bool, String> {
        Ok(self.kept.lock().remove(name).is_some())
    }

    fn add(&self, name: &str, by: i64) -> Result<i64, String> {
        let mut kept = self.kept.lock();
        let sum = kept.get(name).and_then(|text| text.parse::<i64>().ok()).unwrap_or(0) + by;
        kept.insert(name.to_owned(), sum.to_string());
        Ok(sum)
    }

    fn seconds_left(&self, name: &str) -> Result<i64, String> {
        Ok(if self.kept.lock().contains_key(name) { -1 } else { -2 })
    }
}

pub(crate) fn request() -> Request {
    Request {
        headers: [("X-In".to_owned(), vec!["1".to_owned(), "2".to_owned()])].into(),
        url: "/a?b=c".to_owned(),
        params: [("b".to_owned(), vec!["c".to_owned()])].into(),
        method: "POST".to_owned(),
        request_uri: "/listen/a?b=c".to_owned(),
        scheme: "http".to_owned(),
        body: Some("hello".into()),
        ..Request::default()
    }
}

pub(crate) fn spec() -> Spec {
    Spec {
        org: "o".to_owned(),
        api: "a".to_owned(),
        config_data: serde_json::json!({"k": "v"}),
        bundle: String::new(),
    }
}

/// A record, as hooks on records see it.
pub(crate) const RECORD: &str =
    r#"{"path":"/users/7","api_key":"key","response_code":200,"latency":{"total":12},"tags":["gold"]}"#;

/// What each kind of plugin makes of it where it does what its tests ask.
pub(crate) fn edited(given: &str) {
    let given: serde_json::Value = serde_json::from_str(given).unwrap();
    let expected = serde_json::json!({
        "path": "/users/a", "response_code": 201, "latency": {"total": 13}, "tags": ["gold", "v"],
    });
    assert_eq!(given, expected);
}

/// An answer, as hooks on answers see it.
pub(crate) fn response() -> Response {
    Response {
        status_code: 200,
        headers: [("Server".to_owned(), vec!["u".to_owned()])].into(),
        body: Some("answer".into()),
        ..Response::default()
    }
}

/// Calls a plugin of any kind with the same request, and with an answer where its hook sees one.
macro_rules! call {
    ($host:expr, $name:expr, $hook:expr, $session:expr) => {{
        let answer = crate::testing::response();
        let (request, spec) = (crate::testing::request(), crate::testing::spec());
        let call = crate::Call {
            hook: $hook,
            request: &request,
            response: ($hook == crate::Hook::Response).then_some(&answer),
            session: $session,
            spec: &spec,
            raw_body_only: false,
        };
        $host.call($name, &call).await
    }};
}
pub(crate) use call;
