//! What may be written under `http_client` and `http` (streams contract 2.1 to 2.3, 3.8).

use streams::fields::{AUTO_REPLAY_NACKS, BATCHING_FIELD, max_in_flight};
use streams::scanners::codec;
use streams::{Default, Field, Kind};

use crate::auth_fields::{BASIC_AUTH, JWT, OAUTH};
use crate::fields::TLS;
use streams::SELECTION;

const fn text(name: &'static str, doc: &'static str) -> Field {
    Field::new(name, Kind::Text, Default::Text(""), doc)
}

const fn enabled(doc: &'static str) -> Field {
    Field::new("enabled", Kind::Bool, Default::Bool(false), doc)
}

/// Client credentials.
pub(crate) const OAUTH2_FIELDS: &[Field] = &[
    enabled("Whether a token is fetched and sent."),
    text("client_key", "The client's name at the token server."),
    text("client_secret", "The client's secret at the token server.").secret(),
    text("token_url", "Where tokens are given."),
    Field::new("scopes", Kind::List(&Kind::Text), Default::Texts(&[]), "Scopes to ask for."),
    Field::optional(
        "endpoint_params",
        Kind::Map(&Kind::Any),
        "Further parameters of the request for a token; each a text or a list of texts.",
    ),
];

const DIGEST_FIELDS: &[Field] = &[
    enabled("Whether the server's challenge is answered."),
    text("username", "The user's name."),
    text("password", "The user's password.").secret(),
];

const NO_KERBEROS: Kind = Kind::Ignored("Kerberos is not offered");
const NEGOTIATE_FIELDS: &[Field] = &[
    enabled("Refused when true."),
    Field::optional("api", NO_KERBEROS, "Known from the original."),
    Field::optional("user_only_for_fallback", NO_KERBEROS, "Known from the original."),
    Field::optional("user", NO_KERBEROS, "Known from the original."),
    Field::optional("kerberos", NO_KERBEROS, "Known from the original."),
];

const TRANSPORT_FIELDS: &[Field] = &[
    Field::object(
        "dial_context",
        &[
            Field::new(
                "timeout",
                Kind::Duration,
                Default::Text("30s"),
                "How long resolving the name and connecting may take.",
            ),
            Field::new(
                "keep_alive",
                Kind::Duration,
                Default::Text("30s"),
                "Silence after which the operating system probes the peer; 0s: never.",
            ),
        ],
        "How connections are opened.",
    ),
    Field::new(
        "force_http2",
        Kind::Bool,
        Default::Bool(true),
        "Whether HTTP/2 is offered to servers with TLS. HTTP/1.1 is used when it is not, or with a header `Host` of your own.",
    ),
    Field::new(
        "max_idle_connections",
        Kind::Int,
        Default::Int(100),
        "Most idle connections kept for each server; 0: any number.",
    ),
    Field::new(
        "idle_connection_timeout",
        Kind::Duration,
        Default::Text("90s"),
        "How long an idle connection is kept; 0s: for ever.",
    ),
    Field::new(
        "tls_handshake_timeout",
        Kind::Duration,
        Default::Text("10s"),
        "How long the handshake of TLS, or a proxy that opens a way, may take.",
    ),
    Field::optional(
        "expect_continue_timeout",
        Kind::Ignored("requests never ask with `Expect: 100-continue` before they send their body"),
        "Known from the original.",
    ),
];

/// `TRANSPORT` of the streams contract's notation (section 0).
pub(crate) const TRANSPORT: Field =
    Field::object("transport", TRANSPORT_FIELDS, "Connections and their times.").advanced();

const URL: Field = Field::required("url", Kind::Template, "The address, `http://...` or `https://...`.");

const fn verb(default: &'static str) -> Field {
    Field::new("verb", Kind::Text, Default::Text(default), "The method of the requests.")
}

const BASE: [Field; 23] = [
    Field::optional(
        "headers",
        Kind::Map(&Kind::Template),
        "Headers of the requests. `Host` replaces the name in the address. `Content-Type` is `application/octet-stream` when there is a body and it is not written.",
    ),
    Field::object("metadata", SELECTION, "Which metadata travels as request headers.").advanced(),
    Field::new(
        "dump_request_log_level",
        Kind::Choice(&["", "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"]),
        Default::Text(""),
        "Logs requests and answers whole, at this level. Credentials are left out.",
    ).advanced(),
    OAUTH,
    Field::object(
        "oauth2",
        OAUTH2_FIELDS,
        "OAuth 2 with client credentials. Tokens are kept until they expire.",
    ).advanced(),
    BASIC_AUTH,
    JWT,
    Field::object("digest_auth", DIGEST_FIELDS, "Digest authentication (RFC 7616).").advanced(),
    Field::object("negotiate", NEGOTIATE_FIELDS, "Kerberos (SPNEGO), which is not offered.").advanced(),
    TLS,
    Field::object(
        "extract_headers",
        SELECTION,
        "Which headers of answers become metadata, with names in lower case.",
    ).advanced(),
    Field::new(
        "rate_limit",
        Kind::RateLimit,
        Default::Text(""),
        "A rate limit resource; waited for before every attempt.",
    ),
    Field::new(
        "timeout",
        Kind::Duration,
        Default::Text("5s"),
        "How long one attempt may take, reading the answer included (but for an endless one).",
    ),
    Field::new("retry_period", Kind::Duration, Default::Text("1s"), "The wait before another attempt.").advanced(),
    Field::new(
        "max_retry_backoff",
        Kind::Duration,
        Default::Text("300s"),
        "The longest wait when waits grow, or when the server says how long (`Retry-After`).",
    ).advanced(),
    Field::new("retries", Kind::Int, Default::Int(3), "Most further attempts after the first.").advanced(),
    Field::new(
        "follow_redirects",
        Kind::Bool,
        Default::Bool(true),
        "Whether redirects are followed, up to ten. Credentials are not sent to another host.",
    ).advanced(),
    Field::optional(
        "backoff_on",
        Kind::List(&Kind::Int),
        "Status codes after which the waits between attempts grow; `[429]` when not written.",
    ).advanced(),
    Field::optional("drop_on", Kind::List(&Kind::Int), "Status codes after which there is no other attempt.").advanced(),
    Field::optional("successful_on", Kind::List(&Kind::Int), "Status codes that are success, beside 2xx.").advanced(),
    Field::optional(
        "proxy_url",
        Kind::Text,
        "A proxy to go through: `http://`, `https://` or `socks5://`, with credentials inside if it wants them. Only what is written here is used, not the environment.",
    ).advanced(),
    TRANSPORT,
    Field::new(
        "max_response_bytes",
        Kind::Size,
        Default::Text("256MiB"),
        "Longer answers are refused, so that one cannot fill the memory.",
    ).advanced(),
];

const PAYLOAD: Field = Field::optional("payload", Kind::Template, "The body of the requests.");

const BATCH_AS_MULTIPART: Field = Field::new(
    "batch_as_multipart",
    Kind::Bool,
    Default::Bool(false),
    "Sends a batch of several messages as one `multipart/form-data` request. Otherwise one request a message.",
).advanced();

const PART: &[Field] = &[
    Field::new("content_type", Kind::Template, Default::Text(""), "`Content-Type` of the part."),
    Field::new(
        "content_disposition",
        Kind::Template,
        Default::Text(""),
        "`Content-Disposition` of the part.",
    ),
    Field::new("body", Kind::Template, Default::Text(""), "The part itself."),
];

/// Two lists in one.
const fn join<const A: usize, const B: usize, const ALL: usize>(
    a: [Field; A],
    b: [Field; B],
) -> [Field; ALL] {
    assert!(A + B == ALL);
    let mut all = [a[0]; ALL];
    let mut at = 0;
    while at < ALL {
        all[at] = if at < A { a[at] } else { b[at - A] };
        at += 1;
    }
    all
}

const STREAM: &[Field] = &[
    Field::new(
        "enabled",
        Kind::Bool,
        Default::Bool(false),
        "Whether the answer is read as it arrives and cut into messages. `timeout` then holds for its head only.",
    ),
    Field::new(
        "reconnect",
        Kind::Bool,
        Default::Bool(true),
        "Whether the request is sent again when the answer has ended. Otherwise the input ends with it.",
    ),
    Field::optional("scanner", Kind::Scanner, "How the answer is cut; `lines` when it is not written."),
    codec::CODEC,
    codec::MAX_BUFFER,
];

/// Input `http_client`.
pub(super) static INPUT: [Field; 29] = join(
    join::<2, 23, 25>(
        [
            Field::required(
                "url",
                Kind::Template,
                "The address, `http://...` or `https://...`. Here and in `headers` and `payload`, interpolations see the messages of the previous answer, which makes paging possible; before the first answer there is no message.",
            ),
            verb("GET"),
        ],
        BASE,
    ),
    [
        PAYLOAD,
        Field::new(
            "drop_empty_bodies",
            Kind::Bool,
            Default::Bool(true),
            "Whether answers without a body are passed over. They count as no previous answer.",
        )
        .advanced(),
        Field::object("stream", STREAM, "Reads one endless answer instead of asking again and again."),
        AUTO_REPLAY_NACKS,
    ],
);

/// Output `http_client`.
pub(super) static OUTPUT: [Field; 31] = join(
    join::<2, 23, 25>([URL, verb("POST")], BASE),
    [
        PAYLOAD.advanced(),
        BATCH_AS_MULTIPART,
        Field::new(
            "propagate_response",
            Kind::Bool,
            Default::Bool(false),
            "Whether the answer goes back to who sent the message into the stream, as a synchronous response.",
        ).advanced(),
        max_in_flight(64),
        BATCHING_FIELD,
        Field::optional(
            "multipart",
            Kind::List(&Kind::Object(PART)),
            "Builds the body as `multipart/form-data` of these parts instead of the message.",
        ).advanced(),
    ],
);

/// Processor `http`.
pub(super) static PROCESSOR: [Field; 28] = join(
    join::<2, 23, 25>([URL, verb("POST")], BASE),
    [
        PAYLOAD.advanced(),
        BATCH_AS_MULTIPART,
        Field::new(
            "parallel",
            Kind::Bool,
            Default::Bool(false),
            "Whether the requests of one batch are sent at the same time, up to 64.",
        ),
    ],
);
