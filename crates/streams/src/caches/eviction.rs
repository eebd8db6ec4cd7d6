//! Which key of a full cache goes.

use super::order::Order;

/// Keeps the keys of a cache, at most as many as it was made for.
#[derive(Debug)]
pub(super) enum Eviction {
    /// The one used longest ago.
    Standard { cap: usize, order: Order },
    /// Two queues (Johnson and Shasha, 1994): keys used once go before keys used again.
    TwoQueues {
        cap: usize,
        recent_cap: usize,
        ghost_cap: usize,
        recent: Order,
        frequent: Order,
        ghost: Order,
    },
    /// Adaptive replacement (Megiddo and Modha, 2003): as two queues, whose share follows what was missed.
    Adaptive {
        cap: usize,
        target: usize,
        recent: Order,
        frequent: Order,
        old_recent: Order,
        old_frequent: Order,
    },
}

impl Eviction {
    pub(super) fn standard(cap: usize) -> Eviction {
        Eviction::Standard { cap, order: Order::default() }
    }

    pub(super) fn two_queues(cap: usize, recent_cap: usize, ghost_cap: usize) -> Eviction {
        let (recent, frequent, ghost) = <(Order, Order, Order)>::default();
        Eviction::TwoQueues { cap, recent_cap, ghost_cap, recent, frequent, ghost }
    }

    pub(super) fn adaptive(cap: usize) -> Eviction {
        let (recent, frequent, old_recent, old_frequent) = <(Order, Order, Order, Order)>::default();
        Eviction::Adaptive { cap, target: 0, recent, frequent, old_recent, old_frequent }
    }

    /// A key is read or written; `kept` tells whether it has a value. Gives the key that has to go for it.
    pub(super) fn used(&mut self, key: &str, kept: bool) -> Option<String> {
        match self {
            Eviction::Standard { cap, order } => {
                let evicted = if !kept && order.len() >= *cap { order.pop() } else { None };
                order.touch(key);
                evicted
            }
            Eviction::TwoQueues { cap, recent_cap, ghost_cap, recent, frequent, ghost } => {
                if kept {
                    recent.remove(key);
                    frequent.touch(key);
                    return None;
                }
                let missed = ghost.remove(key);
                let mut evicted = None;
                if recent.len() + frequent.len() >= *cap {
                    let many = recent.len() > *recent_cap || (recent.len() == *recent_cap && !missed);
                    if (many && recent.len() > 0) || frequent.len() == 0 {
                        evicted = recent.pop();
                        if let Some(key) = &evicted {
                            ghost.touch(key);
                        }
                        while ghost.len() > *ghost_cap {
                            ghost.pop();
                        }
                    } else {
                        evicted = frequent.pop();
                    }
                }
                if missed {
                    frequent.touch(key)
                } else {
                    recent.touch(key)
                }
                evicted
            }
            Eviction::Adaptive { cap, target, recent, frequent, old_recent, old_frequent } => {
                if kept {
                    recent.remove(key);
                    frequent.touch(key);
                    return None;
                }
                let again = if old_recent.has(key) {
                    let step = (old_frequent.len() / old_recent.len().max(1)).max(1);
                    *target = (*target + step).min(*cap);
                    old_recent.remove(key)
                } else if old_frequent.has(key) {
                    let step = (old_recent.len() / old_frequent.len().max(1)).max(1);
                    *target = target.saturating_sub(step);
                    old_frequent.remove(key)
                } else {
                    false
                };
                let mut evicted = None;
                if recent.len() + frequent.len() >= *cap {
                    let from_recent = recent.len() > 0 && (recent.len() > *target || frequent.len() == 0);
                    let (from, to) = if from_recent {
                        (&mut *recent, &mut *old_recent)
                    } else {
                        (&mut *frequent, &mut *old_frequent)
                    };
                    evicted = from.pop();
                    if let Some(key) = &evicted {
                        to.touch(key);
                    }
                    while old_recent.len() > cap.saturating_sub(*target) {
                        old_recent.pop();
                    }
                    while old_frequent.len() > *target {
                        old_frequent.pop();
                    }
                }
                if again {
                    frequent.touch(key)
                } else {
                    recent.touch(key)
                }
                evicted
            }
        }
    }

    /// A value was deleted.
    pub(super) fn removed(&mut self, key: &str) {
        match self {
            Eviction::Standard { order, .. } => drop(order.remove(key)),
            Eviction::TwoQueues { recent, frequent, .. } | Eviction::Adaptive { recent, frequent, .. } => {
                recent.remove(key);
                frequent.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::testing::Random;

    #[test]
    fn a_full_cache_gives_up_one_key_for_each_new_one() {
        for cap in [1, 2, 3, 10] {
            for mut eviction in [
                Eviction::standard(cap),
                Eviction::two_queues(cap, cap / 4, cap / 2),
                Eviction::adaptive(cap),
            ] {
                let mut random = Random::new(cap as u64);
                let mut kept: HashSet<String> = HashSet::new();
                for _ in 0..5000 {
                    let key = random.below(3 * cap).to_string();
                    if random.below(10) == 0 {
                        if kept.remove(&key) {
                            eviction.removed(&key);
                        }
                        continue;
                    }
                    let full = kept.len() == cap && !kept.contains(&key);
                    let evicted = eviction.used(&key, kept.contains(&key));
                    assert_eq!(evicted.is_some(), full, "{eviction:?}");
                    if let Some(evicted) = evicted {
                        assert!(kept.remove(&evicted), "{evicted} was not kept");
                    }
                    kept.insert(key);
                }
            }
        }
    }

    #[test]
    fn what_was_used_again_survives_a_scan() {
        for (mut eviction, survives) in [
            (Eviction::standard(4), false),
            (Eviction::two_queues(4, 1, 2), true),
            (Eviction::adaptive(4), true),
        ] {
            let mut kept = HashSet::from(["hot".to_owned()]);
            eviction.used("hot", false);
            eviction.used("hot", true);
            for cold in 0..50 {
                if let Some(evicted) = eviction.used(&cold.to_string(), false) {
                    kept.remove(&evicted);
                }
            }
            assert_eq!(kept.contains("hot"), survives, "{eviction:?}");
        }
    }
}
