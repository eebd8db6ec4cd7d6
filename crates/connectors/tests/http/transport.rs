//! TLS, proxies, and the egress policy.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use streams::Egress;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::ends::{Stream, messages, sample, settings};
use crate::server::{Server, answer, with};

fn output(url: &str, fields: Json) -> Json {
    let mut config = json!({"url": url, "retries": 0, "retry_period": "1ms"});
    config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({"http_client": config})
}

/// What becomes of one message.
async fn outcome(url: &str, fields: Json) -> Result<(), String> {
    let stream = Stream::writing(output(url, fields));
    let outcome = stream.write(messages(["m"])).await;
    stream.stop().await;
    outcome.map_err(|reason| reason.text().to_owned())
}

#[tokio::test]
async fn servers_prove_who_they_are_and_so_do_clients() {
    let open = Server::tls(false, |_| answer(200, "")).await;
    let strict = Server::tls(true, |_| answer(200, "")).await;
    let url = |server: &Server, host: &str| format!("https://{host}:{}/", server.address.port());
    let root = json!(sample("ca.crt"));
    let inline = std::fs::read_to_string(sample("ca.crt")).unwrap();
    let pair = |key: &str, password: &str| json!([{"cert_file": sample("client.crt"), "key_file": sample(key), "password": password}]);
    let key = std::fs::read_to_string(sample("client.key")).unwrap();
    let cert = std::fs::read_to_string(sample("client.crt")).unwrap();
    for (server, host, tls, expected) in [
        (&open, "127.0.0.1", json!({}), Err("certificate")),
        (&open, "localhost", json!({"enabled": true, "root_cas_file": root}), Ok(())),
        (&open, "localhost", json!({"enabled": true, "root_cas": inline}), Ok(())),
        (&open, "localhost", json!({"enabled": false, "root_cas_file": root}), Err("certificate")),
        (&open, "127.0.0.2", json!({"enabled": true, "root_cas_file": root}), Err("")),
        (&open, "127.0.0.1", json!({"enabled": true, "skip_cert_verify": true}), Ok(())),
        (&strict, "localhost", json!({"enabled": true, "root_cas_file": root}), Err("")),
        (
            &strict,
            "localhost",
            json!({"enabled": true, "root_cas_file": root, "client_certs": pair("client.key", "")}),
            Ok(()),
        ),
        (
            &strict,
            "localhost",
            json!({"enabled": true, "root_cas_file": root, "client_certs": [{"cert": cert, "key": key}]}),
            Ok(()),
        ),
        (
            &strict,
            "localhost",
            json!({"enabled": true, "root_cas_file": root, "client_certs": pair("client.encrypted.key", "hidden")}),
            Ok(()),
        ),
        (
            &strict,
            "localhost",
            json!({"enabled": true, "root_cas_file": root, "client_certs": pair("client.encrypted.key", "wrong")}),
            Err("decrypted"),
        ),
        (
            &strict,
            "localhost",
            json!({"enabled": true, "root_cas_file": root, "client_certs": pair("client.encrypted.key", "")}),
            Err("`password` is missing"),
        ),
        (
            &strict,
            "localhost",
            json!({"enabled": true, "root_cas_file": "/no/such.pem"}),
            Err("/no/such.pem"),
        ),
    ] {
        let told = outcome(&url(server, host), json!({"tls": tls})).await;
        match expected {
            Ok(()) => assert_eq!(told, Ok(()), "{host} {tls}"),
            Err(words) => {
                assert!(told.as_ref().is_err_and(|text| text.contains(words)), "{host} {tls}: {told:?}")
            }
        }
    }
    let versions: Vec<_> = open.seen().iter().map(|seen| seen.version).collect();
    assert!(versions.iter().all(|version| *version == hyper::Version::HTTP_2), "{versions:?}");
}

#[tokio::test]
async fn http_1_is_spoken_when_http_2_is_not_wanted_or_not_possible() {
    for fields in [json!({"transport": {"force_http2": false}}), json!({"headers": {"Host": "name.example"}})]
    {
        let server = Server::tls(false, |_| answer(200, "")).await;
        let mut all = json!({"tls": {"enabled": true, "skip_cert_verify": true}});
        all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        assert_eq!(outcome(&format!("https://{}/", server.address), all).await, Ok(()));
        assert_eq!(server.one().version, hyper::Version::HTTP_11, "{fields}");
    }
}

/// A proxy that opens tunnels, or passes plain requests on unread; what it was first told.
pub(crate) async fn proxy(
    to: std::net::SocketAddr,
    greeting: &'static [u8],
) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let task = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).await.unwrap();
            head.push(byte[0]);
        }
        let mut server = TcpStream::connect(to).await.unwrap();
        if greeting.is_empty() {
            server.write_all(&head).await.unwrap();
        } else {
            client.write_all(greeting).await.unwrap();
        }
        let text = String::from_utf8(head).unwrap();
        let _ = tokio::time::timeout(
            std::time::Duration::from_secs(5),
            tokio::io::copy_bidirectional(&mut client, &mut server),
        )
        .await;
        text
    });
    (address, task)
}

#[tokio::test]
async fn proxies_of_every_kind_are_gone_through() {
    // Plain HTTP: the proxy gets the whole address.
    let server = Server::start(|_| answer(200, "")).await;
    let (address, told) = proxy(server.address, b"").await;
    let fields = json!({"proxy_url": format!("http://user:pass@{address}")});
    assert_eq!(outcome("http://name.invalid/path", fields).await, Ok(()));
    let told = told.await.unwrap();
    assert!(told.starts_with("POST http://name.invalid/path HTTP/1.1\r\n"), "{told}");
    assert!(told.to_lowercase().contains("proxy-authorization: basic dxnlcjpwyxnz"), "{told}");

    // TLS: a tunnel, and the server alone reads the request.
    let server = Server::tls(false, |_| answer(200, "")).await;
    let (address, told) = proxy(server.address, b"HTTP/1.1 200 OK\r\n\r\n").await;
    let tls = json!({"enabled": true, "root_cas_file": sample("ca.crt")});
    let fields = json!({"proxy_url": format!("http://{address}"), "tls": tls});
    assert_eq!(outcome("https://server.test/path", fields).await, Ok(()));
    let told = told.await.unwrap();
    assert!(told.starts_with("CONNECT server.test:443 HTTP/1.1\r\n"), "{told}");
    assert_eq!(server.one().uri.path(), "/path");
    assert_eq!(server.one().header("proxy-authorization"), "(none)");

    // A proxy that refuses.
    let (address, _told) = proxy(server.address, b"HTTP/1.1 407 No\r\n\r\n").await;
    let fields = json!({"proxy_url": format!("http://{address}")});
    let told = outcome("https://server.test/path", fields).await.unwrap_err();
    assert!(told.contains("opens no way to server.test:443"), "{told}");
}

#[tokio::test]
async fn a_socks_proxy_resolves_the_name() {
    let server = Server::start(|_| answer(200, "")).await;
    let to = server.address;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let socks = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut hello = [0; 2];
        client.read_exact(&mut hello).await.unwrap();
        let mut methods = vec![0; usize::from(hello[1])];
        client.read_exact(&mut methods).await.unwrap();
        client.write_all(&[5, 0]).await.unwrap();
        let mut head = [0; 5];
        client.read_exact(&mut head).await.unwrap();
        assert_eq!(head[..4], [5, 1, 0, 3], "a name is asked for");
        let mut name = vec![0; usize::from(head[4]) + 2];
        client.read_exact(&mut name).await.unwrap();
        client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
        let mut server = TcpStream::connect(to).await.unwrap();
        let _ = tokio::time::timeout(
            std::time::Duration::from_secs(5),
            tokio::io::copy_bidirectional(&mut client, &mut server),
        )
        .await;
        String::from_utf8_lossy(&name[..name.len() - 2]).into_owned()
    });
    let fields = json!({"proxy_url": format!("socks5://{address}")});
    assert_eq!(outcome("http://name.invalid/", fields).await, Ok(()));
    assert_eq!(socks.await.unwrap(), "name.invalid");
}

#[tokio::test]
async fn the_egress_policy_is_asked_with_the_resolved_address_and_for_redirects() {
    let server = Server::start(|seen| match seen.uri.path() {
        "/away" => {
            let port = seen.header("host").rsplit_once(':').unwrap().1.to_owned();
            with(answer(307, ""), "location", &format!("http://localhost:{port}/"))
        }
        _ => answer(200, ""),
    })
    .await;
    let port = server.address.port();
    let public = Egress { deny_private: true, ..Egress::default() };
    let rule = |text: String| vec![text.parse().unwrap()];
    // A name that is allowed, but stands for an address that is not: rebinding.
    let rebound = Egress { allow: rule("localhost".to_owned()), deny_private: true, ..Egress::default() };
    let by_address =
        Egress { allow: rule("127.0.0.0/8".to_owned()), deny_private: true, ..Egress::default() };
    let no_name = Egress { deny: rule("localhost".to_owned()), ..Egress::default() };
    let no_port = Egress { deny: rule(format!("*:{port}")), ..Egress::default() };
    for (policy, place, allowed) in [
        (Egress::default(), "127.0.0.1/", true),
        (public.clone(), "127.0.0.1/", false),
        (public.clone(), "localhost/", false),
        (rebound, "localhost/", false),
        (by_address, "127.0.0.1/", true),
        (no_name.clone(), "127.0.0.1/", true),
        (no_name.clone(), "localhost/", false),
        (no_name, "127.0.0.1/away", false),
        (no_port, "127.0.0.1/", false),
    ] {
        let mut settings = settings();
        settings.egress = Arc::new(policy.clone());
        let url = format!("http://{}", place.replacen('/', &format!(":{port}/"), 1));
        let stream = Stream::start(json!({"output": output(&url, json!({}))}), &settings);
        let outcome = stream.write(messages(["m"])).await;
        match allowed {
            true => assert!(outcome.is_ok(), "{policy:?} {place}: {outcome:?}"),
            false => assert!(
                outcome.is_err_and(|reason| reason.text().contains("egress policy")),
                "{policy:?} {place}"
            ),
        }
        stream.stop().await;
    }
}
