//! The rows.

use http::Method;

use super::Action::{self, *};
use super::Holds::{Flag, Number, OneOf, Text};
use super::{Endpoint, Holds, Parameter, Shape};

const fn parameter(name: &'static str, holds: Holds, summary: &'static str) -> Parameter {
    Parameter { name, holds, summary }
}

type Replies = &'static [(u16, Shape)];

const fn row(
    method: Method,
    path: &'static str,
    action: Action,
    takes: Option<Shape>,
    summary: &'static str,
    replies: Replies,
) -> Endpoint {
    Endpoint { method, path, action, summary, parameters: &[], takes, replies }
}

const fn get(path: &'static str, action: Action, summary: &'static str, replies: Replies) -> Endpoint {
    row(Method::GET, path, action, None, summary, replies)
}

const fn delete(path: &'static str, action: Action, summary: &'static str, replies: Replies) -> Endpoint {
    row(Method::DELETE, path, action, None, summary, replies)
}

const fn post(
    path: &'static str,
    action: Action,
    takes: Shape,
    summary: &'static str,
    replies: Replies,
) -> Endpoint {
    row(Method::POST, path, action, Some(takes), summary, replies)
}

const fn put(
    path: &'static str,
    action: Action,
    takes: Shape,
    summary: &'static str,
    replies: Replies,
) -> Endpoint {
    row(Method::PUT, path, action, Some(takes), summary, replies)
}

impl Endpoint {
    const fn with(mut self, parameters: &'static [Parameter]) -> Self {
        self.parameters = parameters;
        self
    }
}

const HASHED: Parameter = parameter("hashed", Flag, "The key is given by its hash.");
const ORG: Parameter = parameter("org_id", Text, "Organisation of a custom key or a user.");
const USERNAME: Parameter = parameter("username", Flag, "The key is the name of a basic-auth user.");
const API: Parameter = parameter("api_id", Text, "An API of the organisation that the key belongs to.");
const SUPPRESS_RESET: Parameter = parameter("suppress_reset", Flag, "Leave quotas and rates as they stand.");
const MODE: Parameter = parameter("mode", OneOf(&["public"]), "`public` leaves the gateway's part out.");

const API_OF_DELETED: Parameter = parameter(
    "api_id",
    Text,
    "An API of the organisation that the key belongs to; with `-1` the answer is `null`.",
);
const CHILLED: Parameter = parameter("chilled", Flag, "Run it in spite of faults that only lint finds.");

const NAMING: &[Parameter] = &[HASHED, API, ORG, USERNAME];
const VERSION: &[Parameter] = &[BASE, BASE_NAME, NEW_VERSION, DEFAULT];
const BASE: Parameter = parameter("base_api_id", Text, "The new API is a version of this one.");
const BASE_NAME: Parameter =
    parameter("base_api_version_name", Text, "What the base is called among its versions.");
const NEW_VERSION: Parameter = parameter("new_version_name", Text, "What the new version is called.");
const DEFAULT: Parameter = parameter("set_default", Flag, "The new version serves who names none.");
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

const NOT_FOUND: (u16, Shape) = (404, Shape::Refused);
const FAULTY: (u16, Shape) = (400, Shape::Refused);
const CONFLICT: (u16, Shape) = (409, Shape::Refused);
const FAILED: (u16, Shape) = (500, Shape::Refused);
const MODIFIED: (u16, Shape) = (200, Shape::Modified);
const UNPROCESSABLE: (u16, Shape) = (422, Shape::Refused);

/// Every endpoint below `/tyk`.
pub(in crate::admin) static ALL: &[Endpoint] = &[
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
        "Accepted; there are no APIs of other types.",
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
        &[MODIFIED, NOT_FOUND, FAILED],
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
        &[MODIFIED, NOT_FOUND, FAILED],
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
    // MCP proxies, which this gate has none of.
    get("/mcps", ListMcps, "All MCP proxies: none.", &[(200, Shape::OasList)]),
    post(
        "/mcps",
        AddMcp,
        Shape::Oas,
        "Refused: MCP proxies are not supported.",
        &[FAULTY, (501, Shape::Refused)],
    ),
    get("/mcps/{id}", GetMcp, "There is no MCP proxy to get.", &[NOT_FOUND]),
    put("/mcps/{id}", ReplaceMcp, Shape::Oas, "There is no MCP proxy to replace.", &[NOT_FOUND]),
    delete("/mcps/{id}", DeleteMcp, "There is no MCP proxy to delete.", &[NOT_FOUND]),
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
    ),
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
    // Certificates.
    get("/certs", ListCertificates, "Ids of an organisation's certificates.", &[(200, Shape::Anything)])
        .with(&[
            parameter("org_id", Text, "The organisation."),
            parameter("mode", OneOf(&["detailed"]), "`detailed` tells names and dates as well."),
        ]),
    post(
        "/certs",
        AddCertificate,
        Shape::Pem,
        "Stores a certificate, with its chain and key, or a public key.",
        &[(200, Shape::Anything), (405, Shape::Refused)],
    )
    .with(&[parameter("org_id", Text, "The organisation.")]),
    get(
        "/certs/{id}",
        GetCertificates,
        "One certificate, or several where ids are joined by commas.",
        &[(200, Shape::Anything), NOT_FOUND],
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
    get("/org/keys", ListOrgKeys, "Organisations that have a session.", &[(200, Shape::Keys)])
        .with(&[parameter("filter", Text, "How the names begin.")]),
    get("/org/keys/{org}", GetOrgKey, "The session of an organisation.", &[(200, Shape::Session), NOT_FOUND]),
    post(
        "/org/keys/{org}",
        AddOrgKey,
        Shape::Session,
        "Gives an organisation a session.",
        &[MODIFIED, FAULTY],
    )
    .with(RESET_QUOTA),
    put(
        "/org/keys/{org}",
        ReplaceOrgKey,
        Shape::Session,
        "Replaces the session of an organisation.",
        &[MODIFIED, FAULTY],
    )
    .with(RESET_QUOTA),
    delete(
        "/org/keys/{org}",
        DeleteOrgKey,
        "Removes the session of an organisation.",
        &[MODIFIED, NOT_FOUND],
    ),
    // Clients and tokens of the OAuth 2.0 servers.
    post(
        "/oauth/authorize-client",
        AuthorizeOAuthClient,
        Shape::AuthorizeForm,
        "Gives a code or a token for a user who has logged in; as the same path below an API's listen path.",
        &[(200, Shape::Anything), FAULTY, NOT_FOUND],
    ),
    post(
        "/oauth/clients/create",
        CreateOAuthClient,
        Shape::OAuthClient,
        "Adds a client to an API, or to those of its policy; without `client_id` and `secret` it gets them.",
        &[(200, Shape::OAuthClient), FAULTY, FAILED],
    ),
    get(
        "/oauth/clients/{api}",
        ListOAuthClients,
        "The clients of an API.",
        &[(200, Shape::OAuthClients), (404, Shape::Anything)],
    ),
    get(
        "/oauth/clients/apis/{client}",
        ListApisOfOAuthClient,
        "Ids of the APIs that know a client.",
        &[(200, Shape::Anything)],
    )
    .with(&[parameter("orgID", Text, "Only APIs of this organisation.")]),
    get(
        "/oauth/clients/{api}/{client}",
        GetOAuthClient,
        "One client.",
        &[(200, Shape::OAuthClient), NOT_FOUND],
    ),
    put(
        "/oauth/clients/{api}/{client}",
        ReplaceOAuthClient,
        Shape::OAuthClient,
        "Changes a client; id and secret stay, and with another policy its tokens are revoked.",
        &[(200, Shape::OAuthClient), FAULTY, NOT_FOUND, FAILED],
    ),
    delete(
        "/oauth/clients/{api}/{client}",
        DeleteOAuthClient,
        "Removes a client and revokes its tokens.",
        &[MODIFIED, NOT_FOUND],
    ),
    row(
        Method::PUT,
        "/oauth/clients/{api}/{client}/rotate",
        RotateOAuthClient,
        None,
        "Gives a client another secret.",
        &[(200, Shape::OAuthClient), NOT_FOUND, FAILED],
    ),
    get(
        "/oauth/clients/{api}/{client}/tokens",
        ListOAuthTokens,
        "The tokens of a client that have not ended: their names in the store, and when they end.",
        &[(200, Shape::Anything), NOT_FOUND],
    )
    .with(&[parameter("page", Number, "This page of a hundred, with their number.")]),
    delete(
        "/oauth/refresh/{token}",
        DeleteOAuthRefresh,
        "Revokes a refresh token.",
        &[MODIFIED, FAULTY, NOT_FOUND],
    )
    .with(&[API]),
    post(
        "/oauth/revoke",
        RevokeOAuthToken,
        Shape::RevokeForm,
        "Revokes a token.",
        &[(200, Shape::Done), FAULTY],
    ),
    post(
        "/oauth/revoke_all",
        RevokeOAuthTokens,
        Shape::RevokeAllForm,
        "Revokes all tokens of a client.",
        &[(200, Shape::Done), FAULTY, (401, Shape::Refused), NOT_FOUND],
    ),
    delete(
        "/oauth/tokens",
        PurgeOAuthTokens,
        "Forgets tokens that have ended.",
        &[(200, Shape::Done), FAULTY, UNPROCESSABLE],
    )
    .with(&[parameter("scope", OneOf(&["lapsed"]), "Needed: which of them.")]),
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
    get("/health", ApiHealth, "Obsolete counters of an API, which this gate does not keep.", &[FAULTY])
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
        &[(200, Shape::Anything), (404, Shape::Anything), (503, Shape::Anything)],
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
    get(
        "/records",
        ListRecords,
        "The last exchanges, newest first, in the words of the access log; latencies in ms.",
        &[(200, Shape::Records), NOT_FOUND],
    )
    .with(&[parameter("limit", Number, "How many at most; 100 when not given.")]),
    get("/openapi.json", OpenApi, "This API as an OpenAPI document.", &[(200, Shape::Anything)]),
];

const RESET_QUOTA: &[Parameter] = &[parameter("reset_quota", Flag, "Begin its quota anew.")];

/// Those that clients of the original do not know.
#[cfg(test)]
pub(in crate::admin) const FOREIGN: &[Action] = &[
    ListStreams,
    SetStreams,
    GetStream,
    AddStream,
    ReplaceStream,
    PatchStream,
    DeleteStream,
    StreamStats,
    SetStreamResource,
    StreamComponents,
    StreamsReady,
    StreamsSchema,
    ListRecords,
    OpenApi,
];
