//! Where living things live: sessions, counters and the signals between nodes ([`State`]), and where definitions and
//! policies lie ([`Catalog`]).
//!
//! [`State`] is either *embedded* (one machine needs nothing else: memory, made durable in one file) or *Redis* (many
//! nodes share sessions, counters and signals, in the key layout that other gateways of this kind read and write).
//!
//! What always holds here:
//! - Nothing in [`State`] blocks an async thread. Files are written by a thread of their own.
//! - When Redis is away, every call answers [`Unavailable`] at once; no caller waits for a reconnect.
//! - A session put into the embedded store survives `kill -9` from the moment the call returns.
//! - What cannot be read in the [`Catalog`] hides nothing else in it.

mod catalog;
mod draw;
mod embedded;
pub mod near;
mod orgs;
mod remote;
mod secret;
mod signal;
mod smoothing;
mod state;
mod stored;
mod trust;
mod values;

pub use catalog::{
    Address, AddressError, Catalog, CatalogError, CatalogOptions, Change, Item, Kind, Loaded, Parsed,
    PolicySource,
};
pub use draw::{Draw, Drawn, Found, Meter, Tally};
pub use embedded::{Counters, OpenError};
pub use remote::settings::{RedisSettings, RedisTls, SettingsError};
pub use remote::tls::TlsVersions;
pub use secret::Secret;
pub use signal::{Signal, Written};
pub use smoothing::{Smoothed, Steps};
pub use state::{Sort, State};
pub use stored::Stored;
pub use trust::SignalKey;
pub use values::{Health, QuotaCount, Unavailable};
