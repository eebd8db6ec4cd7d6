//! What happens at the gate that the stream runs in.

use std::sync::Arc;

use async_trait::async_trait;
use document::Fault;
use tokio::sync::mpsc;

use crate::ack::Ack;
use crate::build::BuildContext;
use crate::component::{ConnectError, Input, ReadError};
use crate::fields::AUTO_REPLAY_NACKS;
use crate::happenings::{Happening, Happenings};
use crate::message::{Batch, Message};
use crate::node::Node;
use crate::registry::{Default, Field, InputSpec, Kind};

pub(super) static SPEC: InputSpec = InputSpec {
    name: "gateway_events",
    summary: "Gives the events of the gate as JSON, of the APIs whose organisation is that of the stream's API; where that has none, of all. The original has no such input.",
    config: Kind::Object(&[
        Field::new(
            "events",
            Kind::List(&Kind::Text),
            Default::Texts(&[]),
            "Only events of these names, such as `AuthFailure`; none: of all.",
        ),
        AUTO_REPLAY_NACKS,
    ]),
    build,
};

fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Input>, Fault> {
    let names = node.texts("events")?;
    let happenings = Arc::clone(&context.settings.happenings);
    for name in &names {
        happenings.check(name).map_err(|fault| node.field_fault("events", fault))?;
    }
    context.with_replay(node, GatewayEvents { names, happenings, followed: None })
}

struct GatewayEvents {
    names: Vec<String>,
    happenings: Arc<dyn Happenings>,
    followed: Option<mpsc::Receiver<Happening>>,
}

#[async_trait]
impl Input for GatewayEvents {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        self.followed = self.happenings.follow(&self.names);
        Ok(())
    }

    async fn read(&mut self) -> Result<(Batch, Ack), ReadError> {
        let Some(followed) = &mut self.followed else { return std::future::pending().await };
        let Happening { name, body } = followed.recv().await.ok_or(ReadError::End)?;
        let mut message = Message::new(body);
        message.set_meta("event", name);
        Ok((vec![message], Ack::none()))
    }

    async fn close(&mut self) {
        self.followed = None;
    }

    /// Events come once: those that have happened are delivered before the input ends.
    fn drain(&mut self) -> bool {
        let Some(followed) = &mut self.followed else { return false };
        followed.close();
        true
    }
}
