//! The body of an answer, as it is meant and as it came: what changes bodies begins here.

use bytes::Bytes;
use http::Response;

use super::bodies::told;
use super::coding::{Coding, Undecoded};
use crate::body::Body;
use crate::chain::{has_an_end, whole};
use crate::exchange::Exchange;
use crate::respond::Refusal;

/// A body that may be looked at.
#[derive(Debug, Clone)]
pub(crate) struct Coded {
    pub(super) bytes: Bytes,
    pub(super) coding: Coding,
    limit: usize,
}

impl Coded {
    /// Reads the body of an answer. `None`: it goes on as it is, because it has no end or nobody here can decode it.
    pub(crate) async fn of(
        exchange: &Exchange,
        response: &mut Response<Body>,
    ) -> Result<Option<Self>, Refusal> {
        if !has_an_end(&exchange.head.method, response) {
            return Ok(None);
        }
        let coding = match Coding::of(response.headers()) {
            Ok(coding) => coding,
            Err(error) => {
                told(exchange, "response", &error.to_string());
                return Ok(None);
            }
        };
        let bytes = whole(exchange, response).await?;
        Ok(Some(Self { bytes, coding, limit: exchange.gate.settings.most_kept_of_answers() }))
    }

    /// The body without its coding, or why there is none; `Err(None)`: it is too large.
    pub(crate) fn decoded(&self) -> Result<Bytes, Option<String>> {
        self.coding.decode(&self.bytes, self.limit).map_err(|error| match error {
            Undecoded::TooLarge => None,
            other => Some(other.to_string()),
        })
    }
}
