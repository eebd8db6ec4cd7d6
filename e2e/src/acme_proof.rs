//! How a directory sees for itself that a name is whose it is said to be.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::Mutex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{PATIENCE, curl, soon};

/// Waits a moment for who does not listen yet, as directories ask more than once.
async fn connect(port: u16) -> Result<TcpStream, String> {
    let start = Instant::now();
    loop {
        match TcpStream::connect(("127.0.0.1", port)).await {
            Ok(socket) => return Ok(socket),
            Err(error) if start.elapsed() > PATIENCE / 4 => return Err(format!("port {port}: {error}")),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// RFC 8555 section 8.3.
pub(crate) async fn by_http(port: u16, host: &str, token: &str, authorization: &str) -> Result<(), String> {
    drop(connect(port).await?);
    let url = format!("http://127.0.0.1:{port}/.well-known/acme-challenge/{token}");
    let reply = curl(&["--max-time", "5", "-H", &format!("host: {host}"), &url]).await;
    match reply.status == 200 && reply.text() == authorization {
        true => Ok(()),
        false => Err(format!("port {port} answered {} {:?}", reply.status, reply.body)),
    }
}

/// RFC 8737 section 3.
pub(crate) async fn by_tls(port: u16, host: &str, authorization: &str) -> Result<(), String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let seen = Arc::new(Seen { provider: Arc::clone(&provider), certificate: Mutex::default() });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&seen) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let socket = connect(port).await?;
    let handshake = TlsConnector::from(Arc::new(config)).connect(name, socket);
    let stream = soon("a handshake", handshake).await.map_err(|error| format!("port {port}: {error}"))?;
    if stream.get_ref().1.alpn_protocol() != Some(b"acme-tls/1") {
        return Err(format!("port {port} does not speak acme-tls/1"));
    }
    let certificate = seen.certificate.lock().clone();
    // id-pe-acmeIdentifier, critical, an OCTET STRING in an OCTET STRING; and the name, alone.
    let mut wanted = vec![0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 1, 0x1f, 0x01, 0x01, 0xff, 0x04, 0x22, 0x04, 0x20];
    wanted.extend_from_slice(digest(&SHA256, authorization.as_bytes()).as_ref());
    let length = u8::try_from(host.len()).unwrap();
    let named = [&[0x30, length + 2, 0x82, length], host.as_bytes()].concat();
    let holds = |part: &[u8]| certificate.windows(part.len()).any(|window| window == part);
    match holds(&wanted) && holds(&named) {
        true => Ok(()),
        false => Err(format!("port {port} showed a certificate without the proof")),
    }
}

/// Takes any certificate, and keeps it.
#[derive(Debug)]
struct Seen {
    provider: Arc<CryptoProvider>,
    certificate: Mutex<Vec<u8>>,
}

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.certificate.lock() = end_entity.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        // What checks signatures takes no certificate with an extension that it does not know.
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
