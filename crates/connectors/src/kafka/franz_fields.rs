//! What may be written under `kafka_franz` (streams contract 3.9 and 3.10).

use streams::fields::{
    AUTO_REPLAY_NACKS, BATCHING_FIELD, EXTRACT_TRACING_MAP, INJECT_TRACING_MAP, NEW_ROOT_SPAN_WITH_LINK,
    max_in_flight,
};
use streams::{Default, Field, Kind};

use super::fields::{
    BALANCERS, CHECKPOINT_LIMIT, CLIENT_ID, ISOLATION, MECHANISM_DOC, MECHANISMS, MULTI_HEADER, NO_AWS,
    NO_EXTENSIONS, OAUTH2, READ_RACK, START_FROM_OLDEST, TIMESTAMP, WRITE_RACK,
};
use crate::fields::TLS;
use streams::SELECTION;

const SEED_BROKERS: Field = Field::required(
    "seed_brokers",
    Kind::List(&Kind::Text),
    "Brokers to start from, `host:port`. A member may hold several, with commas between them.",
);

const SASL_FIELDS: &[Field] = &[
    Field::required("mechanism", MECHANISMS, MECHANISM_DOC),
    Field::new("username", Kind::Text, Default::Text(""), "For PLAIN and SCRAM."),
    Field::new("password", Kind::Text, Default::Text(""), "For PLAIN and SCRAM.").secret(),
    Field::new("token", Kind::Text, Default::Text(""), "For OAUTHBEARER: a token that stays the same.")
        .secret(),
    OAUTH2,
    Field::optional("extensions", Kind::Refused(NO_EXTENSIONS), "Known from the original."),
    Field::optional("aws", Kind::Refused(NO_AWS), "Known from the original."),
];

const SASL: Field = Field::optional(
    "sasl",
    Kind::List(&Kind::Object(SASL_FIELDS)),
    "Authentication towards the brokers; one mechanism.",
)
.advanced();

const METADATA_MAX_AGE: Field = Field::new(
    "metadata_max_age",
    Kind::Duration,
    Default::Text("5m"),
    "How old what is known of topics and brokers may get. The client looks more often by itself.",
)
.advanced();

/// Input `kafka_franz`.
pub(super) const INPUT: &[Field] = &[
    SEED_BROKERS,
    Field::required(
        "topics",
        Kind::List(&Kind::Text),
        "Topics shared with the other consumers of the group (`orders`), or explicit partitions (`orders:0`, `orders:0-5`), not both. Without a group, an offset to begin at may follow (`orders:0-5:100`). A member may hold several, with commas between them, unless these are patterns.",
    ),
    Field::new(
        "regexp_topics",
        Kind::Bool,
        Default::Bool(false),
        "Whether the members of `topics` are regular expressions (RE2) for names of topics. Topics that come later are found, too.",
    ),
    Field::new(
        "consumer_group",
        Kind::Text,
        Default::Text(""),
        "The group whose offsets are read and committed. May be empty with explicit partitions only: no offsets are stored then.",
    ),
    CLIENT_ID,
    READ_RACK,
    CHECKPOINT_LIMIT.advanced(),
    AUTO_REPLAY_NACKS,
    Field::new("commit_period", Kind::Duration, Default::Text("5s"), "How often offsets are committed.").advanced(),
    START_FROM_OLDEST,
    Field::new(
        "reconnect_on_unknown_topic_or_partition",
        Kind::Bool,
        Default::Bool(false),
        "Whether a topic or partition that the brokers do not know makes a new consumer. The client waits for it otherwise.",
    ).advanced(),
    Field::optional(
        "auto_offset_reset",
        Kind::Choice(&["earliest", "latest", "none"]),
        "Where to begin when there is no stored offset, or none that the brokers still have; `none`: not at all. Wins over `start_from_oldest`.",
    ).advanced(),
    Field::new(
        "group_balancers",
        BALANCERS,
        Default::Texts(&["cooperative_sticky"]),
        "How the group shares partitions; all its members must have one in common. `cooperative_sticky` cannot stand beside others, and `sticky` is refused: the client library does not have it.",
    ).advanced(),
    METADATA_MAX_AGE,
    Field::new(
        "fetch_max_bytes",
        Kind::Size,
        Default::Text("50MiB"),
        "Most that one answer of a broker holds.",
    ).advanced(),
    Field::new(
        "fetch_max_partition_bytes",
        Kind::Size,
        Default::Text("1MiB"),
        "Most of one partition that one answer of a broker holds.",
    ).advanced(),
    Field::new(
        "fetch_max_wait",
        Kind::Duration,
        Default::Text("5s"),
        "How long a broker waits for messages before it answers that there are none.",
    ).advanced(),
    Field::optional(
        "preferring_lag",
        Kind::Ignored("the client library takes turns among partitions, so that none is left behind"),
        "Known from the original.",
    ).advanced(),
    ISOLATION,
    TLS,
    SASL,
    MULTI_HEADER,
    BATCHING_FIELD.advanced(),
    Field::new(
        "rate_limit",
        Kind::RateLimit,
        Default::Text(""),
        "A rate limit resource that every message asks before it is read.",
    ).advanced(),
    EXTRACT_TRACING_MAP,
    NEW_ROOT_SPAN_WITH_LINK,
];

const UNIFORM_BYTES: &[Field] = &[
    Field::new(
        "bytes",
        Kind::Size,
        Default::Text("1MB"),
        "How many bytes go to a partition before the next.",
    ),
    Field::new(
        "adaptive",
        Kind::Bool,
        Default::Bool(false),
        "Whether the next one is that with the fewest messages under way, or any.",
    ),
    Field::new(
        "keys",
        Kind::Bool,
        Default::Bool(false),
        "Whether messages with a key go where their key says.",
    ),
];

/// Output `kafka_franz`.
pub(super) const OUTPUT: &[Field] = &[
    SEED_BROKERS,
    Field::required("topic", Kind::Template, "The topic of each message."),
    Field::new("key", Kind::Template, Default::Text(""), "The key of each message; empty: none."),
    Field::optional(
        "partitioner",
        Kind::Choice(&["least_backup", "manual", "murmur2_hash", "round_robin", "uniform_bytes"]),
        "How a message's partition is chosen: by the fewest messages under way, by `partition`, by the key, in turn, or by bytes. Without it: by the key, and messages without one stay together.",
    ).advanced(),
    Field::object("uniform_bytes_options", UNIFORM_BYTES, "For `partitioner: uniform_bytes`.").advanced(),
    Field::new(
        "partition",
        Kind::Template,
        Default::Text(""),
        "The partition's number, with `partitioner: manual`.",
    ),
    TIMESTAMP,
    CLIENT_ID,
    WRITE_RACK,
    Field::new(
        "idempotent_write",
        Kind::Bool,
        Default::Bool(true),
        "The broker drops what a retry sent twice. The client needs the right to it. Messages count as delivered when all in-sync replicas have them, with or without it.",
    ).advanced(),
    Field::object("metadata", SELECTION, "Which metadata is sent as headers: none, unless it is named here."),
    max_in_flight(10),
    Field::new(
        "timeout",
        Kind::Duration,
        Default::Text("10s"),
        "How long delivering a message may take, the client's own attempts included.",
    ).advanced(),
    BATCHING_FIELD,
    Field::new(
        "max_message_bytes",
        Kind::Size,
        Default::Text("1MB"),
        "A larger message is refused without being sent.",
    ).advanced(),
    Field::new(
        "broker_write_max_bytes",
        Kind::Size,
        Default::Text("100MiB"),
        "Most that one request to a broker holds. An addition of later versions of the original.",
    ).advanced(),
    Field::new(
        "max_buffered_records",
        Kind::Int,
        Default::Int(10_000),
        "Most messages that the client holds which are not delivered yet; more wait.",
    ).advanced(),
    METADATA_MAX_AGE,
    Field::new(
        "allow_auto_topic_creation",
        Kind::Bool,
        Default::Bool(true),
        "Whether brokers may make a missing topic when it is asked for. An addition of later versions of the original.",
    ).advanced(),
    Field::optional(
        "compression",
        Kind::Choice(&["lz4", "snappy", "gzip", "none", "zstd"]),
        "How batches are compressed on their way; without it: snappy.",
    ).advanced(),
    TLS,
    SASL,
    INJECT_TRACING_MAP,
];
