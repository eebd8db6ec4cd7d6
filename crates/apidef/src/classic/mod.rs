//! Tyk classic definitions (contract 2): read into the model, and written from it.

mod read;
pub(crate) mod table;
mod whole;
mod write;

pub(crate) use read::{domain, identity, rate, read, target};
pub(crate) use whole::{thin, whole};
pub(crate) use write::write;
