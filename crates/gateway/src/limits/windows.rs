//! All windows of this node, by name.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::window::Window;

/// Parts that are locked apart.
const PARTS: usize = 64;
/// So many in a part are not worth to be looked through.
const FEW: usize = 256;
/// Most windows that are kept although nobody holds them. Whoever is called by another name each time, by what he sends
/// (`rate_limit_pattern`), must not fill the memory.
const MOST: usize = 1_000_000;

/// Windows outlive the sessions and APIs that use them, so that a changed key or definition does not hand out a fresh
/// allowance. One that somebody holds, or that would refuse something yet, is kept; what else there is goes when room is
/// needed. Beyond a million, some of those that nobody holds begin anew.
#[derive(Debug)]
pub(crate) struct Windows {
    hasher: RandomState,
    parts: Vec<Mutex<Part>>,
    most_of_part: usize,
}

#[derive(Debug)]
struct Part {
    windows: HashMap<Arc<str>, Arc<Window>>,
    /// How many there are when it is next looked through: so that looking costs each window that is made the same.
    look_at: usize,
}

impl Default for Windows {
    fn default() -> Self {
        Self::of(MOST)
    }
}

impl Windows {
    fn of(most: usize) -> Self {
        let most_of_part = most / PARTS;
        let part = || Mutex::new(Part { windows: HashMap::new(), look_at: FEW.min(most_of_part) });
        Self {
            hasher: RandomState::new(),
            parts: std::iter::repeat_with(part).take(PARTS).collect(),
            most_of_part,
        }
    }

    fn part(&self, name: &str) -> &Mutex<Part> {
        &self.parts[(self.hasher.hash_one(name) % PARTS as u64) as usize]
    }

    /// The window of this name. Two who ask at once get the same one.
    pub(crate) fn get(&self, name: &Arc<str>) -> Arc<Window> {
        let mut part = self.part(name).lock();
        if let Some(window) = part.windows.get(&**name) {
            return Arc::clone(window);
        }
        if part.windows.len() >= part.look_at {
            part.make_room(self.most_of_part, Instant::now());
        }
        let window = Arc::new(Window::default());
        part.windows.insert(Arc::clone(name), Arc::clone(&window));
        window
    }

    /// Forgets a window; whoever holds it counts on in it.
    pub(crate) fn forget(&self, name: &str) {
        self.part(name).lock().windows.remove(name);
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.parts.iter().map(|part| part.lock().windows.len()).sum()
    }
}

impl Part {
    fn make_room(&mut self, most: usize, now: Instant) {
        // Who asks for one is kept out by the lock of the part, so that what nobody holds now nobody can come to hold.
        let is_held = |window: &Arc<Window>| Arc::strong_count(window) > 1;
        self.windows.retain(|_, window| is_held(window) || window.is_running(now));
        if self.windows.len() >= most {
            let mut over = self.windows.len() - most / 2;
            self.windows.retain(|_, window| {
                let stays = over == 0 || is_held(window);
                over -= usize::from(!stays);
                stays
            });
        }
        let kept = self.windows.len();
        self.look_at =
            if kept * 2 < most { (kept * 2).max(FEW.min(most)) } else { most.max(kept + kept / 8 + 1) };
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PER: Duration = Duration::from_secs(3600);

    #[test]
    fn whoever_asks_for_a_name_gets_the_same_window() {
        let windows = Windows::default();
        for round in 0..200 {
            let name = round.to_string();
            let barrier = std::sync::Barrier::new(4);
            let got: Vec<Arc<Window>> = std::thread::scope(|scope| {
                let ask = || {
                    barrier.wait();
                    windows.get(&name.as_str().into())
                };
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert!(got.iter().all(|window| Arc::ptr_eq(window, &got[0])), "{name}");
        }
    }

    #[test]
    fn what_is_held_or_runs_outlives_any_number_of_others() {
        let windows = Windows::default();
        let now = Instant::now();
        let held = windows.get(&"held".into());
        assert!(windows.get(&"runs".into()).take(1.0, PER, now).allowed);
        windows.get(&"blocked".into()).block(PER, now);
        for other in 0..300_000 {
            windows.get(&format!("other-{other}").into());
        }
        assert!(Arc::ptr_eq(&windows.get(&"held".into()), &held));
        assert!(!windows.get(&"runs".into()).take(1.0, PER, now).allowed, "it began anew");
        assert!(windows.get(&"blocked".into()).blocked_for(now).is_some());
        // Nor does the memory grow with names that mean nothing.
        assert!(windows.count() < 2 * PARTS * FEW, "{}", windows.count());
    }

    #[test]
    fn windows_that_run_are_bounded_too_and_those_who_are_held_stay() {
        let most = 64 * PARTS;
        let windows = Windows::of(most);
        let now = Instant::now();
        let held: Vec<_> = (0..100).map(|name| windows.get(&format!("held-{name}").into())).collect();
        for name in 0..10 * most {
            windows.get(&format!("runs-{name}").into()).take(1.0, PER, now);
            assert!(windows.count() <= most + PARTS, "{name}");
        }
        for (name, window) in held.iter().enumerate() {
            assert!(Arc::ptr_eq(&windows.get(&format!("held-{name}").into()), window));
        }
    }

    #[test]
    fn many_that_are_held_are_not_looked_through_for_each_new_one() {
        let windows = Windows::of(4 * PARTS);
        let held: Vec<_> = (0..50_000).map(|name| windows.get(&name.to_string().into())).collect();
        assert_eq!(windows.count(), held.len());
    }
}
