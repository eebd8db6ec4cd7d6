//! Input `redis_streams` (streams contract 3.9).
//!
//! Redis keeps what a consumer was given until it is acknowledged. After a start, and after every loss of the connection,
//! the consumer first asks for what it still holds, then for new entries.
//!
//! One request may name several streams, but only those in the same slot of a cluster: there, each slot is asked by itself,
//! on a connection of its own, since a request that waits holds up those behind it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use document::Fault;
use futures_util::future::select_all;
use parking_lot::Mutex;
use redis::streams::{StreamId, StreamReadReply};
use redis::{RedisResult, Value};
use streams::{Ack, Batch, BuildContext, ConnectError, Input, Message, Node, Outcome, ReadError};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::link::{Link, Trouble, hash_tag};
use super::reach::Connection;
use crate::refusals::Refusals;

/// The mark that asks for entries nobody was given yet.
const NEW: &str = ">";
/// How long the last acknowledgements may take when the stream stops.
const FAREWELL: Duration = Duration::from_secs(5);
/// Entries that may be held before no more are asked for: those under way, and those that Redis was not told of yet.
const HELD: usize = 65_536;
/// How often it is looked whether there is room again, beside the news of it.
const LOOK: Duration = Duration::from_millis(100);

pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    let streams = crate::fields::comma_list(node, "streams")?;
    let (group, consumer) = (node.text("consumer_group")?, node.text("client_id")?);
    for stream in &streams {
        // It would be given once more what the one that it replaces has under way.
        context.claim(format!("redis_streams consumer {consumer} of {group} in {stream}"));
    }
    let input = StreamsInput {
        group: Arc::new(Group {
            link: Link::read(node, context)?,
            name: node.text("consumer_group")?.into_owned(),
            stream: context.stream.clone(),
            state: Mutex::default(),
            changed: Notify::new(),
            stopping: Notify::new(),
            full: Notify::new(),
        }),
        body_key: node.text("body_key")?.into_owned(),
        streams,
        limit: node.count("limit")?.max(1),
        consumer: node.text("client_id")?.into_owned(),
        create: node.boolean("create_streams")?,
        oldest: node.boolean("start_from_oldest")?,
        period: node.duration("commit_period")?.unwrap_or(Duration::from_secs(1)),
        wait: node.duration("timeout")?.unwrap_or(Duration::from_secs(1)),
        feeds: Vec::new(),
        ready: VecDeque::new(),
        committer: None,
    };
    context.with_replay(node, input)
}

struct StreamsInput {
    group: Arc<Group>,
    body_key: String,
    streams: Vec<String>,
    limit: usize,
    consumer: String,
    create: bool,
    oldest: bool,
    period: Duration,
    wait: Duration,
    // None: not connected.
    feeds: Vec<Feed>,
    ready: VecDeque<Entry>,
    committer: Option<JoinHandle<()>>,
}

/// Streams that are asked for together.
struct Feed {
    streams: Vec<String>,
    connection: Connection,
    // Where reading what the consumer holds has come to, by stream; none: it has all of it, new entries are next.
    positions: HashMap<String, String>,
    // A request under way. It outlives the future that waits for it: what Redis answers is not forgotten.
    asking: Option<Asking>,
}

type Asking = JoinHandle<RedisResult<Option<StreamReadReply>>>;

impl Feed {
    fn new(streams: Vec<String>, connection: Connection) -> Feed {
        let positions = streams.iter().map(|stream| (stream.clone(), "0".to_owned())).collect();
        Feed { streams, connection, positions, asking: None }
    }

    fn request(&self, input: &StreamsInput) -> redis::Cmd {
        let mut command = redis::cmd("XREADGROUP");
        command.arg("GROUP").arg(&input.group.name).arg(&input.consumer).arg("COUNT").arg(input.limit);
        // Behind old entries nothing is waited for.
        if self.positions.is_empty() {
            command.arg("BLOCK").arg(u64::try_from(input.wait.as_millis()).unwrap_or(u64::MAX).max(1));
        }
        // While a stream has old entries, only such streams are asked.
        let old = !self.positions.is_empty();
        let asked = self.streams.iter().filter(|stream| !old || self.positions.contains_key(*stream));
        command.arg("STREAMS").arg(asked.clone().collect::<Vec<_>>());
        let position = |stream| self.positions.get(stream).map_or(NEW, String::as_str);
        command.arg(asked.map(position).collect::<Vec<_>>());
        command
    }

    fn ask(&self, input: &StreamsInput) -> Asking {
        let (mut connection, request) = (self.connection.clone(), self.request(input));
        tokio::spawn(async move { request.query_async(&mut connection).await })
    }

    /// Takes an answer in; the entries, each with its stream.
    fn take(&mut self, reply: StreamReadReply) -> Vec<(String, StreamId)> {
        let old = !self.positions.is_empty();
        let mut silent = self.positions.clone();
        let mut entries = Vec::new();
        for key in reply.keys {
            for entry in key.ids {
                if old {
                    silent.remove(&key.key);
                    self.positions.insert(key.key.clone(), entry.id.clone());
                }
                entries.push((key.key.clone(), entry));
            }
        }
        // A stream that had nothing behind its position has no old entries left.
        silent.keys().for_each(|stream| drop(self.positions.remove(stream)));
        entries
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if let Some(asking) = &self.asking {
            asking.abort();
        }
    }
}

/// The streams of each slot of a cluster, in their order.
fn by_slot(streams: &[String]) -> Vec<Vec<String>> {
    let mut slots: Vec<(&str, Vec<String>)> = Vec::new();
    for stream in streams {
        let tag = hash_tag(stream).unwrap_or(stream);
        match slots.iter_mut().find(|(own, _)| *own == tag) {
            Some((_, same)) => same.push(stream.clone()),
            None => slots.push((tag, vec![stream.clone()])),
        }
    }
    slots.into_iter().map(|(_, streams)| streams).collect()
}

/// What the acks share with the input.
struct Group {
    link: Link,
    name: String,
    stream: Arc<str>,
    state: Mutex<State>,
    changed: Notify,
    stopping: Notify,
    /// Much is held: what was delivered is told to Redis before its time.
    full: Notify,
}

/// Its size is what the consumer holds.
#[derive(Default)]
struct State {
    // Given out and not yet acknowledged in Redis: not given out again when the connection comes back.
    held: HashSet<(String, String)>,
    delivered: HashMap<String, Vec<String>>,
    // Each with the time at which it may come again; in the order of those.
    failed: VecDeque<(Instant, Entry)>,
    refusals: Refusals,
    // Why Redis does not take acknowledgements: until it does, no more entries are asked for.
    refused: Option<String>,
}

#[derive(Clone)]
struct Entry {
    stream: String,
    id: String,
    message: Message,
}

impl Group {
    /// Tells Redis what was delivered. What cannot be told now stays for the next time.
    async fn commit(&self) {
        let delivered = std::mem::take(&mut self.state.lock().delivered);
        let mut refusal = None;
        for (stream, ids) in delivered {
            let mut command = redis::cmd("XACK");
            command.arg(&stream).arg(&self.name).arg(&ids);
            let told = self.link.run::<i64>(&command).await;
            let mut state = self.state.lock();
            match told {
                Ok(_) => {
                    for id in ids {
                        state.held.remove(&(stream.clone(), id));
                    }
                }
                Err(trouble) => {
                    let refused = matches!(trouble, Trouble::Refused(_));
                    let fault = trouble.text();
                    tracing::warn!(stream = %self.stream, %fault, "redis cannot be told yet what was delivered");
                    state.delivered.entry(stream).or_default().extend(ids);
                    if refused {
                        refusal =
                            Some(format!("acknowledgements are refused, nothing more is read: {fault}"));
                    }
                }
            }
        }
        self.state.lock().refused = refusal;
    }

    /// An entry that failed and may come again now; otherwise when the next one may.
    fn failed(&self) -> (Option<Entry>, Option<Instant>) {
        let mut state = self.state.lock();
        match state.failed.front().map(|(again, _)| *again) {
            Some(again) if again <= Instant::now() => {
                (state.failed.pop_front().map(|(_, entry)| entry), None)
            }
            again => (None, again),
        }
    }

    fn resolve(&self, entry: Entry, outcome: &Outcome) {
        let mut state = self.state.lock();
        match outcome {
            Ok(()) => {
                state.delivered.entry(entry.stream).or_default().push(entry.id);
            }
            Err(_) => {
                let again = state.refusals.refused();
                state.failed.push_back((again, entry));
                drop(state);
                self.changed.notify_one();
            }
        }
    }
}

impl StreamsInput {
    async fn make_groups(&self, streams: &[String], connection: &mut Connection) -> Result<(), String> {
        for stream in streams {
            let mut command = redis::cmd("XGROUP");
            command.arg("CREATE").arg(stream).arg(&self.group.name).arg(if self.oldest { "0" } else { "$" });
            if self.create {
                command.arg("MKSTREAM");
            }
            match command.query_async::<()>(connection).await {
                Ok(()) => {}
                Err(error) if error.code() == Some("BUSYGROUP") => {}
                Err(error) => return Err(format!("redis: {stream}: {error}")),
            }
        }
        Ok(())
    }

    fn add(&mut self, stream: &str, StreamId { id, mut map, .. }: StreamId) {
        let place = (stream.to_owned(), id.clone());
        if self.group.state.lock().held.contains(&place) {
            return;
        }
        if map.is_empty() {
            // It was held and is gone from the stream meanwhile: there is nothing to deliver.
            self.group.state.lock().delivered.entry(place.0).or_default().push(id);
            return;
        }
        let Some(body) = map.remove(&self.body_key).and_then(bytes) else {
            // It stays with the consumer in Redis, where somebody can look at it.
            tracing::warn!(stream = %self.group.stream, redis_stream = %place.0, %id, field = %self.body_key, "an entry without this field is passed over");
            return;
        };
        let mut message = Message::new(body);
        for (name, value) in map {
            if let Some(value) = bytes(value) {
                message.set_meta(name, String::from_utf8_lossy(&value).into_owned());
            }
        }
        message.set_meta("redis_stream", id.as_str());
        self.group.state.lock().held.insert(place);
        self.ready.push_back(Entry { stream: stream.to_owned(), id, message });
    }

    fn hand_out(&self, entry: Entry) -> (Batch, Ack) {
        let group = self.group.clone();
        let batch = vec![entry.message.clone()];
        (batch, Ack::new(move |outcome| group.resolve(entry, &outcome)))
    }

    fn lost(&mut self, fault: &str) -> ReadError {
        tracing::warn!(stream = %self.group.stream, %fault, "redis connection lost");
        self.feeds.clear();
        ReadError::NotConnected
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        Value::Int(number) => Some(number.to_string().into_bytes()),
        _ => None,
    }
}

#[async_trait]
impl Input for StreamsInput {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        self.feeds.clear();
        let slots = match self.group.link.is_cluster() {
            true => by_slot(&self.streams),
            false => vec![self.streams.clone()],
        };
        let mut feeds = Vec::with_capacity(slots.len());
        for streams in slots {
            let mut connection = self.group.link.waiting(self.wait).await.map_err(ConnectError)?;
            self.make_groups(&streams, &mut connection).await.map_err(ConnectError)?;
            feeds.push(Feed::new(streams, connection));
        }
        self.feeds = feeds;
        if self.committer.is_none() {
            let (group, period) = (self.group.clone(), self.period.max(Duration::from_millis(1)));
            self.committer = Some(tokio::spawn(async move {
                loop {
                    tokio::select! {
                        biased;
                        () = group.stopping.notified() => break,
                        () = tokio::time::sleep(period) => {}
                        () = group.full.notified() => {}
                    }
                    group.commit().await;
                }
                group.commit().await;
            }));
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        loop {
            let (failed, again) = self.group.failed();
            if let Some(entry) = failed.or_else(|| self.ready.pop_front()) {
                return Ok(self.hand_out(entry));
            }
            if self.feeds.is_empty() {
                return Err(ReadError::NotConnected);
            }
            let (held, refused) = {
                let state = self.group.state.lock();
                (state.held.len(), state.refused.clone())
            };
            if let Some(refused) = refused {
                return Err(ReadError::Other(refused));
            }
            if held >= HELD {
                self.group.full.notify_one();
                let _ = tokio::time::timeout(LOOK, self.group.changed.notified()).await;
                continue;
            }
            for index in 0..self.feeds.len() {
                if self.feeds[index].asking.is_none() {
                    self.feeds[index].asking = Some(self.feeds[index].ask(self));
                }
            }
            let asking = self.feeds.iter_mut().filter_map(|feed| feed.asking.as_mut());
            let (answer, index) = tokio::select! {
                () = self.group.changed.notified() => continue,
                () = until(again) => continue,
                (answer, index, _) = select_all(asking) => (answer, index),
            };
            self.feeds[index].asking = None;
            let Ok(answer) = answer else { return Err(self.lost("the request broke down")) };
            match answer.map_err(Trouble::from) {
                Ok(reply) => {
                    for (stream, entry) in self.feeds[index].take(reply.unwrap_or_default()) {
                        self.add(&stream, entry);
                    }
                }
                Err(Trouble::Away(fault)) => return Err(self.lost(&fault)),
                // The group was removed, perhaps with its stream: connecting makes it again.
                Err(Trouble::Refused(fault)) if fault.contains("NOGROUP") => return Err(self.lost(&fault)),
                Err(Trouble::Refused(fault)) => return Err(ReadError::Other(fault)),
            }
        }
    }

    async fn close(&mut self) {
        self.feeds.clear();
        if let Some(committer) = self.committer.take() {
            self.group.stopping.notify_one();
            if tokio::time::timeout(FAREWELL, committer).await.is_err() {
                tracing::warn!(stream = %self.group.stream, "redis was not told in time what was delivered; it comes again");
            }
        }
    }
}
