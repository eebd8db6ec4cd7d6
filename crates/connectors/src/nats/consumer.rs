//! Which consumer of JetStream the input reads: one that is there, or one that it makes.

use std::time::Duration;

use async_nats::jetstream::consumer::{self, AckPolicy, Consumer, DeliverPolicy, pull, push};
use async_nats::jetstream::context::{ConsumerInfoErrorKind, Context};
use async_nats::jetstream::stream::Stream;
use async_nats::jetstream::{self, ErrorCode};
use document::Fault;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use parking_lot::Mutex;
use streams::Node;
use tokio::sync::Semaphore;

use super::connection::chain;
use super::position::Position;

/// How long the server keeps a consumer without a name that nobody reads: as long as an outage may take.
const ABANDONED: Duration = Duration::from_secs(300);
/// Most messages asked for at once.
const PULL: usize = 256;

/// What the configuration says of the consumer.
pub(super) struct Wanted {
    stream: Option<String>,
    subject: Option<String>,
    queue: Option<String>,
    durable: Option<String>,
    bind: bool,
    deliver: DeliverPolicy,
    ack_wait: Duration,
    max_ack_pending: i64,
}

/// Messages of one consumer, as they arrive.
pub(super) type Messages = BoxStream<'static, Result<jetstream::Message, String>>;

/// A consumer that is being read.
pub(super) struct Found {
    pub(super) messages: Messages,
    /// How long the server waits before it sends a message again; `None`: it wants no acknowledgements.
    pub(super) ack_wait: Option<Duration>,
    /// Most messages that it sends ahead.
    pub(super) ahead: usize,
    /// Stream and name of a consumer that goes with this input.
    pub(super) own: Option<(String, String)>,
}

impl Wanted {
    pub(super) fn read(node: &Node<'_>) -> Result<Wanted, Fault> {
        let text = |name: &str| -> Result<Option<String>, Fault> {
            Ok(node.optional_text(name)?.filter(|text| !text.is_empty()).map(Into::into))
        };
        let wanted = Wanted {
            stream: text("stream")?,
            subject: text("subject")?,
            queue: text("queue")?,
            durable: text("durable")?,
            bind: node.has("bind") && node.boolean("bind")?,
            deliver: match &*node.text("deliver")? {
                "last" => DeliverPolicy::Last,
                "last_per_subject" => DeliverPolicy::LastPerSubject,
                "new" => DeliverPolicy::New,
                _ => DeliverPolicy::All,
            },
            ack_wait: node
                .duration("ack_wait")?
                .filter(|wait| !wait.is_zero())
                .unwrap_or(Duration::from_secs(30)),
            max_ack_pending: node.integer("max_ack_pending")?,
        };
        if wanted.stream.is_none() && wanted.subject.is_none() {
            return Err(node.fault("either `stream` or `subject` must say what is read"));
        }
        if wanted.bind {
            for (name, value) in [("stream", &wanted.stream), ("durable", &wanted.durable)] {
                if value.is_none() {
                    return Err(
                        node.field_fault("bind", format!("a consumer that exists is named by `{name}`, too"))
                    );
                }
            }
        }
        if wanted.max_ack_pending < 1 {
            return Err(node.field_fault("max_ack_pending", "`max_ack_pending` must be at least 1"));
        }
        for (name, value) in
            [("durable", &wanted.durable), ("stream", &wanted.stream), ("queue", &wanted.queue)]
        {
            if value.as_ref().is_some_and(|value| value.contains(['.', '*', '>', '/', '\\', ' ', '\t'])) {
                let text = format!("`{name}` may not hold dots, wildcards, slashes and spaces");
                return Err(node.field_fault(name, text));
            }
        }
        Ok(wanted)
    }

    /// The name under which the server keeps the consumer, if it does.
    fn name(&self) -> Option<&String> {
        self.durable.as_ref().or(self.queue.as_ref())
    }

    /// A consumer that is there already may push, and gives every subscriber all of its messages. Members of a queue
    /// share them.
    pub(super) fn claim(&self) -> Option<String> {
        let durable = self.durable.as_ref().filter(|_| self.queue.is_none())?;
        let place = self.stream.as_ref().or(self.subject.as_ref())?;
        Some(format!("nats_jetstream consumer {durable} of {place}"))
    }

    /// Finds or makes the consumer, and begins to read it. `own`: the one that this input made before.
    pub(super) async fn open(
        &self,
        context: &Context,
        own: Option<&(String, String)>,
        position: &Mutex<Position>,
    ) -> Result<Found, String> {
        let stream = match (&self.stream, &self.subject) {
            (Some(stream), _) => stream.clone(),
            (None, subject) => {
                let subject = subject.as_deref().unwrap_or_default();
                let found = context.stream_by_subject(subject).await;
                found.map_err(|fault| format!("no stream holds `{subject}`: {}", chain(&fault)))?
            }
        };
        let stream = context.get_stream(&stream).await;
        let stream = stream.map_err(|fault| format!("the stream cannot be read: {}", chain(&fault)))?;
        let place = stream.cached_info().config.name.clone();
        let name = self.name().or(own.map(|(_, name)| name));
        let known = match name {
            None => None,
            Some(name) => match stream.consumer_info(name).await {
                Ok(info) => Some(info),
                Err(fault) if missing(&fault.kind()) => None,
                Err(fault) => return Err(format!("the consumer `{name}`: {}", chain(&fault))),
            },
        };
        let info = match known {
            Some(info) => self.fits(&info).map(|()| info)?,
            None if self.bind => {
                let name = self.durable.as_deref().unwrap_or_default();
                return Err(format!("the stream `{place}` has no consumer `{name}`, and `bind` makes none"));
            }
            None => self.make(&stream, position).await?,
        };
        let own = self.name().is_none().then(|| (place, info.name.clone()));
        begin(context, info, own).await
    }

    /// Whether a consumer that is there gives what is wanted.
    fn fits(&self, info: &consumer::Info) -> Result<(), String> {
        let (config, name) = (&info.config, &info.name);
        if !self.bind
            && let Some(subject) = &self.subject
            && !config.filter_subject.is_empty()
            && *subject != config.filter_subject
        {
            return Err(format!("the consumer `{name}` reads `{}`, not `{subject}`", config.filter_subject));
        }
        match (&self.queue, &config.deliver_group) {
            (Some(queue), Some(group)) if queue != group => {
                Err(format!("the consumer `{name}` belongs to the queue `{group}`, not to `{queue}`"))
            }
            (None, Some(group)) if !self.bind => {
                Err(format!("the consumer `{name}` belongs to a queue; write `queue: {group}`"))
            }
            _ => Ok(()),
        }
    }

    async fn make(&self, stream: &Stream, position: &Mutex<Position>) -> Result<consumer::Info, String> {
        let made = match (&self.queue, self.name()) {
            (Some(queue), Some(name)) => {
                let place = &stream.cached_info().config.name;
                let config = push::Config {
                    // The same for all members, so that it does not matter who makes it.
                    deliver_subject: format!("_INBOX.queue.{place}.{name}"),
                    deliver_group: Some(queue.clone()),
                    durable_name: Some(name.clone()),
                    deliver_policy: self.deliver,
                    ack_policy: AckPolicy::Explicit,
                    ack_wait: self.ack_wait,
                    max_ack_pending: self.max_ack_pending,
                    filter_subject: self.subject.clone().unwrap_or_default(),
                    ..push::Config::default()
                };
                stream.create_consumer(config).await.map(|made| made.cached_info().clone())
            }
            (_, name) => {
                let resumed = match name {
                    // The server does not remember where such a consumer was; the input does.
                    None => position.lock().resume(stream.cached_info().state.last_sequence),
                    Some(_) => None,
                };
                let config = pull::Config {
                    durable_name: name.cloned(),
                    deliver_policy: match resumed {
                        None => self.deliver,
                        Some(start_sequence) => DeliverPolicy::ByStartSequence { start_sequence },
                    },
                    ack_policy: AckPolicy::Explicit,
                    ack_wait: self.ack_wait,
                    max_ack_pending: self.max_ack_pending,
                    filter_subject: self.subject.clone().unwrap_or_default(),
                    inactive_threshold: if name.is_none() { ABANDONED } else { Duration::ZERO },
                    ..pull::Config::default()
                };
                stream.create_consumer(config).await.map(|made| made.cached_info().clone())
            }
        };
        made.map_err(|fault| format!("no consumer can be made: {}", chain(&fault)))
    }
}

fn missing(kind: &ConsumerInfoErrorKind) -> bool {
    match kind {
        ConsumerInfoErrorKind::NotFound => true,
        ConsumerInfoErrorKind::JetStream(fault) => fault.error_code() == ErrorCode::CONSUMER_NOT_FOUND,
        _ => false,
    }
}

async fn begin(
    context: &Context,
    info: consumer::Info,
    own: Option<(String, String)>,
) -> Result<Found, String> {
    let config = info.config.clone();
    let unreadable = |fault: &dyn std::error::Error| format!("the consumer cannot be read: {}", chain(fault));
    let unlimited = 1024;
    let ahead = usize::try_from(config.max_ack_pending).unwrap_or(unlimited);
    // No queue is longer than a semaphore can count.
    let ahead = ahead.clamp(1, Semaphore::MAX_PERMITS);
    let messages: Messages = if config.deliver_subject.is_some() {
        let own = push::Config {
            deliver_subject: config.deliver_subject.clone().unwrap_or_default(),
            deliver_group: config.deliver_group.clone(),
            idle_heartbeat: config.idle_heartbeat,
            ..push::Config::default()
        };
        let consumer = Consumer::new(own, info, context.clone());
        let messages = consumer.messages().await.map_err(|fault| unreadable(&fault))?;
        messages.map(|message| message.map_err(|fault| chain(&fault))).boxed()
    } else {
        let limit = usize::try_from(config.max_batch).ok().filter(|limit| *limit > 0).unwrap_or(PULL);
        let consumer = Consumer::new(pull::Config::default(), info, context.clone());
        let batch = consumer.stream().max_messages_per_batch(ahead.min(limit));
        let messages = batch.messages().await.map_err(|fault| unreadable(&fault))?;
        messages.map(|message| message.map_err(|fault| chain(&fault))).boxed()
    };
    let ack_wait = match config.ack_policy {
        AckPolicy::None => None,
        _ if config.ack_wait.is_zero() => Some(Duration::from_secs(30)),
        // The shortest pause of its own list rules.
        _ => config.backoff.iter().chain([&config.ack_wait]).min().copied(),
    };
    Ok(Found { messages, ack_wait, ahead, own })
}
