//! Samples in the text format of Prometheus (version 0.0.4).

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

/// The text. `samples` stand together by name; of two kinds under one name only the first one's are told, since the
/// format allows no more.
pub fn exposition(samples: &[Sample], timings: &Timings) -> String {
    let mut page = String::with_capacity(samples.len() * 96);
    let (mut family, mut kind) = (String::new(), "");
    for sample in samples {
        let name = metric_name(&sample.name);
        if name != family {
            family = name;
            kind = sample.value.kind();
            let shown = match (kind, timings) {
                ("timing", Timings::Summary(_)) => "summary",
                ("timing", Timings::Histogram(_)) => "histogram",
                (kind, _) => kind,
            };
            let _ = writeln!(page, "# HELP {family} see the reference of streams\n# TYPE {family} {shown}");
        }
        if sample.value.kind() != kind {
            continue;
        }
        match &sample.value {
            SampleValue::Counter(value) => line(&mut page, &family, "", &sample.labels, None, value),
            SampleValue::Gauge(value) => line(&mut page, &family, "", &sample.labels, None, number(*value)),
            SampleValue::Timing(timing) => told(&mut page, &family, &sample.labels, timing, timings),
        }
    }
    page
}

fn told(page: &mut String, name: &str, labels: &[(String, String)], timing: &Timing, timings: &Timings) {
    match timings {
        Timings::Summary(quantiles) => {
            for quantile in quantiles {
                // As the original: what was never measured is not a number.
                let value = if timing.count == 0 { f64::NAN } else { timing.quantile(*quantile) as f64 };
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
    labels: &[(String, String)],
    more: Option<(&str, &str)>,
    value: impl std::fmt::Display,
) {
    page.push_str(name);
    page.push_str(suffix);
    let labels = labels.iter().map(|(label, text)| (label_name(label), text.as_str()));
    let labels = labels.chain(more.map(|(label, text)| (label.to_owned(), text)));
    let mut mark = '{';
    for (label, text) in labels {
        page.push(mark);
        mark = ',';
        page.push_str(&label);
        page.push_str("=\"");
        for character in text.chars() {
            match character {
                '\\' => page.push_str("\\\\"),
                '"' => page.push_str("\\\""),
                '\n' => page.push_str("\\n"),
                other => page.push(other),
            }
        }
        page.push('"');
    }
    if mark == ',' {
        page.push('}');
    }
    let _ = writeln!(page, " {value}");
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
        let timing = Timing { count: 3, sum_ns: 7_500_000, buckets: vec![(1_000_000, 1), (4_000_000, 3)] };
        let samples = [
            sample("a.b", &[("la-bel", "x\"\\\n")], SampleValue::Counter(2)),
            sample("gauge", &[], SampleValue::Gauge(0.5)),
            // Two names that become one: the first one's kind holds.
            sample("a-b", &[], SampleValue::Counter(1)),
            sample("a_b", &[], SampleValue::Gauge(1.0)),
            sample("9t", &[("path", "p")], SampleValue::Timing(timing)),
        ];
        let page = exposition(&samples, &Timings::default());
        let expected = "a_b{la_bel=\"x\\\"\\\\\\n\"} 2\n";
        assert!(page.contains(expected), "{page}");
        for line in [
            "# TYPE gauge gauge\ngauge 0.5\n",
            "# TYPE _9t summary\n_9t{path=\"p\",quantile=\"0.5\"} 4000000\n",
            "_9t_sum{path=\"p\"} 7500000\n_9t_count{path=\"p\"} 3\n",
        ] {
            assert!(page.contains(line), "{line} not in\n{page}");
        }
        assert!(!page.contains("a_b 1.0"), "{page}");
        let page = exposition(&samples[4..], &Timings::Histogram(vec![0.001, 0.005]));
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
}
