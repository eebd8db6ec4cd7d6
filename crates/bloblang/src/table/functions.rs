//! Functions: the message, the batch, the clock, chance, and markers.

use super::Spec;
use crate::Value;

pub(crate) static TABLE: &[Spec] = &[
    Spec::function("deleted", "x", |_, _| Ok(Value::Delete)),
    Spec::function("nothing", "x", |_, _| Ok(Value::Nothing)),
];
