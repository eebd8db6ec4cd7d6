//! What becomes of each key of `x-tyk-api-gateway` (contract 3.2, 3.3) and of the document around it.

use crate::auth::{OAS_CUSTOM, OAS_EXCHANGE, OAS_HMAC, OAS_OPEN_ID, OAS_RESOURCE_METADATA, OAS_SCOPE_CHECK};
use crate::cache;
use crate::cors;
use crate::errors;
use crate::events;
use crate::fields::{Field, acts, each, kept, section};
use crate::paths::{
    OAS_HOOK, OAS_INTERNAL, OAS_LIST, OAS_MOCK, OAS_SIZE, OAS_TRACKED, OAS_VALIDATE_ANSWER,
    OAS_VALIDATE_REQUEST, OAS_VIRTUAL,
};
use crate::plugins;
use crate::recording;
use crate::tools;
use crate::transforms::{OAS_HEADERS, OAS_METHOD, OAS_REWRITE, OAS_TEMPLATE};
use crate::upstream::{
    OAS_AUTH, OAS_BALANCE, OAS_BREAKER, OAS_CERTIFICATES, OAS_DISCOVERY, OAS_PINS, OAS_TIMEOUT,
    OAS_TRANSPORT, OAS_UPTIME,
};
use crate::versioning;

/// The OpenAPI document. Keys that begin with `x-` are anyone's.
pub(crate) const ROOT: &[Field] = &[
    acts("openapi"),
    kept("info"),
    kept("servers"),
    acts("paths"),
    kept("webhooks"),
    acts("components"),
    acts("security"),
    kept("tags"),
    kept("externalDocs"),
    kept("jsonSchemaDialect"),
    acts("x-tyk-streaming"),
    section(tools::EXTENSION, tools::FIELDS),
    section("x-tyk-api-gateway", EXTENSION),
    section(crate::limits::OWN, crate::beyond::OAS),
];

const ENABLED: &[Field] = &[acts("enabled")];

const EXTENSION: &[Field] = &[
    section(
        "info",
        &[
            acts("id"),
            acts("orgId"),
            acts("name"),
            kept("dbId"),
            acts("expiration"),
            section("state", &[acts("active"), acts("internal")]),
            versioning::OAS,
        ],
    ),
    section("upstream", UPSTREAM),
    section("server", SERVER),
    section(
        "middleware",
        &[
            section("global", GLOBAL),
            each("operations", OPERATION),
            each("mcpTools", PRIMITIVE),
            each("mcpResources", PRIMITIVE),
            each("mcpPrompts", PRIMITIVE),
        ],
    ),
    section("errorOverrides", errors::OAS_OVERRIDES),
];

const UPSTREAM: &[Field] = &[
    acts("url"),
    section("preserveHostHeader", ENABLED),
    section("preserveTrailingSlash", ENABLED),
    section(
        "rateLimit",
        &[acts("enabled"), acts("rate"), acts("per"), section("smoothing", crate::limits::SMOOTHING)],
    ),
    section("enforceTimeout", &[acts("enabled"), acts("duration")]),
    section("tlsTransport", OAS_TRANSPORT),
    section("loadBalancing", OAS_BALANCE),
    section("serviceDiscovery", OAS_DISCOVERY),
    section("proxy", &[acts("enabled"), acts("url")]),
    section("certificatePinning", OAS_PINS),
    section("mutualTLS", OAS_CERTIFICATES),
    section("authentication", OAS_AUTH),
    section("uptimeTests", OAS_UPTIME),
];

const SERVER: &[Field] = &[
    section("listenPath", &[acts("value"), acts("strip")]),
    section("authentication", AUTHENTICATION),
    section("customDomain", &[acts("enabled"), acts("name"), acts("certificates")]),
    section("gatewayTags", &[acts("enabled"), acts("tags")]),
    acts("protocol"),
    acts("port"),
    section("clientCertificates", &[acts("enabled"), acts("allowlist")]),
    section("ipAccessControl", &[acts("enabled"), acts("allow"), acts("block")]),
    section("detailedActivityLogs", &[acts("enabled")]),
    section("detailedTracing", ENABLED),
    section("batchProcessing", ENABLED),
    each("eventHandlers", events::OAS),
];

const AUTHENTICATION: &[Field] = &[
    acts("enabled"),
    acts("stripAuthorizationData"),
    acts("baseIdentityProvider"),
    acts("securitySchemes").when("enabled"),
    section("customKeyLifetime", &[acts("enabled"), acts("value"), acts("respectValidity")]),
    acts("securityProcessingMode"),
    acts("security"),
    section("hmac", OAS_HMAC).when("enabled"),
    section("oidc", OAS_OPEN_ID).when("enabled"),
    section("custom", OAS_CUSTOM).when("enabled"),
    section("certificateAuth", ENABLED),
    section("protectedResourceMetadata", OAS_RESOURCE_METADATA),
];

/// What of it says who may call.
pub(crate) const SCHEMES: &[Field] = &[
    acts("enabled"),
    acts("baseIdentityProvider"),
    acts("securitySchemes").when("enabled"),
    acts("securityProcessingMode"),
    acts("security"),
    section("hmac", OAS_HMAC).when("enabled"),
    section("oidc", OAS_OPEN_ID).when("enabled"),
    section("custom", OAS_CUSTOM).when("enabled"),
    section("certificateAuth", ENABLED),
    section("protectedResourceMetadata", OAS_RESOURCE_METADATA),
];

const GLOBAL: &[Field] = &[
    acts("skipRateLimit"),
    acts("skipQuota"),
    acts("skipQuotaReset"),
    section("trafficLogs", recording::OAS),
    section("requestSizeLimit", OAS_SIZE),
    each("prePlugins", plugins::OAS_LIST),
    section("prePlugin", plugins::OAS_OLD),
    each("postAuthenticationPlugins", plugins::OAS_LIST),
    section("postAuthenticationPlugin", plugins::OAS_OLD),
    each("postPlugins", plugins::OAS_LIST),
    section("postPlugin", plugins::OAS_OLD),
    each("responsePlugins", plugins::OAS_LIST),
    section("responsePlugin", plugins::OAS_OLD),
    section("pluginConfig", plugins::OAS_CONFIG),
    section("cors", cors::OAS),
    section("cache", cache::OAS),
    section("transformRequestHeaders", OAS_HEADERS),
    section("transformResponseHeaders", OAS_HEADERS),
    section("contextVariables", ENABLED),
    section("ignoreCase", ENABLED),
];

/// What of an operation classic versions have no list for.
pub(crate) const BEYOND: &[Field] = &[
    section("validateRequest", OAS_VALIDATE_REQUEST),
    section("validateResponse", OAS_VALIDATE_ANSWER),
    section("scopeCheck", OAS_SCOPE_CHECK),
    section("exchange", OAS_EXCHANGE),
    section("mockResponse", OAS_MOCK),
];

const OPERATION: &[Field] = &[
    section("allow", OAS_LIST),
    section("block", OAS_LIST),
    section("internal", OAS_INTERNAL),
    section("validateRequest", OAS_VALIDATE_REQUEST),
    section("validateResponse", OAS_VALIDATE_ANSWER),
    section("requestSizeLimit", OAS_SIZE),
    section(
        "rateLimit",
        &[acts("enabled"), acts("rate"), acts("per"), section("smoothing", crate::limits::SMOOTHING)],
    ),
    section("scopeCheck", OAS_SCOPE_CHECK),
    each("postPlugins", OAS_HOOK),
    section("exchange", OAS_EXCHANGE),
    section("ignoreAuthentication", OAS_LIST),
    section("transformRequestMethod", OAS_METHOD),
    section("transformRequestBody", OAS_TEMPLATE),
    section("transformResponseBody", OAS_TEMPLATE),
    section("transformRequestHeaders", OAS_HEADERS),
    section("transformResponseHeaders", OAS_HEADERS),
    section("urlRewrite", OAS_REWRITE),
    section("cache", cache::OAS_PATH),
    section("enforceTimeout", OAS_TIMEOUT),
    section("mockResponse", OAS_MOCK),
    section("virtualEndpoint", OAS_VIRTUAL),
    section("circuitBreaker", OAS_BREAKER),
    section("trackEndpoint", OAS_TRACKED),
    section("doNotTrackEndpoint", OAS_TRACKED),
];

/// Names of calls are compared as they are written.
const CALL_LIST: &[Field] = &[acts("enabled"), kept("ignoreCase")];

/// A tool, a resource or a prompt of MCP: as an operation, without what counts for paths only.
const PRIMITIVE: &[Field] = &[
    section("allow", CALL_LIST),
    section("block", CALL_LIST),
    section("ignoreAuthentication", CALL_LIST),
    section("requestSizeLimit", OAS_SIZE),
    section(
        "rateLimit",
        &[acts("enabled"), acts("rate"), acts("per"), section("smoothing", crate::limits::SMOOTHING)],
    ),
    section("scopeCheck", OAS_SCOPE_CHECK),
    acts("security"),
    section("exchange", OAS_EXCHANGE),
    each("postPlugins", OAS_HOOK),
    section("transformRequestBody", OAS_TEMPLATE),
    section("transformRequestHeaders", OAS_HEADERS),
    section("transformResponseHeaders", OAS_HEADERS),
    section("enforceTimeout", OAS_TIMEOUT),
    section("virtualEndpoint", OAS_VIRTUAL),
    section("circuitBreaker", OAS_BREAKER),
    section("trackEndpoint", OAS_TRACKED),
    section("doNotTrackEndpoint", OAS_TRACKED),
    kept("internal"),
    kept("transformRequestMethod"),
    kept("transformResponseBody"),
    kept("urlRewrite"),
    kept("cache"),
    kept("validateRequest"),
    kept("validateResponse"),
    kept("mockResponse"),
];
