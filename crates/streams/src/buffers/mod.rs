//! The buffers of this crate.

mod held;
mod memory;
mod none;
mod system_window;

use crate::registry::BufferSpec;

/// All of them.
pub const ALL: &[&BufferSpec] = &[&memory::SPEC, &none::SPEC, &system_window::SPEC];
