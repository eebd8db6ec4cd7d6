//! What may be written under `websocket`.

use streams::fields::AUTO_REPLAY_NACKS;
use streams::{Default, Field, Kind};

use crate::auth_fields::{BASIC_AUTH, JWT, OAUTH};
use crate::fields::TLS;

const URL: Field = Field::required("url", Kind::Text, "The address, `ws://...` or `wss://...`.");

const PROXY: Field = Field::optional(
    "proxy_url",
    Kind::Text,
    "A proxy to go through: `http://`, `https://` or `socks5://`, with credentials inside if it wants them. Only what is written here is used, not the environment.",
).advanced();

const HEADERS: Field = Field::optional(
    "headers",
    Kind::Map(&Kind::Template),
    "Further headers of the request that opens the connection. There is no message in interpolations.",
)
.advanced();

const WORDS: Kind = Kind::Choice(&["binary", "text"]);

/// Input `websocket`.
pub(super) static INPUT: [Field; 12] = [
    URL,
    PROXY,
    HEADERS,
    Field::optional("open_messages", Kind::List(&Kind::Text), "Sent in this order after each connecting.").advanced(),
    Field::new(
        "open_message",
        Kind::Text,
        Default::Text(""),
        "Older form of `open_messages`: one message, unless it is empty.",
    ),
    Field::new("open_message_type", WORDS, Default::Text("binary"), "How opening messages are sent.").advanced(),
    Field::object(
        "connection",
        &[Field::optional(
            "max_retries",
            Kind::Int,
            "The input ends after so many attempts in a row to connect again have failed; 0: after the first failure. Negative or not written: it goes on for ever.",
        )],
        "How connecting is attempted.",
    ).advanced(),
    AUTO_REPLAY_NACKS,
    TLS,
    OAUTH,
    BASIC_AUTH,
    JWT,
];

/// Output `websocket`.
pub(super) static OUTPUT: [Field; 8] = [
    URL,
    PROXY,
    HEADERS,
    Field::new("message_type", WORDS, Default::Text("binary"), "How messages are sent. Text must be UTF-8."),
    TLS,
    OAUTH,
    BASIC_AUTH,
    JWT,
];
