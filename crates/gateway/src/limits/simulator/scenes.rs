//! What happens to the nodes and to their store.

/// One course of events.
pub(super) struct Scene {
    pub(super) name: &'static str,
    /// Something is away or lost in it.
    pub(super) fails: bool,
    /// How far clocks of nodes run apart, in parts of one.
    pub(super) drift: f64,
    /// Seconds and what happens then, in order.
    pub(super) events: &'static [(f64, Happens)],
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Happens {
    /// Which node gets nine of ten requests from now on; `None` is all the same.
    Load(Option<usize>),
    /// So many requests a second from now on.
    Demand(f64),
    /// A node does not reach the store.
    Cut(usize),
    /// It does again.
    Joined(usize),
    /// A node is gone.
    Lost(usize),
    /// Another one takes its place: nobody knows it, and it knows nobody.
    Replaced(usize),
    /// The store forgets all counters: it failed over to one that had none of them.
    Forgotten,
}

use Happens::{Cut, Demand, Forgotten, Joined, Load, Lost, Replaced};

pub(super) const SCENES: [Scene; 9] = [
    Scene { name: "all nodes alike", fails: false, drift: 0.0, events: &[] },
    Scene {
        name: "load moves from node to node",
        fails: false,
        drift: 0.0,
        events: &[(20.0, Load(Some(0))), (35.0, Load(Some(1))), (50.0, Load(None)), (58.0, Load(Some(4)))],
    },
    Scene { name: "clocks 1 % fast and slow, hours apart", fails: false, drift: 0.01, events: &[] },
    Scene {
        name: "a burst where two windows meet",
        fails: false,
        drift: 0.0,
        // A window begins with few requests, and is used up shortly before it ends.
        events: &[(20.0, Demand(0.01)), (32.0, Demand(5.0)), (40.0, Demand(3000.0)), (44.0, Demand(300.0))],
    },
    Scene {
        name: "a node is cut from the store, and back",
        fails: true,
        drift: 0.0,
        events: &[(22.0, Cut(0)), (52.0, Joined(0))],
    },
    Scene {
        name: "the store is away, and back",
        fails: true,
        drift: 0.0,
        events: &[
            (22.0, Cut(0)),
            (22.0, Cut(1)),
            (22.1, Cut(2)),
            (22.2, Cut(3)),
            (22.4, Cut(4)),
            (52.0, Joined(0)),
            (52.1, Joined(1)),
            (52.5, Joined(2)),
            (53.0, Joined(3)),
            (54.0, Joined(4)),
        ],
    },
    Scene {
        name: "the store comes and goes",
        fails: true,
        drift: 0.0,
        events: &[
            (20.0, Cut(0)),
            (20.0, Cut(1)),
            (20.0, Cut(2)),
            (20.0, Cut(3)),
            (20.0, Cut(4)),
            (23.0, Joined(0)),
            (23.2, Joined(1)),
            (23.4, Joined(2)),
            (23.6, Joined(3)),
            (23.8, Joined(4)),
            (40.0, Cut(0)),
            (40.0, Cut(1)),
            (40.0, Cut(2)),
            (40.0, Cut(3)),
            (40.0, Cut(4)),
            (43.0, Joined(0)),
            (43.2, Joined(1)),
            (43.4, Joined(2)),
            (43.6, Joined(3)),
            (43.8, Joined(4)),
        ],
    },
    Scene {
        name: "nodes are lost and replaced",
        fails: true,
        drift: 0.0,
        events: &[
            (22.0, Lost(1)),
            (30.0, Replaced(1)),
            (42.0, Lost(0)),
            (42.0, Lost(2)),
            (44.0, Replaced(2)),
        ],
    },
    Scene { name: "the store fails over and forgets", fails: true, drift: 0.0, events: &[(33.0, Forgotten)] },
];
