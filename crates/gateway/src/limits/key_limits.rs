//! Rate and quota of the calling key (contract 4.4 row 22, 6.5, 6.6).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use http::StatusCode;

use super::Budget;
use super::window::Taken;
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
        let taken = if gate.settings.shared_rates {
            match gate.state.count_rate(&rate.name, rate.requests, rate.per).await {
                Ok(count) => Taken {
                    allowed: !count.exceeded,
                    remaining: (rate.requests as u64).saturating_sub(count.used),
                    resets_in: count.resets_in,
                },
                Err(away) => {
                    degraded(exchange, &away);
                    rate.take_here()
                }
            }
        } else {
            rate.take_here()
        };
        if gate.settings.limit_headers == LimitHeaders::RateLimits {
            exchange.budget = Budget {
                limit: rate.requests as i64,
                remaining: i64::try_from(taken.remaining).unwrap_or(i64::MAX),
                reset: unix_after(taken.resets_in),
                on_refusals: true,
            };
        }
        if taken.allowed {
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
        let gate = &exchange.gate;
        let (exceeded, remaining, reset) =
            match gate.state.count_quota(&quota.name, quota.max, quota.renewal, unix_now()).await {
                Ok(count) => (count.exceeded, count.remaining(quota.max), count.renews_at),
                Err(away) => {
                    degraded(exchange, &away);
                    let window = gate.windows.get(&format!("quota-{}", quota.name));
                    let renewal = if quota.renewal.is_zero() { Duration::MAX } else { quota.renewal };
                    let taken = window.take(quota.max.unsigned_abs(), renewal, Instant::now());
                    let remaining = i64::try_from(taken.remaining).unwrap_or(i64::MAX);
                    (!taken.allowed, remaining, unix_after(taken.resets_in))
                }
            };
        if gate.settings.limit_headers == LimitHeaders::Quotas {
            exchange.budget = Budget { limit: quota.max, remaining, reset, on_refusals: false };
        }
        if exceeded { Err(Refusal::client(StatusCode::FORBIDDEN, "QEX", "Quota exceeded")) } else { Ok(()) }
    }
}

/// The store is away: limits go on for this node alone (design: "continue per node, marked degraded").
fn degraded(exchange: &Exchange, away: &state::Unavailable) {
    exchange.gate.metrics.degraded_limits.fetch_add(1, Ordering::Relaxed);
    tracing::debug!(api_id = &*exchange.api.model.id, %away, "counted on this node alone");
}
