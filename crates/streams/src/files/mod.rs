//! Files of the machine: for components that whoever runs the gate has allowed (streams contract 1.8).

mod codec;
mod glob;
mod reading;

pub use codec::{CODEC, Codec};
pub use reading::FileSource;
