//! Whether the caller may use this API, and this path and method of it (contract 4.4 rows 20 and 21).

use http::StatusCode;

use super::terms::Urls;
use super::token::disallowed;
use crate::exchange::Exchange;
use crate::query;
use crate::respond::Refusal;

/// Refuses callers without a right to the API.
#[derive(Debug)]
pub(crate) struct AccessRights;

impl AccessRights {
    pub(crate) fn pass(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        let api = &exchange.api.model;
        let grant = exchange.caller.as_ref().map(|caller| caller.grant(&api.id));
        exchange.grant = grant.filter(|grant| grant.terms.allowed && grant.terms.opens_version(&api.version));
        if exchange.grant.is_some() { Ok(()) } else { Err(disallowed()) }
    }
}

/// Refuses paths and methods that the caller's rights leave out.
#[derive(Debug)]
pub(crate) struct GranularAccess;

impl GranularAccess {
    pub(crate) fn pass(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        let Some(grant) = &exchange.grant else { return Err(disallowed()) };
        if matches!(grant.terms.urls, Urls::All) {
            return Ok(());
        }
        // As an upstream reads them, whatever of them the client has escaped.
        let (within, whole) =
            (query::decode_path(exchange.path_in_api()), query::decode_path(exchange.head.uri.path()));
        let allowed = grant.terms.urls.allow(exchange.head.method.as_str(), &[&within, &whole]);
        if allowed {
            Ok(())
        } else {
            Err(Refusal::client(StatusCode::FORBIDDEN, "EAD", "Access to this resource has been disallowed"))
        }
    }
}
