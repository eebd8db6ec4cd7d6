//! The internal model of an API: what every room above works with. No Tyk field name lives here.

use crate::auth::{Auth, ResourceMetadata};
use crate::limits::{AtOnce, EndpointRate};
use crate::upstream::{Care, Discovery, Endpoints, Manner, Uptime};
use crate::{
    Addresses, Caching, Compression, Cors, ErrorOverrides, EventHandler, GraphQl, OwnPort, PassThrough,
    Paths, Plugins, Recording, Secret, Smoothing, ToolSource, Transforms, Versioning,
};
use std::time::Duration;

/// One API, ready to be compiled into a chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Api {
    /// Identity; unique, a safe single path component.
    pub id: Box<str>,
    /// Owner organisation; may be empty.
    pub org_id: Box<str>,
    /// Human name.
    pub name: Box<str>,
    /// Not routed from the network.
    pub internal: bool,
    /// Informational with a files catalog (contract 14.1 row 10: an inactive API is still loaded).
    pub active: bool,
    /// Host that the API answers on, lower case, without port; `None` answers on every host.
    pub domain: Option<Box<str>>,
    /// It is connections on a port of its own, not requests.
    pub pass_through: Option<Box<PassThrough>>,
    /// It speaks MCP: what is asked for is told by calls in bodies, not by paths.
    pub mcp: bool,
    /// Its tools are made of another API of the gate; no server is behind it.
    pub tools: Option<Box<ToolSource>>,
    /// It is served on a port beside the gate's own.
    pub own_port: Option<OwnPort>,
    /// Normalised: starts with `/`, cleaned of `//`, `.` and `..`; a trailing `/` is kept.
    pub listen_path: Box<str>,
    /// Take the listen path off before the request goes on.
    pub strip_listen_path: bool,
    /// The versions of which this API is the base, or which it serves itself.
    pub versioning: Option<Box<Versioning>>,
    /// Which version it is, where it serves several itself; else empty.
    pub version: Box<str>,
    /// Unix seconds from which on the API is not served.
    pub expires: Option<i64>,
    /// The same of its version.
    pub version_expires: Option<i64>,
    /// Certificates that TLS clients of the domain are shown: ids, or PEM files.
    pub certificates: Box<[Box<str>]>,
    /// Client certificates that may call, where TLS clients have to show one: ids, or PEM files.
    pub client_certificates: Option<Box<[Box<str>]>>,
    /// Who may call.
    pub auth: Auth,
    /// What clients are told of where they get tokens.
    pub resource_metadata: Option<Box<ResourceMetadata>>,
    /// Remove the credential before the request goes upstream.
    pub strip_auth_data: bool,
    /// What is behind the chain.
    pub backend: Backend,
    /// Limits of the API itself, and which limits of keys are off.
    pub limits: ApiLimits,
    /// From where it may be called.
    pub addresses: Addresses,
    /// Which pages of other origins may call it from a browser.
    pub cors: Option<Box<Cors>>,
    /// What it says of single paths.
    pub paths: Box<Paths>,
    /// Which answers are kept.
    pub cache: Option<Box<Caching>>,
    /// Which answers are made smaller for clients that take them so.
    pub compression: Option<Box<Compression>>,
    /// What is answered instead of errors.
    pub errors: Box<ErrorOverrides>,
    /// What it serves of GraphQL.
    pub graphql: Option<Box<GraphQl>>,
    /// What changes requests and answers.
    pub transforms: Box<Transforms>,
    /// The code of users on the way.
    pub plugins: Option<Box<Plugins>>,
    /// Who is told of what happens.
    pub events: Box<[EventHandler]>,
    /// How long a key of this API is stored; `None` = no limit from the API.
    pub session_lifetime: Option<Duration>,
    /// Never drop a stored key before its own expiry, even if `session_lifetime` is shorter.
    pub lifetime_respects_expiry: bool,
    /// What is recorded of its exchanges.
    pub recording: Recording,
    /// Several requests may be sent to it in one (contract 4.6, "Batch").
    pub batches: bool,
    /// Labels: sharding and records.
    pub tags: Box<[Box<str>]>,
    /// Creating or updating a key does not reset its quota.
    pub dont_set_quota_on_create: bool,
}

/// Limits an API declares.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ApiLimits {
    /// Rate limits of keys are not enforced.
    pub rate_limit_disabled: bool,
    /// Quotas of keys are not enforced.
    pub quota_disabled: bool,
    /// One limit over all callers together.
    pub global: Option<Rate>,
    /// Limits of single paths over all callers together, in the order written; the first that fits counts.
    pub endpoints: Box<[EndpointRate]>,
    /// How much may be under way at once.
    pub at_once: AtOnce,
}

/// So many requests in so long.
#[derive(Debug, Clone, PartialEq)]
pub struct Rate {
    /// Requests; above 0.
    pub requests: f64,
    /// Window; above 0.
    pub per: Duration,
    /// How what is admitted moves below that (contract 6.5).
    pub smoothing: Smoothing,
}

/// What is behind the chain.
#[derive(Debug, Clone, PartialEq)]
pub enum Backend {
    /// A proxied HTTP server.
    Upstream(Upstream),
    /// Streams.
    Streams(Streams),
    /// Sources of a graph.
    Graph,
}

/// A proxied HTTP server.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// Where requests go.
    pub target: Target,
    /// An API of the gate that requests go to instead: `tyk://name/path`.
    pub inner: Option<Box<str>>,
    /// Targets among which requests are shared out in this order, round and round; empty: all go to `target`.
    pub targets: Box<[Target]>,
    /// Who tells the targets, instead.
    pub discovery: Option<Box<Discovery>>,
    /// Which hosts are probed.
    pub uptime: Box<Uptime>,
    /// Targets whose host is down are left out.
    pub skip_down: bool,
    /// Send the client's Host instead of the target's.
    pub preserve_host: bool,
    /// Keep the slash that ends the joined path.
    pub keep_trailing_slash: bool,
    /// Enforced limit for the whole answer's head.
    pub timeout: Option<Duration>,
    /// What single paths have of their own.
    pub endpoints: Box<Endpoints>,
    /// TLS, credentials, and what is in between.
    pub manner: Box<Manner>,
    /// How its targets are asked, and what is sent again.
    pub care: Box<Care>,
}

/// A parsed target URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Protocol towards the upstream.
    pub scheme: Scheme,
    /// Host name, IPv4 address, or IPv6 address without brackets; lower case.
    pub host: Box<str>,
    /// Port, the scheme's default when none was written.
    pub port: u16,
    /// `host[:port]` as written, lower case: what goes into the Host header.
    pub authority: Box<str>,
    /// Path, percent-encoded as written; empty or starts with `/`.
    pub path: Box<str>,
    /// Query without `?`.
    pub query: Option<Box<str>>,
    /// `user:password` as written, percent-encoded: told to the server alone, as Basic, and shown nowhere.
    pub credentials: Option<Secret>,
}

/// Protocol towards an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// HTTP/1.1 in clear (also written `ws`).
    Http,
    /// HTTP over TLS (also written `wss`).
    Https,
    /// HTTP/2 in clear with prior knowledge.
    H2c,
}

/// Streams of one API, each to be checked and built by the streams room.
#[derive(Debug, Clone, PartialEq)]
pub struct Streams {
    /// Name and configuration, in the order written.
    pub streams: Vec<(Box<str>, serde_json::Value)>,
    /// Pointer of the object that holds them; a fault inside one is at `<base>/<name>/…`.
    pub pointer: Box<str>,
}
