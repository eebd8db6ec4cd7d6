//! The conditions under which another URL counts (contract 8.2), and what they leave behind to be named.

use std::borrow::Cow;

use apidef::{Rule as Model, RulePlace};
use http::header::HeaderName;
use regex::{Captures, Regex};

use super::goal::Goal;
use super::text::{Secrets, Text, Variable};
use super::variables;
use crate::context;
use crate::exchange::Exchange;
use crate::query;
use crate::respond::Refusal;

/// A condition for another URL.
#[derive(Debug)]
pub(super) struct Trigger {
    pub(super) all: bool,
    pub(super) rules: Box<[Rule]>,
    pub(super) goal: Goal,
}

/// What is looked for, and where.
#[derive(Debug)]
pub(super) struct Rule {
    place: Place,
    pattern: Pattern,
    negate: bool,
    /// What the names of what is found begin with: `trigger-0-Name`.
    prefix: Box<str>,
}

#[derive(Debug)]
enum Place {
    Header(HeaderName),
    Query(Box<str>),
    Path,
    Meta(Box<str>),
    Context(Variable),
    Body,
}

/// A regular expression, in which names may stand for values.
#[derive(Debug)]
pub(super) enum Pattern {
    Fixed(Regex),
    /// What a value holds is looked for to the letter.
    Rendered(Text),
}

/// Longest value that is put into a pattern.
const LONGEST: usize = 1024;
/// Most values of one name that are looked at, and most places in a body.
const MOST: usize = 100;

impl Pattern {
    pub(super) fn new(text: &str, secrets: &Secrets) -> Result<Self, String> {
        if !["$tyk_", "${tyk_", "$secret_"].iter().any(|mark| text.contains(mark)) {
            return apidef::pattern(text).map(Self::Fixed);
        }
        let text = Text::new(text, secrets)?;
        match text.plain() {
            Some(plain) => apidef::pattern(plain).map(Self::Fixed),
            None => {
                // With nothing in place of its names it must be usable, or it never will be.
                apidef::pattern(&text.render(&|_| Some("x".to_owned())))?;
                Ok(Self::Rendered(text))
            }
        }
    }

    pub(super) fn variables(&self) -> impl Iterator<Item = &Variable> {
        let text = match self {
            Self::Fixed(_) => None,
            Self::Rendered(text) => Some(text),
        };
        text.into_iter().flat_map(Text::variables)
    }

    /// Ready for a request.
    pub(super) fn of(&self, exchange: &Exchange) -> Result<Cow<'_, Regex>, Refusal> {
        match self {
            Self::Fixed(regex) => Ok(Cow::Borrowed(regex)),
            Self::Rendered(text) => {
                let value = |variable: &Variable| {
                    let value = variable.or_default(variables::value(variable, exchange));
                    let end = value.floor_char_boundary(LONGEST);
                    Some(regex::escape(&value[..end]))
                };
                apidef::pattern(&text.render(&value)).map(Cow::Owned).map_err(super::rewrite::unusable)
            }
        }
    }
}

impl Rule {
    pub(super) fn new(model: &Model, trigger: usize, secrets: &Secrets) -> Result<Self, String> {
        let Model { place, name, pattern, negate } = model;
        let place = match place {
            RulePlace::Header => Place::Header(
                HeaderName::try_from(&**name).map_err(|_| format!("`{name}` is no name of a header"))?,
            ),
            RulePlace::Query => Place::Query(name.clone()),
            RulePlace::Path => Place::Path,
            RulePlace::Meta => Place::Meta(name.clone()),
            RulePlace::Context => Place::Context(Variable::of_context(name)),
            RulePlace::Body => Place::Body,
        };
        let name = match &place {
            Place::Header(name) => canonical(name.as_str()),
            Place::Body => "payload".to_owned(),
            _ => name.to_string(),
        };
        let prefix = format!("trigger-{trigger}-{name}").into();
        Ok(Self { place, pattern: Pattern::new(pattern, secrets)?, negate: *negate, prefix })
    }

    pub(super) fn variables(&self) -> impl Iterator<Item = &Variable> {
        let of_place = match &self.place {
            Place::Context(variable) => Some(variable),
            _ => None,
        };
        self.pattern.variables().chain(of_place)
    }

    pub(super) fn needs_body(&self) -> bool {
        matches!(self.place, Place::Body)
    }

    /// Whether the rule holds; what it found is put down by name. What is not there at all holds no rule, not even one
    /// that is negated, as in the original.
    pub(super) fn holds(
        &self,
        exchange: &Exchange,
        body: &[u8],
        found: &mut Vec<(String, String)>,
    ) -> Result<bool, Refusal> {
        let pattern = self.pattern.of(exchange)?;
        let head = &exchange.head;
        let values: Vec<Cow<'_, str>> = match &self.place {
            Place::Header(name) => {
                let values = head.headers.get_all(name).iter().take(MOST);
                values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect()
            }
            Place::Query(name) => {
                let pairs = query::pairs(head.uri.query().unwrap_or_default());
                pairs.filter(|(key, _)| key == &**name).take(MOST).map(|(_, value)| value).collect()
            }
            Place::Path => head.uri.path().split('/').map(Cow::Borrowed).collect(),
            Place::Meta(name) => {
                let session = exchange.caller.as_ref().map(|caller| &caller.session);
                let value = session.and_then(|session| session.meta_data.get(&**name));
                value.and_then(context::plain).into_iter().collect()
            }
            Place::Context(variable) => {
                variables::value(variable, exchange).map(Cow::Owned).into_iter().collect()
            }
            Place::Body => vec![String::from_utf8_lossy(body)],
        };
        Ok(self.judge(&pattern, &values, found))
    }

    fn judge(&self, pattern: &Regex, values: &[Cow<'_, str>], found: &mut Vec<(String, String)>) -> bool {
        if values.is_empty() {
            return false;
        }
        let mut any = false;
        for (number, value) in values.iter().enumerate() {
            let decoded;
            let mut caught = pattern.captures(value);
            if caught.is_none() && matches!(self.place, Place::Path) && value.contains('%') {
                decoded = query::decode_path(value);
                caught = pattern.captures(&decoded);
            }
            let Some(caught) = caught else { continue };
            if !self.negate {
                self.put_down(number, &caught, !any, found);
                if self.needs_body() {
                    self.put_down_more(pattern, value, found);
                }
            }
            any = true;
        }
        any != self.negate
    }

    /// `trigger-0-Name-0` is what was found, `trigger-0-Name-0-0` its first group.
    fn put_down(&self, number: usize, caught: &Captures<'_>, first: bool, found: &mut Vec<(String, String)>) {
        let prefix = &self.prefix;
        let whole = caught.get_match().as_str();
        match self.place {
            Place::Header(_) | Place::Query(_) => {
                found.push((format!("{prefix}-{number}"), whole.to_owned()));
                groups(&format!("{prefix}-{number}"), caught, found);
            }
            Place::Path => {
                // They are numbered as they are found.
                let number = found.iter().filter(|(name, _)| self.is_own(name)).count();
                found.push((format!("{prefix}-{number}"), whole.to_owned()));
                groups(&format!("{prefix}-{number}"), caught, found);
            }
            Place::Meta(_) | Place::Context(_) if first => {
                found.push((prefix.to_string(), whole.to_owned()));
                groups(prefix, caught, found);
                if caught.len() == 1 {
                    found.push((format!("{prefix}-0"), whole.to_owned()));
                }
                groups(&format!("{prefix}-0"), caught, found);
            }
            Place::Body => found.push((prefix.to_string(), whole.to_owned())),
            Place::Meta(_) | Place::Context(_) => {}
        }
    }

    /// The groups of every place in a body: `trigger-0-payload-0-0` is the first one of the first.
    fn put_down_more(&self, pattern: &Regex, body: &str, found: &mut Vec<(String, String)>) {
        for (number, caught) in pattern.captures_iter(body).take(MOST).enumerate() {
            groups(&format!("{}-{number}", self.prefix), &caught, found);
        }
    }

    /// Whether a name is one of a part of the path, and not of a group in one.
    fn is_own(&self, name: &str) -> bool {
        let rest = name.strip_prefix(&*self.prefix).and_then(|rest| rest.strip_prefix('-'));
        rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
    }
}

fn groups(prefix: &str, caught: &Captures<'_>, found: &mut Vec<(String, String)>) {
    for (number, group) in caught.iter().skip(1).enumerate() {
        let text = group.map_or("", |group| group.as_str());
        found.push((format!("{prefix}-{number}"), text.to_owned()));
    }
}

/// A name as Go writes it: `X-Team-Name`.
pub(crate) fn canonical(name: &str) -> String {
    let mut upper = true;
    name.chars()
        .map(|c| {
            let written = if upper { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
            upper = c == '-';
            written
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(place: RulePlace, name: &str, pattern: &str, negate: bool) -> Rule {
        let model = Model { place, name: name.into(), pattern: pattern.into(), negate };
        Rule::new(&model, 0, &Secrets::new()).unwrap()
    }

    #[test]
    fn c8_2_rows_3_and_4_what_rules_find_can_be_named() {
        use RulePlace::{Body, Context, Header, Meta, Path, Query};
        for (place, name, pattern, values, holds, expected) in [
            (Header, "x-team", "b(l)ue", &["blue", "red"][..], true, "X-Team-0=blue X-Team-0-0=l"),
            (Header, "X-Team", "red", &["blue", "red"], true, "X-Team-1=red"),
            (Header, "X-Team", "red", &["blue"], false, ""),
            (Header, "X-Team", "red", &[], false, ""),
            (
                Query,
                "cul-prit",
                "^k(ro)(n)k$",
                &["x", "kronk"],
                true,
                "cul-prit-1=kronk cul-prit-1-0=ro cul-prit-1-1=n",
            ),
            (Path, "id", "^[0-9]+$", &["", "a", "7", "b", "42"], true, "id-0=7 id-1=42"),
            (Path, "id", "^u-(.)$", &["u%2Dx", "u-y"], true, "id-0=u-x id-0-0=x id-1=u-y id-1-0=y"),
            (Meta, "plan", "gold", &["a gold one"], true, "plan=gold plan-0=gold"),
            (Meta, "plan", "(g)old", &["gold"], true, "plan=gold plan-0=g plan-0-0=g"),
            (Context, "remote_addr", "^127", &["127.0.0.1"], true, "remote_addr=127 remote_addr-0=127"),
            (Body, "", "a(.)", &["ab ac"], true, "payload=ab payload-0-0=b payload-1-0=c"),
            (Body, "", "x", &["ab"], false, ""),
            (Body, "", "a(x)?", &["a"], true, "payload=a payload-0-0="),
        ] {
            let values: Vec<Cow<'_, str>> = values.iter().map(|value| (*value).into()).collect();
            let one = rule(place, name, pattern, false);
            let mut found = Vec::new();
            let Pattern::Fixed(regex) = &one.pattern else { panic!("{pattern}") };
            assert_eq!(one.judge(regex, &values, &mut found), holds, "{place:?} {pattern} {values:?}");
            let told: Vec<String> = found
                .iter()
                .map(|(name, value)| format!("{}={value}", name.strip_prefix("trigger-0-").unwrap()))
                .collect();
            assert_eq!(told.join(" "), expected, "{place:?} {pattern} {values:?}");
            // Negated it holds where the other does not, unless there is nothing to look at; and finds nothing.
            let other = rule(place, name, pattern, true);
            let mut none = Vec::new();
            let negated = other.judge(regex, &values, &mut none);
            assert_eq!(negated, !holds && !values.is_empty(), "not {place:?} {pattern} {values:?}");
            assert!(none.is_empty());
        }
    }

    #[test]
    fn patterns_with_names_are_checked_beforehand() {
        for (pattern, usable) in [
            ("^$tyk_meta.team$", true),
            ("(", false),
            ("($tyk_meta.team", false),
            ("$secret_conf.none", true),
            ("^${tyk_context.path:x}$", true),
        ] {
            assert_eq!(Pattern::new(pattern, &Secrets::new()).is_ok(), usable, "{pattern}");
        }
        assert_eq!(canonical("x-team-NAME"), "X-Team-Name");
    }
}
