//! Certificates over the admin API (contract 7.3).

use std::sync::Arc;

use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::reply::{error, ok};
use super::{Call, method_not_supported};
use crate::body::Body;
use crate::certificates::{AddError, Certificate, details, summary};
use crate::gate::Gate;
use crate::respond;

pub(super) async fn answer(gate: &Arc<Gate>, call: &Call, path: &[&str]) -> Response<Body> {
    let org = call.parameter("org_id").unwrap_or_default();
    match (&call.method, path) {
        (&Method::GET, []) => list(gate, org, call.parameter("mode") == Some("detailed")).await,
        (&Method::POST, []) => add(gate, org, &call.body).await,
        (&Method::GET, [ids]) => show(gate, ids).await,
        (&Method::DELETE, [id]) => match gate.certificates.remove(org, id).await {
            Ok(_) => ok("removed"),
            Err(away) => error(StatusCode::SERVICE_UNAVAILABLE, &away.to_string()),
        },
        (_, [] | [_]) => method_not_supported(),
        _ => respond::text(StatusCode::NOT_FOUND, "404 page not found"),
    }
}

async fn add(gate: &Arc<Gate>, org: &str, body: &[u8]) -> Response<Body> {
    if body.is_empty() {
        return error(StatusCode::METHOD_NOT_ALLOWED, "Malformed request body");
    }
    match gate.certificates.add(org, body).await {
        Ok(certificate) => {
            // An API may have named it already.
            gate.offer_domains().await;
            let added = json!({"id": certificate.id, "status": "ok", "message": "Certificate added"});
            respond::json(StatusCode::OK, &added)
        }
        Err(AddError::Away(away)) => error(StatusCode::SERVICE_UNAVAILABLE, &away.to_string()),
        Err(refused) => error(StatusCode::FORBIDDEN, &refused.to_string()),
    }
}

async fn list(gate: &Arc<Gate>, org: &str, detailed: bool) -> Response<Body> {
    let ids = match gate.certificates.list(org).await {
        Ok(ids) => ids,
        Err(away) => return error(StatusCode::SERVICE_UNAVAILABLE, &away.to_string()),
    };
    if !detailed {
        return respond::json(StatusCode::OK, &json!({"certs": ids}));
    }
    match read(gate, ids.iter().map(String::as_str)).await {
        Ok(certificates) => {
            let certs: Vec<Value> = certificates.iter().map(|certificate| summary(certificate)).collect();
            respond::json(StatusCode::OK, &json!({"certs": certs}))
        }
        Err(refused) => refused,
    }
}

/// One certificate, or several where their ids are joined by commas.
async fn show(gate: &Arc<Gate>, ids: &str) -> Response<Body> {
    let certificates = match read(gate, ids.split(',')).await {
        Ok(certificates) => certificates,
        Err(refused) => return refused,
    };
    let mut told: Vec<Value> = certificates.iter().map(|certificate| details(certificate)).collect();
    match told.len() {
        0 => error(StatusCode::NOT_FOUND, "Certificate with given SHA256 fingerprint not found"),
        1 if !ids.contains(',') => respond::json(StatusCode::OK, &told.remove(0)),
        _ => respond::json(StatusCode::OK, &told),
    }
}

async fn read(gate: &Gate, ids: impl Iterator<Item = &str>) -> Result<Vec<Arc<Certificate>>, Response<Body>> {
    let mut found = Vec::new();
    for id in ids {
        // The ids of the store only: an admin's question is no way to the files of the machine.
        let stored = if id.contains(['/', '.']) { Ok(None) } else { gate.certificates.get(id).await };
        match stored {
            Ok(certificate) => found.extend(certificate),
            Err(away) => return Err(error(StatusCode::SERVICE_UNAVAILABLE, &away.to_string())),
        }
    }
    Ok(found)
}
