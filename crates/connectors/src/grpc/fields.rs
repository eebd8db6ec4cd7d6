//! What may be written under `grpc_client`.

use streams::fields::{AUTO_REPLAY_NACKS, BATCHING_FIELD, max_in_flight};
use streams::{Default, Field, Kind};

use crate::fields::TLS;
use crate::http_client::OAUTH2_FIELDS;

const ADDRESS: Field = Field::required("address", Kind::Text, "The server, as `host:port`.");
const SERVICE: Field =
    Field::required("service", Kind::Text, "The full name of the service, package included.");
const METHOD: Field = Field::required("method", Kind::Text, "The method's name.");
const RPC_TYPE: Field = Field::new(
    "rpc_type",
    Kind::Choice(&["unary", "client_stream", "server_stream", "bidi"]),
    Default::Text("unary"),
    "Which side sends a stream of messages. It must be what the method is.",
);
const REFLECTION: Field = Field::new(
    "reflection",
    Kind::Refused("types are read when the stream is built, so that it starts without its server: name the files in `proto_files`"),
    Default::Bool(false),
    "Ask the server for its types.",
)
.advanced();
const PROTO_FILES: Field = Field::required(
    "proto_files",
    Kind::List(&Kind::Text),
    "Folders or files with the `.proto` texts of the service, read when the stream is built, and only where streams may read files. They import each other by their path from the folder.",
);
const OAUTH2: Field = Field::object(
    "oauth2",
    OAUTH2_FIELDS,
    "OAuth 2 with client credentials. Tokens are kept until they expire.",
)
.advanced();
const HEALTH: Field = Field::object(
    "health_check",
    &[
        Field::new(
            "enabled",
            Kind::Bool,
            Default::Bool(false),
            "Whether the server is asked for its health (`grpc.health.v1.Health`) when the component connects.",
        ),
        Field::optional("service", Kind::Text, "Whose health; empty: that of the whole server."),
    ],
    "Checks the server before it is used.",
)
.advanced();

/// The fields of every call, and those of one side behind them.
macro_rules! with_call {
    ($($field:expr),* $(,)?) => {
        &[ADDRESS, SERVICE, METHOD, RPC_TYPE, REFLECTION, PROTO_FILES, TLS, OAUTH2, HEALTH, $($field),*]
    };
}

pub(super) const INPUT: &[Field] = with_call![
    Field::new(
        "payload",
        Kind::Template,
        Default::Text("{}"),
        "What is sent, as JSON; rendered for each call.",
    ),
    Field::optional("rate_limit", Kind::RateLimit, "A rate limit that calls wait for."),
    AUTO_REPLAY_NACKS,
];

pub(super) const OUTPUT: &[Field] = with_call![
    Field::new(
        "metadata",
        Kind::Map(&Kind::Template),
        Default::Absent,
        "Metadata of the calls, which gRPC sends as header fields.",
    ),
    Field::new(
        "propagate_response",
        Kind::Bool,
        Default::Bool(false),
        "Whether answers go back to whoever sent the message.",
    ),
    max_in_flight(64),
    BATCHING_FIELD,
];
