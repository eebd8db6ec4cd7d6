//! What a catalog keeps.

use std::fmt;

/// The sorts of things in a catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A definition.
    Api,
    /// A policy.
    Policy,
    /// A certificate, perhaps with its private key (encrypted): PEM.
    Certificate,
    /// A client of an OAuth 2.0 server: JSON. Its id is that of its API, a slash, and its own.
    Client,
}

impl Kind {
    /// All of them, in the order in which they are told.
    pub const ALL: [Kind; 4] = [Kind::Api, Kind::Policy, Kind::Certificate, Kind::Client];

    /// The word for it in rows, documents and places of faults.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Api => "api",
            Kind::Policy => "policy",
            Kind::Certificate => "certificate",
            Kind::Client => "client",
        }
    }

    /// How several are called.
    pub fn plural(self) -> &'static str {
        match self {
            Kind::Api => "apis",
            Kind::Policy => "policies",
            Kind::Certificate => "certificates",
            Kind::Client => "clients",
        }
    }

    pub(super) fn of_word(word: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// The folder of a directory that is a whole catalog.
    pub(super) fn folder(self) -> &'static str {
        if self == Kind::Api { "apps" } else { self.plural() }
    }

    /// How the names of its files end.
    pub(super) fn ending(self) -> &'static str {
        if self == Kind::Certificate { ".pem" } else { ".json" }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One thing of a catalog, as it is written there.
#[derive(Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub kind: Kind,
    /// Its id, unique in its kind.
    pub id: Box<str>,
    /// Its text.
    pub text: String,
}

/// Texts may hold secrets.
impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.place(), self.text.len())
    }
}

impl Item {
    /// What it is called where faults are told.
    pub fn place(&self) -> String {
        format!("{}/{}", self.kind, self.id)
    }
}
