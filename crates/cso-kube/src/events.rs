//! Kubernetes Events: what happened to an object, told beside it, within a budget for each object.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
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

/// How long the end of the process waits for events that are on their way.
const FLUSH: Duration = Duration::from_secs(2);

/// Longest message that the API takes, in bytes.
const LONGEST: usize = 1024;

/// Tells events without making anybody wait.
pub(crate) struct Events {
    calls: Client,
    budgets: Mutex<BTreeMap<ObjectKey, Budget>>,
    going: Mutex<JoinSet<()>>,
}

/// What an object may still tell.
#[derive(Clone, Copy, Debug)]
struct Budget {
    left: u32,
    since: Timestamp,
}

impl Budget {
    /// Takes one, if there is one.
    fn take(&mut self, now: Timestamp) -> bool {
        let earned = now.duration_since(self.since).as_secs() / EARNED.as_secs();
        if earned > 0 {
            self.left = self.left.saturating_add(earned.try_into().unwrap_or(u32::MAX)).min(BURST);
            self.since = now;
        }
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }
}

impl Events {
    pub(crate) fn new(calls: Client) -> Self {
        Self { calls, budgets: Mutex::default(), going: Mutex::default() }
    }

    /// Sends an event about an object. One that cannot be sent is no loss to anything but itself.
    pub(crate) fn tell(&self, event: Event, resource: &Resource, uid: String) {
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        let budget = budgets.entry(event.object.clone()).or_insert(Budget { left: BURST, since: event.at });
        if !budget.take(event.at) {
            return;
        }
        drop(budgets);
        let api: Api<v1::Event> = Api::namespaced(self.calls.clone(), &event.object.namespace);
        let body = body(event, resource, uid);
        let mut going = self.going.lock().unwrap_or_else(PoisonError::into_inner);
        while going.try_join_next().is_some() {}
        going.spawn(async move {
            if let Err(error) = api.create(&PostParams::default(), &body).await {
                debug!(target: "cso::kube", why = crate::error::why(&error), "an event is not told");
            }
        });
    }

    /// Waits for events on their way, and not for long.
    pub(crate) async fn flush(&self) {
        let mut going = std::mem::take(&mut *self.going.lock().unwrap_or_else(PoisonError::into_inner));
        let all = async { while going.join_next().await.is_some() {} };
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
    use super::*;

    #[test]
    fn a_budget_runs_out_and_is_earned_again() {
        let begin = Timestamp::UNIX_EPOCH;
        let mut budget = Budget { left: BURST, since: begin };
        assert_eq!((0..100).filter(|_| budget.take(begin)).count(), BURST as usize);
        assert!(!budget.take(begin + SignedDuration::from_secs(299)));
        assert!(budget.take(begin + SignedDuration::from_mins(6)));
        assert!(!budget.take(begin + SignedDuration::from_mins(6)));
    }
}
