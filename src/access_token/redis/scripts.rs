//! What has to happen at once inside of Redis. Times are the gateway's own, as arguments: replicas'
//! clocks agree within a second, and a script that asked for Redis's would bring a third opinion.
//!
//! Each may be sent twice for one wish, when a connection breaks before the answer came.

use std::sync::LazyLock;

use redis::Script;

/// Keeps a token, unless a later one is there. KEYS: token. ARGV: its fields ([`super::row::FIELDS`]),
/// expiry of the key. Answers nothing, or the later token's fields.
pub(super) static PUT_TOKEN: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local there = tonumber(redis.call('HGET', KEYS[1], 'fetched_at') or '')
         if there and there > tonumber(ARGV[2]) then
           return redis.call('HMGET', KEYS[1], 'access_token', 'fetched_at', 'expires_at', 'renewed_to_same',
             'corp_secret')
         end
         redis.call('HSET', KEYS[1], 'access_token', ARGV[1], 'fetched_at', ARGV[2], 'expires_at', ARGV[3],
           'renewed_to_same', ARGV[4], 'corp_secret', ARGV[5])
         redis.call('PEXPIRE', KEYS[1], ARGV[6])
         return false",
    )
});

/// KEYS: turn. ARGV: owner, expiry of the key. Answers whether the turn is the owner's.
pub(super) static TAKE_TURN: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
         if redis.call('GET', KEYS[1]) == ARGV[1] then return 1 end
         return 0",
    )
});

/// KEYS: turn. ARGV: owner.
pub(super) static END_TURN: LazyLock<Script> =
    LazyLock::new(|| Script::new("if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"));

/// KEYS: forced. ARGV: now, time between two, who wishes it. Answers nothing if it may be forced, or
/// when it was forced last.
pub(super) static FORCE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local last, by = string.match(redis.call('GET', KEYS[1]) or '', '(%d+) (%d+)')
         if last and by ~= ARGV[3] and tonumber(ARGV[1]) < tonumber(last) + tonumber(ARGV[2]) then
           return tonumber(last)
         end
         redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[3], 'PX', ARGV[2])
         return false",
    )
});

/// KEYS: budgets. ARGV: now, when an open place frees itself, how long that is, place, then each budget's
/// limit. A place that is used up frees itself later than any open one, until its last moments.
pub(super) static TAKE_PLACE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local now, open_until, open, place = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
         local answer = 'taken'
         for index, budget in ipairs(KEYS) do
           local limit = tonumber(ARGV[4 + index])
           redis.call('ZREMRANGEBYSCORE', budget, '-inf', now)
           if redis.call('ZCOUNT', budget, '(' .. open_until, '+inf') >= limit then return 'spent' end
           if redis.call('ZCARD', budget) >= limit and not redis.call('ZSCORE', budget, place) then
             answer = 'not yet'
           end
         end
         if answer == 'taken' then
           for _, budget in ipairs(KEYS) do
             redis.call('ZADD', budget, open_until, place)
             if redis.call('PTTL', budget) < open then redis.call('PEXPIRE', budget, open) end
           end
         end
         return answer",
    )
});
