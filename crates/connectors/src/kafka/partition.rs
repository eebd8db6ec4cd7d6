//! What is on its way of one partition, and up to where everything is done.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use streams::Message;

/// A message with its offset, waiting for room among those on their way.
pub(super) type Waiting = (Message, i64);

/// One assignment of one partition. When it is revoked and comes back, that is another one.
///
/// A message is first admitted (it counts against the limit), then taken (the stream has it), then done. Offsets are
/// committed up to the lowest message that is not done, whatever is done behind it.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) topic: Arc<str>,
    pub(super) number: i32,
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Admitted messages from the lowest that is not done.
    entries: VecDeque<Entry>,
    /// The sequence number of the first entry.
    first: u64,
    /// Everything below this offset is done.
    position: i64,
    /// The position that the group knows of.
    committed: Option<i64>,
    /// Messages that the stream has and has not resolved.
    taken: usize,
    /// Messages for which there is no room yet, oldest first.
    waiting: VecDeque<Waiting>,
    revoked: bool,
    paused: bool,
}

#[derive(Debug)]
struct Entry {
    offset: i64,
    done: bool,
}

impl Partition {
    /// Begins at this offset: all below it counts as done.
    pub(super) fn new(topic: Arc<str>, number: i32, limit: usize, begin: i64) -> Partition {
        let state = State {
            entries: VecDeque::new(),
            first: 0,
            position: begin,
            committed: None,
            taken: 0,
            waiting: VecDeque::new(),
            revoked: false,
            paused: false,
        };
        Partition { topic, number, limit, state: Mutex::new(state) }
    }

    /// Admits the message at `offset` when there is room and nothing waits before it; its sequence number.
    pub(super) fn admit(&self, message: Message, offset: i64) -> Option<(Message, u64)> {
        let mut state = self.state.lock();
        if !state.waiting.is_empty() || state.entries.len() >= self.limit {
            state.waiting.push_back((message, offset));
            return None;
        }
        Some((message, state.admit(offset)))
    }

    /// Admits the next message that waits, when there is room now.
    pub(super) fn admit_waiting(&self) -> Option<(Message, u64)> {
        let mut state = self.state.lock();
        if state.entries.len() >= self.limit {
            return None;
        }
        let (message, offset) = state.waiting.pop_front()?;
        let sequence = state.admit(offset);
        Some((message, sequence))
    }

    /// How many messages wait for room.
    pub(super) fn waiting(&self) -> usize {
        self.state.lock().waiting.len()
    }

    /// The stream takes admitted messages; `false` when it must not, because another consumer owns the partition.
    pub(super) fn take(&self, messages: usize) -> bool {
        let mut state = self.state.lock();
        if !state.revoked {
            state.taken += messages;
        }
        !state.revoked
    }

    /// The messages from `first` to `last` are resolved; only when `delivered` are they done. Whether the polling thread
    /// should hear of it: when half of the room is free for what waits (waking it for every ack would cost more than
    /// the messages do), or when a partition that is given away is done.
    pub(super) fn resolve(&self, first: u64, last: u64, delivered: bool) -> bool {
        let mut state = self.state.lock();
        let messages = usize::try_from(last - first + 1).unwrap_or(usize::MAX);
        state.taken = state.taken.saturating_sub(messages);
        if delivered {
            state.finish(first, last);
        }
        if state.revoked {
            return state.taken == 0;
        }
        !state.waiting.is_empty() && state.entries.len() <= self.limit / 2
    }

    /// The offset to commit: that of the lowest message that is not done.
    pub(super) fn position(&self) -> i64 {
        self.state.lock().position
    }

    /// The position, when the group does not know of it.
    pub(super) fn uncommitted(&self) -> Option<i64> {
        let state = self.state.lock();
        (state.committed != Some(state.position)).then_some(state.position)
    }

    /// The group knows of this position now.
    pub(super) fn committed(&self, position: i64) {
        self.state.lock().committed = Some(position);
    }

    /// Another consumer owns the partition: nothing more may be taken, and what waits is forgotten.
    pub(super) fn revoke(&self) {
        let mut state = self.state.lock();
        state.revoked = true;
        state.waiting.clear();
    }

    /// Whether another consumer owns the partition.
    pub(super) fn is_revoked(&self) -> bool {
        self.state.lock().revoked
    }

    /// Whether the stream still has messages.
    pub(super) fn busy(&self) -> bool {
        self.state.lock().taken > 0
    }

    /// Notes whether fetching is paused; whether that is news.
    pub(super) fn pause(&self, paused: bool) -> bool {
        std::mem::replace(&mut self.state.lock().paused, paused) != paused
    }
}

impl State {
    fn admit(&mut self, offset: i64) -> u64 {
        self.entries.push_back(Entry { offset, done: false });
        self.first + self.entries.len() as u64 - 1
    }

    fn finish(&mut self, first: u64, last: u64) {
        for sequence in first..=last {
            let index = sequence.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
            if let Some(entry) = index.and_then(|index| self.entries.get_mut(index)) {
                entry.done = true;
            }
        }
        while let Some(entry) = self.entries.front()
            && entry.done
        {
            // The next offset may be far away, in a compacted topic or behind a transaction; committing one past a
            // message is right in every case.
            self.position = entry.offset + 1;
            self.first += 1;
            self.entries.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(limit: usize) -> Partition {
        Partition::new("t".into(), 0, limit, 100)
    }

    fn offer(partition: &Partition, offset: i64) -> Option<u64> {
        let admitted = partition.admit(Message::new(""), offset).map(|(_, sequence)| sequence);
        admitted.inspect(|_| assert!(partition.take(1)))
    }

    #[test]
    fn only_what_is_contiguous_is_committed() {
        let partition = partition(10);
        assert_eq!(partition.uncommitted(), Some(100), "where it began is worth a commit");
        let sequences: Vec<_> =
            [100, 101, 105, 106].map(|offset| offer(&partition, offset).expect("room")).into();
        partition.resolve(sequences[1], sequences[2], true);
        assert_eq!(partition.position(), 100);
        partition.resolve(sequences[0], sequences[0], true);
        assert_eq!(partition.position(), 106);
        partition.resolve(sequences[3], sequences[3], false);
        assert_eq!(partition.position(), 106, "a refused message holds its offset");
        assert!(!partition.busy());
        partition.committed(106);
        assert_eq!(partition.uncommitted(), None);
    }

    #[test]
    fn the_limit_holds_and_order_is_kept_while_waiting() {
        let partition = partition(2);
        let first = offer(&partition, 100).expect("room");
        offer(&partition, 101).expect("room");
        assert_eq!(offer(&partition, 102), None);
        assert!(partition.resolve(first, first, true), "one of two places is free");
        assert_eq!(offer(&partition, 103), None, "102 comes first");
        assert_eq!(partition.admit_waiting().map(|(_, sequence)| sequence), Some(2));
        assert!(partition.admit_waiting().is_none());
        assert_eq!(partition.waiting(), 1);
    }

    #[test]
    fn a_revoked_partition_gives_nothing_more() {
        let partition = partition(1);
        let first = offer(&partition, 100).expect("room");
        assert_eq!(offer(&partition, 101), None);
        partition.revoke();
        assert!(partition.busy(), "what was taken can still be done");
        assert!(partition.resolve(first, first, true), "it can be given away now");
        assert_eq!((partition.busy(), partition.position()), (false, 101));
        assert!(partition.admit_waiting().is_none());
        assert!(!partition.take(1));
    }

    // Any order of resolving n messages ends at the same position, and never passes a message that is not done.
    #[test]
    fn every_order_of_acks_ends_at_the_same_place() {
        for seed in 0..200_u64 {
            let partition = partition(64);
            let mut open: Vec<u64> = (0..64).filter_map(|index| offer(&partition, 100 + index)).collect();
            let mut random = seed;
            while !open.is_empty() {
                random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let sequence = open.remove((random >> 33) as usize % open.len());
                partition.resolve(sequence, sequence, true);
                let lowest = open.iter().min().map_or(64, |&sequence| sequence);
                assert_eq!(partition.position(), 100 + lowest as i64);
            }
        }
    }
}
