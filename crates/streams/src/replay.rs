//! Failed batches come again before new ones (streams contract 5.3).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::ack::{Ack, NackKind, NackReason, Outcome};
use crate::backoff::{Backoff, REPLAY};
use crate::component::{ConnectError, Input, ReadError};
use crate::message::{Batch, number};
use crate::metrics::Probe;
use crate::stall::Stall;

/// An input whose failed batches come again before new ones, only their failed messages, after a growing pause from
/// the second failure on. The source hears of a batch only when all of it is delivered, or when the stream stops.
///
/// Memory: copies (shared payloads) of the batches under way, whose number the stream bounds.
#[derive(Debug)]
pub struct Replay<I> {
    input: I,
    shared: Arc<Shared>,
    ended: bool,
    stall: Arc<Stall>,
}

#[derive(Debug)]
struct Shared {
    // Where the number of failed batches is shown.
    gauge: Option<Arc<Probe>>,
    backoff: Backoff,
    // Whether the stream is being stopped, where what others refuse because of that is not to come again.
    stops: Option<Arc<AtomicBool>>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    failed: VecDeque<Failed>,
    // Batches handed out and not resolved.
    under_way: usize,
    // The stream stops: failures go to the source.
    stopping: bool,
}

#[derive(Debug)]
struct Failed {
    batch: Batch,
    ack: Ack,
    failures: u32,
    due: Instant,
}

impl<I: Input> Replay<I> {
    /// Wraps an input.
    pub fn new(input: I) -> Replay<I> {
        Replay::with_backoff(input, REPLAY, None, Arc::default())
    }

    /// As [`Replay::new`]; the component's `queued` shows how many batches wait to come again.
    pub(crate) fn with_backoff(
        input: I,
        backoff: Backoff,
        gauge: Option<Arc<Probe>>,
        stall: Arc<Stall>,
    ) -> Replay<I> {
        Replay::with_rules(input, Shared { gauge, ..Shared::new(backoff) }, stall)
    }

    /// As [`Replay::new`]; what is refused because the stream is being stopped does not come again.
    pub(crate) fn until_stopped(input: I, backoff: Backoff, stops: Arc<AtomicBool>) -> Replay<I> {
        Replay::with_rules(input, Shared { stops: Some(stops), ..Shared::new(backoff) }, Arc::default())
    }

    fn with_rules(input: I, shared: Shared, stall: Arc<Stall>) -> Replay<I> {
        Replay { input, shared: Arc::new(shared), ended: false, stall }
    }

    /// What can be handed out again now, or when the next one can.
    fn due(&self) -> Result<Failed, Option<Instant>> {
        let mut state = self.shared.state.lock();
        if state.failed.is_empty() {
            return Err(None);
        }
        let now = Instant::now();
        match state.failed.iter().position(|failed| failed.due <= now).and_then(|at| state.failed.remove(at))
        {
            Some(failed) => {
                self.shared.show(&state);
                Ok(failed)
            }
            None => Err(state.failed.iter().map(|failed| failed.due).min()),
        }
    }

    fn hand_out(&self, batch: Batch, ack: Ack, failures: u32) -> (Batch, Ack) {
        self.shared.state.lock().under_way += 1;
        let shared = self.shared.clone();
        let kept = batch.clone();
        (batch, Ack::new(move |outcome| Shared::resolve(&shared, kept, ack, failures, outcome)))
    }

    fn finished(&self) -> bool {
        let state = self.shared.state.lock();
        self.ended && (state.stopping || (state.under_way == 0 && state.failed.is_empty()))
    }
}

impl Shared {
    fn new(backoff: Backoff) -> Shared {
        Shared { gauge: None, backoff, stops: None, state: Mutex::default(), changed: Notify::new() }
    }

    /// Whether this is the end of a batch, although it has failed.
    fn gives_up(&self, reason: &NackReason) -> bool {
        reason.kind() == NackKind::Stopping && self.stops.as_ref().is_some_and(|stops| stops.load(Relaxed))
    }

    fn show(&self, state: &State) {
        if let Some(probe) = &self.gauge {
            probe.queued.set(state.failed.len() as u64);
        }
    }

    /// Nothing comes again from now on: what failed is told to its source.
    fn let_go(&self) {
        let failed = {
            let mut state = self.state.lock();
            state.stopping = true;
            let failed = std::mem::take(&mut state.failed);
            self.show(&state);
            failed
        };
        for failed in failed {
            failed.ack.done(Err(NackReason::stopping().only(&failed.batch)));
        }
    }

    fn resolve(shared: &Shared, mut batch: Batch, ack: Ack, failures: u32, outcome: Outcome) {
        let mut state = shared.state.lock();
        state.under_way -= 1;
        match outcome {
            Err(reason) if !state.stopping && !shared.gives_up(&reason) => {
                batch.retain(|message| reason.concerns(message.place()));
                let due = match failures {
                    0 => Instant::now(),
                    more => Instant::now() + shared.backoff.pause(more - 1),
                };
                state.failed.push_back(Failed { batch, ack, failures: failures + 1, due });
                shared.show(&state);
                drop(state);
            }
            outcome => {
                drop(state);
                // What an earlier attempt has delivered does not come again from the source.
                ack.done(outcome.map_err(|reason| {
                    batch.retain(|message| reason.concerns(message.place()));
                    reason.only(&batch)
                }));
            }
        }
        shared.changed.notify_one();
    }
}

impl<I> Drop for Replay<I> {
    // Batches that others still hold share the state and must not keep what failed from its source.
    fn drop(&mut self) {
        self.shared.let_go();
    }
}

#[async_trait]
impl<I: Input> Input for Replay<I> {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        self.input.connect().await
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        loop {
            match self.due() {
                Ok(failed) => return Ok(self.hand_out(failed.batch, failed.ack, failed.failures)),
                // New messages wait for the old ones, so that a batch that never succeeds cannot pile up others.
                Err(Some(due)) => tokio::time::sleep_until(due).await,
                Err(None) if self.finished() => return Err(ReadError::End),
                Err(None) if self.ended => {
                    let _waiting = self.stall.wait();
                    self.shared.changed.notified().await;
                }
                Err(None) => tokio::select! {
                    biased;
                    // First, since it is ready most of the time; what has failed before was looked for above.
                    read = self.input.read() => match read {
                        Ok((mut batch, ack)) => {
                            number(&mut batch);
                            return Ok(self.hand_out(batch, ack, 0));
                        }
                        Err(ReadError::End) => self.ended = true,
                        Err(fault) => return Err(fault),
                    },
                    () = self.shared.changed.notified() => {}
                },
            }
        }
    }

    fn drain(&mut self) -> bool {
        self.shared.let_go();
        self.input.drain()
    }

    async fn close(&mut self) {
        self.input.close().await;
    }
}
