//! Definitions, policies, sessions and keys: the formats at the edge, and the one model behind them.

mod addresses;
mod api;
mod at_path;
mod auth;
mod beyond;
mod cache;
mod classic;
mod compression;
mod convert;
mod cors;
mod definition;
mod errors;
mod events;
mod fields;
mod graphql;
mod identity;
pub mod keys;
mod limits;
mod mcp;
mod oas;
mod own_port;
mod pass_through;
mod paths;
mod pattern;
mod place;
mod plugins;
pub mod policies;
mod recording;
mod reference;
pub mod references;
mod rights;
mod section;
mod session;
mod template;
mod tools;
mod transforms;
mod upstream;
mod validate;
pub mod versioning;

pub use addresses::{Addresses, Network};
pub use api::{Api, ApiLimits, Backend, Rate, Scheme, Streams, Target, Upstream};
pub use at_path::{AtPath, WrittenAt};
pub use auth::{
    Auth, Basic, BodyCredentials, ClaimCheck, ClaimChecks, ClaimRule, Custom, ExchangeProvider,
    ExchangeTarget, ExternalOAuth, Grants, Guarded, HttpSignature, Introspection, Jwt, KeepExchanged,
    KeySetAddress, KeySignature, KeySignatureAlgorithm, NewTokenNotice, OAuth, OpenId, OpenIdProvider,
    ResourceMetadata, Responses, SchemeKind, ScopeCheck, ScopePolicies, Scopes, SecretBytes, SecurityScheme,
    SignatureAlgorithm, SigningMethod, Skews, Sources, Token, TokenCheck, TokenExchange, TokenKeys,
    TokenPolicies,
};
pub use cache::{CachedPath, Caching, UpstreamCaching};
pub use compression::{Compression, ContentCoding};
pub use convert::{Converted, To, convert};
pub use cors::Cors;
pub use definition::{Definition, Read, Source, as_mcp, digest, with_id};
pub use errors::{ErrorMatch, ErrorOverrides, ErrorRule, ErrorStatus, ErrorText};
pub use events::{Event, EventHandler, EventWay, Webhook, handlers_of, webhook_of};
pub use graphql::{
    Forwarding, GraphEngine, GraphField, GraphQl, GraphQlLimits, GraphSource, GraphSourceKind, HeaderRewrite,
    PersistedOperation, SubGraph, SubscriptionProtocol, SuperGraph, TypeNames,
};
pub use identity::{IdExtractor, IdRule, IdSource};
pub use limits::{AtOnce, EndpointRate};
pub use mcp::{CallKind, call_at};
pub use oas::{
    Authentication, Import, Operation, SCHEMAS, Stated, StatedKinds, StatedValue, import, schema, stated,
};
pub use own_port::{OwnPort, OwnProtocol};
pub use pass_through::{HeaderVersion, PassThrough};
pub use paths::{
    AnswerRules, BodyRules, BodySchema, ExampleAnswer, ExampleMedia, Examples, Fields, Lists, Mock,
    OperationRules, Parameter, ParameterPlace, ParameterStyle, Paths, Reply, RequestRules, Sizes, Tracking,
    Validation, Virtual,
};
pub use pattern::pattern;
pub use place::Inner;
pub use plugins::{Plugin, Plugins, of_bundle};
pub use recording::Recording;
pub use reference::reference;
pub use rights::{PathMatching, UrlRules, check_access_rights, path_pattern, path_source};
pub use session::{
    AccessDefinition, AllowedUrl, BasicAuthData, CallLimit, Concurrency, Endpoint, EndpointMethod,
    FieldAccess, FieldLimits, JwtData, Limit, Monitor, NameRules, Own, Partitions, Policy, PrimitiveRules,
    RateLimit, Secret, Session, Smoothing, Subscriptions, TypeFields,
};
pub use template::Template;
pub use tools::{
    Argument, Place, Style, Tool, ToolArgument, ToolBody, ToolEntry, ToolHints, ToolOperation, ToolSource,
    catalog, has_separator, steps_away,
};
pub use transforms::{
    Bodies, BodyTemplate, HeaderChange, HeaderChanges, Rewrite, Rule, RulePlace, TemplateSource, Transforms,
    Trigger, is_framing,
};
pub use upstream::{
    Balancing, Breaker, ByHost, Care, Command, Discovery, Ejection, Endpoints, HashOn, Kept, Manner,
    OutboundProxy, Probe, ProbeKind, ProxyKind, RequestSigning, Retries, SigningKey, UpstreamCredentials,
    UpstreamGrant, UpstreamOAuth, UpstreamTls, Uptime,
};
pub use versioning::{VersionLocation, Versioning, Versions};
