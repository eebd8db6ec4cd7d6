//! Arrays and objects: made of a JSON document when somebody looks into them, and aware of how deeply they nest.

mod array;
mod fields;
mod object;

pub use array::Array;
pub(super) use fields::Fields;
pub use object::Object;

use super::Value;

/// What is known of the elements or fields without a walk. Upper bounds: they do not shrink when something is replaced.
#[derive(Debug, Clone, Copy, Default)]
struct Traits {
    /// Levels of nesting below.
    depth: u16,
    /// Whether there are numbers that keep their text.
    digits: bool,
}

impl Traits {
    fn see(&mut self, value: &Value) {
        self.depth = self.depth.max(value.depth());
        self.digits |= value.has_digits();
    }
}
