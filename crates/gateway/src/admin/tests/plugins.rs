//! Plugins that say who is calling, as a host of them sees it (contract 5.8).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use apidef::{Custom, Session};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::{Admin, api, local_peer};
use crate::body::RequestBody;
use crate::{Asked, Authenticator, Authenticators, Denied, Identified};

/// Lets in who sends a name that it has a session for: in a header, or as the body.
#[derive(Debug)]
struct Names;

impl Authenticator for Names {
    fn wants_body(&self, plugin: &Custom) -> bool {
        plugin.raw_body_only
    }

    fn identify<'a>(
        &'a self,
        asked: Asked<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Identified, Denied>> + Send + 'a>> {
        let name = match asked.head.headers.get("name") {
            Some(name) => name.as_bytes().to_vec(),
            None => asked.body.to_vec(),
        };
        let answer = match &*name {
            b"ann" => Ok(json!({"access_rights": {asked.api: {"api_id": asked.api}}})),
            b"bob" => Ok(json!({"access_rights": {"other": {"api_id": "other"}}})),
            b"late" => Ok(json!({"expires": 1})),
            b"lost" => Ok(json!({"apply_policies": ["none"]})),
            b"" => Err(Denied::Refused(
                StatusCode::IM_A_TEAPOT,
                format!("{} wants a name", asked.plugin.function),
            )),
            b"odd" => Err(Denied::Refused(StatusCode::OK, String::new())),
            _ => Err(Denied::Failed("it broke".into())),
        };
        let answer = answer.map(|session: Value| {
            let session: Session = serde_json::from_value(session).unwrap();
            Identified { key: String::from_utf8(name.clone()).unwrap(), session }
        });
        Box::pin(async move { answer })
    }
}

fn guarded(driver: &str, check: Value) -> Value {
    let mut api = api("a");
    api["use_standard_auth"] = json!(false);
    api["custom_plugin_auth_enabled"] = json!(true);
    api["custom_middleware"] = json!({"driver": driver, "auth_check": check});
    api["proxy"] = json!({"listen_path": "/a/", "target_url": "http://127.0.0.1:1"});
    api
}

async fn ask(admin: &Admin, name: Option<&str>, body: &str) -> (u16, String) {
    let mut request = Request::builder().uri("/a/x");
    if let Some(name) = name {
        request = request.header("name", name);
    }
    let request = request.body(RequestBody::full(body.to_owned().into())).unwrap();
    let (head, body) = crate::serve::serve(&admin.gate, &Arc::new(local_peer()), request).await.into_parts();
    let text = body.collect().await.unwrap().to_bytes();
    let told: Value = serde_json::from_slice(&text).unwrap_or_default();
    (head.status.as_u16(), told["error"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_plugin_says_who_is_calling() {
    let admin = Admin::start_with(Authenticators::default().with("names", Arc::new(Names)), |_| {}).await;
    let problem = (500, "There was a problem with the authentication of this request".to_owned());
    let disallowed = "Access to this API has been disallowed".to_owned();
    // The upstream is not there: whoever is let in reads so.
    let let_in = (500, "There was a problem proxying the request".to_owned());
    for (check, by_body) in
        [(json!({"name": "who"}), false), (json!({"name": "who", "raw_body_only": true}), true)]
    {
        let reply = match by_body {
            false => admin.post("/apis", &guarded("names", check)).await,
            true => admin.put("/apis/a", &guarded("names", check)).await,
        };
        assert_eq!(reply.status, 200, "{reply:?}");
        admin.get("/reload?block=true").await;
        for (name, expected) in [
            ("ann", let_in.clone()),
            ("bob", (403, disallowed.clone())),
            ("late", (401, "Key has expired, please renew".to_owned())),
            ("lost", problem.clone()),
            ("broken", problem.clone()),
            ("odd", problem.clone()),
        ] {
            let answer =
                if by_body { ask(&admin, None, name).await } else { ask(&admin, Some(name), "").await };
            assert_eq!(answer, expected, "{name} {by_body}");
        }
        assert_eq!(ask(&admin, None, "").await, (418, "who wants a name".to_owned()));
    }
    assert_eq!(admin.get("/keys").await.json()["keys"], json!([]), "nothing is stored");
}

#[tokio::test]
async fn a_plugin_that_nothing_runs_leaves_nothing_open() {
    let admin = Admin::plain().await;
    let reply = admin.post("/apis", &guarded("grpc", json!({"name": "who"}))).await;
    assert!(reply.status >= 400, "{reply:?}");
    assert!(reply.text.contains("no server of plugins is known"), "{reply:?}");
    admin.get("/reload?block=true").await;
    assert_eq!(ask(&admin, Some("ann"), "").await.0, 404, "it is not served");
}
