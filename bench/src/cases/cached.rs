//! What keeping answers saves: an answer that is kept, beside the same one fetched from the upstream by the same gate.

use crate::Settings;
use crate::compare::{Behind, alternate};
use crate::gate::Setup;
use crate::http::invalid;
use crate::report::{Bound, Report};
use crate::upstream::Upstream;
use serde_json::json;
use std::io;

const HITS: &str = "sluicegate_cache_hits_total";

pub(crate) fn run(settings: &Settings, report: &mut Report) -> io::Result<()> {
    let upstream = Upstream::start()?;
    let setup = Setup::new("cached", false)?;
    setup.proxy("open", false, upstream.address())?;
    let options = json!({"enable_cache": true, "cache_all_safe_requests": true, "cache_timeout": 3600});
    setup.api("kept", upstream.address(), json!({"cache_options": options}))?;
    let gate = setup.start(&settings.gate, settings.gate_core)?;
    for (label, length) in [("60 B", 60), ("2 KB", 2048)] {
        let case = format!("kept answers, {label}");
        let path = length.to_string();
        let contenders = [
            gate.contender("keyless", vec![gate.get("open", &path, &[])]),
            gate.contender("kept", vec![gate.get("kept", &path, &[])]),
        ];
        let before = gate.counter(HITS).unwrap_or_default();
        let measured = alternate(&case, &contenders, Behind::InsideUnchecked(&upstream), settings, report)?;
        if let [keyless, kept] = measured.as_slice() {
            let hits = gate.counter(HITS).unwrap_or_default() - before;
            if hits < kept.requests() as f64 {
                return Err(invalid(format!(
                    "{case}: {hits} answers were kept ones, of {}",
                    kept.requests()
                )));
            }
            keyless.report(report, &case, None);
            kept.report(report, &case, Some(keyless));
            report.target(&format!("{case}: CPU / keyless"), kept.ratio(keyless), 2, Bound::AtMost(0.5));
        }
    }
    Ok(())
}
