//! Input `kafka`: the stream's side of a consumer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use document::Fault;
use streams::{Ack, Batch, BuildContext, ConnectError, Input, NackKind, Node, ReadError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::assignment::Shared;
use super::batching::{Gather, Gathered, Rules};
use super::connection::{Link, Monitor, check, config, reached};
use super::consumer::{CHUNKS, Item, Plan, Poller, Positions};
use super::topics::{Topics, parse};
use crate::fields::{comma_list, filled};

/// What is fetched ahead, in KiB: the bound of a consumer's memory beside the messages on their way.
const FETCHED_AHEAD_KIB: &str = "32768";
/// How often the client library tells its figures, of which the lag is one.
const FIGURES_EVERY_MS: &str = "1000";
/// How long closing waits for the consumer's thread, which has the last commit and the farewell to the group to do.
const FAREWELL: Duration = Duration::from_secs(10);

/// Builds the input.
pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    let topics = parse(&comma_list(node, "topics")?).map_err(|text| node.field_fault("topics", text))?;
    let group = filled(node, "consumer_group")?;
    if matches!(topics, Topics::Balanced(_)) && group.is_none() {
        return Err(node
            .field_fault("consumer_group", "topics are shared within a consumer group, so one must be named")
            .hint("name a group, or name partitions such as `orders:0-5` to read them without one"));
    }
    let limit = node.count("checkpoint_limit")?;
    if limit == 0 {
        return Err(node.field_fault("checkpoint_limit", "at least one message must be on its way"));
    }
    let rules = Rules::read(node, context, limit)?;
    let commit_period = node.duration("commit_period")?.unwrap_or(Duration::from_secs(1));

    let (mut config, credentials) = config(node)?;
    let members = node.get("group");
    let duration = |name| members.duration(name).map(Option::unwrap_or_default);
    let (session, rebalance) = (duration("session_timeout")?, duration("rebalance_timeout")?);
    let start_from_oldest = node.boolean("start_from_oldest")?;
    // Without a group nothing is stored; the client library wants a name nevertheless, and never uses it.
    config.set("group.id", group.as_deref().unwrap_or("none"));
    config
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", if start_from_oldest { "earliest" } else { "latest" })
        .set("session.timeout.ms", session.as_millis().to_string())
        .set("heartbeat.interval.ms", duration("heartbeat_interval")?.as_millis().to_string())
        .set("max.poll.interval.ms", rebalance.max(session).as_millis().to_string())
        .set("isolation.level", node.text("transaction_isolation_level")?)
        .set("allow.auto.create.topics", "true")
        .set("queued.max.messages.kbytes", FETCHED_AHEAD_KIB)
        .set("fetch.queue.backoff.ms", "20")
        .set("statistics.interval.ms", FIGURES_EVERY_MS);
    if let Some(rack) = filled(node, "rack_id")? {
        config.set("client.rack", rack);
    }
    if node.boolean("debug")? {
        config.set("debug", "consumer,cgrp,topic,fetch,broker");
        config.set_log_level(rdkafka::config::RDKafkaLogLevel::Debug);
    }
    check(&config, node)?;

    let plan = Plan {
        config,
        credentials,
        stream: context.stream.clone(),
        topics,
        stored: group.is_some(),
        start_from_oldest,
        limit: rules.as_ref().map_or(limit, Rules::most),
        commit_period,
        drain: session.min(rebalance / 2),
        multi_header: node.boolean("multi_header")?,
    };
    let input = KafkaInput {
        plan: Arc::new(plan),
        rules,
        positions: Positions::new(),
        running: None,
        chunk: VecDeque::new(),
        gathering: Vec::new(),
    };
    context.with_replay(node, input)
}

/// The stream's side of a consumer.
struct KafkaInput {
    plan: Arc<Plan>,
    rules: Option<Rules>,
    /// Where explicit partitions go on when no group keeps their offsets.
    positions: Positions,
    running: Option<Running>,
    chunk: VecDeque<Item>,
    /// Messages that wait for others, one entry for each partition.
    gathering: Vec<Gather>,
}

/// A consumer and the ways to its thread.
struct Running {
    shared: Arc<Shared>,
    chunks: mpsc::Receiver<Vec<Item>>,
    link: watch::Receiver<Link>,
    ended: oneshot::Receiver<Positions>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl KafkaInput {
    fn start(&self) -> Result<Running, ConnectError> {
        let monitor = Arc::new(Monitor::new(self.plan.credentials.clone(), self.plan.stream.clone()));
        let link = monitor.watch();
        let shared = Arc::new(Shared::new());
        let (sender, chunks) = mpsc::channel(CHUNKS);
        let (end, ended) = oneshot::channel();
        let poller = Poller::new(self.plan.clone(), monitor, shared.clone(), sender, &self.positions)
            .map_err(|fault| ConnectError(format!("no kafka consumer could be made: {fault}")))?;
        std::thread::Builder::new()
            .name("kafka-input".to_owned())
            .spawn(move || {
                let _ = end.send(poller.run());
            })
            .map_err(|fault| ConnectError(format!("no thread for a kafka consumer: {fault}")))?;
        Ok(Running { shared, chunks, link, ended })
    }

    /// Ends the consumer and waits for its last commit. May be cancelled and called again.
    async fn end(&mut self) {
        if let Some(running) = &mut self.running {
            running.shared.stop();
            running.chunks.close();
            if let Ok(Ok(positions)) = tokio::time::timeout(FAREWELL, &mut running.ended).await {
                self.positions.extend(positions);
            }
        }
        self.running = None;
        self.chunk.clear();
        self.gathering.clear();
    }

    /// The next batch that can be made of what is here.
    fn next(&mut self) -> Option<Gathered> {
        while let Some(item) = self.chunk.pop_front() {
            let Some(rules) = &self.rules else {
                let Item { message, partition, sequence } = item;
                return Some(Gathered { batch: vec![message], partition, first: sequence, last: sequence });
            };
            let same = |gather: &Gather| Arc::ptr_eq(&gather.partition, &item.partition);
            let at = self.gathering.iter().position(same).unwrap_or_else(|| {
                self.gathering.push(Gather::new(rules, &item));
                self.gathering.len() - 1
            });
            if self.gathering[at].add(rules, item) {
                return Some(self.gathering.swap_remove(at).flush());
            }
        }
        self.gathering.retain(|gather| !gather.partition.is_revoked());
        let now = Instant::now();
        let due = |gather: &Gather| gather.deadline.is_some_and(|deadline| deadline <= now);
        let at = self.gathering.iter().position(due)?;
        Some(self.gathering.swap_remove(at).flush())
    }
}

/// The stream takes a batch, unless its partition was given away meanwhile.
fn take(gathered: Gathered, shared: &Arc<Shared>) -> Option<(Batch, Ack)> {
    let Gathered { batch, partition, first, last } = gathered;
    if !partition.take(batch.len()) {
        return None;
    }
    let shared = shared.clone();
    let ack = Ack::new(move |outcome| {
        if partition.resolve(first, last, outcome.is_ok()) {
            shared.wake();
        }
        if outcome.is_err_and(|reason| reason.kind() != NackKind::Stopping) {
            shared.refuse();
        }
    });
    Some((batch, ack))
}

#[async_trait]
impl Input for KafkaInput {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        if self.running.as_ref().is_some_and(|running| running.chunks.is_closed()) {
            self.end().await;
        }
        if self.running.is_none() {
            self.running = Some(self.start()?);
        }
        let link = self.running.as_ref().map(|running| running.link.clone());
        match link {
            Some(link) => reached(link).await.map_err(ConnectError),
            None => Ok(()),
        }
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        loop {
            let Some(running) = &self.running else { return Err(ReadError::NotConnected) };
            let shared = running.shared.clone();
            if shared.was_refused() {
                tracing::warn!(stream = %self.plan.stream, "a message was refused; kafka is read again from the last acknowledged offset");
                self.end().await;
                return Err(ReadError::NotConnected);
            }
            if let Some(gathered) = self.next() {
                match take(gathered, &shared) {
                    Some(taken) => return Ok(taken),
                    None => continue,
                }
            }
            let due = self.gathering.iter().filter_map(|gather| gather.deadline).min();
            let Some(running) = &mut self.running else { continue };
            tokio::select! {
                biased;
                chunk = running.chunks.recv() => match chunk {
                    Some(chunk) => {
                        self.chunk = chunk.into();
                        shared.wake();
                    }
                    None if shared.was_refused() => {}
                    None => {
                        self.end().await;
                        return Err(ReadError::NotConnected);
                    }
                },
                // The thread goes on connecting; the next `connect` waits for it.
                () = lost(&mut running.link) => return Err(ReadError::NotConnected),
                () = until(due) => {}
            }
        }
    }

    fn drain(&mut self) -> bool {
        if let Some(running) = &self.running {
            running.shared.drain();
        }
        // What was read ahead is not needed: it is not acknowledged, so it comes again.
        false
    }

    async fn close(&mut self) {
        self.end().await;
    }
}

/// Waits until no broker is reached any more. When the thread has ended, its channel says so, not this.
async fn lost(link: &mut watch::Receiver<Link>) {
    if link.wait_for(|link| *link != Link::Up).await.is_err() {
        std::future::pending().await
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
