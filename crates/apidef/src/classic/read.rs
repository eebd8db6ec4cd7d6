//! Classic definition -> model.

use super::table;
use crate::addresses;
use crate::auth::read_classic as read_auth;
use crate::beyond;
use crate::cors;
use crate::events;
use crate::fields::{LEFT_OPEN, check, in_use};
use crate::graphql;
use crate::limits::{EndpointRate, at_once};
use crate::mcp;
use crate::oas::one_credential;
use crate::own_port::OwnPort;
use crate::pass_through::{self, PassThrough};
use crate::place;
use crate::plugins;
use crate::section::Section;
use crate::upstream::classic_targets;
use crate::validate;
use crate::versioning::{Version, date, read_classic, read_own, sole};
use crate::{
    Api, ApiLimits, Backend, Caching, Care, Compression, Discovery, ErrorOverrides, Manner, Rate, Recording,
    Smoothing, Target, Upstream, Uptime,
};
use document::Fault;
use serde_json::Value;
use std::time::Duration;

/// The model of a classic definition; its faults tell whether it holds.
pub(crate) fn read(value: &Value, faults: &mut Vec<Fault>) -> Option<Api> {
    let root = Section::root(value, faults);
    check(table::ROOT, root.object?, "", faults);

    let id = identity(&root, "api_id", faults);
    let proxy = root.section("proxy", faults);
    let Version { timeout, endpoints, of_paths, paths, cached, transforms, expires: version_expires, .. } =
        sole(&root, faults);
    providers(&root, faults);
    let keys = pass_through::Keys { protocol: "protocol", port: "listen_port" };
    let pass_through = PassThrough::read(&root, &root, &keys, faults).map(Box::new);
    let own_port = OwnPort::read(&root, &keys, faults);
    validate_rest(&root, &proxy, faults);

    let listen_path = match proxy.text("listen_path", faults) {
        _ if pass_through.is_some() => "/".into(),
        "" => {
            faults.push(Fault::error(
                proxy.at("listen_path"),
                "`listen_path` is missing: where does the API listen?",
            ));
            "/".into()
        }
        written => place::listen_path(written).unwrap_or_else(|why| {
            faults.push(Fault::error(proxy.at("listen_path"), why));
            "/".into()
        }),
    };
    let graphql = graphql::read(&root, faults);
    let streams = beyond::streamed(&root, faults);
    if let (Some(_), Some(streams)) = (&graphql, &streams) {
        let text = "streams serve no GraphQL: define another API for it";
        faults.push(Fault::error(&*streams.pointer, text));
    }
    let engine = graphql.as_ref().is_some_and(|graph| graph.gathers());
    let unused = (engine || streams.is_some()) && proxy.text("target_url", faults).is_empty();
    let target = match pass_through {
        Some(_) => pass_through::read_target(&proxy, "target_url", faults).map(|target| (target, None)),
        // Nothing is ever sent there: streams and the sources of a graph have addresses of their own.
        None if unused => Target::or_inner("tyk://self").ok(),
        None => target(&proxy, "target_url", faults),
    };
    let targets = match pass_through {
        Some(_) => pass_through::targets(&proxy, ("enable_load_balancing", "target_list"), faults),
        None => classic_targets(&proxy, faults),
    };
    let (target, inner) = target.map_or((None, None), |(target, inner)| (Some(target), inner));
    let upstream = Upstream {
        preserve_host: proxy.flag("preserve_host_header", faults),
        keep_trailing_slash: proxy.flag("disable_strip_slash", faults),
        timeout,
        targets,
        discovery: Discovery::classic(&proxy.section("service_discovery", faults), faults).map(Box::new),
        uptime: Box::new(Uptime::classic(&root.section("uptime_tests", faults), faults)),
        skip_down: proxy.flag("check_host_against_uptime_tests", faults),
        endpoints: Box::new(of_paths),
        manner: Box::new(Manner::classic(&root, faults)),
        care: Box::new(Care::read(&root, faults)),
        target: target?,
        inner,
    };
    let domain_off = root.flag("domain_disabled", faults);
    let tags_off = root.flag("tags_disabled", faults);
    let (auth, resource_metadata) = match beyond::auth(&root, faults) {
        Some(said) => {
            said_elsewhere(faults);
            said
        }
        None => (read_auth(&root, faults), None),
    };
    let backend = match streams {
        Some(streams) => Backend::Streams(streams),
        None if engine => Backend::Graph,
        None => Backend::Upstream(upstream),
    };
    one_credential(&auth, Some(&backend), root.at("upstream_auth"), faults);
    let mut api = Api {
        id,
        org_id: root.text("org_id", faults).into(),
        name: root.text("name", faults).into(),
        internal: root.flag("internal", faults),
        active: root.flag("active", faults),
        domain: if domain_off { None } else { domain(&root, "domain", faults) },
        certificates: root.texts("certificates", faults),
        client_certificates: client_certificates(&root, faults),
        pass_through,
        mcp: mcp::classic(&root, faults),
        tools: None,
        own_port,
        listen_path,
        strip_listen_path: proxy.flag("strip_listen_path", faults),
        versioning: None,
        version: Box::default(),
        expires: date(&root, "expiration", faults),
        version_expires,
        auth,
        resource_metadata,
        strip_auth_data: root.flag("strip_auth_data", faults),
        backend,
        limits: limits(&root, endpoints, faults),
        addresses: addresses::read_classic(&root, faults),
        cors: cors::read_classic(&root, faults),
        paths: Box::new(paths),
        cache: Caching::classic(&root, cached, faults),
        compression: Compression::read(&root, faults),
        errors: Box::new(ErrorOverrides::classic(&root, faults)),
        graphql,
        transforms: Box::new(transforms.with_root(&root, faults)),
        plugins: plugins::read_classic(&root, faults),
        events: events::read_classic(&root, faults),
        session_lifetime: root.seconds("session_lifetime", faults),
        lifetime_respects_expiry: root.flag("session_lifetime_respects_key_expiration", faults),
        batches: root.flag("enable_batch_request_support", faults),
        recording: Recording::classic(&root, faults),
        tags: if tags_off { Box::default() } else { root.texts("tags", faults) },
        dont_set_quota_on_create: root.flag("dont_set_quota_on_create", faults),
    };
    mcp::only_upstreams(api.mcp, &Some(&api.backend), root.at("application_protocol"), faults);
    api.tools = beyond::tools(&root, api.mcp, &api.backend, proxy.at("target_url"), faults);
    pass_through::unguarded(&api, root.at("use_keyless"), root.at("use_mutual_tls_auth"), faults);
    api.versioning = read_own(&root, read_classic(&root, faults), &api, faults);
    Some(api)
}

/// Where a document says who may call, the keys of that stay for clients that read them: nobody thinks that they count.
fn said_elsewhere(faults: &mut Vec<Fault>) {
    let of_auth = |fault: &Fault| {
        let field = table::ROOT.iter().find(|field| fault.pointer.strip_prefix('/') == Some(field.name));
        field.and_then(|field| field.when).is_some_and(|switch| beyond::SWITCHES.contains(&switch))
    };
    faults.retain(|fault| fault.is_error() || !of_auth(fault));
}

fn client_certificates(root: &Section<'_>, faults: &mut Vec<Fault>) -> Option<Box<[Box<str>]>> {
    let listed = root.texts("client_certificates", faults);
    root.flag("use_mutual_tls_auth", faults).then_some(listed)
}

/// The API's id: required, and safe as the name of a file (contract 2.1).
pub(crate) fn identity(holder: &Section<'_>, key: &str, faults: &mut Vec<Fault>) -> Box<str> {
    let id = holder.text(key, faults);
    if id.is_empty() {
        if holder.get(key).is_none_or(Value::is_string) {
            faults.push(Fault::error(
                holder.at(key),
                format!("`{key}` is missing: every API needs an id of its own"),
            ));
        }
    } else if matches!(id, "." | "..") || id.contains(|c: char| matches!(c, '/' | '\\') || c.is_control()) {
        faults.push(
            Fault::error(holder.at(key), format!("`{key}` must be usable as the name of a file"))
                .hint("use letters, digits, `-`, `_` and `.`"),
        );
    }
    id.into()
}

/// Where requests go: to a server, or to an API of the gate, whose URL is the second then.
pub(crate) fn target(
    holder: &Section<'_>,
    key: &str,
    faults: &mut Vec<Fault>,
) -> Option<(Target, Option<Box<str>>)> {
    match holder.text(key, faults) {
        "" => {
            if holder.get(key).is_none_or(Value::is_string) {
                faults
                    .push(Fault::error(holder.at(key), format!("`{key}` is missing: where do requests go?")));
            }
            None
        }
        url => Target::or_inner(url)
            .map_err(|why| faults.push(Fault::error(holder.at(key), format!("the target URL {why}"))))
            .ok(),
    }
}

pub(crate) fn domain(holder: &Section<'_>, key: &str, faults: &mut Vec<Fault>) -> Option<Box<str>> {
    let written = holder.text(key, faults);
    if written.is_empty() {
        return None;
    }
    place::domain(written).map_err(|why| faults.push(Fault::error(holder.at(key), why))).ok()
}

fn limits(root: &Section<'_>, endpoints: Vec<EndpointRate>, faults: &mut Vec<Fault>) -> ApiLimits {
    let global = root.section("global_rate_limit", faults);
    let disabled = global.flag("disabled", faults);
    let requests = global.number("rate", faults);
    let per = global.seconds("per", faults);
    ApiLimits {
        rate_limit_disabled: root.flag("disable_rate_limit", faults),
        quota_disabled: root.flag("disable_quota", faults),
        global: rate(!disabled, requests, per, &global, faults),
        endpoints: endpoints.into(),
        at_once: at_once(root, faults),
    }
}

/// A rate that is on needs both its numbers: half a rate would silently be none.
pub(crate) fn rate(
    on: bool,
    requests: f64,
    per: Option<Duration>,
    at: &Section<'_>,
    faults: &mut Vec<Fault>,
) -> Option<Rate> {
    if !on || (requests == 0.0 && per.is_none()) {
        return None;
    }
    match per {
        Some(per) if requests > 0.0 => Some(Rate { requests, per, smoothing: smoothing(at, faults) }),
        _ => {
            faults.push(
                Fault::error(at.pointer.clone(), "a rate limit needs `rate` and `per`, both above 0")
                    .hint("switch it off if no limit is meant"),
            );
            None
        }
    }
}

/// How a rate moves. Whoever switches that on needs a threshold and steps: without them nothing would ever move.
fn smoothing(rate: &Section<'_>, faults: &mut Vec<Fault>) -> Smoothing {
    let at = rate.section("smoothing", faults);
    let enabled = at.flag("enabled", faults);
    let trigger = at.number("trigger", faults);
    let mut number = |key: &str| {
        let number = at.number(key, faults);
        if number < 0.0 || number.fract() != 0.0 || number > 9e15 {
            faults.push(Fault::error(at.at(key), format!("`{key}` must be a whole number, 0 or more")));
            return 0;
        }
        number as i64
    };
    let (threshold, step, delay) = (number("threshold"), number("step"), number("delay"));
    if enabled && (threshold == 0 || step == 0) {
        let message = "smoothing needs `threshold` and `step`, both above 0";
        faults.push(Fault::error(at.pointer.clone(), message).hint("switch it off if none is meant"));
    }
    if trigger < 0.0 {
        faults.push(Fault::error(at.at("trigger"), "`trigger` must be 0 or more: a part of a step"));
    }
    Smoothing { enabled, threshold, trigger, step, delay, ..Smoothing::default() }
}

fn providers(root: &Section<'_>, faults: &mut Vec<Fault>) {
    for key in ["auth_provider", "session_provider"] {
        let provider = root.section(key, faults);
        for part in ["name", "storage_engine"] {
            let named = provider.text(part, faults);
            if !matches!(named, "" | "default" | "redis") {
                let message = format!("the provider `{named}` is {LEFT_OPEN}");
                faults.push(Fault::error(provider.at(part), message));
            }
        }
    }
}

/// What contract 2.8 checks beyond what the model takes.
fn validate_rest(root: &Section<'_>, proxy: &Section<'_>, faults: &mut Vec<Fault>) {
    // What is discovered needs no list.
    let discovers =
        proxy.section("service_discovery", faults).get("use_discovery_service").is_some_and(in_use);
    if proxy.get("enable_load_balancing").is_some_and(in_use) && !discovers {
        validate::targets(proxy, "target_list", in_use, faults);
    }
    let names = validate::UpstreamAuthNames {
        basic: "basic_auth",
        types: "allowed_authorize_types",
        client_credentials: "client_credentials",
    };
    validate::upstream_auth(&root.section("upstream_auth", faults), &names, faults);
    graphql::data_sources(&root.section("graphql", faults), faults);
}
