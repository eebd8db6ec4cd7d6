//! Where a credential is looked for: what most schemes have in common.

use crate::section::Section;
use document::Fault;
use serde_json::{Value, json};

/// Where a credential is looked for, in this order; a later place that carries one overrides an earlier one. At least
/// one is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// Header name, lower case; usually `authorization`.
    pub header: Option<Box<str>>,
    /// Query parameter.
    pub query: Option<Box<str>>,
    /// Cookie name.
    pub cookie: Option<Box<str>>,
}

impl Default for Sources {
    fn default() -> Self {
        Self { header: Some("authorization".into()), query: None, cookie: None }
    }
}

impl Sources {
    /// What `auth_configs.<kind>` says (contract 2.2).
    pub(super) fn classic(config: &Section<'_>, kind: &str, faults: &mut Vec<Fault>) -> Self {
        let header = match config.text("auth_header_name", faults) {
            "" => "authorization".into(),
            name => name.to_ascii_lowercase().into_boxed_str(),
        };
        let sources = Self {
            // Without names of their own the others use the header's.
            query: named(config, "use_param", "param_name", &header, faults),
            cookie: named(config, "use_cookie", "cookie_name", &header, faults),
            header: if config.flag("disable_header", faults) { None } else { Some(header) },
        };
        sources.check(config, kind, faults);
        sources
    }

    /// What OpenAPI says (`declared`: its `in` and `name`; a bearer or basic scheme is in the `Authorization` header),
    /// and what `header`, `query` and `cookie` of the extension add or change (contract 3.3).
    pub(super) fn oas(scheme: &Section<'_>, declared: (&str, &str), faults: &mut Vec<Fault>) -> Self {
        let (place, name) = declared;
        let mut source = |key: &str| -> Option<Box<str>> {
            let extra = scheme.section(key, faults);
            let (enabled, extra_name) = (extra.flag("enabled", faults), extra.text("name", faults));
            if place == key {
                Some(name.into())
            } else if enabled && extra_name.is_empty() {
                let message = format!("a credential in a {key} needs the {key}'s `name`");
                faults.push(Fault::error(extra.at("name"), message));
                None
            } else {
                enabled.then(|| extra_name.into())
            }
        };
        let (header, query, cookie) = (source("header"), source("query"), source("cookie"));
        Self { header: header.map(|name| name.to_ascii_lowercase().into()), query, cookie }
    }

    /// What `header`, `query` and `cookie` of the extension say for a scheme whose places OpenAPI does not name: without
    /// a word it is the `Authorization` header.
    pub(super) fn oas_http(scheme: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let header = scheme.section("header", faults);
        let (enabled, name) = (header.flag("enabled", faults), header.text("name", faults));
        let Self { query, cookie, .. } = Self::oas(scheme, ("header", ""), faults);
        let wanted = enabled || !header.exists();
        let name = if name.is_empty() { "authorization" } else { name };
        let sources = Self { header: wanted.then(|| name.to_ascii_lowercase().into()), query, cookie };
        sources.check(scheme, "this scheme", faults);
        sources
    }

    /// What `auth_configs.<kind>` is to say.
    pub(super) fn write_classic(&self) -> Value {
        json!({
            "auth_header_name": self.header,
            "disable_header": self.header.is_none(),
            "use_param": self.query.is_some(),
            "param_name": self.query.as_deref().unwrap_or_default(),
            "use_cookie": self.cookie.is_some(),
            "cookie_name": self.cookie.as_deref().unwrap_or_default(),
        })
    }

    /// Contract 2.8.
    fn check(&self, config: &Section<'_>, kind: &str, faults: &mut Vec<Fault>) {
        if self.header.is_none() && self.query.is_none() && self.cookie.is_none() {
            let message = format!(
                "all auth sources are disabled for {kind}, at least one of header/cookie/query must be enabled"
            );
            faults.push(Fault::error(config.pointer.clone(), message));
        }
    }
}

fn named(
    config: &Section<'_>,
    switch: &str,
    key: &str,
    default: &str,
    faults: &mut Vec<Fault>,
) -> Option<Box<str>> {
    let name = config.text(key, faults);
    let on = config.flag(switch, faults);
    on.then(|| if name.is_empty() { default } else { name }.into())
}
