//! What may be written under `mqtt` (streams contract 2.8).

use streams::fields::{AUTO_REPLAY_NACKS, max_in_flight};
use streams::{Default, Field, Kind};

use crate::fields::TLS;

const URLS: Field = Field::required(
    "urls",
    Kind::List(&Kind::Text),
    "Brokers, tried in this order: `tcp://host:1883`, `ssl://host:8883`, `ws://host:80/mqtt`, `wss://host/mqtt`. A member may hold several, with commas between them.",
);
const CLIENT_ID: Field = Field::new(
    "client_id",
    Kind::Text,
    Default::Text(""),
    "How the client names itself to the broker. Two clients of one name push each other out.",
);
const SUFFIX: Field = Field::optional(
    "dynamic_client_id_suffix",
    Kind::Choice(&["nanoid", ""]),
    "`nanoid` appends random characters to `client_id`, so that several instances can run from one configuration. They stay the same while the stream runs.",
).advanced();
const CONNECT_TIMEOUT: Field = Field::new(
    "connect_timeout",
    Kind::Duration,
    Default::Text("30s"),
    "How long connecting to one broker may take.",
);
const WILL_FIELDS: &[Field] = &[
    Field::new("enabled", Kind::Bool, Default::Bool(false), "Whether there is a last will."),
    Field::new("qos", Kind::Int, Default::Int(0), "Its quality of service: 0, 1 or 2."),
    Field::new(
        "retained",
        Kind::Bool,
        Default::Bool(false),
        "Whether the broker keeps it for later subscribers.",
    ),
    Field::new("topic", Kind::Text, Default::Text(""), "Where it is published."),
    Field::new("payload", Kind::Text, Default::Text(""), "What it says."),
];
const WILL: Field = Field::object(
    "will",
    WILL_FIELDS,
    "What the broker publishes when this client vanishes without taking leave.",
)
.advanced();
const USER: Field = Field::new("user", Kind::Text, Default::Text(""), "The user's name.").advanced();
const PASSWORD: Field =
    Field::new("password", Kind::Text, Default::Text(""), "The user's password.").advanced().secret();
const KEEPALIVE: Field = Field::new(
    "keepalive",
    Kind::Int,
    Default::Int(30),
    "Seconds between signs of life on a quiet connection.",
)
.advanced();
const PROTOCOL: Field = Field::new(
    "protocol_version",
    Kind::Choice(&["3.1.1", "5"]),
    Default::Text("3.1.1"),
    "The version of MQTT that is spoken. (Not in the original, which speaks 3.1.1.)",
)
.advanced();

/// Input `mqtt`.
pub(super) const INPUT: &[Field] = &[
    URLS,
    CLIENT_ID,
    SUFFIX,
    CONNECT_TIMEOUT,
    WILL,
    USER,
    PASSWORD,
    KEEPALIVE,
    PROTOCOL,
    TLS,
    Field::required("topics", Kind::List(&Kind::Text), "Topics to subscribe to; `+` and `#` are wildcards."),
    Field::new(
        "qos",
        Kind::Int,
        Default::Int(1),
        "Quality of service of the subscriptions. 1 and 2: a message is acknowledged to the broker only when it was delivered. 0: what is on its way when the gate or the connection ends is gone, and so is what arrives while 1024 messages wait for a stream that stands still; the log says how many.",
    )
    .advanced(),
    Field::new(
        "clean_session",
        Kind::Bool,
        Default::Bool(true),
        "false: the broker keeps the subscriptions and what was not acknowledged while this client is away; it needs a `client_id` that stays the same.",
    ).advanced(),
    AUTO_REPLAY_NACKS,
];

/// Output `mqtt`.
pub(super) const OUTPUT: &[Field] = &[
    URLS,
    CLIENT_ID,
    SUFFIX,
    CONNECT_TIMEOUT,
    WILL,
    USER,
    PASSWORD,
    KEEPALIVE,
    PROTOCOL,
    TLS,
    Field::required("topic", Kind::Template, "The topic of each message."),
    Field::new(
        "qos",
        Kind::Int,
        Default::Int(1),
        "Quality of service. 1 and 2: delivered means that the broker has confirmed it. 0: that it was sent.",
    ),
    Field::new(
        "write_timeout",
        Kind::Duration,
        Default::Text("3s"),
        "How long the broker's confirmation may take.",
    ),
    Field::new(
        "retained",
        Kind::Bool,
        Default::Bool(false),
        "Whether the broker keeps the message for later subscribers.",
    ),
    Field::optional(
        "retained_interpolated",
        Kind::Template,
        "Decides it for each message, instead of `retained`: true or false.",
    )
    .advanced(),
    max_in_flight(64),
];
