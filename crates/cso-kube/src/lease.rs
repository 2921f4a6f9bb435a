//! Which of several processes leads: the one that a Lease of the API server names, for as long as it renews it.
//!
//! Others count a lease's time from when they saw it change, its holder from before it sent the renewal. So a holder's
//! [`Tenure`] is over before anybody else's begins, whatever the machines' clocks say.

use std::sync::Arc;
use std::time::Duration;

use cso_core::port::Clock;
use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::connect::Cluster;
use crate::error::{status, why};
use crate::fence::{Fence, Tenure};

/// Name of the Lease, in the controller's namespace.
pub const NAME: &str = "cso-controller";

/// A lease as this process saw it last.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sight {
    /// `None`: it was given back.
    holder: Option<String>,
    /// What the holder promised.
    duration: Duration,
    version: String,
    /// When this version was first seen, by our clock.
    since: Instant,
}

/// What a candidate does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    /// Puts its name on the lease.
    Take,
    /// Says that it is still there.
    Renew,
    /// Leaves it to another, until then if nothing is heard of it.
    Wait { until: Instant },
}

/// What to do about a lease; `None` if there is none.
fn decide(sight: Option<&Sight>, me: &str, now: Instant) -> Move {
    let Some(sight) = sight else { return Move::Take };
    let expires = sight.since + sight.duration;
    match &sight.holder {
        None => Move::Take,
        Some(holder) if holder == me => Move::Renew,
        Some(_) if expires <= now => Move::Take,
        Some(_) => Move::Wait { until: expires },
    }
}

/// A lease that was read. Of one that did not change it stays known when it did; `fallback` is for a lease that names no
/// duration.
fn see(before: Option<Sight>, lease: &Lease, fallback: Duration, now: Instant) -> Sight {
    let version = lease.metadata.resource_version.clone().unwrap_or_default();
    if let Some(before) = before.filter(|before| before.version == version) {
        return before;
    }
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    Sight {
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        duration: seconds.map_or(fallback, Duration::from_secs),
        version,
        since: now,
    }
}

/// The lease with our name on it, over what it was.
fn claim(before: Option<&Lease>, me: &str, duration: Duration, now: Timestamp) -> Lease {
    let mut lease = before.cloned().unwrap_or_else(|| Lease {
        metadata: ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() },
        ..Lease::default()
    });
    let spec = lease.spec.get_or_insert_default();
    if spec.holder_identity.as_deref() != Some(me) {
        let transitions = spec.lease_transitions.map_or(0, |count| count.saturating_add(1));
        *spec = LeaseSpec {
            holder_identity: Some(me.to_owned()),
            acquire_time: Some(MicroTime(now)),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        };
    }
    spec.lease_duration_seconds = Some(duration.as_secs().try_into().unwrap_or(i32::MAX));
    spec.renew_time = Some(MicroTime(now));
    lease
}

/// The lease given back: whoever sees it may take it.
fn given_back(mut lease: Lease, now: Timestamp) -> Lease {
    let spec = lease.spec.get_or_insert_default();
    spec.holder_identity = Some(String::new());
    spec.lease_duration_seconds = Some(1);
    spec.renew_time = Some(MicroTime(now));
    lease
}

/// Who stands for election.
#[derive(Clone, Debug)]
pub struct Candidacy {
    /// Namespace of the Lease.
    pub namespace: String,
    /// A name that no other process has.
    pub identity: String,
    /// How long leadership lasts without a renewal, in whole seconds; renewed at a third of it.
    pub duration: Duration,
}

/// A candidate that stands for election until it resigns. Dropped, it leaves its lease to expire.
#[derive(Debug)]
pub struct Candidate {
    fence: Fence,
    resign: oneshot::Sender<()>,
    work: JoinSet<()>,
}

impl Candidate {
    /// Stands for election while `ready` says so: who could not act yet must not hold up those who can.
    pub fn stand(cluster: &Cluster, candidacy: Candidacy, ready: watch::Receiver<bool>, clock: impl Clock) -> Self {
        Self::over([cluster.lease(), cluster.watches()], candidacy, ready, clock)
    }

    fn over(
        [calls, watches]: [Client; 2],
        candidacy: Candidacy,
        ready: watch::Receiver<bool>,
        clock: impl Clock,
    ) -> Self {
        let (tenure, seen) = watch::channel(Tenure::None);
        let (resign, resigned) = oneshot::channel();
        let campaign = Campaign {
            api: Api::namespaced(calls, &candidacy.namespace),
            candidacy,
            ready,
            clock: Arc::new(clock),
            tenure,
            sight: None,
            own: None,
            failing: false,
        };
        let stirs = Api::namespaced(watches, &campaign.candidacy.namespace);
        let mut work = JoinSet::new();
        work.spawn(campaign.run(stirs, resigned));
        Self { fence: Fence::new(seen), resign, work }
    }

    /// The fence that stands where this candidate's leadership ends.
    pub fn fence(&self) -> Fence {
        self.fence.clone()
    }

    /// Gives leadership back, so that another takes it at once. To be called when nothing is in flight.
    pub async fn resign(mut self) {
        // One that is not there any more has nothing to give back.
        let _ = self.resign.send(());
        while self.work.join_next().await.is_some() {}
    }
}

struct Campaign<K> {
    api: Api<Lease>,
    candidacy: Candidacy,
    ready: watch::Receiver<bool>,
    clock: Arc<K>,
    tenure: watch::Sender<Tenure>,
    sight: Option<Sight>,
    /// The lease as this process wrote it last, while that is surely what the server has.
    own: Option<Lease>,
    failing: bool,
}

impl<K: Clock> Campaign<K> {
    /// Renews three times in a term.
    fn interval(&self) -> Duration {
        self.candidacy.duration / 3
    }

    /// No answer counts as a failure after this: there is time for another try before the term closes.
    fn patience(&self) -> Duration {
        self.candidacy.duration / 5
    }

    fn pause(&self) -> Duration {
        self.candidacy.duration / 15
    }

    async fn run(mut self, stirs: Api<Lease>, mut resigned: oneshot::Receiver<()>) {
        // Only to hear at once that a lease was given back: what counts is read.
        let config = watcher::Config::default().fields(&format!("metadata.name={NAME}"));
        let mut stirs = Box::pin(watcher(stirs, config).default_backoff());
        loop {
            let is_ready = *self.ready.borrow_and_update();
            let pause = if is_ready { self.step().await } else { Duration::MAX };
            tokio::select! {
                biased;
                // Dropped without a word: whoever owned the candidate is gone.
                _ = &mut resigned => break,
                Ok(()) = self.ready.changed() => {}
                () = tokio::time::sleep(pause) => {}
                Some(Ok(_)) = stirs.next(), if is_ready && self.own.is_none() => {}
            }
        }
        self.tenure.send_replace(Tenure::None);
        let Some(own) = self.own.take() else { return };
        let lease = given_back(own, self.clock.now());
        let params = PostParams::default();
        let written = self.api.replace(NAME, &params, &lease);
        if let Ok(Ok(_)) = tokio::time::timeout(self.patience(), written).await {
            info!(target: "cso::lease", "leadership is given back");
        } else {
            // It expires.
            warn!(target: "cso::lease", "leadership could not be given back: others wait until it expires");
        }
    }

    /// One look or renewal; returns how long to wait before the next.
    async fn step(&mut self) -> Duration {
        let failed = match tokio::time::timeout(self.patience(), self.try_step()).await {
            Ok(Ok(pause)) => {
                self.failing = false;
                return pause;
            }
            Ok(Err(error)) => {
                let owned = self.own.take().is_some();
                match status(&error) {
                    // Another was faster: look again.
                    Some(409) => return self.pause(),
                    // It was deleted.
                    Some(404) if owned => return Duration::ZERO,
                    _ => why(&error),
                }
            }
            Err(_) => "no answer in time".to_owned(),
        };
        self.own = None;
        if !std::mem::replace(&mut self.failing, true) {
            let lease = format!("{}/{NAME}", self.candidacy.namespace);
            warn!(target: "cso::lease", lease, error = failed, "the lease cannot be read or renewed; trying again");
        }
        self.pause()
    }

    async fn try_step(&mut self) -> Result<Duration, kube::Error> {
        let lease = match self.own.clone() {
            Some(own) => Some(own),
            None => self.api.get_opt(NAME).await?,
        };
        let Candidacy { identity: me, duration, .. } = &self.candidacy;
        let now = Instant::now();
        let before = self.sight.take();
        let held_before = before.as_ref().and_then(|sight| sight.holder.clone());
        self.sight = lease.as_ref().map(|lease| see(before, lease, *duration, now));
        if let Move::Wait { until } = decide(self.sight.as_ref(), me, now) {
            self.tenure.send_replace(Tenure::None);
            let holder = self.sight.as_ref().and_then(|sight| sight.holder.clone());
            if holder != held_before {
                info!(target: "cso::lease", holder, "another leads: standing by");
            }
            return Ok((until - now).min(self.interval()));
        }
        // Its time counts from before it is sent.
        let sent = Instant::now();
        let wish = claim(lease.as_ref(), me, *duration, self.clock.now());
        let written = match lease {
            Some(_) => self.api.replace(NAME, &PostParams::default(), &wish).await?,
            None => self.api.create(&PostParams::default(), &wish).await?,
        };
        if self.tenure.send_replace(Tenure::of(sent, *duration)) == Tenure::None {
            info!(target: "cso::lease", identity = me, "leads");
        }
        self.sight = Some(see(None, &written, *duration, sent));
        self.own = Some(written);
        Ok(self.interval())
    }
}

#[cfg(test)]
mod tests;
