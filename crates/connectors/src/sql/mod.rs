//! SQL: rows written to and read from PostgreSQL, MySQL (MariaDB) and SQLite, the cache `sql`, and the
//! buffer `sqlite`, which keeps batches on disk.
//!
//! What reaches the gate's own disk needs `sqlite` in `streaming.allow_unsafe` (streams contract 1.8).

mod args;
mod buffer;
mod cache;
mod client;
mod dsn;
mod fields;
mod input;
mod key_values;
mod mysql;
mod output;
mod postgres;
mod processor;
mod relay;
mod rows;
mod sqlite;
mod statement;

pub use buffer::SPEC as BUFFER;
pub use cache::SPEC as CACHE;
pub use input::{RAW as RAW_INPUT, SELECT as SELECT_INPUT};
pub use output::{INSERT as INSERT_OUTPUT, RAW as RAW_OUTPUT};
pub use processor::{INSERT as INSERT_PROCESSOR, RAW as RAW_PROCESSOR, SELECT as SELECT_PROCESSOR};
