//! What the input `redis_list` has taken and not delivered yet: it stays in Redis, in a list beside the one that is read.
//!
//! `{KEY}:sluicegate:held:ID` holds the elements of one holder, which is one connection of one input. The sorted set
//! `{KEY}:sluicegate:holders` says until when each holder is believed to live, by the clock of Redis; a living one puts
//! that off again and again. Whoever reads the same list gives back what a dead holder held. The braces keep all of it in
//! one slot of a cluster.
//!
//! When it is not known whether Redis has heard that an element was delivered, Redis is not told again, since the same
//! bytes may be held twice: the holder retires, and what it still holds comes again when its time is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use redis::{Pipeline, Script, Value};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::link::{Link, Trouble, hash_tag};

/// For how long a holder is believed to live. Longer than any request for an element may wait in Redis.
const LEASE: Duration = Duration::from_secs(10);
/// How often it says that it does.
const BEAT: Duration = Duration::from_secs(3);
/// Pause before Redis is told once more.
const AGAIN: Duration = Duration::from_millis(500);
/// Most words that are sent to Redis at once.
const AT_ONCE: usize = 256;

/// Puts off the end of the holders in ARGV from 2 on by ARGV[1] milliseconds; gives those whose end is past.
const RENEW: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for index = 2, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[index]) end
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. now, 'LIMIT', 0, 100)
";

/// Gives back what the holder ARGV[1] holds in KEYS[2] to the end ARGV[2] of KEYS[3], and forgets it, unless it lives; with
/// ARGV[3] in any case. A thousand elements at most, so that Redis is not kept from its other work.
const GIVE_BACK: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lives_until = redis.call('ZSCORE', KEYS[1], ARGV[1])
if ARGV[3] == '' and lives_until and tonumber(lives_until) >= now then return 0 end
for count = 1, 1000 do
    if not redis.call('LMOVE', KEYS[2], KEYS[3], 'RIGHT', ARGV[2]) then
        redis.call('ZREM', KEYS[1], ARGV[1])
        return 0
    end
end
return 1
";

/// One element back from KEYS[1] to KEYS[2], if it is still held.
const RETURN: &str = "
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 1 then redis.call(ARGV[2], KEYS[2], ARGV[1]) end
return 0
";

/// The end of a list at which elements are taken, and to which they are given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Left,
    Right,
}

impl End {
    pub(super) fn name(self) -> &'static str {
        match self {
            End::Left => "LEFT",
            End::Right => "RIGHT",
        }
    }

    /// The command that adds there.
    pub(super) fn push(self) -> &'static str {
        match self {
            End::Left => "LPUSH",
            End::Right => "RPUSH",
        }
    }
}

/// One connection's elements.
pub(super) struct Holder {
    id: String,
    /// The list that holds them.
    pub(super) list: String,
    under_way: AtomicUsize,
    over: AtomicBool,
}

impl Holder {
    /// Whether nothing more may be taken in its name.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    fn lives(&self) -> bool {
        !self.is_over() || self.under_way.load(Ordering::Acquire) > 0
    }

    /// An element was taken in its name.
    pub(super) fn took(&self) {
        self.under_way.fetch_add(1, Ordering::AcqRel);
    }
}

/// What has become of an element.
pub(super) struct Word {
    pub(super) holder: Arc<Holder>,
    pub(super) element: Bytes,
    pub(super) delivered: bool,
}

/// All holders of one input.
pub(super) struct Holding {
    link: Arc<Link>,
    key: String,
    end: End,
    stream: Arc<str>,
    holders: String,
    held: String,
    mine: Mutex<Vec<Arc<Holder>>>,
}

impl Holding {
    pub(super) fn new(link: Arc<Link>, key: &str, end: End, stream: Arc<str>) -> Holding {
        let place = format!("{}:sluicegate", tagged(key));
        Holding {
            link,
            key: key.to_owned(),
            end,
            stream,
            holders: format!("{place}:holders"),
            held: format!("{place}:held:"),
            mine: Mutex::default(),
        }
    }

    /// A holder for a new connection; those before it take nothing more.
    pub(super) async fn begin(&self) -> Result<Arc<Holder>, Trouble> {
        let id = format!("{:016x}", rand::random::<u64>());
        let list = format!("{}{id}", self.held);
        let holder =
            Arc::new(Holder { id, list, under_way: AtomicUsize::new(0), over: AtomicBool::new(false) });
        {
            let mut mine = self.mine.lock();
            mine.iter().for_each(|holder| holder.over.store(true, Ordering::Release));
            mine.push(holder.clone());
        }
        self.renew().await?;
        Ok(holder)
    }

    /// Hears what becomes of elements until nobody can tell any more, then gives back what is left.
    pub(super) async fn keep(self: Arc<Self>, mut words: mpsc::UnboundedReceiver<Word>) {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Vec::with_capacity(AT_ONCE);
        loop {
            tokio::select! {
                _ = beat.tick() => {
                    if let Err(trouble) = self.renew().await {
                        tracing::warn!(stream = %self.stream, fault = %trouble.text(), "redis does not hear that this stream lives");
                    }
                }
                count = words.recv_many(&mut heard, AT_ONCE) => {
                    if count == 0 {
                        break;
                    }
                    self.tell(&heard).await;
                    heard.clear();
                }
            }
        }
        let mine = std::mem::take(&mut *self.mine.lock());
        for holder in mine {
            self.give_back(&holder.id, true).await;
        }
    }

    async fn renew(&self) -> Result<(), Trouble> {
        let living: Vec<String> = {
            let mut mine = self.mine.lock();
            mine.retain(|holder| holder.lives());
            mine.iter().map(|holder| holder.id.clone()).collect()
        };
        let mut connection = self.link.connection().await.map_err(Trouble::Away)?;
        let script = Script::new(RENEW);
        let mut call = script.key(&self.holders);
        call.arg(u64::try_from(LEASE.as_millis()).unwrap_or(u64::MAX)).arg(living);
        let dead = call.invoke_async::<Vec<String>>(&mut connection).await.map_err(Trouble::from);
        if matches!(dead, Err(Trouble::Away(_))) {
            self.link.forget();
        }
        for id in dead? {
            tracing::info!(stream = %self.stream, holder = %id, "elements that a dead reader held are given back");
            self.give_back(&id, false).await;
        }
        Ok(())
    }

    async fn give_back(&self, id: &str, in_any_case: bool) {
        let list = format!("{}{id}", self.held);
        loop {
            let Ok(mut connection) = self.link.connection().await else { return };
            let script = Script::new(GIVE_BACK);
            let mut call = script.key(&self.holders);
            call.key(&list).key(&self.key);
            call.arg(id).arg(self.end.name()).arg(if in_any_case { "yes" } else { "" });
            match call.invoke_async::<i64>(&mut connection).await {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => {
                    // Somebody does it later: the holder is still among those whose time is over.
                    tracing::warn!(stream = %self.stream, %error, "elements cannot be given back yet");
                    self.link.forget();
                    return;
                }
            }
        }
    }

    async fn tell(&self, words: &[Word]) {
        let mut pipeline = Pipeline::with_capacity(words.len());
        for word in words {
            if word.delivered {
                pipeline.cmd("LREM").arg(&word.holder.list).arg(1).arg(&word.element[..]);
            } else {
                let call = pipeline.cmd("EVAL").arg(RETURN).arg(2);
                call.arg(&word.holder.list).arg(&self.key).arg(&word.element[..]).arg(self.end.push());
            }
        }
        let mut connection = loop {
            match self.link.connection().await {
                Ok(connection) => break connection,
                Err(fault) => {
                    tracing::warn!(stream = %self.stream, %fault, "redis cannot be told yet what was delivered");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        };
        if let Err(error) = pipeline.query_async::<Vec<Value>>(&mut connection).await {
            tracing::warn!(stream = %self.stream, %error, "redis may not know what was delivered; it may come again");
            self.link.forget();
            words.iter().for_each(|word| word.holder.over.store(true, Ordering::Release));
        }
        for word in words {
            word.holder.under_way.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// The key in braces, unless a part of it is: what begins so is in the same slot of a cluster.
fn tagged(key: &str) -> String {
    if hash_tag(key).is_some() { key.to_owned() } else { format!("{{{key}}}") }
}

#[cfg(test)]
mod tests {
    use super::tagged;

    #[test]
    fn keys_keep_their_slot() {
        for (key, expected) in [("a", "{a}"), ("a{b}c", "a{b}c"), ("a{}c", "{a{}c}"), ("a{b", "{a{b}")] {
            assert_eq!(tagged(key), expected, "{key}");
        }
    }
}
