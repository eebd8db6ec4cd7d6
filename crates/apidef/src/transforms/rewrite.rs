//! Where the backend is asked, for single paths (contract 8.2).

use crate::AtPath;
use crate::at_path;
use crate::fields::{Field, acts, each, section};
use crate::pattern::pattern;
use crate::section::Section;
use document::{Fault, pointer_join};
use serde_json::{Map, Value, json};

/// `extended_paths.url_rewrites`.
pub(crate) const CLASSIC: &[Field] = &[
    acts("path"),
    acts("method"),
    acts("disabled"),
    acts("match_pattern"),
    acts("rewrite_to"),
    each(
        "triggers",
        &[
            acts("on"),
            section(
                "options",
                &[
                    each("header_matches", MATCH),
                    each("query_val_matches", MATCH),
                    each("path_part_matches", MATCH),
                    each("session_meta_matches", MATCH),
                    each("request_context_matches", MATCH),
                    section("payload_matches", MATCH),
                ],
            ),
            acts("rewrite_to"),
        ],
    ),
];
const MATCH: &[Field] = &[acts("match_rx"), acts("reverse")];

/// `middleware.operations.*.urlRewrite`.
pub(crate) const OAS: &[Field] = &[
    acts("enabled"),
    acts("pattern"),
    acts("rewriteTo"),
    each(
        "triggers",
        &[
            acts("condition"),
            each("rules", &[acts("in"), acts("name"), acts("pattern"), acts("negate")]),
            acts("rewriteTo"),
        ],
    ),
];

/// Where the backend is asked instead of where its client asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Rewrite {
    /// Found in the URL, or nothing is rewritten.
    pub pattern: Box<str>,
    /// The new URL, or path; what the pattern caught is `$1` and so on. Variables may stand in it.
    pub to: Box<str>,
    /// Other URLs; the first whose rules hold counts.
    pub triggers: Box<[Trigger]>,
}

/// Another URL, under conditions.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// All rules must hold, not only one.
    pub all: bool,
    /// The conditions.
    pub rules: Box<[Rule]>,
    /// As [`Rewrite::to`].
    pub to: Box<str>,
}

/// What is looked for, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Where.
    pub place: RulePlace,
    /// What it is called there; empty for the body.
    pub name: Box<str>,
    /// What is looked for.
    pub pattern: Box<str>,
    /// It must not be found.
    pub negate: bool,
}

/// Where a rule looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RulePlace {
    /// A header field.
    Header,
    /// A parameter of the query.
    Query,
    /// The parts of the path; the name is only for what they caught.
    Path,
    /// The metadata of the caller's session.
    Meta,
    /// What is known of the request by name.
    Context,
    /// The body.
    Body,
}

/// What both formats call places.
const PLACES: [(&str, &str, RulePlace); 5] = [
    ("header_matches", "header", RulePlace::Header),
    ("query_val_matches", "query", RulePlace::Query),
    ("path_part_matches", "path", RulePlace::Path),
    ("session_meta_matches", "sessionMetadata", RulePlace::Meta),
    ("request_context_matches", "requestContext", RulePlace::Context),
];
const PAYLOAD: &str = "payload_matches";
const BODY: &str = "requestBody";

pub(super) fn classic(
    extended: &Section<'_>,
    ignore_case: bool,
    faults: &mut Vec<Fault>,
) -> Box<[AtPath<Rewrite>]> {
    at_path::classic(extended, "url_rewrites", ignore_case, faults, |entry, faults| {
        let mut triggers = Vec::new();
        for trigger in items(entry, "triggers", faults) {
            let options = trigger.section("options", faults);
            let mut rules = Vec::new();
            for (group, _, place) in PLACES {
                let group = options.section(group, faults);
                for name in group.object.into_iter().flat_map(Map::keys) {
                    let rule = group.section(name, faults);
                    rules.extend(read_rule(place, name, &rule, ["match_rx", "reverse"], faults));
                }
            }
            let payload = options.section(PAYLOAD, faults);
            // It is written where nothing is looked for, too.
            if !payload.text("match_rx", faults).is_empty() {
                rules.extend(read_rule(RulePlace::Body, "", &payload, ["match_rx", "reverse"], faults));
            }
            triggers.extend(read_trigger(&trigger, "on", "rewrite_to", rules, faults));
        }
        read_rewrite(entry, ["match_pattern", "rewrite_to"], triggers, faults)
    })
}

pub(super) fn oas(
    root: &Section<'_>,
    middleware: &Section<'_>,
    faults: &mut Vec<Fault>,
) -> Box<[AtPath<Rewrite>]> {
    at_path::oas(root, middleware, "urlRewrite", faults, |entry, faults| {
        let mut triggers = Vec::new();
        for trigger in items(entry, "triggers", faults) {
            let mut rules = Vec::new();
            for rule in items(&trigger, "rules", faults) {
                let place = match rule.text("in", faults) {
                    BODY => Some(RulePlace::Body),
                    other => PLACES.iter().find(|(_, name, _)| *name == other).map(|(.., place)| *place),
                };
                match place {
                    Some(place) => {
                        let name = rule.text("name", faults);
                        rules.extend(read_rule(place, name, &rule, ["pattern", "negate"], faults));
                    }
                    None => faults.push(
                        Fault::error(rule.at("in"), "this is no place where a rule can look")
                            .hint("use query, path, header, sessionMetadata, requestBody or requestContext"),
                    ),
                }
            }
            triggers.extend(read_trigger(&trigger, "condition", "rewriteTo", rules, faults));
        }
        read_rewrite(entry, ["pattern", "rewriteTo"], triggers, faults)
    })
}

fn items<'v>(holder: &Section<'v>, key: &str, faults: &mut Vec<Fault>) -> Vec<Section<'v>> {
    let at = holder.at(key);
    match holder.get(key) {
        None => Vec::new(),
        Some(Value::Array(items)) => items
            .iter()
            .enumerate()
            .map(|(index, item)| Section {
                object: item.as_object(),
                pointer: pointer_join(&at, &index.to_string()),
            })
            .collect(),
        Some(_) => {
            faults.push(Fault::error(at, format!("`{key}` must be an array")));
            Vec::new()
        }
    }
}

fn read_rewrite(
    entry: &Section<'_>,
    [key, to]: [&str; 2],
    triggers: Vec<Trigger>,
    faults: &mut Vec<Fault>,
) -> Option<Rewrite> {
    let written = entry.text(key, faults);
    if written.is_empty() {
        let message = format!("`{key}` is missing: in which URLs is it to be found?");
        faults.push(Fault::error(entry.at(key), message).hint("write `.*` for all of them"));
        return None;
    }
    check(written, || entry.at(key), faults);
    let to = target(entry, to, faults);
    Some(Rewrite { pattern: written.into(), to: to?, triggers: triggers.into() })
}

fn read_trigger(
    trigger: &Section<'_>,
    on: &str,
    to: &str,
    rules: Vec<Rule>,
    faults: &mut Vec<Fault>,
) -> Option<Trigger> {
    let all = match trigger.text(on, faults) {
        "all" | "" => true,
        "any" => false,
        other => {
            let fault = Fault::error(trigger.at(on), format!("`{other}` says not how many rules must hold"));
            faults.push(fault.hint("use `all` or `any`"));
            return None;
        }
    };
    if rules.is_empty() {
        let text = "a trigger without rules never counts";
        faults.push(Fault::warning(trigger.pointer.clone(), text));
        return None;
    }
    Some(Trigger { all, rules: rules.into(), to: target(trigger, to, faults)? })
}

fn target(holder: &Section<'_>, key: &str, faults: &mut Vec<Fault>) -> Option<Box<str>> {
    let to = holder.text(key, faults);
    if to.is_empty() {
        faults.push(Fault::error(holder.at(key), format!("`{key}` is missing: where do requests go?")));
        return None;
    }
    if to.chars().any(char::is_control) {
        faults.push(Fault::error(holder.at(key), format!("`{key}` holds control characters")));
        return None;
    }
    Some(to.into())
}

fn read_rule(
    place: RulePlace,
    name: &str,
    rule: &Section<'_>,
    [key, negate]: [&str; 2],
    faults: &mut Vec<Fault>,
) -> Option<Rule> {
    if name.is_empty() && place != RulePlace::Body {
        faults.push(Fault::error(rule.at("name"), "a rule needs a `name`: what does it look at?"));
        return None;
    }
    let written = rule.text(key, faults);
    check(written, || rule.at(key), faults);
    Some(Rule { place, name: name.into(), pattern: written.into(), negate: rule.flag(negate, faults) })
}

/// What variables make of a pattern is seen when a request comes; all others must be usable.
fn check(written: &str, at: impl Fn() -> String, faults: &mut Vec<Fault>) {
    if ["$tyk_", "${tyk_", "$secret_"].iter().any(|mark| written.contains(mark)) {
        return;
    }
    if let Err(why) = pattern(written) {
        faults.push(Fault::error(at(), format!("this is no usable regular expression: {why}")));
    }
}

pub(super) fn write_classic(rewrites: &[AtPath<Rewrite>], version: &mut Value) {
    at_path::write_classic(rewrites, "url_rewrites", version, |rewrite, entry| {
        entry["match_pattern"] = (&*rewrite.pattern).into();
        entry["rewrite_to"] = (&*rewrite.to).into();
        entry["triggers"] = rewrite.triggers.iter().map(write_trigger).collect();
    });
}

fn write_trigger(trigger: &Trigger) -> Value {
    let mut options = json!({});
    for rule in &trigger.rules {
        let written = json!({"match_rx": rule.pattern, "reverse": rule.negate});
        match PLACES.iter().find(|(.., place)| *place == rule.place) {
            Some((group, ..)) => options[*group][&*rule.name] = written,
            None => options[PAYLOAD] = written,
        }
    }
    json!({"on": if trigger.all { "all" } else { "any" }, "options": options, "rewrite_to": trigger.to})
}
