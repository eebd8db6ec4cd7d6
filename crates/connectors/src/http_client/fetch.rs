//! Documents for components that have no network of their own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use streams::{Egress, Fetch, Fetching};
use url::Url;

use super::exchange::{Exchange, Request, whole};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// One `GET`, redirects included.
struct Documents(Exchange);

/// Where this policy allows it.
pub(crate) fn documents(egress: Arc<Egress>) -> Arc<dyn Fetch> {
    Arc::new(Documents(Exchange::to(egress, false).following()))
}

impl Fetch for Documents {
    fn fetch<'f>(&'f self, url: &'f str, most: usize) -> Fetching<'f> {
        Box::pin(async move {
            let answer = tokio::time::timeout(PATIENCE, self.get(url, most)).await;
            answer.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")))
        })
    }
}

impl Documents {
    async fn get(&self, url: &str, most: usize) -> Result<Bytes, String> {
        let url = Url::parse(url).map_err(|fault| format!("this is no address: {fault}"))?;
        let request = Request { method: Method::GET, url, headers: HeaderMap::new(), body: Bytes::new() };
        let (head, body) = self.0.send(&request).await?;
        if !head.status.is_success() {
            return Err(format!("unexpected response code {}", head.status));
        }
        whole(body, most).await
    }
}
