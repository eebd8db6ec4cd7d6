//! What may be written under the Redis components.

use streams::fields::{AUTO_REPLAY_NACKS, BATCHING_FIELD, max_in_flight};
use streams::{Default, Field, Kind};

use crate::fields::TLS;

const URL: Field = Field::required(
    "url",
    Kind::Text,
    "Where Redis is: `redis://user:password@host:6379/0`, `rediss://` for TLS, `unix:///run/redis.sock`. Several, with commas between them: nodes of a cluster, or sentinels.",
)
.secret();
const KIND: Field = Field::new(
    "kind",
    Kind::Choice(&["simple", "cluster", "failover"]),
    Default::Text("simple"),
    "One server, a cluster, or servers that sentinels watch.",
)
.advanced();
const MASTER: Field = Field::new(
    "master",
    Kind::Text,
    Default::Text(""),
    "With `failover`: the name under which the sentinels know the master.",
)
.advanced();
const CLIENT_NAME: Field = Field::new(
    "client_name",
    Kind::Text,
    Default::Text(""),
    "How connections name themselves to Redis (`CLIENT SETNAME`).",
)
.advanced();
const RETRIES: Field = Field::new(
    "retries",
    Kind::Int,
    Default::Int(3),
    "Further attempts after a failure, before the message is flagged.",
)
.advanced();
const RETRY_PERIOD: Field =
    Field::new("retry_period", Kind::Duration, Default::Text("500ms"), "Pause before each of them.")
        .advanced();
const SENT_METADATA: Field = Field::object(
    "metadata",
    &[Field::new(
        "exclude_prefixes",
        Kind::List(&Kind::Text),
        Default::Texts(&[]),
        "Metadata whose name begins so is left out.",
    )],
    "Which metadata becomes fields of the entry: all but what is excluded.",
);
const BODY_KEY: Field = Field::new(
    "body_key",
    Kind::Text,
    Default::Text("body"),
    "The field of an entry that holds the payload.",
);

pub(super) const STREAMS_INPUT: &[Field] = &[
    URL,
    KIND,
    MASTER,
    CLIENT_NAME,
    TLS,
    BODY_KEY,
    Field::required("streams", Kind::List(&Kind::Text), "The streams to read."),
    AUTO_REPLAY_NACKS,
    Field::new("limit", Kind::Int, Default::Int(10), "Entries asked for at once."),
    Field::new(
        "client_id",
        Kind::Text,
        Default::Text(""),
        "The consumer's name within the group. What a consumer left unacknowledged is given to the next one of this name only, so each instance needs one of its own that stays.",
    ),
    Field::new("consumer_group", Kind::Text, Default::Text(""), "The group; it is made where there is none."),
    Field::new(
        "create_streams",
        Kind::Bool,
        Default::Bool(true),
        "Whether streams that are not there are made.",
    )
    .advanced(),
    Field::new(
        "start_from_oldest",
        Kind::Bool,
        Default::Bool(true),
        "Whether a group that is made here begins with the oldest entry, instead of the next new one.",
    )
    .advanced(),
    Field::new(
        "commit_period",
        Kind::Duration,
        Default::Text("1s"),
        "How often Redis is told what was delivered.",
    )
    .advanced(),
    Field::new("timeout", Kind::Duration, Default::Text("1s"), "How long one request waits for new entries.")
        .advanced(),
];

pub(super) const LIST_INPUT: &[Field] = &[
    URL,
    KIND,
    MASTER,
    CLIENT_NAME,
    TLS,
    Field::required("key", Kind::Text, "The list."),
    AUTO_REPLAY_NACKS,
    Field::new(
        "max_in_flight",
        Kind::Int,
        Default::Int(0),
        "Most elements that are taken and not resolved yet; 0: as many as the stream takes.",
    )
    .advanced(),
    Field::new("timeout", Kind::Duration, Default::Text("5s"), "How long one request waits for an element.")
        .advanced(),
    Field::new(
        "command",
        Kind::Choice(&["blpop", "brpop"]),
        Default::Text("blpop"),
        "From which end elements are taken: the left one (`blpop`), or the right one.",
    )
    .advanced(),
    Field::new(
        "crash_safe",
        Kind::Bool,
        Default::Bool(true),
        "Whether what is under way stays in Redis, in the list `{KEY}:sluicegate:held:…`, until it is delivered; what a killed process held is given back after ten seconds. Needs Redis 6.2. `false`: taking removes, and a killed process loses what it holds.",
    ),
];

pub(super) const PUBSUB_INPUT: &[Field] = &[
    URL,
    KIND,
    MASTER,
    CLIENT_NAME,
    TLS,
    Field::required("channels", Kind::List(&Kind::Text), "The channels, or patterns."),
    Field::new(
        "use_patterns",
        Kind::Bool,
        Default::Bool(false),
        "Whether `channels` are patterns (`h?llo`, `h*llo`, `h[ae]llo`).",
    ),
    AUTO_REPLAY_NACKS,
];

pub(super) const SCAN_INPUT: &[Field] = &[
    URL,
    KIND,
    MASTER,
    CLIENT_NAME,
    TLS,
    AUTO_REPLAY_NACKS,
    Field::new("match", Kind::Text, Default::Text(""), "A pattern of the keys; empty: all of them."),
];

pub(super) const STREAMS_OUTPUT: &[Field] = &[
    URL,
    KIND,
    MASTER,
    CLIENT_NAME,
    TLS,
    Field::required("stream", Kind::Template, "The stream."),
    BODY_KEY,
    Field::new(
        "max_length",
        Kind::Int,
        Default::Int(0),
        "Redis cuts the stream to about this many entries; 0: never.",
    ),
    max_in_flight(64),
    SENT_METADATA,
    BATCHING_FIELD,
];

pub(super) const LIST_OUTPUT: &[Field] = &[
    URL,
    KIND,
    MASTER,
    CLIENT_NAME,
    TLS,
    Field::required("key", Kind::Template, "The list."),
    max_in_flight(64),
    BATCHING_FIELD,
    Field::new(
        "command",
        Kind::Choice(&["rpush", "lpush"]),
        Default::Text("rpush"),
        "At which end messages are added: the right one (`rpush`), or the left one.",
    )
    .advanced(),
];

pub(super) const PUBSUB_OUTPUT: &[Field] = &[
    URL,
    KIND,
    MASTER,
    CLIENT_NAME,
    TLS,
    Field::required("channel", Kind::Template, "The channel."),
    max_in_flight(64),
    BATCHING_FIELD,
];

pub(super) const HASH_OUTPUT: &[Field] = &[
    URL,
    KIND,
    MASTER,
    CLIENT_NAME,
    TLS,
    Field::required("key", Kind::Template, "The hash."),
    Field::new("walk_metadata", Kind::Bool, Default::Bool(false), "Whether all metadata becomes fields."),
    Field::new(
        "walk_json_object",
        Kind::Bool,
        Default::Bool(false),
        "Whether the members of the payload, a JSON object, become fields; they win over metadata.",
    ),
    Field::new(
        "fields",
        Kind::Map(&Kind::Template),
        Default::Pairs(&[]),
        "Further fields; they win over both.",
    ),
    max_in_flight(64),
];

pub(super) const CACHE: &[Field] = &[
    URL,
    KIND,
    MASTER,
    CLIENT_NAME,
    TLS,
    Field::new("prefix", Kind::Text, Default::Text(""), "Begins every key in Redis."),
    Field::new(
        "default_ttl",
        Kind::Duration,
        Default::Text(""),
        "How long a value is kept when its writer does not say; empty: for ever.",
    )
    .advanced(),
    Field::object(
        "retries",
        &[
            Field::new(
                "initial_interval",
                Kind::Duration,
                Default::Text("500ms"),
                "Pause after the first failure.",
            ),
            Field::new("max_interval", Kind::Duration, Default::Text("1s"), "Longest pause."),
            Field::new("max_elapsed_time", Kind::Duration, Default::Text("5s"), "Gives up after this long."),
        ],
        "The pauses between attempts while Redis does not answer.",
    )
    .advanced(),
];

pub(super) const RATE_LIMIT: &[Field] = &[
    URL,
    KIND,
    MASTER,
    CLIENT_NAME,
    TLS,
    Field::new("count", Kind::Int, Default::Int(1000), "Accesses per interval."),
    Field::new(
        "interval",
        Kind::Duration,
        Default::Text("1s"),
        "Begins anew with the first access after its end.",
    ),
    Field::required("key", Kind::Text, "The key in Redis that counts."),
];

pub(super) const COMMAND: &[Field] = &[
    URL,
    KIND,
    MASTER,
    CLIENT_NAME,
    TLS,
    Field::optional("command", Kind::Template, "The command, such as `get` or `incrby`."),
    Field::optional("args_mapping", Kind::Bloblang, "Makes the list of its arguments."),
    Field::optional(
        "operator",
        Kind::Refused("write `command` with `args_mapping`"),
        "The older form of `command`.",
    )
    .advanced(),
    Field::optional("key", Kind::Refused("write `args_mapping`"), "The older form of `args_mapping`.")
        .advanced(),
    RETRIES,
    RETRY_PERIOD,
];

pub(super) const SCRIPT: &[Field] = &[
    URL,
    KIND,
    MASTER,
    CLIENT_NAME,
    TLS,
    Field::required("script", Kind::Text, "The script, in Lua."),
    Field::required("args_mapping", Kind::Bloblang, "Makes the list of its arguments (`ARGV`)."),
    Field::required("keys_mapping", Kind::Bloblang, "Makes the list of its keys (`KEYS`)."),
    RETRIES,
    RETRY_PERIOD,
];
