//! Whether to try again. The rules of the promise about mutating calls are [`may_repeat`].

use std::collections::HashMap;
use std::mem::Discriminant;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use cso_core::ErrorClass;
use cso_core::port::Effect;
use http::{HeaderMap, HeaderValue};

use super::failure::{Failure, Proof};
use super::{Config, Reply};
use crate::protocol::{codes, timestamp};

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Stop,
    After(Duration),
}

/// The attempts of one request.
pub(super) struct Tries<'c> {
    effect: Effect,
    config: &'c Config,
    made: u32,
    /// Corrections that were made already: each is worth one more attempt, not more.
    corrected: Vec<Discriminant<Proof>>,
}

/// Whether an attempt may follow a failure at all.
///
/// A read may be repeated after anything that passes. A mutating call may be repeated only where the failure proves that
/// the service did nothing.
fn may_repeat(effect: Effect, failure: &Failure) -> bool {
    match effect {
        Effect::Mutates => failure.proof.is_some(),
        Effect::Reads => failure.proof.is_some() || failure.class == ErrorClass::Transient,
    }
}

impl<'c> Tries<'c> {
    pub(super) const fn new(effect: Effect, config: &'c Config) -> Self {
        Self { effect, config, made: 0, corrected: Vec::new() }
    }

    /// Decides after a failure; `quota` is asked last, and only for what it should limit.
    pub(super) fn next(&mut self, failure: &Failure, quota: impl FnOnce() -> bool) -> Next {
        self.made += 1;
        if self.made >= self.config.max_attempts || !may_repeat(self.effect, failure) {
            return Next::Stop;
        }
        if let Some(correction @ (Proof::StaleCredential | Proof::ClockSkew | Proof::WrongRegion(_))) = &failure.proof {
            let kind = std::mem::discriminant(correction);
            if self.corrected.contains(&kind) {
                return Next::Stop;
            }
            self.corrected.push(kind);
            return Next::After(Duration::ZERO);
        }
        let pause = failure.retry_after.unwrap_or_else(|| self.backoff());
        if pause > self.config.max_backoff || !quota() { Next::Stop } else { Next::After(pause) }
    }

    /// Full jitter: a herd that failed together must not come back together.
    fn backoff(&self) -> Duration {
        let scale = self.config.backoff.saturating_mul(1 << (self.made - 1).min(16));
        scale.min(self.config.max_backoff).mul_f64(fastrand::f64())
    }
}

/// What pacing should learn from an attempt.
pub(super) fn reply<T>(result: &Result<T, Failure>) -> Reply {
    match result {
        Err(failure) if failure.class == ErrorClass::Throttled => Reply::Throttled(failure.retry_after),
        Err(failure) if failure.status.is_none() => Reply::Silent,
        _ => Reply::Served,
    }
}

/// Tokens per host. Without it, a service in trouble would get every request four times, just when it can least bear it.
#[derive(Default)]
pub(super) struct Quota(Mutex<HashMap<String, u32>>);

impl Quota {
    const FULL: u32 = 500;
    const COST: u32 = 5;

    /// Takes the price of one more attempt. Throttled attempts are free: pacing limits those.
    pub(super) fn take(&self, host: &str, failure: &Failure) -> bool {
        if failure.class == ErrorClass::Throttled {
            return true;
        }
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = hosts.entry(host.to_owned()).or_insert(Self::FULL);
        match left.checked_sub(Self::COST) {
            Some(rest) => *left = rest,
            None => return false,
        }
        true
    }

    /// Gives back the price of the attempt that helped, or a little for one that needed no help.
    pub(super) fn succeeded(&self, host: &str, tries: &Tries<'_>) {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left) = hosts.get_mut(host) {
            *left = (*left + if tries.made == 0 { 1 } else { Self::COST }).min(Self::FULL);
        }
    }
}

/// The machine's clock.
#[expect(clippy::disallowed_methods, reason = "signatures and credentials are about real time: AWS refuses any other")]
pub(super) fn system_time() -> SystemTime {
    SystemTime::now()
}

/// The time as the servers see it.
#[derive(Default)]
pub(super) struct Clock {
    /// Seconds to add to ours.
    offset: AtomicI64,
}

impl Clock {
    /// AWS accepts signatures within five minutes; below that a refused signature has another reason.
    const TOLERANCE: u64 = 240;

    pub(super) fn now(&self) -> SystemTime {
        let offset = self.offset.load(Ordering::Relaxed);
        let seconds = Duration::from_secs(offset.unsigned_abs());
        if offset < 0 { system_time() - seconds } else { system_time() + seconds }
    }

    /// Corrects the clock by the answer's date, where the failure is one that a wrong clock explains.
    pub(super) fn judge(&self, mut failure: Failure, headers: &HeaderMap<HeaderValue>, used: SystemTime) -> Failure {
        if !codes::may_be_clock_skew(&failure.code) {
            return failure;
        }
        let date = headers.get("date").and_then(|value| value.to_str().ok()).and_then(timestamp::parse);
        let (Some(server), Ok(used)) = (date, used.duration_since(SystemTime::UNIX_EPOCH)) else { return failure };
        let skew = server.as_second() - i64::try_from(used.as_secs()).unwrap_or(i64::MAX);
        if skew.unsigned_abs() > Self::TOLERANCE {
            self.offset.fetch_add(skew, Ordering::Relaxed);
            failure.proof = Some(Proof::ClockSkew);
        }
        failure
    }
}

#[cfg(test)]
mod tests {
    use cso_core::Outcome;

    use super::*;

    fn failure(class: ErrorClass, proof: Option<Proof>) -> Failure {
        Failure { class, proof, outcome: Outcome::Unknown, ..Failure::local("x", class, "") }
    }

    #[test]
    fn a_mutating_call_is_repeated_only_with_proof() {
        for class in ErrorClass::ALL {
            assert!(!may_repeat(Effect::Mutates, &failure(class, None)), "{class:?}");
            assert_eq!(may_repeat(Effect::Reads, &failure(class, None)), class == ErrorClass::Transient, "{class:?}");
        }
        let elsewhere = Proof::WrongRegion("eu-west-1".to_owned());
        for proof in [Proof::NotConnected, Proof::Throttled, Proof::StaleCredential, Proof::ClockSkew, elsewhere] {
            assert!(may_repeat(Effect::Mutates, &failure(ErrorClass::Denied, Some(proof.clone()))), "{proof:?}");
        }
    }

    #[test]
    fn attempts_are_bounded_and_a_long_wait_is_the_callers() {
        let config = Config { max_attempts: 3, ..Config::default() };
        let transient = failure(ErrorClass::Transient, None);
        let mut tries = Tries::new(Effect::Reads, &config);
        assert!(matches!(tries.next(&transient, || true), Next::After(pause) if pause <= config.backoff));
        assert!(matches!(tries.next(&transient, || true), Next::After(pause) if pause <= 2 * config.backoff));
        assert_eq!(tries.next(&transient, || true), Next::Stop);
        assert_eq!(Tries::new(Effect::Reads, &config).next(&transient, || false), Next::Stop);

        let mut throttled = failure(ErrorClass::Throttled, Some(Proof::Throttled));
        throttled.retry_after = Some(Duration::from_secs(3));
        assert_eq!(Tries::new(Effect::Mutates, &config).next(&throttled, || true), Next::After(Duration::from_secs(3)));
        throttled.retry_after = Some(Duration::from_mins(5));
        assert_eq!(Tries::new(Effect::Mutates, &config).next(&throttled, || true), Next::Stop);
    }

    #[test]
    fn a_correction_is_tried_once() {
        let config = Config::default();
        let mut tries = Tries::new(Effect::Mutates, &config);
        let expired = failure(ErrorClass::Denied, Some(Proof::StaleCredential));
        assert_eq!(tries.next(&expired, || false), Next::After(Duration::ZERO));
        assert_eq!(tries.next(&expired, || false), Next::Stop);
    }

    #[test]
    fn the_quota_runs_dry_and_comes_back() {
        let quota = Quota::default();
        let transient = failure(ErrorClass::Transient, None);
        for _ in 0..Quota::FULL / Quota::COST {
            assert!(quota.take("host", &transient));
        }
        assert!(!quota.take("host", &transient));
        assert!(quota.take("other", &transient));
        let config = Config::default();
        let mut tries = Tries::new(Effect::Reads, &config);
        tries.next(&transient, || true);
        quota.succeeded("host", &tries);
        assert!(quota.take("host", &transient));
    }
}
