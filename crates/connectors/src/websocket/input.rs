//! Input `websocket` (streams contract 3.9).

use async_trait::async_trait;
use document::Fault;
use streams::{Ack, Batch, BuildContext, ConnectError, Input, Message, Node, ReadError};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message as Frame;

use super::link::{FAREWELL, Form, Link, Plan};

pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    let form = Form::read(node, "open_message_type")?;
    let mut open = node.texts("open_messages")?;
    let older = node.text("open_message")?;
    if !older.is_empty() {
        if !open.is_empty() {
            let told = "`open_message` is the older form of `open_messages`; write only `open_messages`";
            return Err(node.field_fault("open_message", told));
        }
        open.push(older.into_owned());
    }
    let frame =
        |text: String| form.frame(text.into()).map_err(|fault| node.field_fault("open_messages", fault));
    let connection = node.get("connection");
    let most = match connection.has("max_retries") {
        true => usize::try_from(connection.integer("max_retries")?).ok(),
        false => None,
    };
    let input = WebSocket {
        plan: Plan::read(node, context)?,
        open: open.into_iter().map(frame).collect::<Result<_, _>>()?,
        attempts: Attempts { most, failed: 0, begun: false },
        link: None,
        over: false,
        leaving: Leaving::No,
    };
    context.with_replay(node, input)
}

struct WebSocket {
    plan: Plan,
    open: Vec<Frame>,
    attempts: Attempts,
    link: Option<Link>,
    /// No more attempts are allowed.
    over: bool,
    leaving: Leaving,
}

/// How far taking leave has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaving {
    No,
    /// The server is to be told.
    Wanted,
    /// It was: what it sent before it heard of that still comes.
    Told,
}

/// Attempts to connect again.
struct Attempts {
    most: Option<usize>,
    failed: usize,
    begun: bool,
}

impl Attempts {
    /// Whether one more is allowed; the very first is no repetition.
    fn another(&mut self) -> bool {
        if std::mem::replace(&mut self.begun, true) {
            self.failed += 1;
        }
        self.most.is_none_or(|most| self.failed <= most)
    }
}

#[async_trait]
impl Input for WebSocket {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        self.link = None;
        if !self.attempts.another() {
            tracing::warn!("a websocket is given up: `connection.max_retries` attempts have failed");
            // An input cannot end while it connects: the next read says so.
            self.over = true;
            return Ok(());
        }
        let mut link = self.plan.connect().await.map_err(ConnectError)?;
        for frame in &self.open {
            link.send(frame.clone()).await.map_err(ConnectError)?;
        }
        self.attempts.failed = 0;
        self.link = Some(link);
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        if self.over {
            return Err(ReadError::End);
        }
        let Some(link) = &mut self.link else { return Err(ReadError::NotConnected) };
        if self.leaving == Leaving::Wanted {
            self.leaving = Leaving::Told;
            if link.say_farewell().await.is_err() {
                return Err(ReadError::End);
            }
        }
        let next = match self.leaving {
            Leaving::Told => {
                timeout(FAREWELL, link.next()).await.unwrap_or_else(|_| Err("no good-bye".to_owned()))
            }
            _ => link.next().await,
        };
        match next {
            Ok(payload) => Ok((vec![Message::new(payload)], Ack::none())),
            Err(_) if self.leaving == Leaving::Told => Err(ReadError::End),
            Err(reason) => {
                tracing::warn!(%reason, "websocket lost");
                self.link = None;
                Err(ReadError::NotConnected)
            }
        }
    }

    /// Says good-bye; what the server sent before it says so, too, is delivered.
    fn drain(&mut self) -> bool {
        self.leaving = Leaving::Wanted;
        self.link.is_some()
    }

    async fn close(&mut self) {
        if let Some(link) = self.link.take() {
            link.leave().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_are_counted_and_the_first_attempt_is_none() {
        for (most, allowed) in [(Some(0), 1), (Some(2), 3), (None, 10)] {
            let mut attempts = Attempts { most, failed: 0, begun: false };
            let taken = (0..10).take_while(|_| attempts.another()).count();
            assert_eq!(taken, allowed, "{most:?}");
        }
    }
}
