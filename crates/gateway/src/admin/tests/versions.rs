//! Requests to APIs with versions (contract 8.1), as clients send them.

use std::sync::Arc;

use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Admin, Reply, api, local_peer, oas, session};
use crate::body::RequestBody;

/// An upstream that answers with its name and the head of the request.
async fn upstream(name: &'static str) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut read = Vec::new();
                while !read.ends_with(b"\r\n\r\n") {
                    match socket.read_u8().await {
                        Ok(byte) => read.push(byte),
                        Err(_) => return,
                    }
                }
                let body = format!("{name} {}", String::from_utf8_lossy(&read));
                let head =
                    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
                let _ = socket.write_all((head + &body).as_bytes()).await;
            });
        }
    });
    format!("http://{address}")
}

/// Path, headers, status, and how the body begins: of a refusal, its message.
type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], u16, &'a str);

impl Admin {
    /// A request to an API.
    async fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        let mut request = Request::builder().uri(path).header("host", "here");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(RequestBody::none()).unwrap();
        let answer = crate::serve::serve(&self.gate, &Arc::new(local_peer()), request).await;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Reply {
            status: head.status.as_u16(),
            headers: head.headers,
            text: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    async fn expect(&self, about: &str, rows: &[Row<'_>]) {
        for (path, headers, status, begin) in rows {
            let reply = self.ask(path, headers).await;
            assert_eq!(reply.status, *status, "{about}: {path} {headers:?}: {reply:?}");
            let told = if *status == 200 {
                reply.text.as_str()
            } else {
                reply.text.split('"').nth(3).unwrap_or_default()
            };
            assert!(told.starts_with(begin), "{about}: {path} {headers:?}: {told}");
        }
    }
}

const UNKNOWN: &str = "This API version does not seem to exist";

/// The extension of a base, in both formats.
fn base(classic: bool, versioning: &Value, target: &str) -> Value {
    if classic {
        let mut base = open("base", target);
        base["definition"] = json!({
            "enabled": true, "name": versioning["name"], "default": versioning["default"],
            "location": versioning["location"], "key": versioning["key"],
            "strip_versioning_data": versioning["stripVersioningData"],
            "url_versioning_pattern": versioning["urlVersioningPattern"],
            "fallback_to_default": versioning["fallbackToDefault"],
            "versions": {"v2": "two", "gone": "nowhere"},
        });
        return base;
    }
    let mut base = oas("base");
    base["x-tyk-api-gateway"]["upstream"]["url"] = json!(target);
    let mut versioning = versioning.clone();
    versioning["enabled"] = json!(true);
    versioning["versions"] = json!([{"name": "v2", "id": "two"}, {"name": "gone", "id": "nowhere"}]);
    base["x-tyk-api-gateway"]["info"]["versioning"] = versioning;
    base
}

fn open(id: &str, target: &str) -> Value {
    let mut open = api(id);
    open["use_keyless"] = json!(true);
    open["proxy"]["target_url"] = json!(target);
    open
}

#[tokio::test]
async fn c8_1_rows_1_to_3_other_apis_serve_versions() {
    let (one, two) = (upstream("one").await, upstream("two").await);
    for classic in [false, true] {
        let admin = Admin::plain().await;
        let mut child = open("two", &two);
        child["internal"] = json!(true);
        admin.add("/apis", &child).await;
        let add = async |versioning: Value| {
            let path = if classic { "/apis" } else { "/apis/oas" };
            admin.add(path, &base(classic, &versioning, &one)).await;
        };

        add(json!({"name": "v1", "default": "self", "location": "header", "key": "X-V"})).await;
        admin
            .expect(
                "header",
                &[
                    ("/base/x", &[], 200, "one GET /x HTTP/1.1"),
                    ("/base/x", &[("x-v", "v1")], 200, "one GET /x"),
                    ("/base/x", &[("x-v", "v2")], 200, "two GET /x"),
                    ("/base/x?x-v=v2", &[], 200, "one GET /x?x-v=v2"),
                    ("/base/x", &[("x-v", "v3")], 404, UNKNOWN),
                    ("/base/x", &[("x-v", "gone")], 404, UNKNOWN),
                    ("/base/x", &[("x-v", "self")], 404, UNKNOWN),
                ],
            )
            .await;
        assert_eq!(admin.ask("/two/x", &[]).await.status, 404, "an internal API has no path of its own");
        assert!(admin.ask("/base/x", &[("x-v", "v2")]).await.text.contains("x-v: v2"), "not stripped");

        let stripped = json!({
            "name": "v1", "default": "v2", "location": "header", "key": "X-V", "stripVersioningData": true,
            "fallbackToDefault": true,
        });
        add(stripped).await;
        admin
            .expect(
                "stripped",
                &[
                    ("/base/x", &[], 200, "two GET /x"),
                    ("/base/x", &[("x-v", "v1")], 200, "one GET /x"),
                    ("/base/x", &[("x-v", "v3")], 200, "two GET /x"),
                ],
            )
            .await;
        assert!(!admin.ask("/base/x", &[("x-v", "v2")]).await.text.contains("x-v"), "stripped");

        add(json!({"name": "v1", "location": "url-param", "key": "v", "stripVersioningData": true})).await;
        admin
            .expect(
                "query",
                &[
                    ("/base/x?a=1&v=v2", &[], 200, "two GET /x?a=1 HTTP"),
                    ("/base/x?v=v1", &[], 200, "one GET /x HTTP"),
                    ("/base/x?v=v%32", &[], 200, "two GET /x HTTP"),
                    ("/base/x", &[], 403, "Version information not found"),
                    ("/base/x?v=", &[], 403, "Version information not found"),
                ],
            )
            .await;

        let path = json!({
            "name": "v1", "default": "gone", "location": "url", "stripVersioningData": true,
            "fallbackToDefault": true, "urlVersioningPattern": "^v[0-9]$",
        });
        add(path).await;
        admin
            .expect(
                "path",
                &[
                    ("/base/v2/x", &[], 200, "two GET /x HTTP"),
                    ("/base/v1/x", &[], 200, "one GET /x HTTP"),
                    ("/base/v3/x", &[], 500, "Internal Server Error"),
                ],
            )
            .await;
    }
}

fn versioned(one: &str, two: &str) -> Value {
    let mut versioned = open("base", one);
    versioned["definition"] = json!({"location": "header", "key": "x-v", "strip_versioning_data": true});
    versioned["version_data"] = json!({"not_versioned": false, "default_version": "v1", "versions": {
        "v1": {"name": "v1", "expires": "2099-01-02 03:04"},
        "v2": {"name": "v2", "expires": "", "override_target": two},
        "old": {"name": "old", "expires": "2001-02-03 04:05"},
    }});
    versioned
}

#[tokio::test]
async fn c2_4_rows_2_and_3_an_api_serves_its_versions_itself() {
    let (one, two) = (upstream("one").await, upstream("two").await);
    let admin = Admin::start(|settings| settings.version_header = Some("x-served".parse().unwrap())).await;
    admin.add("/apis", &versioned(&one, &two)).await;
    admin
        .expect(
            "own",
            &[
                ("/base/x", &[], 200, "one GET /x"),
                ("/base/x", &[("x-v", "v1")], 200, "one GET /x"),
                ("/base/x", &[("x-v", "v2")], 200, "two GET /x"),
                ("/base/x", &[("x-v", "v3")], 403, UNKNOWN),
                ("/base/x", &[("x-v", "old")], 403, "Api Version has expired"),
            ],
        )
        .await;
    let told = |reply: &Reply, name: &str| reply.header(name).map(str::to_owned);
    let reply = admin.ask("/base/x", &[]).await;
    assert_eq!(told(&reply, "x-served").as_deref(), Some("v1"));
    assert_eq!(told(&reply, "x-tyk-api-expires").as_deref(), Some("Fri, 02 Jan 2099 03:04:00 UTC"));
    let reply = admin.ask("/base/x", &[("x-v", "v2")]).await;
    assert_eq!((told(&reply, "x-served"), told(&reply, "x-tyk-api-expires")), (None, None));
    let reply = admin.ask("/base/x", &[("x-v", "old")]).await;
    assert_eq!(told(&reply, "x-tyk-api-expires"), None);

    let listed = admin.get("/apis/base/versions").await.json();
    let names: Vec<_> = listed["apis"].as_array().unwrap().iter().map(|api| &api["versionName"]).collect();
    assert_eq!(names, ["v1", "v2", "old"], "{listed}");
    assert_eq!(listed["apis"][2]["expirationDate"], "2001-02-03 04:05");

    // Without a default who names none is refused.
    let mut strict = versioned(&one, &two);
    strict["version_data"]["default_version"] = json!("");
    admin.put("/apis/base", &strict).await;
    admin.expect("strict", &[("/base/x", &[], 403, "Version information not found")]).await;
}

#[tokio::test]
async fn c4_4_row_20_keys_open_versions_one_by_one() {
    let (one, two) = (upstream("one").await, upstream("two").await);
    let admin = Admin::start(|settings| settings.keys.allow_master = true).await;
    let mut guarded = versioned(&one, &two);
    guarded["use_keyless"] = json!(false);
    admin.add("/apis", &guarded).await;
    let mut some = session(&["base"]);
    some["access_rights"]["base"]["versions"] = json!(["v2"]);
    admin.add("/keys/some", &some).await;
    admin.add("/keys/master", &json!({"org_id": "org"})).await;
    let denied = "Access to this API has been disallowed";
    admin
        .expect(
            "keys",
            &[
                ("/base/x", &[("authorization", "orgsome"), ("x-v", "v2")], 200, "two"),
                ("/base/x", &[("authorization", "orgsome"), ("x-v", "v1")], 403, denied),
                ("/base/x", &[("authorization", "orgsome")], 403, denied),
                ("/base/x", &[("authorization", "orgmaster")], 200, "one"),
                ("/base/x", &[("x-v", "old")], 403, "Api Version has expired"),
            ],
        )
        .await;
}

#[tokio::test]
async fn c2_1_row_4_an_api_ends() {
    let one = upstream("one").await;
    let admin = Admin::plain().await;
    let mut ended = open("ended", &one);
    ended["expiration"] = json!("2001-02-03 04:05");
    admin.add("/apis", &ended).await;
    let mut document = oas("ends");
    document["x-tyk-api-gateway"]["info"]["expiration"] = json!("2099-01-02 03:04");
    document["x-tyk-api-gateway"]["upstream"]["url"] = json!(one);
    admin.add("/apis/oas", &document).await;
    admin.expect("ended", &[("/ended/x", &[], 403, "API has expired"), ("/ends/x", &[], 200, "one")]).await;
    let reply = admin.ask("/ends/x", &[]).await;
    assert_eq!(reply.header("x-tyk-api-expires"), Some("Fri, 02 Jan 2099 03:04:00 UTC"));
}
