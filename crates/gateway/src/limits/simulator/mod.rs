//! How far the limiters miss, at worst: nodes, their clocks and their store are simulated, what counts is the real code.
//!
//! Time is passed in everywhere, so an hour of many nodes passes in no time, and the same seed gives the same figures.
//! The table goes into `docs/limits.md`; a limiter that misses by more than its stated bound fails.

mod scenes;
mod world;

use scenes::SCENES;
use world::{DELAY, LIMIT, Missed, NODES, World, smoothing};

use crate::settings::Limiter;

/// Runs of each scene, each with other arrivals.
const SEEDS: u64 = 3;

/// A limiter, and by how much of its limit it may miss: more than the limit, less than the limit; in steady state and
/// where something fails.
#[derive(Debug)]
struct Bound {
    name: &'static str,
    limiter: Limiter,
    /// What is admitted moves between half of the limit and the whole of it.
    smoothed: bool,
    /// Percent of the limit in any period as long as the window.
    steady: Missed,
    failing: Missed,
}

const BOUNDS: [Bound; 5] = [
    Bound {
        name: "rolling",
        limiter: Limiter::Rolling,
        smoothed: false,
        steady: Missed { over: 0.0, under: 25.0 },
        failing: Missed { over: 200.0, under: 35.0 },
    },
    Bound {
        name: "rolling, smoothed",
        limiter: Limiter::Rolling,
        smoothed: true,
        steady: Missed { over: 0.0, under: 25.0 },
        failing: Missed { over: 200.0, under: 35.0 },
    },
    Bound {
        name: "fixed window",
        limiter: Limiter::FixedWindow,
        smoothed: false,
        steady: Missed { over: 100.0, under: 20.0 },
        failing: Missed { over: 200.0, under: 35.0 },
    },
    Bound {
        name: "sentinel",
        limiter: Limiter::Sentinel,
        smoothed: false,
        steady: Missed { over: 10.0, under: 25.0 },
        failing: Missed { over: 210.0, under: 35.0 },
    },
    Bound {
        name: "per node",
        limiter: Limiter::PerNode,
        smoothed: false,
        steady: Missed { over: 200.0, under: 60.0 },
        failing: Missed { over: 250.0, under: 60.0 },
    },
];

/// The worst of all seeds.
fn worst(limiter: (Limiter, bool), scene: &scenes::Scene) -> Missed {
    (0..SEEDS).map(|seed| World::new(limiter, scene, LIMIT, seed).run()).fold(
        Missed::default(),
        |one, other| Missed { over: one.over.max(other.over), under: one.under.max(other.under) },
    )
}

/// The table of the page, and what is beyond its bound.
fn measure() -> (String, Vec<String>) {
    use std::fmt::Write as _;
    let mut page = String::from("| Scene | ");
    let mut line = String::from("|---|");
    for bound in &BOUNDS {
        let _ = write!(page, "{} | ", bound.name);
        line.push_str("---|");
    }
    page = format!("{}\n{line}\n", page.trim_end());
    let mut beyond = Vec::new();
    for scene in &SCENES {
        let _ = write!(page, "| {} |", scene.name);
        for bound in &BOUNDS {
            let missed = worst((bound.limiter, bound.smoothed), scene);
            let most = if scene.fails { &bound.failing } else { &bound.steady };
            let _ = write!(page, " +{:.0} %, −{:.0} % |", missed.over, missed.under);
            if missed.over > most.over || missed.under > most.under {
                beyond.push(format!("{}, {}: {missed:?} beyond {most:?}", bound.name, scene.name));
            }
        }
        page.push('\n');
    }
    let _ = write!(page, "| **bound**, steady |");
    for Bound { steady, .. } in &BOUNDS {
        let _ = write!(page, " +{:.0} %, −{:.0} % |", steady.over, steady.under);
    }
    let _ = write!(page, "\n| **bound**, failing |");
    for Bound { failing, .. } in &BOUNDS {
        let _ = write!(page, " +{:.0} %, −{:.0} % |", failing.over, failing.under);
    }
    page.push('\n');
    (page, beyond)
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test may wait for files")]
fn page_says_how_far_limiters_miss() {
    let (page, beyond) = measure();
    assert!(beyond.is_empty(), "beyond the stated bounds: {beyond:#?}\n{page}");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/limits.md");
    let written = std::fs::read_to_string(path).unwrap();
    let (begin, end) = ("<!-- simulated: generated -->\n", "<!-- end of simulated -->\n");
    let (before, rest) = written.split_once(begin).expect("the page has a place for the figures");
    let (_, after) = rest.split_once(end).expect("that place has an end");
    let wanted = format!("{before}{begin}\n{page}\n{end}{after}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, wanted).unwrap();
    } else {
        assert!(written == wanted, "docs/limits.md is stale; write it with `make docs`:\n{page}");
    }
}

#[test]
fn the_same_seed_gives_the_same_figures() {
    let run = |seed| {
        let missed = World::new((Limiter::PerNode, false), &SCENES[1], LIMIT, seed).run();
        (missed.over.to_bits(), missed.under.to_bits())
    };
    assert_eq!(run(7), run(7));
}

#[test]
fn each_node_admits_one_at_least_and_no_more_than_that_is_added() {
    // Small limits, which cannot be shared out, while nobody reaches the store: each node counts alone.
    let scene = SCENES.iter().find(|scene| scene.name == "the store is away, and back").unwrap();
    let mut beyond_two = 0;
    for limit in [1.0, 2.0, 3.0, 7.0, 40.0] {
        for limiter in [Limiter::PerNode, Limiter::Rolling, Limiter::FixedWindow, Limiter::Sentinel] {
            for seed in 0..SEEDS {
                let missed = World::new((limiter, false), scene, limit, seed).run();
                let most = limit * (1.0 + missed.over / 100.0);
                // In any period two windows of each node at most; where the store comes or goes, what it admitted, too.
                let alone = limit + (NODES - 1) as f64;
                // What is under way while the store says that it is full passes with sentinel.
                let under_way = if limiter == Limiter::Sentinel { NODES as f64 } else { 0.0 };
                let bound = 2.0 * alone + limit + under_way;
                assert!(most <= bound + 0.5, "{limiter:?}, limit {limit}: {most} beyond {bound}");
                beyond_two += usize::from(most > 2.0 * limit + 0.5);
            }
        }
    }
    assert!(beyond_two > 0, "twice the limit would be a bound, and could be said");
}

#[test]
fn what_is_allowed_is_one_for_all_nodes_and_moves_once_in_each_delay() {
    let rule = smoothing(LIMIT);
    let (least, step) = (rule.threshold as f64, rule.step as f64);
    for scene in &SCENES {
        // What is counted alone moves nothing, and a store that forgets begins anew.
        for seed in 0..SEEDS {
            let moves = World::new((Limiter::Rolling, true), scene, LIMIT, seed).moves();
            let forgets = scene.events.iter().find_map(|(at, happens)| {
                (*happens == scenes::Happens::Forgotten).then_some((at * 1_000_000.0) as u64)
            });
            let mut before = (0, least);
            for (at, allowed) in moves {
                let begins_anew = forgets.is_some_and(|forgot| before.0 < forgot && forgot <= at);
                if begins_anew {
                    before = (0, least);
                }
                let case = format!("{}, seed {seed}: {before:?} to {allowed} at {at}", scene.name);
                assert!(before.0 == 0 || at - before.0 >= DELAY * 1_000_000, "{case}");
                assert_eq!((allowed - before.1).abs(), step, "{case}");
                assert!((least..=LIMIT).contains(&allowed), "{case}");
                before = (at, allowed);
            }
            assert!(before.0 > 0, "{}: it never moves", scene.name);
        }
    }
}
