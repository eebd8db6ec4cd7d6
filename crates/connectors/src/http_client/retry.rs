//! When a request is sent again (streams contract 2.1, code evaluation order).

use std::time::Duration;

use document::Fault;
use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use streams::Node;

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is what was wanted.
    Success,
    /// It is final: another attempt would not help.
    Drop,
    /// Another attempt after a growing wait.
    BackOff,
    /// Another attempt after the usual wait.
    Retry,
}

/// The rules of one client.
#[derive(Debug)]
pub(super) struct Retry {
    pub(super) retries: usize,
    period: Duration,
    longest: Duration,
    back_off: Vec<u16>,
    drop: Vec<u16>,
    success: Vec<u16>,
}

impl Retry {
    pub(super) fn read(node: &Node<'_>) -> Result<Retry, Fault> {
        let codes = |name: &str, default: &[u16]| {
            if !node.has(name) {
                return Ok(default.to_vec());
            }
            let code = |item: &Node<'_>| {
                let code = item.value().as_u64().and_then(|code| u16::try_from(code).ok());
                code.filter(|code| (100..1000).contains(code))
                    .ok_or_else(|| item.fault("a status code is expected"))
            };
            node.items(name).iter().map(code).collect::<Result<Vec<_>, Fault>>()
        };
        let time = |name: &str| node.duration(name).map(Option::unwrap_or_default);
        Ok(Retry {
            retries: node.count("retries")?,
            period: time("retry_period")?,
            longest: time("max_retry_backoff")?,
            back_off: codes("backoff_on", &[429])?,
            drop: codes("drop_on", &[])?,
            success: codes("successful_on", &[])?,
        })
    }

    pub(super) fn judge(&self, status: StatusCode) -> Verdict {
        let code = status.as_u16();
        if self.drop.contains(&code) {
            Verdict::Drop
        } else if self.back_off.contains(&code) {
            Verdict::BackOff
        } else if self.success.contains(&code) || status.is_success() {
            Verdict::Success
        } else {
            Verdict::Retry
        }
    }

    /// The wait before another attempt; `back_offs` is how many there were already that grow it.
    pub(super) fn pause(&self, verdict: Verdict, back_offs: u32, headers: Option<&HeaderMap>) -> Duration {
        if verdict != Verdict::BackOff {
            return self.period;
        }
        let grown = self.period.saturating_mul(1_u32.checked_shl(back_offs).unwrap_or(u32::MAX));
        let asked = headers.and_then(|headers| headers.get(RETRY_AFTER));
        let asked = asked.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        grown.max(asked.map(Duration::from_secs).unwrap_or_default()).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_judged_in_their_order_and_waits_grow_to_a_limit() {
        let retry = Retry {
            retries: 3,
            period: Duration::from_secs(1),
            longest: Duration::from_secs(5),
            back_off: vec![429, 200, 400],
            drop: vec![400, 404],
            success: vec![404, 302],
        };
        for (code, verdict) in [
            (404, Verdict::Drop),
            (400, Verdict::Drop),
            (200, Verdict::BackOff),
            (302, Verdict::Success),
            (204, Verdict::Success),
            (500, Verdict::Retry),
            (301, Verdict::Retry),
        ] {
            assert_eq!(retry.judge(StatusCode::from_u16(code).unwrap()), verdict, "{code}");
        }
        let after = HeaderMap::from_iter([(RETRY_AFTER, http::HeaderValue::from_static("4"))]);
        for (verdict, before, headers, seconds) in [
            (Verdict::Retry, 9, None, 1),
            (Verdict::BackOff, 0, None, 1),
            (Verdict::BackOff, 1, None, 2),
            (Verdict::BackOff, 40, None, 5),
            (Verdict::BackOff, 0, Some(&after), 4),
        ] {
            assert_eq!(retry.pause(verdict, before, headers), Duration::from_secs(seconds));
        }
    }
}
