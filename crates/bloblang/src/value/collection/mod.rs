//! Arrays and objects: made of a JSON document when somebody looks into them, and aware of how deeply they nest.

mod array;
mod fields;
mod object;

pub use array::Array;
pub(super) use fields::Fields;
pub use object::Object;

use super::Value;
use super::document::Source;

/// What is known of the elements or fields without a walk. Depth and digits are upper bounds: they do not shrink when
/// something is replaced.
#[derive(Debug, Clone, Copy, Default)]
struct Traits {
    /// Levels of nesting below.
    depth: u16,
    /// Whether there are numbers that keep their text.
    digits: bool,
    /// About how many bytes the elements or fields have when they are rendered.
    size: u64,
}

impl Traits {
    fn see(&mut self, value: &Value) {
        self.depth = self.depth.max(value.depth());
        self.digits |= value.has_digits();
        self.size = self.size.saturating_add(value.size());
    }

    fn forget(&mut self, size: u64) {
        self.size = self.size.saturating_sub(size);
    }

    fn of(source: &Source) -> Traits {
        Traits {
            depth: source.depth().saturating_sub(1),
            digits: source.has_digits(),
            size: source.size() as u64,
        }
    }
}
