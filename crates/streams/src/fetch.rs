//! Documents from other servers, for components in rooms that have no network of their own: whoever has one gives the
//! registry a way to fetch.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use crate::egress::Egress;

/// A document on its way.
pub type Fetching<'f> = Pin<Box<dyn Future<Output = Result<Bytes, String>> + Send + 'f>>;

/// Fetches documents over HTTP, where the egress policy that it was made for allows it.
pub trait Fetch: Send + Sync {
    /// The document at an address. It is no larger than `most` bytes, and comes within some seconds or not at all.
    fn fetch<'f>(&'f self, url: &'f str, most: usize) -> Fetching<'f>;
}

/// Makes one for a policy.
pub type MakeFetch = fn(Arc<Egress>) -> Arc<dyn Fetch>;
