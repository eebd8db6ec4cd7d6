//! Many questions to the store at once, so that they share its round trips; never so many that they crowd out others.

use std::future::Future;

use ::state::Unavailable;
use futures_util::stream::{self, StreamExt, TryStreamExt};

/// How many are under way at once.
const AT_ONCE: usize = 64;

/// Asks all of these, and gives the answers in their order.
pub(super) async fn together<T, F>(questions: impl IntoIterator<Item = F>) -> Result<Vec<T>, Unavailable>
where
    F: Future<Output = Result<T, Unavailable>>,
{
    stream::iter(questions).buffered(AT_ONCE).try_collect().await
}
