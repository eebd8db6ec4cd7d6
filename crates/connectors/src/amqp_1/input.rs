//! Input `amqp_1`.

use std::sync::Arc;

use async_trait::async_trait;
use document::Fault;
use fe2o3_amqp::Receiver;
use fe2o3_amqp::link::delivery::DeliveryInfo;
use fe2o3_amqp::link::{CreditMode, DispositionError, RecvError};
use fe2o3_amqp::types::messaging::{Body, Modified};
use fe2o3_amqp::types::primitives::Value as AmqpAny;
use streams::{Ack, Batch, BuildContext, ConnectError, Input, Message, NackKind, Node, Outcome, ReadError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::connection::{FAREWELL, Opened, Settings};
use super::message::from_amqp;

/// Builds the input.
pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    if node.boolean("azure_renew_lock")? {
        return Err(node.field_fault(
            "azure_renew_lock",
            "locks of Azure Service Bus are not renewed here; give the queue a lock duration that is longer than the work, and a small `credit`",
        ));
    }
    let credit = u32::try_from(node.integer("credit")?).ok().filter(|credit| (1..=65_536).contains(credit));
    Ok(Box::new(AmqpInput {
        settings: Settings::read(node, context)?,
        address: node.text("source_address")?.into_owned(),
        read_header: node.boolean("read_header")?,
        credit: credit.ok_or_else(|| node.field_fault("credit", "`credit` must be between 1 and 65536"))?,
        stream: context.stream.clone(),
        running: None,
    }))
}

struct AmqpInput {
    settings: Settings,
    address: String,
    read_header: bool,
    credit: u32,
    stream: Arc<str>,
    running: Option<Running>,
}

struct Running {
    arrived: mpsc::Receiver<(Message, Ack)>,
    // Bounded by the credit of the link.
    verdicts: mpsc::UnboundedSender<Told>,
    task: JoinHandle<()>,
}

enum Told {
    Verdict(DeliveryInfo, Verdict),
    Close,
}

/// What the server is told of a message.
enum Verdict {
    Accept,
    /// It failed here.
    Failed,
    /// It was not tried.
    Release,
}

fn verdict(outcome: &Outcome) -> Verdict {
    match outcome {
        Ok(()) => Verdict::Accept,
        Err(reason) if reason.kind() == NackKind::Failed => Verdict::Failed,
        Err(_) => Verdict::Release,
    }
}

impl AmqpInput {
    async fn start(&self) -> Result<Running, String> {
        let mut opened = self.settings.connect().await?;
        let attached = Receiver::builder()
            .name(format!("sluicegate-{:x}", rand::random::<u64>()))
            .source(self.address.as_str())
            .credit_mode(CreditMode::Auto(self.credit))
            .auto_accept(false)
            .attach(&mut opened.session);
        let receiver = match tokio::time::timeout(FAREWELL, attached).await {
            Ok(Ok(receiver)) => receiver,
            Ok(Err(fault)) => {
                opened.leave().await;
                return Err(format!("`{}` cannot be read: {fault}", self.address));
            }
            Err(_) => return Err(format!("`{}`: the server does not answer", self.address)),
        };
        // New credit is given when half of it is settled: at most one and a half of it is out.
        let room = usize::try_from(self.credit).unwrap_or(usize::MAX).saturating_mul(2);
        let (sender, arrived) = mpsc::channel(room);
        let (verdicts, told) = mpsc::unbounded_channel();
        let link = Link {
            opened,
            receiver,
            told,
            verdicts: verdicts.downgrade(),
            arrived: sender,
            read_header: self.read_header,
            stream: self.stream.clone(),
        };
        Ok(Running { arrived, verdicts, task: tokio::spawn(link.serve()) })
    }
}

/// What the link's own task holds.
struct Link {
    opened: Opened,
    receiver: Receiver,
    told: mpsc::UnboundedReceiver<Told>,
    verdicts: mpsc::WeakUnboundedSender<Told>,
    arrived: mpsc::Sender<(Message, Ack)>,
    read_header: bool,
    stream: Arc<str>,
}

impl Link {
    /// Passes messages on and outcomes back, until either side ends.
    async fn serve(mut self) {
        loop {
            let reason = tokio::select! {
                biased;
                told = self.told.recv() => match told {
                    Some(Told::Verdict(delivery, verdict)) => match self.settle(delivery, verdict).await {
                        Ok(()) => continue,
                        Err(fault) => fault.to_string(),
                    },
                    Some(Told::Close) | None => {
                        let _ = tokio::time::timeout(FAREWELL, self.receiver.close()).await;
                        self.opened.leave().await;
                        return;
                    }
                },
                closed = self.opened.connection.on_close() => match closed {
                    Ok(()) => "the server closed the connection".to_owned(),
                    Err(fault) => fault.to_string(),
                },
                delivery = self.receiver.recv::<Body<AmqpAny>>() => match delivery {
                    Ok(delivery) => {
                        let info = DeliveryInfo::from(&delivery);
                        let message = from_amqp(delivery.into_message(), self.read_header);
                        let Some(verdicts) = self.verdicts.upgrade() else { continue };
                        let ack = Ack::new(move |outcome| {
                            let _ = verdicts.send(Told::Verdict(info, verdict(&outcome)));
                        });
                        // There is room for all credit; a reader that is gone gives it back.
                        let _ = self.arrived.send((message, ack)).await;
                        continue;
                    }
                    // It would be as unreadable after a reconnect: the server is told, and what follows is read.
                    Err(RecvError::MessageDecode(fault)) => {
                        let reason = fault.source.to_string();
                        tracing::error!(stream = %self.stream, %reason, "an amqp message that cannot be read is rejected");
                        match self.receiver.reject(fault.info, None).await {
                            Ok(()) => continue,
                            Err(fault) => fault.to_string(),
                        }
                    }
                    Err(fault) => fault.to_string(),
                },
            };
            tracing::warn!(stream = %self.stream, %reason, "amqp connection lost");
            return;
        }
    }

    async fn settle(&self, delivery: DeliveryInfo, verdict: Verdict) -> Result<(), DispositionError> {
        match verdict {
            Verdict::Accept => self.receiver.accept(delivery).await,
            Verdict::Release => self.receiver.release(delivery).await,
            Verdict::Failed => {
                let failed = Modified {
                    delivery_failed: Some(true),
                    undeliverable_here: None,
                    message_annotations: None,
                };
                self.receiver.modify(delivery, failed).await
            }
        }
    }
}

#[async_trait]
impl Input for AmqpInput {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        self.running = None;
        self.running = Some(self.start().await.map_err(ConnectError)?);
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        let Some(running) = &mut self.running else { return Err(ReadError::NotConnected) };
        match running.arrived.recv().await {
            Some((message, ack)) => Ok((vec![message], ack)),
            None => {
                self.running = None;
                Err(ReadError::NotConnected)
            }
        }
    }

    async fn close(&mut self) {
        let Some(Running { arrived, verdicts, task }) = self.running.take() else { return };
        // What nobody has read goes back.
        drop(arrived);
        let _ = verdicts.send(Told::Close);
        drop(verdicts);
        let _ = tokio::time::timeout(FAREWELL * 3, task).await;
    }
}
