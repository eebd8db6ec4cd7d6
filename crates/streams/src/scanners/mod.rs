//! The scanners of this crate.

use crate::registry::ScannerSpec;

/// All of them.
pub const ALL: &[&ScannerSpec] = &[];
