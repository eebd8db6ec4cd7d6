//! How a stream is, for whoever looks at it from elsewhere.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::Shared;
use crate::exporter::{Page, Sample, Samples};
use crate::exporters::{CONTENT_TYPE, Timings, exposition};
use crate::feed::Feed;
use crate::ingest::Ingest;
use crate::metrics::{ComponentKind, Probe};

/// How a stream is.
#[derive(Debug, Clone)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// Its input has ended and everything was delivered.
    pub ended: bool,
    /// Its components, with live counters.
    pub components: Vec<Arc<Probe>>,
    /// Its feeds, with live counters.
    pub feeds: Vec<Arc<Feed>>,
    /// Its ingests, with the gauge of their queue.
    pub ingests: Vec<Arc<Ingest>>,
}

impl Status {
    /// Whether every input and output that runs reaches its other side.
    pub fn connected(&self) -> bool {
        self.unconnected().next().is_none()
    }

    /// The inputs and outputs that do not reach their other side, without those that rest ([`Probe::rests`]).
    pub fn unconnected(&self) -> impl Iterator<Item = &Arc<Probe>> {
        let ends = |probe: &&Arc<Probe>| matches!(probe.kind, ComponentKind::Input | ComponentKind::Output);
        self.components.iter().filter(ends).filter(|probe| !probe.connected() && !probe.rests())
    }
}

/// Looks at a stream while somebody else runs it, and when it has ended.
#[derive(Debug, Clone)]
pub struct Watcher(pub(super) Arc<Shared>);

impl Watcher {
    /// How it is now.
    pub fn status(&self) -> Status {
        Status {
            name: self.0.name.clone(),
            ended: *self.0.ended.borrow(),
            components: self.0.probes.clone(),
            feeds: self.0.feeds.clone(),
            ingests: self.0.ingests.clone(),
        }
    }

    /// What its components count, and its `metric` processors: the setting `metrics` changes nothing about it.
    pub fn samples(&self) -> Vec<Sample> {
        let mut samples = self.0.samples.counted();
        samples.extend(self.0.samples.customs.samples());
        samples
    }

    /// What its components count, or its `metric` processors (`own`).
    pub fn counted(&self, own: bool) -> Vec<Sample> {
        if own { self.0.samples.customs.samples() } else { self.0.samples.counted() }
    }

    /// Waits until its input has ended and everything was delivered (true), or a part of it broke down (false).
    pub async fn ended(&self) -> bool {
        // The sender lives as long as this does.
        drop(self.0.ended.subscribe().wait_for(|ended| *ended).await);
        !self.0.broken.load(Relaxed)
    }

    /// The page for `/metrics` and `/stats`, as the setting `metrics` has it; in the form of Prometheus where it is not
    /// written. `None`: there is none.
    pub async fn page(&self) -> Option<Page> {
        let samples = &*self.0.samples;
        match &self.0.exporter {
            Some(exporter) => exporter.page(samples).await,
            None => {
                let body = exposition(&samples.samples(), &Timings::default());
                Some(Page { content_type: CONTENT_TYPE, body })
            }
        }
    }
}
