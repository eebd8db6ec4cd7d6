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
mod added;
mod alone;
mod backoff;
mod barred;
mod batching;
mod bloblangs;
mod bodies;
mod buffer;
pub mod buffers;
mod build;
mod cache;
pub mod caches;
mod claims;
mod clock;
mod component;
mod customs;
mod egress;
pub mod endpoint;
mod error_handling;
mod exporter;
pub mod exporters;
pub mod feed;
mod fetch;
pub mod fields;
mod file;
pub mod files;
mod flight;
mod happenings;
mod http;
mod in_place;
mod ingest;
pub mod inputs;
mod latency;
mod lint;
mod logger;
mod mapping_caches;
mod message;
mod metadata;
mod metered;
pub mod metrics;
pub mod multipart;
mod node;
pub mod outputs;
mod panics;
mod pipeline;
pub mod placeholders;
mod places;
pub mod processors;
mod rate_limit;
pub mod rate_limits;
mod rebuild;
pub mod record;
mod reference;
mod registry;
mod replay;
mod reply;
mod requests;
mod resources;
mod run;
mod sample;
mod samples;
mod scanner;
pub mod scanners;
mod schema;
mod selection;
mod settings;
mod sink;
mod sort;
mod source;
mod spans;
mod stall;
mod store;
mod stream_fields;
mod task;
mod templates;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod topics;
mod tracer;
pub mod tracers;
pub mod units;
mod unseen;
mod variables;
mod watch;
mod way;

pub use ack::{Ack, AckGroup, NackKind, NackReason, Outcome, Transaction};
pub use alone::{Processors, scanner};
pub use batching::Policy;
pub use bodies::{merge_patch, read_body};
pub use buffer::Buffer;
pub use build::{BuildContext, InputNode, OutputNode, Stage};
pub use cache::{Cache, CacheError, CacheItem};
pub use claims::Claims;
pub use clock::Clock;
pub use component::{ConnectError, Input, Output, Processor, ReadError, WriteError};
pub use egress::{Egress, EgressRule};
pub use endpoint::{Cors, Endpoint, EndpointPort, NoEndpoints, OwnListener, Role};
pub use exporter::{Exporter, Page, Sample, SampleValue, Samples, SeriesKey, Timing, merged_samples};
pub use feed::{CloseReason, Confirmer, Delivery, Feed, FeedOptions, Subscriber};
pub use fetch::{Fetch, Fetching, MakeFetch};
pub use file::check_text;
pub use happenings::{Happening, Happenings, Quiet};
pub use http::{Http, Password, PasswordHash};
pub use ingest::{Ingest, IngestError, IngestOptions, SyncResponse};
pub use latency::Latency;
pub use lint::{lint, lint_document, locate, scrubbed};
pub use logger::{LogFile, Logger};
pub use message::{Batch, Message, View};
pub use metrics::{ComponentKind, Probe, Series};
pub use node::Node;
pub use pipeline::run_stages;
pub use rate_limit::{Access, RateLimit, RateLimitError, pass};
pub use reference::reference;
pub use registry::{
    BufferSpec, BuildBuffer, BuildCache, BuildInput, BuildMetrics, BuildOutput, BuildProcessor,
    BuildRateLimit, BuildScanner, BuildTracer, CacheSpec, Default, Field, InputSpec, Kind, MetricsSpec,
    OutputSpec, ProcessorSpec, RateLimitSpec, Registry, ScannerSpec, Spec, TracerSpec,
};
pub use replay::Replay;
pub use reply::ReplySlot;
pub use requests::Requests;
pub use run::{Built, RunningStream, Status, Watcher, build};
pub use sample::{SampleSize, sample};
pub use scanner::{Scan, ScanError, Scanned, Scanner};
pub use schema::schema;
pub use selection::{SELECTION, Selection};
pub use settings::{Lines, Settings, Strictness};
pub use sort::Sort;
pub use templates::{Template, Templates};
pub use topics::Topics;
pub use tracer::{Span, Tracer};
pub use variables::{Expanded, Variables, expand, variables_of_file};
pub use way::Parent;
