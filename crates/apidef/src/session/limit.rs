//! Limits, as sessions, their APIs, their paths and policies have them.

use super::record::{is_default, null_is_default, record};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

record! {
/// Rate, quota and depth of one API in a session.
Limit {
    /// As in [`Session`](super::Session).
    rate: f64,
    /// Seconds.
    per: f64,
    /// As in [`Session`](super::Session).
    smoothing: Smoothing,
    /// Seconds.
    throttle_interval: f64,
    /// As in [`Session`](super::Session).
    throttle_retry_limit: i64,
    /// As in [`Session`](super::Session).
    max_query_depth: i64,
    /// As in [`Session`](super::Session).
    quota_max: i64,
    /// Unix seconds.
    quota_renews: i64,
    /// As in [`Session`](super::Session).
    quota_remaining: i64,
    /// Seconds.
    quota_renewal_rate: i64,
    /// Requests and subscribers at once (ours).
    concurrency: Concurrency,
    /// What subscribers of streams may receive (ours).
    subscriptions: Subscriptions,
}}

record! {
/// A rate alone.
RateLimit {
    /// As in [`Session`](super::Session).
    rate: f64,
    /// Seconds.
    per: f64,
    /// As in [`Session`](super::Session).
    smoothing: Smoothing,
}}

record! {
/// How an effective rate moves between a threshold and the rate (contract 6.5).
Smoothing {
    /// On.
    enabled: bool,
    /// Lowest allowance.
    threshold: i64,
    /// Fraction of a step at which to move.
    trigger: f64,
    /// Change.
    step: i64,
    /// Seconds between changes.
    delay: i64,
}}

record! {
/// How much may be under way at once. 0 says nothing, -1 is without limit; neither limits anything.
Concurrency {
    /// Requests that are being answered.
    requests: i64,
    /// Subscribers that are connected.
    subscribers: i64,
}}

record! {
/// What the subscribers of one key may receive, all together. 0 says nothing, -1 is without limit.
Subscriptions {
    /// Messages in each `per`.
    messages: f64,
    /// Bytes of messages in each `per`.
    bytes: f64,
    /// Seconds; 0 = 1.
    per: f64,
    /// Messages in a quota window.
    quota_messages: i64,
    /// Bytes of messages in a quota window.
    quota_bytes: i64,
    /// Seconds; 0 or less = never renews.
    quota_renewal_rate: i64,
    /// What happens at a limit: `delay` (the default), `drop` or `close`.
    at_limit: String,
}}
