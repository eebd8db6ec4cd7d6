//! Nodes and their store, moved from event to event.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use apidef::Smoothing;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use state::{Counters, Smoothed, Unavailable};

use super::scenes::{Happens, Scene};
use crate::limits::Windows;
use crate::limits::counter::{Around, Counter, Rate};
use crate::limits::draws::{Plan, counted};
use crate::nodes::View;
use crate::settings::{LimitSettings, Limiter};

pub(super) const NODES: usize = 5;
/// The limit of most runs, in each window.
pub(super) const LIMIT: f64 = 1000.0;
/// Microseconds.
const WINDOW: u64 = 10_000_000;
const SECOND: f64 = 1_000_000.0;
/// Requests a second, of all nodes: three times what is admitted.
const DEMAND: f64 = 300.0;
const ENDS: u64 = 70_000_000;
/// Before, windows are not full yet and nodes have not heard of each other.
const WARM: u64 = 12_000_000;
const ANNOUNCED: Duration = Duration::from_secs(2);
/// Between a node and the store, or from node to node by way of the store, in microseconds.
const WAY: std::ops::Range<u64> = 200..5_000;

/// By how much a limiter missed, in percent of its limit, in any period as long as its window.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Missed {
    /// Admitted beyond the limit.
    pub(super) over: f64,
    /// Refused within the limit.
    pub(super) under: f64,
}

/// Seconds between two moves of what is allowed.
pub(super) const DELAY: u64 = 1;

/// From half of the limit to the whole of it in five steps.
pub(super) fn smoothing(limit: f64) -> Smoothing {
    let (threshold, step) = ((limit / 2.0).ceil() as i64, (limit / 10.0).ceil() as i64);
    Smoothing { enabled: true, threshold, step, trigger: 0.5, delay: DELAY as i64, ..Smoothing::default() }
}

struct Node {
    id: String,
    view: View,
    windows: Windows,
    counter: Counter,
    requests: u64,
    offset: Duration,
    rate: f64,
    reaches_store: bool,
    lives: bool,
    has_been_heard: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Event {
    Request {
        pace: u64,
    },
    Announce {
        node: usize,
        id: String,
        again: bool,
    },
    Hear {
        node: usize,
        id: String,
        load: f64,
    },
    /// A request that passed is counted.
    Count {
        node: usize,
        id: String,
    },
    Scene(Happens),
}

pub(super) struct World<'a> {
    settings: LimitSettings,
    scene: &'a Scene,
    limit: f64,
    chance: StdRng,
    base: Instant,
    nodes: Vec<Node>,
    store: Counters,
    favourite: Option<usize>,
    demand: f64,
    named: u64,
    /// Changes of the demand.
    paces: u64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    events: std::collections::BTreeMap<(u64, u64), Event>,
    number: u64,
    admitted: Vec<u64>,
    /// When what is allowed moved by the store's clock, and to what.
    moved: Vec<(u64, f64)>,
}

impl<'a> World<'a> {
    pub(super) fn new(
        (limiter, smoothing): (Limiter, bool),
        scene: &'a Scene,
        limit: f64,
        seed: u64,
    ) -> Self {
        let mut world = Self {
            settings: LimitSettings { limiter, smoothing, ..LimitSettings::default() },
            scene,
            limit,
            chance: StdRng::seed_from_u64(seed),
            // Before everything that the real clock shows: what is new may begin with that.
            base: Instant::now() + Duration::from_secs(3600),
            demand: DEMAND,
            nodes: Vec::new(),
            store: Counters::default(),
            favourite: None,
            named: 0,
            paces: 0,
            queue: BinaryHeap::new(),
            events: std::collections::BTreeMap::new(),
            number: 0,
            admitted: Vec::new(),
            moved: Vec::new(),
        };
        for _ in 0..NODES {
            let node = world.node();
            world.nodes.push(node);
        }
        for node in 0..NODES {
            let start = world.chance.random_range(0..500_000);
            world.begin(node, start);
        }
        for (seconds, happens) in scene.events {
            world.at((seconds * SECOND) as u64, Event::Scene(*happens));
        }
        world.at(0, Event::Request { pace: 0 });
        world
    }

    /// One that nobody knows, and that knows nobody.
    fn node(&mut self) -> Node {
        self.named += 1;
        let windows = Windows::default();
        let per = Duration::from_micros(WINDOW).as_secs_f64();
        let counter = Counter::new("limit", Rate::new((self.limit, per), &smoothing(self.limit)).unwrap());
        let drift = self.scene.drift;
        Node {
            id: format!("node-{}", self.named),
            view: View::new(),
            windows,
            counter,
            requests: 0,
            offset: Duration::from_secs(if drift > 0.0 { 3600 * self.named } else { 0 }),
            rate: if drift > 0.0 { 1.0 + self.chance.random_range(-drift..drift) } else { 1.0 },
            reaches_store: true,
            lives: true,
            has_been_heard: false,
        }
    }

    fn at(&mut self, time: u64, event: Event) {
        self.number += 1;
        self.queue.push(Reverse((time, self.number)));
        self.events.insert((time, self.number), event);
    }

    fn begin(&mut self, node: usize, time: u64) {
        let id = self.nodes[node].id.clone();
        self.at(time, Event::Announce { node, id, again: true });
    }

    fn way(&mut self) -> u64 {
        self.chance.random_range(WAY)
    }

    pub(super) fn run(self) -> Missed {
        self.run_to_end().missed()
    }

    /// As [`World::run`]; each move of what is allowed: when, in microseconds of the store's clock, and to what.
    pub(super) fn moves(self) -> Vec<(u64, f64)> {
        self.run_to_end().moved
    }

    fn run_to_end(mut self) -> Self {
        while let Some(Reverse((time, number))) = self.queue.pop() {
            if time > ENDS {
                break;
            }
            let Some(event) = self.events.remove(&(time, number)) else { continue };
            match event {
                Event::Request { pace } if pace == self.paces => self.request(time),
                Event::Announce { node, id, again } if self.is(node, &id) => self.announce(time, node, again),
                Event::Hear { node, id, load } => self.hear(time, node, &id, load),
                Event::Count { node, id } if self.is(node, &id) => self.count(time, node),
                Event::Request { .. } | Event::Announce { .. } | Event::Count { .. } => {}
                Event::Scene(happens) => self.happen(time, happens),
            }
        }
        self
    }

    fn is(&self, node: usize, id: &str) -> bool {
        self.nodes[node].lives && self.nodes[node].id == *id
    }

    /// What the clock of a node shows.
    fn clock(&self, node: usize, time: u64) -> Instant {
        let node = &self.nodes[node];
        self.base + node.offset + Duration::from_micros((time as f64 * node.rate) as u64)
    }

    fn request(&mut self, time: u64) {
        // Exponential pauses: requests that know nothing of each other.
        let pause = -self.chance.random_range(f64::MIN_POSITIVE..1.0).ln() / self.demand;
        self.at(time + (pause * SECOND) as u64, Event::Request { pace: self.paces });
        let living: Vec<usize> = (0..NODES).filter(|node| self.nodes[*node].lives).collect();
        let node = match self.favourite.filter(|node| self.nodes[*node].lives) {
            Some(favourite) if self.chance.random_bool(0.9) => favourite,
            _ => living[self.chance.random_range(0..living.len())],
        };
        self.nodes[node].requests += 1;
        let now = self.clock(node, time);
        let asked = &self.nodes[node];
        let around = self.around(node, now);
        let plan = Plan { key: Some(&asked.counter), quota: None, api: None };
        let mut step = plan.begin(&around, false);
        let mut moved = None;
        if !step.draws.is_empty() {
            let answer = match asked.reaches_store {
                true => Ok(self.store.draw(&step.draws, Duration::from_micros(time), 0)),
                false => Err(Unavailable(String::new())),
            };
            if let Some(Smoothed { allowed, moved: Some(_) }) =
                answer.as_ref().ok().and_then(|tally| tally.0.first()?.smoothed)
            {
                moved = Some((time, allowed));
            }
            step.answered(&around, answer);
        }
        let (passed, later) = (step.told.refused.is_none(), !step.afterwards.is_empty());
        drop(step);
        self.moved.extend(moved);
        if passed {
            self.admitted.push(time);
            if later {
                let (id, way) = (self.nodes[node].id.clone(), self.way());
                self.at(time + way, Event::Count { node, id });
            }
        }
    }

    fn around(&self, node: usize, now: Instant) -> Around<'_> {
        let Node { view, windows, reaches_store, .. } = &self.nodes[node];
        let (nodes, share) = (view.live(), view.share());
        Around { settings: &self.settings, windows, nodes, share, store_up: *reaches_store, now }
    }

    fn count(&mut self, time: u64, node: usize) {
        let now = self.clock(node, time);
        let Node { counter, reaches_store, view, windows, .. } = &self.nodes[node];
        let draw = crate::limits::draws::afterwards(counter, counter.smoothing(&self.settings));
        let answer = match reaches_store {
            true => Ok(self.store.draw(&[draw], Duration::from_micros(time), 0)),
            false => Err(Unavailable(String::new())),
        };
        counted(
            counter.window(windows),
            answer,
            (counter.rate.requests, counter.rate.per),
            view.share(),
            now,
        );
    }

    fn announce(&mut self, time: u64, node: usize, again: bool) {
        let now = self.clock(node, time);
        let teller = &mut self.nodes[node];
        let requests = std::mem::take(&mut teller.requests);
        let load = teller.view.announce(requests, ANNOUNCED, now);
        let (id, reaches, heard) = (teller.id.clone(), teller.reaches_store, teller.has_been_heard);
        for to in (0..NODES).filter(|_| reaches) {
            let way = self.way();
            self.at(time + way, Event::Hear { node: to, id: id.clone(), load });
        }
        if again {
            // By its own clock; soon again until it has been heard.
            let pause = if heard { ANNOUNCED } else { Duration::from_millis(100) };
            let pause = pause.as_micros() as f64 / self.nodes[node].rate;
            self.at(time + pause as u64, Event::Announce { node, id, again: true });
        }
    }

    fn hear(&mut self, time: u64, node: usize, id: &str, load: f64) {
        let hearer = &mut self.nodes[node];
        if !hearer.lives || !hearer.reaches_store {
            return;
        }
        if hearer.id == *id {
            hearer.has_been_heard = true;
            hearer.view.echo(load);
        } else if hearer.view.hear(id, load) {
            let id = hearer.id.clone();
            self.at(time + 100_000, Event::Announce { node, id, again: false });
        }
    }

    fn happen(&mut self, time: u64, happens: Happens) {
        match happens {
            Happens::Load(favourite) => self.favourite = favourite,
            Happens::Demand(demand) => {
                self.demand = demand;
                // The next request was to come at the old pace.
                self.paces += 1;
                self.at(time, Event::Request { pace: self.paces });
            }
            Happens::Cut(node) => self.nodes[node].reaches_store = false,
            Happens::Joined(node) => self.nodes[node].reaches_store = true,
            Happens::Lost(node) => self.nodes[node].lives = false,
            Happens::Replaced(node) => {
                self.nodes[node] = self.node();
                self.begin(node, time);
            }
            Happens::Forgotten => self.store = Counters::default(),
        }
    }

    /// The fullest and the emptiest period.
    fn missed(&self) -> Missed {
        let (mut most, mut least) = (0, usize::MAX);
        for (index, from) in self.admitted.iter().enumerate().filter(|(_, from)| **from >= WARM) {
            // Half-open: a request exactly a period later belongs to the next.
            let inside = self.admitted[index..].partition_point(|time| *time < from + WINDOW);
            most = most.max(inside);
            // The emptiest begins just after a request.
            if from + WINDOW < ENDS {
                least = least.min(inside.saturating_sub(1));
            }
        }
        let percent = |number: f64| (number * 100.0 / self.limit).max(0.0);
        // Where nobody asked, nobody was refused.
        let busy = !self.scene.events.iter().any(|(_, happens)| matches!(happens, Happens::Demand(_)));
        let under = if busy { percent(self.limit - least as f64) } else { 0.0 };
        Missed { over: percent(most as f64 - self.limit), under }
    }
}
