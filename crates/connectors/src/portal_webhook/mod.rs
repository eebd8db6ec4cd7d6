//! Output `portal_webhook`: events for the developers who subscribed to them in the developer portal (streams contract
//! 1.10).
//!
//! [`portal`] asks the portal who has subscribed, [`delivery`] signs events and sends them until they are taken.

mod delivery;
mod portal;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bloblang::Template;
use document::Fault;
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use streams::{
    BuildContext, ConnectError, Default, Field, Kind, Message, Node, Output, OutputSpec, View, WriteError,
};

use self::delivery::{Courier, Event};
use self::portal::{Portal, Subscription};
use crate::http_client::exchange::Exchange;

/// Subscribers that are sent to at once.
const AT_ONCE: usize = 16;

/// Output `portal_webhook`.
pub static OUTPUT: OutputSpec = OutputSpec {
    name: "portal_webhook",
    summary: "Sends messages to the webhooks that developers have subscribed in the Tyk developer portal: signed, sent again when a webhook fails, in order for each.",
    config: Kind::Object(FIELDS),
    build,
};

const FIELDS: &[Field] = &[
    Field::required("portal_url", Kind::Text, "The portal, `http://...` or `https://...`."),
    Field::required("secret", Kind::Text, "The token of the portal's admin API, which lists subscriptions.")
        .secret(),
    Field::required(
        "event_type",
        Kind::Text,
        "The event that messages are. A webhook gets them when this is one of the events that it has subscribed to, letter by letter.",
    ),
    Field::optional(
        "headers",
        Kind::Map(&Kind::Template),
        "Further headers of each request. `Content-Type` is `application/json` if it is not among them.",
    ),
    Field::new(
        "refresh",
        Kind::Duration,
        Default::Text("1m"),
        "How long the portal's answer is used before it is asked again. While the portal is away the last answer is used on.",
    ),
    Field::new("timeout", Kind::Duration, Default::Text("5s"), "How long one request may take."),
    Field::new(
        "retries",
        Kind::Int,
        Default::Int(3),
        "How often a request is sent again when a webhook cannot be reached or answers with 408, 425, 429 or 5xx. Other answers than 2xx are final.",
    ),
    Field::new(
        "retry_period",
        Kind::Duration,
        Default::Text("1s"),
        "The pause before the first repetition; it doubles.",
    ),
    Field::new("max_retry_backoff", Kind::Duration, Default::Text("30s"), "The longest pause."),
    Field::new(
        "on_failure",
        Kind::Choice(&["reject", "drop"]),
        Default::Text("reject"),
        "When a webhook has not taken an event after all repetitions. `reject`: the message is not delivered, so that it comes again (for all of its webhooks), or goes to the next output of a `fallback`: the place for dead letters, without which one dead webhook holds up all others. `drop`: it is told in the log and counts as delivered.",
    ),
];

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Output>, Fault> {
    let egress = context.settings.egress.clone();
    let time = |name: &str| node.duration(name).map(Option::unwrap_or_default);
    let timeout = time("timeout")?;
    if timeout.is_zero() {
        return Err(node.field_fault("timeout", "`timeout` must be longer than no time"));
    }
    let event_type = node.text("event_type")?.into_owned();
    if event_type.is_empty() || event_type.contains(',') {
        return Err(node.field_fault("event_type", "an event is expected: a name without commas"));
    }
    let exchange = Arc::new(Exchange::to(egress, false));
    Ok(Box::new(PortalWebhook {
        portal: Portal::read(node, exchange.clone(), timeout)?,
        courier: Courier {
            exchange,
            timeout,
            retries: u32::try_from(node.count("retries")?).unwrap_or(u32::MAX),
            first: time("retry_period")?,
            longest: time("max_retry_backoff")?,
        },
        event_type,
        headers: headers(node, context)?,
        refresh: time("refresh")?,
        rejects: node.text("on_failure")? == "reject",
        known: Mutex::default(),
    }))
}

fn headers(node: &Node<'_>, context: &BuildContext<'_>) -> Result<Vec<(HeaderName, Template)>, Fault> {
    let read = |(name, template): (String, Template)| match HeaderName::try_from(&name) {
        Ok(name) => Ok((name, template)),
        Err(_) => Err(node.field_fault("headers", format!("`{name}` is no name of a header"))),
    };
    node.templates("headers", context)?.into_iter().map(read).collect()
}

struct PortalWebhook {
    portal: Portal,
    courier: Courier,
    event_type: String,
    headers: Vec<(HeaderName, Template)>,
    refresh: Duration,
    rejects: bool,
    known: Mutex<Option<Known>>,
}

/// What the portal has said last.
#[derive(Clone)]
struct Known {
    asked: Instant,
    subscriptions: Arc<[Subscription]>,
}

impl PortalWebhook {
    /// Who gets the event. Fails only while the portal has never answered.
    async fn subscriptions(&self) -> Result<Arc<[Subscription]>, String> {
        let known = self.known.lock().clone();
        if let Some(known) = &known
            && known.asked.elapsed() < self.refresh
        {
            return Ok(known.subscriptions.clone());
        }
        let subscriptions = match (self.portal.subscriptions(&self.event_type).await, known) {
            (Ok(found), _) => found.into(),
            (Err(fault), Some(known)) => {
                tracing::warn!(%fault, "the portal cannot be asked; its last answer is used");
                known.subscriptions
            }
            (Err(fault), None) => return Err(fault),
        };
        *self.known.lock() = Some(Known { asked: Instant::now(), subscriptions: Arc::clone(&subscriptions) });
        Ok(subscriptions)
    }

    fn headers_of(&self, batch: &[Message], index: usize) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        for (name, template) in &self.headers {
            let value = template.render(&View(batch), index).map_err(|fault| format!("{name}: {fault}"))?;
            let value = HeaderValue::try_from(value).map_err(|_| format!("{name}: not a header's value"))?;
            headers.insert(name.clone(), value);
        }
        Ok(headers)
    }

    /// Sends one message to all who want it.
    async fn send(&self, batch: &[Message], index: usize, to: &[Subscription]) -> Result<(), String> {
        let body = batch.get(index).map(|message| message.bytes().clone()).unwrap_or_default();
        let event = Event::new(body, self.headers_of(batch, index)?);
        let mut deliveries = Vec::with_capacity(to.len());
        for subscription in to {
            deliveries.push(self.courier.deliver(&event, subscription));
        }
        let delivered: Vec<Result<(), String>> =
            futures_util::stream::iter(deliveries).buffer_unordered(AT_ONCE).collect().await;
        let failures: Vec<String> = delivered.into_iter().filter_map(Result::err).collect();
        for failure in &failures {
            tracing::warn!(event = %self.event_type, id = %event.id, %failure, "a webhook of the portal took no event");
        }
        match failures.into_iter().next() {
            Some(failure) if self.rejects => Err(failure),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Output for PortalWebhook {
    async fn connect(&self) -> Result<(), ConnectError> {
        self.subscriptions().await.map(drop).map_err(ConnectError)
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        let subscriptions = self.subscriptions().await.map_err(WriteError::Failed)?;
        for index in 0..batch.len() {
            if let Err(text) = self.send(batch, index, &subscriptions).await {
                // What was not tried yet stays behind, which keeps the order.
                let untried = (index + 1..batch.len())
                    .map(|later| (later, format!("not sent after a failure: {text}")));
                let failed = std::iter::once((index, text.clone())).chain(untried).collect();
                return Err(WriteError::Partial(failed));
            }
        }
        Ok(())
    }

    async fn close(&self) {}
}
