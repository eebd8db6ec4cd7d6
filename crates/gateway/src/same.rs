//! Secrets are compared here alone: how long that takes tells nothing of how much of one is right.

use aws_lc_rs::constant_time::verify_slices_are_equal;

/// Whether two secrets are the same. Their lengths are none.
pub(crate) fn same(one: &[u8], other: &[u8]) -> bool {
    verify_slices_are_equal(one, other).is_ok()
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::time::Instant;

    use super::*;

    /// Far longer than any secret, so that what a comparison stops at shows over everything else.
    const LENGTH: usize = 4 << 10;
    const ROUNDS: usize = 400;
    /// Comparisons in one measurement: the clock is coarse.
    const CALLS: usize = 64;

    type Compare = fn(&[u8], &[u8]) -> bool;

    fn took(compare: Compare, secret: &[u8], given: &[u8]) -> u128 {
        let begun = Instant::now();
        for _ in 0..CALLS {
            black_box(compare(black_box(secret), black_box(given)));
        }
        begun.elapsed().as_nanos().max(1)
    }

    /// How much longer it takes to refuse what is wrong at its end than what is wrong at once. The fastest fifth of all
    /// measurements counts, since a busy machine only makes some of them slower; they take turns, so that a slow moment is
    /// one for both.
    fn late_to_early(compare: Compare) -> f64 {
        let secret = vec![b's'; LENGTH];
        let (mut early, mut late) = (secret.clone(), secret.clone());
        (early[0], late[LENGTH - 1]) = (b'x', b'x');
        let mut times = [Vec::with_capacity(ROUNDS), Vec::with_capacity(ROUNDS)];
        for round in 0..ROUNDS {
            for turn in [round % 2, 1 - round % 2] {
                times[turn].push(took(compare, &secret, [&early, &late][turn]));
            }
        }
        let [early, late] = times.map(|mut times| {
            times.sort_unstable();
            times[ROUNDS / 5] as f64
        });
        late / early
    }

    #[test]
    fn time_does_not_tell_how_much_of_a_secret_is_right() {
        assert!(same(b"secret", b"secret") && same(b"", b""));
        for wrong in [&b"secreT"[..], b"Secret", b"secre", b"secrets", b""] {
            assert!(!same(b"secret", wrong), "{wrong:?}");
        }
        let ratio = late_to_early(same);
        assert!((0.67..1.5).contains(&ratio), "the end is found {ratio} times later than the beginning");
        // The measurement sees it where it is so.
        let naive = late_to_early(|one, other| one == other);
        assert!(naive > 2.0, "{naive}");
    }
}
