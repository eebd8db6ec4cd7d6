//! The limit over all callers of one API together (contract 4.4 row 25).

use std::sync::Arc;
use std::time::Instant;

use apidef::Rate;
use http::StatusCode;

use super::window::Window;
use crate::exchange::Exchange;
use crate::respond::Refusal;

/// Counts every exchange of an API in one window.
#[derive(Debug)]
pub(crate) struct ApiRate {
    rate: Rate,
    window: Arc<Window>,
}

impl ApiRate {
    pub(crate) fn new(rate: Rate, window: Arc<Window>) -> Self {
        Self { rate, window }
    }

    pub(crate) fn pass(&self, _exchange: &mut Exchange) -> Result<(), Refusal> {
        let taken = self.window.take(self.rate.requests as u64, self.rate.per, Instant::now());
        if taken.allowed {
            Ok(())
        } else {
            Err(Refusal::client(StatusCode::TOO_MANY_REQUESTS, "RLT", "API Rate Limit Exceeded"))
        }
    }
}
