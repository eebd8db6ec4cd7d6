//! What guards are called in traces: as the original calls its own of them (contract 4.4 and 11.6), so that what is made of
//! traces there goes on to work.

use super::Guard;

impl Guard {
    /// Its name in traces.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Term(_) | Self::Lists(_) => "VersionCheck",
            Self::CrossOrigin(_) => "CORSMiddleware",
            Self::Plugins(plugins) if plugins.are_scripts() => "DynamicMiddleware",
            Self::Plugins(_) => "CoProcessMiddleware",
            Self::Addresses(addresses) if addresses.allow_few() => "IPWhiteListMiddleware",
            Self::Addresses(_) => "IPBlackListMiddleware",
            Self::ClientCertificates(_) => "CertificateCheckMW",
            Self::Describe(_) => "PRMMiddleware",
            Self::Authenticate(guard) => guard.name(),
            Self::StripAuth(_) => "StripAuth",
            Self::Expiry(_) => "KeyExpired",
            Self::AccessRights(_) => "AccessRightsCheck",
            Self::GranularAccess(_) => "GranularAccessMiddleware",
            Self::Organisation(_) => "OrganizationMonitor",
            Self::Sizes(_) => "RequestSizeLimitMiddleware",
            Self::Tracking(_) => "TrackEndpointMiddleware",
            Self::Calls(_) => "JSONRPCMiddleware",
            Self::CallRights(_) => "MCPAccessControlMiddleware",
            Self::CallLimits(_) => "RateLimitAndQuotaCheck",
            Self::AtOnce => "ConcurrencyLimit",
            Self::Limits(limits) if limits.are_of_keys() => "RateLimitAndQuotaCheck",
            Self::Limits(_) => "RateLimitForAPI",
            Self::Scopes(_) => "OAuth2Middleware",
            Self::Subject(_) | Self::Exchange(_) => "OAuth2Exchange",
            Self::Variables(_) => "MiddlewareContextVars",
            Self::Playground(_) => "GraphQLPlayground",
            Self::Persisted(_) => "PersistGraphQLOperationMiddleware",
            Self::Graph(_) => "GraphQLMiddleware",
            Self::TokenNotes(_) => "UpstreamOAuth",
            Self::Made(_) => "RequestTransformMiddleware",
            Self::Programs(_) => "TransformJQMiddleware",
            Self::RequestHeaders(_) => "RequestHeaderInjector",
            Self::Rewrites(_) => "URLRewriteMiddleware",
            Self::Methods(_) => "TransformMethod",
            Self::Bodies(_) => "ValidateJSON",
            Self::Requests(_) => "ValidateRequest",
            Self::Mocks(_) => "MockResponseMiddleware",
            Self::Cache(_) => "RedisCacheMiddleware",
            Self::Virtuals(_) => "VirtualEndpoint",
            Self::OfPaths(_) => "GoPluginMiddleware",
        }
    }
}
