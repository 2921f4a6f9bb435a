//! A token bucket that has no limit until the service shows one, and then finds it: up slowly, down by a factor.
//!
//! ```text
//! no limit --throttled--> limit = 0.7 * what was just sent
//! limit    --served-----> + 1 call/s for every second at the limit
//! limit    --throttled--> * 0.7, once a second
//! limit    --10 minutes without a throttle--> no limit
//! ```

use std::time::Duration;

use tokio::time::Instant;

/// When calls of one lane may leave.
#[derive(Default)]
pub(super) struct Bucket {
    limit: Option<Limit>,
    meter: Option<Meter>,
    /// The service named a time to come back at.
    closed_until: Option<Instant>,
}

struct Limit {
    /// Calls a second.
    rate: f64,
    /// Calls that may leave now.
    tokens: f64,
    /// When `tokens` was right.
    at: Instant,
    lowered: Instant,
}

/// Calls of the running second and of the one before.
struct Meter {
    since: Instant,
    now: u32,
    before: u32,
}

const DECREASE: f64 = 0.7;
/// Calls a second that the limit grows in a second of full use.
const INCREASE: f64 = 1.0;
const SLOWEST: f64 = 0.5;
/// All throttles of one burst are one message.
const BURST: Duration = Duration::from_secs(1);
const FORGET: Duration = Duration::from_mins(10);
const SECOND: Duration = Duration::from_secs(1);

impl Bucket {
    /// Takes one call's turn.
    ///
    /// # Errors
    /// With the earliest time at which asking again makes sense.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        if let Some(until) = self.closed_until.filter(|until| *until > now) {
            return Err(until);
        }
        if let Some(limit) = &mut self.limit {
            limit.take(now)?;
        }
        self.meter.get_or_insert(Meter { since: now, now: 0, before: 0 }).count(now);
        Ok(())
    }

    /// The service answered.
    pub(super) fn served(&mut self, now: Instant) {
        let Some(limit) = &mut self.limit else { return };
        if now.duration_since(limit.lowered) >= FORGET {
            self.limit = None;
        } else {
            limit.rate += INCREASE / limit.rate.max(1.0);
        }
    }

    /// The service asked to slow down.
    pub(super) fn throttled(&mut self, pause: Option<Duration>, now: Instant) {
        if let Some(pause) = pause {
            self.closed_until = self.closed_until.max(Some(now + pause));
        }
        match &mut self.limit {
            Some(limit) if now.duration_since(limit.lowered) < BURST => {}
            Some(limit) => limit.lower(limit.rate, now),
            None => {
                let rate = self.meter.as_ref().map_or(0.0, |meter| meter.rate(now));
                self.limit.insert(Limit { rate, tokens: 0.0, at: now, lowered: now }).lower(rate, now);
            }
        }
    }
}

impl Limit {
    fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let passed = now.duration_since(self.at).as_secs_f64();
        // At most one second's worth is saved up.
        self.tokens = (self.tokens + passed * self.rate).min(self.rate.max(1.0));
        self.at = now;
        if self.tokens < 1.0 {
            return Err(now + Duration::from_secs_f64((1.0 - self.tokens) / self.rate) + Duration::from_millis(1));
        }
        self.tokens -= 1.0;
        Ok(())
    }

    fn lower(&mut self, from: f64, now: Instant) {
        self.rate = (from * DECREASE).max(SLOWEST);
        self.tokens = 0.0;
        self.at = now;
        self.lowered = now;
    }
}

impl Meter {
    fn count(&mut self, now: Instant) {
        let passed = now.duration_since(self.since);
        if passed >= SECOND {
            self.before = if passed < 2 * SECOND { self.now } else { 0 };
            (self.now, self.since) = (0, now);
        }
        self.now += 1;
    }

    /// Calls a second, by the fuller of the last two seconds.
    fn rate(&self, now: Instant) -> f64 {
        let seconds = now.duration_since(self.since).as_secs_f64().max(1.0);
        f64::from(self.before).max(f64::from(self.now) / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn there_is_no_limit_until_the_service_shows_one() {
        let (mut bucket, now) = (Bucket::default(), Instant::now());
        for _ in 0..100_000 {
            assert_eq!(bucket.take(now), Ok(()));
            bucket.served(now);
        }
    }

    #[test]
    fn the_first_throttle_sets_the_limit_below_what_was_sent() {
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        for n in 0..100 {
            bucket.take(start + n * 10 * MS).unwrap();
        }
        let now = start + 1000 * MS;
        for _ in 0..32 {
            bucket.throttled(None, now);
        }
        assert!(bucket.take(now).is_err());
        let granted = (0..1000).filter(|n| bucket.take(now + *n * MS).is_ok()).count();
        assert!((65..=70).contains(&granted), "70 a second, whatever the number of throttles in the burst: {granted}");
    }

    #[test]
    fn a_stated_pause_is_kept() {
        let (mut bucket, now) = (Bucket::default(), Instant::now());
        bucket.throttled(Some(3 * SECOND), now);
        bucket.throttled(Some(SECOND), now);
        assert_eq!(bucket.take(now + SECOND), Err(now + 3 * SECOND));
        assert_eq!(bucket.take(now + 6 * SECOND), Ok(()));
    }

    #[test]
    fn the_limit_is_forgotten_in_the_end() {
        let (mut bucket, now) = (Bucket::default(), Instant::now());
        bucket.throttled(None, now);
        bucket.served(now + FORGET);
        for _ in 0..1000 {
            assert_eq!(bucket.take(now + FORGET), Ok(()));
        }
    }

    /// A service that allows 20 calls a second, and callers that always want more.
    #[test]
    fn the_rate_settles_near_what_the_service_allows() {
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        let (mut served, mut refused) = (0_u32, 0_u32);
        for second in 0..120 {
            let mut allowed = 20;
            for ms in 0..1000 {
                let now = start + second * SECOND + ms * MS;
                if bucket.take(now).is_err() {
                    continue;
                }
                if allowed > 0 {
                    allowed -= 1;
                    served += u32::from(second >= 20);
                    bucket.served(now);
                } else {
                    refused += u32::from(second >= 20);
                    bucket.throttled(None, now);
                }
            }
        }
        assert!(served >= 1500, "three quarters of the 2000 that were allowed: {served}");
        assert!(refused <= served / 20, "at most one in twenty is refused: {refused} of {served}");
    }
}
