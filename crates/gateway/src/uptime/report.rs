//! What probes find, as pumps read it from Redis (contract 11.1, "Uptime record list").

use std::time::{Duration, SystemTime};

use apidef::{Probe, ProbeKind};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::gate::Gate;
use crate::snapshot::Identity;

/// Where they wait.
const LIST: &str = "analytics-tyk-uptime-analytics";
/// How long they are kept where nothing is said: a hundred years.
const EVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// What one probe has found.
pub(super) struct Found<'f> {
    pub(super) probe: &'f Probe,
    /// 0 where there was none.
    pub(super) status: u16,
    pub(super) took: Duration,
    pub(super) at: SystemTime,
}

/// Hands over what a probe has found, where that is recorded and somebody can read it. What does not arrive is lost.
pub(super) async fn hand_over(gate: &Gate, found: &Found<'_>, of: &Identity, keep: Option<Duration>) {
    let settings = &gate.settings.uptime;
    let written = bloblang::formats::msgpack::format(&shown(found, of, keep).into());
    let handed = match &written {
        Ok(written) => gate.state.hand_over(LIST, written, settings.record_life).await,
        Err(why) => return tracing::debug!(why, "what a probe has found cannot be written"),
    };
    if let Err(error) = handed {
        tracing::debug!(%error, "what a probe has found is not recorded");
    }
}

/// Under the names of the fields that pumps have for them; times of day are UTC, as in records of requests.
fn shown(found: &Found<'_>, of: &Identity, keep: Option<Duration>) -> Value {
    let at = Timestamp::try_from(found.at).unwrap_or(Timestamp::UNIX_EPOCH);
    let civil = at.to_zoned(TimeZone::UTC);
    let until = found.at.checked_add(keep.unwrap_or(EVER));
    let until = until.and_then(|until| Timestamp::try_from(until).ok()).unwrap_or(at);
    let tcp = matches!(found.probe.kind, ProbeKind::Tcp { .. });
    json!({
        "URL": match tcp {
            true => format!("tcp://{}", found.probe.target.authority),
            false => found.probe.target.to_string(),
        },
        "RequestTime": u64::try_from(found.took.as_millis()).unwrap_or(u64::MAX),
        "ResponseCode": found.status,
        "TCPError": found.status == 0,
        "ServerError": found.status >= 500,
        "Day": civil.day(),
        "Month": civil.month(),
        "Year": civil.year(),
        "Hour": civil.hour(),
        "Minute": civil.minute(),
        "TimeStamp": time(at),
        "ExpireAt": time(until),
        "APIID": &*of.id,
        "OrgID": &*of.org,
    })
}

/// A time as pumps read it: seconds and nanoseconds.
fn time(time: Timestamp) -> Value {
    json!([time.as_second(), time.subsec_nanosecond()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use apidef::Target;
    use std::sync::Arc;

    #[test]
    fn c11_1_what_is_found_has_the_names_that_pumps_know() {
        let at = SystemTime::UNIX_EPOCH + Duration::new(1_704_067_199, 5);
        let http = ProbeKind::Http { method: "GET".into(), headers: Box::default(), body: Box::default() };
        let tcp = ProbeKind::Tcp { tls: false, proxy_protocol: false, commands: Box::default() };
        for (kind, status, url, tcp_error, server_error) in [
            (&http, 200, "http://h/up", false, false),
            (&http, 503, "http://h/up", false, true),
            (&tcp, 0, "tcp://h", true, false),
        ] {
            let target = Target::parse("http://h/up").unwrap();
            let probe = Probe { target, kind: kind.clone(), timeout: Duration::from_secs(1) };
            let found = Found { probe: &probe, status, took: Duration::from_micros(12_345), at };
            let (name, version, tags) = (Arc::default(), Arc::default(), Arc::default());
            let of = Identity { id: "a".into(), org: "o".into(), name, version, tags };
            let expected = json!({"URL": url, "RequestTime": 12, "ResponseCode": status, "TCPError": tcp_error,
                "ServerError": server_error, "Day": 31, "Month": 12, "Year": 2023, "Hour": 23, "Minute": 59,
                "TimeStamp": [1_704_067_199, 5], "ExpireAt": [1_704_067_209, 5], "APIID": "a", "OrgID": "o"});
            assert_eq!(shown(&found, &of, Some(Duration::from_secs(10))), expected);
        }
    }
}
