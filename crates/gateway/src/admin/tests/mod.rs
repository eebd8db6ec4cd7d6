//! The admin API against the contract, row by row: a gate in this process, its answers as clients read them.

mod apis;
mod hosted;
mod import;
mod keys;
mod plugins;
mod rest;
mod sessions;
mod trial;
mod truth;
mod versions;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ::state::{Catalog, Draw, Meter, PolicySource, State};
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::body::RequestBody;
use crate::exchange::Peer;
use crate::gate::{Gate, Parts};
use crate::settings::Settings;
use crate::{Authenticators, KeepAlive, UpstreamSettings};
use apidef::UpstreamTls;

/// A gate without listeners, and its folder.
pub(super) struct Admin {
    pub(super) gate: Arc<Gate>,
    folder: PathBuf,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Admin {
    /// A gate with these settings, and keys in plain text unless they say otherwise.
    pub(super) async fn start(adjust: impl FnOnce(&mut Settings)) -> Self {
        Self::start_with(Authenticators::default(), adjust).await
    }

    /// The same with plugins.
    pub(super) async fn start_with(
        authenticators: Authenticators,
        adjust: impl FnOnce(&mut Settings),
    ) -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("sluicegate-admin-{}-{number}", std::process::id()));
        for part in ["apps", "policies"] {
            std::fs::create_dir_all(folder.join(part)).unwrap();
        }
        let mut settings = Settings { secret: Some("secret".into()), ..Settings::default() };
        settings.keys.hashed = false;
        settings.app_path = folder.join("apps");
        adjust(&mut settings);
        let (gate, requests) = Gate::new(Parts {
            answers: None,
            settings,
            state: State::embedded(None).unwrap(),
            catalog: Catalog::files(folder.join("apps"), PolicySource::Folder(folder.join("policies"))),
            stores: Arc::default(),
            upstream: UpstreamSettings::new(
                Duration::from_secs(10),
                KeepAlive::default(),
                false,
                false,
                UpstreamTls::default(),
            )
            .unwrap(),
            streams: streams::Settings::new(streams::Registry::standard()),
            offered: None,
            acme: None,
            authenticators,
            records: None,
            tracer: None,
        });
        tokio::spawn(crate::reload::run(Arc::clone(&gate), requests));
        gate.reload().await.unwrap();
        Self { gate, folder }
    }

    pub(super) async fn plain() -> Self {
        Self::start(|_| {}).await
    }

    /// A call below `/tyk`, with the secret.
    pub(super) async fn call(&self, method: &str, path: &str, body: &str) -> Reply {
        self.send(method, &format!("/tyk{path}"), body, Some("secret")).await
    }

    pub(super) async fn send(&self, method: &str, path: &str, body: &str, secret: Option<&str>) -> Reply {
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
        if let Some(secret) = secret {
            request = request.header("x-tyk-authorization", secret);
        }
        let request = request.body(RequestBody::full(body.to_owned().into())).unwrap();
        let (head, body) = super::answer(&self.gate, &local_peer(), request).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let reply = Reply {
            status: head.status.as_u16(),
            headers: head.headers,
            text: String::from_utf8(body.to_vec()).unwrap(),
        };
        truth::check(method, path, &reply);
        reply
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, "").await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.call("POST", path, &body.to_string()).await
    }

    pub(super) async fn put(&self, path: &str, body: &Value) -> Reply {
        self.call("PUT", path, &body.to_string()).await
    }

    pub(super) async fn delete(&self, path: &str) -> Reply {
        self.call("DELETE", path, "").await
    }

    /// Adds something, and expects it to be taken.
    pub(super) async fn add(&self, path: &str, body: &Value) {
        let reply = self.post(path, body).await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
    }

    /// Runs a table of calls: method, path, body, status, and what the body is. Of an error only the message is named.
    pub(super) async fn table(&self, rows: &[(&str, &str, &str, u16, Value)]) {
        for (method, path, body, status, expected) in rows {
            let reply = self.call(method, path, body).await;
            assert_eq!(reply.status, *status, "{method} {path} {body}: {reply:?}");
            assert_eq!(reply.header("content-type"), Some("application/json"), "{method} {path}");
            if *status == 200 {
                assert_eq!(reply.json(), *expected, "{method} {path} {body}");
            } else {
                let json = reply.json();
                assert_eq!(json["status"], "error", "{method} {path}: {reply:?}");
                assert_eq!(json["message"], *expected, "{method} {path} {body}");
                assert!(reply.text.ends_with('\n'), "{method} {path}");
            }
        }
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.gate.close();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

/// A classic API that keys open.
pub(super) fn api(id: &str) -> Value {
    json!({
        "api_id": id, "org_id": "org", "name": id, "active": true, "use_keyless": false, "use_standard_auth": true,
        "auth_configs": {"authToken": {"auth_header_name": "Authorization"}},
        "version_data": {"not_versioned": true, "versions": {"Default": {"name": "Default", "use_extended_paths": true}}},
        "proxy": {"listen_path": format!("/{id}/"), "target_url": "http://127.0.0.1:1", "strip_listen_path": true},
    })
}

/// An OAS definition that is open.
pub(super) fn oas(id: &str) -> Value {
    json!({
        "openapi": "3.0.3", "info": {"title": id, "version": "1"}, "paths": {},
        "x-tyk-api-gateway": {
            "info": {"id": id, "orgId": "org", "name": id, "state": {"active": true}},
            "upstream": {"url": "http://127.0.0.1:1"},
            "server": {"listenPath": {"value": format!("/{id}/"), "strip": true}},
        },
    })
}

/// A session that opens these APIs.
pub(super) fn session(apis: &[&str]) -> Value {
    let rights: serde_json::Map<String, Value> =
        apis.iter().map(|api| ((*api).to_owned(), json!({"api_id": api, "versions": ["Default"]}))).collect();
    json!({"org_id": "org", "access_rights": rights})
}

/// A client on this machine, without TLS.
fn local_peer() -> Peer {
    Peer {
        address: std::net::Ipv4Addr::LOCALHOST.into(),
        text: http::HeaderValue::from_static("127.0.0.1"),
        control: false,
        tls: None,
        takeover: None,
        cut: None,
        own: None,
        port: None,
    }
}

/// Counts one request against a quota of 10.
pub(super) async fn count_quota(gate: &Gate, name: &str, seconds: u64) {
    let draw = Draw {
        meter: Meter::Quota,
        name,
        limit: 10.0,
        per: Duration::from_secs(seconds),
        cost: 1,
        counts_refused: true,
        found: None,
        steps: None,
    };
    gate.state.draw(&[draw], crate::clock::unix_now()).await.unwrap();
}
