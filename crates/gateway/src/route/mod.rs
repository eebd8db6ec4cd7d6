//! Routing: which API an exchange belongs to, and which paths are refused before that question is asked.

mod path;
mod per_path;
mod table;
mod term;
mod version;

pub(crate) use path::{Oddity, check};
pub(crate) use per_path::{PerPath, Written};
pub(crate) use table::{Place, Table};
pub(crate) use term::Term;
pub(crate) use version::{Chosen, Versions, choose};
