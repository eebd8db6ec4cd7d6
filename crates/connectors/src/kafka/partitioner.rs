//! Ways to choose a partition that the client library does not have itself.

use std::cell::Cell;
use std::collections::HashMap;

use parking_lot::Mutex;
use rdkafka::producer::Partitioner;

thread_local! {
    /// The size of the message that this thread is just sending. The library asks for its partition inside of that
    /// call, or later, on a thread of its own, when it does not know the topic yet.
    static SENDING: Cell<usize> = const { Cell::new(0) };
}

/// Notes the size of the message that is sent next by this thread.
pub(super) fn sending(bytes: usize) {
    SENDING.with(|cell| cell.set(bytes));
}

/// Chooses partitions.
#[derive(Debug)]
pub(super) struct Chooser {
    rule: Rule,
    topics: Mutex<HashMap<String, Topic>>,
}

/// How partitions are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Each message to the next one.
    RoundRobin,
    /// To the one with the fewest messages under way.
    LeastBackup,
    /// To one of them until so many bytes went there, then to another.
    UniformBytes {
        /// How many bytes.
        bytes: usize,
        /// Whether the next one is that with the fewest messages under way, or any.
        adaptive: bool,
        /// Whether messages with a key go where their key says.
        keys: bool,
    },
}

#[derive(Debug, Default)]
struct Topic {
    /// The partition in turn, and the bytes that went there in this turn.
    turn: i32,
    begun: bool,
    bytes: usize,
    /// Messages under way, by partition.
    under_way: Vec<usize>,
}

impl Chooser {
    pub(super) fn new(rule: Rule) -> Chooser {
        Chooser { rule, topics: Mutex::default() }
    }

    /// A message to this partition is delivered, or has failed.
    pub(super) fn done(&self, topic: &str, partition: i32) {
        if self.rule == Rule::RoundRobin {
            return;
        }
        let mut topics = self.topics.lock();
        let number = usize::try_from(partition).ok();
        if let Some(count) = number.and_then(|number| topics.get_mut(topic)?.under_way.get_mut(number)) {
            *count = count.saturating_sub(1);
        }
    }
}

impl Partitioner for Chooser {
    fn partition(&self, name: &str, key: Option<&[u8]>, count: i32, available: impl Fn(i32) -> bool) -> i32 {
        let count = count.max(1);
        let mut topics = self.topics.lock();
        let topic = match topics.get_mut(name) {
            Some(topic) => topic,
            None => topics.entry(name.to_owned()).or_insert_with(|| Topic { turn: -1, ..Topic::default() }),
        };
        topic.under_way.resize(usize::try_from(count).unwrap_or(1), 0);
        let chosen = match self.rule {
            Rule::RoundRobin => {
                topic.turn = topic.turn.wrapping_add(1).rem_euclid(count);
                return topic.turn;
            }
            Rule::LeastBackup => topic.least(&available),
            Rule::UniformBytes { keys: true, .. } if key.is_some_and(|key| !key.is_empty()) => {
                murmur2(key.unwrap_or_default()).rem_euclid(count)
            }
            Rule::UniformBytes { bytes, adaptive, .. } => {
                let size = SENDING.with(Cell::get);
                if !topic.begun || topic.turn >= count || topic.bytes + size > bytes {
                    topic.turn =
                        if adaptive { topic.least(&available) } else { topic.other(count, &available) };
                    topic.begun = true;
                    topic.bytes = 0;
                }
                topic.bytes += size;
                topic.turn
            }
        };
        if let Some(count) = usize::try_from(chosen).ok().and_then(|chosen| topic.under_way.get_mut(chosen)) {
            *count += 1;
        }
        chosen
    }
}

impl Topic {
    /// The partition with the fewest messages under way; those without a leader come last.
    fn least(&self, available: &impl Fn(i32) -> bool) -> i32 {
        let all = self.under_way.iter().zip(0..);
        all.min_by_key(|&(&count, number)| (!available(number), count)).map_or(0, |(_, number)| number)
    }

    /// Another partition than the one in turn, at random, with a leader if possible.
    fn other(&self, count: i32, available: &impl Fn(i32) -> bool) -> i32 {
        let start = rand::random_range(0..count);
        let order =
            || (0..count).map(|step| (start + step).rem_euclid(count)).filter(|&other| other != self.turn);
        order().find(|&other| available(other)).or_else(|| order().next()).unwrap_or(0)
    }
}

/// The hash of Kafka's own client, with its sign dropped as that client does.
fn murmur2(key: &[u8]) -> i32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c_u32 ^ u32::try_from(key.len()).unwrap_or(u32::MAX);
    let mut chunks = key.chunks_exact(4);
    for chunk in &mut chunks {
        let mut word = u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]).wrapping_mul(M);
        word ^= word >> 24;
        hash = hash.wrapping_mul(M) ^ word.wrapping_mul(M);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        for (index, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^= hash >> 15;
    (hash & 0x7fff_ffff).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_robin_takes_turns_for_each_topic() {
        let chooser = Chooser::new(Rule::RoundRobin);
        let turns =
            |topic: &str| (0..5).map(|_| chooser.partition(topic, None, 3, |_| true)).collect::<Vec<_>>();
        assert_eq!(turns("a"), [0, 1, 2, 0, 1]);
        assert_eq!(turns("b"), [0, 1, 2, 0, 1]);
        assert_eq!(turns("a"), [2, 0, 1, 2, 0]);
    }

    #[test]
    fn the_least_backed_up_partition_is_taken() {
        let chooser = Chooser::new(Rule::LeastBackup);
        let next = || chooser.partition("t", Some(b"k"), 3, |_| true);
        assert_eq!([next(), next(), next()], [0, 1, 2]);
        chooser.done("t", 1);
        assert_eq!([next(), next()], [1, 0]);
        chooser.done("other", 1);
        chooser.done("t", 99);
        assert_eq!(chooser.partition("t", None, 3, |number| number == 2), 2, "the others have no leader");
    }

    #[test]
    fn bytes_are_spread_evenly() {
        let chooser = Chooser::new(Rule::UniformBytes { bytes: 100, adaptive: false, keys: true });
        let next = |size: usize, key: Option<&[u8]>| {
            sending(size);
            chooser.partition("t", key, 4, |_| true)
        };
        let first = next(60, None);
        assert_eq!(next(40, None), first);
        assert_ne!(next(1, None), first, "100 bytes went there");
        assert_eq!(next(1, Some(b"key")), next(90, Some(b"key")), "a key stays where it is");
        let alone = Chooser::new(Rule::UniformBytes { bytes: 1, adaptive: true, keys: false });
        assert_eq!((0..3).map(|_| alone.partition("t", None, 1, |_| true)).collect::<Vec<_>>(), [0, 0, 0]);
    }
}
