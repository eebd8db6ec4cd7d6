//! One event to one webhook: signed as the Standard Webhooks specification says, and sent until it is taken.
//!
//! `webhook-signature` is `v1,` and the HMAC-SHA256 of `id.timestamp.body` in base64. The key is what the developer has
//! given as the secret: as it is, or decoded from base64 where it begins with `whsec_`.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio::time::timeout;

use super::portal::Subscription;
use crate::addresses::shown;
use crate::http_client::exchange::{Exchange, Request, whole};

/// Longest answer that is read, so that the connection can be used again; nothing is made of it.
const MOST_ANSWER: usize = 64 << 10;

/// An event on its way to all who want it.
pub(super) struct Event {
    /// The same for every attempt, so that webhooks can tell repetitions.
    pub(super) id: String,
    body: Bytes,
    headers: HeaderMap,
}

impl Event {
    pub(super) fn new(body: Bytes, mut headers: HeaderMap) -> Event {
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        Event { id: format!("msg_{:032x}", rand::random::<u128>()), body, headers }
    }

    /// Its headers for one attempt at this time, in seconds since 1970.
    fn signed(&self, secret: &str, seconds: u64) -> Result<HeaderMap, String> {
        let mut headers = self.headers.clone();
        let mut set = |name: &'static str, value: String| {
            let value = HeaderValue::try_from(value).map_err(|fault| format!("{name}: {fault}"))?;
            headers.insert(HeaderName::from_static(name), value);
            Ok::<_, String>(())
        };
        set("webhook-id", self.id.clone())?;
        set("webhook-timestamp", seconds.to_string())?;
        if !secret.is_empty() {
            set("webhook-signature", signature(secret, &self.id, seconds, &self.body))?;
        }
        Ok(headers)
    }
}

fn signature(secret: &str, id: &str, seconds: u64, body: &[u8]) -> String {
    let decoded = secret.strip_prefix("whsec_").and_then(|text| BASE64_STANDARD.decode(text).ok());
    let key = hmac::Key::new(hmac::HMAC_SHA256, decoded.as_deref().unwrap_or(secret.as_bytes()));
    let mut signing = hmac::Context::with_key(&key);
    signing.update(format!("{id}.{seconds}.").as_bytes());
    signing.update(body);
    format!("v1,{}", BASE64_STANDARD.encode(signing.sign()))
}

/// Sends events.
pub(super) struct Courier {
    pub(super) exchange: Arc<Exchange>,
    pub(super) timeout: Duration,
    pub(super) retries: u32,
    pub(super) first: Duration,
    pub(super) longest: Duration,
}

/// An attempt that delivered nothing.
struct Failed {
    text: String,
    /// Another one may deliver it, after so long if the webhook has said so.
    again: Option<Option<Duration>>,
}

impl Courier {
    /// Until the webhook has taken it, or will not.
    pub(super) async fn deliver(&self, event: &Event, to: &Subscription) -> Result<(), String> {
        let mut pause = self.first;
        for attempt in 0.. {
            let Failed { text, again } = match self.attempt(event, to).await {
                Ok(()) => return Ok(()),
                Err(failed) => failed,
            };
            let asked = match again {
                Some(asked) if attempt < self.retries => asked,
                _ => return Err(format!("{}: {text}", shown(to.url.as_str()))),
            };
            tracing::debug!(id = %event.id, %text, ?pause, "a webhook took no event; it is sent again");
            tokio::time::sleep(asked.unwrap_or(pause).min(self.longest)).await;
            pause = (pause * 2).min(self.longest);
        }
        Ok(())
    }

    async fn attempt(&self, event: &Event, to: &Subscription) -> Result<(), Failed> {
        let never = |text: String| Failed { text, again: None };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let headers = event.signed(&to.secret, now.as_secs()).map_err(never)?;
        let request =
            Request { method: Method::POST, url: to.url.clone(), headers, body: event.body.clone() };
        let sending = async {
            let (head, body) = self.exchange.once(&request).await?;
            // What it says beside the status has no meaning; too much of it costs the connection.
            if let Err(fault) = whole(body, MOST_ANSWER).await {
                tracing::debug!(%fault, "a webhook's answer was not read");
            }
            Ok(head)
        };
        let sent = timeout(self.timeout, sending)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {:?}", self.timeout)));
        let head = sent.map_err(|text: String| Failed { text, again: Some(None) })?;
        if head.status.is_success() {
            return Ok(());
        }
        let asked = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let again = may_pass(head.status).then(|| asked.map(Duration::from_secs));
        Err(Failed { text: format!("answered {}", head.status), again })
    }
}

/// Whether another attempt may be answered otherwise.
fn may_pass(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification, https://www.standardwebhooks.com, and one with a secret as it is.
    #[test]
    fn signatures_are_those_of_the_specification() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let body = br#"{"test": 2432232314}"#;
        let signed = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        // echo -n 'id.1.body' | openssl dgst -sha256 -hmac 'plain words' -binary | base64
        assert_eq!(
            signature("plain words", "id", 1, b"body"),
            "v1,lbkVp9w6MZPyxlCQ4yjHxmawkTmO3JF7KcCGWJUB9Sk="
        );
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        for (status, again) in
            [(500, true), (503, true), (429, true), (408, true), (400, false), (410, false), (301, false)]
        {
            assert_eq!(may_pass(StatusCode::from_u16(status).unwrap()), again, "{status}");
        }
    }
}
