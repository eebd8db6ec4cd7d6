//! What may be written under `schema_registry_decode` and `schema_registry_encode`.

use streams::{Default, Field, Kind};

use crate::auth_fields::{BASIC_AUTH, JWT, OAUTH};
use crate::fields::TLS_ALWAYS;
use crate::http_client::TRANSPORT;

const URL: Field = Field::required(
    "url",
    Kind::Text,
    "The address of the registry, `http://...` or `https://...`; a path in it stands before those of the API.",
);

const NESTED: Field = Field::optional(
    "avro_nested_schemas",
    Kind::Ignored("what a schema refers to is always found, nested or not"),
    "Known from the original.",
)
.advanced();

const RAW_JSON: &str = "Whether unions of Avro are written as they are in JSON, `5` or `\"a\"`. Otherwise they are as in Avro's own JSON encoding, `{\"int\": 5}`.";

const AVRO: &[Field] = &[
    Field::optional(
        "raw_unions",
        Kind::Bool,
        "The same as `avro_raw_json`; when both are written, this one counts.",
    ),
    Field::new(
        "preserve_logical_types",
        Kind::Bool,
        Default::Bool(false),
        "Whether times and dates become timestamps and decimals numbers. Otherwise they are the numbers and bytes that they are written as.",
    ),
    Field::optional(
        "mapping",
        Kind::Bloblang,
        "Changes Avro schemas before they are used, such as types that another tool made up. What it is applied to is the schema as JSON.",
    ),
];

pub(super) const DECODE: &[Field] = &[
    URL,
    Field::new("avro_raw_json", Kind::Bool, Default::Bool(false), RAW_JSON).advanced(),
    NESTED,
    Field::object("avro", AVRO, "How Avro is read."),
    Field::new(
        "sanitize_namespace_names",
        Kind::Bool,
        Default::Bool(false),
        "Whether what cannot stand in names of Avro, such as `-`, is taken as `_` in the namespaces of schemas.",
    ).advanced(),
    OAUTH,
    BASIC_AUTH,
    JWT,
    TLS_ALWAYS,
    TRANSPORT,
];

pub(super) const ENCODE: &[Field] = &[
    URL,
    Field::required("subject", Kind::Template, "The subject whose latest schema is used."),
    Field::new(
        "refresh_period",
        Kind::Duration,
        Default::Text("10m"),
        "After this time the registry is asked whether a subject has a newer schema. Messages do not wait for it.",
    ),
    Field::new("avro_raw_json", Kind::Bool, Default::Bool(false), RAW_JSON).advanced(),
    NESTED,
    OAUTH,
    BASIC_AUTH,
    JWT,
    TLS_ALWAYS,
    TRANSPORT,
];
