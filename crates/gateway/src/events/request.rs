//! The request that an event is about, without what its client identified itself by.

use std::borrow::Cow;

use apidef::{Auth, SecurityScheme, Sources};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{self, HeaderName};
use http::request::Parts;

use crate::auth::{Places, hash};
use crate::exchange::Exchange;
use crate::settings::KeySettings;
use crate::snapshot::RunningApi;

/// Longest head that an event carries, in bytes.
const LONGEST: usize = 16 << 10;
/// Fields that hold secrets whatever an API says of them.
const SECRET: [HeaderName; 4] =
    [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE, header::SET_COOKIE];
const HIDDEN: &str = "***";

/// Where the credentials of a request are: those of its API, and of the one that it came in by.
fn sources(exchange: &Exchange) -> impl Iterator<Item = &Sources> {
    std::iter::once(&exchange.api).chain(&exchange.entered).flat_map(|api| of_api(api))
}

/// Where the credentials of an API are.
fn of_api(api: &RunningApi) -> impl Iterator<Item = &Sources> {
    let guarded = match &api.model.auth {
        Auth::Guarded(guarded) => Some(guarded),
        _ => None,
    };
    let exchanged = guarded.into_iter().flat_map(|guarded| &guarded.exchange).map(|way| &way.sources);
    guarded
        .into_iter()
        .flat_map(|guarded| guarded.schemes().filter_map(SecurityScheme::sources))
        .chain(exchanged)
}

/// The head of a request in base64.
pub(super) fn originating(exchange: &Exchange) -> String {
    BASE64_STANDARD.encode(head_of(exchange, LONGEST))
}

/// The head of a request as HTTP/1 writes it, without what there is no room for. Credentials are not in it.
pub(crate) fn head_of(exchange: &Exchange, most: usize) -> String {
    let head = &exchange.head;
    let hides = |name: &HeaderName| {
        let own = |source: &Sources| {
            source.header.as_deref().is_some_and(|header| header.eq_ignore_ascii_case(name.as_str()))
        };
        SECRET.contains(name) || sources(exchange).any(own)
    };
    let mut text = format!("{} {} HTTP/1.1\r\n", head.method, target(exchange));
    for (name, value) in &head.headers {
        let value =
            if hides(name) { Cow::Borrowed(HIDDEN) } else { String::from_utf8_lossy(value.as_bytes()) };
        if text.len() + name.as_str().len() + value.len() > most {
            break;
        }
        text.push_str(name.as_str());
        text.push_str(": ");
        text.push_str(&value);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text
}

/// Path and query; credentials in the query are hidden.
fn target(exchange: &Exchange) -> String {
    let path = exchange.head.uri.path();
    let Some(query) = exchange.head.uri.query() else { return path.to_owned() };
    let hides = |name: &str| {
        sources(exchange).any(|source| source.query.as_deref() == Some(&*crate::query::decode(name)))
    };
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if hides(name) => format!("{name}={HIDDEN}"),
        _ => pair.to_owned(),
    });
    format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
}

/// What an event calls the key of a request: as records do, and never the key itself. Who is not known is called by what
/// was shown; a password is never told, nor a part of it.
pub(super) fn key(exchange: &Exchange) -> String {
    if let Some(caller) = &exchange.caller {
        return caller.hash().to_string();
    }
    let shown = of_api(&exchange.api).find_map(|source| shown(source, &exchange.head));
    shown.map(|shown| name(&exchange.gate.settings.keys, &shown)).unwrap_or_default()
}

fn shown(source: &Sources, head: &Parts) -> Option<String> {
    let shown = Places::new(source).ok()?.find(head)?.into_owned();
    Some(match shown.split_once(' ') {
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("basic") => String::new(),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => rest.trim().to_owned(),
        Some(_) => String::new(),
        None => shown,
    })
}

/// A key by its hash, whether or not keys are stored by theirs.
pub(super) fn name(settings: &KeySettings, key: &str) -> String {
    if key.is_empty() { String::new() } else { hash(settings, key, None) }
}
