//! One connection to a broker, and the task that drives it.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bloblang::Value;
use bytes::Bytes;
use streams::Message;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::task::JoinHandle;

use super::room::Room;
use super::settings::{Address, Settings, Transport};
use super::{v4, v5};
use crate::addresses::shown;

/// How long taking leave may take: the last acknowledgements go out before it.
const FAREWELL: Duration = Duration::from_secs(5);

/// A message that the broker sent.
pub(super) struct Incoming {
    pub(super) topic: Bytes,
    pub(super) payload: Bytes,
    pub(super) qos: u8,
    pub(super) duplicate: bool,
    pub(super) retained: bool,
    pub(super) id: u16,
    /// Version 5 only.
    pub(super) properties: Vec<(String, String)>,
    /// What tells the broker that it is done; none for quality of service 0.
    pub(super) token: Option<Token>,
    /// Given back when the stream has taken the message.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

impl Incoming {
    /// The message as the stream sees it (contract 2.8).
    pub(super) fn into_message(self) -> Message {
        let mut message = Message::new(self.payload);
        // Properties first: what the client tells of the message itself wins (5.2).
        for (name, value) in self.properties {
            message.set_meta(name, value);
        }
        message.set_meta("mqtt_duplicate", self.duplicate);
        message.set_meta("mqtt_qos", i64::from(self.qos));
        message.set_meta("mqtt_retained", self.retained);
        message.set_meta("mqtt_topic", Value::from(&*String::from_utf8_lossy(&self.topic)));
        message.set_meta("mqtt_message_id", i64::from(self.id));
        message
    }
}

/// Names a message to the client library.
pub(super) enum Token {
    V4(rumqttc_v4::ManualAck),
    V5(rumqttc_v5::ManualAck),
}

/// What one turn of the client library brought.
pub(super) enum Turn {
    Connected,
    Message(Box<Incoming>),
    Other,
}

/// Why a message was not published.
pub(super) enum PublishFault {
    /// The connection ended before the broker confirmed it.
    Lost,
    /// The broker, or the client library, will not have it.
    Refused(String),
}

/// Resolves when the broker has confirmed a message.
pub(super) type Receipt = Pin<Box<dyn Future<Output = Result<(), PublishFault>> + Send>>;

/// A message to publish.
pub(super) struct Outgoing {
    pub(super) topic: String,
    pub(super) payload: Bytes,
    pub(super) qos: u8,
    pub(super) retain: bool,
}

#[derive(Clone)]
pub(super) enum Client {
    V4(rumqttc_v4::AsyncClient),
    V5(rumqttc_v5::AsyncClient),
}

pub(super) enum Engine {
    V4(Box<rumqttc_v4::EventLoop>),
    V5(Box<rumqttc_v5::EventLoop>),
}

impl Engine {
    async fn turn(&mut self) -> Result<Turn, String> {
        match self {
            Engine::V4(engine) => v4::turn(engine).await,
            Engine::V5(engine) => v5::turn(engine).await,
        }
    }
}

impl Client {
    /// Hands a message to the connection; in the order of the calls.
    pub(super) async fn publish(&self, outgoing: Outgoing) -> Result<Receipt, PublishFault> {
        match self {
            Client::V4(client) => v4::publish(client, outgoing).await,
            Client::V5(client) => v5::publish(client, outgoing).await,
        }
    }

    /// Subscribes; `Ok` when the broker granted all of it.
    pub(super) async fn subscribe(&self, topics: &[String], qos: u8) -> Result<(), String> {
        match self {
            Client::V4(client) => v4::subscribe(client, topics, qos).await,
            Client::V5(client) => v5::subscribe(client, topics, qos).await,
        }
    }

    /// Ends subscriptions; returns when nothing more comes, or the broker does not say so in time.
    pub(super) async fn unsubscribe(self, topics: Vec<String>) {
        let told = async {
            match &self {
                Client::V4(client) => v4::unsubscribe(client, topics).await,
                Client::V5(client) => v5::unsubscribe(client, topics).await,
            }
        };
        let _ = tokio::time::timeout(FAREWELL, told).await;
    }

    async fn acknowledge(&self, token: Token) {
        // An acknowledgement that cannot be sent means that the connection is gone: the message comes again.
        match (self, token) {
            (Client::V4(client), Token::V4(token)) => drop(client.manual_ack(token).await),
            (Client::V5(client), Token::V5(token)) => drop(client.manual_ack(token).await),
            _ => {}
        }
    }

    async fn leave(&self) {
        match self {
            Client::V4(client) => drop(client.disconnect_with_timeout(FAREWELL).await),
            Client::V5(client) => drop(client.disconnect_with_timeout(FAREWELL).await),
        }
    }
}

/// What the acknowledging task is told, in this order.
enum Order {
    Acknowledge(Token),
    Leave,
}

/// Takes acknowledgements from anywhere without waiting. Bounded by the messages that the broker has sent.
#[derive(Clone)]
pub(super) struct Acknowledger(mpsc::UnboundedSender<Order>);

impl Acknowledger {
    pub(super) fn acknowledge(&self, token: Token) {
        let _ = self.0.send(Order::Acknowledge(token));
    }
}

/// A connection. Dropping it ends it without taking leave.
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) incoming: mpsc::UnboundedReceiver<Incoming>,
    pub(super) acknowledger: Acknowledger,
    ended: watch::Receiver<Option<Arc<str>>>,
    driver: JoinHandle<()>,
}

impl Link {
    /// Connects to the first broker that answers.
    pub(super) async fn connect(settings: &Settings) -> Result<Link, String> {
        let mut faults = Vec::new();
        for address in &settings.addresses {
            match tokio::time::timeout(settings.connect_timeout, open(settings, address)).await {
                Ok(Ok(link)) => return Ok(link),
                Ok(Err(fault)) => faults.push(format!("{}: {fault}", shown(&address.url))),
                Err(_) => faults.push(format!("{}: no answer in time", shown(&address.url))),
            }
        }
        Err(format!("no mqtt broker could be reached: {}", faults.join("; ")))
    }

    /// Why the connection ended, once it has.
    pub(super) fn reason(&self) -> Option<Arc<str>> {
        self.ended.borrow().clone()
    }

    pub(super) fn is_up(&self) -> bool {
        self.ended.borrow().is_none()
    }

    /// Sends what is still to be acknowledged, takes leave, and waits until both are done.
    pub(super) async fn leave(&mut self) {
        let _ = self.acknowledger.0.send(Order::Leave);
        // Nobody takes messages any more: the driver must not wait for that.
        self.incoming.close();
        while self.incoming.try_recv().is_ok() {}
        let _ = tokio::time::timeout(FAREWELL, &mut self.driver).await;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

async fn open(settings: &Settings, address: &Address) -> Result<Link, String> {
    let tls = match address.transport {
        Transport::Tls | Transport::Wss => Some(settings.tls.config().await?),
        Transport::Tcp | Transport::Ws => None,
    };
    let (client, mut engine) =
        if settings.five { v5::make(settings, address, tls)? } else { v4::make(settings, address, tls)? };
    let (to, incoming) = mpsc::unbounded_channel();
    let mut room = Room::new(settings.keepalive);
    // A broker that knows us may send before it is asked to.
    loop {
        match engine.turn().await? {
            Turn::Connected => break,
            Turn::Message(message) => drop(to.send(*message)),
            Turn::Other => {}
        }
    }
    let (end, ended) = watch::channel(None);
    let driver = tokio::spawn(async move {
        let reason = drive(&mut engine, &to, &mut room).await;
        end.send_replace(Some(reason.into()));
    });
    let (orders, mut ordered) = mpsc::unbounded_channel();
    tokio::spawn({
        let client = client.clone();
        async move {
            while let Some(order) = ordered.recv().await {
                match order {
                    Order::Acknowledge(token) => client.acknowledge(token).await,
                    Order::Leave => return client.leave().await,
                }
            }
        }
    });
    Ok(Link { client, incoming, acknowledger: Acknowledger(orders), ended, driver })
}

/// Drives the connection until it ends; says why.
async fn drive(engine: &mut Engine, to: &mpsc::UnboundedSender<Incoming>, room: &mut Room) -> String {
    loop {
        match engine.turn().await {
            Ok(Turn::Message(mut message)) => {
                // Of the others no more can wait than the protocol has numbers for, which the broker's own window bounds
                // much lower.
                if message.qos == 0 {
                    message.permit = tokio::select! {
                        permit = room.place() => permit,
                        () = to.closed() => None,
                    };
                    if let Some(messages) = room.dropped() {
                        tracing::warn!(
                            messages,
                            "the stream takes too few mqtt messages: some of qos 0 are dropped"
                        );
                    }
                    if message.permit.is_none() {
                        continue;
                    }
                }
                // When nobody takes it any more, it is not acknowledged either.
                let _ = to.send(*message);
            }
            Ok(Turn::Connected | Turn::Other) => {}
            Err(reason) => return reason,
        }
    }
}
