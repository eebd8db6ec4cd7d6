//! Samples in the text format of Prometheus (version 0.0.4).

use std::collections::HashSet;
use std::fmt::Write;

use crate::exporter::{Sample, SampleValue, Timing};

/// The media type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How timings are told.
#[derive(Debug, Clone, PartialEq)]
pub enum Timings {
    /// As summaries, in nanoseconds, with these quantiles.
    Summary(Vec<f64>),
    /// As histograms, in seconds, with these bounds.
    Histogram(Vec<f64>),
}

impl Default for Timings {
    fn default() -> Timings {
        Timings::Summary(vec![0.5, 0.9, 0.99])
    }
}

/// The text. What the format does not allow is left out, so that nothing can spoil the page: of two kinds under one name,
/// and of two series with the same labels, only the first one is told.
pub fn exposition(samples: &[Sample], timings: &Timings) -> String {
    let mut named: Vec<(String, &Sample)> =
        samples.iter().map(|sample| (metric_name(&sample.name), sample)).collect();
    // Names that were different may be the same now.
    named.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut page = String::with_capacity(samples.len() * 96);
    let (mut family, mut kind, mut told) = ("", "", HashSet::new());
    for (name, sample) in &named {
        if name != family {
            (family, kind) = (name, sample.value.kind());
            told.clear();
            let shown = match (kind, timings) {
                ("timing", Timings::Summary(_)) => "summary",
                ("timing", Timings::Histogram(_)) => "histogram",
                (kind, _) => kind,
            };
            let _ = writeln!(page, "# HELP {family} see the reference of streams\n# TYPE {family} {shown}");
        }
        let labels = labels(&sample.labels, kind == "timing");
        if sample.value.kind() != kind || told.contains(&labels) {
            continue;
        }
        match &sample.value {
            SampleValue::Counter(value) => line(&mut page, family, "", &labels, None, value),
            SampleValue::Gauge(value) => line(&mut page, family, "", &labels, None, number(*value)),
            SampleValue::Timing(timing) => tell(&mut page, family, &labels, timing, timings),
        }
        told.insert(labels);
    }
    page
}

fn tell(page: &mut String, name: &str, labels: &str, timing: &Timing, timings: &Timings) {
    match timings {
        Timings::Summary(quantiles) => {
            for quantile in quantiles {
                // As the original: what was not measured is not a number.
                let value = if timing.has_last() { timing.quantile(*quantile) as f64 } else { f64::NAN };
                let quantile = number(*quantile);
                line(page, name, "", labels, Some(("quantile", &quantile)), number(value));
            }
            line(page, name, "_sum", labels, None, timing.sum_ns);
        }
        Timings::Histogram(bounds) => {
            for bound in bounds {
                let shown = number(*bound);
                line(page, name, "_bucket", labels, Some(("le", &shown)), timing.within(bound * 1e9));
            }
            line(page, name, "_bucket", labels, Some(("le", "+Inf")), timing.count);
            line(page, name, "_sum", labels, None, number(timing.sum_ns as f64 / 1e9));
        }
    }
    line(page, name, "_count", labels, None, timing.count);
}

fn line(
    page: &mut String,
    name: &str,
    suffix: &str,
    labels: &str,
    more: Option<(&str, &str)>,
    value: impl std::fmt::Display,
) {
    let _ = write!(page, "{name}{suffix}");
    if let Some((label, text)) = more {
        let comma = if labels.is_empty() { "" } else { "," };
        let _ = write!(page, "{{{labels}{comma}{label}=\"{text}\"}}");
    } else if !labels.is_empty() {
        let _ = write!(page, "{{{labels}}}");
    }
    let _ = writeln!(page, " {value}");
}

/// Labels as they are written, without brackets. A second one of a name is left out, as are those that timings bring
/// themselves.
fn labels(labels: &[(String, String)], timing: bool) -> String {
    let mut names: Vec<String> = Vec::with_capacity(labels.len());
    let mut written = String::new();
    for (label, text) in labels {
        let label = label_name(label);
        if names.contains(&label) || (timing && matches!(&*label, "quantile" | "le")) {
            continue;
        }
        if !names.is_empty() {
            written.push(',');
        }
        written.push_str(&label);
        written.push_str("=\"");
        for character in text.chars() {
            match character {
                '\\' => written.push_str("\\\\"),
                '"' => written.push_str("\\\""),
                '\n' => written.push_str("\\n"),
                other => written.push(other),
            }
        }
        written.push('"');
        names.push(label);
    }
    written
}

fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    }
}

/// What a name may not hold becomes `_`.
fn metric_name(name: &str) -> String {
    legal(name, |c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

fn label_name(name: &str) -> String {
    legal(name, |c| c.is_ascii_alphanumeric() || c == '_')
}

fn legal(name: &str, allowed: impl Fn(char) -> bool) -> String {
    let mut text: String = name.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
    if text.is_empty() || text.starts_with(|c: char| c.is_ascii_digit()) {
        text.insert(0, '_');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(name: &str, labels: &[(&str, &str)], value: SampleValue) -> Sample {
        let labels = labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Sample { name: name.to_owned(), labels, value }
    }

    #[test]
    fn every_kind_is_told_in_the_format() {
        let timing = Timing {
            count: 3,
            sum_ns: 7_500_000,
            buckets: vec![(1_000_000, 1), (4_000_000, 3)],
            recent: Some(vec![(4_000_000, 1)]),
        };
        let samples = [
            sample("a.b", &[("la-bel", "x\"\\\n")], SampleValue::Counter(2)),
            sample("gauge", &[], SampleValue::Gauge(0.5)),
            sample("9t", &[("path", "p")], SampleValue::Timing(timing)),
        ];
        let page = exposition(&samples, &Timings::default());
        for line in [
            "# TYPE a_b counter\na_b{la_bel=\"x\\\"\\\\\\n\"} 2\n",
            "# TYPE gauge gauge\ngauge 0.5\n",
            "# TYPE _9t summary\n_9t{path=\"p\",quantile=\"0.5\"} 4000000\n",
            "_9t_sum{path=\"p\"} 7500000\n_9t_count{path=\"p\"} 3\n",
        ] {
            assert!(page.contains(line), "{line} not in\n{page}");
        }
        let page = exposition(&samples[2..], &Timings::Histogram(vec![0.001, 0.005]));
        for line in [
            "# TYPE _9t histogram\n_9t_bucket{path=\"p\",le=\"0.001\"} 1\n",
            "_9t_bucket{path=\"p\",le=\"0.005\"} 3\n_9t_bucket{path=\"p\",le=\"+Inf\"} 3\n",
            "_9t_sum{path=\"p\"} 0.0075\n",
        ] {
            assert!(page.contains(line), "{line} not in\n{page}");
        }
        let none = [sample("t", &[], SampleValue::Timing(Timing::default()))];
        assert!(
            exposition(&none, &Timings::default()).contains("t{quantile=\"0.99\"} NaN\nt_sum 0\nt_count 0\n")
        );
    }

    #[test]
    fn nothing_spoils_the_page() {
        let timing = || SampleValue::Timing(Timing::default());
        for (samples, expected) in [
            // Names that become one stand together; of two kinds the first one holds, of equal series too.
            (
                vec![
                    sample("a.b", &[], SampleValue::Counter(1)),
                    sample("a.c", &[], SampleValue::Counter(2)),
                    sample("a-b", &[("x", "y")], SampleValue::Counter(3)),
                    sample("a_b", &[("z", "")], SampleValue::Gauge(4.0)),
                    sample("a:b", &[], SampleValue::Gauge(5.0)),
                    sample("a b", &[], SampleValue::Counter(6)),
                ],
                "a:b 5|a_b 1|a_b{x=\"y\"} 3|a_c 2",
            ),
            (
                vec![sample("c", &[("l-a", "1"), ("l_a", "2"), ("le", "3")], SampleValue::Counter(1))],
                "c{l_a=\"1\",le=\"3\"} 1",
            ),
            (
                vec![sample("t", &[("quantile", "1"), ("le", "2"), ("", "3")], timing())],
                "t{_=\"3\",quantile=\"0.5\"} NaN|t_sum{_=\"3\"} 0|t_count{_=\"3\"} 0",
            ),
        ] {
            let page = exposition(&samples, &Timings::Summary(vec![0.5]));
            let told: Vec<&str> = page.lines().filter(|line| !line.starts_with('#')).collect();
            assert_eq!(told.join("|"), expected);
            let families: Vec<&str> = page.lines().filter(|line| line.starts_with("# TYPE")).collect();
            let names: HashSet<&str> = families.iter().filter_map(|line| line.split(' ').nth(2)).collect();
            assert_eq!(names.len(), families.len(), "{page}");
        }
    }
}
