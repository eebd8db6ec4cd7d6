//! Answers of upstreams that have to be as the document says: told or refused, as the definition wants it. The original has
//! nothing like it.

use std::collections::BTreeMap;

use apidef::OperationRules;
use document::{Fault, pointer_join};
use http::{Response, StatusCode, header};

use super::content::Content;
use super::schemas::Schemas;
use crate::body::Body;
use crate::exchange::Exchange;
use crate::respond::Refusal;
use crate::route::Operations;
use crate::transform::Coded;

/// What the answers of one API have to be.
#[derive(Debug)]
pub(crate) struct Answers(Operations<Option<Rules>>);

#[derive(Debug)]
struct Rules {
    refuse: bool,
    by_status: BTreeMap<Box<str>, Content>,
}

impl Answers {
    /// `None` where answers may be anything.
    pub(crate) fn new(model: &apidef::Validation, ignore_case: bool) -> Result<Option<Self>, Vec<Fault>> {
        if model.operations.iter().all(|operation| operation.value.answers.is_none()) {
            return Ok(None);
        }
        let mut schemas = Schemas::new(&model.answer_schemas).map_err(|fault| vec![fault])?;
        let rules = |operation: &apidef::Operation<OperationRules>, schemas: &mut Schemas<'_>| {
            let rules = operation.value.answers.as_ref()?;
            let method = operation.method.to_ascii_lowercase();
            let at = pointer_join(&pointer_join("/paths", &operation.path), &method);
            let by_status = rules.by_status.iter().map(|(status, body)| {
                (status.clone(), schemas.content(body, &at, &format!("the answer {status}")))
            });
            Some(Rules { refuse: rules.refuse, by_status: by_status.collect() })
        };
        let operations: Vec<_> =
            model.operations.iter().map(|one| (&*one.method, &*one.path, rules(one, &mut schemas))).collect();
        schemas.finish().map_err(|fault| vec![fault])?;
        let operations = Operations::new(operations.into_iter(), ignore_case || model.ignore_case);
        operations.map(|operations| Some(Self(operations))).map_err(|text| vec![Fault::error("/paths", text)])
    }

    /// Holds an answer to the document. What the document does not name, and what has no end, may be anything.
    pub(crate) async fn pass(
        &self,
        exchange: &Exchange,
        response: &mut Response<Body>,
    ) -> Result<(), Refusal> {
        let Some(rules) = self.0.find(exchange).and_then(Option::as_ref).filter(|_| !exchange.mocked) else {
            return Ok(());
        };
        let status = response.status();
        let Some(content) = rules.of(status).filter(|content| content.looks_inside()) else { return Ok(()) };
        let Some(coded) = Coded::of(exchange, response).await? else { return Ok(()) };
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or_default();
        let checked = match coded.decoded() {
            Ok(body) => content.check(kind, &body),
            Err(why) => Err(why.unwrap_or_else(|| "it is too large to be looked at".to_owned())),
        };
        let Err(why) = checked else { return Ok(()) };
        let told = format!("response body has an error: {why}");
        if rules.refuse {
            const TEXT: &str = "The upstream's answer is not what its description says";
            return Err(Refusal::backend(StatusCode::BAD_GATEWAY, "URS", TEXT).detail(told));
        }
        if exchange.gate.metrics.may_warn() {
            let (api_id, path) = (&*exchange.api.model.id, exchange.head.uri.path());
            tracing::warn!(
                api_id,
                path,
                status = status.as_u16(),
                why = told,
                "an answer is not what the document says"
            );
        }
        Ok(())
    }
}

impl Rules {
    fn of(&self, status: StatusCode) -> Option<&Content> {
        let range = format!("{}XX", status.as_u16() / 100);
        [status.as_str(), &*range, "DEFAULT"].iter().find_map(|key| self.by_status.get(*key))
    }
}
