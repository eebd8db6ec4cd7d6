//! The connection that a component has to Redis, and what its errors mean.

use std::sync::Arc;
use std::time::Duration;

use document::Fault;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use redis::aio::PubSub;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind};
use streams::{BuildContext, Node};

use super::reach::{Connection, PATIENCE, Reach};

/// See the module.
pub(super) struct Link {
    reach: Arc<Reach>,
    live: Mutex<Option<Opening>>,
}

/// A connection that is being opened, or was: by a task of its own, so that whoever asked first and gives up takes it from nobody
/// else, and nobody waits behind somebody who does not go on.
type Opening = Shared<BoxFuture<'static, Result<Connection, String>>>;

/// Why a command failed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The connection is gone, or the server does not work now: the same command may succeed later.
    Away(String),
    /// Redis refuses this command.
    Refused(String),
}

impl Trouble {
    pub(super) fn text(self) -> String {
        match self {
            Trouble::Away(text) | Trouble::Refused(text) => text,
        }
    }
}

impl From<RedisError> for Trouble {
    fn from(error: RedisError) -> Trouble {
        use ServerErrorKind::{BusyLoading, ClusterDown, MasterDown, ReadOnly, TryAgain};
        let text = format!("redis: {error}");
        match error.kind() {
            ErrorKind::Server(BusyLoading | ClusterDown | MasterDown | ReadOnly | TryAgain) => {
                Trouble::Away(text)
            }
            ErrorKind::Server(_)
            | ErrorKind::UnexpectedReturnType
            | ErrorKind::Client
            | ErrorKind::Extension => Trouble::Refused(text),
            _ => Trouble::Away(text),
        }
    }
}

impl Link {
    /// Reads the connection fields of a component.
    pub(super) fn read(node: &Node<'_>, context: &BuildContext<'_>) -> Result<Link, Fault> {
        Ok(Link { reach: Arc::new(Reach::read(node, context)?), live: Mutex::new(None) })
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.reach.is_cluster()
    }

    /// The connection there is, or a new one.
    pub(super) async fn connection(&self) -> Result<Connection, String> {
        self.opened().await.map(|(connection, _)| connection)
    }

    /// As [`Link::connection`], and what to forget when it breaks.
    async fn opened(&self) -> Result<(Connection, Opening), String> {
        let opening = self.live.lock().get_or_insert_with(|| opening(self.reach.clone())).clone();
        match opening.clone().await {
            Ok(connection) => Ok((connection, opening)),
            Err(text) => {
                self.drop_if(&opening);
                Err(text)
            }
        }
    }

    /// The next one who asks for a connection makes a new one.
    pub(super) fn forget(&self) {
        *self.live.lock() = None;
    }

    /// As [`Link::forget`], unless somebody did so before and there is another one.
    fn drop_if(&self, broken: &Opening) {
        let mut live = self.live.lock();
        if live.as_ref().is_some_and(|live| live.ptr_eq(broken)) {
            *live = None;
        }
    }

    /// Runs a command on the connection there is; one that breaks is forgotten.
    pub(super) async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Trouble> {
        self.run_or_doubt(command, &mut false).await
    }

    /// The same; `doubt` becomes true where Redis may have run the command and its answer was lost.
    pub(super) async fn run_or_doubt<T: FromRedisValue>(
        &self,
        command: &Cmd,
        doubt: &mut bool,
    ) -> Result<T, Trouble> {
        let (mut connection, opening) = self.opened().await.map_err(Trouble::Away)?;
        let answer = command.query_async(&mut connection).await.map_err(|error: RedisError| {
            let answered = matches!(error.kind(), ErrorKind::Server(_));
            let trouble = Trouble::from(error);
            *doubt |= !answered && matches!(trouble, Trouble::Away(_));
            trouble
        });
        if matches!(answer, Err(Trouble::Away(_))) {
            self.drop_if(&opening);
        }
        answer
    }

    /// A connection of its own whose commands may wait so long: others must not wait behind them.
    pub(super) async fn waiting(&self, wait: Duration) -> Result<Connection, String> {
        self.reach.open(wait + PATIENCE).await
    }

    /// A connection that listens.
    pub(super) async fn subscription(&self) -> Result<PubSub, String> {
        self.reach.subscription().await
    }
}

fn opening(reach: Arc<Reach>) -> Opening {
    let task = tokio::spawn(async move { reach.open(PATIENCE).await });
    let opened = async move { task.await.unwrap_or_else(|fault| Err(format!("redis: {fault}"))) };
    opened.boxed().shared()
}

/// The part of a key that alone decides on its slot in a cluster, if there is one.
pub(super) fn hash_tag(key: &str) -> Option<&str> {
    let (tag, _) = key.split_once('{')?.1.split_once('}')?;
    Some(tag).filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    // A server that takes connections and says nothing.
    #[tokio::test]
    async fn whoever_gives_up_leaves_the_connection_to_the_others() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let link = Link { reach: Arc::new(Reach::at(&url)), live: Mutex::new(None) };
        let moment = Duration::from_millis(20);
        assert!(tokio::time::timeout(moment, link.connection()).await.is_err());
        let (first, _) = listener.accept().await.unwrap();
        assert!(tokio::time::timeout(moment, link.connection()).await.is_err());
        let another = tokio::time::timeout(moment, listener.accept()).await;
        assert!(another.is_err(), "{another:?}");
        // What fails is told to all who wait, and made anew by the next one.
        let waiting = link.connection();
        drop(first);
        assert!(waiting.await.is_err());
        let again = tokio::time::timeout(moment, link.connection());
        let (_, accepted) = tokio::join!(again, tokio::time::timeout(PATIENCE, listener.accept()));
        assert!(accepted.is_ok());
    }
}
