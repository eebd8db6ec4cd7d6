//! Bodies that have to be as a JSON schema says (contract 2.5 `validate_json`, 4.4 row 30).

use document::Fault;
use http::StatusCode;
use jsonschema::Validator;
use serde_json::Value;

use super::{compile, message};
use crate::exchange::Exchange;
use crate::respond::Refusal;
use crate::route::{Collector, PerPath};

/// The schemas of one API.
#[derive(Debug)]
pub(crate) struct Bodies(PerPath<Schema>);

#[derive(Debug)]
struct Schema {
    validator: Validator,
    status: StatusCode,
}

impl Bodies {
    /// `None` where bodies may be anything.
    pub(crate) fn new(
        model: &[apidef::AtPath<apidef::BodySchema>],
        patterns: &Collector,
    ) -> Result<Option<Self>, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut schemas = Vec::with_capacity(model.len());
        for one in model {
            match compile(&one.value.schema, &format!("{}/schema", one.at.0)) {
                Ok(validator) => schemas.push(Some(validator)),
                Err(fault) => {
                    schemas.push(None);
                    faults.push(fault);
                }
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut schemas = schemas.into_iter().flatten();
        let compiled = model.iter().zip(&mut schemas).map(|(one, validator)| {
            let status = StatusCode::from_u16(one.value.status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
            (one.into(), Schema { validator, status })
        });
        let paths = PerPath::new(patterns, compiled);
        Ok((!paths.is_empty()).then_some(Self(paths)))
    }

    pub(crate) async fn pass(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        let Some(schema) = self.0.find(exchange) else { return Ok(()) };
        let body = exchange.whole_body().await?;
        let value: Value = serde_json::from_slice(&body).map_err(|error| {
            // What is said of nothing at all is what the original says.
            let why = if body.is_empty() { "EOF".to_owned() } else { error.to_string() };
            Refusal::client(StatusCode::BAD_REQUEST, "BIV", format!("JSON parsing error: {why}"))
        })?;
        match message::violations(&schema.validator, &value) {
            None => Ok(()),
            Some(told) => Err(Refusal::client(schema.status, "BIV", told)),
        }
    }
}
