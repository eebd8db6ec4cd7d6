//! MCP, the Model Context Protocol: calls of JSON-RPC 2.0 read as servers will read them, what callers may call, and lists of
//! tools, resources and prompts cut down to that; and calls of tools as the requests that these are, with the answers to them.
//! Nothing here does I/O.

mod answer;
mod arguments;
mod events;
mod list;
mod members;
mod message;
mod mirrored;
mod names;
mod refusal;
mod request;
mod rules;

pub use answer::{VERSIONS, answered, initialized, listed, pictured, result, told};
pub use arguments::Arguments;
pub use events::{Events, TooLong};
pub use list::{Sight, Unreadable, is_list};
pub use message::{Call, Malformed, Message, read};
pub use mirrored::{Field, Malformed as MalformedField, Mirrored};
pub use names::Names;
pub use refusal::{HEADER_MISMATCH, code, refusal};
pub use request::{ToolRequest, request};
pub use rules::{Rights, Rules, Verdict};
