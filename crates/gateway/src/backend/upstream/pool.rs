//! Connections to one upstream, shared by every API that names it and kept over configuration changes.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::connect::{Connector, DialError, Origin, Purpose, UpstreamStream, negotiated_h2};
use super::connection::Connection;
use crate::body::RequestBody;

/// Which connections are kept for the next exchange.
#[derive(Debug, Clone)]
pub struct KeepAlive {
    /// Idle connections kept for each origin (`max_idle_connections_per_host`).
    pub most_idle: usize,
    /// Age at which a connection is not used again (`max_conn_time`); zero uses each once, `None` sets no limit.
    pub oldest: Option<Duration>,
    /// Room for the idle connections of all origins together (`max_idle_connections`): one that finds none is closed.
    /// `None` sets no limit.
    pub room: Option<Arc<Semaphore>>,
}

impl KeepAlive {
    /// The same with at most so many idle connections in all.
    #[must_use]
    pub fn with_room(self, most: usize) -> Self {
        Self { room: Some(Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)))), ..self }
    }
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self { most_idle: 512, oldest: None, room: None }
    }
}

/// How long a connection may stay idle, from the first look at it.
const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// A multiplexed HTTP/2 connection's handle.
pub(super) type Multiplexed = http2::SendRequest<RequestBody>;

/// The connections to one origin.
pub(super) struct Pool {
    connector: Connector,
    keep: KeepAlive,
    /// Last in, first out: the warmest connection is used again, the coldest age out.
    #[expect(clippy::vec_box, reason = "connections move between pool and bodies with every exchange")]
    idle: Mutex<Vec<Box<Connection>>>,
    multiplexed: tokio::sync::Mutex<Option<Multiplexed>>,
}

/// What a request can be sent on.
pub(super) enum Line {
    Exclusive(Box<Connection>),
    Multiplexed(Multiplexed),
}

impl Pool {
    /// A parked connection, or a new one.
    pub(super) async fn line(&self, fresh: bool) -> Result<Line, DialError> {
        if self.connector.origin().is_h2c() {
            return self.multiplexed(None).await.map(Line::Multiplexed);
        }
        if !fresh && let Some(connection) = self.unpark() {
            return Ok(Line::Exclusive(connection));
        }
        // An upstream that chose HTTP/2 by ALPN before has its connection still.
        if let Some(sender) = self.multiplexed.lock().await.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(Line::Multiplexed(sender.clone()));
        }
        let stream = self.connector.dial(Purpose::Requests).await?;
        if negotiated_h2(&stream) {
            return self.multiplexed(Some(stream)).await.map(Line::Multiplexed);
        }
        Ok(Line::Exclusive(Box::new(Connection::new(stream))))
    }

    /// The error of a connection that takes too long.
    pub(super) fn timed_out(&self) -> DialError {
        self.connector.timed_out()
    }

    /// A connection of its own, for an upgrade that will not give it back.
    pub(super) async fn dial_for_upgrade(&self) -> Result<UpstreamStream, DialError> {
        self.connector.dial(Purpose::Upgrade).await
    }

    /// The most recently parked connection that is still alive.
    fn unpark(&self) -> Option<Box<Connection>> {
        loop {
            let mut connection = self.idle.lock().pop()?;
            if connection.is_quiet() && !self.is_spent(&connection) {
                connection.place = None;
                connection.reused = true;
                return Some(connection);
            }
        }
    }

    fn is_spent(&self, connection: &Connection) -> bool {
        self.keep.oldest.is_some_and(|oldest| connection.opened_at.elapsed() >= oldest)
    }

    /// Keeps a connection for the next exchange.
    pub(super) fn park(&self, mut connection: Box<Connection>) {
        if self.is_spent(&connection) {
            return;
        }
        if let Some(room) = &self.keep.room {
            match Arc::clone(room).try_acquire_owned() {
                Ok(place) => connection.place = Some(place),
                Err(_) => return,
            }
        }
        connection.parked_since = None;
        let mut idle = self.idle.lock();
        if idle.len() < self.keep.most_idle {
            idle.push(connection);
        }
    }

    /// The shared HTTP/2 connection, opened (over `stream`, when one is at hand) if there is none alive.
    async fn multiplexed(&self, stream: Option<UpstreamStream>) -> Result<Multiplexed, DialError> {
        let mut slot = self.multiplexed.lock().await;
        if let Some(sender) = slot.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let stream = match stream {
            Some(stream) => stream,
            None => self.connector.dial(Purpose::Requests).await?,
        };
        let (sender, driver) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .handshake(TokioIo::new(stream))
            .await
            .map_err(DialError::handshake)?;
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "upstream http/2 connection ended");
            }
        });
        *slot = Some(sender.clone());
        Ok(sender)
    }

    fn close_stale(&self, now: Instant) {
        let stale: Vec<_> = {
            let mut idle = self.idle.lock();
            idle.extract_if(.., |connection| now - *connection.parked_since.get_or_insert(now) >= IDLE_LIMIT)
                .collect()
        };
        drop(stale);
    }
}

/// All pools of the gate, by origin.
#[derive(Default)]
pub struct Pools {
    pools: Mutex<HashMap<Origin, Weak<Pool>>>,
}

impl std::fmt::Debug for Pools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pools").field("origins", &self.pools.lock().len()).finish()
    }
}

impl Pools {
    /// The pool for an origin; the same one as long as anybody uses it.
    pub(super) fn get(&self, connector: Connector, keep: KeepAlive) -> Arc<Pool> {
        let mut pools = self.pools.lock();
        if let Some(pool) = pools.get(connector.origin()).and_then(Weak::upgrade) {
            return pool;
        }
        let origin = connector.origin().clone();
        let pool = Arc::new(Pool {
            connector,
            keep,
            idle: Mutex::default(),
            multiplexed: tokio::sync::Mutex::default(),
        });
        pools.insert(origin, Arc::downgrade(&pool));
        pool
    }

    /// Closes what has been idle for too long, and forgets pools that nobody uses; called every few seconds.
    pub fn sweep(&self) {
        let mut alive = Vec::new();
        self.pools.lock().retain(|_, pool| match pool.upgrade() {
            Some(pool) => {
                alive.push(pool);
                true
            }
            None => false,
        });
        let now = Instant::now();
        for pool in alive {
            pool.close_stale(now);
        }
    }
}
