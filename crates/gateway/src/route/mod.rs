//! Routing: which API an exchange belongs to, and which paths are refused before that question is asked.

mod path;
mod table;

pub(crate) use path::{Oddity, check};
pub(crate) use table::{Place, Table};
