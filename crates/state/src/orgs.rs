//! Sessions of organisations: records beside the sessions of keys, never hashed, and never found by a key (contract 5.1,
//! `orgkey.`).

use std::sync::Arc;

use apidef::Session;

use crate::{State, Unavailable};

const PREFIX: &str = "orgkey.";

impl State {
    /// The session of an organisation. One that cannot be read counts as absent (and is logged).
    pub async fn org_session(&self, org: &str) -> Result<Option<Session>, Unavailable> {
        let Some(text) = self.record(&format!("{PREFIX}{org}")).await? else { return Ok(None) };
        match serde_json::from_slice(&text) {
            Ok(session) => Ok(Some(session)),
            Err(error) => {
                // The text may hold secrets: only where it broke is told.
                tracing::warn!(org, column = error.column(), "the session of an organisation cannot be read");
                Ok(None)
            }
        }
    }

    /// Stores the session of an organisation, without end. Durable when it returns.
    pub async fn put_org_session(&self, org: &str, session: &Session) -> Result<(), Unavailable> {
        let text = serde_json::to_vec(session)
            .map_err(|error| Unavailable(format!("session cannot be written: {error}")))?;
        self.put_record(&format!("{PREFIX}{org}"), &text, None).await
    }

    /// Deletes the session of an organisation; tells whether there was one.
    pub async fn delete_org_session(&self, org: &str) -> Result<bool, Unavailable> {
        self.delete_record(&format!("{PREFIX}{org}")).await
    }

    /// Ids of organisations that have a session and begin with `prefix`, sorted. For the admin API only.
    pub async fn org_names(&self, prefix: &str) -> Result<Vec<String>, Unavailable> {
        let mut keys = self.record_keys(&format!("{PREFIX}{prefix}")).await?;
        keys.iter_mut().for_each(|key| drop(key.drain(..PREFIX.len().min(key.len()))));
        Ok(keys)
    }

    /// Sessions of these names, in their order; for walks over many keys. Few at a time, if there are very many.
    pub async fn sessions(&self, names: &[&str]) -> Result<Vec<Option<Arc<Session>>>, Unavailable> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        self.many_sessions(names).await
    }
}
