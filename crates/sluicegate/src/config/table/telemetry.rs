//! Traces and metrics over OTLP. What is said of traces may stand below `opentelemetry.traces`, or above.

use super::{COUNT, Key, Kind::*, acted, pending};

const VERSIONS: super::Kind = Choice(&["1.0", "1.1", "1.2", "1.3"]);

/// The same rows below each of these.
macro_rules! traces {
    ($($below:literal)*) => {
        &[
            $(
                acted(concat!($below, "enabled"), Bool, "", "Trace requests; see [traces](tracing.md). Where both say so, what stands below `opentelemetry.traces` counts."),
                acted(concat!($below, "exporter"), Choice(&["grpc", "http"]), "\"grpc\"", "How OTLP is spoken to the collector: over gRPC, or over HTTP with Protobuf."),
                acted(concat!($below, "endpoint"), Text, "\"localhost:4317\"", "The collector: `host:port`, or an address with a scheme and, for `http`, a path (else `/v1/traces`)."),
                acted(concat!($below, "headers"), SecretMap, "", "Header fields for the collector, such as credentials. A value may be a reference such as `env://NAME`."),
                acted(concat!($below, "connection_timeout"), Seconds, "1", "How long opening a connection to the collector may take."),
                acted(concat!($below, "resource_name"), Text, "\"tyk-gateway\"", "What the gate is called: `service.name`."),
                acted(concat!($below, "tls.enable"), Bool, "", "Speak TLS to the collector."),
                acted(concat!($below, "tls.insecure_skip_verify"), Bool, "", "Accept any certificate of it."),
                acted(concat!($below, "tls.ca_file"), Text, "", "Certificates of the authorities that vouch for it, PEM. Empty: the usual ones."),
                acted(concat!($below, "tls.cert_file"), Text, "", "The certificate that the gate shows, PEM."),
                acted(concat!($below, "tls.key_file"), Text, "", "Its private key, PEM."),
                acted(concat!($below, "tls.min_version"), VERSIONS, "\"1.2\"", "Lowest version of TLS; `1.0` and `1.1` are not spoken."),
                acted(concat!($below, "tls.max_version"), VERSIONS, "\"1.3\"", "Highest version of TLS."),
                acted(concat!($below, "span_processor_type"), Choice(&["batch", "simple"]), "\"batch\"", "Whether spans wait for others that are sent with them (`batch`), or not (`simple`)."),
                acted(concat!($below, "span_batch_config.max_queue_size"), COUNT, "2048", "Spans that may wait to be sent. What comes then is dropped and counted; requests never wait."),
                acted(concat!($below, "span_batch_config.max_export_batch_size"), COUNT, "512", "Spans that are sent at once."),
                acted(concat!($below, "span_batch_config.batch_timeout"), Seconds, "5", "How long the first of them waits for more."),
                acted(concat!($below, "context_propagation"), Choice(&["tracecontext", "b3", "custom", "composite"]), "\"tracecontext\"", "In which fields requests and upstreams are told of traces: those of W3C, those of B3, `custom_trace_header`, or those of W3C and that one."),
                acted(concat!($below, "custom_trace_header"), Text, "", "A field that may hold an id of any form, such as `X-Correlation-ID`. With `custom` and `composite` it goes on to the upstream as it came, else it is taken out."),
                acted(concat!($below, "sampling.type"), Choice(&["AlwaysOn", "AlwaysOff", "TraceIDRatioBased"]), "\"AlwaysOn\"", "Which traces are recorded: all, none, or the part that `sampling.rate` says."),
                acted(concat!($below, "sampling.rate"), Number, "0.5", "That part, from 0 to 1."),
                acted(concat!($below, "sampling.parent_based"), Bool, "", "Of traces that others began, record those that they record."),
            )*
            pending("opentelemetry.traces.mcp", Tree, "", "Where messages of MCP hold their traces."),
            pending("opentelemetry.metrics", Tree, r#"{"exporter": "grpc", "endpoint": "localhost:4317", "connection_timeout": 1, "resource_name": "tyk-gateway", "export_interval": 60, "temporality": "cumulative", "shutdown_timeout": 30, "cardinality_limit": 2000, "retry": {"enabled": true, "initial_interval": 5000, "max_interval": 30000, "max_elapsed_time": 60000}}"#, "Metrics over OTLP. `/metrics` has them for Prometheus."),
        ]
    };
}

pub(super) static KEYS: &[Key] = traces!("opentelemetry.traces." "opentelemetry.");
