//! Turns for the calls of one service in one region: a thin shell around [`Bucket`] and [`Waiting`], which are pure.

mod bucket;
#[cfg(test)]
mod throttled;
mod waiting;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cso_smithy::{Pace, Reply};
use tokio::sync::oneshot;
use tokio::time::Instant;

use bucket::Bucket;
pub(crate) use waiting::Rank;
use waiting::Waiting;

/// All lanes of an account, by region and service.
#[derive(Default)]
pub(crate) struct Lanes(Mutex<HashMap<(String, String), Arc<Lane>>>);

/// What throttles as one: AWS counts calls per account, region and service.
#[derive(Default)]
pub(crate) struct Lane(Mutex<State>);

#[derive(Default)]
struct State {
    bucket: Bucket,
    waiting: Waiting<oneshot::Sender<()>>,
    /// A task is giving out turns; there is one while anybody waits.
    is_pumping: bool,
}

/// One caller's view of a lane.
pub(crate) struct LanePace<'a> {
    lane: &'a Arc<Lane>,
    namespace: &'a str,
    rank: Rank,
}

impl Lanes {
    pub(crate) fn lane(&self, region: &str, service: &str) -> Arc<Lane> {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(lanes.entry((region.to_owned(), service.to_owned())).or_default())
    }
}

impl Lane {
    pub(crate) const fn pace<'a>(self: &'a Arc<Self>, namespace: &'a str, rank: Rank) -> LanePace<'a> {
        LanePace { lane: self, namespace, rank }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A turn at once, or a ticket to wait with.
    fn enter(self: &Arc<Self>, namespace: &str, rank: Rank) -> Option<oneshot::Receiver<()>> {
        let mut state = self.state();
        if state.waiting.is_empty() && state.bucket.take(Instant::now()).is_ok() {
            return None;
        }
        let (ticket, turn) = oneshot::channel();
        state.waiting.push(rank, namespace, ticket);
        if !state.is_pumping {
            state.is_pumping = true;
            #[expect(clippy::disallowed_methods, reason = "ends by itself, when nobody waits")]
            tokio::spawn(pump(Arc::clone(self)));
        }
        Some(turn)
    }
}

/// Gives out turns until nobody waits.
async fn pump(lane: Arc<Lane>) {
    loop {
        let next = lane.state().grant(Instant::now());
        match next {
            Some(next) => tokio::time::sleep_until(next).await,
            None => return,
        }
    }
}

impl State {
    /// Gives all turns that are due; says when the next one is, or nothing when nobody waits.
    fn grant(&mut self, now: Instant) -> Option<Instant> {
        while let Some(ticket) = self.waiting.pop() {
            // A caller that gave up must not cost a turn.
            if ticket.is_closed() {
                continue;
            }
            match self.bucket.take(now) {
                Ok(()) => drop(ticket.send(())),
                Err(next) => {
                    self.waiting.unpop(ticket);
                    return Some(next);
                }
            }
        }
        self.is_pumping = false;
        None
    }
}

impl Pace for LanePace<'_> {
    async fn turn(&self) {
        if let Some(turn) = self.lane.enter(self.namespace, self.rank) {
            // The sender is dropped only with the lane, and we hold the lane.
            let _ = turn.await;
        }
    }

    fn learn(&self, reply: Reply) {
        let mut state = self.lane.state();
        match reply {
            Reply::Served => state.bucket.served(Instant::now()),
            Reply::Throttled(pause) => state.bucket.throttled(pause, Instant::now()),
            Reply::Silent => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cso_core::port::{Effect, Purpose};

    use super::*;

    const ACT: Rank = Rank { purpose: Purpose::Change, effect: Effect::Mutates };
    const LOOK: Rank = Rank { purpose: Purpose::Change, effect: Effect::Reads };
    const CHECK: Rank = Rank { purpose: Purpose::Check, effect: Effect::Reads };

    /// Queues callers in order on a lane that is closed for a second; returns the order in which they got their turns.
    async fn order(callers: &[(&'static str, Rank)]) -> Vec<&'static str> {
        let lane = Arc::new(Lane::default());
        lane.pace("", LOOK).learn(Reply::Throttled(Some(Duration::from_secs(1))));
        let turns = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = tokio::task::JoinSet::new();
        for (namespace, rank) in callers.iter().copied() {
            let ticket = lane.enter(namespace, rank).expect("the lane is closed");
            let turns = Arc::clone(&turns);
            tasks.spawn(async move {
                ticket.await.unwrap();
                turns.lock().unwrap().push(namespace);
            });
        }
        tasks.join_all().await;
        Arc::into_inner(turns).unwrap().into_inner().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn turns_rotate_between_namespaces_whatever_they_ask_for() {
        let callers = [("a", ACT), ("a", ACT), ("a", LOOK), ("b", CHECK), ("c", LOOK)];
        assert_eq!(order(&callers).await, ["a", "b", "c", "a", "a"]);
    }

    /// A user's change that comes while a sweep of the same namespace waits does not wait for the sweep.
    #[tokio::test(start_paused = true)]
    async fn a_change_goes_before_the_checks_that_came_before_it() {
        let lane = Arc::new(Lane::default());
        let pace = lane.pace("a", CHECK);
        pace.learn(Reply::Throttled(Some(Duration::from_secs(1))));
        let checks: Vec<_> = (0..5).map(|_| lane.enter("a", CHECK).expect("the lane is closed")).collect();
        let start = Instant::now();
        lane.enter("a", LOOK).expect("the lane is closed").await.expect("a turn");
        let changed = start.elapsed();
        for check in checks {
            check.await.expect("a turn");
            assert!(start.elapsed() > changed, "a check had its turn before the change, or with it");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_lane_makes_nobody_wait_and_a_closed_one_waits_as_long_as_told() {
        let lane = Arc::new(Lane::default());
        let pace = lane.pace("a", LOOK);
        let start = Instant::now();
        for _ in 0..1000 {
            pace.turn().await;
            pace.learn(Reply::Served);
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        pace.learn(Reply::Throttled(Some(Duration::from_secs(3))));
        pace.turn().await;
        let waited = start.elapsed();
        assert!(waited >= Duration::from_secs(3) && waited < Duration::from_secs(4), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_gave_up_costs_no_turn_and_the_pump_starts_again() {
        let lane = Arc::new(Lane::default());
        let pace = lane.pace("a", LOOK);
        pace.learn(Reply::Throttled(Some(Duration::from_secs(1))));
        for _ in 0..50 {
            drop(lane.enter("a", ACT));
        }
        let start = Instant::now();
        pace.turn().await;
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
        tokio::task::yield_now().await;
        assert!(!lane.state().is_pumping);
        pace.learn(Reply::Throttled(Some(Duration::from_secs(1))));
        pace.turn().await;
    }
}
