//! Rate and quota of the calling key (contract 4.4 row 22, 6.5, 6.6).

use std::sync::Arc;
use std::time::Instant;

use http::StatusCode;

use super::Budget;
use crate::auth::Grant;
use crate::clock::{unix_after, unix_now};
use crate::exchange::Exchange;
use crate::respond::Refusal;
use crate::settings::LimitHeaders;

/// Counts the exchange against its key's limits for this API.
#[derive(Debug)]
pub(crate) struct KeyLimits {
    pub(crate) rate: bool,
    pub(crate) quota: bool,
}

impl KeyLimits {
    pub(crate) async fn pass(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        let Some(grant) = exchange.grant.clone() else { return Ok(()) };
        if self.rate {
            self.count_rate(exchange, &grant).await?;
        }
        if self.quota {
            self.count_quota(exchange, &grant).await?;
        }
        Ok(())
    }

    async fn count_rate(&self, exchange: &mut Exchange, grant: &Arc<Grant>) -> Result<(), Refusal> {
        let Some(rate) = &grant.rate else { return Ok(()) };
        let gate = &exchange.gate;
        let (allowed, remaining, resets_in) = if gate.settings.shared_rates {
            let count = gate
                .state
                .count_rate(&rate.name, rate.requests, rate.per)
                .await
                .map_err(Refusal::store_away)?;
            let remaining = (rate.requests as u64).saturating_sub(count.used);
            (!count.exceeded, remaining, count.resets_in)
        } else {
            let taken = rate.window.take(rate.requests as u64, rate.per, Instant::now());
            (taken.allowed, taken.remaining, taken.resets_in)
        };
        if gate.settings.limit_headers == LimitHeaders::RateLimits {
            exchange.budget = Budget {
                limit: rate.requests as i64,
                remaining: i64::try_from(remaining).unwrap_or(i64::MAX),
                reset: unix_after(resets_in),
                on_refusals: true,
            };
        }
        if allowed {
            Ok(())
        } else {
            Err(Refusal::client(StatusCode::TOO_MANY_REQUESTS, "RLT", "Rate Limit Exceeded"))
        }
    }

    async fn count_quota(&self, exchange: &mut Exchange, grant: &Arc<Grant>) -> Result<(), Refusal> {
        let quota = &grant.quota;
        if quota.max <= 0 {
            if exchange.gate.settings.limit_headers == LimitHeaders::Quotas {
                exchange.budget =
                    Budget { limit: quota.max, remaining: quota.max, reset: 0, on_refusals: false };
            }
            return Ok(());
        }
        let count = exchange
            .gate
            .state
            .count_quota(&quota.name, quota.max, quota.renewal, unix_now())
            .await
            .map_err(Refusal::store_away)?;
        if exchange.gate.settings.limit_headers == LimitHeaders::Quotas {
            exchange.budget = Budget {
                limit: quota.max,
                remaining: count.remaining(quota.max),
                reset: count.renews_at,
                on_refusals: false,
            };
        }
        if count.exceeded {
            Err(Refusal::client(StatusCode::FORBIDDEN, "QEX", "Quota exceeded"))
        } else {
            Ok(())
        }
    }
}
