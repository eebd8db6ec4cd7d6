//! Hosts for the code of users: plugins that see, change, answer or refuse the requests and answers of an API
//! (gateway contract 9).
//!
//! A plugin is called with a [`Call`] and gives an [`Outcome`]; how requests become calls and what becomes of outcomes is
//! the gateway's business. What scripts may ask of the world outside goes through [`Outside`]. A plugin that hangs, throws
//! or takes too much memory costs only the request that called it.

pub mod bundle;
mod call;
mod code;
mod fault;
pub mod grpc;
pub mod javascript;
pub mod lua;
mod outside;
mod pace;
mod pool;
pub mod python;
#[cfg(test)]
mod testing;
pub mod wasm;

pub use call::{Call, Hook, Outcome, Overrides, Request, Response, Spec};
pub use fault::Fault;
pub use outside::{Answer, Outgoing, Outside};
