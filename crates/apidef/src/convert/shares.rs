//! How requests are shared out among targets: the formats write the same shares in different orders.

use std::sync::Arc;

use crate::upstream::greatest_divisor;
use crate::{Api, Backend, Target};

/// An API with its targets in one order, each as often as its share says and no oftener, and without the places of its
/// plugins.
pub(super) fn settled(api: Arc<Api>) -> Api {
    let mut api = Arc::unwrap_or_clone(api);
    super::plugins::without_places(&mut api);
    let Backend::Upstream(upstream) = &mut api.backend else { return api };
    let mut shares: Vec<(&Target, usize)> = Vec::new();
    for target in &upstream.targets {
        match shares.iter_mut().find(|(known, _)| *known == target) {
            Some((_, share)) => *share += 1,
            None => shares.push((target, 1)),
        }
    }
    let divisor = shares.iter().fold(0, |known, (_, share)| greatest_divisor(known, *share)).max(1);
    shares.sort_by_cached_key(|(target, _)| format!("{target:?}"));
    let settled = shares.iter().flat_map(|(target, share)| (0..share / divisor).map(|_| (*target).clone()));
    upstream.targets = settled.collect();
    api
}
