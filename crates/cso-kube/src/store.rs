//! The store port over an API server: a record stands on its object, and an event beside it.
//!
//! A call's intent goes out in the same patch as the finalizer, and only onto the version of the object that it was decided
//! on. How a call ended waits for what follows it, so that a plain create is three writes: intent, status, record.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cso_core::export::{Target, TargetKind};
use cso_core::port::{Change, Reach, Store, StoreError, StoreMeta};
use cso_core::{Exported, ObjectKey, Record};
use futures::future::join_all;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::OwnedMutexGuard;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use crate::connect::Cluster;
use crate::error::{is_late, not_taken, status, why};
use crate::events::Events;
use crate::fence::Fence;
use crate::identity::Keys;
use crate::object::{self, patches};
use crate::resources::{Resource, Resources};
use crate::rows::{Row, Rows};

/// The name under which the server keeps what this process wrote.
pub const FIELD_MANAGER: &str = "cso";

/// How long a call's outcome waits for what follows it, which is a look at the resource as a rule.
const CLOSING: Duration = Duration::from_secs(5);

/// Tries of a write that must go through, and the first pause between two.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_millis(50);

/// The memory of a controller.
pub struct KubeStore {
    shared: Arc<Shared>,
    closing: Mutex<JoinSet<()>>,
}

struct Shared {
    meta: StoreMeta,
    keys: Keys,
    calls: Client,
    resources: Resources,
    rows: Arc<Rows>,
    fence: Fence,
    events: Events,
    /// Outcomes that are not written yet.
    closed: Mutex<BTreeMap<ObjectKey, Arc<Record>>>,
    /// An outcome that is late must not come after the change that followed it.
    order: Order,
}

/// One change of an object at a time; those of others go on meanwhile, however long it takes.
#[derive(Default)]
struct Order(Mutex<BTreeMap<ObjectKey, Arc<tokio::sync::Mutex<()>>>>);

impl Order {
    /// Waits until no other change of the object is on its way.
    async fn of(&self, key: &ObjectKey) -> OwnedMutexGuard<()> {
        let own = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that nobody holds or waits for.
            all.retain(|_, own| Arc::strong_count(own) > 1);
            Arc::clone(all.entry(key.clone()).or_default())
        };
        own.lock_owned().await
    }
}

impl KubeStore {
    /// A store for these kinds. `rows` is shared with the feed that follows the server. Behind the `fence` nothing is
    /// written: intents while something new may be begun, everything else while it may be finished.
    pub fn new(cluster: &Cluster, meta: StoreMeta, resources: Resources, rows: Arc<Rows>, fence: Fence) -> Self {
        let keys = Keys { digest: meta.digest_key.clone() };
        let calls = cluster.calls();
        let events = Events::new(calls.clone());
        let shared = Shared {
            meta,
            keys,
            calls,
            resources,
            rows,
            fence,
            events,
            closed: Mutex::default(),
            order: Order::default(),
        };
        Self { shared: Arc::new(shared), closing: Mutex::default() }
    }

    /// Writes what is not written yet. To be called before the process ends.
    pub async fn flush(&self) {
        let mut closing = std::mem::take(&mut *self.closing.lock().unwrap_or_else(PoisonError::into_inner));
        closing.abort_all();
        let keys: Vec<ObjectKey> = self.shared.closed().keys().cloned().collect();
        // Side by side: a server may take seconds for each, and a process that is to end has not many.
        join_all(keys.iter().map(|key| self.shared.close(key))).await;
        self.shared.events.flush().await;
    }
}

impl Store for KubeStore {
    fn meta(&self) -> &StoreMeta {
        &self.shared.meta
    }

    /// Records come with the objects that they stand on, from the feed.
    async fn load(&self) -> Result<Vec<Record>, StoreError> {
        Ok(Vec::new())
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        for change in changes {
            match change {
                Change::Put(record) => {
                    let _order = self.shared.order.of(&record.key).await;
                    self.shared.write(&record).await?;
                    // Only now: what could not be written leaves the outcome before it to its own time.
                    self.shared.closed().remove(&record.key);
                }
                Change::Close(record) => self.close_soon(record),
                Change::Remove(key) => {
                    let _order = self.shared.order.of(&key).await;
                    self.shared.closed().remove(&key);
                    self.shared.release(&key).await?;
                }
                Change::Event(event) => {
                    let row = self.shared.rows.get(&event.object);
                    let resource = self.shared.resources.of(&event.object);
                    if let (Some(row), Some(resource)) = (row, resource) {
                        self.shared.events.tell(event, resource, row.uid);
                    }
                }
            }
        }
        Ok(())
    }

    async fn keeps(&self, exported: &Exported) -> bool {
        let held = self.held(&exported.target).await;
        held.map_or(true, |held| held.as_ref() == Some(&exported.value))
    }
}

impl KubeStore {
    /// What stands under the key of a target, if there is anything.
    async fn held(&self, target: &Target) -> Result<Option<String>, kube::Error> {
        let calls = self.shared.calls.clone();
        Ok(match target.kind {
            TargetKind::ConfigMap => {
                let api: Api<ConfigMap> = Api::namespaced(calls, &target.namespace);
                let data = api.get_opt(&target.name).await?.and_then(|map| map.data);
                data.and_then(|mut data| data.remove(&target.key))
            }
            TargetKind::Secret => {
                let api: Api<Secret> = Api::namespaced(calls, &target.namespace);
                let data = api.get_opt(&target.name).await?.and_then(|secret| secret.data);
                data.and_then(|mut data| data.remove(&target.key)).and_then(|value| String::from_utf8(value.0).ok())
            }
        })
    }

    fn close_soon(&self, record: Arc<Record>) {
        self.shared.closed().insert(record.key.clone(), Arc::clone(&record));
        let shared = Arc::clone(&self.shared);
        let mut closing = self.closing.lock().unwrap_or_else(PoisonError::into_inner);
        while closing.try_join_next().is_some() {}
        closing.spawn(async move {
            tokio::time::sleep(CLOSING).await;
            // A later outcome has a time of its own.
            if shared.closed().get(&record.key).is_some_and(|waits| Arc::ptr_eq(waits, &record)) {
                shared.close(&record.key).await;
            }
        });
    }
}

impl Shared {
    fn closed(&self) -> std::sync::MutexGuard<'_, BTreeMap<ObjectKey, Arc<Record>>> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes an outcome that nothing followed. If that fails the intent stays open, and a look will tell.
    async fn close(&self, key: &ObjectKey) {
        let _order = self.order.of(key).await;
        let Some(record) = self.closed().remove(key) else { return };
        if let Err(error) = self.write(&record).await {
            warn!(target: "cso::kube", object = %key, %error, "a call's outcome is not written");
        }
    }

    async fn write(&self, record: &Record) -> Result<(), StoreError> {
        let key = &record.key;
        let resource = self.resource(key)?;
        let mut pause = PAUSE;
        for attempt in 1.. {
            let may = if record.intent.is_some() { self.fence.may_begin() } else { self.fence.may_finish() };
            if !may {
                return Err(not_leading(key));
            }
            let Some(row) = self.rows.get(key) else { return Err(gone(key)) };
            if object::is_overtaken(&row, record) {
                return Err(not_taken(format!("the spec of {key} changed meanwhile")));
            }
            let error = match self.write_over(resource, &row, record).await {
                Ok(()) => return Ok(()),
                Err(Unwritten::Export(target, error)) if is_final(&error) => return Err(unexported(&target, &error)),
                Err(Unwritten::Export(_, error) | Unwritten::Object(error)) => error,
            };
            match status(&error) {
                Some(404) => {
                    self.rows.remove(key);
                    return Err(gone(key));
                }
                // What was decided on is not what is there: decide again.
                Some(409) if record.intent.is_some() => return Err(not_taken(format!("{key} changed meanwhile"))),
                Some(409) if attempt < TRIES => self.refresh(resource, key).await?,
                _ if is_final(&error) => {
                    return Err(not_taken(format!("the API server refuses to write {key}: {}", why(&error))));
                }
                // Each further try would take as long: others wait for the place of this one.
                _ if attempt >= TRIES || is_late(&error) => {
                    return Err(not_taken(format!("the API server does not take {key}: {}", why(&error))));
                }
                _ => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
            }
        }
        Ok(())
    }

    async fn write_over(&self, resource: &Resource, row: &Row, record: &Record) -> Result<(), Unwritten> {
        let exported = object::exported(row, &self.keys);
        let mut row = row.clone();
        // Before anything is told: what cannot be exported must not be told as done. Again after a crash, it is no harm.
        if let Some(wanted) = record.exported.as_ref().filter(|wanted| exported.as_ref() != Some(wanted)) {
            let unexported = |error| Unwritten::Export(wanted.target.clone(), error);
            if exported.is_none_or(|exported| exported.target != wanted.target) {
                // And before that where to, or a delete that comes now would leave the value behind. If it is there:
                // whoever cannot say without doing it is asked below.
                match self.export(&wanted.target, Some(&wanted.value), true).await {
                    Err(error) if status(&error) == Some(404) => return Err(unexported(error)),
                    _ => {}
                }
                let promised = Exported { target: wanted.target.clone(), value: String::new() };
                let promise = Record { exported: Some(promised), ..record.clone() };
                let patch = patches(resource, &row, &promise, &self.keys).main;
                row = self.patch_main(resource, record, row, patch).await?;
            }
            self.export(&wanted.target, Some(&wanted.value), false).await.map_err(unexported)?;
        }
        let patches = patches(resource, &row, record, &self.keys);
        if let Some(patch) = patches.status {
            debug!(target: "cso::kube", object = %record.key, "status");
            let api = resource.in_namespace(self.calls.clone(), &record.key.namespace);
            let patch = Patch::Merge(json!({"status": patch}));
            let answer = api.patch_status(&record.key.name, &params(), &patch).await?;
            row = self.take_in(resource, answer, &row);
        }
        self.patch_main(resource, record, row, patches.main).await?;
        Ok(())
    }

    /// Writes metadata and spec, if there is something to write; returns what the server has then.
    async fn patch_main(
        &self,
        resource: &Resource,
        record: &Record,
        row: Row,
        patch: Option<serde_json::Value>,
    ) -> Result<Row, kube::Error> {
        let Some(mut patch) = patch else { return Ok(row) };
        let key = &record.key;
        if let Some(version) = patch.pointer_mut("/metadata/resourceVersion") {
            *version = row.resource_version.as_str().into();
        }
        debug!(target: "cso::kube", object = %key, intent = record.intent.is_some(), "record");
        let api = resource.in_namespace(self.calls.clone(), &key.namespace);
        let answer = api.patch(&key.name, &params(), &Patch::Merge(patch)).await?;
        Ok(self.take_in(resource, answer, &row))
    }

    /// Puts a value under a key of a `ConfigMap` or Secret that exists; takes the key away with no value. `dry`: only sees
    /// whether the server would.
    async fn export(&self, target: &Target, value: Option<&str>, dry: bool) -> Result<(), kube::Error> {
        let params = PatchParams { dry_run: dry, ..params() };
        let entry = json!({target.key.as_str(): value});
        match target.kind {
            TargetKind::ConfigMap => {
                let api: Api<ConfigMap> = Api::namespaced(self.calls.clone(), &target.namespace);
                api.patch(&target.name, &params, &Patch::Merge(json!({"data": entry}))).await.map(drop)
            }
            TargetKind::Secret => {
                let api: Api<Secret> = Api::namespaced(self.calls.clone(), &target.namespace);
                // Only `data` takes a key away.
                let field = if value.is_some() { "stringData" } else { "data" };
                api.patch(&target.name, &params, &Patch::Merge(json!({field: entry}))).await.map(drop)
            }
        }
    }

    async fn release(&self, key: &ObjectKey) -> Result<(), StoreError> {
        let resource = self.resource(key)?;
        for _ in 0..TRIES {
            if !self.fence.may_finish() {
                return Err(not_leading(key));
            }
            let Some(row) = self.rows.get(key) else { return Ok(()) };
            let Some(patch) = object::release(&row, key) else { return Ok(()) };
            let released = async {
                if let Some(exported) = object::exported(&row, &self.keys) {
                    match self.export(&exported.target, None, false).await {
                        Err(error) if status(&error) == Some(404) => {}
                        done => done?,
                    }
                }
                let api = resource.in_namespace(self.calls.clone(), &key.namespace);
                let answer = api.patch(&key.name, &params(), &Patch::Merge(patch)).await?;
                self.take_in(resource, answer, &row);
                Ok(())
            };
            match released.await {
                Ok(()) => return Ok(()),
                Err(error) if status(&error) == Some(404) => {
                    self.rows.remove(key);
                    return Ok(());
                }
                Err(error) if status(&error) == Some(409) => self.refresh(resource, key).await?,
                Err(error) => {
                    return Err(not_taken(format!("the API server does not let go of {key}: {}", why(&error))));
                }
            }
        }
        Err(not_taken(format!("{key} changes faster than it can be let go of")))
    }

    /// Reads an object again, to write over what it is by now.
    async fn refresh(&self, resource: &Resource, key: &ObjectKey) -> Result<(), StoreError> {
        let api = resource.in_namespace(self.calls.clone(), &key.namespace);
        match api.get(&key.name).await {
            Ok(answer) => {
                self.rows.put(key.clone(), object::row(resource, &answer));
                Ok(())
            }
            Err(error) if status(&error) == Some(404) => {
                self.rows.remove(key);
                Ok(())
            }
            Err(error) => Err(not_taken(format!("{key} cannot be read again: {}", why(&error)))),
        }
    }

    /// What the server answered to a write is what it has.
    fn take_in(&self, resource: &Resource, answer: DynamicObject, before: &Row) -> Row {
        let row = object::row(resource, &answer);
        if row.uid == before.uid {
            let name = answer.metadata.name.unwrap_or_default();
            let namespace = answer.metadata.namespace.unwrap_or_default();
            let key = ObjectKey::new(&resource.group, &resource.kind, &namespace, &name);
            self.rows.put(key, row.clone());
        }
        row
    }

    fn resource(&self, key: &ObjectKey) -> Result<&Resource, StoreError> {
        let resource = self.resources.of(key).map(Arc::as_ref);
        resource.ok_or_else(|| not_taken(format!("{key} is of no kind that this process manages")))
    }
}

/// How everything is written: as ours, and of the form that the definitions say, so that the server need not look for what it
/// would only warn of: a few hundredths of its work.
fn params() -> PatchParams {
    PatchParams::apply(FIELD_MANAGER).validation_ignore()
}

/// What did not take a write.
enum Unwritten {
    Object(kube::Error),
    /// Where an export belongs.
    Export(Target, kube::Error),
}

impl From<kube::Error> for Unwritten {
    fn from(error: kube::Error) -> Self {
        Self::Object(error)
    }
}

/// Whether the same request would fare no better in a moment.
fn is_final(error: &kube::Error) -> bool {
    matches!(status(error), Some(400..=499)) && !matches!(status(error), Some(409 | 429))
}

fn unexported(target: &Target, error: &kube::Error) -> StoreError {
    let (kind, namespace, name) = (target.kind.name(), &target.namespace, &target.name);
    let message = match status(error) {
        Some(404) => format!("{kind} {namespace}/{name} does not exist: the value is exported once it does"),
        _ => format!("{kind} {namespace}/{name} cannot be written: {}", why(error)),
    };
    StoreError { message, reach: Reach::Export, source: None }
}

fn not_leading(key: &ObjectKey) -> StoreError {
    not_taken(format!("{key} is not written: another replica may lead by now"))
}

fn gone(key: &ObjectKey) -> StoreError {
    not_taken(format!("{key} is gone from the API server"))
}

#[cfg(test)]
mod tests;
