//! What keeps a process that may no longer lead from acting.
//!
//! ```text
//!  renewal sent        closing              ends
//!      |------------------|-------------------|----> others may lead
//!       begins and ends     ends what is in     does nothing
//!       what it likes       flight
//! ```
//!
//! All times are of the monotonic clock: no clock of another machine, and no set clock, moves them.

use std::time::Duration;

use cso_core::port::{Cloud, Effect, Identity, Request};
use cso_core::{CallError, ErrorClass, Outcome};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

/// For how long this process surely leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tenure {
    /// Another process may lead.
    None,
    /// Nobody else leads before `ends`. Nothing is begun from `closing` on, so that what is in flight ends in time.
    Until { closing: Instant, ends: Instant },
    /// Nobody else ever leads: there is no election.
    Forever,
}

impl Tenure {
    /// Of a renewal that was sent at a time: the server counts from later on. The last third is for finishing.
    pub fn of(sent: Instant, duration: Duration) -> Self {
        Self::Until { closing: sent + duration * 2 / 3, ends: sent + duration }
    }

    /// When nothing may be begun any more. `None`: never.
    const fn closing(self, now: Instant) -> Option<Instant> {
        match self {
            Self::None => Some(now),
            Self::Until { closing, .. } => Some(closing),
            Self::Forever => None,
        }
    }

    /// When nothing may be done any more. `None`: never.
    const fn ends(self, now: Instant) -> Option<Instant> {
        match self {
            Self::None => Some(now),
            Self::Until { ends, .. } => Some(ends),
            Self::Forever => None,
        }
    }
}

/// Tells anybody who is about to act whether that is still allowed.
#[derive(Clone, Debug)]
pub struct Fence(watch::Receiver<Tenure>);

impl Fence {
    /// A fence that stands where the tenure says.
    pub const fn new(tenure: watch::Receiver<Tenure>) -> Self {
        Self(tenure)
    }

    /// No fence, for a process that is alone.
    pub fn open() -> Self {
        Self(watch::channel(Tenure::Forever).1)
    }

    /// Whether something new may be begun.
    pub fn may_begin(&self) -> bool {
        let now = Instant::now();
        self.0.borrow().closing(now).is_none_or(|closing| now < closing)
    }

    /// Whether something begun may be finished.
    pub fn may_finish(&self) -> bool {
        let now = Instant::now();
        self.0.borrow().ends(now).is_none_or(|ends| now < ends)
    }

    /// Waits until something new may be begun.
    pub async fn opened(&self) {
        let mut tenure = self.0.clone();
        while !self.may_begin() {
            if tenure.changed().await.is_err() {
                // Whoever stood for election is gone: nobody opens it any more.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until nothing new may be begun.
    pub async fn closed(&self) {
        self.past(Tenure::closing).await;
    }

    /// Waits until nothing may be done any more.
    pub async fn ended(&self) {
        self.past(Tenure::ends).await;
    }

    /// Waits for an end that each renewal moves.
    async fn past(&self, end: impl Fn(Tenure, Instant) -> Option<Instant>) {
        let mut tenure = self.0.clone();
        let mut renewable = true;
        loop {
            let now = Instant::now();
            let end = end(*tenure.borrow_and_update(), now);
            if end.is_some_and(|end| end <= now) {
                return;
            }
            let passes = async {
                match end {
                    Some(end) => tokio::time::sleep_until(end).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = passes => {}
                renewed = tenure.changed(), if renewable => renewable = renewed.is_ok(),
            }
        }
    }
}

/// A cloud that is only changed by a process that leads. Reads harm nobody and pass.
///
/// A call may wait for its turn inside the cloud: one that is not over when leadership ends is cut off, which leaves its
/// outcome unknown. Its intent stays open on its object, and whoever leads next looks before he acts.
#[derive(Debug)]
pub struct Fenced<C> {
    cloud: C,
    fence: Fence,
}

impl<C> Fenced<C> {
    /// Puts a fence around a cloud.
    pub const fn new(cloud: C, fence: Fence) -> Self {
        Self { cloud, fence }
    }
}

impl<C: Cloud> Cloud for Fenced<C> {
    async fn call(&self, request: Request) -> Result<Value, CallError> {
        if request.effect == Effect::Reads {
            return self.cloud.call(request).await;
        }
        let action = format!("{}:{}", request.service, request.operation);
        if !self.fence.may_begin() {
            return Err(not_leading(action, Outcome::Refused));
        }
        tokio::select! {
            biased;
            () = self.fence.ended() => Err(not_leading(action, Outcome::Unknown)),
            result = self.cloud.call(request) => result,
        }
    }

    async fn identity(&self) -> Result<Identity, CallError> {
        self.cloud.identity().await
    }
}

fn not_leading(action: String, outcome: Outcome) -> CallError {
    CallError {
        action,
        code: "not-leading".to_owned(),
        message: "another replica may lead by now".to_owned(),
        request_id: None,
        status: None,
        outcome,
        class: ErrorClass::Conflict,
        retry_after: None,
    }
}

#[cfg(test)]
mod tests {
    use cso_core::port::Purpose;
    use serde_json::json;

    use super::*;

    /// A cloud whose calls take a while.
    struct Slow(Duration);

    impl Cloud for Slow {
        async fn call(&self, _: Request) -> Result<Value, CallError> {
            tokio::time::sleep(self.0).await;
            Ok(json!({}))
        }

        async fn identity(&self) -> Result<Identity, CallError> {
            Ok(Identity { account: "111111111111".to_owned(), partition: "aws".to_owned() })
        }
    }

    const TERM: Duration = Duration::from_secs(15);

    fn request(effect: Effect) -> Request {
        let [service, operation, region, namespace] = ["sqs", "CreateQueue", "eu-west-1", "default"].map(str::to_owned);
        Request { service, operation, region, namespace, input: json!({}), effect, purpose: Purpose::Change }
    }

    fn outcome(result: Result<Value, CallError>) -> Option<Outcome> {
        result.err().map(|error| {
            assert_eq!(error.class, ErrorClass::Conflict);
            error.outcome
        })
    }

    #[tokio::test(start_paused = true)]
    async fn changes_begin_in_the_first_two_thirds_of_a_term_and_reads_at_any_time() {
        let (tenure, seen) = watch::channel(Tenure::None);
        let cloud = Fenced::new(Slow(Duration::ZERO), Fence::new(seen));
        let attempt = async |effect| outcome(cloud.call(request(effect)).await);
        assert_eq!(attempt(Effect::Mutates).await, Some(Outcome::Refused));
        assert_eq!(attempt(Effect::Reads).await, None);
        tenure.send_replace(Tenure::of(Instant::now(), TERM));
        for (seconds, expected) in [(0, None), (9, None), (1, Some(Outcome::Refused)), (9, Some(Outcome::Refused))] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            assert_eq!(attempt(Effect::Mutates).await, expected);
        }
        tenure.send_replace(Tenure::Forever);
        assert_eq!(attempt(Effect::Mutates).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_in_flight_has_the_last_third_and_no_longer() {
        let (tenure, seen) = watch::channel(Tenure::of(Instant::now(), TERM));
        let begin = Instant::now();
        let slow = Fenced::new(Slow(Duration::from_secs(14)), Fence::new(seen.clone()));
        assert_eq!(outcome(slow.call(request(Effect::Mutates)).await), None);
        tenure.send_replace(Tenure::of(Instant::now(), TERM));
        let slower = Fenced::new(Slow(Duration::from_secs(16)), Fence::new(seen));
        assert_eq!(outcome(slower.call(request(Effect::Mutates)).await), Some(Outcome::Unknown));
        assert_eq!(begin.elapsed().as_secs(), 14 + 15);
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_moves_the_end_of_what_is_in_flight() {
        let (tenure, seen) = watch::channel(Tenure::of(Instant::now(), TERM));
        let slow = Fenced::new(Slow(Duration::from_secs(20)), Fence::new(seen));
        let renewals = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            tenure.send_replace(Tenure::of(Instant::now(), TERM * 2));
        };
        let (result, ()) = tokio::join!(slow.call(request(Effect::Mutates)), renewals);
        assert_eq!(outcome(result), None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_hears_of_each_border() {
        let (tenure, seen) = watch::channel(Tenure::None);
        let fence = Fence::new(seen);
        let begin = Instant::now();
        let waits = async {
            fence.opened().await;
            let opened = begin.elapsed().as_secs();
            fence.closed().await;
            let closed = begin.elapsed().as_secs();
            fence.ended().await;
            (opened, closed, begin.elapsed().as_secs())
        };
        let leads = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            tenure.send_replace(Tenure::of(Instant::now(), TERM));
        };
        let (times, ()) = tokio::join!(waits, leads);
        assert_eq!(times, (1, 11, 16));
        assert!(!fence.may_finish());
    }
}
