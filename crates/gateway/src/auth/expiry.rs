//! Keys that are not, or no longer, in force (contract 4.4 row 19).

use http::StatusCode;

use crate::clock::unix_now;
use crate::exchange::Exchange;
use crate::respond::Refusal;

/// Refuses inactive and expired keys.
#[derive(Debug)]
pub(crate) struct Expiry;

impl Expiry {
    pub(crate) fn pass(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        let Some(caller) = &exchange.caller else {
            return Err(Refusal::client(
                StatusCode::BAD_REQUEST,
                "AMF",
                "Session state is missing or unset! Please make sure that auth headers are properly applied",
            ));
        };
        if caller.common().is_inactive {
            return Err(Refusal::client(StatusCode::FORBIDDEN, "TKI", "Key is inactive, please renew"));
        }
        if caller.is_expired(unix_now()) {
            return Err(Refusal::client(StatusCode::UNAUTHORIZED, "TKE", "Key has expired, please renew"));
        }
        Ok(())
    }
}
