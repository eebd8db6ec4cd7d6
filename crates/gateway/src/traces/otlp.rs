//! Messages of OTLP: what goes to the collector, over HTTP and over gRPC, and what it says.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::HeaderMap;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;

use super::settings::TraceSettings;
use super::span::Attributes;

/// What stands before a message of gRPC: whether it is compressed, and its length.
const FRAME: usize = 5;

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) text: String,
    /// It may be taken later.
    pub(super) later: bool,
}

impl Refused {
    pub(super) fn later(text: impl ToString) -> Self {
        Self { text: text.to_string(), later: true }
    }
}

/// Who sends (contract 11.6).
pub(super) fn resource(settings: &TraceSettings, node: &str) -> Resource {
    let mut all = Attributes(Vec::new());
    all.text("service.name", &settings.name);
    all.text("service.version", env!("CARGO_PKG_VERSION"));
    all.text("service.instance.id", node);
    all.text("tyk.gw.id", node);
    // No gate of ours takes its definitions from another one.
    all.truth("tyk.gw.dataplane", false);
    if let Some(tags) = &settings.tags {
        all.texts("tyk.gw.tags", tags.iter().map(String::as_str));
    }
    Resource { attributes: all.0, ..Resource::default() }
}

/// A request of these spans.
pub(super) fn request(resource: &Resource, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope = InstrumentationScope {
        name: "sluicegate".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource.clone()),
            scope_spans: vec![ScopeSpans { scope: Some(scope), spans, schema_url: String::new() }],
            schema_url: String::new(),
        }],
    }
}

/// A request as it goes over the wire.
pub(super) fn encoded(request: &ExportTraceServiceRequest, grpc: bool) -> Bytes {
    if !grpc {
        return request.encode_to_vec().into();
    }
    let length = request.encoded_len();
    let mut framed = BytesMut::with_capacity(FRAME + length);
    framed.put_u8(0);
    // A batch of spans is far below 4 GiB.
    framed.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    // There is room for all of it.
    let _ = request.encode(&mut framed);
    framed.freeze()
}

/// How many spans the collector says it does not want, and why.
pub(super) fn unwanted(answer: &[u8], grpc: bool) -> Option<(u64, String)> {
    let message = if grpc { answer.get(FRAME..)? } else { answer };
    let partial = ExportTraceServiceResponse::decode(message).ok()?.partial_success?;
    let count = u64::try_from(partial.rejected_spans).ok().filter(|count| *count > 0)?;
    Some((count, partial.error_message))
}

/// The status of an answer over HTTP (OTLP, "Failures").
pub(super) fn http_status(status: http::StatusCode, said: &[u8]) -> Result<(), Refused> {
    if status.is_success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&said[..said.len().min(200)]).into_owned();
    let text = format!("it answers {status}: {}", said.trim());
    Err(Refused { text, later: matches!(status.as_u16(), 429 | 502 | 503 | 504) })
}

/// The status of an answer over gRPC, which stands behind it, or in its head when there is no answer.
pub(super) fn grpc_status(head: &HeaderMap, trailers: Option<&HeaderMap>) -> Result<(), Refused> {
    let field = |name: &str| {
        let value = trailers.and_then(|trailers| trailers.get(name)).or_else(|| head.get(name))?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let Some(code) = field("grpc-status") else {
        return Err(Refused::later("its answer has no status of gRPC"));
    };
    if code == "0" {
        return Ok(());
    }
    // OTLP: cancelled, deadline, resources, aborted, out of range, unavailable, data loss.
    let later = matches!(&*code, "1" | "4" | "8" | "10" | "11" | "14" | "15");
    let text = format!("it answers with gRPC status {code}: {}", field("grpc-message").unwrap_or_default());
    Err(Refused { text, later })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_collector_says_is_understood() {
        let head = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
            pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
        };
        let told = |result: Result<(), Refused>| result.map_err(|refused| refused.later);
        for (head_fields, trailers, expected) in [
            (head(&[]), Some(head(&[("grpc-status", "0")])), Ok(())),
            (head(&[("grpc-status", "0")]), None, Ok(())),
            (head(&[]), Some(head(&[("grpc-status", "14")])), Err(true)),
            (head(&[("grpc-status", "3"), ("grpc-message", "no")]), None, Err(false)),
            (head(&[]), None, Err(true)),
        ] {
            assert_eq!(told(grpc_status(&head_fields, trailers.as_ref())), expected);
        }
        for (status, expected) in [
            (200, Ok(())),
            (202, Ok(())),
            (400, Err(false)),
            (404, Err(false)),
            (429, Err(true)),
            (503, Err(true)),
        ] {
            let status = http::StatusCode::from_u16(status).unwrap();
            assert_eq!(told(http_status(status, b"x")), expected, "{status}");
        }
    }

    #[test]
    fn spans_that_are_not_wanted_are_counted() {
        let partial = opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess {
            rejected_spans: 3,
            error_message: "too old".to_owned(),
        };
        let answer = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
        assert_eq!(unwanted(&answer, false), Some((3, "too old".to_owned())));
        let framed = [&[0, 0, 0, 0, 9][..], &answer].concat();
        assert_eq!(unwanted(&framed, true), Some((3, "too old".to_owned())));
        for nothing in [&[][..], &[0, 0, 0, 0, 0], &[255]] {
            assert_eq!(unwanted(nothing, true), None);
            assert_eq!(unwanted(&[], false), None);
        }
    }
}
