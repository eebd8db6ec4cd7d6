//! Input `nats`.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Subject, Subscriber};
use async_trait::async_trait;
use bytes::Bytes;
use document::Fault;
use futures_util::StreamExt as _;
use streams::{Ack, Batch, BuildContext, ConnectError, Input, Message, Node, Outcome, ReadError, ReplySlot};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::connection::{FAREWELL, Link, Settings};
use super::headers::set_metadata;

/// Builds the input.
pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    let mut settings = Settings::read(node, context)?;
    // No queue is longer than a semaphore can count.
    settings.capacity = node.count("prefetch_count")?.clamp(1, Semaphore::MAX_PERMITS);
    let input = NatsInput {
        settings,
        subject: node.text("subject")?.into_owned(),
        queue: node.optional_text("queue")?.filter(|queue| !queue.is_empty()).map(Into::into),
        nak: nak(node.duration("nak_delay")?),
        answers: node.boolean("send_ack")?,
        stream: context.stream.clone(),
        leaving: Leaving::No,
        running: None,
    };
    context.with_replay(node, input)
}

/// What a sender is told of a message that failed.
pub(super) fn nak(delay: Option<Duration>) -> Bytes {
    match delay.filter(|delay| !delay.is_zero()) {
        None => Bytes::from_static(b"-NAK"),
        Some(delay) => Bytes::from(format!("-NAK {{\"delay\":{}}}", delay.as_nanos())),
    }
}

struct NatsInput {
    settings: Settings,
    subject: String,
    queue: Option<String>,
    nak: Bytes,
    answers: bool,
    stream: Arc<str>,
    leaving: Leaving,
    running: Option<Running>,
}

/// How far taking leave has come. NATS keeps nothing: what it has sent here is delivered before the input ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaving {
    No,
    /// The server is to be told that nothing more is wanted.
    Wanted,
    /// It was: what is on its way here still comes.
    Told,
}

struct Running {
    link: Link,
    subscriber: Subscriber,
    // Bounded by the messages under way.
    answers: mpsc::UnboundedSender<Option<(Subject, Bytes)>>,
    answering: JoinHandle<()>,
}

impl NatsInput {
    async fn start(&self) -> Result<Running, String> {
        let link = self.settings.connect().await?;
        let subscriber = match &self.queue {
            None => link.client.subscribe(self.subject.clone()).await,
            Some(queue) => link.client.queue_subscribe(self.subject.clone(), queue.clone()).await,
        };
        let subscriber = subscriber.map_err(|fault| format!("`{}`: {fault}", self.subject))?;
        // What is published once this stream is connected must not be missed.
        tokio::select! {
            settled = tokio::time::timeout(FAREWELL, link.denials.settle(&link.client)) => {
                settled.map_err(|_| "the nats server does not answer".to_owned())??;
            }
            () = link.lost() => return Err("the connection was lost at once".to_owned()),
        }
        if link.denials.of_subscribing(&self.subject) {
            return Err(format!("the nats server does not let this user subscribe to `{}`", self.subject));
        }
        let (answers, mut given) = mpsc::unbounded_channel::<Option<(Subject, Bytes)>>();
        let client = link.client.clone();
        let answering = tokio::spawn(async move {
            while let Some(Some((to, text))) = given.recv().await {
                // What cannot be told means that the connection is gone, and the sender knows nothing.
                let _ = client.publish(to, text).await;
            }
        });
        Ok(Running { link, subscriber, answers, answering })
    }

    fn take(&self, running: &Running, incoming: async_nats::Message) -> (Batch, Ack) {
        let mut message = Message::new(incoming.payload);
        set_metadata(&mut message, incoming.headers.as_ref());
        message.set_meta("nats_subject", incoming.subject.as_str());
        let Some(reply) = incoming.reply else { return (vec![message], Ack::none()) };
        message.set_meta("nats_reply_subject", reply.as_str());
        if !self.answers {
            return (vec![message], Ack::none());
        }
        let slot = Arc::new(ReplySlot::default());
        message.set_reply(slot.clone());
        let (answers, nak) = (running.answers.clone(), self.nak.clone());
        let ack = Ack::new(move |outcome| {
            let _ = answers.send(Some((reply, answer(outcome, &slot, nak))));
        });
        (vec![message], ack)
    }
}

fn answer(outcome: Outcome, slot: &ReplySlot, nak: Bytes) -> Bytes {
    match (outcome, slot.take().first()) {
        (Err(_), _) => nak,
        (Ok(()), Some(response)) => response.bytes().clone(),
        (Ok(()), None) => Bytes::from_static(b"+ACK"),
    }
}

#[async_trait]
impl Input for NatsInput {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        self.running = None;
        self.running = Some(self.start().await.map_err(ConnectError)?);
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        let Some(running) = &mut self.running else { return Err(ReadError::NotConnected) };
        if self.leaving == Leaving::Wanted {
            // Told twice, when this read is given up, does no harm.
            let _ = running.subscriber.drain().await;
            self.leaving = Leaving::Told;
        }
        let incoming = tokio::select! {
            biased;
            incoming = running.subscriber.next() => incoming,
            () = running.link.lost() => None,
            () = tokio::time::sleep(FAREWELL), if self.leaving == Leaving::Told => None,
        };
        match (incoming, &self.running) {
            (Some(incoming), Some(running)) => Ok(self.take(running, incoming)),
            _ if self.leaving == Leaving::Told => Err(ReadError::End),
            _ => {
                tracing::warn!(stream = %self.stream, "nats connection lost");
                self.running = None;
                Err(ReadError::NotConnected)
            }
        }
    }

    fn drain(&mut self) -> bool {
        self.leaving = Leaving::Wanted;
        self.running.is_some()
    }

    async fn close(&mut self) {
        let Some(running) = self.running.take() else { return };
        let Running { link, mut subscriber, answers, answering } = running;
        let told = async {
            let _ = subscriber.unsubscribe().await;
            let _ = answers.send(None);
            let _ = answering.await;
        };
        let _ = tokio::time::timeout(FAREWELL, told).await;
        link.leave().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use streams::NackReason;

    #[test]
    fn senders_are_answered_by_what_became_of_their_message() {
        let refused = nak(Some(Duration::from_millis(2)));
        assert_eq!(&*nak(None), b"-NAK");
        assert_eq!(&*refused, b"-NAK {\"delay\":2000000}");
        let slot = ReplySlot::default();
        assert_eq!(&*answer(Ok(()), &slot, refused.clone()), b"+ACK");
        slot.store([Message::new("hello")]);
        assert_eq!(answer(Err(NackReason::failed("no")), &slot, refused.clone()), refused);
        slot.store([Message::new("hello")]);
        assert_eq!(&*answer(Ok(()), &slot, refused), b"hello");
    }
}
