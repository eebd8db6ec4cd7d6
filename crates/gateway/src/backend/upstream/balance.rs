//! Which of several servers has a request. Each rule is given who may be chosen, and chooses among those only.

/// As often as each stands in the round, one after the other; `start` counts up with every request.
pub(super) fn turns(round: &[usize], start: usize, fits: impl Fn(usize) -> bool) -> Option<usize> {
    let (before, from) = round.split_at(start % round.len().max(1));
    from.iter().chain(before).copied().find(|number| fits(*number))
}

/// The one with the fewest requests under way for its weight; of several the one that `start` comes to first.
pub(super) fn least(
    weights: &[u32],
    start: usize,
    under_way: impl Fn(usize) -> usize,
    fits: impl Fn(usize) -> bool,
) -> Option<usize> {
    let count = weights.len();
    let load = |number: usize| (under_way(number) + 1) as f64 / f64::from(weights[number].max(1));
    (0..count)
        .map(|step| (start % count + step) % count)
        .filter(|number| fits(*number))
        .map(|number| (number, load(number)))
        .reduce(|best, next| if next.1 < best.1 { next } else { best })
        .map(|(number, _)| number)
}

/// Always the same one for the same key, in proportion to the weights. Who comes or goes takes over or leaves only what is
/// its own (rendezvous hashing).
pub(super) fn hashed(
    names: &[u64],
    weights: &[u32],
    key: u64,
    fits: impl Fn(usize) -> bool,
) -> Option<usize> {
    let score = |number: usize| {
        let part = ((mixed(key ^ names[number]) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        -f64::from(weights[number].max(1)) / part.ln()
    };
    (0..names.len())
        .filter(|number| fits(*number))
        .map(|number| (number, score(number)))
        .reduce(|best, next| if next.1 > best.1 { next } else { best })
        .map(|(number, _)| number)
}

/// A number for a text, the same on every node (FNV-1a, then mixed).
pub(super) fn number(text: &[u8]) -> u64 {
    let hash = text.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mixed(hash)
}

/// Spreads what differs in few bits over all of them (the finalizer of SplitMix64).
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_go_round_and_leave_out_who_does_not_fit() {
        let round = [0, 1, 0, 2];
        let all: Vec<_> = (0..5).map(|start| turns(&round, start, |_| true).unwrap()).collect();
        assert_eq!(all, [0, 1, 0, 2, 0]);
        let some: Vec<_> = (0..4).map(|start| turns(&round, start, |number| number != 0).unwrap()).collect();
        assert_eq!(some, [1, 1, 2, 2]);
        assert_eq!(turns(&round, 3, |_| false), None);
        assert_eq!(turns(&[], 3, |_| true), None);
    }

    #[test]
    fn the_least_busy_is_chosen_by_weight() {
        for (weights, busy, start, expected) in [
            (&[1, 1, 1][..], &[2, 1, 2][..], 0, Some(1)),
            // Of several that are as busy it is not always the same.
            (&[1, 1, 1], &[0, 0, 0], 0, Some(0)),
            (&[1, 1, 1], &[0, 0, 0], 5, Some(2)),
            // Three times the weight is three times the requests.
            (&[3, 1], &[2, 0], 0, Some(0)),
            (&[3, 1], &[3, 0], 0, Some(1)),
            (&[], &[], 7, None),
        ] {
            assert_eq!(
                least(weights, start, |number| busy[number], |_| true),
                expected,
                "{weights:?} {busy:?}"
            );
        }
        assert_eq!(least(&[1, 1], 0, |_| 0, |number| number == 1), Some(1));
    }

    #[test]
    fn keys_keep_their_server_when_others_go() {
        let names: Vec<u64> =
            ["http://a/", "http://b/", "http://c/"].iter().map(|url| number(url.as_bytes())).collect();
        let weights = [1, 1, 2];
        let mut counts = [0_i32; 3];
        for at in 0..4000 {
            let key = number(format!("client-{at}").as_bytes());
            let chosen = hashed(&names, &weights, key, |_| true).unwrap();
            counts[chosen] += 1;
            let without = hashed(&names, &weights, key, |number| number != 1).unwrap();
            assert!(chosen == 1 || without == chosen, "{at} moved although its server stayed");
        }
        for (count, expected) in counts.iter().zip([1000, 1000, 2000]) {
            assert!((expected - count).abs() < 150, "{counts:?}");
        }
        assert_eq!(hashed(&names, &weights, 1, |_| false), None);
    }
}
