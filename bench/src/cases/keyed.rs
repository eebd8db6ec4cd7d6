//! The price of guarding: token, rate limit, quota and record, beside the same gate without them.

use crate::Settings;
use crate::compare::{Behind, alternate};
use crate::gate::Setup;
use crate::report::{Bound, Report};
use crate::upstream::Upstream;
use std::io;

const CASE: &str = "guards, 60 B";
const DROPPED: &str = "sluicegate_records_dropped_total";

pub(crate) fn run(settings: &Settings, report: &mut Report) -> io::Result<()> {
    let upstream = Upstream::start()?;
    // Two processes, so that what a record costs later, in the background, is not charged to runs without records.
    let start = |name: &str, records: bool| {
        let setup = Setup::new(name, records)?;
        setup.proxy("open", false, upstream.address())?;
        setup.proxy("guarded", true, upstream.address())?;
        setup.start(&settings.gate, settings.gate_core)
    };
    let (plain, recording) = (start("plain", false)?, start("recording", true)?);
    let mut contenders = Vec::new();
    for (gate, open, guarded) in [
        (&plain, "keyless", "token + rate limit + quota"),
        (&recording, "keyless + record", "token + rate limit + quota + record"),
    ] {
        let keys = gate.keys("guarded", settings.connections)?;
        let with_key = |key: &String| gate.get("guarded", "60", &[("authorization", key)]);
        let requests = [vec![gate.get("open", "60", &[])], keys.iter().map(with_key).collect()];
        for (name, requests) in [open, guarded].into_iter().zip(requests) {
            contenders.push(gate.contender(name, requests));
        }
    }
    let (served, dropped) = (upstream.served(), recording.counter(DROPPED));
    let measured = alternate(CASE, &contenders, Behind::Inside(&upstream), settings, report)?;
    match (dropped, recording.counter(DROPPED)) {
        (Some(before), Some(after)) if after > before => report.warn(format!(
            "{CASE}: {:.0} records were dropped, the queue being full, over {} requests with and without record: \
             what a record costs is understated",
            after - before,
            upstream.served() - served,
        )),
        (Some(_), Some(_)) => {}
        _ => report.warn(format!("{CASE}: /metrics does not tell how many records were dropped")),
    }
    if let [keyless, .., all] = measured.as_slice() {
        keyless.report(report, CASE, None);
        measured[1..].iter().for_each(|other| other.report(report, CASE, Some(keyless)));
        report.target(
            "token + rate limit + quota + record: CPU / keyless",
            all.ratio(keyless),
            2,
            Bound::AtMost(1.25),
        );
    }
    Ok(())
}
