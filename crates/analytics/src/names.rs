//! A record under the names that the code of users knows (gateway contract 11.1), and what that code makes of it.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use crate::Record;

/// An edited record may be so many bytes longer than it was: records wait in memory.
const ROOM: usize = 64 << 10;
/// What has no version is said to be of this one.
const NO_VERSION: &str = "Non Versioned";
/// What stands for the status of connections.
const NO_CODE: i64 = -1;

impl Record {
    /// The record as JSON under the names of contract 11.1. What is not known is an empty text or 0; times of day are UTC.
    pub fn named(&self) -> String {
        Value::Object(shown(self)).to_string()
    }

    /// The record as it is after `given` took the place of what [`Record::named`] has told. What is the same stays as
    /// exact as it was; what is missing is taken away; names that are not known have no effect.
    ///
    /// # Errors
    /// Which name has a value that it cannot have.
    pub fn renamed(&self, given: &str) -> Result<Record, String> {
        let shown = shown(self);
        let most = Value::Object(shown.clone()).to_string().len() + ROOM;
        if given.len() > most {
            return Err(format!("the record may grow by {ROOM} bytes, not to {} bytes", given.len()));
        }
        let given: Value = serde_json::from_str(given).map_err(|why| format!("this is no record: {why}"))?;
        let Value::Object(given) = given else { return Err("a record is an object".to_owned()) };
        let mut record = self.clone();
        for name in NAMES {
            let [before, now] = [&shown, &given].map(|all| all.get(*name).filter(|value| !is_empty(value)));
            if now != before {
                set(&mut record, name, before, now).map_err(|why| format!("`{name}` {why}"))?;
            }
        }
        Ok(record)
    }
}

/// The names whose values can be changed.
const NAMES: &[&str] = &[
    "method",
    "host",
    "path",
    "raw_path",
    "content_length",
    "user_agent",
    "response_code",
    "api_key",
    "timestamp",
    "api_version",
    "api_name",
    "api_id",
    "org_id",
    "oauth_id",
    "alias",
    "request_time",
    "latency",
    "raw_request",
    "raw_response",
    "ip_address",
    "tags",
    "track_path",
    "expireAt",
];

fn shown(record: &Record) -> Map<String, Value> {
    let text = |text: Option<&str>| Value::from(text.unwrap_or_default());
    let began = time(record.started);
    let civil = began.to_zoned(TimeZone::UTC);
    let version = if record.api_version.is_empty() { NO_VERSION } else { &record.api_version };
    let mut shown = Map::new();
    let mut put = |name: &str, value: Value| drop(shown.insert(name.to_owned(), value));
    put("method", (&*record.method).into());
    put("host", (&*record.host).into());
    put("path", (&*record.path).into());
    put("raw_path", record.raw_path.as_deref().unwrap_or(&record.path).into());
    put("content_length", if record.network.is_some() { 0 } else { record.bytes_in }.into());
    put("user_agent", text(record.user_agent.as_deref()));
    put("day", civil.day().into());
    put("month", civil.month().into());
    put("year", civil.year().into());
    put("hour", civil.hour().into());
    put("response_code", if record.network.is_some() { NO_CODE.into() } else { record.status.into() });
    put("api_key", text(record.key.as_deref()));
    put("timestamp", began.to_string().into());
    put("api_version", version.into());
    put("api_name", (&*record.api_name).into());
    put("api_id", (&*record.api_id).into());
    put("org_id", (&*record.org_id).into());
    put("oauth_id", text(record.oauth_id.as_deref()));
    put("alias", text(record.alias.as_deref()));
    put("request_time", millis(record.total).into());
    put(
        "latency",
        json!({
            "total": millis(record.total), "upstream": millis(record.upstream),
            "gateway": millis(record.total.saturating_sub(record.upstream)),
        }),
    );
    put("raw_request", text(record.raw_request.as_deref()));
    put("raw_response", text(record.raw_response.as_deref()));
    put("ip_address", record.client_ip.map(|address| address.to_string()).unwrap_or_default().into());
    put("tags", record.tags.iter().map(|tag| Value::from(&**tag)).collect());
    put("track_path", record.tracked.into());
    put("expireAt", record.expires.map(|expires| time(expires).to_string()).unwrap_or_default().into());
    if let Some(graph) = &record.graph {
        graph.put(&mut shown);
    }
    if let Some(network) = &record.network {
        let told = json!({"open_connections": network.opened, "closed_connections": network.closed,
            "bytes_in": record.bytes_in, "bytes_out": record.bytes_out});
        shown.insert("network".to_owned(), told);
    }
    if let Some(mcp) = &record.mcp {
        shown.insert("mcp_stats".to_owned(), mcp.named());
    }
    shown
}

/// Sets what a name stands for; `None` takes it away.
fn set(record: &mut Record, name: &str, before: Option<&Value>, value: Option<&Value>) -> Result<(), String> {
    match name {
        "method" => record.method = Cow::Owned(text(value)?.to_owned()),
        "host" => record.host = text(value)?.into(),
        "path" => record.path = text(value)?.into(),
        "raw_path" => record.raw_path = some(value)?,
        "content_length" => record.bytes_in = whole(value)?,
        "user_agent" => record.user_agent = some(value)?,
        "response_code" => {
            let code = u16::try_from(whole(value)?).ok().filter(|code| *code < 1000);
            record.status = code.ok_or("must be below 1000")?;
        }
        "api_key" => record.key = shared(value)?,
        "timestamp" => record.started = moment(value)?.ok_or("cannot be taken away")?,
        "api_version" => record.api_version = Arc::from(text(value)?),
        "api_name" => record.api_name = Arc::from(text(value)?),
        "api_id" => record.api_id = Arc::from(text(value)?),
        "org_id" => record.org_id = Arc::from(text(value)?),
        "oauth_id" => record.oauth_id = shared(value)?,
        "alias" => record.alias = shared(value)?,
        "request_time" => record.total = duration(value)?,
        "latency" => latency(record, before, value)?,
        "raw_request" => record.raw_request = some(value)?,
        "raw_response" => record.raw_response = some(value)?,
        "ip_address" => {
            let address = Some(text(value)?).filter(|text| !text.is_empty());
            let address = address.map(str::parse::<IpAddr>).transpose();
            record.client_ip = address.map_err(|_| "must be an IP address, or empty")?;
        }
        "tags" => record.tags = tags(value)?,
        "track_path" => record.tracked = value.and_then(Value::as_bool).unwrap_or_default(),
        "expireAt" => record.expires = moment(value)?,
        _ => {}
    }
    Ok(())
}

/// Only what was changed: times are told in milliseconds, and kept more exactly.
fn latency(record: &mut Record, before: Option<&Value>, value: Option<&Value>) -> Result<(), String> {
    for (name, part) in [("total", &mut record.total), ("upstream", &mut record.upstream)] {
        let [before, now] = [before, value].map(|latency| latency.and_then(|latency| latency.get(name)));
        if now != before {
            *part = duration(now)?;
        }
    }
    Ok(())
}

/// Whether a value says nothing: what languages write for it differs.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

fn text(value: Option<&Value>) -> Result<&str, String> {
    match value {
        None => Ok(""),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err("must be a text".to_owned()),
    }
}

fn some(value: Option<&Value>) -> Result<Option<Box<str>>, String> {
    text(value).map(|text| (!text.is_empty()).then(|| text.into()))
}

fn shared(value: Option<&Value>) -> Result<Option<Arc<str>>, String> {
    text(value).map(|text| (!text.is_empty()).then(|| text.into()))
}

fn whole(value: Option<&Value>) -> Result<u64, String> {
    let number = |value: &Value| value.as_u64().ok_or_else(|| "must be a whole number from 0".to_owned());
    value.map_or(Ok(0), number)
}

fn duration(value: Option<&Value>) -> Result<Duration, String> {
    let Some(value) = value else { return Ok(Duration::ZERO) };
    let seconds = value.as_f64().map(|millis| millis / 1e3).filter(|seconds| *seconds < 1e10);
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| "must be a time in milliseconds".to_owned())
}

fn moment(value: Option<&Value>) -> Result<Option<SystemTime>, String> {
    let text = text(value)?;
    if text.is_empty() {
        return Ok(None);
    }
    let moment: Result<Timestamp, _> = text.parse();
    // Earlier ones belong to no exchange, and not all systems have them.
    let moment = moment.ok().filter(|moment| *moment >= Timestamp::UNIX_EPOCH);
    moment.map(|moment| Some(moment.into())).ok_or_else(|| "must be a time as RFC 3339 writes it".to_owned())
}

fn tags(value: Option<&Value>) -> Result<Arc<[Arc<str>]>, String> {
    let wrong = || "must be a list of texts".to_owned();
    let Some(value) = value else { return Ok(Arc::default()) };
    let tags = value.as_array().ok_or_else(wrong)?;
    tags.iter().map(|tag| tag.as_str().map(Arc::from).ok_or_else(wrong)).collect()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A time that lies outside of what calendars have is told as the first one.
fn time(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let started = SystemTime::UNIX_EPOCH + Duration::new(1_704_067_199, 5);
        let mut record = Record::new(started, "a".into(), "An API".into(), "o".into());
        record.key = Some("key".into());
        record.path = "/users/7".into();
        record.status = 200;
        record.total = Duration::from_micros(12_345);
        record.upstream = Duration::from_micros(2_100);
        record.client_ip = "10.1.2.3".parse().ok();
        record.tags = ["gold".into(), "eu".into()].into();
        record.raw_request = Some("R0VU".into());
        record
    }

    fn with(name: &str, value: Value) -> String {
        let mut shown = shown(&record());
        shown.insert(name.to_owned(), value);
        Value::Object(shown).to_string()
    }

    #[test]
    fn c11_1_operations_of_graphql_are_told_and_stay_as_they_are() {
        let mut record = record();
        let shown: Value = serde_json::from_str(&record.named()).unwrap();
        assert!(shown.get("graphql_stats").is_none() && shown.get("api_schema").is_none());
        let graph = crate::Graph {
            operation: crate::Operation::Mutation,
            root_fields: vec!["rename".to_owned()],
            types: [("Person".to_owned(), vec!["name".to_owned()])].into(),
            variables: "{\"id\":1}".into(),
            failed: true,
            errors: vec!["no".to_owned()],
            schema: "c2NoZW1h".into(),
        };
        record.graph = Some(Box::new(graph));
        let shown: Value = serde_json::from_str(&record.named()).unwrap();
        let stats = json!({"is_graphql": true, "graph_errors": ["no"], "has_errors": true, "types": {"Person": ["name"]},
            "root_fields": ["rename"], "variables": "{\"id\":1}", "operation_type": 2});
        assert_eq!((&shown["graphql_stats"], &shown["api_schema"]), (&stats, &json!("c2NoZW1h")));
        let mut edited = shown.clone();
        (edited["alias"], edited["graphql_stats"]) = (json!("b"), json!({}));
        let edited = record.renamed(&edited.to_string()).unwrap();
        assert_eq!((edited.alias.as_deref(), &edited.graph), (Some("b"), &record.graph));
        // The store keeps all but the schema.
        let stored: Record = serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
        let stored = stored.graph.unwrap();
        assert!(stored.schema.is_empty() && stored.operation == crate::Operation::Mutation);
    }

    #[test]
    fn c11_1_connections_of_a_moment_are_told_together() {
        let mut record = record();
        record.network = Some(crate::Network { opened: 3, closed: 2, refused: 1 });
        (record.bytes_in, record.bytes_out) = (7, 9);
        let shown: Value = serde_json::from_str(&record.named()).unwrap();
        let network = json!({"open_connections": 3, "closed_connections": 2, "bytes_in": 7, "bytes_out": 9});
        assert_eq!((&shown["network"], &shown["response_code"]), (&network, &json!(-1)));
        assert_eq!(record.renamed(&record.named()), Ok(record.clone()));
        let mut sums = crate::Sums::default();
        sums.add(&record);
        assert_eq!((sums.hits, sums.errors, sums.bytes_in, sums.bytes_out), (3, 1, 7, 9));
    }

    #[test]
    fn c11_1_a_record_has_the_names_that_pumps_know() {
        let shown: Value = serde_json::from_str(&record().named()).unwrap();
        for (name, expected) in [
            ("api_key", json!("key")),
            ("timestamp", json!("2023-12-31T23:59:59.000000005Z")),
            ("day", json!(31)),
            ("hour", json!(23)),
            ("path", json!("/users/7")),
            ("raw_path", json!("/users/7")),
            ("response_code", json!(200)),
            ("api_version", json!("Non Versioned")),
            ("request_time", json!(12)),
            ("latency", json!({"total": 12, "upstream": 2, "gateway": 10})),
            ("ip_address", json!("10.1.2.3")),
            ("tags", json!(["gold", "eu"])),
            ("alias", json!("")),
            ("expireAt", json!("")),
        ] {
            assert_eq!(shown[name], expected, "{name}");
        }
    }

    #[test]
    fn what_is_not_changed_stays_as_exact_as_it_was() {
        let record = record();
        assert_eq!(record.renamed(&record.named()), Ok(record.clone()));
        assert_eq!(record.renamed(&with("day", json!(1))), Ok(record.clone()), "it follows from the time");
        assert_eq!(record.renamed(&with("geo", json!({"city": "x"}))), Ok(record));
    }

    #[test]
    fn what_is_changed_or_missing_is_so_in_the_record() {
        let edited = |name: &str, value: Value| record().renamed(&with(name, value)).unwrap();
        assert_eq!(&*edited("path", json!("/users/{id}")).path, "/users/{id}");
        assert_eq!(edited("path", json!("/x")).raw_path, None, "it was not there");
        assert_eq!(edited("raw_path", json!("/y")).raw_path.as_deref(), Some("/y"));
        assert_eq!(edited("api_key", Value::Null).key, None);
        assert_eq!(edited("ip_address", json!("")).client_ip, None);
        assert_eq!(edited("ip_address", json!("10.1.2.0")).client_ip, "10.1.2.0".parse().ok());
        assert_eq!(edited("tags", json!(["x"])).tags, ["x".into()].into());
        assert!(edited("tags", json!({})).tags.is_empty(), "so an empty table is written");
        assert_eq!(edited("response_code", json!(500)).status, 500);
        assert_eq!(edited("request_time", json!(20)).total, Duration::from_millis(20));
        let mut slower = shown(&record());
        slower.insert("request_time".to_owned(), json!(20));
        slower.insert("latency".to_owned(), json!({"total": 12, "upstream": 1}));
        let both = record().renamed(&Value::Object(slower).to_string()).unwrap();
        assert_eq!((both.total, both.upstream), (Duration::from_millis(20), Duration::from_millis(1)));
        let latency = edited("latency", json!({"total": 12, "upstream": 1, "gateway": 11}));
        assert_eq!((latency.total, latency.upstream), (record().total, Duration::from_millis(1)));
        let later = edited("timestamp", json!("2024-01-01T00:00:00Z")).started;
        assert_eq!(later, SystemTime::UNIX_EPOCH + Duration::from_secs(1_704_067_200));
        assert_eq!(edited("expireAt", json!("2024-01-01T00:00:00Z")).expires, Some(later));
        let mut named = shown(&record());
        named.remove("raw_request");
        assert_eq!(record().renamed(&Value::Object(named).to_string()).unwrap().raw_request, None);
    }

    #[test]
    fn what_cannot_be_so_is_a_fault_that_names_it() {
        for (name, value) in [
            ("path", json!(5)),
            ("response_code", json!(1000)),
            ("response_code", json!(-1)),
            ("request_time", json!(-5)),
            ("timestamp", json!("yesterday")),
            ("timestamp", Value::Null),
            ("ip_address", json!("10.1.2.x")),
            ("tags", json!("gold")),
            ("tags", json!([1])),
        ] {
            let fault = record().renamed(&with(name, value.clone())).unwrap_err();
            assert!(fault.starts_with(&format!("`{name}` ")), "{name} {value}: {fault}");
        }
        for given in ["", "null", "[]", "\"x\""] {
            assert!(record().renamed(given).is_err(), "{given}");
        }
        let long = with("raw_response", json!("x".repeat(ROOM + 1)));
        assert!(record().renamed(&long).unwrap_err().contains("may grow"));
    }
}
