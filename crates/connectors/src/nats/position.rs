//! How far a stream has been read: for consumers that the server does not keep.

use std::collections::BTreeSet;

/// Most delivered sequences that are remembered one by one: what a server may give out again after an outage.
const REMEMBERED: usize = 8192;

/// The lowest sequence that is not delivered yet.
#[derive(Debug, Default)]
pub(super) struct Position {
    under_way: BTreeSet<u64>,
    delivered: BTreeSet<u64>,
    /// Behind the highest that arrived; 0: nothing arrived yet.
    next: u64,
}

impl Position {
    /// `false`: it was delivered before, which a server may forget that did not end in good order.
    pub(super) fn arrived(&mut self, sequence: u64) -> bool {
        if self.delivered.contains(&sequence) {
            return false;
        }
        self.under_way.insert(sequence);
        self.next = self.next.max(sequence + 1);
        true
    }

    pub(super) fn delivered(&mut self, sequence: u64) {
        if self.under_way.remove(&sequence) {
            self.delivered.insert(sequence);
            if self.delivered.len() > REMEMBERED {
                self.delivered.pop_first();
            }
        }
    }

    /// Where to go on in a stream whose last sequence is this; `None`: nothing is known of it, begin anew.
    pub(super) fn resume(&mut self, last: u64) -> Option<u64> {
        let from = self.under_way.first().copied().unwrap_or(self.next);
        if from == 0 || from > last.saturating_add(1) {
            // A stream that is shorter than what was read of it is another one.
            *self = Position::default();
            return None;
        }
        Some(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_goes_on_at_the_first_that_was_not_delivered() {
        let mut position = Position::default();
        assert_eq!(position.resume(10), None, "nothing arrived yet");
        for sequence in 3..7 {
            assert!(position.arrived(sequence));
        }
        position.delivered(4);
        assert!(!position.arrived(4), "delivered before");
        assert!(position.arrived(2), "late, but never seen");
        position.delivered(2);
        assert!(position.arrived(5), "refused before");
        assert_eq!(position.resume(10), Some(3));
        for sequence in [3, 6] {
            position.delivered(sequence);
        }
        assert_eq!(position.resume(10), Some(5));
        position.delivered(5);
        assert_eq!(position.resume(6), Some(7), "the one that comes next");
        assert_eq!(position.resume(5), None, "another stream of the same name");
        assert_eq!(position.resume(6), None, "and nothing is known of it");
    }
}
