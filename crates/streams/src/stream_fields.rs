//! What the configuration of a stream may hold (streams contract 5.7): inside of a gate, and alone in a process.

use crate::error_handling::ERROR_HANDLING;
use crate::http::HTTP;
use crate::logger::LOGGER;
use crate::registry::{Default, Field, Kind};
use crate::sort::Sort;

/// The fields of a stream, of one that is `alone` in its process or of one inside of a gate.
pub(crate) fn stream_fields(alone: bool) -> &'static [Field] {
    static GATED: [Field; 17] = fields(false);
    static ALONE: [Field; 17] = fields(true);
    if alone { &ALONE } else { &GATED }
}

const fn fields(alone: bool) -> [Field; 17] {
    const INPUT: &str = "Where batches come from.";
    const OUTPUT: &str = "Where batches go.";
    [
        if alone {
            Field::optional("input", Kind::Input, "Where batches come from; without it standard input.")
        } else {
            Field::required("input", Kind::Input, INPUT)
        },
        Field::object("pipeline", PIPELINE, "What happens between input and output."),
        if alone {
            Field::optional("output", Kind::Output, "Where batches go; without it standard output.")
        } else {
            Field::required("output", Kind::Output, OUTPUT)
        },
        Field::new(
            "shutdown_delay",
            Kind::Duration,
            Default::Text("0s"),
            "Pause before inputs stop, when the stream is stopped. It is cut short where less than half of the time until the deadline would be left to deliver what is under way.",
        ),
        Field::new(
            "shutdown_timeout",
            if alone {
                Kind::Duration
            } else {
                Kind::Ignored("the gate's own deadline for stopping streams holds")
            },
            Default::Text("20s"),
            "How long stopping may take.",
        ),
        if alone {
            Field::object("http", HTTP, "The HTTP server of the process.")
        } else {
            Field::optional(
                "http",
                Kind::Ignored("endpoints are served by the gate"),
                "An HTTP server of the engine's own.",
            )
        },
        if alone {
            Field::object("logger", LOGGER, "Logging.")
        } else {
            Field::optional("logger", Kind::Ignored("the gate's logging holds"), "Logging.")
        },
        Field::optional(
            "metrics",
            Kind::Metrics,
            "Where the counters of the stream go. Beside the exporter may stand `mapping`, which renames, labels or drops what is exported: `this` is the name, metadata are the labels.",
        ),
        Field::optional("tracer", Kind::Tracer, "Where the spans of messages go."),
        Field::optional("buffer", Kind::Buffer, "Keeps batches between input and pipeline."),
        Field::object(
            "error_handling",
            ERROR_HANDLING,
            "What becomes of messages that a processor failed on and nothing has handled.",
        ),
        Field::optional(
            "input_resources",
            Kind::Resources(Sort::Input),
            "Inputs that `resource` inputs share.",
        ),
        Field::optional(
            "processor_resources",
            Kind::Resources(Sort::Processor),
            "Processors that `resource` processors share.",
        ),
        Field::optional(
            "output_resources",
            Kind::Resources(Sort::Output),
            "Outputs that `resource` outputs share.",
        ),
        Field::optional("cache_resources", Kind::Resources(Sort::Cache), "Caches, named by their label."),
        Field::optional(
            "rate_limit_resources",
            Kind::Resources(Sort::RateLimit),
            "Rate limits, named by their label.",
        ),
        Field::optional(
            "tests",
            if alone { Kind::Any } else { Kind::Ignored("configuration tests are not run here") },
            "Tests of this configuration, for `sluicegate stream test`.",
        ),
    ]
}

const PIPELINE: &[Field] = &[
    Field::new(
        "threads",
        Kind::Int,
        Default::Int(-1),
        "Batches processed at the same time; -1: as many as there are processors in the machine. Order is kept in any case.",
    ),
    Field::optional("processors", Kind::List(&Kind::Processor), "What changes batches, in this order."),
];
