//! Routing: which API an exchange belongs to, and which paths are refused before that question is asked.

mod listens;
mod lists;
pub(crate) mod looping;
mod operations;
mod path;
mod patterns;
mod per_path;
mod table;
mod term;
mod tracking;
mod version;

pub(crate) use listens::Listens;
pub(crate) use lists::{Lists, Reply};
pub(crate) use operations::{Match, Operations};
pub(crate) use path::{Oddity, check};
pub(crate) use patterns::{Collector, Fitting, Numbers, Patterns};
pub(crate) use per_path::{PerPath, Written, fitting};
pub(crate) use table::{Place, Table};
pub(crate) use term::Term;
pub(crate) use tracking::Tracking;
pub(crate) use version::{Chosen, Versions, choose};
