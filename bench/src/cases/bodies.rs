//! Large bodies through the gate and through nginx: how fast, for how much CPU, and in how much memory.

use crate::Settings;
use crate::bulk::{self, Plan, Store, Way};
use crate::gate::Setup;
use crate::http::invalid;
use crate::nginx::Nginx;
use crate::report::{Bound, Metric, Report, median, note};
use std::io;

const RATE: Metric = Metric { name: "MiB/s", decimals: 0 };
const CPU: Metric = Metric { name: "CPU µs/MiB", decimals: 1 };
const MEMORY: Metric = Metric { name: "memory added MiB", decimals: 1 };
const MIB: f64 = 1_048_576.0;
/// Bodies that are under way at once.
const CONNECTIONS: usize = 8;

pub(crate) fn run(settings: &Settings, report: &mut Report) -> io::Result<()> {
    let store = Store::start()?;
    let setup = Setup::new("bodies", false)?;
    setup.proxy("open", false, store.address())?;
    let gate = setup.start(&settings.gate, settings.gate_core)?;
    let nginx = Nginx::unasked(&settings.nginx, settings.gate_core, store.address())?;
    let contenders = [
        ("gate", &gate.process, gate.address, "/open/bulk"),
        ("nginx", &nginx.process, nginx.address, "/bulk"),
    ];
    for (way, what) in [(Way::Fetch, "fetched"), (Way::Send, "sent")] {
        let case = format!("bodies of {} MiB, {what}", bulk::LENGTH >> 20);
        let mut rates = [Vec::new(), Vec::new()];
        let mut costs = [Vec::new(), Vec::new()];
        let mut idle = Vec::new();
        for (_, process, ..) in &contenders {
            idle.push(process.memory()?);
        }
        for round in 1..=settings.rounds {
            for (index, (name, process, address, path)) in contenders.iter().enumerate() {
                let plan = Plan {
                    address: *address,
                    path,
                    way,
                    connections: CONNECTIONS,
                    warm_up: settings.warm_up,
                    window: settings.window,
                };
                let counted = bulk::run(plan, || process.cpu())
                    .map_err(|error| invalid(format!("{case}, {name}: {error}; {}", process.log_end())))?;
                let mebibytes = counted.bytes as f64 / MIB;
                let rate = mebibytes / counted.elapsed.as_secs_f64();
                let cost = (counted.after - counted.before).as_secs_f64() * 1e6 / mebibytes;
                note(&format!("{case}, round {round}, {name}: {rate:.0} MiB/s, {cost:.0} µs CPU/MiB"));
                rates[index].push(rate);
                costs[index].push(cost);
            }
        }
        for (index, (name, process, ..)) in contenders.iter().enumerate() {
            report.figure(&case, name, RATE, median(rates[index].iter().copied()));
            report.figure(&case, name, CPU, median(costs[index].iter().copied()));
            let added = process.peak_memory()?.saturating_sub(idle[index]) as f64 / 1024.0;
            report.figure(&case, name, MEMORY, added);
            if index == 0 {
                report.target(&format!("{case}: memory added MiB"), added, 1, Bound::AtMost(32.0));
            }
        }
        let [gate, nginx] = &rates;
        let ratio = median(gate.iter().zip(nginx).map(|(gate, nginx)| gate / nginx));
        report.target(&format!("{case}: MiB/s / nginx's"), ratio, 2, Bound::AtLeast(0.8));
    }
    Ok(())
}
