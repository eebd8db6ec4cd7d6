//! Where definitions and policies lie, and, where one is set up for them, certificates and clients of OAuth 2.0
//! servers: files that others of this kind read and write as well (contract 2, 3.1, 6.3), or a database that many
//! nodes share.
//!
//! - [`files`]: a folder of definitions and one of policies, or one folder for everything.
//! - [`shelf`]: rows of PostgreSQL or SQLite, or documents of MongoDB.

mod address;
mod error;
mod files;
mod items;
mod loaded;
mod papers;
mod parallel;
mod shelf;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use apidef::references::{Lookup, Nobody};
use apidef::{Definition, Policy};
use document::Fault;
use tokio::sync::mpsc;

pub use self::{
    address::{Address, AddressError},
    error::CatalogError,
    items::{Item, Kind},
    loaded::{Change, Loaded, Parsed},
};
use self::{files::Files, papers::Papers, shelf::Shelf};
use crate::Health;

/// Where policies lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicySource {
    /// There are none.
    None,
    /// One file: a map from id to policy (`policies.policy_record_name`).
    File(PathBuf),
    /// A folder of `<id>.json` (`policies.policy_path`).
    Folder(PathBuf),
}

impl PolicySource {
    /// A folder or a file, as `path` is or, where it is neither yet, as its name says (`*.json` is a file). Blocking.
    pub fn at(path: &Path) -> PolicySource {
        let file =
            path.is_file() || (!path.is_dir() && path.extension().is_some_and(|ending| ending == "json"));
        if file { PolicySource::File(path.to_owned()) } else { PolicySource::Folder(path.to_owned()) }
    }
}

/// How a database is used as a catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogOptions {
    /// The table or collection; several catalogs can be in one database.
    pub name: String,
    /// How long one call to the database may take.
    pub timeout: Duration,
    /// How often the database is asked whether anything changed.
    pub poll: Duration,
    /// How often the numbers of all rows are compared with what was loaded: the longest time for which a change can stay
    /// unseen that nobody told of.
    pub compare: Duration,
    /// Whether a database, a table or a folder that is not there is made.
    pub create: bool,
}

impl Default for CatalogOptions {
    fn default() -> CatalogOptions {
        CatalogOptions {
            name: "sluicegate_catalog".to_owned(),
            timeout: Duration::from_secs(5),
            poll: Duration::from_millis(500),
            compare: Duration::from_secs(30),
            create: true,
        }
    }
}

/// Definitions, policies, and perhaps certificates and clients. Cloning costs one reference count; clones share what
/// was loaded.
#[derive(Clone, Debug)]
pub struct Catalog(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    home: Home,
    papers: Papers,
    /// Only APIs with one of these tags are loaded; empty: all.
    tags: Box<[Box<str>]>,
    /// Who knows values that definitions refer to.
    lookup: Arc<dyn Lookup>,
    /// Where it is, without secrets.
    shown: String,
}

#[derive(Debug)]
enum Home {
    Files(Files),
    Shelf(Arc<Shelf>),
}

impl Catalog {
    fn new(home: Home, shown: String) -> Catalog {
        let lookup = Arc::new(Nobody);
        Catalog(Arc::new(Inner { home, papers: Papers::default(), tags: Box::default(), lookup, shown }))
    }

    /// The catalog of `<app_path>/*.json` (not of its subfolders) and of the policies.
    pub fn files(app_path: impl Into<PathBuf>, policies: PolicySource) -> Catalog {
        let app_path = app_path.into();
        let shown = app_path.display().to_string();
        Catalog::new(Home::Files(Files::new(app_path, policies)), shown)
    }

    /// The catalog at an address. Nothing is connected before it is first used. Blocking for an instant where it is a
    /// folder.
    ///
    /// # Errors
    /// When the address or a name cannot be used, in words without secrets.
    pub fn open(address: &Address, options: &CatalogOptions) -> Result<Catalog, AddressError> {
        let home = match address {
            Address::Folder(folder) => {
                let files = Files::below(folder);
                if options.create {
                    files.prepare().map_err(|error| {
                        AddressError::Unusable(format!("cannot make {}: {error}", folder.display()))
                    })?;
                }
                Home::Files(files)
            }
            _ => Home::Shelf(Arc::new(Shelf::new(address, options)?)),
        };
        Ok(Catalog::new(home, address.to_string()))
    }

    /// Loads only APIs with one of these tags. For a catalog that nobody has a clone of yet.
    #[must_use]
    pub fn with_tags(self, tags: &[String]) -> Catalog {
        match Arc::try_unwrap(self.0) {
            Ok(inner) => {
                let tags = tags.iter().map(|tag| tag.as_str().into()).collect();
                Catalog(Arc::new(Inner { tags, ..inner }))
            }
            Err(shared) => Catalog(shared),
        }
    }

    /// Asks for values that definitions refer to. For a catalog that nobody has a clone of yet.
    #[must_use]
    pub fn with_lookup(self, lookup: Arc<dyn Lookup>) -> Catalog {
        match Arc::try_unwrap(self.0) {
            Ok(inner) => Catalog(Arc::new(Inner { lookup, ..inner })),
            Err(shared) => Catalog(shared),
        }
    }

    /// The engine, in one word.
    pub fn engine(&self) -> &'static str {
        match &self.0.home {
            Home::Files(_) => "files",
            Home::Shelf(shelf) => shelf.engine(),
        }
    }

    /// Where it is, without secrets.
    pub fn place(&self) -> &str {
        &self.0.shown
    }

    /// Whether the database answers; `None` for files, which cannot be away as a whole.
    pub fn health(&self) -> Option<Health> {
        match &self.0.home {
            Home::Files(_) => None,
            Home::Shelf(shelf) => Some(shelf.health()),
        }
    }

    /// Reads what changed since the last load: what is unchanged keeps its very [`Definition`]. Parses on all cores.
    pub async fn load(&self) -> Loaded {
        let inner = Arc::clone(&self.0);
        let loaded = match &self.0.home {
            Home::Files(_) => {
                let run = move || match &inner.home {
                    Home::Files(files) => files.load(&inner.papers, &*inner.lookup),
                    Home::Shelf(_) => Loaded::default(),
                };
                tokio::task::spawn_blocking(run).await.unwrap_or_else(|error| self.broken(&error.to_string()))
            }
            Home::Shelf(shelf) => shelf.load(&self.0.papers, &self.0.lookup).await,
        };
        self.select(loaded)
    }

    /// Leaves out what is for other nodes.
    fn select(&self, mut loaded: Loaded) -> Loaded {
        let tags = &self.0.tags;
        if !tags.is_empty() {
            loaded.definitions.retain(|(_, parsed)| match parsed {
                Ok(definition) => definition.api.tags.iter().any(|tag| tags.contains(tag)),
                Err(_) => true,
            });
        }
        loaded
    }

    fn broken(&self, reason: &str) -> Loaded {
        let fault = Fault::error("", format!("the catalog could not be loaded: {reason}"));
        let definitions = vec![(PathBuf::from(self.place()), Err(vec![fault]))];
        Loaded { definitions, complete: false, ..Loaded::default() }
    }

    /// Writes a definition; returns the file that its text is in (the one it came from, or `<id>.json` and
    /// `<id>-oas.json`, contract 3.1), or its row. Readers see the old or the new content, never a part.
    ///
    /// What was made of another definition, `over`, is written only where that one is still there.
    ///
    /// # Errors
    /// [`CatalogError::Changed`] where it is not, and whatever else prevents it.
    pub async fn put_api(
        &self,
        definition: &Definition,
        over: Option<&Definition>,
    ) -> Result<PathBuf, CatalogError> {
        match &self.0.home {
            Home::Shelf(shelf) => shelf.put_api(definition, over).await,
            Home::Files(_) => {
                let (definition, over) = (definition.clone(), over.cloned());
                self.write(move |files| files.put_api(&definition, over.as_ref())).await
            }
        }
    }

    /// Removes a definition and its companions; tells whether there was one.
    ///
    /// # Errors
    /// Whatever prevents it.
    pub async fn delete_api(&self, id: &str) -> Result<bool, CatalogError> {
        match &self.0.home {
            Home::Shelf(shelf) => shelf.delete(Kind::Api, id).await,
            Home::Files(_) => {
                let id = id.to_owned();
                self.write(move |files| files.delete_api(&id)).await
            }
        }
    }

    /// Writes a policy; returns its file or row.
    ///
    /// # Errors
    /// Whatever prevents it.
    pub async fn put_policy(&self, policy: &Policy) -> Result<PathBuf, CatalogError> {
        match &self.0.home {
            Home::Shelf(shelf) => shelf.put_policy(policy).await,
            Home::Files(_) => {
                let policy = policy.clone();
                self.write(move |files| files.put_policy(&policy)).await
            }
        }
    }

    /// Removes a policy; tells whether there was one.
    ///
    /// # Errors
    /// Whatever prevents it.
    pub async fn delete_policy(&self, id: &str) -> Result<bool, CatalogError> {
        match &self.0.home {
            Home::Shelf(shelf) => shelf.delete(Kind::Policy, id).await,
            Home::Files(_) => {
                let id = id.to_owned();
                self.write(move |files| files.delete_policy(&id)).await
            }
        }
    }

    /// Whether certificates and clients are kept here; else they lie in the state.
    pub fn keeps_papers(&self) -> bool {
        match &self.0.home {
            Home::Files(files) => files.keeps_papers(),
            Home::Shelf(_) => true,
        }
    }

    /// A certificate or client, as it was last loaded or written here.
    pub fn paper(&self, kind: Kind, id: &str) -> Option<Arc<str>> {
        self.0.papers.get(kind, id)
    }

    /// The ids of all certificates or clients, in order.
    pub fn papers(&self, kind: Kind) -> Vec<Box<str>> {
        self.0.papers.ids(kind)
    }

    /// Writes a certificate or client.
    ///
    /// # Errors
    /// Where it keeps none, and whatever else prevents it.
    pub async fn put_paper(&self, kind: Kind, id: &str, text: &str) -> Result<(), CatalogError> {
        match &self.0.home {
            Home::Shelf(shelf) => shelf.put(kind, id, text).await?,
            Home::Files(_) => {
                let (id, text) = (id.to_owned(), text.to_owned());
                self.write(move |files| files.put_paper(kind, &id, &text)).await?;
            }
        }
        self.0.papers.put(kind, id, Some(text));
        Ok(())
    }

    /// Removes a certificate or client; tells whether there was one.
    ///
    /// # Errors
    /// Where it keeps none, and whatever else prevents it.
    pub async fn delete_paper(&self, kind: Kind, id: &str) -> Result<bool, CatalogError> {
        let found = match &self.0.home {
            Home::Shelf(shelf) => shelf.delete(kind, id).await?,
            Home::Files(_) => {
                let id = id.to_owned();
                self.write(move |files| files.delete_paper(kind, &id)).await?
            }
        };
        self.0.papers.put(kind, id, None);
        Ok(found)
    }

    /// Everything in it as it is written there, sorted by kind and id.
    ///
    /// # Errors
    /// When anything in it is at fault, or it cannot be read.
    pub async fn items(&self) -> Result<Vec<Item>, CatalogError> {
        let mut items = match &self.0.home {
            Home::Shelf(shelf) => shelf.items(&*self.0.lookup).await?,
            Home::Files(_) => {
                let lookup = Arc::clone(&self.0.lookup);
                self.write(move |files| files.items(&*lookup)).await?
            }
        };
        items.sort_by(|one, other| (one.kind, &one.id).cmp(&(other.kind, &other.id)));
        Ok(items)
    }

    /// Writes items as they are and removes others: in PostgreSQL and SQLite all at once, elsewhere each as a whole.
    ///
    /// # Errors
    /// Whatever prevents it.
    pub async fn write_items(
        &self,
        put: Vec<Item>,
        remove: Vec<(Kind, Box<str>)>,
    ) -> Result<(), CatalogError> {
        match &self.0.home {
            Home::Shelf(shelf) => shelf.write_items(&put, &remove).await,
            Home::Files(_) => {
                let lookup = Arc::clone(&self.0.lookup);
                self.write(move |files| {
                    for item in &put {
                        files.put_item(item, &*lookup)?;
                    }
                    for (kind, id) in &remove {
                        match kind {
                            Kind::Api => files.delete_api(id)?,
                            Kind::Policy => files.delete_policy(id)?,
                            kind => files.delete_paper(*kind, id)?,
                        };
                    }
                    Ok(())
                })
                .await
            }
        }
    }

    /// Tells when something changed, until the receiver is dropped. Bursts within some 20 ms are told as one. Of files
    /// it also sees those that are replaced by renaming, and folders that are created or replaced later; of a database
    /// that it is back.
    ///
    /// Call it before the first [`Catalog::load`], so that no change falls between the two, and within a runtime.
    /// Blocking for an instant.
    pub fn watch(&self) -> mpsc::Receiver<Change> {
        match &self.0.home {
            Home::Files(files) => files.watch(),
            Home::Shelf(shelf) => shelf.watch(),
        }
    }

    /// Runs blocking work on files.
    async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Files) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let inner = Arc::clone(&self.0);
        let io = |reason: String| CatalogError::Io {
            path: PathBuf::from(self.place()),
            source: std::io::Error::other(reason),
        };
        let run = move || match &inner.home {
            Home::Files(files) => Some(write(files)),
            Home::Shelf(_) => None,
        };
        match tokio::task::spawn_blocking(run).await {
            Ok(Some(result)) => result,
            Ok(None) => Err(io("this catalog is not in files".to_owned())),
            Err(error) => Err(io(error.to_string())),
        }
    }
}
