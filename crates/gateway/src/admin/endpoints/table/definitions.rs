//! Definitions of APIs, and reloads of them.

use http::Method;

use super::super::Action::*;
use super::super::Holds::{Flag, OneOf, Text};
use super::super::{Endpoint, Parameter, Shape};
use super::{
    CONFLICT, FAILED, FAULTY, MODIFIED, NOT_FOUND, UNPROCESSABLE, delete, get, parameter, post, put, row,
};

const MODE: Parameter = parameter("mode", OneOf(&["public"]), "`public` leaves the gateway's part out.");
const VERSION: &[Parameter] = &[BASE, BASE_NAME, NEW_VERSION, DEFAULT];
const BASE: Parameter = parameter("base_api_id", Text, "The new API is a version of this one.");
const BASE_NAME: Parameter =
    parameter("base_api_version_name", Text, "What the base is called among its versions.");
const NEW_VERSION: Parameter = parameter("new_version_name", Text, "What the new version is called.");
const DEFAULT: Parameter = parameter("set_default", Flag, "The new version serves who names none.");
const ADD_MCP: &[Parameter] = &[BASE, BASE_NAME, NEW_VERSION, DEFAULT, DRY_RUN, EXPAND];
const EXPAND: Parameter =
    parameter("expand", Flag, "Tell with each entry of `primitives` what the tool is that it makes.");
const DRY_RUN: Parameter =
    parameter("dryRun", Flag, "Only check the document, and answer with what would be stored.");
const UPSTREAM: Parameter = parameter("upstreamURL", Text, "Where requests go.");
const LISTEN: Parameter = parameter("listenPath", Text, "Where the API listens.");
const DOMAIN: Parameter = parameter("customDomain", Text, "Host that the API answers on.");
const API_ID: Parameter = parameter("apiID", Text, "Id of the new API.");
const AUTHENTICATION: Parameter = parameter(
    "authentication",
    OneOf(&["true", "false", "compliant"]),
    "Take the security schemes of the document.",
);
const ALLOW: Parameter = parameter("allowList", Flag, "Only the paths of the document may be called.");
const VALIDATE: Parameter = parameter("validateRequest", Flag, "Requests are held against the document.");
const MOCK: Parameter = parameter("mockResponse", Flag, "Answer with the examples of the document.");
const MODE_OF_SECURITY: Parameter =
    parameter("securityProcessingMode", OneOf(&["legacy", "compliant"]), "How several schemes count.");
const IMPORT: &[Parameter] = &[
    UPSTREAM,
    LISTEN,
    DOMAIN,
    API_ID,
    AUTHENTICATION,
    ALLOW,
    VALIDATE,
    MOCK,
    MODE_OF_SECURITY,
    BASE,
    BASE_NAME,
    NEW_VERSION,
    DEFAULT,
];
const PATCH: &[Parameter] =
    &[UPSTREAM, LISTEN, DOMAIN, AUTHENTICATION, ALLOW, VALIDATE, MOCK, MODE_OF_SECURITY];
const LIST_VERSIONS: &[Parameter] = &[
    parameter("searchText", Text, "Part of the name or id of a version's API."),
    parameter("accessType", OneOf(&["internal", "external"]), "Only APIs of this kind."),
];

pub(super) static ROWS: &[Endpoint] = &[
    get(
        "/reload",
        Reload,
        "Loads what changed in the catalog, waits until it is live, and tells what was done.",
        &[(200, Shape::Reloaded)],
    )
    .with(&[parameter("block", Flag, "Accepted; a reload is always waited for.")]),
    get("/reload/group", ReloadGroup, "The same on every gate that shares the store.", &[(200, Shape::Done)]),
    // Definitions.
    get("/apis", ListApis, "All definitions in classic form.", &[(200, Shape::Apis)]).with(&[parameter(
        "include_types",
        Text,
        "`mcp` for those that speak MCP, too.",
    )]),
    get("/apis/{id}", GetApi, "One definition in classic form.", &[(200, Shape::Api), NOT_FOUND]),
    post(
        "/apis",
        AddApi,
        Shape::Api,
        "Adds a classic definition; without `api_id` it gets one.",
        &[MODIFIED, FAULTY, UNPROCESSABLE, FAILED],
    )
    .with(VERSION),
    post(
        "/apis/{id}",
        AddApi,
        Shape::Api,
        "The same; the id is that of the body.",
        &[MODIFIED, FAULTY, UNPROCESSABLE, FAILED],
    )
    .with(VERSION),
    put(
        "/apis/{id}",
        ReplaceApi,
        Shape::Api,
        "Replaces a classic definition; the ids must match.",
        &[MODIFIED, FAULTY, NOT_FOUND, FAILED],
    ),
    delete(
        "/apis/{id}",
        DeleteApi,
        "Removes a definition, and its link from the API that it is a version of.",
        &[MODIFIED, NOT_FOUND, CONFLICT, FAILED],
    ),
    get(
        "/apis/{id}/versions",
        ListVersions,
        "An API and its versions.",
        &[(200, Shape::Versions), NOT_FOUND],
    )
    .with(LIST_VERSIONS),
    get("/apis/oas", ListOas, "All OAS documents.", &[(200, Shape::OasList)]),
    post(
        "/apis/oas",
        AddOas,
        Shape::Oas,
        "Adds an OAS definition, with or without `x-tyk-streaming`.",
        &[MODIFIED, FAULTY, UNPROCESSABLE, FAILED],
    )
    .with(VERSION),
    post(
        "/apis/oas/import",
        ImportOas,
        Shape::OpenApi,
        "Makes an API of a plain OpenAPI document.",
        &[MODIFIED, FAULTY, UNPROCESSABLE, FAILED],
    )
    .with(IMPORT),
    get("/apis/oas/export", ExportAllOas, "All OAS documents as a file.", &[(200, Shape::OasFile), FAILED])
        .with(&[MODE]),
    get("/apis/oas/{id}", GetOas, "One OAS document.", &[(200, Shape::Oas), FAULTY, NOT_FOUND]),
    put(
        "/apis/oas/{id}",
        ReplaceOas,
        Shape::Oas,
        "Replaces an OAS definition; the ids must match.",
        &[MODIFIED, FAULTY, NOT_FOUND, FAILED],
    ),
    row(
        Method::PATCH,
        "/apis/oas/{id}",
        PatchOas,
        Some(Shape::OasPatch),
        "Replaces the OpenAPI part of a definition, and keeps the gateway's part unless the body brings one.",
        &[MODIFIED, FAULTY, NOT_FOUND, FAILED],
    )
    .with(PATCH),
    delete(
        "/apis/oas/{id}",
        DeleteOas,
        "Removes a definition, and its link from the API that it is a version of.",
        &[MODIFIED, NOT_FOUND, CONFLICT, FAILED],
    ),
    get(
        "/apis/oas/{id}/versions",
        ListVersions,
        "An API and its versions.",
        &[(200, Shape::Versions), NOT_FOUND],
    )
    .with(LIST_VERSIONS),
    get(
        "/apis/oas/{id}/export",
        ExportOas,
        "One OAS document as a file.",
        &[(200, Shape::OasFile), FAULTY, NOT_FOUND],
    )
    .with(&[MODE]),
    // APIs that speak MCP.
    get("/mcps", ListMcps, "All OAS documents of MCP proxies.", &[(200, Shape::OasList)]),
    post(
        "/mcps",
        AddMcp,
        Shape::Oas,
        "Adds an OAS document as an MCP proxy; without an id it gets one.",
        &[MODIFIED, FAULTY, UNPROCESSABLE, FAILED],
    )
    .with(ADD_MCP),
    get("/mcps/{id}", GetMcp, "The OAS document of one MCP proxy.", &[(200, Shape::Oas), NOT_FOUND])
        .with(&[EXPAND]),
    put(
        "/mcps/{id}",
        ReplaceMcp,
        Shape::Oas,
        "Replaces an MCP proxy.",
        &[MODIFIED, FAULTY, NOT_FOUND, FAILED],
    ),
    delete("/mcps/{id}", DeleteMcp, "Removes an MCP proxy.", &[MODIFIED, NOT_FOUND, FAILED]),
];
