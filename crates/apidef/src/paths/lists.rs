//! Lists of paths: who may be called by whom (contract 2.5, 4.3).

use super::reply::Reply;
use crate::AtPath;
use crate::at_path::{Methods, WrittenAt, check_path, classic, classic_for, entries, oas, write_classic};
use crate::fields::{Field, acts, each};
use crate::section::Section;
use document::{Fault, pointer_join};
use serde_json::{Value, json};

/// `white_list`, `black_list` and `ignored` of `extended_paths`.
pub(crate) const CLASSIC_LIST: &[Field] = &[
    acts("path"),
    acts("method"),
    acts("disabled"),
    acts("ignore_case"),
    each("method_actions", &[acts("action"), acts("code"), acts("data"), acts("headers")]),
];
/// `allow`, `block` and `ignoreAuthentication` of an operation.
pub(crate) const OAS_LIST: &[Field] = &[acts("enabled"), acts("ignoreCase")];
/// `internal` of an operation.
pub(crate) const OAS_INTERNAL: &[Field] = &[acts("enabled")];

/// Lists of paths, in the order in which a request is looked for in them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lists {
    /// Only for requests that the gate itself sends on.
    pub internal: Box<[AtPath<()>]>,
    /// Answered at once, before anybody is asked for anything.
    pub replies: Box<[AtPath<Reply>]>,
    /// Open to everybody.
    pub ignored: Box<[AtPath<()>]>,
    /// Closed to everybody.
    pub blocked: Box<[AtPath<()>]>,
    /// Where there are any: what is none of them is closed.
    pub allowed: Box<[AtPath<()>]>,
}

impl Lists {
    pub(crate) fn classic(extended: &Section<'_>, ignore_case: bool, faults: &mut Vec<Fault>) -> Self {
        let internal =
            classic_for(extended, "internal", Methods::Guarded, ignore_case, faults, |_, _| Some(()));
        let replies = classic(extended, "mock_response", ignore_case, faults, |entry, faults| {
            Reply::read(entry, ["code", "body"], faults)
        });
        let mut replies = replies.into_vec();
        let mut list = |key| listed(extended, key, ignore_case, &mut replies, faults);
        let (ignored, blocked, allowed) = (list("ignored"), list("black_list"), list("white_list"));
        Self { internal, replies: replies.into(), ignored, blocked, allowed }
    }

    /// `paths` of a version that does not use `extended_paths`: lists of patterns, for every method.
    pub(crate) fn plain(&mut self, paths: &Section<'_>, ignore_case: bool, faults: &mut Vec<Fault>) {
        let mut list = |key: &str| {
            let mut places = Vec::new();
            for (index, path) in paths.texts(key, faults).into_iter().enumerate() {
                let at = pointer_join(&paths.at(key), &index.to_string());
                check_path(&path, || at.clone(), faults);
                places.push(AtPath { method: Box::default(), path, ignore_case, value: (), at: at.into() });
            }
            places.into_boxed_slice()
        };
        (self.ignored, self.blocked, self.allowed) =
            (list("ignored"), list("black_list"), list("white_list"));
    }

    pub(crate) fn oas(root: &Section<'_>, middleware: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let mut list = |key: &str| oas(root, middleware, key, faults, |_, _| Some(()));
        Self {
            internal: list("internal"),
            replies: Box::default(),
            ignored: list("ignoreAuthentication"),
            blocked: list("block"),
            allowed: list("allow"),
        }
    }

    pub(crate) fn write_classic(&self, version: &mut Value) {
        for (key, list) in [
            ("internal", &self.internal),
            ("ignored", &self.ignored),
            ("black_list", &self.blocked),
            ("white_list", &self.allowed),
        ] {
            write_classic(list, key, version, |(), _| {});
        }
        write_classic(&self.replies, "mock_response", version, |reply, entry| {
            entry["code"] = json!(reply.status);
            entry["body"] = json!(reply.body);
            entry["headers"] =
                reply.headers.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
        });
    }
}

/// A list whose entries may say for single methods what to do: `reply` answers.
fn listed(
    extended: &Section<'_>,
    key: &str,
    ignore_case: bool,
    replies: &mut Vec<AtPath<Reply>>,
    faults: &mut Vec<Fault>,
) -> Box<[AtPath<()>]> {
    let mut places = Vec::new();
    for entry in entries(extended, key) {
        if entry.flag("disabled", faults) {
            continue;
        }
        let path = entry.text("path", faults);
        check_path(path, || entry.at("path"), faults);
        let ignore_case = ignore_case || entry.flag("ignore_case", faults);
        let method: Box<str> = entry.text("method", faults).to_uppercase().into();
        let at: WrittenAt = entry.pointer.clone().into();
        let place = |method: &str| {
            let (method, path) = (method.into(), path.into());
            AtPath { method, path, ignore_case, value: (), at: at.clone() }
        };
        let actions = entry.section("method_actions", faults);
        let named: Vec<&String> = actions.object.into_iter().flat_map(serde_json::Map::keys).collect();
        if named.is_empty() || !method.is_empty() {
            places.push(place(&method));
        }
        for name in named {
            let action = actions.section(name, faults);
            let upper = name.to_uppercase();
            match action.text("action", faults) {
                "" | "no_action" if upper == *method => {}
                "" | "no_action" => places.push(place(&upper)),
                "reply" => {
                    let AtPath { method, path, ignore_case, at, .. } = place(&upper);
                    let reply = Reply::read(&action, ["code", "data"], faults);
                    replies.extend(reply.map(|value| AtPath { method, path, ignore_case, value, at }));
                    // Where only the listed paths may be called, a path that is answered is one of them.
                    places.push(place(&upper));
                }
                other => faults.push(
                    Fault::error(action.at("action"), format!("there is no action `{other}`"))
                        .hint("use `no_action` or `reply`"),
                ),
            }
        }
    }
    places.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(list: &[AtPath<()>]) -> Vec<String> {
        list.iter()
            .map(|at| format!("{} {}{}", at.method, at.path, if at.ignore_case { " i" } else { "" }))
            .collect()
    }

    #[test]
    fn c2_5_row_1_classic_lists() {
        let value = json!({
            "white_list": [
                {"path": "/a", "method": "get"},
                {"path": "/b", "ignore_case": true},
                {"path": "/c", "disabled": true},
                {"path": "/d", "method_actions": {
                    "GET": {"action": "no_action"},
                    "POST": {"action": "reply", "code": 418, "data": "tea", "headers": {"x-a": "1"}},
                }},
                {"path": "/e", "method": "PUT", "method_actions": {"PUT": {"action": "no_action"}}},
                {"path": "/f", "method_actions": {"PUT": {"action": "vanish"}}},
            ],
            "black_list": [{"path": "/x"}],
            "internal": [{"path": "/in", "method": "GET"}, {"path": "/in"}],
            "mock_response": [
                {"path": "/m", "method": "GET", "body": "{}", "headers": {"content-type": "application/json"}},
                {"path": "/m", "method": "PUT", "code": 99},
                {"path": "/m", "method": "POST", "headers": {"a b": "c"}},
                {"path": "/m", "method": "POST", "headers": {"a": "b\n"}},
            ],
        });
        let mut faults = Vec::new();
        let extended = Section::root(&value, &mut faults);
        let lists = Lists::classic(&extended, false, &mut faults);
        assert_eq!(places(&lists.allowed), ["GET /a", " /b i", "GET /d", "POST /d", "PUT /e"]);
        assert_eq!(places(&lists.blocked), [" /x"]);
        assert_eq!(places(&lists.internal), ["GET /in"]);
        let replies: Vec<_> = lists
            .replies
            .iter()
            .map(|at| (&*at.method, &*at.path, at.value.status, &*at.value.body))
            .collect();
        assert_eq!(replies, [("GET", "/m", 200, "{}"), ("POST", "/d", 418, "tea")]);
        let pointers: Vec<&str> = faults.iter().map(|fault| &*fault.pointer).collect();
        assert_eq!(
            pointers,
            [
                "/internal/1",
                "/mock_response/1/code",
                "/mock_response/2/headers/a b",
                "/mock_response/3/headers/a",
                "/white_list/5/method_actions/PUT/action",
            ]
        );
    }

    #[test]
    fn plain_lists_of_old_definitions() {
        let value = json!({"ignored": ["/health"], "white_list": ["/a", "("], "black_list": []});
        let (mut lists, mut faults) = (Lists::default(), Vec::new());
        lists.plain(&Section::root(&value, &mut faults), true, &mut faults);
        assert_eq!(
            (places(&lists.ignored), places(&lists.allowed).len()),
            (vec![" /health i".to_owned()], 2)
        );
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].pointer, "/white_list/1");
    }
}
