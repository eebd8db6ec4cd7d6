//! What may be written under `amqp_0_9` (streams contract 2.9 and 2.10).

use streams::fields::{EXTRACT_TRACING_MAP, INJECT_TRACING_MAP, NEW_ROOT_SPAN_WITH_LINK, max_in_flight};
use streams::{Default, Field, Kind};

use crate::fields::TLS;

const URLS: Field = Field::required(
    "urls",
    Kind::List(&Kind::Text),
    "Brokers, tried in this order: `amqp://user:password@host:5672/vhost`, or `amqps://`. A member may hold several, with commas between them.",
);

const QUEUE_DECLARE: &[Field] = &[
    Field::new("enabled", Kind::Bool, Default::Bool(false), "Whether the queue is declared."),
    Field::new("durable", Kind::Bool, Default::Bool(true), "It survives the broker."),
    Field::new("auto_delete", Kind::Bool, Default::Bool(false), "It goes with its last consumer."),
];

const BINDING: &[Field] = &[
    Field::new("exchange", Kind::Text, Default::Text(""), "The exchange."),
    Field::new("key", Kind::Text, Default::Text(""), "The key."),
];

/// Input `amqp_0_9`.
pub(super) const INPUT: &[Field] = &[
    URLS,
    Field::required("queue", Kind::Text, "The queue to consume."),
    Field::object("queue_declare", QUEUE_DECLARE, "Declares the queue before it is consumed.").advanced(),
    Field::optional("bindings_declare", Kind::List(&Kind::Object(BINDING)), "Binds the queue to exchanges.").advanced(),
    Field::new("consumer_tag", Kind::Text, Default::Text(""), "How the consumer names itself."),
    Field::new(
        "auto_ack",
        Kind::Bool,
        Default::Bool(false),
        "The broker forgets a message when it has sent it: what is on its way when something breaks is lost, and what has arrived is delivered before a stop ends.",
    ).advanced(),
    Field::new(
        "nack_reject_patterns",
        Kind::List(&Kind::Text),
        Default::Texts(&[]),
        "A message that failed with an error in which one of these regular expressions (RE2) is found is rejected, which drops it or sends it to the queue's dead letters. Others go back to the queue.",
    ).advanced(),
    Field::new(
        "prefetch_count",
        Kind::Int,
        Default::Int(10),
        "Most messages that the broker sends ahead of their acknowledgement; 0: no limit.",
    ),
    Field::new(
        "prefetch_size",
        Kind::Int,
        Default::Int(0),
        "Must be 0: no broker in use bounds what it sends ahead by bytes.",
    ).advanced(),
    EXTRACT_TRACING_MAP,
    NEW_ROOT_SPAN_WITH_LINK,
    TLS,
];

const EXCHANGE_DECLARE: &[Field] = &[
    Field::new(
        "enabled",
        Kind::Bool,
        Default::Bool(false),
        "Whether exchanges are declared when first used.",
    ),
    Field::new(
        "type",
        Kind::Choice(&["direct", "fanout", "topic", "x-custom"]),
        Default::Text("direct"),
        "Their type.",
    ),
    Field::new("durable", Kind::Bool, Default::Bool(true), "They survive the broker."),
];

const METADATA: &[Field] = &[Field::new(
    "exclude_prefixes",
    Kind::List(&Kind::Text),
    Default::Texts(&[]),
    "Metadata whose name begins so is not sent.",
)];

const fn property(name: &'static str, doc: &'static str) -> Field {
    Field::new(name, Kind::Template, Default::Text(""), doc)
}

/// Output `amqp_0_9`.
pub(super) const OUTPUT: &[Field] = &[
    URLS,
    Field::required("exchange", Kind::Template, "The exchange of each message."),
    Field::object("exchange_declare", EXCHANGE_DECLARE, "Declares exchanges.").advanced(),
    property("key", "The routing key of each message."),
    property("type", "The property `type`."),
    Field::new(
        "content_type",
        Kind::Template,
        Default::Text("application/octet-stream"),
        "The property `content_type`.",
    )
    .advanced(),
    property("content_encoding", "The property `content_encoding`.").advanced(),
    property("correlation_id", "The property `correlation_id`.").advanced(),
    property("reply_to", "The property `reply_to`.").advanced(),
    property("expiration", "How many milliseconds the broker keeps the message.").advanced(),
    property("message_id", "The property `message_id`.").advanced(),
    property("user_id", "The property `user_id`; a broker refuses another than the connection's.").advanced(),
    property("app_id", "The property `app_id`.").advanced(),
    Field::object("metadata", METADATA, "Which metadata is sent as headers: all but what is named here."),
    property("priority", "The priority, 0 to 9.").advanced(),
    max_in_flight(64),
    Field::new(
        "persistent",
        Kind::Bool,
        Default::Bool(false),
        "Messages in durable queues survive the broker.",
    )
    .advanced(),
    Field::new("mandatory", Kind::Bool, Default::Bool(false), "A message for which there is no queue fails.")
        .advanced(),
    Field::new(
        "immediate",
        Kind::Bool,
        Default::Bool(false),
        "A message for which no consumer is ready fails. RabbitMQ does not offer it.",
    )
    .advanced(),
    Field::new(
        "timeout",
        Kind::Duration,
        Default::Text(""),
        "How long the broker's confirmation may take; empty: as long as the connection lasts.",
    )
    .advanced(),
    INJECT_TRACING_MAP,
    TLS,
];
