//! What sessions of one profile may do with one API: everything of a grant but the counters, compiled once for all.

use std::sync::Arc;
use std::time::Duration;

use apidef::{CallKind, PathMatching, Session, Smoothing, Subscriptions, UrlRules, keys, path_pattern};
use regex::Regex;

use crate::limits::{Context, Counter, Pattern, Rate};

/// Rights and limits for one API.
#[derive(Debug)]
pub(crate) struct Terms {
    /// Of the API.
    pub(super) api: Box<str>,
    /// Whether the API may be called at all.
    pub(crate) allowed: bool,
    /// Which of the versions may be called that the API serves itself; `None` = all of them.
    versions: Option<Box<[Box<str>]>>,
    /// Paths and methods that may be called.
    pub(crate) urls: Urls,
    /// Whose counters count: empty = the session's.
    pub(super) scope: Box<str>,
    pub(super) rate: Allowance,
    pub(super) endpoints: Box<[Endpoint]>,
    /// Zero or less = unlimited.
    pub(super) quota_max: i64,
    /// Zero = never renews.
    pub(super) quota_renewal: Duration,
    /// How long to wait between tries, and how many, where the rate is used up.
    pub(crate) throttle: Option<(Duration, u32)>,
    /// Gives the name of the counters for each request.
    pub(crate) pattern: Option<Pattern>,
    pub(crate) at_once: OwnAtOnce,
    /// What may be asked of a graph; `None` = everything.
    pub(crate) graph: Option<Box<graphql::Rights>>,
    /// What may be called of an API that speaks MCP, and how often; `None` = everything.
    pub(crate) calls: Option<Box<CallTerms>>,
    /// What limits subscribers, if anything does.
    pub(super) subscriptions: Option<Subscriptions>,
}

/// So many requests in so many seconds.
#[derive(Debug)]
pub(super) struct Allowance {
    /// As they are written.
    pub(super) numbers: (f64, f64),
    /// `None` = unlimited.
    rate: Option<Arc<Rate>>,
}

impl Allowance {
    fn new(numbers: (f64, f64), smoothing: &Smoothing) -> Self {
        Self { numbers, rate: Rate::new(numbers, smoothing) }
    }

    /// What counts it under this name; `None` = nothing does.
    pub(super) fn counter(&self, name: &Arc<str>) -> Option<Counter> {
        self.rate.as_ref().map(|rate| Counter::new(Arc::clone(name), Arc::clone(rate)))
    }
}

/// Which paths and methods a grant covers.
#[derive(Debug)]
pub(crate) enum Urls {
    All,
    Only(UrlRules),
    /// The rules cannot be understood; nothing is allowed rather than everything.
    None,
}

impl Urls {
    /// Whether the method may be called at any of these spellings of a path.
    pub(crate) fn allow(&self, method: &str, paths: &[&str]) -> bool {
        match self {
            Self::All => true,
            Self::Only(rules) => rules.allows(method, paths),
            Self::None => false,
        }
    }
}

/// The limit of one path and method, instead of the API's.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) method: Box<str>,
    pub(super) path: Regex,
    /// What its counter's name ends with.
    pub(super) suffix: Box<str>,
    pub(super) rate: Allowance,
}

/// What may be called of an API that speaks MCP, and how often.
#[derive(Debug)]
pub(crate) struct CallTerms {
    pub(crate) rights: Arc<mcp::Rights>,
    /// Places among the rates, by kind and name.
    rated: [mcp::Names<usize>; 4],
    /// What the names of their counters end with, and how often.
    pub(super) rates: Box<[(Box<str>, Allowance)]>,
}

impl CallTerms {
    /// `None`: nothing is said of calls.
    fn of(access: &apidef::AccessDefinition) -> Option<Self> {
        let rights = Arc::new(mcp::Rights::of(access));
        let methods = access.json_rpc_methods.iter().map(|one| (CallKind::Method, one));
        let primitives = access.mcp_primitives.iter().filter_map(|one| {
            let kind = CallKind::of_primitive(&one.r#type);
            if kind.is_none() {
                tracing::warn!(kind = &*one.r#type, "a rate limit of a key is for nothing that MCP knows");
            }
            Some((kind?, one))
        });
        // An empty limit says nothing.
        let limited =
            methods.chain(primitives).filter(|(_, one)| one.limit.rate > 0.0 && one.limit.per > 0.0);
        let limited: Vec<(CallKind, &apidef::CallLimit)> = limited.collect();
        if rights.is_empty() && limited.is_empty() {
            return None;
        }
        let rates = limited.iter().map(|(kind, one)| {
            let of = keys::hash(&format!("POST:{}{}", kind.prefix(), one.name), None);
            let limit = &one.limit;
            let rate = Allowance::new((limit.rate, limit.per), &limit.smoothing);
            (format!("-{of}").into(), rate)
        });
        let rates = rates.collect();
        let rated = CallKind::ALL.map(|kind| {
            let of_kind = limited.iter().enumerate().filter(move |(_, (of, _))| *of == kind);
            mcp::Names::new(of_kind.map(|(at, (_, one))| (one.name.as_str(), at)))
        });
        Some(Self { rights, rated, rates })
    }

    /// The place of the rate that a call of this name has.
    pub(super) fn rate(&self, kind: CallKind, name: &str) -> Option<usize> {
        self.rated[kind as usize].fitting(name).next().copied()
    }
}

/// How much may be under way at once; 0 = any number.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OwnAtOnce {
    pub(crate) requests: u32,
    pub(crate) subscribers: u32,
}

/// What may be asked of a graph (contract 6.1, 10).
fn graph_rights(access: Option<&apidef::AccessDefinition>, depth: i64) -> Option<Box<graphql::Rights>> {
    let names = |list: &[apidef::TypeFields]| {
        graphql::Names::new(list.iter().map(|one| (&*one.name, one.fields.iter().map(|field| &**field))))
    };
    let mut rights = graphql::Rights { depth: depth.max(0), ..graphql::Rights::default() };
    if let Some(access) = access {
        rights.restricted = names(&access.restricted_types);
        rights.allowed = names(&access.allowed_types);
        rights.no_introspection = access.disable_introspection;
        let fields = access.field_access_rights.iter();
        rights.below = fields
            .map(|one| {
                ((one.type_name.as_str().into(), one.field_name.as_str().into()), one.limits.max_query_depth)
            })
            .collect();
    }
    (!rights.is_everything()).then(|| Box::new(rights))
}

impl Terms {
    pub(super) fn compile(session: &Session, api: &str, context: &Context) -> Self {
        let access = session.access_rights.get(api);
        let limit = session.limit_of(api);
        let at_most = |number: i64| u32::try_from(number.max(0)).unwrap_or(u32::MAX);
        let tries = at_most(limit.throttle_retry_limit);
        let interval = Duration::try_from_secs_f64(limit.throttle_interval).unwrap_or_default();
        Self {
            api: api.into(),
            // A key without any access rights is a master key (contract 4.4 row 20).
            allowed: session.access_rights.is_empty() || access.is_some(),
            versions: access
                .map(|access| access.versions.iter().map(|version| version.as_str().into()).collect()),
            urls: access.map_or(Urls::All, |access| {
                match UrlRules::compile(&access.allowed_urls, context.matching) {
                    Ok(rules) if rules.is_empty() => Urls::All,
                    Ok(rules) => Urls::Only(rules),
                    Err(fault) => {
                        tracing::warn!(api, fault = %fault.message, "the allowed urls of a key allow nothing");
                        Urls::None
                    }
                }
            }),
            scope: scope(session, api).into(),
            endpoints: access.map(|access| endpoints(&access.endpoints, context)).unwrap_or_default(),
            quota_max: limit.quota_max,
            quota_renewal: Duration::from_secs(u64::try_from(limit.quota_renewal_rate).unwrap_or(0)),
            throttle: (tries > 0 && !interval.is_zero()).then_some((interval, tries)),
            pattern: Pattern::of(session),
            at_once: OwnAtOnce {
                requests: at_most(limit.concurrency.requests),
                subscribers: at_most(limit.concurrency.subscribers),
            },
            graph: graph_rights(access, limit.max_query_depth),
            calls: access.and_then(CallTerms::of).map(Box::new),
            subscriptions: Some(limit.subscriptions).filter(|own| *own != Subscriptions::default()),
            rate: Allowance::new((limit.rate, limit.per), &limit.smoothing),
        }
    }

    /// Whether a version may be called; an API without versions of its own has the empty one.
    pub(crate) fn opens_version(&self, version: &str) -> bool {
        let named = |versions: &[Box<str>]| versions.iter().any(|named| **named == *version);
        version.is_empty() || self.versions.as_deref().is_none_or(named)
    }

    /// The place of the endpoint whose limit counts instead of the API's.
    pub(super) fn endpoint(&self, method: &str, paths: &[&str]) -> Option<usize> {
        self.endpoints.iter().position(|endpoint| {
            *endpoint.method == *method && paths.iter().any(|path| endpoint.path.is_match(path))
        })
    }
}

/// Whose counters a session's use of an API is counted by: empty = its own (contract 6.4).
pub(super) fn scope<'s>(session: &'s Session, api: &str) -> &'s str {
    session.access_rights.get(api).map(|access| access.allowance_scope.as_str()).unwrap_or_default()
}

/// Endpoints that limit something: an empty limit says nothing.
fn endpoints(written: &[apidef::Endpoint], context: &Context) -> Box<[Endpoint]> {
    let mut endpoints = Vec::new();
    for endpoint in written {
        let matching = PathMatching { ..context.matching };
        let path = match path_pattern(&endpoint.path, matching) {
            Ok(path) => path,
            Err(error) => {
                tracing::warn!(path = endpoint.path, %error, "a rate limit of a path in a key cannot be used");
                continue;
            }
        };
        for method in endpoint.methods.iter().filter(|method| method.limit != apidef::RateLimit::default()) {
            let limit = &method.limit;
            let of = keys::hash(&format!("{}:{}", method.name, endpoint.path), None);
            let rate = Allowance::new((limit.rate, limit.per), &limit.smoothing);
            endpoints.push(Endpoint {
                method: method.name.to_uppercase().into(),
                path: path.clone(),
                suffix: format!("-{of}").into(),
                rate,
            });
        }
    }
    endpoints.into()
}
