//! What many keys cost: start, memory, and requests that come with any of them.

use crate::Settings;
use crate::compare::{Behind, alternate};
use crate::gate::{Gate, Setup};
use crate::load;
use crate::report::{Bound, Metric, Report, note};
use crate::upstream::Upstream;
use std::io;
use std::time::{Duration, Instant};

const CASE: &str = "many keys, 60 B";
/// Each key has been used since the start.
const AGAIN: &str = "many keys, seen before, 60 B";
const START: Metric = Metric { name: "start ms", decimals: 0 };
const MEMORY: Metric = Metric { name: "memory MiB", decimals: 1 };
const FEW: usize = 10;
/// Memory is read so long after a start.
const SETTLED: Duration = Duration::from_millis(500);

pub(crate) fn run(settings: &Settings, report: &mut Report) -> io::Result<()> {
    let upstream = Upstream::start()?;
    let many = settings.keys;
    let counts = [FEW, many];
    let mut gates = Vec::new();
    for count in counts {
        let setup = Setup::new(&format!("keys-{count}"), false)?;
        setup.proxy("guarded", true, upstream.address())?;
        let gate = setup.start(&settings.gate, settings.gate_core)?;
        let begun = Instant::now();
        gate.named_keys("guarded", &names(count))?;
        note(&format!("{CASE}: {count} keys made in {:.1} s", begun.elapsed().as_secs_f64()));
        // Anew, so that what is measured is what was kept.
        let gate = gate.restart(&settings.gate, settings.gate_core)?;
        std::thread::sleep(SETTLED);
        let name = format!("{count} keys");
        let (start, memory) = (gate.start_time.as_secs_f64() * 1e3, gate.process.memory()? as f64 / 1024.0);
        report.figure(CASE, &name, START, start);
        report.figure(CASE, &name, MEMORY, memory);
        if count == many {
            report.target(&format!("{name}: memory MiB"), memory, 0, Bound::AtMost(1_000.0));
            report.target(&format!("{name}: start ms"), start, 0, Bound::AtMost(10_000.0));
        }
        gates.push((gate, name, names(count)));
    }
    let requests = |gate: &Gate, names: &[String]| -> Vec<Vec<u8>> {
        names.iter().map(|name| gate.get("guarded", "60", &[("authorization", name)])).collect()
    };
    let contenders: Vec<_> =
        gates.iter().map(|(gate, name, names)| gate.contender(name, requests(gate, names))).collect();
    for case in [CASE, AGAIN] {
        let measured = alternate(case, &contenders, Behind::Inside(&upstream), settings, report)?;
        if let [few, many] = measured.as_slice() {
            few.report(report, case, None);
            many.report(report, case, Some(few));
            let what = format!("{case}: requests/s with {} / with {}", many.name, few.name);
            report.target(&what, many.rate_ratio(few), 2, Bound::AtLeast(0.95));
        }
        if case == CASE {
            let begun = Instant::now();
            for contender in &contenders {
                let requests = &contender.requests;
                load::each(contender.address, requests.len(), |index| requests[index].clone())?;
            }
            note(&format!("{CASE}: each used once in {:.1} s", begun.elapsed().as_secs_f64()));
        }
    }
    Ok(())
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("bench-key-{index:08}")).collect()
}
