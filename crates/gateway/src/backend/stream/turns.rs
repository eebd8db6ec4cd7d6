//! Whose turn it is to be looked at again: first those about whom somebody raised a doubt, then those who were not looked
//! at for long. Finding them costs what they are, however many others there are.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// All that is watched over. Each is in at most one of the queues, or looked at now.
#[derive(Debug)]
pub(super) struct Turns<T> {
    all: HashMap<u64, Slot<T>>,
    next: u64,
    /// Who was not looked at for so long has his turn.
    again_after: Duration,
    /// Doubted.
    soon: VecDeque<u64>,
    /// Doubted still, since the look failed; their turn comes with the next tick.
    failed: Vec<u64>,
    /// By when they were last looked at.
    seen: BTreeSet<(Instant, u64)>,
    /// How many were taken into the hand, for tests.
    #[cfg(test)]
    touched: usize,
}

#[derive(Debug)]
struct Slot<T> {
    item: Arc<T>,
    seen_at: Instant,
    /// Looked at now. One look at a time, so that what was seen last is known last.
    looked_at: bool,
    /// Somebody doubts it, perhaps since the look began.
    doubted: bool,
}

impl<T> Turns<T> {
    pub(super) fn new(again_after: Duration) -> Self {
        Self {
            all: HashMap::new(),
            next: 0,
            again_after,
            soon: VecDeque::new(),
            failed: Vec::new(),
            seen: BTreeSet::new(),
            #[cfg(test)]
            touched: 0,
        }
    }

    /// One more, whose turn is soon: it may have changed since it was made.
    pub(super) fn add(&mut self, item: Arc<T>, now: Instant) -> u64 {
        let id = self.next;
        self.next += 1;
        self.all.insert(id, Slot { item, seen_at: now, looked_at: false, doubted: true });
        self.soon.push_back(id);
        id
    }

    pub(super) fn remove(&mut self, id: u64) {
        if let Some(slot) = self.all.remove(&id) {
            self.seen.remove(&(slot.seen_at, id));
        }
        // In the other queues it is passed over, and each of them is emptied before long.
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.all.values().map(|slot| &slot.item)
    }

    /// Doubts those who are meant; tells whether there are any.
    pub(super) fn doubt(&mut self, mut meant: impl FnMut(&T) -> bool) -> bool {
        let mut any = false;
        for (id, slot) in &mut self.all {
            if !meant(&slot.item) {
                continue;
            }
            any = true;
            if !std::mem::replace(&mut slot.doubted, true) && !slot.looked_at {
                self.seen.remove(&(slot.seen_at, *id));
                self.soon.push_back(*id);
            }
        }
        any
    }

    /// Whose turn it is; the look has begun then, and ends with [`Turns::done`], [`Turns::failed`] or
    /// [`Turns::put_back`].
    pub(super) fn take(&mut self, now: Instant) -> Option<(u64, Arc<T>)> {
        loop {
            let id = match self.soon.pop_front() {
                Some(id) => id,
                None => {
                    let (seen_at, id) = *self.seen.first()?;
                    if now.saturating_duration_since(seen_at) <= self.again_after {
                        return None;
                    }
                    self.seen.pop_first();
                    id
                }
            };
            #[cfg(test)]
            {
                self.touched += 1;
            }
            if let Some(slot) = self.all.get_mut(&id) {
                (slot.looked_at, slot.doubted) = (true, false);
                return Some((id, Arc::clone(&slot.item)));
            }
        }
    }

    /// It was not looked at after all, and is the next.
    pub(super) fn put_back(&mut self, id: u64) {
        if let Some(slot) = self.all.get_mut(&id) {
            (slot.looked_at, slot.doubted) = (false, true);
            self.soon.push_front(id);
        }
    }

    /// It was looked at.
    pub(super) fn done(&mut self, id: u64, now: Instant) {
        let Some(slot) = self.all.get_mut(&id) else { return };
        (slot.looked_at, slot.seen_at) = (false, now);
        if slot.doubted {
            self.soon.push_back(id);
        } else {
            self.seen.insert((now, id));
        }
    }

    /// It could not be looked at.
    pub(super) fn failed(&mut self, id: u64) {
        if let Some(slot) = self.all.get_mut(&id) {
            (slot.looked_at, slot.doubted) = (false, true);
            self.failed.push(id);
        }
    }

    /// Those who could not be looked at have their turn again.
    pub(super) fn tick(&mut self) {
        self.soon.extend(self.failed.drain(..));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGAIN: Duration = Duration::from_secs(10);

    /// Everybody whose turn it is.
    fn taken(turns: &mut Turns<u64>, now: Instant) -> Vec<u64> {
        std::iter::from_fn(|| turns.take(now)).map(|(id, _)| id).collect()
    }

    #[test]
    fn finding_whose_turn_it_is_costs_what_they_are() {
        let (start, many) = (Instant::now(), 100_000);
        let mut turns = Turns::new(AGAIN);
        for item in 0..many {
            turns.add(Arc::new(item), start);
        }
        let first = taken(&mut turns, start);
        assert_eq!(first.len() as u64, many);
        first.iter().for_each(|id| turns.done(*id, start));
        turns.touched = 0;
        // A thousand looks end, and after each it is asked who is next.
        for _ in 0..1000 {
            assert!(turns.take(start + AGAIN).is_none());
        }
        assert_eq!(turns.touched, 0);
        assert!(turns.doubt(|item| item % 50_000 == 7));
        assert_eq!(taken(&mut turns, start).len(), 2);
        assert_eq!(turns.touched, 2);
    }

    #[test]
    fn each_has_its_turn_once() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut turns = Turns::new(AGAIN);
        let ids: Vec<u64> = (0..4).map(|item| turns.add(Arc::new(item), start)).collect();
        // Those who are new come first; while they are looked at nobody else is.
        assert_eq!(taken(&mut turns, start), ids);
        assert!(turns.doubt(|item| *item == 1));
        assert!(!turns.doubt(|item| *item == 9));
        assert!(taken(&mut turns, at(60)).is_empty(), "they are looked at");
        // What was doubted during the look is looked at once more; what failed, after a tick; who left, never.
        turns.done(ids[0], at(1));
        turns.done(ids[1], at(2));
        turns.failed(ids[2]);
        turns.remove(ids[3]);
        turns.done(ids[3], at(2));
        assert_eq!(taken(&mut turns, at(3)), [ids[1]]);
        assert!(taken(&mut turns, at(3)).is_empty());
        turns.tick();
        assert_eq!(turns.take(at(4)).map(|(id, _)| id), Some(ids[2]));
        turns.put_back(ids[2]);
        assert_eq!(taken(&mut turns, at(4)), [ids[2]]);
        turns.done(ids[1], at(5));
        turns.done(ids[2], at(4));
        // By age.
        assert!(taken(&mut turns, at(11)).is_empty());
        assert_eq!(taken(&mut turns, at(60)), [ids[0], ids[2], ids[1]]);
        ids.iter().for_each(|id| turns.done(*id, at(60)));
        // Doubted twice is looked at once, and not again for its age.
        assert!(turns.doubt(|_| true) && turns.doubt(|_| true));
        turns.remove(ids[0]);
        let mut both = taken(&mut turns, at(100));
        both.sort_unstable();
        assert_eq!(both, [ids[1], ids[2]]);
        both.iter().for_each(|id| turns.remove(*id));
        assert!(turns.seen.is_empty() && turns.soon.is_empty() && turns.all.is_empty());
    }
}
