//! Definitions and policies in files; and, where a folder is a whole catalog, certificates and clients beside them.

mod disk;
mod load;
mod papers;
mod policies;
mod watch;
mod write;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use apidef::references::Lookup;
use apidef::{Definition, Policy};
use parking_lot::Mutex;
use tokio::sync::mpsc;

pub(super) use self::{disk::is_safe, policies::policy};
use super::{CatalogError, Change, Item, Kind, Loaded, Papers, PolicySource};

/// Everything here is blocking.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) app_path: PathBuf,
    policies: PolicySource,
    /// The folder in which `certificates` and `clients` are, where it is a whole catalog.
    root: Option<PathBuf>,
    cache: Mutex<Cache>,
    /// One writer at a time: a policy file is read, changed and written.
    writing: Mutex<()>,
}

/// What the last load saw.
#[derive(Debug, Default)]
struct Cache {
    definitions: HashMap<PathBuf, load::Entry>,
    policies: HashMap<PathBuf, policies::Entry>,
}

impl Files {
    pub(super) fn new(app_path: PathBuf, policies: PolicySource) -> Files {
        Files { app_path, policies, root: None, cache: Mutex::default(), writing: Mutex::new(()) }
    }

    /// A whole catalog: `apps`, `policies`, `certificates` and `clients` below one folder. A folder that holds
    /// definitions itself is taken as its own `apps`.
    pub(super) fn below(root: &Path) -> Files {
        let apps = root.join("apps");
        let bare = !apps.is_dir() && disk::json_names(root).is_ok_and(|names| !names.is_empty());
        let policies = PolicySource::Folder(root.join("policies"));
        let app_path = if bare { root.to_owned() } else { apps };
        Files { root: Some(root.to_owned()), ..Files::new(app_path, policies) }
    }

    /// Makes the folders of a whole catalog, so that each can be listed and watched.
    pub(super) fn prepare(&self) -> std::io::Result<()> {
        let Some(root) = &self.root else { return Ok(()) };
        std::fs::create_dir_all(&self.app_path)?;
        for folder in ["policies", Kind::Certificate.folder(), Kind::Client.folder()] {
            std::fs::create_dir_all(root.join(folder))?;
        }
        Ok(())
    }

    /// A whole catalog need not have a folder of policies.
    fn lacks_policies(&self) -> bool {
        self.root.as_ref().is_some_and(|root| !root.join("policies").exists())
    }

    /// Whether certificates and clients are kept here.
    pub(super) fn keeps_papers(&self) -> bool {
        self.root.is_some()
    }

    pub(super) fn load(&self, papers: &Papers, lookup: &dyn Lookup) -> Loaded {
        let mut cache = self.cache.lock();
        let mut loaded = Loaded::default();
        load::definitions(&self.app_path, &mut cache.definitions, lookup, &mut loaded);
        if !cache.policies.is_empty() || !self.lacks_policies() {
            policies::load(&self.policies, &mut cache.policies, &mut loaded);
        }
        if let Some(root) = &self.root {
            papers::load(root, papers, &mut loaded);
        }
        loaded
    }

    pub(super) fn put_api(
        &self,
        definition: &Definition,
        over: Option<&Definition>,
    ) -> Result<PathBuf, CatalogError> {
        let _one = self.writing.lock();
        write::put_api(self, definition, over)
    }

    pub(super) fn delete_api(&self, id: &str) -> Result<bool, CatalogError> {
        let _one = self.writing.lock();
        write::delete_api(self, id)
    }

    pub(super) fn put_policy(&self, policy: &Policy) -> Result<PathBuf, CatalogError> {
        let _one = self.writing.lock();
        write::put_policy(self, policy)
    }

    pub(super) fn delete_policy(&self, id: &str) -> Result<bool, CatalogError> {
        let _one = self.writing.lock();
        write::delete_policy(self, id)
    }

    pub(super) fn put_paper(&self, kind: Kind, id: &str, text: &str) -> Result<(), CatalogError> {
        let _one = self.writing.lock();
        papers::put(self.root.as_deref(), kind, id, text)
    }

    pub(super) fn delete_paper(&self, kind: Kind, id: &str) -> Result<bool, CatalogError> {
        let _one = self.writing.lock();
        papers::delete(self.root.as_deref(), kind, id)
    }

    /// Everything in it, as it is written there; what is at fault is an error.
    pub(super) fn items(&self, lookup: &dyn Lookup) -> Result<Vec<Item>, CatalogError> {
        if let Some(root) = &self.root
            && !self.app_path.is_dir()
        {
            return Err(CatalogError::Missing { place: root.display().to_string() });
        }
        let (papers, mut items) = (Papers::default(), Vec::new());
        let loaded = self.load(&papers, lookup);
        loaded.refuse_faults()?;
        for (path, parsed) in &loaded.definitions {
            let Ok(definition) = parsed else { continue };
            let text = disk::read(path).map_err(|source| CatalogError::Io { path: path.clone(), source })?;
            items.push(Item { kind: Kind::Api, id: definition.api.id.as_ref().into(), text });
        }
        if !self.lacks_policies() {
            policies::items(&self.policies, &loaded, &mut items)?;
        }
        items.extend(papers.items());
        Ok(items)
    }

    /// Writes an item as it is, and whole.
    pub(super) fn put_item(&self, item: &Item, lookup: &dyn Lookup) -> Result<(), CatalogError> {
        let _one = self.writing.lock();
        match item.kind {
            Kind::Api => {
                let definition = Definition::read(&item.text, None, lookup)
                    .0
                    .map_err(|faults| CatalogError::of_faults(&item.place(), &faults))?;
                write::put_text(self, &definition, &item.text)
            }
            Kind::Policy => write::put_policy_text(self, &item.id, &item.text),
            kind => papers::put(self.root.as_deref(), kind, &item.id, &item.text),
        }
    }

    pub(super) fn watch(&self) -> mpsc::Receiver<Change> {
        let mut folders = vec![self.app_path.clone()];
        let mut file = None;
        match &self.policies {
            PolicySource::None => {}
            PolicySource::Folder(folder) => folders.push(folder.clone()),
            PolicySource::File(path) => file = Some(path.clone()),
        }
        if let Some(root) = &self.root {
            folders.extend([Kind::Certificate, Kind::Client].map(|kind| root.join(kind.folder())));
        }
        watch::start(&folders, file.as_deref())
    }
}
