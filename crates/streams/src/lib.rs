//! Streams: input -> processors -> output, with acknowledgements from end to end.
//!
//! A [`Message`] moves in a [`Batch`] with an [`Ack`]; components are [`Input`], [`Processor`] and [`Output`], and
//! each is described once in the [`Registry`]: lint, building and reference come from the same tables. [`build`]
//! checks a configuration and makes its components without connecting any; [`Built::start`] runs them.
//!
//! Every queue is bounded, and a slow end slows the start:
//!
//! ```text
//! input task --1--> [pipeline tasks --1-->] output task --> hub ring | other side
//!     ^ replays first                            |
//!     +----------------- ack / nack ------------+
//! ```

mod ack;
mod backoff;
mod batching;
mod bloblangs;
mod build;
mod component;
mod egress;
pub mod endpoint;
pub mod feed;
pub mod fields;
mod file;
mod ingest;
pub mod inputs;
mod lint;
mod message;
pub mod metrics;
pub mod multipart;
mod node;
pub mod outputs;
mod pipeline;
pub mod processors;
mod reference;
mod registry;
mod replay;
mod reply;
mod run;
mod settings;
mod sink;
mod source;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod topics;
pub mod units;

pub use ack::{Ack, NackKind, NackReason, Outcome, Transaction};
pub use batching::Policy;
pub use build::{BuildContext, InputNode, OutputNode, Stage};
pub use component::{ConnectError, Input, Output, Processor, ReadError, WriteError};
pub use egress::{Egress, EgressRule};
pub use endpoint::{Cors, Endpoint, EndpointPort, NoEndpoints, Role};
pub use feed::{CloseReason, Confirmer, Delivery, Feed, FeedOptions, Subscriber};
pub use file::check_text;
pub use ingest::{Ingest, IngestError, IngestOptions, SyncResponse};
pub use lint::{lint, lint_document, locate};
pub use message::{Batch, Message, View};
pub use metrics::{ComponentKind, Probe};
pub use node::Node;
pub use reference::reference;
pub use registry::{
    BuildInput, BuildOutput, BuildProcessor, Default, Field, InputSpec, Kind, OutputSpec, ProcessorSpec,
    Registry, Spec,
};
pub use replay::Replay;
pub use reply::ReplySlot;
pub use run::{Built, RunningStream, Status, build};
pub use settings::{Lines, Settings};
pub use topics::Topics;
