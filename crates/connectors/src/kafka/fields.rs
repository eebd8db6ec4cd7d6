//! What may be written under `kafka` (streams contract 2.6 and 2.7), and what both field sets share.

use streams::fields::{
    AUTO_REPLAY_NACKS, BATCHING_FIELD, EXTRACT_TRACING_MAP, INJECT_TRACING_MAP, NEW_ROOT_SPAN_WITH_LINK,
    max_in_flight,
};
use streams::{Default, Field, Kind};

use crate::fields::TLS;
use crate::http_client::OAUTH2_FIELDS as OF_HTTP;

const NEGOTIATED: Kind = Kind::Ignored("the protocol's version is negotiated with the broker");

const ADDRESSES: Field = Field::required(
    "addresses",
    Kind::List(&Kind::Text),
    "Brokers to start from, `host:port`. A member may hold several, with commas between them.",
);
pub(super) const CLIENT_ID: Field = Field::new(
    "client_id",
    Kind::Text,
    Default::Text("bento"),
    "How the client names itself to the brokers.",
)
.advanced();
pub(super) const TIMESTAMP: Field = Field::new(
    "timestamp_ms",
    Kind::Template,
    Default::Text(""),
    "The time of each message, in milliseconds since 1970; empty: the time of sending. An addition to the original.",
).advanced();
/// Client credentials. Fields as of HTTP clients, and the extensions that only Kafka knows.
pub(super) const OAUTH2: Field = Field::object(
    "oauth2",
    OAUTH2_FIELDS,
    "For OAUTHBEARER: tokens are fetched from a server, and anew before they expire (RFC 6749, 4.4).",
);
const OAUTH2_FIELDS: &[Field] = &[
    OF_HTTP[0],
    OF_HTTP[1],
    OF_HTTP[2],
    OF_HTTP[3],
    OF_HTTP[4],
    OF_HTTP[5],
    Field::optional("extensions", Kind::Refused(NO_EXTENSIONS), "Known from the original."),
];
// None of them is left out.
const _: () = assert!(OF_HTTP.len() + 1 == OAUTH2_FIELDS.len());
const TARGET_VERSION: Field = Field::optional("target_version", NEGOTIATED, "Known from the original.");

pub(super) const NO_CACHE: &str =
    "a token that others keep in a cache is not looked for; let the client fetch its own with `oauth2`";
pub(super) const NO_EXTENSIONS: &str = "the client library's binding sends no SASL extensions; ask the brokers' operator for a listener without them";
pub(super) const NO_AWS: &str =
    "requests are not signed with AWS credentials here; use SCRAM-SHA-512, which MSK offers, too";
pub(super) const MECHANISMS: Kind =
    Kind::Choice(&["none", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "AWS_MSK_IAM"]);
pub(super) const MECHANISM_DOC: &str = "How the client proves who it is. AWS_MSK_IAM is refused.";

const SASL_FIELDS: &[Field] = &[
    Field::new("mechanism", MECHANISMS, Default::Text("none"), MECHANISM_DOC),
    Field::new("user", Kind::Text, Default::Text(""), "For PLAIN and SCRAM."),
    Field::new("password", Kind::Text, Default::Text(""), "For PLAIN and SCRAM.").secret(),
    Field::new(
        "access_token",
        Kind::Text,
        Default::Text(""),
        "For OAUTHBEARER: a token that stays the same.",
    )
    .secret(),
    Field::optional("token_cache", Kind::Refused(NO_CACHE), "Known from the original."),
    Field::optional("token_key", Kind::Refused(NO_CACHE), "Known from the original."),
    OAUTH2,
    Field::optional("aws", Kind::Refused(NO_AWS), "Known from the original."),
];
const SASL: Field = Field::object("sasl", SASL_FIELDS, "Authentication towards the brokers.").advanced();

/// The client library takes these names; `sticky` of the original is not among them.
pub(super) const BALANCERS: Kind =
    Kind::List(&Kind::Choice(&["range", "round_robin", "cooperative_sticky", "sticky"]));

const GROUP: &[Field] = &[
    Field::new(
        "session_timeout",
        Kind::Duration,
        Default::Text("10s"),
        "A consumer that is silent for so long loses its partitions.",
    ),
    Field::new(
        "heartbeat_interval",
        Kind::Duration,
        Default::Text("3s"),
        "How often a consumer shows that it lives.",
    ),
    Field::new(
        "rebalance_timeout",
        Kind::Duration,
        Default::Text("60s"),
        "How long the consumers have to hand over their partitions when the group changes.",
    ),
    Field::new(
        "balancers",
        BALANCERS,
        Default::Texts(&["range"]),
        "How the group shares partitions; all its members must have one in common. With `cooperative_sticky` members keep what they have while the group changes; consumers of the original speak `range`. An addition to the original.",
    ),
];

pub(super) const READ_RACK: Field = Field::new(
    "rack_id",
    Kind::Text,
    Default::Text(""),
    "Read from the nearest replica, when the brokers are set up for it.",
)
.advanced();
pub(super) const WRITE_RACK: Field = Field::optional(
    "rack_id",
    Kind::Ignored("writing always goes to a partition's leader"),
    "Known from the original.",
)
.advanced();
pub(super) const START_FROM_OLDEST: Field = Field::new(
    "start_from_oldest",
    Kind::Bool,
    Default::Bool(true),
    "Where to begin when the group has no stored offset: at the oldest message, or at the newest.",
)
.advanced();
pub(super) const CHECKPOINT_LIMIT: Field = Field::new(
    "checkpoint_limit",
    Kind::Int,
    Default::Int(1024),
    "Most messages of one partition that are on their way at the same time. 1 keeps their order through a pipeline that runs in parallel.",
);
pub(super) const ISOLATION: Field = Field::new(
    "transaction_isolation_level",
    Kind::Choice(&["read_uncommitted", "read_committed"]),
    Default::Text("read_uncommitted"),
    "Whether messages of open and aborted transactions are read.",
)
.advanced();
pub(super) const MULTI_HEADER: Field = Field::new(
    "multi_header",
    Kind::Bool,
    Default::Bool(false),
    "Header values become lists, so that a header that comes several times is kept whole. Otherwise its last value stays.",
).advanced();

/// Input `kafka`.
pub(super) const INPUT: &[Field] = &[
    ADDRESSES,
    Field::required(
        "topics",
        Kind::List(&Kind::Text),
        "Topics shared with the other consumers of the group (`orders`), or explicit partitions (`orders:0`, `orders:0-5`), not both. Without a group, an offset to begin at may follow (`orders:0-5:100`). A member may hold several, with commas between them.",
    ),
    TARGET_VERSION,
    TLS,
    SASL,
    Field::new(
        "consumer_group",
        Kind::Text,
        Default::Text(""),
        "The group whose offsets are read and committed. May be empty with explicit partitions only: no offsets are stored then.",
    ),
    CLIENT_ID,
    READ_RACK,
    START_FROM_OLDEST,
    CHECKPOINT_LIMIT,
    AUTO_REPLAY_NACKS,
    Field::new("commit_period", Kind::Duration, Default::Text("1s"), "How often offsets are committed.")
        .advanced(),
    ISOLATION,
    Field::optional(
        "max_processing_period",
        Kind::Ignored("a slow batch does not endanger the session here: heartbeats do not wait for it"),
        "Known from the original.",
    )
    .advanced(),
    EXTRACT_TRACING_MAP,
    NEW_ROOT_SPAN_WITH_LINK,
    Field::object("group", GROUP, "How the group finds out who lives.").advanced(),
    Field::optional(
        "fetch_buffer_cap",
        Kind::Ignored("what is fetched ahead is bounded by bytes, not by messages"),
        "Known from the original.",
    )
    .advanced(),
    MULTI_HEADER,
    Field::new("debug", Kind::Bool, Default::Bool(false), "Logs what the client library does.").advanced(),
    BATCHING_FIELD.advanced(),
];

const TOPIC_CREATION: &[Field] = &[
    Field::new(
        "enabled",
        Kind::Bool,
        Default::Bool(false),
        "Whether missing topics are created by the output.",
    ),
    Field::new(
        "partitions",
        Kind::Int,
        Default::Int(-1),
        "Their number of partitions; -1: the broker's default.",
    ),
    Field::new(
        "replication_factor",
        Kind::Int,
        Default::Int(-1),
        "Their number of replicas; -1: the broker's default.",
    ),
];

const METADATA: &[Field] = &[Field::new(
    "exclude_prefixes",
    Kind::List(&Kind::Text),
    Default::Texts(&[]),
    "Metadata whose name begins so is not sent.",
)];

const BACKOFF: &[Field] = &[
    Field::new(
        "initial_interval",
        Kind::Duration,
        Default::Text("3s"),
        "The wait before the first new attempt.",
    ),
    Field::new("max_interval", Kind::Duration, Default::Text("10s"), "The longest wait between attempts."),
    Field::new(
        "max_elapsed_time",
        Kind::Duration,
        Default::Text("30s"),
        "No new attempt after this time; 0s: no limit.",
    ),
];

/// Output `kafka`.
pub(super) const OUTPUT: &[Field] = &[
    ADDRESSES,
    TLS,
    SASL,
    Field::required("topic", Kind::Template, "The topic of each message."),
    CLIENT_ID,
    TARGET_VERSION,
    WRITE_RACK,
    Field::new("key", Kind::Template, Default::Text(""), "The key of each message; empty: none."),
    Field::new(
        "partitioner",
        Kind::Choice(&["fnv1a_hash", "murmur2_hash", "random", "round_robin", "manual"]),
        Default::Text("fnv1a_hash"),
        "How a message's partition is chosen. The hashes are of the key; without a key, they choose at random. `manual` takes `partition`.",
    ),
    Field::new(
        "partition",
        Kind::Template,
        Default::Text(""),
        "The partition's number, with `partitioner: manual`.",
    ).advanced(),
    TIMESTAMP,
    Field::object("custom_topic_creation", TOPIC_CREATION, "Creates topics that do not exist.").advanced(),
    Field::new(
        "compression",
        Kind::Choice(&["none", "snappy", "lz4", "gzip", "zstd"]),
        Default::Text("none"),
        "How batches are compressed on their way.",
    ),
    Field::optional("static_headers", Kind::Map(&Kind::Text), "Headers that every message gets."),
    Field::object("metadata", METADATA, "Which metadata is sent as headers: all but what is named here."),
    INJECT_TRACING_MAP,
    max_in_flight(64),
    Field::new(
        "idempotent_write",
        Kind::Bool,
        Default::Bool(false),
        "The broker drops what a retry sent twice. The client needs the right to it; acknowledgement by all in-sync replicas is then implied.",
    ).advanced(),
    Field::new(
        "ack_replicas",
        Kind::Bool,
        Default::Bool(false),
        "Whether all in-sync replicas must have a message before it counts as delivered, or the leader alone.",
    ).advanced(),
    Field::new(
        "max_msg_bytes",
        Kind::Size,
        Default::Int(1_000_000),
        "A larger message is refused without being sent.",
    ).advanced(),
    Field::new(
        "timeout",
        Kind::Duration,
        Default::Text("5s"),
        "How long one attempt to deliver a message may take, waiting for an unreachable broker included.",
    ).advanced(),
    Field::new(
        "retry_as_batch",
        Kind::Bool,
        Default::Bool(false),
        "When some messages of a batch fail, all of it is sent again, which keeps their order.",
    ).advanced(),
    BATCHING_FIELD,
    Field::new(
        "max_retries",
        Kind::Int,
        Default::Int(0),
        "Most new attempts for a batch; 0: only `backoff` limits them.",
    ).advanced(),
    Field::object("backoff", BACKOFF, "The waits between attempts.").advanced(),
];
