//! What tells callers apart whom a plugin has let in, so that it is not asked of each request (contract 2.6 `id_extractor`,
//! 3.3 `idExtractor`, 5.8).

use crate::fields::{Field, acts, section};
use crate::pattern;
use crate::section::Section;
use document::Fault;
use serde_json::{Value, json};

/// Where the id of a caller stands in its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdExtractor {
    /// The part of the request.
    pub from: IdSource,
    /// What of it is the id.
    pub with: IdRule,
    /// Where `with` stands in the definition.
    pub pointer: Box<str>,
}

/// A part of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdSource {
    /// A header field.
    Header(Box<str>),
    /// A parameter of the query.
    Query(Box<str>),
    /// A field of a form in the body.
    Form(Box<str>),
    /// All of the body.
    Body,
}

/// What of a text is the id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdRule {
    /// All of it.
    Value,
    /// One of the matches of a regular expression, counted from 0.
    Regex(Box<str>, usize),
    /// What XPath finds in it.
    XPath(Box<str>),
}

/// What keys are called in one of the formats.
struct Names {
    from: &'static str,
    with: &'static str,
    config: &'static str,
    header: &'static str,
    parameter: &'static str,
    regex: &'static str,
    index: &'static str,
    xpath: &'static str,
}

const CLASSIC_NAMES: Names = Names {
    from: "extract_from",
    with: "extract_with",
    config: "extractor_config",
    header: "header_name",
    parameter: "param_name",
    regex: "regex_expression",
    index: "regex_match_index",
    xpath: "xpath_expression",
};
const OAS_NAMES: Names = Names {
    from: "source",
    with: "with",
    config: "config",
    header: "headerName",
    parameter: "formParamName",
    regex: "regexp",
    index: "regexpMatchIndex",
    xpath: "xPathExp",
};

const fn config(names: &'static Names) -> [Field; 5] {
    [acts(names.header), acts(names.parameter), acts(names.regex), acts(names.index), acts(names.xpath)]
}

const CLASSIC_CONFIG: &[Field] = &config(&CLASSIC_NAMES);
const OAS_CONFIG: &[Field] = &config(&OAS_NAMES);

/// `custom_middleware.id_extractor`.
pub(crate) const CLASSIC: &[Field] = &[
    acts("disabled"),
    acts(CLASSIC_NAMES.from),
    acts(CLASSIC_NAMES.with),
    section(CLASSIC_NAMES.config, CLASSIC_CONFIG),
];
/// `server.authentication.custom.config.idExtractor`.
pub(crate) const OAS: &[Field] =
    &[acts("enabled"), acts(OAS_NAMES.from), acts(OAS_NAMES.with), section(OAS_NAMES.config, OAS_CONFIG)];

impl IdExtractor {
    /// From `custom_middleware`; `None` where there is none, or it is switched off. Definitions that were written by other
    /// gateways have an empty one.
    pub(crate) fn classic(middleware: &Section<'_>, faults: &mut Vec<Fault>) -> Option<Self> {
        let extractor = middleware.section("id_extractor", faults);
        let is_off = extractor.flag("disabled", faults)
            || extractor.text(CLASSIC_NAMES.from, faults).is_empty()
                && extractor.text(CLASSIC_NAMES.with, faults).is_empty();
        if is_off { None } else { read(&extractor, &CLASSIC_NAMES, faults) }
    }

    /// From `authentication.custom.config`.
    pub(crate) fn oas(config: &Section<'_>, faults: &mut Vec<Fault>) -> Option<Self> {
        let extractor = config.section("idExtractor", faults);
        if extractor.flag("enabled", faults) { read(&extractor, &OAS_NAMES, faults) } else { None }
    }

    pub(crate) fn write_classic(&self) -> Value {
        let names = &CLASSIC_NAMES;
        let mut config = json!({});
        let from = match &self.from {
            IdSource::Header(name) => {
                config[names.header] = json!(name);
                "header"
            }
            IdSource::Query(name) => {
                config[names.parameter] = json!(name);
                "querystring"
            }
            IdSource::Form(name) => {
                config[names.parameter] = json!(name);
                "form"
            }
            IdSource::Body => "body",
        };
        let with = match &self.with {
            IdRule::Value => "value",
            IdRule::Regex(pattern, index) => {
                config[names.regex] = json!(pattern);
                config[names.index] = json!(index);
                "regex"
            }
            IdRule::XPath(expression) => {
                config[names.xpath] = json!(expression);
                "xpath"
            }
        };
        json!({names.from: from, names.with: with, names.config: config})
    }
}

fn read(extractor: &Section<'_>, names: &Names, faults: &mut Vec<Fault>) -> Option<IdExtractor> {
    let config = extractor.section(names.config, faults);
    let from = match extractor.text(names.from, faults) {
        "header" => needed(&config, names.header, faults).map(|name| IdSource::Header(name.into())),
        "querystring" => needed(&config, names.parameter, faults).map(|name| IdSource::Query(name.into())),
        "form" => needed(&config, names.parameter, faults).map(|name| IdSource::Form(name.into())),
        "body" => Some(IdSource::Body),
        other => unknown(extractor, names.from, other, "`header`, `querystring`, `form` or `body`", faults),
    };
    let (with, pointer) = match extractor.text(names.with, faults) {
        "value" => (Some(IdRule::Value), extractor.at(names.with)),
        "regex" => (regex(&config, names, faults), config.at(names.regex)),
        "xpath" => {
            let expression = needed(&config, names.xpath, faults);
            (expression.map(|expression| IdRule::XPath(expression.into())), config.at(names.xpath))
        }
        other => {
            let rule = unknown(extractor, names.with, other, "`value`, `regex` or `xpath`", faults);
            (rule, String::new())
        }
    };
    Some(IdExtractor { from: from?, with: with?, pointer: pointer.into() })
}

fn regex(config: &Section<'_>, names: &Names, faults: &mut Vec<Fault>) -> Option<IdRule> {
    let text = needed(config, names.regex, faults)?;
    let index = config.number(names.index, faults);
    if index < 0.0 || index.fract() != 0.0 || index > f64::from(u16::MAX) {
        let fault = Fault::error(config.at(names.index), "this must be a whole number, counted from 0");
        faults.push(fault);
        return None;
    }
    if let Err(why) = pattern::pattern(text) {
        let text = format!("this is no regular expression: {why}");
        faults.push(Fault::error(config.at(names.regex), text));
        return None;
    }
    Some(IdRule::Regex(text.into(), index as usize))
}

fn needed<'v>(config: &Section<'v>, key: &str, faults: &mut Vec<Fault>) -> Option<&'v str> {
    let text = config.text(key, faults);
    if text.is_empty() {
        let message = format!("`{key}` is missing: where is the id of the caller?");
        faults.push(Fault::error(config.at(key), message));
    }
    Some(text).filter(|text| !text.is_empty())
}

fn unknown<T>(
    holder: &Section<'_>,
    key: &str,
    found: &str,
    known: &str,
    faults: &mut Vec<Fault>,
) -> Option<T> {
    faults.push(Fault::error(holder.at(key), format!("`{key}` must be {known}, not `{found}`")));
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classic(extractor: Value) -> (Option<IdExtractor>, Vec<Fault>) {
        let (middleware, mut faults) = (json!({"id_extractor": extractor}), Vec::new());
        let root = Section::root(&middleware, &mut faults);
        let read = IdExtractor::classic(&root, &mut faults);
        (read, faults)
    }

    #[test]
    fn c2_6_row_4_each_form_is_read_and_written_again() {
        for (from, with, config) in [
            ("header", "value", json!({"header_name": "X-Id"})),
            ("querystring", "value", json!({"param_name": "id"})),
            (
                "form",
                "regex",
                json!({"param_name": "id", "regex_expression": "[0-9]+", "regex_match_index": 1}),
            ),
            ("body", "xpath", json!({"xpath_expression": "//id"})),
        ] {
            let given = json!({"extract_from": from, "extract_with": with, "extractor_config": config});
            let (read, faults) = classic(given.clone());
            assert_eq!(faults, [], "{given}");
            assert_eq!(read.map(|read| read.write_classic()), Some(given));
        }
    }

    #[test]
    fn c3_3_the_oas_form_means_the_same() {
        let config = json!({"idExtractor": {
            "enabled": true, "source": "form", "with": "regex",
            "config": {"formParamName": "id", "regexp": "a+", "regexpMatchIndex": 2},
        }});
        let mut faults = Vec::new();
        let root = Section::root(&config, &mut faults);
        let read = IdExtractor::oas(&root, &mut faults).unwrap();
        assert_eq!((read.from, read.with), (IdSource::Form("id".into()), IdRule::Regex("a+".into(), 2)));
        assert_eq!((&*read.pointer, faults.len()), ("/idExtractor/config/regexp", 0));
    }

    #[test]
    fn one_that_is_off_or_says_nothing_is_none() {
        for off in [
            json!({"disabled": true, "extract_from": "header", "extract_with": "value"}),
            json!({"disabled": false, "extract_from": "", "extract_with": "", "extractor_config": {}}),
            Value::Null,
        ] {
            assert_eq!(classic(off.clone()), (None, Vec::new()), "{off}");
        }
    }

    #[test]
    fn what_cannot_be_looked_for_is_a_fault_at_its_place() {
        let whole = |from: &str, with: &str, config: Value| json!({"extract_from": from, "extract_with": with, "extractor_config": config});
        for (given, at) in [
            (whole("cookie", "value", json!({})), "/id_extractor/extract_from"),
            (whole("header", "value", json!({})), "/id_extractor/extractor_config/header_name"),
            (
                whole("form", "value", json!({"header_name": "x"})),
                "/id_extractor/extractor_config/param_name",
            ),
            (whole("body", "jq", json!({})), "/id_extractor/extract_with"),
            (whole("body", "", json!({})), "/id_extractor/extract_with"),
            (whole("body", "regex", json!({})), "/id_extractor/extractor_config/regex_expression"),
            (
                whole("body", "regex", json!({"regex_expression": "("})),
                "/id_extractor/extractor_config/regex_expression",
            ),
            (
                whole("body", "regex", json!({"regex_expression": "a", "regex_match_index": -1})),
                "/id_extractor/extractor_config/regex_match_index",
            ),
            (whole("body", "xpath", json!({})), "/id_extractor/extractor_config/xpath_expression"),
        ] {
            let (read, faults) = classic(given.clone());
            assert!(read.is_none() && faults.len() == 1 && faults[0].pointer == at, "{given} {faults:?}");
        }
    }
}
