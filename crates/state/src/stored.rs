//! A session as it is stored: text, in two parts where it can be split.

use std::sync::Arc;

use apidef::Session;

/// Text of a session. What it has in common with others is apart from what is its own, so that a million of them that say
/// the same need little room, and are known to say the same at a glance.
#[derive(Clone)]
pub struct Stored {
    common: Arc<[u8]>,
    /// `None`: what is common is the whole. Empty: there is nothing own.
    own: Option<Arc<[u8]>>,
}

impl Stored {
    pub(crate) fn new(text: &[u8]) -> Self {
        let (mut common, mut own) = (Vec::with_capacity(text.len()), Vec::new());
        match Session::split(text, &mut common, &mut own) {
            Some(_) => Self { common: common.into(), own: Some(own.into()) },
            None => Self { common: text.into(), own: None },
        }
    }

    /// With another text of the same content for what is common.
    pub(crate) fn sharing(self, common: Arc<[u8]>) -> Self {
        Self { common, ..self }
    }

    /// What others may say, too, as the text of a session; the whole where it cannot be split.
    pub fn common(&self) -> &Arc<[u8]> {
        &self.common
    }

    /// What is the session's own, as the text of a session; empty where there is nothing. `None`: it cannot be split.
    pub fn own(&self) -> Option<&[u8]> {
        self.own.as_deref()
    }

    /// Whether both say the same, letter by letter.
    pub fn is(&self, other: &Self) -> bool {
        self.own == other.own && (Arc::ptr_eq(&self.common, &other.common) || self.common == other.common)
    }

    /// The text of the whole.
    pub(crate) fn text(&self) -> Vec<u8> {
        let own = self.own.as_deref().unwrap_or_default();
        match (self.common.strip_suffix(b"}"), own.strip_prefix(b"{")) {
            (Some(b"{"), Some(_)) => own.to_vec(),
            (Some(common), Some(own)) => [common, b",", own].concat(),
            _ => self.common.to_vec(),
        }
    }

    /// One that cannot be read counts as absent.
    pub(crate) fn session(&self) -> Option<Arc<Session>> {
        read(&self.text())
    }
}

impl std::fmt::Debug for Stored {
    /// It may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stored")
    }
}

/// One that cannot be read counts as absent.
pub(crate) fn read(text: &[u8]) -> Option<Arc<Session>> {
    match serde_json::from_slice(text) {
        Ok(session) => Some(Arc::new(session)),
        Err(error) => {
            // The text may hold secrets, and the error may quote it: only where it broke is told.
            tracing::warn!(line = error.line(), column = error.column(), "a stored session cannot be read");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_the_whole() {
        for text in [
            r#"{"rate":1}"#,
            r#"{"alias":"a"}"#,
            r#"{"rate":1,"alias":"a","per":2,"expires":5}"#,
            "{}",
            r#"{"alias":"\u0061","rate":1}"#,
            "nonsense",
            "",
        ] {
            let stored = Stored::new(text.as_bytes());
            let (whole, together) = (serde_json::from_str::<Session>(text), stored.session());
            assert_eq!(whole.ok(), together.map(Arc::unwrap_or_clone), "{text}");
            assert!(Stored::new(&stored.text()).is(&stored), "{text}");
        }
    }
}
