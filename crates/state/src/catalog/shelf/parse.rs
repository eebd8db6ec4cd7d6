//! Rows become what they say. Blocking.

use std::{
    hash::{DefaultHasher, Hasher},
    sync::Arc,
};

use apidef::references::{Lookup, Seal};
use apidef::{Definition, Policy, Source};
use document::{Document, Fault, Format};

use super::{super::parallel, store::Fresh};
use crate::catalog::{Kind, files};

/// What a row says.
#[derive(Debug)]
pub(super) enum Content {
    /// A definition, or why it is none.
    Api(crate::catalog::Parsed),
    /// A policy; with faults, the one that could last be read.
    Policy { policy: Option<Arc<Policy>>, faults: Vec<Fault> },
    /// A text that is somebody else's to read; with faults, the one that could last be read.
    Paper { text: Option<Arc<str>>, faults: Vec<Fault> },
}

/// One row, read.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) kind: Kind,
    pub(super) id: Box<str>,
    pub(super) digest: u64,
    /// Which values kept elsewhere it was read with.
    pub(super) seal: Seal,
    /// `None`: the text is the same as before.
    pub(super) content: Option<Content>,
}

impl Content {
    /// What cannot be read any more stays as it was. (Definitions are kept by who runs them.)
    pub(super) fn after(self, before: Option<Content>) -> Content {
        match (self, before) {
            (Content::Policy { policy: None, faults }, Some(Content::Policy { policy, .. })) => {
                Content::Policy { policy, faults }
            }
            (Content::Paper { text: None, faults }, Some(Content::Paper { text, .. })) => {
                Content::Paper { text, faults }
            }
            (Content::Api(Ok(new)), Some(Content::Api(Ok(old)))) if new.is_same(&old) => {
                Content::Api(Ok(old))
            }
            (content, _) => content,
        }
    }

    /// The faults, when there are errors among them.
    pub(super) fn errors(&self) -> Option<&[Fault]> {
        let faults = match self {
            Content::Api(Ok(_)) => return None,
            Content::Api(Err(faults)) | Content::Policy { faults, .. } | Content::Paper { faults, .. } => {
                faults
            }
        };
        faults.iter().any(Fault::is_error).then_some(faults)
    }
}

/// Parses rows, with the digests of what they held before.
pub(super) fn all(fresh: Vec<(Fresh, Option<u64>)>, lookup: &dyn Lookup) -> Vec<Parsed> {
    let parsed = parallel::map(&fresh, |(fresh, before)| one(fresh, *before, lookup));
    parsed.into_iter().flatten().collect()
}

fn one(fresh: &Fresh, before: Option<u64>, lookup: &dyn Lookup) -> Option<Parsed> {
    let kind = Kind::of_word(&fresh.kind)?;
    let id = Box::from(fresh.id.as_str());
    let text = match &fresh.text {
        Ok(text) => text,
        Err(reason) => {
            let content = Some(faulty(kind, Fault::error("", reason.clone())));
            return Some(Parsed { kind, id, digest: 0, seal: Seal::default(), content });
        }
    };
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    // Zero is the digest of what could not be read.
    let digest = hasher.finish().max(1);
    let (content, seal) = (before != Some(digest)).then(|| content(kind, &fresh.id, text, lookup)).unzip();
    Some(Parsed { kind, id, digest, seal: seal.unwrap_or_default(), content })
}

pub(super) fn content(kind: Kind, id: &str, text: &str, lookup: &dyn Lookup) -> (Content, Seal) {
    let text = text.trim_start_matches('\u{feff}');
    let content = match kind {
        Kind::Api => {
            let (read, seal) = Definition::read(text, None, lookup);
            return (Content::Api(read.and_then(|definition| named(id, definition))), seal);
        }
        Kind::Policy => policy(id, text),
        Kind::Certificate | Kind::Client => Content::Paper { text: Some(text.into()), faults: Vec::new() },
    };
    (content, Seal::default())
}

fn faulty(kind: Kind, fault: Fault) -> Content {
    let faults = vec![fault];
    match kind {
        Kind::Api => Content::Api(Err(faults)),
        Kind::Policy => Content::Policy { policy: None, faults },
        Kind::Certificate | Kind::Client => Content::Paper { text: None, faults },
    }
}

fn named(id: &str, definition: Definition) -> crate::catalog::Parsed {
    if *definition.api.id != *id {
        let pointer = match definition.source {
            Source::Classic => "/api_id",
            Source::Oas => "/x-tyk-api-gateway/info/id",
        };
        let message = format!("the API is called `{}` here and `{id}` in the catalog", definition.api.id);
        return Err(vec![Fault::error(pointer, message).hint("give both the same id")]);
    }
    Ok(Arc::new(definition))
}

fn policy(id: &str, text: &str) -> Content {
    let document = match Document::parse(text, Format::Json) {
        Ok(document) => document,
        Err(fault) => return faulty(Kind::Policy, fault),
    };
    match files::policy(Some(id), document.value()) {
        Ok((_, policy)) => Content::Policy { policy: Some(policy), faults: Vec::new() },
        Err(message) => {
            let mut faults = vec![Fault::error("", message)];
            document.locate(&mut faults);
            Content::Policy { policy: None, faults }
        }
    }
}
