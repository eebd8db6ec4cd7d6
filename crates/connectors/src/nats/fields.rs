//! What may be written under the components of NATS (streams contract 3.8 to 3.11).

use streams::fields::{AUTO_REPLAY_NACKS, max_in_flight};
use streams::{Default, Field, Kind};

use crate::fields::TLS;
use streams::SELECTION;

const URLS: Field = Field::required(
    "urls",
    Kind::List(&Kind::Text),
    "Servers, tried in this order: `nats://host:4222`, `nats://user:password@host`, `nats://token@host`, `tls://host`; through WebSockets `ws://host:80/path`, `wss://host`. A member may hold several, with commas between them.",
);

const NAME: Field =
    Field::new("name", Kind::Text, Default::Text(""), "How the client names itself; empty: by its stream.")
        .advanced();

const TLS_FIRST: Field = Field::new(
    "tls_handshake_first",
    Kind::Bool,
    Default::Bool(false),
    "TLS begins before the server's greeting, as servers with `handshake_first` want it.",
)
.advanced();

const AUTH_FIELDS: &[Field] = &[
    Field::optional("nkey_file", Kind::Text, "A file with an nkey seed."),
    Field::optional("nkey", Kind::Text, "An nkey seed.").secret(),
    Field::optional(
        "user_credentials_file",
        Kind::Text,
        "A file with a user's JWT and nkey seed, as `nsc` writes it (`.creds`).",
    ),
    Field::optional("user_jwt", Kind::Text, "A user's JWT; `user_nkey_seed` goes with it.").secret(),
    Field::optional("user_nkey_seed", Kind::Text, "The nkey seed of `user_jwt`.").secret(),
    Field::optional("user", Kind::Text, "A user's name; a name in the URL goes before it."),
    Field::optional("password", Kind::Text, "The password of `user`.").secret(),
    Field::optional("token", Kind::Text, "A token; one in the URL goes before it.").secret(),
];

const AUTH: Field = Field::object(
    "auth",
    AUTH_FIELDS,
    "Who the client is: an nkey, a JWT with its nkey, a user or a token. Files are read for every connection.",
).advanced();

const EXTRACT_TRACING: Field = streams::fields::EXTRACT_TRACING_MAP;
const NEW_ROOT_SPAN: Field = streams::fields::NEW_ROOT_SPAN_WITH_LINK;
const INJECT_TRACING: Field = streams::fields::INJECT_TRACING_MAP;

const HEADERS: Field = Field::optional("headers", Kind::Map(&Kind::Template), "Headers of each message.");
const METADATA: Field = Field::object(
    "metadata",
    SELECTION,
    "Which metadata is sent as headers, too: none, unless it is named here.",
);

/// Input `nats`.
pub(super) const INPUT: &[Field] = &[
    URLS,
    NAME,
    Field::required("subject", Kind::Text, "The subject; `*` and `>` are wildcards."),
    Field::optional("queue", Kind::Text, "A queue group: each message goes to one of its members."),
    AUTO_REPLAY_NACKS,
    Field::optional(
        "nak_delay",
        Kind::Duration,
        "How long JetStream waits until it sends a refused message again.",
    ).advanced(),
    Field::new(
        "prefetch_count",
        Kind::Int,
        Default::Int(500_000),
        "Most messages that wait here for the stream. NATS does not slow down for a subscriber: more are lost, which the log tells.",
    ).advanced(),
    Field::new(
        "send_ack",
        Kind::Bool,
        Default::Bool(true),
        "Answers a message that names a reply subject: `+ACK` when it was delivered, `-NAK` when it was not. A `sync_response` is sent in place of `+ACK`.",
    ).advanced(),
    TLS,
    TLS_FIRST,
    AUTH,
    EXTRACT_TRACING,
    NEW_ROOT_SPAN,
];

/// Output `nats`.
pub(super) const OUTPUT: &[Field] = &[
    URLS,
    NAME,
    Field::required("subject", Kind::Template, "The subject of each message."),
    HEADERS,
    METADATA,
    max_in_flight(64),
    TLS,
    TLS_FIRST,
    AUTH,
    INJECT_TRACING,
];

/// Processor `nats_request_reply`.
pub(super) const REQUEST_REPLY: &[Field] = &[
    URLS,
    NAME,
    Field::required("subject", Kind::Template, "The subject of each request."),
    Field::optional(
        "inbox_prefix",
        Kind::Text,
        "What the subjects for replies begin with, for users who may not subscribe to `_INBOX`.",
    )
    .advanced(),
    HEADERS,
    METADATA,
    Field::new(
        "timeout",
        Kind::Duration,
        Default::Text("3s"),
        "How long a reply may take; a message without reply is flagged.",
    ),
    TLS,
    TLS_FIRST,
    AUTH,
];

/// Input `nats_jetstream`.
pub(super) const JETSTREAM_INPUT: &[Field] = &[
    URLS,
    NAME,
    Field::optional(
        "queue",
        Kind::Text,
        "A queue group: its members share the messages. Without `durable` it is the consumer's name, too.",
    ),
    Field::optional(
        "subject",
        Kind::Text,
        "What is read of the stream; wildcards are allowed. It also finds the stream, where `stream` does not name it.",
    ),
    Field::optional(
        "durable",
        Kind::Text,
        "The name of a consumer that the server keeps. Without it, the input remembers by itself how far it has read, as long as it runs.",
    ),
    Field::optional("stream", Kind::Text, "The stream. Either it or `subject` must be written."),
    Field::optional(
        "bind",
        Kind::Bool,
        "The consumer `durable` of `stream` must be there already, of whichever kind; none is made.",
    ),
    Field::new(
        "deliver",
        Kind::Choice(&["all", "last", "last_per_subject", "new"]),
        Default::Text("all"),
        "Where a consumer that is made begins.",
    ),
    Field::new(
        "ack_wait",
        Kind::Duration,
        Default::Text("30s"),
        "How long the server waits for an acknowledgement, or for word that work goes on, which is sent in time.",
    ).advanced(),
    Field::new(
        "max_ack_pending",
        Kind::Int,
        Default::Int(1024),
        "Most messages that are sent ahead of their acknowledgement.",
    ).advanced(),
    TLS,
    TLS_FIRST,
    AUTH,
    EXTRACT_TRACING,
    NEW_ROOT_SPAN,
];

/// Output `nats_jetstream`.
pub(super) const JETSTREAM_OUTPUT: &[Field] = &[
    URLS,
    NAME,
    Field::required("subject", Kind::Template, "The subject of each message."),
    HEADERS,
    METADATA,
    max_in_flight(1024),
    TLS,
    TLS_FIRST,
    AUTH,
    INJECT_TRACING,
];

const BUCKET: Field = Field::required("bucket", Kind::Text, "The bucket, which must exist.");

/// Input `nats_kv`.
pub(super) const KV_INPUT: &[Field] = &[
    URLS,
    NAME,
    BUCKET,
    Field::new("key", Kind::Text, Default::Text(">"), "The keys to watch; `*` and `>` are wildcards."),
    AUTO_REPLAY_NACKS,
    Field::new("ignore_deletes", Kind::Bool, Default::Bool(false), "Passes over keys that are deleted.")
        .advanced(),
    Field::new(
        "include_history",
        Kind::Bool,
        Default::Bool(false),
        "Begins with all that the bucket still holds of each key, not only with the last.",
    )
    .advanced(),
    Field::new("meta_only", Kind::Bool, Default::Bool(false), "Without the values.").advanced(),
    TLS,
    TLS_FIRST,
    AUTH,
];

/// Output `nats_kv`.
pub(super) const KV_OUTPUT: &[Field] = &[
    URLS,
    NAME,
    BUCKET,
    Field::required("key", Kind::Template, "The key of each message."),
    max_in_flight(1024),
    TLS,
    TLS_FIRST,
    AUTH,
];

/// Processor `nats_kv`.
pub(super) const KV_PROCESSOR: &[Field] = &[
    URLS,
    NAME,
    BUCKET,
    Field::required(
        "operation",
        Kind::Choice(&[
            "create",
            "delete",
            "get",
            "get_revision",
            "history",
            "keys",
            "purge",
            "put",
            "update",
        ]),
        "What is done.",
    ),
    Field::required(
        "key",
        Kind::Template,
        "The key of each message; `history` and `keys` take the wildcards `*` and `>`, too.",
    ),
    Field::optional(
        "revision",
        Kind::Template,
        "For `get_revision` the revision to read, for `update` the one that the key must be at.",
    )
    .advanced(),
    Field::new(
        "timeout",
        Kind::Duration,
        Default::Text("5s"),
        "How long it may take; a message without answer is flagged.",
    )
    .advanced(),
    TLS,
    TLS_FIRST,
    AUTH,
];

/// Cache `nats_kv`.
pub(super) const KV_CACHE: &[Field] = &[URLS, NAME, BUCKET, TLS, TLS_FIRST, AUTH];
