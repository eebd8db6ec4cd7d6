//! Requests that the gate sends on itself, to the same API or to another one (contract 4.6, "Looping"). The exchange stays
//! the same: it goes through one more chain, and what that chain's backend answers is the answer.

use std::sync::Arc;

use apidef::{Inner, Target};
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Uri};

use super::version::choose;
use crate::backend::Backend;
use crate::exchange::{AsSent, Exchange, Skips};
use crate::query;
use crate::respond::Refusal;
use crate::snapshot::RunningApi;
use crate::transform::To;

/// How often a request is sent on where its URL says nothing else, and at most.
const LOOPS: u32 = 5;
const MOST_LOOPS: u32 = 100;
const FLAG: &str = "URR";

/// Where a request is to be sent on to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Onward {
    /// `tyk://name/path?query`.
    url: Box<str>,
    /// It is what is behind the API, not what a request was rewritten to.
    behind: bool,
}

/// Where the exchange goes on that its chain has let pass, if that is an API of this gate.
pub(crate) fn onward(exchange: &Exchange) -> Option<Onward> {
    let rewritten = exchange.ahead.to.as_ref();
    if let Some(To::Api(url)) = rewritten {
        return Some(Onward { url: url.clone(), behind: false });
    }
    let url = match &exchange.api.backend {
        Backend::Api(url) => url,
        // What could be tools and is a path is one.
        Backend::Tools(tools) if !tools.certain && !exchange.gate.snapshot().has_tools(&exchange.api) => {
            &tools.url
        }
        _ => return None,
    };
    let (base, own) = match url.split_once('?') {
        Some((base, own)) => (base, Some(own)),
        None => (&**url, None),
    };
    let (path, asked) = match rewritten {
        Some(To::Path(to)) => (to.path(), to.query()),
        // Nothing of what is behind it is on another host.
        Some(_) => return None,
        None => (exchange.remaining_path(), exchange.head.uri.query()),
    };
    let slash = if path.starts_with('/') || path.is_empty() { "" } else { "/" };
    let mut url = format!("{}{slash}{path}", base.trim_end_matches('/'));
    for (query, mark) in own.into_iter().chain(asked).zip(["?", "&"]) {
        url.push_str(mark);
        url.push_str(query);
    }
    Some(Onward { url: url.into(), behind: true })
}

/// Sends an exchange on: it is one to that API now.
pub(crate) fn follow(exchange: &mut Exchange, onward: &Onward) -> Result<(), Refusal> {
    let to = Loop::read(&onward.url).map_err(|why| misled(onward.behind).detail(why))?;
    let limit = to.limit.unwrap_or(LOOPS).min(MOST_LOOPS);
    if exchange.loops >= limit {
        let text = format!("Loop level too deep. Found more than {limit} loops in single request");
        return Err(Refusal::gate(StatusCode::INTERNAL_SERVER_ERROR, FLAG, text));
    }
    let snapshot = exchange.gate.snapshot();
    let same = to.name.eq_ignore_ascii_case("self");
    let target = if same { Some(Arc::clone(&exchange.api)) } else { snapshot.api_called(to.name) };
    let Some(target) = target else {
        return Err(misled(onward.behind).detail(format_args!("there is no API `{}`", to.name)));
    };
    let sent = std::mem::take(&mut exchange.head.uri);
    exchange.head.uri = with_path(&sent, to.target.clone());
    if exchange.head.extensions.get::<AsSent>().is_none() {
        exchange.head.extensions.insert(AsSent(sent));
    }
    let method = exchange.method().clone();
    exchange.head.method = to.method.unwrap_or(method);
    (exchange.ahead.to, exchange.ahead.method) = (None, None);
    exchange.loops += 1;
    exchange.version_in_path = None;
    exchange.tracked_as = None;
    enter(exchange, &target, same);
    let known = match (same, exchange.skips.any(Skips::OPEN)) {
        (false, _) => Skips::NONE,
        (true, false) => Skips::KNOWN,
        (true, true) => Skips::OPEN.and(Skips::KNOWN),
    };
    exchange.skips = if to.checks_limits { known } else { known.and(Skips::COUNTED) };
    if !same {
        // Who calls another API has to say so to it.
        (exchange.caller, exchange.claims, exchange.grant, exchange.subject) = (None, None, None, None);
        exchange.verified = None;
        exchange.beside.clear();
        let chosen = choose(
            &snapshot.apis,
            &target,
            &mut exchange.head.uri,
            &mut exchange.head.headers,
            exchange.matched,
        )?;
        exchange.version_in_path = chosen.in_path;
        enter(exchange, &chosen.api, false);
    }
    Ok(())
}

/// The API whose chain runs next, and how much of the path is its listen path: where the URL names it, as much as that.
fn enter(exchange: &mut Exchange, api: &Arc<RunningApi>, same: bool) {
    let listen = &*api.model.listen_path;
    let path = exchange.head.uri.path();
    let covered = api.listens.covered(path).unwrap_or_else(|| {
        let below = path.strip_prefix(listen.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'));
        if below && listen != "/" { listen.len().min(path.len()) } else { 0 }
    });
    exchange.matched = if api.model.strip_listen_path { covered } else { 0 };
    exchange.stripped = exchange.matched;
    if !same && !Arc::ptr_eq(&exchange.api, api) {
        let before = std::mem::replace(&mut exchange.api, Arc::clone(api));
        exchange.entered.get_or_insert(before);
    }
}

/// What is behind an API is another one, and yet it was not gone on to.
pub(crate) fn failed() -> Refusal {
    Refusal::gate(StatusCode::INTERNAL_SERVER_ERROR, FLAG, "Failed to perform internal redirect")
}

fn misled(behind: bool) -> Refusal {
    let text = if behind { "Couldn't detect target" } else { "Can't detect loop target" };
    Refusal::gate(StatusCode::INTERNAL_SERVER_ERROR, FLAG, text)
}

fn with_path(uri: &Uri, target: PathAndQuery) -> Uri {
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(target);
    Uri::from_parts(parts).unwrap_or_default()
}

/// A URL that leads to an API of the gate.
#[derive(Debug, PartialEq, Eq)]
struct Loop<'u> {
    name: &'u str,
    /// Without what the query says of the loop itself.
    target: PathAndQuery,
    method: Option<Method>,
    limit: Option<u32>,
    checks_limits: bool,
}

impl<'u> Loop<'u> {
    fn read(url: &'u str) -> Result<Self, &'static str> {
        let Inner { name, path, query } = Target::inner(url)?;
        let (mut method, mut limit, mut checks_limits) = (None, None, false);
        let mut kept = String::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = query::pairs(pair).next().unwrap_or_default();
            match &*key {
                "method" => method = Method::from_bytes(value.as_bytes()).ok(),
                "loop_limit" => limit = value.parse().ok().filter(|limit| *limit > 0),
                "check_limits" => checks_limits = value == "true",
                _ => {
                    kept.push(if kept.is_empty() { '?' } else { '&' });
                    kept.push_str(pair);
                }
            }
        }
        let target = format!("{path}{kept}");
        let target = PathAndQuery::try_from(target).map_err(|_| "its path cannot be asked for")?;
        Ok(Self { name, target, method, limit, checks_limits })
    }
}

/// A name of an API as it may stand in a URL: letters and digits, lower case, without categories (`#`) behind it.
pub(crate) fn url_name(name: &str) -> String {
    let name = name.split('#').next().unwrap_or_default();
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c4_6_row_24_urls_of_loops() {
        let read = |url: &'static str| {
            Loop::read(url).map(|to| {
                (
                    to.name,
                    to.target.to_string(),
                    to.method.map(|method| method.to_string()),
                    to.limit,
                    to.checks_limits,
                )
            })
        };
        let post = || Some("POST".to_owned());
        for (url, expected) in [
            ("tyk://self/a/b?x=1", Ok(("self", "/a/b?x=1".to_owned(), None, None, false))),
            ("TYK://self", Ok(("self", "/".to_owned(), None, None, false))),
            (
                "tyk://other-api/a?x=1&method=POST&loop_limit=3&y&check_limits=true",
                Ok(("other-api", "/a?x=1&y".to_owned(), post(), Some(3), true)),
            ),
            (
                "tyk://a?method=POST&loop_limit=0&check_limits=1",
                Ok(("a", "/".to_owned(), post(), None, false)),
            ),
            ("tyk://a/b c", Ok(("a", "/b%20c".to_owned(), None, None, false))),
            ("http://a/b", Err("does not lead to an API of this gate")),
            ("tyk:///b", Err("names no API")),
        ] {
            assert_eq!(read(url), expected, "{url}");
        }
    }

    #[test]
    fn c4_6_row_24_names_in_urls() {
        for (name, in_url) in [
            ("My API", "myapi"),
            ("my-api #cat #other", "myapi"),
            ("Über 2", "über2"),
            ("#only", ""),
            ("", ""),
        ] {
            assert_eq!(url_name(name), in_url, "{name}");
        }
    }
}
