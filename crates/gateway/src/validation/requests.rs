//! Requests that have to be as the document says (contract 3.5).

use apidef::{OperationRules, Parameter, ParameterPlace};
use document::{Fault, pointer_join};
use http::{StatusCode, header};
use serde_json::Value;

use super::content::Content;
use super::parameters::{Found, Given, read};
use super::schemas::{Asked, Schemas};
use super::shape::Shape;
use crate::exchange::Exchange;
use crate::respond::Refusal;
use crate::route::{Collector, Match, Operations, PerPath};
use crate::transform::{Coding, Undecoded};

/// What the requests of one API have to be.
#[derive(Debug)]
pub(crate) struct Requests {
    operations: Operations<Operation>,
    guarded: PerPath<StatusCode>,
}

#[derive(Debug)]
struct Operation {
    /// Operations whose paths are alike have the same one.
    alike: Box<str>,
    /// How much its path tells of its parameters.
    strictness: u8,
    rules: Option<Rules>,
}

#[derive(Debug)]
struct Rules {
    status: StatusCode,
    parameters: Box<[Checked]>,
    body: Option<Content>,
}

#[derive(Debug)]
struct Checked {
    parameter: Parameter,
    shape: Shape,
    /// `None`: it may be anything.
    asked: Option<Asked>,
}

impl Requests {
    /// `None` where requests may be anything.
    pub(crate) fn new(
        model: &apidef::Validation,
        ignore_case: bool,
        patterns: &Collector,
    ) -> Result<Option<Self>, Vec<Fault>> {
        if model.guarded.is_empty() {
            return Ok(None);
        }
        let mut schemas = Schemas::new(&model.request_schemas).map_err(|fault| vec![fault])?;
        let operations: Vec<_> = model
            .operations
            .iter()
            .map(|one| (&*one.method, &*one.path, Operation::new(one, &mut schemas)))
            .collect();
        schemas.finish().map_err(|fault| vec![fault])?;
        let operations = Operations::new(operations.into_iter(), ignore_case || model.ignore_case)
            .map_err(|text| vec![Fault::error("/paths", text)])?;
        let guarded = PerPath::of(patterns, &model.guarded, |one| status(one.value));
        Ok(Some(Self { operations, guarded }))
    }

    pub(crate) async fn pass(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        let matches = self.operations.all(exchange);
        let Some(first) = matches.first() else { return self.unknown(exchange) };
        let alike: Vec<&Match<'_, Operation>> =
            matches.iter().filter(|one| one.value.alike == first.value.alike).collect();
        let Some(chosen) = choose(exchange, alike) else {
            let status =
                first.value.rules.as_ref().map_or(StatusCode::UNPROCESSABLE_ENTITY, |rules| rules.status);
            return Err(refused(status, "path parameter doesn't match any endpoint"));
        };
        let Some(rules) = &chosen.value.rules else { return Ok(()) };
        let given = given(exchange, chosen);
        for parameter in &rules.parameters {
            parameter.check(&given).map_err(|why| refused(rules.status, &why))?;
        }
        let Some(content) = rules.body.as_ref().filter(|content| content.looks_inside()) else {
            return Ok(());
        };
        let told = |why: String| refused(rules.status, &format!("request body has an error: {why}"));
        if exchange.head.headers.get_all(header::CONTENT_TYPE).iter().nth(1).is_some() {
            // Upstreams differ in which of them counts.
            return Err(told("header Content-Type is there more than once".to_owned()));
        }
        if exchange.streams() {
            // What has no end is held to its type alone, which any client may write.
            let kind = exchange.head.headers.get(header::CONTENT_TYPE);
            let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
            return content.check_kind(kind).map_err(told);
        }
        let body = exchange.whole_body().await?;
        let limit = exchange.gate.settings.most_kept_of_requests();
        let headers = &exchange.head.headers;
        let plain = Coding::of(headers).and_then(|coding| coding.decode(&body, limit));
        let plain = plain.map_err(|error| match error {
            Undecoded::TooLarge => {
                Refusal::client(StatusCode::PAYLOAD_TOO_LARGE, "BTL", "Request Entity Too Large")
            }
            error => told(format!("failed to decode request body: {error}")),
        })?;
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        content.check(kind, &plain).map_err(told)
    }

    /// A request that fits the pattern of a path and is none of its operations.
    fn unknown(&self, exchange: &Exchange) -> Result<(), Refusal> {
        let Some(status) = self.guarded.find(exchange) else { return Ok(()) };
        let (method, path) = (&exchange.head.method, exchange.path_in_api());
        let text = format!("no matching operation was found for request: {method} {path}");
        Err(refused(*status, &text))
    }
}

/// Of operations whose paths are alike the one whose parameters these are, the strictest first (contract 3.1, "Path
/// overlap").
fn choose<'a, 'o>(
    exchange: &Exchange,
    mut alike: Vec<&'a Match<'o, Operation>>,
) -> Option<&'a Match<'o, Operation>> {
    if let [only] = &*alike {
        return Some(only);
    }
    alike.sort_by_key(|one| (one.value.rules.is_none(), std::cmp::Reverse(one.value.strictness)));
    alike.into_iter().find(|one| {
        let given = given(exchange, one);
        let in_path = one.value.rules.iter().flat_map(|rules| &rules.parameters);
        let mut in_path = in_path.filter(|checked| checked.parameter.place == ParameterPlace::Path);
        in_path.all(|checked| checked.check(&given).is_ok())
    })
}

fn given<'r>(exchange: &'r Exchange, found: &'r Match<'_, Operation>) -> Given<'r> {
    Given {
        path: &found.parameters,
        path_decoded: found.decoded,
        query: exchange.head.uri.query().unwrap_or_default(),
        headers: &exchange.head.headers,
    }
}

fn refused(status: StatusCode, why: &str) -> Refusal {
    Refusal::client(status, "BIV", format!("request validation error: {why}"))
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY)
}

impl Operation {
    fn new(model: &apidef::Operation<OperationRules>, schemas: &mut Schemas<'_>) -> Self {
        let at = pointer_join(&pointer_join("/paths", &model.path), &model.method.to_ascii_lowercase());
        let mut strictness = 0;
        let rules = model.value.request.as_ref().map(|request| {
            let parameters: Box<[Checked]> =
                request.parameters.iter().map(|parameter| Checked::new(parameter, schemas, &at)).collect();
            let in_path = parameters.iter().filter(|one| one.parameter.place == ParameterPlace::Path);
            strictness = in_path.fold(0_u8, |sum, one| sum.saturating_add(one.shape.strictness()));
            let body = request.body.as_ref();
            let body = body.map(|body| schemas.content(body, &at, "the body of requests"));
            Rules { status: status(request.status), parameters, body }
        });
        Self { alike: alike(&model.path), strictness, rules }
    }
}

/// A path without the names of its parameters.
fn alike(path: &str) -> Box<str> {
    let mut out = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        out.push_str("{}");
        rest = after.split_once('}').map_or("", |(_, rest)| rest);
    }
    out.push_str(rest);
    out.into()
}

impl Checked {
    fn new(parameter: &Parameter, schemas: &mut Schemas<'_>, at: &str) -> Self {
        let used_as = format!("the parameter `{}`", parameter.name);
        let asked = match &parameter.schema {
            Value::Bool(true) => None,
            schema => Some(schemas.add(schema, at, &used_as)),
        };
        Self { shape: schemas.shape(&parameter.schema), parameter: parameter.clone(), asked }
    }

    fn check(&self, given: &Given<'_>) -> Result<(), String> {
        let parameter = &self.parameter;
        let told = |why: &str| {
            let (name, place) = (&*parameter.name, parameter.place.name());
            format!("parameter {name:?} in {place} has an error: {why}")
        };
        let values = match read(parameter, &self.shape, given).map_err(|why| told(&why))? {
            Found::Nothing if parameter.required => return Err(told("value is required but missing")),
            Found::Nothing => return Ok(()),
            Found::Empty if parameter.may_be_empty => return Ok(()),
            Found::Empty => return Err(told("empty value is not allowed")),
            Found::Values(values) => values,
        };
        let Some(asked) = &self.asked else { return Ok(()) };
        let mut first = None;
        for value in values {
            match asked.violations(value) {
                None => return Ok(()),
                Some(why) => first = first.or(Some(why)),
            }
        }
        first.map_or(Ok(()), |why| Err(told(&why)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_alike_whatever_their_parameters_are_called() {
        for (path, like) in
            [("/a/{id}/b/{x}", "/a/{}/b/{}"), ("/a", "/a"), ("/{a}.json", "/{}.json"), ("/a/{", "/a/{}")]
        {
            assert_eq!(&*alike(path), like);
        }
    }
}
