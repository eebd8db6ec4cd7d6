//! Where the backend is asked, for single paths (contract 8.2, 4.4 row 36).

use apidef::{AtPath, Rewrite};
use bytes::Bytes;
use document::Fault;
use http::StatusCode;

use super::ahead::{To, is_absolute};
use super::goal::{Caught, Goal};
use super::text::{Secrets, Variable};
use super::trigger::{Pattern, Rule, Trigger};
use super::variables;
use crate::exchange::Exchange;
use crate::query;
use crate::respond::Refusal;
use crate::route::{Collector, PerPath};

/// The rewrites of one API.
#[derive(Debug)]
pub(crate) struct Rewrites(PerPath<Rewriting>);

#[derive(Debug)]
struct Rewriting {
    pattern: Pattern,
    goal: Goal,
    triggers: Box<[Trigger]>,
}

impl Rewrites {
    /// `None` where nothing is rewritten. `seen` is told of every name that stands for a value.
    pub(crate) fn new(
        list: &[AtPath<Rewrite>],
        patterns: &Collector,
        secrets: &Secrets,
        seen: &mut dyn FnMut(&Variable),
    ) -> Result<Option<Self>, Fault> {
        let paths = PerPath::try_of(patterns, list, |one| {
            let rewriting = Rewriting::new(&one.value, secrets)
                .map_err(|why| Fault::error(&*one.at.0, format!("the URL cannot be rewritten: {why}")))?;
            rewriting.variables().for_each(&mut *seen);
            Ok(rewriting)
        })?;
        Ok((!paths.is_empty()).then_some(Self(paths)))
    }

    pub(crate) async fn pass(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        let Some(rewriting) = self.0.find(exchange) else { return Ok(()) };
        let pattern = rewriting.pattern.of(exchange)?;
        // Held here, so that the exchange can be changed meanwhile; a URI is shared, not copied.
        let uri = exchange.head.uri.clone();
        let sent = uri.path_and_query().map_or("/", |sent| sent.as_str());
        let (decoded, length);
        let caught = match pattern.captures(sent) {
            Some(groups) => Caught { groups, decoded: 0 },
            None if uri.path().contains('%') => {
                (decoded, length) = with_decoded_path(uri.path(), uri.query());
                let Some(groups) = pattern.captures(&decoded) else { return Ok(()) };
                Caught { groups, decoded: length }
            }
            None => return Ok(()),
        };
        let goal = match rewriting.triggers.is_empty() {
            true => &rewriting.goal,
            false => Box::pin(rewriting.goal(exchange)).await?,
        };
        let url = goal.render(&caught, &|variable| {
            variable.or_default(variables::value(variable, exchange)).into_owned()
        });
        let to = To::read(&url, goal.is_fixed(), goal.knows_host()).map_err(|why| {
            Refusal::client(StatusCode::BAD_REQUEST, "IHD", "Malformed request path")
                .detail(format_args!("the rewritten URL {why}"))
        })?;
        exchange.ahead.to = Some(to);
        Ok(())
    }
}

impl Rewriting {
    fn new(model: &Rewrite, secrets: &Secrets) -> Result<Self, String> {
        let mut triggers = Vec::with_capacity(model.triggers.len());
        for (number, trigger) in model.triggers.iter().enumerate() {
            let rules = trigger.rules.iter().map(|rule| Rule::new(rule, number, secrets));
            triggers.push(Trigger {
                all: trigger.all,
                rules: rules.collect::<Result<_, _>>()?,
                goal: read_goal(&trigger.to, secrets)?,
            });
        }
        Ok(Self {
            pattern: Pattern::new(&model.pattern, secrets)?,
            goal: read_goal(&model.to, secrets)?,
            triggers: triggers.into(),
        })
    }

    fn variables(&self) -> impl Iterator<Item = &Variable> {
        let of_triggers = self.triggers.iter().flat_map(|trigger| {
            trigger.rules.iter().flat_map(Rule::variables).chain(trigger.goal.variables())
        });
        self.pattern.variables().chain(self.goal.variables()).chain(of_triggers)
    }

    /// The URL of the first trigger that counts, else the usual one.
    async fn goal(&self, exchange: &mut Exchange) -> Result<&Goal, Refusal> {
        let mut body = None;
        for trigger in &self.triggers {
            let mut found = Vec::new();
            let fires = fires(trigger, exchange, &mut body, &mut found).await?;
            exchange.noted.put(found);
            if fires {
                return Ok(&trigger.goal);
            }
        }
        Ok(&self.goal)
    }
}

/// Whether a trigger counts. The body is asked for only where nothing else decides.
async fn fires(
    trigger: &Trigger,
    exchange: &mut Exchange,
    body: &mut Option<Bytes>,
    found: &mut Vec<(String, String)>,
) -> Result<bool, Refusal> {
    let (of_body, others): (Vec<&Rule>, Vec<&Rule>) =
        trigger.rules.iter().partition(|rule| rule.needs_body());
    let mut held = 0;
    for rule in &others {
        held += usize::from(rule.holds(exchange, b"", found)?);
    }
    let decided = if trigger.all { held < others.len() } else { held > 0 };
    if decided || of_body.is_empty() {
        return Ok(if trigger.all { held == others.len() } else { held > 0 });
    }
    if exchange.streams() {
        // Its body has no end before the answer begins.
        return Ok(false);
    }
    let body = match body {
        Some(body) => body,
        None => body.insert(exchange.whole_body().await?),
    };
    for rule in of_body {
        if rule.holds(exchange, body, found)? != trigger.all {
            return Ok(!trigger.all);
        }
    }
    Ok(trigger.all)
}

fn read_goal(text: &str, secrets: &Secrets) -> Result<Goal, String> {
    let goal = Goal::new(text, secrets)?;
    // As far as it is known it can be looked at.
    let sample = if goal.is_fixed() {
        Some(goal.start())
    } else {
        goal.start().get(..authority_end(goal.start()).unwrap_or(0))
    };
    if let Some(sample) = sample.filter(|sample| !sample.is_empty()) {
        To::read(sample, goal.is_fixed(), true).map_err(|why| format!("`{text}` {why}"))?;
    }
    Ok(goal)
}

impl Goal {
    /// Whether the host does not depend on the request.
    fn knows_host(&self) -> bool {
        self.is_fixed() || authority_end(self.start()).is_some()
    }
}

/// Where the host of a URL ends, if something follows it.
fn authority_end(url: &str) -> Option<usize> {
    if !is_absolute(url) {
        return None;
    }
    let host = url.find("://")? + 3;
    url[host..].find(['/', '?']).map(|end| host + end)
}

/// A path with its escapes resolved, with its query as it was sent; and how long the path is.
fn with_decoded_path(path: &str, query: Option<&str>) -> (String, usize) {
    let mut url = query::decode_path(path).into_owned();
    let length = url.len();
    if let Some(query) = query {
        url.push('?');
        url.push_str(query);
    }
    (url, length)
}

/// A pattern that a request makes unusable.
pub(super) fn unusable(why: impl std::fmt::Display) -> Refusal {
    const PROBLEM: &str = "There was a problem proxying the request";
    Refusal::gate(StatusCode::INTERNAL_SERVER_ERROR, "UPE", PROBLEM)
        .detail(format_args!("the pattern of a rewrite cannot be used: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c8_2_row_10_what_cannot_work_is_told_beforehand() {
        for (pattern, to, usable) in [
            (".*", "/x", true),
            (".*", "http://h/x", true),
            (".*", "http://h/$1", true),
            (".*", "http://$tyk_meta.host/$1", true),
            (".*", "$tyk_context.headers_X", true),
            (".*", "tyk://self/x", true),
            (".*", "tyk://$tyk_meta.api/$1", true),
            (".*", "ftp://h/x", false),
            (".*", "http://h:x/$1", false),
            (".*", "http://u:p@h/$1", true),
            (".*", "/$secret_conf.none", true),
            ("(", "/x", false),
        ] {
            let model = Rewrite { pattern: pattern.into(), to: to.into(), triggers: Box::default() };
            assert_eq!(Rewriting::new(&model, &Secrets::new()).is_ok(), usable, "{pattern} {to}");
        }
    }

    #[test]
    fn c8_2_hosts_are_known_or_not() {
        for (to, known) in [
            ("http://h/$1", true),
            ("http://h?$1", true),
            ("http://h", true),
            ("http://h$1", false),
            ("http://h$1/", false),
            ("$1", false),
            ("$1/http://h/", false),
            ("/x", true),
            ("/$1", false),
        ] {
            assert_eq!(Goal::new(to, &Secrets::new()).unwrap().knows_host(), known, "{to}");
        }
    }
}
