//! Routing: which API an exchange belongs to, and which paths are refused before that question is asked.

mod path;
mod table;

pub use path::{Oddity, check};
pub use table::{Found, Place, Table};
