//! How long something took, as many times as it happened: recorded with two atomic additions.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::exporter::Timing;

/// Eight buckets for each doubling: a bucket's bounds are at most an eighth apart.
const PARTS: u32 = 3;
/// What is shorter than 64 ns shares one bucket.
const LOWEST: u32 = 6;
/// What is longer than two hours shares the last one.
const HIGHEST: u32 = 42;
const BUCKETS: usize = 1 + (((HIGHEST - LOWEST + 1) as usize) << PARTS);

/// Durations, in buckets that grow with them. Empty ones cost nothing: the buckets are made with the first duration.
#[derive(Debug, Default)]
pub struct Latency {
    buckets: OnceLock<Box<[AtomicU64]>>,
    sum_ns: AtomicU64,
    // Only whoever reads looks at it.
    window: Mutex<Option<Window>>,
}

/// Quantiles tell of the last one to two times so long, as in the original: what was slow yesterday is no news.
const WINDOW: Duration = Duration::from_secs(300);

/// What the buckets held at two earlier moments.
#[derive(Debug)]
struct Window {
    begun: Instant,
    newer: Vec<u64>,
    older: Vec<u64>,
}

impl Window {
    /// What came since the older moment.
    fn recent(&mut self, counts: &[u64], now: Instant) -> Vec<(u64, u64)> {
        if now.duration_since(self.begun) >= WINDOW {
            self.older = std::mem::replace(&mut self.newer, counts.to_vec());
            self.begun = now;
        }
        let new =
            |(index, count): (usize, &u64)| count.saturating_sub(self.older.get(index).copied().unwrap_or(0));
        cumulative(counts.iter().enumerate().map(new))
    }
}

impl Latency {
    /// Records what took until now.
    pub fn since(&self, started: Instant) {
        self.record(started.elapsed());
    }

    /// Records a duration.
    pub fn record(&self, took: Duration) {
        self.record_ns(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Records nanoseconds.
    pub fn record_ns(&self, nanoseconds: u64) {
        let buckets = self.buckets.get_or_init(|| (0..BUCKETS).map(|_| AtomicU64::new(0)).collect());
        if let Some(bucket) = buckets.get(index(nanoseconds)) {
            bucket.fetch_add(1, Relaxed);
        }
        self.sum_ns.fetch_add(nanoseconds, Relaxed);
    }

    /// What was recorded until now.
    pub fn timing(&self) -> Timing {
        self.timing_at(Instant::now())
    }

    fn timing_at(&self, now: Instant) -> Timing {
        let sum_ns = self.sum_ns.load(Relaxed);
        let Some(buckets) = self.buckets.get() else { return Timing::default() };
        let counts: Vec<u64> = buckets.iter().map(|bucket| bucket.load(Relaxed)).collect();
        let mut window = self.window.lock();
        let window = window.get_or_insert(Window { begun: now, newer: Vec::new(), older: Vec::new() });
        let recent = Some(window.recent(&counts, now));
        let buckets = cumulative(counts.into_iter());
        Timing { count: buckets.last().map_or(0, |(_, count)| *count), sum_ns, buckets, recent }
    }
}

/// Pairs of limits and how many were within them, of buckets that hold something.
fn cumulative(counts: impl Iterator<Item = u64>) -> Vec<(u64, u64)> {
    let (mut all, mut sum) = (Vec::new(), 0);
    for (index, count) in counts.enumerate().filter(|(_, count)| *count > 0) {
        sum += count;
        all.push((limit(index), sum));
    }
    all
}

fn index(nanoseconds: u64) -> usize {
    let Some(octave) = nanoseconds.checked_ilog2().filter(|octave| *octave >= LOWEST) else { return 0 };
    if octave > HIGHEST {
        return BUCKETS - 1;
    }
    let part = (nanoseconds >> (octave - PARTS)) & ((1 << PARTS) - 1);
    1 + (((octave - LOWEST) as usize) << PARTS) + part as usize
}

/// The longest duration of this bucket.
fn limit(index: usize) -> u64 {
    let Some(above) = index.checked_sub(1) else { return (1 << LOWEST) - 1 };
    let octave = LOWEST + (above >> PARTS) as u32;
    let part = (above & ((1 << PARTS) - 1)) as u64;
    (((1 << PARTS) + part + 1) << (octave - PARTS)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_is_in_the_bucket_whose_bounds_it_is_within() {
        let mut before = 0;
        for index in 0..BUCKETS {
            assert_eq!(super::index(limit(index)), index);
            assert_eq!(super::index(limit(index) + 1), (index + 1).min(BUCKETS - 1));
            assert!(limit(index) > before);
            if index > 1 {
                assert!((limit(index) - before) as f64 / before as f64 <= 0.126, "{before} {}", limit(index));
            }
            before = limit(index);
        }
        assert_eq!(super::index(u64::MAX), BUCKETS - 1);
        assert_eq!(super::index(0), 0);
    }

    #[test]
    fn quantiles_forget_what_is_long_ago() {
        let (latency, start) = (Latency::default(), Instant::now());
        latency.record(Duration::from_secs(1));
        let at = |minutes: u64| {
            let timing = latency.timing_at(start + Duration::from_secs(minutes * 60));
            (timing.count, timing.quantile(0.5) / 900_000)
        };
        assert_eq!(at(0), (1, 1118));
        assert_eq!(at(5), (1, 1118));
        latency.record(Duration::from_millis(1));
        latency.record(Duration::from_millis(1));
        assert_eq!(at(9), (3, 1));
        assert_eq!(latency.timing_at(start + Duration::from_secs(540)).recent.unwrap().len(), 2);
        // The second is gone, the milliseconds are still known.
        assert_eq!(at(10), (3, 1));
        assert_eq!(latency.timing_at(start + Duration::from_secs(600)).recent.unwrap().len(), 1);
        assert_eq!(at(20), (3, 0));
        assert_eq!(latency.timing_at(start + Duration::from_secs(1200)).recent, Some(Vec::new()));
    }

    #[test]
    fn quantiles_are_near_what_was_recorded() {
        let latency = Latency::default();
        assert_eq!((latency.timing().count, latency.timing().quantile(0.5)), (0, 0));
        for microseconds in 1..=1000 {
            latency.record(Duration::from_micros(microseconds));
        }
        let timing = latency.timing();
        assert_eq!((timing.count, timing.sum_ns), (1000, 500_500_000));
        for (fraction, expected) in [(0.5, 500_000), (0.9, 900_000), (0.99, 990_000), (1.0, 1_000_000)] {
            let found = timing.quantile(fraction);
            assert!(found >= expected && (found as f64) < expected as f64 * 1.126, "{fraction}: {found}");
        }
    }
}
