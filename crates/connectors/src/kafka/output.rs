//! Output `kafka`.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bloblang::Template;
use document::Fault;
use parking_lot::Mutex;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::{ClientConfig, FromClientConfig};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::BaseRecord;
use streams::{BuildContext, ConnectError, Message, Node, Output, View, WriteError};
use tokio::time::Instant;

use super::connection::{Credentials, Monitor, check, config};
use super::message::headers;
use super::producer::{Attempt, Failure, Producer, Ticket};

/// How long to wait when the client library's own queue is full: it is emptied by what is on its way.
const QUEUE_FULL: Duration = Duration::from_millis(5);
/// Requests under way to one broker: more than one keep it busy.
const REQUESTS: &str = "5";
/// Most that the client library holds of what was not delivered yet, in KiB; more waits in the stream.
const UNDELIVERED_KIB: &str = "65536";

/// Builds the output.
pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    let partitioner = node.text("partitioner")?;
    let partition = node.optional_template("partition", context)?;
    match (partitioner.as_ref(), &partition) {
        ("manual", None) => {
            return Err(node.field_fault("partition", "`partitioner: manual` needs a `partition`"));
        }
        ("manual", Some(_)) | (_, None) => {}
        (_, Some(_)) => {
            return Err(node
                .field_fault(
                    "partition",
                    format!("`partition` has no effect with `partitioner: {partitioner}`"),
                )
                .hint("write `partitioner: manual`"));
        }
    }
    let max_in_flight = node.count("max_in_flight")?.max(1);
    let timeout = node.duration("timeout")?.unwrap_or(Duration::from_secs(5));
    let idempotent = node.boolean("idempotent_write")?;
    let most = node.size("max_msg_bytes")?.unwrap_or(1_000_000);

    let (mut config, credentials) = config(node)?;
    config
        .set("acks", if idempotent || node.boolean("ack_replicas")? { "all" } else { "1" })
        .set("enable.idempotence", idempotent.to_string())
        // Only one request at a time keeps the order when one has to be repeated without idempotence.
        .set("max.in.flight", if max_in_flight == 1 && !idempotent { "1" } else { REQUESTS })
        .set("message.timeout.ms", timeout.as_millis().max(1).to_string())
        .set("message.max.bytes", most.to_string())
        .set("queue.buffering.max.kbytes", UNDELIVERED_KIB)
        .set("compression.type", node.text("compression")?)
        // Batches come ready; waiting for more would only delay them.
        .set("linger.ms", "0");
    match partitioner.as_ref() {
        "fnv1a_hash" => config.set("partitioner", "fnv1a_random"),
        "murmur2_hash" => config.set("partitioner", "murmur2_random"),
        "random" => config.set("partitioner", "random"),
        // Our own is asked for messages without a key only when partitions do not stick.
        "round_robin" => config.set("sticky.partitioning.linger.ms", "0"),
        _ => &mut config,
    };
    check(&config, node)?;

    let retries = node.get("backoff");
    let interval = |name| retries.duration(name).map(Option::unwrap_or_default);
    let creation = node.get("custom_topic_creation");
    let creation = match creation.boolean("enabled")? {
        false => None,
        true => Some(TopicCreation {
            partitions: number(&creation, "partitions")?,
            replicas: number(&creation, "replication_factor")?,
            known: Mutex::default(),
        }),
    };
    context.with_batching(node)?;
    Ok(Box::new(KafkaOutput {
        config,
        credentials,
        stream: context.stream.clone(),
        topic: node.template("topic", context)?,
        key: node.optional_template("key", context)?,
        partition,
        round_robin: partitioner == "round_robin",
        static_headers: node.pairs("static_headers")?,
        excluded: node.get("metadata").texts("exclude_prefixes")?,
        max_in_flight,
        timeout,
        retry_as_batch: node.boolean("retry_as_batch")?,
        retry: Retry {
            most: node.count("max_retries")?,
            initial: interval("initial_interval")?,
            longest: interval("max_interval")?,
            elapsed: Some(interval("max_elapsed_time")?).filter(|elapsed| !elapsed.is_zero()),
        },
        creation,
        producer: Mutex::new(None),
    }))
}

fn number(node: &Node<'_>, name: &str) -> Result<i32, Fault> {
    i32::try_from(node.integer(name)?).ok().filter(|&number| number == -1 || number > 0).ok_or_else(|| {
        node.field_fault(name, "a number from 1 up is expected, or -1 for the broker's default")
    })
}

struct KafkaOutput {
    config: ClientConfig,
    credentials: Credentials,
    stream: Arc<str>,
    topic: Template,
    key: Option<Template>,
    partition: Option<Template>,
    round_robin: bool,
    static_headers: Vec<(String, String)>,
    excluded: Vec<String>,
    max_in_flight: usize,
    timeout: Duration,
    retry_as_batch: bool,
    retry: Retry,
    creation: Option<TopicCreation>,
    producer: Mutex<Option<Arc<Producer>>>,
}

/// When a failed batch is tried again.
struct Retry {
    /// Most new attempts; 0: any number.
    most: usize,
    initial: Duration,
    longest: Duration,
    elapsed: Option<Duration>,
}

impl Retry {
    /// The wait before the next attempt; `None` when there is to be none.
    fn pause(&self, retries: usize, since: Instant) -> Option<Duration> {
        let factor = 1_u32.checked_shl(u32::try_from(retries).unwrap_or(u32::MAX)).unwrap_or(u32::MAX);
        let pause = self.initial.saturating_mul(factor).min(self.longest);
        let in_time = self.elapsed.is_none_or(|elapsed| since.elapsed() + pause <= elapsed);
        (in_time && (self.most == 0 || retries < self.most)).then_some(pause)
    }
}

struct TopicCreation {
    partitions: i32,
    replicas: i32,
    known: Mutex<HashSet<String>>,
}

/// A message's way, rendered.
struct Address {
    topic: String,
    key: String,
    partition: Option<i32>,
}

impl KafkaOutput {
    fn address(&self, view: &View<'_>, index: usize) -> Result<Address, String> {
        let render = |name: &str, template: &Template| {
            template.render(view, index).map_err(|fault| format!("`{name}` cannot be told: {fault}"))
        };
        let topic = render("topic", &self.topic)?;
        if topic.is_empty() {
            return Err("`topic` is empty for this message".to_owned());
        }
        let key = self.key.as_ref().map_or_else(|| Ok(String::new()), |key| render("key", key))?;
        let partition = match &self.partition {
            None => None,
            Some(partition) => {
                let text = render("partition", partition)?;
                let number = text.trim().parse::<i32>().ok().filter(|&number| number >= 0);
                Some(number.ok_or_else(|| {
                    format!("`partition` is `{text}` for this message, not a partition's number")
                })?)
            }
        };
        Ok(Address { topic, key, partition })
    }

    /// Sends the messages at `indices` and waits for their reports.
    async fn attempt(&self, producer: &Producer, batch: &[Message], indices: &[usize]) -> Vec<Failure> {
        let view = View(batch);
        let (attempt, finished) = Attempt::new(indices.len());
        let deadline = Instant::now() + self.timeout;
        for &index in indices {
            let sent = match self.address(&view, index) {
                Ok(address) => self.send(producer, &batch[index], address, index, &attempt, deadline).await,
                Err(text) => Err(Failure::lasting(index, text)),
            };
            if let Err(failure) = sent {
                attempt.report(Some(failure));
            }
        }
        // The client library reports on every message within its timeout; a missing answer is a failure.
        finished.await.unwrap_or_else(|_| {
            let lost = |&index| Failure {
                index,
                text: "the producer was closed".to_owned(),
                retry: true,
                unreachable: false,
            };
            indices.iter().map(lost).collect()
        })
    }

    async fn send(
        &self,
        producer: &Producer,
        message: &Message,
        address: Address,
        index: usize,
        attempt: &Arc<Attempt>,
        deadline: Instant,
    ) -> Result<(), Failure> {
        if let Some(creation) = &self.creation {
            self.create(creation, &address.topic).await.map_err(|text| Failure {
                index,
                text,
                retry: true,
                unreachable: false,
            })?;
        }
        loop {
            let ticket = Box::new(Ticket { attempt: attempt.clone(), index });
            let mut record = BaseRecord::with_opaque_to(&address.topic, ticket).payload(&message.bytes()[..]);
            if !address.key.is_empty() {
                record = record.key(address.key.as_str());
            }
            record.partition = address.partition;
            record.headers = headers(message, &self.static_headers, &self.excluded);
            let error = match producer.client.send(record) {
                Ok(()) => return Ok(()),
                Err((error, _)) => error,
            };
            let full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
            if !full || Instant::now() >= deadline {
                return Err(Failure::of(index, &error));
            }
            tokio::time::sleep(QUEUE_FULL).await;
        }
    }

    /// Asks for a sign of life of any broker; otherwise why there is none.
    async fn probe(&self, producer: Arc<Producer>) -> Result<(), String> {
        // A question about a topic may create it, with the broker's defaults.
        let topic = if self.creation.is_none() { self.topic.as_static().map(str::to_owned) } else { None };
        let answer = tokio::task::spawn_blocking(move || producer.probe(topic.as_deref())).await;
        answer.unwrap_or_else(|fault| Err(fault.to_string()))
    }

    /// Creates a topic that was not seen before, if it does not exist.
    async fn create(&self, creation: &TopicCreation, topic: &str) -> Result<(), String> {
        if creation.known.lock().contains(topic) {
            return Ok(());
        }
        let wrong = |fault: &dyn std::fmt::Display| format!("topic `{topic}` could not be created: {fault}");
        let admin =
            AdminClient::<DefaultClientContext>::from_config(&self.config).map_err(|fault| wrong(&fault))?;
        let new = NewTopic::new(topic, creation.partitions, TopicReplication::Fixed(creation.replicas));
        let options =
            AdminOptions::new().request_timeout(Some(self.timeout)).operation_timeout(Some(self.timeout));
        let results =
            admin.create_topics([&new], &options).await.map_err(|fault: KafkaError| wrong(&fault))?;
        for result in results {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(wrong(&code)),
            }
        }
        creation.known.lock().insert(topic.to_owned());
        Ok(())
    }
}

#[async_trait]
impl Output for KafkaOutput {
    async fn connect(&self) -> Result<(), ConnectError> {
        let existing = self.producer.lock().clone();
        let producer = match existing {
            Some(producer) => producer,
            None => {
                let monitor = Arc::new(Monitor::new(self.credentials.clone(), self.stream.clone()));
                let producer =
                    Producer::start(&self.config, monitor, self.round_robin).map_err(ConnectError)?;
                let producer = Arc::new(producer);
                *self.producer.lock() = Some(producer.clone());
                producer
            }
        };
        self.probe(producer)
            .await
            .map_err(|reason| ConnectError(format!("no kafka broker answers: {reason}")))
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        let Some(producer) = self.producer.lock().clone() else { return Err(WriteError::NotConnected) };
        let since = Instant::now();
        let mut indices: Vec<usize> = (0..batch.len()).collect();
        let mut retries = 0;
        // Failures that no further attempt can mend.
        let mut lasting = Vec::new();
        loop {
            let failures = self.attempt(&producer, batch, &indices).await;
            if failures.is_empty() && lasting.is_empty() {
                return Ok(());
            }
            // Trying again is the stream's part then: it shows that the connection is lost, and slows its input.
            let all = failures.len() == indices.len();
            if all
                && failures.iter().all(|failure| failure.unreachable)
                && self.probe(producer.clone()).await.is_err()
            {
                return Err(WriteError::NotConnected);
            }
            let (again, mut hopeless): (Vec<_>, Vec<_>) =
                failures.into_iter().partition(|failure| failure.retry);
            lasting.append(&mut hopeless);
            let pause = if again.is_empty() { None } else { self.retry.pause(retries, since) };
            let Some(pause) = pause else {
                lasting.extend(again);
                lasting.sort_by_key(|failure| failure.index);
                return Err(verdict(batch.len(), lasting, self.retry_as_batch));
            };
            tracing::warn!(stream = %self.stream, messages = again.len(), fault = %again[0].text, ?pause, "kafka messages failed and are sent again");
            tokio::time::sleep(pause).await;
            retries += 1;
            if self.retry_as_batch {
                lasting.clear();
            } else {
                indices = again.into_iter().map(|failure| failure.index).collect();
                indices.sort_unstable();
            }
        }
    }

    fn max_in_flight(&self) -> usize {
        self.max_in_flight
    }

    async fn close(&self) {
        let producer = self.producer.lock().take();
        // No write is under way; leaving may take the client library half a second.
        let _ = tokio::task::spawn_blocking(move || drop(producer)).await;
    }
}

/// What the stream is told: which messages failed, or all of them when the batch must stay together.
fn verdict(messages: usize, failures: Vec<Failure>, as_batch: bool) -> WriteError {
    if as_batch || failures.len() == messages {
        let text = failures.into_iter().next().map_or_else(String::new, |failure| failure.text);
        return WriteError::Failed(text);
    }
    WriteError::Partial(failures.into_iter().map(|failure| (failure.index, failure.text)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry(most: usize, elapsed: Option<u64>) -> Retry {
        Retry {
            most,
            initial: Duration::from_secs(3),
            longest: Duration::from_secs(10),
            elapsed: elapsed.map(Duration::from_secs),
        }
    }

    #[test]
    fn pauses_grow_to_their_limit_and_end() {
        let now = Instant::now();
        let pauses = |retry: &Retry| {
            (0..4).map(|n| retry.pause(n, now).map(|pause| pause.as_secs())).collect::<Vec<_>>()
        };
        assert_eq!(pauses(&retry(0, None)), [Some(3), Some(6), Some(10), Some(10)]);
        assert_eq!(pauses(&retry(2, None)), [Some(3), Some(6), None, None]);
        assert_eq!(pauses(&retry(0, Some(5))), [Some(3), None, None, None]);
        assert_eq!(retry(0, None).pause(1000, now), Some(Duration::from_secs(10)));
    }

    #[test]
    fn failures_are_told_message_by_message_unless_the_batch_stays_together() {
        let one = || vec![Failure::lasting(1, "too large".to_owned())];
        assert!(
            matches!(verdict(3, one(), false), WriteError::Partial(list) if list == [(1, "too large".to_owned())])
        );
        assert!(matches!(verdict(3, one(), true), WriteError::Failed(text) if text == "too large"));
        assert!(matches!(verdict(1, one(), false), WriteError::Failed(_)));
    }
}
