//! MCP, the Model Context Protocol: calls of JSON-RPC 2.0 read as servers will read them, what callers may call, and lists of
//! tools, resources and prompts cut down to that. Nothing here does I/O.

mod events;
mod list;
mod members;
mod message;
mod mirrored;
mod names;
mod refusal;
mod rules;

pub use events::{Events, TooLong};
pub use list::{Sight, Unreadable, is_list};
pub use message::{Call, Malformed, Message, read};
pub use mirrored::{Field, Malformed as MalformedField, Mirrored};
pub use names::Names;
pub use refusal::{HEADER_MISMATCH, code, refusal};
pub use rules::{Rights, Rules, Verdict};
