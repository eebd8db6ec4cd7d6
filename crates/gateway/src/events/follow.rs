//! Streams that follow events: the input `gateway_events`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use apidef::Event;
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::json;
use streams::{Happening, Happenings};
use tokio::sync::mpsc;

use super::told::Told;
use crate::clock::rfc3339;
use crate::gate::Gate;

/// Events that wait for one stream; more are dropped and counted.
const QUEUE: usize = 1024;

/// The streams that follow.
#[derive(Debug, Default)]
pub(super) struct Followers {
    list: Mutex<Vec<Follower>>,
    /// Which kinds somebody follows, one bit each.
    wanted: AtomicU32,
}

#[derive(Debug)]
struct Follower {
    /// Empty: all.
    kinds: Vec<Event>,
    /// Only of APIs of this organisation; empty: of all.
    org: Arc<str>,
    sender: mpsc::Sender<Happening>,
}

fn bit(event: Event) -> u32 {
    1 << Event::ALL.iter().position(|other| *other == event).unwrap_or_default()
}

impl Follower {
    fn bits(&self) -> u32 {
        match &*self.kinds {
            [] => u32::MAX,
            kinds => kinds.iter().fold(0, |bits, kind| bits | bit(*kind)),
        }
    }
}

impl Followers {
    /// Whether anybody follows such events.
    pub(super) fn want(&self, event: Event) -> bool {
        let wanted = self.wanted.load(Ordering::Relaxed);
        wanted != 0 && wanted & bit(event) != 0
    }

    fn add(&self, follower: Follower) {
        let mut list = self.list.lock();
        list.retain(|follower| !follower.sender.is_closed());
        list.push(follower);
        self.wanted.store(list.iter().fold(0, |bits, follower| bits | follower.bits()), Ordering::Relaxed);
    }

    /// Tells all who follow; gives how many had no room.
    pub(super) fn tell(&self, told: &Told) -> u64 {
        if !self.want(told.event) {
            return 0;
        }
        let mut list = self.list.lock();
        let mut body: Option<Bytes> = None;
        let (mut missed, mut gone) = (0, false);
        for follower in &*list {
            let wants = follower.bits() & bit(told.event) != 0
                && (follower.org.is_empty() || follower.org == told.org);
            if !wants {
                continue;
            }
            let body = body.get_or_insert_with(|| document(told)).clone();
            match follower.sender.try_send(Happening { name: told.event.name(), body }) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(_)) => missed += 1,
                Err(mpsc::error::TrySendError::Closed(_)) => gone = true,
            }
        }
        if gone {
            list.retain(|follower| !follower.sender.is_closed());
            self.wanted
                .store(list.iter().fold(0, |bits, follower| bits | follower.bits()), Ordering::Relaxed);
        }
        missed
    }
}

fn document(told: &Told) -> Bytes {
    let document = json!({
        "event": told.event.name(),
        "time": rfc3339(told.at),
        "api_id": told.api.as_deref().unwrap_or_default(),
        "org_id": &*told.org,
        "meta": told.meta,
    });
    document.to_string().into()
}

/// What happens at a gate, for the streams of one API.
pub(crate) struct Followed {
    pub(crate) gate: Weak<Gate>,
    pub(crate) org: Arc<str>,
}

impl Happenings for Followed {
    fn check(&self, name: &str) -> Result<(), String> {
        match Event::of(name) {
            Some(_) => Ok(()),
            None => Err(format!("no event is called `{name}`")),
        }
    }

    fn follow(&self, names: &[String]) -> Option<mpsc::Receiver<Happening>> {
        let gate = self.gate.upgrade()?;
        let (sender, receiver) = mpsc::channel(QUEUE);
        let kinds = names.iter().filter_map(|name| Event::of(name)).collect();
        gate.events.followers.add(Follower { kinds, org: Arc::clone(&self.org), sender });
        Some(receiver)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn who_follows_is_told_of_what_it_asked_for_and_of_its_organisation() {
        let followers = Followers::default();
        let follow = |kinds: &[Event], org: &str| {
            let (sender, receiver) = mpsc::channel(2);
            followers.add(Follower { kinds: kinds.to_vec(), org: org.into(), sender });
            receiver
        };
        let tell = |event: Event, org: &str| {
            followers.tell(&Told {
                event,
                at: SystemTime::now(),
                api: None,
                org: org.into(),
                meta: Default::default(),
            })
        };
        assert!(!followers.want(Event::HostUp));
        let mut some = follow(&[Event::HostUp], "a");
        assert!(followers.want(Event::HostUp) && !followers.want(Event::HostDown));
        assert_eq!(
            (tell(Event::HostUp, "a"), tell(Event::HostUp, "b"), tell(Event::HostDown, "a")),
            (0, 0, 0)
        );
        assert_eq!(some.try_recv().unwrap().name, "HostUp");
        assert!(some.try_recv().is_err());
        let mut all = follow(&[], "");
        // Who is slow misses something, and that is counted.
        assert_eq!(
            (tell(Event::HostDown, "b"), tell(Event::HostUp, "a"), tell(Event::HostUp, "a")),
            (0, 0, 1)
        );
        assert_eq!((all.try_recv().unwrap().name, all.try_recv().unwrap().name), ("HostDown", "HostUp"));
        drop((some, all));
        tell(Event::HostUp, "a");
        assert!(!followers.want(Event::HostUp));
    }
}
