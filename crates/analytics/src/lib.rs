//! What happened: one [`Record`] for every exchange, aggregates of them, and the embedded store that dashboards query.
//!
//! What always holds here:
//! - Handing a record over ([`Recorder::record`]) never waits and takes no lock; what does not fit is dropped and counted.
//! - Everything that is kept has a bound: the queue, the raw records, the series of an interval, the age of aggregates.
//! - The file is written by a thread of its own, every few seconds; a killed process loses at most that.

mod graph;
mod mcp;
mod names;
mod query;
mod record;
mod recorder;
mod series;
mod store;
mod sums;
mod worker;

pub use graph::{Graph, Operation};
pub use mcp::Mcp;
pub use query::{Dimension, Point, Query, Share};
pub use record::{Network, Record};
pub use recorder::Recorder;
pub use store::{OpenError, QueryError, Retention, Settings, Store};
pub use sums::Sums;
