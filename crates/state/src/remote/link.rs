//! The connection to Redis, and the breaker in front of it.
//!
//! One task keeps the connection: it connects, probes every second, and after a loss tries again for ever. Callers never
//! connect and never wait for a connection: they use the one there is, or are told [`Unavailable`]. The first command
//! that fails for the connection's sake takes it away from all others (the breaker opens); the task brings a new one.
//! A cluster is not given up for one command, which may have met the one node that is down: the task probes at once
//! which masters answer (see [`Cluster`]).

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult,
    ServerErrorKind, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};
use tokio::sync::{Notify, watch};

use super::cluster::Cluster;
use super::settings::{Plan, Topology};
use super::tls::Dialler;
use crate::{Health, Unavailable};

/// How often the connection is probed.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// Pauses between attempts to connect: the first, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// A connection that lasted longer is replaced without a pause.
const STEADY: Duration = Duration::from_secs(5);
/// An attempt to connect takes several round trips (sentinels, handshake, login).
const CONNECT_FACTOR: u32 = 4;

/// What commands go through; clones share one connection (or one for each node of a cluster).
#[derive(Clone)]
pub(super) enum Connection {
    Single(MultiplexedConnection),
    Cluster(Box<Cluster>),
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Connection::Single(connection) => connection.req_packed_command(cmd),
            Connection::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        cmd: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Connection::Single(connection) => connection.req_packed_commands(cmd, offset, count),
            Connection::Cluster(connection) => connection.req_packed_commands(cmd, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Connection::Single(connection) => connection.get_db(),
            Connection::Cluster(connection) => connection.get_db(),
        }
    }
}

/// A connection that works as far as anyone knows.
struct Live {
    connection: Connection,
    /// Servers that a subscription may connect to, best first.
    subscribe_at: Vec<Client>,
}

/// See the module.
pub(super) struct Link {
    plan: Plan,
    live: ArcSwapOption<Live>,
    /// Wakes the task: the connection is gone, or may be.
    doubt: Notify,
    health: watch::Sender<Health>,
}

impl Link {
    pub(super) fn new(plan: Plan) -> Arc<Link> {
        let health = watch::Sender::new(Health::down("not connected to Redis yet"));
        Arc::new(Link { plan, live: ArcSwapOption::empty(), doubt: Notify::new(), health })
    }

    pub(super) fn timeout(&self) -> Duration {
        self.plan.timeout
    }

    /// Whether there is a connection that works as far as anyone knows.
    pub(super) fn is_up(&self) -> bool {
        self.live.load().is_some()
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.plan.topology, Topology::Cluster(..))
    }

    pub(super) fn health(&self) -> Health {
        self.health.borrow().clone()
    }

    pub(super) fn health_changes(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    /// Runs one operation on the connection there is, within the timeout.
    pub(super) async fn run<'a, T, F>(
        &self,
        operation: impl FnOnce(Connection) -> F,
    ) -> Result<T, Unavailable>
    where
        F: Future<Output = RedisResult<T>> + 'a,
    {
        let live = self.connected()?;
        let error = match tokio::time::timeout(self.plan.timeout, operation(live.connection.clone())).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) if !breaks(&error) => return Err(refused(&error)),
            Ok(Err(error)) => error.to_string(),
            Err(_) => late(self.plan.timeout),
        };
        match live.connection {
            Connection::Single(_) => self.lose(&live, &error),
            Connection::Cluster(_) => self.doubt.notify_one(),
        }
        Err(Unavailable(error))
    }

    /// The same for one that finds out how the server is: the connection stays with all others, whatever comes of it.
    pub(super) async fn ask<'a, T, F>(
        &self,
        operation: impl FnOnce(Connection) -> F,
    ) -> Result<T, Unavailable>
    where
        F: Future<Output = RedisResult<T>> + 'a,
    {
        let live = self.connected()?;
        match tokio::time::timeout(self.plan.timeout, operation(live.connection.clone())).await {
            Ok(answer) => answer.map_err(|error| refused(&error)),
            Err(_) => Err(Unavailable(late(self.plan.timeout))),
        }
    }

    fn connected(&self) -> Result<Arc<Live>, Unavailable> {
        self.live.load_full().ok_or_else(|| {
            let error = self.health.borrow().error.clone();
            Unavailable(error.unwrap_or_else(|| "not connected to Redis".to_owned()))
        })
    }

    /// Opens the breaker, unless another caller did or the connection was replaced since.
    fn lose(&self, live: &Arc<Live>, error: &str) {
        let before = self.live.compare_and_swap(live, None);
        if before.as_ref().is_some_and(|before| Arc::ptr_eq(before, live)) {
            tracing::warn!(error, "Redis is away; trying to reconnect");
            self.health.send_replace(Health::down(error));
            self.doubt.notify_one();
        }
    }

    /// Keeps the connection, for ever.
    pub(super) async fn keep(self: Arc<Link>) {
        let mut failures = 0;
        loop {
            match tokio::time::timeout(self.plan.timeout * CONNECT_FACTOR, self.connect()).await {
                Ok(Ok(live)) => {
                    let began = Instant::now();
                    let live = Arc::new(live);
                    self.live.store(Some(Arc::clone(&live)));
                    self.health.send_replace(Health::up());
                    tracing::info!("connected to Redis");
                    self.watch(&live).await;
                    // A server that lets us in and then refuses to work (a replica, say) is not stormed.
                    if began.elapsed() > STEADY {
                        failures = 0;
                        continue;
                    }
                }
                Ok(Err(error)) => self.still_down(&error.to_string()),
                Err(_) => self.still_down(&late(self.plan.timeout)),
            }
            tokio::time::sleep(backoff(failures)).await;
            failures += 1;
        }
    }

    /// Returns when `live` was lost.
    async fn watch(&self, live: &Arc<Live>) {
        loop {
            tokio::select! {
                () = self.doubt.notified() => {}
                () = tokio::time::sleep(PROBE_EVERY) => {}
            }
            if self.is_current(live) {
                let mut connection = live.connection.clone();
                if let Err(error) = probe(&mut connection, self.plan.timeout).await {
                    self.lose(live, &error.to_string());
                }
            }
            if !self.is_current(live) {
                return;
            }
        }
    }

    fn is_current(&self, live: &Arc<Live>) -> bool {
        self.live.load().as_ref().is_some_and(|current| Arc::ptr_eq(current, live))
    }

    /// Keeps `since`: the time of the loss says more than that of the last attempt.
    fn still_down(&self, error: &str) {
        self.health.send_if_modified(|health| {
            let changed = health.error.as_deref() != Some(error);
            if changed {
                tracing::warn!(error, "cannot connect to Redis; trying again");
                health.error = Some(error.to_owned());
            }
            changed
        });
    }

    async fn connect(&self) -> RedisResult<Live> {
        let mut live = match &self.plan.topology {
            Topology::Single(clients) => self.connect_first(clients).await?,
            Topology::Sentinel(sentinel) => {
                let master = sentinel.lock().await.async_get_client().await?;
                self.connect_first(&[master]).await?
            }
            Topology::Cluster(cluster, nodes) => Live {
                connection: Connection::Cluster(Box::new(Cluster::new(
                    cluster.get_async_connection().await?,
                ))),
                subscribe_at: nodes.clone(),
            },
        };
        probe(&mut live.connection, self.plan.timeout).await?;
        Ok(live)
    }

    async fn connect_first(&self, clients: &[Client]) -> RedisResult<Live> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.plan.timeout))
            .set_response_timeout(Some(self.plan.timeout));
        let mut failure = None;
        for client in clients {
            let opened = match &self.plan.dialler {
                Some(dialler) => dialler.commands(client, &config).await,
                None => client.get_multiplexed_async_connection_with_config(&config).await,
            };
            match opened {
                Ok(connection) => {
                    return Ok(Live {
                        connection: Connection::Single(connection),
                        subscribe_at: vec![client.clone()],
                    });
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| RedisError::from((ErrorKind::InvalidClientConfig, "no Redis host"))))
    }

    /// Opens a subscription's connection where the library cannot.
    pub(super) fn dialler(&self) -> Option<&Dialler> {
        self.plan.dialler.as_ref()
    }

    /// Where to subscribe; empty while Redis is away.
    pub(super) fn subscribe_at(&self) -> Vec<Client> {
        self.live.load().as_ref().map(|live| live.subscribe_at.clone()).unwrap_or_default()
    }
}

/// Whether the server answers; of a cluster, which of its masters do, and whether any does.
async fn probe(connection: &mut Connection, timeout: Duration) -> RedisResult<()> {
    if let Connection::Cluster(cluster) = connection {
        return cluster.probe(timeout).await;
    }
    match tokio::time::timeout(timeout, redis::cmd("PING").query_async(connection)).await {
        Ok(answer) => answer,
        Err(_) => Err(RedisError::from(std::io::Error::new(std::io::ErrorKind::TimedOut, late(timeout)))),
    }
}

fn late(timeout: Duration) -> String {
    format!("no answer from Redis within {timeout:?}")
}

fn refused(error: &RedisError) -> Unavailable {
    Unavailable(format!("Redis refuses: {error}"))
}

/// Whether an error says something about the connection or the server as a whole, not about one command.
fn breaks(error: &RedisError) -> bool {
    use ServerErrorKind::{BusyLoading, ClusterDown, MasterDown, ReadOnly};
    match error.kind() {
        ErrorKind::Server(kind) => matches!(kind, BusyLoading | ClusterDown | MasterDown | ReadOnly),
        ErrorKind::UnexpectedReturnType | ErrorKind::Client | ErrorKind::Extension => false,
        _ => true,
    }
}

/// A pause that doubles, with half of it left to chance, so that nodes do not all come back at the same moment.
pub(super) fn backoff(failures: u32) -> Duration {
    let (first, longest) = BACKOFF;
    let whole = first.saturating_mul(1 << failures.min(16)).min(longest);
    whole.mul_f64(rand::random_range(0.5..1.0))
}
