//! Other answers in the place of errors (contract 3.2, 4.2): rules by status, of an API or of the whole gate.

use crate::at_path::WrittenAt;
use crate::fields::{Field, acts, check, section};
use crate::pattern;
use crate::section::{Section, kind};
use document::{Fault, pointer_join};
use serde_json::{Map, Value, json};

/// One rule of `error_overrides`.
const CLASSIC: &[Field] = &[
    section("match", &[acts("flag"), acts("message_pattern"), acts("body_field"), acts("body_value")]),
    section(
        "response",
        &[acts("status_code"), acts("headers"), acts("body"), acts("message"), acts("template")],
    ),
];
/// One rule of `errorOverrides.value`.
const OAS: &[Field] = &[
    section("match", &[acts("flag"), acts("messagePattern"), acts("bodyField"), acts("bodyValue")]),
    section(
        "response",
        &[acts("statusCode"), acts("headers"), acts("body"), acts("message"), acts("template")],
    ),
];
/// `errorOverrides` of an OpenAPI definition.
pub(crate) const OAS_OVERRIDES: &[Field] = &[acts("enabled"), acts("value")];

/// Rules by status. Those of one status come before those of its class.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ErrorOverrides(pub Box<[(ErrorStatus, Box<[ErrorRule]>)]>);

/// Which statuses rules are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorStatus {
    /// This one.
    One(u16),
    /// All of this hundred: 4 or 5.
    Class(u16),
}

/// What is answered instead, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorRule {
    /// `None`: always.
    pub when: Option<ErrorMatch>,
    /// Instead of the status.
    pub status: Option<u16>,
    /// Header fields that the answer gets.
    pub headers: Box<[(Box<str>, Box<str>)]>,
    /// What it says.
    pub text: ErrorText,
    /// Where it stands.
    pub at: WrittenAt,
}

/// Which errors a rule is for; empty parts say nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorMatch {
    /// Why the gate refused.
    pub flag: Box<str>,
    /// A regular expression that the message fits.
    pub message: Box<str>,
    /// A path to a value in the body of an upstream …
    pub body_field: Box<str>,
    /// … and what that is.
    pub body_value: Box<str>,
}

/// What an answer says instead of an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorText {
    /// What it said.
    Same,
    /// This message, as every error tells its own.
    Message(Box<str>),
    /// What the template in this file makes of it.
    File(Box<str>),
    /// This, or what it makes as a template.
    Body(Box<str>),
}

struct Names {
    rule: &'static [Field],
    pattern: &'static str,
    body_field: &'static str,
    body_value: &'static str,
    status: &'static str,
}

const CLASSIC_NAMES: Names = Names {
    rule: CLASSIC,
    pattern: "message_pattern",
    body_field: "body_field",
    body_value: "body_value",
    status: "status_code",
};

impl ErrorOverrides {
    /// `error_overrides` of a classic definition, unless they are off.
    pub(crate) fn classic(root: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let read = read(&root.section("error_overrides", faults), &CLASSIC_NAMES, faults);
        if root.flag("error_overrides_disabled", faults) { Self::default() } else { read }
    }

    /// `errorOverrides` of an OpenAPI definition.
    pub(crate) fn oas(extension: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let overrides = extension.section("errorOverrides", faults);
        let names = Names {
            rule: OAS,
            pattern: "messagePattern",
            body_field: "bodyField",
            body_value: "bodyValue",
            status: "statusCode",
        };
        let read = read(&overrides.section("value", faults), &names, faults);
        if overrides.flag("enabled", faults) { read } else { Self::default() }
    }

    /// Those of a configuration, in the classic form.
    ///
    /// # Errors
    /// Every fault, with its place below `value`.
    pub fn parse(value: &Value) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let read = match value {
            Value::Null => Self::default(),
            value => read(&Section::root(value, &mut faults), &CLASSIC_NAMES, &mut faults),
        };
        if faults.iter().any(Fault::is_error) { Err(faults) } else { Ok(read) }
    }

    /// The same in a classic definition.
    pub(crate) fn write_classic(&self) -> Value {
        let rule = |rule: &ErrorRule| {
            let headers: Map<String, Value> =
                rule.headers.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
            let mut response = json!({"status_code": rule.status.unwrap_or_default(), "headers": headers});
            match &rule.text {
                ErrorText::Same => {}
                ErrorText::Message(text) => response["message"] = json!(text),
                ErrorText::File(name) => response["template"] = json!(name),
                ErrorText::Body(text) => response["body"] = json!(text),
            }
            let mut written = json!({"response": response});
            if let Some(when) = &rule.when {
                written["match"] = json!({"flag": when.flag, "message_pattern": when.message,
                    "body_field": when.body_field, "body_value": when.body_value});
            }
            written
        };
        let entries = self.0.iter().map(|(status, rules)| {
            let key = match status {
                ErrorStatus::One(status) => status.to_string(),
                ErrorStatus::Class(class) => format!("{class}xx"),
            };
            (key, rules.iter().map(rule).collect())
        });
        Value::Object(entries.collect())
    }
}

fn read(map: &Section<'_>, names: &Names, faults: &mut Vec<Fault>) -> ErrorOverrides {
    let mut all = Vec::new();
    for (key, value) in map.object.into_iter().flatten() {
        let at = map.at(key);
        let Some(status) = status_of(key) else {
            let fault = Fault::error(at, format!("`{key}` is no status of an error"));
            faults.push(fault.hint("write a status from 400 to 599, `4xx` or `5xx`").on_key());
            continue;
        };
        let Value::Array(list) = value else {
            faults.push(Fault::error(at, format!("`{key}` must be an array of rules, not {}", kind(value))));
            continue;
        };
        let mut rules = Vec::with_capacity(list.len());
        for (index, value) in list.iter().enumerate() {
            let pointer = pointer_join(&at, &index.to_string());
            match value.as_object() {
                Some(object) => {
                    check(names.rule, object, &pointer, faults);
                    rules.push(rule(&Section { object: Some(object), pointer }, names, faults));
                }
                None => faults.push(Fault::error(pointer, "this must be an object")),
            }
        }
        all.push((status, rules.into()));
    }
    all.sort_by_key(|(status, _)| *status);
    ErrorOverrides(all.into())
}

fn status_of(key: &str) -> Option<ErrorStatus> {
    match key.to_ascii_lowercase().as_str() {
        "4xx" => Some(ErrorStatus::Class(4)),
        "5xx" => Some(ErrorStatus::Class(5)),
        one => one.parse().ok().filter(|status| (400..600).contains(status)).map(ErrorStatus::One),
    }
}

fn rule(rule: &Section<'_>, names: &Names, faults: &mut Vec<Fault>) -> ErrorRule {
    let condition = rule.section("match", faults);
    let when = condition.exists().then(|| ErrorMatch {
        flag: condition.text("flag", faults).into(),
        message: condition.text(names.pattern, faults).into(),
        body_field: condition.text(names.body_field, faults).into(),
        body_value: condition.text(names.body_value, faults).into(),
    });
    if let Some(when) = &when {
        if let Err(why) = pattern(&when.message) {
            let message = format!("this is no usable regular expression: {why}");
            faults.push(Fault::error(condition.at(names.pattern), message));
        }
        if *when == ErrorMatch::default() {
            let fault = Fault::warning(condition.pointer.clone(), "this says nothing, so that no error fits");
            faults.push(fault.hint("leave `match` out for all errors").on_key());
        }
    }
    let response = rule.section("response", faults);
    let status = response.number(names.status, faults);
    let status = match status {
        0.0 => None,
        status if status.fract() == 0.0 && (200.0..600.0).contains(&status) => Some(status as u16),
        status => {
            let message = format!("`{status}` is no status that an answer may have");
            faults.push(Fault::error(response.at(names.status), message).hint("0 keeps that of the error"));
            None
        }
    };
    let [body, template, message] = ["body", "template", "message"].map(|key| response.text(key, faults));
    let text = match (body, template, message) {
        ("", "", "") => ErrorText::Same,
        ("", "", message) => ErrorText::Message(message.into()),
        ("", template, _) => ErrorText::File(template.into()),
        (body, _, _) => ErrorText::Body(body.into()),
    };
    let headers = headers(&response, faults);
    ErrorRule { when, status, headers, text, at: rule.pointer.clone().into() }
}

/// A map, or a list of names and values.
fn headers(response: &Section<'_>, faults: &mut Vec<Fault>) -> Box<[(Box<str>, Box<str>)]> {
    let at = response.at("headers");
    let mut all = Vec::new();
    let mut push = |name: &str, value: Option<&Value>, at: String| match value.and_then(Value::as_str) {
        Some(value) if !name.is_empty() => all.push((name.into(), value.into())),
        _ => faults.push(Fault::error(at, "a header field has a name, and a string as its value")),
    };
    match response.get("headers") {
        None => {}
        Some(Value::Object(map)) => {
            map.iter().for_each(|(name, value)| push(name, Some(value), pointer_join(&at, name)));
        }
        Some(Value::Array(list)) => {
            for (index, entry) in list.iter().enumerate() {
                let name = entry.get("name").and_then(Value::as_str).unwrap_or_default();
                push(name, entry.get("value"), pointer_join(&at, &index.to_string()));
            }
        }
        Some(_) => push("", None, at.clone()),
    }
    all.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c4_2_rules_are_read_by_status() {
        let value = json!({
            "4xx": [{"response": {"status_code": 418, "message": "no"}}],
            "403": [
                {"match": {"flag": "AKI"}, "response": {"body": "{}", "template": "x", "headers": {"X-A": "1"}}},
                {"response": {"template": "x"}},
                {"response": {}},
            ],
        });
        let read = ErrorOverrides::parse(&value).unwrap();
        let shown: Vec<(ErrorStatus, Vec<&ErrorText>)> = read
            .0
            .iter()
            .map(|(status, rules)| (*status, rules.iter().map(|rule| &rule.text).collect()))
            .collect();
        assert_eq!(
            shown,
            [
                (
                    ErrorStatus::One(403),
                    vec![&ErrorText::Body("{}".into()), &ErrorText::File("x".into()), &ErrorText::Same]
                ),
                (ErrorStatus::Class(4), vec![&ErrorText::Message("no".into())]),
            ]
        );
        assert_eq!(ErrorOverrides::parse(&read.write_classic()).unwrap(), read);
    }

    #[test]
    fn what_cannot_be_meant_is_told_where_it_stands() {
        for (value, at) in [
            (json!({"200": []}), "/200"),
            (json!({"6xx": []}), "/6xx"),
            (json!({"403": {}}), "/403"),
            (json!({"403": [1]}), "/403/0"),
            (json!({"403": [{"match": {"message_pattern": "("}}]}), "/403/0/match/message_pattern"),
            (json!({"403": [{"response": {"status_code": 99}}]}), "/403/0/response/status_code"),
            (json!({"403": [{"response": {"headers": {"X": 1}}}]}), "/403/0/response/headers/X"),
            (json!({"403": [{"response": {"headers": [{"value": "1"}]}}]}), "/403/0/response/headers/0"),
        ] {
            let faults = ErrorOverrides::parse(&value).unwrap_err();
            assert_eq!(faults.iter().map(|fault| &*fault.pointer).collect::<Vec<_>>(), [at], "{value}");
        }
    }
}
