//! A stream from its first message to its end, in whatever way that comes.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::{Parts, Shared, Stop};
use crate::claims::Before;
use crate::feed::CloseReason;
use crate::pipeline::Pipeline;
use crate::source::Phase;
use crate::task::Task;
use crate::{sink, source, store};

/// How long exporter and tracer may take to send what is left: when the stream is stopped, its deadline is near.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The same when it has come to its end by itself.
const LAST_WORDS_UNHURRIED: Duration = Duration::from_secs(5);

/// Tells that the stream has ended, in whatever way, when it is dropped.
struct Over(Arc<Shared>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.ended.send_replace(true);
    }
}

pub(super) async fn drive(
    before: Before,
    parts: Parts,
    shared: Arc<Shared>,
    mut stopped: oneshot::Receiver<Stop>,
) {
    let over = Over(shared.clone());
    if !before.is_empty() {
        tracing::info!(stream = %shared.name, "stream waits for the one that it replaces, which has what only one can have");
        tokio::select! {
            // What producers have handed in meanwhile is nacked with the parts.
            stop = &mut stopped => {
                let reason = stop.map_or(CloseReason::Removed, |stop| stop.reason);
                shared.feeds.iter().for_each(|feed| feed.cut(reason));
                return;
            }
            () = before.over() => {}
        }
    }
    let pushing = shared.exporter.clone().map(|exporter| {
        let samples = shared.samples.clone();
        Task::spawn(async move { exporter.push(samples).await })
    });
    let sending = shared.watch.tracer.clone().map(|tracer| Task::spawn(async move { tracer.run().await }));
    let (phase, phases) = watch::channel(Phase::Running);
    // Every hand-off holds one batch: the bound of what is under way is threads plus what outputs have in flight.
    let (to_pipeline, from_input) = mpsc::channel(1);
    let (mut buffer, from_input) = match parts.buffer {
        None => (None, from_input),
        Some(node) => {
            let (from_buffer, taken) = mpsc::channel(1);
            let (running, shared) = (store::run(node, from_input, from_buffer), shared.clone());
            (Some(Task::spawn(async move { shared.whole("the buffer", running).await })), taken)
        }
    };
    let processed = Pipeline::new(parts.stages, parts.threads, from_input);
    let input = source::run(parts.input, to_pipeline, phases);
    let output = sink::run(parts.output, processed);
    let (mut flow, mut outcome, cut) = fused(shared.clone(), input, output);

    let stop = tokio::select! {
        _ = &mut outcome => None,
        stop = &mut stopped => Some(stop.ok()),
    };
    let patience = if stop.is_none() { LAST_WORDS_UNHURRIED } else { LAST_WORDS };
    match stop {
        // The input had no more to give, and all of it is delivered.
        None => {
            shared.feeds.iter().for_each(|feed| feed.finish(CloseReason::Ended));
        }
        // The stream was dropped.
        Some(None) => {
            shared.feeds.iter().for_each(|feed| feed.cut(CloseReason::Removed));
            return;
        }
        Some(Some(Stop { deadline, reason })) => {
            shared.feeds.iter().for_each(|feed| feed.ends_with(reason));
            let grace = deadline.mul_f64(0.75);
            // At least half of the time is for delivering what is under way.
            let delay = parts.delay.min(grace / 2);
            if delay < parts.delay {
                tracing::warn!(stream = %shared.name, ?delay, "shutdown_delay is cut short, to deliver what is under way before the deadline");
            }
            tokio::time::sleep(delay).await;
            shared.watch.stops.store(true, Relaxed);
            phase.send_replace(Phase::Stopping);
            if tokio::time::timeout(grace - delay, drained(&shared, &mut outcome)).await.is_err() {
                tracing::warn!(stream = %shared.name, "stream did not drain in time, the rest comes again");
                drop((buffer.take(), cut));
                let _ = outcome.await;
                shared.feeds.iter().for_each(|feed| feed.cut(reason));
                // What runs below other components is stopped behind them: inputs leave their sources only when
                // what all of it held is nacked. Other streams may hold some of it for longer.
                let _ = tokio::time::timeout(deadline / 8, shared.watch.flight.over()).await;
            }
        }
    }
    // A buffer on disk takes note of what was delivered.
    if let Some(buffer) = &mut buffer {
        let _ = buffer.await;
    }
    phase.send_replace(Phase::Drained);
    let _ = (&mut flow).await;
    drop(pushing);
    last_words(&shared, patience).await;
    // Only now: what it is sending is not to be sent twice.
    drop(sending);
    drop(over);
}

/// How long a stream that stops waits for subscribers that are not here.
const ABSENT: Duration = Duration::from_secs(1);

/// Waits until a stream that stops has delivered what it can.
async fn drained(shared: &Shared, outcome: &mut oneshot::Receiver<()>) {
    if tokio::time::timeout(ABSENT, &mut *outcome).await.is_err() {
        shared.feeds.iter().for_each(|feed| feed.hurry());
        let _ = outcome.await;
    }
}

/// What exporter and tracer still have to tell.
async fn last_words(shared: &Shared, patience: Duration) {
    let metrics = async {
        if let Some(exporter) = &shared.exporter {
            exporter.finish(&*shared.samples).await;
        }
    };
    let spans = async {
        if let Some(tracer) = &shared.watch.tracer {
            tracer.finish().await;
        }
    };
    let (metrics, spans) =
        tokio::join!(tokio::time::timeout(patience, metrics), tokio::time::timeout(patience, spans));
    for (what, outcome) in [("metrics", metrics), ("spans", spans)] {
        if outcome.is_err() {
            tracing::warn!(stream = %shared.name, what, "the last ones were not taken in time");
        }
    }
}

/// Input and output in one task: handing a batch to another one, perhaps on another core, costs more than most
/// batches do. Whatever takes long has tasks of its own: connectors, and the pipeline where it is worth it.
///
/// Gives the task, what tells that the output is gone, and what drops the output when it is dropped itself.
fn fused(
    shared: Arc<Shared>,
    input: impl Future<Output = ()> + Send + 'static,
    output: impl Future<Output = ()> + Send + 'static,
) -> (Task<()>, oneshot::Receiver<()>, oneshot::Sender<()>) {
    let (ended, outcome) = oneshot::channel();
    let (cut, is_cut) = oneshot::channel::<()>();
    let both = async move {
        let output = async {
            tokio::select! {
                biased;
                _ = is_cut => {}
                _ = shared.whole("the output", output) => {}
            }
            let _ = ended.send(());
        };
        tokio::join!(shared.whole("the input", input), output);
    };
    (Task::spawn(both), outcome, cut)
}
