//! The Lua scripts.

use redis::Script;

/// Draws from counters in order, all or none. `ARGV[1]` is a member unique among all nodes, `ARGV[2]` how many counters there
/// are; then for each: meter (`r` rolling, else a counter), limit, window in ms (0: never ends), cost, `1` when a refused draw
/// counts. Behind the keys of the counters come those of allowances, behind the arguments of the counters those of smoothing:
/// the number of the counter, threshold, trigger, step, delay in ms, and for how long what is allowed is remembered. The clock
/// is that of the server, so that clocks of nodes need not agree. Scores of rolling windows are Unix nanoseconds, as
/// other gateways write them; where refused draws count, no more entries are kept than the limit needs. A counter that
/// lost its expiry gets one again, and one that was begun with a longer period does not keep its end, so that nothing
/// stays exhausted for ever.
///
/// Answers the number of the key that refused (0: none), the time in Unix ms, for each allowance what is allowed now in
/// thousandths and whether it went up (1) or down (-1), and for each key that was looked at what is used and the ms until the
/// window ends or is emptier by one (-1: never).
const DRAW: &str = r"
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1e9 + tonumber(time[2]) * 1e3
local answer = {0, math.floor(now / 1e6)}
local uses = {}
local draws = tonumber(ARGV[2])
local rules = {}
for j = 1, #KEYS - draws do
  local at = 2 + draws * 5 + (j - 1) * 6
  rules[tonumber(ARGV[at + 1])] = {
    key = KEYS[draws + j], place = 1 + j * 2, threshold = tonumber(ARGV[at + 2]), trigger = tonumber(ARGV[at + 3]),
    step = tonumber(ARGV[at + 4]), delay = tonumber(ARGV[at + 5]), keep = ARGV[at + 6],
  }
  answer[1 + j * 2] = 0
  answer[2 + j * 2] = 0
end
local first = 2 + (#KEYS - draws) * 2
local function allowed(i, limit)
  local rule = rules[i]
  if not rule then
    return limit
  end
  local held = redis.pcall('HMGET', rule.key, 'current', 'changed')
  if held.err then
    -- Somebody gave a window this name: it moves nothing, and nobody is kept out by it.
    answer[rule.place] = math.floor(limit * 1000 + 0.5)
    rules[i] = nil
    return limit
  end
  rule.now, rule.changed, rule.limit = tonumber(held[1]) or 0, tonumber(held[2]), limit
  if rule.now <= 0 then
    rule.now = rule.threshold
  end
  rule.now = math.min(rule.now, limit)
  answer[rule.place] = math.floor(rule.now * 1000 + 0.5)
  return rule.now
end
local function move(i)
  local rule = rules[i]
  if not rule or tonumber(ARGV[2 + (i - 1) * 5 + 4]) == 0 then
    return
  end
  local used, after = answer[first + i * 2 - 1], rule.now
  -- What has moved in the future has moved by a clock that is not this one.
  if not rule.changed or answer[2] < rule.changed or answer[2] - rule.changed >= rule.delay then
    if used > rule.now - rule.trigger * rule.step then
      after = math.min(rule.now + rule.step, rule.limit)
    elseif used <= rule.now - (1 + rule.trigger) * rule.step then
      after = math.max(rule.now - rule.step, math.min(rule.threshold, rule.limit))
    end
  end
  if after ~= rule.now then
    redis.call('HSET', rule.key, 'current', after, 'changed', answer[2], 'delay', math.floor(rule.delay / 1000))
    answer[rule.place] = math.floor(after * 1000 + 0.5)
    answer[rule.place + 1] = after > rule.now and 1 or -1
  end
  if after ~= rule.now or rule.changed then
    redis.call('PEXPIRE', rule.key, rule.keep)
  end
end
local function take(i)
  local at = 2 + (i - 1) * 5
  local limit, per, cost = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  if cost == 0 then
    return
  end
  if ARGV[at + 1] == 'r' then
    redis.call('ZADD', KEYS[i], string.format('%.0f', now), ARGV[1])
    local most = math.max(1, math.floor(limit))
    if uses[i] >= most then
      redis.call('ZREMRANGEBYRANK', KEYS[i], 0, uses[i] - most)
    end
    redis.call('PEXPIRE', KEYS[i], per)
    answer[first + i * 2 - 1] = math.min(uses[i] + 1, most)
  else
    answer[first + i * 2 - 1] = redis.call('INCRBY', KEYS[i], cost)
    if per > 0 and redis.call('PTTL', KEYS[i]) < 0 then
      redis.call('PEXPIRE', KEYS[i], per)
    end
  end
end
for i = 1, draws do
  local at = 2 + (i - 1) * 5
  local limit, per = allowed(i, tonumber(ARGV[at + 2])), tonumber(ARGV[at + 3])
  local used, left
  if ARGV[at + 1] == 'r' then
    redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', string.format('%.0f', now - per * 1e6))
    used = redis.call('ZCARD', KEYS[i])
    left = per
    local oldest = redis.call('ZRANGE', KEYS[i], 0, 0, 'WITHSCORES')
    if oldest[2] then
      left = math.max(0, math.ceil(tonumber(oldest[2]) / 1e6 + per - now / 1e6))
    end
  else
    used = tonumber(redis.call('GET', KEYS[i]) or '0') or 0
    left = redis.call('PTTL', KEYS[i])
    if per > 0 and (left < 0 or left > per) then
      redis.call('PEXPIRE', KEYS[i], per)
      left = per
    elseif left < 0 then
      left = -1
    end
  end
  uses[i] = used
  answer[first + i * 2 - 1] = used
  answer[first + i * 2] = left
  if used + 1 > limit then
    if ARGV[at + 5] == '1' then
      take(i)
    end
    for j = 1, i do
      move(j)
    end
    answer[1] = i
    return answer
  end
end
for i = 1, draws do
  take(i)
  move(i)
end
return answer
";

/// Takes back one draw from one key; `ARGV`: the member of the draw, meter, cost, and when the window ends that it was
/// drawn from, in Unix ms (-1: never). A window that was shortened meanwhile is still the same one; a new one ends later,
/// and nothing is taken out of it.
const GIVE_BACK: &str = r"
if ARGV[2] == 'r' then
  return redis.call('ZREM', KEYS[1], ARGV[1])
end
local left, ends = redis.call('PTTL', KEYS[1]), tonumber(ARGV[4])
if ends >= 0 then
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1e3 + math.floor(tonumber(time[2]) / 1e3)
  if left < 0 or now + left > ends + 2 then
    return 0
  end
end
local used = tonumber(redis.call('GET', KEYS[1]) or '0') or 0
local back = math.min(tonumber(ARGV[3]), used)
if back > 0 then
  redis.call('DECRBY', KEYS[1], back)
end
return 0
";

/// Both, with their digests: they are sent by digest, and whole only when the server does not know them.
pub(super) struct Scripts {
    pub(super) draw: Script,
    pub(super) give_back: Script,
}

impl Scripts {
    pub(super) fn new() -> Scripts {
        Scripts { draw: Script::new(DRAW), give_back: Script::new(GIVE_BACK) }
    }
}
