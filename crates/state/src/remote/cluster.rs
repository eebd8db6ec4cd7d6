//! The connections to a cluster, and the breaker in front of each of its masters: one that hangs costs nobody the whole
//! timeout over and over.
//!
//! A command that is late raises a doubt. The task that keeps the connections asks each master then, and every second
//! anyway, and one of them which slots are whose; what one has that does not answer is refused at once, until it answers or
//! another has it.

use std::collections::{BTreeSet, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use futures_util::future::join_all;
use redis::aio::ConnectionLike;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{RoutingInfo, SingleNodeRoutingInfo, Slot};
use redis::{Arg, Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult, Value};

/// Nodes that are asked which masters there are, before all count as away.
const TRIES: usize = 3;

/// Host and port of a node.
pub(super) type Node = (String, u16);

/// A master, and slots that it has.
pub(super) struct Master {
    pub(super) node: Node,
    slots: RangeInclusive<u16>,
}

/// Clones share the connections.
#[derive(Clone)]
pub(super) struct Cluster {
    connection: ClusterConnection,
    /// Those that there were when they were asked last.
    masters: Arc<ArcSwap<BTreeSet<Node>>>,
    /// What no master answers for.
    down: Arc<ArcSwapOption<HashSet<Slot>>>,
}

impl Cluster {
    pub(super) fn new(connection: ClusterConnection) -> Self {
        Self { connection, masters: Arc::default(), down: Arc::default() }
    }

    /// Runs a command at a node.
    pub(super) async fn at(&mut self, command: Cmd, node: &Node) -> RedisResult<Value> {
        self.connection.route_command(command, RoutingInfo::SingleNode(at(node))).await
    }

    /// Asks all masters whether they are there, and one of those that are who has what. An error where none is.
    pub(super) async fn probe(&self, timeout: Duration) -> RedisResult<()> {
        let known = self.masters.load_full();
        let told = join_all(known.iter().map(|node| self.ask(redis::cmd("PING"), at(node), timeout))).await;
        // Of one that is not known by that address nothing is known.
        let is_silent = |told: &RedisResult<Value>| told.as_ref().is_err_and(RedisError::is_io_error);
        let silent: BTreeSet<&Node> =
            known.iter().zip(&told).filter(|(_, told)| is_silent(told)).map(|(node, _)| node).collect();
        let first = known.iter().zip(&told).find(|(_, told)| told.is_ok()).map(|(node, _)| at(node));
        let slots = self.slots(first, timeout).await?;
        let masters = masters(slots);
        let down: HashSet<Slot> = masters
            .iter()
            .filter(|master| silent.contains(&master.node))
            .flat_map(|master| master.slots.clone())
            .filter_map(Slot::new)
            .collect();
        let is_down = !down.is_empty();
        let was_down = self.down.swap(is_down.then(|| Arc::new(down))).is_some();
        if is_down && !was_down {
            tracing::warn!(masters = ?silent, "masters of the Redis cluster do not answer");
        } else if was_down && !is_down {
            tracing::info!("all masters of the Redis cluster answer");
        }
        self.masters.store(Arc::new(masters.into_iter().map(|master| master.node).collect()));
        Ok(())
    }

    /// What a node tells of the masters: this one, or any.
    async fn slots(&self, mut node: Option<SingleNodeRoutingInfo>, timeout: Duration) -> RedisResult<Value> {
        let mut slots = redis::cmd("CLUSTER");
        slots.arg("SLOTS");
        let mut tries = 0;
        loop {
            let asked = node.take().unwrap_or(SingleNodeRoutingInfo::Random);
            let told = self.ask(slots.clone(), asked, timeout).await;
            tries += 1;
            if told.is_ok() || tries == TRIES {
                return told;
            }
        }
    }

    async fn ask(&self, command: Cmd, node: SingleNodeRoutingInfo, timeout: Duration) -> RedisResult<Value> {
        let mut connection = self.connection.clone();
        let told = connection.route_command(command, RoutingInfo::SingleNode(node));
        let late = |_| Err(RedisError::from((ErrorKind::Io, "no answer from a node of the cluster in time")));
        tokio::time::timeout(timeout, told).await.unwrap_or_else(late)
    }

    /// Refuses what a master has that does not answer.
    fn check(&self, command: &Cmd) -> RedisResult<()> {
        let down = self.down.load();
        let Some(down) = &*down else { return Ok(()) };
        if keys(command).any(|key| down.contains(&Slot::for_key(key))) {
            return Err(RedisError::from((
                ErrorKind::Client,
                "the master that has this key does not answer",
            )));
        }
        Ok(())
    }
}

impl ConnectionLike for Cluster {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self.check(cmd) {
            Ok(()) => self.connection.req_packed_command(cmd),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        cmd: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match cmd.cmd_iter().try_for_each(|cmd| self.check(cmd)) {
            Ok(()) => self.connection.req_packed_commands(cmd, offset, count),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }
}

fn at((host, port): &Node) -> SingleNodeRoutingInfo {
    SingleNodeRoutingInfo::ByAddress { host: host.clone(), port: *port }
}

/// The masters in the answer to `CLUSTER SLOTS`: ranges of slots, each `[first, last, [host, port, ..] of the master, ..]`.
pub(super) fn masters(slots: Value) -> Vec<Master> {
    let parts = |value| redis::from_redis_value::<Vec<Value>>(value).unwrap_or_default().into_iter();
    let master = |range| {
        let mut range = parts(range);
        let mut number = || redis::from_redis_value::<u16>(range.next()?).ok();
        let slots = number()?..=number()?;
        let mut node = parts(range.next()?);
        let host = redis::from_redis_value(node.next()?).ok()?;
        Some(Master { node: (host, redis::from_redis_value(node.next()?).ok()?), slots })
    };
    parts(slots).filter_map(master).collect()
}

/// The keys of a command that this store sends.
fn keys(command: &Cmd) -> impl Iterator<Item = &[u8]> {
    let mut words = command.args_iter().filter_map(|word| match word {
        Arg::Simple(word) => Some(word),
        _ => None,
    });
    let (first, most) = match words.next() {
        Some(b"CLUSTER" | b"INFO" | b"PING" | b"PUBLISH" | b"SCAN" | b"SCRIPT") | None => (0, 0),
        Some(b"EVAL" | b"EVALSHA") => (2, 1),
        Some(b"DEL" | b"MGET") => (0, usize::MAX),
        Some(_) => (0, 1),
    };
    words.skip(first).take(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_commands() {
        for (command, expected) in [
            ("GET a", &["a"][..]),
            ("MGET a b c", &["a", "b", "c"]),
            ("DEL a b", &["a", "b"]),
            ("SET a 1 PX 2", &["a"]),
            ("EVALSHA hash 1 a x y", &["a"]),
            ("PUBLISH channel text", &[]),
            ("SCAN 0 MATCH a", &[]),
            ("CLUSTER SLOTS", &[]),
        ] {
            let mut words = command.split(' ');
            let mut cmd = redis::cmd(words.next().unwrap());
            words.for_each(|word| {
                cmd.arg(word);
            });
            let found: Vec<_> = keys(&cmd).map(|key| std::str::from_utf8(key).unwrap()).collect();
            assert_eq!(found, expected, "{command}");
        }
    }
}
