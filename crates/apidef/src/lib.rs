//! Definitions, policies, sessions and keys: the formats at the edge, and the one model behind them.

mod api;
mod classic;
mod definition;
mod fields;
pub mod keys;
mod oas;
mod place;
pub mod policies;
mod reference;
mod rights;
mod section;
mod session;
mod validate;

pub use api::{
    Api, ApiLimits, Auth, Backend, Rate, Scheme, Streams, Target, TokenSources, Upstream, UpstreamTls,
};
pub use definition::{Definition, Source, with_id};
pub use reference::reference;
pub use rights::{PathMatching, UrlRules, check_access_rights, path_pattern};
pub use session::{
    AccessDefinition, AllowedUrl, BasicAuthData, Endpoint, EndpointMethod, JwtData, Limit, Monitor,
    Partitions, Policy, RateLimit, Secret, Session, Smoothing,
};
