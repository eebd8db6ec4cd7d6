//! APIs that are connections: TCP and TLS on ports of their own (contract 4.6, "TCP/TLS APIs").

use std::net::SocketAddr;
use std::sync::Arc;

use e2e::{Authority, Gate, Setup, free_port, soon, until};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

/// A server that begins with its name, and then says what it hears.
struct Echo {
    address: SocketAddr,
    task: AbortHandle,
}

impl Echo {
    async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut reader, mut writer) = socket.split();
                    let _ = writer.write_all(name.as_bytes()).await;
                    let _ = tokio::io::copy(&mut reader, &mut writer).await;
                    let _ = writer.shutdown().await;
                });
            }
        });
        Self { address, task: task.abort_handle() }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn api(id: &str, protocol: &str, port: u16, target: &str) -> Value {
    json!({
        "api_id": id, "org_id": "org", "name": id, "active": true, "use_keyless": true,
        "protocol": protocol, "listen_port": port,
        "version_data": {"not_versioned": true, "versions": {"Default": {"name": "Default"}}},
        "proxy": {"target_url": target},
    })
}

/// A gate on whose ports definitions may listen.
fn open() -> Setup {
    Gate::setup().conf(json!({"disable_ports_whitelist": true, "enable_analytics": true}))
}

/// What records say of the connections of an API, all together.
#[derive(Debug, Default)]
struct Traffic {
    records: usize,
    opened: u64,
    closed: u64,
    refused: u64,
    bytes_in: u64,
    bytes_out: u64,
}

/// Waits until records say enough.
async fn traffic(gate: &Gate, api: &str, enough: impl Fn(&Traffic) -> bool) -> Traffic {
    let mut found = Traffic::default();
    until(&format!("records of {api}"), async || {
        let reply = gate.admin().get("/records?limit=1000").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        found = Traffic::default();
        for record in reply.json().as_array().unwrap().iter().filter(|record| record["api_id"] == api) {
            let number = |value: &Value| value.as_u64().unwrap();
            let network = &record["network"];
            found.records += 1;
            found.opened += number(&network["open_connections"]);
            found.closed += number(&network["closed_connections"]);
            found.refused += number(&network["refused_connections"]);
            found.bytes_in += number(&record["bytes_in"]);
            found.bytes_out += number(&record["bytes_out"]);
        }
        enough(&found)
    })
    .await;
    found
}

async fn connect(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).await.unwrap()
}

async fn says<S: AsyncRead + Unpin>(socket: &mut S, expected: &str) {
    let mut said = vec![0; expected.len()];
    soon(expected, socket.read_exact(&mut said)).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&said), expected);
}

/// Says something and hears it again.
async fn echoes<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut S, text: &str) {
    socket.write_all(text.as_bytes()).await.unwrap();
    says(socket, text).await;
}

/// Whether the gate ends a connection without a byte.
async fn is_refused(port: u16) -> bool {
    let Ok(mut socket) = TcpStream::connect(("127.0.0.1", port)).await else { return true };
    let mut byte = [0];
    matches!(soon("an end", socket.read(&mut byte)).await, Ok(0) | Err(_))
}

#[tokio::test]
async fn c4_6_row_25_bytes_go_through_and_are_recorded() {
    let (one, two) = (Echo::start("one:").await, Echo::start("two:").await);
    let port = free_port();
    let mut balanced = api("t", "tcp", port, "tcp://127.0.0.1:1");
    balanced["proxy"]["enable_load_balancing"] = json!(true);
    balanced["proxy"]["target_list"] =
        json!([format!("tcp://{}", one.address), one.address.to_string(), format!("tcp://{}", two.address)]);
    let gate = open().api(balanced).start().await;
    let mut named = Vec::new();
    for number in 0..6 {
        let mut socket = connect(port).await;
        let mut name = [0; 4];
        soon("a name", socket.read_exact(&mut name)).await.unwrap();
        named.push(String::from_utf8_lossy(&name).into_owned());
        echoes(&mut socket, &format!("text {number}")).await;
        // What the client has said to its end is answered to its end.
        socket.shutdown().await.unwrap();
        let mut rest = String::new();
        soon("the end", socket.read_to_string(&mut rest)).await.unwrap();
        assert_eq!(rest, "");
    }
    assert_eq!(named.iter().filter(|name| *name == "one:").count(), 4, "{named:?}");
    // All that went through is told, and nothing twice.
    let (said, heard) = (6 * "text 0".len() as u64, 6 * ("one:".len() + "text 0".len()) as u64);
    let told = traffic(&gate, "t", |told| told.closed == 6).await;
    assert_eq!((told.opened, told.refused, told.bytes_in, told.bytes_out), (6, 0, said, heard));
    // It is no API over HTTP.
    assert_eq!(gate.get("/t/", &[]).await.status, 404);
}

#[tokio::test]
async fn c4_6_row_25_tls_apis_share_a_port_by_name() {
    let (one, two) = (Echo::start("one:").await, Echo::start("two:").await);
    let (port, authority) = (free_port(), Authority::new());
    let own = |name: &str| {
        let (certificate, key) = authority.sign(&[name]);
        format!("{}{}", certificate.pem(), key.serialize_pem())
    };
    let mut first = api("first", "tls", port, &format!("tcp://{}", one.address));
    first["domain"] = json!("one.test");
    first["certificates"] = json!(["one.pem"]);
    let mut second = api("second", "tls", port, &format!("tcp://{}", two.address));
    second["domain"] = json!("two.test");
    second["certificates"] = json!(["two.pem"]);
    let gate = open()
        .file("one.pem", &own("one.test"))
        .file("two.pem", &own("two.test"))
        .api(first)
        .api(second)
        .start()
        .await;
    let mut roots = RootCertStore::empty();
    roots.add(authority.der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let dial = async |name: &'static str| {
        connector.connect(ServerName::try_from(name).unwrap(), connect(port).await).await
    };
    let mut socket = dial("one.test").await.unwrap();
    says(&mut socket, "one:").await;
    echoes(&mut socket, "hello").await;
    let mut socket = dial("two.test").await.unwrap();
    says(&mut socket, "two:").await;
    assert!(dial("three.test").await.is_err());
    // Clear text is none of it.
    let mut socket = connect(port).await;
    socket.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    let _ = soon("an end", socket.read_to_end(&mut rest)).await;
    assert!(!rest.starts_with(b"one:") && !rest.starts_with(b"two:"));
    drop(gate);
}

#[tokio::test]
async fn c4_6_row_25_connections_are_told_by_the_second_while_they_are_open_and_when_they_are_refused() {
    let echo = Echo::start("x:").await;
    let (open_port, closed) = (free_port(), free_port());
    let target = format!("tcp://{}", echo.address);
    let mut blocked = api("closed", "tcp", closed, &target);
    blocked["enable_ip_whitelisting"] = json!(true);
    blocked["allowed_ips"] = json!(["192.0.2.1"]);
    let mut gate = open().api(api("t", "tcp", open_port, &target)).api(blocked).start().await;
    let mut socket = connect(open_port).await;
    says(&mut socket, "x:").await;
    echoes(&mut socket, "first").await;
    let told = traffic(&gate, "t", |told| told.bytes_in == 5).await;
    assert_eq!((told.opened, told.closed, told.bytes_out), (1, 0, 7), "it is open still");
    for _ in 0..40 {
        assert!(is_refused(closed).await);
    }
    let told = traffic(&gate, "closed", |told| told.closed == 40).await;
    assert_eq!((told.opened, told.refused, told.bytes_in, told.bytes_out), (40, 40, 0, 0));
    assert!(told.records < 40, "{told:?}");
    // What went through a definition that is gone is told, too, and so is the last second of the gate.
    assert_eq!(
        gate.admin().put("/apis/t", &api("t", "tcp", open_port, "tcp://127.0.0.1:1")).await.status,
        200
    );
    echoes(&mut socket, "second").await;
    drop(socket);
    assert_eq!(gate.stop().await, Some(0));
    gate.start().await;
    let told = traffic(&gate, "t", |told| told.closed == 1).await;
    assert_eq!((told.opened, told.bytes_in, told.bytes_out), (1, 11, 13));
}

#[tokio::test]
async fn c4_6_row_25_clients_of_tls_apis_show_a_certificate_of_the_list() {
    let echo = Echo::start("x:").await;
    let (port, authority, other) = (free_port(), Authority::new(), Authority::new());
    let pem = |authority: &Authority, name: &str| {
        let (certificate, key) = authority.sign(&[name]);
        (certificate.pem(), key.serialize_pem())
    };
    let own = pem(&authority, "one.test");
    let (listed, unlisted, signed) =
        (pem(&authority, "listed"), pem(&authority, "unlisted"), pem(&other, "signed"));
    let mut guarded = api("guarded", "tls", port, &format!("tcp://{}", echo.address));
    guarded["certificates"] = json!(["own.pem"]);
    guarded["use_mutual_tls_auth"] = json!(true);
    guarded["client_certificates"] = json!(["listed.pem", "other.pem"]);
    let gate = open()
        .file("own.pem", &format!("{}{}", own.0, own.1))
        .file("listed.pem", &listed.0)
        .file("other.pem", &other.pem())
        .api(guarded)
        .start()
        .await;
    let mut roots = RootCertStore::empty();
    roots.add(authority.der()).unwrap();
    let dial = async |shown: Option<&(String, String)>| {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots.clone());
        let config = match shown {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
                builder
                    .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
                    .unwrap()
            }
        };
        let connector = TlsConnector::from(Arc::new(config));
        let mut socket =
            connector.connect(ServerName::try_from("one.test").unwrap(), connect(port).await).await.ok()?;
        // Over TLS 1.3 the handshake is over for the client before it is judged.
        let mut said = [0; 2];
        soon("an answer", socket.read_exact(&mut said)).await.ok()?;
        Some(String::from_utf8_lossy(&said).into_owned())
    };
    assert_eq!(dial(Some(&listed)).await.as_deref(), Some("x:"), "{}", gate.log());
    assert_eq!(dial(Some(&signed)).await.as_deref(), Some("x:"), "an authority of the list signed it");
    assert_eq!(dial(Some(&unlisted)).await, None);
    assert_eq!(dial(None).await, None);
    let told = traffic(&gate, "guarded", |told| told.closed == 3).await;
    assert_eq!((told.opened, told.refused), (3, 1), "who shows nothing does not come so far");
}

#[tokio::test]
async fn c4_6_connections_have_rates_of_their_api_and_of_each_address() {
    let echo = Echo::start("x:").await;
    let (few, by_address) = (free_port(), free_port());
    let target = format!("tcp://{}", echo.address);
    let mut all = api("all", "tcp", few, &target);
    all["global_rate_limit"] = json!({"rate": 3, "per": 600});
    let mut each = api("each", "tcp", by_address, &target);
    // Who stands in front says where clients are.
    each["x-sluicegate"] =
        json!({"pass_through": {"accept_proxy_protocol": true, "rate_per_ip": {"rate": 2, "per": 600}}});
    let gate = open().api(all).api(each).start().await;
    for _ in 0..3 {
        says(&mut connect(few).await, "x:").await;
    }
    assert!(is_refused(few).await && is_refused(few).await);
    let told = traffic(&gate, "all", |told| told.closed == 5).await;
    assert_eq!((told.opened, told.refused), (5, 2));
    let from = async |address: &str| {
        let mut socket = connect(by_address).await;
        socket.write_all(format!("PROXY TCP4 {address} 10.0.0.1 4096 80\r\n").as_bytes()).await.unwrap();
        let mut byte = [0];
        matches!(soon("a byte or an end", socket.read(&mut byte)).await, Ok(1))
    };
    for address in ["192.0.2.1", "192.0.2.2"] {
        assert_eq!(
            (from(address).await, from(address).await, from(address).await),
            (true, true, false),
            "{address}"
        );
    }
}

#[tokio::test]
async fn c4_6_row_25_the_proxy_protocol_is_read_and_written() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("tcp://{}", upstream.local_addr().unwrap());
    let port = free_port();
    let mut accepts = api("a", "tcp", port, &target);
    accepts["enable_proxy_protocol"] = json!(true);
    accepts["enable_ip_blacklisting"] = json!(true);
    accepts["blacklisted_ips"] = json!(["192.0.2.66"]);
    accepts["x-sluicegate"] = json!({"pass_through": {"send_proxy_protocol": "v1"}});
    let gate = open().api(accepts).start().await;
    let v2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x0a\0\0\x01\x10\0\0\x50";
    for (ahead, told) in [
        (b"PROXY TCP4 192.0.2.7 10.0.0.1 4096 80\r\n" as &[u8], "PROXY TCP4 192.0.2.7 10.0.0.1 4096 80\r\n"),
        (v2, "PROXY TCP4 192.0.2.7 10.0.0.1 4096 80\r\n"),
    ] {
        let mut socket = connect(port).await;
        socket.write_all(&[ahead, b"payload"].concat()).await.unwrap();
        let (mut far, _) = soon("a connection", upstream.accept()).await.unwrap();
        says(&mut far, &format!("{told}payload")).await;
    }
    for wrong in [b"PROXY TCP4 192.0.2.66 10.0.0.1 1 2\r\n" as &[u8], b"GET / HTTP/1.1\r\n\r\n"] {
        let mut socket = connect(port).await;
        socket.write_all(wrong).await.unwrap();
        let mut byte = [0];
        assert!(matches!(soon("an end", socket.read(&mut byte)).await, Ok(0) | Err(_)));
    }
    drop(gate);
}

#[tokio::test]
async fn c4_6_row_25_who_may_connect_and_how_often() {
    let echo = Echo::start("x:").await;
    let (closed, narrow, quiet, dead) = (free_port(), free_port(), free_port(), free_port());
    let target = format!("tcp://{}", echo.address);
    let mut blocked = api("closed", "tcp", closed, &target);
    blocked["enable_ip_whitelisting"] = json!(true);
    blocked["allowed_ips"] = json!(["192.0.2.1"]);
    let mut few = api("narrow", "tcp", narrow, &target);
    few["x-sluicegate"] = json!({"concurrency": {"requests": 1}});
    let mut idle = api("quiet", "tcp", quiet, &target);
    idle["x-sluicegate"] = json!({"pass_through": {"idle_timeout": 0.2}});
    let gate = open()
        .api(blocked)
        .api(few)
        .api(idle)
        .api(api("dead", "tcp", dead, &format!("tcp://127.0.0.1:{}", free_port())))
        .start()
        .await;
    assert!(is_refused(closed).await);
    assert!(is_refused(dead).await);
    let mut first = connect(narrow).await;
    says(&mut first, "x:").await;
    assert!(is_refused(narrow).await);
    drop(first);
    until("a place", async || !is_refused_now(narrow).await).await;
    let mut socket = connect(quiet).await;
    says(&mut socket, "x:").await;
    let mut rest = Vec::new();
    let _ = soon("the end of a quiet connection", socket.read_to_end(&mut rest)).await;
    assert_eq!(rest, b"");
    drop(gate);
}

async fn is_refused_now(port: u16) -> bool {
    let mut socket = connect(port).await;
    let mut byte = [0];
    !matches!(soon("a byte or an end", socket.read(&mut byte)).await, Ok(1))
}

#[tokio::test]
async fn c13_2_row_2_changes_cut_nobody_and_ports_come_and_go() {
    let (one, two) = (Echo::start("one:").await, Echo::start("two:").await);
    let port = free_port();
    let gate = open().api(api("t", "tcp", port, &format!("tcp://{}", one.address))).start().await;
    let mut old = connect(port).await;
    says(&mut old, "one:").await;
    let changed = api("t", "tcp", port, &format!("tcp://{}", two.address));
    assert_eq!(gate.admin().put("/apis/t", &changed).await.status, 200);
    let mut new = connect(port).await;
    says(&mut new, "two:").await;
    echoes(&mut old, "still the first").await;
    let moved = free_port();
    assert_eq!(
        gate.admin().put("/apis/t", &api("t", "tcp", moved, &format!("tcp://{}", two.address))).await.status,
        200
    );
    says(&mut connect(moved).await, "two:").await;
    until("a port that is closed", async || TcpStream::connect(("127.0.0.1", port)).await.is_err()).await;
    echoes(&mut old, "and still").await;
    // Somebody else has the port: it is taken as soon as it is free.
    let taken = free_port();
    let other = TcpListener::bind(("127.0.0.1", taken)).await.unwrap();
    let late = api("late", "tcp", taken, &format!("tcp://{}", one.address));
    assert_eq!(gate.admin().post("/apis", &late).await.status, 200);
    assert!(gate.log().contains("cannot listen"), "{}", gate.log());
    drop(other);
    until("the port", async || TcpStream::connect(("127.0.0.1", taken)).await.is_ok()).await;
    echoes(&mut old, "to the end").await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_at_its_place() {
    let port = free_port();
    let gate = Gate::setup().conf(
        json!({"ports_whitelist": {"tcp": {"ports": [port], "ranges": [{"from": 40000, "to": 40010}]}}}),
    );
    let gate = gate.api(api("first", "tcp", port, "tcp://127.0.0.1:1")).start().await;
    let with = |change: &dyn Fn(&mut Value)| {
        let mut one = api("x", "tcp", 40001, "tcp://127.0.0.1:1");
        change(&mut one);
        one
    };
    for (definition, told) in [
        (with(&|api| api["listen_port"] = json!(39999)), "port 39999 is not open to definitions"),
        (with(&|api| api["protocol"] = json!("tls")), "`ports_whitelist.tls`"),
        (with(&|api| api["listen_port"] = json!(0)), "needs a port of its own"),
        (with(&|api| api["listen_port"] = json!(gate.port())), "one of the gate's own"),
        (with(&|api| api["proxy"]["target_url"] = json!("http://h:1")), "tcp://host:port"),
        (with(&|api| api["use_mutual_tls_auth"] = json!(true)), "certificates over TLS alone"),
        (
            with(&|api| api["x-sluicegate"] = json!({"pass_through": {"rate_per_ip": {"rate": 1}}})),
            "`rate` and `per`",
        ),
        (
            with(&|api| {
                api["custom_middleware"] = json!({"driver": "otto", "pre": [{"name": "a", "path": "a.js"}]})
            }),
            "not supported yet",
        ),
        (with(&|api| api["use_keyless"] = json!(false)), "nobody can be asked for a key"),
        (
            with(&|api| {
                api["use_keyless"] = json!(false);
                api["use_standard_auth"] = json!(true);
            }),
            "nobody can be asked for a key",
        ),
    ] {
        let reply = gate.admin().post("/apis", &definition).await;
        assert_eq!(reply.status, 400, "{definition}: {reply:?}");
        assert!(reply.text().contains(told), "{told}: {reply:?}");
    }
    // Two for one port: the first one keeps it.
    gate.admin().post("/apis", &api("second", "tcp", port, "tcp://127.0.0.1:1")).await;
    assert!(gate.log().contains(&format!("port {port} is that of API `first`")), "{}", gate.log());
}
