//! How Redis is reached.

use std::{io, path::PathBuf, time::Duration};

use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, RedisError,
    TlsCertificates, TlsMode,
    cluster::{ClusterClient, ClusterClientBuilder},
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};

use super::tls::{Dialler, Files, TlsVersions};
use crate::{Secret, SignalKey};

/// Connection settings: a single server, a cluster, or servers that sentinels watch (contract 1.3 and 13.5).
#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// `host:port` each (port 6379 if absent). Several: nodes of the cluster, sentinels, or servers to try in order.
    pub hosts: Vec<String>,
    /// ACL user; empty for the default user.
    pub username: String,
    /// Password; empty for none.
    pub password: Secret,
    /// Database number; a cluster has only 0.
    pub database: i64,
    /// Name of the master that the sentinels at `hosts` watch; `None` without sentinels.
    pub master_name: Option<String>,
    /// Password of the sentinels themselves; empty for none.
    pub sentinel_password: Secret,
    /// Whether `hosts` form a cluster.
    pub cluster: bool,
    /// TLS; `None` for plain connections.
    pub tls: Option<RedisTls>,
    /// How long one command, or one attempt to connect, may take.
    pub timeout: Duration,
    /// The secret that signs signals between nodes (`node_secret`, contract 13.1).
    pub signal_secret: Secret,
    /// Who else may sign signals (`public_key_path`).
    pub signal_key: Option<SignalKey>,
    /// Accept signals without a valid signature (`allow_insecure_configs`).
    pub unsigned_signals: bool,
}

/// TLS towards Redis. Files are PEM.
#[derive(Clone, Debug, Default)]
pub struct RedisTls {
    /// Accept any certificate.
    pub insecure_skip_verify: bool,
    /// Authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Certificate to show, with `key_file`.
    pub cert_file: Option<PathBuf>,
    /// Key of `cert_file`.
    pub key_file: Option<PathBuf>,
    /// Which versions are spoken. To a cluster, and where sentinels watch, it can only be both.
    pub versions: TlsVersions,
}

impl Default for RedisSettings {
    fn default() -> RedisSettings {
        RedisSettings {
            hosts: vec!["localhost:6379".to_owned()],
            username: String::new(),
            password: Secret::default(),
            database: 0,
            master_name: None,
            sentinel_password: Secret::default(),
            cluster: false,
            tls: None,
            timeout: Duration::from_millis(500),
            signal_secret: Secret::default(),
            signal_key: None,
            unsigned_signals: false,
        }
    }
}

/// Settings with which no connection can ever be made.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// `hosts` is empty.
    #[error("no Redis host is set: give at least one host:port")]
    NoHost,
    /// Not `host` or `host:port`.
    #[error("Redis host {0:?} is not host:port")]
    Host(String),
    /// `cluster` and `master_name` exclude one another.
    #[error("Redis is set as a cluster and as watched by sentinels (master_name): choose one")]
    ClusterAndSentinel,
    /// Only one of `cert_file` and `key_file`.
    #[error("Redis TLS needs both a certificate file and a key file, or neither")]
    HalfCertificate,
    /// A TLS file cannot be read.
    #[error("cannot read {} for Redis TLS: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The key of who signs signals cannot be used.
    #[error("no RSA public key in PEM (`BEGIN PUBLIC KEY`) of at least 2048 bits: {0}")]
    SignalKey(String),
    /// Not for one server.
    #[error(
        "TLS versions towards Redis can be chosen for a single server only, not for a cluster or with sentinels"
    )]
    VersionsOfMany,
    /// TLS with what is set cannot be.
    #[error("Redis TLS cannot be set up: {0}")]
    Tls(String),
    /// The client library refuses.
    #[error("Redis settings cannot be used: {0}")]
    Refused(#[from] RedisError),
}

/// Settings made ready: what a connection attempt starts from.
pub(super) struct Plan {
    pub(super) topology: Topology,
    /// Opens connections where the library cannot.
    pub(super) dialler: Option<Dialler>,
    pub(super) timeout: Duration,
}

/// The shapes of a Redis installation.
pub(super) enum Topology {
    /// Clients to try in order.
    Single(Vec<Client>),
    /// The cluster, and clients of its single nodes for subscriptions.
    Cluster(Box<ClusterClient>, Vec<Client>),
    /// Whom to ask for the master.
    Sentinel(Box<tokio::sync::Mutex<SentinelClient>>),
}

impl RedisSettings {
    /// Blocking: reads the TLS files.
    pub(super) fn plan(&self) -> Result<Plan, SettingsError> {
        if self.hosts.is_empty() {
            return Err(SettingsError::NoHost);
        }
        if self.tls.is_some() {
            // The binary installed it already; a program that did not would panic at the first connection.
            rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        }
        let certificates = self.tls.as_ref().map(RedisTls::read).transpose()?;
        let dialler = match (&self.tls, &certificates) {
            (Some(tls), Some(files)) => tls.dialler(files, self.timeout)?,
            _ => None,
        };
        if dialler.is_some() && (self.cluster || self.master_name.is_some()) {
            return Err(SettingsError::VersionsOfMany);
        }
        let addresses: Vec<ConnectionAddr> =
            self.hosts.iter().map(|host| self.address(host)).collect::<Result<_, _>>()?;
        let topology = match &self.master_name {
            Some(_) if self.cluster => return Err(SettingsError::ClusterAndSentinel),
            Some(name) => Topology::Sentinel(Box::new(tokio::sync::Mutex::new(self.sentinel(
                addresses,
                name,
                certificates,
            )?))),
            None => {
                let clients: Vec<Client> = addresses
                    .into_iter()
                    .map(|address| self.client(address, certificates.clone()))
                    .collect::<Result<_, _>>()?;
                if self.cluster {
                    Topology::Cluster(Box::new(self.cluster(&clients, certificates)?), clients)
                } else {
                    Topology::Single(clients)
                }
            }
        };
        Ok(Plan { topology, dialler, timeout: self.timeout })
    }

    fn address(&self, host: &str) -> Result<ConnectionAddr, SettingsError> {
        let refused = || SettingsError::Host(host.to_owned());
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') || name.starts_with('[') => {
                (name, port.parse().map_err(|_| refused())?)
            }
            _ => (host, 6379),
        };
        let name = name.trim_start_matches('[').trim_end_matches(']').to_owned();
        if name.is_empty() || name.contains(['/', ' ', '@']) {
            return Err(refused());
        }
        Ok(match &self.tls {
            None => ConnectionAddr::Tcp(name, port),
            Some(tls) => ConnectionAddr::TcpTls {
                host: name,
                port,
                insecure: tls.insecure_skip_verify,
                tls_params: None,
            },
        })
    }

    fn identity(&self) -> RedisConnectionInfo {
        let mut identity = RedisConnectionInfo::default().set_db(self.database);
        if !self.username.is_empty() {
            identity = identity.set_username(&self.username);
        }
        if !self.password.is_empty() {
            identity = identity.set_password(self.password.expose());
        }
        identity
    }

    fn client(
        &self,
        address: ConnectionAddr,
        certificates: Option<TlsCertificates>,
    ) -> Result<Client, SettingsError> {
        let info: ConnectionInfo = address.into_connection_info()?;
        let info = info.set_redis_settings(self.identity()).set_tcp_settings(tcp());
        Ok(match certificates {
            Some(certificates) => Client::build_with_tls(info, certificates)?,
            None => Client::open(info)?,
        })
    }

    fn cluster(
        &self,
        nodes: &[Client],
        certificates: Option<TlsCertificates>,
    ) -> Result<ClusterClient, SettingsError> {
        let infos = nodes.iter().map(|node| node.get_connection_info().clone());
        let mut builder = ClusterClientBuilder::new(infos)
            .connection_timeout(self.timeout)
            .response_timeout(self.timeout)
            .retries(1)
            .tcp_settings(tcp());
        if let Some(tls) = &self.tls {
            builder = builder.tls(tls.mode());
        }
        if let Some(certificates) = certificates {
            builder = builder.certs(certificates);
        }
        Ok(builder.build()?)
    }

    fn sentinel(
        &self,
        addresses: Vec<ConnectionAddr>,
        master: &str,
        certificates: Option<TlsCertificates>,
    ) -> Result<SentinelClient, SettingsError> {
        let mut builder = SentinelClientBuilder::new(addresses, master, SentinelServerType::Master)?
            .set_client_to_redis_db(self.database)
            .set_client_to_redis_tcp_settings(tcp())
            .set_client_to_sentinel_tcp_settings(tcp());
        if !self.username.is_empty() {
            builder = builder.set_client_to_redis_username(&self.username);
        }
        if !self.password.is_empty() {
            builder = builder.set_client_to_redis_password(self.password.expose());
        }
        if !self.sentinel_password.is_empty() {
            builder = builder.set_client_to_sentinel_password(self.sentinel_password.expose());
        }
        if let Some(tls) = &self.tls {
            builder =
                builder.set_client_to_redis_tls_mode(tls.mode()).set_client_to_sentinel_tls_mode(tls.mode());
        }
        if let Some(certificates) = certificates {
            builder = builder
                .set_client_to_redis_certificates(certificates.clone())
                .set_client_to_sentinel_certificates(certificates);
        }
        Ok(builder.build()?)
    }
}

impl RedisTls {
    fn mode(&self) -> TlsMode {
        if self.insecure_skip_verify { TlsMode::Insecure } else { TlsMode::Secure }
    }

    fn dialler(&self, files: &TlsCertificates, patience: Duration) -> Result<Option<Dialler>, SettingsError> {
        let shown = files.client_tls.as_ref();
        let files = Files {
            authorities: files.root_cert.as_deref(),
            shown: shown.map(|shown| (&*shown.client_cert, &*shown.client_key)),
        };
        Dialler::new(self.versions, self.insecure_skip_verify, &files, patience)
    }

    fn read(&self) -> Result<TlsCertificates, SettingsError> {
        #[expect(clippy::disallowed_methods, reason = "documented as blocking: runs once, at the start")]
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|source| SettingsError::File { path: path.clone(), source })
        };
        let client_tls = match (&self.cert_file, &self.key_file) {
            (Some(cert), Some(key)) => {
                Some(redis::ClientTlsConfig { client_cert: read(cert)?, client_key: read(key)? })
            }
            (None, None) => None,
            _ => return Err(SettingsError::HalfCertificate),
        };
        Ok(TlsCertificates { client_tls, root_cert: self.ca_file.as_ref().map(read).transpose()? })
    }
}

/// Keep-alives find a peer that vanished without a word; they matter to the subscription, which only listens.
pub(super) fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new().with_time(Duration::from_secs(10)).with_interval(Duration::from_secs(5))
}

fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true).set_keepalive(keepalive())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_can_never_work_are_refused() {
        let with = |change: fn(&mut RedisSettings)| {
            let mut settings = RedisSettings::default();
            change(&mut settings);
            settings.plan().map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(with(|_| ()), Ok(()));
        assert_eq!(with(|s| s.hosts = vec!["[::1]:7000".into(), "::1".into(), "redis".into()]), Ok(()));
        assert_eq!(with(|s| s.master_name = Some("m".into())), Ok(()));
        assert_eq!(with(|s| s.cluster = true), Ok(()));
        for (change, part) in [
            ((|s| s.hosts.clear()) as fn(&mut RedisSettings), "no Redis host"),
            (|s| s.hosts = vec!["redis:port".into()], "\"redis:port\" is not host:port"),
            (|s| s.hosts = vec!["redis://h:1/0".into()], "is not host:port"),
            (|s| (s.cluster, s.master_name) = (true, Some("m".into())), "choose one"),
            (|s| s.tls = Some(RedisTls { cert_file: Some("c".into()), ..RedisTls::default() }), "both"),
            (
                |s| s.tls = Some(RedisTls { ca_file: Some("/no/ca.pem".into()), ..RedisTls::default() }),
                "/no/ca.pem",
            ),
            (
                |s| {
                    s.cluster = true;
                    s.tls = Some(RedisTls { versions: TlsVersions::Only13, ..RedisTls::default() });
                },
                "single server only",
            ),
            (
                |s| {
                    s.master_name = Some("m".into());
                    s.tls = Some(RedisTls { versions: TlsVersions::Only12, ..RedisTls::default() });
                },
                "single server only",
            ),
        ] {
            let error = with(change).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn secrets_do_not_show() {
        let settings =
            RedisSettings { password: "canary".into(), signal_secret: "canary".into(), ..Default::default() };
        assert!(!format!("{settings:?}").contains("canary"));
    }
}
