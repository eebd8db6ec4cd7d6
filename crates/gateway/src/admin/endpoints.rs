//! Which endpoints there are: one table ([`table::all`]) that routing, the OpenAPI document, its tests and the
//! documentation share.

mod table;

use http::Method;

#[cfg(test)]
pub(super) use table::FOREIGN;
pub(super) use table::all;

/// One endpoint below `/tyk`.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) method: Method,
    /// Begins with `/`; a segment in braces is a parameter.
    pub(super) path: &'static str,
    pub(super) action: Action,
    /// One sentence for the documentation.
    pub(super) summary: &'static str,
    /// Of the query.
    pub(super) parameters: &'static [Parameter],
    pub(super) takes: Option<Shape>,
    /// Statuses beside those that every endpoint has (403 without the secret, 413, 503 without the store).
    pub(super) replies: &'static [(u16, Shape)],
}

/// What an endpoint does; its name is the `operationId` of the OpenAPI document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Reload,
    ReloadGroup,
    ListApis,
    GetApi,
    AddApi,
    ReplaceApi,
    DeleteApi,
    ListOas,
    ExportAllOas,
    AddOas,
    GetOas,
    ReplaceOas,
    DeleteOas,
    ExportOas,
    ListMcps,
    AddMcp,
    GetMcp,
    ReplaceMcp,
    DeleteMcp,
    ListKeys,
    AddKey,
    CreateKey,
    PreviewKey,
    SetKeyPolicies,
    GetKey,
    AddCustomKey,
    ReplaceKey,
    DeleteKey,
    ListCertificates,
    AddCertificate,
    GetCertificates,
    DeleteCertificate,
    ListPolicies,
    AddPolicy,
    GetPolicy,
    ReplacePolicy,
    DeletePolicy,
    ListOrgKeys,
    GetOrgKey,
    AddOrgKey,
    ReplaceOrgKey,
    DeleteOrgKey,
    AuthorizeOAuthClient,
    CreateOAuthClient,
    ListOAuthClients,
    ListApisOfOAuthClient,
    GetOAuthClient,
    ReplaceOAuthClient,
    DeleteOAuthClient,
    RotateOAuthClient,
    ListOAuthTokens,
    DeleteOAuthRefresh,
    RevokeOAuthToken,
    RevokeOAuthTokens,
    PurgeOAuthTokens,
    DropCache,
    ForgetKeySets,
    ForgetKeySetsOfApi,
    ApiHealth,
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
    ListVersions,
    ImportOas,
    PatchOas,
    Schema,
    Debug,
    TestPlugin,
}

/// One parameter of a query.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) holds: Holds,
    pub(super) summary: &'static str,
}

/// What a parameter may hold.
#[derive(Debug, Clone, Copy)]
pub(super) enum Holds {
    Text,
    Flag,
    Number,
    OneOf(&'static [&'static str]),
}

/// What a body looks like; the OpenAPI document has a schema of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// `{"status":"ok","message"}`
    Done,
    /// `{"status":"error","message"[,"errors"]}`
    Refused,
    /// `{"key","status":"ok","action"[,"key_hash"]}`
    Modified,
    Reloaded,
    Api,
    Apis,
    Oas,
    OasList,
    /// A document to be saved as a file.
    OasFile,
    Keys,
    Session,
    KeyPolicies,
    /// Certificates and keys as text.
    Pem,
    Policy,
    Policies,
    /// A stream's configuration, as JSON or YAML.
    Stream,
    /// Each stream by its id: whether it is active, and for how long.
    OAuthClient,
    OAuthClients,
    /// A form: what is asked for a user who has logged in.
    AuthorizeForm,
    /// A form: a token that is to be taken back.
    RevokeForm,
    /// A form: a client that is to lose its tokens.
    RevokeAllForm,
    Streams,
    StreamComponents,
    Records,
    /// Numbers by their names.
    Averages,
    /// `{"certs"}`: ids, or with `mode=detailed` what is known of each.
    Certificates,
    Certificate,
    /// One certificate, or an array of them.
    CertificateDetails,
    /// `{"id","status":"ok","message"}`
    CertificateAdded,
    /// Text, a line for each thing.
    Lines,
    Anything,
    Versions,
    /// A plain OpenAPI document.
    OpenApi,
    /// An OpenAPI document, with or without the gateway's part.
    OasPatch,
    DebugCall,
    DebugReport,
    /// What of a debug run cannot be done, or did not come to an answer.
    DebugFailed,
    PluginTest,
    PluginTested,
    /// `{"error"}`
    PluginTestRefused,
    Schema,
    SchemaRefused,
    /// A deleted key without the fuss: `null`, or what [`Shape::Modified`] says.
    ModifiedOrNull,
}

/// Where a path leads.
#[derive(Debug)]
pub(super) enum Found<'p> {
    /// There, with the values of its parameters in their order.
    Endpoint(&'static Endpoint, Vec<&'p str>),
    /// Nothing is done here with this method, but with these.
    OtherMethod(Vec<&'static str>),
    Nowhere,
}

/// Finds the endpoint of a request: of the paths that match, the one that says most itself, from its beginning. What a
/// path spells out is nobody's name, whatever the method: `/apis/oas/import` is no API called `import`.
pub(super) fn find<'p>(method: &Method, path: &[&'p str]) -> Found<'p> {
    let fitting = all().filter(|endpoint| matches(endpoint.path, path).is_some());
    let Some(best) = fitting.map(|endpoint| endpoint.path).min_by_key(|path| named_segments(path)) else {
        return Found::Nowhere;
    };
    match all().find(|endpoint| endpoint.path == best && endpoint.method == *method) {
        Some(endpoint) => Found::Endpoint(endpoint, matches(endpoint.path, path).unwrap_or_default()),
        None => Found::OtherMethod(methods(best)),
    }
}

/// The methods of a path.
pub(super) fn methods(path: &str) -> Vec<&'static str> {
    all().filter(|endpoint| endpoint.path == path).map(|endpoint| endpoint.method.as_str()).collect()
}

/// Which segments of a template are parameters.
fn named_segments(template: &str) -> Vec<bool> {
    template.split('/').skip(1).map(|segment| parameter_name(segment).is_some()).collect()
}

/// The values of a template's parameters, if a path fits it. A value is never empty.
fn matches<'p>(template: &str, path: &[&'p str]) -> Option<Vec<&'p str>> {
    let mut given = path.iter();
    let mut values = Vec::new();
    for segment in template.split('/').skip(1) {
        let given = given.next()?;
        if parameter_name(segment).is_some() {
            if given.is_empty() {
                return None;
            }
            values.push(*given);
        } else if *given != segment {
            return None;
        }
    }
    given.next().is_none().then_some(values)
}

/// The name in a segment that stands for a value.
pub(super) fn parameter_name(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn paths_lead_to_one_endpoint() {
        for (method, path, expected) in [
            (Method::GET, "apis", Some((Action::ListApis, vec![]))),
            (Method::GET, "apis/x", Some((Action::GetApi, vec!["x"]))),
            (Method::GET, "apis/oas", Some((Action::ListOas, vec![]))),
            (Method::GET, "apis/oas/export", Some((Action::ExportAllOas, vec![]))),
            (Method::GET, "apis/oas/x", Some((Action::GetOas, vec!["x"]))),
            (Method::GET, "apis/oas/versions", Some((Action::GetOas, vec!["versions"]))),
            (Method::GET, "apis/oas/x/versions", Some((Action::ListVersions, vec!["x"]))),
            (Method::GET, "apis/x/versions", Some((Action::ListVersions, vec!["x"]))),
            (Method::POST, "apis/oas/import", Some((Action::ImportOas, vec![]))),
            (Method::GET, "apis/oas/x/export", Some((Action::ExportOas, vec!["x"]))),
            (Method::POST, "apis/x", Some((Action::AddApi, vec!["x"]))),
            (Method::POST, "keys/create", Some((Action::CreateKey, vec![]))),
            (Method::POST, "keys/policy/h", Some((Action::SetKeyPolicies, vec!["h"]))),
        ] {
            let segments: Vec<&str> = path.split('/').collect();
            let found = match find(&method, &segments) {
                Found::Endpoint(endpoint, values) => Some((endpoint.action, values)),
                _ => None,
            };
            assert_eq!(found, expected, "{method} {path}");
        }
        for (method, path, there) in [
            (Method::PATCH, "keys", true),
            (Method::GET, "keys/create", true),
            (Method::PUT, "apis/oas", true),
            (Method::DELETE, "apis/oas/export", true),
            (Method::GET, "apis/oas/import", true),
            (Method::POST, "reload", true),
            (Method::GET, "nowhere", false),
            (Method::GET, "keys//", false),
            (Method::GET, "keys/a/b", false),
            (Method::GET, "", false),
        ] {
            let segments: Vec<&str> = path.split('/').collect();
            let found = find(&method, &segments);
            assert_eq!(matches!(found, Found::OtherMethod(_)), there, "{method} {path}: {found:?}");
            assert!(there || matches!(found, Found::Nowhere), "{method} {path}: {found:?}");
        }
    }

    #[test]
    fn no_endpoint_hides_another_and_every_one_can_succeed() {
        let mut seen = HashSet::new();
        for endpoint in all() {
            assert!(
                seen.insert((endpoint.method.clone(), endpoint.path)),
                "{} {} is there twice",
                endpoint.method,
                endpoint.path
            );
            assert!(endpoint.path.starts_with('/') && !endpoint.path.ends_with('/'), "{}", endpoint.path);
            let segments: Vec<&str> = endpoint.path.split('/').skip(1).collect();
            let Found::Endpoint(found, _) = find(&endpoint.method, &segments) else {
                panic!("{} is not found", endpoint.path)
            };
            assert!(std::ptr::eq(found, endpoint), "{} leads to {}", endpoint.path, found.path);
            assert!(endpoint.summary.starts_with(char::is_uppercase) && endpoint.summary.ends_with('.'));
        }
    }
}
