//! One question at a time to a backend: whoever asks for what another one fetches already waits for that answer.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::entry::Entry;

/// What became of an answer that others wait for.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// Nobody knows yet.
    UnderWay,
    /// It is kept: all may have it.
    Kept(Arc<Entry>),
    /// It is none to be kept, or there is none: each asks on its own.
    Passed,
    /// Whoever asked has gone: the next one asks.
    Lost,
}

impl Outcome {
    pub(super) fn is_known(&self) -> bool {
        !matches!(self, Self::UnderWay)
    }
}

type Running = Mutex<HashMap<Arc<str>, watch::Receiver<Outcome>>>;

/// Answers that are being fetched, by their keys.
#[derive(Debug)]
pub(super) struct Flights {
    running: Arc<Running>,
    most: usize,
}

/// Whose turn it is.
#[derive(Debug)]
pub(super) enum Turn {
    /// That of whoever asks.
    First(Flight),
    /// That of another one.
    Wait(watch::Receiver<Outcome>),
    /// Too many are under way.
    Full,
}

/// An answer that is being fetched. Dropped, it is lost unless something else was told.
#[derive(Debug)]
pub(crate) struct Flight {
    running: Arc<Running>,
    key: Arc<str>,
    tell: watch::Sender<Outcome>,
}

impl Flights {
    /// At most so many at once.
    pub(super) fn new(most: usize) -> Self {
        Self { running: Arc::default(), most }
    }

    pub(super) fn join(&self, key: &Arc<str>) -> Turn {
        let mut running = self.running.lock();
        if let Some(answer) = running.get(key) {
            return Turn::Wait(answer.clone());
        }
        if running.len() >= self.most {
            return Turn::Full;
        }
        let (tell, answer) = watch::channel(Outcome::UnderWay);
        running.insert(Arc::clone(key), answer);
        Turn::First(Flight { running: Arc::clone(&self.running), key: Arc::clone(key), tell })
    }

    /// Lets nobody else wait for these; who waits already is told as before.
    pub(super) fn forget(&self, which: impl Fn(&str) -> bool) {
        self.running.lock().retain(|key, _| !which(key));
    }
}

impl Flight {
    pub(super) fn tell(&self, outcome: Outcome) {
        self.tell.send_replace(outcome);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut running = self.running.lock();
        // Forgotten, it may have given its place to another one.
        if running.get(&self.key).is_some_and(|answer| answer.same_channel(&self.tell.subscribe())) {
            running.remove(&self.key);
        }
        drop(running);
        self.tell.send_if_modified(|outcome| {
            let lost = !outcome.is_known();
            if lost {
                *outcome = Outcome::Lost;
            }
            lost
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(flights: &Flights, key: &str) -> Flight {
        match flights.join(&key.into()) {
            Turn::First(flight) => flight,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_fetches_and_the_others_are_told() {
        let flights = Flights::new(2);
        let flight = first(&flights, "a");
        let Turn::Wait(answer) = flights.join(&"a".into()) else { panic!("another one fetches it") };
        assert!(!answer.borrow().is_known());
        let _other = first(&flights, "b");
        assert!(matches!(flights.join(&"c".into()), Turn::Full));
        flight.tell(Outcome::Passed);
        drop(flight);
        assert!(matches!(*answer.borrow(), Outcome::Passed));
        let again = first(&flights, "a");
        let Turn::Wait(answer) = flights.join(&"a".into()) else { panic!("another one fetches it") };
        drop(again);
        assert!(matches!(*answer.borrow(), Outcome::Lost));
    }

    #[test]
    fn who_is_forgotten_takes_nobody_elses_place() {
        let flights = Flights::new(9);
        let old = first(&flights, "a");
        flights.forget(|key| key == "a");
        let _new = first(&flights, "a");
        drop(old);
        assert!(matches!(flights.join(&"a".into()), Turn::Wait(_)));
    }
}
