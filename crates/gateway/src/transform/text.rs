//! Texts of definitions in which names stand for what a request brings (contract 8.9, 8.10): `$tyk_context.NAME`,
//! `$tyk_meta.NAME`, each also with a default (`${tyk_context.NAME:default}`), and `$secret_conf.NAME` and `$secret_env.NAME`
//! for secrets of the gate. They are read once, when the definition is; what a value holds is never read again. Depends on
//! nothing of the gate, so that it can be fuzzed alone.

use std::borrow::Cow;
use std::collections::BTreeMap;

use streams::placeholders::{Found, Placeholder, Source, found};

/// A text, ready to be rendered for any number of requests.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Text(Box<[Piece]>);

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(Box<str>),
    /// A secret, which is no text to be read any further.
    Secret(Box<str>),
    Value(Variable),
}

/// A name that stands for a value of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Variable {
    /// It is in the metadata of the caller's session; else it is known of the request.
    pub(crate) meta: bool,
    pub(crate) name: Box<str>,
    /// What it is where the request has none.
    default: Option<Box<str>>,
}

/// The secrets that texts may name; `conf.NAME` and `env.NAME`.
pub(crate) type Secrets = BTreeMap<String, String>;

impl Text {
    /// Reads a text, and puts the secrets in.
    pub(crate) fn new(text: &str, secrets: &Secrets) -> Result<Self, String> {
        Ok(Self::of(pieces(text, secrets)?))
    }

    /// Reads a text that is not the operator's: no secret stands in it.
    pub(crate) fn without_secrets(text: &str) -> Self {
        Self::of(read(text, &|secret| Ok(secret.to_string())).unwrap_or_default())
    }

    fn of(pieces: Vec<Piece>) -> Self {
        let mut merged: Vec<Piece> = Vec::with_capacity(pieces.len().max(1));
        for piece in pieces {
            match (merged.last_mut(), piece) {
                (Some(Piece::Text(before)), Piece::Text(text) | Piece::Secret(text)) => {
                    *before = format!("{before}{text}").into();
                }
                (_, Piece::Secret(text)) => merged.push(Piece::Text(text)),
                (_, piece) => merged.push(piece),
            }
        }
        if merged.is_empty() {
            merged.push(Piece::Text("".into()));
        }
        Self(merged.into())
    }

    /// The text itself, where no name stands in it.
    pub(crate) fn plain(&self) -> Option<&str> {
        match &*self.0 {
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    pub(crate) fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Value(variable) => Some(variable),
            _ => None,
        })
    }

    /// The text with its values; nothing stands for what the request has not.
    pub(crate) fn render(&self, value_of: &dyn Fn(&Variable) -> Option<String>) -> Cow<'_, str> {
        if let Some(text) = self.plain() {
            return text.into();
        }
        let mut rendered = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) | Piece::Secret(text) => rendered.push_str(text),
                Piece::Value(variable) => rendered.push_str(&variable.or_default(value_of(variable))),
            }
        }
        rendered.into()
    }
}

/// The pieces of a text, with its secrets in their places; nothing stands in that of one that there is not, which is
/// told where the definition is read.
pub(crate) fn pieces(text: &str, secrets: &Secrets) -> Result<Vec<Piece>, String> {
    read(text, &|secret| Ok(secret.key().and_then(|key| secrets.get(&key).cloned()).unwrap_or_default()))
}

fn read(text: &str, secret: &dyn Fn(&Placeholder) -> Result<String, String>) -> Result<Vec<Piece>, String> {
    let (mut pieces, mut from) = (Vec::new(), 0);
    for Found { placeholder, default, range } in found(text) {
        if range.start > from {
            pieces.push(Piece::Text(text[from..range.start].into()));
        }
        from = range.end;
        pieces.push(if placeholder.source.is_secret() {
            Piece::Secret(secret(&placeholder)?.into())
        } else {
            Piece::Value(Variable {
                meta: placeholder.source == Source::Meta,
                name: placeholder.name.into(),
                default: default.map(Into::into),
            })
        });
    }
    if from < text.len() {
        pieces.push(Piece::Text(text[from..].into()));
    }
    Ok(pieces)
}

impl Variable {
    /// What is known of a request by this name.
    pub(crate) fn of_context(name: &str) -> Self {
        Self { meta: false, name: name.into(), default: None }
    }

    /// A value; what its default says, or nothing, where there is none.
    pub(crate) fn or_default(&self, value: Option<String>) -> Cow<'_, str> {
        match (value.filter(|value| !value.is_empty()), &self.default) {
            (Some(value), _) => value.into(),
            (None, Some(default)) => Cow::Borrowed(default),
            (None, None) => Cow::Borrowed(""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_values() {
        let secrets = [("conf.pw", "p$1w"), ("env.SALT", "$tyk_meta.a")]
            .map(|(name, value)| (name.into(), value.into()));
        let secrets = Secrets::from(secrets);
        let value_of = |variable: &Variable| match (variable.meta, &*variable.name) {
            (true, "team") => Some("blue".to_owned()),
            (false, "path") => Some("/$tyk_meta.team".to_owned()),
            (false, "empty") => Some(String::new()),
            _ => None,
        };
        for (text, rendered, variables) in [
            ("", "", 0),
            ("plain $1 ${x} $tyk $tyk_meta", "plain $1 ${x} $tyk $tyk_meta", 0),
            ("$tyk_meta.team", "blue", 1),
            ("a-$tyk_meta.team|$tyk_context.none|b", "a-blue||b", 2),
            ("${tyk_context.none:d e}-${tyk_context.empty:f}", "d e-f", 2),
            // What a value holds is not read again.
            ("$tyk_context.path", "/$tyk_meta.team", 1),
            ("x $secret_conf.pw/$secret_env.salt", "x p$1w/$tyk_meta.a", 0),
            ("$tyk_meta.", "$tyk_meta.", 0),
        ] {
            let text = Text::new(text, &secrets).unwrap();
            assert_eq!(text.render(&value_of), rendered);
            assert_eq!(text.variables().count(), variables, "{rendered}");
            assert_eq!(text.plain().is_some(), variables == 0);
        }
        for text in ["$secret_conf.none", "$secret_vault.a/b.c", "$secret_file.x", "$secret_env.PW"] {
            assert_eq!(Text::new(text, &secrets).unwrap().plain(), Some(""), "{text}");
        }
    }
}
