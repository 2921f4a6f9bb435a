//! Kubernetes Events: what happened to an object, told beside it, within a budget for each object.
//!
//! They are sent one at a time, as client-go does: in a storm of work the API server is busy with what matters.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cso_core::ObjectKey;
use cso_core::port::{Event, EventKind};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::task::JoinSet;
use tracing::debug;

use crate::resources::Resource;
use crate::store::FIELD_MANAGER;

/// The name under which events are told.
pub(crate) const REPORTER: &str = "service-operator.cloud/cso";

/// Events that an object may cause at once, and how long it takes to earn another.
const BURST: u32 = 25;
const EARNED: SignedDuration = SignedDuration::from_mins(5);

/// Objects whose budget is remembered. Of more, those that have earned theirs back are forgotten.
const REMEMBERED: usize = 4096;

/// Events that wait to be sent. Of more, the latest are not told.
const WAITING: usize = 4096;

/// How long the end of the process waits for events that are on their way.
const FLUSH: Duration = Duration::from_secs(2);

/// Longest message that the API takes, in bytes.
const LONGEST: usize = 1024;

/// Tells events without making anybody wait.
pub(crate) struct Events {
    budgets: Mutex<BTreeMap<ObjectKey, Budget>>,
    line: Arc<Line>,
    /// Who sends, while something waits.
    sender: Mutex<JoinSet<()>>,
}

/// What an object may still tell.
#[derive(Clone, Copy, Debug)]
struct Budget {
    left: u32,
    since: Timestamp,
}

impl Budget {
    const fn new(now: Timestamp) -> Self {
        Self { left: BURST, since: now }
    }

    fn earn(&mut self, now: Timestamp) {
        let earned = now.duration_since(self.since).as_secs() / EARNED.as_secs();
        if earned > 0 {
            self.left = self.left.saturating_add(earned.try_into().unwrap_or(u32::MAX)).min(BURST);
            self.since = now;
        }
    }

    /// Takes one, if there is one.
    fn take(&mut self, now: Timestamp) -> bool {
        self.earn(now);
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }

    /// Whether there is something to remember.
    fn is_spent(&mut self, now: Timestamp) -> bool {
        self.earn(now);
        self.left < BURST
    }
}

/// Events that wait for those before them.
struct Line {
    calls: Client,
    waits: Mutex<Waits>,
}

#[derive(Default)]
struct Waits {
    events: VecDeque<v1::Event>,
    is_served: bool,
}

impl Line {
    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an event at the end; says whether somebody must begin to serve.
    fn join(&self, event: v1::Event) -> bool {
        let mut waits = self.waits();
        if waits.events.len() >= WAITING {
            debug!(target: "cso::kube", "an event is not told: {WAITING} others wait");
            return false;
        }
        waits.events.push_back(event);
        !std::mem::replace(&mut waits.is_served, true)
    }

    /// The next in the line; with nobody in it the service ends.
    fn next(&self) -> Option<v1::Event> {
        let mut waits = self.waits();
        let next = waits.events.pop_front();
        waits.is_served = next.is_some();
        next
    }

    /// Sends what waits. What cannot be sent is no loss to anything but itself.
    async fn serve(&self) {
        while let Some(event) = self.next() {
            let namespace = event.metadata.namespace.clone().unwrap_or_default();
            let api: Api<v1::Event> = Api::namespaced(self.calls.clone(), &namespace);
            if let Err(error) = api.create(&PostParams::default(), &event).await {
                debug!(target: "cso::kube", why = crate::error::why(&error), "an event is not told");
            }
        }
    }
}

impl Events {
    pub(crate) fn new(calls: Client) -> Self {
        let line = Arc::new(Line { calls, waits: Mutex::default() });
        Self { budgets: Mutex::default(), line, sender: Mutex::default() }
    }

    /// Has an event about an object sent, after those before it.
    pub(crate) fn tell(&self, event: Event, resource: &Resource, uid: String) {
        if !self.may_tell(&event) || !self.line.join(body(event, resource, uid)) {
            return;
        }
        let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        while sender.try_join_next().is_some() {}
        let line = Arc::clone(&self.line);
        sender.spawn(async move { line.serve().await });
    }

    fn may_tell(&self, event: &Event) -> bool {
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        if budgets.len() >= REMEMBERED && !budgets.contains_key(&event.object) {
            budgets.retain(|_, budget| budget.is_spent(event.at));
        }
        budgets.entry(event.object.clone()).or_insert_with(|| Budget::new(event.at)).take(event.at)
    }

    /// Waits for events on their way, and not for long.
    pub(crate) async fn flush(&self) {
        let mut sender = std::mem::take(&mut *self.sender.lock().unwrap_or_else(PoisonError::into_inner));
        let all = async { while sender.join_next().await.is_some() {} };
        // What takes longer is not worth the wait.
        let _ = tokio::time::timeout(FLUSH, all).await;
    }
}

fn body(event: Event, resource: &Resource, uid: String) -> v1::Event {
    let Event { at, object, kind, reason, mut message } = event;
    if message.len() > LONGEST {
        let end = message.floor_char_boundary(LONGEST - 3);
        message.truncate(end);
        message.push_str("...");
    }
    v1::Event {
        metadata: ObjectMeta {
            // As client-go names them: readable, and one of its own.
            name: Some(format!("{}.{:x}", object.name, at.as_nanosecond())),
            namespace: Some(object.namespace.clone()),
            ..ObjectMeta::default()
        },
        action: Some(reason.clone()),
        event_time: Some(MicroTime(at)),
        note: Some(message),
        reason: Some(reason),
        regarding: Some(ObjectReference {
            api_version: Some(format!("{}/{}", resource.group, resource.version)),
            kind: Some(object.kind.clone()),
            name: Some(object.name.clone()),
            namespace: Some(object.namespace.clone()),
            uid: Some(uid),
            ..ObjectReference::default()
        }),
        reporting_controller: Some(REPORTER.to_owned()),
        reporting_instance: Some(FIELD_MANAGER.to_owned()),
        type_: Some(match kind {
            EventKind::Normal => "Normal".to_owned(),
            EventKind::Warning => "Warning".to_owned(),
        }),
        ..v1::Event::default()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::SeqCst;

    use kube::client::Body;

    use super::*;

    #[test]
    fn a_budget_runs_out_and_is_earned_again() {
        let begin = Timestamp::UNIX_EPOCH;
        let mut budget = Budget::new(begin);
        assert_eq!((0..100).filter(|_| budget.take(begin)).count(), BURST as usize);
        assert!(!budget.take(begin + SignedDuration::from_secs(299)));
        assert!(budget.take(begin + SignedDuration::from_mins(6)));
        assert!(!budget.take(begin + SignedDuration::from_mins(6)));
        assert!(budget.is_spent(begin + SignedDuration::from_mins(60)));
        assert!(!budget.is_spent(begin + SignedDuration::from_mins(200)));
    }

    #[tokio::test]
    async fn one_is_sent_at_a_time_and_all_are_sent() {
        let (most, sent) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (now, served) = (Arc::clone(&most), Arc::clone(&sent));
        let at_once = Arc::new(AtomicUsize::new(0));
        let serve = move |_: http::Request<Body>| {
            let (now, served, at_once) = (Arc::clone(&now), Arc::clone(&served), Arc::clone(&at_once));
            async move {
                now.fetch_max(at_once.fetch_add(1, SeqCst) + 1, SeqCst);
                tokio::task::yield_now().await;
                at_once.fetch_sub(1, SeqCst);
                served.fetch_add(1, SeqCst);
                Ok::<_, Infallible>(http::Response::new(Body::from(b"{}".to_vec())))
            }
        };
        let events = Events::new(Client::new(tower::service_fn(serve), "default"));
        let [group, version, kind, plural] = ["g", "v1", "K", "ks"].map(str::to_owned);
        let resource = Resource { group, version, kind, plural, identity: Vec::new() };
        let event = |name: &str| Event {
            at: Timestamp::UNIX_EPOCH,
            object: ObjectKey::new("g", "K", "n", name),
            kind: EventKind::Normal,
            reason: "Made".to_owned(),
            message: String::new(),
        };
        let tell = |name: &str| events.tell(event(name), &resource, "u".to_owned());
        (0..=BURST).for_each(|_| tell("a"));
        tell("b");
        events.flush().await;
        assert_eq!((sent.load(SeqCst), most.load(SeqCst)), (BURST as usize + 1, 1));
        tell("c");
        events.flush().await;
        assert_eq!(sent.load(SeqCst), BURST as usize + 2, "the line is served again");
    }
}
