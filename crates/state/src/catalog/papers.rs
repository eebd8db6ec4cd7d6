//! Certificates and clients, kept as texts in memory as they were last loaded: reading one waits for nobody.

use std::{collections::HashMap, sync::Arc};

use parking_lot::RwLock;

use super::{Item, Kind};

pub(super) type PaperMap = HashMap<(Kind, Box<str>), Arc<str>>;

#[derive(Default)]
pub(super) struct Papers(RwLock<Kept>);

#[derive(Default)]
struct Kept {
    texts: PaperMap,
    /// How often this process wrote one.
    writes: u64,
    /// Which write was the last of a paper; of those only that no later load has seen.
    written: HashMap<(Kind, Box<str>), u64>,
}

/// What became of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    /// Something is another than before.
    pub(super) changed: bool,
    /// Something that was read is older than what this process wrote meanwhile, or newer: it has to be read again.
    pub(super) overlapped: bool,
}

/// They hold secrets.
impl std::fmt::Debug for Papers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Papers({})", self.0.read().texts.len())
    }
}

impl Papers {
    pub(super) fn get(&self, kind: Kind, id: &str) -> Option<Arc<str>> {
        self.0.read().texts.get(&(kind, Box::from(id))).cloned()
    }

    pub(super) fn ids(&self, kind: Kind) -> Vec<Box<str>> {
        let mut ids: Vec<_> = self
            .0
            .read()
            .texts
            .keys()
            .filter(|(other, _)| *other == kind)
            .map(|(_, id)| id.clone())
            .collect();
        ids.sort_unstable();
        ids
    }

    pub(super) fn of(&self, kind: Kind) -> PaperMap {
        let papers = self.0.read();
        papers
            .texts
            .iter()
            .filter(|((other, _), _)| *other == kind)
            .map(|(key, text)| (key.clone(), Arc::clone(text)))
            .collect()
    }

    pub(super) fn items(&self) -> Vec<Item> {
        let papers = self.0.read();
        let mut items: Vec<Item> = papers
            .texts
            .iter()
            .map(|((kind, id), text)| Item { kind: *kind, id: id.clone(), text: text.to_string() })
            .collect();
        items.sort_unstable_by(|one, other| (one.kind, &one.id).cmp(&(other.kind, &other.id)));
        items
    }

    /// How often this process wrote; to be asked before a load begins to read.
    pub(super) fn writes(&self) -> u64 {
        self.0.read().writes
    }

    /// Takes what was read by a load that began after `since` writes. What this process wrote later stays as it wrote it:
    /// a load that read before would bring back what was deleted.
    pub(super) fn set(&self, mut read: PaperMap, since: u64) -> Taken {
        let mut kept = self.0.write();
        let Kept { texts, written, .. } = &mut *kept;
        written.retain(|_, write| *write > since);
        let mut overlapped = false;
        for key in written.keys() {
            let now = texts.get(key).cloned();
            overlapped |= now != read.get(key).cloned();
            match now {
                Some(text) => drop(read.insert(key.clone(), text)),
                None => drop(read.remove(key)),
            }
        }
        let changed = *texts != read;
        *texts = read;
        Taken { changed, overlapped }
    }

    /// What this process wrote is there at once.
    pub(super) fn put(&self, kind: Kind, id: &str, text: Option<&str>) {
        let key = (kind, Box::from(id));
        let mut kept = self.0.write();
        kept.writes += 1;
        let write = kept.writes;
        kept.written.insert(key.clone(), write);
        match text {
            Some(text) => drop(kept.texts.insert(key, Arc::from(text))),
            None => drop(kept.texts.remove(&key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By id.
    fn map(texts: &[(&str, &str)]) -> PaperMap {
        let key = |id: &&str| (Kind::Client, Box::from(*id));
        texts.iter().map(|(id, text)| (key(id), Arc::from(*text))).collect()
    }

    #[test]
    fn a_load_that_overlaps_a_write_does_not_undo_it() {
        type Texts = &'static [(&'static str, &'static str)];
        type Case = (&'static str, Option<&'static str>, Texts, Texts, bool, bool);
        // What is written while a load reads, what the load read -> what is there, whether it is another than after the
        // write, whether it has to be read again.
        let cases: [Case; 6] = [
            ("a", None, &[("a", "1"), ("b", "1")], &[("b", "1")], false, true),
            ("a", None, &[("b", "1")], &[("b", "1")], false, false),
            ("c", Some("1"), &[("a", "1"), ("b", "1")], &[("a", "1"), ("b", "1"), ("c", "1")], false, true),
            ("a", Some("2"), &[("a", "1"), ("b", "1")], &[("a", "2"), ("b", "1")], false, true),
            ("a", Some("2"), &[("a", "2"), ("b", "1")], &[("a", "2"), ("b", "1")], false, false),
            // What others wrote meanwhile is taken.
            ("a", None, &[("a", "1"), ("b", "2")], &[("b", "2")], true, true),
        ];
        for (id, text, read, there, changed, overlapped) in cases {
            let papers = Papers::default();
            papers.set(map(&[("a", "1"), ("b", "1")]), 0);
            let since = papers.writes();
            papers.put(Kind::Client, id, text);
            assert_eq!(papers.set(map(read), since), Taken { changed, overlapped }, "{id} {text:?} {read:?}");
            assert_eq!(papers.0.read().texts, map(there), "{id} {text:?} {read:?}");
            // The next load began after the write: it is believed, and nothing is remembered any more.
            let next = papers.set(map(&[("z", "1")]), papers.writes());
            assert_eq!(next, Taken { changed: true, overlapped: false });
            assert_eq!(papers.0.read().texts, map(&[("z", "1")]));
            assert!(papers.0.read().written.is_empty());
        }
    }
}
