//! An input that ends on a condition (streams contract 3.9).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bloblang::{Mapping, Value};
use document::Fault;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::ack::{Ack, Transaction};
use crate::backoff::{Backoff, REPLAY};
use crate::build::BuildContext;
use crate::component::{ConnectError, Input, ReadError};
use crate::inputs::child::Child;
use crate::message::{Batch, View};
use crate::metrics::Probe;
use crate::node::Node;
use crate::rebuild::Blueprint;
use crate::registry::{self, Field, InputSpec, Kind};
use crate::replay::Replay;
use crate::source::sleep_until;
use crate::task::Tasks;

/// Set on the batch that ended the input, by the original's name.
const FINAL: (&str, &str) = ("bento_read_until", "final");

const BACKOFF: &[Field] = &[
    Field::new(
        "initial_interval",
        Kind::Duration,
        registry::Default::Text("1ms"),
        "Pause before it first begins again.",
    ),
    Field::new("max_interval", Kind::Duration, registry::Default::Text("100ms"), "Longest pause."),
];

pub(super) static SPEC: InputSpec = InputSpec {
    name: "read_until",
    summary: "Reads an input until a condition holds. The batch that it holds for is delivered, too; the input ends once that batch is.",
    config: Kind::Object(&[
        Field::required("input", Kind::Input, "The input."),
        Field::optional(
            "check",
            Kind::Bloblang,
            "A query on the first message of each batch; true for the last batch, whose messages get the metadata `bento_read_until` with the value `final`. One that fails is not true.",
        ),
        Field::optional("idle_timeout", Kind::Duration, "Ends when nothing came for this long."),
        Field::new(
            "restart_input",
            Kind::Bool,
            registry::Default::Bool(false),
            "Whether the input begins again when it has ended by itself.",
        ),
        Field::object(
            "restart_backoff",
            BACKOFF,
            "Pauses before it begins again, growing while it gives nothing.",
        ),
    ]),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    let check = node.mapping("check", context)?;
    let idle = node.duration("idle_timeout")?.filter(|time| !time.is_zero());
    if check.is_none() && idle.is_none() {
        return Err(node.fault("`read_until` would never end").hint("add `check` or `idle_timeout`"));
    }
    let pauses = node.get("restart_backoff");
    let pause = |name| pauses.duration(name).map(Option::unwrap_or_default);
    let backoff = Backoff { first: pause("initial_interval")?, most: pause("max_interval")?, factor: 1.5 };
    if backoff.first.is_zero() {
        return Err(pauses.field_fault("initial_interval", "`initial_interval` must be above 0"));
    }
    if backoff.most < backoff.first {
        return Err(pauses.field_fault("max_interval", "`max_interval` must not be below `initial_interval`"));
    }
    let child = node.get("input");
    let before = context.replays.replace(false);
    let built = context.input(&child)?;
    let replays = context.replays.get();
    context.replays.set(before || replays);
    let restart = match node.boolean("restart_input")? {
        true => Some(Restart { blueprint: Blueprint::of(&child, context), backoff, empty: 0, due: None }),
        false => None,
    };
    let (last, _) = watch::channel(Last::None);
    let (under_way, _) = watch::channel(0);
    let (closing, _) = watch::channel(false);
    let input = ReadUntil {
        child: Child::new(built),
        check,
        idle,
        restart,
        last: Arc::new(last),
        under_way: Arc::new(under_way),
        left: Tasks::default(),
        closing,
        probe: context.probe.clone(),
        idle_since: None,
        stopping: false,
        over: false,
    };
    // A child that keeps its failed batches is not read any more after the end, so they are kept here.
    Ok(match replays {
        true => Box::new(Replay::with_backoff(
            input,
            REPLAY,
            Some(context.probe.clone()),
            context.watch.stall.clone(),
        )),
        false => Box::new(input),
    })
}

/// How the batch is doing for which the condition held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    None,
    UnderWay,
    Delivered,
}

struct Restart {
    blueprint: Blueprint,
    backoff: Backoff,
    /// How often it has given nothing, in a row.
    empty: u32,
    /// When it begins again.
    due: Option<Instant>,
}

struct ReadUntil {
    child: Child,
    check: Option<Mapping>,
    idle: Option<Duration>,
    restart: Option<Restart>,
    last: Arc<watch::Sender<Last>>,
    /// Batches that were handed out and not resolved.
    under_way: Arc<watch::Sender<usize>>,
    /// Children that are not read any more, until they are closed.
    left: Tasks,
    closing: watch::Sender<bool>,
    probe: Arc<Probe>,
    /// When it began to wait for what comes next.
    idle_since: Option<Instant>,
    stopping: bool,
    over: bool,
}

impl ReadUntil {
    fn holds(&self, batch: &Batch) -> bool {
        let Some(check) = &self.check else { return false };
        if batch.is_empty() {
            return false;
        }
        match check.query(&View(batch), 0) {
            Ok(value) => matches!(value, Value::Bool(true)),
            Err(fault) => {
                tracing::debug!(%fault, "the check of a `read_until` failed");
                false
            }
        }
    }

    fn hand_out(&mut self, transaction: Transaction) -> (Batch, Ack) {
        let Transaction { mut batch, ack } = transaction;
        self.idle_since = None;
        if let Some(restart) = &mut self.restart {
            restart.empty = 0;
        }
        let ack = self.counted(ack);
        if !self.holds(&batch) {
            return (batch, ack);
        }
        for message in &mut batch {
            message.set_meta(FINAL.0, FINAL.1);
        }
        self.last.send_replace(Last::UnderWay);
        let last = self.last.clone();
        let ack = Ack::new(move |outcome| {
            // One that failed comes again, and the condition is looked at again.
            last.send_replace(if outcome.is_ok() { Last::Delivered } else { Last::None });
            ack.done(outcome);
        });
        (batch, ack)
    }

    fn counted(&self, ack: Ack) -> Ack {
        self.under_way.send_modify(|count| *count += 1);
        let under_way = self.under_way.clone();
        Ack::new(move |outcome| {
            ack.done(outcome);
            under_way.send_modify(|count| *count -= 1);
        })
    }

    /// The end. The child closes as soon as what it gave is resolved, and not when the stream ends: what it has read
    /// ahead is for others.
    fn end(&mut self) -> ReadError {
        self.over = true;
        let mut child = std::mem::replace(&mut self.child, Child::ended());
        let (mut under_way, mut closing) = (self.under_way.subscribe(), self.closing.subscribe());
        self.left.spawn(self.probe.clone(), async move {
            child.stop();
            tokio::select! {
                _ = under_way.wait_for(|count| *count == 0) => {}
                _ = closing.wait_for(|closing| *closing) => {}
            }
            child.close().await;
        });
        ReadError::End
    }

    /// The child has ended by itself; whether it begins again.
    async fn begin_again(&mut self) -> Result<bool, ReadError> {
        let Some(restart) = self.restart.as_mut().filter(|_| !self.stopping) else { return Ok(false) };
        let due = *restart.due.get_or_insert_with(|| Instant::now() + restart.backoff.pause(restart.empty));
        sleep_until(Some(due)).await;
        restart.due = None;
        restart.empty = restart.empty.saturating_add(1);
        let fresh = restart.blueprint.build();
        let fresh = fresh
            .map_err(|fault| ReadError::Other(format!("the input cannot begin again: {}", fault.message)))?;
        // Its acks have come back, or it would not have ended; there is nothing left to wait for.
        self.child.close().await;
        self.child = Child::new(fresh);
        Ok(true)
    }
}

#[async_trait]
impl Input for ReadUntil {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        // Whoever keeps failed batches asks again.
        if self.over {
            return Err(ReadError::End);
        }
        loop {
            let mut last = self.last.subscribe();
            let now = *last.borrow_and_update();
            match now {
                Last::Delivered => return Err(self.end()),
                Last::UnderWay => {}
                Last::None => {
                    if !self.stopping {
                        self.child.start();
                    }
                    let idle = self.idle.map(|time| *self.idle_since.get_or_insert_with(Instant::now) + time);
                    let read = tokio::select! {
                        biased;
                        read = self.child.read() => read,
                        () = sleep_until(idle) => {
                            tracing::debug!("a `read_until` ends: nothing came");
                            return Err(self.end());
                        }
                    };
                    match read {
                        Some(transaction) => return Ok(self.hand_out(transaction)),
                        None if self.begin_again().await? => continue,
                        None => return Err(self.end()),
                    }
                }
            }
            // Nothing more is read until it is known what became of the last batch.
            let _ = last.changed().await;
        }
    }

    fn drain(&mut self) -> bool {
        self.stopping = true;
        self.child.stop();
        true
    }

    async fn close(&mut self) {
        self.closing.send_replace(true);
        self.child.close().await;
        self.left.finish().await;
    }
}
