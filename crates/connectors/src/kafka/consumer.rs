//! The thread that owns a consumer: it alone polls, pauses, commits and answers rebalances.
//!
//! It fills chunks of messages and hands them to the stream through a bounded channel. A partition whose limit of
//! messages on their way is reached has a short queue of its own here, so that it does not hold up the others; when
//! that is full, too, the thread first waits a moment, because pausing a partition makes the client library throw away
//! what it has fetched ahead, and pauses it only then.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::Offset;
use tokio::sync::mpsc;

use super::assignment::{Assignment, Shared, offsets};
use super::batching::Run;
use super::chunk::Chunk;
use super::connection::{Context, Monitor};
use super::message::{Names, from_record};
use super::partition::Partition;
pub(super) use super::plan::Plan;
use super::topics::{Explicit, Topics};

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
pub(super) const PROBE: Duration = Duration::from_secs(1);
/// How long the last commit may take when the input is closed.
const LAST_COMMIT: Duration = Duration::from_secs(3);

/// Up to where explicit partitions were done, when no group keeps that.
pub(super) type Positions = HashMap<(Arc<str>, i32), i64>;

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
    pub(super) plan: Arc<Plan>,
    pub(super) consumer: BaseConsumer<Context<Assignment>>,
    pub(super) context: Arc<Context<Assignment>>,
    shared: Arc<Shared>,
    chunks: mpsc::Sender<Vec<Run>>,
    chunk: Chunk,
    current: Option<Current>,
    /// Explicit partitions without anything that says where they begin: at their end, as soon as it is known.
    pub(super) unplaced: Vec<(String, i32)>,
    /// Where explicit partitions began, when no group keeps that.
    pub(super) begun: Positions,
    names: Names,
    next_commit: Instant,
    pub(super) next_probe: Instant,
    /// The topics that patterns have found, and when to look again.
    pub(super) subscribed: Vec<String>,
    pub(super) next_look: Instant,
    blocked_since: Option<Instant>,
    paused: bool,
}

impl Poller {
    /// Makes the consumer and gives it its topics. Does not wait for a broker.
    pub(super) fn new(
        plan: Arc<Plan>,
        monitor: Arc<Monitor>,
        shared: Arc<Shared>,
        chunks: mpsc::Sender<Vec<Run>>,
        positions: &Positions,
    ) -> KafkaResult<Poller> {
        let side = Assignment::new(shared.clone(), plan.drain, plan.stored);
        let consumer = BaseConsumer::from_config_and_context(&plan.config, Context { monitor, side })?;
        let (mut unplaced, mut begun) = (Vec::new(), Positions::new());
        match &plan.topics {
            Topics::Balanced(topics) => {
                consumer.subscribe(&topics.iter().map(String::as_str).collect::<Vec<_>>())?;
            }
            // Subscribed to as they are found.
            Topics::Patterns(_) => {}
            Topics::Explicit(partitions) => {
                let mut list = TopicPartitionList::new();
                for Explicit { topic, partition, offset } in partitions {
                    let key = (topic.as_str().into(), *partition);
                    let begin = match (positions.get(&key), offset) {
                        (Some(position), _) | (None, Some(position)) => {
                            begun.insert(key, *position);
                            Offset::Offset(*position)
                        }
                        (None, None) if plan.stored => Offset::Stored,
                        // A number: at the end that there is when the next consumer is made, what arrived meanwhile
                        // would be passed over.
                        (None, None) if plan.begin == Offset::End => {
                            unplaced.push((topic.clone(), *partition));
                            continue;
                        }
                        (None, None) => plan.begin,
                    };
                    list.add_partition_offset(topic, *partition, begin)?;
                }
                if unplaced.is_empty() {
                    consumer.assign(&list)?;
                }
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
            chunk: Chunk::default(),
            current: None,
            unplaced,
            begun,
            subscribed: Vec::new(),
            next_look: now,
            names: Names::new(),
            blocked_since: None,
            paused: false,
        })
    }

    /// Runs until the input is closed or the consumer cannot go on; up to where partitions were done.
    pub(super) fn run(mut self) -> Positions {
        self.shared.adopt(std::thread::current());
        while !self.shared.stopping() && !self.chunks.is_closed() {
            if !self.connect() || !self.look() {
                break;
            }
            let handed_over = self.hand_over();
            let pressure = self.admit_waiting();
            self.commit_when_due();
            if !self.wait_while(pressure == Pressure::Blocked || self.chunk.len >= CHUNK) {
                continue;
            }
            // Acks wake this thread, but not out of a poll: where they make room, it must not sleep in one.
            let pressed = !handed_over || self.paused || pressure != Pressure::None;
            let patience = if pressed || self.chunk.len > 0 { Duration::ZERO } else { IDLE };
            match self.poll(patience) {
                Polled::Nothing if pressed => std::thread::park_timeout(PAUSED),
                Polled::Nothing | Polled::Something => {}
                Polled::Failed => break,
            }
        }
        self.finish()
    }

    /// Polls until a chunk is full, a record must wait, or nothing more has arrived.
    fn poll(&mut self, patience: Duration) -> Polled {
        let context = self.context.clone();
        // High water marks move on.
        self.current = None;
        let mut polled = Polled::Nothing;
        loop {
            let patience = if polled == Polled::Nothing { patience } else { Duration::ZERO };
            match self.consumer.poll(patience) {
                None => return polled,
                Some(Ok(record)) => {
                    polled = Polled::Something;
                    let current = current(&mut self.current, &context.side, &self.plan, &record);
                    let message = from_record(&record, current, &self.plan, &self.names);
                    match current.partition.admit(message, record.offset()) {
                        Some((message, sequence)) => self.chunk.push(&current.partition, sequence, message),
                        None => return polled,
                    }
                }
                Some(Err(fault @ KafkaError::MessageConsumptionFatal(_))) => {
                    tracing::error!(stream = %self.plan.stream, %fault, "the kafka consumer failed; making a new one");
                    self.context.monitor.down(&fault);
                    return Polled::Failed;
                }
                Some(Err(fault)) => return if self.trouble(&fault) { polled } else { Polled::Failed },
            }
            if self.chunk.len >= CHUNK {
                return polled;
            }
        }
    }

    /// An error beside which the consumer goes on by itself; `false` when it does not.
    fn trouble(&mut self, fault: &KafkaError) -> bool {
        match fault.rdkafka_error_code() {
            // Perhaps all brokers are away, perhaps only an idle connection was closed: ask.
            Some(RDKafkaErrorCode::AllBrokersDown) => {
                if let Err(fault) = self.consumer.fetch_metadata(None, PROBE) {
                    self.context.monitor.down(&fault);
                    self.next_probe = Instant::now();
                }
            }
            Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::Resolve) => {}
            // There is no offset to begin at and none may be chosen.
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::NoOffset) => {
                tracing::error!(stream = %self.plan.stream, %fault, "kafka has no offset to begin at; choose another `auto_offset_reset`");
                self.context.monitor.fail(fault);
                return false;
            }
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic)
                if self.plan.reconnect_on_unknown =>
            {
                tracing::warn!(stream = %self.plan.stream, %fault, "kafka topic or partition unknown; making a new consumer");
                self.context.monitor.fail(fault);
                return false;
            }
            _ => tracing::warn!(stream = %self.plan.stream, %fault, "kafka consumer"),
        }
        true
    }

    /// Gives the chunk to the stream; `false` when the stream has no room for it.
    fn hand_over(&mut self) -> bool {
        if self.chunk.len == 0 {
            return true;
        }
        let Ok(permit) = self.chunks.try_reserve() else { return false };
        permit.send(self.chunk.take());
        true
    }

    /// Admits what waits, as far as there is room.
    fn admit_waiting(&mut self) -> Pressure {
        let mut most = 0;
        for partition in self.context.side.all() {
            while self.chunk.len < CHUNK
                && let Some((message, sequence)) = partition.admit_waiting()
            {
                self.chunk.push(&partition, sequence, message);
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
        let full = self.chunk.len >= CHUNK;
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
            && !self.context.side.is_committing()
            && let Some(offsets) = offsets(&self.context.side.all())
        {
            self.commit(&offsets);
        }
    }

    /// Sends a commit; its answer goes to the context.
    fn commit(&self, offsets: &TopicPartitionList) {
        self.context.side.set_committing(true);
        if let Err(fault) = self.consumer.commit(offsets, CommitMode::Async) {
            self.context.side.set_committing(false);
            tracing::warn!(stream = %self.plan.stream, %fault, "kafka offsets were not committed");
        }
    }

    /// Commits for the last time, within [`LAST_COMMIT`], and leaves the group.
    fn finish(mut self) -> Positions {
        self.chunk = Chunk::default();
        let partitions = self.context.side.all();
        for partition in &partitions {
            partition.revoke();
        }
        let deadline = Instant::now() + LAST_COMMIT;
        let mut attempts = if self.plan.stored && self.context.monitor.is_up() { 3 } else { 0 };
        while attempts > 0 && Instant::now() < deadline {
            // The answer is one of the events that polling serves; records do not matter any more.
            if self.context.side.is_committing() {
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
        if !matches!(self.plan.topics, Topics::Explicit(_)) {
            return Positions::new();
        }
        let position =
            |partition: Arc<Partition>| ((partition.topic.clone(), partition.number), partition.position());
        // Of some no message was seen: the next consumer begins them where this one did.
        let mut positions = std::mem::take(&mut self.begun);
        positions.extend(partitions.into_iter().map(position));
        positions
    }
}

/// The partition of the last record, so that the next one of it needs no look-up.
pub(super) struct Current {
    generation: u64,
    pub(super) partition: Arc<Partition>,
    /// The offset that the partition's next record will get, as far as known.
    pub(super) high: i64,
}

/// The partition of a record.
fn current<'a>(
    slot: &'a mut Option<Current>,
    side: &Assignment,
    plan: &Plan,
    record: &BorrowedMessage<'_>,
) -> &'a Current {
    let (topic, number, generation) = (record.topic(), record.partition(), side.generation());
    let fresh = || Current {
        generation,
        partition: side.partition(topic, number, record.offset(), plan.limit),
        high: side.high(topic, number),
    };
    let same = slot.take().filter(|known| {
        known.generation == generation && known.partition.number == number && *known.partition.topic == *topic
    });
    slot.insert(same.unwrap_or_else(fresh))
}
