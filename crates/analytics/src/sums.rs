//! What an aggregate adds up.

use std::time::Duration;

use serde::Serialize;

use crate::Record;

/// Buckets of the latency histogram: bucket `n` holds what took less than `2^n` times 64 microseconds; the last holds the
/// rest (more than a minute).
const BUCKETS: usize = 22;
const FIRST_BUCKET_MICROS: u64 = 64;

/// Plain numbers before the histogram in the stored form.
const NUMBERS: usize = 12;
const ROW: usize = (NUMBERS + BUCKETS) * 8;

/// Sums over the exchanges of one series in one interval.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// Exchanges.
    pub hits: u64,
    /// Of those, failed: no answer, or a status of 400 and above.
    pub errors: u64,
    /// By class of status: 1xx to 5xx at 0 to 4.
    pub by_class: [u64; 5],
    /// Sum of total times, in microseconds.
    pub total_micros: u64,
    /// Longest total time, in microseconds.
    pub longest_micros: u64,
    /// Sum of backend times, in microseconds.
    pub upstream_micros: u64,
    /// Body bytes from clients.
    pub bytes_in: u64,
    /// Body bytes to clients.
    pub bytes_out: u64,
    /// Messages of streams.
    pub messages: u64,
    /// Exchanges by total time; see [`Sums::percentile`].
    #[serde(skip)]
    histogram: [u64; BUCKETS],
}

impl Sums {
    /// Adds one exchange.
    pub(crate) fn add(&mut self, record: &Record) {
        self.bytes_in = self.bytes_in.saturating_add(record.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(record.bytes_out);
        // Connections of a moment have no time and no status in common.
        if let Some(network) = record.network {
            self.hits = self.hits.saturating_add(network.opened);
            self.errors = self.errors.saturating_add(network.refused);
            return;
        }
        let total = micros(record.total);
        self.hits += 1;
        self.errors += u64::from(record.failed());
        if let Some(class) = (record.status / 100).checked_sub(1)
            && let Some(count) = self.by_class.get_mut(usize::from(class))
        {
            *count += 1;
        }
        self.total_micros = self.total_micros.saturating_add(total);
        self.longest_micros = self.longest_micros.max(total);
        self.upstream_micros = self.upstream_micros.saturating_add(micros(record.upstream));
        self.messages = self.messages.saturating_add(record.messages);
        self.histogram[bucket(total)] += 1;
    }

    /// Adds another interval or series.
    pub(crate) fn merge(&mut self, other: &Sums) {
        let longest = self.longest_micros.max(other.longest_micros);
        let mut numbers = self.numbers();
        for (mine, theirs) in numbers.iter_mut().zip(other.numbers()) {
            *mine = mine.saturating_add(theirs);
        }
        *self = Sums::from_numbers(&numbers);
        self.longest_micros = longest;
    }

    /// Mean total time; zero without exchanges.
    pub fn mean(&self) -> Duration {
        Duration::from_micros(self.total_micros.checked_div(self.hits).unwrap_or(0))
    }

    /// A time within which this share (0 to 1) of the exchanges ended: the upper bound of a bucket that doubles, and never
    /// more than the longest.
    pub fn percentile(&self, share: f64) -> Duration {
        let wanted = (self.hits as f64 * share.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
        let mut seen = 0;
        let reached = self.histogram.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        let bound = reached.filter(|bucket| bucket + 1 < BUCKETS).map(|bucket| FIRST_BUCKET_MICROS << bucket);
        Duration::from_micros(bound.unwrap_or(u64::MAX).min(self.longest_micros))
    }

    fn numbers(&self) -> [u64; NUMBERS + BUCKETS] {
        let mut numbers = [0; NUMBERS + BUCKETS];
        let [a, b, c, d, e] = self.by_class;
        numbers[..NUMBERS].copy_from_slice(&[
            self.hits,
            self.errors,
            a,
            b,
            c,
            d,
            e,
            self.total_micros,
            self.upstream_micros,
            self.bytes_in,
            self.bytes_out,
            self.messages,
        ]);
        numbers[NUMBERS..].copy_from_slice(&self.histogram);
        numbers
    }

    fn from_numbers(numbers: &[u64; NUMBERS + BUCKETS]) -> Sums {
        let mut histogram = [0; BUCKETS];
        histogram.copy_from_slice(&numbers[NUMBERS..]);
        Sums {
            hits: numbers[0],
            errors: numbers[1],
            by_class: [numbers[2], numbers[3], numbers[4], numbers[5], numbers[6]],
            total_micros: numbers[7],
            longest_micros: 0,
            upstream_micros: numbers[8],
            bytes_in: numbers[9],
            bytes_out: numbers[10],
            messages: numbers[11],
            histogram,
        }
    }

    /// The stored form: little-endian numbers, the longest time last.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let numbers = self.numbers();
        numbers.iter().chain([&self.longest_micros]).flat_map(|number| number.to_le_bytes()).collect()
    }

    /// Reads the stored form; `None` for anything else.
    pub(crate) fn decode(row: &[u8]) -> Option<Sums> {
        let (head, longest) = row.split_at_checked(ROW)?;
        let mut numbers = [0; NUMBERS + BUCKETS];
        for (number, bytes) in numbers.iter_mut().zip(head.chunks_exact(8)) {
            *number = u64::from_le_bytes(bytes.try_into().ok()?);
        }
        let mut sums = Sums::from_numbers(&numbers);
        sums.longest_micros = u64::from_le_bytes(longest.try_into().ok()?);
        Some(sums)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn bucket(micros: u64) -> usize {
    let doublings = u64::BITS - (micros / FIRST_BUCKET_MICROS).leading_zeros();
    (doublings as usize).min(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::Arc, time::SystemTime};

    fn record(status: u16, millis: u64) -> Record {
        let text: Arc<str> = "x".into();
        let mut record = Record::new(SystemTime::UNIX_EPOCH, text.clone(), text.clone(), text);
        record.status = status;
        record.total = Duration::from_millis(millis);
        record.bytes_out = 10;
        record
    }

    #[test]
    fn adding_merging_and_storing_agree() {
        let statuses = [0, 101, 200, 204, 302, 404, 429, 500, 999];
        let mut whole = Sums::default();
        let (mut left, mut right) = (Sums::default(), Sums::default());
        for (index, status) in statuses.into_iter().enumerate() {
            let record = record(status, 1 << index);
            whole.add(&record);
            if index % 2 == 0 { &mut left } else { &mut right }.add(&record);
        }
        left.merge(&right);
        assert_eq!(left, whole);
        assert_eq!(Sums::decode(&whole.encode()), Some(whole.clone()));
        assert_eq!((whole.hits, whole.errors, whole.by_class), (9, 5, [1, 2, 1, 2, 1]));
        assert_eq!(whole.longest_micros, 256_000);
        for broken in [&[][..], &[0; 8], &whole.encode()[1..]] {
            assert_eq!(Sums::decode(broken), None);
        }
    }

    #[test]
    fn percentiles_are_upper_bounds_within_a_factor_of_two() {
        let mut sums = Sums::default();
        for millis in 1..=1000 {
            sums.add(&record(200, millis));
        }
        for (share, exact) in [(0.5, 500), (0.9, 900), (0.99, 990), (1.0, 1000)] {
            let told = sums.percentile(share).as_millis();
            assert!(told >= exact && told <= 2 * exact, "{share}: {told}");
        }
        assert_eq!(sums.mean(), Duration::from_micros(500_500));
        let mut long = Sums::default();
        long.add(&record(200, 100_000_000));
        assert_eq!(long.percentile(0.5), Duration::from_millis(100_000_000));
        assert_eq!(Sums::default().percentile(0.5), Duration::ZERO);
    }
}
