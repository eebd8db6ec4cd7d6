//! How Redis is reached, and the connection there is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use document::Fault;
use redis::aio::{ConnectionLike, MultiplexedConnection, PubSub};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::io::AsyncDNSResolver;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind,
    FromRedisValue, IntoConnectionInfo, Pipeline, RedisError, RedisFuture, ServerErrorKind, TlsCertificates,
    TlsMode, Value,
};
use streams::{BuildContext, Egress, Node};
use tokio::sync::Mutex;

use crate::fields::{Tls, filled, tls};
use crate::net::tls::plain_identity;
use crate::permits::{addresses, permitted};

/// How long connecting, and the answer to a command that does not wait, may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Link {
    place: Place,
    client_name: String,
    tls: Option<Tls>,
    resolver: Resolver,
    live: Mutex<Option<Connection>>,
}

enum Place {
    Server(ConnectionInfo),
    Cluster(Vec<ConnectionInfo>),
    Sentinels(Vec<ConnectionInfo>, String),
}

/// Clones share one connection, or one for each node of a cluster.
#[derive(Clone)]
pub(super) enum Connection {
    Server(MultiplexedConnection),
    Cluster(Box<ClusterConnection>),
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Connection::Server(connection) => connection.req_packed_command(command),
            Connection::Cluster(connection) => connection.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Connection::Server(connection) => connection.req_packed_commands(commands, offset, count),
            Connection::Cluster(connection) => connection.req_packed_commands(commands, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Connection::Server(connection) => connection.get_db(),
            Connection::Cluster(connection) => connection.get_db(),
        }
    }
}

/// Why a command failed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The connection is gone, or the server does not work now: the same command may succeed later.
    Away(String),
    /// Redis refuses this command.
    Refused(String),
}

impl Trouble {
    pub(super) fn text(self) -> String {
        match self {
            Trouble::Away(text) | Trouble::Refused(text) => text,
        }
    }
}

impl From<RedisError> for Trouble {
    fn from(error: RedisError) -> Trouble {
        use ServerErrorKind::{BusyLoading, ClusterDown, MasterDown, ReadOnly, TryAgain};
        let text = format!("redis: {error}");
        match error.kind() {
            ErrorKind::Server(BusyLoading | ClusterDown | MasterDown | ReadOnly | TryAgain) => {
                Trouble::Away(text)
            }
            ErrorKind::Server(_)
            | ErrorKind::UnexpectedReturnType
            | ErrorKind::Client
            | ErrorKind::Extension => Trouble::Refused(text),
            _ => Trouble::Away(text),
        }
    }
}

impl Link {
    /// Reads the connection fields of a component.
    pub(super) fn read(node: &Node<'_>, context: &BuildContext<'_>) -> Result<Link, Fault> {
        let mut tls = tls(node)?;
        let text = node.text("url")?;
        let mut servers = Vec::new();
        for url in text.split(',').map(str::trim).filter(|url| !url.is_empty()) {
            servers.push(server(node, url, &mut tls)?);
        }
        let Some(first) = servers.first().cloned() else {
            return Err(node.field_fault("url", "`url` must name a server"));
        };
        let master = node.text("master")?.into_owned();
        let place = match &*node.text("kind")? {
            "cluster" => Place::Cluster(servers),
            "failover" if master.is_empty() => {
                return Err(node.field_fault("master", "`failover` needs the name of the master"));
            }
            "failover" => Place::Sentinels(servers, master),
            _ if servers.len() > 1 => {
                return Err(node
                    .field_fault("url", "several servers are a `cluster`, or the sentinels of a `failover`")
                    .hint("set `kind`"));
            }
            _ => Place::Server(first),
        };
        let client_name = filled(node, "client_name")?.unwrap_or_default();
        let resolver = Resolver(context.settings.egress.clone());
        Ok(Link { place, client_name, tls, resolver, live: Mutex::new(None) })
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.place, Place::Cluster(_))
    }

    /// The connection there is, or a new one.
    pub(super) async fn connection(&self) -> Result<Connection, String> {
        let mut live = self.live.lock().await;
        if let Some(connection) = &*live {
            return Ok(connection.clone());
        }
        let connection = self.open(PATIENCE).await?;
        *live = Some(connection.clone());
        Ok(connection)
    }

    /// The next one who asks for a connection makes a new one.
    pub(super) async fn forget(&self) {
        *self.live.lock().await = None;
    }

    /// Runs a command on the connection there is; one that breaks is forgotten.
    pub(super) async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Trouble> {
        let mut connection = self.connection().await.map_err(Trouble::Away)?;
        let answer = command.query_async(&mut connection).await.map_err(Trouble::from);
        if matches!(answer, Err(Trouble::Away(_))) {
            self.forget().await;
        }
        answer
    }

    /// A connection of its own whose commands may wait so long: others must not wait behind them.
    pub(super) async fn waiting(&self, wait: Duration) -> Result<Connection, String> {
        self.open(wait + PATIENCE).await
    }

    /// A connection that listens.
    pub(super) async fn subscription(&self) -> Result<PubSub, String> {
        let client = match &self.place {
            Place::Server(server) => self.client(server.clone()).await?,
            // Every node of a cluster hears what is published at any of them.
            Place::Cluster(nodes) => {
                let mut fault = "a cluster without nodes".to_owned();
                for node in nodes {
                    match self.listening(&self.client(node.clone()).await?).await {
                        Ok(opened) => return Ok(opened),
                        Err(own) => fault = own,
                    }
                }
                return Err(fault);
            }
            Place::Sentinels(sentinels, master) => self.master(sentinels, master).await?,
        };
        self.listening(&client).await
    }

    async fn open(&self, patience: Duration) -> Result<Connection, String> {
        let opened = async {
            match &self.place {
                Place::Server(server) => self.single(&self.client(server.clone()).await?, patience).await,
                Place::Sentinels(sentinels, master) => {
                    self.single(&self.master(sentinels, master).await?, patience).await
                }
                Place::Cluster(nodes) => {
                    let mut builder = ClusterClientBuilder::new(nodes.clone())
                        .connection_timeout(PATIENCE)
                        .response_timeout(patience)
                        .async_dns_resolver(self.resolver.clone())
                        .retries(1);
                    if let Some(tls) = &self.tls {
                        builder = builder.tls(mode(tls)).certs(certificates(tls).await?);
                    }
                    let client = builder.build().map_err(|error| format!("redis: {error}"))?;
                    let connection = client.get_async_connection().await;
                    let connection = connection.map_err(|error| format!("redis: {error}"))?;
                    Ok(Connection::Cluster(Box::new(connection)))
                }
            }
        };
        let mut connection =
            tokio::time::timeout(PATIENCE * 2, opened).await.map_err(|_| late(PATIENCE * 2))??;
        if !self.client_name.is_empty() {
            let mut command = redis::cmd("CLIENT");
            command.arg("SETNAME").arg(&self.client_name);
            let named = command.query_async::<()>(&mut connection).await;
            named.map_err(|error| format!("redis does not take `client_name`: {error}"))?;
        }
        Ok(connection)
    }

    async fn single(&self, client: &Client, patience: Duration) -> Result<Connection, String> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(patience))
            .set_dns_resolver(self.resolver.clone());
        let connection = client.get_multiplexed_async_connection_with_config(&config).await;
        Ok(Connection::Server(connection.map_err(|error| format!("redis: {error}"))?))
    }

    async fn client(&self, server: ConnectionInfo) -> Result<Client, String> {
        let client = match &self.tls {
            Some(tls) => Client::build_with_tls(server, certificates(tls).await?),
            None => Client::open(server),
        };
        client.map_err(|error| format!("redis: {error}"))
    }

    /// For connections of the library that ask no resolver of ours.
    async fn permitted(&self, address: &ConnectionAddr) -> Result<(), String> {
        match address {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                permitted(&self.resolver.0, host, *port).await
            }
            _ => Ok(()),
        }
    }

    async fn listening(&self, client: &Client) -> Result<PubSub, String> {
        self.permitted(client.get_connection_info().addr()).await?;
        let opened = tokio::time::timeout(PATIENCE, client.get_async_pubsub()).await;
        opened.map_err(|_| late(PATIENCE))?.map_err(|error| format!("redis: {error}"))
    }

    async fn master(&self, sentinels: &[ConnectionInfo], master: &str) -> Result<Client, String> {
        let mut client = self.sentinel(sentinels, master).await?;
        client.async_get_client().await.map_err(|error| format!("redis sentinels: {error}"))
    }

    async fn sentinel(&self, sentinels: &[ConnectionInfo], master: &str) -> Result<SentinelClient, String> {
        let wrong = |error: RedisError| format!("redis sentinels: {error}");
        for sentinel in sentinels {
            self.permitted(sentinel.addr()).await?;
        }
        let addresses: Vec<ConnectionAddr> = sentinels.iter().map(|info| info.addr().clone()).collect();
        let mut builder =
            SentinelClientBuilder::new(addresses, master, SentinelServerType::Master).map_err(wrong)?;
        // User, password and database are those of the servers that the sentinels watch.
        if let Some(first) = sentinels.first().map(ConnectionInfo::redis_settings) {
            builder = builder.set_client_to_redis_db(first.db());
            if let Some(user) = first.username() {
                builder = builder.set_client_to_redis_username(user);
            }
            if let Some(password) = first.password() {
                builder = builder.set_client_to_redis_password(password);
            }
        }
        if let Some(tls) = &self.tls {
            let certificates = certificates(tls).await?;
            builder = builder
                .set_client_to_redis_tls_mode(mode(tls))
                .set_client_to_sentinel_tls_mode(mode(tls))
                .set_client_to_redis_certificates(certificates.clone())
                .set_client_to_sentinel_certificates(certificates);
        }
        builder.build().map_err(wrong)
    }
}

/// One member of `url`. TLS may be asked for by the scheme as well as by the field `tls`.
fn server(node: &Node<'_>, url: &str, tls: &mut Option<Tls>) -> Result<ConnectionInfo, Fault> {
    let url = match url.strip_prefix("tcp://") {
        Some(rest) => format!("redis://{rest}"),
        None => url.to_owned(),
    };
    // The library's words may hold the password.
    let wrong = || {
        node.field_fault("url", "this is no address of Redis")
            .hint("write `redis://user:password@host:6379/0`, `rediss://…` or `unix:///path`")
    };
    let info = url.as_str().into_connection_info().map_err(|_| wrong())?;
    let address = match info.addr().clone() {
        ConnectionAddr::Tcp(host, port) => match tls {
            None => ConnectionAddr::Tcp(host, port),
            Some(tls) => ConnectionAddr::TcpTls { host, port, insecure: tls.skip_verify, tls_params: None },
        },
        ConnectionAddr::TcpTls { host, port, .. } => {
            let tls = tls.get_or_insert_with(Tls::default);
            ConnectionAddr::TcpTls { host, port, insecure: tls.skip_verify, tls_params: None }
        }
        other => other,
    };
    Ok(info.set_addr(address))
}

/// Gives the addresses that the egress policy allows: also of nodes that a cluster or a sentinel names.
#[derive(Clone)]
struct Resolver(Arc<Egress>);

impl AsyncDNSResolver for Resolver {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        host: &'b str,
        port: u16,
    ) -> RedisFuture<'a, Box<dyn Iterator<Item = SocketAddr> + Send + 'a>> {
        Box::pin(async move {
            let found = addresses(&self.0, host, port).await;
            let found = found.map_err(|text| RedisError::from(std::io::Error::other(text)))?;
            Ok(Box::new(found.into_iter()) as Box<dyn Iterator<Item = SocketAddr> + Send>)
        })
    }
}

/// The part of a key that alone decides on its slot in a cluster, if there is one.
pub(super) fn hash_tag(key: &str) -> Option<&str> {
    let (tag, _) = key.split_once('{')?.1.split_once('}')?;
    Some(tag).filter(|tag| !tag.is_empty())
}

fn late(patience: Duration) -> String {
    format!("redis does not answer within {patience:?}")
}

fn mode(tls: &Tls) -> TlsMode {
    if tls.skip_verify { TlsMode::Insecure } else { TlsMode::Secure }
}

/// Reads them each time: they are renewed while the gate runs.
async fn certificates(tls: &Tls) -> Result<TlsCertificates, String> {
    // The binary installs it, too; a program that does not would panic at the first connection.
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let (roots, own) = (tls.roots.clone(), tls.client.clone());
    let read = tokio::task::spawn_blocking(move || {
        let root_cert = roots.map(|pem| pem.read("root_cas")).transpose()?;
        let own = own.map(|own| plain_identity(&own)).transpose()?;
        let client_tls = own.map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key });
        Ok(TlsCertificates { client_tls, root_cert })
    });
    read.await.map_err(|fault| fault.to_string())?
}
