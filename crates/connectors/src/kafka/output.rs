//! The outputs: batches to the client library, its reports to the stream.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::BaseRecord;
use streams::{ConnectError, Egress, Message, Output, View, WriteError};
use tokio::time::Instant;

use super::addressing::{Address, Addressing};
use super::connection::{Context, Monitor, Side, permitted_brokers};
use super::message::HeaderRules;
use super::partitioner::{Rule, sending};
use super::producer::{Attempt, Failure, Producer, Ticket};
use super::security::Credentials;

/// How long to wait when the client library's own queue is full: it is emptied by what is on its way.
const QUEUE_FULL: Duration = Duration::from_millis(5);
/// Most that the client library holds of what was not delivered yet, in KiB; more waits in the stream.
const UNDELIVERED_KIB: &str = "65536";

/// Most topics that are remembered as existing, which messages may name.
const KNOWN: usize = 10_000;

/// Settings that keep the client library busy without making messages wait.
pub(super) fn throughput(config: &mut ClientConfig) {
    config
        .set("queue.buffering.max.kbytes", UNDELIVERED_KIB)
        // Batches come ready; waiting for more would only delay them.
        .set("linger.ms", "0");
}

/// Where partitions are chosen here, that is asked for messages without a key, too: only when they do not stick.
pub(super) fn ask_for_each(config: &mut ClientConfig, rule: Option<Rule>) {
    if rule.is_some() {
        config.set("sticky.partitioning.linger.ms", "0");
    }
}

/// What an output needs to know, read from either field set.
pub(super) struct Plan {
    pub(super) config: ClientConfig,
    pub(super) credentials: Credentials,
    pub(super) egress: Arc<Egress>,
    pub(super) stream: Arc<str>,
    pub(super) addressing: Addressing,
    pub(super) rule: Option<Rule>,
    pub(super) headers: HeaderRules,
    pub(super) max_in_flight: usize,
    pub(super) timeout: Duration,
    pub(super) retry_as_batch: bool,
    pub(super) retry: Retry,
    pub(super) creation: Option<TopicCreation>,
}

/// The output.
pub(super) struct KafkaOutput {
    plan: Plan,
    producer: Mutex<Option<Arc<Producer>>>,
    /// Makes topics, one after the other; made itself when the first is needed.
    maker: tokio::sync::Mutex<Option<Arc<Admin>>>,
}

type Admin = AdminClient<Context<Maker>>;

/// When a failed batch is tried again.
pub(super) struct Retry {
    /// Most new attempts; 0: any number.
    pub(super) most: usize,
    pub(super) initial: Duration,
    pub(super) longest: Duration,
    pub(super) elapsed: Option<Duration>,
}

impl Retry {
    /// The client library's own attempts are all.
    pub(super) fn never() -> Retry {
        let none = Duration::ZERO;
        Retry {
            most: 1,
            initial: Duration::from_millis(1),
            longest: Duration::from_millis(1),
            elapsed: Some(none),
        }
    }

    /// The wait before the next attempt; `None` when there is to be none.
    fn pause(&self, retries: usize, since: Instant) -> Option<Duration> {
        let factor = 1_u32.checked_shl(u32::try_from(retries).unwrap_or(u32::MAX)).unwrap_or(u32::MAX);
        let pause = self.initial.saturating_mul(factor).min(self.longest);
        let in_time = self.elapsed.is_none_or(|elapsed| since.elapsed() + pause <= elapsed);
        (in_time && (self.most == 0 || retries < self.most)).then_some(pause)
    }
}

/// How topics that do not exist are made.
pub(super) struct TopicCreation {
    pub(super) partitions: i32,
    pub(super) replicas: i32,
    pub(super) known: Mutex<HashSet<String>>,
}

impl KafkaOutput {
    pub(super) fn new(plan: Plan) -> KafkaOutput {
        KafkaOutput { plan, producer: Mutex::new(None), maker: tokio::sync::Mutex::new(None) }
    }

    /// Sends the messages at `indices` and waits for their reports.
    async fn attempt(&self, producer: &Producer, batch: &[Message], indices: &[usize]) -> Vec<Failure> {
        let view = View(batch);
        let (attempt, finished) = Attempt::new(indices.len());
        let deadline = Instant::now() + self.plan.timeout;
        for &index in indices {
            let sent = match self.plan.addressing.of(&view, index) {
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
        if let Some(creation) = &self.plan.creation {
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
                record = record.key(&address.key[..]);
            }
            record.partition = address.partition;
            record.timestamp = address.timestamp;
            sending(message.bytes().len());
            record.headers = self.plan.headers.of(message);
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
        let topic = if self.plan.creation.is_none() {
            self.plan.addressing.topic.as_static().map(str::to_owned)
        } else {
            None
        };
        let egress = self.plan.egress.clone();
        let answer = tokio::task::spawn_blocking(move || producer.probe(topic.as_deref(), &egress)).await;
        answer.unwrap_or_else(|fault| Err(fault.to_string()))
    }

    /// Creates a topic that was not seen before, if it does not exist.
    async fn create(&self, creation: &TopicCreation, topic: &str) -> Result<(), String> {
        if creation.known.lock().contains(topic) {
            return Ok(());
        }
        let wrong = |fault: &dyn std::fmt::Display| format!("topic `{topic}` could not be created: {fault}");
        let turn = tokio::time::timeout(self.plan.timeout, self.maker.lock());
        let mut maker = turn.await.map_err(|_| wrong(&"others are still being created"))?;
        // Somebody may have created it meanwhile.
        if creation.known.lock().contains(topic) {
            return Ok(());
        }
        let admin = match &*maker {
            Some(admin) => admin.clone(),
            None => {
                // A client of its own, which may need a token, too. Its files are read, its threads begin.
                let monitor = Arc::new(Monitor::new(self.plan.credentials.clone(), self.plan.stream.clone()));
                let config = self.plan.config.clone();
                let make = move || Admin::from_config_and_context(&config, Context { monitor, side: Maker });
                let made = tokio::task::spawn_blocking(make).await.map_err(|fault| wrong(&fault))?;
                maker.insert(Arc::new(made.map_err(|fault| wrong(&fault))?)).clone()
            }
        };
        let new = NewTopic::new(topic, creation.partitions, TopicReplication::Fixed(creation.replicas));
        let options = AdminOptions::new()
            .request_timeout(Some(self.plan.timeout))
            .operation_timeout(Some(self.plan.timeout));
        let results =
            admin.create_topics([&new], &options).await.map_err(|fault: KafkaError| wrong(&fault))?;
        for result in results {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(wrong(&code)),
            }
        }
        let mut known = creation.known.lock();
        if known.len() >= KNOWN {
            // Asking again for a topic that exists does no harm.
            known.clear();
        }
        known.insert(topic.to_owned());
        Ok(())
    }
}

/// The side of the client that makes topics.
struct Maker;

impl Side for Maker {}

#[async_trait]
impl Output for KafkaOutput {
    async fn connect(&self) -> Result<(), ConnectError> {
        let existing = self.producer.lock().clone();
        let producer = match existing {
            Some(producer) => producer,
            None => {
                permitted_brokers(&self.plan.egress, &self.plan.config).await.map_err(ConnectError)?;
                let monitor = Arc::new(Monitor::new(self.plan.credentials.clone(), self.plan.stream.clone()));
                let producer =
                    Producer::start(&self.plan.config, monitor, self.plan.rule).map_err(ConnectError)?;
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
                return Err(match self.plan.retry_as_batch {
                    true => WriteError::NotConnected,
                    // What an earlier attempt has delivered is not sent again.
                    false => WriteError::lost(
                        indices,
                        lasting.into_iter().map(|failure: Failure| (failure.index, failure.text)).collect(),
                    ),
                });
            }
            let (again, mut hopeless): (Vec<_>, Vec<_>) =
                failures.into_iter().partition(|failure| failure.retry);
            lasting.append(&mut hopeless);
            let pause = if again.is_empty() { None } else { self.plan.retry.pause(retries, since) };
            let Some(pause) = pause else {
                lasting.extend(again);
                lasting.sort_by_key(|failure| failure.index);
                return Err(verdict(batch.len(), lasting, self.plan.retry_as_batch));
            };
            tracing::warn!(stream = %self.plan.stream, messages = again.len(), fault = %again[0].text, ?pause, "kafka messages failed and are sent again");
            tokio::time::sleep(pause).await;
            retries += 1;
            if self.plan.retry_as_batch {
                lasting.clear();
            } else {
                indices = again.into_iter().map(|failure| failure.index).collect();
                indices.sort_unstable();
            }
        }
    }

    fn max_in_flight(&self) -> usize {
        self.plan.max_in_flight
    }

    async fn close(&self) {
        let producer = self.producer.lock().take();
        let maker = self.maker.lock().await.take();
        // No write is under way; leaving may take the client library half a second.
        let _ = tokio::task::spawn_blocking(move || drop((producer, maker))).await;
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
