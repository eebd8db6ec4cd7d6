//! Keys.

use super::super::Action::*;
use super::super::Holds::{Flag, Text};
use super::super::{Endpoint, Parameter, Shape};
use super::{FAILED, FAULTY, MODIFIED, NOT_FOUND, delete, get, parameter, post, put};

const HASHED: Parameter = parameter("hashed", Flag, "The key is given by its hash.");
const ORG: Parameter = parameter("org_id", Text, "Organisation of a custom key or a user.");
const USERNAME: Parameter = parameter("username", Flag, "The key is the name of a basic-auth user.");
const API: Parameter = parameter("api_id", Text, "An API of the organisation that the key belongs to.");
const SUPPRESS_RESET: Parameter = parameter("suppress_reset", Flag, "Leave quotas and rates as they stand.");
const API_OF_DELETED: Parameter = parameter(
    "api_id",
    Text,
    "An API of the organisation that the key belongs to; with `-1` the answer is `null`.",
);
const NAMING: &[Parameter] = &[HASHED, API, ORG, USERNAME];

pub(super) static ROWS: &[Endpoint] = &[
    // Keys.
    get(
        "/keys",
        ListKeys,
        "Names of all keys; hashes need `enable_hashed_keys_listing`.",
        &[(200, Shape::Keys), FAULTY, NOT_FOUND, (504, Shape::Refused)],
    )
    .with(&[
        parameter("filter", Text, "Organisation: how the names begin."),
        parameter("api_id", Text, "Only keys that open this API."),
    ]),
    post("/keys", AddKey, Shape::Session, "Makes a key from a session.", &[MODIFIED, FAULTY, FAILED])
        .with(&[SUPPRESS_RESET]),
    post(
        "/keys/create",
        CreateKey,
        Shape::Session,
        "The same; a key without rights is refused in other words.",
        &[MODIFIED, FAULTY, FAILED],
    )
    .with(&[SUPPRESS_RESET]),
    post(
        "/keys/preview",
        PreviewKey,
        Shape::Session,
        "The session as its policies would make it.",
        &[(200, Shape::Session), FAULTY, FAILED],
    ),
    post(
        "/keys/policy/{hash}",
        SetKeyPolicies,
        Shape::KeyPolicies,
        "Gives a key other policies.",
        &[MODIFIED, FAULTY, NOT_FOUND, FAILED],
    ),
    get(
        "/keys/{key}",
        GetKey,
        "The session of a key, policies applied, with what is left of its quotas.",
        &[(200, Shape::Session), FAULTY, NOT_FOUND],
    )
    .with(NAMING),
    post(
        "/keys/{key}",
        AddCustomKey,
        Shape::Session,
        "Makes a key with an id, or a user, of the caller's choice.",
        &[MODIFIED, FAULTY, FAILED],
    )
    .with(&[SUPPRESS_RESET, HASHED]),
    put(
        "/keys/{key}",
        ReplaceKey,
        Shape::Session,
        "Replaces the session of a key; its quotas begin anew.",
        &[MODIFIED, FAULTY, NOT_FOUND, FAILED],
    )
    .with(&[SUPPRESS_RESET, HASHED, API, ORG, USERNAME]),
    delete(
        "/keys/{key}",
        DeleteKey,
        "Removes a key; it is refused from then on.",
        &[(200, Shape::ModifiedOrNull), FAULTY, NOT_FOUND],
    )
    .with(&[HASHED, API_OF_DELETED, ORG, USERNAME]),
];
