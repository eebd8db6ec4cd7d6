//! Keys that are not, or no longer, in force (contract 4.4 row 19).

use std::time::{SystemTime, UNIX_EPOCH};

use http::StatusCode;

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
        if caller.session.is_inactive {
            return Err(Refusal::client(StatusCode::FORBIDDEN, "TKI", "Key is inactive, please renew"));
        }
        let expires = caller.session.expires;
        if expires > 0 && now() >= expires {
            return Err(Refusal::client(StatusCode::UNAUTHORIZED, "TKE", "Key has expired, please renew"));
        }
        Ok(())
    }
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}
