//! What both sides share: how to reach the brokers, and whether they are reached.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use document::Fault;
use parking_lot::Mutex;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use rdkafka::statistics::Statistics;
use streams::{Egress, Node};
use tokio::sync::watch;

use super::security::Credentials;
use crate::permits::permitted;

/// How long connecting waits for a broker's answer before it says that there is none.
pub(super) const ANSWER: Duration = Duration::from_secs(5);

/// Where a broker listens whose address names no port.
const USUAL_PORT: u16 = 9092;

/// Lets the client library check the names and values of its settings, without connecting.
pub(super) fn check(config: &ClientConfig, node: &Node<'_>) -> Result<(), Fault> {
    match config.create_native_config() {
        Ok(_) => Ok(()),
        // The value stays out of the text: it may be a secret.
        Err(KafkaError::ClientConfig(_, description, setting, _)) => {
            Err(node.fault(format!("the kafka client does not take the setting `{setting}`: {description}")))
        }
        Err(fault) => Err(node.fault(fault.to_string())),
    }
}

/// Whether the egress policy allows the brokers that the configuration names. Of those that they name in turn, see
/// [`Monitor::allows`].
pub(super) async fn permitted_brokers(egress: &Egress, config: &ClientConfig) -> Result<(), String> {
    for broker in config.get("bootstrap.servers").unwrap_or_default().split(',') {
        let place = broker.rsplit_once("://").map_or(broker, |(_, place)| place).trim();
        let (host, port) = match place.rsplit_once(':') {
            // The colons of a bare IPv6 address are no port's.
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().unwrap_or(USUAL_PORT)),
            _ => (place, USUAL_PORT),
        };
        permitted(egress, host, port).await?;
    }
    Ok(())
}

/// Whether the brokers are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Link {
    /// At least one of them has answered.
    Up,
    /// None of them does, and why.
    Down(Arc<str>),
}

/// What the client library tells beside its results: logs, connection errors, and its questions for a token.
pub(super) struct Monitor {
    credentials: Credentials,
    link: watch::Sender<Link>,
    last_error: Mutex<Option<String>>,
    // Of whoever connects; the client's own threads have none.
    runtime: Option<tokio::runtime::Handle>,
    pub(super) stream: Arc<str>,
}

impl Monitor {
    pub(super) fn new(credentials: Credentials, stream: Arc<str>) -> Monitor {
        let link = watch::Sender::new(Link::Down("not connected yet".into()));
        let runtime = tokio::runtime::Handle::try_current().ok();
        Monitor { credentials, link, last_error: Mutex::new(None), runtime, stream }
    }

    /// Follows whether the brokers are reached.
    pub(super) fn watch(&self) -> watch::Receiver<Link> {
        self.link.subscribe()
    }

    pub(super) fn is_up(&self) -> bool {
        *self.link.borrow() == Link::Up
    }

    /// Why none of them is.
    pub(super) fn reason(&self) -> Option<String> {
        match &*self.link.borrow() {
            Link::Up => None,
            Link::Down(reason) => Some(reason.to_string()),
        }
    }

    /// Whether the egress policy allows all brokers that a broker has named. The client library connects to them by itself,
    /// when it needs them, so a client that hears of one that is denied while it connects, or looks for topics, is given up;
    /// what the library hears later by itself is not seen here. Blocks while names are looked up.
    ///
    /// # Errors
    /// Which of them is denied.
    pub(super) fn allows(&self, egress: &Egress, metadata: &Metadata) -> Result<(), String> {
        if egress.allows_all() {
            return Ok(());
        }
        let runtime = self.runtime.as_ref().ok_or("there is no runtime to look names up in")?;
        runtime.block_on(async {
            for broker in metadata.brokers() {
                let port = u16::try_from(broker.port()).unwrap_or(USUAL_PORT);
                permitted(egress, broker.host(), port).await?;
            }
            Ok(())
        })
    }

    /// The egress policy denies a broker.
    pub(super) fn deny(&self, reason: &str) {
        self.link.send_replace(Link::Down(reason.into()));
    }

    pub(super) fn up(&self) {
        if self.is_up() {
            return;
        }
        let news = self.link.send_if_modified(|link| std::mem::replace(link, Link::Up) != Link::Up);
        if news {
            self.last_error.lock().take();
            tracing::info!(stream = %self.stream, "kafka brokers reached");
        }
    }

    /// None of the brokers answers; the last connection error says more than `fault` does.
    pub(super) fn down(&self, fault: &KafkaError) {
        let reason: Arc<str> = self.last_error.lock().clone().unwrap_or_else(|| fault.to_string()).into();
        let was = self.link.send_replace(Link::Down(reason.clone()));
        if was == Link::Up {
            tracing::warn!(stream = %self.stream, %reason, "kafka brokers lost; connecting again");
        }
    }

    /// The client cannot go on, although brokers answer.
    pub(super) fn fail(&self, fault: &KafkaError) {
        self.link.send_replace(Link::Down(fault.to_string().into()));
    }

    /// Handles an error that concerns the client as a whole. Errors of connections are kept, not logged: the client
    /// library repeats them for as long as a broker is away.
    pub(super) fn error(&self, error: &KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) => {}
            Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::Resolve) => {
                *self.last_error.lock() = Some(reason.to_owned());
            }
            _ => {
                *self.last_error.lock() = Some(reason.to_owned());
                tracing::warn!(stream = %self.stream, %reason, "kafka client error");
            }
        }
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor").field("link", &*self.link.borrow()).finish_non_exhaustive()
    }
}

/// The client library's context: the shared part, and what is particular to one side.
pub(super) struct Context<S> {
    pub(super) monitor: Arc<Monitor>,
    pub(super) side: S,
}

/// What a side does with the library's figures; nothing, unless it asks for them.
pub(super) trait Side: Send + Sync {
    fn figures(&self, _: Statistics) {}
}

impl<S: Side> ClientContext for Context<S> {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, _: RDKafkaLogLevel, _: &str, line: &str) {
        tracing::debug!(target: "librdkafka", stream = %self.monitor.stream, "{line}");
    }

    fn stats(&self, figures: Statistics) {
        self.side.figures(figures);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.monitor.error(&error, reason);
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        let runtime = self.monitor.runtime.as_ref().ok_or("there is no runtime to ask for a token in")?;
        let token = self.monitor.credentials.token(runtime);
        if let Err(fault) = &token {
            *self.monitor.last_error.lock() = Some(fault.to_string());
            tracing::warn!(stream = %self.monitor.stream, %fault, "there is no token for kafka");
        }
        token
    }
}

/// Waits until the brokers are reached, for at most [`ANSWER`]; otherwise why not.
pub(super) async fn reached(mut link: watch::Receiver<Link>) -> Result<(), String> {
    let up = link.wait_for(|link| *link == Link::Up);
    if let Ok(Ok(_)) = tokio::time::timeout(ANSWER, up).await {
        return Ok(());
    }
    Err(match &*link.borrow() {
        Link::Up => return Ok(()),
        Link::Down(reason) => format!("no kafka broker answers: {reason}"),
    })
}
