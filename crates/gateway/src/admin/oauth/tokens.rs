//! Codes and tokens are given, listed and taken back.

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;

use super::super::reply::{error, json, modified, ok};
use super::super::{Call, Outcome};
use super::{NO_CLIENT, server, servers, with_client};
use crate::clock::unix_now;
use crate::gate::Gate;
use crate::oauth::Form;
use crate::oauth::revoke::{self, Meant, Trace};
use crate::oauth::{client, lapsed};
use crate::respond;

/// Tokens on a page of a listing.
const PAGE: usize = 100;

#[derive(Serialize)]
struct Token {
    /// Its name in the store: a hash, unless keys are not hashed.
    code: String,
    expires: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    pagination: Pagination,
    tokens: Vec<Token>,
}

#[derive(Serialize)]
struct Pagination {
    page_num: usize,
    page_total: usize,
    page_size: usize,
}

/// The form that a call brings.
fn form(call: &Call) -> Option<Form> {
    Form::read("", Some("application/x-www-form-urlencoded"), &call.body).ok()
}

fn malformed() -> http::Response<crate::body::Body> {
    error(StatusCode::BAD_REQUEST, "Request malformed")
}

/// `POST /oauth/authorize-client`: as the endpoint below an API's listen path, with the API found by its client.
pub(in crate::admin) async fn authorize(gate: &Arc<Gate>, call: &Call) -> Outcome {
    let Some(form) = form(call) else { return Ok(malformed()) };
    let id = form.get("client_id").unwrap_or_default();
    let mut found = with_client(gate, None, id).await?;
    if let Some(api) = form.get("api_id") {
        found.retain(|(known, _)| *known.model.id == *api);
    }
    let api = match found.as_slice() {
        [] => return Ok(error(StatusCode::NOT_FOUND, NO_CLIENT)),
        [(api, _)] => Arc::clone(api),
        _ => {
            let text = "Several APIs know this client: name one of them as api_id";
            return Ok(error(StatusCode::BAD_REQUEST, text));
        }
    };
    let Some(server) = &api.oauth else { return Ok(error(StatusCode::NOT_FOUND, NO_CLIENT)) };
    let answer = server.authorize_client(gate, &form).await;
    let headers = http::HeaderMap::new();
    Ok(answer.unwrap_or_else(|refusal| respond::refusal(&refusal, &headers, &gate.settings, None)))
}

/// `GET /oauth/clients/{api}/{client}/tokens`.
pub(in crate::admin) async fn of_client(gate: &Arc<Gate>, call: &Call) -> Outcome {
    let (api, client) = (&call.name, &call.beside);
    if server(gate, api).is_none() || client::find(gate, api, client).await?.is_none() {
        return Ok(error(StatusCode::NOT_FOUND, NO_CLIENT));
    }
    let found = revoke::tokens_of(gate, api, client, unix_now()).await?;
    let tokens = found.into_iter().map(|(code, expires)| Token { code, expires });
    let Some(page) = call.parameter("page") else {
        return Ok(json(StatusCode::OK, &tokens.collect::<Vec<_>>()));
    };
    let number = page.parse::<usize>().unwrap_or(1).max(1);
    let page_total = tokens.len().div_ceil(PAGE);
    let tokens = tokens.skip((number - 1).saturating_mul(PAGE)).take(PAGE).collect();
    let pagination = Pagination { page_num: number, page_total, page_size: PAGE };
    Ok(json(StatusCode::OK, &Page { pagination, tokens }))
}

/// `DELETE /oauth/refresh/{token}`.
pub(in crate::admin) async fn forget_refresh(gate: &Arc<Gate>, call: &Call) -> Outcome {
    let Some(id) = call.parameter("api_id") else {
        return Ok(error(StatusCode::BAD_REQUEST, "Missing parameter api_id"));
    };
    if !gate.snapshot().apis.contains_key(id) {
        return Ok(error(StatusCode::NOT_FOUND, "API for this refresh token not found"));
    }
    if server(gate, id).is_none() {
        return Ok(error(StatusCode::BAD_REQUEST, "OAuth is not enabled on this API"));
    }
    revoke::token(gate, id, &call.name, Meant::Refresh, None).await?;
    Ok(modified(&call.name, "deleted"))
}

/// `POST /oauth/revoke`.
pub(in crate::admin) async fn revoke(gate: &Arc<Gate>, call: &Call) -> Outcome {
    let Some(form) = form(call) else { return Ok(malformed()) };
    let Some(token) = form.get("token") else {
        return Ok(error(StatusCode::BAD_REQUEST, "token is required"));
    };
    for api in servers(gate, form.get("org_id")) {
        revoke::token(gate, &api.model.id, token, Meant::Any, form.get("client_id")).await?;
    }
    Ok(ok("token revoked successfully"))
}

/// `POST /oauth/revoke_all`.
pub(in crate::admin) async fn revoke_all(gate: &Arc<Gate>, call: &Call) -> Outcome {
    let Some(form) = form(call) else { return Ok(malformed()) };
    let required = |text| Ok(error(StatusCode::UNAUTHORIZED, text));
    let Some(id) = form.get("client_id") else { return required("client_id is required") };
    let Some(secret) = form.get("client_secret") else { return required("client_secret is required") };
    let found = with_client(gate, form.get("org_id"), id).await?;
    if found.is_empty() {
        return Ok(error(StatusCode::NOT_FOUND, "oauth client doesn't exist"));
    }
    let theirs: Vec<_> = found.iter().filter(|(_, client)| client.opens(secret)).collect();
    if theirs.is_empty() {
        return required("client secret is wrong");
    }
    for (api, client) in theirs {
        revoke::all_of(gate, &api.model.id, &client.id, Trace::None).await?;
    }
    Ok(ok("tokens revoked successfully"))
}

/// `DELETE /oauth/tokens?scope=lapsed`.
pub(in crate::admin) async fn purge(gate: &Arc<Gate>, call: &Call) -> Outcome {
    match call.parameter("scope") {
        None => Ok(error(StatusCode::UNPROCESSABLE_ENTITY, "scope parameter is required")),
        Some("lapsed") => {
            lapsed::purge(gate).await?;
            Ok(ok("lapsed tokens purged"))
        }
        Some(_) => Ok(error(StatusCode::BAD_REQUEST, "unknown scope")),
    }
}
