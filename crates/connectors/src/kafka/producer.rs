//! The client library's side of the output: delivery reports, partitions, and the thread that polls for both.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, DeliveryResult, Partitioner, Producer as _, ProducerContext};
use tokio::sync::oneshot;

use super::connection::{ANSWER, Context, Monitor, Side};

/// How long a poll waits for news: how late the thread sees that it is to end.
const POLL: Duration = Duration::from_millis(100);

/// The producer's side of the client library's context.
pub(super) struct Delivery {
    round_robin: Option<RoundRobin>,
}

impl Side for Delivery {}

/// Gives each message of a topic to the next partition. The library's other partitioners need no help.
#[derive(Default)]
pub(super) struct RoundRobin(Mutex<HashMap<String, i32>>);

impl Partitioner for RoundRobin {
    fn partition(&self, topic: &str, _: Option<&[u8]>, count: i32, _: impl Fn(i32) -> bool) -> i32 {
        let mut turns = self.0.lock();
        let turn = match turns.get_mut(topic) {
            Some(turn) => turn,
            None => turns.entry(topic.to_owned()).or_insert(-1),
        };
        *turn = turn.wrapping_add(1).rem_euclid(count.max(1));
        *turn
    }
}

/// Why one message was not delivered.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) index: usize,
    pub(super) text: String,
    /// Whether another attempt may end otherwise.
    pub(super) retry: bool,
    /// Whether no broker could be reached.
    pub(super) unreachable: bool,
}

impl Failure {
    /// A failure that no further attempt mends.
    pub(super) fn lasting(index: usize, text: String) -> Failure {
        Failure { index, text, retry: false, unreachable: false }
    }

    pub(super) fn of(index: usize, error: &KafkaError) -> Failure {
        use RDKafkaErrorCode as Code;
        let code = error.rdkafka_error_code();
        let lasting = matches!(
            code,
            Some(
                Code::MessageSizeTooLarge
                    | Code::InvalidMessageSize
                    | Code::InvalidMessage
                    | Code::InvalidRecord
                    | Code::InvalidArgument
                    | Code::InvalidTopic
                    | Code::UnknownPartition
                    | Code::TopicAuthorizationFailed
            )
        );
        let unreachable = matches!(
            code,
            Some(Code::MessageTimedOut | Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve)
        );
        let text = code.map_or_else(|| error.to_string(), |code| code.to_string());
        Failure { index, text, retry: !lasting, unreachable }
    }
}

/// The messages of one attempt whose reports have not all come.
pub(super) struct Attempt {
    left: AtomicUsize,
    failures: Mutex<Vec<Failure>>,
    finished: Mutex<Option<oneshot::Sender<Vec<Failure>>>>,
}

impl Attempt {
    /// An attempt for so many messages, and where their failures are told when the last report has come.
    pub(super) fn new(messages: usize) -> (Arc<Attempt>, oneshot::Receiver<Vec<Failure>>) {
        let (sender, receiver) = oneshot::channel();
        let attempt = Attempt {
            left: AtomicUsize::new(messages),
            failures: Mutex::default(),
            finished: Mutex::new(Some(sender)),
        };
        if messages == 0 {
            attempt.finish();
        }
        (Arc::new(attempt), receiver)
    }

    /// One message is delivered, or has failed.
    pub(super) fn report(&self, failure: Option<Failure>) {
        if let Some(failure) = failure {
            self.failures.lock().push(failure);
        }
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.finish();
        }
    }

    fn finish(&self) {
        if let Some(sender) = self.finished.lock().take() {
            // Nobody listens any more when the write was cancelled.
            let _ = sender.send(std::mem::take(&mut *self.failures.lock()));
        }
    }
}

/// What comes back with a delivery report.
pub(super) struct Ticket {
    pub(super) attempt: Arc<Attempt>,
    pub(super) index: usize,
}

impl ProducerContext<RoundRobin> for Context<Delivery> {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        match result {
            Ok(_) => {
                self.monitor.up();
                ticket.attempt.report(None);
            }
            Err((error, _)) => ticket.attempt.report(Some(Failure::of(ticket.index, error))),
        }
    }

    fn get_custom_partitioner(&self) -> Option<&RoundRobin> {
        self.side.round_robin.as_ref()
    }
}

/// A producer with its polling thread, which ends with it.
pub(super) struct Producer {
    pub(super) client: Arc<BaseProducer<Context<Delivery>, RoundRobin>>,
    pub(super) monitor: Arc<Monitor>,
    stop: Arc<AtomicBool>,
}

impl Producer {
    /// Makes the producer and its thread. Does not wait for a broker.
    pub(super) fn start(
        config: &ClientConfig,
        monitor: Arc<Monitor>,
        round_robin: bool,
    ) -> Result<Producer, String> {
        let side = Delivery { round_robin: round_robin.then(RoundRobin::default) };
        let context = Context { monitor: monitor.clone(), side };
        let client = BaseProducer::from_config_and_context(config, context)
            .map_err(|fault| format!("no kafka producer could be made: {fault}"))?;
        let client = Arc::new(client);
        let stop = Arc::new(AtomicBool::new(false));
        let (polled, stopped) = (client.clone(), stop.clone());
        std::thread::Builder::new()
            .name("kafka-output".to_owned())
            .spawn(move || {
                while !stopped.load(Ordering::Acquire) {
                    polled.poll(POLL);
                }
            })
            .map_err(|fault| format!("no thread for a kafka producer: {fault}"))?;
        Ok(Producer { client, monitor, stop })
    }

    /// Asks for a sign of life of any broker, about this topic or about all. Blocks for up to [`ANSWER`].
    pub(super) fn probe(&self, topic: Option<&str>) -> Result<(), String> {
        match self.client.client().fetch_metadata(topic, ANSWER) {
            Ok(_) => {
                self.monitor.up();
                Ok(())
            }
            Err(fault) => {
                self.monitor.down(&fault);
                Err(self.monitor.reason().unwrap_or_else(|| fault.to_string()))
            }
        }
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_robin_takes_turns_for_each_topic() {
        let partitioner = RoundRobin::default();
        let turns =
            |topic: &str| (0..5).map(|_| partitioner.partition(topic, None, 3, |_| true)).collect::<Vec<_>>();
        assert_eq!(turns("a"), [0, 1, 2, 0, 1]);
        assert_eq!(turns("b"), [0, 1, 2, 0, 1]);
        assert_eq!(turns("a"), [2, 0, 1, 2, 0]);
    }

    #[test]
    fn an_attempt_ends_with_its_last_report() {
        let (attempt, mut finished) = Attempt::new(2);
        attempt.report(Some(Failure::lasting(1, "no".to_owned())));
        assert!(finished.try_recv().is_err());
        attempt.report(None);
        assert_eq!(finished.try_recv().expect("finished").len(), 1);
        let (_, mut finished) = Attempt::new(0);
        assert!(finished.try_recv().expect("nothing to wait for").is_empty());
    }
}
