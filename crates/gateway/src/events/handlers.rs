//! The handlers of one API, or of the gate: compiled once.

use std::sync::Arc;

use apidef::{Event, EventHandler, EventWay};
use document::Fault;
use plugins::grpc::Servers;
use plugins::javascript::Scripts;

use super::webhook::Hook;
use crate::gate::Gate;
use crate::plugins::{FileRead, script_of_events};

/// Who is told of which events.
#[derive(Debug)]
pub(crate) struct Handlers {
    list: Box<[(Event, Handler)]>,
    /// The files that scripts and templates came from, as they were.
    read: Vec<FileRead>,
}

/// How somebody is told.
#[derive(Debug, Clone)]
pub(super) enum Handler {
    Log { prefix: Arc<str> },
    Webhook(Arc<Hook>),
    Script { name: Arc<str>, scripts: Arc<Scripts> },
    Server { name: Arc<str>, servers: Servers },
}

impl Handlers {
    /// Loads the handlers of an API; of the gate's where it is none. What nothing here runs is told in the log and left
    /// out: an API is worth more than news of it.
    pub(crate) fn compile(
        model: &[EventHandler],
        api: &str,
        gate: &Gate,
    ) -> Result<Option<Arc<Self>>, Vec<Fault>> {
        let (mut list, mut read) = (Vec::new(), Vec::new());
        for entry in model {
            let fault = |text: String| vec![Fault::error(&*entry.pointer, text)];
            let handler = match &entry.way {
                EventWay::Log { prefix } => Some(Handler::Log { prefix: (&**prefix).into() }),
                EventWay::Webhook(webhook) => {
                    let hook = Hook::new(webhook, gate, &mut read).map_err(fault)?;
                    Some(Handler::Webhook(Arc::new(hook)))
                }
                EventWay::Script { name, path } if gate.settings.plugins.javascript => {
                    let scripts = script_of_events(gate, api, (name, path), &entry.pointer, &mut read)?;
                    Some(Handler::Script { name: (&**name).into(), scripts })
                }
                EventWay::Script { .. } => {
                    left_out(api, entry, "scripts are switched off: set `enable_jsvm` in the configuration");
                    None
                }
                EventWay::Server { name } => match &gate.settings.plugins.servers {
                    Some(servers) => {
                        let servers = Servers::new(servers.clone()).map_err(|why| fault(why.to_string()))?;
                        Some(Handler::Server { name: (&**name).into(), servers })
                    }
                    None => {
                        left_out(api, entry, "no server of plugins is known: set `coprocess_options`");
                        None
                    }
                },
            };
            list.extend(handler.map(|handler| (entry.event, handler)));
        }
        Ok((!list.is_empty()).then(|| Arc::new(Self { list: list.into(), read })))
    }

    /// Whether somebody is told of such an event.
    pub(super) fn has(&self, event: Event) -> bool {
        self.list.iter().any(|(of, _)| *of == event)
    }

    /// Who is told of such an event.
    pub(super) fn of(&self, event: Event) -> impl Iterator<Item = &Handler> {
        self.list.iter().filter(move |(of, _)| *of == event).map(|(_, handler)| handler)
    }

    /// Whether a file that something of it came from is another one now.
    pub(crate) fn is_stale(&self) -> bool {
        self.read.iter().any(FileRead::is_stale)
    }
}

fn left_out(api_id: &str, entry: &EventHandler, why: &str) {
    let event = entry.event.name();
    tracing::warn!(api_id, event, why, "a handler of events is left out");
}
