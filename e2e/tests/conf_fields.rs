//! Settings of the gate that no other test names, each seen to do what it says (contract 1.3).

use std::process::Command;
use std::sync::Arc;

use e2e::definition::keyless;
use e2e::{Authority, Dispatcher, Gate, Spoken, Upstream};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

fn with(mut api: Value, more: Value) -> Value {
    api.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    api
}

/// An upstream that speaks only these versions of TLS, and says `ok`. Its port.
async fn speaking(authority: &Authority, versions: &[&'static SupportedProtocolVersion]) -> u16 {
    let (certificate, key) = authority.sign(&["localhost"]);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut socket) = acceptor.accept(socket).await else { return };
                let mut read = Vec::new();
                while !read.ends_with(b"\r\n\r\n")
                    && socket.read_buf(&mut read).await.is_ok_and(|read| read > 0)
                {}
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
                let _ = socket.write_all(answer).await;
                let _ = socket.shutdown().await;
            });
        }
    });
    port
}

#[tokio::test]
async fn c1_3_tls_towards_upstreams_is_as_the_gate_has_it_for_all() {
    let authority = Authority::new();
    let old = speaking(&authority, &[&version::TLS12]).await;
    let new = speaking(&authority, &[&version::TLS13]).await;
    for (conf, of_old, of_new) in [
        (json!({}), 200, 200),
        (json!({"proxy_ssl_min_version": 772}), 500, 200),
        (json!({"proxy_ssl_max_version": 771}), 200, 500),
        (json!({"proxy_ssl_ciphers": ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]}), 500, 200),
        (json!({"proxy_ssl_ciphers": ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]}), 200, 200),
    ] {
        let gate = Gate::setup()
            .conf(json!({"proxy_ssl_insecure_skip_verify": true}))
            .conf(conf.clone())
            .api(keyless("old", &format!("https://localhost:{old}")))
            .api(keyless("new", &format!("https://localhost:{new}")))
            .start()
            .await;
        let found = (gate.get("/old/x", &[]).await.status, gate.get("/new/x", &[]).await.status);
        assert_eq!(found, (of_old, of_new), "{conf}: {}", gate.log());
    }
}

#[tokio::test]
async fn c1_3_messages_to_and_from_servers_of_plugins_are_bounded_and_addressed() {
    let (upstream, dispatcher) = (Upstream::start().await, Dispatcher::start().await);
    let hooks = json!({"custom_middleware": {"driver": "grpc", "post": [{"name": "request"}]}});
    let api = with(keyless("p", &upstream.url("")), hooks);
    let large = "x".repeat(8000);
    for (more, small, big, asked) in [
        (json!({}), 200, 200, 2),
        (json!({"grpc_recv_max_size": 4000}), 200, 500, 2),
        (json!({"grpc_send_max_size": 4000}), 200, 500, 1),
    ] {
        let options = with(
            json!({"enable_coprocess": true, "coprocess_grpc_server": dispatcher.address(), "grpc_authority": "plugins.test"}),
            more.clone(),
        );
        let gate = Gate::setup().conf(json!({"coprocess_options": options})).api(api.clone()).start().await;
        let before = dispatcher.calls();
        assert_eq!(gate.get("/p/x", &["-d", "small"]).await.status, small, "{more}: {}", gate.log());
        assert_eq!(gate.get("/p/x", &["-d", &large]).await.status, big, "{more}: {}", gate.log());
        assert_eq!(dispatcher.calls() - before, asked, "{more}");
    }
    assert!(
        dispatcher.authorities().iter().all(|authority| authority == "plugins.test"),
        "{:?}",
        dispatcher.authorities()
    );
}

#[tokio::test]
async fn c1_3_python_is_the_version_that_is_named_and_imports_from_the_folder_that_is() {
    let upstream = Upstream::start().await;
    let text =
        "import own\ndef hook(request, session, spec):\n    request.object.set_headers['X-Own'] = own.word\n";
    let hooks =
        json!({"custom_middleware": {"driver": "python", "pre": [{"name": "hook", "path": "hook.py"}]}});
    let api = with(keyless("p", &upstream.url("")), hooks);
    let version = Command::new("python3")
        .args(["-c", "import sys; print('%d' % sys.version_info[0])"])
        .output()
        .unwrap();
    let version = String::from_utf8(version.stdout).unwrap().trim().to_owned();
    for (version, path, told) in [
        (version.as_str(), "lib", None),
        ("", "lib", None),
        ("", "", Some("No module named 'own'")),
        ("9.9", "lib", Some("`python9.9` cannot be started")),
    ] {
        let gate =
            Gate::setup().file("lib/own.py", "word = 'found'\n").file("middleware/hook.py", text).prepare();
        let path = if path.is_empty() { String::new() } else { gate.dir().join(path).display().to_string() };
        let options =
            json!({"enable_coprocess": true, "python_version": version, "python_path_prefix": path});
        let conf = gate.dir().join("tyk.conf");
        let mut written: Value = serde_json::from_slice(&std::fs::read(&conf).unwrap()).unwrap();
        written["coprocess_options"] = options;
        gate.write("tyk.conf", &written.to_string());
        let mut gate = gate;
        gate.start().await;
        let reply = gate.admin().post("/apis", &api).await;
        match told {
            None => {
                assert_eq!(reply.status, 200, "{version}: {}", reply.text());
                gate.admin().reload().await;
                assert_eq!(gate.get("/p/x", &[]).await.json()["headers"]["x-own"][0], "found", "{version}");
            }
            Some(told) => {
                assert!(reply.status == 400 && reply.text().contains(told), "{version}: {}", reply.text());
            }
        }
    }
}

#[tokio::test]
async fn c8_10_stores_are_asked_in_their_place_and_in_their_version() {
    let upstream = Upstream::start().await;
    let store = Spoken::start(|request| match request {
        request if request.starts_with("GET /v1/kv/word?raw=true&dc=south ") => {
            (200, "of the south".to_owned())
        }
        request if request.starts_with("GET /v1/secret/team ") => {
            (200, json!({"data": {"word": "of the first version"}}).to_string())
        }
        request if request.starts_with("GET /v1/secret/data/team ") => {
            (200, json!({"data": {"data": {"word": "of the second version"}}}).to_string())
        }
        _ => (404, String::new()),
    })
    .await;
    let address = store.url("");
    let mut api = keyless("k", &upstream.url(""));
    api["version_data"]["versions"]["Default"]["global_headers"] =
        json!({"X-Consul": "$secret_consul.word", "X-Vault": "$secret_vault.secret/team.word"});
    for (vault, word) in [
        (json!({"address": address, "kv_version": 1}), "of the first version"),
        (json!({"address": address, "kv_version": 2}), "of the second version"),
        (json!({"address": address}), "of the second version"),
        // Nobody is asked at the address where there is an agent.
        (json!({"address": "http://127.0.0.1:1", "agent_address": address}), "of the second version"),
    ] {
        let vault = with(vault, json!({"token": "t"}));
        let gate = Gate::setup()
            .conf(json!({"kv": {"consul": {"address": address, "datacenter": "south"}, "vault": vault}}))
            .api(api.clone())
            .start()
            .await;
        let reply = gate.get("/k/x", &[]).await;
        assert_eq!(reply.status, 200, "{}", gate.log());
        let echo = reply.json();
        let sent = (&echo["headers"]["x-consul"][0], &echo["headers"]["x-vault"][0]);
        assert_eq!(sent, (&json!("of the south"), &json!(word)), "{vault}: {}", gate.log());
    }
}
