//! Quota windows of one node: an atomic per window, no lock on the way of a request.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use papaya::{Compute, Operation};
use parking_lot::Mutex;

use crate::{Draw, Drawn, QuotaCount, values::seconds_up};

/// The end of a window that never ends.
const NEVER: i64 = i64::MAX;

/// What a window that was forgotten ends at, so that whoever holds it looks for another one.
const LONG_AGO: i64 = i64::MIN;

/// All windows, and those of them that the file does not know yet.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    windows: papaya::HashMap<Arc<str>, Arc<Window>>,
    /// Each at most once between two [`Quotas::take_changed`]: `Window::listed` sees to that.
    changed: Mutex<Vec<Arc<Window>>>,
}

/// One window of one name.
#[derive(Debug)]
pub(crate) struct Window {
    name: Arc<str>,
    used: AtomicI64,
    /// Unix seconds, [`NEVER`] or [`LONG_AGO`]. Only ever sooner: a new window is a new value, so that a late count cannot
    /// leak into it.
    renews_at: AtomicI64,
    listed: AtomicBool,
    /// What the file calls it; see [`Window::number`].
    number: AtomicU64,
}

/// One window as the file keeps it; `None` when it was reset.
pub(super) type Saved = (Arc<Window>, Option<(i64, i64)>);

impl Window {
    fn new(name: Arc<str>, used: i64, renews_at: i64) -> Arc<Window> {
        let (used, renews_at) = (AtomicI64::new(used), AtomicI64::new(renews_at));
        Arc::new(Window { name, used, renews_at, listed: AtomicBool::new(false), number: AtomicU64::new(0) })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What the log of this generation calls it, if it does.
    pub(super) fn number(&self, generation: u32) -> Option<u32> {
        let both = self.number.load(Ordering::Relaxed);
        (both >> 32 == u64::from(generation)).then_some(both as u32)
    }

    pub(super) fn set_number(&self, generation: u32, number: u32) {
        self.number.store(u64::from(generation) << 32 | u64::from(number), Ordering::Relaxed);
    }

    fn ends(&self) -> i64 {
        self.renews_at.load(Ordering::Relaxed)
    }

    fn runs(&self, now: i64) -> bool {
        now < self.ends()
    }

    fn renews_at(&self) -> i64 {
        if self.ends() == NEVER { 0 } else { self.ends() }
    }

    /// Another one has its name now, or none has.
    fn retire(&self) {
        self.renews_at.store(LONG_AGO, Ordering::Relaxed);
    }

    fn saved(&self) -> (i64, i64) {
        (self.used.load(Ordering::Acquire), self.ends())
    }
}

impl Quotas {
    pub(super) fn draw(&self, draw: &Draw<'_>, now: i64) -> Drawn {
        let renews_at = if draw.per.is_zero() { NEVER } else { now.saturating_add(seconds_up(draw.per)) };
        if let Some(found) = draw.found
            && let Some(window) = found.window.load().as_ref().filter(|window| window.runs(now))
        {
            return self.draw_from(window, draw, renews_at, now);
        }
        let windows = self.windows.pin();
        loop {
            if let Some(window) = windows.get(draw.name).filter(|window| window.runs(now)) {
                if let Some(found) = draw.found {
                    found.window.store(Some(Arc::clone(window)));
                }
                return self.draw_from(window, draw, renews_at, now);
            }
            if draw.cost == 0 {
                // A look begins no window.
                let renews_at = if renews_at == NEVER { 0 } else { renews_at };
                return Drawn {
                    used: 0,
                    resets_in: draw.per,
                    renews_at,
                    exceeded: !draw.fits(0),
                    smoothed: None,
                };
            }
            let name = draw.found.map_or_else(|| draw.name.into(), |found| Arc::clone(&found.name));
            let begun = windows.compute(Arc::clone(&name), |current| match current {
                Some((_, window)) if window.runs(now) => Operation::Abort(()),
                _ => Operation::Insert(Window::new(Arc::clone(&name), 0, renews_at)),
            });
            if let Compute::Updated { old: (_, window), .. } = begun {
                window.retire();
            }
        }
    }

    fn draw_from(&self, window: &Arc<Window>, draw: &Draw<'_>, renews_at: i64, now: i64) -> Drawn {
        let cost = i64::try_from(draw.cost).unwrap_or(i64::MAX);
        // A window that was begun with a longer period, or without end, does not keep its end.
        if window.ends() > renews_at {
            window.renews_at.fetch_min(renews_at, Ordering::Relaxed);
        }
        // As one step, also where it is refused: whoever comes at the same time sees it, or is seen.
        let before = window.used.fetch_add(cost, Ordering::AcqRel);
        let exceeded = !draw.fits(u64::try_from(before).unwrap_or(0));
        let mut used = before.saturating_add(cost);
        if exceeded && !draw.counts_refused {
            window.used.fetch_sub(cost, Ordering::AcqRel);
            used = before;
        }
        if cost > 0 {
            self.list(window);
        }
        let renews_at = window.renews_at();
        let left = if renews_at == 0 { 0 } else { renews_at - now };
        Drawn {
            used: u64::try_from(used).unwrap_or(0),
            resets_in: Duration::from_secs(u64::try_from(left).unwrap_or(0)),
            renews_at,
            exceeded,
            smoothed: None,
        }
    }

    /// Takes a draw back, unless its window has ended meanwhile.
    pub(super) fn give_back(&self, name: &str, cost: u64, now: i64) {
        let windows = self.windows.pin();
        if let Some(window) = windows.get(name).filter(|window| window.runs(now)) {
            window.used.fetch_sub(i64::try_from(cost).unwrap_or(i64::MAX), Ordering::AcqRel);
            self.list(window);
        }
    }

    fn list(&self, window: &Arc<Window>) {
        if !window.listed.load(Ordering::Relaxed) && !window.listed.swap(true, Ordering::AcqRel) {
            self.changed.lock().push(Arc::clone(window));
        }
    }

    pub(super) fn peek(&self, name: &str, now: i64) -> Option<QuotaCount> {
        let windows = self.windows.pin();
        let window = windows.get(name).filter(|window| window.runs(now))?;
        Some(QuotaCount { used: window.used.load(Ordering::Acquire), renews_at: window.renews_at() })
    }

    pub(super) fn reset(&self, name: &str) {
        if let Some(window) = self.windows.pin().remove(name) {
            self.forgotten(window);
        }
    }

    /// The file is to forget a window, too.
    fn forgotten(&self, window: &Arc<Window>) {
        window.retire();
        self.changed.lock().push(Arc::clone(window));
    }

    /// What the file said, at start.
    pub(super) fn restore(&self, name: Arc<str>, used: i64, renews_at: i64) {
        self.windows.pin().insert(Arc::clone(&name), Window::new(name, used, renews_at));
    }

    /// Forgets a window as the file says, at start.
    pub(super) fn forget(&self, name: &str) {
        self.windows.pin().remove(name);
    }

    /// All windows: used, end.
    pub(super) fn each(&self, mut tell: impl FnMut(&Window, (i64, i64))) {
        for window in self.windows.pin().values() {
            tell(window, window.saved());
        }
    }

    /// What changed since the last call.
    pub(super) fn take_changed(&self) -> Vec<Saved> {
        let changed = std::mem::take(&mut *self.changed.lock());
        let windows = self.windows.pin();
        let save = |window: Arc<Window>| {
            // Cleared before the value is read: a count that comes between lists the window again.
            window.listed.store(false, Ordering::Release);
            let saved = match window.ends() {
                // What counts is the one that took its place, whichever was listed first.
                LONG_AGO => windows.get(&*window.name).map(|window| window.saved()),
                _ => Some(window.saved()),
            };
            (window, saved)
        };
        changed.into_iter().map(save).collect()
    }

    /// What could not be written is to be written next time.
    pub(super) fn put_back(&self, windows: impl Iterator<Item = Arc<Window>>) {
        let unlisted = windows.filter(|window| !window.listed.swap(true, Ordering::AcqRel));
        let unlisted: Vec<Arc<Window>> = unlisted.collect();
        self.changed.lock().extend(unlisted);
    }

    /// Forgets windows that have ended.
    pub(super) fn sweep(&self, now: i64) {
        let windows = self.windows.pin();
        let ended: Vec<&Arc<str>> =
            windows.iter().filter(|(_, window)| !window.runs(now)).map(|(name, _)| name).collect();
        for name in ended {
            if let Ok(Some((_, window))) = windows.remove_if(name, |_, window| !window.runs(now)) {
                self.forgotten(window);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::{Found, Meter};

    const MINUTE: Duration = Duration::from_secs(60);

    fn count(quotas: &Quotas, name: &str, max: i64, per: Duration, now: i64) -> Drawn {
        let limit = max as f64;
        quotas.draw(
            &Draw {
                meter: Meter::Quota,
                name,
                limit,
                per,
                cost: 1,
                counts_refused: true,
                found: None,
                steps: None,
            },
            now,
        )
    }

    fn changed(quotas: &Quotas) -> Vec<(String, Option<(i64, i64)>)> {
        quotas.take_changed().into_iter().map(|(window, saved)| (window.name().to_owned(), saved)).collect()
    }

    #[test]
    fn a_window_starts_at_the_first_request_and_renews() {
        let quotas = Quotas::default();
        // now, max, renewal -> used, renews_at, exceeded
        for (step, (now, max, renewal, used, renews_at, exceeded)) in [
            (1000, 2, MINUTE, 1, 1060, false),
            (1059, 2, MINUTE, 2, 1060, false),
            (1059, 2, MINUTE, 3, 1060, true),
            (1060, 2, MINUTE, 1, 1120, false),
            (5000, 2, Duration::from_millis(1), 1, 5001, false),
            (6000, 2, Duration::ZERO, 1, 0, false),
            (9_000_000, 2, Duration::ZERO, 2, 0, false),
            // Another period: one without end gets one, a longer one a nearer one, a shorter one ends as it would have.
            (9_000_001, 2, MINUTE * 60, 3, 9_003_601, true),
            (9_000_002, 2, MINUTE, 4, 9_000_062, true),
            (9_000_003, 2, MINUTE * 60, 5, 9_000_062, true),
            (9_000_062, 2, MINUTE * 60, 1, 9_003_662, false),
        ]
        .into_iter()
        .enumerate()
        {
            let count = count(&quotas, "k", max, renewal, now);
            assert_eq!(
                (count.used, count.renews_at, count.exceeded),
                (used, renews_at, exceeded),
                "step {step}"
            );
        }
        quotas.reset("k");
        assert_eq!(quotas.peek("k", 9_000_063), None);
    }

    #[test]
    fn a_clock_that_jumps_locks_nobody_out_and_gives_nobody_more() {
        let quotas = Quotas::default();
        let draw = |now: i64| count(&quotas, "k", 2, MINUTE, now);
        let (now, year) = (2_000_000_000_i64, 31_536_000_i64);
        assert!(!draw(now).exceeded && !draw(now + 1).exceeded && draw(now + 2).exceeded);
        // Back by a year: what was counted still counts, for one period at most.
        let back = draw(now - year);
        assert!(back.exceeded && back.renews_at == now - year + 60, "{back:?}");
        assert!(draw(now - year + 59).exceeded);
        assert!(!draw(now - year + 60).exceeded);
        // Forth again a new window begins, as it would have by then; that one counts when the clock goes back.
        assert!(!draw(now).exceeded && !draw(now).exceeded && draw(now).exceeded);
        assert!(draw(now - year).exceeded);
        // What can hardly be counted is no window without end.
        draw(i64::MAX - 1);
        assert_eq!(draw(0).renews_at, 60);
        assert!(draw(i64::MIN / 2).renews_at < 0);
    }

    #[test]
    fn concurrent_counts_are_exact() {
        let quotas = Quotas::default();
        let passed = AtomicI64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let count = count(&quotas, "k", 12_345, MINUTE, 1000);
                        passed.fetch_add(i64::from(!count.exceeded), Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(passed.into_inner(), 12_345);
        assert_eq!(quotas.peek("k", 1000).map(|count| count.used), Some(80_000));
    }

    #[test]
    fn what_changed_is_listed_once_and_again_after_it_was_taken() {
        let quotas = Quotas::default();
        count(&quotas, "a", 9, MINUTE, 1000);
        count(&quotas, "a", 9, MINUTE, 1001);
        assert_eq!(changed(&quotas), [("a".to_owned(), Some((2, 1060)))]);
        assert_eq!(changed(&quotas), []);
        count(&quotas, "a", 9, MINUTE, 1002);
        assert_eq!(changed(&quotas), [("a".to_owned(), Some((3, 1060)))]);
        quotas.sweep(1060);
        assert_eq!(changed(&quotas), [("a".to_owned(), None)]);
    }

    #[test]
    fn whoever_keeps_a_window_counts_in_the_one_that_counts() {
        let quotas = Quotas::default();
        let found = Found::under("a".into());
        let draw = |now| {
            let (meter, name) = (Meter::Quota, "a");
            let draw = Draw {
                meter,
                name,
                limit: 9.0,
                per: MINUTE,
                cost: 1,
                counts_refused: true,
                found: Some(&found),
                steps: None,
            };
            quotas.draw(&draw, now).used
        };
        assert_eq!([draw(1000), draw(1001)], [1, 2]);
        assert_eq!(count(&quotas, "a", 9, MINUTE, 1002).used, 3, "others count in it too");
        quotas.reset("a");
        assert_eq!(draw(1003), 1, "after a reset");
        assert_eq!(draw(1063), 1, "after its end");
        quotas.sweep(1200);
        assert_eq!(draw(1200), 1, "after it was forgotten");
        assert_eq!(count(&quotas, "a", 9, MINUTE, 1201).used, 2);
        assert_eq!(changed(&quotas).last(), Some(&("a".to_owned(), Some((2, 1260)))));
    }

    #[test]
    fn a_window_that_took_the_place_of_another_one_is_what_is_saved() {
        let quotas = Quotas::default();
        count(&quotas, "a", 9, MINUTE, 1000);
        quotas.reset("a");
        count(&quotas, "a", 9, MINUTE, 1001);
        // Each is listed, the reset as well.
        assert!(changed(&quotas).iter().all(|saved| *saved == ("a".to_owned(), Some((1, 1061)))));
        count(&quotas, "a", 9, MINUTE, 1002);
        count(&quotas, "a", 9, MINUTE, 1061);
        assert!(changed(&quotas).iter().all(|saved| *saved == ("a".to_owned(), Some((1, 1121)))));
    }
}
