//! Secrets, read by name when a call needs one. No value is cached and nothing is listed or watched: a right to watch by name
//! cannot be granted without naming every Secret, or else it is a right to see all.
//!
//! That one has changed is seen by looking at the versions of those that were read, one after the other, by name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cso_core::port::{SecretError, Secrets};
use cso_core::{ObjectKey, SecretValue};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use tokio::sync::Notify;
use tracing::debug;

use crate::connect::Cluster;
use crate::error::why;

/// How often a Secret that is in use is looked at, as long as there are few.
const LOOK: Duration = Duration::from_secs(5);

/// Between two looks: with more than fifty Secrets each is looked at less often, and the server is asked no more often.
const GAP: Duration = Duration::from_millis(100);

/// A Secret's namespace and name.
type Name = (String, String);

/// The secrets port over an API server.
pub struct KubeSecrets {
    calls: Client,
    known: Arc<Known>,
}

/// Tells when a Secret that was read is another by now.
pub struct Rotations {
    calls: Client,
    known: Arc<Known>,
    /// The Secret that was looked at last: the one after it is next.
    last: Option<Name>,
}

/// The versions of Secrets that were read; none of one that was not there.
#[derive(Default)]
struct Known {
    state: Mutex<State>,
    rotates: Notify,
}

#[derive(Default)]
struct State {
    versions: BTreeMap<Name, Option<String>>,
    /// Those that turned out to be others, until somebody was told.
    rotated: BTreeSet<Name>,
}

impl Known {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in the version that a Secret has now.
    fn note(&self, name: Name, version: Option<&str>) {
        let mut state = self.state();
        let before = state.versions.insert(name.clone(), version.map(str::to_owned));
        if before.is_some_and(|before| before.as_deref() != version) {
            state.rotated.insert(name);
            self.rotates.notify_one();
        }
    }

    /// The Secret after this one, and the first after the last.
    fn after(&self, last: Option<&Name>) -> Option<Name> {
        let state = self.state();
        let next = state.versions.keys().find(|name| last.is_none_or(|last| *name > last));
        next.or_else(|| state.versions.keys().next()).cloned()
    }

    /// How long until the next look.
    fn pause(&self) -> Duration {
        let count = self.state().versions.len().max(1);
        (LOOK / u32::try_from(count).unwrap_or(u32::MAX)).max(GAP)
    }
}

impl KubeSecrets {
    /// The Secrets of a cluster.
    pub fn new(cluster: &Cluster) -> Self {
        Self { calls: cluster.calls(), known: Arc::default() }
    }

    /// What becomes of those that are read through this.
    pub fn rotations(&self) -> Rotations {
        Rotations { calls: self.calls.clone(), known: Arc::clone(&self.known), last: None }
    }
}

impl Rotations {
    /// Waits for the next Secret that is another than it was when it was read. `is_used`: whether anybody still reads it; one
    /// that nobody does is not looked at any more.
    pub async fn next(&mut self, is_used: impl Fn(&ObjectKey) -> bool) -> ObjectKey {
        let key = |(namespace, name): &Name| ObjectKey::new("", "Secret", namespace, name);
        loop {
            if let Some(name) = self.known.state().rotated.pop_first() {
                return key(&name);
            }
            tokio::select! {
                () = self.known.rotates.notified() => continue,
                () = tokio::time::sleep(self.known.pause()) => {}
            }
            self.last = self.known.after(self.last.as_ref());
            let Some(name) = self.last.clone() else { continue };
            if is_used(&key(&name)) {
                self.look(name).await;
            } else {
                self.known.state().versions.remove(&name);
            }
        }
    }

    /// Looks at the version of a Secret, and at nothing else of it.
    async fn look(&self, name: Name) {
        let secrets: Api<Secret> = Api::namespaced(self.calls.clone(), &name.0);
        match secrets.get_metadata_opt(&name.1).await {
            Ok(found) => {
                let version = found.as_ref().and_then(|found| found.metadata.resource_version.as_deref());
                self.known.note(name, version);
            }
            Err(error) => {
                let (namespace, name) = name;
                debug!(target: "cso::kube", namespace, name, why = why(&error), "a Secret cannot be looked at");
            }
        }
    }
}

impl Secrets for KubeSecrets {
    async fn secret(&self, namespace: &str, name: &str, key: &str) -> Result<SecretValue, SecretError> {
        let (own_namespace, own_name) = (namespace.to_owned(), name.to_owned());
        let secrets: Api<Secret> = Api::namespaced(self.calls.clone(), namespace);
        let found = secrets.get_opt(name).await;
        if let Ok(found) = &found {
            let version = found.as_ref().and_then(|secret| secret.metadata.resource_version.as_deref());
            self.known.note((own_namespace.clone(), own_name.clone()), version);
        }
        let secret = match found {
            Ok(Some(secret)) => secret,
            Ok(None) => return Err(SecretError::Missing { namespace: own_namespace, name: own_name }),
            Err(error) => {
                return Err(SecretError::Unreadable { namespace: own_namespace, name: own_name, why: why(&error) });
            }
        };
        if let Some(found) = secret.type_.filter(|kind| kind != "Opaque") {
            return Err(SecretError::WrongType { namespace: own_namespace, name: own_name, found });
        }
        let Some(value) = secret.data.and_then(|mut data| data.remove(key)) else {
            return Err(SecretError::NoKey { namespace: own_namespace, name: own_name, key: key.to_owned() });
        };
        String::from_utf8(value.0).map(SecretValue::new).map_err(|_| SecretError::Unreadable {
            namespace: own_namespace,
            name: own_name,
            why: format!("key `{key}` is not UTF-8 text"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> Name {
        ("shop".to_owned(), name.to_owned())
    }

    #[test]
    fn a_secret_is_told_once_when_it_is_another() {
        let known = Known::default();
        for version in ["1", "1", "2", "2"] {
            known.note(name("db"), Some(version));
        }
        assert_eq!(known.state().rotated.pop_first(), Some(name("db")));
        assert_eq!(known.state().rotated.pop_first(), None);
        known.note(name("db"), None);
        assert_eq!(known.state().rotated.pop_first(), Some(name("db")), "one that is gone is another too");
    }

    #[test]
    fn each_has_its_turn_and_many_are_not_asked_for_more_often() {
        let known = Known::default();
        assert_eq!((known.after(None), known.pause()), (None, LOOK));
        for one in ["a", "b", "c"] {
            known.note(name(one), Some("1"));
        }
        let mut last = None;
        let mut order = String::new();
        for _ in 0..5 {
            last = known.after(last.as_ref());
            order.push_str(&last.as_ref().unwrap().1);
        }
        assert_eq!(order, "abcab");
        assert_eq!(known.pause(), LOOK / 3);
        for number in 0..500 {
            known.note(name(&number.to_string()), Some("1"));
        }
        assert_eq!(known.pause(), GAP);
    }
}
