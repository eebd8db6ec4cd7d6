//! Which partitions a consumer owns, and the client library's callbacks about them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaResult;
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::Offset;

use super::connection::{Context, Side};
use super::partition::Partition;

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

    /// The polling thread tells who it is.
    pub(super) fn adopt(&self, thread: Thread) {
        *self.thread.lock() = Some(thread);
    }

    /// Whether the thread is to end.
    pub(super) fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

/// The partitions that this consumer owns, once a message of them was seen.
type Owned = HashMap<Arc<str>, BTreeMap<i32, Arc<Partition>>>;

/// The consumer's side of the client library's context. Its callbacks run inside of `poll`, on the polling thread.
pub(super) struct Assignment {
    owned: Mutex<Owned>,
    highs: Mutex<HashMap<String, HashMap<i32, i64>>>,
    /// Counts what was given away: what was known of a partition before may not hold any more.
    generation: AtomicU64,
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
    pub(super) fn new(shared: Arc<Shared>, drain: Duration, stored: bool) -> Assignment {
        let committing = AtomicBool::new(false);
        let generation = AtomicU64::new(0);
        Assignment {
            owned: Mutex::default(),
            highs: Mutex::default(),
            generation,
            committing,
            shared,
            drain,
            stored,
        }
    }

    /// Changes whenever partitions are given away.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// All partitions of which a message was seen.
    pub(super) fn all(&self) -> Vec<Arc<Partition>> {
        self.owned.lock().values().flat_map(BTreeMap::values).cloned().collect()
    }

    /// The partition of a record. The first record that is seen of it begins it.
    pub(super) fn partition(&self, topic: &str, number: i32, offset: i64, limit: usize) -> Arc<Partition> {
        let mut owned = self.owned.lock();
        if let Some(partition) = owned.get(topic).and_then(|numbers| numbers.get(&number)) {
            return partition.clone();
        }
        let name: Arc<str> =
            owned.get_key_value(topic).map_or_else(|| topic.into(), |(name, _)| name.clone());
        let partition = Arc::new(Partition::new(name.clone(), number, limit, offset));
        owned.entry(name).or_default().insert(number, partition.clone());
        partition
    }

    /// The offset that the next record of a partition will get, as far as known; else 0.
    pub(super) fn high(&self, topic: &str, number: i32) -> i64 {
        self.highs.lock().get(topic).and_then(|numbers| numbers.get(&number).copied()).unwrap_or(0)
    }

    /// Whether the answer to a commit is awaited.
    pub(super) fn is_committing(&self) -> bool {
        self.committing.load(Ordering::Acquire)
    }

    /// Notes that a commit was sent, or will not be answered.
    pub(super) fn set_committing(&self, committing: bool) {
        self.committing.store(committing, Ordering::Release);
    }

    fn find(&self, topic: &str, number: i32) -> Option<Arc<Partition>> {
        self.owned.lock().get(topic)?.get(&number).cloned()
    }

    /// Gives partitions away: lets the stream finish what it has of them, within the deadline, then commits.
    fn revoke(&self, consumer: &BaseConsumer<Context<Assignment>>, list: &TopicPartitionList) {
        self.generation.fetch_add(1, Ordering::AcqRel);
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
        self.side.set_committing(false);
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
pub(super) fn offsets(partitions: &[Arc<Partition>]) -> Option<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        if let Some(position) = partition.uncommitted() {
            let _ = list.add_partition_offset(&partition.topic, partition.number, Offset::Offset(position));
        }
    }
    (list.count() > 0).then_some(list)
}
