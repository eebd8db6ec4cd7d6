//! Certificates over the admin API (contract 7.3).

use std::sync::Arc;

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::catalog::not_taken;
use super::endpoints::methods;
use super::reply::{error, json, ok, other_method};
use super::together::together;
use super::{Call, Outcome};
use crate::body::Body;
use crate::certificates::{AddError, Certificate, RemoveError, details, summary};
use crate::gate::Gate;

fn org(call: &Call) -> &str {
    call.parameter("org_id").unwrap_or_default()
}

pub(super) async fn add(gate: &Gate, call: &Call) -> Outcome {
    if call.body.is_empty() {
        return Ok(other_method("Malformed request body", &methods(call.endpoint.path)));
    }
    match gate.certificates.add(org(call), &call.body).await {
        Ok(certificate) => {
            // An API may have named it already.
            gate.offer_domains().await;
            let added = json!({"id": certificate.id, "status": "ok", "message": "Certificate added"});
            Ok(json(StatusCode::OK, &added))
        }
        Err(AddError::Away(away)) => Err(away),
        Err(AddError::Catalog(failure)) => Ok(not_taken(&failure, refused)),
        Err(refused) => Ok(error(StatusCode::FORBIDDEN, &refused.to_string())),
    }
}

fn refused(failure: &::state::CatalogError) -> Response<Body> {
    error(StatusCode::INTERNAL_SERVER_ERROR, &failure.to_string())
}

pub(super) async fn remove(gate: &Gate, call: &Call, id: &str) -> Outcome {
    match gate.certificates.remove(org(call), id).await {
        Ok(_) => {}
        Err(RemoveError::Away(away)) => return Err(away),
        Err(RemoveError::Catalog(failure)) => return Ok(not_taken(&failure, refused)),
    }
    gate.offer_domains().await;
    Ok(ok("removed"))
}

pub(super) async fn list(gate: &Gate, call: &Call) -> Outcome {
    let ids = gate.certificates.list(org(call)).await?;
    if call.parameter("mode") != Some("detailed") {
        return Ok(json(StatusCode::OK, &json!({"certs": ids})));
    }
    let certificates = read(gate, ids.iter().map(String::as_str)).await?;
    let certs: Vec<Value> = certificates.iter().map(|certificate| summary(certificate)).collect();
    Ok(json(StatusCode::OK, &json!({"certs": certs})))
}

/// One certificate, or several where their ids are joined by commas.
pub(super) async fn show(gate: &Gate, ids: &str) -> Outcome {
    let certificates = read(gate, ids.split(',')).await?;
    let mut told: Vec<Value> = certificates.iter().map(|certificate| details(certificate)).collect();
    Ok(match told.len() {
        0 => error(StatusCode::NOT_FOUND, "Certificate with given SHA256 fingerprint not found"),
        1 if !ids.contains(',') => json(StatusCode::OK, &told.remove(0)),
        _ => json(StatusCode::OK, &told),
    })
}

async fn read(
    gate: &Gate,
    ids: impl Iterator<Item = &str>,
) -> Result<Vec<Arc<Certificate>>, ::state::Unavailable> {
    // Those of the store only: an admin's question is no way to the files of the machine.
    let found = together(ids.map(|id| gate.certificates.stored(id))).await?;
    Ok(found.into_iter().flatten().collect())
}
