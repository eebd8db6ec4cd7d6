//! Counters for Prometheus: a page, a push gateway, a file.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use document::Fault;
use http::header::{AUTHORIZATION, CONTENT_TYPE as CONTENT_TYPE_HEADER};
use http::{HeaderMap, HeaderValue, Method};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use streams::exporters::{CONTENT_TYPE, Timings, exposition};
use streams::{BuildContext, Default, Exporter, Field, Kind, Node, Page, Samples};
use tokio::time::timeout;
use url::Url;

use super::credentials;
use super::process::process_samples;
use crate::addresses::shown;
use crate::auth::basic;
use crate::http_client::exchange::{Exchange, Request, whole};

const OBJECTIVES: &[Field] = &[
    Field::new("quantile", Kind::Float, Default::Float(0.0), "The quantile, from 0 to 1."),
    Field::new(
        "error",
        Kind::Float,
        Default::Float(0.0),
        "Known from the original; quantiles are told within an eighth of their value here.",
    ),
];

const BASIC: &[Field] = &[
    Field::new("username", Kind::Text, Default::Text(""), "The name."),
    Field::new("password", Kind::Text, Default::Text(""), "The password.").secret(),
];

pub(super) const FIELDS: &[Field] = &[
    Field::new(
        "use_histogram_timing",
        Kind::Bool,
        Default::Bool(false),
        "Tell timings as histograms in seconds, not as summaries in nanoseconds.",
    ).advanced(),
    Field::optional(
        "histogram_buckets",
        Kind::List(&Kind::Float),
        "Bounds of the histograms in seconds, growing; empty: from 0.005 to 10. Durations are counted in finer buckets of our own; one that a bound cuts counts as above it.",
    ).advanced(),
    Field::optional(
        "summary_quantiles_objectives",
        Kind::List(&Kind::Object(OBJECTIVES)),
        "Quantiles of the summaries, over the last five to ten minutes; without them 0.5, 0.9 and 0.99.",
    ).advanced(),
    Field::new(
        "add_process_metrics",
        Kind::Bool,
        Default::Bool(false),
        "Add what the process uses: processor time, memory, files.",
    ).advanced(),
    Field::optional(
        "add_go_metrics",
        Kind::Ignored("there is no Go runtime in the process"),
        "Known from the original.",
    ).advanced(),
    Field::optional("push_url", Kind::Text, "A push gateway to send everything to.").advanced(),
    Field::optional(
        "push_interval",
        Kind::Duration,
        "How often; without it once, when the stream ends. The end is sent in any case.",
    ).advanced(),
    Field::new("push_job_name", Kind::Text, Default::Text("bento_push"), "The name of the job there.").advanced(),
    Field::object("push_basic_auth", BASIC, "Who pushes, if the push gateway asks.").advanced(),
    Field::new(
        "file_output_path",
        Kind::Text,
        Default::Text(""),
        "A file to write everything to when the stream ends. Refused inside of the gate unless `streaming.allow_unsafe` names `file`.",
    ).advanced(),
    Field::optional(
        "use_default_registry",
        Kind::Ignored("there is one registry for each stream"),
        "Known from the original.",
    ).advanced(),
];

/// Bounds of histograms in seconds where none are written; those of the original's library.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// How long one push may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest answer of a push gateway that is read.
const MOST_ANSWER: usize = 64 << 10;

pub(super) fn build(node: &Node<'_>, context: &mut BuildContext<'_>) -> Result<Box<dyn Exporter>, Fault> {
    let file = node.text("file_output_path")?;
    // Alone in its process a stream writes what whoever started it could write anyway.
    if !file.is_empty()
        && !context.settings.alone
        && !context.settings.allow_unsafe.iter().any(|allowed| allowed == "file")
    {
        return Err(node
            .field_fault(
                "file_output_path",
                "files are not written: they are on the machine that the gate runs on",
            )
            .hint("whoever runs the gate can add `file` to `streaming.allow_unsafe`"));
    }
    Ok(Box::new(Prometheus {
        stream: context.stream.clone(),
        timings: timings(node)?,
        process: node.boolean("add_process_metrics")?,
        push: Push::read(node, context)?,
        file: (!file.is_empty()).then(|| PathBuf::from(&*file)),
    }))
}

fn timings(node: &Node<'_>) -> Result<Timings, Fault> {
    let number = |node: &Node<'_>| node.value().as_f64().ok_or_else(|| node.fault("a number is expected"));
    if node.boolean("use_histogram_timing")? {
        let bounds = node.items("histogram_buckets").iter().map(number).collect::<Result<Vec<f64>, _>>()?;
        if bounds.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(node.field_fault("histogram_buckets", "the bounds must grow"));
        }
        return Ok(Timings::Histogram(if bounds.is_empty() { BUCKETS.to_vec() } else { bounds }));
    }
    if !node.has("summary_quantiles_objectives") {
        return Ok(Timings::default());
    }
    let mut quantiles = Vec::new();
    for objective in node.items("summary_quantiles_objectives") {
        let quantile = objective.float("quantile")?;
        if !(0.0..=1.0).contains(&quantile) {
            return Err(objective.field_fault("quantile", "a quantile is from 0 to 1"));
        }
        quantiles.push(quantile);
    }
    Ok(Timings::Summary(quantiles))
}

struct Prometheus {
    stream: Arc<str>,
    timings: Timings,
    process: bool,
    push: Option<Push>,
    file: Option<PathBuf>,
}

impl Prometheus {
    async fn text(&self, samples: &dyn Samples) -> String {
        let mut text = exposition(&samples.samples(), &self.timings);
        if self.process {
            text.push_str(&exposition(&process_samples().await, &self.timings));
        }
        text
    }
}

#[async_trait]
impl Exporter for Prometheus {
    async fn page(&self, samples: &dyn Samples) -> Option<Page> {
        Some(Page { content_type: CONTENT_TYPE, body: self.text(samples).await })
    }

    async fn push(&self, samples: Arc<dyn Samples>) {
        let Some(push) = &self.push else { return };
        let Some(interval) = push.interval else { return };
        loop {
            tokio::time::sleep(interval).await;
            push.send(self.text(&*samples).await, &self.stream).await;
        }
    }

    async fn finish(&self, samples: &dyn Samples) {
        if let Some(path) = &self.file
            && let Err(fault) = tokio::fs::write(path, self.text(samples).await).await
        {
            tracing::error!(stream = %self.stream, path = %path.display(), %fault, "metrics were not written to the file");
        }
        if let Some(push) = &self.push {
            push.send(self.text(samples).await, &self.stream).await;
        }
    }
}

struct Push {
    request: Request,
    exchange: Exchange,
    interval: Option<Duration>,
}

impl Push {
    fn read(node: &Node<'_>, context: &BuildContext<'_>) -> Result<Option<Push>, Fault> {
        let text = node.text("push_url")?;
        if text.is_empty() {
            return Ok(None);
        }
        let wrong = |fault: String| node.field_fault("push_url", fault);
        let mut url = push_url(&text, &node.text("push_job_name")?).map_err(wrong)?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE_HEADER, HeaderValue::from_static(CONTENT_TYPE));
        let auth = node.get("push_basic_auth");
        let (name, password) = (auth.text("username")?, auth.text("password")?);
        let in_address = credentials(&mut url);
        if !name.is_empty() || !password.is_empty() {
            headers.insert(AUTHORIZATION, basic(&name, &password));
        } else if let Some(value) = in_address {
            headers.insert(AUTHORIZATION, value);
        }
        let request = Request { method: Method::PUT, url, headers, body: Bytes::new() };
        let interval = node.duration("push_interval")?.filter(|interval| !interval.is_zero());
        Ok(Some(Push { request, exchange: Exchange::plain(context, false), interval }))
    }

    async fn send(&self, text: String, stream: &str) {
        let request = Request { body: Bytes::from(text), ..self.request.clone() };
        let asked = async {
            let (head, body) = self.exchange.once(&request).await?;
            if head.status.is_success() {
                return Ok(());
            }
            let said = whole(body, MOST_ANSWER).await.unwrap_or_default();
            Err(format!(
                "unexpected response code {}: {}",
                head.status,
                String::from_utf8_lossy(&said).trim()
            ))
        };
        let outcome =
            timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")));
        if let Err(fault) = outcome {
            tracing::warn!(stream, url = shown(request.url.as_str()), fault, "metrics were not pushed");
        }
    }
}

/// Where a push gateway takes the metrics of this job.
fn push_url(text: &str, job: &str) -> Result<Url, String> {
    let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    // A name with a slash, or none at all, cannot stand in a path as it is.
    let job = match job {
        "" => return Err("`push_job_name` must not be empty".to_owned()),
        job if job.contains('/') => format!("job@base64/{}", BASE64_URL_SAFE_NO_PAD.encode(job)),
        job => format!("job/{}", utf8_percent_encode(job, NON_ALPHANUMERIC)),
    };
    // By itself first: without a host the path would be taken for one.
    let base: Result<Url, _> = text.parse();
    base.and_then(|_| format!("{}/metrics/{job}", text.trim_end_matches('/')).parse::<Url>())
        .map_err(|fault| format!("`{}` is no address: {fault}", shown(&text)))
        .and_then(spoken)
}

/// An address that an HTTP client can ask.
fn spoken(url: Url) -> Result<Url, String> {
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(format!("`{other}` is not spoken here; write an address with http or https")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_push_holds_the_job() {
        for (text, job, expected) in [
            ("localhost:9091", "a", Ok("http://localhost:9091/metrics/job/a")),
            ("https://push/base/", "a b", Ok("https://push/base/metrics/job/a%20b")),
            ("http://push", "a/b", Ok("http://push/metrics/job@base64/YS9i")),
            ("ftp://push", "a", Err(())),
            ("http://", "a", Err(())),
            ("http://push", "", Err(())),
        ] {
            let found = push_url(text, job);
            assert_eq!(found.as_ref().map(Url::as_str).map_err(|_| ()), expected, "{text} {job}: {found:?}");
        }
    }
}
