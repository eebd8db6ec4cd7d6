//! A table whose entries are found by one read of memory.
//!
//! An entry fills a line of the processor's caches and lies where its hash says, or right after. Where a million keys are in
//! use hardly anything of them is in those caches, and each pointer that has to be followed before the next is known costs
//! a tenth of a microsecond or two.

use std::sync::atomic::{AtomicBool, Ordering};

use state::near;

use super::{Asked, Place};

/// A table begins with so many places.
const FIRST_PLACES: usize = 16;
/// Of five places so many are taken at most, or the way to an entry would be long.
const FULL: (usize, usize) = (4, 5);
/// So many entries that are in use are passed over before one is forgotten all the same.
const PATIENCE: usize = 32;

/// Some of what is known; what is least in use is forgotten when it weighs too much.
#[derive(Debug)]
pub(super) struct Table<T> {
    places: Box<[Option<Entry<T>>]>,
    taken: usize,
    weight: usize,
    most: usize,
    /// The place that is looked at next when one has to go.
    hand: usize,
}

#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Entry<T> {
    pub(super) asked: Asked,
    /// Hash of the caller's name in the store.
    pub(super) name: u64,
    pub(super) value: T,
    weight: u8,
    /// Since the hand last passed.
    in_use: AtomicBool,
}

impl<T> Entry<T> {
    pub(super) fn new(asked: Asked, name: u64, value: T, weight: u8) -> Self {
        Self { asked, name, value, weight, in_use: AtomicBool::new(false) }
    }
}

impl<T> Table<T> {
    /// Keeps so much at most.
    pub(super) fn new(most: usize) -> Self {
        Self { places: Box::default(), taken: 0, weight: 0, most, hand: 0 }
    }

    pub(super) fn get(&self, asked: &Asked) -> Option<&T> {
        let entry = self.places[self.find(asked)?].as_ref()?;
        if !entry.in_use.load(Ordering::Relaxed) {
            entry.in_use.store(true, Ordering::Relaxed);
        }
        Some(&entry.value)
    }

    /// Puts an entry in the place of one that was asked for likewise, or into a free one.
    pub(super) fn insert(&mut self, entry: Entry<T>) {
        self.remove(&entry.asked);
        let weight = usize::from(entry.weight);
        while self.weight + weight > self.most && self.taken > 0 {
            self.forget_one();
        }
        if (self.taken + 1) * FULL.1 > self.places.len() * FULL.0 {
            self.resize();
        }
        self.put(entry);
    }

    pub(super) fn remove(&mut self, asked: &Asked) {
        if let Some(place) = self.find(asked) {
            self.empty(place);
        }
    }

    /// By what those are asked for that are meant.
    pub(super) fn find_all(&self, is_meant: impl Fn(&Entry<T>) -> bool) -> Vec<Asked> {
        self.places.iter().flatten().filter(|entry| is_meant(entry)).map(|entry| entry.asked).collect()
    }

    pub(super) fn clear(&mut self) {
        self.take(0);
    }

    pub(super) fn places(&self) -> usize {
        self.places.len()
    }

    /// Asks the memory for where the way to an entry begins.
    pub(super) fn ask_for(&self, place: Place) {
        if let Some(home) = self.places.get(self.home(place)) {
            near::ask_for(home);
        }
    }

    /// Whose place this probably is, for whoever need not be sure.
    pub(super) fn at(&self, place: Place) -> Option<&T> {
        let found = self.find_at(place, |_| true)?;
        self.places[found].as_ref().map(|entry| &entry.value)
    }

    /// Where the way to an entry begins.
    fn home(&self, place: Place) -> usize {
        // The hash as a share of all hashes, of so many places.
        ((u128::from(place.0) * self.places.len() as u128) >> u64::BITS) as usize
    }

    fn after(&self, place: usize) -> usize {
        if place + 1 == self.places.len() { 0 } else { place + 1 }
    }

    fn find(&self, asked: &Asked) -> Option<usize> {
        self.find_at(asked.place, |entry| entry.asked.digest == asked.digest)
    }

    /// Of those that have this place, the first that is meant.
    fn find_at(&self, place: Place, is_meant: impl Fn(&Entry<T>) -> bool) -> Option<usize> {
        let mut at = self.home(place);
        while let Some(entry) = self.places.get(at)? {
            if entry.asked.place == place && is_meant(entry) {
                return Some(at);
            }
            at = self.after(at);
        }
        None
    }

    fn put(&mut self, entry: Entry<T>) {
        let mut place = self.home(entry.asked.place);
        while self.places[place].is_some() {
            place = self.after(place);
        }
        self.taken += 1;
        self.weight += usize::from(entry.weight);
        self.places[place] = Some(entry);
    }

    /// Empties a place, and moves those nearer to their homes whose way led over it.
    fn empty(&mut self, mut place: usize) {
        if let Some(entry) = self.places[place].take() {
            self.taken -= 1;
            self.weight -= usize::from(entry.weight);
        }
        let mut next = place;
        loop {
            next = self.after(next);
            let Some(entry) = &self.places[next] else { return };
            let way = self.steps(self.home(entry.asked.place), next);
            if way >= self.steps(place, next) {
                self.places[place] = self.places[next].take();
                place = next;
            }
        }
    }

    /// From one place on to another.
    fn steps(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.places.len() - from }
    }

    /// Forgets an entry that was not in use since the hand last passed, if one is near.
    fn forget_one(&mut self) {
        let mut patience = PATIENCE;
        loop {
            let place = self.hand;
            self.hand = self.after(place);
            let Some(entry) = &self.places[place] else { continue };
            if patience > 0 && entry.in_use.swap(false, Ordering::Relaxed) {
                patience -= 1;
                continue;
            }
            // The hand stays: another may have come here.
            self.hand = place;
            return self.empty(place);
        }
    }

    /// Twice as many places, as far as all of them can be taken.
    fn resize(&mut self) {
        let enough = self.most * FULL.1 / FULL.0 + 2;
        let places = (self.places.len() * 2).clamp(FIRST_PLACES.min(enough), enough);
        self.take(places).into_iter().flatten().for_each(|entry| self.put(entry));
    }

    /// Empties it and gives it so many places; what was in it.
    fn take(&mut self, places: usize) -> Box<[Option<Entry<T>>]> {
        (self.taken, self.weight, self.hand) = (0, 0, 0);
        std::mem::replace(&mut self.places, std::iter::repeat_with(|| None).take(places).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn asked(number: u64) -> Asked {
        // As digests are spread.
        let spread = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let digest = u128::from(number) << 64 | u128::from(spread);
        Asked { digest: digest.to_le_bytes(), place: Place(spread) }
    }

    fn entry(number: u64, weight: u8) -> Entry<u64> {
        Entry::new(asked(number), number % 10, number, weight)
    }

    /// What it says of its entries is so.
    fn check(table: &Table<u64>) {
        let entries: Vec<_> = table.places.iter().flatten().collect();
        assert_eq!(entries.len(), table.taken);
        assert_eq!(entries.iter().map(|entry| usize::from(entry.weight)).sum::<usize>(), table.weight);
        for entry in entries {
            assert!(table.find(&entry.asked).is_some(), "{entry:?} is not found");
        }
    }

    #[test]
    fn what_comes_and_goes_is_found_while_it_is_there() {
        let mut table = Table::new(1000);
        let mut model = HashMap::new();
        let mut random = 1_u64;
        for step in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let number = (random >> 33) % 700;
            if random >> 63 == 0 {
                table.insert(entry(number, 1));
                model.insert(number, number);
            } else {
                table.remove(&asked(number));
                model.remove(&number);
            }
            assert_eq!(table.get(&asked(number)), model.get(&number));
            if step % 1000 == 0 {
                check(&table);
            }
        }
        assert!((0..700).all(|number| table.get(&asked(number)) == model.get(&number)));
        check(&table);
    }

    #[test]
    fn entries_that_meet_in_one_place_stand_behind_each_other_even_over_the_end() {
        let mut table = Table::new(100);
        // All of them belong into the last place.
        let same = |number: u64| Asked { digest: u128::from(number).to_le_bytes(), place: Place(u64::MAX) };
        for number in 0..8 {
            table.insert(Entry::new(same(number), 0, number, 1));
            assert_eq!(table.home(same(number).place), table.places.len() - 1);
        }
        for gone in [3, 0, 7] {
            table.remove(&same(gone));
            check(&table);
        }
        let left: Vec<u64> = (0..8).filter(|number| table.get(&same(*number)).is_some()).collect();
        assert_eq!(left, [1, 2, 4, 5, 6]);
    }

    #[test]
    fn who_is_foreseen_is_who_is_found() {
        let mut table = Table::new(10_000);
        table.ask_for(asked(1).place);
        assert_eq!(table.at(asked(1).place), None, "nobody is there");
        (0..5000).for_each(|number| table.insert(entry(number, 1)));
        for number in 0..5000 {
            let place = asked(number).place;
            table.ask_for(place);
            assert_eq!(table.at(place), Some(&number));
        }
        assert_eq!(table.at(asked(5000).place), None);
    }

    #[test]
    fn two_of_one_place_are_told_apart() {
        let mut table = Table::new(100);
        let [one, two] = [1, 2].map(|number: u128| Asked { digest: number.to_le_bytes(), ..asked(7) });
        table.insert(Entry::new(one, 0, 1, 1));
        assert_eq!((table.get(&one), table.get(&two)), (Some(&1), None));
        table.insert(Entry::new(two, 0, 2, 1));
        assert_eq!((table.get(&one), table.get(&two)), (Some(&1), Some(&2)));
        table.remove(&one);
        assert_eq!((table.get(&one), table.get(&two), table.at(two.place)), (None, Some(&2), Some(&2)));
    }

    #[test]
    fn no_more_is_kept_than_may_be_and_what_is_in_use_stays() {
        let mut table = Table::new(100);
        for number in 0..10_000 {
            table.insert(entry(number, 1));
            // Asked for again and again.
            (0..10.min(number)).for_each(|used| assert_eq!(table.get(&asked(used)), Some(&used), "{number}"));
            assert!(table.weight <= 100);
        }
        assert_eq!(table.taken, 100);
        check(&table);
        table.insert(entry(10_000, 90));
        assert!(table.weight <= 100 && table.get(&asked(10_000)).is_some());
        table.insert(entry(10_001, 200));
        assert_eq!((table.taken, table.get(&asked(10_001))), (1, Some(&10_001)), "too heavy, and kept alone");
        check(&table);
    }

    #[test]
    fn one_is_forgotten_even_where_all_are_in_use() {
        let mut table = Table::new(100);
        (0..100).for_each(|number| table.insert(entry(number, 1)));
        (0..100).for_each(|number| assert!(table.get(&asked(number)).is_some()));
        table.insert(entry(100, 1));
        assert_eq!((table.taken, table.get(&asked(100))), (100, Some(&100)));
        check(&table);
    }

    #[test]
    fn those_that_are_meant_are_found_and_all_can_go() {
        let mut table = Table::new(1000);
        (0..500).for_each(|number| table.insert(entry(number, 2)));
        let found = table.find_all(|entry| entry.name == 3);
        assert_eq!(found.len(), 50);
        found.iter().for_each(|asked| table.remove(asked));
        assert!((0..500).all(|number| table.get(&asked(number)).is_some() == (number % 10 != 3)));
        check(&table);
        table.clear();
        assert!(table.find_all(|_| true).is_empty() && table.get(&asked(1)).is_none());
        table.insert(entry(1, 1));
        check(&table);
    }
}
