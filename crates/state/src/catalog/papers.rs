//! Certificates and clients, kept as texts in memory as they were last loaded: reading one waits for nobody.

use std::{collections::HashMap, sync::Arc};

use parking_lot::RwLock;

use super::{Item, Kind};

pub(super) type PaperMap = HashMap<(Kind, Box<str>), Arc<str>>;

#[derive(Default)]
pub(super) struct Papers(RwLock<PaperMap>);

/// They hold secrets.
impl std::fmt::Debug for Papers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Papers({})", self.0.read().len())
    }
}

impl Papers {
    pub(super) fn get(&self, kind: Kind, id: &str) -> Option<Arc<str>> {
        self.0.read().get(&(kind, Box::from(id))).cloned()
    }

    pub(super) fn ids(&self, kind: Kind) -> Vec<Box<str>> {
        let mut ids: Vec<_> =
            self.0.read().keys().filter(|(other, _)| *other == kind).map(|(_, id)| id.clone()).collect();
        ids.sort_unstable();
        ids
    }

    pub(super) fn of(&self, kind: Kind) -> PaperMap {
        let papers = self.0.read();
        papers
            .iter()
            .filter(|((other, _), _)| *other == kind)
            .map(|(key, text)| (key.clone(), Arc::clone(text)))
            .collect()
    }

    pub(super) fn items(&self) -> Vec<Item> {
        let papers = self.0.read();
        let mut items: Vec<Item> = papers
            .iter()
            .map(|((kind, id), text)| Item { kind: *kind, id: id.clone(), text: text.to_string() })
            .collect();
        items.sort_unstable_by(|one, other| (one.kind, &one.id).cmp(&(other.kind, &other.id)));
        items
    }

    /// Takes what was read; tells whether anything is different.
    pub(super) fn set(&self, read: PaperMap) -> bool {
        let mut papers = self.0.write();
        let differs = *papers != read;
        *papers = read;
        differs
    }

    /// What this process wrote is there at once.
    pub(super) fn put(&self, kind: Kind, id: &str, text: Option<&str>) {
        let key = (kind, Box::from(id));
        match text {
            Some(text) => drop(self.0.write().insert(key, Arc::from(text))),
            None => drop(self.0.write().remove(&key)),
        }
    }
}
