//! Bloblang, the mapping language of streams: parse, check, compile, run.
//!
//! A [`Mapping`] is a program that reads one message of a batch and says what becomes of it: a new root, metadata
//! edits, or its removal. A [`Template`] is a text with `${! query }` holes. Both are checked whole when they are
//! parsed, with the place of every fault, and then run any number of times without parsing or looking up anything.
//!
//! ```text
//! text -> syntax::lexer -> syntax::parser -> syntax::tree -> compile (check, resolve, fold) -> run::Node -> Value
//! ```
//!
//! What must hold here:
//! - No I/O. What a mapping may learn from outside (environment variables, the host's name) is a [`Capability`]; files
//!   come through [`Files`].
//! - Parsing is total: text size and nesting are limited, and running is limited in steps (see `run/budget.rs`), in bytes,
//!   in time, in recursion and in the depth of the values it builds, so that no mapping and no message can run for ever or overflow the stack.
//! - A JSON document stays text: it is checked whole in one pass, and only what a mapping looks into becomes values.
//! - Functions and methods are described once, in `table`: checking, documentation and example tests come from there.

mod catalogue;
mod compile;
mod environment;
mod fault;
mod format;
pub mod formats;
#[cfg(test)]
mod grammar_tests;
#[cfg(test)]
mod import_tests;
mod imports;
#[cfg(test)]
mod language_tests;
mod mapping;
mod message;
mod run;
mod syntax;
mod table;
mod targets;
mod template;
#[cfg(test)]
mod testing;
mod time;
#[cfg(test)]
mod totality_tests;
mod value;

pub use catalogue::{Entry, catalogue};
pub use environment::{Caches, Capability, Environment, File, Files};
pub use fault::{Imported, MapError, ParseError};
pub use mapping::Mapping;
pub use message::{BatchView, ErrorSource, MessageView, MetadataEdit, Outcome, Root, Trace};
pub use table::reference;
pub use template::Template;
pub use value::{Array, Object, Text, Value};
