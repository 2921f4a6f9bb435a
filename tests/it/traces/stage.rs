//! One scenario's engine, with everything around it held in hand: clock, secrets, store, cloud.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cso_core::port::{Change, Clock, Purpose, SecretError, Secrets, Store};
use cso_core::{Condition, ConditionStatus, Object, ObjectKey, Record, SecretValue};
use cso_engine::classify;
use cso_engine::engine::{Engine, Ports, Settings, Turn};
use cso_engine::world::Kinds;
use cso_kube::rows::Rows;
use cso_local::state::StateFile;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::recording::Recording;
use super::server::{Home, Memory};
use super::wire::Wire;

/// Home region of the recordings.
pub(super) const HOME: &str = "us-east-1";

/// How long a step may take on the hand clock: enough for the retries of passing failures, and less than the first
/// retry of what a person must change.
const PATIENCE: Duration = Duration::from_secs(45);

/// More turns than any step needs.
const TURNS: usize = 200;

/// A clock that stands still until it is moved.
#[derive(Clone)]
struct HandClock(Arc<Mutex<Timestamp>>);

impl HandClock {
    fn move_to(&self, time: Timestamp) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = time.max(*now);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A Secret's type and its texts.
type Kept = (String, Map<String, Value>);

/// The Secrets of a scenario, by name.
#[derive(Clone, Default)]
struct Vault(Arc<Mutex<BTreeMap<String, Kept>>>);

impl Secrets for Vault {
    async fn secret(&self, namespace: &str, name: &str, key: &str) -> Result<SecretValue, SecretError> {
        let secrets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        match secrets.get(&format!("{namespace}/{name}")) {
            None => Err(SecretError::Missing { namespace, name }),
            Some((found, _)) if found != "Opaque" => {
                Err(SecretError::WrongType { namespace, name, found: found.clone() })
            }
            Some((_, texts)) => texts
                .get(key)
                .and_then(Value::as_str)
                .map(SecretValue::new)
                .ok_or_else(|| SecretError::NoKey { namespace, name, key: key.to_owned() }),
        }
    }
}

type Machine = Engine<Wire, Memory, Vault, HandClock>;

/// A scenario in progress.
pub(super) struct Stage {
    namespace: String,
    /// Group of the service under test. Objects of other groups have no controller, as in the recordings.
    group: String,
    kinds: Kinds,
    wire: Wire,
    clock: HandClock,
    vault: Vault,
    home: Home,
    /// What the process has seen of a cluster.
    rows: Arc<Rows>,
    manifests: BTreeMap<ObjectKey, Value>,
    deleting: BTreeSet<ObjectKey>,
    /// `None` after a scripted death.
    engine: Option<Machine>,
}

impl Stage {
    pub(super) async fn new(recording: &Recording, kinds: Kinds, wire: Wire, home: Home) -> Result<Self> {
        let mut stage = Self {
            namespace: recording.namespace.clone(),
            group: format!("{}.services.k8s.aws", recording.service),
            kinds,
            wire,
            clock: HandClock(Arc::new(Mutex::new("2026-01-01T00:00:00Z".parse()?))),
            vault: Vault::default(),
            home,
            rows: Arc::default(),
            manifests: BTreeMap::new(),
            deleting: BTreeSet::new(),
            engine: None,
        };
        stage.restart().await?;
        Ok(stage)
    }

    /// The key of a manifest's object.
    pub(super) fn key(&self, manifest: &Value) -> ObjectKey {
        let text = |pointer: &str| manifest.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let group = text("/apiVersion").split_once('/').map_or("", |(group, _)| group);
        ObjectKey::new(group, text("/kind"), &self.namespace, text("/metadata/name"))
    }

    pub(super) fn apply(&mut self, manifest: Value) -> Result<()> {
        let key = self.key(&manifest);
        if let Home::Cluster(server) = &self.home
            && !key.group.is_empty()
        {
            server.create(&key, &manifest)?;
        }
        self.declare(&key, manifest)
    }

    fn declare(&mut self, key: &ObjectKey, manifest: Value) -> Result<()> {
        if key.group.is_empty() {
            let texts = manifest.get("stringData").and_then(Value::as_object).cloned().unwrap_or_default();
            let kind = manifest.get("type").and_then(Value::as_str).unwrap_or("Opaque").to_owned();
            let place = format!("{}/{}", key.namespace, key.name);
            self.vault.0.lock().unwrap_or_else(PoisonError::into_inner).insert(place, (kind, texts));
        }
        self.manifests.insert(key.clone(), manifest);
        self.deleting.remove(key);
        self.hear(key)
    }

    /// A merge patch of an object; says what it was before, unless it was refused.
    pub(super) fn patch(&mut self, key: &ObjectKey, patch: &Value) -> Result<Option<Value>> {
        if let Home::Cluster(server) = &self.home
            && !key.group.is_empty()
            && !server.patch(key, patch, "")?
        {
            return Ok(None);
        }
        let manifest = self.manifests.get_mut(key).with_context(|| format!("{key} is not there to be patched"))?;
        let before = manifest.clone();
        merge(manifest, patch);
        let manifest = manifest.clone();
        self.declare(key, manifest)?;
        Ok(Some(before))
    }

    /// Writes another controller's status.
    pub(super) async fn patch_status(&mut self, key: &ObjectKey, patch: &Value) -> Result<()> {
        if let Home::Cluster(server) = &self.home {
            ensure!(server.patch(key, patch, "status")?, "the status of {key} was refused");
            return self.hear(key);
        }
        let engine = self.engine.as_ref().context("the engine is down")?;
        let meta = engine.ports().store.meta();
        let mut record = Record::new(key.clone(), "another".to_owned(), meta.digest_key.digest("spec", &json!({})));
        for (name, value) in patch["status"].as_object().into_iter().flatten() {
            if name != "conditions" {
                record.status.insert(name.clone(), value.clone());
            }
        }
        for condition in patch["status"]["conditions"].as_array().into_iter().flatten() {
            record.conditions.push(Condition {
                kind: condition["type"].as_str().unwrap_or_default().to_owned(),
                status: if condition["status"] == "True" { ConditionStatus::True } else { ConditionStatus::False },
                reason: String::new(),
                message: String::new(),
                last_transition_time: self.clock.now(),
            });
        }
        engine.ports().store.commit(vec![Change::Put(Arc::new(record.clone()))]).await?;
        engine.world().remember(record);
        Ok(())
    }

    pub(super) fn delete(&mut self, key: &ObjectKey) -> Result<()> {
        if key.group.is_empty() {
            let place = format!("{}/{}", key.namespace, key.name);
            self.vault.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&place);
            self.manifests.remove(key);
        } else if self.manifests.contains_key(key) {
            if let Home::Cluster(server) = &self.home {
                server.delete(key)?;
            }
            self.deleting.insert(key.clone());
            self.hear(key)?;
        }
        Ok(())
    }

    /// A new process over what the last one left.
    pub(super) async fn restart(&mut self) -> Result<()> {
        // The state file has one writer, and what goes by itself tells what it knows.
        if let Some(engine) = self.engine.take()
            && let Memory::Objects(store) = &engine.ports().store
        {
            store.flush().await;
        }
        self.rows = Arc::default();
        let store = match &self.home {
            Home::Directory(state) => Memory::File(StateFile::open(state)?),
            Home::Cluster(server) => Memory::Objects(server.store(&self.rows)),
        };
        let ports = Ports { cloud: self.wire.clone(), store, secrets: self.vault.clone(), clock: self.clock.clone() };
        let settings = Settings {
            region: HOME.to_owned(),
            concurrency: 1,
            take_back: false,
            cross_namespace: true,
            consistency: Some(Duration::ZERO),
            version: "test".to_owned(),
            ..Settings::default()
        };
        let (progress, _) = tokio::sync::mpsc::unbounded_channel();
        self.engine = Some(Engine::open(ports, self.kinds.clone(), settings, progress).await?);
        for key in self.manifests.keys().cloned().collect::<Vec<_>>() {
            self.hear(&key)?;
        }
        Ok(())
    }

    /// The engine hears of an object as it is now.
    fn hear(&mut self, key: &ObjectKey) -> Result<()> {
        let Some(engine) = self.engine.take() else { return Ok(()) };
        if matches!(self.home, Home::Cluster(_)) {
            self.read(&engine, key)?;
        } else {
            self.wish(&engine, key);
        }
        self.engine = Some(engine);
        Ok(())
    }

    /// What the watch of a cluster would tell of an object.
    fn read(&mut self, engine: &Machine, key: &ObjectKey) -> Result<()> {
        let Home::Cluster(server) = &self.home else { return Ok(()) };
        if key.group.is_empty() {
            return Ok(());
        }
        let Some(seen) = server.seen(key)? else {
            self.rows.remove(key);
            self.manifests.remove(key);
            engine.world().forget(key);
            return Ok(());
        };
        self.rows.put(key.clone(), seen.row.clone());
        if key.group != self.group {
            engine.world().look_on(seen.told());
            return Ok(());
        }
        if let Some(record) = seen.record {
            engine.world().meet(record);
        }
        engine.set(seen.object);
        Ok(())
    }

    fn wish(&self, engine: &Machine, key: &ObjectKey) {
        let Some(manifest) = self.manifests.get(key).filter(|_| !key.group.is_empty()) else { return };
        let texts = |pointer: &str| {
            let members = manifest.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
            members.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
        };
        engine.set(Object {
            key: key.clone(),
            labels: texts("/metadata/labels"),
            annotations: texts("/metadata/annotations"),
            inherited: None,
            life: None,
            spec: Arc::new(manifest.get("spec").cloned().unwrap_or_else(|| json!({}))),
            deleting: self.deleting.contains(key),
        });
    }

    /// Works on every object of the service under test until nothing is due within the patience, or the process dies.
    pub(super) async fn settle(&mut self) -> Result<()> {
        let Some(engine) = self.engine.take() else { return Ok(()) };
        let start = self.clock.now();
        let until = start + PATIENCE;
        let mut due: BTreeMap<ObjectKey, Timestamp> =
            self.manifests.keys().filter(|key| key.group == self.group).map(|key| (key.clone(), start)).collect();
        let mut fresh = BTreeSet::new();
        let mut failures: BTreeMap<ObjectKey, u32> = BTreeMap::new();
        let mut turns = 0;
        while let Some((key, at)) = due.iter().min_by_key(|(_, at)| **at).map(|(key, at)| (key.clone(), *at)) {
            if at > until {
                break;
            }
            turns += 1;
            ensure!(turns <= TURNS, "{key} has not come to rest after {TURNS} turns");
            self.clock.move_to(at);
            let turn = tokio::select! {
                biased;
                turn = Box::pin(engine.turn(&key, Purpose::Change, fresh.remove(&key))) => turn?,
                () = self.wire.killed() => return Ok(()),
            };
            for key in self.manifests.keys().cloned().collect::<Vec<_>>() {
                self.read(&engine, &key)?;
            }
            due.remove(&key);
            let now = self.clock.now();
            if !matches!(turn, Turn::Failed { .. }) {
                failures.remove(&key);
            }
            match turn {
                Turn::Again { fresh: is_fresh } => {
                    fresh.extend(is_fresh.then(|| key.clone()));
                    due.insert(key, now);
                }
                Turn::Later { after, .. } => {
                    due.insert(key, now + after);
                }
                Turn::Failed { class, error, .. } => {
                    let failed = failures.entry(key.clone()).or_default();
                    *failed += 1;
                    let kind = self.kinds.of(&key).context("a kind without descriptor")?;
                    due.insert(key, now + classify::pause(&kind.errors, error.as_ref(), class, *failed));
                }
                // Whoever waits for an object is woken when that object has come to rest.
                Turn::WaitsFor { .. } => {}
                Turn::Settled => {
                    let waiting = engine.world().referrers(&key);
                    due.extend(waiting.into_iter().filter(|other| is_behind(&engine, other)).map(|key| (key, now)));
                }
                Turn::Forgotten => {
                    let others: Vec<ObjectKey> = engine.world().wished().map(|(key, _)| key.clone()).collect();
                    due.extend(others.into_iter().filter(|other| other.group == self.group).map(|key| (key, now)));
                }
            }
        }
        if matches!(self.home, Home::Directory(_)) {
            let gone = |key: &ObjectKey| !key.group.is_empty() && engine.world().wish(key).is_none();
            self.manifests.retain(|key, _| !gone(key));
        }
        self.engine = Some(engine);
        Ok(())
    }

    /// Leaves nothing of the scenario behind.
    pub(super) fn clear(&self) -> Result<()> {
        let Home::Cluster(server) = &self.home else { return Ok(()) };
        self.manifests.keys().filter(|key| !key.group.is_empty()).try_for_each(|key| server.wipe(key))
    }

    /// The object as a user would see it: spec with the provider's choices, status, and conditions by type.
    pub(super) async fn view(&self, key: &ObjectKey) -> Result<Option<Value>> {
        let state = match &self.home {
            Home::Directory(state) => state,
            Home::Cluster(server) => return Ok(server.get(key)?.map(|object| shown(&object))),
        };
        let Some(manifest) = self.manifests.get(key) else { return Ok(None) };
        let record = match &self.engine {
            Some(engine) => engine.world().record(key).map(Arc::unwrap_or_clone),
            None => StateFile::open(state)?.load().await?.into_iter().find(|record| record.key == *key),
        };
        let mut spec = manifest.get("spec").cloned().unwrap_or_else(|| json!({}));
        let mut view = json!({"status": {}, "conditions": {}});
        if let Some(record) = record {
            for (name, value) in record.late.into_iter().filter(|(name, _)| manifest["spec"].get(name).is_none()) {
                spec[name] = value;
            }
            view["status"] = Value::Object(record.status);
            for condition in record.conditions {
                let place = format!("conditions.{}", condition.kind);
                view["messages"][place] = json!([condition.reason, condition.message]);
                view["conditions"][condition.kind] = json!(condition.status);
            }
        }
        view["spec"] = spec;
        Ok(Some(view))
    }
}

/// The same of an object as a server shows it.
fn shown(object: &Value) -> Value {
    let mut status = object["status"].as_object().cloned().unwrap_or_default();
    let conditions = status.remove("conditions").unwrap_or_default();
    let spec = object.get("spec").filter(|spec| !spec.is_null()).cloned().unwrap_or_else(|| json!({}));
    let mut view = json!({"spec": spec, "status": status, "conditions": {}});
    for condition in conditions.as_array().into_iter().flatten() {
        let kind = condition["type"].as_str().unwrap_or_default();
        view["messages"][format!("conditions.{kind}")] = json!([condition["reason"], condition["message"]]);
        view["conditions"][kind] = condition["status"].clone();
    }
    view
}

fn is_behind(engine: &Machine, key: &ObjectKey) -> bool {
    let synced = cso_engine::resolve::is_synced;
    !engine.world().record(key).is_some_and(|record| synced(&record))
}

/// A JSON merge patch: null takes out.
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(members) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in members {
        if value.is_null() {
            if let Some(target) = target.as_object_mut() {
                target.remove(name);
            }
        } else {
            merge(&mut target[name], value);
        }
    }
}
