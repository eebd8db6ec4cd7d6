//! The Lua scripts. Each works on one key, so that a cluster can place it.

use redis::Script;

/// Counts one request in a quota window. `ARGV[1]`: length of the window in ms, 0 for one that never ends.
/// Answers count and ms until the window ends (-1: never). A counter that lost its expiry gets one again, so that no key
/// stays exhausted for ever.
const QUOTA: &str = r"
local used = redis.call('INCR', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
local window = tonumber(ARGV[1])
if left < 0 and window > 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  left = window
end
return {used, left}
";

/// Counts one request in a rolling window, on the clock of the server, so that clocks of nodes need not agree. Scores are
/// Unix nanoseconds, as other gateways write them. `ARGV`: window in ns, largest count that matters, unique member.
/// Refused requests count, but no more entries are kept than the limit needs. Answers count before this request, and ms
/// until the oldest entry leaves.
const RATE: &str = r"
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1e9 + tonumber(time[2]) * 1e3
local window = tonumber(ARGV[1])
local most = tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - window))
local before = redis.call('ZCARD', KEYS[1])
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[3])
if before >= most then
  redis.call('ZREMRANGEBYRANK', KEYS[1], 0, before - most)
end
redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1e6))
local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return {before, math.max(0, math.ceil((tonumber(oldest[2]) + window - now) / 1e6))}
";

/// Both, with their digests: they are sent by digest, and whole only when the server does not know them.
pub(super) struct Scripts {
    pub(super) quota: Script,
    pub(super) rate: Script,
}

impl Scripts {
    pub(super) fn new() -> Scripts {
        Scripts { quota: Script::new(QUOTA), rate: Script::new(RATE) }
    }
}
