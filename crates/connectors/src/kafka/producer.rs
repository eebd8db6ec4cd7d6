//! The client library's side of the output: delivery reports, partitions, and the thread that polls for both.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer as _, ProducerContext};
use streams::Egress;
use tokio::sync::oneshot;

use super::connection::{ANSWER, Context, Monitor, Side};
use super::partitioner::{Chooser, Rule};

/// Requests under way to one broker: more than one keep it busy.
pub(super) const REQUESTS: &str = "5";
/// How long a poll waits for news: how late the thread sees that it is to end.
const POLL: Duration = Duration::from_millis(100);

/// The producer's side of the client library's context.
pub(super) struct Delivery {
    chooser: Option<Chooser>,
}

impl Side for Delivery {}

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

impl ProducerContext<Chooser> for Context<Delivery> {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        if let Some(chooser) = &self.side.chooser {
            let (Ok(message) | Err((_, message))) = result;
            chooser.done(message.topic(), message.partition());
        }
        match result {
            Ok(_) => {
                self.monitor.up();
                ticket.attempt.report(None);
            }
            Err((error, _)) => ticket.attempt.report(Some(Failure::of(ticket.index, error))),
        }
    }

    fn get_custom_partitioner(&self) -> Option<&Chooser> {
        self.side.chooser.as_ref()
    }
}

/// A producer with its polling thread, which ends with it.
pub(super) struct Producer {
    pub(super) client: Arc<BaseProducer<Context<Delivery>, Chooser>>,
    pub(super) monitor: Arc<Monitor>,
    stop: Arc<AtomicBool>,
}

impl Producer {
    /// Makes the producer and its thread. Does not wait for a broker.
    pub(super) fn start(
        config: &ClientConfig,
        monitor: Arc<Monitor>,
        rule: Option<Rule>,
    ) -> Result<Producer, String> {
        let side = Delivery { chooser: rule.map(Chooser::new) };
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
    pub(super) fn probe(&self, topic: Option<&str>, egress: &Egress) -> Result<(), String> {
        match self.client.client().fetch_metadata(topic, ANSWER) {
            Ok(metadata) => {
                self.monitor.allows(egress, &metadata).inspect_err(|reason| self.monitor.deny(reason))?;
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
