//! Which answers are kept for whoever asks the same next (contract 2.3, 2.5, 3.2, 8.6).

use crate::at_path::{self, Methods, check_path, classic_for};
use crate::fields::{Field, acts};
use crate::section::{Section, kind};
use crate::{AtPath, pattern};
use document::{Fault, pointer_join};
use serde_json::{Value, json};
use std::time::Duration;

/// `cache_options` of a classic definition.
pub(crate) const CLASSIC: &[Field] = &[
    acts("enable_cache"),
    acts("cache_timeout"),
    acts("cache_all_safe_requests"),
    acts("cache_response_codes"),
    acts("enable_upstream_cache_control"),
    acts("cache_control_ttl_header"),
    acts("cache_by_headers"),
];
/// `advance_cache_config` of `extended_paths`.
pub(crate) const CLASSIC_PATH: &[Field] = &[
    acts("path"),
    acts("method"),
    acts("disabled"),
    acts("cache_key_regex"),
    acts("cache_response_codes"),
    acts("timeout"),
];
/// `middleware.global.cache` of an OpenAPI definition.
pub(crate) const OAS: &[Field] = &[
    acts("enabled"),
    acts("timeout"),
    acts("cacheAllSafeRequests"),
    acts("cacheResponseCodes"),
    acts("cacheByHeaders"),
    acts("enableUpstreamCacheControl"),
    acts("controlTTLHeaderName"),
];
/// `cache` of an operation.
pub(crate) const OAS_PATH: &[Field] =
    &[acts("enabled"), acts("cacheByRegex"), acts("cacheResponseCodes"), acts("timeout")];

/// What `method` of an entry may be instead of one: all that change nothing.
const SAFE_METHODS: &str = "SAFE_METHODS";
const SAFE: [&str; 3] = ["GET", "HEAD", "OPTIONS"];
/// How long answers are kept where only operations of a document say that they are.
const UNSAID: Duration = Duration::from_secs(60);

/// Which answers are kept, and how long.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Caching {
    /// Those to GET, HEAD and OPTIONS, whatever the path.
    pub safe_requests: bool,
    /// How long; `None`: not at all, unless a path or the upstream says so.
    pub life: Option<Duration>,
    /// Only those of these statuses; empty: of all.
    pub statuses: Box<[u16]>,
    /// Fields of requests by which answers are told apart, in the order written.
    pub by_headers: Box<[Box<str>]>,
    /// The upstream says which, and how long.
    pub by_upstream: Option<UpstreamCaching>,
    /// Those of single paths.
    pub paths: Box<[AtPath<CachedPath>]>,
}

/// Where an upstream says how long an answer may be kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpstreamCaching {
    /// Name of the field; empty: the usual one.
    pub life_header: Box<str>,
}

/// What one path says of its answers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CachedPath {
    /// Instead of what the API says.
    pub life: Option<Duration>,
    /// The same; empty: what the API says.
    pub statuses: Box<[u16]>,
    /// A regular expression: what it first finds in the body of a request stands for the body.
    pub body_key: Option<Box<str>>,
}

impl Caching {
    /// `cache_options`, with the paths of the version that counts; `None` where nothing is kept.
    pub(crate) fn classic(
        root: &Section<'_>,
        paths: Box<[AtPath<CachedPath>]>,
        faults: &mut Vec<Fault>,
    ) -> Option<Box<Self>> {
        let options = root.section("cache_options", faults);
        let names = Names {
            life: "cache_timeout",
            safe: "cache_all_safe_requests",
            statuses: "cache_response_codes",
            by_headers: "cache_by_headers",
            by_upstream: "enable_upstream_cache_control",
            life_header: "cache_control_ttl_header",
        };
        let read = Self { paths, ..read(&options, &names, faults) };
        options.flag("enable_cache", faults).then(|| Box::new(read))
    }

    pub(crate) fn oas(
        root: &Section<'_>,
        middleware: &Section<'_>,
        faults: &mut Vec<Fault>,
    ) -> Option<Box<Self>> {
        let global = middleware.section("global", faults).section("cache", faults);
        let names = Names {
            life: "timeout",
            safe: "cacheAllSafeRequests",
            statuses: "cacheResponseCodes",
            by_headers: "cacheByHeaders",
            by_upstream: "enableUpstreamCacheControl",
            life_header: "controlTTLHeaderName",
        };
        let paths = at_path::oas(root, middleware, "cache", faults, |entry, faults| {
            Some(CachedPath {
                life: whole_seconds(entry, "timeout", faults),
                statuses: statuses(entry, "cacheResponseCodes", faults),
                body_key: body_key(entry, "cacheByRegex", faults),
            })
        });
        if !global.exists() {
            // Operations that say so are enough.
            return (!paths.is_empty())
                .then(|| Box::new(Self { life: Some(UNSAID), paths, ..Self::default() }));
        }
        let read = Self { paths, ..read(&global, &names, faults) };
        global.flag("enabled", faults).then(|| Box::new(read))
    }

    /// The same in a classic definition, whose only version is `version`.
    pub(crate) fn write_classic(caching: Option<&Self>, options: &mut Value, version: &mut Value) {
        let none = Self::default();
        let this = caching.unwrap_or(&none);
        *options = json!({
            "enable_cache": caching.is_some(),
            "cache_timeout": this.life.map_or(0, |life| life.as_secs()),
            "cache_all_safe_requests": this.safe_requests,
            "cache_response_codes": this.statuses,
            "cache_by_headers": this.by_headers,
            "enable_upstream_cache_control": this.by_upstream.is_some(),
            "cache_control_ttl_header": this.by_upstream.as_ref().map_or("", |upstream| &upstream.life_header),
        });
        at_path::write_classic(&this.paths, "advance_cache_config", version, |path, entry| {
            entry["timeout"] = path.life.map_or(0, |life| life.as_secs()).into();
            entry["cache_response_codes"] = json!(path.statuses);
            entry["cache_key_regex"] = path.body_key.as_deref().unwrap_or_default().into();
        });
    }
}

/// `cache` and `advance_cache_config` of a version.
pub(crate) fn classic_paths(
    extended: &Section<'_>,
    ignore_case: bool,
    faults: &mut Vec<Fault>,
) -> Box<[AtPath<CachedPath>]> {
    let entries =
        classic_for(extended, "advance_cache_config", Methods::One, ignore_case, faults, |entry, faults| {
            Some(CachedPath {
                life: whole_seconds(entry, "timeout", faults),
                statuses: statuses(entry, "cache_response_codes", faults),
                body_key: body_key(entry, "cache_key_regex", faults),
            })
        });
    let mut all = Vec::new();
    for path in extended.texts("cache", faults) {
        let at = extended.at("cache");
        check_path(&path, || at.clone(), faults);
        let (method, value, at) = (SAFE_METHODS.into(), CachedPath::default(), at.into());
        all.push(AtPath { method, path, ignore_case, value, at });
    }
    all.extend(entries);
    all.into_iter().flat_map(each_method).collect()
}

fn each_method(one: AtPath<CachedPath>) -> Vec<AtPath<CachedPath>> {
    if *one.method != *SAFE_METHODS {
        return vec![one];
    }
    SAFE.iter().map(|method| AtPath { method: (*method).into(), ..one.clone() }).collect()
}

/// How the two formats call what they share.
struct Names {
    life: &'static str,
    safe: &'static str,
    statuses: &'static str,
    by_headers: &'static str,
    by_upstream: &'static str,
    life_header: &'static str,
}

fn read(options: &Section<'_>, names: &Names, faults: &mut Vec<Fault>) -> Caching {
    let life_header = options.text(names.life_header, faults).into();
    Caching {
        safe_requests: options.flag(names.safe, faults),
        life: whole_seconds(options, names.life, faults),
        statuses: statuses(options, names.statuses, faults),
        by_headers: options.texts(names.by_headers, faults),
        by_upstream: options.flag(names.by_upstream, faults).then_some(UpstreamCaching { life_header }),
        paths: Box::default(),
    }
}

/// Seconds that are kept apart from none.
fn whole_seconds(holder: &Section<'_>, key: &str, faults: &mut Vec<Fault>) -> Option<Duration> {
    let seconds = holder.number(key, faults);
    if seconds < 0.0 || seconds.fract() != 0.0 {
        let message = format!("`{key}` must be a whole number of seconds, not {seconds}");
        faults.push(Fault::error(holder.at(key), message).hint("0 says nothing"));
        return None;
    }
    holder.seconds(key, faults)
}

fn statuses(holder: &Section<'_>, key: &str, faults: &mut Vec<Fault>) -> Box<[u16]> {
    let list = match holder.get(key) {
        None => return Box::default(),
        Some(Value::Array(list)) => list,
        Some(other) => {
            faults
                .push(Fault::error(holder.at(key), format!("`{key}` must be an array, not {}", kind(other))));
            return Box::default();
        }
    };
    let mut all = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        match value
            .as_u64()
            .and_then(|status| u16::try_from(status).ok())
            .filter(|status| (100..1000).contains(status))
        {
            Some(status) => all.push(status),
            None => {
                let at = pointer_join(&holder.at(key), &index.to_string());
                faults.push(Fault::error(at, format!("`{value}` is no status of an answer")));
            }
        }
    }
    all.into()
}

fn body_key(holder: &Section<'_>, key: &str, faults: &mut Vec<Fault>) -> Option<Box<str>> {
    let text = holder.text(key, faults);
    if text.is_empty() {
        return None;
    }
    if let Err(why) = pattern(text) {
        faults.push(Fault::error(holder.at(key), format!("this is no usable regular expression: {why}")));
        return None;
    }
    Some(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c2_5_row_3_entries_count_for_the_methods_that_they_name() {
        let value = json!({
            "cache": ["/plain"],
            "advance_cache_config": [
                {"path": "/post", "method": "post", "timeout": 5, "cache_response_codes": [200, 404],
                    "cache_key_regex": "id=(\\d+)"},
                {"path": "/safe", "method": "SAFE_METHODS"},
                {"path": "/off", "method": "GET", "disabled": true},
            ],
        });
        let mut faults = Vec::new();
        let paths = classic_paths(&Section::root(&value, &mut faults), false, &mut faults);
        let found: Vec<String> = paths.iter().map(|at| format!("{} {}", at.method, at.path)).collect();
        assert_eq!(
            found,
            [
                "GET /plain",
                "HEAD /plain",
                "OPTIONS /plain",
                "POST /post",
                "GET /safe",
                "HEAD /safe",
                "OPTIONS /safe"
            ]
        );
        assert_eq!(paths[3].value.life, Some(Duration::from_secs(5)));
        assert_eq!(*paths[3].value.statuses, [200, 404]);
        assert!(paths[3].value.body_key.is_some() && faults.is_empty(), "{faults:?}");
    }

    #[test]
    fn what_cannot_be_meant_is_told_where_it_stands() {
        for (entry, at) in [
            (json!({"timeout": -1}), "timeout"),
            (json!({"timeout": 1.5}), "timeout"),
            (json!({"cache_response_codes": ["200"]}), "cache_response_codes/0"),
            (json!({"cache_response_codes": [99]}), "cache_response_codes/0"),
            (json!({"cache_response_codes": 200}), "cache_response_codes"),
            (json!({"cache_key_regex": "("}), "cache_key_regex"),
        ] {
            let mut whole = json!({"path": "/a", "method": "GET"});
            whole.as_object_mut().unwrap().extend(entry.as_object().unwrap().clone());
            let value = json!({"advance_cache_config": [whole]});
            let mut faults = Vec::new();
            classic_paths(&Section::root(&value, &mut faults), false, &mut faults);
            let told: Vec<&str> = faults.iter().map(|fault| &*fault.pointer).collect();
            assert_eq!(told, [format!("/advance_cache_config/0/{at}")], "{entry}");
        }
    }
}
