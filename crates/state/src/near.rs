//! Asking the memory for what will be read soon.
//!
//! What is not in the processor's caches is a tenth of a microsecond or more away, and whoever reads it does nothing else
//! meanwhile. Whoever asks for it ahead goes on.

use std::slice;

use prefetch_index::prefetch_index;

/// Asks for the line of the caches in which something begins. It is not read, so that nobody waits for it here.
pub fn ask_for<T>(what: &T) {
    prefetch_index(slice::from_ref(what), 0);
}

/// As [`ask_for`].
pub fn ask_for_text(what: &str) {
    prefetch_index(what.as_bytes(), 0);
}
