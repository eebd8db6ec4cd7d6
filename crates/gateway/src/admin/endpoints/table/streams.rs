//! Streams.

use http::Method;

use super::super::Action::*;
use super::super::Holds::Flag;
use super::super::{Endpoint, Parameter, Shape};
use super::{CONFLICT, FAULTY, NOT_FOUND, delete, get, parameter, post, put, row};

const CHILLED: Parameter = parameter("chilled", Flag, "Run it in spite of faults that only lint finds.");

pub(super) static ROWS: &[Endpoint] = &[
    get(
        "/streams",
        ListStreams,
        "Every stream by its id, those of APIs as `<api id>_<name>`: whether it is active, and for how long.",
        &[(200, Shape::Streams)],
    ),
    post(
        "/streams",
        SetStreams,
        Shape::Anything,
        "Makes the streams that stand in no definition be these, by their ids, and no others.",
        &[(200, Shape::Anything), FAULTY],
    )
    .with(&[CHILLED]),
    get(
        "/streams/components",
        StreamComponents,
        "Every stream component: whether it is connected, and its last error.",
        &[(200, Shape::StreamComponents)],
    ),
    get(
        "/streams/ready",
        StreamsReady,
        "Whether every input and output of every stream reaches its other side; a line for each that does not.",
        &[(200, Shape::Lines), (404, Shape::Lines), (503, Shape::Lines)],
    ),
    get(
        "/streams/{id}",
        GetStream,
        "The same of one stream, with its configuration, secrets left out.",
        &[(200, Shape::Anything), NOT_FOUND],
    ),
    post(
        "/streams/{id}",
        AddStream,
        Shape::Stream,
        "Makes a stream that stands in no definition; its endpoints are below `/{id}/`, open to all.",
        &[(200, Shape::Anything), FAULTY],
    )
    .with(&[CHILLED]),
    put(
        "/streams/{id}",
        ReplaceStream,
        Shape::Stream,
        "Replaces such a stream.",
        &[(200, Shape::Anything), FAULTY, NOT_FOUND, CONFLICT],
    )
    .with(&[CHILLED]),
    row(
        Method::PATCH,
        "/streams/{id}",
        PatchStream,
        Some(Shape::Stream),
        "Merges fields into its configuration (RFC 7396).",
        &[(200, Shape::Anything), FAULTY, NOT_FOUND, CONFLICT],
    )
    .with(&[CHILLED]),
    delete(
        "/streams/{id}",
        DeleteStream,
        "Stops such a stream when what is under way is delivered.",
        &[(200, Shape::Anything), NOT_FOUND, CONFLICT],
    ),
    get(
        "/streams/{id}/stats",
        StreamStats,
        "The counters of one stream, and its `uptime_ns`.",
        &[(200, Shape::Anything), NOT_FOUND],
    ),
    post(
        "/resources/{sort}/{label}",
        SetStreamResource,
        Shape::Anything,
        "Sets a `cache`, `input`, `output`, `processor` or `rate_limit` that streams made here share by its label.",
        &[(200, Shape::Anything), FAULTY, NOT_FOUND],
    )
    .with(&[CHILLED]),
    get(
        "/streams/schema.json",
        StreamsSchema,
        "The JSON schema of a stream's configuration, for editors.",
        &[(200, Shape::Anything)],
    ),
];
