//! Lanes before a service that throttles, for minutes of a clock that is stopped: what the callers lose is counted.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cso_core::port::{Effect, Purpose};
use cso_smithy::{Pace, Reply};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::{Lane, Rank};

const CHANGE: Rank = Rank { purpose: Purpose::Change, effect: Effect::Mutates };
const CHECK: Rank = Rank { purpose: Purpose::Check, effect: Effect::Reads };
const MS: Duration = Duration::from_millis(1);

/// A service that takes so many calls in each second, and none in its dark time.
struct Service {
    a_second: u32,
    dark: std::ops::Range<Duration>,
    start: Instant,
    counts: Mutex<Counts>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    second: u64,
    taken: u32,
    served: u32,
    refused: u32,
    refused_in_the_dark: u32,
}

impl Service {
    fn new(a_second: u32) -> Self {
        Self { a_second, dark: Duration::ZERO..Duration::ZERO, start: Instant::now(), counts: Mutex::default() }
    }

    /// Answers after the time of a call.
    async fn ask(&self) -> Reply {
        sleep(20 * MS).await;
        let now = self.start.elapsed();
        let mut counts = self.counts.lock().unwrap();
        if counts.second != now.as_secs() {
            (counts.second, counts.taken) = (now.as_secs(), 0);
        }
        let is_dark = self.dark.contains(&now);
        if is_dark || counts.taken == self.a_second {
            counts.refused += 1;
            counts.refused_in_the_dark += u32::from(is_dark);
            return Reply::Throttled(None);
        }
        counts.taken += 1;
        counts.served += 1;
        Reply::Served
    }

    fn counts(&self) -> Counts {
        *self.counts.lock().unwrap()
    }
}

/// One call as the client makes it: again after each throttle, up to four times; then its object comes back later, as the
/// engine does, after a pause that doubles.
async fn call(lane: &Arc<Lane>, service: &Service, namespace: &str, rank: Rank) {
    let pace = lane.pace(namespace, rank);
    for failures in 0.. {
        for attempt in 0..4 {
            pace.turn().await;
            let reply = service.ask().await;
            pace.learn(reply);
            if reply == Reply::Served {
                return;
            }
            sleep(100 * MS * (1 << attempt)).await;
        }
        sleep(Duration::from_secs(1 << failures.min(6))).await;
    }
}

/// Callers that make so many calls each, one after the other.
fn callers(
    tasks: &mut JoinSet<()>,
    lane: &Arc<Lane>,
    service: &Arc<Service>,
    namespace: &'static str,
    rank: Rank,
    (count, calls): (usize, usize),
) {
    for _ in 0..count {
        let (lane, service) = (Arc::clone(lane), Arc::clone(service));
        tasks.spawn(async move {
            for _ in 0..calls {
                call(&lane, &service, namespace, rank).await;
            }
        });
    }
}

#[tokio::test(start_paused = true)]
async fn two_hundred_callers_make_no_storm() {
    let (lane, service) = (Arc::default(), Arc::new(Service::new(20)));
    let mut tasks = JoinSet::new();
    callers(&mut tasks, &lane, &service, "a", CHANGE, (200, 20));
    tasks.join_all().await;
    let (counts, took) = (service.counts(), service.start.elapsed());
    assert_eq!(counts.served, 4000);
    // The first burst, before anything is known, and then one for eight that are served: the rate climbs until it is told.
    assert!(counts.refused <= 200 + 4000 / 8, "{counts:?}");
    assert!(took <= Duration::from_secs(200 * 4 / 3), "three quarters of what the service takes: {took:?}");
}

#[tokio::test(start_paused = true)]
async fn minutes_of_nothing_but_throttles_cost_half_a_call_a_second() {
    let dark = Duration::from_secs(10)..Duration::from_secs(310);
    let service = Arc::new(Service { dark: dark.clone(), ..Service::new(50) });
    let lane = Arc::default();
    let mut tasks = JoinSet::new();
    callers(&mut tasks, &lane, &service, "a", CHANGE, (100, 10));
    callers(&mut tasks, &lane, &service, "b", CHECK, (100, 10));
    tasks.join_all().await;
    let (counts, took) = (service.counts(), service.start.elapsed());
    assert_eq!(counts.served, 2000);
    // What was under way when it began, the way down, and one every two seconds.
    assert!(counts.refused_in_the_dark <= 200 + 300 / 2, "{counts:?}");
    assert!(took <= dark.end + Duration::from_secs(90), "it recovers: {took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_small_namespace_is_not_starved_by_a_large_one() {
    let (lane, service) = (Arc::default(), Arc::new(Service::new(20)));
    let mut large = JoinSet::new();
    callers(&mut large, &lane, &service, "large", CHANGE, (500, 4));
    sleep(Duration::from_secs(20)).await;
    let begun = Instant::now();
    for _ in 0..10 {
        call(&lane, &service, "small", CHECK).await;
    }
    let took = begun.elapsed();
    assert!(took <= Duration::from_secs(3), "every second turn of twenty a second, and a few refused: {took:?}");
    large.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_change_does_not_wait_for_a_sweep_of_its_own_namespace() {
    let (lane, service) = (Arc::default(), Arc::new(Service::new(20)));
    let mut sweep = JoinSet::new();
    callers(&mut sweep, &lane, &service, "a", CHECK, (1000, 4));
    sleep(Duration::from_secs(20)).await;
    let (begun, before) = (Instant::now(), service.counts());
    for _ in 0..5 {
        call(&lane, &service, "a", CHANGE).await;
    }
    let after = service.counts();
    let others = (after.served + after.refused) - (before.served + before.refused) - 5;
    // While one of its calls is on its way, the turns go to the sweep.
    assert!(others <= 15, "{others} calls of the sweep went before or between the five");
    assert!(begun.elapsed() <= Duration::from_secs(2), "{:?}", begun.elapsed());
    sweep.shutdown().await;
}
