//! The price of a change: how soon it is live while the gate serves, and whether any request notices.

use crate::Settings;
use crate::gate::{Gate, Setup};
use crate::http::{self, invalid};
use crate::load::{self, Plan};
use crate::process::pin;
use crate::report::{Bound, Metric, Report, median, note};
use crate::upstream::Upstream;
use std::io;
use std::time::{Duration, Instant};

const P50: Metric = Metric { name: "live p50 ms", decimals: 1 };
const P90: Metric = Metric { name: "live p90 ms", decimals: 1 };
const MOST: Metric = Metric { name: "live max ms", decimals: 1 };
const REQUESTS: Metric = Metric { name: "requests meanwhile", decimals: 0 };
const FAILED: Metric = Metric { name: "failed", decimals: 0 };

const APIS: usize = 1_000;
/// Connections of the load: as many as keep the gate's core busy without a queue of their own.
const CONNECTIONS: usize = 8;
/// A change begins this long after the one before it.
const PERIOD: Duration = Duration::from_millis(100);
const LIVE_LIMIT: Duration = Duration::from_secs(10);
/// Answers of the API that changes are longer than this by the number of the change.
const SHORTEST: usize = 100;

/// How a change is made.
#[derive(Debug, Clone, Copy)]
enum Way {
    File,
    Admin,
}

pub(crate) fn run(settings: &Settings, report: &mut Report) -> io::Result<()> {
    let upstream = Upstream::start()?;
    let setup = Setup::new("change", false)?;
    (0..APIS).try_for_each(|index| setup.proxy(&id(index), false, upstream.address()))?;
    let gate = setup.start(&settings.gate, settings.gate_core)?;
    let case = format!("one of {APIS} APIs changes every {} ms", PERIOD.as_millis());
    for (name, way) in [("by file", Way::File), ("by the admin API", Way::Admin)] {
        let requests: Vec<_> = (0..APIS).map(|index| gate.get(&id(index), "60", &[])).collect();
        let plan = Plan {
            tls: None,
            address: gate.address,
            connections: CONNECTIONS,
            requests: &requests,
            upstream: None,
            warm_up: settings.warm_up,
            window: PERIOD * u32::try_from(settings.changes).unwrap_or(1),
        };
        let (counted, delays) = std::thread::scope(|scope| {
            let load = scope.spawn(|| {
                pin(settings.load_core)?;
                load::run(&plan, || Ok(()))
            });
            let delays = changes(&gate, &upstream, way, settings.changes);
            let counted = load.join().map_err(|_| invalid("the load generator broke"))??;
            io::Result::Ok((counted, delays?))
        })?;
        let at = |share: usize| delays[(delays.len() - 1) * share / 100];
        note(&format!("{case}, {name}: {} changes, p50 {:.1} ms", delays.len(), at(50)));
        report.figure(&case, name, P50, median(delays.iter().copied()));
        report.figure(&case, name, P90, at(90));
        report.figure(&case, name, MOST, at(100));
        report.figure(&case, name, REQUESTS, counted.requests as f64);
        report.figure(&case, name, FAILED, counted.errors as f64);
        if let Some(error) = counted.first_error {
            report.warn(format!("{case}, {name}: a request failed: {error}"));
        }
        report.target(&format!("{case}, {name}: failed"), counted.errors as f64, 0, Bound::AtMost(0.0));
        report.target(&format!("{case}, {name}: live ms, p90"), at(90), 1, Bound::AtMost(100.0));
    }
    Ok(())
}

/// Makes the changes; milliseconds until each was seen, in ascending order.
fn changes(gate: &Gate, upstream: &Upstream, way: Way, count: usize) -> io::Result<Vec<f64>> {
    let mut delays = Vec::with_capacity(count);
    let changing = id(APIS / 2);
    for number in 1..=count {
        let began = Instant::now();
        // The upstream answers as many bytes as the last segment of its path says.
        let length = SHORTEST + number;
        match way {
            Way::File => gate.rewrite(&changing, upstream.address(), length)?,
            Way::Admin => gate.put(&changing, upstream.address(), length)?,
        }
        loop {
            let (_, body) =
                http::exchange(gate.address, "GET", &format!("/{changing}/"), &[], "", LIVE_LIMIT)?;
            if body.len() == length {
                break;
            }
            if began.elapsed() > LIVE_LIMIT {
                return Err(invalid(format!("change {number} was not live after {LIVE_LIMIT:?}")));
            }
        }
        let took = began.elapsed();
        delays.push(took.as_secs_f64() * 1e3);
        std::thread::sleep(PERIOD.saturating_sub(took));
    }
    delays.sort_by(f64::total_cmp);
    Ok(delays)
}

fn id(index: usize) -> String {
    format!("api-{index:05}")
}
