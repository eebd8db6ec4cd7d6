//! What changes the answers of one API on their way back, in the order of contract 4.5.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};

use crate::body::{Body, NotWhole};
use crate::exchange::{Exchange, is_grpc};
use crate::plugins::{After, Plugins};
use crate::respond::Refusal;
use crate::traces;
use crate::transform::{AnswerHeaders, Made, Programs};
use crate::validation::Answers;

/// One step on the way back. The next one sees what this one made of the answer.
#[derive(Debug)]
enum Stage {
    Answers(Answers),
    Bodies(Made),
    Headers(AnswerHeaders),
    Programs(Programs),
    /// The code of users.
    Plugins(After),
}

/// The steps that the definition asks for, in order: what the document says of answers, body, header fields, other processors, plugins, overrides of errors,
/// and last the cache, which keeps what the client gets.
#[derive(Debug, Default)]
pub(crate) struct Stages(Box<[Stage]>);

impl Stages {
    pub(super) fn new(
        answers: Option<Answers>,
        bodies: Option<Made>,
        headers: Option<AnswerHeaders>,
        programs: Option<Programs>,
        plugins: Option<&Arc<Plugins>>,
    ) -> Self {
        let mut stages = Vec::new();
        stages.extend(answers.map(Stage::Answers));
        stages.extend(bodies.map(Stage::Bodies));
        stages.extend(headers.map(Stage::Headers));
        stages.extend(programs.map(Stage::Programs));
        stages.extend(After::new(plugins).map(Stage::Plugins));
        Self(stages.into())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) async fn pass(
        &self,
        exchange: &mut Exchange,
        response: &mut Response<Body>,
    ) -> Result<(), Refusal> {
        let passed = self.each(exchange, response).await;
        traces::past_guards(exchange, passed.as_ref().err());
        passed
    }

    /// What has to wait is boxed, so that what need not, as most stages, costs no room.
    async fn each(&self, exchange: &mut Exchange, response: &mut Response<Body>) -> Result<(), Refusal> {
        for stage in &self.0 {
            traces::at_guard(exchange, || stage.span());
            match stage {
                Stage::Answers(stage) => Box::pin(stage.pass(exchange, response)).await?,
                Stage::Bodies(stage) => Box::pin(stage.answer(exchange, response)).await?,
                Stage::Programs(stage) => Box::pin(stage.answer(exchange, response)).await?,
                Stage::Headers(stage) => stage.pass(exchange, response.headers_mut()),
                Stage::Plugins(stage) => Box::pin(stage.pass(exchange, response)).await?,
            }
        }
        Ok(())
    }
}

impl Stage {
    /// What it is called in traces.
    fn span(&self) -> &'static str {
        match self {
            Self::Answers(_) => "ValidateResponse",
            Self::Bodies(_) => "ResponseTransformMiddleware",
            Self::Programs(_) => "ResponseTransformJQMiddleware",
            Self::Headers(_) => "HeaderInjector",
            Self::Plugins(_) => "CustomMiddlewareResponseHook",
        }
    }
}

/// Whether the body of an answer may be waited for: no stream (events, gRPC, what has left HTTP), and a body at all.
pub(crate) fn has_an_end(method: &Method, response: &Response<Body>) -> bool {
    let status = response.status();
    let bodiless = *method == Method::HEAD
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    !bodiless && !is_grpc(response.headers()) && !is_event_stream(response.headers())
}

pub(crate) fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    kind.len() >= 17 && kind[..17].eq_ignore_ascii_case(b"text/event-stream")
}

/// Reads the body of an answer whole, for a stage that has to look at it; the next one gets the same bytes. Ask
/// [`has_an_end`] before.
pub(crate) async fn whole(exchange: &Exchange, response: &mut Response<Body>) -> Result<Bytes, Refusal> {
    const UNREADABLE: &str = "There was a problem with reading Body of the Request.";
    let limit = exchange.gate.settings.most_kept_of_answers();
    let body = std::mem::replace(response.body_mut(), Body::empty());
    let bytes = body.whole(limit).await.map_err(|error| match error {
        NotWhole::TooLarge => too_large(),
        NotWhole::Broken(_) => {
            Refusal::backend(StatusCode::INTERNAL_SERVER_ERROR, "UPE", UNREADABLE).detail(error)
        }
    })?;
    *response.body_mut() = Body::full(bytes.clone());
    Ok(bytes)
}

/// The answer is larger than what may be kept of it (contract 4.5).
pub(crate) fn too_large() -> Refusal {
    Refusal::backend(StatusCode::INTERNAL_SERVER_ERROR, "UPE", "Response body too large")
}

/// Puts another body into an answer, with the fields that tell of it.
pub(crate) fn replace(response: &mut Response<Body>, bytes: Bytes) {
    let headers = response.headers_mut();
    headers.remove(header::TRANSFER_ENCODING);
    headers.remove(header::TRAILER);
    headers.insert(header::CONTENT_LENGTH, bytes.len().into());
    *response.body_mut() = Body::full(bytes);
}
