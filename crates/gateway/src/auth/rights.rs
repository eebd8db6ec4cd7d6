//! Whether the caller may use this API, and this path and method of it (contract 4.4 rows 20 and 21).

use http::StatusCode;

use super::token::disallowed;
use crate::exchange::Exchange;
use crate::respond::Refusal;

/// Refuses callers without a right to the API.
#[derive(Debug)]
pub(crate) struct AccessRights;

impl AccessRights {
    pub(crate) fn pass(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        match &exchange.caller {
            Some(caller) if caller.grant(&exchange.api.model.id).allowed => Ok(()),
            _ => Err(disallowed()),
        }
    }
}

/// Refuses paths and methods that the caller's rights leave out.
#[derive(Debug)]
pub(crate) struct GranularAccess;

impl GranularAccess {
    pub(crate) fn pass(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        let Some(caller) = &exchange.caller else { return Ok(()) };
        let grant = caller.grant(&exchange.api.model.id);
        let Some(urls) = &grant.urls else { return Ok(()) };
        let candidates = [exchange.path_in_api(), exchange.head.uri.path()];
        let allowed = urls.iter().any(|url| {
            url.methods.contains(&exchange.head.method)
                && url.path.as_ref().is_some_and(|regex| candidates.iter().any(|path| regex.is_match(path)))
        });
        if allowed {
            Ok(())
        } else {
            Err(Refusal::client(
                StatusCode::FORBIDDEN,
                "EAD",
                "Access to this resource has been disallowed",
            ))
        }
    }
}
