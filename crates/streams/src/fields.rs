//! Field tables that several components share.

use std::path::PathBuf;
use std::sync::Arc;

use document::{Fault, pointer_join};

use crate::build::BuildContext;
use crate::endpoint::{Cors, Endpoint, OwnListener, Role};
use crate::node::Node;
use crate::registry::{Default, Field, Kind};

/// `BATCH` of the contract's notation: a batching policy (streams contract 5.4).
pub const BATCHING: &[Field] = &[
    Field::new("count", Kind::Int, Default::Int(0), "Flush at this many messages; 0: no limit."),
    Field::new("byte_size", Kind::Size, Default::Int(0), "Flush at this many payload bytes; 0: no limit."),
    Field::new(
        "period",
        Kind::Duration,
        Default::Text(""),
        "Flush this long after the first message of a batch.",
    ),
    Field::new(
        "jitter",
        Kind::Float,
        Default::Float(0.0),
        "Up to this fraction of `period` is added at random.",
    ),
    Field::new(
        "check",
        Kind::Bloblang,
        Default::Text(""),
        "Flush when this query is true for the message just added; whatever the policy says, a batch has at most 100000 messages and 256 MiB.",
    ),
    Field::optional("processors", Kind::List(&Kind::Processor), "Run on every batch that the policy makes.")
        .advanced(),
];

/// The field that puts a batching policy before an output or behind an input.
pub const BATCHING_FIELD: Field = Field::object(
    "batching",
    BATCHING,
    "Gathers messages to larger batches. Existing larger batches pass whole.",
);

/// The field of inputs whose failed batches come again before new ones (streams contract 5.3).
pub const AUTO_REPLAY_NACKS: Field = Field::new(
    "auto_replay_nacks",
    Kind::Bool,
    Default::Bool(true),
    "Messages that were not delivered are kept in memory and come again before new ones, until they are delivered. When false, the source is told of the failure instead.",
);

/// The field of inputs that says where messages carry the trace of who sent them. What it says is acted on by the
/// stream, for every input that has it.
pub const EXTRACT_TRACING_MAP: Field = Field::optional(
    "extract_tracing_map",
    Kind::Bloblang,
    "A mapping that gives an object with `traceparent`, and perhaps `tracestate`, of the message: the trace that its spans continue. Such as `root = @`. Without a `tracer` it has no effect.",
).advanced();

/// The field beside [`EXTRACT_TRACING_MAP`].
pub const NEW_ROOT_SPAN_WITH_LINK: Field = Field::new(
    "new_root_span_with_link",
    Kind::Bool,
    Default::Bool(false),
    "Begin a trace of one's own with a link to the one that was extracted, instead of continuing it.",
)
.advanced();

/// The field of outputs that says where messages carry their trace to who reads them. What it says is acted on by the
/// stream, for every output that has it.
pub const INJECT_TRACING_MAP: Field = Field::optional(
    "inject_tracing_map",
    Kind::Bloblang,
    "A mapping that writes the trace into the message: `this` is an object with `traceparent`, and perhaps `tracestate`; `root` and metadata are those of the message. Such as `meta = @.assign(this)`. Without a `tracer` it has no effect.",
).advanced();

/// How many batches an output writes at once.
pub const fn max_in_flight(default: i64) -> Field {
    Field::new(
        "max_in_flight",
        Kind::Int,
        Default::Int(default),
        "Most batches written at the same time; 1 keeps their order.",
    )
}

/// The fields of an own listener: `address`, `cert_file`, `key_file`.
pub(crate) const OWN_LISTENER: [Field; 3] = [
    Field::new(
        "address",
        Kind::Text,
        Default::Text(""),
        "An own listener for these endpoints, such as `0.0.0.0:8080`; there they are at their paths, without a prefix. Empty: they are on the server of `http`.",
    )
    .alone("leave it empty: the endpoint is served under the API's listen path, behind its guards"),
    Field::new(
        "cert_file",
        Kind::Text,
        Default::Text(""),
        "A file with the certificate of the own listener; with it, it speaks TLS, and HTTP/2 as well.",
    )
    .alone("TLS belongs to the gate's listener")
    .advanced(),
    Field::new("key_file", Kind::Text, Default::Text(""), "A file with the key of that certificate.")
        .alone("TLS belongs to the gate's listener")
        .advanced(),
];

/// Reads [`OWN_LISTENER`].
fn own_listener(node: &Node<'_>, context: &BuildContext<'_>) -> Result<Option<Arc<OwnListener>>, Fault> {
    let address = node.text("address")?.into_owned();
    let (cert, key) = (node.text("cert_file")?, node.text("key_file")?);
    let tls = match (&*cert, &*key) {
        ("", "") => None,
        ("", _) => return Err(node.field_fault("key_file", "`key_file` needs a `cert_file`")),
        (_, "") => return Err(node.field_fault("cert_file", "`cert_file` needs a `key_file`")),
        (cert, key) => Some((PathBuf::from(cert), PathBuf::from(key))),
    };
    if address.is_empty() {
        return match tls {
            None => Ok(None),
            Some(_) => Err(node
                .field_fault("cert_file", "`cert_file` is that of an own listener, and `address` is empty")
                .hint("write an `address`, or give the server its certificate: `http.cert_file`")),
        };
    }
    if !context.settings.alone {
        return Err(node.field_fault("address", "`address` is not supported here"));
    }
    Ok(Some(Arc::new(OwnListener { address, tls })))
}

const CORS: &[Field] = &[
    Field::new(
        "enabled",
        Kind::Bool,
        Default::Bool(false),
        "Answer cross-origin requests, and check the origin of WebSockets.",
    ),
    Field::new("allowed_origins", Kind::List(&Kind::Text), Default::Texts(&[]), "Origins, or `*`."),
    Field::new("allowed_headers", Kind::List(&Kind::Text), Default::Texts(&[]), "Request headers."),
    Field::new(
        "allowed_methods",
        Kind::List(&Kind::Text),
        Default::Texts(&["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
        "Verbs.",
    ),
];

/// Cross-origin rules of an `http_server`.
pub(crate) const CORS_FIELD: Field =
    Field::object("cors", CORS, "Cross-origin rules of these endpoints.").advanced();

/// Reads [`CORS_FIELD`].
fn cors(node: &Node<'_>) -> Result<Cors, Fault> {
    Ok(Cors {
        enabled: node.boolean("enabled")?,
        allowed_origins: node.texts("allowed_origins")?,
        allowed_headers: node.texts("allowed_headers")?,
        allowed_methods: node.texts("allowed_methods")?,
    })
}

/// Offers the endpoint whose path stands in `field`; none when the path is empty.
pub(crate) fn offer(
    node: &Node<'_>,
    context: &mut BuildContext<'_>,
    field: &str,
    verbs: &[String],
    role: Role,
) -> Result<(), Fault> {
    let path = node.text(field)?;
    if !path.is_empty() {
        let endpoint = Endpoint {
            stream: context.stream.clone(),
            path: format!("/{}", path.trim_start_matches('/')),
            verbs: verbs.to_vec(),
            role,
            cors: cors(&node.get("cors"))?,
            listener: own_listener(node, context)?,
            implied: !node.has(field),
        };
        context.offer(pointer_join(node.pointer(), field), endpoint);
    }
    Ok(())
}

/// The verbs of `allowed_verbs`, in upper case.
pub(crate) fn verbs(node: &Node<'_>) -> Result<Vec<String>, Fault> {
    Ok(node.texts("allowed_verbs")?.iter().map(|verb| verb.to_ascii_uppercase()).collect())
}
