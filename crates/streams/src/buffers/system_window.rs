//! Windows of time (streams contract 3.11).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bloblang::{Mapping, Value};
use document::Fault;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::held::{Queue, Room, Taken};
use crate::ack::{Ack, NackReason, Transaction};
use crate::buffer::Buffer;
use crate::build::BuildContext;
use crate::clock::Clock;
use crate::component::WriteError;
use crate::message::{Batch, Message, View};
use crate::metrics::Probe;
use crate::node::Node;
use crate::registry::{BufferSpec, Default as Unwritten, Field, Kind};

/// How often the clock is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Most payload bytes of open windows; then the input waits for one to close.
const LIMIT: u64 = 524_288_000;

pub(super) static SPEC: BufferSpec = BufferSpec {
    name: "system_window",
    summary: "Gathers messages to one batch per window of the clock, aligned to the Unix epoch, each message with the metadata `window_end_timestamp`. A message is acknowledged when all windows it is in are delivered; a window that fails comes again from the buffer. What belongs only to windows that are already closed is acknowledged and dropped, which is logged and counted (`buffer_late`); raise `allowed_lateness` where that happens. Until a first window was given out since the stream started nothing is late: what comes again after a restart gets the windows it belongs to, which are given out before the one that is open. When the clock is set back, windows of the new time are open again. Holds up to 500 MB, then the input waits.",
    config: Kind::Object(&[
        Field::new(
            "timestamp_mapping",
            Kind::Bloblang,
            Unwritten::Text("root = now()"),
            "The time of a message: a timestamp, seconds since the Unix epoch, or RFC 3339. A message without one fails its batch.",
        ),
        Field::required("size", Kind::Duration, "Length of a window."),
        Field::new(
            "slide",
            Kind::Duration,
            Unwritten::Text(""),
            "Begin a window this often, shorter than `size`, so that they overlap. Empty: one after the other.",
        ),
        Field::new(
            "offset",
            Kind::Duration,
            Unwritten::Text(""),
            "Moves the beginning of windows, by less than `slide` or `size`.",
        ),
        Field::new(
            "allowed_lateness",
            Kind::Duration,
            Unwritten::Text(""),
            "How long after its end a window waits for late messages; shorter than `size`.",
        ),
    ]),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Option<Box<dyn Buffer>>, Fault> {
    let zero = Duration::ZERO;
    let Some(size) = node.duration("size")?.filter(|size| !size.is_zero()) else {
        return Err(node.field_fault("size", "`size` must be above 0"));
    };
    let slide = node.duration("slide")?.filter(|slide| !slide.is_zero()).unwrap_or(size);
    if node.has("slide") && slide >= size && !node.text("slide")?.is_empty() {
        return Err(node.field_fault("slide", "`slide` must be shorter than `size`"));
    }
    let offset = node.duration("offset")?.unwrap_or(zero);
    if offset >= slide {
        return Err(node.field_fault("offset", "`offset` must be shorter than `slide`, or `size` without it"));
    }
    let lateness = node.duration("allowed_lateness")?.unwrap_or(zero);
    if lateness >= size {
        return Err(node.field_fault("allowed_lateness", "`allowed_lateness` must be shorter than `size`"));
    }
    let Some(timestamp) = node.mapping("timestamp_mapping", context)? else {
        return Err(node.field_fault("timestamp_mapping", "`timestamp_mapping` must not be empty"));
    };
    let nanos = |time: Duration| i128::try_from(time.as_nanos()).unwrap_or(i128::MAX);
    let clock = context.settings.clock.clone();
    let windows = Windows { size: nanos(size), slide: nanos(slide), offset: nanos(offset) };
    // A window that is over still waits for its late messages, such as those that a stream before this one gave back.
    let end = windows.first_end(clock.nanoseconds() - nanos(lateness));
    Ok(Some(Box::new(SystemWindow {
        timestamp,
        windows,
        lateness: nanos(lateness),
        clock,
        room: Room::new(LIMIT, context.watch.stall.clone(), context.probe.clone()),
        state: Mutex::new(State { held: Vec::new(), end, given: false, untold: None, ended: false }),
        changed: Notify::new(),
        ready: Queue::new(context.watch.stall.clone()),
        probe: context.probe.clone(),
    })))
}

/// Where windows end, in nanoseconds since the Unix epoch. A window holds what is after its beginning up to and with
/// its end.
#[derive(Debug, Clone, Copy)]
struct Windows {
    size: i128,
    slide: i128,
    offset: i128,
}

impl Windows {
    /// The end of the oldest window that is open at this time.
    fn first_end(self, now: i128) -> i128 {
        // Ends lie at whole slides after a beginning, and beginnings at whole slides.
        let phase = (self.offset + self.size).rem_euclid(self.slide);
        let since = (now - phase).rem_euclid(self.slide);
        now - since + self.slide
    }
}

struct SystemWindow {
    timestamp: Mapping,
    windows: Windows,
    lateness: i128,
    clock: Clock,
    room: Room,
    state: Mutex<State>,
    changed: Notify,
    // Closed windows.
    ready: Queue,
    probe: Arc<Probe>,
}

struct State {
    held: Vec<Held>,
    /// The end of the oldest window that is not closed.
    end: i128,
    /// A window was given out: what belongs to those before it is late.
    given: bool,
    /// Messages that came too late and were not told, if any came since the last window was closed.
    untold: Option<u64>,
    ended: bool,
}

/// One message, with the promise that is kept when the last of its windows is delivered.
struct Held {
    at: i128,
    message: Message,
    ack: Ack,
    room: Arc<Taken>,
}

impl SystemWindow {
    fn times(&self, batch: &Batch) -> Result<Vec<i128>, String> {
        (0..batch.len())
            .map(|index| {
                let value = self.timestamp.query(&View(batch), index).map_err(|fault| fault.to_string())?;
                let value = value.settled();
                nanoseconds(&value).ok_or_else(|| format!("a {} is not a time", value.type_name()))
            })
            .collect()
    }

    /// How long the oldest open window is still open.
    fn left(&self) -> Duration {
        let mut state = self.state.lock();
        let now = self.now(&mut state);
        let left = state.end + self.lateness - now;
        Duration::from_nanos(u64::try_from(left).unwrap_or(0))
    }

    /// What time it is. When the clock was set back, windows that were closed before are open again: what comes with
    /// the new time is not late.
    fn now(&self, state: &mut State) -> i128 {
        let now = self.clock.nanoseconds();
        let end = self.windows.first_end(now);
        if state.end > end {
            tracing::warn!(path = %self.probe.path, "the clock was set back, windows begin again");
            state.end = end;
        }
        now
    }

    /// Counts messages that came too late. The first ones are told at once, others when the next window is closed.
    fn came_late(&self, state: &mut State, messages: u64) {
        self.probe.late.add(messages);
        match &mut state.untold {
            Some(untold) => *untold += messages,
            None => {
                state.untold = Some(0);
                self.tell_late(messages);
            }
        }
    }

    fn tell_late(&self, messages: u64) {
        if messages > 0 {
            let (path, label) = (&self.probe.path, self.probe.label());
            tracing::warn!(%path, label, messages, "messages came after their windows were closed, they are dropped");
        }
    }

    /// Closes the oldest open window: what is in it goes to `ready`.
    fn close_window(&self) {
        let mut state = self.state.lock();
        let now = self.now(&mut state);
        if !state.given
            && let Some(oldest) = state.held.iter().map(|held| held.at).min()
        {
            // What was given back by a stream before this one comes first.
            state.end = state.end.min(self.windows.first_end(oldest - 1));
        }
        let (end, begin) = (state.end, state.end - self.windows.size);
        let next_begin = begin + self.windows.slide;
        let mut batch = Batch::new();
        let mut parts = Vec::new();
        let mut kept = Vec::new();
        for held in std::mem::take(&mut state.held) {
            if held.at > end {
                kept.push(held);
                continue;
            }
            let (stays, inside) = (held.at > next_begin, held.at > begin);
            if !inside {
                held.ack.done(Ok(()));
                continue;
            }
            batch.push(held.message.clone());
            let mut shares = held.ack.share(if stays { 2 } else { 1 }).into_iter();
            parts.extend(shares.next().map(|ack| (ack, held.message.place(), held.room.clone())));
            if let Some(ack) = shares.next() {
                kept.push(Held { at: held.at, message: held.message, ack, room: held.room });
            }
        }
        // Windows that are over, too, and hold nothing are passed over: a clock may leap.
        let oldest = kept.iter().map(|held| held.at).min();
        let open = self.windows.first_end(now - self.lateness);
        let next = oldest.map_or(open, |at| open.min(self.windows.first_end(at - 1)));
        state.end = next.max(end + self.windows.slide);
        state.held = kept;
        state.given |= !batch.is_empty();
        self.tell_late(state.untold.take().unwrap_or(0));
        drop(state);
        if batch.is_empty() {
            return;
        }
        let stamp = Value::from(rfc3339(end));
        for (index, message) in batch.iter_mut().enumerate() {
            message.set_place(u32::try_from(index).unwrap_or(u32::MAX));
            message.set_meta("window_end_timestamp", stamp.clone());
        }
        let ack = Ack::new(move |outcome| {
            for (index, (ack, place, room)) in parts.into_iter().enumerate() {
                drop(room);
                ack.done(match &outcome {
                    Err(reason) if reason.concerns(u32::try_from(index).ok()) => {
                        Err(reason.at_places(place.map(|place| [place].into())))
                    }
                    _ => Ok(()),
                });
            }
        });
        self.ready.push(batch, ack, ());
    }
}

/// The time that a mapping gave, in nanoseconds since the Unix epoch.
fn nanoseconds(value: &Value) -> Option<i128> {
    match value {
        Value::Timestamp(time) => Some(time.timestamp().as_nanosecond()),
        Value::Int(seconds) => i128::from(*seconds).checked_mul(1_000_000_000),
        Value::Float(seconds) if seconds.is_finite() => Some((seconds * 1e9) as i128),
        other => other.as_str()?.parse::<Timestamp>().ok().map(Timestamp::as_nanosecond),
    }
}

fn rfc3339(nanos: i128) -> String {
    Timestamp::from_nanosecond(nanos).map_or_else(|_| nanos.to_string(), |time| time.to_string())
}

#[async_trait]
impl Buffer for SystemWindow {
    async fn write(&self, Transaction { batch, ack }: Transaction) -> Result<(), WriteError> {
        let times = match self.times(&batch) {
            Ok(times) => times,
            Err(text) => {
                let text = format!("timestamp_mapping: {text}");
                ack.done(Err(NackReason::failed(text.clone())));
                return Err(WriteError::Failed(text));
            }
        };
        let Some(room) = self.room.wait(&batch).await else {
            let text = "the batch is larger than what windows may hold";
            ack.done(Err(NackReason::failed(text)));
            return Err(WriteError::Failed(text.to_owned()));
        };
        let room = Arc::new(room);
        let acks = ack.share(batch.len());
        let mut late = Vec::new();
        {
            let mut state = self.state.lock();
            self.now(&mut state);
            let begin = state.end - self.windows.size;
            for ((message, ack), at) in batch.into_iter().zip(acks).zip(times) {
                if state.given && at <= begin {
                    late.push(ack);
                } else {
                    state.held.push(Held { at, message, ack, room: room.clone() });
                }
            }
            if !late.is_empty() {
                self.came_late(&mut state, late.len() as u64);
            }
        }
        late.into_iter().for_each(|ack| ack.done(Ok(())));
        Ok(())
    }

    async fn read(&self) -> Option<Transaction> {
        loop {
            if self.state.lock().ended {
                return self.ready.read().await;
            }
            let left = self.left();
            tokio::select! {
                biased;
                () = self.changed.notified() => {}
                ready = self.ready.read() => return ready,
                // The clock may be set meanwhile.
                () = tokio::time::sleep(left.min(LOOK)) => {
                    if left <= LOOK && self.left().is_zero() {
                        self.close_window();
                    }
                }
            }
        }
    }

    fn end_of_input(&self) {
        let held = {
            let mut state = self.state.lock();
            state.ended = true;
            self.tell_late(state.untold.take().unwrap_or(0));
            std::mem::take(&mut state.held)
        };
        // Windows that are not over are not given out half: their messages come again.
        for held in held {
            held.ack.done(Err(NackReason::stopping()));
        }
        self.ready.end();
        self.changed.notify_one();
    }

    async fn close(&self) {
        self.end_of_input();
        self.ready.close().await;
    }
}
