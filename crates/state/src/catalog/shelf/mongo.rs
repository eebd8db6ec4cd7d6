//! A catalog in MongoDB, or in a server that speaks its protocol.
//!
//! Each item is a document of its own, `_id: "KIND/ID"`. No transaction is needed, so a single server will do: the number
//! of a change is drawn before it is made, which makes the document another one, and again after it, which tells the
//! others to look. Who looks in between finds the new document or will look again. What becomes of a change may stay unclear
//! (no answer, no time left): the others are told all the same.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use futures_util::TryStreamExt as _;
use mongodb::{
    Client, Collection, Database,
    bson::{Bson, DateTime, Document, doc},
    error::{Error, ErrorKind, WriteFailure},
    options::{ClientOptions, ConnectionString, ReadConcern, ReturnDocument, WriteConcern},
};
use tokio::sync::OnceCell;

use super::{
    sql::LAYOUT,
    store::{Fresh, Key, Known, Read, STEPS, Trouble},
};
use crate::{
    Secret,
    catalog::{AddressError, CatalogOptions, Item, Kind},
};

/// Documents that are asked for at once.
const DOCUMENTS: usize = 500;
/// Pauses between tries to tell the others of a change, and how long it is tried: by then they compare everything.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);
const TELLING: Duration = Duration::from_secs(60);
/// How long one try may take.
const ONE_CALL: Duration = Duration::from_secs(5);
/// What the server answers when two make the same document.
const DUPLICATE_KEY: i32 = 11_000;

pub(super) struct Mongo {
    url: Secret,
    database: String,
    options: CatalogOptions,
    client: OnceCell<Client>,
    prepared: AtomicBool,
}

/// The address holds the password.
impl fmt::Debug for Mongo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mongo").field("collection", &self.options.name).finish_non_exhaustive()
    }
}

impl Mongo {
    pub(super) fn new(url: &Secret, options: &CatalogOptions) -> Result<Mongo, AddressError> {
        let parsed = ConnectionString::parse(url.expose()).map_err(|error| {
            // The driver quotes what it does not understand.
            let secret = url.expose().contains('@');
            let told = if secret { "it has not the form of a MongoDB URL".to_owned() } else { told(&error) };
            AddressError::Unusable(told)
        })?;
        let database = parsed.default_database.ok_or(AddressError::NoDatabase)?;
        Ok(Mongo {
            url: url.clone(),
            database,
            options: options.clone(),
            client: OnceCell::new(),
            prepared: AtomicBool::new(false),
        })
    }

    pub(super) fn doubt(&self) {
        self.prepared.store(false, Ordering::Release);
    }

    async fn database(&self) -> Result<Database, Trouble> {
        let connect = async || {
            let mut options = ClientOptions::parse(self.url.expose()).await?;
            options.app_name.get_or_insert_with(|| "sluicegate".to_owned());
            options.server_selection_timeout = Some(self.options.timeout);
            options.connect_timeout = Some(self.options.timeout);
            options.max_pool_size = Some(4);
            // What was acknowledged is there after a failover, and what is read will not be undone by one.
            options.write_concern.get_or_insert_with(WriteConcern::majority);
            options.read_concern.get_or_insert_with(ReadConcern::majority);
            Client::with_options(options)
        };
        let client = self.client.get_or_try_init(connect).await.map_err(|error| trouble(&error))?;
        Ok(client.database(&self.database))
    }

    async fn items(&self) -> Result<Collection<Document>, Trouble> {
        Ok(self.database().await?.collection(&self.options.name))
    }

    async fn heads(&self) -> Result<Collection<Document>, Trouble> {
        Ok(self.database().await?.collection(&format!("{}_head", self.options.name)))
    }

    /// Looks for the head; makes it where that is wanted.
    async fn prepare(&self) -> Result<(), Trouble> {
        if self.prepared.load(Ordering::Acquire) {
            return Ok(());
        }
        let heads = self.heads().await?;
        let mut head = heads.find_one(only()).await.map_err(|error| trouble(&error))?;
        if head.is_none() {
            if !self.options.create {
                return Err(Trouble::Missing);
            }
            let fresh = doc! { "$setOnInsert": { "layout": LAYOUT, "revision": 0_i64 } };
            match heads.update_one(only(), fresh).upsert(true).await {
                Err(error) if !is_duplicate(&error) => return Err(trouble(&error)),
                _ => {}
            }
            head = heads.find_one(only()).await.map_err(|error| trouble(&error))?;
        }
        super::sql::check_layout(head.as_ref().and_then(|head| whole(head, "layout")).unwrap_or_default())?;
        self.prepared.store(true, Ordering::Release);
        Ok(())
    }

    pub(super) async fn head(&self) -> Result<i64, Trouble> {
        self.prepare().await?;
        let head = self.heads().await?.find_one(only()).await.map_err(|error| trouble(&error))?;
        revision(head)
    }

    /// Makes a change under a number of its own, and tells the others.
    async fn change<T>(
        &self,
        make: impl AsyncFnOnce(Collection<Document>, i64) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        self.prepare().await?;
        let heads = self.heads().await?;
        let items = self.items().await?;
        let revision = draw(&heads).await?;
        // From here on something may have changed, also where this is given up in the middle.
        let owed = Owed { heads: Some(heads) };
        let made = make(items, revision).await;
        if matches!(made, Err(Trouble::Changed)) {
            owed.forget();
        } else {
            owed.tell().await;
        }
        made
    }

    pub(super) async fn read(&self, known_head: i64, known: &Known<'_>) -> Result<Option<Read>, Trouble> {
        // First, so that what comes later is found by the next load.
        let head = self.head().await?;
        if head == known_head {
            return Ok(None);
        }
        self.try_read(head, known).await.map(Some).map_err(|error| trouble(&error))
    }

    async fn try_read(&self, head: i64, known: &Known<'_>) -> Result<Read, Error> {
        let items = self.items().await.map_err(|trouble| Error::custom(trouble.to_string()))?;
        let mut wanted = Vec::new();
        let keys = all_keys(&items, |found, (kind, id, revision)| {
            if known(kind, id) != Some(*revision) {
                wanted.extend(found.get("_id").cloned());
            }
        });
        let keys = keys.await?;
        let mut fresh = Vec::with_capacity(wanted.len());
        for some in wanted.chunks(DOCUMENTS) {
            let mut found = items.find(doc! { "_id": { "$in": some.to_vec() } }).await?;
            while let Some(found) = found.try_next().await? {
                let (kind, id) = key(&found);
                let text = found.get_str("text").map(str::to_owned);
                let text = text.map_err(|_| "this document has no `text` that is a string".to_owned());
                fresh.push(Fresh { kind, id, text });
            }
        }
        Ok(Read { head, keys, fresh })
    }

    pub(super) async fn keys(&self) -> Result<Vec<Key>, Trouble> {
        self.prepare().await?;
        let items = self.items().await?;
        all_keys(&items, |_, _| {}).await.map_err(|error| trouble(&error))
    }

    pub(super) async fn put(
        &self,
        kind: &str,
        id: &str,
        text: &str,
        expected: Option<i64>,
    ) -> Result<(), Trouble> {
        let mut filter = doc! { "_id": format!("{kind}/{id}") };
        if let Some(expected) = expected {
            filter.insert("revision", expected);
        }
        self.change(async |items, revision| write(&items, filter, text, revision, expected.is_none()).await)
            .await
    }

    pub(super) async fn delete(&self, kind: &str, id: &str) -> Result<bool, Trouble> {
        let filter = doc! { "_id": format!("{kind}/{id}") };
        let gone =
            self.change(async |items, _| items.delete_one(filter).await.map_err(|error| trouble(&error)));
        Ok(gone.await?.deleted_count > 0)
    }

    /// One after the other: what fails in the middle leaves whole documents, and can be done again.
    pub(super) async fn write_all(&self, put: &[Item], remove: &[(Kind, Box<str>)]) -> Result<(), Trouble> {
        let all = self.change(async |items, revision| {
            for item in put {
                write(&items, doc! { "_id": item.place() }, &item.text, revision, true).await?;
            }
            for (kind, id) in remove {
                let filter = doc! { "_id": format!("{kind}/{id}") };
                items.delete_one(filter).await.map_err(|error| trouble(&error))?;
            }
            Ok(())
        });
        all.await
    }
}

/// The others have to be told of a change. Dropped, it does so aside: who changed something may have run out of time.
struct Owed {
    heads: Option<Collection<Document>>,
}

impl Owed {
    /// Nothing was changed.
    fn forget(mut self) {
        self.heads = None;
    }

    /// Tells them now, or aside where that fails.
    async fn tell(mut self) {
        if let Some(heads) = &self.heads
            && draw(heads).await.is_ok()
        {
            self.heads = None;
        }
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        let Some(heads) = self.heads.take() else { return };
        // Without a runtime the process ends; the others find out by comparing.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let begun = Instant::now();
            let mut pause = FIRST;
            while begun.elapsed() < TELLING {
                match tokio::time::timeout(ONE_CALL, draw(&heads)).await {
                    Ok(Ok(_)) => return,
                    Ok(Err(trouble)) => {
                        tracing::debug!(%trouble, "a change of the catalog is not called out yet")
                    }
                    Err(_) => {}
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST);
            }
            tracing::warn!(
                "a change of the catalog was not called out; other nodes find it when they compare all"
            );
        });
    }
}

/// The number of the next change.
async fn draw(heads: &Collection<Document>) -> Result<i64, Trouble> {
    let step = rand::random_range(1..=STEPS);
    let next = heads
        .find_one_and_update(only(), doc! { "$inc": { "revision": step } })
        .return_document(ReturnDocument::After);
    revision(next.await.map_err(|error| trouble(&error))?)
}

/// Every key, and each document on the way.
async fn all_keys(
    items: &Collection<Document>,
    mut each: impl FnMut(&Document, &Key),
) -> Result<Vec<Key>, Error> {
    let mut keys = Vec::new();
    let mut all = items.find(doc! {}).projection(doc! { "revision": 1 }).await?;
    while let Some(found) = all.try_next().await? {
        let (kind, id) = key(&found);
        let key = (kind, id, whole(&found, "revision").unwrap_or_default());
        each(&found, &key);
        keys.push(key);
    }
    Ok(keys)
}

async fn write(
    items: &Collection<Document>,
    filter: Document,
    text: &str,
    revision: i64,
    upsert: bool,
) -> Result<(), Trouble> {
    let change = doc! { "$set": { "text": text, "revision": revision, "changed_at": DateTime::now() } };
    let attempt = || items.update_one(filter.clone(), change.clone()).upsert(upsert);
    let done = match attempt().await {
        // Somebody else made it in this moment: now it is there.
        Err(error) if is_duplicate(&error) => attempt().await,
        done => done,
    };
    let done = done.map_err(|error| trouble(&error))?;
    if done.matched_count == 0 && done.upserted_id.is_none() { Err(Trouble::Changed) } else { Ok(()) }
}

fn only() -> Document {
    doc! { "_id": "head" }
}

fn revision(head: Option<Document>) -> Result<i64, Trouble> {
    let revision = head.as_ref().and_then(|head| whole(head, "revision"));
    revision.ok_or_else(|| Trouble::Away("the head of the catalog is gone".to_owned()))
}

/// A number, however somebody's shell wrote it.
fn whole(document: &Document, name: &str) -> Option<i64> {
    match document.get(name)? {
        Bson::Int64(number) => Some(*number),
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Double(number) => Some(*number as i64),
        _ => None,
    }
}

/// Kind and id.
fn key(document: &Document) -> (String, String) {
    match document.get("_id") {
        Some(Bson::String(key)) => match key.split_once('/') {
            Some((kind, id)) => (kind.to_owned(), id.to_owned()),
            None => (String::new(), key.clone()),
        },
        Some(other) => (String::new(), other.to_string()),
        None => Default::default(),
    }
}

fn is_duplicate(error: &Error) -> bool {
    match &*error.kind {
        ErrorKind::Write(WriteFailure::WriteError(error)) => error.code == DUPLICATE_KEY,
        ErrorKind::Command(error) => error.code == DUPLICATE_KEY,
        _ => false,
    }
}

fn trouble(error: &Error) -> Trouble {
    Trouble::Away(told(error))
}

/// What happened, without the driver's own state in it.
fn told(error: &Error) -> String {
    match &*error.kind {
        ErrorKind::ServerSelection { .. } => "no server of this address answers".to_owned(),
        ErrorKind::Command(error) => error.message.clone(),
        ErrorKind::Write(WriteFailure::WriteError(error)) => error.message.clone(),
        ErrorKind::Authentication { message, .. } => format!("the login was refused: {message}"),
        kind => kind.to_string(),
    }
}
