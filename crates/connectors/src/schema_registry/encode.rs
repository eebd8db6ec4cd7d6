//! Processor `schema_registry_encode`.

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bloblang::Template;
use codecs::avro::Unions;
use codecs::registry::Codec;
use document::Fault;
use parking_lot::Mutex;
use streams::{Batch, BuildContext, Message, Node, Processor, View};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::cache::Cache;
use super::client::{Client, Found};
use super::schema::{Change, compile};

/// After a failed question for a newer schema, the next one comes no later.
const AGAIN: Duration = Duration::from_secs(10);

pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Processor>, Fault> {
    let period = node.duration("refresh_period")?.unwrap_or(Duration::from_secs(600));
    if period.is_zero() {
        return Err(node.field_fault("refresh_period", "`refresh_period` must be longer than 0s"));
    }
    Ok(Box::new(Encode {
        client: Arc::new(Client::read(node, context)?),
        subject: node.template("subject", context)?,
        subjects: Cache::new(),
        period,
        unions: if node.boolean("avro_raw_json")? { Unions::Bare } else { Unions::Tagged },
    }))
}

struct Encode {
    client: Arc<Client>,
    subject: Template,
    subjects: Cache<String, Arc<Subject>>,
    period: Duration,
    unions: Unions,
}

/// The latest schema of a subject.
struct Subject {
    latest: Mutex<Arc<Latest>>,
    due: Mutex<Instant>,
    /// Asks whether there is a newer one; ends with the subject.
    asking: Mutex<Option<JoinHandle<()>>>,
}

struct Latest {
    found: Found,
    codec: Codec,
}

/// The schema of the message before, by its subject, or why there is none.
type Last = Option<(String, Result<Arc<Latest>, Arc<str>>)>;

impl Latest {
    async fn of(found: Found) -> Result<Arc<Latest>, String> {
        let codec = compile(found.clone(), Change::default()).await?;
        Ok(Arc::new(Latest { found, codec }))
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        if let Some(task) = self.asking.get_mut() {
            task.abort();
        }
    }
}

impl Encode {
    async fn fetch(&self, subject: &str) -> Result<Arc<Subject>, String> {
        let latest = Latest::of(self.client.latest(subject).await?).await?;
        Ok(Arc::new(Subject {
            latest: Mutex::new(latest),
            due: Mutex::new(Instant::now() + self.period),
            asking: Mutex::new(None),
        }))
    }

    /// The schema to use now. When it is old, the registry is asked meanwhile.
    async fn latest(&self, name: &str) -> Result<Arc<Latest>, Arc<str>> {
        let subject = self.subjects.get(&name.to_owned(), || self.fetch(name)).await?;
        if *subject.due.lock() <= Instant::now() {
            let mut asking = subject.asking.lock();
            if asking.as_ref().is_none_or(JoinHandle::is_finished) {
                let (client, name, period) = (self.client.clone(), name.to_owned(), self.period);
                let subject = Arc::downgrade(&subject);
                *asking = Some(tokio::spawn(async move { refresh(&client, &name, period, &subject).await }));
            }
        }
        let latest = subject.latest.lock().clone();
        Ok(latest)
    }
}

async fn refresh(client: &Client, name: &str, period: Duration, subject: &Weak<Subject>) {
    let known = subject.upgrade().map(|subject| subject.latest.lock().clone());
    let newer = match client.latest(name).await {
        Ok(found) if known.is_some_and(|known| known.found == found) => Ok(None),
        Ok(found) => Latest::of(found).await.map(Some),
        Err(why) => Err(why),
    };
    let Some(subject) = subject.upgrade() else { return };
    let pause = match newer {
        Ok(newer) => {
            if let Some(newer) = newer {
                *subject.latest.lock() = newer;
            }
            period
        }
        Err(why) => {
            tracing::warn!(subject = name, %why, "no newer schema could be had; the known one goes on being used");
            period.min(AGAIN)
        }
    };
    *subject.due.lock() = Instant::now() + pause;
}

#[async_trait]
impl Processor for Encode {
    async fn process(&self, mut batch: Batch) -> Vec<Batch> {
        let subjects: Vec<Result<String, String>> = match self.subject.as_static() {
            Some(_) => Vec::new(),
            None => (0..batch.len())
                .map(|index| {
                    let rendered = self.subject.render(&View(&batch), index);
                    rendered.map_err(|fault| format!("`subject`: {fault}"))
                })
                .collect(),
        };
        let mut last: Last = None;
        for (index, message) in batch.iter_mut().enumerate() {
            let subject = match (self.subject.as_static(), subjects.get(index)) {
                (Some(subject), _) => Ok(subject),
                (None, Some(Ok(subject))) => Ok(subject.as_str()),
                (None, Some(Err(fault))) => Err(fault.clone()),
                (None, None) => Ok(""),
            };
            if let Err(fault) = self.one(message, subject, &mut last).await {
                message.set_error(format!("schema_registry_encode: {fault}"));
            }
        }
        vec![batch]
    }
}

impl Encode {
    async fn one(
        &self,
        message: &mut Message,
        subject: Result<&str, String>,
        last: &mut Last,
    ) -> Result<(), String> {
        let subject = subject?;
        let latest = match last {
            Some((known, latest)) if known == subject => latest.clone(),
            _ => {
                let latest = self.latest(subject).await;
                *last = Some((subject.to_owned(), latest.clone()));
                latest
            }
        };
        let latest = latest.map_err(|why| why.to_string())?;
        latest
            .codec
            .encode(message, latest.found.id, self.unions)
            .map_err(|fault| format!("by the latest schema of `{subject}`: {fault}"))
    }
}
