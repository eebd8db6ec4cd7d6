//! TLS and SASL against listeners of a broker that asks for them.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use serde_json::{Value as Json, json};
use streams::Message;

use crate::ends::unique;
use crate::harness::{OwnBroker, PATIENCE, Reader, Writer, create_topic};

/// Makes an authority, a server's and a client's certificate in `folder`.
fn certificates(folder: &Path) {
    let openssl = |arguments: &str| {
        let output = Command::new("openssl")
            .current_dir(folder)
            .args(arguments.split(' '))
            .output()
            .expect("openssl is installed");
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    };
    openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem");
    std::fs::write(folder.join("server.ext"), "subjectAltName=IP:127.0.0.1\n").expect("a file");
    std::fs::write(folder.join("client.ext"), "extendedKeyUsage=clientAuth\n").expect("a file");
    for name in ["server", "client"] {
        openssl(&format!("req -newkey rsa:2048 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile {name}.ext -out {name}.pem"
        ));
    }
    openssl("pkcs8 -topk8 -in client.key -out client.locked.key -passout pass:opensesame");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a file");
    std::fs::write(folder.join("keystore.pem"), read("server.key") + &read("server.pem")).expect("a file");
}

/// Listeners beside the plain one: `SASL` on the third port, `TLS` with client certificates on the fourth, both on the
/// fifth.
fn listeners(port: u16, folder: &Path) -> String {
    certificates(folder);
    let (plain, control, sasl, tls, both) = (port, port + 1, port + 2, port + 3, port + 4);
    let module = |name: &str, listener: &str, mechanism: &str, options: &str| {
        format!(
            "listener.name.{listener}.{mechanism}.sasl.jaas.config=org.apache.kafka.common.security.{name} required {options};\n"
        )
    };
    let mut text = format!(
        "listeners=PLAINTEXT://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{control},SASL://127.0.0.1:{sasl},TLS://127.0.0.1:{tls},BOTH://127.0.0.1:{both}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SASL://127.0.0.1:{sasl},TLS://127.0.0.1:{tls},BOTH://127.0.0.1:{both}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL,BOTH:SASL_SSL\n\
         sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER\n\
         ssl.keystore.type=PEM\nssl.keystore.location={folder}/keystore.pem\n\
         ssl.truststore.type=PEM\nssl.truststore.location={folder}/ca.pem\n\
         listener.name.tls.ssl.client.auth=required\n",
        folder = folder.display()
    );
    for listener in ["sasl", "both"] {
        text += &module("plain.PlainLoginModule", listener, "plain", "user_alice=\"wonderland\"");
        text += &module("scram.ScramLoginModule", listener, "scram-sha-256", "");
        text += &module("scram.ScramLoginModule", listener, "scram-sha-512", "");
        let claim = "unsecuredLoginStringClaim_sub=\"broker\"";
        text += &module("oauthbearer.OAuthBearerLoginModule", listener, "oauthbearer", claim);
    }
    text
}

const USERS: &str = "--add-scram SCRAM-SHA-256=[name=alice,password=wonderland] --add-scram SCRAM-SHA-512=[name=alice,password=wonderland]";

/// A token without signature, which the broker takes in tests.
pub(crate) fn token() -> String {
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let part = |json: Json| base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    format!(
        "{}.{}.",
        part(json!({"alg": "none"})),
        part(json!({"sub": "alice", "iat": now, "exp": now + 3600}))
    )
}

/// A server that gives tokens to one client, and how often it did. It lives as long as the test's process.
fn token_server() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/token", listener.local_addr().expect("bound"));
    let given = Arc::new(AtomicUsize::new(0));
    let count = given.clone();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.expect("a client");
            let (mut text, mut part) = (String::new(), [0; 4096]);
            // The form is sent with its head, or soon after it.
            while !text.contains("grant_type=client_credentials") {
                let read = connection.read(&mut part).expect("a request");
                assert!(read > 0, "{text}");
                text += std::str::from_utf8(&part[..read]).expect("text");
            }
            let known = text.contains(&base64::prelude::BASE64_STANDARD.encode("gate:s3cret"));
            let known = known && text.contains("scope=kafka") && text.contains("audience=brokers");
            let (status, body) = match known {
                true => ("200 OK", json!({"access_token": token(), "token_type": "bearer", "expires_in": 5})),
                false => ("401 Unauthorized", json!({"error": "invalid_client"})),
            };
            count.fetch_add(usize::from(known), Ordering::SeqCst);
            let body = body.to_string();
            let head =
                format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n");
            let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
            connection.write_all(answer.as_bytes()).expect("answered");
        }
    });
    (url, given)
}

fn oauth2(url: &str, secret: &str) -> Json {
    json!({"enabled": true, "client_key": "gate", "client_secret": secret, "token_url": url, "scopes": ["kafka"],
           "endpoint_params": {"audience": "brokers"}})
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mechanism_and_tls_reach_a_broker_that_asks_for_them() {
    let own = OwnBroker::with(listeners, USERS);
    let address = |offset: u16| format!("127.0.0.1:{}", own.port + offset);
    let file = |name: &str| own.state.join(name).display().to_string();
    let text = |name: &str| std::fs::read_to_string(own.state.join(name)).expect("a file");
    let inline = json!({"enabled": true, "root_cas": text("ca.pem"), "client_certs": [{"cert": text("client.pem"), "key": text("client.key")}]});
    let files = json!({"enabled": true, "root_cas_file": file("ca.pem"), "client_certs": [
        {"cert_file": file("client.pem"), "key_file": file("client.locked.key"), "password": "opensesame"},
    ]});
    let server_only = json!({"enabled": true, "root_cas_file": file("ca.pem")});
    let user = |mechanism: &str| json!({"mechanism": mechanism, "user": "alice", "password": "wonderland"});
    let topic = unique("secure");
    let (token_url, given) = token_server();
    let fetched = oauth2(&token_url, "s3cret");
    create_topic(&own.address, &topic, 1).await;

    for (index, (broker, sasl, tls)) in [
        (address(2), user("PLAIN"), json!({})),
        (address(2), user("SCRAM-SHA-256"), json!({})),
        (address(2), user("SCRAM-SHA-512"), json!({})),
        (address(2), json!({"mechanism": "OAUTHBEARER", "access_token": token()}), json!({})),
        (address(2), json!({"mechanism": "OAUTHBEARER", "oauth2": fetched}), json!({})),
        (address(3), json!({}), inline),
        (address(3), json!({}), files),
        (address(4), user("SCRAM-SHA-512"), server_only.clone()),
        (address(4), user("PLAIN"), json!({"enabled": true, "skip_cert_verify": true})),
    ]
    .into_iter()
    .enumerate()
    {
        let writer = Writer::start(&broker, &topic, json!({"sasl": sasl, "tls": tls}));
        writer.write(vec![Message::new(index.to_string())]).await.expect("delivered");
        writer.stop().await;
        // The other field set says the same with other words.
        let mechanism = match sasl["mechanism"].as_str() {
            None => json!([]),
            Some(name) => {
                let mut one = json!({"mechanism": name, "username": "alice", "password": "wonderland"});
                match sasl.get("oauth2") {
                    Some(fetched) => one["oauth2"] = fetched.clone(),
                    None => one["token"] = json!(token()),
                }
                json!([one])
            }
        };
        let partition = format!("{topic}:0:{index}");
        let mut reader = Reader::franz(&broker, &[&partition], json!({"sasl": mechanism, "tls": tls}));
        assert_eq!(reader.texts(1).await, [index.to_string()]);
        reader.stop().await;
    }

    // A token that expires is replaced before.
    let before = given.load(Ordering::SeqCst);
    assert!(before >= 2, "the writer's and the reader's");
    let lasting = json!({"sasl": {"mechanism": "OAUTHBEARER", "oauth2": fetched}});
    let writer = Writer::start(&address(2), &topic, lasting);
    writer.write(vec![Message::new("first")]).await.expect("delivered");
    let renewed = async {
        while given.load(Ordering::SeqCst) < before + 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, renewed).await.expect("in time");
    writer.write(vec![Message::new("second")]).await.expect("delivered");
    writer.stop().await;

    for (broker, fields, expected) in [
        (
            address(2),
            json!({"sasl": {"mechanism": "OAUTHBEARER", "oauth2": oauth2(&token_url, "wrong")}}),
            "401 Unauthorized (invalid_client)",
        ),
        (
            address(2),
            json!({"sasl": {"mechanism": "PLAIN", "user": "alice", "password": "no"}}),
            "uthentication failed",
        ),
        (
            address(2),
            json!({"sasl": {"mechanism": "SCRAM-SHA-256", "user": "alice", "password": "no"}}),
            "uthentication failed",
        ),
        (address(3), json!({"tls": server_only}), "SSL"),
        (address(4), json!({"sasl": user("PLAIN"), "tls": {"enabled": true}}), "certificate"),
    ] {
        let writer = Writer::start(&broker, &topic, fields.clone());
        let said = async {
            while !writer.last_error().contains(expected) {
                tokio::task::yield_now().await;
            }
        };
        if tokio::time::timeout(PATIENCE, said).await.is_err() {
            panic!("{fields}: {}", writer.last_error());
        }
        assert!(!writer.connected());
        drop(writer);
    }
}
