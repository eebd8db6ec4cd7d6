//! Latencies in buckets whose width grows with the value: exact counts, at most 1/32 off in value.

/// Sub-buckets for each power of two.
const STEPS: u64 = 32;
const STEP_BITS: u32 = STEPS.trailing_zeros();

/// How often each value (any unit, here nanoseconds) was seen.
#[derive(Debug)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    pub(crate) fn new() -> Histogram {
        Histogram { counts: vec![0; bucket(u64::MAX) + 1], total: 0 }
    }

    pub(crate) fn record(&mut self, value: u64) {
        self.counts[bucket(value)] += 1;
        self.total += 1;
    }

    /// The value below or at which `share` (0..=1) of all values lie; 0 when nothing was recorded.
    pub(crate) fn quantile(&self, share: f64) -> u64 {
        let rank = (share * self.total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return middle(index);
            }
        }
        0
    }
}

/// Values below `STEPS` have a bucket each; above, every power of two is cut in `STEPS` buckets.
fn bucket(value: u64) -> usize {
    if value < STEPS {
        return value as usize;
    }
    let shift = value.ilog2() - STEP_BITS;
    (u64::from(shift) * STEPS + (value >> shift)) as usize
}

fn middle(index: usize) -> u64 {
    let index = index as u64;
    if index < 2 * STEPS {
        return index;
    }
    let shift = index / STEPS - 1;
    let low = (index - shift * STEPS) << shift;
    low + (1 << shift) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back_within_one_thirty_second() {
        for value in (0..4_000).chain([65_535, 65_536, 1_000_003, 9_999_999_999, u64::MAX / 3]) {
            let back = middle(bucket(value));
            assert!(back.abs_diff(value) <= value / STEPS, "{value} came back as {back}");
        }
    }

    #[test]
    fn quantiles_of_a_known_distribution() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.5), 0);
        (1..=1_000).for_each(|value| histogram.record(value));
        for (share, expected) in [(0.0, 1), (0.5, 500), (0.99, 990), (1.0, 1_000)] {
            let got = histogram.quantile(share);
            assert!(got.abs_diff(expected) <= expected / STEPS, "p{share}: {got}");
        }
    }
}
