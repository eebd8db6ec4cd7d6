//! SQL: the buffer `sqlite`, which keeps batches on disk.
//!
//! What reaches the gate's own disk needs `sqlite` in `streaming.allow_unsafe` (streams contract 1.8).

mod buffer;

pub use buffer::SPEC as BUFFER;
