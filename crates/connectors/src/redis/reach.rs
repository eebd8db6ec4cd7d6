//! How Redis is reached: one server, a cluster, or the master that sentinels name; and where it may be.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use document::Fault;
use redis::aio::{ConnectionLike, MultiplexedConnection, PubSub};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::io::AsyncDNSResolver;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind,
    IntoConnectionInfo, Pipeline, RedisError, RedisFuture, TlsCertificates, TlsMode, Value,
};
use rustls::pki_types::ServerName;
use streams::{BuildContext, Egress, Node};
use tokio::net::UnixStream;
use tokio_rustls::TlsConnector;

use crate::fields::{Tls, filled, tls};
use crate::net::tls::{TlsClient, plain_identity};
use crate::permits::{addresses, bare, dial, socket_permitted};

/// How long connecting, and the answer to a command that does not wait, may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Reach {
    place: Place,
    client_name: String,
    tls: Option<Tls>,
    resolver: Resolver,
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

impl Reach {
    /// Reads the connection fields of a component.
    pub(super) fn read(node: &Node<'_>, context: &BuildContext<'_>) -> Result<Reach, Fault> {
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
        let kind = node.text("kind")?;
        let is_path = |server: &ConnectionInfo| matches!(server.addr(), ConnectionAddr::Unix(_));
        if kind != "simple" && servers.iter().any(is_path) {
            return Err(node.field_fault(
                "url",
                "clusters and sentinels are reached over TCP, not over a socket's path",
            ));
        }
        let place = match &*kind {
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
        Ok(Reach { place, client_name, tls, resolver })
    }

    /// One server without TLS.
    #[cfg(test)]
    pub(super) fn at(url: &str) -> Reach {
        let place = Place::Server(url.into_connection_info().unwrap());
        Reach { place, client_name: String::new(), tls: None, resolver: Resolver(Arc::default()) }
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.place, Place::Cluster(_))
    }

    /// A connection whose commands may wait so long.
    pub(super) async fn open(&self, patience: Duration) -> Result<Connection, String> {
        let opened = async {
            match &self.place {
                Place::Server(server) => self.single(server, patience).await,
                Place::Sentinels(sentinels, master) => Ok(self.master(sentinels, master, patience).await?.1),
                Place::Cluster(nodes) => {
                    let mut builder = ClusterClientBuilder::new(nodes.clone())
                        .connection_timeout(PATIENCE)
                        .response_timeout(patience)
                        .async_dns_resolver(self.resolver.clone())
                        .retries(1);
                    if let Some(tls) = &self.tls {
                        builder = builder.tls(mode(tls)).certs(certificates(tls).await?);
                    }
                    let client = builder.build().map_err(told)?;
                    let connection = client.get_async_connection().await.map_err(told)?;
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

    /// A connection that listens.
    pub(super) async fn subscription(&self) -> Result<PubSub, String> {
        match &self.place {
            Place::Server(server) => self.listening(server).await,
            // Every node of a cluster hears what is published at any of them.
            Place::Cluster(nodes) => {
                let mut fault = "a cluster without nodes".to_owned();
                for node in nodes {
                    match self.listening(node).await {
                        Ok(opened) => return Ok(opened),
                        Err(own) => fault = own,
                    }
                }
                Err(fault)
            }
            Place::Sentinels(sentinels, master) => {
                let found = tokio::time::timeout(PATIENCE * 2, self.master(sentinels, master, PATIENCE));
                let (server, _) = found.await.map_err(|_| late(PATIENCE * 2))??;
                self.listening(&server).await
            }
        }
    }

    /// A connection to one server, whose name our resolver looks up: also that of one which a sentinel named.
    async fn single(&self, server: &ConnectionInfo, patience: Duration) -> Result<Connection, String> {
        if let ConnectionAddr::Unix(path) = server.addr() {
            socket_permitted(&self.resolver.0, path)?;
        }
        let client = match &self.tls {
            Some(tls) => Client::build_with_tls(server.clone(), certificates(tls).await?),
            None => Client::open(server.clone()),
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(patience))
            .set_dns_resolver(self.resolver.clone());
        let connection = client.map_err(told)?.get_multiplexed_async_connection_with_config(&config).await;
        Ok(Connection::Server(connection.map_err(told)?))
    }

    /// The client library's connections that listen ask no resolver of ours: this one is dialled here.
    async fn listening(&self, server: &ConnectionInfo) -> Result<PubSub, String> {
        let opened = async {
            let (host, port, secure) = match server.addr() {
                ConnectionAddr::Tcp(host, port) => (host, *port, false),
                ConnectionAddr::TcpTls { host, port, .. } => (host, *port, true),
                ConnectionAddr::Unix(path) => {
                    socket_permitted(&self.resolver.0, path)?;
                    let stream = UnixStream::connect(path).await;
                    let stream = stream.map_err(|fault| format!("redis: {}: {fault}", path.display()))?;
                    return PubSub::new(server.redis_settings(), stream).await.map_err(told);
                }
                _ => return Err("redis: an address of a kind that cannot be dialled".to_owned()),
            };
            let stream = dial(&self.resolver.0, host, port).await.map_err(|text| format!("redis: {text}"))?;
            match &self.tls {
                Some(tls) if secure => {
                    let name = ServerName::try_from(bare(host).to_owned())
                        .map_err(|_| format!("`{host}` is not a name that a certificate could hold"))?;
                    let config = TlsClient::new(tls.clone(), &[]).config().await?;
                    let stream = TlsConnector::from(config).connect(name, stream).await;
                    let stream = stream.map_err(|fault| format!("redis: no tls with {host}: {fault}"))?;
                    PubSub::new(server.redis_settings(), stream).await.map_err(told)
                }
                _ => PubSub::new(server.redis_settings(), stream).await.map_err(told),
            }
        };
        tokio::time::timeout(PATIENCE, opened).await.map_err(|_| late(PATIENCE))?
    }

    /// The master that sentinels know, and a connection to it. Sentinels are asked one after the other until one names a
    /// server that is the master indeed.
    async fn master(
        &self,
        sentinels: &[ConnectionInfo],
        name: &str,
        patience: Duration,
    ) -> Result<(ConnectionInfo, Connection), String> {
        let mut failure = "redis sentinels: none is known".to_owned();
        for sentinel in sentinels {
            match self.ask(sentinel, name, patience).await {
                Ok(found) => return Ok(found),
                Err(text) => failure = format!("redis sentinel {}: {text}", sentinel.addr()),
            }
        }
        Err(failure)
    }

    async fn ask(
        &self,
        sentinel: &ConnectionInfo,
        name: &str,
        patience: Duration,
    ) -> Result<(ConnectionInfo, Connection), String> {
        // User, password and database are those of the servers that the sentinels watch.
        let place = sentinel.addr().clone().into_connection_info().map_err(told)?;
        let mut connection = self.single(&place, PATIENCE).await?;
        let mut question = redis::cmd("SENTINEL");
        question.arg("get-master-addr-by-name").arg(name);
        let found: Option<(String, u16)> = question.query_async(&mut connection).await.map_err(told)?;
        let (host, port) = found.ok_or_else(|| format!("it knows no master `{name}`"))?;
        let address = match &self.tls {
            None => ConnectionAddr::Tcp(host, port),
            Some(tls) => ConnectionAddr::TcpTls { host, port, insecure: tls.skip_verify, tls_params: None },
        };
        let server = sentinel.clone().set_addr(address);
        let mut connection = self.single(&server, patience).await?;
        match redis::cmd("ROLE").query_async::<Vec<Value>>(&mut connection).await {
            Ok(role) if !is_master(&role) => Err(format!("{} is not the master any more", server.addr())),
            Ok(_) => Ok((server, connection)),
            // Where the command is not allowed, the sentinel's word counts.
            Err(error) if matches!(error.kind(), ErrorKind::Server(_)) => Ok((server, connection)),
            Err(error) => Err(told(error)),
        }
    }
}

fn is_master(role: &[Value]) -> bool {
    match role.first() {
        Some(Value::BulkString(name)) => name == b"master",
        Some(Value::SimpleString(name)) => name == "master",
        _ => false,
    }
}

fn told(error: RedisError) -> String {
    format!("redis: {error}")
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
