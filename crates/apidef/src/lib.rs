//! Definitions, policies, sessions and keys: the formats at the edge, and the one model behind them.

mod api;
mod definition;
pub mod keys;
pub mod policies;
mod session;

pub use api::{
    Api, ApiLimits, Auth, Backend, Rate, Scheme, Streams, Target, TokenSources, Upstream, UpstreamTls,
};
pub use definition::{Definition, Source, with_id};
pub use session::{
    AccessDefinition, AllowedUrl, BasicAuthData, Endpoint, EndpointMethod, JwtData, Limit, Monitor,
    Partitions, Policy, RateLimit, Secret, Session, Smoothing,
};
