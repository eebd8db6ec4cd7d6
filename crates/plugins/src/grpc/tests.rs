//! Against a real server of the protocol.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use apidef::{AccessDefinition, AllowedUrl, Session};
use tonic::body::Body;
use tonic::server::{Grpc as Server, UnaryService};
use tower_service::Service;

use super::*;
use crate::Spec;

/// Dispatches by the name of the hook.
#[derive(Clone)]
struct Dispatcher;

impl tonic::server::NamedService for Dispatcher {
    const NAME: &'static str = "coprocess.Dispatcher";
}

struct Dispatch;

impl UnaryService<Object> for Dispatch {
    type Response = Object;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<Object>, tonic::Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Object>) -> Self::Future {
        let mut object = request.into_inner();
        Box::pin(async move {
            match &object.hook_name.clone()[..] {
                "change" => {
                    let seen = format!("{object:?}");
                    let request = object.request.get_or_insert_default();
                    request.set_headers.insert("X-Seen".to_owned(), seen);
                    request.add_params.insert("n".to_owned(), "5".to_owned());
                    request.delete_headers.push("X-In".to_owned());
                    request.url = "/other".to_owned();
                    request.method = "PUT".to_owned();
                    request.body.push_str(" world");
                }
                "raw" => object.request.get_or_insert_default().raw_body = b"\xff\xfe".to_vec(),
                "answer" => {
                    let overrides =
                        object.request.get_or_insert_default().return_overrides.get_or_insert_default();
                    overrides.response_code = 418;
                    overrides.response_error = "tea".to_owned();
                    overrides.headers.insert("X-Pot".to_owned(), "1".to_owned());
                }
                "auth" => {
                    object.metadata.insert("token".to_owned(), "the-key".to_owned());
                    let session = object.session.get_or_insert_default();
                    session.rate = 5.0;
                    session.metadata.insert("new".to_owned(), "text".to_owned());
                }
                "response" => {
                    let response = object.response.get_or_insert_default();
                    response.status_code = 202;
                    response.raw_body = b"made".to_vec();
                    response.headers.remove("Server");
                    response.multivalue_headers.retain(|header| header.key != "Server");
                    response.headers.insert("X-One".to_owned(), "1".to_owned());
                    let values = vec!["1".to_owned(), "2".to_owned()];
                    response.multivalue_headers.push(Header { key: "X-Two".to_owned(), values });
                }
                "record" => {
                    let request = object.request.get_or_insert_default();
                    let mut record: Value = serde_json::from_str(&request.body).unwrap_or_default();
                    record["path"] = "/users/a".into();
                    record["response_code"] = 201.into();
                    record["latency"]["total"] = 13.into();
                    record["tags"] = serde_json::json!([
                        "gold",
                        serde_json::from_str::<Value>(&object.spec["config_data"]).unwrap()["k"]
                    ]);
                    record.as_object_mut().unwrap().remove("api_key");
                    request.body = record.to_string();
                }
                "nothing given" => object = Object::default(),
                "hangs" => std::future::pending().await,
                "same" => {}
                other => return Err(tonic::Status::not_found(format!("no hook {other}"))),
            }
            Ok(tonic::Response::new(object))
        })
    }
}

impl Service<http::Request<Body>> for Dispatcher {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let codec: ProstCodec<Object, Object> = ProstCodec::default();
            Ok(Server::new(codec).unary(Dispatch, request).await)
        })
    }
}

/// A server on a free port, and where it is.
async fn server() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    let serving = tonic::transport::Server::builder().add_service(Dispatcher).serve_with_incoming(incoming);
    tokio::spawn(serving);
    format!("tcp://{address}")
}

fn servers(address: &str) -> Servers {
    Servers::new(Settings {
        servers: address.to_owned(),
        authority: "localhost".to_owned(),
        largest_answer: 4 << 20,
        largest_question: 4 << 20,
        time: Duration::from_secs(2),
    })
    .unwrap()
}

async fn call(servers: &Servers, name: &str, hook: Hook) -> Result<Outcome, Fault> {
    let request = Request {
        headers: [("X-In".to_owned(), vec!["1".to_owned(), "2".to_owned()])].into(),
        url: "/a?b=c".to_owned(),
        params: [("b".to_owned(), vec!["c".to_owned()])].into(),
        method: "POST".to_owned(),
        request_uri: "/listen/a?b=c".to_owned(),
        scheme: "http".to_owned(),
        body: Some("hello".into()),
        ..Request::default()
    };
    let response = Response {
        status_code: 200,
        headers: [("Server".to_owned(), vec!["u".to_owned()]), ("X-Stays".to_owned(), vec!["s".to_owned()])]
            .into(),
        body: Some("answer".into()),
        ..Response::default()
    };
    let right = AccessDefinition {
        api_id: "a".to_owned(),
        allowed_urls: vec![AllowedUrl {
            url: "/a".to_owned(),
            methods: vec!["GET".to_owned()],
            ..Default::default()
        }],
        disable_introspection: true,
        ..AccessDefinition::default()
    };
    let session = Session {
        alias: "me".to_owned(),
        access_rights: [("a".to_owned(), right)].into(),
        meta_data: serde_json::from_str(r#"{"n": 5, "t": "x"}"#).unwrap(),
        ..Session::default()
    };
    let spec = Spec {
        org: "o".to_owned(),
        api: "a".to_owned(),
        config_data: serde_json::json!({"k": "v"}),
        bundle: "b".to_owned(),
    };
    let response = (hook == Hook::Response).then_some(&response);
    let call = Call {
        hook,
        request: &request,
        response,
        session: Some(&session),
        spec: &spec,
        raw_body_only: false,
    };
    let outcome = servers.call(name, &call).await?;
    if let Some(given) = &outcome.session
        && name == "same"
    {
        assert_eq!(
            **given, session,
            "a session that is not touched stays, with what the protocol does not know"
        );
    }
    Ok(outcome)
}

#[tokio::test]
async fn c9_3_rows_1_2_5_requests_are_seen_and_changed() {
    let servers = servers(&server().await);
    let made = call(&servers, "change", Hook::PostKeyAuth).await.unwrap().request;
    let seen = &made.set_headers["X-Seen"];
    for part in [
        "hook_type: PostKeyAuth",
        r#""X-In": "1""#,
        r#"body: "hello""#,
        r#"url: "/a?b=c""#,
        r#""b": "c""#,
        r#"method: "POST""#,
        r#"request_uri: "/listen/a?b=c""#,
        r#"scheme: "http""#,
        r#""APIID": "a""#,
        r#""OrgID": "o""#,
        r#""bundle_hash": "b""#,
        r#""config_data": "{\"k\":\"v\"}""#,
        r#"alias: "me""#,
        r#""n": "5""#,
    ] {
        assert!(seen.contains(part), "{part} is not in {seen}");
    }
    assert_eq!((&made.url[..], &made.method[..], &made.add_params["n"][..]), ("/other", "PUT", "5"));
    assert_eq!(
        (made.delete_headers, made.body.as_deref()),
        (vec!["X-In".to_owned()], Some(&b"hello world"[..]))
    );
    assert_eq!(made.return_overrides.response_code, 0);
    let made = call(&servers, "raw", Hook::Pre).await.unwrap().request;
    assert_eq!(made.body.as_deref(), Some(&b"\xff\xfe"[..]));
    let made = call(&servers, "same", Hook::Pre).await.unwrap().request;
    assert_eq!(made.body, None);
}

#[tokio::test]
async fn c9_3_row_1_plugins_answer_authenticate_and_change_answers() {
    let servers = servers(&server().await);
    let overrides = call(&servers, "answer", Hook::Pre).await.unwrap().request.return_overrides;
    assert_eq!((overrides.response_code, overrides.text()), (418, "tea"));
    assert_eq!(overrides.response_headers["X-Pot"], "1");
    let outcome = call(&servers, "auth", Hook::Auth).await.unwrap();
    assert_eq!(outcome.metadata["token"], "the-key");
    let session = outcome.session.unwrap();
    assert_eq!(
        (session.rate, &session.meta_data["new"], &session.meta_data["n"]),
        (5.0, &"text".into(), &5.into())
    );
    let response = call(&servers, "response", Hook::Response).await.unwrap().response.unwrap();
    assert_eq!((response.status_code, response.body.as_deref()), (202, Some(&b"made"[..])));
    assert_eq!(response.delete_headers, ["Server"]);
    assert_eq!(
        (&response.set_headers["X-One"][..], response.set_headers["X-Two"].len()),
        (&["1".to_owned()][..], 2)
    );
    assert!(!response.set_headers.contains_key("X-Stays"));
}

#[tokio::test]
async fn c9_3_row_4_servers_that_are_slow_or_away_are_faults_of_the_call() {
    let servers = servers(&server().await);
    assert_eq!(call(&servers, "hangs", Hook::Pre).await.unwrap_err(), Fault::Late(Duration::from_secs(2)));
    let fault = call(&servers, "nothing", Hook::Pre).await.unwrap_err().to_string();
    assert!(fault.contains("no hook nothing"), "{fault}");
    // Nobody listens on a port that was just free.
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let away = super::tests::servers(&format!("tcp://{free}"));
    let fault = call(&away, "same", Hook::Pre).await.unwrap_err();
    assert!(matches!(&fault, Fault::Away(text) if text.contains("refused")), "{fault}");
}

#[tokio::test]
async fn c9_1_records_go_to_servers_as_bodies_of_an_unknown_hook() {
    let servers = servers(&server().await);
    let spec = crate::testing::spec();
    crate::testing::edited(&servers.record("record", crate::testing::RECORD, &spec).await.unwrap());
    assert_eq!(servers.record("same", crate::testing::RECORD, &spec).await.unwrap(), crate::testing::RECORD);
    let fault = servers.record("nothing given", crate::testing::RECORD, &spec).await.unwrap_err();
    assert!(matches!(fault, Fault::Shape(_)), "{fault}");
}

#[tokio::test]
async fn servers_beyond_the_border_are_not_reached() {
    #[derive(Debug)]
    struct Closed;
    impl Border for Closed {
        fn check(&self, host: &str, port: u16, _: std::net::IpAddr) -> Result<(), String> {
            Err(format!("{host}:{port} is not for you"))
        }
        fn check_socket(&self, path: &str) -> Result<(), String> {
            Err(format!("{path} is not for you"))
        }
    }
    let border: Arc<dyn Border> = Arc::new(Closed);
    let settings = |address: &str| servers(address).settings;
    let closed = Servers::within(settings(&server().await), Some(&border)).unwrap();
    let fault = call(&closed, "same", Hook::Pre).await.unwrap_err().to_string();
    assert!(fault.contains("is not for you"), "{fault}");
    let fault = Servers::within(settings("unix:///tmp/p.sock"), Some(&border)).unwrap_err().to_string();
    assert!(fault.contains("/tmp/p.sock is not for you"), "{fault}");
}
