//! Several targets for one upstream (`proxy.target_list`, `upstream.loadBalancing`).

use crate::Target;
use crate::fields::{Field, acts, each};
use crate::section::Section;
use document::{Fault, pointer_join};
use serde_json::Value;

/// `upstream.loadBalancing`.
pub(crate) const OAS: &[Field] =
    &[acts("enabled"), acts("skipUnavailableHosts"), each("targets", &[acts("url"), acts("weight")])];

/// All weights together; more would make a list that nobody meant.
const HEAVIEST: usize = 10_000;

/// `proxy.target_list`: a target as often as it stands there; empty where balancing is off.
pub(super) fn classic(proxy: &Section<'_>, faults: &mut Vec<Fault>) -> Box<[Target]> {
    if !proxy.flag("enable_load_balancing", faults) {
        return Box::default();
    }
    let mut targets = Vec::new();
    for (index, url) in
        proxy.texts("target_list", faults).iter().enumerate().filter(|(_, url)| !url.is_empty())
    {
        targets.extend(target(url, pointer_join(&proxy.at("target_list"), &index.to_string()), faults));
    }
    bounded(targets, proxy.at("target_list"), faults)
}

/// `targets` with their weights, the heavy ones spread over the round.
pub(super) fn oas(balancing: &Section<'_>, faults: &mut Vec<Fault>) -> Box<[Target]> {
    if !balancing.flag("enabled", faults) {
        return Box::default();
    }
    let at = balancing.at("targets");
    let mut weighted = Vec::new();
    let items = balancing.get("targets").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for (index, item) in items.iter().enumerate() {
        let entry = Section { object: item.as_object(), pointer: pointer_join(&at, &index.to_string()) };
        let weight = entry.number("weight", faults);
        if weight < 0.0 || weight.fract() != 0.0 || weight > HEAVIEST as f64 {
            let fault = Fault::error(entry.at("weight"), format!("{weight} is no weight"));
            faults.push(fault.hint(format!("use a whole number from 0 to {HEAVIEST}")));
            continue;
        }
        // What has no weight takes no part.
        if weight > 0.0
            && let Some(target) = target(entry.text("url", faults), entry.at("url"), faults)
        {
            weighted.push((target, weight as usize));
        }
    }
    let shared = weighted.iter().fold(0, |known, (_, weight)| greatest_divisor(known, *weight)).max(1);
    let mut round: Vec<(usize, usize, usize)> = Vec::new();
    for (at, (_, weight)) in weighted.iter().enumerate() {
        let weight = weight / shared;
        if round.len() + weight > HEAVIEST {
            break;
        }
        // The n-th of a target stands where n of its weight have passed.
        round.extend((0..weight).map(|turn| ((2 * turn + 1) * HEAVIEST / weight, at, turn)));
    }
    let total: usize = weighted.iter().map(|(_, weight)| weight / shared).sum();
    if total > HEAVIEST {
        let message = format!("the weights come to {total}, which is more than {HEAVIEST}");
        faults.push(Fault::error(at, message));
    }
    round.sort_unstable();
    round.into_iter().map(|(_, at, _)| weighted[at].0.clone()).collect()
}

/// The list as classic definitions have it.
pub(super) fn write(targets: &[Target]) -> Value {
    targets.iter().map(Target::written).collect()
}

fn target(url: &str, at: String, faults: &mut Vec<Fault>) -> Option<Target> {
    Target::parse(url).map_err(|why| faults.push(Fault::error(at, format!("the target URL {why}")))).ok()
}

fn bounded(targets: Vec<Target>, at: String, faults: &mut Vec<Fault>) -> Box<[Target]> {
    if targets.len() > HEAVIEST {
        faults.push(Fault::error(at, format!("there are more than {HEAVIEST} targets")));
    }
    targets.into()
}

pub(crate) fn greatest_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn hosts(targets: &[Target]) -> String {
        targets.iter().map(|target| &*target.host).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn weights_are_spread_over_the_round() {
        for (weights, expected, fault) in [
            (json!([["a", 1], ["b", 1]]), "a b", ""),
            (json!([["a", 3], ["b", 1]]), "a a b a", ""),
            (json!([["a", 300], ["b", 100], ["c", 0]]), "a a b a", ""),
            (json!([["a", 2], ["b", 2]]), "a b", ""),
            (json!([["a", 5], ["b", 1], ["c", 1]]), "a a a b c a a", ""),
            (json!([["a", -1], ["b", 1]]), "b", "is no weight"),
            (json!([["a", 1.5], ["b", 1]]), "b", "is no weight"),
            (json!([["a", 9999], ["b", 9998]]), "", "more than 10000"),
        ] {
            let targets: Vec<Value> = weights
                .as_array()
                .unwrap()
                .iter()
                .map(|entry| json!({"url": format!("http://{}/", entry[0].as_str().unwrap()), "weight": entry[1]}))
                .collect();
            let value = json!({"enabled": true, "targets": targets});
            let mut faults = Vec::new();
            let read = oas(&Section::root(&value, &mut faults), &mut faults);
            match fault {
                "" => assert_eq!((hosts(&read).as_str(), &*faults), (expected, &[][..]), "{weights}"),
                part => {
                    assert!(faults.iter().any(|fault| fault.message.contains(part)), "{weights}: {faults:?}")
                }
            }
        }
    }

    #[test]
    fn a_classic_list_is_taken_as_it_stands() {
        let value = json!({"enable_load_balancing": true, "target_list": ["http://a/", "http://a/", "", "http://b/x"]});
        let mut faults = Vec::new();
        let read = classic(&Section::root(&value, &mut faults), &mut faults);
        assert_eq!((hosts(&read).as_str(), &*faults), ("a a b", &[][..]));
        assert_eq!(write(&read), json!(["http://a/", "http://a/", "http://b/x"]));
        let value = json!({"enable_load_balancing": true, "target_list": ["http://a/", "b"]});
        classic(&Section::root(&value, &mut faults), &mut faults);
        assert_eq!(faults[0].pointer, "/target_list/1");
    }
}
