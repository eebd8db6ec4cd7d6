//! The thread that owns a consumer: it alone polls, pauses, commits and answers rebalances.
//!
//! It fills chunks of messages and hands them to the stream through a bounded channel. A partition whose limit of
//! messages on their way is reached has a short queue of its own here, so that it does not hold up the others; when
//! that is full, too, the thread first waits a moment, because pausing a partition makes the client library throw away
//! what it has fetched ahead, and pauses it only then.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::TopicPartitionList;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::Offset;
use streams::Message;
use tokio::sync::mpsc;

use super::connection::{Context, Credentials, Monitor, Side};
use super::message::{Names, from_record};
use super::partition::Partition;
use super::topics::Topics;

/// Most messages in one chunk.
const CHUNK: usize = 256;
/// Chunks in the channel to the stream: with [`CHUNK`], what waits there is at most 1,024 messages.
pub(super) const CHUNKS: usize = 4;
/// Messages of one partition that may wait for room before it counts as blocked.
const WAITING: usize = 256;
/// How long the thread waits for a blocked partition before it pauses it.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long a poll waits for news when nothing is to be done.
const IDLE: Duration = Duration::from_millis(100);
/// The same while a partition is paused: how late it may be resumed.
const PAUSED: Duration = Duration::from_millis(5);
/// How long one question to the brokers may take while they do not answer.
const PROBE: Duration = Duration::from_secs(1);
/// How long the last commit may take when the input is closed.
const LAST_COMMIT: Duration = Duration::from_secs(3);

/// Everything that a consumer needs to know.
pub(super) struct Plan {
    pub(super) config: ClientConfig,
    pub(super) credentials: Credentials,
    pub(super) stream: Arc<str>,
    pub(super) topics: Topics,
    /// Whether offsets are read from the group and committed to it.
    pub(super) stored: bool,
    pub(super) start_from_oldest: bool,
    pub(super) limit: usize,
    pub(super) commit_period: Duration,
    /// How long a revoked partition's messages may take until it is given away.
    pub(super) drain: Duration,
    pub(super) multi_header: bool,
}

/// A message that was admitted, with its place in its partition.
pub(super) struct Item {
    pub(super) message: Message,
    pub(super) partition: Arc<Partition>,
    pub(super) sequence: u64,
}

/// Up to where explicit partitions were done, when no group keeps that.
pub(super) type Positions = HashMap<(Arc<str>, i32), i64>;

/// What the thread and the stream both touch.
pub(super) struct Shared {
    stop: AtomicBool,
    refused: AtomicBool,
    draining: AtomicBool,
    thread: Mutex<Option<Thread>>,
}

impl Shared {
    pub(super) fn new() -> Shared {
        Shared {
            stop: AtomicBool::new(false),
            refused: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            thread: Mutex::new(None),
        }
    }

    /// Tells the thread to end.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.wake();
    }

    /// A message was refused for good: its offset must not be passed, so everything from there on is read again.
    /// While the stream drains, that is for whoever reads next: acks of other messages are still to be committed.
    pub(super) fn refuse(&self) {
        if !self.draining.load(Ordering::Acquire) {
            self.refused.store(true, Ordering::Release);
            self.stop();
        }
    }

    /// The stream stops and reads no more.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(super) fn was_refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }

    /// There may be room again.
    pub(super) fn wake(&self) {
        if let Some(thread) = &*self.thread.lock() {
            thread.unpark();
        }
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

/// The partitions that this consumer owns, once a message of them was seen.
type Owned = HashMap<Arc<str>, BTreeMap<i32, Arc<Partition>>>;

/// The consumer's side of the client library's context. Its callbacks run inside of `poll`, on the polling thread.
struct Assignment {
    owned: Mutex<Owned>,
    highs: Mutex<HashMap<String, HashMap<i32, i64>>>,
    /// A commit whose answer has not come. One at a time: while a broker is away they would pile up.
    committing: AtomicBool,
    shared: Arc<Shared>,
    drain: Duration,
    stored: bool,
}

impl Side for Assignment {
    // The only way to learn of high water marks without asking a broker for each partition.
    fn figures(&self, figures: Statistics) {
        let of = |topic: rdkafka::statistics::Topic| {
            topic.partitions.into_iter().map(|(number, partition)| (number, partition.hi_offset)).collect()
        };
        *self.highs.lock() = figures.topics.into_iter().map(|(name, topic)| (name, of(topic))).collect();
    }
}

impl Assignment {
    fn all(&self) -> Vec<Arc<Partition>> {
        self.owned.lock().values().flat_map(BTreeMap::values).cloned().collect()
    }

    fn find(&self, topic: &str, number: i32) -> Option<Arc<Partition>> {
        self.owned.lock().get(topic)?.get(&number).cloned()
    }

    /// Gives partitions away: lets the stream finish what it has of them, within the deadline, then commits.
    fn revoke(&self, consumer: &BaseConsumer<Context<Assignment>>, list: &TopicPartitionList) {
        let revoked: Vec<Arc<Partition>> = {
            let mut owned = self.owned.lock();
            let remove = |(topic, number): &(String, i32)| owned.get_mut(topic.as_str())?.remove(number);
            list.to_topic_map().keys().filter_map(remove).collect()
        };
        for partition in &revoked {
            partition.revoke();
        }
        let deadline = Instant::now() + self.drain;
        while revoked.iter().any(|partition| partition.busy()) && !self.shared.stopping() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::park_timeout(left);
        }
        if !self.stored || consumer.assignment_lost() || !consumer.context().monitor.is_up() {
            return;
        }
        if let Some(offsets) = offsets(&revoked)
            && let Err(fault) = consumer.commit(&offsets, CommitMode::Sync)
        {
            let stream = &consumer.context().monitor.stream;
            tracing::warn!(%stream, %fault, "offsets were not committed when partitions were given away; their messages come again");
        }
    }
}

impl ConsumerContext for Context<Assignment> {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Revoke(list) => self.side.revoke(consumer, list),
            Rebalance::Assign(list) => {
                tracing::debug!(stream = %self.monitor.stream, partitions = list.count(), "kafka partitions assigned");
            }
            Rebalance::Error(fault) => {
                tracing::warn!(stream = %self.monitor.stream, %fault, "kafka rebalance failed")
            }
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        // A partition that comes back may still be paused from its last time here.
        if let Rebalance::Assign(list) = rebalance {
            let _ = consumer.resume(list);
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        self.side.committing.store(false, Ordering::Release);
        if let Err(fault) = result {
            // Tried again with the next commit.
            tracing::warn!(stream = %self.monitor.stream, %fault, "kafka offsets were not committed");
            return;
        }
        for element in offsets.elements() {
            if let (Some(partition), Offset::Offset(position), Ok(())) =
                (self.side.find(element.topic(), element.partition()), element.offset(), element.error())
            {
                partition.committed(position);
            }
        }
    }
}

/// The offsets that the group does not know of.
fn offsets(partitions: &[Arc<Partition>]) -> Option<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        if let Some(position) = partition.uncommitted() {
            let _ = list.add_partition_offset(&partition.topic, partition.number, Offset::Offset(position));
        }
    }
    (list.count() > 0).then_some(list)
}

/// Whether messages wait for room among those on their way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pressure {
    None,
    Waiting,
    Blocked,
}

/// What a poll brought.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Polled {
    Nothing,
    Something,
    Failed,
}

/// The polling thread's own things.
pub(super) struct Poller {
    plan: Arc<Plan>,
    consumer: BaseConsumer<Context<Assignment>>,
    context: Arc<Context<Assignment>>,
    shared: Arc<Shared>,
    chunks: mpsc::Sender<Vec<Item>>,
    chunk: Vec<Item>,
    names: Names,
    next_commit: Instant,
    next_probe: Instant,
    blocked_since: Option<Instant>,
    paused: bool,
}

impl Poller {
    /// Makes the consumer and gives it its topics. Does not wait for a broker.
    pub(super) fn new(
        plan: Arc<Plan>,
        monitor: Arc<Monitor>,
        shared: Arc<Shared>,
        chunks: mpsc::Sender<Vec<Item>>,
        positions: &Positions,
    ) -> KafkaResult<Poller> {
        let side = Assignment {
            owned: Mutex::default(),
            highs: Mutex::default(),
            committing: AtomicBool::new(false),
            shared: shared.clone(),
            drain: plan.drain,
            stored: plan.stored,
        };
        let consumer = BaseConsumer::from_config_and_context(&plan.config, Context { monitor, side })?;
        match &plan.topics {
            Topics::Balanced(topics) => {
                consumer.subscribe(&topics.iter().map(String::as_str).collect::<Vec<_>>())?;
            }
            Topics::Explicit(partitions) => {
                let mut list = TopicPartitionList::new();
                for (topic, number) in partitions {
                    let begin = match positions.get(&(topic.as_str().into(), *number)) {
                        Some(&position) => Offset::Offset(position),
                        None if plan.stored => Offset::Stored,
                        None if plan.start_from_oldest => Offset::Beginning,
                        None => Offset::End,
                    };
                    list.add_partition_offset(topic, *number, begin)?;
                }
                consumer.assign(&list)?;
            }
        }
        let context = consumer.context().clone();
        let now = Instant::now();
        Ok(Poller {
            next_commit: now + plan.commit_period,
            next_probe: now,
            plan,
            consumer,
            context,
            shared,
            chunks,
            chunk: Vec::with_capacity(CHUNK),
            names: Names::new(),
            blocked_since: None,
            paused: false,
        })
    }

    /// Runs until the input is closed or the consumer cannot go on; up to where partitions were done.
    pub(super) fn run(mut self) -> Positions {
        *self.shared.thread.lock() = Some(std::thread::current());
        while !self.shared.stopping() && !self.chunks.is_closed() {
            self.connect();
            let handed_over = self.hand_over();
            let pressure = self.admit_waiting();
            self.commit_when_due();
            if !self.wait_while(pressure == Pressure::Blocked || self.chunk.len() >= CHUNK) {
                continue;
            }
            // Acks wake this thread, but not out of a poll: where they make room, it must not sleep in one.
            let pressed = !handed_over || self.paused || pressure != Pressure::None;
            let patience = if pressed || !self.chunk.is_empty() { Duration::ZERO } else { IDLE };
            match self.poll(patience) {
                Polled::Nothing if pressed => std::thread::park_timeout(PAUSED),
                Polled::Nothing | Polled::Something => {}
                Polled::Failed => break,
            }
        }
        self.finish()
    }

    /// Asks for a sign of life while there is none; the client library connects by itself.
    fn connect(&mut self) {
        let monitor = &self.context.monitor;
        if monitor.is_up() || Instant::now() < self.next_probe {
            return;
        }
        let topic = match &self.plan.topics {
            Topics::Balanced(topics) => topics.first().map(String::as_str),
            Topics::Explicit(partitions) => partitions.first().map(|(topic, _)| topic.as_str()),
        };
        match self.consumer.fetch_metadata(topic, PROBE) {
            Ok(_) => monitor.up(),
            Err(fault) => {
                monitor.down(&fault);
                self.next_probe = Instant::now() + PROBE / 4;
            }
        }
    }

    /// Polls until a chunk is full, a record must wait, or nothing more has arrived.
    fn poll(&mut self, patience: Duration) -> Polled {
        let context = self.context.clone();
        let mut polled = Polled::Nothing;
        loop {
            let patience = if polled == Polled::Nothing { patience } else { Duration::ZERO };
            match self.consumer.poll(patience) {
                None => return polled,
                Some(Ok(record)) => {
                    polled = Polled::Something;
                    match admit(&self.plan, &self.names, &context.side, &record) {
                        Some(item) => self.chunk.push(item),
                        None => return polled,
                    }
                }
                Some(Err(fault @ KafkaError::MessageConsumptionFatal(_))) => {
                    tracing::error!(stream = %self.plan.stream, %fault, "the kafka consumer failed; making a new one");
                    self.context.monitor.down(&fault);
                    return Polled::Failed;
                }
                Some(Err(fault)) => {
                    self.trouble(&fault);
                    return polled;
                }
            }
            if self.chunk.len() >= CHUNK {
                return polled;
            }
        }
    }

    /// An error beside which the consumer goes on by itself.
    fn trouble(&mut self, fault: &KafkaError) {
        match fault.rdkafka_error_code() {
            // Perhaps all brokers are away, perhaps only an idle connection was closed: ask.
            Some(RDKafkaErrorCode::AllBrokersDown) => {
                if let Err(fault) = self.consumer.fetch_metadata(None, PROBE) {
                    self.context.monitor.down(&fault);
                    self.next_probe = Instant::now();
                }
            }
            Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::Resolve) => {}
            _ => tracing::warn!(stream = %self.plan.stream, %fault, "kafka consumer"),
        }
    }

    /// Gives the chunk to the stream; `false` when the stream has no room for it.
    fn hand_over(&mut self) -> bool {
        if self.chunk.is_empty() {
            return true;
        }
        let Ok(permit) = self.chunks.try_reserve() else { return false };
        permit.send(std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK)));
        true
    }

    /// Admits what waits, as far as there is room.
    fn admit_waiting(&mut self) -> Pressure {
        let mut most = 0;
        for partition in self.context.side.all() {
            while self.chunk.len() < CHUNK
                && let Some((message, sequence)) = partition.admit_waiting()
            {
                self.chunk.push(Item { message, partition: partition.clone(), sequence });
            }
            most = most.max(partition.waiting());
        }
        match most {
            0 => Pressure::None,
            WAITING.. => Pressure::Blocked,
            _ => Pressure::Waiting,
        }
    }

    /// Waits for room for a moment, then pauses what is blocked; `false` when it is time to look again.
    fn wait_while(&mut self, blocked: bool) -> bool {
        if !blocked {
            self.blocked_since = None;
            if self.paused {
                self.paused = self.pause_blocked();
            }
            return true;
        }
        let since = *self.blocked_since.get_or_insert_with(Instant::now);
        let left = PATIENCE.saturating_sub(since.elapsed());
        if !left.is_zero() {
            std::thread::park_timeout(left);
            return false;
        }
        self.paused = self.pause_blocked();
        true
    }

    /// Pauses partitions for which there is no room and resumes the others; whether any is paused.
    fn pause_blocked(&mut self) -> bool {
        let full = self.chunk.len() >= CHUNK;
        let (mut pause, mut resume) = (TopicPartitionList::new(), TopicPartitionList::new());
        let mut any = false;
        for partition in self.context.side.all() {
            let waiting = partition.waiting();
            let blocked = full || waiting >= WAITING;
            let free = !full && waiting <= WAITING / 4;
            // Between the two marks a partition stays as it is, so that it does not flutter.
            if (blocked || free) && partition.pause(blocked) {
                let list = if blocked { &mut pause } else { &mut resume };
                list.add_partition(&partition.topic, partition.number);
            }
            any |= !free;
        }
        if pause.count() > 0 {
            let _ = self.consumer.pause(&pause);
        }
        if resume.count() > 0 {
            let _ = self.consumer.resume(&resume);
        }
        any
    }

    fn commit_when_due(&mut self) {
        let now = Instant::now();
        if !self.plan.stored || now < self.next_commit {
            return;
        }
        self.next_commit = now + self.plan.commit_period;
        if self.context.monitor.is_up()
            && !self.context.side.committing.load(Ordering::Acquire)
            && let Some(offsets) = offsets(&self.context.side.all())
        {
            self.commit(&offsets);
        }
    }

    /// Sends a commit; its answer goes to the context.
    fn commit(&self, offsets: &TopicPartitionList) {
        let committing = &self.context.side.committing;
        committing.store(true, Ordering::Release);
        if let Err(fault) = self.consumer.commit(offsets, CommitMode::Async) {
            committing.store(false, Ordering::Release);
            tracing::warn!(stream = %self.plan.stream, %fault, "kafka offsets were not committed");
        }
    }

    /// Commits for the last time, within [`LAST_COMMIT`], and leaves the group.
    fn finish(mut self) -> Positions {
        self.chunk.clear();
        let partitions = self.context.side.all();
        for partition in &partitions {
            partition.revoke();
        }
        let deadline = Instant::now() + LAST_COMMIT;
        let mut attempts = if self.plan.stored && self.context.monitor.is_up() { 3 } else { 0 };
        while attempts > 0 && Instant::now() < deadline {
            // The answer is one of the events that polling serves; records do not matter any more.
            if self.context.side.committing.load(Ordering::Acquire) {
                drop(self.consumer.poll(PAUSED));
            } else if let Some(offsets) = offsets(&partitions) {
                self.commit(&offsets);
                attempts -= 1;
            } else {
                break;
            }
        }
        // From here on, whoever polls is the client library's own way out of the group.
        self.shared.stop();
        if self.plan.stored {
            return Positions::new();
        }
        let position =
            |partition: Arc<Partition>| ((partition.topic.clone(), partition.number), partition.position());
        partitions.into_iter().map(position).collect()
    }
}

/// The item for a record, unless it must wait for room.
fn admit(plan: &Plan, names: &Names, side: &Assignment, record: &BorrowedMessage<'_>) -> Option<Item> {
    let (topic, number) = (record.topic(), record.partition());
    let partition = {
        let mut owned = side.owned.lock();
        match owned.get(topic).and_then(|numbers| numbers.get(&number)) {
            Some(partition) => partition.clone(),
            None => {
                let name: Arc<str> =
                    owned.get_key_value(topic).map_or_else(|| topic.into(), |(name, _)| name.clone());
                let partition = Arc::new(Partition::new(name.clone(), number, plan.limit, record.offset()));
                owned.entry(name).or_default().insert(number, partition.clone());
                partition
            }
        }
    };
    let high = side.highs.lock().get(topic).and_then(|numbers| numbers.get(&number).copied()).unwrap_or(0);
    let message = from_record(record, &partition.topic, high, plan.multi_header, names);
    let (message, sequence) = partition.admit(message, record.offset())?;
    Some(Item { message, partition, sequence })
}
