//! Figures: collected by the cases, printed as tables, kept as JSON so that two commits can be laid side by side.

use crate::http::invalid;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

/// What a figure counts: its column title, the key in JSON, and how many decimals are worth printing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) decimals: usize,
}

/// The metrics of a run of requests; the other metrics stand beside the cases that use them.
pub(crate) const CPU: Metric = Metric { name: "CPU µs/request", decimals: 2 };
pub(crate) const RATE: Metric = Metric { name: "requests/s", decimals: 0 };
pub(crate) const P50: Metric = Metric { name: "p50 µs", decimals: 0 };
pub(crate) const P99: Metric = Metric { name: "p99 µs", decimals: 0 };
pub(crate) const PEAK: Metric = Metric { name: "peak memory MiB", decimals: 1 };
pub(crate) const RATIO: Metric = Metric { name: "CPU ratio", decimals: 2 };

/// What a value is to reach.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Bound::AtMost(bound) => value <= bound,
            Bound::AtLeast(bound) => value >= bound,
        }
    }
}

#[derive(Debug)]
struct Figure {
    case: String,
    subject: String,
    metric: Metric,
    value: f64,
}

#[derive(Debug)]
struct Target {
    what: String,
    value: f64,
    decimals: usize,
    bound: Bound,
}

/// All figures of one call.
#[derive(Debug, Default)]
pub(crate) struct Report {
    figures: Vec<Figure>,
    targets: Vec<Target>,
    warnings: Vec<String>,
}

impl Report {
    pub(crate) fn figure(&mut self, case: &str, subject: &str, metric: Metric, value: f64) {
        self.figures.push(Figure { case: case.into(), subject: subject.into(), metric, value });
    }

    /// A value that has something to reach.
    pub(crate) fn target(&mut self, what: &str, value: f64, decimals: usize, bound: Bound) {
        self.targets.push(Target { what: what.into(), value, decimals, bound });
    }

    /// Something that makes figures doubtful.
    pub(crate) fn warn(&mut self, text: String) {
        note(&format!("warning: {text}"));
        self.warnings.push(text);
    }

    /// The tables, then the targets, then the warnings.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for case in distinct(self.figures.iter().map(|figure| figure.case.as_str())) {
            let figures: Vec<&Figure> = self.figures.iter().filter(|figure| figure.case == case).collect();
            let metrics = distinct(figures.iter().map(|figure| figure.metric.name));
            let mut rows =
                vec![std::iter::once(case).chain(metrics.iter().copied()).map(String::from).collect()];
            for subject in distinct(figures.iter().map(|figure| figure.subject.as_str())) {
                let cells = metrics.iter().map(|metric| {
                    let cell = figures
                        .iter()
                        .find(|figure| figure.subject == subject && figure.metric.name == *metric);
                    cell.map_or_else(String::new, |figure| grouped(figure.value, figure.metric.decimals))
                });
                rows.push(std::iter::once(subject.to_owned()).chain(cells).collect::<Vec<String>>());
            }
            text.push_str(&aligned(&rows));
            text.push('\n');
        }
        if !self.targets.is_empty() {
            let mut rows = vec![["targets", "measured", "to reach", ""].map(String::from).to_vec()];
            for target in &self.targets {
                let (sign, bound) = match target.bound {
                    Bound::AtMost(bound) => ("<=", bound),
                    Bound::AtLeast(bound) => (">=", bound),
                };
                let verdict = if target.bound.holds(target.value) { "reached" } else { "NOT REACHED" };
                let decimals = target.decimals;
                let bound = format!("{sign} {}", grouped(bound, decimals));
                rows.push(vec![target.what.clone(), grouped(target.value, decimals), bound, verdict.into()]);
            }
            text.push_str(&aligned(&rows));
        }
        for warning in &self.warnings {
            let _ = writeln!(text, "\nwarning: {warning}");
        }
        text
    }

    /// Everything, with what is needed to judge it later: commit, machine, settings.
    pub(crate) fn json(&self, settings: Value) -> Value {
        let figures = self.figures.iter().map(|figure| {
            json!({
                "case": figure.case, "subject": figure.subject, "metric": figure.metric.name, "value": figure.value,
                "decimals": figure.metric.decimals,
            })
        });
        let targets = self.targets.iter().map(|target| {
            let (name, bound) = match target.bound {
                Bound::AtMost(bound) => ("at_most", bound),
                Bound::AtLeast(bound) => ("at_least", bound),
            };
            json!({"what": target.what, "value": target.value, name: bound, "reached": target.bound.holds(target.value)})
        });
        json!({
            "commit": commit(),
            "machine": machine(),
            "settings": settings,
            "figures": figures.collect::<Vec<Value>>(),
            "targets": targets.collect::<Vec<Value>>(),
            "warnings": self.warnings,
        })
    }
}

/// Lays two JSON reports side by side: figures that are in both, with new / old.
pub(crate) fn difference(old: &Path, new: &Path) -> io::Result<String> {
    let read = |path: &Path| -> io::Result<Value> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            invalid(format!("{}: {error}; expected a file made with --json", path.display()))
        })?;
        serde_json::from_str(&text).map_err(|error| invalid(format!("{}: {error}", path.display())))
    };
    let (old, new) = (read(old)?, read(new)?);
    let list = |report: &Value| report["figures"].as_array().cloned().unwrap_or_default();
    let before = list(&old);
    let title = |report: &Value| report["commit"].as_str().unwrap_or("?").to_owned();
    let mut rows = vec![vec!["figure".to_owned(), title(&old), title(&new), "new / old".to_owned()]];
    for figure in list(&new) {
        let same =
            |other: &&Value| ["case", "subject", "metric"].iter().all(|key| other[*key] == figure[*key]);
        let Some(other) = before.iter().find(same) else { continue };
        let text = |key: &str| figure[key].as_str().unwrap_or("?").to_owned();
        let decimals = figure["decimals"].as_u64().map_or(2, |decimals| decimals as usize);
        let (was, is) =
            (other["value"].as_f64().unwrap_or(f64::NAN), figure["value"].as_f64().unwrap_or(f64::NAN));
        rows.push(vec![
            format!("{}, {}, {}", text("case"), text("subject"), text("metric")),
            grouped(was, decimals),
            grouped(is, decimals),
            grouped(is / was, 3),
        ]);
    }
    Ok(aligned(&rows))
}

/// Progress and trouble, for the person who waits.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// The middle value; the mean of the two middle ones of an even number; NaN of none.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => values[length / 2],
        length => (values[length / 2 - 1] + values[length / 2]) / 2.0,
    }
}

fn distinct<'a>(values: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found: Vec<&str> = Vec::new();
    values.for_each(|value| {
        if !found.contains(&value) {
            found.push(value);
        }
    });
    found
}

/// `1234567.8` as `1,234,568`.
fn grouped(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return "-".into();
    }
    let plain = format!("{value:.decimals$}");
    let whole = plain.split('.').next().unwrap_or_default();
    let digits = whole.trim_start_matches('-').len();
    let mut text = String::new();
    let mut left = digits;
    for (index, character) in plain.chars().enumerate() {
        let in_whole = index >= whole.len() - digits && index < whole.len();
        if in_whole {
            if left < digits && left.is_multiple_of(3) {
                text.push(',');
            }
            left -= 1;
        }
        text.push(character);
    }
    text
}

/// Columns under each other: the first to the left, the others to the right; a line under the first row.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ =
                if column == 0 { write!(line, "{cell:<width$}") } else { write!(line, "  {cell:>width$}") };
        }
        let _ = writeln!(text, "{}", line.trim_end());
        if index == 0 {
            let _ = writeln!(
                text,
                "{}",
                "-".repeat(widths.iter().sum::<usize>() + 2 * columns.saturating_sub(1))
            );
        }
    }
    text
}

fn commit() -> String {
    let output = std::process::Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let text = output
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok());
    text.map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
}

fn machine() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model =
        cpu.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
    json!({
        "cpu": model,
        "cores": cpu.lines().filter(|line| line.starts_with("processor")).count(),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load_average": read("/proc/loadavg").trim(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median([]).is_nan());
    }

    #[test]
    fn numbers_are_grouped() {
        for (value, decimals, text) in [
            (0.0, 0, "0"),
            (999.0, 0, "999"),
            (1234567.8, 0, "1,234,568"),
            (-1234.5, 1, "-1,234.5"),
            (f64::NAN, 2, "-"),
        ] {
            assert_eq!(grouped(value, decimals), text);
        }
    }

    #[test]
    fn tables_targets_and_difference() {
        let mut report = Report::default();
        report.figure("keyless, 60 B", "gate", CPU, 12.0);
        report.figure("keyless, 60 B", "gate", RATIO, 1.2);
        report.figure("keyless, 60 B", "nginx", CPU, 10.0);
        report.target("keyless / nginx", 1.2, 2, Bound::AtMost(1.25));
        report.target("fan-out", 10.0, 0, Bound::AtLeast(150_000.0));
        let expected = "\
keyless, 60 B  CPU µs/request  CPU ratio
----------------------------------------
gate                    12.00       1.20
nginx                   10.00

targets          measured    to reach
------------------------------------------------
keyless / nginx      1.20     <= 1.25      reached
fan-out                10  >= 150,000  NOT REACHED
";
        assert_eq!(report.text().replace('-', ""), expected.replace('-', ""));

        let folder = crate::process::Folder::create("difference").unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        std::fs::write(&old, report.json(json!({})).to_string()).unwrap();
        report.figures[0].value = 6.0;
        std::fs::write(&new, report.json(json!({})).to_string()).unwrap();
        let difference = difference(&old, &new).unwrap();
        assert!(
            difference
                .lines()
                .any(|line| line.starts_with("keyless, 60 B, gate, CPU") && line.ends_with("0.500")),
            "{difference}"
        );
        assert!(super::difference(&old, &folder.path().join("none")).is_err());
    }
}
