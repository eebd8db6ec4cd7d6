//! Alternating runs: each round loads every contender once, so that what disturbs the machine disturbs all alike.

use crate::load::{self, Plan};
use crate::process::{CoreTime, Process, core_time};
use crate::report::{CPU, P50, P99, PEAK, RATE, RATIO, Report, median, note};
use crate::upstream::Upstream;
use crate::wire::Tls;
use crate::{Settings, http};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// One of those that are compared.
#[derive(Debug)]
pub(crate) struct Contender<'a> {
    pub(crate) name: &'a str,
    pub(crate) process: &'a Process,
    pub(crate) address: SocketAddr,
    /// How to speak TLS with it, if it does.
    pub(crate) tls: Option<Tls>,
    pub(crate) requests: Vec<Vec<u8>>,
}

/// Who answers what the contenders pass on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Behind<'a> {
    /// Nobody who is known here.
    Nobody,
    /// The upstream's own thread: the load shares its core with others.
    Aside(&'a Upstream),
    /// The load itself, which never sleeps.
    Inside(&'a Upstream),
    /// The load itself, unchecked: contenders answer for themselves, too.
    InsideUnchecked(&'a Upstream),
}

/// What the runs of one contender gave.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) name: String,
    runs: Vec<Run>,
    /// Completed requests of all measured windows.
    requests: u64,
    /// Peak resident memory after the last run, in KiB.
    peak: u64,
}

/// One run.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// CPU time of the process per completed request, in microseconds.
    cpu: f64,
    /// Completed requests per second.
    rate: f64,
    /// Latency in microseconds.
    p50: f64,
    p99: f64,
}

impl Measured {
    /// CPU per request divided by that of `other`: the median of the rounds' ratios.
    pub(crate) fn ratio(&self, other: &Measured) -> f64 {
        median(self.runs.iter().zip(&other.runs).map(|(run, other)| run.cpu / other.cpu))
    }

    /// CPU microseconds per request beyond those of `other`: the median of the rounds' differences.
    pub(crate) fn more_than(&self, other: &Measured) -> f64 {
        median(self.runs.iter().zip(&other.runs).map(|(run, other)| run.cpu - other.cpu))
    }

    /// The 99th percentile of the latency in microseconds: the median of the rounds.
    pub(crate) fn p99(&self) -> f64 {
        median(self.runs.iter().map(|run| run.p99))
    }

    /// Completed requests a second divided by those of `other`: the median of the rounds' ratios.
    pub(crate) fn rate_ratio(&self, other: &Measured) -> f64 {
        median(self.runs.iter().zip(&other.runs).map(|(run, other)| run.rate / other.rate))
    }

    /// Completed requests of all measured windows.
    pub(crate) fn requests(&self) -> u64 {
        self.requests
    }

    /// Adds the medians to a table; with `against`, the ratio as well.
    pub(crate) fn report(&self, report: &mut Report, case: &str, against: Option<&Measured>) {
        let middle = |field: fn(&Run) -> f64| median(self.runs.iter().map(field));
        report.figure(case, &self.name, CPU, middle(|run| run.cpu));
        report.figure(case, &self.name, RATE, middle(|run| run.rate));
        report.figure(case, &self.name, P50, middle(|run| run.p50));
        report.figure(case, &self.name, P99, middle(|run| run.p99));
        report.figure(case, &self.name, PEAK, self.peak as f64 / 1024.0);
        if let Some(other) = against {
            report.figure(case, &self.name, RATIO, self.ratio(other));
        }
    }
}

/// A reading at the edges of a window.
struct Reading {
    process: Duration,
    gate_core: CoreTime,
    load_core: CoreTime,
    served: u64,
}

/// Runs all contenders in turn, `settings.rounds` times. What an upstream served is checked against what was answered.
pub(crate) fn alternate(
    case: &str,
    contenders: &[Contender<'_>],
    behind: Behind<'_>,
    settings: &Settings,
    report: &mut Report,
) -> io::Result<Vec<Measured>> {
    let (driven, checked) = match behind {
        Behind::Nobody => (None, None),
        Behind::Aside(upstream) => (None, Some(upstream)),
        Behind::Inside(upstream) => (Some(upstream), Some(upstream)),
        Behind::InsideUnchecked(upstream) => (Some(upstream), None),
    };
    let mut measured: Vec<Measured> = contenders
        .iter()
        .map(|contender| Measured { name: contender.name.to_owned(), runs: Vec::new(), requests: 0, peak: 0 })
        .collect();
    let (mut disturbed, mut driver_bound) = (0.0_f64, false);
    for round in 1..=settings.rounds {
        for (contender, measured) in contenders.iter().zip(&mut measured) {
            let plan = Plan {
                address: contender.address,
                tls: contender.tls.as_ref(),
                connections: settings.connections,
                requests: &contender.requests,
                upstream: driven,
                warm_up: settings.warm_up,
                window: settings.window,
            };
            let counted = load::run(&plan, || {
                Ok(Reading {
                    process: contender.process.cpu()?,
                    gate_core: core_time(settings.gate_core)?,
                    load_core: core_time(settings.load_core)?,
                    served: checked.map_or(0, Upstream::served),
                })
            })
            .map_err(|error| {
                let log = contender.process.log_end();
                http::invalid(format!("{case}, {}: {error}; its log ends:\n{log}", contender.name))
            })?;
            if let Some(error) = &counted.first_error {
                report.warn(format!(
                    "{case}, {}: {} errors, the first: {error}",
                    contender.name, counted.errors
                ));
            }
            let (before, after) = (&counted.before, &counted.after);
            // The upstream may be ahead or behind by what is under way at the edges of the window.
            let reached = after.served - before.served + 2 * settings.connections as u64;
            if checked.is_some() && reached < counted.requests {
                return Err(http::invalid(format!(
                    "{case}, {}: {} answers, but only {reached} requests reached the upstream",
                    contender.name, counted.requests
                )));
            }
            let cpu = after.process - before.process;
            let busy = after.gate_core.busy.saturating_sub(before.gate_core.busy);
            let window = counted.elapsed.as_secs_f64();
            disturbed = disturbed.max(busy.saturating_sub(cpu).as_secs_f64() / window);
            let gate_idle = (after.gate_core.idle - before.gate_core.idle).as_secs_f64() / window;
            let load_idle = after.load_core.idle - before.load_core.idle + counted.idle;
            let load_idle = load_idle.as_secs_f64() / window;
            driver_bound |= gate_idle > 0.1 && load_idle < 0.05;
            let run = Run {
                cpu: cpu.as_secs_f64() * 1e6 / counted.requests as f64,
                rate: counted.requests as f64 / window,
                p50: counted.latencies.quantile(0.50) as f64 / 1e3,
                p99: counted.latencies.quantile(0.99) as f64 / 1e3,
            };
            note(&format!(
                "{case}, round {round}, {}: {:.2} µs CPU/request, {:.0} requests/s",
                contender.name, run.cpu, run.rate
            ));
            measured.runs.push(run);
            measured.requests += counted.requests;
            measured.peak = contender.process.peak_memory()?;
        }
    }
    if disturbed > 0.1 {
        report.warn(format!(
            "{case}: up to {:.0} % of the gate's core went to other processes: the machine is not quiet",
            disturbed * 100.0
        ));
    }
    if driver_bound {
        report.warn(format!(
            "{case}: the load generator's core was full while the gate's had time left: \
             trust the CPU per request, not the requests per second"
        ));
    }
    Ok(measured)
}
