//! Scanners of formats (streams contract 3.11).

mod avro;
pub(crate) mod csv;
mod decompress;
mod pattern;
mod skip_bom;
mod switch;
mod tar;
#[cfg(test)]
mod tests;
mod xml;

use streams::ScannerSpec;

/// All of them.
pub(crate) const ALL: &[&ScannerSpec] = &[
    &avro::SPEC,
    &csv::SPEC,
    &decompress::SPEC,
    &pattern::SPEC,
    &skip_bom::SPEC,
    &switch::SPEC,
    &tar::SPEC,
    &xml::SPEC,
];
