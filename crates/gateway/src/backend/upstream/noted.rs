//! What the answers of token endpoints say beside the token (`extra_metadata`; contract 2.1, 4.4 row 29): it is known before
//! anything is transformed, so that transforms can name it.

use std::sync::Arc;

use apidef::{Backend, UpstreamCredentials};

use super::identity::no_token;
use super::tokens::Question;
use crate::exchange::Exchange;
use crate::respond::Refusal;

/// Takes note of it.
#[derive(Debug)]
pub(crate) struct TokenNotes(Arc<Question>);

impl TokenNotes {
    /// `None` where nothing is to be noted.
    pub(crate) fn new(backend: &Backend) -> Option<Self> {
        let Backend::Upstream(upstream) = backend else { return None };
        match &upstream.manner.credentials {
            Some(UpstreamCredentials::OAuth(oauth)) if !oauth.noted.is_empty() => {
                Some(Self(Arc::new(Question::new(oauth))))
            }
            _ => None,
        }
    }

    /// The token is kept, so that the request which is sent later does not have to ask for it again.
    pub(crate) async fn pass(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        let gate = &exchange.gate;
        let (token, _) = gate.upstream_tokens.get(gate, &self.0).await.map_err(no_token)?;
        exchange.noted.put(token.noted.clone());
        Ok(())
    }
}
