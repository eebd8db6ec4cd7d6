//! TLS of chosen versions towards Redis. The client library speaks 1.2 and 1.3 and cannot be told otherwise, so where one of
//! them is not wanted, connections are opened here and handed to it.

use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use redis::aio::{MultiplexedConnection, PubSub};
use redis::io::tcp::socket2::SockRef;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, RedisResult};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion, version,
};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::settings::{SettingsError, keepalive};

/// Versions of TLS that are spoken with Redis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersions {
    /// 1.2 and 1.3.
    #[default]
    Both,
    /// 1.2 alone.
    Only12,
    /// 1.3 alone.
    Only13,
}

/// Opens connections with TLS of its own.
#[derive(Clone)]
pub(super) struct Dialler {
    config: Arc<ClientConfig>,
    /// Bound for opening one.
    patience: Duration,
}

impl fmt::Debug for Dialler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialler").field("patience", &self.patience).finish_non_exhaustive()
    }
}

/// The files of `RedisTls`, read.
pub(super) struct Files<'a> {
    pub(super) authorities: Option<&'a [u8]>,
    /// Certificate and key.
    pub(super) shown: Option<(&'a [u8], &'a [u8])>,
}

impl Dialler {
    /// `None` where the library does what is asked for.
    pub(super) fn new(
        versions: TlsVersions,
        insecure: bool,
        files: &Files<'_>,
        patience: Duration,
    ) -> Result<Option<Self>, SettingsError> {
        let versions: &[&SupportedProtocolVersion] = match versions {
            TlsVersions::Both => return Ok(None),
            TlsVersions::Only12 => &[&version::TLS12],
            TlsVersions::Only13 => &[&version::TLS13],
        };
        let refused = |why: &dyn fmt::Display| SettingsError::Tls(why.to_string());
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .map_err(|why| refused(&why))?;
        let builder = if insecure {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        } else {
            let mut roots = RootCertStore::empty();
            let authorities = match files.authorities {
                Some(pem) => certificates(pem)?,
                None => rustls_native_certs::load_native_certs().certs,
            };
            roots.add_parsable_certificates(authorities);
            builder.with_root_certificates(roots)
        };
        let config = match files.shown {
            None => builder.with_no_client_auth(),
            Some((shown, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key).map_err(|why| refused(&why))?;
                builder.with_client_auth_cert(certificates(shown)?, key).map_err(|why| refused(&why))?
            }
        };
        Ok(Some(Self { config: Arc::new(config), patience }))
    }

    /// A connection for commands.
    pub(super) async fn commands(
        &self,
        client: &Client,
        config: &AsyncConnectionConfig,
    ) -> RedisResult<MultiplexedConnection> {
        let opened = async {
            let stream = self.dial(client).await?;
            let login = client.get_connection_info().redis_settings();
            MultiplexedConnection::new_with_config(login, stream, config.clone()).await
        };
        let (connection, driver) = timeout(self.patience, opened).await.map_err(io::Error::from)??;
        // Ends with the connection.
        tokio::spawn(driver);
        Ok(connection)
    }

    /// A connection that listens.
    pub(super) async fn subscription(&self, client: &Client) -> RedisResult<PubSub> {
        let stream = self.dial(client).await?;
        PubSub::new(client.get_connection_info().redis_settings(), stream).await
    }

    async fn dial(&self, client: &Client) -> io::Result<TlsStream<TcpStream>> {
        let ConnectionAddr::TcpTls { host, port, .. } = client.get_connection_info().addr() else {
            return Err(io::Error::other("the address is none for TLS"));
        };
        let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
        let tcp = TcpStream::connect((host.as_str(), *port)).await?;
        tcp.set_nodelay(true)?;
        SockRef::from(&tcp).set_tcp_keepalive(&keepalive())?;
        TlsConnector::from(Arc::clone(&self.config)).connect(name, tcp).await
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, SettingsError> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|why| SettingsError::Tls(format!("a file of certificates is no PEM: {why}")))
}

/// Takes any certificate (`ssl_insecure_skip_verify`); that the peer holds its key is checked in any case.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
