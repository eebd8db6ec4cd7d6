//! objects

use super::Spec;

pub(crate) static TABLE: &[Spec] = &[];
