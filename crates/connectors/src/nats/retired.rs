//! `nats_stream`: NATS Streaming ended in June 2023, and no maintained client speaks it. Both ends are refused by name.

use streams::{InputSpec, Kind, OutputSpec};

const INSTEAD: &str = "NATS Streaming was retired by its makers; use `nats_jetstream`";

/// Input `nats_stream`.
pub(super) static INPUT: InputSpec = InputSpec {
    name: "nats_stream",
    summary: "Refused: NATS Streaming was retired by its makers. Use `nats_jetstream`.",
    config: Kind::Any,
    build: |node, _| Err(node.fault(INSTEAD)),
};

/// Output `nats_stream`.
pub(super) static OUTPUT: OutputSpec = OutputSpec {
    name: "nats_stream",
    summary: "Refused: NATS Streaming was retired by its makers. Use `nats_jetstream`.",
    config: Kind::Any,
    build: |node, _| Err(node.fault(INSTEAD)),
};
