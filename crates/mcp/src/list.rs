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
    ("resources", &["resources/list", "resources/templates/list", "resources/read"]),
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
    pub fn cut(&self, text: &str) -> Option<String> {
        if let Some(answer) = Members::of(text) {
            return self.cut_answer(&answer);
        }
        let answers: Vec<&RawValue> = serde_json::from_str(text).ok()?;
        let mut changed = false;
        let written: Vec<Cow<'_, str>> = answers
            .iter()
            .map(|answer| match Members::of(answer.get()).and_then(|answer| self.cut_answer(&answer)) {
                Some(cut) => {
                    changed = true;
                    cut.into()
                }
                None => answer.get().into(),
            })
            .collect();
        changed.then(|| format!("[{}]", written.join(",")))
    }

    fn cut_answer(&self, answer: &Members<'_>) -> Option<String> {
        replaced(answer, |name, value| (name == "result").then(|| self.cut_result(value.get())).flatten())
    }

    fn cut_result(&self, text: &str) -> Option<String> {
        let result = Members::of(text)?;
        replaced(&result, |name, value| {
            if name == "capabilities" {
                return self.cut_capabilities(value.get());
            }
            let (_, kind, named) = LISTS.iter().find(|(list, ..)| *list == name)?;
            self.cut_list(value.get(), *kind, named)
        })
        .map(|text| self.hinted(text))
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

    fn cut_list(&self, text: &str, kind: CallKind, named: &str) -> Option<String> {
        let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
        let kept: Vec<&str> = items
            .iter()
            .map(|item| item.get())
            .filter(|item| {
                let name = Members::of(item).and_then(|item| {
                    item.first(named).and_then(|name| serde_json::from_str::<String>(name.get()).ok())
                });
                // What has no name cannot be used either.
                name.is_none_or(|name| self.sees(kind, &name))
            })
            .collect();
        (kept.len() < items.len()).then(|| format!("[{}]", kept.join(",")))
    }

    fn cut_capabilities(&self, text: &str) -> Option<String> {
        let capabilities = Members::of(text)?;
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
        (kept.len() < capabilities.0.len()).then(|| write(kept.into_iter()))
    }
}

/// The object with the values that `new` gives; `None` where it gives none.
fn replaced<'t>(members: &Members<'t>, new: impl Fn(&str, &'t RawValue) -> Option<String>) -> Option<String> {
    let values: Vec<Option<String>> = members.0.iter().map(|(name, value)| new(name, value)).collect();
    values.iter().any(Option::is_some).then(|| {
        let all = members.0.iter().zip(&values);
        write(all.map(|((name, old), new)| (&**name, new.as_deref().unwrap_or_else(|| old.get()))))
    })
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
            (&tools, r#"{"id":1,"result":{"tools":[{"name":"a"},{"title":"none"},7]}}"#, None),
            (&tools, r#"{"id":1,"result":{"prompts":[{"name":"c"}]}}"#, None),
            (&tools, r#"{"id":1,"error":{"tools":[{"name":"c"}]}}"#, None),
            (&tools, "no json", None),
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
            assert_eq!(sight.cut(text).as_deref(), expected, "{text}");
        }
        assert!(Sight::default().is_whole() && !tools.is_whole());
    }
}
