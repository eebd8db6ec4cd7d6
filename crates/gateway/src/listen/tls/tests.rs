use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::server::ProducesTickets;
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::backend::upstream::Security;
use crate::backend::upstream::tls::{Proof, config as client_config, usual_roots};

/// Self-signed certificates, except `api.crt`, which `root.crt` signed. All valid for a hundred years.
fn sample(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/listen/tls/samples").join(file)
}

fn files(name: &str) -> CertificateFiles {
    CertificateFiles { certificate: sample(&format!("{name}.crt")), key: sample(&format!("{name}.key")) }
}

fn set() -> CertificateSet {
    CertificateSet {
        defaults: vec![files("default"), files("wild")],
        domains: vec![("API.test".into(), files("api")), ("*.test".into(), files("wild"))],
        may_be_empty: false,
    }
}

fn settings() -> ServerTlsSettings {
    ServerTlsSettings { certificates: set(), ..ServerTlsSettings::default() }
}

fn certificate(name: &str) -> CertificateDer<'static> {
    read_certificates(&sample(&format!("{name}.crt"))).unwrap().remove(0)
}

/// A client as upstreams are spoken to, that trusts these files, too.
fn upstream_tls(insecure: bool, more: &[PathBuf], alpn: &[&[u8]]) -> Result<ClientConfig, TlsError> {
    let mut roots = usual_roots().as_ref().clone();
    for path in more {
        roots.add_parsable_certificates(read_certificates(path)?);
    }
    let security = Security::usual(&apidef::UpstreamTls::default(), insecure);
    client_config(&security, &Arc::new(roots), &Proof::default(), alpn)
}

/// Shakes hands and gives the certificate that came, the version and the ALPN protocol.
async fn shake(
    server: &ServerTls,
    client: ClientConfig,
    name: &str,
) -> std::io::Result<(CertificateDer<'static>, ProtocolVersion, Option<Vec<u8>>)> {
    let (near, far) = tokio::io::duplex(16 * 1024);
    let acceptor = TlsAcceptor::from(server.config(Asks::Nothing));
    let accepting = tokio::spawn(async move { acceptor.accept(far).await.map(drop) });
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = TlsConnector::from(Arc::new(client)).connect(name, near).await?;
    let session = stream.get_ref().1;
    let certificate = session.peer_certificates().unwrap()[0].clone();
    let version = session.protocol_version().unwrap();
    let alpn = session.alpn_protocol().map(<[u8]>::to_vec);
    accepting.await.unwrap()?;
    Ok((certificate, version, alpn))
}

#[tokio::test]
async fn a_certificate_is_chosen_by_name() {
    let server = server_tls(&settings()).unwrap();
    for (name, expected) in [
        ("api.test", "api"),
        ("gate.test", "wild"),
        ("x.apps.test", "wild"),
        ("second.test.invalid", "default"),
        ("127.0.0.1", "default"),
    ] {
        let client = upstream_tls(true, &[], &[]).unwrap();
        let (got, ..) = shake(&server, client, name).await.unwrap();
        assert_eq!(got, certificate(expected), "{name}");
    }
}

#[test]
fn names_inside_default_certificates_count_too() {
    let chosen = Chosen::load(&CertificateSet { domains: vec![], ..set() }).unwrap();
    for (name, expected) in
        [("x.apps.test", "wild"), ("second.test", "default"), ("y.x.apps.test", "default")]
    {
        assert_eq!(chosen.choose(Some(name)).unwrap().cert[0], certificate(expected), "{name}");
    }
    let chosen = Chosen::load(&CertificateSet { defaults: vec![], ..set() }).unwrap();
    for name in [None, Some("elsewhere.invalid")] {
        assert_eq!(chosen.choose(name).unwrap().cert[0], certificate("api"), "{name:?} without defaults");
    }
}

#[tokio::test]
async fn certificates_are_swapped_whole_or_not_at_all() {
    let server = server_tls(&settings()).unwrap();
    let mut next = set();
    next.domains[0].1 = files("other");
    server.certificates.swap(&next).unwrap();
    let client = || upstream_tls(true, &[], &[]).unwrap();
    assert_eq!(shake(&server, client(), "api.test").await.unwrap().0, certificate("other"));
    next.domains[0].1 = files("missing");
    server.certificates.swap(&next).unwrap_err();
    assert_eq!(shake(&server, client(), "api.test").await.unwrap().0, certificate("other"));
}

#[tokio::test]
async fn domains_that_cannot_be_looked_up_keep_their_certificates() {
    let server = server_tls(&settings()).unwrap();
    let client = || upstream_tls(true, &[], &[]).unwrap();
    let key = |name: &str| CertifiedKey::clone(&certified_key(&files(name)).unwrap());
    let both = vec![("A.test".to_owned(), key("other")), ("*.b.test".to_owned(), key("other"))];
    let shown = async |name: &str| shake(&server, client(), name).await.unwrap().0;
    server.certificates.swap_domains(both, &[]);
    let (other, wild) = (certificate("other"), certificate("wild"));
    assert_eq!((shown("a.test").await, shown("x.b.test").await), (other.clone(), other.clone()));
    server.certificates.swap_domains(Vec::new(), &["a.test".to_owned(), "c.test".to_owned()]);
    assert_eq!((shown("a.test").await, shown("c.test").await), (other.clone(), wild.clone()));
    assert_ne!(shown("x.b.test").await, other, "this one is known to be gone");
    server.certificates.swap_domains(vec![("a.test".to_owned(), key("default"))], &["*.B.test".to_owned()]);
    assert_eq!(shown("a.test").await, certificate("default"));
    let pattern = r"{sub:\D+}.c.test";
    server.certificates.swap_domains(vec![(pattern.to_owned(), key("other"))], &[]);
    let default = certificate("default");
    assert_eq!((shown("x.c.test").await, shown("1.c.test").await), (other.clone(), default));
    server.certificates.swap_domains(Vec::new(), &[pattern.to_owned()]);
    assert_eq!(shown("x.c.test").await, other);
    server.certificates.swap_domains(Vec::new(), &[]);
    assert_eq!(shown("a.test").await, wild);
}

#[tokio::test]
async fn protocols_and_versions_are_those_configured() {
    let both: &[&[u8]] = &[b"h2", b"http/1.1"];
    for (http2, max, version, alpn) in [
        (true, 0, ProtocolVersion::TLSv1_3, "h2"),
        (false, 772, ProtocolVersion::TLSv1_3, "http/1.1"),
        (true, 771, ProtocolVersion::TLSv1_2, "h2"),
    ] {
        let server = server_tls(&ServerTlsSettings { http2, max_version: max, ..settings() }).unwrap();
        let (_, got, protocol) =
            shake(&server, upstream_tls(true, &[], both).unwrap(), "api.test").await.unwrap();
        assert_eq!((got, protocol.as_deref()), (version, Some(alpn.as_bytes())));
    }
}

#[tokio::test]
async fn an_upstream_must_be_signed_by_a_trusted_root() {
    let server = server_tls(&settings()).unwrap();
    let unknown = upstream_tls(false, &[], &[]).unwrap();
    let error = shake(&server, unknown, "api.test").await.unwrap_err().to_string();
    assert!(error.contains("UnknownIssuer"), "{error}");
    let known = || upstream_tls(false, &[sample("root.crt")], &[]).unwrap();
    shake(&server, known(), "api.test").await.unwrap();
    let error = shake(&server, known(), "gate.test").await.unwrap_err().to_string();
    assert!(error.contains("invalid peer certificate"), "{error}");
    let error = upstream_tls(false, &[sample("api.key")], &[]).unwrap_err().to_string();
    assert!(error.contains("api.key: no certificate"), "{error}");
}

#[test]
fn what_is_wrong_is_said_with_the_file() {
    let with = |certificate: &str, key: &str| CertificateSet {
        defaults: vec![CertificateFiles { certificate: sample(certificate), key: sample(key) }],
        ..CertificateSet::default()
    };
    for (set, expected) in [
        (CertificateSet::default(), "no certificate is configured"),
        (with("missing.crt", "api.key"), "missing.crt: cannot read"),
        (with("api.crt", "missing.key"), "missing.key: cannot read"),
        (with("api.key", "api.key"), "api.key: no certificate"),
        (with("api.crt", "api.crt"), "api.crt: no usable private key"),
        (with("api.crt", "other.key"), "other.key: the private key does not belong to"),
    ] {
        let error = Certificates::load(&set).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    for (min, max, expected) in [
        (772, 771, "above"),
        (768, 0, "min_version` is 768"),
        (0, 770, "only TLS 1.0 and 1.1"),
        (0, 12, "max_version` is 12"),
    ] {
        let settings = ServerTlsSettings { min_version: min, max_version: max, ..settings() };
        let error = server_tls(&settings).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let old = server_tls(&ServerTlsSettings { min_version: 769, ..settings() }).unwrap();
    assert!(old.warnings[0].contains("not offered"), "{:?}", old.warnings);
}

#[tokio::test]
async fn clients_resume_under_every_version_and_only_where_they_were_asked_the_same() {
    for max_version in [771, 772] {
        let server = server_tls(&ServerTlsSettings { max_version, ..settings() }).unwrap();
        let client = Arc::new(upstream_tls(true, &[], &[]).unwrap());
        let shake = async |asks| {
            let (near, far) = tokio::io::duplex(16 * 1024);
            let acceptor = TlsAcceptor::from(server.config(asks));
            let accepting = tokio::spawn(async move {
                let mut stream = acceptor.accept(far).await.unwrap();
                stream.write_all(b"!").await.unwrap();
                stream.shutdown().await.unwrap();
            });
            let name = ServerName::try_from("api.test").unwrap();
            let mut stream = TlsConnector::from(Arc::clone(&client)).connect(name, near).await.unwrap();
            // Tickets of TLS 1.3 come with what is read.
            stream.read_u8().await.unwrap();
            accepting.await.unwrap();
            stream.get_ref().1.handshake_kind().unwrap()
        };
        assert_eq!(shake(Asks::Nothing).await, HandshakeKind::Full, "{max_version}");
        assert_eq!(shake(Asks::Nothing).await, HandshakeKind::Resumed, "{max_version}");
        assert_eq!(shake(Asks::IfThereIsOne).await, HandshakeKind::Full, "{max_version}");
    }
}

/// Tickets at a time that a test sets.
#[derive(Debug)]
struct Timed {
    tickets: Tickets,
    begin: Instant,
    now: parking_lot::Mutex<Duration>,
}

impl ProducesTickets for Timed {
    fn enabled(&self) -> bool {
        self.tickets.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.tickets.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.tickets.seal(plain, self.begin + *self.now.lock())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.tickets.open(cipher, self.begin + *self.now.lock())
    }
}

#[tokio::test]
async fn tickets_of_the_period_before_resume_and_older_ones_do_not() {
    const PERIOD: Duration = Duration::from_secs(100);
    // Seconds after the ticket's period began, at which another client calls and at which that of the ticket comes again.
    for (between, again, kind) in [
        (None, 50, HandshakeKind::Resumed),
        (None, 100, HandshakeKind::Resumed),
        (None, 199, HandshakeKind::Resumed),
        (None, 200, HandshakeKind::Full),
        (None, 10_000, HandshakeKind::Full),
        (Some(199), 199, HandshakeKind::Resumed),
        // Also where somebody turned the keys meanwhile.
        (Some(150), 199, HandshakeKind::Resumed),
        (Some(150), 200, HandshakeKind::Full),
        (Some(199), 201, HandshakeKind::Full),
    ] {
        for max_version in [771, 772] {
            let begin = Instant::now();
            let timed = Arc::new(Timed {
                tickets: Tickets::new(PERIOD, begin).unwrap(),
                begin,
                now: parking_lot::Mutex::new(Duration::ZERO),
            });
            let server = server_tls(&ServerTlsSettings { max_version, ..settings() }).unwrap();
            let mut config = ServerConfig::clone(&server.config(Asks::Nothing));
            config.ticketer = Arc::clone(&timed) as Arc<dyn ProducesTickets>;
            let config = Arc::new(config);
            let shake = async |client: &Arc<ClientConfig>| {
                let (near, far) = tokio::io::duplex(16 * 1024);
                let acceptor = TlsAcceptor::from(Arc::clone(&config));
                let accepting = tokio::spawn(async move {
                    let mut stream = acceptor.accept(far).await.unwrap();
                    stream.write_all(b"!").await.unwrap();
                    stream.shutdown().await.unwrap();
                });
                let name = ServerName::try_from("api.test").unwrap();
                let mut stream = TlsConnector::from(Arc::clone(client)).connect(name, near).await.unwrap();
                stream.read_u8().await.unwrap();
                accepting.await.unwrap();
                stream.get_ref().1.handshake_kind().unwrap()
            };
            let client = || Arc::new(upstream_tls(true, &[], &[]).unwrap());
            let (holder, other) = (client(), client());
            assert_eq!(shake(&holder).await, HandshakeKind::Full);
            if let Some(between) = between {
                *timed.now.lock() = Duration::from_secs(between);
                assert_eq!(shake(&other).await, HandshakeKind::Full);
            }
            *timed.now.lock() = Duration::from_secs(again);
            assert_eq!(shake(&holder).await, kind, "{between:?} {again} {max_version}");
            assert_eq!(shake(&holder).await, HandshakeKind::Resumed, "what it got just now");
        }
    }
}
