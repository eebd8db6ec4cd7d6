//! The price of many APIs: start, memory, and whether a request feels the others.

use crate::Settings;
use crate::compare::{Behind, alternate};
use crate::gate::{Gate, Setup};
use crate::report::{Bound, Metric, Report, median, note};
use crate::upstream::Upstream;
use std::io;
use std::time::Duration;

const START: Metric = Metric { name: "start ms", decimals: 0 };
const MEMORY: Metric = Metric { name: "memory MiB", decimals: 1 };
const PER_API: Metric = Metric { name: "KB/API", decimals: 2 };
/// Memory is read when the start's own work has settled.
const SETTLE: Duration = Duration::from_millis(500);

pub(crate) fn run(settings: &Settings, report: &mut Report) -> io::Result<()> {
    let upstream = Upstream::start()?;
    let many = settings.apis.max(2);
    let start = |name: &str, apis: usize| -> io::Result<(Gate, f64)> {
        let setup = Setup::new(name, false)?;
        (0..apis).try_for_each(|index| setup.proxy(&id(index), false, upstream.address()))?;
        let gate = setup.start(&settings.gate, settings.gate_core)?;
        std::thread::sleep(SETTLE);
        let memory = gate.process.memory()? as f64;
        note(&format!("{apis} APIs: ready after {:?}, {memory} KiB", gate.start_time));
        Ok((gate, memory))
    };

    let mut starts = Vec::new();
    let mut kept = None;
    for _ in 0..settings.rounds.min(3) {
        drop(kept.take());
        let (one, memory_one) = start("one-api", 1)?;
        let (all, memory_all) = start("many-apis", many)?;
        starts.push([&one, &all].map(|gate| gate.start_time.as_secs_f64() * 1e3));
        kept = Some((one, memory_one, all, memory_all));
    }
    let Some((one, memory_one, all, memory_all)) = kept else { return Ok(()) };
    let per_api = |memory: f64| (memory - memory_one) * 1.024 / (many - 1) as f64;
    let start_all = median(starts.iter().map(|[_, all]| *all));

    let loaded = "loaded APIs";
    report.figure(loaded, "1", START, median(starts.iter().map(|[one, _]| *one)));
    report.figure(loaded, "1", MEMORY, memory_one / 1024.0);
    report.figure(loaded, &many.to_string(), START, start_all);
    report.figure(loaded, &many.to_string(), MEMORY, memory_all / 1024.0);
    report.figure(loaded, &many.to_string(), PER_API, per_api(memory_all));
    report.target(&format!("{many} APIs: start ms"), start_all, 0, Bound::AtMost(2_000.0));
    report.target(&format!("{many} APIs: KB per API"), per_api(memory_all), 2, Bound::AtMost(20.0));

    let case = format!("keyless proxy, 60 B, {many} APIs");
    let middle = id(many / 2);
    let contenders = [
        one.contender("1 API", vec![one.get(&id(0), "60", &[])]),
        all.contender("one of many", vec![all.get(&middle, "60", &[])]),
        all.contender("many in turn", (0..many).map(|index| all.get(&id(index), "60", &[])).collect()),
    ];
    let measured = alternate(&case, &contenders, Behind::Inside(&upstream), settings, report)?;
    if let [single, of_many, in_turn] = measured.as_slice() {
        single.report(report, &case, None);
        of_many.report(report, &case, Some(single));
        in_turn.report(report, &case, Some(single));
        for (what, measured) in [("one of them", of_many), ("all in turn", in_turn)] {
            report.target(
                &format!("{many} APIs, {what}: CPU / one API's"),
                measured.ratio(single),
                2,
                Bound::AtMost(1.1),
            );
        }
    }
    report.figure(loaded, "after traffic to all", MEMORY, all.process.memory()? as f64 / 1024.0);
    report.figure(loaded, "after traffic to all", PER_API, per_api(all.process.memory()? as f64));
    Ok(())
}

fn id(index: usize) -> String {
    format!("api-{index:05}")
}
