//! TLS around what speaks without: an upstream gets a TLS side, a client reaches a TLS listener.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The path of a certificate or key among the gateway's samples: `default`, `api` (for `api.test`, signed by `root`),
/// `other`, `wild` (for `*.apps.test`).
pub fn sample(file: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../crates/gateway/src/listen/tls/samples", file].iter().collect()
}

/// A sample's certificate and key in one text.
pub fn sample_pem(name: &str) -> String {
    let read = |ending: &str| std::fs::read_to_string(sample(&format!("{name}.{ending}"))).unwrap();
    read("crt") + &read("key")
}

/// Joins connections to a port of its own with connections to another. It ends when dropped.
#[derive(Debug)]
pub struct Bridge {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    server: AbortHandle,
}

impl Bridge {
    /// Takes TLS connections with the self-signed sample `default`, offers these protocols by ALPN, and speaks without
    /// TLS to `to`.
    pub async fn decrypting(to: &str, alpn: &[&str]) -> Self {
        let certificate = CertificateDer::from_pem_file(sample("default.crt")).unwrap();
        let key = PrivateKeyDer::from_pem_file(sample("default.key")).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let to: SocketAddr = to.parse().unwrap();
        Self::start(move |near| {
            let acceptor = acceptor.clone();
            async move {
                if let Ok(near) = acceptor.accept(near).await {
                    join(near, TcpStream::connect(to).await.unwrap()).await;
                }
            }
        })
        .await
    }

    /// Speaks TLS to `port` of this machine, as `api.test`, trusting the sample `root` alone.
    pub async fn encrypting(port: u16) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(sample("root.crt")).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        Self::start(move |near| {
            let connector = connector.clone();
            async move {
                let far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                if let Ok(far) = connector.connect("api.test".try_into().unwrap(), far).await {
                    join(near, far).await;
                }
            }
        })
        .await
    }

    async fn start<F, T>(carry: F) -> Self
    where
        F: Fn(TcpStream) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&accepted);
        let server = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(carry(near));
            }
        });
        Self { address, accepted, server: server.abort_handle() }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many connections there have been.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn join(mut near: impl AsyncRead + AsyncWrite + Unpin, mut far: impl AsyncRead + AsyncWrite + Unpin) {
    // Either side may break off; the other then ends, too.
    let _ = copy_bidirectional(&mut near, &mut far).await;
}
