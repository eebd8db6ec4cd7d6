//! What happens, and who is told of it (contract 8.12). Firing costs a look at two pointers where nobody wants to know, and
//! never waits: an event is put into a bounded queue, and is dropped and counted when that is full.

mod certificates;
mod deliver;
mod fire;
mod follow;
mod handlers;
pub(crate) mod monitor;
mod queue;
mod request;
mod settings;
mod told;
pub(crate) mod webhook;

pub use certificates::ExpirySettings;
pub use deliver::run;
pub(crate) use fire::{
    Probed, breaker, exchanged, host, key, no_upstream_token, refused, smoothed, triggered, version_refused,
};
pub(crate) use follow::Followed;
pub(crate) use handlers::Handlers;
pub use monitor::MonitorSettings;
pub(crate) use queue::Events;
pub(crate) use request::head_of;
pub use settings::EventSettings;
