//! TLS and WebSockets towards brokers that ask for both: servers of the test's own, with certificates made for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value as Json, json};
use streams::{Egress, Settings};

use crate::ends::{Stream, sample, settings, unique, until};
use crate::servers::{Own, numbers, write_all};

/// A server that was started with this text as its further configuration; its ports are only known then.
struct Secured {
    own: Own,
    file: PathBuf,
}

impl Secured {
    async fn start(
        name: &'static str,
        variable: &'static str,
        config: impl FnOnce(u16) -> String + Send + 'static,
    ) -> Secured {
        let started = tokio::task::spawn_blocking(move || {
            let file = std::env::temp_dir().join(unique("secured"));
            let own = Own::configured(name, variable, &file, config);
            Secured { own, file }
        });
        started.await.expect("started")
    }

    /// Stops it and starts it again, after `between`.
    async fn restart(self, between: impl Future<Output = ()>) -> Secured {
        let stop = move || {
            self.own.stop();
            self
        };
        let secured = tokio::task::spawn_blocking(stop).await.expect("stopped");
        between.await;
        let again = move || {
            secured.own.again();
            secured
        };
        tokio::task::spawn_blocking(again).await.expect("started again")
    }

    async fn end(self) {
        tokio::task::spawn_blocking(move || drop(self)).await.expect("stopped");
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

fn text(file: &str) -> String {
    std::fs::read_to_string(sample(file)).expect("a sample")
}

/// The ways to say which authority to trust and which certificate to show.
fn identities() -> [Json; 3] {
    let files = |key: &str, password: &str| {
        json!({"enabled": true, "root_cas_file": sample("ca.crt"), "client_certs": [
            {"cert_file": sample("client.crt"), "key_file": sample(key), "password": password},
        ]})
    };
    let inline = json!({"enabled": true, "root_cas": text("ca.crt"), "client_certs": [
        {"cert": text("client.crt"), "key": text("client.key")},
    ]});
    [files("client.key", ""), inline, files("client.encrypted.key", PASSWORD)]
}

/// Of the encrypted sample.
const PASSWORD: &str = "hidden";

/// Ten messages from an output to an input, in their order.
async fn travel(input: Json, output: Json) {
    let told = input.to_string();
    let mut reader = Stream::reading(input);
    let begin = std::time::Instant::now();
    while !reader.connected() {
        assert!(begin.elapsed() < crate::ends::PATIENCE, "{told}: {}", reader.last_error());
        tokio::task::yield_now().await;
    }
    let writer = Stream::writing(output);
    write_all(&writer, numbers(0..10)).await;
    assert_eq!(reader.texts(10).await, numbers(0..10), "{told}");
    writer.stop().await;
    reader.stop().await;
}

/// Settings under which private addresses are denied, but for this port of this machine.
pub(crate) fn under_policy(port: u16) -> Settings {
    let mut settings = settings();
    let allow = vec![format!("127.0.0.0/8:{port}").parse().expect("a rule")];
    settings.egress = Arc::new(Egress { allow, deny_private: true, ..Egress::default() });
    settings
}

/// An output that cannot connect says why.
async fn refused(output: Json, told: &str) {
    let writer = Stream::writing(output.clone());
    let begin = std::time::Instant::now();
    while !writer.last_error().contains(told) {
        assert!(begin.elapsed() < crate::ends::PATIENCE, "{output}: {}", writer.last_error());
        tokio::task::yield_now().await;
    }
    assert!(!writer.connected());
    drop(writer);
}

fn quoted(path: &Path) -> String {
    path.display().to_string()
}

fn mosquitto(port: u16) -> String {
    let (ca, cert, key) = (sample("ca.crt"), sample("server.crt"), sample("server.key"));
    let tls = format!(
        "cafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n",
        quoted(&ca),
        quoted(&cert),
        quoted(&key)
    );
    let listener = |offset: u16, more: &str| format!("listener {} 127.0.0.1\n{more}", port + offset);
    listener(1, &tls)
        + &listener(2, "protocol websockets\n")
        + &listener(3, &format!("protocol websockets\n{tls}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_goes_over_tls_and_websockets() {
    let broker = Secured::start("mosquitto", "SLUICEGATE_TEST_MOSQUITTO_CONFIG", mosquitto).await;
    let at = |scheme: &str, offset: u16, path: &str| {
        json!([format!("{scheme}://127.0.0.1:{}{path}", broker.own.port + offset)])
    };
    let [files, inline, encrypted] = identities();
    for version in ["3.1.1", "5"] {
        for (urls, tls) in [
            (at("ssl", 1, ""), files.clone()),
            (at("tcp", 1, ""), inline.clone()),
            (at("ssl", 1, ""), encrypted.clone()),
            (at("ws", 2, "/mqtt"), json!({})),
            (at("wss", 3, "/mqtt"), files.clone()),
            (at("ws", 3, "/"), inline.clone()),
        ] {
            let topic = unique("secure");
            let common = json!({"urls": urls, "tls": tls, "protocol_version": version});
            let with = |more: Json| {
                let mut all = common.clone();
                all.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
                json!({"mqtt": all})
            };
            travel(with(json!({"topics": [topic]})), with(json!({"topic": topic, "max_in_flight": 1}))).await;
        }
        let output = |urls: Json, tls: Json| json!({"mqtt": {"urls": urls, "tls": tls, "protocol_version": version, "topic": "t"}});
        refused(output(at("ssl", 1, ""), json!({"enabled": true})), "ertificate").await;
        refused(output(at("wss", 3, "/mqtt"), json!({"enabled": true})), "ertificate").await;
        let nobody = json!({"enabled": true, "root_cas_file": sample("ca.crt")});
        refused(output(at("ssl", 1, ""), nobody), "ertificate").await;
    }
    // Both ends come back over each of them.
    let mut broker = broker;
    for (scheme, offset, tls) in [("ssl", 1, files.clone()), ("ws", 2, json!({})), ("wss", 3, files)] {
        let urls = json!([format!("{scheme}://127.0.0.1:{}/mqtt", broker.own.port + offset)]);
        let (topic, id) = (unique("back"), unique("client"));
        let mut reader = Stream::reading(json!({"mqtt": {
            "urls": urls, "tls": tls, "topics": [topic], "client_id": id, "clean_session": false,
        }}));
        until(|| reader.connected()).await;
        let writer = Stream::writing(json!({"mqtt": {"urls": urls, "tls": tls, "topic": topic}}));
        write_all(&writer, numbers(0..3)).await;
        assert_eq!(reader.texts(3).await, numbers(0..3), "{scheme}");
        let mut late = None;
        broker = broker
            .restart(async {
                until(|| !reader.connected()).await;
                late = Some(writer.send(crate::ends::messages(["late"])));
            })
            .await;
        late.expect("sent").await.expect("one outcome").expect("delivered");
        assert_eq!(reader.texts(1).await, ["late"], "{scheme}");
        writer.stop().await;
        reader.stop().await;
    }
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_amqp_go_over_tls() {
    let config = |port: u16| {
        format!(
            "listeners.ssl.1 = 127.0.0.1:{}\nssl_options.cacertfile = {}\nssl_options.certfile = {}\n\
             ssl_options.keyfile = {}\nssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n",
            port + 3,
            quoted(&sample("ca.crt")),
            quoted(&sample("server.crt")),
            quoted(&sample("server.key")),
        )
    };
    let broker = Secured::start("rabbitmq", "SLUICEGATE_TEST_RABBITMQ_CONFIG", config).await;
    let secure = broker.own.port + 3;
    for (scheme, tls) in ["amqps", "amqp", "amqps"].into_iter().zip(identities()) {
        let urls = json!([format!("{scheme}://guest:guest@127.0.0.1:{secure}/")]);
        let queue = unique("secure");
        travel(
            json!({"amqp_0_9": {"urls": urls, "tls": tls, "queue": queue, "queue_declare": {"enabled": true}}}),
            json!({"amqp_0_9": {"urls": urls, "tls": tls, "exchange": "", "key": queue, "max_in_flight": 1}}),
        )
        .await;
        let address = format!("/queue/{}", unique("secure"));
        travel(
            json!({"amqp_1": {"urls": urls, "tls": tls, "source_address": address}}),
            json!({"amqp_1": {"urls": urls, "tls": tls, "target_address": address, "max_in_flight": 1}}),
        )
        .await;
    }
    // The same where a policy says which addresses the name may lead to.
    let [tls, ..] = identities();
    let urls = json!([format!("amqps://guest:guest@localhost:{secure}/")]);
    let output = json!({"amqp_0_9": {"urls": urls, "tls": tls, "exchange": "", "key": "k"}});
    let writer = Stream::start(json!({"output": output}), &under_policy(secure));
    until(|| writer.connected()).await;
    writer.stop().await;
    let urls = json!([format!("amqps://guest:guest@127.0.0.1:{secure}/")]);
    for tls in [json!({"enabled": true}), json!({"enabled": true, "root_cas_file": sample("ca.crt")})] {
        // A broker that misses a certificate says so, or is gone before.
        let told = if tls.get("root_cas_file").is_some() { "" } else { "ertificate" };
        for output in [
            json!({"amqp_0_9": {"urls": urls, "tls": tls, "exchange": "", "key": "k"}}),
            json!({"amqp_1": {"urls": urls, "tls": tls, "target_address": "/queue/k"}}),
        ] {
            let told = if told.is_empty() { "could be reached" } else { told };
            refused(output, told).await;
        }
    }
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_goes_over_tls_with_users() {
    let config = |port: u16| {
        format!(
            "tls-port {}\ntls-ca-cert-file {}\ntls-cert-file {}\ntls-key-file {}\nuser alice on >p@s ~* &* +@all\n",
            port + 1,
            quoted(&sample("ca.crt")),
            quoted(&sample("server.crt")),
            quoted(&sample("server.key")),
        )
    };
    let redis = Secured::start("redis", "SLUICEGATE_TEST_REDIS_CONFIG", config).await;
    let secure = redis.own.port + 1;
    for (scheme, tls) in ["rediss", "redis", "rediss"].into_iter().zip(identities()) {
        let url = format!("{scheme}://alice:p%40s@127.0.0.1:{secure}/0");
        let name = unique("secure");
        for (input, output) in [
            (
                json!({"redis_streams": {"url": url, "tls": tls, "streams": [name], "consumer_group": "g", "client_id": "c", "timeout": "100ms"}}),
                json!({"redis_streams": {"url": url, "tls": tls, "stream": name, "max_in_flight": 1}}),
            ),
            (
                json!({"redis_list": {"url": url, "tls": tls, "key": format!("{name}-list"), "timeout": "100ms"}}),
                json!({"redis_list": {"url": url, "tls": tls, "key": format!("{name}-list"), "max_in_flight": 1}}),
            ),
            (
                json!({"redis_pubsub": {"url": url, "tls": tls, "channels": [name]}}),
                json!({"redis_pubsub": {"url": url, "tls": tls, "channel": name, "max_in_flight": 1}}),
            ),
        ] {
            travel(input, output).await;
        }
    }
    let any = json!({"enabled": true, "skip_cert_verify": true, "client_certs": [
        {"cert": text("client.crt"), "key": text("client.key")},
    ]});
    let name = unique("any");
    let url = format!("rediss://alice:p%40s@localhost:{secure}");
    travel(
        json!({"redis_list": {"url": url, "tls": any, "key": name, "timeout": "100ms"}}),
        json!({"redis_list": {"url": url, "tls": any, "key": name, "max_in_flight": 1}}),
    )
    .await;
    let [files, ..] = identities();
    for (url, tls, told) in [
        (format!("rediss://alice:p%40s@127.0.0.1:{secure}"), json!({"enabled": true}), "ertificate"),
        (format!("rediss://alice:wrong@127.0.0.1:{secure}"), files, "uthentication failed"),
    ] {
        refused(json!({"redis_list": {"url": url, "tls": tls, "key": "k"}}), told).await;
    }
    redis.end().await;
}
