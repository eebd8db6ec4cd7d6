//! What may be written under `amqp_1` (streams contract 2.11).

use streams::fields::max_in_flight;
use streams::{Default, Field, Kind};

use crate::fields::TLS;

const URLS: Field = Field::required(
    "urls",
    Kind::List(&Kind::Text),
    "Servers, tried in this order: `amqp://host:5672`, `amqps://user:password@host`. A member may hold several, with commas between them.",
);

const SASL_FIELDS: &[Field] = &[
    Field::new(
        "mechanism",
        Kind::Choice(&["anonymous", "none", "plain"]),
        Default::Text("none"),
        "How the client says who it is. A user in the URL is sent as PLAIN.",
    ),
    Field::new("user", Kind::Text, Default::Text(""), "For PLAIN."),
    Field::new("password", Kind::Text, Default::Text(""), "For PLAIN.").secret(),
];

const SASL: Field = Field::object("sasl", SASL_FIELDS, "Authentication.").advanced();

/// Input `amqp_1`.
pub(super) const INPUT: &[Field] = &[
    URLS,
    Field::required(
        "source_address",
        Kind::Text,
        "What is read, such as a queue: `/queue/orders` for RabbitMQ.",
    ),
    Field::new(
        "azure_renew_lock",
        Kind::Bool,
        Default::Bool(false),
        "Must be false: locks of Azure Service Bus are not renewed here.",
    )
    .advanced(),
    Field::new("read_header", Kind::Bool, Default::Bool(false), "Sets metadata from the header, too.")
        .advanced(),
    Field::new(
        "credit",
        Kind::Int,
        Default::Int(64),
        "How many messages the server may send ahead; it gets new credit when half of them are settled.",
    )
    .advanced(),
    TLS,
    SASL,
];

const METADATA: &[Field] = &[Field::new(
    "exclude_prefixes",
    Kind::List(&Kind::Text),
    Default::Texts(&[]),
    "Metadata whose name begins so is not sent.",
)];

/// Output `amqp_1`.
pub(super) const OUTPUT: &[Field] = &[
    URLS,
    Field::required("target_address", Kind::Text, "Where messages go, such as a queue."),
    max_in_flight(64),
    TLS,
    Field::optional(
        "application_properties_map",
        Kind::Bloblang,
        "A query that gives an object of texts, numbers and booleans: the application properties of each message.",
    ).advanced(),
    SASL,
    Field::object(
        "metadata",
        METADATA,
        "Which metadata is sent as message annotations: all but what is named here.",
    ),
    Field::new(
        "content_type",
        Kind::Choice(&["opaque_binary", "string"]),
        Default::Text("opaque_binary"),
        "Whether the payload is sent as bytes or as a text value.",
    ).advanced(),
];
