//! XML as values: elements are fields by their local names, attributes fields that begin with `-`, text beside other
//! content `#text`, repeated elements arrays.

mod read;
mod split;
#[cfg(test)]
mod tests;
mod write;

pub use read::parse;
pub use split::{Splitter, documents};
pub use write::format;
