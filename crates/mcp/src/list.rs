//! What servers tell of tools, resources and prompts, cut down to what a caller may use (contract 4.5).

use std::borrow::Cow;
use std::sync::Arc;

use apidef::CallKind;
use serde_json::value::RawValue;

use crate::members::{Members, write};
use crate::rules::{Rights, Verdict};

/// Lists in results, by the name of the member that holds them: of which kind, and what their items are named by.
const LISTS: [(&str, CallKind, &str); 4] = [
    ("tools", CallKind::Tool, "name"),
    ("prompts", CallKind::Prompt, "name"),
    ("resources", CallKind::Resource, "uri"),
    ("resourceTemplates", CallKind::Resource, "uriTemplate"),
];

/// Capabilities that a server tells of, and the methods without which they are of no use.
const CAPABILITIES: [(&str, &[&str]); 5] = [
    ("tools", &["tools/list", "tools/call"]),
    ("resources", &["resources/list", "resources/read"]),
    ("prompts", &["prompts/list", "prompts/get"]),
    ("completions", &["completion/complete"]),
    ("logging", &["logging/setLevel"]),
];

/// Whether what a method answers tells what may be called.
pub fn is_list(method: &str) -> bool {
    matches!(
        method,
        "tools/list"
            | "prompts/list"
            | "resources/list"
            | "resources/templates/list"
            | "initialize"
            | "server/discover"
    )
}

/// It looks like an answer and cannot be read, so that nobody can say what it tells.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("what the server tells cannot be read, so that it cannot be cut down")]
pub struct Unreadable;

/// What a caller may know of: what all of these rights open.
#[derive(Debug, Clone, Default)]
pub struct Sight(Vec<Arc<Rights>>);

impl Sight {
    /// Adds rights; those to everything change nothing.
    pub fn add(&mut self, rights: &Arc<Rights>) {
        if !rights.is_empty() {
            self.0.push(Arc::clone(rights));
        }
    }

    /// Whether it is everything.
    pub fn is_whole(&self) -> bool {
        self.0.is_empty()
    }

    fn sees(&self, kind: CallKind, name: &str) -> bool {
        self.0.iter().all(|rights| rights.to(kind).verdict(name) == Verdict::Fine)
    }

    /// Cuts an answer down, or several in one text. `None`: nothing of it has to go.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn cut(&self, text: &str) -> Result<Option<String>, Unreadable> {
        if let Some(answer) = Members::of(text) {
            return self.cut_answer(&answer);
        }
        let answers: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| Unreadable)?;
        let mut changed = false;
        let mut written: Vec<Cow<'_, str>> = Vec::with_capacity(answers.len());
        for answer in answers {
            let members = Members::of(answer.get()).ok_or(Unreadable)?;
            let cut = self.cut_answer(&members)?;
            changed |= cut.is_some();
            written.push(cut.map_or_else(|| answer.get().into(), Cow::Owned));
        }
        Ok(changed.then(|| format!("[{}]", written.join(","))))
    }

    fn cut_answer(&self, answer: &Members<'_>) -> Result<Option<String>, Unreadable> {
        replaced(answer, |name, value| match name {
            "result" => self.cut_result(value.get()),
            _ => Ok(None),
        })
    }

    fn cut_result(&self, text: &str) -> Result<Option<String>, Unreadable> {
        if !text.starts_with('{') {
            return Ok(None);
        }
        let result = Members::of(text).ok_or(Unreadable)?;
        let cut = replaced(&result, |name, value| {
            if name == "capabilities" {
                return self.cut_capabilities(value.get());
            }
            match LISTS.iter().find(|(list, ..)| *list == name) {
                Some((_, kind, named)) => self.cut_list(value.get(), *kind, named),
                None => Ok(None),
            }
        })?;
        Ok(cut.map(|text| self.hinted(text)))
    }

    /// What was cut down for one caller is for nobody else: the hints that MCP 2026-07-28 has for caches say so.
    fn hinted(&self, text: String) -> String {
        let Some(result) = Members::of(&text) else { return text };
        if result.first("cacheScope").is_none() && result.first("ttlMs").is_none() {
            return text;
        }
        let members = result.0.iter().map(|(name, value)| match &**name {
            "cacheScope" => ("cacheScope", "\"private\""),
            "ttlMs" => ("ttlMs", "0"),
            name => (name, value.get()),
        });
        write(members)
    }

    fn cut_list(&self, text: &str, kind: CallKind, named: &str) -> Result<Option<String>, Unreadable> {
        if !text.starts_with('[') {
            return Ok(None);
        }
        let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| Unreadable)?;
        let kept: Vec<&str> = items
            .iter()
            .map(|item| item.get())
            .filter(|item| {
                let name = Members::of(item).and_then(|item| {
                    item.first(named).and_then(|name| serde_json::from_str::<String>(name.get()).ok())
                });
                // What has no name cannot be used, and what has one that only others can read is none of those to be seen.
                name.is_some_and(|name| self.sees(kind, &name))
            })
            .collect();
        Ok((kept.len() < items.len()).then(|| format!("[{}]", kept.join(","))))
    }

    fn cut_capabilities(&self, text: &str) -> Result<Option<String>, Unreadable> {
        if !text.starts_with('{') {
            return Ok(None);
        }
        let capabilities = Members::of(text).ok_or(Unreadable)?;
        let useless = |name: &str| {
            CAPABILITIES.iter().any(|(known, methods)| {
                *known == name && methods.iter().any(|method| !self.sees(CallKind::Method, method))
            })
        };
        let kept: Vec<(&str, &str)> = capabilities
            .0
            .iter()
            .filter(|(name, _)| !useless(name))
            .map(|(name, value)| (&**name, value.get()))
            .collect();
        Ok((kept.len() < capabilities.0.len()).then(|| write(kept.into_iter())))
    }
}

/// The object with the values that `new` gives; `None` where it gives none.
fn replaced<'t>(
    members: &Members<'t>,
    new: impl Fn(&str, &'t RawValue) -> Result<Option<String>, Unreadable>,
) -> Result<Option<String>, Unreadable> {
    let values: Vec<Option<String>> =
        members.0.iter().map(|(name, value)| new(name, value)).collect::<Result<_, _>>()?;
    Ok(values.iter().any(Option::is_some).then(|| {
        let all = members.0.iter().zip(&values);
        write(all.map(|((name, old), new)| (&**name, new.as_deref().unwrap_or_else(|| old.get()))))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Rules;

    fn sight(kinds: &[CallKind], allowed: &[&str], blocked: &[&str]) -> Sight {
        let rights = Rights::new(|kind| {
            let on = kinds.contains(&kind);
            Rules::written(allowed.iter().copied().filter(|_| on), blocked.iter().copied().filter(|_| on))
        });
        let mut sight = Sight::default();
        sight.add(&Arc::new(rights));
        sight
    }

    #[test]
    fn lists_are_cut_down() {
        let tools = sight(&[CallKind::Tool], &["a", "b"], &["b"]);
        let resources = sight(&[CallKind::Resource], &["x://*"], &[]);
        let prompts = sight(&[CallKind::Prompt], &[], &["p"]);
        let methods = sight(&[CallKind::Method], &[], &["tools/call"]);
        for (sight, text, expected) in [
            (
                &tools,
                r#"{"jsonrpc":"2.0","id":1.50,"result":{"tools":[{"name":"a","x": 1.0},{"name":"b"},{"name":"c"}],"nextCursor":"n"}}"#,
                Some(
                    r#"{"jsonrpc":"2.0","id":1.50,"result":{"tools":[{"name":"a","x": 1.0}],"nextCursor":"n"}}"#,
                ),
            ),
            (
                &tools,
                r#"{"id":1,"result":{"tools":[{"name":"a"},{"title":"none"},{"name":"a","\ud800":1},7]}}"#,
                Some(r#"{"id":1,"result":{"tools":[{"name":"a"}]}}"#),
            ),
            (&tools, r#"{"id":1,"result":{"prompts":[{"name":"c"}]}}"#, None),
            (&tools, r#"{"id":1,"error":{"tools":[{"name":"c"}]}}"#, None),
            (
                &tools,
                r#"[{"id":1,"result":{"tools":[{"name":"c"}]}},{"id":2}]"#,
                Some(r#"[{"id":1,"result":{"tools":[]}},{"id":2}]"#),
            ),
            (
                &tools,
                r#"{"result":{"tools":[{"name":"c"}],"cacheScope":"public","ttlMs":5}}"#,
                Some(r#"{"result":{"tools":[],"cacheScope":"private","ttlMs":0}}"#),
            ),
            (
                &resources,
                r#"{"result":{"resources":[{"uri":"x://1"},{"uri":"y://1"},{"uri":"x://../1"}]}}"#,
                Some(r#"{"result":{"resources":[{"uri":"x://1"}]}}"#),
            ),
            (
                &resources,
                r#"{"result":{"resourceTemplates":[{"uriTemplate":"x://{id}"},{"uriTemplate":"y://{id}"}]}}"#,
                Some(r#"{"result":{"resourceTemplates":[{"uriTemplate":"x://{id}"}]}}"#),
            ),
            (
                &prompts,
                r#"{"result":{"prompts":[{"name":"p"},{"name":"q"}]}}"#,
                Some(r#"{"result":{"prompts":[{"name":"q"}]}}"#),
            ),
            (
                &methods,
                r#"{"result":{"capabilities":{"tools":{"listChanged":true},"prompts":{}},"serverInfo":{}}}"#,
                Some(r#"{"result":{"capabilities":{"prompts":{}},"serverInfo":{}}}"#),
            ),
        ] {
            assert_eq!(sight.cut(text).unwrap().as_deref(), expected, "{text}");
        }
        for text in ["no json", "", "7", "[7]", r#"{"result":{"tools":[{"name":"c"}],"\ud800":1}}"#] {
            assert_eq!(tools.cut(text), Err(Unreadable), "{text}");
        }
        assert!(Sight::default().is_whole() && !tools.is_whole());
    }
}
