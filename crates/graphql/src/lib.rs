//! GraphQL: requests checked against a schema, what callers may ask for, and data gathered from several sources. Does no
//! I/O: the network is passed in.

pub mod asking;
mod bounds;
mod check;
mod cost;
pub mod engine;
mod error;
mod errors_in;
pub mod events;
mod introspect;
mod persisted;
mod request;
mod rights;
mod schema;
mod shape;
pub mod socket;

pub use bounds::Bounds;
pub use check::{Checked, Checker, Kind};
pub use cost::{Cost, RootField};
pub use error::{Problem, answer_of};
pub use errors_in::{ErrorsIn, messages_of};
pub use persisted::{typed, variables_of};
pub use request::{BadRequest, MEMBERS, Request};
pub use rights::{Names, Rights};
pub use schema::Schema;
pub use shape::Shape;
