//! Several messages in one, and back (streams contract 3.7).

mod pack;
mod unpack;
mod zips;

pub(crate) use pack::SPEC as ARCHIVE;
pub(crate) use unpack::SPEC as UNARCHIVE;

#[cfg(test)]
mod tests;
