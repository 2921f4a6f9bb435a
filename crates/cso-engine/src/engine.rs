//! The engine: its ports, its settings, what it tells, and how it remembers. Its work is in the modules below.

mod export;
pub(crate) mod looks;
mod prepare;
mod preview;
mod status;
mod turn;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use cso_core::port::{Change, Clock, Cloud, Event, EventKind, Secrets, Store, StoreError};
use cso_core::{CallError, Object, ObjectKey, Record, Step};
use tokio::sync::mpsc::UnboundedSender;

use self::looks::Looks;
pub use self::preview::Preview;
pub use self::turn::Turn;
use crate::conditions::Standing;
use crate::dialect::Deletion;
use crate::limited::Limited;
use crate::read::Marked;
use crate::world::{Kinds, World};

/// What the engine works with.
#[derive(Debug)]
pub struct Ports<C, S, P, K> {
    pub cloud: C,
    pub store: S,
    pub secrets: P,
    pub clock: K,
}

/// What the user decided for all objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Region of objects that do not say one.
    pub region: String,
    /// Calls that are made at the same time, over all objects.
    pub concurrency: usize,
    pub take_back: bool,
    pub cross_namespace: bool,
    /// Instead of each kind's consistency window, for clouds that are known to answer at once.
    pub consistency: Option<Duration>,
    /// Objects that nobody works on are kept in little memory, which costs each turn some microseconds: for a process that
    /// stays.
    pub packs: bool,
    /// For the tag that names the controller's version.
    pub version: String,
    /// What a deleted object means for its resource where neither it nor its namespace says so.
    pub deletion: Deletion,
    /// Tags of every resource: keys, and values with [tokens](crate::dialect::TOKENS) in them. The user's own tags come before them.
    pub default_tags: BTreeMap<String, String>,
}

/// Decides and does. Shared by every turn.
pub struct Engine<C, S, P, K> {
    pub(crate) ports: Ports<Limited<C>, S, P, K>,
    pub(crate) kinds: Kinds,
    /// A turn takes them once, when it begins.
    settings: RwLock<Arc<Settings>>,
    world: Mutex<World>,
    marked: Marked,
    looks: Looks,
    /// Records on their way to the store: what they bring about may be heard of before the store says that it has them.
    saving: Mutex<BTreeMap<ObjectKey, Arc<Record>>>,
    /// Objects whose record is remembered here and was taken out of the store.
    lost: Mutex<BTreeSet<ObjectKey>>,
    progress: UnboundedSender<Progress>,
}

/// What happens, as it happens.
#[derive(Clone, Debug)]
pub enum Progress {
    /// A mutating call goes out.
    Calling { object: ObjectKey, step: Arc<Step> },
    /// It came back.
    Called { object: ObjectKey, step: Arc<Step>, error: Option<CallError> },
    /// The object stands differently than before.
    Standing { object: ObjectKey, standing: Standing },
    /// A resource that exists is ours from now on, without a call.
    Owned { object: ObjectKey, message: String },
    /// A value was put into a `ConfigMap` or Secret.
    Exported { object: ObjectKey, message: String },
    /// The object's resource is deleted or let go of.
    Forgotten { object: ObjectKey, message: String },
}

impl<C: Cloud, S: Store, P: Secrets, K: Clock> Engine<C, S, P, K> {
    /// An engine over what the store remembers.
    pub async fn open(
        ports: Ports<C, S, P, K>,
        kinds: Kinds,
        settings: Settings,
        progress: UnboundedSender<Progress>,
    ) -> Result<Self, StoreError> {
        let records = ports.store.load().await?;
        let world = Mutex::new(World::new(records, &kinds, settings.packs));
        let Ports { cloud, store, secrets, clock } = ports;
        let ports = Ports { cloud: Limited::new(cloud, settings.concurrency), store, secrets, clock };
        Ok(Self {
            ports,
            kinds,
            settings: RwLock::new(Arc::new(settings)),
            world,
            marked: Marked::default(),
            looks: Looks::default(),
            saving: Mutex::default(),
            lost: Mutex::default(),
            progress,
        })
    }

    /// The world, locked. A panic of another holder left it as it was before or after one change.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the user decided last.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes in what the user decides now: it counts for turns that begin from here on, and what is in flight ends as it began.
    /// Says whether something else may be decided about objects than before.
    pub fn change(&self, settings: Settings) -> bool {
        self.ports.cloud.resize(settings.concurrency);
        let mut known = self.settings.write().unwrap_or_else(PoisonError::into_inner);
        let as_before = Settings { concurrency: settings.concurrency, ..Settings::clone(&known) };
        let is_other = as_before != settings;
        *known = Arc::new(settings);
        is_other
    }

    /// What is wished for and what is remembered of an object.
    fn known(&self, key: &ObjectKey) -> (Option<Arc<Object>>, Option<Record>) {
        let (wish, record) = self.world().both(key);
        (wish, record.map(Arc::unwrap_or_clone))
    }

    /// The kinds this engine knows.
    pub const fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    /// The ports this engine drives; its cloud takes no more calls at the same time than the settings say.
    pub const fn ports(&self) -> &Ports<Limited<C>, S, P, K> {
        &self.ports
    }

    /// Takes a wish in; says whether it is another than before, and something is to be done about it.
    pub fn set(&self, object: Object) -> bool {
        let mut world = self.world();
        let is_ours = self.is_ours(&world, &object);
        world.set(object, &self.kinds) && !is_ours
    }

    /// Whether a wish differs from the one before by what we put into it, and by nothing else.
    fn is_ours(&self, world: &World, object: &Object) -> bool {
        let saving = self.saving().get(&object.key).cloned();
        let (known, record) = world.both(&object.key);
        let (Some(life), Some(record), Some(known)) = (&object.life, saving.or(record), known) else {
            return false;
        };
        let same = |known: &Object| Object { spec: object.spec.clone(), life: object.life.clone(), ..known.clone() };
        record.observed == life.generation
            && record.intent.is_none()
            && record.spec_digest == self.ports.store.meta().digest_key.digest("spec", &object.spec)
            && same(&known) == *object
    }

    /// Writes a record if it differs from the one that is remembered.
    async fn save(&self, record: Record, event: Option<(&str, String, EventKind)>) -> Result<(), StoreError> {
        let is_lost = self.lost().remove(&record.key);
        let same = !is_lost && self.world().record(&record.key).as_deref() == Some(&record);
        let record = Arc::new(record);
        let mut changes = Vec::new();
        if let Some((reason, message, kind)) = event {
            changes.push(Change::Event(self.event(&record.key, reason, message, kind)));
        }
        if !same {
            changes.push(Change::Put(Arc::clone(&record)));
        }
        if changes.is_empty() {
            return Ok(());
        }
        let key = record.key.clone();
        self.saving().insert(key.clone(), Arc::clone(&record));
        let saved = self.ports.store.commit(changes).await;
        if saved.is_ok() {
            self.world().remember(record);
        } else if is_lost {
            self.lost().insert(key.clone());
        }
        self.saving().remove(&key);
        saved
    }

    /// Somebody took away what the store holds of an object: it is written again when the object is looked at next. Says
    /// whether there is something to write.
    pub fn lost_record(&self, key: &ObjectKey) -> bool {
        let is_known = self.world().record(key).is_some();
        if is_known {
            self.lost().insert(key.clone());
        }
        is_known
    }

    pub(crate) fn lost(&self) -> MutexGuard<'_, BTreeSet<ObjectKey>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn saving(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Arc<Record>>> {
        self.saving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes how a call ended.
    async fn close(&self, record: Record, event: (&str, String, EventKind)) -> Result<(), StoreError> {
        let (reason, message, kind) = event;
        let event = Change::Event(self.event(&record.key, reason, message, kind));
        let record = Arc::new(record);
        self.ports.store.commit(vec![event, Change::Close(Arc::clone(&record))]).await?;
        self.world().remember(record);
        Ok(())
    }

    fn event(&self, object: &ObjectKey, reason: &str, message: String, kind: EventKind) -> Event {
        Event { at: self.ports.clock.now(), object: object.clone(), kind, reason: reason.to_owned(), message }
    }

    pub(crate) fn tell(&self, progress: Progress) {
        // Nobody listening is fine.
        let _ = self.progress.send(progress);
    }
}
