//! Records on their way to the store, by way of the plugin of their API that may edit them (contract 9.1). No exchange waits
//! for it: records wait in a bounded queue for each API. One that finds no room there, or whose plugin fails, is stored as it
//! is, and counted: what happened is known in any case.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use analytics::{Record, Recorder};
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::Plugins;
use crate::clock::unix_now;

/// Records of one API that may wait.
const QUEUE: usize = 1024;
/// Records of one API that are edited at once.
const AT_ONCE: usize = 4;
/// How often is looked whether there is room on the way to the store, and how many times.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
const MOST_LOOKS: u32 = 500;
/// How often is told that records are not edited, in seconds.
const TOLD_EVERY: i64 = 10;

/// What all APIs of a gate share.
#[derive(Debug)]
pub(crate) struct Edits {
    /// Records that wait, or are edited now.
    waiting: watch::Sender<u64>,
    /// What still waits is to be stored as it is.
    ending: watch::Sender<bool>,
    unedited: AtomicU64,
    told_at: AtomicI64,
}

impl Default for Edits {
    fn default() -> Self {
        Self {
            waiting: watch::Sender::new(0),
            ending: watch::Sender::new(false),
            unedited: AtomicU64::new(0),
            told_at: AtomicI64::new(0),
        }
    }
}

impl Edits {
    /// Records that wait for a plugin, or are with one.
    pub(crate) fn waiting(&self) -> u64 {
        *self.waiting.borrow()
    }

    /// Records that were stored as they were.
    pub(crate) fn unedited(&self) -> u64 {
        self.unedited.load(Ordering::Relaxed)
    }

    /// Waits until no record waits any more; after `longest`, the rest is stored as it is.
    pub(crate) async fn settle(&self, longest: Duration) {
        let mut waiting = self.waiting.subscribe();
        let none = |waiting: &u64| *waiting == 0;
        if tokio::time::timeout(longest, waiting.wait_for(none)).await.is_err() {
            self.ending.send_replace(true);
            // Nothing is called any more, so that this takes moments, unless the store does not take records either.
            drop(tokio::time::timeout(longest, waiting.wait_for(none)).await);
        }
    }

    fn missed(&self, api_id: &str, why: &str) {
        let so_far = self.unedited.fetch_add(1, Ordering::Relaxed) + 1;
        let (now, before) = (unix_now(), self.told_at.load(Ordering::Relaxed));
        let turn = now.saturating_sub(before) >= TOLD_EVERY
            && self.told_at.compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if turn {
            tracing::warn!(
                api_id,
                why,
                so_far,
                "records are stored as they are, not as their plugin edits them"
            );
        }
    }
}

/// The records of one API that wait.
#[derive(Debug)]
pub(super) struct Records {
    /// Made with the task that serves it when there is a first record: definitions are compiled where no task can be.
    queue: OnceLock<mpsc::Sender<Waiting>>,
    edits: Arc<Edits>,
}

impl Records {
    pub(super) fn new(edits: &Arc<Edits>) -> Self {
        Self { queue: OnceLock::new(), edits: Arc::clone(edits) }
    }
}

impl Plugins {
    /// Whether one of them edits records.
    pub(crate) fn edits_records(&self) -> bool {
        self.model.records.is_some()
    }

    /// Has a record edited and stored, some time.
    pub(crate) fn edit(self: &Arc<Self>, record: Record, recorder: &Recorder) {
        let records = &self.records;
        let waiting = Waiting::new(record, recorder.clone(), Arc::clone(self));
        let queue = records.queue.get_or_init(|| {
            let (sender, receiver) = mpsc::channel(QUEUE);
            // Where there is no runtime any more nobody serves the queue, and records are stored as they are.
            if let Ok(runtime) = Handle::try_current() {
                runtime.spawn(serve(receiver));
            }
            sender
        });
        match queue.try_send(waiting) {
            Ok(()) => {}
            Err(TrySendError::Full(waiting)) => waiting.give_up("too many wait"),
            Err(TrySendError::Closed(waiting)) => waiting.give_up(ENDING),
        }
    }
}

const ENDING: &str = "the gate is closing";

async fn serve(mut queue: mpsc::Receiver<Waiting>) {
    let mut edited = JoinSet::new();
    while let Some(waiting) = queue.recv().await {
        while edited.try_join_next().is_some() {}
        if edited.len() >= AT_ONCE {
            edited.join_next().await;
        }
        edited.spawn(waiting.edit());
    }
    while edited.join_next().await.is_some() {}
}

/// Waits for room on the way to the store, a while: at the end of a gate many come at once, and none is to be lost for that.
async fn room(recorder: &Recorder) {
    for _ in 0..MOST_LOOKS {
        if recorder.depth() < recorder.capacity() / 2 {
            return;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// A record that waits. Wherever it is dropped, it is stored.
#[derive(Debug)]
struct Waiting {
    record: Option<Record>,
    recorder: Recorder,
    plugins: Arc<Plugins>,
    /// Why it is stored as it is, where it is.
    why: String,
}

impl Waiting {
    fn new(record: Record, recorder: Recorder, plugins: Arc<Plugins>) -> Self {
        plugins.records.edits.waiting.send_modify(|waiting| *waiting += 1);
        Self { record: Some(record), recorder, plugins, why: ENDING.to_owned() }
    }

    fn give_up(mut self, why: &str) {
        why.clone_into(&mut self.why);
    }

    async fn edit(mut self) {
        let mut ending = self.plugins.records.edits.ending.subscribe();
        // At the end of the gate nothing is called any more.
        let edited = tokio::select! {
            biased;
            _ = ending.wait_for(|ending| *ending) => Err(ENDING.to_owned()),
            edited = self.edited() => edited,
        };
        room(&self.recorder).await;
        match edited {
            Ok(edited) => {
                self.record = None;
                self.recorder.record(edited);
            }
            Err(why) => self.why = why,
        }
    }

    async fn edited(&self) -> Result<Record, String> {
        let plugins = &self.plugins;
        let (Some(record), Some(plugin)) = (&self.record, &plugins.model.records) else {
            return Err("there is nothing to edit".to_owned());
        };
        let given = plugins.host.record(&plugin.name, &record.named(), &plugins.spec).await;
        record.renamed(&given.map_err(|fault| fault.to_string())?)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let edits = &self.plugins.records.edits;
        if let Some(record) = self.record.take() {
            edits.missed(&record.api_id, &self.why);
            self.recorder.record(record);
        }
        edits.waiting.send_modify(|waiting| *waiting = waiting.saturating_sub(1));
    }
}
