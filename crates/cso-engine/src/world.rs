//! What the engine holds in memory: wishes, records, and who refers to whom. Synchronous; locked briefly, never across
//! an await.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use cso_core::export::Target;
use cso_core::{Object, ObjectKey, Record};
use cso_schema::kind::Kind;
use serde_json::Value;

use crate::exports;
use crate::resolve::{self, Others};

/// Kinds by group and name. Those of a group are compiled when one of them is first asked for: of hundreds of services, most
/// users have a few.
#[derive(Clone, Debug, Default)]
pub struct Kinds(BTreeMap<String, Arc<Group>>);

type Group = LazyLock<Vec<Arc<Kind>>, Box<dyn FnOnce() -> Vec<Arc<Kind>> + Send>>;

impl Kinds {
    /// The kind of an object, if there is a descriptor for it.
    pub fn of(&self, key: &ObjectKey) -> Option<&Arc<Kind>> {
        self.named(&key.group, &key.kind)
    }

    /// The kind of a group by its name; compiles no other group.
    pub fn named(&self, group: &str, kind: &str) -> Option<&Arc<Kind>> {
        self.0.get(group)?.iter().find(|known| known.name() == kind)
    }

    /// Every kind, by group and name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.0.values().flat_map(|group| group.iter())
    }

    /// Adds the kinds of a group, to be compiled once they are needed.
    pub fn add(&mut self, group: String, compile: impl FnOnce() -> Vec<Kind> + Send + 'static) {
        let sorted = || {
            let mut kinds: Vec<Arc<Kind>> = compile().into_iter().map(Arc::new).collect();
            kinds.sort_by(|one, other| one.name().cmp(other.name()));
            kinds
        };
        self.0.insert(group, Arc::new(LazyLock::new(Box::new(sorted))));
    }

    /// These kinds with others beside them, which stand in for those of the same name.
    #[must_use]
    pub fn with(&self, others: &[Kind]) -> Self {
        let mut all = self.clone();
        for group in others.iter().map(Kind::group).collect::<BTreeSet<_>>() {
            let new: Vec<Kind> = others.iter().filter(|kind| kind.group() == group).cloned().collect();
            let old = self.0.get(group).into_iter().flat_map(|group| group.iter());
            let kept = old.filter(|old| new.iter().all(|new| new.name() != old.name()));
            let kinds: Vec<Kind> = kept.map(|kind| Kind::clone(kind)).chain(new.iter().cloned()).collect();
            all.add(group.to_owned(), || kinds);
        }
        all
    }
}

impl FromIterator<Kind> for Kinds {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Self {
        Self::default().with(&kinds.into_iter().collect::<Vec<_>>())
    }
}

/// Objects and records, with the index of references.
#[derive(Debug, Default)]
pub struct World {
    objects: BTreeMap<ObjectKey, Arc<Object>>,
    records: BTreeMap<ObjectKey, Arc<Record>>,
    /// By target: the objects that refer to it.
    referrers: BTreeMap<ObjectKey, BTreeSet<ObjectKey>>,
}

impl World {
    /// A world that starts with what a store remembers.
    pub fn new(records: Vec<Record>, kinds: &Kinds) -> Self {
        let mut world = Self::default();
        for record in records {
            world.link(&record.key, leads_to(&record.key, &record.wish.spec, kinds));
            world.remember(record);
        }
        world
    }

    fn link(&mut self, from: &ObjectKey, targets: BTreeSet<ObjectKey>) {
        for target in targets {
            self.referrers.entry(target).or_default().insert(from.clone());
        }
    }

    /// Takes a wish in; says whether it is another than before.
    pub fn set(&mut self, mut object: Object, kinds: &Kinds) -> bool {
        if self.objects.get(&object.key).is_some_and(|known| **known == object) {
            return false;
        }
        let lives = |record: &Record| object.life.as_ref().is_none_or(|life| life.uid == record.uid);
        if self.records.get(&object.key).is_some_and(|record| !lives(record)) {
            // Of an earlier object of this name, which went without us.
            self.records.remove(&object.key);
        }
        if let Some(record) = self.records.get(&object.key).filter(|record| record.wish.spec == object.spec) {
            // One copy in memory of what is both wished for and remembered.
            object.spec = Arc::clone(&record.wish.spec);
        }
        self.link(&object.key, leads_to(&object.key, &object.spec, kinds));
        self.objects.insert(object.key.clone(), Arc::new(object));
        true
    }

    /// The wish for an object.
    pub fn wish(&self, key: &ObjectKey) -> Option<Arc<Object>> {
        self.objects.get(key).cloned()
    }

    /// All wishes.
    pub fn wishes(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.objects.values()
    }

    /// All records.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values().map(Arc::as_ref)
    }

    /// Replaces a record.
    pub fn remember(&mut self, record: impl Into<Arc<Record>>) {
        let record = record.into();
        self.records.insert(record.key.clone(), record);
    }

    /// Takes in a record that was written by an earlier process, unless this one knows better.
    pub fn meet(&mut self, record: Record) {
        if self.records.get(&record.key).is_none_or(|known| known.uid != record.uid) {
            self.remember(record);
        }
    }

    /// Takes in what another process, which works on the objects, remembers of one: it knows better.
    pub fn follow(&mut self, key: &ObjectKey, record: Option<Record>) {
        match record {
            Some(record) => self.remember(record),
            None => drop(self.records.remove(key)),
        }
    }

    /// Takes in what an object says that others work on: it is no wish here, but others refer to it. Says whether it tells
    /// them something new.
    pub fn look_on(&mut self, record: Record) -> bool {
        let is_new = self.records.get(&record.key).is_none_or(|known| {
            let is_synced = resolve::is_synced;
            (&known.status, &known.wish.spec, is_synced(known))
                != (&record.status, &record.wish.spec, is_synced(&record))
        });
        self.objects.remove(&record.key);
        self.remember(record);
        is_new
    }

    /// Drops an object and its record, which it returns.
    pub fn forget(&mut self, key: &ObjectKey) -> Option<Arc<Record>> {
        self.objects.remove(key);
        for referrers in self.referrers.values_mut() {
            referrers.remove(key);
        }
        self.records.remove(key)
    }

    /// Objects that refer to this one; of a field export, those that read what it exports.
    pub fn referrers(&self, key: &ObjectKey) -> Vec<ObjectKey> {
        let exported = self.records.get(key).and_then(|record| record.exported.as_ref());
        let target = exported.map(|exported| exported.target.object());
        let keys = std::iter::once(key).chain(&target);
        keys.filter_map(|key| self.referrers.get(key)).flatten().cloned().collect()
    }

    /// Another field export that has written the target of this one, or is the first to wish for it.
    pub fn rival(&self, key: &ObjectKey, target: &Target) -> Option<ObjectKey> {
        let has_written = |record: &&Record| record.exported.as_ref().is_some_and(|other| other.target == *target);
        let written = self.records.values().map(Arc::as_ref).find(has_written).map(|record| &record.key);
        let wishes = self.objects.values().map(Arc::as_ref);
        written.or_else(|| exports::writer(wishes, |other| other == target)).filter(|other| *other != key).cloned()
    }

    /// Objects that refer to this one and whose resource may still use its resource.
    pub fn dependents(&self, key: &ObjectKey) -> Vec<ObjectKey> {
        let may_use = |record: &Record| record.ownership.is_ours() || record.intent.is_some();
        self.referrers(key)
            .into_iter()
            .filter(|from| self.records.get(from).is_some_and(|record| may_use(record)))
            .collect()
    }
}

impl Others for World {
    fn object(&self, key: &ObjectKey) -> Option<&Object> {
        self.objects.get(key).map(Arc::as_ref)
    }

    fn record(&self, key: &ObjectKey) -> Option<&Record> {
        self.records.get(key).map(Arc::as_ref)
    }

    fn exported(&self, namespace: &str, name: &str, key: &str) -> Option<&str> {
        let exported = self.records.values().filter_map(|record| record.exported.as_ref());
        let mut here = exported.filter(|it| exports::is_secret_key(&it.target, namespace, name, key));
        here.next().map(|exported| exported.value.as_str())
    }

    fn exporter(&self, namespace: &str, name: &str, key: &str) -> Option<&ObjectKey> {
        let wishes = self.objects.values().map(Arc::as_ref);
        exports::writer(wishes, |target| exports::is_secret_key(target, namespace, name, key))
    }
}

/// What an object leads to: the objects it refers to, the Secrets it reads, the source of what it exports.
fn leads_to(key: &ObjectKey, spec: &Value, kinds: &Kinds) -> BTreeSet<ObjectKey> {
    let Some(kind) = kinds.of(key) else { return exports::source_of(key, spec).into_iter().collect() };
    let mut targets = resolve::references(kind, &key.namespace, spec);
    targets.extend(resolve::secrets(kind, &key.namespace, spec).map(|source| source.object()));
    targets
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use cso_core::DigestKey;
    use cso_facts::Catalog;
    use cso_schema::catalog::service_kinds;
    use cso_schema::compile::group_of;
    use serde_json::json;

    use super::*;

    /// Adds the kinds of a service; says how often they have been compiled.
    fn counted(kinds: &mut Kinds, service: &'static str) -> Arc<AtomicUsize> {
        let count = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&count);
        kinds.add(group_of(service), move || {
            counter.fetch_add(1, Ordering::SeqCst);
            service_kinds(Catalog::builtin(), service).unwrap()
        });
        count
    }

    #[test]
    fn kinds_of_a_group_are_compiled_once_when_one_is_asked_for() {
        let mut kinds = Kinds::default();
        let counters = ["sqs", "sns"].map(|service| counted(&mut kinds, service));
        let compiled = || counters.each_ref().map(|count| count.load(Ordering::SeqCst));
        assert!(kinds.named(&group_of("ecr"), "Repository").is_none());
        assert_eq!(compiled(), [0, 0]);

        let queue = kinds.named(&group_of("sqs"), "Queue").unwrap();
        assert!(kinds.named(&group_of("sqs"), "Topic").is_none());
        assert_eq!(compiled(), [1, 0]);

        let others = kinds.with(&[Kind::clone(queue)]);
        assert!(others.of(&ObjectKey::new(&group_of("sqs"), "Queue", "default", "a")).is_some());
        assert_eq!(compiled(), [1, 0], "only the group that the others are in is looked at");

        let names: Vec<&str> = others.iter().map(|kind| kind.name()).collect();
        assert_eq!(names, ["PlatformApplication", "PlatformEndpoint", "Subscription", "Topic", "Queue"]);
        assert_eq!(compiled(), [1, 1]);
    }

    /// Of thousands of objects, each would have its spec in memory twice.
    #[test]
    fn what_is_wished_for_as_it_is_remembered_is_in_memory_once() {
        let spec = || Arc::new(json!({"queueName": "orders"}));
        let key = ObjectKey::new("g", "K", "n", "a");
        let digest = DigestKey::from_bytes([1; 32]).digest("spec", &spec());
        let mut record = Record::new(key.clone(), "uid".to_owned(), digest);
        record.wish.spec = spec();
        let mut world = World::new(vec![record], &Kinds::default());
        let (labels, annotations) = (BTreeMap::new(), BTreeMap::new());
        let wish = Object {
            key: key.clone(),
            labels,
            annotations,
            inherited: None,
            spec: spec(),
            deleting: false,
            life: None,
        };
        assert!(world.set(wish, &Kinds::default()));
        let (wish, record) = (world.wish(&key).expect("was set"), world.record(&key).expect("is remembered"));
        assert!(Arc::ptr_eq(&wish.spec, &record.wish.spec));
    }
}
