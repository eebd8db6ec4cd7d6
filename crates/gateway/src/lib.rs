//! The data plane and its admin API.
//!
//! The folders are the stations of a request, in the order in which it passes them: `listen` accepts it, [`serve`]
//! walks it through `route`, `chain` (with `auth` and `limits`), `backend` and `respond`, and `record` hands over what
//! happened. Beside the road stand `admin` and `reload`, and `hosted` for a process that runs streams and nothing else.

pub mod acme;
mod admin;
pub mod aside;
mod auth;
pub mod backend;
mod batch;
mod body;
mod cache;
mod calls;
mod certificates;
mod chain;
mod clock;
mod codings;
mod compress;
mod context;
mod detail;
pub mod events;
mod exchange;
mod fetch;
mod fields;
mod gate;
mod health;
mod hex;
mod hosted;
mod http1;
mod limits;
pub mod listen;
mod metrics;
mod nodes;
mod oauth;
pub mod pass_through;
mod plugins;
mod query;
mod record;
pub mod reload;
mod respond;
mod route;
mod same;
mod serve;
mod settings;
mod small_write;
mod snapshot;
mod socket;
pub mod stores;
pub mod traces;
mod transform;
pub mod uptime;
mod validation;

pub use auth::{Asked, Authenticator, Authenticators, Denied, Identified};
pub use backend::upstream::{KeepAlive, KeepNames, Names, SeveralAddresses, UpstreamSettings};
pub use cache::CacheSettings;
pub use events::{EventSettings, ExpirySettings, MonitorSettings};
pub use gate::{Gate, Parts};
pub use hosted::{Place, Service};
pub use http::{HeaderName, StatusCode};
pub use plugins::PluginSettings;
pub use respond::{ErrorPages, Overrides};
pub use settings::{
    CertificateSettings, GuessSettings, Inspected, KeySetSettings, KeySettings, LimitHeaders, LimitSettings,
    Limiter, NAMED_REFUSALS, OAuthSettings, PasswordHash, Settings, UptimeSettings, Words,
};
pub use snapshot::{RunningApi, Snapshot};

/// Adds the stream components of the gate: those that need what other rooms do not know.
pub fn register(registry: &mut streams::Registry) {
    registry.add_processor(&backend::stream::hook::PROCESSOR);
}
