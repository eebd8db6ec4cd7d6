//! Certificates, policies, organisations, and what helps to find out.

use super::super::Action::*;
use super::super::Holds::{Flag, Number, OneOf, Text};
use super::super::{Endpoint, Parameter, Shape};
use super::{FAILED, FAULTY, MODIFIED, NOT_FOUND, delete, get, parameter, post, put};

const RESET_QUOTA: &[Parameter] = &[parameter("reset_quota", Flag, "Begin its quota anew.")];

pub(super) static ROWS: &[Endpoint] = &[
    // Certificates.
    get("/certs", ListCertificates, "Ids of an organisation's certificates.", &[(200, Shape::Certificates)])
        .with(&[
            parameter("org_id", Text, "The organisation."),
            parameter("mode", OneOf(&["detailed"]), "`detailed` tells names and dates as well."),
        ]),
    post(
        "/certs",
        AddCertificate,
        Shape::Pem,
        "Stores a certificate, with its chain and key, or a public key.",
        &[(200, Shape::CertificateAdded), (405, Shape::Refused)],
    )
    .with(&[parameter("org_id", Text, "The organisation.")]),
    get(
        "/certs/{id}",
        GetCertificates,
        "One certificate, or several where ids are joined by commas.",
        &[(200, Shape::CertificateDetails), NOT_FOUND],
    ),
    delete("/certs/{id}", DeleteCertificate, "Removes a certificate.", &[(200, Shape::Done)])
        .with(&[parameter("org_id", Text, "The organisation.")]),
    // Policies.
    get("/policies", ListPolicies, "All policies.", &[(200, Shape::Policies)]),
    post(
        "/policies",
        AddPolicy,
        Shape::Policy,
        "Adds a policy: one file in `policies.policy_path`.",
        &[MODIFIED, FAULTY, FAILED],
    ),
    get("/policies/{id}", GetPolicy, "One policy.", &[(200, Shape::Policy), NOT_FOUND]),
    put(
        "/policies/{id}",
        ReplacePolicy,
        Shape::Policy,
        "Replaces or adds a policy; the ids must match.",
        &[MODIFIED, FAULTY, FAILED],
    ),
    delete("/policies/{id}", DeletePolicy, "Removes a policy.", &[MODIFIED, FAILED]),
    // Organisations.
    get("/org/keys", ListOrgKeys, "Organisations that have a session.", &[(200, Shape::Keys), NOT_FOUND])
        .with(&[parameter("filter", Text, "How the names begin.")]),
    get("/org/keys/{org}", GetOrgKey, "The session of an organisation.", &[(200, Shape::Session), NOT_FOUND]),
    post(
        "/org/keys/{org}",
        AddOrgKey,
        Shape::Session,
        "Gives an organisation a session.",
        &[MODIFIED, FAULTY, NOT_FOUND],
    )
    .with(RESET_QUOTA),
    put(
        "/org/keys/{org}",
        ReplaceOrgKey,
        Shape::Session,
        "Replaces the session of an organisation.",
        &[MODIFIED, FAULTY, NOT_FOUND],
    )
    .with(RESET_QUOTA),
    delete(
        "/org/keys/{org}",
        DeleteOrgKey,
        "Removes the session of an organisation.",
        &[MODIFIED, NOT_FOUND],
    ),
    // What is kept for speed, and what helps to find out.
    delete(
        "/cache/{api}",
        DropCache,
        "Drops the cached answers of an API on every gate.",
        &[(200, Shape::Done), FAILED],
    ),
    delete(
        "/cache/jwks",
        ForgetKeySets,
        "Forgets the published keys of tokens on every gate.",
        &[(200, Shape::Done)],
    ),
    delete(
        "/cache/jwks/{api}",
        ForgetKeySetsOfApi,
        "Forgets the published keys that an API uses.",
        &[(200, Shape::Done)],
    ),
    get(
        "/health",
        ApiHealth,
        "What happened to an API lately, on average; counted where `health_check.enable_health_checks` is set.",
        &[(200, Shape::Averages), FAULTY, NOT_FOUND],
    )
    .with(&[parameter("api_id", Text, "Id of the API.")]),
    get(
        "/schema",
        Schema,
        "The JSON schema of OAS definitions.",
        &[(200, Shape::Schema), (404, Shape::SchemaRefused)],
    )
    .with(&[parameter("oasVersion", Text, "`3.0` (the default) or `3.1`.")]),
    post(
        "/debug",
        Debug,
        Shape::DebugCall,
        "Runs a definition against a request without exposing it.",
        &[(200, Shape::DebugReport), (400, Shape::DebugFailed)],
    ),
    post(
        "/plugins/test",
        TestPlugin,
        Shape::PluginTest,
        "Runs a script against a request that is given with it.",
        &[(200, Shape::PluginTested), (400, Shape::PluginTestRefused)],
    ),
    get(
        "/records",
        ListRecords,
        "The last exchanges, newest first, in the words of the access log; latencies in ms.",
        &[(200, Shape::Records), NOT_FOUND],
    )
    .with(&[parameter("limit", Number, "How many at most; 100 when not given.")]),
    get("/openapi.json", OpenApi, "This API as an OpenAPI document.", &[(200, Shape::Anything)]),
];
