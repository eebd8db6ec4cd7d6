//! OpenAPI definition -> model.

use super::{EXTENSION, STREAMING, ignores_case, table};
use crate::addresses;
use crate::auth::{ResourceMetadata, read_oas as read_auth};
use crate::beyond;
use crate::classic::{domain, identity, rate, target};
use crate::cors;
use crate::events;
use crate::fields::{check, in_use};
use crate::graphql;
use crate::limits::{OWN, at_once, oas_endpoints};
use crate::mcp;
use crate::own_port::OwnPort;
use crate::pass_through::{self, PassThrough};
use crate::place;
use crate::plugins;
use crate::section::Section;
use crate::upstream::{Endpoints, oas_targets};
use crate::validate;
use crate::versioning::{date, lists_of_oas, read_oas};
use crate::{
    Api, ApiLimits, Auth, Backend, Caching, Care, Compression, Discovery, ErrorOverrides, EventHandler,
    GraphQl, Manner, Paths, Recording, Streams, ToolSource, Transforms, Upstream, UpstreamCredentials,
    Uptime,
};
use document::Fault;
use serde_json::Value;

/// The model of an OpenAPI definition; its faults tell whether it holds.
pub(crate) fn read(value: &Value, faults: &mut Vec<Fault>) -> Option<Api> {
    let root = Section::root(value, faults);
    check(table::ROOT, root.object?, "", faults);
    openapi(&root, faults);

    let extension = root.section(EXTENSION, faults);
    if !extension.exists() && root.get(EXTENSION).is_none() {
        faults.push(
            Fault::error(root.at(EXTENSION), format!("`{EXTENSION}` is missing"))
                .hint("add it with `info`, `upstream` and `server`, so that the gate knows where the API listens and sends"),
        );
        return None;
    }
    let streams = streams(&root, faults);
    let info = required(&extension, "info", faults);
    let server = required(&extension, "server", faults);
    let id = if info.exists() { identity(&info, "id", faults) } else { Box::default() };
    let state = info.section("state", faults);
    let middleware = extension.section("middleware", faults);
    let global = middleware.section("global", faults);
    let mut paths = Box::new(Paths::oas(&root, &middleware, faults));
    let mut endpoints = oas_endpoints(&root, &middleware, faults);
    let mut transforms = Box::new(Transforms::oas(&root, &middleware, faults));
    let mut cache = Caching::oas(&root, &middleware, faults);
    let ignore_case = ignores_case(&root, faults);
    let mut upstreams_own = None;
    if let Some(more) = lists_of_oas(&root, ignore_case, faults) {
        paths.add(more.paths);
        beyond::add_rates(&mut endpoints, more.endpoints);
        transforms.add(more.transforms);
        match &mut cache {
            Some(cache) => beyond::add(&mut cache.paths, more.cached),
            None if more.cached.is_empty() => {}
            None => {
                let text = "answers are not kept unless `middleware.global.cache` is on";
                let at = root.section(OWN, faults).at(beyond::LISTS);
                faults.push(Fault::warning(at, text));
            }
        }
        upstreams_own = Some(more.of_paths);
    }
    let authentication = server.section("authentication", faults);
    let (lifetime, respects_expiry) = lifetime(&authentication, faults);
    let listen = server.section("listenPath", faults);
    let keys = pass_through::Keys { protocol: "protocol", port: "port" };
    let pass_through = PassThrough::read(&root, &server, &keys, faults).map(Box::new);
    let own_port = OwnPort::read(&server, &keys, faults);
    let graphql = graph(&root, streams.is_some(), faults);
    let engine = graphql.as_ref().is_some_and(|graph| graph.gathers());
    let upstream = if streams.is_some() || engine {
        extension.section("upstream", faults)
    } else {
        required(&extension, "upstream", faults)
    };
    let global_rate = global_rate(&upstream, faults);
    let backend = match streams {
        Some(streams) => Some(Backend::Streams(streams)),
        None if engine => Some(Backend::Graph),
        None => {
            let mut endpoints = Box::new(Endpoints::oas(&root, &middleware, faults));
            if let Some(more) = upstreams_own {
                endpoints.add(more);
            }
            let care = Box::new(Care::read(&root, faults));
            proxied(&upstream, pass_through.is_some(), endpoints, care, faults).map(Backend::Upstream)
        }
    };
    validate_rest(&upstream, faults);
    let auth = read_auth(&root, &authentication, faults);
    one_credential(&auth, backend.as_ref(), upstream.at("authentication"), faults);
    let mcp = mcp::speaks(&root, faults);
    mcp::only_upstreams(mcp, &backend.as_ref(), root.at(EXTENSION), faults);
    let tools = ToolSource::read(&root, mcp, backend.as_ref(), upstream.at("url"), faults);
    let tags = server.section("gatewayTags", faults);
    let tags = if tags.flag("enabled", faults) { tags.texts("tags", faults) } else { Box::default() };
    let api = Api {
        id,
        org_id: info.text("orgId", faults).into(),
        name: info.text("name", faults).into(),
        internal: state.flag("internal", faults),
        active: state.flag("active", faults),
        domain: custom_domain(&server, faults),
        certificates: server.section("customDomain", faults).texts("certificates", faults),
        client_certificates: client_certificates(&server, faults),
        listen_path: match pass_through {
            Some(_) => "/".into(),
            None => listen_path(&server, &listen, faults),
        },
        pass_through,
        mcp,
        tools,
        own_port,
        strip_listen_path: listen.flag("strip", faults),
        versioning: read_oas(&info, faults),
        version: Box::default(),
        expires: date(&info, "expiration", faults),
        version_expires: None,
        auth,
        resource_metadata: ResourceMetadata::oas(&root, &authentication, faults),
        strip_auth_data: authentication.flag("stripAuthorizationData", faults),
        backend: backend?,
        limits: ApiLimits {
            rate_limit_disabled: global.flag("skipRateLimit", faults),
            quota_disabled: global.flag("skipQuota", faults),
            global: global_rate,
            endpoints,
            at_once: at_once(&root, faults),
        },
        addresses: addresses::read_oas(&server, faults),
        cors: cors::read_oas(&global, faults),
        paths,
        cache,
        compression: Compression::read(&root, faults),
        errors: Box::new(ErrorOverrides::oas(&extension, faults)),
        graphql,
        transforms,
        plugins: plugins::read_oas(&global, &authentication, faults),
        events: events_of(&root, &server, faults),
        session_lifetime: lifetime,
        lifetime_respects_expiry: respects_expiry,
        batches: server.section("batchProcessing", faults).flag("enabled", faults),
        recording: Recording::oas(&server, &global, faults),
        tags,
        dont_set_quota_on_create: global.flag("skipQuotaReset", faults),
    };
    pass_through::unguarded(&api, authentication.at("enabled"), server.at("clientCertificates"), faults);
    Some(api)
}

/// Handlers of events; those that OpenAPI definitions have no kind for are in our extension.
fn events_of(root: &Section<'_>, server: &Section<'_>, faults: &mut Vec<Fault>) -> Box<[EventHandler]> {
    let own = events::read_classic(&root.section(OWN, faults), faults);
    events::read_oas(server, faults).into_iter().chain(own).collect()
}

/// What is served of GraphQL, which streams do not.
fn graph(root: &Section<'_>, streams: bool, faults: &mut Vec<Fault>) -> Option<Box<GraphQl>> {
    let graph = graphql::read(root, faults);
    if streams && graph.is_some() {
        let text = "streams serve no GraphQL: define another API for it";
        faults.push(Fault::error(root.at(OWN), text));
    }
    graph
}

/// What contract 2.8 checks beyond what the model takes.
fn validate_rest(upstream: &Section<'_>, faults: &mut Vec<Fault>) {
    let balancing = upstream.section("loadBalancing", faults);
    // What is discovered needs no list.
    let discovers = upstream.section("serviceDiscovery", faults).get("enabled").is_some_and(in_use);
    if balancing.get("enabled").is_some_and(in_use) && !discovers {
        let weighs = |target: &Value| target.get("weight").is_some_and(in_use);
        validate::targets(&balancing, "targets", weighs, faults);
    }
    let names = validate::UpstreamAuthNames {
        basic: "basicAuth",
        types: "allowedAuthorizeTypes",
        client_credentials: "clientCredentials",
    };
    validate::upstream_auth(&upstream.section("authentication", faults), &names, faults);
}

/// An exchanged token and credentials of the gate cannot both be in one header.
pub(crate) fn one_credential(auth: &Auth, backend: Option<&Backend>, at: String, faults: &mut Vec<Fault>) {
    let (Auth::Guarded(guarded), Some(Backend::Upstream(known))) = (auth, backend) else { return };
    let header = match &known.manner.credentials {
        Some(UpstreamCredentials::Basic { header, .. }) => &**header,
        Some(UpstreamCredentials::OAuth(oauth)) => &*oauth.header,
        None => return,
    };
    if guarded.exchange.is_some() && header.eq_ignore_ascii_case("authorization") {
        let text = "the exchanged token of the caller is in `Authorization`, so these credentials cannot be";
        faults.push(Fault::error(at, text).hint("take them out, or give them a header of their own"));
    }
}

fn openapi(root: &Section<'_>, faults: &mut Vec<Fault>) {
    let version = root.text("openapi", faults);
    if version.is_empty() {
        if root.get("openapi").is_none_or(Value::is_string) {
            faults.push(
                Fault::error(root.at("openapi"), "`openapi` is missing").hint("write \"openapi\": \"3.0.3\""),
            );
        }
    } else if !["3.0", "3.1"]
        .iter()
        .any(|known| version.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    {
        faults.push(
            Fault::error(root.at("openapi"), format!("OpenAPI version `{version}` is not supported"))
                .hint("use 3.0.x or 3.1.x"),
        );
    }
    let info = root.section("info", faults);
    if info.text("title", faults).is_empty() || info.text("version", faults).is_empty() {
        faults.push(Fault::warning(root.at("info"), "OpenAPI asks for `info` with `title` and `version`"));
    }
    if !root.section("paths", faults).exists() && !version.starts_with("3.1") {
        faults.push(Fault::warning(root.at("paths"), "OpenAPI 3.0 asks for `paths`, even if it is empty"));
    }
}

fn required<'v>(extension: &Section<'v>, key: &str, faults: &mut Vec<Fault>) -> Section<'v> {
    if extension.exists() && extension.get(key).is_none() {
        faults.push(Fault::error(extension.at(key), format!("the section `{key}` is missing")));
    }
    extension.section(key, faults)
}

fn listen_path(server: &Section<'_>, listen: &Section<'_>, faults: &mut Vec<Fault>) -> Box<str> {
    let written = listen.text("value", faults);
    if written.is_empty() {
        if server.exists() && listen.get("value").is_none_or(Value::is_string) {
            let message = "`listenPath.value` is missing: where does the API listen?";
            faults.push(Fault::error(listen.at("value"), message));
        }
        return "/".into();
    }
    place::listen_path(written).unwrap_or_else(|why| {
        faults.push(Fault::error(listen.at("value"), why));
        "/".into()
    })
}

fn custom_domain(server: &Section<'_>, faults: &mut Vec<Fault>) -> Option<Box<str>> {
    let custom = server.section("customDomain", faults);
    if custom.flag("enabled", faults) { domain(&custom, "name", faults) } else { None }
}

fn client_certificates(server: &Section<'_>, faults: &mut Vec<Fault>) -> Option<Box<[Box<str>]>> {
    let mutual = server.section("clientCertificates", faults);
    let listed = mutual.texts("allowlist", faults);
    mutual.flag("enabled", faults).then_some(listed)
}

fn global_rate(upstream: &Section<'_>, faults: &mut Vec<Fault>) -> Option<crate::Rate> {
    let limit = upstream.section("rateLimit", faults);
    let enabled = limit.flag("enabled", faults);
    let requests = limit.number("rate", faults);
    let per = limit.duration("per", faults);
    rate(enabled, requests, per, &limit, faults)
}

fn proxied(
    upstream: &Section<'_>,
    passed_through: bool,
    endpoints: Box<Endpoints>,
    care: Box<Care>,
    faults: &mut Vec<Fault>,
) -> Option<Upstream> {
    if !upstream.exists() {
        return None;
    }
    let target = if passed_through {
        pass_through::read_target(upstream, "url", faults).map(|target| (target, None))
    } else {
        target(upstream, "url", faults)
    };
    let mut enabled = |key: &str| upstream.section(key, faults).flag("enabled", faults);
    let preserve_host = enabled("preserveHostHeader");
    let keep_trailing_slash = enabled("preserveTrailingSlash");
    let enforce = upstream.section("enforceTimeout", faults);
    let timeout = enforce.duration("duration", faults);
    let timeout = timeout.filter(|_| enforce.flag("enabled", faults));
    let manner = Box::new(Manner::oas(upstream, faults));
    let targets = if passed_through {
        let balancing = upstream.section("loadBalancing", faults);
        pass_through::targets(&balancing, ("enabled", "targets"), faults)
    } else {
        oas_targets(upstream, faults)
    };
    let (target, inner) = target?;
    let discovery = Discovery::oas(&upstream.section("serviceDiscovery", faults), faults).map(Box::new);
    let uptime = Box::new(Uptime::oas(&upstream.section("uptimeTests", faults), faults));
    let skip_down = upstream.section("loadBalancing", faults).flag("skipUnavailableHosts", faults);
    Some(Upstream {
        target,
        inner,
        targets,
        discovery,
        uptime,
        skip_down,
        preserve_host,
        keep_trailing_slash,
        timeout,
        endpoints,
        manner,
        care,
    })
}

fn lifetime(authentication: &Section<'_>, faults: &mut Vec<Fault>) -> (Option<std::time::Duration>, bool) {
    let custom = authentication.section("customKeyLifetime", faults);
    let enabled = custom.flag("enabled", faults);
    let value = custom.duration("value", faults).filter(|_| enabled);
    (value, custom.flag("respectValidity", faults))
}

/// The streams of `x-tyk-streaming` (streams contract 1.2); each is checked where streams are built.
pub(crate) fn streams(root: &Section<'_>, faults: &mut Vec<Fault>) -> Option<Streams> {
    root.get(STREAMING)?;
    let streaming = root.section(STREAMING, faults);
    let streams = streaming.section("streams", faults);
    if let Some(members) = streaming.object {
        for name in members.keys().filter(|name| *name != "streams") {
            let message = format!("unknown key `{name}`; `{STREAMING}` holds only `streams`");
            faults.push(Fault::warning(streaming.at(name), message).on_key());
        }
        if members.get("streams").is_none_or(Value::is_null) {
            faults.push(Fault::error(
                streaming.at("streams"),
                "`streams` is missing: which streams does the API have?",
            ));
        }
    }
    let mut named = Vec::new();
    for (name, config) in streams.object.into_iter().flatten() {
        if name.is_empty() {
            faults.push(Fault::error(streams.at(name), "a stream needs a name"));
        } else if !config.is_object() {
            faults.push(Fault::error(streams.at(name), "a stream is an object with `input` and `output`"));
        }
        named.push((name.as_str().into(), config.clone()));
    }
    if named.is_empty() && streams.exists() {
        faults.push(Fault::error(streams.pointer.clone(), "there is no stream in `streams`"));
    }
    Some(Streams { streams: named, pointer: streams.pointer.into() })
}
