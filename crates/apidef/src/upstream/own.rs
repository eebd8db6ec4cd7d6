//! What upstreams have here beyond both formats (`x-sluicegate.upstream`): how requests are shared out over several targets,
//! which targets are left out, and what is sent again.

use crate::fields::{Field, acts, section};
use crate::limits::OWN;
use crate::section::{Section, is_token};
use document::Fault;
use serde_json::{Value, json};
use std::time::Duration;

/// `x-sluicegate.upstream`.
pub(crate) const FIELDS: &[Field] = &[
    section("balancing", &[acts("by"), acts("hash_on")]),
    section(
        "retries",
        &[acts("attempts"), acts("statuses"), acts("methods"), acts("largest_body"), acts("budget")],
    ),
    section("ejection", &[acts("failures"), acts("seconds"), acts("most")]),
];

/// Retries of one request; more would only add to what an upstream cannot bear.
const MOST_ATTEMPTS: u8 = 5;
/// A body that is kept so that it can be sent again.
const LARGEST_BODY: f64 = (16 << 20) as f64;

/// How an upstream's targets are asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Care {
    /// Which target has a request.
    pub balancing: Balancing,
    /// What is sent again; `None`: only what nothing of was sent.
    pub retries: Option<Retries>,
    /// Which targets are left out because of how they answer.
    pub ejection: Option<Ejection>,
}

/// Which of several targets has a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Balancing {
    /// One after the other.
    #[default]
    Turns,
    /// That with the fewest requests under way, by weight.
    LeastRequests,
    /// The same for all that have this in common, as long as it can be reached.
    Hash(HashOn),
}

/// What requests have in common that go to the same target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashOn {
    /// The client's address.
    Address,
    /// The caller's key.
    Key,
    /// The path, without query.
    Path,
    /// A header field; lower case.
    Header(Box<str>),
    /// A cookie.
    Cookie(Box<str>),
}

/// What is sent again.
#[derive(Debug, Clone, PartialEq)]
pub struct Retries {
    /// How often at most, beside the first time.
    pub attempts: u8,
    /// Answers that are not believed.
    pub statuses: Box<[u16]>,
    /// Methods beside those that do the same when they are sent twice.
    pub methods: Box<[Box<str>]>,
    /// Longest body that is kept until there is an answer; with a longer one nothing is sent again.
    pub largest_body: usize,
    /// The part of requests that may be sent again.
    pub budget: f64,
}

/// When a target is left out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ejection {
    /// After so many failures one after the other.
    pub failures: u32,
    /// For how long the first time.
    pub rest: Duration,
    /// The part of all targets that may be left out at once.
    pub most: f64,
}

impl Care {
    /// As the root of a definition has it, in both formats.
    pub(crate) fn read(root: &Section<'_>, faults: &mut Vec<Fault>) -> Self {
        let own = root.section(OWN, faults).section("upstream", faults);
        Self {
            balancing: balancing(&own.section("balancing", faults), faults),
            retries: retries(&own.section("retries", faults), faults),
            ejection: ejection(&own.section("ejection", faults), faults),
        }
    }

    /// What `x-sluicegate.upstream` is to say; none where nothing is to be said.
    pub(crate) fn write(&self) -> Option<Value> {
        let mut own = serde_json::Map::new();
        match &self.balancing {
            Balancing::Turns => {}
            Balancing::LeastRequests => {
                own.insert("balancing".to_owned(), json!({"by": "least_requests"}));
            }
            Balancing::Hash(on) => {
                let on = match on {
                    HashOn::Address => "address".to_owned(),
                    HashOn::Key => "key".to_owned(),
                    HashOn::Path => "path".to_owned(),
                    HashOn::Header(name) => format!("header:{name}"),
                    HashOn::Cookie(name) => format!("cookie:{name}"),
                };
                own.insert("balancing".to_owned(), json!({"by": "hash", "hash_on": on}));
            }
        }
        if let Some(Retries { attempts, statuses, methods, largest_body, budget }) = &self.retries {
            let retries = json!({"attempts": attempts, "statuses": statuses, "methods": methods,
                "largest_body": largest_body, "budget": budget});
            own.insert("retries".to_owned(), retries);
        }
        if let Some(Ejection { failures, rest, most }) = self.ejection {
            let ejection = json!({"failures": failures, "seconds": rest.as_secs_f64(), "most": most});
            own.insert("ejection".to_owned(), ejection);
        }
        (!own.is_empty()).then_some(Value::Object(own))
    }
}

fn balancing(at: &Section<'_>, faults: &mut Vec<Fault>) -> Balancing {
    let on = at.text("hash_on", faults);
    match at.text("by", faults) {
        "" | "turns" => Balancing::Turns,
        "least_requests" => Balancing::LeastRequests,
        "hash" => {
            let on = match on.split_once(':') {
                None if on == "address" => HashOn::Address,
                None if on == "key" => HashOn::Key,
                None if on == "path" => HashOn::Path,
                Some(("header", name)) if is_token(name) => HashOn::Header(name.to_ascii_lowercase().into()),
                Some(("cookie", name)) if is_token(name) => HashOn::Cookie(name.into()),
                _ => {
                    let fault = Fault::error(
                        at.at("hash_on"),
                        format!("`{on}` is nothing that requests have in common"),
                    );
                    faults.push(fault.hint("write `address`, `key`, `path`, `header:NAME` or `cookie:NAME`"));
                    HashOn::Address
                }
            };
            Balancing::Hash(on)
        }
        other => {
            let fault = Fault::error(at.at("by"), format!("`{other}` is no way to share requests out"));
            faults.push(fault.hint("write `turns`, `least_requests` or `hash`"));
            Balancing::Turns
        }
    }
}

fn retries(at: &Section<'_>, faults: &mut Vec<Fault>) -> Option<Retries> {
    let attempts = whole(at, "attempts", 0.0, f64::from(MOST_ATTEMPTS), faults)?.unwrap_or_default();
    let mut statuses = Vec::new();
    for status in at.get("statuses").and_then(Value::as_array).into_iter().flatten() {
        match status.as_u64().and_then(|status| u16::try_from(status).ok()) {
            Some(status) if (400..600).contains(&status) => statuses.push(status),
            _ => faults.push(Fault::error(at.at("statuses"), format!("{status} is no status of a failure"))),
        }
    }
    if at.get("statuses").is_none() {
        statuses.extend([502, 503, 504]);
    } else if !at.get("statuses").is_some_and(Value::is_array) {
        faults.push(Fault::error(at.at("statuses"), "`statuses` must be an array of numbers"));
    }
    let methods = at.texts("methods", faults);
    for method in methods.iter().filter(|method| !is_token(method)) {
        faults.push(Fault::error(at.at("methods"), format!("`{method}` is no method")));
    }
    let largest = whole(at, "largest_body", 0.0, LARGEST_BODY, faults)?.unwrap_or(65_536.0);
    let budget = part(at, "budget", 0.2, faults)?;
    (attempts > 0.0).then(|| Retries {
        attempts: attempts as u8,
        statuses: statuses.into(),
        methods: methods.iter().map(|method| method.to_uppercase().into()).collect(),
        largest_body: largest as usize,
        budget,
    })
}

fn ejection(at: &Section<'_>, faults: &mut Vec<Fault>) -> Option<Ejection> {
    let failures = whole(at, "failures", 0.0, 1e6, faults)?.unwrap_or_default();
    let rest = at.seconds("seconds", faults).unwrap_or(Duration::from_secs(30));
    let most = part(at, "most", 0.5, faults)?;
    (failures > 0.0).then_some(Ejection { failures: failures as u32, rest, most })
}

/// A whole number; the inner `None` where nothing is said, the outer one where it is wrong.
fn whole(at: &Section<'_>, key: &str, least: f64, most: f64, faults: &mut Vec<Fault>) -> Option<Option<f64>> {
    if at.get(key).is_none() {
        return Some(None);
    }
    let number = at.number(key, faults);
    if number.fract() != 0.0 || number < least || number > most {
        faults
            .push(Fault::error(at.at(key), format!("`{key}` must be a whole number from {least} to {most}")));
        return None;
    }
    Some(Some(number))
}

/// A number above 0 and not above 1.
fn part(at: &Section<'_>, key: &str, default: f64, faults: &mut Vec<Fault>) -> Option<f64> {
    if at.get(key).is_none() {
        return Some(default);
    }
    let number = at.number(key, faults);
    if number > 0.0 && number <= 1.0 {
        return Some(number);
    }
    faults.push(Fault::error(at.at(key), format!("`{key}` must be above 0 and not above 1, such as 0.5")));
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(own: Value) -> (Care, Vec<Fault>) {
        let root = json!({"x-sluicegate": {"upstream": own}});
        let mut faults = Vec::new();
        let care = Care::read(&Section::root(&root, &mut faults), &mut faults);
        (care, faults)
    }

    #[test]
    fn what_is_written_is_read_again() {
        for (own, written) in [
            (json!({}), None),
            (json!({"balancing": {"by": "turns"}, "retries": {"attempts": 0}}), None),
            (
                json!({"balancing": {"by": "least_requests"}}),
                Some(json!({"balancing": {"by": "least_requests"}})),
            ),
            (
                json!({"balancing": {"by": "hash", "hash_on": "header:X-User"}}),
                Some(json!({"balancing": {"by": "hash", "hash_on": "header:x-user"}})),
            ),
            (
                json!({"retries": {"attempts": 2, "methods": ["post"]}, "ejection": {"failures": 5}}),
                Some(json!({
                    "retries": {"attempts": 2, "statuses": [502, 503, 504], "methods": ["POST"],
                        "largest_body": 65536, "budget": 0.2},
                    "ejection": {"failures": 5, "seconds": 30.0, "most": 0.5},
                })),
            ),
        ] {
            let (care, faults) = read(own.clone());
            assert_eq!((care.write(), &*faults), (written.clone(), &[][..]), "{own}");
            if let Some(written) = written {
                assert_eq!(read(written).0, care, "{own}");
            }
        }
    }

    #[test]
    fn what_cannot_be_meant_is_a_fault_at_its_place() {
        for (own, pointer) in [
            (json!({"balancing": {"by": "luck"}}), "/balancing/by"),
            (json!({"balancing": {"by": "hash"}}), "/balancing/hash_on"),
            (json!({"balancing": {"by": "hash", "hash_on": "header:a b"}}), "/balancing/hash_on"),
            (json!({"retries": {"attempts": 6}}), "/retries/attempts"),
            (json!({"retries": {"attempts": 1.5}}), "/retries/attempts"),
            (json!({"retries": {"attempts": 1, "statuses": [200]}}), "/retries/statuses"),
            (json!({"retries": {"attempts": 1, "statuses": 503}}), "/retries/statuses"),
            (json!({"retries": {"attempts": 1, "budget": 0}}), "/retries/budget"),
            (json!({"retries": {"attempts": 1, "largest_body": 1e9}}), "/retries/largest_body"),
            (json!({"ejection": {"failures": -1}}), "/ejection/failures"),
            (json!({"ejection": {"failures": 1, "most": 1.5}}), "/ejection/most"),
        ] {
            let (_, faults) = read(own.clone());
            assert_eq!(faults.len(), 1, "{own}: {faults:?}");
            assert_eq!(faults[0].pointer, format!("/x-sluicegate/upstream{pointer}"), "{own}");
        }
    }
}
