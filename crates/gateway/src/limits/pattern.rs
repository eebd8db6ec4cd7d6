//! `meta_data.rate_limit_pattern` (contract 6.5): requests are counted together by what the pattern gives for them.

use std::borrow::Cow;

use apidef::Session;

use crate::context;
use crate::exchange::Exchange;

/// Longest name of a counter that a pattern may give; longer ones are cut by their hash.
const LONGEST: usize = 256;

/// A pattern with `$tyk_meta.NAME` and `$tyk_context.NAME` (contract 8.9).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pattern(Box<[Piece]>);

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    Meta(Box<str>),
    Context(Box<str>),
}

impl Pattern {
    pub(crate) fn of(session: &Session) -> Option<Self> {
        let text = session.meta_data.get("rate_limit_pattern")?.as_str().filter(|text| !text.is_empty())?;
        Some(Self::parse(text))
    }

    fn parse(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let at = ["$tyk_meta.", "$tyk_context."].iter().filter_map(|mark| rest.find(mark)).min();
            let Some(at) = at else { break };
            if at > 0 {
                pieces.push(Piece::Text(rest[..at].into()));
            }
            rest = &rest[at..];
            let meta = rest.starts_with("$tyk_meta.");
            rest = &rest[if meta { "$tyk_meta.".len() } else { "$tyk_context.".len() }..];
            let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
            let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            let name = rest[..end].into();
            pieces.push(if meta { Piece::Meta(name) } else { Piece::Context(name) });
            rest = &rest[end..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.into()));
        }
        Self(pieces.into())
    }

    /// The name of the counter; `None` where nothing comes out.
    pub(crate) fn name(&self, exchange: &Exchange) -> Option<String> {
        let caller = exchange.caller.as_ref()?;
        let name = self.render(&caller.session, &|name| context::value(exchange, name));
        if name.is_empty() {
            return None;
        }
        // What clients send must not make names without end.
        Some(if name.len() > LONGEST {
            apidef::keys::hash(&name, Some(apidef::keys::Algorithm::Sha256))
        } else {
            name
        })
    }

    fn render(&self, session: &Session, context: &dyn Fn(&str) -> Option<String>) -> String {
        let mut text = String::new();
        for piece in &self.0 {
            let value: Cow<'_, str> = match piece {
                Piece::Text(text) => Cow::Borrowed(text),
                Piece::Meta(name) => {
                    session.meta_data.get(&**name).and_then(context::plain).unwrap_or_default()
                }
                Piece::Context(name) => context(name).map(Cow::Owned).unwrap_or_default(),
            };
            text.push_str(&value);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced() {
        let session: Session =
            serde_json::from_str(r#"{"meta_data": {"team": "blue", "n": 7, "a.b": "dot", "none": null}}"#)
                .unwrap();
        let context = |name: &str| (name == "headers_X_Tenant").then(|| "acme".to_owned());
        for (pattern, name) in [
            ("fixed", "fixed"),
            ("$tyk_meta.team", "blue"),
            ("t-$tyk_meta.team|$tyk_meta.n", "t-blue|7"),
            ("$tyk_meta.a.b/$tyk_meta.gone/$tyk_meta.none", "dot//"),
            ("$tyk_context.headers_X_Tenant:$tyk_context.other", "acme:"),
            ("$tyk_meta", "$tyk_meta"),
            ("$tyk_meta.", ""),
        ] {
            assert_eq!(Pattern::parse(pattern).render(&session, &context), name, "{pattern}");
        }
    }
}
